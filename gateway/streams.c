#include "gateway/streams.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "common/metrics.h"
#include "gateway/sse.h"
#include "gateway/stream.h"

enum { READS_MAX = 2 }; /* on their way at once: what comes meanwhile shares the next */

struct stream_ticket {
    struct streams *all;
    struct stream_order order;
    struct share *share;
    int fd;
};

/* ---- reads */

static void read_done(void *arg);

static bool next_is_list(const struct streams *s)
{
    return s->wants_first->of_user;
}

static struct stream *pop(struct streams *s)
{
    struct stream *x = s->wants_first;
    s->wants_first = x->wants_next;
    if (!s->wants_first)
        s->wants_last = NULL;
    x->wants_next = NULL;
    x->wanted = false;
    x->reading = true;
    x->again = false;
    s->wants_n--;
    return x;
}

static bool ask(struct streams *s)
{
    bool list = next_is_list(s);
    size_t max = list ? 1 : s->wants_n < STREAM_READ_JOBS ? s->wants_n : STREAM_READ_JOBS;
    struct stream_read *r = stream_read_new(max, !list);
    if (!r)
        return false; /* asked again at the next tick */
    r->done = read_done;
    while (r->n < max && s->wants_first && next_is_list(s) == list) {
        struct stream *x = r->streams[r->n] = pop(s);
        if (list)
            feed_ask(&x->feed, &x->owner, &r->list);
        else
            stream_ask(x, &r->rows[r->n]);
        r->n++;
    }
    s->reads++;
    s->s.read(s->s.read_arg, r);
    return true;
}

/* In a turn of its own: those that want to be read in this one share it. */
static void flush(void *arg)
{
    struct streams *s = arg;
    s->flushing = false;
    while (s->wants_first && s->reads < READS_MAX && ask(s))
        continue;
}

static void flush_soon(struct streams *s)
{
    if (!s->flushing)
        s->flushing = loop_post(s->s.loop, flush, s) == 0;
}

void stream_want(struct stream *x)
{
    struct streams *s = x->all;
    if (x->of_user && sink_waits(&x->sink))
        x->full = true; /* a list may say again what still waits */
    if (x->ended || x->full)
        return; /* nothing more to ask; or when all is sent */
    if (x->asked_ms == 0)
        x->asked_ms = loop_now_ms(s->s.loop);
    if (x->wanted || x->reading)
        return;
    x->wanted = true;
    x->late = false;
    if (s->wants_last)
        s->wants_last->wants_next = x;
    else
        s->wants_first = x;
    s->wants_last = x;
    s->wants_n++;
    flush_soon(s);
}

static void unwant(struct stream *x)
{
    struct streams *s = x->all;
    struct stream **at = &s->wants_first, *before = NULL;
    while (*at && *at != x) {
        before = *at;
        at = &(*at)->wants_next;
    }
    if (!*at)
        return;
    *at = x->wants_next;
    if (s->wants_last == x)
        s->wants_last = before;
    s->wants_n--;
    x->wanted = false;
}

static void read_done(void *arg)
{
    struct stream_read *r = arg;
    struct streams *s = r->streams[0]->all;
    s->reads--;
    if (!r->err && !r->rows)
        s->ahead_ms = r->now_us / 1000 - clock_boot_us(s->s.loop->clock) / 1000;
    for (size_t i = 0; i < r->n; i++) {
        struct stream *x = r->streams[i];
        x->reading = false;
        if (x->closed)
            stream_free(x);
        else if (r->err)
            x->late = true;
        else
            stream_take(x, r->rows ? &r->rows[i] : NULL, r);
    }
    stream_read_free(r);
    flush_soon(s);
}

/* ---- the list of streams, by their next heartbeat */

static void link_last(struct stream *x)
{
    struct streams *s = x->all;
    x->prev = s->last;
    x->next = NULL;
    if (s->last)
        s->last->next = x;
    else
        s->first = x;
    s->last = x;
}

static void unlink_stream(struct stream *x)
{
    struct streams *s = x->all;
    if (x->prev)
        x->prev->next = x->next;
    else
        s->first = x->next;
    if (x->next)
        x->next->prev = x->prev;
    else
        s->last = x->prev;
}

