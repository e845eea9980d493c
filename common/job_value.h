/* job_value.h - `$user` and `$job` as expressions see them (flow file: Variables). Pure. */
#pragma once
#include "common/event.h"
#include "common/json.h"

/* {id}: null for nobody. Owned; NULL without memory. */
struct json *job_value_user(const struct event *e);
/* {id, flow, created_at, deadline, refill}. Owned; NULL without memory. */
struct json *job_value(const struct event *e, const char *flow);
