/* expr_wrap.h - how an expression becomes a jq program, and what jq's complaints about that program
 * say about the expression. Pure; any thread. */
#pragma once
#include "common/expr_scan.h"

struct expr_part { /* one expression of a program; borrowed */
    const char *text;
    struct expr_scan scan;
};

/* A program of n >= 1 parts: PRELUDE def __0: .[k] as $request | ... | null | (TEXT\n); def __1:
 * ...; and the choice among them. Its input is an array: which part as expr_wrap_bits(n) booleans,
 * highest first, the variables in that part's scan.uses in order of enum expr_var, then, if it uses
 * `now`, what that gives. Nothing in front of the first holds a newline, so for one
 * part jq's line numbers are the expression's. Owned (free); NULL without memory. */
char *expr_wrap(const struct expr_part *parts, size_t n);
unsigned expr_wrap_bits(size_t n);

/* Turn "jq: error: WHAT at <top-level>, line N:\n..." about a wrapped text into line, column (0 if
 * unknown) and WHAT. */
void expr_unwrap_complaint(const char *text, const char *complaint, struct expr_error *error);
