/* template.h - literal YAML whose strings hold holes `\(jq)` (flow file: Kinds of value).
 * Compiled once, rendered from any thread. A string that is only one hole keeps its value's type;
 * else string, number, boolean go in as text; null, array, object are an error. `\\(` writes `\(`.
 */
#pragma once
#include "common/expr.h"

struct template;

enum template_place {
    TEMPLATE_BODY, /* JSON: any value */
    TEMPLATE_PATH, /* text; holes percent-encoded (all but A-Za-z0-9-._~); an array: segments joined
                      by /; an empty, `.` or `..` segment made by a hole is an error; holes behind ?
                      are encoded too */
    TEMPLATE_HEADER, /* text; control characters of a hole are an error */
    TEMPLATE_TEXT    /* text for people */
};

/* Where in the literal a problem is: JSON Pointer to the string, then place in it. */
struct template_error {
    char pointer[128];
    struct expr_error expr;
};

/* Compile a literal (borrowed; copied). visible as in expr_compile. *out: owned.
 * Returns 0, ERR_EXPRESSION (error filled), ERR_NOMEM. */
int template_compile(const struct json *literal, enum template_place place, unsigned visible,
                     struct template **out, struct template_error *error) must_use;
void template_free(struct template *t);

/* What can never be sent: the byte of a string (borrowed) whose literal text this place does not
 * take; SIZE_MAX: none. A path takes ASCII without blanks, control characters and `#`, a header no
 * control characters; the others all. Holes are for rendering to look at. */
size_t template_misplaced(const char *string, enum template_place place);

/* Render to a value (for the places of text a string), or to text appended to out (for
 * TEMPLATE_BODY its JSON, cheaper than render and print). 0, ERR_EXPRESSION, ERR_NOMEM;
 * ERR_TOO_LARGE past out's limit. error: NULL is fine. On failure the text in out is undefined
 * behind its old end. */
int template_render(struct template *t, const struct expr_vars *vars, struct json **out,
                    struct expr_error *error) must_use;
int template_render_text(struct template *t, const struct expr_vars *vars, struct buf *out,
                         struct expr_error *error) must_use;
unsigned template_uses(const struct template *t);
/* Its holes, in order. */
void template_each_hole(const struct template *t, expr_each_fn *fn, void *arg);
