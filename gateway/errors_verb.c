#include "gateway/errors_verb.h"

#include <stdio.h>
#include <string.h>

#include "common/complaint.h"
#include "common/finding.h"
#include "common/job.h"
#include "common/json.h"
#include "gateway/options.h"

/* A code as a user meets it: in a problem, as a job's reason or as a call's error. */
struct meaning {
    const char *kind, *code, *title, *help;
    int status; /* of a problem; else 0 */
};

enum { MEANINGS_MAX = 160 };

static size_t problems(struct meaning *out)
{
    size_t n = 0;
    for (unsigned i = 0; err_at(i) && n < MEANINGS_MAX; i++) {
        const struct err_info *e = err_at(i);
        if (e->err > ERR_NOMEM) /* the rest borrow a code from these */
            out[n++] = (struct meaning){"error", e->code, e->title, err_help(e->code), e->http};
    }
    return n;
}

static size_t meanings(struct meaning out[MEANINGS_MAX])
{
    size_t n = problems(out);
    for (int r = REASON_NONE + 1; r < REASON_COUNT && n < MEANINGS_MAX; r++)
        out[n++] = (struct meaning){"reason of a job", reason_code((enum job_reason)r),
                                    reason_for_user((enum job_reason)r), NULL, 0};
    for (int c = CALL_OK + 1; c < CALL_CODE_COUNT && n < MEANINGS_MAX; c++)
        out[n++] = (struct meaning){"error of a call", call_code((enum call_code)c),
                                    call_code_for_user((enum call_code)c), NULL, 0};
    return n;
}

static void member(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    json_print_text(text, strlen(text), b);
}

static void print_json(const struct meaning *m)
{
    struct buf b = {0};
    buf_printf(&b, "{\"code\":\"%s\"", m->code);
    member(&b, "kind", m->kind);
    if (m->status)
        buf_printf(&b, ",\"status\":%d", m->status);
    member(&b, "title", m->title);
    if (m->help)
        member(&b, "help", m->help);
    puts((buf_text(&b, "}"), buf_str(&b)));
    buf_fini(&b);
}

static void print_one(const struct meaning *m)
{
    printf("%s (%s", m->code, m->kind);
    if (m->status)
        printf(", status %d", m->status);
    printf("): %s\n", m->title);
    if (m->help)
        printf("  %s\n", m->help);
}

static int unknown(const struct meaning *all, size_t n, const char *code, bool json)
{
    const char *names[MEANINGS_MAX];
    for (size_t i = 0; i < n; i++)
        names[i] = all[i].code;
    const char *near = nearest_name(code, names, n);
    return complain(&(struct complaint){stderr, "offpath-gateway", json}, EXIT_USAGE,
                    "`%.60s` is no code; %s%s%s", code,
                    near ? "did you mean `" : "`errors` lists them", near ? near : "",
                    near ? "`?" : "");
}

int errors_verb(const struct verb_call *call)
{
    struct meaning all[MEANINGS_MAX];
    const char *code = call->words_n > 1 ? call->words[1] : NULL, *kind = "";
    bool json = config_bool(call->config, "json"), found = false;
    size_t n = meanings(all);
    for (size_t i = 0; i < n; i++) {
        if (code && strcmp(all[i].code, code) != 0)
            continue;
        found = true;
        if (!json && !code && strcmp(all[i].kind, kind) != 0)
            printf("%s\n", kind = all[i].kind);
        if (json)
            print_json(&all[i]);
        else if (code)
            print_one(&all[i]);
        else
            printf("  %-18s %s\n", all[i].code, all[i].title);
    }
    return found ? EXIT_GOOD : unknown(all, n, code, json);
}
