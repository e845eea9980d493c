#include "common/event.h"
#include "common/hex.h"
#include <stdio.h>
#include <string.h>

#define SOURCE          "/offpath/flows/"
#define TYPE            "offpath.job.requested.v"
#define TYPE_MAJOR_TEXT "1"

enum { TYPE_MAJOR = 1, TIME_MAX = 64 };
#define TIME_LAST_US 253402300799999999

/* ---- writing */
struct writer {
    struct event_headers *out;
    size_t used;
    bool full;
};

static void add(struct writer *w, const char *name, const char *value, size_t len)
{
    struct event_headers *out = w->out;
    if (out->n >= EVENT_HEADERS_MAX || len > sizeof out->text - w->used) {
        w->full = true;
        return;
    }
    char *to = out->text + w->used;
    memcpy(to, value, len);
    w->used += len;
    out->list[out->n++] = (struct event_header){name, to, len};
}

static void add_text(struct writer *w, const char *name, const char *value)
{
    add(w, name, value, strlen(value));
}

static void add_hex(struct writer *w, const char *name, const uint8_t *bytes, size_t len)
{
    char text[2 * ID_MAC + 1];
    hex_print(bytes, len, text);
    add(w, name, text, 2 * len);
}

static void add_time(struct writer *w, const char *name, int64_t us)
{
    char text[CLOCK_TEXT];
    clock_format(us, text);
    add_text(w, name, text);
}

static void add_number(struct writer *w, const char *name, unsigned n)
{
    char text[12];
    snprintf(text, sizeof text, "%u", n);
    add_text(w, name, text);
}

static void add_cloudevent(struct writer *w, const struct event *e, const char *id, bool ours)
{
    char round[ID_TEXT + 12], source[sizeof SOURCE + EVENT_FLOW] = SOURCE;
    add_text(w, "ce_specversion", "1.0");
    if (e->round)
        snprintf(round, sizeof round, "%s.%u", id, (unsigned)e->round);
    add_text(w, "ce_id", e->round ? round : id);
    strncat(source, e->flow, EVENT_FLOW);
    add_text(w, "ce_source", source);
    add_text(w, "ce_type", TYPE TYPE_MAJOR_TEXT);
    add_time(w, "ce_time", e->created_us);
    if (ours)
        add_text(w, "content-type", "application/json");
    if (e->trace[0])
        add_text(w, "traceparent", e->trace);
}

int event_encode_foreign(const struct event *e, struct event_headers *out)
{
    struct writer w = {.out = out};
    char id[ID_TEXT];
    out->n = 0;
    id_format(&e->job, id);
    add_cloudevent(&w, e, id, false);
    return w.full ? ERR_TOO_LARGE : 0;
}

static void add_user(struct writer *w, const struct event *e)
{
    char text[2 * sizeof e->owner.b + 1 + EVENT_SUB];
    if (owner_is_nobody(&e->owner))
        return;
    hex_print(e->owner.b, sizeof e->owner.b, text);
    snprintf(text + 2 * sizeof e->owner.b, EVENT_SUB + 1, " %s", e->sub);
    add_text(w, "offpath-user", text);
}

int event_encode(const struct event *e, struct event_headers *out)
{
    struct writer w = {.out = out};
    char id[ID_TEXT];
    out->n = 0;
    id_format(&e->job, id);
    add_cloudevent(&w, e, id, true);
    add_text(&w, "offpath-job", id);
    if (e->flow[0])
        add_text(&w, "offpath-flow", e->flow);
    add_user(&w, e);
    if (e->round)
        add_number(&w, "offpath-round", e->round);
    if (e->deadline_us)
        add_time(&w, "offpath-deadline", e->deadline_us);
    if (e->has_mac)
        add_hex(&w, "offpath-mac", e->mac, sizeof e->mac);
    if (e->has_rev)
        add_hex(&w, "offpath-rev", e->rev, sizeof e->rev);
    if (e->refill)
        add_text(&w, "offpath-refill", "1");
    if (e->request[0])
        add_text(&w, "offpath-request", e->request);
    return w.full ? ERR_TOO_LARGE : 0;
}

/* ---- reading: each returns whether the value is one */
struct text {
    const char *at;
    size_t len;
};

static bool read_copy(struct text v, char *out, size_t size)
{
    if (v.len >= size || memchr(v.at, 0, v.len))
        return false;
    memcpy(out, v.at, v.len);
    out[v.len] = 0;
    return true;
}

