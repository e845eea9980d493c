#include "common/expr.h"

#include <jq.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr_path.h"
#include "common/expr_wrap.h"
#include "common/watchdog.h"

/* All jv_* functions consume what they are given: the reverse of our rule, so it ends here. */

enum { VALUE_MAX = 1 << 20, EVAL_MS = 100, DEPTH_MAX = 256 };

static const char too_large[] = "the value is larger than 1 MB";

struct state {
    jq_state *jq;
    struct state *next;
};

struct expr {
    char *source;
    unsigned uses;
    bool uses_now;
    struct expr_path *path; /* then nothing below is used */
    char *program;
    pthread_mutex_t lock; /* the pool */
    struct state *idle;
};

/* ---- errors */

static int fail(struct expr_error *error, const char *text)
{
    if (error) {
        *error = (struct expr_error){0};
        snprintf(error->text, sizeof error->text, "%s", text);
    }
    return ERR_EXPRESSION;
}

/* A value thrown by jq: text as it is, anything else as JSON. Takes the message. */
static int fail_jv(struct expr_error *error, jv message)
{
    if (jv_get_kind(message) != JV_KIND_STRING)
        message = jv_dump_string(message, 0);
    int err = fail(error, jv_string_value(message));
    jv_free(message);
    return err;
}

struct complaint {
    const char *source;
    struct expr_error *error;
    bool heard; /* the first tells most */
};

static void on_complaint(void *arg, jv message)
{
    struct complaint *c = arg;
    message = jv_get_kind(message) == JV_KIND_STRING ? message : jv_dump_string(message, 0);
    if (!c->heard)
        expr_unwrap_complaint(c->source, jv_string_value(message), c->error);
    c->heard = true;
    jv_free(message);
}

/* ---- values */

static jv to_jv(const struct json *v)
{
    jv out;
    switch (json_type(v)) {
    case JSON_BOOL:
        return jv_bool(json_bool(v));
    case JSON_NUMBER:
        return jv_number(json_number(v));
    case JSON_STRING:
        return jv_string(json_text(v));
    case JSON_ARRAY:
        out = jv_array();
        for (const struct json *i = json_first(v); i; i = json_next(i))
            out = jv_array_append(out, to_jv(i));
        return out;
    case JSON_OBJECT:
        out = jv_object();
        for (const struct json *i = json_first(v); i; i = json_next(i))
            out = jv_object_set(out, jv_string(json_key(i)), to_jv(i));
        return out;
    default:
        return jv_null();
    }
}

struct walk {
    size_t size; /* about what it prints to */
    unsigned depth;
    const char *wrong;
    bool nomem;
};

static struct json *from_jv(jv v, struct walk *w);

static struct json *from_array(jv v, struct walk *w)
{
    struct json *out = json_new_array();
    int n = jv_array_length(jv_copy(v));
    for (int i = 0; out && i < n; i++) {
        struct json *item = from_jv(jv_array_get(jv_copy(v), i), w);
        if (!item || json_push(out, item) != 0) {
            json_free(out);
            out = NULL;
        }
    }
    jv_free(v);
    return out;
}

static struct json *from_object(jv v, struct walk *w)
{
    struct json *out = json_new_object();
    for (int i = jv_object_iter(v); out && jv_object_iter_valid(v, i);
         i = jv_object_iter_next(v, i)) {
        jv key = jv_object_iter_key(v, i);
        struct json *item = from_jv(jv_object_iter_value(v, i), w);
        w->size += (size_t)jv_string_length_bytes(jv_copy(key)) + 4;
        if (!item || json_put(out, jv_string_value(key), item) != 0) {
            json_free(out);
            out = NULL;
        }
        jv_free(key);
    }
    jv_free(v);
    return out;
}

static struct json *from_text(jv v, struct walk *w)
{
    size_t len = (size_t)jv_string_length_bytes(jv_copy(v));
    struct json *out = NULL;
    w->size += len + 3;
    if (w->size > VALUE_MAX)
        w->wrong = too_large;
    else if (memchr(jv_string_value(v), 0, len))
        w->wrong = "a text with a NUL character";
    else
        out = json_new_text_n(jv_string_value(v), len);
    jv_free(v);
    return out;
}

