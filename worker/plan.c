#include "worker/plan.h"

#include <string.h>

bool plan_call_is_over(const struct call_items *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (!item_is_over(&c->items[i]))
            return false;
    return true;
}

bool plan_is_over(const struct flow *f, const struct call_items *calls)
{
    for (size_t i = 0; i < f->calls_n; i++)
        if (!plan_call_is_over(&calls[i]))
            return false;
    return true;
}

static bool may_begin(const struct flow_call *call, const struct call_items *calls)
{
    for (size_t i = 0; i < call->after_n; i++)
        if (!plan_call_is_over(&calls[call->after[i]]))
            return false;
    return true;
}

size_t plan_next(const struct flow *f, const struct call_items *calls, size_t from)
{
    for (; from < f->calls_n; from++) {
        const struct call_items *c = &calls[from];
        if (!c->begun && c->items[0].state == ITEM_WAITING && may_begin(&f->calls[from], calls))
            break;
    }
    return from;
}

/* By `when`: asked of nobody. */
static bool is_left_out(const struct plan_item *i)
{
    return i->state == ITEM_SKIPPED && i->code == CALL_OK;
}

/* Something was to be done, and none of it was. */
static bool has_failed(const struct call_items *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (c->items[i].state == ITEM_SUCCEEDED || is_left_out(&c->items[i]))
            return false;
    return c->n > 0;
}

bool plan_is_skipped(const struct flow *f, const struct call_items *calls, size_t call)
{
    const struct flow_call *c = &f->calls[call];
    for (size_t i = 0; i < c->after_n; i++)
        if (!f->calls[c->after[i]].optional && has_failed(&calls[c->after[i]]))
            return true;
    return false;
}

size_t plan_next_item(const struct flow_call *call, const struct call_items *c)
{
    size_t running = 0, next = c->n;
    if (!c->begun)
        return c->n;
    for (size_t i = 0; i < c->n; i++) {
        running += c->items[i].state == ITEM_RUNNING;
        if (next == c->n && c->items[i].state == ITEM_WAITING)
            next = i;
    }
    return flow_call_has_items(call) && running >= call->parallel ? c->n : next;
}

static bool need_is_met(const struct flow *f, size_t counted, size_t succeeded)
{
    if (f->need == FLOW_NEED_ALL || (size_t)f->need > counted)
        return succeeded == counted;
    return succeeded >= (size_t)f->need;
}

/* ---- waiting for one that may still succeed */

static bool is_hope(const struct plan_item *i)
{
    return i->state <= ITEM_SUCCEEDED;
}

static bool is_lost(const struct call_items *c)
{
    for (size_t i = 0; i < c->n; i++)
        if (is_hope(&c->items[i]))
            return false;
    return has_failed(c);
}

/* And those after the lost ones, and those after them. */
static void spread(const struct flow *f, bool lost[FLOW_CALLS_MAX])
{
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < f->calls_n; i++)
            for (size_t k = 0; k < f->calls[i].after_n && !lost[i]; k++) {
                size_t before = f->calls[i].after[k];
                lost[i] = lost[before] && !f->calls[before].optional;
                more |= lost[i];
            }
    }
}

/* Calls that never begin: what they wait for has failed, if its row is not written yet. */
static void find_gone(const struct flow *f, const struct call_items *calls,
                      bool gone[FLOW_CALLS_MAX])
{
    for (size_t i = 0; i < f->calls_n; i++)
        gone[i] = is_lost(&calls[i]);
    spread(f, gone);
}

/* Add to those that are gone what cannot be made if this item fails: its call's, when it was the
 * last hope there. */
static void add_lost(const struct flow *f, const struct call_items *calls,
                     const struct plan_item *item, bool lost[FLOW_CALLS_MAX])
{
    const struct call_items *own = &calls[item->call];
    bool last = true;
    for (size_t k = 0; k < own->n; k++)
        last = last && (&own->items[k] == item || !is_hope(&own->items[k]));
    lost[item->call] |= last;
    spread(f, lost);
}

bool plan_hangs_on(const struct flow *f, const struct call_items *calls,
                   const struct plan_item *item)
{
    bool lost[FLOW_CALLS_MAX], gone[FLOW_CALLS_MAX] = {false};
    size_t counted = 0, with = 0, without = 0;
    if (f->calls[item->call].optional)
        return false;
    find_gone(f, calls, gone);
    memcpy(lost, gone, sizeof lost);
    add_lost(f, calls, item, lost);
    for (size_t i = 0; i < f->calls_n; i++)
        for (size_t k = 0; k < calls[i].n && !f->calls[i].optional; k++) {
            const struct plan_item *other = &calls[i].items[k];
            counted += !is_left_out(other);
            with += is_hope(other) && !gone[i];
            without += is_hope(other) && other != item && !lost[i];
        }
    return need_is_met(f, counted, with) && !need_is_met(f, counted, without);
}

/* ---- the end */

struct tally {
    size_t counted, succeeded, failed, hopes;
    bool for_now; /* one failed for a reason that may pass */
};

static void count(const struct flow_call *call, const struct plan_item *i, struct tally *t,
                  struct plan_verdict *out)
{
    bool ok = i->state == ITEM_SUCCEEDED;
    if (is_left_out(i))
        return;
    t->counted += !call->optional;
    t->succeeded += !call->optional && ok;
    t->failed += !ok;
    t->hopes += !call->optional && (ok || i->retryable || i->code == CALL_SKIPPED);
    t->for_now |= !call->optional && !ok && i->retryable;
    out->called |= i->began;
    if (!ok && !call->optional && !out->culprit && i->code != CALL_SKIPPED)
        out->culprit = call->upstream;
}

void plan_judge(const struct flow *f, const struct call_items *calls, bool past_deadline,
                struct plan_verdict *out)
{
    struct tally t = {0};
    *out = (struct plan_verdict){0};
    for (size_t i = 0; i < f->calls_n; i++)
        for (size_t k = 0; k < calls[i].n; k++)
            count(&f->calls[i], &calls[i].items[k], &t, out);
    if (need_is_met(f, t.counted, t.succeeded)) {
        out->state = t.failed ? JOB_PARTIAL : JOB_SUCCEEDED;
        out->reason = REASON_NONE;
    } else {
        out->state = past_deadline ? JOB_EXPIRED : JOB_FAILED;
        out->reason = past_deadline ? REASON_DEADLINE : REASON_NEED_NOT_MET;
        out->again = !past_deadline && t.for_now && need_is_met(f, t.counted, t.hopes);
    }
}
