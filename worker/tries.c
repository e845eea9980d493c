#include "worker/tries.h"
#include "common/clock.h"

void tries_add(struct tries *t, const struct try *one)
{
    t->kept[t->made % TRIES_KEPT] = *one;
    t->made++;
}

static void print_text(struct buf *out, const char *name, const char *text)
{
    bool there = text && *text;
    buf_text(out, name);
    buf_text(out, there ? "\"" : "null");
    if (there) {
        buf_text(out, text);
        buf_char(out, '"');
    }
}

static void print_number(struct buf *out, const char *name, unsigned n)
{
    buf_text(out, name);
    buf_number(out, n);
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
    print_text(out, "{\"start\":", start);
    print_text(out, ",\"waited\":", waited[t->waited]);
    print_number(out, ",\"wait_ms\":", t->wait_ms);
    print_number(out, ",\"ms\":", t->ms);
    print_text(out, ",\"code\":", call_code((enum call_code)t->code));
    if (t->status)
        print_number(out, ",\"status\":", t->status);
    else
        print_text(out, ",\"status\":", NULL);
    buf_char(out, '}');
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
