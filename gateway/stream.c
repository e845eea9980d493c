#include "gateway/stream.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/metrics.h"
#include "gateway/sse.h"

/* ---- sending. What sends may close the stream: it then says so, and x is gone. */

static bool send_all(struct stream *x, const struct buf *out)
{
    if (buf_ok(out) == 0 && (!out->len || sink_send(&x->sink, out->data, out->len) == 0))
        return true;
    stream_close(x, buf_ok(out) ? STREAM_BROKEN : STREAM_LEFT);
    return false;
}

/* A live event for a reader who has not taken those before it. */
static bool send_live(struct stream *x, const struct buf *out)
{
    size_t waits = sink_waits(&x->sink);
    if (!out->len)
        return true;
    if (waits && waits + out->len > x->all->s.bytes_max) {
        stream_close(x, STREAM_SLOW);
        return false;
    }
    return send_all(x, out);
}

static void on_drained(void *arg)
{
    struct stream *x = arg;
    if (x->ended) {
        stream_close(x, STREAM_DONE);
    } else if (x->full) {
        x->full = false;
        stream_want(x);
    }
}

static void on_gone(void *arg)
{
    stream_close(arg, STREAM_LEFT);
}

/* ---- life */

int stream_new(struct streams *s, const struct stream_order *order, int fd, struct stream **out)
{
    struct stream *x = calloc(1, sizeof *x);
    if (!x) {
        close(fd);
        return ERR_NOMEM;
    }
    if (sink_open(&x->sink, s->s.loop, fd) != 0) {
        free(x);
        return ERR_NOMEM;
    }
    x->all = s;
    x->of_user = order->of_user;
    x->owner = order->owner;
    x->id = order->id;
    x->until_s = order->until_s;
    if (x->of_user) {
        feed_init(&x->feed, order->last);
        live_channel_of_user(&x->owner, x->channel);
    } else {
        merge_init(&x->merge, order->last);
        live_channel(&x->id, x->channel);
    }
    sink_listen(&x->sink, on_drained, on_gone, x);
    *out = x;
    return 0;
}

void stream_free(struct stream *x)
{
    if (x->of_user)
        feed_fini(&x->feed);
    else
        merge_fini(&x->merge);
    free(x);
}

/* ---- messages */

static int64_t record_ms(const struct stream *x)
{
    return clock_boot_us(x->all->s.loop->clock) / 1000 + x->all->ahead_ms;
}

/* Nothing is known to be missing. */
static bool is_settled(const struct stream *x)
{
    return !x->asked_ms && !x->full && streams_hear(x->all);
}

static bool hear(struct stream *x, const char *message, size_t len, struct buf *out)
{
    if (!message) { /* it is subscribed: what came before may be lost */
        x->again = x->reading;
        return true;
    }
    if (!x->of_user)
        return merge_message(&x->merge, message, len, x->reading, out);
    feed_message(&x->feed, message, len, record_ms(x), is_settled(x), out);
    return false;
}

void stream_hear(void *stream, const char *channel, const char *message, size_t len)
{
    struct stream *x = stream;
    struct buf out = {0};
    (void)channel;
    if (x->ended)
        return;
    bool want = hear(x, message, len, &out);
    if (send_live(x, &out) && want)
        stream_want(x);
    buf_fini(&out);
}

/* ---- reads */

void stream_ask(struct stream *x, struct record_progress *p)
{
    p->id = x->id;
    merge_ask(&x->merge, p);
}

static bool may_read(const struct stream *x, const struct record_progress *p)
{
    return !p->found || owner_is_nobody(&p->job.owner) ||
           memcmp(&p->job.owner, &x->owner, sizeof x->owner) == 0;
}

static void take_job(struct stream *x, const struct record_progress *p)
{
    struct buf out = {0};
    size_t waits = sink_waits(&x->sink), max = x->all->s.bytes_max;
    enum merge_next next = merge_read(&x->merge, p, max > waits ? max - waits : 0, &out);
    x->ended = next == MERGE_ENDED;
    bool there = send_all(x, &out);
    buf_fini(&out);
    if (!there)
        return;
    if (x->ended && !sink_waits(&x->sink)) {
        stream_close(x, STREAM_DONE);
        return;
    }
    x->full = next == MERGE_READ && sink_waits(&x->sink) > 0;
    if (next == MERGE_READ || x->again)
        stream_want(x);
}

static void take_list(struct stream *x, const struct stream_read *r)
{
    struct buf out = {0};
    const struct feed_read f = {&r->list, r->now_us / 1000, x->all->s.title, x->all->s.title_arg};
    size_t waits = sink_waits(&x->sink), max = x->all->s.bytes_max;
    bool more = feed_take(&x->feed, &f, max > waits ? max - waits : 0, &out);
    if (send_all(x, &out) && (more || x->again || x->feed.again))
        stream_want(x);
    buf_fini(&out);
}

void stream_take(struct stream *x, const struct record_progress *p, const struct stream_read *r)
{
    x->asked_ms = 0;
    x->gap = false;
    if (p && !may_read(x, p))
        stream_close(x, STREAM_BROKEN);
    else if (p)
        take_job(x, p);
    else
        take_list(x, r);
}

/* ---- time */

void stream_beat(struct stream *x)
{
    struct buf out = {0};
    bool moved = sink_moved(&x->sink);
    if (sink_waits(&x->sink)) {
        if (!moved)
            stream_close(x, STREAM_SLOW);
        return;
    }
    if (x->of_user)
        feed_beat(&x->feed, record_ms(x), is_settled(x), &out);
    sse_beat(&out);
    if (send_all(x, &out))
        stream_want(x);
    buf_fini(&out);
}

void stream_gap(struct stream *x)
{
    struct buf out = {0};
    if (x->of_user || x->gap)
        return;
    x->gap = true;
    metrics_add(x->all->gaps, 1);
    merge_gap(&x->merge, &out);
    (void)send_live(x, &out);
    buf_fini(&out);
}
