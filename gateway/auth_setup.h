/* auth_setup.h - from the settings jwt-* and jwks to an auth, with the thread that keeps its keys
 * fresh; and the token verb. Belongs to the main thread. */
#pragma once
#include "gateway/auth.h"
#include "gateway/options.h"

enum { AUTH_SETUP_WHY = 512 };

struct auth_setup; /* what stands behind an auth */

/* o: borrowed until auth_teardown. *out may be used from then on; without keys in the settings it
 * takes no token. A URL that does not answer is only logged: its keys may come. 0 or an exit_code
 * with why; then nothing is to be torn down. */
int auth_setup(const struct options *o, struct auth *out, struct auth_setup **setup,
               char why[AUTH_SETUP_WHY]) must_use;
/* The same as far as it can be said without asking anybody, for `check`. 0 or an exit_code with
 * why.
 */
int auth_check(const struct options *o, char why[AUTH_SETUP_WHY]) must_use;
/* Nobody asks any more. NULL is fine. */
void auth_teardown(struct auth_setup *s);

/* `token`: a token for this user on standard output, signed with --jwt-hs256-file. An exit_code. */
int auth_print_token(const struct config *c, char why[AUTH_SETUP_WHY]) must_use;
