#include "common/json_scan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { KEYS_INSIDE = 48, PAIRWISE_MAX = 10 };

struct key { /* inside of a member's name as it stands in the text */
    const unsigned char *at;
    size_t len;
    bool escaped;
};

struct scan {
    const unsigned char *text, *p, *end;
    unsigned depth, depth_max;
    bool rounds;
    int err;
    const char *what;
    const unsigned char *where;
    /* Names of all open objects, innermost last; each object looks at its own when it closes. */
    struct key *keys, inside[KEYS_INSIDE];
    size_t keys_n, keys_cap;
};

static bool value(struct scan *s);

static bool fail_at(struct scan *s, int err, const char *what, const unsigned char *where)
{
    s->err = err;
    s->what = what;
    s->where = where;
    return false;
}

static bool fail(struct scan *s, const char *what)
{
    return fail_at(s, ERR_NOT_JSON, s->p < s->end ? what : "the text ends too early", s->p);
}

static void skip_space(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
}

static bool in(unsigned char c, unsigned char lo, unsigned char hi)
{
    return c >= lo && c <= hi;
}

/* n if the second byte lies in [lo, hi] and the n - 2 others continue a character, else 0. */
static size_t sequence(const unsigned char *p, size_t left, size_t n, unsigned char lo,
                       unsigned char hi)
{
    if (left < n || !in(p[1], lo, hi))
        return 0;
    for (size_t i = 2; i < n; i++)
        if (!in(p[i], 0x80, 0xbf))
            return 0;
    return n;
}

/* Table 3-7 of the Unicode standard. */
size_t json_utf8_len(const unsigned char *p, const unsigned char *end)
{
    size_t left = (size_t)(end - p);
    if (left == 0)
        return 0;
    unsigned char c = p[0];
    if (c < 0x80)
        return 1;
    if (in(c, 0xc2, 0xdf))
        return sequence(p, left, 2, 0x80, 0xbf);
    if (in(c, 0xe0, 0xef))
        return sequence(p, left, 3, c == 0xe0 ? 0xa0 : 0x80, c == 0xed ? 0x9f : 0xbf);
    if (in(c, 0xf0, 0xf4))
        return sequence(p, left, 4, c == 0xf0 ? 0x90 : 0x80, c == 0xf4 ? 0x8f : 0xbf);
    return 0;
}

static int hex4(const unsigned char *p, const unsigned char *end)
{
    int v = 0;
    if (end - p < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        unsigned char c = p[i], low = c | 0x20;
        if (in(c, '0', '9'))
            v = v * 16 + (c - '0');
        else if (in(low, 'a', 'f'))
            v = v * 16 + (low - 'a' + 10);
        else
            return -1;
    }
    return v;
}

/* p stands on the u of \uXXXX. */
static bool unicode_escape(struct scan *s)
{
    int unit = hex4(s->p + 1, s->end);
    if (unit < 0)
        return fail(s, "bad \\u escape");
    if (unit == 0)
        return fail(s, "NUL character");
    if (unit >= 0xdc00 && unit <= 0xdfff)
        return fail(s, "lone surrogate");
    s->p += 5;
    if (unit < 0xd800 || unit > 0xdbff)
        return true;
    int low = s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u' ? hex4(s->p + 2, s->end) : -1;
    if (low < 0xdc00 || low > 0xdfff)
        return fail_at(s, ERR_NOT_JSON, "lone surrogate", s->p - 5);
    s->p += 6;
    return true;
}

static bool escape(struct scan *s)
{
    s->p++;
    if (s->p >= s->end)
        return fail(s, "bad escape");
    switch (*s->p) {
    case '"':
    case '\\':
    case '/':
    case 'b':
    case 'f':
    case 'n':
    case 'r':
    case 't':
        s->p++;
        return true;
    case 'u':
        return unicode_escape(s);
    default:
        return fail(s, "bad escape");
    }
}

