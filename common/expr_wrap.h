/* expr_wrap.h - how an expression becomes a jq program, and what jq's complaints about that program
 * say about the expression. Pure; any thread. */
#pragma once
#include "common/expr_scan.h"

/* PRELUDE . as [$request, ..., $__now] | null | (TEXT\n): the program's input is an array of the
 * variables in scan->uses, in order of enum expr_var, then what `now` gives. Nothing in front holds
 * a newline, so jq's line numbers are the expression's. Owned (free); NULL without memory. */
char *expr_wrap(const char *text, const struct expr_scan *scan);

/* Turn "jq: error: WHAT at <top-level>, line N:\n..." about a wrapped text into line, column (0 if
 * unknown) and WHAT. */
void expr_unwrap_complaint(const char *text, const char *complaint, struct expr_error *error);
