/* regex.h - regular expressions of JSON Schema: ECMA-262 style, unanchored, on UTF-8 text.
 * PCRE2 behind regex_pcre.c. A compiled expression never changes; matching is safe from any thread.
 * The text may be hostile, so a match has limits of work and memory. */
#pragma once
#include <stddef.h>
#include "common/err.h"

struct regex;

enum { REGEX_WHY = 160 };

/* pattern: borrowed, UTF-8. *out: owned (regex_free). why: what is wrong and where, on ERR_INVALID.
 * Returns 0, ERR_INVALID, ERR_NOMEM. */
int regex_compile(const char *pattern, struct regex **out, char why[REGEX_WHY]) must_use;
void regex_free(struct regex *r); /* NULL is fine */

/* Does the pattern occur in text (valid UTF-8, as every json_text is)? 1 yes, 0 no,
 * ERR_TOO_LARGE: the limits ended it and nobody knows, ERR_NOMEM. */
int regex_match(const struct regex *r, const char *text, size_t len) must_use;