static bool read_hex(struct text v, uint8_t *out, size_t len)
{
    if (v.len != 2 * len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit(v.at[2 * i]), low = hex_digit(v.at[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static bool read_number(struct text v, unsigned max, unsigned *out)
{
    unsigned n = 0;
    if (!v.len || v.len > 9)
        return false;
    for (size_t i = 0; i < v.len; i++) {
        if (v.at[i] < '0' || v.at[i] > '9')
            return false;
        n = n * 10 + (unsigned)(v.at[i] - '0');
    }
    *out = n;
    return n <= max;
}

static bool read_job(struct text v, struct event *e)
{
    char id[ID_TEXT];
    return read_copy(v, id, sizeof id) && id_parse(id, &e->job) == 0 && !id_is_nil(&e->job);
}

static bool read_flow(struct text v, struct event *e)
{
    return v.len && read_copy(v, e->flow, sizeof e->flow);
}

static bool read_user(struct text v, struct event *e)
{
    size_t hex = 2 * sizeof e->owner.b;
    if (v.len < hex + 1 || v.at[hex] != ' ')
        return false;
    return read_hex((struct text){v.at, hex}, e->owner.b, sizeof e->owner.b) &&
           read_copy((struct text){v.at + hex + 1, v.len - hex - 1}, e->sub, sizeof e->sub);
}

static bool read_round(struct text v, struct event *e)
{
    unsigned n;
    if (!read_number(v, UINT16_MAX, &n))
        return false;
    e->round = (uint16_t)n;
    return true;
}

/* Between 1970 and the year 9999: what can be written again. 0 would stand for none. */
static bool read_moment(struct text v, int64_t *out)
{
    int64_t us;
    if (v.len >= TIME_MAX || clock_parse(v.at, v.len, &us) || us <= 0 || us > TIME_LAST_US)
        return false;
    *out = us;
    return true;
}

static bool read_deadline(struct text v, struct event *e)
{
    return read_moment(v, &e->deadline_us);
}

static bool read_time(struct text v, struct event *e)
{
    return read_moment(v, &e->created_us);
}

static bool read_mac(struct text v, struct event *e)
{
    e->has_mac = read_hex(v, e->mac, sizeof e->mac);
    return e->has_mac;
}

static bool read_rev(struct text v, struct event *e)
{
    e->has_rev = read_hex(v, e->rev, sizeof e->rev);
    return e->has_rev;
}

static bool read_refill(struct text v, struct event *e)
{
    e->refill = v.len == 1 && *v.at == '1';
    return e->refill || (v.len == 1 && *v.at == '0');
}

static bool read_request(struct text v, struct event *e)
{
    return read_copy(v, e->request, sizeof e->request);
}

/* Other types may come from bridges; only a newer one of ours must not be misread. */
static bool read_type(struct text v, struct event *e)
{
    unsigned major;
    size_t prefix = sizeof TYPE - 1;
    (void)e;
    if (v.len <= prefix || memcmp(v.at, TYPE, prefix) != 0)
        return true;
    const char *dot = memchr(v.at + prefix, '.', v.len - prefix);
    size_t digits = dot ? (size_t)(dot - v.at) - prefix : v.len - prefix;
    return read_number((struct text){v.at + prefix, digits}, TYPE_MAJOR, &major);
}

static bool same(const struct event_header *h, const char *name)
{
    return h->name && !strcmp(h->name, name);
}

/* The last header of a name counts, as for Kafka's own clients. */
static bool find(const struct event_header *headers, size_t n, const char *name, struct text *out)
{
    while (n--)
        if (same(&headers[n], name)) {
            *out = (struct text){headers[n].value ? headers[n].value : "", headers[n].len};
            if (!headers[n].value)
                out->len = 0;
            return true;
        }
    return false;
}

static const struct {
    const char *name, *what;
    bool (*read)(struct text v, struct event *e);
} ours[] = {
    {"offpath-job", "offpath-job is no id", read_job}, /* first: the others count beside it */
    {"ce_type", "ce_type is of a newer version: upgrade the workers first", read_type},
    {"ce_time", "ce_time is no time", read_time},
    {"offpath-flow", "offpath-flow is no flow's name", read_flow},
    {"offpath-user", "offpath-user is no owner and name", read_user},
    {"offpath-round", "offpath-round is no number", read_round},
    {"offpath-deadline", "offpath-deadline is no time", read_deadline},
    {"offpath-mac", "offpath-mac is not 32 hexadecimal digits", read_mac},
    {"offpath-rev", "offpath-rev is not 16 hexadecimal digits", read_rev},
    {"offpath-refill", "offpath-refill is not 1", read_refill},
    {"offpath-request", "offpath-request is too long", read_request},
};

int event_decode(const struct event_header *headers, size_t n, int64_t timestamp_ms,
                 struct event *out, const char **what)
{
    struct text v;
    bool sane = timestamp_ms > 0 && timestamp_ms <= TIME_LAST_US / 1000;
    *out = (struct event){.created_us = sane ? timestamp_ms * 1000 : 0};
    if (find(headers, n, "traceparent", &v) && v.len == EVENT_TRACE - 1 &&
        !read_copy(v, out->trace, sizeof out->trace))
        out->trace[0] = 0; /* a broken one is as none, says W3C */
    if (!find(headers, n, ours[0].name, &v)) {
        if (find(headers, n, "ce_time", &v))
            (void)read_time(v, out);
        return 0;
    }
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++)
        if (find(headers, n, ours[i].name, &v) && !ours[i].read(v, out)) {
            *what = ours[i].what;
            return ERR_INVALID;
        }
    out->ours = true;
    return 0;
}
