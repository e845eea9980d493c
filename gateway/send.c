#include "gateway/send.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/follow.h"

enum { BODY_MAX = 16 << 20, EXCHANGE_MS = 60000, PATIENCE_MS = 30000, KEY_TEXT = 256 };

struct sending {
    struct person person;
    const char *flow;
    struct buf body;
    char key[KEY_TEXT];
    int64_t started_ms;
    bool perhaps;     /* one of the answers, or their lack, leaves open whether there is a job */
    char id[ID_TEXT]; /* its id, if an answer said it; else "" */
};

/* ---- the request */

static int read_all(FILE *f, struct buf *out)
{
    char part[8192];
    size_t n;
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(out, part, n);
    return ferror(f) ? ERR_IO : buf_ok(out);
}

static int read_body(struct sending *s, const char *typed)
{
    FILE *f = stdin;
    buf_init(&s->body, BODY_MAX);
    if (!typed || (typed[0] != '@' && strcmp(typed, "-") != 0)) {
        buf_text(&s->body, typed ? typed : "{}");
        return buf_ok(&s->body) ? person_no_memory(&s->person) : EXIT_GOOD;
    }
    if (typed[0] == '@' && !(f = fopen(typed + 1, "rbe")))
        return person_fail(&s->person, EXIT_USAGE, "%s cannot be read: %s", typed + 1,
                           strerror(errno));
    int err = read_all(f, &s->body);
    if (f != stdin)
        fclose(f);
    if (err)
        return person_fail(&s->person, EXIT_USAGE, "the request cannot be read, or is over 16 MB");
    return EXIT_GOOD;
}

/* A key of our own makes asking again safe after an answer that did not come. */
static int make_key(struct sending *s)
{
    const char *key = config_text(s->person.call->config, "key");
    struct job_id id;
    if (key && (!key[0] || strlen(key) >= sizeof s->key))
        return person_fail(&s->person, EXIT_USAGE, "--key has 1 to 255 characters");
    if (key) {
        snprintf(s->key, sizeof s->key, "%s", key);
        return EXIT_GOOD;
    }
    rng_fill(rng_real(), id.b, sizeof id.b);
    id.b[6] = (uint8_t)((id.b[6] & 0x0f) | 0x40); /* UUIDv4 */
    id.b[8] = (uint8_t)((id.b[8] & 0x3f) | 0x80);
    id_format(&id, s->key);
    return EXIT_GOOD;
}

static int check_flow(struct sending *s)
{
    const struct verb_call *call = s->person.call;
    static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-";
    if (call->words_n < 2)
        return person_fail(&s->person, EXIT_USAGE, "write send FLOW [JSON|@file|-]");
    s->flow = call->words[1];
    if (!s->flow[0] || s->flow[strspn(s->flow, allowed)] || strlen(s->flow) > 63)
        return person_fail(&s->person, EXIT_USAGE,
                           "\"%.80s\" is no name of a flow; `flows` lists them", s->flow);
    return EXIT_GOOD;
}

static void add_path(const struct sending *s, struct buf *out)
{
    buf_printf(out, "/v1/flows/%s/jobs%s", s->flow,
               config_bool(s->person.call->config, "dry-run") ? "?dry_run=true" : "");
}

/* ---- --curl */

/* In single quotes, as a shell takes it. */
static void quote(const char *text, size_t len, struct buf *out)
{
    buf_char(out, '\'');
    for (size_t i = 0; i < len; i++)
        if (text[i] == '\'')
            buf_text(out, "'\\''");
        else
            buf_char(out, text[i]);
    buf_char(out, '\'');
}

static int print_curl(struct sending *s)
{
    struct person *p = &s->person;
    struct buf b = {0}, url = {0};
    buf_text(&url, p->url);
    add_path(s, &url);
    buf_text(&b, "curl -sS ");
    quote(buf_str(&url), url.len, &b);
    if (p->token && p->token[0])
        buf_text(&b, " -H \"Authorization: Bearer $OFFPATH_TOKEN\"");
    if (config_text(p->call->config, "key")) {
        buf_text(&b, " -H ");
        buf_clear(&url);
        buf_printf(&url, "Idempotency-Key: %s", s->key);
        quote(buf_str(&url), url.len, &b);
    }
    buf_text(&b, " -H 'Content-Type: application/json' -d ");
    quote(buf_str(&s->body), s->body.len, &b);
    int code = buf_ok(&b) ? person_no_memory(p) : EXIT_GOOD;
    if (!code)
        fprintf(p->terminal.out, "%s\n", buf_str(&b));
    buf_fini(&url);
    buf_fini(&b);
    return code;
}

