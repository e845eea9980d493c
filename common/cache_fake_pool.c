/* The pool's scripts as cache_scripts.h promises them. Its list, its reservations and what was put
 * are rows {number, text} one behind the other, in a value like any other of the store. */
#include "common/cache_fake_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TAKEN_MS = 3600000, PUT_MS = 86400000 };

struct text {
    const char *at;
    size_t len;
};

struct row {
    int64_t number; /* list: when it expires; reservations: until when; put: since when */
    size_t len;     /* of the text behind it */
};

static struct text arg(const struct cache_command *c, unsigned i)
{
    return i < c->argc ? (struct text){c->argv[i], c->argv_len[i]} : (struct text){"", 0};
}

static int64_t number(struct text t)
{
    char digits[24] = "";
    memcpy(digits, t.at, t.len < sizeof digits ? t.len : 0);
    return strtoll(digits, NULL, 10);
}

static int64_t now_ms(const struct fake_store *s)
{
    return clock_wall_us(s->clock) / 1000;
}

/* ---- rows */

/* The row at *at, and its text; false behind the last. */
static bool next(struct text rows, size_t *at, struct row *r, struct text *text)
{
    if (*at >= rows.len)
        return false;
    memcpy(r, rows.at + *at, sizeof *r);
    *text = (struct text){rows.at + *at + sizeof *r, r->len};
    *at += sizeof *r + r->len;
    return true;
}

static struct text rows_get(struct fake_store *s, struct text key)
{
    int64_t expires;
    size_t len = 0;
    const char *value = fake_store_get(s, key.at, key.len, &len, &expires);
    return (struct text){value ? value : "", value ? len : 0};
}

static size_t count(struct fake_store *s, struct text key)
{
    struct text rows = rows_get(s, key), text;
    struct row r;
    size_t n = 0;
    for (size_t at = 0; next(rows, &at, &r, &text);)
        n++;
    return n;
}

static bool has(struct fake_store *s, struct text key, struct text what)
{
    struct text rows = rows_get(s, key), text;
    struct row r;
    for (size_t at = 0; next(rows, &at, &r, &text);)
        if (text.len == what.len && memcmp(text.at, what.at, what.len) == 0)
            return true;
    return false;
}

/* An empty list is no key, as in Redis. */
static int rows_set(struct fake_store *s, struct text key, const struct buf *b, int64_t ttl_ms)
{
    if (buf_ok(b))
        return ERR_NOMEM;
    if (b->len)
        return fake_store_set(s, key.at, key.len, b->data, b->len, ttl_ms);
    fake_store_erase(s, key.at, key.len);
    return 0;
}

static void rows_add(struct buf *b, int64_t n, struct text text)
{
    struct row r = {n, text.len};
    buf_add(b, &r, sizeof r);
    buf_add(b, text.at, text.len);
}

/* ttl_ms: as fake_store_set. */
static int push(struct fake_store *s, struct text key, int64_t n, struct text text, int64_t ttl_ms)
{
    struct text rows = rows_get(s, key);
    struct buf b;
    buf_init(&b, 0);
    buf_add(&b, rows.at, rows.len);
    rows_add(&b, n, text);
    int err = rows_set(s, key, &b, ttl_ms);
    buf_fini(&b);
    return err;
}

/* Keeps the rows above `until` whose text is another. front: stops dropping at the first kept. */
static int drop(struct fake_store *s, struct text key, int64_t until, struct text but, bool front)
{
    struct text rows = rows_get(s, key), text;
    struct row r;
    struct buf b;
    bool kept = false;
    buf_init(&b, 0);
    for (size_t at = 0; next(rows, &at, &r, &text);) {
        bool same = but.at && text.len == but.len && memcmp(text.at, but.at, but.len) == 0;
        if (!same && (r.number > until || (front && kept))) {
            kept = true;
            rows_add(&b, r.number, text);
        }
    }
    int err = rows_set(s, key, &b, -1);
    buf_fini(&b);
    return err;
}

static int drop_expired(struct fake_store *s, struct text q, struct text r)
{
    const struct text none = {NULL, 0};
    int err = drop(s, r, now_ms(s), none, false);
    return err ? err : drop(s, q, now_ms(s), none, true);
}

