#include "gateway/follow.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "gateway/listen.h"

enum {
    FIRST_MS = 40, /* between two looks, at first */
    MOST_MS = 1000,
    EXCHANGE_MS = 30000,
    QUIET_MS = 30000,      /* no event for so long: the job is looked at, and heard again */
    RETRY_MOST_MS = 10000, /* a server that asks for more is not heard */
    STREAM_MS = 24 * 3600 * 1000,
    LIVE_AFTER_MS = 1000, /* a line that renews itself */
    LINE_EVERY_MS = 10000,
    TRIES_MAX = 20 /* looks without an answer, one after the other */
};

struct seen { /* calls that were told */
    char **names;
    size_t n, cap;
};

struct look {
    const struct follow *f;
    struct seen seen;
    struct listen *listen; /* NULL: no stream is offered, looks alone */
    bool heard, done;      /* on the stream: an event, the end */
    char tag[TALK_TAG], state[16], again[20];
    struct json *most; /* by call: attempts that the flow allows it; NULL: not known yet */
    size_t calls_n;    /* that the job names by now; 0: unknown */
    bool has_items;    /* there may be more */
    int64_t line_ms;   /* when the last line was written */
    unsigned failed;
};

int follow_exit(const char *state)
{
    static const struct {
        const char *state;
        int code;
    } ends[] = {{"succeeded", EXIT_GOOD},
                {"partial", EXIT_PARTIAL},
                {"failed", EXIT_FAILED},
                {"expired", EXIT_EXPIRED},
                {"cancelled", EXIT_CANCELLED}};
    for (size_t i = 0; i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(ends[i].state, state) == 0)
            return ends[i].code;
    return EXIT_BUG;
}

/* ---- lines */

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

static void print_row(struct terminal *t, const char *label, int64_t ms, const char *state,
                      const char *more)
{
    char took[32];
    terminal_took(ms, took, sizeof took);
    terminal_clear(t);
    fprintf(t->err, "%-20s %9s  %s%s%s%s%s\n", label, took,
            terminal_tone(t, t->err, person_tone(state)), state, terminal_plain(t, t->err),
            more[0] ? "  " : "", more);
}

/* "copies[7]" */
static void name_of(const struct json *call, char *out, size_t size)
{
    const struct json *item = json_get(call, "item");
    if (json_is(item, JSON_NUMBER))
        snprintf(out, size, "%.63s[%d]", person_text(call, "name"), (int)json_number(item));
    else
        snprintf(out, size, "%.63s", person_text(call, "name"));
}

static bool is_open(const char *state)
{
    return strcmp(state, "waiting") == 0 || strcmp(state, "running") == 0;
}

/* The same line whichever way it came: a call that was looked at has a member more. */
static void print_event(const struct look *l, const char *kind, const struct json *value)
{
    FILE *out = l->f->person->terminal.out;
    struct buf b = {0};
    buf_printf(&b, "{\"event\":\"%s\"", kind);
    for (const struct json *m = json_first(value); m; m = json_next(m)) {
        const char *key = json_key(m);
        if (strcmp(key, "max_attempts") == 0)
            continue;
        buf_char(&b, ',');
        json_print_text(key, strlen(key), &b);
        buf_char(&b, ':');
        json_print(m, &b);
    }
    buf_char(&b, '}');
    if (buf_ok(&b) == 0)
        terminal_json(out, buf_str(&b));
    fflush(out);
    buf_fini(&b);
}

/* ---- how often a call may be tried: a job's calls say it, its events do not */

static void note_most(struct look *l, const struct json *calls)
{
    if (!l->most && json_first(calls))
        l->most = json_new_object();
    for (const struct json *c = json_first(calls); c && l->most; c = json_next(c)) {
        double most = json_number(json_get(c, "max_attempts"));
        if (most > 0 && json_put(l->most, person_text(c, "name"), json_new_number(most)) != 0)
            return; /* without memory it is not said */
    }
}

