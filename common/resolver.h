/* resolver.h - the port for the addresses of one name: hosts file, then name servers, with the
 * search domains of resolv.conf. Adapter: resolver_ares.c (c-ares). Belongs to its loop's thread;
 * has no thread of its own and never blocks. It neither joins questions nor keeps answers:
 * names.h does. */
#pragma once
#include "common/loop.h"

enum { RESOLVER_ADDRESSES_MAX = 16 }; /* of one name; more are left out */

struct resolver_answer { /* lent during the callback */
    int err; /* 0; ERR_NOT_FOUND: there is no such name; ERR_IO: nobody could tell, or it has no
                address; ERR_NOMEM */
    const char *addresses; /* the best first: "192.0.2.1,[2001:db8::1]"; NULL on an error */
    int64_t ttl_ms;        /* how long it holds; 0: whoever said so does not tell (hosts file) */
    const char *why;       /* an error in words, lent for ever; "" without one */
};
typedef void resolver_fn(void *arg, const struct resolver_answer *a);

struct resolver;
struct resolver_ops {
    int (*ask)(struct resolver *, const char *name, resolver_fn *fn, void *arg);
    void (*close)(struct resolver *);
};
struct resolver {
    const struct resolver_ops *ops;
};

/* The real one. servers: "127.0.0.1:5353,[::1]:53" instead of those of resolv.conf, copied; NULL:
 * those. It reads its files anew when questions fail. *out: owned (resolver_close). 0, ERR_NOMEM,
 * ERR_IO, ERR_INVALID (servers). */
int resolver_ares_open(struct loop *loop, const char *servers, struct resolver **out) must_use;

/* Ask for a name (borrowed). 0: fn is called exactly once, unless closed before; perhaps at once,
 * before this returns. It may ask again, but not close. ERR_NOMEM. */
static inline int resolver_ask(struct resolver *r, const char *name, resolver_fn *fn, void *arg)
{
    return r->ops->ask(r, name, fn, arg);
}
/* No callback is called any more. NULL is fine. */
static inline void resolver_close(struct resolver *r)
{
    if (r)
        r->ops->close(r);
}
