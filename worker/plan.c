#include "worker/plan.h"

const char *item_state_name(enum item_state s)
{
    static const char *const names[] = {
        [ITEM_WAITING] = "waiting", [ITEM_RUNNING] = "running", [ITEM_SUCCEEDED] = "succeeded",
        [ITEM_FAILED] = "failed",   [ITEM_SKIPPED] = "skipped", [ITEM_CANCELLED] = "cancelled",
    };
    return names[s];
}

size_t plan_size(const struct flow *f)
{
    return f->calls_n;
}

void plan_init(const struct flow *f, struct plan_item *items)
{
    for (size_t i = 0; i < f->calls_n; i++)
        items[i] = (struct plan_item){.call = (uint16_t)i, .index = -1};
}

size_t plan_next(const struct flow *f, const struct plan_item *items, size_t n, size_t from)
{
    (void)f; /* `after` will ask it */
    while (from < n && items[from].state != ITEM_WAITING)
        from++;
    return from;
}

bool plan_is_over(const struct plan_item *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!item_is_over(&items[i]))
            return false;
    return true;
}

static bool need_is_met(const struct flow *f, size_t counted, size_t succeeded)
{
    if (f->need == FLOW_NEED_ALL || (size_t)f->need > counted)
        return succeeded == counted;
    return succeeded >= (size_t)f->need;
}

bool plan_hangs_on(const struct flow *f, const struct plan_item *items, size_t n, size_t at)
{
    size_t counted = 0, others = 0;
    for (size_t i = 0; i < n; i++) {
        bool by_when = items[i].state == ITEM_SKIPPED && items[i].code == CALL_OK;
        if (f->calls[items[i].call].optional || by_when)
            continue;
        counted++;
        others += i != at && (items[i].state == ITEM_SUCCEEDED || !item_is_over(&items[i]));
    }
    return !f->calls[items[at].call].optional && !need_is_met(f, counted, others) &&
           need_is_met(f, counted, others + 1);
}

void plan_judge(const struct flow *f, const struct plan_item *items, size_t n, bool late,
                struct plan_verdict *out)
{
    size_t counted = 0, succeeded = 0, failed = 0;
    *out = (struct plan_verdict){0};
    for (size_t i = 0; i < n; i++) {
        const struct flow_call *c = &f->calls[items[i].call];
        bool ok = items[i].state == ITEM_SUCCEEDED;
        if (items[i].state == ITEM_SKIPPED && items[i].code == CALL_OK)
            continue; /* by `when`: asked of nobody */
        counted += !c->optional;
        succeeded += !c->optional && ok;
        failed += !ok;
        out->called |= items[i].began;
        if (!ok && !c->optional && !out->culprit)
            out->culprit = c->upstream;
    }
    if (need_is_met(f, counted, succeeded)) {
        out->state = failed ? JOB_PARTIAL : JOB_SUCCEEDED;
        out->reason = REASON_NONE;
    } else {
        out->state = late ? JOB_EXPIRED : JOB_FAILED;
        out->reason = late ? REASON_DEADLINE : REASON_NEED_NOT_MET;
    }
}
