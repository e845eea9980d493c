#include "tests/standin/http.h"
#include "tests/standin/shop.h"
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static bool copy_until(const char **at, const char *end, char stop, char *out, size_t size)
{
    size_t n = 0;
    for (; *at < end && **at != stop; (*at)++) {
        if (n + 1 >= size || (unsigned char)**at <= ' ')
            return false;
        out[n++] = **at;
    }
    out[n] = 0;
    return n > 0 && *at < end && *(*at)++ == stop;
}

struct field {
    const char *name, *value;
    size_t name_len, value_len;
};

static bool is_named(const struct field *f, const char *name)
{
    return f->name_len == strlen(name) && strncasecmp(f->name, name, f->name_len) == 0;
}

static void note_field(const struct field *f, struct http_request *q)
{
    struct buf copy;
    buf_init(&copy, HTTP_HEAD_MAX);
    buf_text(&copy, q->headers.len ? "," : "");
    struct buf text;
    buf_init(&text, HTTP_HEAD_MAX);
    buf_add(&text, f->name, f->name_len);
    json_text(buf_str(&text), f->name_len, &copy);
    buf_clear(&text);
    buf_add(&text, f->value, f->value_len);
    buf_char(&copy, ':');
    json_text(buf_str(&text), 1024, &copy);
    buf_text(&q->headers, buf_str(&copy));
    buf_fini(&text);
    buf_fini(&copy);
}

/* False for a field that makes the length of the body unclear. */
static bool take_field(const struct field *f, struct http_request *q, size_t *length)
{
    if (is_named(f, "content-length")) {
        char *end = NULL;
        unsigned long n = strtoul(f->value, &end, 10);
        *length = n;
        return end == f->value + f->value_len && n <= HTTP_BODY_MAX;
    }
    if (is_named(f, "transfer-encoding"))
        return false;
    if (is_named(f, "connection"))
        q->close = f->value_len == 5 && strncasecmp(f->value, "close", 5) == 0;
    if (is_named(f, "idempotency-key") && f->value_len < sizeof q->key) {
        memcpy(q->key, f->value, f->value_len);
        q->key[f->value_len] = 0;
    }
    bool extra = f->name_len > 2 && strncasecmp(f->name, "x-", 2) == 0;
    if (extra || is_named(f, "authorization") || is_named(f, "traceparent"))
        note_field(f, q);
    return true;
}

static bool read_fields(const char *at, const char *end, struct http_request *q, size_t *length)
{
    while (at < end) {
        const char *stop = memchr(at, '\r', (size_t)(end - at));
        stop = stop ? stop : end;
        const char *colon = memchr(at, ':', (size_t)(stop - at));
        if (!colon)
            return false;
        const char *value = colon + 1;
        while (value < stop && (*value == ' ' || *value == '\t'))
            value++;
        struct field f = {at, value, (size_t)(colon - at), (size_t)(stop - value)};
        if (!take_field(&f, q, length))
            return false;
        at = stop + 2;
    }
    return true;
}

int http_read(const struct buf *in, struct http_request *q)
{
    const char *end = in->len ? memmem(in->data, in->len, "\r\n\r\n", 4) : NULL;
    if (!end)
        return in->len > HTTP_HEAD_MAX ? -1 : 0;
    *q = (struct http_request){0};
    buf_init(&q->headers, HTTP_HEAD_MAX * 8);
    const char *at = in->data;
    const char *line = memchr(at, '\r', (size_t)(end + 1 - at));
    size_t length = 0;
    bool good = copy_until(&at, line, ' ', q->method, sizeof q->method) &&
                copy_until(&at, line, ' ', q->path, sizeof q->path) && q->path[0] == '/' &&
                line - at == 8 && strncmp(at, "HTTP/1.1", 8) == 0 &&
                (line == end || read_fields(line + 2, end, q, &length));
    q->body = end + 4;
    q->size = (size_t)(q->body - in->data) + length;
    good = good && in->len <= q->size; /* nobody here sends ahead */
    if (good && in->len == q->size)
        return 1;
    buf_fini(&q->headers);
    return good ? 0 : -1;
}

void http_request_fini(struct http_request *q)
{
    buf_fini(&q->headers);
}

static void add_head(int status, const char *type, const char *extra, const char *length,
                     struct buf *out)
{
    buf_printf(out, "HTTP/1.1 %d %s\r\nContent-Type: application/%s\r\n%s%s\r\n", status,
               status < 400 ? "OK" : "Error", type, extra ? extra : "", length);
}

void http_answer(int status, const char *extra, const void *body, size_t len, struct buf *out)
{
    char length[48] = "";
    struct buf line;
    buf_init(&line, sizeof length);
    buf_printf(&line, "Content-Length: %zu\r\n", len);
    bool xml = len > 5 && memcmp(body, "<?xml", 5) == 0;
    add_head(status, xml ? "xml" : "json", extra, buf_str(&line), out);
    buf_fini(&line);
    buf_add(out, body, len);
}

static void put_bits(unsigned char *out, size_t *at, unsigned bits, unsigned count)
{
    for (unsigned i = 0; i < count; i++, (*at)++)
        if (bits & (1u << i))
            out[*at / 8] |= (unsigned char)(1u << (*at % 8));
}

/* A gzip member of zeros written by hand: one block with fixed codes, a literal 0, then "copy 258
 * from distance 1" again and again: 13 bits each. 40 KB become 6 MB, so a limit that counts the
 * bytes on the wire does not see it. The check sum at the end is not computed: nobody may get
 * there. */
static void add_bomb(struct buf *out)
{
    static unsigned char gz[40960];
    if (!gz[0]) {
        static const unsigned char head[10] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
        memcpy(gz, head, sizeof head);
        size_t at = sizeof head * 8;
        put_bits(gz, &at, 3, 3);    /* last block, fixed codes */
        put_bits(gz, &at, 0x0c, 8); /* literal 0: 00110000, first bit first */
        while (at < (sizeof gz - 16) * 8)
            put_bits(gz, &at, 0xa3, 8 + 5); /* length 258: 11000101; distance 1: 00000 */
        put_bits(gz, &at, 0, 7);            /* end of block */
    }
    http_answer(200, "Content-Encoding: gzip\r\n", gz, sizeof gz, out);
}

void http_fault(const struct reply *p, int status, const struct buf *body, struct buf *out,
                size_t *head)
{
    static const char garbage[] = "<html>\xff\xfe{\"price\": 1,,}</html>";
    size_t start = out->len;
    switch (p->kind) {
    case REPLY_ENDLESS:
        add_head(200, "json", p->head, "Connection: close\r\n", out);
        break;
    case REPLY_GARBAGE_BODY:
        http_answer(200, p->head, garbage, sizeof garbage - 1, out);
        break;
    case REPLY_GARBAGE_HTTP:
        buf_text(out, "\x01\x02 this is not HTTP\n\n\n");
        break;
    case REPLY_BOMB:
        add_bomb(out);
        break;
    case REPLY_CLOSE_MID:
        http_answer(status, p->head, buf_str(body), body->len, out);
        out->len -= body->len - body->len / 2;
        break;
    default:
        http_answer(status, p->head, buf_str(body), body->len, out);
        break;
    }
    const char *blank =
        out->data ? memmem(out->data + start, out->len - start, "\r\n\r\n", 4) : NULL;
    *head = blank ? (size_t)(blank + 4 - out->data) : out->len;
}