/* Who hears what he has not seen the calls for looks at the job once. */
static void read_calls(struct look *l)
{
    struct person *p = l->f->person;
    struct talk_answer a;
    char path[80];
    snprintf(path, sizeof path, "/v1/jobs/%s", l->f->id);
    const struct talk_ask ask = {
        .method = "GET", .path = path, .timeout_ms = person_time_left(p, MOST_MS)};
    if (ask.timeout_ms <= 0)
        return;
    if (talk(p->talk, &ask, &a) == 0 && a.status == 200) {
        note_most(l, json_get(a.json, "calls"));
        l->calls_n = json_size(json_get(a.json, "calls"));
    }
    talk_answer_fini(&a);
}

/* 0: not known. */
static int most_of(struct look *l, const char *name)
{
    if (!l->most)
        read_calls(l);
    return (int)json_number(json_get(l->most, name));
}

static void print_call(struct look *l, const struct json *call, const char *name)
{
    struct person *p = l->f->person;
    const struct json *error = json_get(call, "error");
    const char *code = person_text(error, "code");
    int attempts = (int)json_number(json_get(call, "attempts"));
    char more[300] = "", clean[300], tries[32] = "";
    if (l->f->events)
        print_event(l, "call", call);
    if (p->json)
        return;
    int most = attempts > 1 ? most_of(l, person_text(call, "name")) : 0;
    if (most)
        snprintf(tries, sizeof tries, "%d of %d attempts", attempts, most);
    else if (attempts > 1)
        snprintf(tries, sizeof tries, "%d attempts", attempts);
    if (code[0])
        snprintf(more, sizeof more, "%.60s: %.160s%s%s", code, person_text(error, "message"),
                 tries[0] ? " " : "", tries);
    else
        snprintf(more, sizeof more, "%s", tries);
    terminal_clean(more, 0, clean, sizeof clean);
    print_row(&p->terminal, name, (int64_t)json_number(json_get(call, "ms")),
              person_text(call, "state"), clean);
}

/* ---- what is new */

static bool was_seen(const struct seen *s, const char *name)
{
    for (size_t i = 0; i < s->n; i++)
        if (strcmp(s->names[i], name) == 0)
            return true;
    return false;
}

static int note(struct seen *s, const char *name)
{
    if (s->n == s->cap) {
        size_t cap = s->cap ? 2 * s->cap : 16;
        char **names = realloc(s->names, cap * sizeof *names);
        if (!names)
            return ERR_NOMEM;
        s->names = names;
        s->cap = cap;
    }
    s->names[s->n] = strdup(name);
    return s->names[s->n] ? (s->n++, 0) : ERR_NOMEM;
}

static void forget(struct seen *s)
{
    while (s->n)
        free(s->names[--s->n]);
    free(s->names);
}

static int tell_call(struct look *l, const struct json *call)
{
    char name[96];
    name_of(call, name, sizeof name);
    l->has_items |= json_is(json_get(call, "item"), JSON_NUMBER);
    if (is_open(person_text(call, "state")) || was_seen(&l->seen, name))
        return 0;
    if (note(&l->seen, name) != 0)
        return ERR_NOMEM;
    print_call(l, call, name);
    return 0;
}

static int tell_calls(struct look *l, const struct json *job)
{
    int err = 0;
    const struct json *calls = json_get(job, "calls");
    note_most(l, calls);
    for (const struct json *c = json_first(calls); c && !err; c = json_next(c))
        err = tell_call(l, c);
    l->calls_n = json_size(calls);
    snprintf(l->again, sizeof l->again, "%.19s", person_text(job, "retry_at"));
    return err;
}

static void tell_state(struct look *l, const char *state)
{
    if (strcmp(l->state, state) == 0)
        return;
    snprintf(l->state, sizeof l->state, "%s", state);
    if (l->f->events)
        fprintf(l->f->person->terminal.out, "{\"event\":\"state\",\"state\":\"%s\"}\n", state);
}

