#include "worker/eval_given.h"

#include "common/exit_code.h"
#include "worker/arguments.h"

void eval_given_fini(struct eval_given *g)
{
    json_free(g->request);
    json_free(g->replies);
    json_free(g->rows);
    json_free(g->user);
    json_free(g->job);
}

static int given_job(struct eval_given *g, const struct eval_settings *s, const struct flow *f)
{
    g->user = json_new_object();
    g->job = json_new_object();
    if (!g->user || !g->job)
        return ERR_NOMEM;
    int err = json_put(g->user, "id", s->user ? json_new_text(s->user) : json_new_null());
    err |= json_put(g->job, "id", json_new_text("01990c5e-0000-7000-8000-000000000000"));
    err |= json_put(g->job, "flow", json_new_text(f->name));
    err |= json_put(g->job, "created_at", json_new_text("2026-01-01T00:00:00.000000Z"));
    err |= json_put(g->job, "deadline", json_new_text("2026-01-01T00:05:00.000000Z"));
    err |= json_put(g->job, "refill", json_new_bool(false));
    return err ? ERR_NOMEM : 0;
}

int eval_given_read(struct eval_given *g, const struct eval_settings *s, const struct flow *f,
                    const struct complaint *to)
{
    int bad = argument_json("--request", s->request, &g->request, to);
    if (!bad)
        bad = argument_json("--replies", s->replies, &g->replies, to);
    if (!bad)
        bad = argument_json("--rows", s->rows, &g->rows, to);
    const struct json *examples = json_get(f->schema_source, "examples");
    if (!bad && !g->request && json_size(examples))
        g->request = json_copy(json_at(examples, 0));
    if (!bad && !g->request)
        return complain(to, EXIT_USAGE,
                        "eval needs --request JSON or @FILE; the schema has no example");
    for (const struct json *r = json_first(g->replies); r; r = json_next(r)) {
        const char *name = json_key(r) ? json_key(r) : "";
        if (!flow_call_of(f, name))
            return complain(to, EXIT_USAGE, "--replies: no call is named \"%.80s\"", name);
    }
    return bad ? EXIT_USAGE : given_job(g, s, f) ? EXIT_BUG : 0;
}
