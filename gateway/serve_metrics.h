/* serve_metrics.h - answers of the public port, counted by route and status. Any thread. */
#pragma once
#include "gateway/route.h"

struct serve_metrics;
struct serve_metrics *serve_metrics_new(void); /* NULL without memory; free with free */
void serve_metrics_count(struct serve_metrics *m, enum route route, int status);
