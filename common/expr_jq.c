#include "common/expr_program.h"

#include <dlfcn.h>
#include <jq.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/expr_guard.h"
#include "common/watchdog.h"

/* All jv_* functions consume what they are given: the reverse of our rule, so it ends here. */

enum { VALUE_MAX = 1 << 20, EVAL_MS = 100 };

static const char too_large[] = "the value is larger than 1 MB";

static const char too_slow[] = "took more than 100 ms";

struct state {
    jq_state *jq;
    struct expr_guard guard; /* whatever calls libjq for this state does so inside it */
    struct state *next;
};

struct expr_program {
    char *text;
    pthread_mutex_t lock; /* the pool */
    struct state *idle;
    unsigned bits; /* of which part */
    _Atomic unsigned refs;
};

/* ---- what stands in for libjq's own (expr_guard.h) */

static void (*real_free)(jv);
static jv (*real_append_buf)(jv, const char *, int);

__attribute__((constructor)) static void find_real(void)
{
    *(void **)&real_free = dlsym(RTLD_NEXT, "jv_free");
    *(void **)&real_append_buf = dlsym(RTLD_NEXT, "jv_string_append_buf");
}

#pragma GCC visibility push(default)
/* Most of what jq frees has nothing to free. jq itself takes longer to see that: what it looks at
 * first and this saves are the costs of standing in for it. A number that has more to it has flags
 * beside its kind (jq 1.7). */
static bool is_bare(jv v)
{
    return v.kind_flags >= JV_KIND_NULL && v.kind_flags <= JV_KIND_NUMBER;
}

void jv_free(jv v)
{
    if (!is_bare(v) && !expr_guard_look())
        real_free(v);
}

/* "x" * 2e9 calls nothing else. */
jv jv_string_append_buf(jv text, const char *more, int len)
{
    (void)expr_guard_look();
    return real_append_buf(text, more, len);
}
#pragma GCC visibility pop

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
    if (error)
        error->thrown = true;
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

/* All of these borrow v: a value nested very deeply is freed inside a guard only. */
static struct json *from_jv(jv v, struct walk *w);

static struct json *from_array(jv v, struct walk *w)
{
    struct json *out = json_new_array();
    int n = jv_array_length(jv_copy(v));
    for (int i = 0; out && i < n; i++) {
        jv value = jv_array_get(jv_copy(v), i);
        struct json *item = from_jv(value, w);
        jv_free(value);
        if (!item || json_push(out, item) != 0) {
            json_free(out);
            out = NULL;
        }
    }
    return out;
}

static struct json *from_object(jv v, struct walk *w)
{
    struct json *out = json_new_object();
    for (int i = jv_object_iter(v); out && jv_object_iter_valid(v, i);
         i = jv_object_iter_next(v, i)) {
        jv key = jv_object_iter_key(v, i), value = jv_object_iter_value(v, i);
        w->size += (size_t)jv_string_length_bytes(jv_copy(key)) + 4;
        struct json *item = from_jv(value, w);
        if (!item || json_add(out, jv_string_value(key), item) != 0) {
            json_free(out);
            out = NULL;
        }
        jv_free(key);
        jv_free(value);
    }
    return out;
}

static struct json *from_text(jv v, struct walk *w)
{
    size_t len = (size_t)jv_string_length_bytes(jv_copy(v));
    w->size += len + 3;
    if (w->size > VALUE_MAX)
        w->wrong = too_large;
    else if (memchr(jv_string_value(v), 0, len))
        w->wrong = "a text with a NUL character";
    else
        return json_new_text_n(jv_string_value(v), len);
    return NULL;
}

