#include "common/cache_url.h"
#include "common/hex.h"
#include <stdlib.h>
#include <string.h>

static int copy(char *to, size_t size, const char *from, size_t len, bool decode)
{
    size_t n = 0;
    for (size_t i = 0; i < len; i++) {
        char c = from[i];
        if (decode && c == '%') {
            int high = i + 2 < len ? hex_digit(from[i + 1]) : -1;
            int low = i + 2 < len ? hex_digit(from[i + 2]) : -1;
            if (high < 0 || low < 0)
                return ERR_INVALID;
            c = (char)(high * 16 + low);
            i += 2;
        }
        if (!c || n + 1 >= size)
            return ERR_INVALID;
        to[n++] = c;
    }
    to[n] = 0;
    return 0;
}

/* A whole number from the text up to `end`. */
static int number(const char *from, const char *end, long max, int *out)
{
    long n = 0;
    if (from == end || end - from > 6)
        return ERR_INVALID;
    for (; from < end; from++) {
        if (*from < '0' || *from > '9')
            return ERR_INVALID;
        n = n * 10 + (*from - '0');
    }
    if (n > max)
        return ERR_INVALID;
    *out = (int)n;
    return 0;
}

static int account(const char *from, const char *end, struct cache_address *a)
{
    const char *colon = memchr(from, ':', (size_t)(end - from));
    const char *user_end = colon ? colon : end;
    int err = copy(a->user, sizeof a->user, from, (size_t)(user_end - from), true);
    if (!err && colon)
        err = copy(a->password, sizeof a->password, colon + 1, (size_t)(end - colon - 1), true);
    return err;
}

static int place(const char *from, const char *end, struct cache_address *a)
{
    const char *host_end, *rest;
    if (*from == '[') {
        host_end = memchr(from, ']', (size_t)(end - from));
        if (!host_end)
            return ERR_INVALID;
        from++;
        rest = host_end + 1;
    } else {
        host_end = memchr(from, ':', (size_t)(end - from));
        rest = host_end = host_end ? host_end : end;
    }
    if (host_end == from || copy(a->host, sizeof a->host, from, (size_t)(host_end - from), false))
        return ERR_INVALID;
    if (rest == end)
        return 0;
    return *rest == ':' ? number(rest + 1, end, 65535, &a->port) : ERR_INVALID;
}

int cache_url_parse(const char *url, struct cache_address *out, const char **what)
{
    struct cache_address a = {.port = 6379};
    *what = "it must begin with redis://";
    if (!strncmp(url, "rediss://", 9))
        a.tls = true;
    else if (strncmp(url, "redis://", 8) != 0)
        return ERR_INVALID;
    const char *from = url + (a.tls ? 9 : 8);
    const char *end = from + strcspn(from, "/");
    *what = "after the host there may only be /number, the database";
    if (end[0] && end[1] && number(end + 1, end + strlen(end), 100000, &a.db))
        return ERR_INVALID;
    const char *at = NULL;
    for (const char *p = from; p < end; p++)
        if (*p == '@')
            at = p; /* the last one: a password may hold others */
    *what = "the user or password is not valid";
    if (at && account(from, at, &a))
        return ERR_INVALID;
    *what = "the host or port is not valid";
    if (place(at ? at + 1 : from, end, &a))
        return ERR_INVALID;
    *out = a;
    return 0;
}

int cache_url_check(const char *url, struct cache_address *out, const char **what)
{
    struct cache_address a;
    int err = cache_url_parse(url, &a, what);
    if (err)
        return err;
    *what =
        "this program was built without TLS for Redis: use redis://, if need be through a local "
        "TLS proxy";
    if (a.tls)
        return ERR_INVALID;
    *out = a;
    return 0;
}
