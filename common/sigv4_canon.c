#include "common/sigv4_canon.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- URL */

bool sigv4_url_split(const char *url, struct sigv4_url *out)
{
    bool tls = strncasecmp(url, "https://", 8) == 0;
    if (!tls && strncasecmp(url, "http://", 7) != 0)
        return false;
    const char *own = tls ? ":443" : ":80";
    size_t own_len = strlen(own);
    struct sigv4_url u = {.host = url + (tls ? 8 : 7)};
    u.host_len = strcspn(u.host, "/?#");
    u.path = u.host + u.host_len;
    u.path_len = strcspn(u.path, "?#");
    u.query = u.path + u.path_len;
    if (*u.query == '?')
        u.query_len = strcspn(++u.query, "#");
    if (u.host_len > own_len && memcmp(u.host + u.host_len - own_len, own, own_len) == 0)
        u.host_len -= own_len;
    *out = u;
    return u.host_len > 0;
}

/* ---- percent-encoding */

static void encode(unsigned char c, bool slash, struct buf *out)
{
    static const char hex[] = "0123456789ABCDEF";
    if ((c < 0x80 && isalnum(c)) || (c && strchr("-._~", c)) || (slash && c == '/')) {
        buf_char(out, (char)c);
        return;
    }
    buf_char(out, '%');
    buf_char(out, hex[c >> 4]);
    buf_char(out, hex[c & 15]);
}

static int digit(char c)
{
    return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* The byte at *at, which goes on behind it; `%` that encodes nothing is itself. */
static unsigned char decode(const char **at, const char *end)
{
    const char *p = *at;
    bool coded =
        *p == '%' && end - p > 2 && isxdigit((unsigned char)p[1]) && isxdigit((unsigned char)p[2]);
    *at = p + (coded ? 3 : 1);
    return (unsigned char)(coded ? digit(p[1]) * 16 + digit(p[2]) : *p);
}

/* ---- path */

struct segment {
    const char *at;
    size_t len;
};

static bool is_dots(const struct segment *s, size_t dots)
{
    return s->len == dots && memcmp(s->at, "..", dots) == 0;
}

/* Back to the last slash, which stays out: "/a/b" becomes "/a". */
static void drop_last(struct buf *out, size_t start)
{
    while (out->len > start && out->data[--out->len] != '/')
        ;
    if (out->data)
        out->data[out->len] = 0;
}

static void resolve(const char *path, size_t len, struct buf *out)
{
    const char *end = path + len;
    size_t start = out->len;
    bool slash = true; /* does the path end in one? */
    for (const char *p = path; p < end;) {
        const char *stop = memchr(p, '/', (size_t)(end - p));
        struct segment s = {p, (size_t)((stop ? stop : end) - p)};
        bool nothing = s.len == 0 || is_dots(&s, 1), back = is_dots(&s, 2);
        if (back)
            drop_last(out, start);
        else if (!nothing)
            buf_char(out, '/');
        for (size_t i = 0; i < s.len && !nothing && !back; i++)
            encode((unsigned char)s.at[i], false, out);
        slash = stop != NULL || nothing || back;
        p = stop ? stop + 1 : end;
    }
    if (slash)
        buf_char(out, '/');
}

void sigv4_path(const char *path, size_t len, bool s3, struct buf *out)
{
    const char *end = path + len;
    if (!len)
        buf_char(out, '/');
    else if (!s3)
        resolve(path, len, out);
    else
        while (path < end)
            encode(decode(&path, end), true, out);
}

/* ---- query */

struct pair {
    char *name, *value; /* encoded; one piece of memory */
};

static int pair_order(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    int by_name = strcmp(x->name, y->name);
    return by_name ? by_name : strcmp(x->value, y->value);
}

static void recode(const char *at, const char *end, struct buf *out)
{
    while (at < end) {
        bool plus = *at == '+';
        unsigned char c = decode(&at, end);
        encode(plus ? ' ' : c, false, out);
    }
}

static int pair_read(const char *at, const char *end, struct pair *out)
{
    const char *equals = memchr(at, '=', (size_t)(end - at));
    struct buf b;
    buf_init(&b, 0);
    recode(at, equals ? equals : end, &b);
    buf_char(&b, 0);
    size_t value = b.len;
    if (equals)
        recode(equals + 1, end, &b);
    int err = buf_ok(&b);
    out->name = buf_take(&b, NULL);
    out->value = out->name ? out->name + value : NULL;
    return err || !out->name ? ERR_NOMEM : 0;
}

static size_t count(const char *query, size_t len)
{
    size_t n = 1;
    for (size_t i = 0; i < len; i++)
        n += query[i] == '&';
    return n;
}

int sigv4_query(const char *query, size_t len, struct buf *out)
{
    const char *end = query + len;
    size_t n = 0;
    if (!len)
        return 0;
    struct pair *pairs = calloc(count(query, len), sizeof *pairs);
    int err = pairs ? 0 : ERR_NOMEM;
    for (const char *p = query, *stop; !err && p < end; p = stop + 1) {
        stop = memchr(p, '&', (size_t)(end - p));
        stop = stop ? stop : end;
        if (stop > p)
            err = pair_read(p, stop, &pairs[n++]);
    }
    if (!err && n)
        qsort(pairs, n, sizeof *pairs, pair_order);
    for (size_t i = 0; i < n; i++) {
        if (!err)
            buf_printf(out, "%s%s=%s", i ? "&" : "", pairs[i].name, pairs[i].value);
        free(pairs[i].name);
    }
    free(pairs);
    return err;
}

/* ---- headers */

/* By insertion: equal names keep their order, and there are few. */
static void sort(struct header *list, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        struct header h = list[i];
        size_t at = i;
        for (; at && strcasecmp(list[at - 1].name, h.name) > 0; at--)
            list[at] = list[at - 1];
        list[at] = h;
    }
}

static void lower(const char *name, struct buf *out)
{
    for (; *name; name++)
        buf_char(out, (char)tolower((unsigned char)*name));
}

/* Without blanks at its ends, others one instead of many. */
static void value(const char *v, struct buf *out)
{
    bool blank = false, any = false;
    for (; *v; v++) {
        if (*v == ' ' || *v == '\t') {
            blank = any;
            continue;
        }
        if (blank)
            buf_char(out, ' ');
        buf_char(out, *v);
        blank = false;
        any = true;
    }
}

static bool is_same(const struct header *list, size_t i)
{
    return i && strcasecmp(list[i].name, list[i - 1].name) == 0;
}

void sigv4_headers(struct header *list, size_t n, struct buf *out)
{
    sort(list, n);
    for (size_t i = 0; i < n; i++) {
        if (is_same(list, i)) {
            buf_char(out, ',');
        } else {
            if (i)
                buf_char(out, '\n');
            lower(list[i].name, out);
            buf_char(out, ':');
        }
        value(list[i].value, out);
    }
    if (n)
        buf_char(out, '\n');
}

void sigv4_names(const struct header *sorted, size_t n, struct buf *out)
{
    for (size_t i = 0; i < n; i++) {
        if (is_same(sorted, i))
            continue;
        if (i)
            buf_char(out, ';');
        lower(sorted[i].name, out);
    }
}