static void leave(struct streams *s, struct share *share)
{
    pthread_mutex_lock(&s->lock);
    shares_leave(s->shares, share);
    s->n--;
    metrics_set(s->open, s->n);
    if (s->n == 0)
        pthread_cond_broadcast(&s->empty);
    pthread_mutex_unlock(&s->lock);
}

void stream_close(struct stream *x, enum stream_end why)
{
    struct streams *s = x->all;
    struct share *share = x->share;
    metrics_add(s->ends[why], 1);
    cache_unsubscribe(s->s.cache, x->channel, stream_hear, x);
    if (x->wanted)
        unwant(x);
    unlink_stream(x);
    sink_close(&x->sink);
    x->closed = true;
    if (!x->reading)
        stream_free(x);
    leave(s, share);
}

/* ---- ticks */

static void beat(struct streams *s, int64_t now_ms)
{
    while (s->first && s->first->beat_ms <= now_ms) {
        struct stream *x = s->first;
        unlink_stream(x);
        x->beat_ms = now_ms + STREAMS_BEAT_MS;
        link_last(x);
        stream_beat(x);
    }
}

static void look(struct streams *s, int64_t now_ms)
{
    bool deaf = !streams_hear(s);
    int64_t wall_s = clock_wall_us(s->s.loop->clock) / 1000000;
    for (struct stream *x = s->first, *next; x; x = next) {
        next = x->next;
        if (x->until_s && wall_s >= x->until_s) {
            stream_close(x, STREAM_EXPIRED);
            continue;
        }
        if (x->late || deaf)
            stream_want(x);
        if (x->asked_ms && now_ms - x->asked_ms > STREAMS_GAP_MS)
            stream_gap(x);
    }
}

static void on_published(void *arg, int err, const struct cache_reply *reply)
{
    struct streams *s = arg;
    if (err == ERR_CLOSED)
        return;
    if (!err && reply->type == REPLY_ERROR)
        s->mute = 2; /* one look more behind the first that is taken again */
    else if (s->mute)
        s->mute--;
}

/* A question each second: on a connection that only listens nobody would notice that the other end
 * is gone (cache_line.c gives both up together), or that it takes no messages: workers' neither. */
static void ask_redis(struct streams *s)
{
    struct cache_command c = {.script = SCRIPT_NONE};
    cache_arg_text(&c, "PUBLISH");
    cache_arg_text(&c, "op:ask"); /* nobody listens */
    cache_arg_text(&c, "");
    if (cache_send(s->s.cache, &c, on_published, s))
        return;
}

bool streams_hear(const struct streams *s)
{
    return cache_async_hears(s->s.cache) && !s->mute;
}

static void tick(void *arg)
{
    struct streams *s = arg;
    int64_t now_ms = loop_now_ms(s->s.loop);
    if (!s->first)
        return;
    ask_redis(s);
    beat(s, now_ms);
    look(s, now_ms);
    flush_soon(s);
}

/* ---- coming and going */

static void begin(void *arg)
{
    struct stream_ticket *t = arg;
    struct streams *s = t->all;
    struct stream *x = NULL;
    if (s->stopping)
        close(t->fd);
    if (s->stopping || stream_new(s, &t->order, t->fd, &x) != 0) {
        leave(s, t->share);
        free(t);
        return;
    }
    x->share = t->share;
    free(t);
    x->beat_ms = loop_now_ms(s->s.loop) + STREAMS_BEAT_MS;
    link_last(x);
    if (cache_subscribe(s->s.cache, x->channel, stream_hear, x) != 0)
        stream_close(x, STREAM_BROKEN);
    else if (!streams_hear(s))
        stream_want(x); /* else when it is subscribed */
}

void stream_begin(void *arg, int fd)
{
    struct stream_ticket *t = arg;
    struct streams *s = t->all;
    t->fd = fd;
    if (fd >= 0 && loop_post(s->s.loop, begin, t) == 0)
        return;
    if (fd >= 0)
        close(fd);
    leave(s, t->share);
    free(t);
}

/* Under the lock. */
static int take_room(struct streams *s, struct stream_ticket *t)
{
    if (s->closing)
        return ERR_CLOSED;
    if (s->n >= s->s.max)
        return ERR_FULL;
    int err = shares_enter(s->shares, &t->order.owner, t->order.address, &t->share);
    if (err)
        return err == ERR_FULL ? ERR_OVERLOADED : err;
    s->n++;
    return 0;
}

