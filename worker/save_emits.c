#include "worker/save_emits.h"

#include <string.h>

#include "common/json.h"

enum { HEADERS_MAX = 64, BYTES_MAX = 16 << 20 };

static void print_hex(const char *name, const void *p, size_t len, struct buf *out)
{
    buf_printf(out, "\"%s\":", name);
    if (!p) {
        buf_text(out, "null");
        return;
    }
    buf_char(out, '"');
    buf_hex(out, p, len);
    buf_char(out, '"');
}

void save_emits_print(const struct job_emits *e, struct buf *out)
{
    buf_char(out, '[');
    for (size_t i = 0; i < e->n; i++) {
        const struct record_post *p = &e->posts[i];
        buf_printf(out, "%s{\"topic\":\"%s\",", i ? "," : "", p->topic);
        print_hex("job", p->job.b, sizeof p->job.b, out);
        buf_char(out, ',');
        print_hex("key", p->key, p->key_len, out);
        buf_char(out, ',');
        print_hex("headers", p->headers, p->headers_len, out);
        buf_text(out, ",\"value\":");
        json_print_text(p->value, p->value_len, out);
        buf_char(out, '}');
    }
    buf_char(out, ']');
}

static int digit(char c)
{
    static const char digits[] = "0123456789abcdef";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

/* Appends the bytes that hex spells. */
static int read_hex(const char *hex, struct buf *out)
{
    size_t len = hex ? strlen(hex) : 1;
    if (len % 2)
        return ERR_INVALID;
    for (size_t i = 0; i < len; i += 2) {
        int hi = digit(hex[i]), lo = digit(hex[i + 1]);
        if (hi < 0 || lo < 0)
            return ERR_INVALID;
        buf_char(out, (char)(hi * 16 + lo));
    }
    return buf_ok(out);
}

static int read_one(const struct json *v, struct buf *job, struct buf *key, struct buf *headers,
                    struct job_emits *out)
{
    struct event_header list[HEADERS_MAX];
    const char *key_hex = json_text(json_get(v, "key"));
    const char *value = json_text(json_get(v, "value")), *topic = json_text(json_get(v, "topic"));
    struct emit_record r = {.topic = topic, .headers = list, .value = value};
    if (!value || !topic || read_hex(json_text(json_get(v, "job")), job) ||
        job->len != sizeof r.job.b || read_hex(json_text(json_get(v, "headers")), headers) ||
        (key_hex && read_hex(key_hex, key)))
        return ERR_INVALID;
    if (record_headers_unpack(headers->data, headers->len, list, HEADERS_MAX, &r.headers_n))
        return ERR_INVALID;
    memcpy(r.job.b, job->data, sizeof r.job.b);
    r.value_len = strlen(value);
    r.key = key_hex ? buf_str(key) : NULL;
    r.key_len = key->len;
    return job_emits_add(out, &r);
}

int save_emits_read(const struct json *list, struct job_emits *out)
{
    int err = 0;
    for (const struct json *v = json_first(list); v && !err; v = json_next(v)) {
        struct buf job, key, headers;
        buf_init(&job, BYTES_MAX);
        buf_init(&key, BYTES_MAX);
        buf_init(&headers, BYTES_MAX);
        err = read_one(v, &job, &key, &headers, out);
        buf_fini(&job);
        buf_fini(&key);
        buf_fini(&headers);
    }
    return err;
}
