#include "gateway/jobs_verb.h"

#include <string.h>

#include "common/finding.h"
#include "gateway/follow.h"

enum { PAGE = 100, LIMIT_MAX = 10000, SHORT_ID = 8, EXCHANGE_MS = 30000, TEXT_MAX = 400 };

/* ---- list */

/* "2h" is two hours ago; anything else is a time, and the gateway says what it thinks of it. */
static void since_text(const char *typed, char out[CLOCK_TEXT])
{
    int64_t ms;
    snprintf(out, CLOCK_TEXT, "%s", typed);
    if (config_parse_duration(typed, &ms) == 0)
        clock_format(clock_wall_us(clock_real()) - ms * 1000, out);
}

static void filter(const char *name, const char *value, struct buf *path)
{
    if (!value || !value[0])
        return;
    buf_printf(path, "&%s=", name);
    person_escape(value, path);
}

static void list_path(const struct person *p, int64_t n, const char *cursor, struct buf *path)
{
    const struct config *c = p->call->config;
    const char *since = config_text(c, "since");
    char at[CLOCK_TEXT];
    buf_clear(path);
    buf_printf(path, "/v1/jobs?limit=%d", (int)(n < PAGE ? n : PAGE));
    filter("flow", config_text(c, "flow"), path);
    filter("state", config_text(c, "state"), path);
    if (since) {
        since_text(since, at);
        filter("since", at, path);
    }
    filter("cursor", cursor, path);
}

static void took_of(const struct json *job, char *out, size_t size)
{
    int64_t ms = person_span_ms(person_text(job, "created"), person_text(job, "finished"));
    if (ms < 0)
        snprintf(out, size, "-");
    else
        terminal_took(ms, out, size);
}

/* What came of it in one line: the result, else why there is none. */
static void outcome_of(const struct json *job, int width, char *out, size_t size)
{
    const struct json *result = json_get(job, "result"), *bytes = json_get(job, "result_bytes");
    struct buf b = {0};
    if (json_is(bytes, JSON_NUMBER))
        buf_printf(&b, "(%.0f bytes)", json_number(bytes));
    else if (!json_is(result, JSON_NULL))
        json_print(result, &b);
    else
        buf_text(&b, person_text(job, "message"));
    terminal_clean(buf_str(&b), width, out, size);
    buf_fini(&b);
}

enum { COLUMNS_BEFORE = 72 }; /* of a row, before its outcome */

static void print_row(const struct person *p, const struct json *job)
{
    const struct terminal *t = &p->terminal;
    const char *id = person_text(job, "id"), *state = person_text(job, "state");
    const char *flow = person_text(job, "flow");
    char took[32], outcome[TEXT_MAX], name[64];
    int width = t->columns > COLUMNS_BEFORE + 1 ? t->columns - COLUMNS_BEFORE : 1;
    took_of(job, took, sizeof took);
    outcome_of(job, t->columns ? width : 80, outcome, sizeof outcome);
    terminal_clean(flow, 17, name, sizeof name);
    fprintf(t->out, "%-8s  %s%-9s%s  %-17s  %.10s %.8s  %9s  %s\n",
            strlen(id) > SHORT_ID ? id + strlen(id) - SHORT_ID : id,
            terminal_tone(t, t->out, person_tone(state)), state, terminal_plain(t, t->out), name,
            person_text(job, "created"),
            strlen(person_text(job, "created")) > 11 ? person_text(job, "created") + 11 : "", took,
            outcome);
}

static void print_item(struct person *p, const struct json *job, bool first)
{
    struct buf b = {0};
    if (!p->json) {
        if (first)
            fprintf(p->terminal.out, "%-8s  %-9s  %-17s  %-19s  %9s  %s\n", "ID", "STATE", "FLOW",
                    "CREATED (UTC)", "TOOK", "RESULT");
        print_row(p, job);
        return;
    }
    json_print(job, &b);
    terminal_json(p->terminal.out, buf_str(&b));
    buf_fini(&b);
}

