#include "gateway/route.h"

#include <string.h>

static const struct {
    enum route route;
    const char *method, *allow;
    const char *before, *after; /* around the argument; after NULL: there is none */
} table[] = {
    {ROUTE_ACCEPT, "POST", "POST", "/v1/flows/", "/jobs"},
    {ROUTE_EVENTS, "GET", "GET, HEAD", "/v1/jobs/", "/events"},
    {ROUTE_JOB, "GET", "GET, HEAD, DELETE", "/v1/jobs/", ""},
    {ROUTE_CANCEL, "DELETE", "GET, HEAD, DELETE", "/v1/jobs/", ""},
    {ROUTE_MY_JOBS, "GET", "GET, HEAD", "/v1/jobs", NULL},
    {ROUTE_MY_EVENTS, "GET", "GET, HEAD", "/v1/events", NULL},
    {ROUTE_FLOWS, "GET", "GET, HEAD", "/v1/flows", NULL},
    {ROUTE_OPENAPI, "GET", "GET, HEAD", "/openapi.json", NULL},
    {ROUTE_ERROR_PAGE, "GET", "GET, HEAD", "/errors/", ""},
    {ROUTE_PAGE, "GET", "GET, HEAD", "/", NULL},
    {ROUTE_PAGE, "GET", "GET, HEAD", "/me", NULL},
    {ROUTE_PAGE, "GET", "GET, HEAD", "/f/", ""},
    {ROUTE_PAGE, "GET", "GET, HEAD", "/j/", ""},
    {ROUTE_ASSET, "GET", "GET, HEAD", "/console/", ""},
    {ROUTE_LOGIN, "POST", "POST", "/v1/login", NULL},
    {ROUTE_LOGOUT, "POST", "POST", "/v1/logout", NULL},
};

/* Every {argument} we have is a flow's name, an id, a code or (with a dot) a file's name. */
static bool is_argument(const char *s, size_t n, bool dot)
{
    static const char allowed[] =
        ".abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-";
    if (n == 0 || n >= ROUTE_ARG)
        return false;
    for (size_t i = 0; i < n; i++)
        if (!strchr(allowed + !dot, s[i]))
            return false;
    return true;
}

static bool match(const char *path, size_t row, char arg[ROUTE_ARG])
{
    const char *before = table[row].before, *after = table[row].after;
    arg[0] = 0;
    if (!after)
        return strcmp(path, before) == 0;
    size_t len = strlen(path), head = strlen(before), tail = strlen(after);
    if (len < head + tail || memcmp(path, before, head) != 0 ||
        memcmp(path + len - tail, after, tail) != 0)
        return false;
    size_t n = len - head - tail;
    if (!is_argument(path + head, n, table[row].route == ROUTE_ASSET))
        return false;
    memcpy(arg, path + head, n);
    arg[n] = 0;
    return true;
}

int route_find(const char *method, const char *path, struct route_match *m)
{
    *m = (struct route_match){.route = ROUTE_NONE};
    struct route_match at;
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (!match(path, i, at.arg))
            continue;
        at.route = table[i].route;
        at.allow = table[i].allow;
        at.head = strcmp(method, "HEAD") == 0 && strcmp(table[i].method, "GET") == 0;
        bool fits = at.head || strcmp(method, table[i].method) == 0;
        if (fits || m->route == ROUTE_NONE)
            *m = at;
        if (fits)
            return 0;
    }
    return m->route == ROUTE_NONE ? ERR_NO_ROUTE : ERR_METHOD;
}

const char *route_name(enum route r)
{
    static const char *const names[ROUTE_COUNT] = {
        [ROUTE_ACCEPT] = "accept",         [ROUTE_JOB] = "job",
        [ROUTE_CANCEL] = "cancel",         [ROUTE_MY_JOBS] = "my-jobs",
        [ROUTE_FLOWS] = "flows",           [ROUTE_OPENAPI] = "openapi",
        [ROUTE_EVENTS] = "events",         [ROUTE_MY_EVENTS] = "my-events",
        [ROUTE_ERROR_PAGE] = "error-page", [ROUTE_PAGE] = "page",
        [ROUTE_ASSET] = "asset",           [ROUTE_LOGIN] = "login",
        [ROUTE_LOGOUT] = "logout",         [ROUTE_NONE] = "none"};
    return (unsigned)r < ROUTE_COUNT ? names[r] : "none";
}
