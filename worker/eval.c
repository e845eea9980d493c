#include "worker/eval.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/exit_code.h"
#include "common/sql_template.h"
#include "worker/arguments.h"
#include "worker/call_request.h"
#include "worker/eval_given.h"
#include "worker/eval_print.h"
#include "worker/outcome.h"
#include "worker/plan.h"
#include "worker/retry.h"

enum { NAME_LEN = 200 };
enum { CREATED_S = 1767225600 };

struct eval {
    const struct flow *flow;
    const struct json *replies;
    struct expr_vars vars;
    FILE *out;
    bool json, failed, no_memory;
    enum job_reason reason; /* why the job would fail: the first one */
    struct json *refusal;   /* the text of the `check` that refused it */
};

/* ---- one line each */

static void print_line(const struct eval *e, const char *name, const char *member, const char *text)
{
    eval_print(e->out, e->json, &(struct eval_line){name, member, text});
}

/* Takes v. */
static void show(struct eval *e, const char *name, int err, struct json *v,
                 const struct expr_error *error)
{
    struct buf text;
    buf_init(&text, 0);
    if (err == ERR_NOMEM) {
        e->no_memory = true;
    } else if (err) {
        e->failed = true;
        print_line(e, name, "error", error->text);
    } else {
        json_print(v, &text);
        print_line(e, name, "value", buf_str(&text));
    }
    buf_fini(&text);
    json_free(v);
}

/* The value too, owned; NULL: none, or it failed (*failed). */
static struct json *compute(struct eval *e, const char *name, struct expr *x,
                            const struct expr_vars *vars, bool *failed)
{
    struct expr_error error = {0};
    struct json *v = NULL;
    if (!x)
        return NULL;
    int err = expr_eval(x, vars, &v, &error);
    *failed = err != 0;
    show(e, name, err, err ? NULL : json_copy(v), &error);
    return v;
}

static void compute_only(struct eval *e, const char *name, struct expr *x,
                         const struct expr_vars *vars)
{
    bool failed;
    json_free(compute(e, name, x, vars, &failed));
}

static void render(struct eval *e, const char *name, struct template *t,
                   const struct expr_vars *vars)
{
    struct expr_error error = {0};
    struct json *v = NULL;
    int err = t ? template_render(t, vars, &v, &error) : 0;
    if (t)
        show(e, name, err, v, &error);
}

static void render_sql(struct eval *e, const char *name, const struct sql_template *t,
                       const struct expr_vars *vars)
{
    struct expr_error error = {0};
    struct json *v = NULL;
    int err = t ? sql_template_render(t, vars, &v, &error) : 0;
    if (t)
        show(e, name, err, v, &error);
}

__attribute__((format(printf, 2, 3))) static const char *named(char out[NAME_LEN],
                                                               const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(out, NAME_LEN, format, args);
    va_end(args);
    return out;
}

/* `when`: true without one, or if it failed: its parts may still be looked at. */
static bool is_wanted(struct eval *e, const char *of, struct expr *when,
                      const struct expr_vars *vars)
{
    char name[NAME_LEN];
    bool failed = false;
    struct json *v = compute(e, named(name, "%s.when", of), when, vars, &failed);
    bool wanted = !when || failed || json_bool(v);
    json_free(v);
    return wanted;
}

/* The elements of for_each, owned; NULL: there is none, or it gives no array. */
static struct json *elements(struct eval *e, const char *of, const struct flow_each *each,
                             const struct expr_vars *vars)
{
    char name[NAME_LEN];
    bool failed = false;
    if (each->list)
        return json_copy(each->list);
    struct json *list = compute(e, named(name, "%s.for_each", of), each->expr, vars, &failed);
    if (!list || json_is(list, JSON_ARRAY))
        return list;
    e->failed = true;
    print_line(e, name, "error", "`for_each` is no array");
    json_free(list);
    return NULL;
}

/* ---- calls */

struct answer {
    const struct json *reply;
    struct plan_item *item;
    struct outcome *outcome;
    struct expr_vars vars;
};

static void show_request(struct eval *e, const struct flow_call *c, const char *of,
                         const struct expr_vars *vars)
{
    char name[NAME_LEN];
    const char *why = NULL;
    render(e, named(name, "%s.request.path", of), c->path, vars);
    for (size_t i = 0; i < c->headers_n; i++)
        render(e, named(name, "%s.request.headers.%s", of, c->headers[i].name), c->headers[i].value,
               vars);
    render(e, named(name, "%s.request.body", of), c->body, vars);
    if (call_request_try(c, vars, &why) == ERR_NOMEM)
        e->no_memory = true;
    if (why) {
        e->failed = true;
        print_line(e, named(name, "%s.request", of), "error", why);
    }
}