static struct json *from_scalar(jv v, struct walk *w)
{
    jv_kind kind = jv_get_kind(v);
    double n = kind == JV_KIND_NUMBER ? jv_number_value(v) : 0;
    jv_free(v);
    w->size += kind != JV_KIND_NUMBER ? 5 : fabs(n) < 100 && floor(n) == n ? 2 : 8;
    if (kind == JV_KIND_NUMBER && !isfinite(n)) {
        w->wrong = isnan(n) ? "the value holds a number that is none (NaN)"
                            : "the value holds an infinite number";
        return NULL;
    }
    return kind == JV_KIND_NUMBER ? json_new_number(n)
           : kind == JV_KIND_NULL ? json_new_null()
                                  : json_new_bool(kind == JV_KIND_TRUE);
}

/* Takes v. NULL: w->wrong says why, else there is no memory. */
static struct json *from_jv(jv v, struct walk *w)
{
    struct json *out = NULL;
    if (w->size > VALUE_MAX || w->depth >= DEPTH_MAX) {
        w->wrong = w->depth >= DEPTH_MAX ? "the value is nested too deeply" : too_large;
        jv_free(v);
        return NULL;
    }
    w->depth++;
    jv_kind kind = jv_get_kind(v);
    if (kind == JV_KIND_ARRAY)
        out = from_array(v, w);
    else if (kind == JV_KIND_OBJECT)
        out = from_object(v, w);
    else if (kind == JV_KIND_STRING)
        out = from_text(v, w);
    else
        out = from_scalar(v, w);
    w->depth--;
    return out;
}

/* ---- compiled states */

static void state_free(struct state *s)
{
    if (s)
        jq_teardown(&s->jq);
    free(s);
}

static void on_message(void *unused, jv message)
{
    (void)unused;
    jv_free(message); /* never to stderr, between our log lines */
}

static struct state *state_new(const struct expr *e, struct complaint *c)
{
    struct state *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->jq = jq_init();
    if (!s->jq) {
        free(s);
        return NULL;
    }
    jq_set_error_cb(s->jq, c ? on_complaint : on_message, c);
    jq_set_attr(s->jq, jv_string("JQ_LIBRARY_PATH"), jv_array());
    if (!jq_compile(s->jq, e->program)) {
        state_free(s);
        return NULL;
    }
    jq_set_error_cb(s->jq, on_message, NULL);
    jq_set_debug_cb(s->jq, on_message, NULL);
    return s;
}

static struct state *state_get(struct expr *e)
{
    pthread_mutex_lock(&e->lock);
    struct state *s = e->idle;
    if (s)
        e->idle = s->next;
    pthread_mutex_unlock(&e->lock);
    return s ? s : state_new(e, NULL);
}

static void state_put(struct expr *e, struct state *s)
{
    pthread_mutex_lock(&e->lock);
    s->next = e->idle;
    e->idle = s;
    pthread_mutex_unlock(&e->lock);
}

/* ---- compile */

static int compile_jq(struct expr *e, const struct expr_scan *scan, struct expr_error *error)
{
    struct complaint c = {e->source, error, false};
    e->program = expr_wrap(e->source, scan);
    if (!e->program)
        return ERR_NOMEM;
    e->idle = state_new(e, &c);
    if (e->idle)
        return 0;
    return c.heard ? ERR_EXPRESSION : ERR_NOMEM;
}

static void home_hide(void)
{
    setenv("HOME", "/dev/null", 1); /* unset, jq 1.6 asks the password file */
}

static void home_hide_once(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, home_hide);
}

int expr_compile(const char *text, unsigned visible, struct expr **out, struct expr_error *error)
{
    struct expr_scan scan;
    struct expr_error ignored;
    error = error ? error : &ignored;
    int err = expr_scan(text, visible, &scan, error);
    if (err)
        return err;
    struct expr *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    pthread_mutex_init(&e->lock, NULL);
    e->uses = scan.uses;
    e->uses_now = scan.uses_now;
    e->source = strdup(text);
    err = e->source ? expr_path_compile(text, &e->path) : ERR_NOMEM;
    if (err == ERR_UNSUPPORTED) {
        home_hide_once();
        err = compile_jq(e, &scan, error);
    }
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
    for (struct state *s; (s = e->idle) != NULL;) {
        e->idle = s->next;
        state_free(s);
    }
    pthread_mutex_destroy(&e->lock);
    expr_path_free(e->path);
    free(e->program);
    free(e->source);
    free(e);
}

unsigned expr_uses(const struct expr *e)
{
    return e->uses;
}

