#include "gateway/job_view.h"

#include <stdio.h>
#include <string.h>

#include "common/digest.h"
#include "common/hex.h"
#include "common/json.h"

static const char NOTHING[] = "null";
enum { ACCEPTED_ROOM = 512 }; /* of an answer without its four links' address; more is fine */

static void text(struct buf *b, const char *name, const char *value)
{
    buf_text(b, name);
    if (value && value[0])
        json_print_text(value, strlen(value), b);
    else
        buf_text(b, NOTHING);
}

static void time_member(struct buf *b, const char *name, int64_t us)
{
    char at[CLOCK_TEXT] = "";
    if (us)
        clock_format(us, at);
    text(b, name, at);
}

static void raw(struct buf *b, const char *name, const char *json, size_t len)
{
    buf_text(b, name);
    if (json && len)
        buf_add(b, json, len);
    else
        buf_text(b, NOTHING);
}

static void link_to(struct buf *b, const char *name, const char *url, const char *path,
                    const char *id, const char *after)
{
    buf_text(b, name);
    buf_text(b, url);
    buf_text(b, path);
    buf_add(b, id, ID_TEXT - 1);
    buf_text(b, after);
}

static void links(struct buf *b, const char *url, const char *id)
{
    link_to(b, ",\"links\":{\"self\":\"", url, "/v1/jobs/", id, "\"");
    link_to(b, ",\"events\":\"", url, "/v1/jobs/", id, "/events\"");
    link_to(b, ",\"cancel\":\"", url, "/v1/jobs/", id, "\"");
    link_to(b, ",\"page\":\"", url, "/j/", id, "\"}");
}

/* ---- calls */

/* As the flow is loaded now; 0: there is no such call. */
static unsigned attempts_max(const struct flow *flow, const char *call)
{
    const struct flow_call *c = flow ? flow_call_of(flow, call) : NULL;
    return c ? c->retry.attempts : 0;
}

struct entry { /* one call as shown */
    const char *name, *state, *code, *message;
    int32_t item;
    int64_t attempts, ms;
    unsigned attempts_max;      /* 0: not known */
    const char *result, *tries; /* JSON text or NULL */
    size_t result_len, tries_len;
};

static void print_entry(struct buf *b, const struct entry *e, bool tries)
{
    if (b->len && b->data[b->len - 1] == '}')
        buf_char(b, ',');
    text(b, "{\"name\":", e->name);
    if (e->item >= 0)
        buf_printf(b, ",\"item\":%d", e->item);
    else
        buf_text(b, ",\"item\":null");
    text(b, ",\"state\":", e->state);
    raw(b, ",\"result\":", e->result, e->result_len);
    if (e->code && e->code[0]) {
        text(b, ",\"error\":{\"code\":", e->code);
        text(b, ",\"message\":", e->message);
        buf_char(b, '}');
    } else {
        buf_text(b, ",\"error\":null");
    }
    buf_printf(b, ",\"attempts\":%lld,\"ms\":%lld", (long long)e->attempts, (long long)e->ms);
    if (e->attempts_max)
        buf_printf(b, ",\"max_attempts\":%u", e->attempts_max);
    if (tries)
        raw(b, ",\"tries\":", e->tries ? e->tries : "[]", e->tries ? e->tries_len : 2);
    buf_char(b, '}');
}

static const char *message_of(const char *code)
{
    enum call_code c = call_code_parse(code);
    return c > CALL_OK && c < CALL_CODE_COUNT ? call_code_for_user(c) : "";
}

/* Ended for good as far as this round can tell: a retryable one of an earlier round is made again.
 */
bool job_view_is_finished(const struct record_job *job, const struct record_call *c)
{
    if (c->outcome == OUTCOME_STARTED || c->name[0] == '$')
        return false;
    return c->outcome != OUTCOME_RETRYABLE || c->round >= job->round;
}

static struct entry of_ledger(const struct record_call *c, const struct flow *flow)
{
    struct entry e = {.name = c->name,
                      .item = c->item,
                      .attempts = c->attempts,
                      .attempts_max = attempts_max(flow, c->name),
                      .ms = c->ms,
                      .tries = c->tries,
                      .tries_len = c->tries_len};
    if (c->outcome == OUTCOME_OK) {
        e.state = "succeeded";
        e.result = c->result;
        e.result_len = c->result_len;
        return e;
    }
    e.code = c->reason;
    e.message = message_of(c->reason);
    e.state = strcmp(c->reason, "skipped") == 0     ? "skipped"
              : strcmp(c->reason, "cancelled") == 0 ? "cancelled"
                                                    : "failed";
    return e;
}

void job_view_print_call(const struct record_call *c, struct buf *b)
{
    struct entry e = of_ledger(c, NULL);
    print_entry(b, &e, false);
}

