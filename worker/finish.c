#include "worker/finish.h"
#include "common/clock.h"

#include <string.h>

static void print_call(const struct flow *f, const struct plan_item *i, const struct outcome *o,
                       struct buf *out)
{
    struct buf text;
    const char *result = NULL;
    buf_init(&text, FINISH_RESULT_MAX);
    if (o->in_ledger) {
        result = OUTCOME_NO_RESULT;
    } else if (o->result) {
        json_print(o->result, &text);
        result = buf_ok(&text) ? NULL : buf_str(&text);
    }
    outcome_print(f, i, o, result, out);
    buf_fini(&text);
}

void finish_print_calls(const struct flow *f, const struct call_items *calls, struct buf *out)
{
    bool first = true;
    buf_char(out, '[');
    for (size_t i = 0; calls && i < f->calls_n; i++)
        for (size_t k = 0; k < calls[i].n; k++) {
            if (!first)
                buf_char(out, ',');
            first = false;
            print_call(f, &calls[i].items[k], &calls[i].outcomes[k], out);
        }
    buf_char(out, ']');
}

void finish_print_cached(const struct flow *f, enum job_state state, const char *result,
                         int64_t now_us, struct buf *out)
{
    char at[CLOCK_TEXT];
    clock_format(now_us, at);
    buf_printf(out, "{\"flow\":\"%s\",\"state\":\"%s\",\"result\":", f->name,
               job_state_name(state));
    buf_text(out, result ? result : "null");
    buf_printf(out, ",\"cached_at\":\"%s\"}", at);
}

int64_t finish_cache_ms(const struct flow *f, enum job_state state)
{
    if (f->cache.scope == SCOPE_NONE)
        return 0;
    if (state == JOB_SUCCEEDED)
        return f->cache.ttl_ms;
    return state == JOB_PARTIAL ? f->cache.partial_ttl_ms : 0;
}

bool finish_is_dead(enum job_state state, enum job_reason reason, bool called)
{
    if (state == JOB_FAILED)
        return reason != REASON_REFUSED && reason != REASON_CONFLICT;
    return state == JOB_EXPIRED && !called;
}
