#include "gateway/person.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "common/complaint.h"
#include "common/log.h"

enum { EXCHANGE_MS = 30000, SHORT_ID = 8, PAGES_MAX = 10, LINE_MAX = 2048 };

/* Where the gateway is: --url, else what it listens on according to the same settings. */
static char *url_of(const struct config *c)
{
    const char *url = config_text(c, "url"), *public = config_text(c, "public-url");
    struct buf b = {0};
    if (url && *url)
        buf_text(&b, url);
    else if (public && *public)
        buf_text(&b, public);
    else
        buf_printf(&b, "http://%s", config_text(c, "listen"));
    while (b.len && b.data[b.len - 1] == '/')
        b.data[--b.len] = 0;
    return buf_take(&b, NULL);
}

static char *shown(const char *url)
{
    struct buf b = {0};
    config_mask(url, &b);
    return buf_take(&b, NULL);
}

int person_open(const struct verb_call *call, struct person *p)
{
    const struct config *c = call->config;
    int64_t timeout_ms = config_ms(c, "timeout");
    *p = (struct person){
        .call = call, .json = config_bool(c, "json"), .token = config_text(c, "token")};
    if (!terminal_open(&p->terminal, stdout, stderr, config_text(c, "color"))) {
        terminal_open(&p->terminal, stdout, stderr, "never");
        return person_fail(p, EXIT_USAGE, "--color is auto, always or never");
    }
    log_open("offpath-gateway", false, LOG_ERROR);
    p->url = url_of(c);
    p->shown = p->url ? shown(p->url) : NULL;
    if (!p->shown || talk_open(p->url, p->token, &p->talk) != 0)
        return person_no_memory(p);
    if (strncmp(p->url, "http://", 7) != 0 && strncmp(p->url, "https://", 8) != 0)
        return person_fail(p, EXIT_USAGE, "--url is \"%.80s\"; write http://host:port", p->shown);
    if (timeout_ms > 0)
        p->give_up_ms = clock_mono_ms(clock_real()) + timeout_ms;
    return EXIT_GOOD;
}

void person_close(struct person *p)
{
    talk_close(p->talk);
    free(p->url);
    free(p->shown);
    p->talk = NULL;
    p->url = p->shown = NULL;
}

/* ---- what went wrong */

static void print_line(struct person *p, const char *text)
{
    struct terminal *t = &p->terminal;
    terminal_clear(t);
    fprintf(t->err, "%soffpath-gateway:%s %s\n", terminal_tone(t, t->err, TONE_BAD),
            terminal_plain(t, t->err), text);
}

int person_fail(struct person *p, int status, const char *format, ...)
{
    char raw[LINE_MAX], text[LINE_MAX];
    va_list args;
    va_start(args, format);
    vsnprintf(raw, sizeof raw, format, args);
    va_end(args);
    terminal_clean(raw, 0, text, sizeof text);
    if (p->json)
        complain_json(p->terminal.err, status, text); /* also what no gateway has sent */
    else
        print_line(p, text);
    return status;
}

int person_no_memory(struct person *p)
{
    return person_fail(p, EXIT_BUG, "out of memory");
}

static int exit_of(int status, const char *code)
{
    if (strcmp(code, "key-reused") == 0 || strcmp(code, "outcome-unknown") == 0)
        return EXIT_CONFLICT;
    switch (status) {
    case 401:
    case 403:
    case 429:
        return EXIT_REFUSED;
    case 409:
        return EXIT_CONFLICT;
    default:
        return status >= 500 ? EXIT_DEPENDENCY : EXIT_FINDINGS;
    }
}

/* "  /productId: is missing" */
static void print_errors(struct person *p, const struct json *errors)
{
    for (const struct json *e = json_first(errors); e; e = json_next(e)) {
        char pointer[300], detail[600];
        terminal_clean(person_text(e, "pointer"), 0, pointer, sizeof pointer);
        terminal_clean(person_text(e, "detail"), 0, detail, sizeof detail);
        fprintf(p->terminal.err, "  %s: %s\n", pointer[0] ? pointer : "/", detail);
    }
}