static void end_item(struct answer *a, enum item_state state, enum call_code code)
{
    a->item->state = (uint8_t)state;
    a->item->code = (uint8_t)code;
}

/* As call_run.c: `ok`, else 2xx; then `result`, else the body. */
static void show_answer(struct eval *e, const struct flow_call *c, const char *of, struct answer *a)
{
    char name[NAME_LEN];
    bool failed = false;
    const struct json *status = json_get(a->reply, "status");
    unsigned number = status ? (unsigned)json_number(status) : 200;
    struct json *text = json_new_number(number);
    struct json *headers = json_new_object();
    a->vars.value[VAR_STATUS] = text;
    a->vars.value[VAR_HEADERS] =
        json_get(a->reply, "headers") ? json_get(a->reply, "headers") : headers;
    a->vars.value[VAR_BODY] = json_get(a->reply, "body");
    a->outcome->status = (uint16_t)number;
    a->outcome->attempts = 1;
    struct json *ok = compute(e, named(name, "%s.ok", of), c->ok, &a->vars, &failed);
    bool good = c->ok ? !failed && json_bool(ok) : number / 100 == 2;
    json_free(ok);
    failed = false;
    if (good && c->result)
        a->outcome->result = compute(e, named(name, "%s.result", of), c->result, &a->vars, &failed);
    else if (good && a->vars.value[VAR_BODY])
        a->outcome->result = json_copy(a->vars.value[VAR_BODY]);
    if (good && !failed)
        end_item(a, ITEM_SUCCEEDED, CALL_OK);
    else
        end_item(a, ITEM_FAILED,
                 number / 100 == 2 ? CALL_BAD_BODY : retry_status_code((int)number));
    json_free(text);
    json_free(headers);
}

static void eval_item(struct eval *e, const struct flow_call *c, const char *of, struct answer *a)
{
    show_request(e, c, of, &a->vars);
    if (a->reply) {
        show_answer(e, c, of, a);
        return;
    }
    print_line(e, of, "no reply", "its `ok` and `result` need one; --replies names it");
    end_item(a, ITEM_FAILED, CALL_CONNECT);
}

static const struct json *reply_of(const struct eval *e, const struct flow_call *c, size_t item)
{
    const struct json *reply = json_get(e->replies, c->name);
    if (!json_is(reply, JSON_ARRAY))
        return reply;
    return item < json_size(reply) ? json_at(reply, item) : NULL;
}

static void eval_call(struct eval *e, struct call_items *calls, size_t place)
{
    const struct flow_call *c = &e->flow->calls[place];
    struct call_items *items = &calls[place];
    struct expr_vars vars = e->vars;
    struct json *seen = NULL, *list = NULL;
    char of[NAME_LEN], name[NAME_LEN];
    named(of, "calls.%s", c->name);
    if (outcome_seen(e->flow, calls, c, &seen))
        e->no_memory = true;
    vars.value[VAR_CALLS] = seen;
    items->begun = true;
    if (plan_is_skipped(e->flow, calls, place) || !is_wanted(e, of, c->when, &vars)) {
        items->items[0].state = ITEM_SKIPPED;
        print_line(e, of, "skipped", "not made");
    } else {
        list = elements(e, of, &c->each, &vars);
        bool each = flow_call_has_items(c);
        if (each && items_expand(items, json_size(list)))
            e->no_memory = true;
        items->list = each ? list : NULL;
        for (size_t i = 0; i < items->n && !e->no_memory; i++) {
            struct answer a = {reply_of(e, c, i), &items->items[i], &items->outcomes[i], vars};
            struct json *index = json_new_number((double)i);
            if (each) {
                a.vars.value[VAR_ITEM] = json_at(list, i);
                a.vars.value[VAR_INDEX] = index;
            }
            eval_item(e, c, each ? named(name, "%s[%zu]", of, i) : of, &a);
            json_free(index);
        }
    }
    items->list_owned = list;
    json_free(seen);
}