/* On a terminal a line that renews itself, else a line now and then. */
static void tell_waiting(struct look *l)
{
    struct person *p = l->f->person;
    int64_t now = now_ms(), waited = now - l->f->started_ms;
    char took[32], of[32] = "", done[80] = "", text[200];
    if (p->json || waited < LIVE_AFTER_MS)
        return;
    terminal_took(waited / 1000 * 1000, took, sizeof took);
    if (l->calls_n && !l->has_items)
        snprintf(of, sizeof of, " of %zu", l->calls_n);
    if (l->calls_n || l->seen.n)
        snprintf(done, sizeof done, ", %zu%s call%s done", l->seen.n, of,
                 l->seen.n == 1 && !of[0] ? "" : "s");
    snprintf(text, sizeof text, "%s %s%s%s%s", l->state[0] ? l->state : "no answer yet", took, done,
             l->again[0] ? ", tries again at " : "", l->again);
    terminal_renew(&p->terminal, text);
    if (p->terminal.live || now - l->line_ms < LINE_EVERY_MS)
        return;
    l->line_ms = now;
    fprintf(p->terminal.err, "%s\n", text);
}

/* ---- the end */

static void print_end(const struct follow *f, const struct json *job)
{
    struct terminal *t = &f->person->terminal;
    const char *state = person_text(job, "state"), *message = person_text(job, "message");
    const char *reason = person_text(job, "reason");
    int64_t took = person_span_ms(person_text(job, "created"), person_text(job, "finished"));
    const struct json *calls = json_get(job, "calls");
    size_t good = 0, n = json_size(calls);
    char more[400], text[400], time[32], of[64] = "";
    for (const struct json *c = json_first(calls); c; c = json_next(c))
        good += strcmp(person_text(c, "state"), "succeeded") == 0;
    if (n) /* a job that ended before it ran names none */
        snprintf(of, sizeof of, "%zu of %zu calls", good, n);
    snprintf(more, sizeof more, "%s%s%.60s%s%.200s", of, n && reason[0] ? "; " : "", reason,
             message[0] ? ": " : "", message);
    terminal_clean(more, 0, text, sizeof text);
    terminal_took(took < 0 ? now_ms() - f->started_ms : took, time, sizeof time);
    fprintf(t->err, "%s%-20s%s %9s  ", terminal_tone(t, t->err, person_tone(state)), state,
            terminal_plain(t, t->err), time);
    terminal_words(t, t->err, text, 32);
}

int follow_end(const struct follow *f, const struct json *job)
{
    struct person *p = f->person;
    const struct json *result = json_get(job, "result");
    struct buf b = {0};
    terminal_clear(&p->terminal);
    if (!p->json)
        print_end(f, job);
    if (p->json)
        json_print(job, &b);
    else if (!json_is(result, JSON_NULL))
        json_print(result, &b);
    if (b.len)
        terminal_json(p->terminal.out, buf_str(&b));
    buf_fini(&b);
    return follow_exit(person_text(job, "state"));
}

/* As the `done` of a stream: no calls, they have been told. */
static int end_events(const struct look *l, const struct json *job)
{
    static const char *const members[] = {"id", "state", "reason", "message", "result"};
    struct json *done = json_new_object();
    for (size_t i = 0; i < sizeof members / sizeof members[0]; i++)
        if (json_put(done, members[i], json_copy(json_get(job, members[i]))) != 0) {
            json_free(done);
            return person_no_memory(l->f->person);
        }
    print_event(l, "done", done);
    json_free(done);
    return follow_exit(person_text(job, "state"));
}

/* ---- looking */

/* -1: not final yet, else the exit status. */
static int take(struct look *l, const struct talk_answer *a)
{
    struct person *p = l->f->person;
    if (a->status == 0 || a->status == 429 || a->status >= 500)
        return ++l->failed < TRIES_MAX ? -1 : person_refused(p, a);
    if (a->status != 304 && (a->status != 200 || !a->json))
        return person_refused(p, a);
    l->failed = 0;
    if (a->status == 304)
        return -1;
    snprintf(l->tag, sizeof l->tag, "%s", a->tag);
    tell_state(l, person_text(a->json, "state"));
    if (tell_calls(l, a->json) != 0)
        return person_no_memory(p);
    if (follow_exit(l->state) == EXIT_BUG)
        return -1;
    return l->f->events ? end_events(l, a->json) : follow_end(l->f, a->json);
}

