#include "tests/standin/script.h"
#include "common/buf.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A reader for exactly this: an array of flat objects. A member may hold an array or object as its
 * value; it is kept as the text it is. */
struct reader {
    const char *at, *end;
    const char *why; /* first error; reading goes on harmlessly behind it */
};

static void fail(struct reader *r, const char *why)
{
    if (!r->why)
        r->why = why;
    r->at = r->end;
}

static char peek(struct reader *r)
{
    while (r->at < r->end && strchr(" \t\r\n", *r->at))
        r->at++;
    return r->at < r->end ? *r->at : 0;
}

static bool take(struct reader *r, char c)
{
    if (peek(r) != c)
        return false;
    r->at++;
    return true;
}

static unsigned hex4(struct reader *r)
{
    unsigned n = 0;
    for (int i = 0; i < 4; i++) {
        const char *digits = "0123456789abcdef0123456789ABCDEF";
        const char *d = r->at < r->end && *r->at ? strchr(digits, *r->at) : NULL;
        if (!d) {
            fail(r, "broken \\u");
            return '?';
        }
        n = n * 16 + (unsigned)((d - digits) % 16);
        r->at++;
    }
    return n;
}

static void add_utf8(struct buf *b, unsigned c)
{
    if (c < 0x80) {
        buf_char(b, (char)c);
    } else if (c < 0x800) {
        buf_char(b, (char)(0xc0 | (c >> 6)));
        buf_char(b, (char)(0x80 | (c & 63)));
    } else {
        buf_char(b, (char)(0xe0 | (c >> 12)));
        buf_char(b, (char)(0x80 | ((c >> 6) & 63)));
        buf_char(b, (char)(0x80 | (c & 63)));
    }
}

static void read_escape(struct reader *r, struct buf *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = r->at < r->end ? *r->at++ : 0;
    const char *known = c ? strchr(from, c) : NULL;
    if (c == 'u')
        add_utf8(out, hex4(r));
    else if (known)
        buf_char(out, to[known - from]);
    else
        fail(r, "unknown escape in a string");
}

/* A string's text, owned by the caller; NULL after an error. */
static char *read_string(struct reader *r, size_t *len)
{
    struct buf out;
    buf_init(&out, 4u << 20);
    buf_add(&out, "", 0);
    if (!take(r, '"'))
        fail(r, "a string is missing");
    while (r->at < r->end && *r->at != '"') {
        char c = *r->at++;
        if (c == '\\')
            read_escape(r, &out);
        else
            buf_char(&out, c);
    }
    if (!take(r, '"'))
        fail(r, "a string does not end");
    char *text = r->why ? NULL : buf_take(&out, len);
    buf_fini(&out);
    return text ? text : calloc(1, 1);
}

/* Any value as text: a string's content, else its source. Owned by the caller. */
static char *read_value(struct reader *r, size_t *len)
{
    char c = peek(r);
    if (c == '"')
        return read_string(r, len);
    const char *start = r->at;
    int depth = 0;
    bool quoted = false;
    for (; r->at < r->end; r->at++) {
        c = *r->at;
        if (quoted) {
            if (c == '\\' && r->at + 1 < r->end)
                r->at++;
            quoted = c != '"';
        } else if (c == '"') {
            quoted = true;
        } else if (c == '{' || c == '[') {
            depth++;
        } else if ((c == '}' || c == ']') && depth > 0) {
            depth--;
        } else if (depth == 0 && strchr(",]} \t\r\n", c)) {
            break;
        }
    }
    *len = (size_t)(r->at - start);
    if (*len == 0 || depth != 0 || quoted)
        fail(r, "a value is missing or does not end");
    return strndup(start, *len);
}

static void add_head(struct reply *p, const char *name, const char *value)
{
    struct buf b;
    buf_init(&b, 65536);
    if (p->head)
        buf_text(&b, p->head);
    if (name)
        buf_printf(&b, "%s: ", name);
    buf_printf(&b, "%s\r\n", value);
    free(p->head);
    p->head = buf_take(&b, NULL);
    buf_fini(&b);
}

static void set_redirect(struct reply *p, const char *url)
{
    if (p->status == 0)
        p->status = 302;
    add_head(p, "Location", url);
}