static void eval_calls(struct eval *e, struct json **calls)
{
    struct call_items *items = NULL;
    if (items_new(e->flow, &items)) {
        e->no_memory = true;
        return;
    }
    for (size_t next = 0; (next = plan_next(e->flow, items, 0)) < e->flow->calls_n;)
        eval_call(e, items, next);
    if (outcome_variable(e->flow, items, calls))
        e->no_memory = true;
    struct plan_verdict verdict;
    plan_judge(e->flow, items, false, &verdict);
    if (verdict.state == JOB_FAILED && !e->reason)
        e->reason = verdict.reason;
    items_free(e->flow, items);
}

/* ---- the flow, in order */

/* A part whose expressions must not fail, else the job does. */
static void eval_part(struct eval *e, void (*fn)(struct eval *e))
{
    bool before = e->failed;
    e->failed = false;
    fn(e);
    if (e->failed && !e->reason)
        e->reason = REASON_EXPRESSION;
    e->failed |= before;
}

/* Of a record that another producer wrote. */
static void eval_topic(struct eval *e)
{
    const struct flow *f = e->flow;
    struct expr_vars vars = {.created_us = e->vars.created_us};
    vars.value[VAR_REQUEST] = e->vars.value[VAR_REQUEST];
    compute_only(e, "topic.id", f->topic.id, &vars);
    if (f->cache.scope != SCOPE_SHARED)
        compute_only(e, "topic.user", f->topic.user, &vars);
}

static void eval_gateway(struct eval *e)
{
    const struct flow *f = e->flow;
    char name[NAME_LEN];
    for (size_t i = 0; i < f->set_n; i++)
        compute_only(e, named(name, "request.set.%s", f->set[i].name), f->set[i].expr, &e->vars);
    compute_only(e, "request.key", f->key, &e->vars);
    compute_only(e, "cache.key", f->cache.key, &e->vars);
}

static void eval_loads(struct eval *e)
{
    char of[NAME_LEN], name[NAME_LEN];
    for (size_t i = 0; i < e->flow->loads_n; i++) {
        const struct flow_load *l = &e->flow->loads[i];
        named(of, "load.%s", l->name);
        if (is_wanted(e, of, l->when, &e->vars))
            render_sql(e, named(name, "%s.sql", of), l->sql, &e->vars);
    }
}

static void refuse(struct eval *e, const char *name, struct template *message)
{
    render(e, name, message, &e->vars);
    if (!e->reason && template_render(message, &e->vars, &e->refusal, NULL) == 0)
        e->reason = REASON_REFUSED;
}

static void eval_checks(struct eval *e)
{
    char of[NAME_LEN], name[NAME_LEN];
    for (size_t i = 0; i < e->flow->checks_n; i++) {
        const struct flow_check *c = &e->flow->checks[i];
        bool failed = false;
        named(of, "check[%zu]", i);
        if (!is_wanted(e, of, c->when, &e->vars))
            continue;
        struct json *that = compute(e, named(name, "%s.that", of), c->that, &e->vars, &failed);
        if (!failed && !json_bool(that))
            refuse(e, named(name, "%s.else", of), c->message);
        json_free(that);
    }
}

/* fn for each element of for_each, or once. */
static void each(struct eval *e, const char *of, const struct flow_each *each_of,
                 void (*fn)(struct eval *e, const char *of, const void *entry,
                            const struct expr_vars *vars),
                 const void *entry)
{
    char name[NAME_LEN];
    struct expr_vars vars = e->vars;
    if (!each_of->expr && !each_of->list) {
        fn(e, of, entry, &vars);
        return;
    }
    struct json *list = elements(e, of, each_of, &vars);
    for (size_t i = 0; i < json_size(list); i++) {
        struct json *index = json_new_number((double)i);
        vars.value[VAR_ITEM] = json_at(list, i);
        vars.value[VAR_INDEX] = index;
        fn(e, named(name, "%s[%zu]", of, i), entry, &vars);
        json_free(index);
    }
    json_free(list);
}

static void eval_save(struct eval *e, const char *of, const void *entry,
                      const struct expr_vars *vars)
{
    const struct flow_save *s = entry;
    char name[NAME_LEN];
    render_sql(e, named(name, "%s.sql", of), s->sql, vars);
}

static void eval_emit(struct eval *e, const char *of, const void *entry,
                      const struct expr_vars *vars)
{
    const struct flow_emit *m = entry;
    char name[NAME_LEN];
    compute_only(e, named(name, "%s.key", of), m->key, vars);
    render(e, named(name, "%s.value", of), m->value, vars);
}