/* The next finished row of a call behind item `after`; NULL: none. */
static const struct record_call *next_item(const struct job_view *v, const char *name,
                                           int64_t after)
{
    const struct record_call *best = NULL;
    for (size_t i = 0; i < v->calls_n; i++) {
        const struct record_call *c = &v->calls[i];
        if (c->item <= after || (best && c->item >= best->item))
            continue; /* first: of a thousand items most end here */
        if (strcmp(c->name, name) == 0 && job_view_is_finished(v->job, c))
            best = c;
    }
    return best;
}

/* What a call without a finished row does, as far as the ledger knows. */
static const char *open_state(const struct job_view *v, const struct flow_call *call)
{
    bool runs = v->job->state == JOB_RUNNING;
    for (size_t i = 0; i < call->after_n && runs; i++)
        runs = next_item(v, v->flow->calls[call->after[i]].name, -2) != NULL;
    return runs ? "running" : "waiting";
}

static void print_open(const struct job_view *v, struct buf *b)
{
    for (size_t i = 0; v->flow && i < v->flow->calls_n; i++) {
        const struct flow_call *call = &v->flow->calls[i];
        const char *name = call->name;
        const struct record_call *c = next_item(v, name, -2);
        if (!c)
            print_entry(b,
                        &(struct entry){.name = name,
                                        .item = -1,
                                        .state = open_state(v, call),
                                        .attempts_max = call->retry.attempts},
                        v->tries);
        for (; c; c = next_item(v, name, c->item)) {
            struct entry e = of_ledger(c, v->flow);
            print_entry(b, &e, v->tries);
        }
    }
}

/* Nothing but the ledger to go by: the flow is gone, or a final row keeps no list. */
static void print_ledger(const struct job_view *v, struct buf *b)
{
    for (size_t i = 0; i < v->calls_n; i++) {
        if (!job_view_is_finished(v->job, &v->calls[i]))
            continue;
        struct entry e = of_ledger(&v->calls[i], v->flow);
        print_entry(b, &e, v->tries);
    }
}

static const struct record_call *row_of(const struct job_view *v, const char *name, int32_t item)
{
    for (size_t i = 0; i < v->calls_n; i++)
        if (v->calls[i].item == item && strcmp(v->calls[i].name, name) == 0)
            return &v->calls[i];
    return NULL;
}

static const char *member(const struct json *object, const char *key)
{
    const char *s = json_text(json_get(object, key));
    return s ? s : "";
}

static void print_stored(const struct job_view *v, const struct json *stored, struct buf *b)
{
    const struct json *error = json_get(stored, "error"), *item = json_get(stored, "item");
    const struct json *result = json_get(stored, "result");
    struct entry e = {.name = member(stored, "name"),
                      .state = member(stored, "state"),
                      .code = member(error, "code"),
                      .item = json_is(item, JSON_NUMBER) ? (int32_t)json_number(item) : -1,
                      .attempts = (int64_t)json_number(json_get(stored, "attempts")),
                      .ms = (int64_t)json_number(json_get(stored, "ms"))};
    const struct record_call *row = row_of(v, e.name, e.item);
    struct buf own = {0};
    e.message = message_of(e.code);
    e.attempts_max = attempts_max(v->flow, e.name);
    if (!json_is(result, JSON_NULL)) {
        json_print(result, &own);
        e.result = own.data;
        e.result_len = own.len;
    } else if (row && row->outcome == OUTCOME_OK) {
        e.result = row->result;
        e.result_len = row->result_len;
    }
    if (row) {
        e.tries = row->tries;
        e.tries_len = row->tries_len;
    }
    print_entry(b, &e, v->tries);
    buf_fini(&own);
}

static int parse_stored(const struct record_job *j, struct json **list)
{
    return json_parse(j->calls, j->calls_len,
                      &(struct json_limits){.size_max = 64 << 20, .depth_max = 256}, list, NULL);
}

void job_view_unrecorded(const struct record_job *job, const struct record_call *calls, size_t n,
                         job_view_entry_fn *fn, void *arg)
{
    const struct job_view v = {.job = job, .calls = calls, .calls_n = n};
    struct json *list;
    struct buf entry = {0};
    if (!job->calls || !job->calls_len || parse_stored(job, &list) != 0)
        return;
    for (const struct json *e = json_first(list); e; e = json_next(e)) {
        const struct json *item = json_get(e, "item");
        int32_t place = json_is(item, JSON_NUMBER) ? (int32_t)json_number(item) : -1;
        const struct record_call *row = row_of(&v, member(e, "name"), place);
        if (row && job_view_is_finished(job, row))
            continue;
        buf_clear(&entry);
        print_stored(&v, e, &entry);
        fn(arg, buf_str(&entry), entry.len);
    }
    buf_fini(&entry);
    json_free(list);
}