struct word_kind {
    const char *member, *value; /* value NULL: anything but false */
    enum reply_kind kind;
};
static const struct word_kind KINDS[] = {
    {"hang", NULL, REPLY_HANG},
    {"endless", NULL, REPLY_ENDLESS},
    {"garbage", "http", REPLY_GARBAGE_HTTP},
    {"garbage", NULL, REPLY_GARBAGE_BODY},
    {"gzip_bomb", NULL, REPLY_BOMB},
    {"disconnect", "mid", REPLY_CLOSE_MID},
    {"disconnect", "reset", REPLY_RESET},
    {"disconnect", NULL, REPLY_CLOSE_BEFORE},
};

static bool set_kind(struct reply *p, const char *name, const char *value)
{
    for (size_t i = 0; i < sizeof KINDS / sizeof *KINDS; i++) {
        if (strcmp(KINDS[i].member, name) != 0)
            continue;
        if (strcmp(value, "false") == 0)
            return true;
        if (!KINDS[i].value || strcmp(KINDS[i].value, value) == 0) {
            p->kind = KINDS[i].kind;
            return true;
        }
    }
    return false;
}

static int *number_of(struct reply *p, const char *name)
{
    const struct {
        const char *name;
        int *place;
    } numbers[] = {{"status", &p->status},
                   {"delay_ms", &p->delay_ms},
                   {"drip_ms", &p->drip_ms},
                   {"repeat", &p->repeat}};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        if (strcmp(numbers[i].name, name) == 0)
            return numbers[i].place;
    return NULL;
}

static void set_member(struct reader *r, struct reply *p, const char *name, char **value,
                       size_t len)
{
    int *number = number_of(p, name);
    if (number) {
        char *end = NULL;
        long n = strtol(*value, &end, 10);
        if (end == *value || *end || n < -1 || n > 86400000)
            fail(r, "a number is missing");
        *number = (int)n;
    } else if (strcmp(name, "body") == 0) {
        free(p->body);
        p->body = *value;
        p->body_len = len;
        *value = NULL;
    } else if (strcmp(name, "match") == 0) {
        free(p->match);
        p->match = *value;
        *value = NULL;
    } else if (strcmp(name, "retry_after") == 0) {
        add_head(p, "Retry-After", *value);
    } else if (strcmp(name, "header") == 0) {
        add_head(p, NULL, *value);
    } else if (strcmp(name, "redirect") == 0) {
        set_redirect(p, *value);
    } else if (strcmp(name, "hold") == 0) {
        p->hold = strcmp(*value, "false") != 0;
    } else if (!set_kind(p, name, *value)) {
        fail(r, "unknown member of a reply");
    }
}

static struct reply *read_reply(struct reader *r)
{
    struct reply *p = calloc(1, sizeof *p);
    if (!p)
        abort();
    p->delay_ms = -1;
    p->repeat = 1;
    if (!take(r, '{'))
        fail(r, "a reply is an object");
    while (!r->why && peek(r) != '}') {
        size_t name_len = 0, len = 0;
        char *name = read_string(r, &name_len);
        if (!take(r, ':'))
            fail(r, "a colon is missing");
        char *value = read_value(r, &len);
        if (!r->why)
            set_member(r, p, name, &value, len);
        free(name);
        free(value);
        if (!take(r, ',') && peek(r) != '}')
            fail(r, "a comma is missing");
    }
    take(r, '}');
    return p;
}

struct reply *script_parse(const char *text, size_t len, const char **why)
{
    struct reader r = {.at = text, .end = text + len};
    struct reply *list = NULL, **last = &list;
    if (!take(&r, '['))
        fail(&r, "a script is an array of replies");
    while (!r.why && peek(&r) != ']') {
        *last = read_reply(&r);
        last = &(*last)->next;
        if (!take(&r, ',') && peek(&r) != ']')
            fail(&r, "a comma is missing");
    }
    *why = r.why;
    if (r.why) {
        script_free(list);
        return NULL;
    }
    return list;
}

void script_free(struct reply *list)
{
    while (list) {
        struct reply *next = list->next;
        free(list->body);
        free(list->head);
        free(list->match);
        free(list);
        list = next;
    }
}

struct reply *script_take(struct reply **list, const char *path, const char *body, bool *owned)
{
    *owned = false;
    for (struct reply **p = list; *p; p = &(*p)->next) {
        struct reply *reply = *p;
        if (reply->match && !strstr(path, reply->match) && !strstr(body, reply->match))
            continue;
        if (reply->repeat > 0 && --reply->repeat == 0) {
            *p = reply->next;
            reply->next = NULL;
            *owned = true;
        }
        return reply;
    }
    return NULL;
}
