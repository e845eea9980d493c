#include "gateway/feed.h"

#include <stdlib.h>
#include <string.h>

#include "common/clock.h"
#include "common/live.h"
#include "gateway/job_view.h"
#include "gateway/sse.h"
#include "gateway/stream_read.h"

static const int64_t FOR_EVER_US = 253402300799LL * 1000000; /* the last second of a DATETIME */

struct feed_told {
    struct job_id id;
    int64_t finished_ms;
};

void feed_init(struct feed *f, uint64_t last)
{
    bool is_time = last <= (uint64_t)FOR_EVER_US / 1000; /* in ms; a client may say anything */
    *f = (struct feed){.since_ms = is_time ? (int64_t)last : 0};
}

void feed_fini(struct feed *f)
{
    free(f->told);
    f->told = NULL;
}

void feed_ask(struct feed *f, const struct owner *o, struct record_list *l)
{
    int64_t from_ms = f->since_ms - FEED_LATE_MS;
    f->again = false;
    *l = (struct record_list){.owner = *o,
                              .state = -1,
                              .max = STREAM_READ_LIST,
                              .ended_us =
                                  f->since_ms ? (from_ms > 0 ? from_ms : 1) * 1000 : FOR_EVER_US};
}

/* ---- ends that were said */

/* The clocks of a worker and of the record differ a little; a job does not end twice so soon. */
static bool was_told(const struct feed *f, const struct job_id *id, int64_t finished_ms)
{
    for (unsigned i = 0; f->told && i < FEED_TOLD; i++)
        if (id_equal(&f->told[i].id, id) &&
            llabs(f->told[i].finished_ms - finished_ms) < FEED_LATE_MS)
            return true;
    return false;
}

static void note(struct feed *f, const struct job_id *id, int64_t finished_ms)
{
    if (!f->told)
        f->told = calloc(FEED_TOLD, sizeof *f->told);
    if (f->told)
        f->told[f->told_at++ % FEED_TOLD] = (struct feed_told){*id, finished_ms};
}

/* ---- reads */

static void tell(struct feed *f, const struct feed_read *r, const struct record_job *j,
                 struct buf *out)
{
    char title[FEED_TITLE];
    struct buf message = {0};
    struct live_message m;
    r->title(r->arg, j->flow, title);
    live_print_job(&(struct live_job){.id = &j->id,
                                      .owner = &j->owner,
                                      .flow = j->flow,
                                      .title = title[0] ? title : j->flow,
                                      .message = j->detail,
                                      .state = job_view_state(j),
                                      .finished_us = j->finished_us},
                   &message);
    if (!buf_ok(&message) && live_parse(message.data, message.len, &m) == 0)
        sse_event(out, (uint64_t)f->since_ms, "job", m.data, m.data_len);
    buf_fini(&message);
}

/* A client's word from the future, or from before everything, counts as none. */
static void settle_since(struct feed *f, int64_t now_ms)
{
    if (f->since_ms == 0 || (!f->began && f->since_ms > now_ms + FEED_LATE_MS))
        f->since_ms = now_ms;
}

/* Was it told, or left out, by a part before this one? */
static bool is_behind(const struct feed *f, const struct record_job *j)
{
    if (j->created_us != f->made_us)
        return j->created_us < f->made_us;
    return memcmp(&j->id, &f->made, sizeof j->id) <= 0;
}

/* False: there was no room for all. */
static bool tell_rows(struct feed *f, const struct feed_read *r, bool goes_on, size_t room,
                      struct buf *out)
{
    for (size_t i = r->list->n; i > 0; i--) { /* the newest last */
        const struct record_job *j = &r->list->rows[i - 1];
        int64_t finished_ms = j->finished_us / 1000;
        bool final = job_is_final(j->state);
        if (goes_on && is_behind(f, j))
            continue;
        if (final ? was_told(f, &j->id, finished_ms) : f->began)
            continue;
        if (out->len >= room)
            return false;
        tell(f, r, j, out);
        if (final)
            note(f, &j->id, finished_ms);
        f->made_us = j->created_us;
        f->made = j->id;
    }
    return true;
}

bool feed_take(struct feed *f, const struct feed_read *r, size_t room, struct buf *out)
{
    bool goes_on = f->more;
    settle_since(f, r->now_ms);
    if (!goes_on) {
        f->first_ms = r->now_ms;
        f->made_us = 0; /* nothing was told yet */
        memset(&f->made, 0, sizeof f->made);
    }
    f->more = !tell_rows(f, r, goes_on, room, out);
    if (f->more)
        return true;
    /* What a part before told as open may have ended since, and no message counted yet. */
    f->again |= goes_on && !f->began;
    f->began = true;
    if (f->first_ms > f->since_ms)
        f->since_ms = f->first_ms;
    feed_beat(f, f->since_ms, true, out);
    return false;
}

/* ---- messages */

static bool member(const struct live_message *m, const char *before, char *text, size_t size)
{
    const char *at = memmem(m->data, m->data_len, before, strlen(before));
    size_t n = 0;
    if (!at)
        return false;
    at += strlen(before);
    const char *end = m->data + m->data_len;
    while (at + n < end && at[n] != '"' && n + 1 < size)
        n++;
    memcpy(text, at, n);
    text[n] = 0;
    return true;
}

static void note_message(struct feed *f, const struct live_message *m)
{
    char id[ID_TEXT], finished[CLOCK_TEXT];
    struct job_id job;
    int64_t us;
    if (member(m, "{\"id\":\"", id, sizeof id) && id_parse(id, &job) == 0 &&
        member(m, ",\"finished\":\"", finished, sizeof finished) &&
        clock_parse(finished, strlen(finished), &us) == 0)
        note(f, &job, us / 1000);
}

static uint64_t number(const struct feed *f, int64_t now_ms, bool settled)
{
    return (uint64_t)(settled && now_ms > f->since_ms ? now_ms : f->since_ms);
}

void feed_message(struct feed *f, const char *message, size_t len, int64_t now_ms, bool settled,
                  struct buf *out)
{
    struct live_message m;
    f->again |= !settled;
    if (!f->began || live_parse(message, len, &m) != 0 || strcmp(m.event, "job") != 0)
        return; /* the first read will have it */
    note_message(f, &m);
    sse_event(out, number(f, now_ms, settled), "job", m.data, m.data_len);
}

void feed_beat(const struct feed *f, int64_t now_ms, bool settled, struct buf *out)
{
    if (f->began)
        buf_printf(out, "id: %llu\n\n", (unsigned long long)number(f, now_ms, settled));
}