static int print_final(const struct job_view *v, struct buf *b)
{
    struct json *list;
    if (parse_stored(v->job, &list) != 0)
        return ERR_BUG;
    for (const struct json *e = json_first(list); e; e = json_next(e))
        print_stored(v, e, b);
    json_free(list);
    return 0;
}

static int print_calls(const struct job_view *v, struct buf *b)
{
    int err = 0;
    buf_text(b, ",\"calls\":[");
    if (!job_is_final(v->job->state) && v->flow)
        print_open(v, b);
    else if (v->job->calls && v->job->calls_len)
        err = print_final(v, b);
    else
        print_ledger(v, b);
    buf_char(b, ']');
    return err;
}

/* ---- the job */

enum job_state job_view_state(const struct record_job *job)
{
    return job->state == JOB_QUEUED && job->round > 0 ? JOB_RUNNING : job->state;
}

/* From the opening brace to retry_at. */
static void print_head(const struct record_job *j, const char *id, struct buf *b)
{
    text(b, "{\"id\":", id);
    text(b, ",\"flow\":", j->flow);
    buf_text(b, ",\"flow_version\":");
    if (j->has_rev) {
        buf_char(b, '"');
        buf_hex(b, j->rev, sizeof j->rev);
        buf_char(b, '"');
    } else {
        buf_text(b, NOTHING);
    }
    text(b, ",\"state\":", job_state_name(job_view_state(j)));
    text(b, ",\"reason\":", j->reason);
    text(b, ",\"message\":", j->detail ? j->detail : reason_for_user(reason_parse(j->reason)));
    time_member(b, ",\"created\":", j->created_us);
    time_member(b, ",\"deadline\":", j->deadline_us);
    time_member(b, ",\"started\":", j->started_us);
    time_member(b, ",\"finished\":", j->finished_us);
    if (j->retry_at_us && !job_is_final(j->state))
        time_member(b, ",\"retry_at\":", j->retry_at_us);
}

int job_view_print(const struct job_view *v, struct buf *b)
{
    const struct record_job *j = v->job;
    char id[ID_TEXT];
    id_format(&j->id, id);
    print_head(j, id, b);
    int err = print_calls(v, b);
    raw(b, ",\"result\":", j->result, j->result_len);
    links(b, v->public_url, id);
    if (v->eta) {
        buf_text(b, ",\"eta\":");
        etas_print(v->eta, b);
    }
    buf_char(b, '}');
    return err;
}

void job_view_print_row(const struct record_job *j, const char *url, struct buf *b)
{
    char id[ID_TEXT];
    id_format(&j->id, id);
    print_head(j, id, b);
    raw(b, ",\"result\":", j->result, j->result_len);
    if (!j->result && j->result_len)
        buf_printf(b, ",\"result_bytes\":%zu", j->result_len);
    links(b, url, id);
    buf_char(b, '}');
}

void job_view_unregistered(const struct job_id *id, const char *url, struct buf *b)
{
    char name[ID_TEXT];
    int64_t ms = id_created_ms(id);
    id_format(id, name);
    text(b, "{\"id\":", name);
    buf_text(b, ",\"flow\":null,\"flow_version\":null,\"state\":\"queued\",\"reason\":null"
                ",\"message\":null");
    time_member(b, ",\"created\":", ms > 0 ? ms * 1000 : 0);
    buf_text(b, ",\"deadline\":null,\"started\":null,\"finished\":null,\"calls\":[]"
                ",\"result\":null");
    links(b, url, name);
    buf_char(b, '}');
}

void job_view_accepted(const struct job_id *id, const char *flow, enum job_state state,
                       const char *url, struct buf *b)
{
    char name[ID_TEXT];
    id_format(id, name);
    buf_reserve(b, ACCEPTED_ROOM + 4 * strlen(url));
    buf_text(b, "{\"id\":\"");
    buf_add(b, name, ID_TEXT - 1);
    buf_text(b, "\",\"flow\":\"");
    buf_text(b, flow); /* [a-z0-9-] only */
    buf_text(b, "\",\"state\":\"");
    buf_text(b, job_state_name(state));
    buf_char(b, '"');
    links(b, url, name);
    buf_char(b, '}');
}

void job_view_etag(const void *body, size_t len, char out[JOB_VIEW_ETAG])
{
    uint8_t h[DIGEST_SIZE];
    char *p = out;
    digest_sha256(&(struct digest_part){body, len}, 1, h);
    *p++ = '"';
    p = hex_print(h, 16, p);
    *p++ = '"';
    *p = 0;
}
