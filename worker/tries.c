#include "worker/tries.h"
#include "common/clock.h"

void tries_add(struct tries *t, const struct try *one)
{
    t->kept[t->made % TRIES_KEPT] = *one;
    t->made++;
}

static void print_text(struct buf *out, const char *key, const char *text)
{
    if (text && *text)
        buf_printf(out, "\"%s\":\"%s\"", key, text);
    else
        buf_printf(out, "\"%s\":null", key);
}

static void print_one(const struct try *t, struct buf *out)
{
    static const char *const waited[] = {
        [TRY_AT_ONCE] = NULL,
        [TRY_SLOT] = "slot",
        [TRY_BACKOFF] = "backoff",
        [TRY_RETRY_AFTER] = "retry-after",
    };
    char start[CLOCK_TEXT];
    clock_format(t->start_us, start);
    buf_printf(out, "{\"start\":\"%s\",", start);
    print_text(out, "waited", waited[t->waited]);
    buf_printf(out, ",\"wait_ms\":%u,\"ms\":%u,", t->wait_ms, t->ms);
    print_text(out, "code", call_code((enum call_code)t->code));
    if (t->status)
        buf_printf(out, ",\"status\":%u}", t->status);
    else
        buf_text(out, ",\"status\":null}");
}

void tries_print(const struct tries *t, struct buf *out)
{
    unsigned first = t->made > TRIES_KEPT ? t->made - TRIES_KEPT : 0;
    buf_char(out, '[');
    for (unsigned i = first; i < t->made; i++) {
        if (i > first)
            buf_char(out, ',');
        print_one(&t->kept[i % TRIES_KEPT], out);
    }
    buf_char(out, ']');
}
