#include "tests/standin/services.h"
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t number; /* 0: empty */
    char *text;      /* owned: the JSON members known at the beginning */
    unsigned in_flight;
    int status;             /* -1: not answered yet; 0: the caller went away */
    int64_t at_us, took_us; /* when it came, of Unix time; until its end */
};

enum { LOG_MAX = 50000 };

struct shop_log {
    uint64_t last; /* number of the newest entry */
    struct entry entry[LOG_MAX];
};

void shops_init(struct shops *s, int delay_ms)
{
    *s = (struct shops){.delay_ms = delay_ms, .random = 88172645463325252u};
    s->log = calloc(1, sizeof *s->log);
    if (!s->log)
        abort();
    static const char *const names[] = {"/a-mart", "/b-shop", "/c-store", "/v1", "/builder"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        shops_find(s, names[i], true);
}

static void log_clear(struct shop_log *log)
{
    for (size_t i = 0; i < LOG_MAX; i++) {
        free(log->entry[i].text);
        log->entry[i] = (struct entry){0};
    }
}

struct shop *shops_find(struct shops *s, const char *path, bool create)
{
    if (*path == '/')
        path++;
    size_t len = strcspn(path, "/?");
    if (len == 0 || len >= SHOP_NAME)
        return NULL;
    for (unsigned i = 0; i < s->count; i++)
        if (strncmp(s->shop[i].name, path, len) == 0 && s->shop[i].name[len] == 0)
            return &s->shop[i];
    if (!create || s->count == SHOPS_MAX)
        return NULL;
    struct shop *shop = &s->shop[s->count++];
    *shop = (struct shop){0};
    memcpy(shop->name, path, len);
    return shop;
}

void json_text(const char *text, size_t max, struct buf *out)
{
    buf_char(out, '"');
    size_t len = strnlen(text, max + 1);
    if (len > max) /* back to the first byte of the character that would be cut */
        for (len = max; len && ((unsigned char)text[len] & 0xc0) == 0x80; len--)
            ;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        if (c == '"' || c == '\\')
            buf_char(out, '\\');
        if (c < 0x20 || c == 0x7f)
            buf_printf(out, "\\u%04x", c);
        else
            buf_char(out, (char)c);
    }
    buf_char(out, '"');
}

uint64_t shop_begin(struct shops *s, struct shop *shop, const struct shop_request *q)
{
    struct buf b;
    buf_init(&b, 65536);
    buf_text(&b, "\"shop\":");
    json_text(shop->name, SHOP_NAME, &b);
    buf_printf(&b, ",\"method\":\"%s\",\"path\":", q->method);
    json_text(q->path, 1024, &b);
    buf_text(&b, ",\"key\":");
    json_text(q->key, 256, &b);
    buf_printf(&b, ",\"headers\":{%s},\"body\":", q->headers);
    json_text(q->body, 2048, &b);
    buf_printf(&b, ",\"at_ms\":%lld", (long long)q->at_us / 1000);
    shop->requests++;
    if (++shop->in_flight > shop->in_flight_max)
        shop->in_flight_max = shop->in_flight;
    uint64_t number = ++s->log->last;
    struct entry *e = &s->log->entry[number % LOG_MAX];
    free(e->text);
    *e = (struct entry){number, buf_take(&b, NULL), shop->in_flight, -1, q->at_us, 0};
    buf_fini(&b);
    return number;
}

void shop_end(struct shops *s, struct shop *shop, uint64_t number, int status, int64_t at_us)
{
    shop->in_flight--;
    if (status)
        shop->answered++;
    else
        shop->aborted++;
    struct entry *e = &s->log->entry[number % LOG_MAX];
    if (e->number == number) {
        e->status = status;
        e->took_us = at_us - e->at_us;
    }
}

static int natural_delay(struct shops *s, int from, int span)
{
    s->random ^= s->random << 13;
    s->random ^= s->random >> 7;
    s->random ^= s->random << 17;
    return s->delay_ms >= 0 ? s->delay_ms : from + (int)(s->random % (unsigned)span);
}

