#include "common/meaning.h"

#include <string.h>

#include "common/complaint.h"
#include "common/exit_code.h"
#include "common/finding.h"
#include "common/json.h"

static void member(struct buf *b, const char *name, const char *text)
{
    buf_printf(b, ",\"%s\":", name);
    json_print_text(text, strlen(text), b);
}

static void print_json(const struct meaning *m, FILE *out)
{
    struct buf b = {0};
    buf_printf(&b, "{\"code\":\"%s\"", m->code);
    member(&b, "kind", m->kind);
    if (m->status)
        buf_printf(&b, ",\"status\":%d", m->status);
    member(&b, "title", m->title);
    if (m->help)
        member(&b, "help", m->help);
    fprintf(out, "%s}\n", buf_str(&b));
    buf_fini(&b);
}

static void print_one(const struct meaning *m, FILE *out)
{
    fprintf(out, "%s (%s", m->code, m->kind);
    if (m->status)
        fprintf(out, ", status %d", m->status);
    fprintf(out, "): %s\n", m->title);
    if (m->help)
        fprintf(out, "  %s\n", m->help);
}

static int unknown(const struct meaning *all, size_t n, const struct meaning_ask *ask)
{
    const struct complaint to = {ask->err, ask->program, ask->json};
    const char *names[MEANINGS_MAX];
    for (size_t i = 0; i < n && i < MEANINGS_MAX; i++)
        names[i] = all[i].code;
    const char *near = nearest_name(ask->code, names, n);
    if (near)
        return complain(&to, EXIT_USAGE, "`%.60s` is no code; did you mean `%s`?", ask->code, near);
    return complain(&to, EXIT_USAGE, "`%.60s` is no code; `%s` without one lists them all",
                    ask->code, ask->verb);
}

int meaning_tell(const struct meaning *all, size_t n, const struct meaning_ask *ask)
{
    const char *kind = "";
    bool found = false;
    for (size_t i = 0; i < n; i++) {
        const struct meaning *m = &all[i];
        if (ask->code && strcmp(m->code, ask->code) != 0)
            continue;
        found = true;
        if (!ask->json && !ask->code && strcmp(m->kind, kind) != 0)
            fprintf(ask->out, "%s\n", kind = m->kind);
        if (ask->json)
            print_json(m, ask->out);
        else if (ask->code)
            print_one(m, ask->out);
        else
            fprintf(ask->out, "  %-18s %s\n", m->code, m->title);
    }
    return found ? EXIT_GOOD : unknown(all, n, ask);
}
