/* auth_issuers.h - where tokens come from, as the settings say: one issuer (jwks or
 * jwt-hs256-file, with jwt-issuer and the like), or a line each of jwt-issuers. Pure. */
#pragma once
#include <stddef.h>
#include "common/err.h"

enum { AUTH_ISSUERS_MAX = 16, AUTH_ISSUERS_WHY = 200 };

struct auth_source { /* text borrowed; NULL or "": not set */
    const char *issuer, *audience, *algorithms;
    const char *jwks, *hs256_file; /* one of them */
};

/* Lines of `ISSUER jwks=FILE|URL audience=TEXT algorithms=NAME,...`, the last two may be left out;
 * empty lines, and those that start with #, say nothing. Cut in place, so out points into text. 0
 * and at least one; ERR_INVALID with why, a sentence that says what to write. */
int auth_issuers_parse(char *text, struct auth_source out[AUTH_ISSUERS_MAX], size_t *n,
                       char why[AUTH_ISSUERS_WHY]) must_use;