static bool has_ending(const char *path, const char *ending)
{
    size_t len = strcspn(path, "?"), n = strlen(ending);
    return len >= n && strncmp(path + len - n, ending, n) == 0;
}

int shop_answer(struct shops *s, const struct shop *shop, const struct shop_request *q,
                struct buf *out, int *delay_ms)
{
    const char *rest = q->path + 1 + strlen(shop->name);
    if (strcmp(shop->name, "a-mart") == 0 && strncmp(rest, "/products/", 10) == 0 &&
        has_ending(rest, "/price")) {
        *delay_ms = natural_delay(s, 140, 120);
        buf_text(out, "{\"price\":18900,\"currency\":\"KRW\"}");
        return 200;
    }
    if (strcmp(shop->name, "b-shop") == 0 && strncmp(rest, "/v2/search?", 11) == 0) {
        *delay_ms = natural_delay(s, 260, 160);
        buf_text(out, "{\"items\":[{\"salePrice\":19200,\"cur\":\"KRW\"}]}");
        return 200;
    }
    if (strcmp(shop->name, "c-store") == 0 && strcmp(rest, "/quote") == 0) {
        *delay_ms = natural_delay(s, 380, 160);
        bool whole = strstr(q->body, "\"sku\"") && strstr(q->body, "\"quantity\"");
        bool good = strcmp(q->method, "POST") == 0 && whole;
        buf_text(out, good ? "{\"total\":\"17450\",\"currency\":\"KRW\"}"
                           : "{\"error\":\"POST {sku, quantity} is needed\"}");
        return good ? 200 : 400;
    }
    if (strcmp(shop->name, "v1") == 0) {
        *delay_ms = natural_delay(s, 900, 600);
        return chat_answer(q, out);
    }
    if (strcmp(shop->name, "builder") == 0) {
        *delay_ms = natural_delay(s, 150, 150);
        return bucket_answer(q, out);
    }
    *delay_ms = natural_delay(s, 1, 5);
    buf_text(out, "{\"error\":\"no such page\"}");
    return 404;
}

void shops_print_stats(const struct shops *s, struct buf *out)
{
    buf_char(out, '{');
    for (unsigned i = 0; i < s->count; i++) {
        const struct shop *p = &s->shop[i];
        buf_text(out, i ? "," : "");
        json_text(p->name, SHOP_NAME, out);
        buf_printf(out,
                   ":{\"requests\":%llu,\"answered\":%llu,\"aborted\":%llu,\"in_flight\":%u,"
                   "\"in_flight_max\":%u}",
                   (unsigned long long)p->requests, (unsigned long long)p->answered,
                   (unsigned long long)p->aborted, p->in_flight, p->in_flight_max);
    }
    buf_text(out, "}\n");
}

void shops_print_log(const struct shops *s, const char *only, struct buf *out)
{
    struct buf wanted;
    buf_init(&wanted, 256);
    buf_text(&wanted, "\"shop\":");
    json_text(only, SHOP_NAME, &wanted);
    uint64_t last = s->log->last, first = last > LOG_MAX ? last - LOG_MAX + 1 : 1;
    bool any = false;
    buf_char(out, '[');
    for (uint64_t n = first; n <= last; n++) {
        const struct entry *e = &s->log->entry[n % LOG_MAX];
        if (e->number != n || !e->text)
            continue;
        if (*only && strncmp(e->text, buf_str(&wanted), wanted.len) != 0)
            continue;
        buf_printf(out, "%s{\"n\":%llu,%s,\"in_flight\":%u,\"status\":", any ? ",\n" : "\n",
                   (unsigned long long)n, e->text, e->in_flight);
        if (e->status < 0)
            buf_text(out, "null}");
        else
            buf_printf(out, "%d,\"took_us\":%lld}", e->status, (long long)e->took_us);
        any = true;
    }
    buf_text(out, "\n]\n");
    buf_fini(&wanted);
}

void shops_clear(struct shops *s)
{
    log_clear(s->log);
    for (unsigned i = 0; i < s->count; i++) {
        struct shop *p = &s->shop[i];
        p->requests = p->answered = p->aborted = 0;
        p->in_flight_max = p->in_flight;
    }
}
