/* template_parts.h - one string of a template: text and holes in turn.
 * Belongs to template.c; compiled once, rendered from any thread. */
#pragma once
#include "common/template.h"

struct template_part {
    char *text;        /* owned; NULL: a hole */
    struct expr *hole; /* owned */
};
struct template_parts {
    struct template_part *list;
    size_t n;
};

/* Split and compile. A string without holes gives one text. 0, ERR_EXPRESSION (error filled, placed
 * in the string), ERR_NOMEM; *out holds nothing then. */
int template_parts_compile(const char *string, unsigned visible, struct template_parts *out,
                           struct expr_error *error) must_use;
void template_parts_fini(struct template_parts *p);
void template_parts_each_hole(const struct template_parts *p, expr_each_fn *fn, void *arg);

static inline bool template_parts_is_hole(const struct template_parts *p) /* nothing else */
{
    return p->n == 1 && p->list[0].hole;
}
static inline bool template_parts_is_text(const struct template_parts *p)
{
    return p->n == 0 || (p->n == 1 && !p->list[0].hole);
}

/* Append the string as it is in this place. 0, ERR_EXPRESSION, ERR_NOMEM, ERR_TOO_LARGE. */
int template_parts_render(const struct template_parts *p, enum template_place place,
                          const struct expr_vars *vars, struct buf *out,
                          struct expr_error *error) must_use;