static void eval_end(struct eval *e)
{
    const struct flow *f = e->flow;
    char of[NAME_LEN];
    for (size_t i = 0; i < f->saves_n; i++)
        if (is_wanted(e, named(of, "save[%zu]", i), f->saves[i].when, &e->vars))
            each(e, of, &f->saves[i].each, eval_save, &f->saves[i]);
    for (size_t i = 0; i < f->emits_n; i++)
        if (is_wanted(e, named(of, "emit[%zu]", i), f->emits[i].when, &e->vars))
            each(e, of, &f->emits[i].each, eval_emit, &f->emits[i]);
    render(e, "notify.done", f->notify.done, &e->vars);
}

/* `$error`; of a job that would not fail, as if its calls had. */
static struct json *error_value(const struct eval *e)
{
    enum job_reason reason = e->reason ? e->reason : REASON_NEED_NOT_MET;
    struct json *v = json_new_object();
    int err = v ? json_put(v, "code", json_new_text(reason_code(reason))) : ERR_NOMEM;
    if (!err)
        err = json_put(v, "message",
                       e->refusal ? json_copy(e->refusal) : json_new_text(reason_for_user(reason)));
    if (!err)
        return v;
    json_free(v);
    return NULL;
}

/* What is said of a job that fails. */
static void eval_notify(struct eval *e)
{
    struct expr_vars vars = e->vars;
    struct json *error = error_value(e);
    if (!error)
        e->no_memory = true;
    vars.value[VAR_RESULT] = NULL;
    vars.value[VAR_ERROR] = error;
    render(e, "notify.failed", e->flow->notify.failed, &vars);
    json_free(error);
}

static void eval_before_calls(struct eval *e)
{
    eval_loads(e);
    eval_checks(e);
    compute_only(e, "pool.key", e->flow->pool.key, &e->vars);
}

static void eval_flow(struct eval *e)
{
    struct json *calls = NULL;
    bool failed = false;
    eval_topic(e);
    eval_gateway(e);
    eval_part(e, eval_before_calls);
    eval_calls(e, &calls);
    e->vars.value[VAR_CALLS] = calls;
    struct json *result = compute(e, "result", e->flow->result, &e->vars, &failed);
    e->vars.value[VAR_RESULT] = result;
    if (!failed)
        eval_part(e, eval_end);
    else if (!e->reason)
        e->reason = REASON_EXPRESSION;
    eval_notify(e);
    json_free(result);
    json_free(calls);
    json_free(e->refusal);
}

/* ---- */

static int eval_with(const struct eval_settings *s, const struct flow *f, FILE *out,
                     const struct complaint *to)
{
    struct eval_given g = {0};
    struct json *none = json_new_object();
    int code = none ? eval_given_read(&g, s, f, to) : EXIT_BUG;
    struct eval e = {.flow = f, .replies = g.replies, .out = out, .json = s->json};
    if (!code) {
        e.vars.value[VAR_REQUEST] = g.request;
        e.vars.value[VAR_USER] = g.user;
        e.vars.value[VAR_JOB] = g.job;
        e.vars.value[VAR_ROWS] = g.rows ? g.rows : none;
        e.vars.created_us = CREATED_S * INT64_C(1000000);
        eval_flow(&e);
        code = e.no_memory ? EXIT_BUG : e.failed ? EXIT_FINDINGS : EXIT_GOOD;
    }
    json_free(none);
    eval_given_fini(&g);
    return code;
}

int eval_run(const struct eval_settings *s, FILE *out, FILE *err)
{
    struct flow_set *set = NULL;
    const struct complaint to = {err, "offpath-worker", s->json};
    char name[NAME_LEN];
    if (!s->flow)
        return complain(&to, EXIT_USAGE, "eval needs a flow: eval price-compare --request '{...}'");
    if (expr_start() != 0)
        return EXIT_BUG;
    int code = argument_flow(s->flow, &s->load, name, sizeof name, &set, &to);
    const struct flow *f = set ? flow_by_name(set, name) : NULL;
    const char *near = set ? flow_nearest(set, name) : NULL;
    if (!code && !f)
        code = complain(&to, EXIT_USAGE, "there is no flow \"%.80s\"%s%s%s", name,
                        near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
    else if (!code)
        code = eval_with(s, f, out, &to);
    flow_set_put(set);
    expr_stop();
    return code;
}