/* One page; *left and cursor move on. */
static int list_page(struct person *p, int64_t *left, struct buf *cursor, bool *first)
{
    struct talk_answer a;
    struct buf path = {0};
    list_path(p, *left, buf_str(cursor), &path);
    int code = person_get(p, buf_str(&path), &a);
    const struct json *items = code ? NULL : json_get(a.json, "items");
    for (const struct json *j = json_first(items); j && *left > 0; j = json_next(j), --*left) {
        print_item(p, j, *first);
        *first = false;
    }
    buf_clear(cursor);
    buf_text(cursor, code ? "" : person_text(a.json, "next"));
    talk_answer_fini(&a);
    buf_fini(&path);
    return code;
}

static int list(struct person *p)
{
    int64_t left = config_number(p->call->config, "limit");
    struct buf cursor = {0};
    bool first = true;
    int code;
    if (left < 1 || left > LIMIT_MAX)
        return person_fail(p, EXIT_USAGE, "--limit is 1 to 10000");
    do
        code = list_page(p, &left, &cursor, &first);
    while (!code && left > 0 && cursor.len > 0);
    if (!code && first && !p->json)
        fputs("no jobs\n", p->terminal.err);
    if (!code && cursor.len && !p->json)
        fputs("there are more; --limit shows them\n", p->terminal.err);
    buf_fini(&cursor);
    return code;
}

/* ---- show */

static void field(const struct person *p, const char *name, const char *text)
{
    char clean[TEXT_MAX];
    terminal_clean(text, 0, clean, sizeof clean);
    if (!clean[0])
        return;
    fprintf(p->terminal.out, "%-10s ", name);
    terminal_words(&p->terminal, p->terminal.out, clean, 11);
}

static void print_call(const struct person *p, const struct json *call)
{
    const struct terminal *t = &p->terminal;
    const struct json *item = json_get(call, "item"), *error = json_get(call, "error");
    const char *state = person_text(call, "state");
    int attempts = (int)json_number(json_get(call, "attempts"));
    int most = (int)json_number(json_get(call, "max_attempts"));
    char took[32] = "-", tries[32], name[80], raw[TEXT_MAX] = "", what[TEXT_MAX];
    snprintf(tries, sizeof tries, "%d", attempts);
    if (attempts && most)
        snprintf(tries, sizeof tries, "%d of %d", attempts, most);
    if (attempts)
        terminal_took((int64_t)json_number(json_get(call, "ms")), took, sizeof took);
    if (json_is(item, JSON_NUMBER))
        snprintf(name, sizeof name, "%.63s[%d]", person_text(call, "name"), (int)json_number(item));
    else
        snprintf(name, sizeof name, "%.63s", person_text(call, "name"));
    if (person_text(error, "code")[0])
        snprintf(raw, sizeof raw, "%.60s: %.200s", person_text(error, "code"),
                 person_text(error, "message"));
    terminal_clean(raw, 0, what, sizeof what);
    fprintf(t->out, "  %-20s %s%-9s%s  %8s  %9s  %s\n", name,
            terminal_tone(t, t->out, person_tone(state)), state, terminal_plain(t, t->out), tries,
            took, what);
}

static void print_job(const struct person *p, const struct json *job)
{
    const struct json *calls = json_get(job, "calls"), *result = json_get(job, "result");
    char took[32], state[TEXT_MAX];
    struct buf b = {0};
    took_of(job, took, sizeof took);
    snprintf(state, sizeof state, "%.20s%s%.60s%s%.200s", person_text(job, "state"),
             person_text(job, "reason")[0] ? ": " : "", person_text(job, "reason"),
             person_text(job, "message")[0] ? ": " : "", person_text(job, "message"));
    field(p, "job", person_text(job, "id"));
    field(p, "flow", person_text(job, "flow"));
    field(p, "state", state);
    field(p, "created", person_text(job, "created"));
    field(p, "started", person_text(job, "started"));
    field(p, "finished", person_text(job, "finished"));
    field(p, "took", strcmp(took, "-") == 0 ? "" : took);
    field(p, "deadline", person_text(job, "deadline"));
    field(p, "retry at", person_text(job, "retry_at"));
    if (json_size(calls))
        fprintf(p->terminal.out, "  %-20s %-9s  %8s  %9s\n", "CALL", "STATE", "ATTEMPTS", "TOOK");
    for (const struct json *c = json_first(calls); c; c = json_next(c))
        print_call(p, c);
    if (!json_is(result, JSON_NULL)) {
        json_print(result, &b);
        fprintf(p->terminal.out, "%-10s ", "result");
        terminal_json(p->terminal.out, buf_str(&b));
        buf_fini(&b);
    }
}

