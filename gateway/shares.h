/* shares.h - how many of a bounded thing each client has, so that none has them all. A client is a
 * user, or for guests an address (limits.h). One lock of the caller's is held over all calls. */
#pragma once
#include "common/id.h"
#include "gateway/limits.h"

struct shares;
struct share; /* one client's */

/* each: what one client may have; 0: no bound. *out: owned (shares_free). 0, ERR_NOMEM. */
int shares_new(unsigned each, struct shares **out) must_use;
void shares_free(struct shares *s); /* NULL is fine */
/* One more of this client; address counts for an owner that is nobody alone, as limits_address has
 * it; borrowed. *out: lent until as many have left as entered. 0; ERR_FULL: it has all it may have;
 * ERR_NOMEM. */
int shares_enter(struct shares *s, const struct owner *owner, const char *address,
                 struct share **out) must_use;
void shares_leave(struct shares *s, struct share *one);