int person_refused(struct person *p, const struct talk_answer *a)
{
    const char *code = person_text(a->json, "code"), *title = person_text(a->json, "title");
    const char *detail = person_text(a->json, "detail");
    int status = exit_of(a->status, code);
    if (a->status == 0)
        return person_fail(p, EXIT_DEPENDENCY,
                           "no answer from %s (%s); is the gateway running? --url names another",
                           p->shown, a->why);
    if (!code[0])
        return person_fail(p, status, "%s answered %d, and not as a gateway does; see --url",
                           p->shown, a->status);
    if (p->json) {
        terminal_json(p->terminal.err, buf_str(&a->body));
        return status;
    }
    person_fail(p, status, "%s%s%s (%s)", title, detail[0] ? ": " : "", detail, code);
    print_errors(p, json_get(a->json, "errors"));
    if (a->status == 401 && !(p->token && p->token[0]))
        fputs("  a token in OFFPATH_TOKEN, or its file in OFFPATH_TOKEN_FILE, says who you are\n",
              p->terminal.err);
    return status;
}

/* ---- asking */

int64_t person_time_left(const struct person *p, int64_t most)
{
    if (!p->give_up_ms)
        return most;
    int64_t left = p->give_up_ms - clock_mono_ms(clock_real());
    return left < 0 ? 0 : left < most ? left : most;
}

int person_get(struct person *p, const char *path, struct talk_answer *a)
{
    const struct talk_ask ask = {
        .method = "GET", .path = path, .timeout_ms = person_time_left(p, EXCHANGE_MS)};
    if (talk(p->talk, &ask, a) != 0)
        return person_no_memory(p);
    return a->status == 200 && a->json ? EXIT_GOOD : person_refused(p, a);
}

/* ---- ids */

static int find_in_pages(struct person *p, const char *typed, char out[ID_TEXT])
{
    struct buf path = {0};
    int found = 0, code = EXIT_GOOD;
    bool more = true;
    for (int page = 0; more && page < PAGES_MAX && !code; page++) {
        struct talk_answer a;
        if (page == 0)
            buf_text(&path, "/v1/jobs?limit=100");
        code = person_get(p, buf_str(&path), &a);
        const struct json *items = code ? NULL : json_get(a.json, "items");
        for (const struct json *j = json_first(items); j; j = json_next(j)) {
            const char *id = person_text(j, "id");
            if (strlen(id) == ID_TEXT - 1 && strcmp(id + ID_TEXT - 1 - SHORT_ID, typed) == 0) {
                memcpy(out, id, ID_TEXT);
                found++;
            }
        }
        const char *next = code ? "" : person_text(a.json, "next");
        more = next[0] != 0;
        buf_clear(&path);
        buf_text(&path, "/v1/jobs?limit=100&cursor=");
        person_escape(next, &path);
        talk_answer_fini(&a);
    }
    buf_fini(&path);
    if (!code && found != 1)
        code = person_fail(p, EXIT_FINDINGS, "%s of your last jobs ends in %s; write the whole id",
                           found ? "more than one" : "none", typed);
    return code;
}

int person_find_job(struct person *p, const char *typed, char out[ID_TEXT])
{
    struct job_id id;
    size_t len = typed ? strlen(typed) : 0;
    if (len == SHORT_ID && strspn(typed, "0123456789abcdef") == SHORT_ID) {
        if (p->token && p->token[0])
            return find_in_pages(p, typed, out);
        return person_fail(p, EXIT_USAGE,
                           "short ids are of your own jobs, and there is no token; write the whole "
                           "id");
    }
    if (!typed || id_parse(typed, &id) != 0)
        return person_fail(p, EXIT_USAGE, "%s",
                           typed
                               ? "that is no id of a job: write it whole, or its last 8 characters"
                               : "say which job: its id, or the last 8 characters of it");
    id_format(&id, out);
    return EXIT_GOOD;
}

/* ---- small things */

const char *person_text(const struct json *object, const char *key)
{
    const char *text = json_text(json_get(object, key));
    return text ? text : "";
}

void person_escape(const char *text, struct buf *out)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
    for (const char *s = text; *s; s++)
        if (strchr(plain, *s))
            buf_char(out, *s);
        else
            buf_printf(out, "%%%02X", (unsigned char)*s);
}

enum terminal_tone person_tone(const char *state)
{
    static const struct {
        const char *state;
        enum terminal_tone tone;
    } tones[] = {{"succeeded", TONE_GOOD}, {"partial", TONE_WARN},    {"failed", TONE_BAD},
                 {"expired", TONE_BAD},    {"cancelled", TONE_FAINT}, {"skipped", TONE_FAINT}};
    for (size_t i = 0; i < sizeof tones / sizeof tones[0]; i++)
        if (strcmp(tones[i].state, state) == 0)
            return tones[i].tone;
    return TONE_PLAIN;
}

int64_t person_span_ms(const char *from, const char *to)
{
    int64_t begin, end;
    if (clock_parse(from, strlen(from), &begin) != 0 || clock_parse(to, strlen(to), &end) != 0)
        return -1;
    return (end - begin) / 1000;
}
