/* plan.h - what the calls of a job come to: which may start, and the state they give the job (flow
 * file: calls, State).
 * Pure: knows the flow and how each call stands, no time, no IO. Any thread. */
#pragma once
#include "common/flow.h"

enum item_state {
    ITEM_WAITING,
    ITEM_RUNNING, /* in flight, or its outcome is not in the ledger yet */
    ITEM_SUCCEEDED,
    ITEM_FAILED,
    ITEM_SKIPPED,
    ITEM_CANCELLED
};

struct plan_item { /* one call; with for_each one per element */
    uint16_t call; /* place in flow->calls */
    uint8_t state; /* enum item_state */
    uint8_t code;  /* enum call_code of one that did not succeed */
    bool retryable;
    bool began;    /* an attempt was made: it may have reached the upstream */
    int32_t index; /* with for_each, else -1 */
};

const char *item_state_name(enum item_state s); /* "waiting"; lent for ever */
static inline bool item_is_over(const struct plan_item *i)
{
    return i->state >= ITEM_SUCCEEDED;
}

/* How many items a job of this flow begins with; plan_init fills them. */
size_t plan_size(const struct flow *f);
void plan_init(const struct flow *f, struct plan_item *items);

/* The next item that may start at or after place `from`; n if none may now. */
size_t plan_next(const struct flow *f, const struct plan_item *items, size_t n, size_t from);
bool plan_is_over(const struct plan_item *items, size_t n);

/* The job can end well if this item does, and only then. */
bool plan_hangs_on(const struct flow *f, const struct plan_item *items, size_t n, size_t at);

struct plan_verdict {
    enum job_state state; /* succeeded, partial, failed, expired */
    enum job_reason reason;
    const struct upstream *culprit; /* of the first failed call when failed; may be NULL */
    bool called;                    /* some call may have reached its upstream */
};
/* All items are over. late: the deadline passed while some were open. */
void plan_judge(const struct flow *f, const struct plan_item *items, size_t n, bool late,
                struct plan_verdict *out);
