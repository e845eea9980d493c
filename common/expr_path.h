/* expr_path.h - expressions that need no jq: a variable and where to look in it
 * ($request.a.b[0]["c"]), or a JSON literal. They mean exactly what jq makes of them (a fuzz target
 * compares). Compiled once; evaluation is safe from any thread. */
#pragma once
#include "common/expr.h"

struct expr_path;

/* *out: owned (expr_path_free). Returns 0, ERR_UNSUPPORTED (leave it to jq), ERR_NOMEM. Does not
 * look at visibility: see expr_scan. */
int expr_path_compile(const char *text, struct expr_path **out) must_use;
void expr_path_free(struct expr_path *p);

/* *out: lent with vars and p; NULL for null. Returns 0 or ERR_EXPRESSION (error filled if given).
 */
int expr_path_eval(const struct expr_path *p, const struct expr_vars *vars, const struct json **out,
                   struct expr_error *error) must_use;
