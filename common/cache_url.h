/* cache_url.h - redis://[user[:password]@]host[:port][/db] taken apart. Pure; any thread. */
#pragma once
#include "common/err.h"

struct cache_address {
    char host[256];
    int port; /* 6379 if not said */
    int db;
    char user[128], password[256]; /* "": none; never logged */
    bool tls;                      /* rediss:// */
};

/* 0, or ERR_INVALID with `what` (lent for ever, holds nothing of the URL). %XX in user and password
 * is decoded; IPv6 hosts stand in brackets; ":password@" alone is the default user's. */
int cache_url_parse(const char *url, struct cache_address *out, const char **what) must_use;
/* The same of one that this program can use: it was built without TLS for Redis. */
int cache_url_check(const char *url, struct cache_address *out, const char **what) must_use;
