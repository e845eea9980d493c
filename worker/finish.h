/* finish.h - what a finished job leaves: `calls[]`, the cache's value.
 * Printing is pure; belongs to its job's thread. */
#pragma once
#include "common/flow.h"
#include "worker/outcome.h"

enum { FINISH_RESULT_MAX = 1 << 20, FINISH_CALLS_MAX = 8 << 20 };

/* `calls[]` as stored: in declared order, then item order, without the results that the ledger
 * holds. calls: NULL: none is known. */
void finish_print_calls(const struct flow *f, const struct call_items *calls, struct buf *out);

/* {"flow","state","result","cached_at"}: the body of a cache hit. result: JSON text. */
void finish_print_cached(const struct flow *f, enum job_state state, const char *result,
                         int64_t now_us, struct buf *out);

/* How long a result of this state is cached; 0: not at all. */
int64_t finish_cache_ms(const struct flow *f, enum job_state state);
/* Does such an end go to op_dead? Failures do but for `refused` and `conflict`, and what expired
 * before its first call. */
bool finish_is_dead(enum job_state state, enum job_reason reason, bool called);
