/* plan.h - what the calls of a job come to: which may start, and the state they give the job (flow
 * file: calls, State).
 * Pure: knows the flow and how each item stands, no time, no IO. Any thread. */
#pragma once
#include "worker/items.h"

/* The next call at or after place `from` that may begin: all of its `after` have ended.
 * flow->calls_n if none may now. */
size_t plan_next(const struct flow *f, const struct call_items *calls, size_t from);
/* It may begin, but one it needs failed: it is not made (code `skipped`). */
bool plan_is_skipped(const struct flow *f, const struct call_items *calls, size_t call);
/* The next item of a begun call that may start; its n if none may now: `parallel`. */
size_t plan_next_item(const struct flow_call *call, const struct call_items *c);
bool plan_call_is_over(const struct call_items *c);
bool plan_is_over(const struct flow *f, const struct call_items *calls);

/* The job can end well if this item does, and only then. */
bool plan_hangs_on(const struct flow *f, const struct call_items *calls,
                   const struct plan_item *item);

struct plan_verdict {
    enum job_state state; /* succeeded, partial, failed, expired */
    enum job_reason reason;
    const struct upstream *culprit; /* of the first failed call when failed; may be NULL */
    bool called;                    /* some call may have reached its upstream */
    bool again; /* failed, and would not if what failed for now succeeded in a later round */
};
/* All items are over. past_deadline: it passed while some were open. */
void plan_judge(const struct flow *f, const struct call_items *calls, bool past_deadline,
                struct plan_verdict *out);
