#include "common/expr.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr_onig.h"
#include "common/expr_path.h"
#include "common/expr_program.h"
#include "common/watchdog.h"

/* SOURCE_MAX: jq needs time that grows with the third power of the length. */
enum { VALUE_MAX = 1 << 20, SOURCE_MAX = 8 << 10, PARTS_MAX = 64, PARTS_BYTES = 32 << 10 };

struct expr {
    char *source;
    struct expr_scan scan;
    struct expr_path *path;       /* then nothing below is used */
    struct expr_program *program; /* NULL: left for later */
    unsigned which;               /* part of it */
};

static int fail(struct expr_error *error, const char *text)
{
    if (error) {
        *error = (struct expr_error){0};
        snprintf(error->text, sizeof error->text, "%s", text);
    }
    return ERR_EXPRESSION;
}

static void prepare(void)
{
    setenv("HOME", "/dev/null", 1); /* unset, jq 1.6 asks the password file */
    expr_onig_limit();
}

static void prepare_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, prepare);
}

/* ---- compile */

/* The part with this text; *n parts so far, a new one is added. */
static unsigned part_of(struct expr_part *parts, size_t *n, const struct expr *e)
{
    for (size_t i = 0; i < *n; i++)
        if (strcmp(parts[i].text, e->source) == 0)
            return (unsigned)i;
    parts[*n] = (struct expr_part){e->source, e->scan};
    return (unsigned)(*n)++;
}

/* Gives all n one program, or none. Flows repeat themselves: what is the same is compiled once. */
static int compile_together(struct expr *const *list, size_t n, struct expr_error *error)
{
    struct expr_program *program = NULL;
    struct expr_part *parts = calloc(n, sizeof *parts);
    size_t parts_n = 0;
    if (!parts)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        list[i]->which = part_of(parts, &parts_n, list[i]);
    char *text = expr_wrap(parts, parts_n);
    free(parts);
    prepare_once();
    int err =
        text ? expr_program_new(text, parts_n, n == 1 ? list[0]->source : NULL, &program, error)
             : ERR_NOMEM;
    if (err)
        return err;
    for (size_t i = 0; i < n; i++)
        list[i]->program = expr_program_get(program);
    expr_program_put(program);
    return 0;
}

/* By halves, until those that are wrong stand alone. */
static int compile_apart(struct expr *const *list, size_t n, expr_wrong_fn *wrong, void *arg)
{
    struct expr_error error = {0};
    int err = n ? compile_together(list, n, &error) : 0;
    if (err != ERR_EXPRESSION)
        return err;
    if (n == 1) {
        wrong(arg, list[0], &error);
        return 0;
    }
    err = compile_apart(list, n / 2, wrong, arg);
    return err ? err : compile_apart(list + n / 2, n - n / 2, wrong, arg);
}

int expr_compile_later(struct expr *const *list, size_t n, expr_wrong_fn *wrong, void *arg)
{
    struct expr **wait = calloc(n ? n : 1, sizeof(struct expr *));
    size_t waiting = 0, bytes = 0;
    int err = wait ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < n && !err; i++) {
        if (expr_is_ready(list[i]))
            continue;
        wait[waiting++] = list[i];
        bytes += strlen(list[i]->source);
        if (waiting < PARTS_MAX && bytes < PARTS_BYTES)
            continue;
        err = compile_apart(wait, waiting, wrong, arg);
        waiting = bytes = 0;
    }
    if (!err)
        err = compile_apart(wait, waiting, wrong, arg);
    free(wait);
    return err;
}

int expr_compile(const char *text, unsigned visible, struct expr **out, struct expr_error *error)
{
    struct expr_scan scan;
    struct expr_error ignored;
    error = error ? error : &ignored;
    if (strlen(text) > SOURCE_MAX)
        return fail(error, "an expression has at most 8 KB");
    int err = expr_scan(text, visible, &scan, error);
    if (err)
        return err;
    struct expr *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    e->scan = scan;
    e->source = strdup(text);
    err = e->source ? expr_path_compile(text, &e->path) : ERR_NOMEM;
    if (err == ERR_UNSUPPORTED)
        err = visible & EXPR_LATER ? 0 : compile_together(&e, 1, error);
    if (err)
        expr_free(e);
    else
        *out = e;
    return err;
}

void expr_free(struct expr *e)
{
    if (!e)
        return;
    expr_program_put(e->program);
    expr_path_free(e->path);
    free(e->source);
    free(e);
}

bool expr_is_ready(const struct expr *e)
{
    return e->path || e->program;
}

unsigned expr_uses(const struct expr *e)
{
    return e->scan.uses;
}

const char *expr_source(const struct expr *e)
{
    return e->source;
}

/* ---- evaluate */

int expr_view(struct expr *e, const struct expr_vars *vars, const struct json **out,
              struct json **owned, struct expr_error *error)
{
    struct json *made = NULL;
    if (e->path) {
        int err = expr_path_eval(e->path, vars, out, error);
        if (!err)
            *owned = NULL;
        return err;
    }
    if (!e->program)
        return fail(error, "the expression is not compiled");
    int err = expr_program_eval(e->program, e->which, &e->scan, vars, &made, error);
    if (!err)
        *out = *owned = made;
    return err;
}

/* About what v prints to, as from_jv counts; stops counting behind VALUE_MAX. */
static size_t size_of(const struct json *v)
{
    const char *text = json_text(v);
    size_t size = text ? strlen(text) + 3 : 5;
    for (const struct json *i = json_first(v); i && size <= VALUE_MAX; i = json_next(i))
        size += size_of(i) + (json_key(i) ? strlen(json_key(i)) + 4 : 0);
    return size;
}

int expr_eval(struct expr *e, const struct expr_vars *vars, struct json **out,
              struct expr_error *error)
{
    const struct json *seen = NULL;
    struct json *owned = NULL;
    int err = expr_view(e, vars, &seen, &owned, error);
    if (err)
        return err;
    if (!owned && size_of(seen) > VALUE_MAX)
        return fail(error, "the value is larger than 1 MB");
    if (!owned)
        owned = seen ? json_copy(seen) : json_new_null();
    if (!owned)
        return ERR_NOMEM;
    *out = owned;
    return 0;
}

/* ---- start-up */

struct self_test {
    struct expr *expr;
    bool good;
};

static void *self_test(void *arg)
{
    const struct expr_vars vars = {0};
    struct self_test *t = arg;
    struct json *out = NULL;
    t->good = expr_eval(t->expr, &vars, &out, NULL) == 0 && json_number(out) == 3;
    json_free(out);
    return NULL;
}

/* jq keeps things per thread: is what one compiled good in another? */
static bool two_threads_work(void)
{
    struct self_test here = {0}, there;
    pthread_t thread;
    if (expr_compile("[1, 2] | add", 0, &here.expr, NULL) != 0)
        return false;
    self_test(&here);
    there = (struct self_test){.expr = here.expr};
    if (pthread_create(&thread, NULL, self_test, &there) == 0)
        pthread_join(thread, NULL);
    expr_free(here.expr);
    return here.good && there.good;
}

int expr_start(void)
{
    prepare_once();
    return watchdog_start() != 0 ? ERR_BUG : 0;
}

int expr_prove_threads(void)
{
    return two_threads_work() ? 0 : ERR_BUG;
}

void expr_stop(void)
{
    watchdog_stop();
}
