/* meaning.h - codes and what they mean, as `errors` and `explain` tell them. Pure but for the
 * streams. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

enum { MEANINGS_MAX = 160 };

/* A code as it is met. All text lent for ever. */
struct meaning {
    const char *kind; /* "error", "finding", "reason of a job", "error of a call" */
    const char *code, *title;
    const char *help; /* NULL: none */
    int status;       /* of a problem; else 0 */
};

struct meaning_ask {
    const char *code;           /* NULL: all, those of one kind stand together */
    bool json;                  /* {code, kind, status?, title, help?} a line */
    const char *program, *verb; /* who is asked, for who mistyped a code */
    FILE *out, *err;
};
/* Some codes are of two kinds: both are told. The exit code: 0, or 2 for an unknown code, said on
 * err. */
int meaning_tell(const struct meaning *all, size_t n, const struct meaning_ask *ask);
