#include "common/json_pointer.h"

#include <stdio.h>
#include <string.h>

#include "common/json_scan.h"

struct frame { /* one open object or array */
    bool object;
    size_t index;              /* array: element we are in */
    const unsigned char *name; /* object: inside of the last name seen */
    size_t name_len;
};

struct place {
    struct frame frames[JSON_DEPTH_MAX];
    size_t depth;
    bool in_value; /* a name was read, its value not yet done */
};

/* UTF-8 of one character; 0 for none. */
static size_t encode(unsigned c, char out[4])
{
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}

/* One character of a token; false if it no longer fits. */
static bool add_char(char *out, size_t size, size_t *len, const char *c, size_t n)
{
    const char *text = *c == '~' ? "~0" : *c == '/' ? "~1" : c;
    if (text != c)
        n = 2;
    if (*len + n + 1 > size)
        return false;
    memcpy(out + *len, text, n);
    *len += n;
    out[*len] = 0;
    return true;
}

/* Fill the rest, so that nothing is added behind a cut. */
static void cut(char *out, size_t size, size_t len)
{
    for (; len + 1 < size; len++)
        out[len] = '.';
    out[len] = 0;
}

static bool start_token(char *out, size_t size, size_t *len)
{
    *len = strnlen(out, size);
    if (*len + 2 > size)
        return false;
    out[(*len)++] = '/';
    out[*len] = 0;
    return true;
}

void json_pointer_add(char *out, size_t size, const char *token, size_t len)
{
    const unsigned char *p = (const unsigned char *)token, *end = p + len;
    size_t used;
    if (!start_token(out, size, &used))
        return;
    while (p < end) {
        size_t n = json_utf8_len(p, end);
        if (!add_char(out, size, &used, n ? (const char *)p : "?", n ? n : 1)) {
            cut(out, size, used);
            return;
        }
        p += n ? n : 1;
    }
}

void json_pointer_add_index(char *out, size_t size, size_t index)
{
    char number[24];
    int n = snprintf(number, sizeof number, "%zu", index);
    json_pointer_add(out, size, number, (size_t)n);
}

/* Like json_pointer_add, of a name still in its escaped form. */
static void add_name(char *out, size_t size, const struct frame *f)
{
    const unsigned char *p = f->name, *end = p + f->name_len;
    size_t used;
    if (!p || !start_token(out, size, &used))
        return;
    while (p < end) {
        char c[4];
        size_t n = encode(json_scan_char(&p, end), c);
        if (!add_char(out, size, &used, c, n)) {
            cut(out, size, used);
            return;
        }
    }
}

static const unsigned char *string_end(const unsigned char *p, const unsigned char *end)
{
    while (p < end && *p != '"')
        p += *p == '\\' ? 2 : 1;
    return p;
}

/* Follow one string; a name is kept. p: behind the opening quote; returns behind the closing. */
static const unsigned char *step_string(struct place *at, const unsigned char *p,
                                        const unsigned char *end)
{
    const unsigned char *close = string_end(p, end);
    struct frame *f = at->depth > 0 ? &at->frames[at->depth - 1] : NULL;
    if (f && f->object && !at->in_value) {
        f->name = p;
        f->name_len = (size_t)(close - p);
    }
    return close + 1;
}

static void step(struct place *at, unsigned char c)
{
    struct frame *top = at->depth > 0 ? &at->frames[at->depth - 1] : NULL;
    if ((c == '{' || c == '[') && at->depth < JSON_DEPTH_MAX) {
        at->frames[at->depth++] = (struct frame){.object = c == '{'};
        at->in_value = false;
    } else if ((c == '}' || c == ']') && top) {
        at->depth--;
        at->in_value = true; /* the container was a value */
    } else if (c == ':') {
        at->in_value = true;
    } else if (c == ',' && top) {
        at->in_value = false;
        top->index++;
    }
}

void json_pointer_at(const char *text, size_t len, size_t offset, char *out, size_t size)
{
    struct place at;
    const unsigned char *p = (const unsigned char *)text, *end = p + offset, *text_end = p + len;
    at.depth = 0;
    at.in_value = false;
    while (p < end) {
        if (*p == '"')
            p = step_string(&at, p + 1, end);
        else
            step(&at, *p++);
    }
    /* A duplicate: `offset` is the quote of its name, which the scan has seen to be complete. */
    if (end < text_end && *end == '"' && at.depth > 0 && at.frames[at.depth - 1].object &&
        !at.in_value) {
        struct frame *f = &at.frames[at.depth - 1];
        f->name = end + 1;
        f->name_len = (size_t)(string_end(end + 1, text_end) - f->name);
    }
    out[0] = 0;
    for (size_t i = 0; i < at.depth; i++) {
        if (at.frames[i].object)
            add_name(out, size, &at.frames[i]);
        else
            json_pointer_add_index(out, size, at.frames[i].index);
    }
}
