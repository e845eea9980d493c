/* password.h - hashes of passwords, by libxcrypt behind password_crypt.c. A hash takes tens of
 * milliseconds of one core on purpose: who calls bounds how many at once. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/err.h"

enum password_kind {
    PASSWORD_BCRYPT,  /* $2b$, cost 10, of at most 72 bytes; Spring's BCrypt encoder verifies it */
    PASSWORD_YESCRYPT /* $y$, the cost of the library */
};
enum { PASSWORD_BCRYPT_MAX = 72, PASSWORD_YESCRYPT_MAX = 511, PASSWORD_HASH = 128 };

/* The longest plain text of a kind, in bytes. */
size_t password_max(enum password_kind kind);
/* Hash plain under a salt of the system's randomness. out: the hash. What the library kept of plain
 * is wiped; plain itself is the caller's. 0, ERR_TOO_LARGE, ERR_INVALID (empty), ERR_UNSUPPORTED
 * (this libcrypt does not know the kind), ERR_NOMEM. */
int password_hash(enum password_kind kind, const char *plain, char out[PASSWORD_HASH]) must_use;
/* Is text a whole hash of this kind (bcrypt: $2a$, $2b$ and $2y$, which verify alike)? */
bool password_is_hash(enum password_kind kind, const char *text);
/* Is hash one of plain? For tests. */
bool password_matches(const char *plain, const char *hash);