const char *expr_source(const struct expr *e)
{
    return e->source;
}

/* ---- evaluate */

static jv input(const struct expr *e, const struct expr_vars *vars)
{
    jv all = jv_array();
    for (unsigned v = 0; v < VAR_COUNT; v++) {
        if (e->uses & VAR_BIT(v))
            all = jv_array_append(all, to_jv(vars->value[v]));
    }
    if (!e->uses_now)
        return all;
    double now = (double)vars->created_us / 1e6;
    return jv_array_append(all, jv_number(now));
}

/* The one value, or an invalid jv: then error is filled. */
static jv only_value(jq_state *jq, struct expr_error *error)
{
    jv first = jq_next(jq);
    if (!jv_is_valid(first)) {
        if (jv_invalid_has_msg(jv_copy(first)))
            fail_jv(error, jv_invalid_get_msg(first));
        else {
            jv_free(first);
            fail(error, "no value: an expression gives exactly one");
        }
        return jv_invalid();
    }
    jv second = jq_next(jq);
    if (!jv_is_valid(second) && !jv_invalid_has_msg(jv_copy(second))) {
        jv_free(second);
        return first;
    }
    jv_free(first);
    if (jv_is_valid(second)) {
        jv_free(second);
        fail(error, "several values: an expression gives exactly one; wrap it in [ ]");
    } else {
        fail_jv(error, jv_invalid_get_msg(second));
    }
    return jv_invalid();
}

static void on_overdue(void *jq)
{
    jq_halt(jq, jv_invalid(), jv_invalid());
}

/* *out: what jq gives; on success a valid value. The state goes back to the pool, unless it was
 * halted: those are thrown away. */
static int run(struct expr *e, const struct expr_vars *vars, jv *out, struct expr_error *error)
{
    struct watchdog_item item;
    struct state *s = state_get(e);
    if (!s)
        return ERR_NOMEM;
    jq_start(s->jq, input(e, vars), 0);
    watchdog_arm(&item, EVAL_MS, on_overdue, s->jq);
    jv value = only_value(s->jq, error);
    if (watchdog_disarm(&item)) {
        jv_free(value);
        state_free(s);
        return fail(error, "took more than 100 ms");
    }
    if (!jv_is_valid(value)) {
        jq_start(s->jq, jv_null(), 0); /* forget what a broken run left */
        state_put(e, s);
        jv_free(value);
        return ERR_EXPRESSION;
    }
    state_put(e, s);
    *out = value;
    return 0;
}

static int eval_jq(struct expr *e, const struct expr_vars *vars, struct json **out,
                   struct expr_error *error)
{
    struct walk walk = {0};
    jv value;
    int err = run(e, vars, &value, error);
    if (err)
        return err;
    struct json *made = from_jv(value, &walk);
    if (!made)
        return walk.wrong ? fail(error, walk.wrong) : ERR_NOMEM;
    *out = made;
    return 0;
}

int expr_view(struct expr *e, const struct expr_vars *vars, const struct json **out,
              struct json **owned, struct expr_error *error)
{
    struct json *made = NULL;
    int err = e->path ? expr_path_eval(e->path, vars, out, error) : eval_jq(e, vars, &made, error);
    if (err)
        return err;
    if (!e->path)
        *out = made;
    *owned = made;
    return 0;
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
        return fail(error, too_large);
    if (!owned)
        owned = seen ? json_copy(seen) : json_new_null();
    if (!owned)
        return ERR_NOMEM;
    *out = owned;
    return 0;
}

/* ---- start-up */

static void *self_test(void *arg)
{
    struct expr_vars vars = {0};
    struct expr *e = NULL;
    struct json *out = NULL;
    bool *good = arg;
    if (expr_compile("[1, 2] | add", 0, &e, NULL) == 0 && expr_eval(e, &vars, &out, NULL) == 0)
        *good = json_number(out) == 3;
    json_free(out);
    expr_free(e);
    return NULL;
}

int expr_start(void)
{
    bool here = false, there = false;
    pthread_t thread;
    home_hide_once();
    if (watchdog_start() != 0)
        return ERR_BUG;
    if (pthread_create(&thread, NULL, self_test, &there) == 0) {
        self_test(&here);
        pthread_join(thread, NULL);
    }
    if (here && there)
        return 0;
    watchdog_stop();
    return ERR_BUG;
}

void expr_stop(void)
{
    watchdog_stop();
}