/* ---- answers */

static void print_document(struct person *p, const struct talk_answer *a)
{
    terminal_json(p->terminal.out, buf_str(&a->body));
}

/* --no-wait: the job's id is all that is wanted. */
static int print_id(struct person *p, const struct talk_answer *a)
{
    if (p->json)
        print_document(p, a);
    else
        fprintf(p->terminal.out, "%s\n", person_text(a->json, "id"));
    return EXIT_GOOD;
}

static int accepted(struct sending *s, const struct talk_answer *a)
{
    struct person *p = &s->person;
    char id[ID_TEXT], took[32];
    snprintf(id, sizeof id, "%s", person_text(a->json, "id"));
    terminal_took(a->ms, took, sizeof took);
    follow_mind_interrupt();
    if (!p->json)
        fprintf(p->terminal.err, "%-20s %9s  job %s%s\n", a->replayed ? "known key" : "accepted",
                took, id, a->replayed ? ", as it is now" : "");
    return follow_job(&(struct follow){p, id, false, s->started_ms});
}

/* A hit of the cache has no job. */
static int from_cache(struct sending *s, const struct talk_answer *a)
{
    struct person *p = &s->person;
    const char *state = person_text(a->json, "state");
    char took[32];
    struct buf b = {0};
    terminal_took(a->ms, took, sizeof took);
    if (p->json) {
        print_document(p, a);
        return follow_exit(state);
    }
    fprintf(p->terminal.err, "%-20s %9s  %s, of %.19sZ\n", "from cache", took, state,
            person_text(a->json, "cached_at"));
    json_print(json_get(a->json, "result"), &b);
    terminal_json(p->terminal.out, buf_str(&b));
    buf_fini(&b);
    return follow_exit(state);
}

/* ---- no answer, or none that says whether there is a job */

/* A proxy's 502 and 504 say as little as no answer. */
static void note_perhaps(struct sending *s, const struct talk_answer *a)
{
    const char *id = person_text(a->json, "id"), *code = person_text(a->json, "code");
    bool unknown = strcmp(code, "outcome-unknown") == 0 || strcmp(code, "internal") == 0;
    s->perhaps |= unknown || (a->status == 0 && a->sent) ||
                  (!code[0] && (a->status == 502 || a->status == 504));
    if (unknown && id_parse(id, &(struct job_id){{0}}) == 0)
        snprintf(s->id, sizeof s->id, "%s", id);
}

/* The gateway's problem, or one of our own, and in it what it takes to ask again. */
static void print_perhaps_json(struct sending *s, const struct talk_answer *a, const char *text)
{
    bool given = person_text(a->json, "code")[0] != 0;
    struct json *problem = given ? json_copy(a->json) : json_new_object();
    struct buf b = {0};
    int err = given ? 0 : json_put(problem, "type", json_new_text("about:blank"));
    if (!err && !given)
        err = json_put(problem, "title", json_new_text("not confirmed"));
    if (!err)
        err = json_put(problem, "detail", json_new_text(text));
    if (!err && s->id[0])
        err = json_put(problem, "id", json_new_text(s->id));
    if (!err)
        err = json_put(problem, "key", json_new_text(s->key));
    if (!err) {
        json_print(problem, &b);
        terminal_json(s->person.terminal.err, buf_str(&b));
    }
    buf_fini(&b);
    json_free(problem);
}