int streams_enter(struct streams *s, const struct stream_order *order, struct stream_ticket **out)
{
    struct stream_ticket *t = calloc(1, sizeof *t);
    if (!t)
        return ERR_NOMEM;
    *t = (struct stream_ticket){.all = s, .order = *order, .fd = -1};
    pthread_mutex_lock(&s->lock);
    int err = take_room(s, t);
    metrics_set(s->open, s->n);
    pthread_mutex_unlock(&s->lock);
    if (err) {
        if (err == ERR_FULL || err == ERR_OVERLOADED)
            metrics_add(s->refused, 1);
        free(t);
        return err;
    }
    *out = t;
    return 0;
}

static void stop(void *arg)
{
    struct streams *s = arg;
    s->stopping = true;
    while (s->first) {
        struct buf out = {0};
        uint64_t spread = rng_upto(rng_real(), STREAMS_BACK_MS);
        sse_retry(&out, (unsigned)spread);
        if (!buf_ok(&out) && sink_send(&s->first->sink, out.data, out.len) != 0)
            log_debug("stream-cut");
        buf_fini(&out);
        stream_close(s->first, STREAM_DRAINED);
    }
}

void streams_stop(struct streams *s, int wait_ms)
{
    struct timespec until = clock_until(wait_ms);
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    s->closing = true;
    pthread_mutex_unlock(&s->lock);
    if (loop_post(s->s.loop, stop, s) != 0)
        return;
    pthread_mutex_lock(&s->lock);
    while (s->n && rc == 0)
        rc = pthread_cond_timedwait(&s->empty, &s->lock, &until);
    pthread_mutex_unlock(&s->lock);
}

/* ---- life */

static void count(struct streams *s)
{
    static const char *const why[STREAM_ENDS] = {
        [STREAM_DONE] = "why=\"done\"",       [STREAM_LEFT] = "why=\"left\"",
        [STREAM_SLOW] = "why=\"slow\"",       [STREAM_EXPIRED] = "why=\"expired\"",
        [STREAM_DRAINED] = "why=\"drained\"", [STREAM_BROKEN] = "why=\"broken\""};
    s->open = metrics_gauge("offpath_streams", "", "Live streams that are open.");
    s->refused =
        metrics_counter("offpath_streams_refused_total", "",
                        "Live streams refused because too many were open, or of one client.");
    s->gaps = metrics_counter("offpath_stream_gaps_total", "",
                              "Live streams told that MySQL did not answer in time.");
    for (int i = 0; i < STREAM_ENDS; i++)
        s->ends[i] = metrics_counter("offpath_streams_ended_total", why[i], "Live streams ended.");
}

static unsigned share_of(const struct streams_settings *s)
{
    unsigned tenth = s->max / 10;
    return s->each ? s->each : tenth > STREAMS_EACH ? tenth : STREAMS_EACH;
}

int streams_open(const struct streams_settings *settings, struct streams **out)
{
    struct streams *s = calloc(1, sizeof *s);
    if (!s)
        return ERR_NOMEM;
    s->s = *settings;
    pthread_mutex_init(&s->lock, NULL);
    clock_cond_init(&s->empty);
    s->ahead_ms = clock_wall_us(s->s.loop->clock) / 1000 - clock_boot_us(s->s.loop->clock) / 1000;
    count(s);
    s->timer = loop_timer_new(s->s.loop, tick, s);
    if (!s->timer || shares_new(share_of(settings), &s->shares) != 0) {
        streams_close(s);
        return ERR_NOMEM;
    }
    loop_timer_set(s->s.loop, s->timer, STREAMS_LOOK_MS, STREAMS_LOOK_MS);
    *out = s;
    return 0;
}

void streams_close(struct streams *s)
{
    if (!s)
        return;
    for (struct stream *x = s->first, *next; x; x = next) {
        next = x->next;
        cache_unsubscribe(s->s.cache, x->channel, stream_hear, x);
        sink_close(&x->sink);
        stream_free(x);
    }
    loop_timer_free(s->s.loop, s->timer);
    shares_free(s->shares);
    pthread_cond_destroy(&s->empty);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
