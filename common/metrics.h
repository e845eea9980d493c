/* metrics.h - counters, gauges and histograms in Prometheus text format 0.0.4. Any thread; updates
 * are one relaxed atomic add. A metric is found or made by name and labels once and kept; label
 * values are bounded: over 1,000 series of a name fall into one with value "other". Names:
 * offpath_<what>_<unit|total>. */
#pragma once
#include "common/buf.h"
#include <stdint.h>

struct metric;

/* labels: `flow="x",state="y"` already in text form, "" for none; escape with metrics_label. Lent
 * for ever; never NULL (without memory a dummy). help is kept from the first. */
struct metric *metrics_counter(const char *name, const char *labels, const char *help);
struct metric *metrics_gauge(const char *name, const char *labels, const char *help);
struct metric *metrics_histogram(const char *name, const char *labels,
                                 const char *help); /* seconds: 0.5 ms to 1 h */
/* A gauge read at scrape; fn must be quick and safe from the scraping thread. */
void metrics_gauge_fn(const char *name, const char *labels, const char *help,
                      double (*fn)(void *arg), void *arg);
/* What arg points to ends: gauges that still read it are left out until they are made again. No
 * scrape reads it any more when this returns. */
void metrics_gauge_fn_end(const void *arg);

void metrics_add(struct metric *m, int64_t n);
void metrics_set(struct metric *m, int64_t value);
void metrics_observe_us(struct metric *m, int64_t us);
int64_t metrics_value(const struct metric *m); /* counter, gauge; histogram: its count */

void metrics_label(char *out, size_t size, const char *value); /* escaped, cut to fit */
void metrics_print(struct buf *out);
void metrics_reset(void); /* tests only */
