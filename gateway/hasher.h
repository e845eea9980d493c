/* hasher.h - hashes of passwords in the threads of requests, a few at once: each takes a core for
 * tens of milliseconds. Who would wait behind too many is told so at once, so hashing never holds
 * all threads. Any thread. */
#pragma once
#include "common/password.h"

struct hasher;

/* at_once: hashes being made; waiting: threads that wait for their turn at most. *out: owned
 * (hasher_close). 0, ERR_NOMEM. */
int hasher_open(unsigned at_once, unsigned waiting, struct hasher **out) must_use;
void hasher_close(struct hasher *h); /* nobody hashes any more; NULL is fine */
/* As password_hash, or ERR_OVERLOADED. */
int hasher_hash(struct hasher *h, enum password_kind kind, const char *plain,
                char out[PASSWORD_HASH]) must_use;
