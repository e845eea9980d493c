#include "gateway/merge.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/live.h"
#include "gateway/job_view.h"
#include "gateway/sse.h"

void merge_init(struct merge *m, uint64_t last)
{
    *m = (struct merge){.last = last > UINT32_MAX ? 0 : (uint32_t)last, .shown = JOB_NONE};
    m->resumed = m->last > 0;
}

void merge_fini(struct merge *m)
{
    free(m->told);
    m->told = NULL;
    m->told_n = 0;
}

static void print_state(struct merge *m, enum job_state state, struct buf *out)
{
    char data[64];
    int n = snprintf(data, sizeof data, "{\"state\":\"%s\"}", job_state_name(state));
    sse_event(out, m->last, "state", data, (size_t)n);
    m->shown = state;
}

void merge_gap(const struct merge *m, struct buf *out)
{
    sse_event(out, m->last, "gap", "{}", 2);
}

/* ---- calls without a number: each name and item is said once */

/* An entry begins with its name and item, whoever prints it. */
static uint64_t mark_of(const char *data, size_t len)
{
    static const char behind[] = ",\"state\":";
    const char *end = memmem(data, len, behind, sizeof behind - 1);
    uint64_t h = 14695981039346656037u;
    for (const char *p = data; p < (end ? end : data + len); p++)
        h = (h ^ (unsigned char)*p) * 1099511628211u;
    return h;
}

static bool was_told(const struct merge *m, uint64_t mark)
{
    for (size_t i = 0; i < m->told_n; i++)
        if (m->told[i] == mark)
            return true;
    return false;
}

static void tell_unnumbered(struct merge *m, const char *data, size_t len, struct buf *out)
{
    uint64_t mark = mark_of(data, len);
    if (was_told(m, mark))
        return;
    uint64_t *told = realloc(m->told, (m->told_n + 1) * sizeof *told);
    if (told) { /* without memory it may be said twice */
        m->told = told;
        m->told[m->told_n++] = mark;
    }
    sse_event(out, m->last, "call", data, len);
}

/* ---- messages */

static void hear_state(struct merge *m, const struct live_message *msg, bool reading,
                       struct buf *out)
{
    for (enum job_state s = JOB_QUEUED; s <= JOB_RUNNING; s++) {
        char data[64];
        int n = snprintf(data, sizeof data, "{\"state\":\"%s\"}", job_state_name(s));
        if (msg->data_len != (size_t)n || memcmp(msg->data, data, msg->data_len) != 0)
            continue;
        m->newer = reading;
        if (m->shown != s)
            print_state(m, s, out);
    }
}

bool merge_message(struct merge *m, const char *message, size_t len, bool reading, struct buf *out)
{
    struct live_message msg;
    if (live_parse(message, len, &msg) != 0)
        return false;
    bool call = strcmp(msg.event, "call") == 0, state = strcmp(msg.event, "state") == 0;
    bool ready = m->shown != JOB_NONE && !m->resumed;
    if (ready && state) {
        hear_state(m, &msg, reading, out);
        return false;
    }
    if (ready && call && msg.seq == 0) {
        tell_unnumbered(m, msg.data, msg.data_len, out);
        return false;
    }
    if (ready && call && msg.seq == m->last + 1) {
        m->last = msg.seq;
        sse_event(out, m->last, "call", msg.data, msg.data_len);
        return false;
    }
    if (ready && strcmp(msg.event, "done") != 0 && msg.seq <= m->last)
        return false;
    m->again |= reading;
    return true;
}

/* ---- reads */

void merge_ask(struct merge *m, struct record_progress *p)
{
    p->after = m->last;
    p->whole = m->resumed;
    m->newer = m->again = false;
}

static uint32_t highest(const struct record_progress *p)
{
    return p->n ? p->calls[p->n - 1].seq : 0;
}

/* The number of `done`: behind every call, whatever the row says. */
static uint32_t number_of_done(const struct record_progress *p)
{
    uint32_t behind = highest(p) + 1;
    return p->job.seq > behind ? p->job.seq : behind;
}

static bool is_final(const struct record_progress *p)
{
    return p->found && job_is_final(p->job.state);
}

static bool is_beyond(const struct merge *m, const struct record_progress *p)
{
    uint32_t last = is_final(p)                           ? number_of_done(p)
                    : p->found && p->job.seq > highest(p) ? p->job.seq
                                                          : highest(p);
    return m->resumed && !p->cut && m->last > last;
}

static bool tell_rows(struct merge *m, const struct record_progress *p, size_t room,
                      struct buf *out)
{
    struct buf data = {0};
    bool all = true;
    for (size_t i = 0; i < p->n && all; i++) {
        const struct record_call *c = &p->calls[i];
        if (c->seq <= m->last)
            continue;
        all = out->len <= room;
        if (!all)
            break;
        m->last = c->seq;
        if (!job_view_is_finished(&p->job, c))
            continue;
        buf_clear(&data);
        job_view_print_call(c, &data);
        sse_event(out, c->seq, "call", buf_str(&data), data.len);
    }
    buf_fini(&data);
    return all && !p->cut;
}

struct leftover {
    struct merge *m;
    struct buf *out;
};

static void tell_leftover(void *arg, const char *entry, size_t len)
{
    struct leftover *l = arg;
    tell_unnumbered(l->m, entry, len, l->out);
}

static void tell_done(struct merge *m, const struct record_progress *p, struct buf *out)
{
    struct buf data = {0};
    char id[ID_TEXT];
    id_format(&p->job.id, id);
    const char *message =
        p->job.detail ? p->job.detail : reason_for_user(reason_parse(p->job.reason));
    const struct live_done d = {.id = id,
                                .reason = p->job.reason,
                                .message = message && *message ? message : NULL,
                                .result = p->job.result,
                                .state = p->job.state};
    live_print_done(&d, &data);
    m->last = number_of_done(p);
    sse_event(out, m->last, "done", buf_str(&data), data.len);
    buf_fini(&data);
}

enum merge_next merge_read(struct merge *m, const struct record_progress *p, size_t room,
                           struct buf *out)
{
    if (is_beyond(m, p)) {
        m->last = 0;
        m->resumed = false;
        return MERGE_READ;
    }
    m->resumed = false;
    enum job_state state = p->found ? job_view_state(&p->job) : JOB_QUEUED;
    if (m->shown != state && (!m->newer || is_final(p)))
        print_state(m, state, out);
    if (!tell_rows(m, p, room, out))
        return MERGE_READ;
    if (!is_final(p))
        return m->again ? MERGE_READ : MERGE_WAIT;
    job_view_unrecorded(&p->job, p->calls, p->n, tell_leftover, &(struct leftover){m, out});
    tell_done(m, p, out);
    return MERGE_ENDED;
}
