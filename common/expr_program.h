/* expr_program.h - one jq program that holds several expressions. jq 1.6 needs 15 ms to compile
 * anything, because it compiles its own library each time; so all expressions of a set share one
 * program, and which of them is meant is told with the input. Internal to expr.c, behind which
 * libjq stays in expr_jq.c. Counted; safe from any thread (each takes a state from the pool). */
#pragma once
#include "common/expr_wrap.h"

struct expr_program;

/* text: taken (expr_wrap of n parts). source: of the only expression, for its complaints; NULL:
 * there are several, and jq's complaint places nothing. *out: one user. 0, ERR_EXPRESSION (error
 * filled), ERR_NOMEM. */
int expr_program_new(char *text, size_t n, const char *source, struct expr_program **out,
                     struct expr_error *error) must_use;
struct expr_program *expr_program_get(struct expr_program *p); /* one more user */
void expr_program_put(struct expr_program *p);                 /* the last one frees */

/* Part `which` of the program. *out: owned. 0, ERR_EXPRESSION, ERR_NOMEM. error may be NULL. */
int expr_program_eval(struct expr_program *p, unsigned which, const struct expr_scan *uses,
                      const struct expr_vars *vars, struct json **out,
                      struct expr_error *error) must_use;
