/* sql_template.h - one SQL statement of a flow file: text with holes that become bound parameters,
 * never text (flow file: Kinds of value). Compiled once, rendered from any thread. */
#pragma once
#include "common/expr.h"
#include "common/sql_scan.h"

struct sql_template;

/* text: borrowed, one that sql_scan finds fine. *out: owned. 0, ERR_EXPRESSION (error filled),
 * ERR_NOMEM. */
int sql_template_compile(const char *text, unsigned visible, struct sql_template **out,
                         struct expr_error *error) must_use;
void sql_template_free(struct sql_template *t); /* NULL is fine */

const char *sql_template_text(const struct sql_template *t); /* `?` for each hole; lent with t */
size_t sql_template_holes(const struct sql_template *t);
unsigned sql_template_uses(const struct sql_template *t);
void sql_template_each_hole(const struct sql_template *t, expr_each_fn *fn, void *arg);

/* Its parameters as an array: null, booleans, numbers and strings; an array or object as its JSON
 * text. *out: owned. 0, ERR_EXPRESSION, ERR_NOMEM. error: NULL is fine. */
int sql_template_render(const struct sql_template *t, const struct expr_vars *vars,
                        struct json **out, struct expr_error *error) must_use;