/* ---- scripts */

static int reply(struct cache_reply *out, const char *text, size_t len)
{
    char *copy = malloc(len + 1);
    if (!copy)
        return ERR_NOMEM;
    memcpy(copy, text, len);
    copy[len] = 0;
    *out = (struct cache_reply){REPLY_TEXT, copy, len, 0};
    return 0;
}

static bool has_room(struct fake_store *s, const struct cache_command *c, struct text size)
{
    return (int64_t)(count(s, arg(c, 0)) + count(s, arg(c, 1))) < number(size);
}

int fake_pool_take(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct text q = arg(c, 0), t = arg(c, 1), taken = rows_get(s, t), item;
    struct row r;
    size_t at = 0;
    if (taken.len)
        return reply(out, taken.at, taken.len);
    int err = drop(s, q, now_ms(s), (struct text){NULL, 0}, true);
    struct text rows = rows_get(s, q);
    if (err || !next(rows, &at, &r, &item)) {
        *out = (struct cache_reply){.type = REPLY_NIL};
        return err;
    }
    err = reply(out, item.at, item.len);
    if (err)
        return err;
    struct buf rest;
    buf_init(&rest, 0);
    buf_add(&rest, rows.at + at, rows.len - at);
    err = rows_set(s, q, &rest, -1);
    buf_fini(&rest);
    return err ? err : fake_store_set(s, t.at, t.len, out->text, out->len, TAKEN_MS);
}

int fake_pool_reserve(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct text r = arg(c, 1), job = arg(c, 2);
    int64_t ms = number(arg(c, 4)), left_us;
    size_t len;
    int err = drop_expired(s, arg(c, 0), r);
    if (err || has(s, r, job))
        return err ? err : reply(out, "ok", 2);
    if (!has_room(s, c, arg(c, 3)))
        return reply(out, "full", 4);
    bool some = fake_store_get(s, r.at, r.len, &len, &left_us) != NULL;
    bool longer = some && left_us - clock_mono_us(s->clock) > ms * 1000;
    err = push(s, r, now_ms(s) + ms, job, longer ? -1 : ms);
    return err ? err : reply(out, "ok", 2);
}

static int put_item(struct fake_store *s, const struct cache_command *c, int64_t ttl_ms)
{
    struct text job = arg(c, 3), result = arg(c, 4);
    struct buf item;
    int64_t until = now_ms(s) + ttl_ms;
    buf_init(&item, 0);
    buf_printf(&item, "%lld|", (long long)until);
    buf_add(&item, job.at, job.len);
    buf_text(&item, "|");
    buf_add(&item, result.at, result.len);
    int err = buf_ok(&item) ? ERR_NOMEM
                            : push(s, arg(c, 0), until, (struct text){item.data, item.len}, ttl_ms);
    buf_fini(&item);
    return err;
}

int fake_pool_put(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct text r = arg(c, 1), d = arg(c, 2), job = arg(c, 3);
    const char *did = "put";
    char text[24];
    int err = drop_expired(s, arg(c, 0), r);
    bool had = has(s, r, job);
    err = err ? err : drop(s, r, INT64_MIN, job, false);
    if (has(s, d, job)) {
        did = "done";
    } else if (!arg(c, 4).len) {
        did = "back";
    } else {
        if (!err && count(s, d) && count(s, d) % 200 == 0)
            err = drop(s, d, now_ms(s) - PUT_MS, (struct text){NULL, 0}, false);
        err = err ? err : push(s, d, now_ms(s), job, PUT_MS);
        if (!had && !has_room(s, c, arg(c, 5)))
            did = "refused";
        else
            err = err ? err : put_item(s, c, number(arg(c, 6)));
    }
    int n = snprintf(text, sizeof text, "%s %s", did, has_room(s, c, arg(c, 5)) ? "short" : "full");
    return err ? err : reply(out, text, (size_t)n);
}

int fake_pool_length(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    *out = (struct cache_reply){.type = REPLY_INTEGER, .integer = (long long)count(s, arg(c, 1))};
    return 0;
}
