/* expr.h - the flow language's expressions: jq 1.6, one value out (flow file: Kinds of value).
 * libjq behind expr_jq.c. An expression is compiled at start-up and never changes; evaluation is
 * safe from any thread (each takes a jq state from the expression's pool). Plain paths like
 * `$request.productId` are answered without jq. An evaluation ends after 100 ms or 64 MB, also
 * inside jq's functions (expr_guard.h, expr_onig.h); a value over 1 MB or 64 levels is an error.
 * Names that reach outside (env, input, debug, import, ...) are refused at compile time; HOME's
 * ~/.jq is never read. */
#pragma once
#include "common/json.h"

enum expr_var {
    VAR_REQUEST,
    VAR_USER,
    VAR_JOB,
    VAR_ROWS,
    VAR_CALLS,
    VAR_ITEM,
    VAR_INDEX,
    VAR_STATUS,
    VAR_HEADERS,
    VAR_BODY,
    VAR_RESULT,
    VAR_ERROR,
    VAR_COUNT
};
#define VAR_BIT(v) (1u << (v))
#define VAR_ALL    (VAR_BIT(VAR_COUNT) - 1)

/* Values for one evaluation: all borrowed; NULL reads as null. created_us is what `now` gives. */
struct expr_vars {
    const struct json *value[VAR_COUNT];
    int64_t created_us;
};

enum { EXPR_ERROR = 256 };
struct expr_error {
    unsigned line, column; /* in the expression's text, from 1; 0 if unknown */
    bool thrown;           /* by jq or by the expression: values stand in the text */
    char text[EXPR_ERROR]; /* what jq says, without our wrapping */
};
/* The same without what anybody sent, for logs: of what was thrown the few words of it that are
 * known. Lent with e. */
const char *expr_error_plain(const struct expr_error *e);

struct expr;

/* Compile. visible: OR of VAR_BIT; another `$name` of ours is an error that names it. *out: owned
 * (expr_free). Returns 0, ERR_EXPRESSION (error filled), ERR_NOMEM. About 15 ms on Debian 12:
 * start-up only. At most 8 KB. */
int expr_compile(const char *text, unsigned visible, struct expr **out,
                 struct expr_error *error) must_use;
void expr_free(struct expr *e);

/* In `visible`: what needs jq is left to expr_compile_later, which compiles many together in the
 * time of one. Until then expr_is_ready is false and expr_eval fails. */
#define EXPR_LATER (1u << 31)
typedef void expr_wrong_fn(void *arg, struct expr *e, const struct expr_error *error);
/* Those that are ready are left alone. Each that is no jq is told to `wrong` and stays unready.
 * Returns 0 or ERR_NOMEM. */
int expr_compile_later(struct expr *const *list, size_t n, expr_wrong_fn *wrong,
                       void *arg) must_use;
bool expr_is_ready(const struct expr *e);
typedef void expr_each_fn(void *arg, struct expr *e);

/* Evaluate to exactly one value. *out: owned (json_free). error may be NULL.
 * Returns 0, ERR_EXPRESSION (no value, several, an error, too long, too big), ERR_NOMEM. */
int expr_eval(struct expr *e, const struct expr_vars *vars, struct json **out,
              struct expr_error *error) must_use;

/* As expr_eval, but without a copy of what is a part of the variables: *out is lent with e and vars
 * (NULL for null); *owned is NULL, or the same value, to be freed (json_free). */
int expr_view(struct expr *e, const struct expr_vars *vars, const struct json **out,
              struct json **owned, struct expr_error *error) must_use;

unsigned expr_uses(const struct expr *e);      /* OR of VAR_BIT it mentions */
const char *expr_source(const struct expr *e); /* lent with e */

/* Start-up, before other threads: point HOME away from a ~/.jq, start the watchdog. 0 or ERR_BUG.
 * Counted: each start needs its stop. */
int expr_start(void) must_use;
void expr_stop(void);

/* Behind expr_start, once in a program that evaluates on several threads: does this libjq give one
 * thread what another has compiled? Costs the time of an expr_compile. 0 or ERR_BUG. */
int expr_prove_threads(void) must_use;