static int look(struct look *l, const char *path)
{
    struct person *p = l->f->person;
    struct talk_answer a;
    int64_t left = person_time_left(p, EXCHANGE_MS);
    if (left == 0)
        return person_fail(
            p, EXIT_DEPENDENCY,
            "not final within --timeout; the job goes on: `offpath-gateway jobs watch "
            "%s`",
            l->f->id);
    const struct talk_ask ask = {.method = "GET", .path = path, .tag = l->tag, .timeout_ms = left};
    int code = talk(p->talk, &ask, &a) ? person_no_memory(p) : take(l, &a);
    talk_answer_fini(&a);
    if (code < 0)
        tell_waiting(l);
    return code;
}

/* ---- hearing */

/* A job that nobody has registered yet names no calls; one that runs does. */
static void hear_state(struct look *l, const char *state)
{
    tell_state(l, state);
    if (!l->calls_n && !l->f->person->json && strcmp(state, "running") == 0)
        read_calls(l);
}

static void on_event(void *arg, const struct sse_event *e)
{
    static const struct json_limits limits = {.size_max = SSE_EVENT_MAX, .depth_max = 256};
    struct look *l = arg;
    struct json *data = NULL;
    l->heard = true;
    if (strcmp(e->name, "done") == 0)
        l->done = true; /* the look that follows tells it */
    if (json_parse(e->data, e->len, &limits, &data, NULL) != 0)
        return;
    if (strcmp(e->name, "state") == 0)
        hear_state(l, person_text(data, "state"));
    else if (strcmp(e->name, "call") == 0)
        tell_call(l, data); /* without memory the look that follows tells it */
    json_free(data);
}

static void on_tick(void *arg)
{
    tell_waiting(arg);
}

/* Hears the job's events until the stream is over; how long to wait then. */
static int64_t hear(struct look *l, int64_t pause_ms)
{
    struct person *p = l->f->person;
    char path[80];
    int64_t most_ms = person_time_left(p, STREAM_MS);
    l->heard = l->done = false;
    if (!l->listen || most_ms == 0)
        return pause_ms;
    snprintf(path, sizeof path, "/v1/jobs/%s/events", l->f->id);
    if (listen_to(l->listen, path, QUIET_MS, most_ms) == LISTEN_REFUSED) {
        listen_close(l->listen);
        l->listen = NULL;
        return pause_ms;
    }
    int64_t asked_ms = listen_retry_ms(l->listen);
    if (l->done && l->failed == 0)
        return 0;
    return asked_ms > pause_ms && asked_ms < RETRY_MOST_MS ? asked_ms : pause_ms;
}

static void interrupted(int signal)
{
    static const char text[] = "\noffpath-gateway: stopped watching; the job goes on\n";
    (void)signal;
    (void)!write(STDERR_FILENO, text, sizeof text - 1);
    _exit(EXIT_INTERRUPTED);
}

void follow_mind_interrupt(void)
{
    const struct sigaction action = {.sa_handler = interrupted};
    sigaction(SIGINT, &action, NULL);
}

static void nap(int64_t ms)
{
    const struct timespec t = {ms / 1000, ms % 1000 * 1000000L};
    nanosleep(&t, NULL);
}

int follow_job(const struct follow *f)
{
    struct look l = {.f = f, .line_ms = f->started_ms};
    const struct listen_settings s = {f->person->url, f->person->token, on_event, on_tick, &l};
    char path[80];
    int64_t pause = FIRST_MS;
    int code;
    follow_mind_interrupt();
    if (listen_open(&s, &l.listen) != 0)
        l.listen = NULL; /* looks alone do, too */
    snprintf(path, sizeof path, "/v1/jobs/%s", f->id);
    while ((code = look(&l, path)) < 0) {
        nap(hear(&l, pause));
        pause = l.heard ? FIRST_MS : pause * 3 / 2 < MOST_MS ? pause * 3 / 2 : MOST_MS;
    }
    listen_close(l.listen);
    forget(&l.seen);
    json_free(l.most);
    return code;
}