/* p stands on the opening quote; afterwards behind the closing one. key: NULL or what to fill. */
static bool string(struct scan *s, struct key *key)
{
    const unsigned char *start = ++s->p;
    bool escaped = false;
    for (;;) {
        const unsigned char *p = s->p, *end = s->end;
        while (p < end && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\')
            p++;
        s->p = p;
        if (p == end)
            return fail(s, "");
        if (*p == '"')
            break;
        if (*p == '\\') {
            escaped = true;
            if (!escape(s))
                return false;
        } else if (*p < 0x20) {
            return fail(s, "control character in a string");
        } else {
            size_t n = json_utf8_len(p, end);
            if (n == 0)
                return fail_at(s, ERR_NOT_JSON, "not UTF-8", p);
            s->p += n;
        }
    }
    if (key)
        *key = (struct key){start, (size_t)(s->p - start), escaped};
    s->p++;
    return true;
}

static size_t skip_digits(struct scan *s)
{
    const unsigned char *start = s->p;
    while (s->p < s->end && in(*s->p, '0', '9'))
        s->p++;
    return (size_t)(s->p - start);
}

/* Beyond 2^53 = 9007199254740992 neighbours share one double. */
static bool integer_fits(const unsigned char *digits, size_t n)
{
    return n < 16 || (n == 16 && memcmp(digits, "9007199254740992", 16) <= 0);
}

/* Neither infinite nor, unless its digits are all 0, zero. */
static bool double_holds(const unsigned char *at, size_t len)
{
    char copy[JSON_NUMBER_MAX + 1];
    memcpy(copy, at, len);
    copy[len] = 0;
    double v = strtod(copy, NULL);
    bool digits_all_0 = strchr("eE", copy[strcspn(copy, "123456789eE")]);
    return isfinite(v) && (v != 0 || digits_all_0);
}

/* What may follow the first digits. */
static bool number_rest(struct scan *s, bool *exponent)
{
    if (s->p < s->end && *s->p == '.') {
        s->p++;
        if (skip_digits(s) == 0)
            return fail(s, "digits must follow the point");
    }
    *exponent = s->p < s->end && (*s->p | 0x20) == 'e';
    if (!*exponent)
        return true;
    s->p++;
    if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
        s->p++;
    return skip_digits(s) > 0 || fail(s, "digits must follow the e");
}

static bool number(struct scan *s)
{
    const unsigned char *start = s->p;
    bool exponent = false;
    if (*s->p == '-')
        s->p++;
    const unsigned char *digits = s->p;
    size_t n = skip_digits(s);
    if (n == 0)
        return fail(s, "not a value");
    if (n > 1 && *digits == '0')
        return fail_at(s, ERR_NOT_JSON, "leading zero", digits);
    if (!number_rest(s, &exponent))
        return false;
    size_t len = (size_t)(s->p - start);
    if (!s->rounds && !integer_fits(digits, n))
        return fail_at(s, ERR_BIG_NUMBER, "a number beyond 2^53", start);
    if (len > JSON_NUMBER_MAX)
        return fail_at(s, ERR_BIG_NUMBER, "a number of more than 63 characters", start);
    if (exponent && !double_holds(start, len))
        return fail_at(s, ERR_BIG_NUMBER, "a number no double holds", start);
    return true;
}

static bool word(struct scan *s, const char *text, size_t len)
{
    if ((size_t)(s->end - s->p) < len || memcmp(s->p, text, len) != 0)
        return fail_at(s, ERR_NOT_JSON, "not a value", s->p);
    s->p += len;
    return true;
}

unsigned json_scan_char(const unsigned char **p, const unsigned char *end)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const unsigned char *c = *p;
    if (*c == '\\' && c[1] != 'u') {
        const char *known = strchr(from, c[1]);
        *p += 2;
        return known ? (unsigned char)to[known - from] : c[1];
    }
    if (*c == '\\') {
        unsigned unit = (unsigned)hex4(c + 2, end);
        *p += 6;
        if (unit < 0xd800 || unit > 0xdbff)
            return unit;
        *p += 6;
        return 0x10000 + ((unit - 0xd800) << 10) + ((unsigned)hex4(c + 8, end) - 0xdc00);
    }
    size_t n = json_utf8_len(c, end);
    unsigned v = n == 1 ? *c : n == 2 ? *c & 0x1fu : n == 3 ? *c & 0x0fu : *c & 0x07u;
    for (size_t i = 1; i < n; i++)
        v = v << 6 | (c[i] & 0x3fu);
    *p += n ? n : 1;
    return v;
}

/* Order of the names the text means; UTF-8 sorts like its code points, so both ways agree. */
static int key_compare(const void *a, const void *b)
{
    const struct key *x = a, *y = b;
    const unsigned char *p = x->at, *q = y->at, *p_end = p + x->len, *q_end = q + y->len;
    if (!x->escaped && !y->escaped) {
        int order = memcmp(p, q, x->len < y->len ? x->len : y->len);
        return order != 0 ? order : (x->len > y->len) - (x->len < y->len);
    }
    while (p < p_end && q < q_end) {
        unsigned c = json_scan_char(&p, p_end), d = json_scan_char(&q, q_end);
        if (c != d)
            return c < d ? -1 : 1;
    }
    return (p < p_end) - (q < q_end);
}

static bool key_equal(const struct key *x, const struct key *y)
{
    if (!x->escaped && !y->escaped)
        return x->len == y->len && memcmp(x->at, y->at, x->len) == 0;
    return key_compare(x, y) == 0;
}

