#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/json.h"
#include "common/json_scan.h"
#include "common/json_sort.h"

static const double INTEGER_MAX = 9007199254740992.0; /* 2^53: json_parse refuses more digits */

static void print_integer(int64_t n, struct buf *out)
{
    if (n < 0)
        buf_char(out, '-');
    buf_number(out, n < 0 ? (uint64_t)-n : (uint64_t)n);
}

/* 15 to 17 digits, whichever reads back first. Beyond 2^53 always with an exponent (%.15g has one
 * there), or json_parse would refuse the digits. */
static void print_number(double n, struct buf *out)
{
    if (!isfinite(n)) {
        buf_add(out, "null", 4);
        return;
    }
    if (n >= -INTEGER_MAX && n <= INTEGER_MAX && n == (double)(int64_t)n &&
        !(n == 0 && signbit(n))) {
        print_integer((int64_t)n, out);
        return;
    }
    bool exponent = fabs(n) > INTEGER_MAX;
    char text[40];
    int len = 0;
    for (int digits = 15; digits <= 17; digits++) {
        len = exponent && digits > 15 ? snprintf(text, sizeof text, "%.*e", digits - 1, n)
                                      : snprintf(text, sizeof text, "%.*g", digits, n);
        if (strtod(text, NULL) == n)
            break;
    }
    buf_add(out, text, (size_t)len);
}

/* One character that cannot stand as it is. */
static void print_escaped(unsigned char c, struct buf *out)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt", digits[] = "0123456789abcdef";
    const char *known = c ? strchr(from, c) : NULL;
    if (known) {
        buf_add(out, (char[]){'\\', to[known - from]}, 2);
    } else {
        buf_add(out, "\\u00", 4);
        buf_add(out, (char[]){digits[c >> 4], digits[c & 15]}, 2);
    }
}

void json_print_text(const char *text, size_t len, struct buf *out)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + len;
    buf_char(out, '"');
    while (p < end) {
        const unsigned char *start = p;
        size_t n = 1;
        while (p < end && (*p < 0x80 ? *p >= 0x20 && *p != '"' && *p != '\\'
                                     : (n = json_utf8_len(p, end)) > 0)) {
            p += n;
            n = 1;
        }
        buf_add(out, start, (size_t)(p - start));
        if (p == end)
            break;
        if (*p == 0 || *p >= 0x80)
            buf_add(out, "\xef\xbf\xbd", 3);
        else
            print_escaped(*p, out);
        p++;
    }
    buf_char(out, '"');
}

static void print(const struct json *v, bool sorted, struct buf *out);

static void print_members(const struct json *v, bool sorted, struct buf *out)
{
    bool object = json_is(v, JSON_OBJECT);
    for (const struct json *m = json_first(v); m; m = json_next(m)) {
        if (m != json_first(v))
            buf_char(out, ',');
        if (object) {
            json_print_text(json_key(m), strlen(json_key(m)), out);
            buf_char(out, ':');
        }
        print(m, sorted, out);
    }
}

static void print_sorted(const struct json *v, struct buf *out)
{
    size_t n = json_size(v);
    const struct json **members = json_sort_members(json_first(v), n);
    if (!members) {
        out->failed = out->nomem = true;
        return;
    }
    for (size_t i = 0; i < n; i++) {
        if (i > 0)
            buf_char(out, ',');
        json_print_text(json_key(members[i]), strlen(json_key(members[i])), out);
        buf_char(out, ':');
        print(members[i], true, out);
    }
    free(members);
}

static void print(const struct json *v, bool sorted, struct buf *out)
{
    switch (json_type(v)) {
    case JSON_NULL:
        buf_add(out, "null", 4);
        break;
    case JSON_BOOL:
        buf_text(out, json_bool(v) ? "true" : "false");
        break;
    case JSON_NUMBER:
        print_number(sorted && json_number(v) == 0 ? 0 : json_number(v), out);
        break;
    case JSON_STRING:
        json_print_text(json_text(v), strlen(json_text(v)), out);
        break;
    case JSON_ARRAY:
        buf_char(out, '[');
        print_members(v, sorted, out);
        buf_char(out, ']');
        break;
    case JSON_OBJECT:
        buf_char(out, '{');
        if (sorted && json_next(json_first(v)))
            print_sorted(v, out);
        else
            print_members(v, sorted, out);
        buf_char(out, '}');
        break;
    }
}

void json_print(const struct json *v, struct buf *out)
{
    print(v, false, out);
}

void json_print_sorted(const struct json *v, struct buf *out)
{
    print(v, true, out);
}

bool json_print_scalar(const struct json *v, struct buf *out)
{
    if (json_is(v, JSON_STRING))
        buf_text(out, json_text(v));
    else if (json_is(v, JSON_NUMBER) || json_is(v, JSON_BOOL))
        json_print(v, out);
    else
        return false;
    return true;
}
