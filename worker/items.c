#include "worker/items.h"
#include "common/json.h"
#include "worker/call_run.h"

#include <stdlib.h>

const char *item_state_name(enum item_state s)
{
    static const char *const names[] = {
        [ITEM_WAITING] = "waiting", [ITEM_RUNNING] = "running", [ITEM_SUCCEEDED] = "succeeded",
        [ITEM_FAILED] = "failed",   [ITEM_SKIPPED] = "skipped", [ITEM_CANCELLED] = "cancelled",
    };
    return names[s];
}

/* The arrays of n items in one piece of memory, the strictest alignment first. */
enum {
    ITEM_BYTES = sizeof(struct outcome) + sizeof(struct call_run *) + sizeof(uint64_t) +
                 sizeof(struct plan_item)
};

static void place(struct call_items *c, char *memory, size_t room)
{
    c->outcomes = (void *)memory;
    memory += room * sizeof(struct outcome);
    c->runs = (void *)memory;
    memory += room * sizeof(struct call_run *);
    c->same = (void *)memory;
    memory += room * sizeof(uint64_t);
    c->items = (void *)memory;
}

/* A plain job costs this one allocation. */
int items_new(const struct flow *f, struct call_items **out)
{
    size_t n = f->calls_n;
    struct call_items *calls = calloc(n ? n : 1, sizeof *calls + ITEM_BYTES);
    if (!calls)
        return ERR_NOMEM;
    struct call_items all;
    place(&all, (char *)(calls + n), n);
    for (size_t i = 0; i < n; i++) {
        calls[i] = (struct call_items){.n = 1,
                                       .items = all.items + i,
                                       .outcomes = all.outcomes + i,
                                       .runs = all.runs + i,
                                       .same = all.same + i};
        calls[i].items[0] = (struct plan_item){.call = (uint16_t)i, .index = -1};
    }
    *out = calls;
    return 0;
}

int items_expand(struct call_items *c, size_t n)
{
    uint16_t call = c->items[0].call;
    if (n > 1) {
        c->own = calloc(n, ITEM_BYTES);
        if (!c->own)
            return ERR_NOMEM;
        place(c, c->own, n);
    }
    c->n = n;
    for (size_t i = 0; i < n; i++)
        c->items[i] = (struct plan_item){.call = call, .index = (int32_t)i};
    return 0;
}

size_t items_count(const struct flow *f, const struct call_items *calls)
{
    size_t n = 0;
    for (size_t i = 0; i < f->calls_n; i++)
        n += calls[i].n;
    return n;
}

void items_free(const struct flow *f, struct call_items *calls)
{
    for (size_t i = 0; calls && i < f->calls_n; i++) {
        struct call_items *c = &calls[i];
        for (size_t k = 0; k < c->n; k++) {
            call_run_free(c->runs[k]);
            outcome_fini(&c->outcomes[k]);
        }
        json_free(c->list_owned);
        json_free(c->seen);
        free(c->own);
    }
    free(calls);
}