static bool refuse_twice(struct scan *s, const struct key *x, const struct key *y)
{
    return fail_at(s, ERR_NOT_JSON, "duplicate key", (x->at > y->at ? x->at : y->at) - 1);
}

static bool keys_differ(struct scan *s, struct key *keys, size_t n)
{
    if (n > PAIRWISE_MAX) {
        qsort(keys, n, sizeof *keys, key_compare);
        for (size_t i = 1; i < n; i++)
            if (key_equal(&keys[i - 1], &keys[i]))
                return refuse_twice(s, &keys[i - 1], &keys[i]);
        return true;
    }
    for (size_t i = 1; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (key_equal(&keys[i], &keys[j]))
                return refuse_twice(s, &keys[i], &keys[j]);
    return true;
}

static bool push_key(struct scan *s, const struct key *key)
{
    if (s->keys_n == s->keys_cap) {
        size_t cap = s->keys_cap * 2;
        struct key *old = s->keys == s->inside ? NULL : s->keys;
        struct key *grown = realloc(old, cap * sizeof *grown);
        if (!grown)
            return fail_at(s, ERR_NOMEM, "out of memory", s->p);
        if (!old)
            memcpy(grown, s->inside, s->keys_n * sizeof *grown);
        s->keys = grown;
        s->keys_cap = cap;
    }
    s->keys[s->keys_n++] = *key;
    return true;
}

static bool enter(struct scan *s)
{
    if (++s->depth > s->depth_max)
        return fail(s, "nested too deeply");
    s->p++;
    skip_space(s);
    return true;
}

static bool member(struct scan *s)
{
    struct key key = {0};
    if (s->p >= s->end || *s->p != '"')
        return fail(s, "a member's name in quotes must stand here");
    if (!string(s, &key) || !push_key(s, &key))
        return false;
    skip_space(s);
    if (s->p >= s->end || *s->p != ':')
        return fail(s, "a colon must stand here");
    s->p++;
    skip_space(s);
    return value(s);
}

static bool object(struct scan *s)
{
    size_t first = s->keys_n;
    if (!enter(s))
        return false;
    while (s->p >= s->end || *s->p != '}' || s->keys_n > first) {
        if (!member(s))
            return false;
        skip_space(s);
        if (s->p < s->end && *s->p == '}')
            break;
        if (s->p >= s->end || *s->p != ',')
            return fail(s, "a comma or } must stand here");
        s->p++;
        skip_space(s);
    }
    s->p++;
    s->depth--;
    if (!keys_differ(s, s->keys + first, s->keys_n - first))
        return false;
    s->keys_n = first;
    return true;
}

static bool array(struct scan *s)
{
    if (!enter(s))
        return false;
    bool empty = s->p < s->end && *s->p == ']';
    while (!empty) {
        if (!value(s))
            return false;
        skip_space(s);
        if (s->p < s->end && *s->p == ']')
            break;
        if (s->p >= s->end || *s->p != ',')
            return fail(s, "a comma or ] must stand here");
        s->p++;
        skip_space(s);
    }
    s->p++;
    s->depth--;
    return true;
}

static bool value(struct scan *s)
{
    if (s->p >= s->end)
        return fail(s, "");
    switch (*s->p) {
    case '{':
        return object(s);
    case '[':
        return array(s);
    case '"':
        return string(s, NULL);
    case 't':
        return word(s, "true", 4);
    case 'f':
        return word(s, "false", 5);
    case 'n':
        return word(s, "null", 4);
    default:
        return *s->p == '-' || in(*s->p, '0', '9') ? number(s) : fail(s, "not a value");
    }
}

static bool document(struct scan *s)
{
    if (s->end - s->p >= 3 && memcmp(s->p, "\xef\xbb\xbf", 3) == 0)
        return fail(s, "byte order mark");
    skip_space(s);
    if (!value(s))
        return false;
    skip_space(s);
    return s->p == s->end || fail(s, "text after the value");
}

int json_scan(const char *text, size_t len, unsigned depth_max, bool rounds,
              struct json_error *error)
{
    struct scan s;
    s.text = s.p = (const unsigned char *)text;
    s.end = s.text + len;
    s.depth = 0;
    s.depth_max = depth_max;
    s.rounds = rounds;
    s.err = 0;
    s.keys = s.inside;
    s.keys_n = 0;
    s.keys_cap = KEYS_INSIDE;
    if (!document(&s)) {
        error->offset = (size_t)(s.where - s.text);
        error->what = s.what;
    }
    if (s.keys != s.inside)
        free(s.keys);
    return s.err;
}
