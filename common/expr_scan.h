/* expr_scan.h - what an expression mentions, before jq sees it: our variables, refused names,
 * brackets. Looks into string interpolations, not into strings and comments. Pure; any thread. */
#pragma once
#include "common/expr.h"

struct expr_scan {
    unsigned uses; /* OR of VAR_BIT */
    bool uses_now; /* mentions `now` */
};

/* Returns 0 or ERR_EXPRESSION, with error filled (line and column always): a refused name, a
 * variable that is not visible, a start with `.` or `\(`, brackets that do not match, an open
 * string, nothing at all. What it lets pass may still be no jq. */
int expr_scan(const char *text, unsigned visible, struct expr_scan *out,
              struct expr_error *error) must_use;

/* text begins behind a hole's `\(`: how long is the expression up to the `)` that ends the hole?
 * 0, or ERR_EXPRESSION (error filled, placed from text's start). Checks no more than that needs. */
int expr_scan_hole(const char *text, size_t *len, struct expr_error *error) must_use;

/* The variable's name without the $. */
const char *expr_var_name(enum expr_var v);

/* Which variable these len bytes name; VAR_COUNT if none. */
enum expr_var expr_var_find(const char *name, size_t len);

/* Line and column, from 1, of a byte in text. */
void expr_place(const char *text, size_t offset, struct expr_error *error);