static int perhaps_accepted(struct sending *s, const struct talk_answer *a)
{
    struct person *p = &s->person;
    const char *code = person_text(a->json, "code");
    struct buf b = {0};
    if (a->status == 0)
        buf_printf(&b, "no answer from %s (%s): ", p->shown, a->why);
    else if (!code[0])
        buf_printf(&b, "%s answered %d, and not as a gateway does: ", p->shown, a->status);
    buf_text(&b, "perhaps accepted");
    if (s->id[0])
        buf_printf(&b, " as job %s", s->id);
    buf_printf(&b, "; the same command with `--key %s` is safe", s->key);
    if (code[0])
        buf_printf(&b, " (%s)", code);
    if (p->json)
        print_perhaps_json(s, a, buf_str(&b));
    else
        person_fail(p, EXIT_CONFLICT, "%s", buf_str(&b));
    buf_fini(&b);
    return EXIT_CONFLICT;
}

static int answered(struct sending *s, const struct talk_answer *a)
{
    bool dry_run = config_bool(s->person.call->config, "dry-run");
    bool confirmed = a->json && (a->status == 200 || a->status == 202);
    if (!confirmed && s->perhaps && !dry_run)
        return perhaps_accepted(s, a);
    if (!confirmed)
        return person_refused(&s->person, a);
    if (dry_run) {
        print_document(&s->person, a);
        return EXIT_GOOD;
    }
    if (json_get(a->json, "cached_at"))
        return from_cache(s, a);
    if (config_bool(s->person.call->config, "no-wait"))
        return print_id(&s->person, a);
    if (a->status == 202)
        return accepted(s, a);
    return follow_end(
        &(struct follow){&s->person, person_text(a->json, "id"), false, s->started_ms}, a->json);
}

/* ---- asking again */

/* Nothing was started, or nobody knows: with the same key both may be asked again. Not when the
 * time would end before that: then this answer is the last. */
static bool may_help(const struct sending *s, const struct talk_answer *a, int64_t *wait_ms)
{
    int64_t waited = clock_mono_ms(clock_real()) - s->started_ms;
    *wait_ms = a->retry_s > 0 ? (int64_t)a->retry_s * 1000 : 500;
    return a->status == 503 && a->retry_s >= 0 &&
           *wait_ms < person_time_left(&s->person, PATIENCE_MS - waited);
}

static void wait_for_retry(struct person *p, const struct talk_answer *a, int64_t ms)
{
    char text[200];
    snprintf(text, sizeof text, "%s; asks again in %.1f s with the same key",
             person_text(a->json, "code"), (double)ms / 1000);
    if (!p->json && !p->terminal.live)
        fprintf(p->terminal.err, "%s\n", text);
    else if (!p->json)
        terminal_renew(&p->terminal, text);
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
    terminal_clear(&p->terminal);
}

static int post(struct sending *s)
{
    struct person *p = &s->person;
    struct buf path = {0};
    bool again = true;
    int code = EXIT_BUG;
    add_path(s, &path);
    while (again) {
        struct talk_answer a;
        int64_t wait_ms;
        const struct talk_ask ask = {.method = "POST",
                                     .path = buf_str(&path),
                                     .body = buf_str(&s->body),
                                     .body_len = s->body.len,
                                     .key = s->key,
                                     .timeout_ms = person_time_left(p, EXCHANGE_MS)};
        again = false;
        if (talk(p->talk, &ask, &a) != 0) {
            code = person_fail(p, EXIT_USAGE, "this cannot be sent: look at --url and --key");
        } else {
            note_perhaps(s, &a);
            again = may_help(s, &a, &wait_ms);
            if (again)
                wait_for_retry(p, &a, wait_ms);
            else
                code = answered(s, &a);
        }
        talk_answer_fini(&a);
    }
    buf_fini(&path);
    return code;
}

int send_verb(const struct verb_call *call)
{
    struct sending s = {.started_ms = clock_mono_ms(clock_real())};
    int code = person_open(call, &s.person);
    if (!code)
        code = check_flow(&s);
    if (!code)
        code = read_body(&s, call->words_n > 2 ? call->words[2] : NULL);
    if (!code)
        code = make_key(&s);
    if (!code)
        code = config_bool(call->config, "curl") ? print_curl(&s) : post(&s);
    buf_fini(&s.body);
    person_close(&s.person);
    return code;
}
