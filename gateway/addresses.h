/* addresses.h - how many connections each client address has, so that one host cannot hold all the
 * threads. Any thread. */
#pragma once
#include <stdbool.h>
#include "common/err.h"

enum { ADDRESS_TEXT = 48 };

struct addresses;

/* each: connections one address may have; all: how many there can be together. *out: owned
 * (addresses_free). 0, ERR_NOMEM. */
int addresses_new(unsigned each, unsigned all, struct addresses **out) must_use;
void addresses_free(struct addresses *a); /* NULL is fine */
/* One more connection of this address (text). false: it has all it may have; nothing changed. */
bool addresses_enter(struct addresses *a, const char *address);
void addresses_leave(struct addresses *a, const char *address); /* one that entered */