static int show(struct person *p, const char *id)
{
    struct talk_answer a;
    char path[96];
    snprintf(path, sizeof path, "/v1/jobs/%s%s", id, p->json ? "?include=attempts" : "");
    int code = person_get(p, path, &a);
    if (!code && p->json)
        terminal_json(p->terminal.out, buf_str(&a.body));
    else if (!code)
        print_job(p, a.json);
    talk_answer_fini(&a);
    return code;
}

/* ---- watch, cancel */

static int watch(struct person *p, const char *id)
{
    return follow_job(&(struct follow){p, id, p->json, clock_mono_ms(clock_real())});
}

static int cancel(struct person *p, const char *id)
{
    struct talk_answer a;
    char path[64];
    snprintf(path, sizeof path, "/v1/jobs/%s", id);
    const struct talk_ask ask = {
        .method = "DELETE", .path = path, .timeout_ms = person_time_left(p, EXCHANGE_MS)};
    if (talk(p->talk, &ask, &a) != 0)
        return person_no_memory(p);
    int code = a.status == 202 && a.json ? EXIT_GOOD : person_refused(p, &a);
    if (!code && p->json)
        terminal_json(p->terminal.out, buf_str(&a.body));
    else if (!code && strcmp(person_text(a.json, "state"), "cancelled") == 0)
        fputs("cancelled before it began\n", p->terminal.err);
    else if (!code)
        fprintf(p->terminal.err,
                "asked for; its worker stops what is in flight. `offpath-gateway jobs watch %s` "
                "tells when\n",
                id);
    talk_answer_fini(&a);
    return code;
}

/* ---- which */

static const struct {
    const char *name;
    int (*with_id)(struct person *, const char *id); /* NULL: list */
} words[] = {{"list", NULL}, {"show", show}, {"watch", watch}, {"cancel", cancel}};
enum { WORDS = sizeof words / sizeof words[0] };

static int unknown(struct person *p, const char *word)
{
    const char *names[WORDS];
    for (size_t i = 0; i < WORDS; i++)
        names[i] = words[i].name;
    const char *near = nearest_name(word, names, WORDS);
    return person_fail(p, EXIT_USAGE, "there is no `jobs %.40s`; %s%s%s", word,
                       near ? "did you mean `jobs " : "write list, show, watch or cancel",
                       near ? near : "", near ? "`?" : "");
}

static int dispatch(struct person *p)
{
    const struct verb_call *call = p->call;
    const char *word = call->words_n > 1 ? call->words[1] : "list";
    char id[ID_TEXT];
    for (size_t i = 0; i < WORDS; i++) {
        if (strcmp(words[i].name, word) != 0)
            continue;
        if (call->words_n > (words[i].with_id ? 3 : 2))
            return person_fail(p, EXIT_USAGE, "`jobs %s` does not know what \"%.60s\" is", word,
                               call->words[call->words_n - 1]);
        if (!words[i].with_id)
            return list(p);
        int code = person_find_job(p, call->words_n > 2 ? call->words[2] : NULL, id);
        return code ? code : words[i].with_id(p, id);
    }
    return unknown(p, word);
}

int jobs_verb(const struct verb_call *call)
{
    struct person p;
    int code = person_open(call, &p);
    if (!code)
        code = dispatch(&p);
    person_close(&p);
    return code;
}
