#include "gateway/flows_verb.h"

#include "common/flow.h"
#include "gateway/person.h"

enum { NAME_MAX_WIDTH = 24, TITLE_MAX = FLOW_TITLE };

static void print_flow(const struct person *p, const struct json *flow)
{
    const struct terminal *t = &p->terminal;
    const struct json *example = json_at(json_get(flow, "examples"), 0);
    char title[TITLE_MAX];
    struct buf b = {0};
    if (p->json) {
        json_print(flow, &b);
        terminal_json(t->out, buf_str(&b));
        buf_fini(&b);
        return;
    }
    terminal_clean(person_text(flow, "title"), t->columns > 40 ? t->columns - 28 : 0, title,
                   sizeof title);
    fprintf(t->out, "%-*s  %s\n", NAME_MAX_WIDTH, person_text(flow, "flow"), title);
    if (example && t->columns) { /* for people only: a pipe wants one line a flow */
        json_print(example, &b);
        terminal_clean(buf_str(&b), t->columns > 40 ? t->columns - 28 : 0, title, sizeof title);
        fprintf(t->out, "%*s  %s%s%s\n", NAME_MAX_WIDTH, "", terminal_tone(t, t->out, TONE_FAINT),
                title, terminal_plain(t, t->out));
        buf_fini(&b);
    }
}

int flows_verb(const struct verb_call *call)
{
    struct person p;
    struct talk_answer a = {.retry_s = -1};
    int code = person_open(call, &p);
    if (!code)
        code = person_get(&p, "/v1/flows", &a);
    const struct json *items = code ? NULL : json_get(a.json, "items");
    for (const struct json *f = json_first(items); f; f = json_next(f))
        print_flow(&p, f);
    if (!code && json_size(items) == 0 && !p.json)
        fputs("no flows for you here; a token may know more\n", p.terminal.err);
    talk_answer_fini(&a);
    person_close(&p);
    return code;
}
