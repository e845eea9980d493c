/* proxies.h - whose X-Forwarded-For is believed: which client stands behind the proxies that are
 * ours. Pure. Any thread. */
#pragma once
#include <stddef.h>
#include "common/err.h"

enum { PROXIES_MAX = 64, PROXIES_ADDRESS = 48 };

struct http_request; /* gateway/http.h */

/* Networks; IPv4 as ::ffff:a.b.c.d. */
struct proxies {
    size_t n;
    struct proxy_net {
        unsigned char base[16];
        unsigned bits;
    } net[PROXIES_MAX];
};

/* Addresses and networks (10.0.0.0/8, 2001:db8::/32) with commas or spaces between; NULL and "":
 * none. 0; ERR_INVALID with why: what to write instead; *out is as it was. */
enum { PROXIES_WHY = 160 };
int proxies_read(const char *text, struct proxies *out, char why[PROXIES_WHY]) must_use;

/* The client's address: of the peer and then X-Forwarded-For from its right end, the first that is
 * no proxy of ours. Behind an entry that is no address nothing is believed: it is then the proxy
 * that wrote it. Lent with the request or with text. */
const char *proxies_client(const struct proxies *p, const struct http_request *q,
                           char text[PROXIES_ADDRESS]);
