/* items.h - the calls of a job and their items: each declared call has one item, with for_each one
 * per element, known only when the call begins (flow file: calls). This is the one place that owns
 * them: until a call is begun a single item stands for it; afterwards its items never move and
 * their number never changes, so pointers to them hold until items_free. Belongs to its job's
 * thread. */
#pragma once
#include "common/flow.h"

enum item_state {
    ITEM_WAITING,
    ITEM_RUNNING,
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
    bool unsaved;  /* its outcome is on the way to the ledger: nobody sees it yet */
    int32_t index; /* with for_each, else -1; also -1 of one that stands for the call */
};

const char *item_state_name(enum item_state s); /* "waiting"; lent for ever */
static inline bool item_is_over(const struct plan_item *i)
{
    return i->state >= ITEM_SUCCEEDED && !i->unsaved;
}

struct json;
struct outcome;
struct call_run;
struct call_items { /* a declared call */
    size_t n;
    bool begun;              /* `when` and `for_each` are known */
    struct plan_item *items; /* n, in order; as the next three */
    struct outcome *outcomes;
    struct call_run **runs;  /* NULL where none is on its way */
    uint64_t *same;          /* equal for requests that are, see call_key.h; 0: not rendered */
    void *own;               /* what for_each made; NULL: part of the first allocation */
    const struct json *list; /* the elements; NULL: no for_each, or not begun */
    struct json *list_owned; /* the same, if it is nobody else's */
    struct json *seen;       /* its `$calls`, owned; NULL: none */
};

/* All calls of a flow, not begun. *out: owned (items_free), flow->calls_n of them. 0, ERR_NOMEM. */
int items_new(const struct flow *f, struct call_items **out) must_use;
/* n items instead of the one that stands for the call, all waiting; n may be 0. 0, or ERR_NOMEM and
 * no change. */
int items_expand(struct call_items *c, size_t n) must_use;
size_t items_count(const struct flow *f, const struct call_items *calls); /* of all calls */
void items_free(const struct flow *f, struct call_items *calls);          /* NULL is fine */