static struct json *from_scalar(jv v, struct walk *w)
{
    jv_kind kind = jv_get_kind(v);
    double n = kind == JV_KIND_NUMBER ? jv_number_value(v) : 0;
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

/* NULL: w->wrong says why, else there is no memory. */
static struct json *from_jv(jv v, struct walk *w)
{
    struct json *out = NULL;
    jv_kind kind = jv_get_kind(v);
    if (w->size > VALUE_MAX) {
        w->wrong = too_large;
        return NULL;
    }
    if (kind != JV_KIND_ARRAY && kind != JV_KIND_OBJECT)
        return kind == JV_KIND_STRING ? from_text(v, w) : from_scalar(v, w);
    if (w->depth >= JSON_DEPTH_VALUE) {
        w->wrong = "the value is nested too deeply (64 levels at most)";
        return NULL;
    }
    w->depth++;
    w->size += 2; /* else [.,.] twenty-five times over is large for nobody but us */
    out = kind == JV_KIND_ARRAY ? from_array(v, w) : from_object(v, w);
    w->depth--;
    return out;
}

/* ---- compiled states */

static void tear_down(void *arg)
{
    struct state *s = arg;
    expr_guard_limit(&s->guard);
    expr_guard_expect_stack(&s->guard, false);
    jq_teardown(&s->jq);
}

/* Not inside its guard. Of one that was left in the middle all is freed but nothing touched. */
static void state_free(struct state *s)
{
    if (s->jq && !s->guard.wrong)
        expr_guard_run(&s->guard, tear_down, s);
    expr_guard_drop(&s->guard);
    free(s);
}

static void on_message(void *unused, jv message)
{
    (void)unused;
    jv_free(message); /* never to stderr, between our log lines */
}

struct birth {
    struct state *s;
    const struct expr_program *p;
    struct complaint *c;
    bool good;
};

static void compile(void *arg)
{
    struct birth *b = arg;
    jq_state *jq = b->s->jq = jq_init();
    if (!jq)
        return;
    jq_set_error_cb(jq, b->c ? on_complaint : on_message, b->c);
    jq_set_attr(jq, jv_string("JQ_LIBRARY_PATH"), jv_array());
    b->good = jq_compile(jq, b->p->text);
    jq_set_error_cb(jq, on_message, NULL);
    jq_set_debug_cb(jq, on_message, NULL);
}

static struct state *state_new(const struct expr_program *p, struct complaint *c)
{
    struct birth b = {calloc(1, sizeof *b.s), p, c, false};
    if (!b.s)
        return NULL;
    expr_guard_init(&b.s->guard);
    if (expr_guard_run(&b.s->guard, compile, &b) && b.good)
        return b.s;
    state_free(b.s);
    return NULL;
}

static struct state *state_get(struct expr_program *p)
{
    pthread_mutex_lock(&p->lock);
    struct state *s = p->idle;
    if (s)
        p->idle = s->next;
    pthread_mutex_unlock(&p->lock);
    return s ? s : state_new(p, NULL);
}

static void state_put(struct expr_program *p, struct state *s)
{
    pthread_mutex_lock(&p->lock);
    s->next = p->idle;
    p->idle = s;
    pthread_mutex_unlock(&p->lock);
}

/* ---- programs */

int expr_program_new(char *text, size_t n, const char *source, struct expr_program **out,
                     struct expr_error *error)
{
    struct expr_program *p = calloc(1, sizeof *p);
    struct complaint c = {source ? source : "", error, false};
    if (!p) {
        free(text);
        return ERR_NOMEM;
    }
    *p = (struct expr_program){.text = text, .bits = expr_wrap_bits(n), .refs = 1};
    pthread_mutex_init(&p->lock, NULL);
    p->idle = state_new(p, &c);
    if (p->idle) {
        *out = p;
        return 0;
    }
    expr_program_put(p);
    return c.heard ? ERR_EXPRESSION : ERR_NOMEM;
}

struct expr_program *expr_program_get(struct expr_program *p)
{
    p->refs++;
    return p;
}

void expr_program_put(struct expr_program *p)
{
    if (!p || --p->refs > 0)
        return;
    for (struct state *s; (s = p->idle) != NULL;) {
        p->idle = s->next;
        state_free(s);
    }
    pthread_mutex_destroy(&p->lock);
    free(p->text);
    free(p);
}

/* ---- evaluate */

/* As expr_wrap takes it apart. */
static jv input(unsigned which, unsigned bits, const struct expr_scan *uses,
                const struct expr_vars *vars)
{
    jv all = jv_array();
    for (unsigned bit = bits; bit-- > 0;)
        all = jv_array_append(all, jv_bool((int)(which >> bit & 1)));
    for (unsigned v = 0; v < VAR_COUNT; v++) {
        if (uses->uses & VAR_BIT(v))
            all = jv_array_append(all, to_jv(vars->value[v]));
    }
    if (!uses->uses_now)
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

static void on_overdue(void *arg)
{
    struct state *s = arg;
    jq_halt(s->jq, jv_invalid(), jv_invalid());
    expr_guard_overdue(&s->guard); /* if it does not come to look at the halt */
}

struct run {
    struct state *s;
    const struct expr_program *p;
    unsigned which;
    const struct expr_scan *uses;
    const struct expr_vars *vars;
    struct expr_error *error;
    jv value; /* invalid: error is filled */
};

static void start_jq(struct state *s, jv in)
{
    expr_guard_expect_stack(&s->guard, true);
    jq_start(s->jq, in, 0);
}

static void evaluate(void *arg)
{
    struct run *r = arg;
    jv in = input(r->which, r->p->bits, r->uses, r->vars);
    expr_guard_limit(&r->s->guard);
    start_jq(r->s, in);
    r->value = only_value(r->s->jq, r->error);
    if (!jv_is_valid(r->value))
        start_jq(r->s, jv_null()); /* forget what a broken run left */
}

static void forget(void *arg)
{
    struct run *r = arg;
    expr_guard_limit(&r->s->guard);
    jv_free(r->value);
}

/* 0: r->value is a value. ERR_EXPRESSION: it is none, and r->s is freed and NULL if it broke. */
static int run(struct run *r)
{
    struct watchdog_item item;
    watchdog_arm(&item, EVAL_MS, on_overdue, r->s);
    bool returned = expr_guard_run(&r->s->guard, evaluate, r);
    if (!watchdog_disarm(&item) && returned)
        return jv_is_valid(r->value) ? 0 : ERR_EXPRESSION;
    fail(r->error, returned ? too_slow : r->s->guard.wrong);
    r->s->guard.overdue = false; /* its end gets time of its own */
    state_free(r->s);
    r->s = NULL;
    return ERR_EXPRESSION;
}

int expr_program_eval(struct expr_program *p, unsigned which, const struct expr_scan *uses,
                      const struct expr_vars *vars, struct json **out, struct expr_error *error)
{
    struct run r = {state_get(p), p, which, uses, vars, error, jv_null()};
    struct walk walk = {0};
    if (!r.s)
        return ERR_NOMEM;
    int err = run(&r);
    if (!err) {
        struct json *made = from_jv(r.value, &walk);
        err = made ? 0 : walk.wrong ? fail(error, walk.wrong) : ERR_NOMEM;
        if (made)
            *out = made;
        if (!expr_guard_run(&r.s->guard, forget, &r)) {
            state_free(r.s);
            r.s = NULL;
        }
    }
    if (r.s && r.s->guard.spoiled)
        state_free(r.s);
    else if (r.s)
        state_put(p, r.s);
    return err;
}
