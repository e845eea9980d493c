/* streams.h: streams on a loop in virtual time, with Redis and the record in memory and sockets of
 * the kernel: what a reader gets when messages, Redis, the record or the reader itself fail. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/cache_fake.h"
#include "common/live.h"
#include "common/loop_fake.h"
#include "common/metrics.h"
#include "common/record_fake.h"
#include "gateway/streams.h"

static const int64_t WALL_US = 1795561200ll * 1000000;
static const struct owner ANN = {{7}}, BEN = {{8}};
enum { STREAMS = 4 };

struct world {
    struct loop *loop;
    struct cache_fake *redis;
    struct cache_async *cache, *worker; /* of the gateway; of who publishes */
    struct record_fake *db;
    struct record *r;
    struct streams *streams;
    struct job_id id;
    uint64_t fence;
    uint32_t seq;
    bool hangs; /* the record answers later: reads wait here */
    struct stream_read *hanging;
    unsigned reads;
    char got[1 << 16];
    size_t got_n;
};

static void answer(struct world *w, struct stream_read *r)
{
    r->err = r->rows ? w->r->ops->progress(w->r, r->rows, r->n) : w->r->ops->now(w->r, &r->now_us);
    if (!r->rows && !r->err)
        r->err = w->r->ops->list(w->r, &r->list);
    assert_int_equal(loop_post(w->loop, r->done, r), 0);
}

static void read_record(void *arg, struct stream_read *r)
{
    struct world *w = arg;
    w->reads++;
    if (!w->hangs) {
        answer(w, r);
        return;
    }
    r->next = w->hanging;
    w->hanging = r;
}

static void no_title(void *arg, const char *flow, char out[FEED_TITLE])
{
    (void)arg;
    snprintf(out, FEED_TITLE, "Title of %s", flow);
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    metrics_reset();
    assert_int_equal(loop_fake_open(WALL_US, &w->loop), 0);
    assert_int_equal(cache_fake_open(loop_fake_clock(w->loop), &w->redis), 0);
    assert_int_equal(cache_fake_async_view(w->redis, w->loop, &w->cache), 0);
    assert_int_equal(cache_fake_async_view(w->redis, w->loop, &w->worker), 0);
    w->db = record_fake_new(loop_fake_clock(w->loop));
    assert_int_equal(record_fake_open(w->db, &w->r, NULL), 0);
    assert_int_equal(w->r->ops->worker_start(w->r, "w", 3600000, &w->fence), 0);
    assert_int_equal(id_parse("0190a5b2-1111-7222-8333-444455556666", &w->id), 0);
    const struct streams_settings s = {.loop = w->loop,
                                       .cache = w->cache,
                                       .read = read_record,
                                       .read_arg = w,
                                       .title = no_title,
                                       .max = STREAMS,
                                       .bytes_max = 4096};
    assert_int_equal(streams_open(&s, &w->streams), 0);
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    assert_null(w->hanging);
    streams_close(w->streams);
    cache_async_close(w->cache);
    cache_async_close(w->worker);
    cache_fake_close(w->redis);
    w->r->ops->close(w->r);
    record_fake_free(w->db);
    loop_close(w->loop);
    free(w);
    metrics_reset();
    return 0;
}

/* ---- a worker */

static void claim(struct world *w)
{
    struct record_claim c = {.job = {.id = w->id, .owner = ANN, .flow = "f", .created_us = WALL_US},
                             .worker = w->fence},
                        *list[] = {&c};
    assert_int_equal(w->r->ops->claim(w->r, list, 1), 0);
    record_claim_fini(&c);
}

/* A row of the ledger; told: and its message. */
static void end_call(struct world *w, bool told)
{
    struct record_ledger l = {.worker = w->fence}, *list[] = {&l};
    struct buf data = {0};
    char result[] = "{\"n\":1}";
    l.call = (struct record_call){.job = w->id,
                                  .seq = ++w->seq,
                                  .name = "c",
                                  .item = (int32_t)w->seq,
                                  .outcome = OUTCOME_OK,
                                  .attempts = 1,
                                  .result = result,
                                  .result_len = strlen(result)};
    l.call.ckey[0] = (uint8_t)w->seq;
    assert_int_equal(w->r->ops->ledger(w->r, list, 1), 0);
    buf_printf(&data, "{\"name\":\"c\",\"item\":%u,\"state\":\"succeeded\"}", w->seq);
    if (told)
        live_publish(w->worker, &w->id, w->seq, "call", &data);
    buf_fini(&data);
}

static void end_job(struct world *w, bool told)
{
    struct record_finish f = {.worker = w->fence,
                              .id = w->id,
                              .state = JOB_SUCCEEDED,
                              .flow = "f",
                              .reason = "",
                              .seq = w->seq + 1,
                              .keep_ms = 60000},
                         *list[] = {&f};
    struct buf data = {0};
    assert_int_equal(w->r->ops->finish(w->r, list, 1), 0);
    buf_text(&data, "{}");
    if (told)
        live_publish(w->worker, &w->id, f.seq, "done", &data);
    buf_fini(&data);
}

/* ---- a reader */

static int open_ordered(struct world *w, const struct stream_order *order)
{
    struct stream_ticket *ticket;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    assert_int_equal(streams_enter(w->streams, order, &ticket), 0);
    stream_begin(ticket, ends[1]);
    loop_fake_run_for(w->loop, 1);
    return ends[0];
}

static int open_stream(struct world *w, bool of_user, uint64_t last)
{
    return open_ordered(
        w, &(struct stream_order){.id = w->id, .of_user = of_user, .owner = ANN, .last = last});
}

/* All that came by now; lent. */
static const char *heard(struct world *w, int fd)
{
    ssize_t n;
    w->got_n = 0;
    while ((n = read(fd, w->got + w->got_n, sizeof w->got - 1 - w->got_n)) > 0)
        w->got_n += (size_t)n;
    w->got[w->got_n] = 0;
    return w->got;
}

/* What is there now and has not been read is dropped; then: did the server end it? */
static bool is_over(struct world *w, int fd)
{
    char byte;
    heard(w, fd);
    return read(fd, &byte, 1) == 0 || (errno != EAGAIN && errno != EINTR);
}

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        n++;
    return n;
}

static int64_t ended(const char *why)
{
    char label[32];
    snprintf(label, sizeof label, "why=\"%s\"", why);
    return metrics_value(metrics_counter("offpath_streams_ended_total", label, ""));
}

/* ---- tests */

static void tells_each_call_once_and_ends(void **state)
{
    struct world *w = *state;
    claim(w);
    end_call(w, true);
    int fd = open_stream(w, false, 0);
    end_call(w, true);
    loop_fake_run_for(w->loop, 1);
    end_job(w, true);
    loop_fake_run_for(w->loop, 1);
    const char *text = heard(w, fd);
    assert_int_equal(count_of(text, "event: call"), 2);
    assert_int_equal(count_of(text, "data: {\"state\":\"running\"}"), 1);
    assert_int_equal(count_of(text, "data: {\"state\":\"succeeded\"}"), 1);
    assert_int_equal(count_of(text, "id: 3\nevent: done"), 1);
    assert_true(is_over(w, fd));
    assert_int_equal(ended("done"), 1);
    assert_int_equal(metrics_value(metrics_gauge("offpath_streams", "", "")), 0);
    close(fd);
}

/* Its worker died between commit and message. */
static void what_nobody_told_is_heard_at_the_next_heartbeat(void **state)
{
    struct world *w = *state;
    claim(w);
    int fd = open_stream(w, false, 0);
    end_call(w, false);
    loop_fake_run_for(w->loop, STREAMS_BEAT_MS - 2000);
    assert_int_equal(count_of(heard(w, fd), "event: call"), 0);
    loop_fake_run_for(w->loop, 3000);
    const char *text = heard(w, fd);
    assert_int_equal(count_of(text, "event: call"), 1);
    assert_int_equal(count_of(text, ": hb"), 1);
    close(fd);
}

static void without_redis_the_record_is_read_every_second(void **state)
{
    struct world *w = *state;
    claim(w);
    int fd = open_stream(w, false, 0);
    cache_fake_away(w->redis, true);
    end_call(w, true);
    loop_fake_run_for(w->loop, STREAMS_LOOK_MS + 1);
    assert_int_equal(count_of(heard(w, fd), "event: call"), 1);
    int second = open_stream(w, false, 0); /* opened meanwhile: at once */
    assert_int_equal(count_of(heard(w, second), "event: call"), 1);
    end_call(w, true);
    cache_fake_away(w->redis, false);
    loop_fake_run_for(w->loop, 1);
    assert_int_equal(count_of(heard(w, fd), "event: call"), 1);
    assert_int_equal(count_of(heard(w, second), "event: call"), 1);
    close(fd);
    close(second);
}

/* It listens well, and no worker's message comes through. */
static void where_redis_refuses_messages_the_record_is_read_every_second(void **state)
{
    struct world *w = *state;
    claim(w);
    int fd = open_stream(w, false, 0);
    cache_fake_refuse(w->redis, SCRIPT_NONE, "NOPERM this user has no permissions");
    loop_fake_run_for(w->loop, STREAMS_LOOK_MS + 1); /* it is found out */
    end_call(w, true);
    loop_fake_run_for(w->loop, STREAMS_LOOK_MS + 1);
    assert_int_equal(count_of(heard(w, fd), "event: call"), 1);
    int second = open_stream(w, false, 0);
    assert_int_equal(count_of(heard(w, second), "event: call"), 1);
    loop_fake_run_for(w->loop, STREAMS_LOOK_MS / 2);
    end_call(w, true); /* the last that is refused */
    cache_fake_refuse(w->redis, SCRIPT_NONE, NULL);
    loop_fake_run_for(w->loop, 2 * STREAMS_LOOK_MS + 1);
    assert_int_equal(count_of(heard(w, fd), "event: call"), 1);
    assert_int_equal(count_of(heard(w, second), "event: call"), 1);
    close(fd);
    close(second);
}

static void answer_hanging(struct world *w)
{
    struct stream_read *r = w->hanging;
    assert_non_null(r);
    w->hanging = r->next;
    answer(w, r);
    loop_fake_run_for(w->loop, 1);
}

/* Heard between two subscriptions: nobody knows, and the read on its way may be too old. */
static void what_is_subscribed_anew_during_a_read_is_read_again(void **state)
{
    struct world *w = *state;
    claim(w);
    for (int of_user = 0; of_user < 2; of_user++) {
        w->hangs = true;
        w->reads = 0;
        int fd = open_stream(w, of_user, 0);
        assert_int_equal(w->reads, 1);
        cache_fake_away(w->redis, true);
        loop_fake_run_for(w->loop, 1);
        cache_fake_away(w->redis, false);
        loop_fake_run_for(w->loop, 1);
        assert_int_equal(w->reads, 1);
        answer_hanging(w);
        assert_int_equal(w->reads, 2);
        answer_hanging(w);
        assert_int_equal(w->reads, 2);
        w->hangs = false;
        close(fd);
        loop_fake_run_for(w->loop, STREAMS_BEAT_MS + 1000); /* it is forgotten */
    }
    assert_int_equal(metrics_value(metrics_gauge("offpath_streams", "", "")), 0);
}

/* Its token expires while the record is asked for it: the answer is for nobody. */
static void an_answer_for_a_closed_stream_is_dropped(void **state)
{
    struct world *w = *state;
    claim(w);
    for (int of_user = 0; of_user < 2; of_user++) {
        int64_t now_us = clock_wall_us(loop_fake_clock(w->loop));
        w->hangs = true;
        int fd = open_ordered(
            w, &(struct stream_order){
                   .id = w->id, .of_user = of_user, .owner = ANN, .until_s = now_us / 1000000 + 1});
        loop_fake_run_for(w->loop, 3 * STREAMS_LOOK_MS);
        assert_true(is_over(w, fd));
        w->hangs = false;
        answer_hanging(w);
        assert_int_equal(ended("expired"), of_user + 1);
        assert_int_equal(ended("left") + ended("broken") + ended("done"), 0);
        assert_int_equal(metrics_value(metrics_gauge("offpath_streams", "", "")), 0);
        close(fd);
    }
}

/* It was opened before its row was there, and the row is another user's. */
static void a_row_of_another_is_told_to_nobody(void **state)
{
    struct world *w = *state;
    int fd = open_ordered(w, &(struct stream_order){.id = w->id, .owner = BEN});
    assert_int_equal(count_of(heard(w, fd), "data: {\"state\":\"queued\"}"), 1);
    claim(w); /* of ANN */
    end_call(w, false);
    loop_fake_run_for(w->loop, STREAMS_BEAT_MS + 2000);
    const char *text = heard(w, fd);
    assert_int_equal(count_of(text, "event:"), 0);
    assert_true(is_over(w, fd));
    assert_int_equal(ended("broken"), 1);
    close(fd);
}

static void one_too_many_is_refused_until_another_leaves(void **state)
{
    struct world *w = *state;
    const struct stream_order order = {.id = w->id, .owner = ANN};
    struct stream_ticket *ticket = NULL;
    int fds[STREAMS];
    claim(w);
    for (int i = 0; i < STREAMS; i++)
        fds[i] = open_stream(w, false, 0);
    assert_int_equal(streams_enter(w->streams, &order, &ticket), ERR_FULL);
    assert_null(ticket);
    struct metric *refused = metrics_counter("offpath_streams_refused_total", "", "");
    assert_int_equal(metrics_value(refused), 1);
    close(fds[0]);
    loop_fake_run_for(w->loop, STREAMS_BEAT_MS + 2000);
    fds[0] = open_stream(w, false, 0);
    assert_int_equal(streams_enter(w->streams, &order, &ticket), ERR_FULL);
    for (int i = 0; i < STREAMS; i++)
        close(fds[i]);
}

static void a_record_that_hangs_is_a_gap_told_once(void **state)
{
    struct world *w = *state;
    claim(w);
    int fd = open_stream(w, false, 0);
    heard(w, fd);
    w->hangs = true;
    w->seq++; /* a number whose row is there, but not yet readable */
    end_call(w, true);
    loop_fake_run_for(w->loop, 3000);
    assert_int_equal(count_of(heard(w, fd), "event: gap"), 0);
    loop_fake_run_for(w->loop, 20000);
    assert_int_equal(count_of(heard(w, fd), "event: gap\ndata: {}"), 1);
    w->hangs = false;
    struct stream_read *r = w->hanging;
    w->hanging = NULL;
    answer(w, r);
    loop_fake_run_for(w->loop, 1);
    assert_int_equal(count_of(heard(w, fd), "event: call"), 1);
    close(fd);
}

static void a_record_that_was_away_is_asked_again(void **state)
{
    struct world *w = *state;
    claim(w);
    record_fake_down(w->db, true);
    int fd = open_stream(w, false, 0);
    loop_fake_run_for(w->loop, 2500);
    assert_string_equal(heard(w, fd), "");
    record_fake_down(w->db, false);
    loop_fake_run_for(w->loop, STREAMS_LOOK_MS);
    assert_int_equal(count_of(heard(w, fd), "event: state"), 1);
    close(fd);
}

static void small_socket(int fd)
{
    int size = 4096;
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
}

/* Events until the reader is closed: what a client that never reads gets. */
static void who_never_reads_is_closed_at_its_bytes_and_resumes(void **state)
{
    struct world *w = *state;
    struct stream_order order = {.id = w->id, .owner = ANN};
    struct stream_ticket *ticket;
    int ends[2];
    claim(w);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    small_socket(ends[1]);
    assert_int_equal(streams_enter(w->streams, &order, &ticket), 0);
    stream_begin(ticket, ends[1]);
    loop_fake_run_for(w->loop, 1);
    while (w->seq < 250 && ended("slow") == 0) {
        end_call(w, true);
        loop_fake_run_for(w->loop, 1);
    }
    assert_int_equal(ended("slow"), 1);
    assert_int_equal(metrics_value(metrics_gauge("offpath_streams", "", "")), 0);
    size_t got = count_of(heard(w, ends[0]), "event: call");
    assert_true(got > 0 && got < w->seq);
    int again = open_stream(w, false, got);
    assert_int_equal(count_of(heard(w, again), "event: call"), w->seq - got);
    close(ends[0]);
    close(again);
}

/* More rows than may wait: the rest is read when the reader has taken them. */
static void a_long_history_comes_as_the_reader_takes_it(void **state)
{
    struct world *w = *state;
    struct stream_order order = {.id = w->id, .owner = ANN};
    struct stream_ticket *ticket;
    int ends[2];
    size_t calls = 0;
    claim(w);
    while (w->seq < 200)
        end_call(w, false);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    small_socket(ends[1]);
    assert_int_equal(streams_enter(w->streams, &order, &ticket), 0);
    stream_begin(ticket, ends[1]);
    loop_fake_run_for(w->loop, 1);
    for (int i = 0; i < 1000 && calls < 200; i++) {
        calls += count_of(heard(w, ends[0]), "event: call");
        if (loop_fake_watched(w->loop, ends[1]) & LOOP_WRITE)
            loop_fake_fire(w->loop, ends[1], LOOP_WRITE);
        loop_fake_run_for(w->loop, 1);
    }
    assert_true(calls >= 190); /* an event cut in two between reads is counted in neither */
    assert_int_equal(ended("slow"), 0);
    close(ends[0]);
}

static void who_takes_nothing_for_a_heartbeat_is_closed(void **state)
{
    struct world *w = *state;
    struct stream_order order = {.id = w->id, .owner = ANN};
    struct stream_ticket *ticket;
    int ends[2];
    claim(w);
    while (w->seq < 200)
        end_call(w, false);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    small_socket(ends[1]);
    assert_int_equal(streams_enter(w->streams, &order, &ticket), 0);
    stream_begin(ticket, ends[1]);
    loop_fake_run_for(w->loop, 2 * STREAMS_BEAT_MS + 2000);
    assert_int_equal(ended("slow"), 1);
    close(ends[0]);
}

static void who_leaves_is_forgotten(void **state)
{
    struct world *w = *state;
    claim(w);
    int fd = open_stream(w, false, 0);
    close(fd);
    end_call(w, true);
    loop_fake_run_for(w->loop, 1);
    assert_int_equal(ended("left"), 1);
    assert_int_equal(metrics_value(metrics_gauge("offpath_streams", "", "")), 0);
}

/* ---- of a user */

static void tell_user(struct world *w, enum job_state state, int64_t finished_us)
{
    live_publish_job(w->worker, &(struct live_job){.id = &w->id,
                                                   .owner = &ANN,
                                                   .flow = "f",
                                                   .title = "Title of f",
                                                   .state = state,
                                                   .finished_us = finished_us});
    loop_fake_run_for(w->loop, 1);
}

static void a_stream_ends_with_the_token_it_was_opened_with(void **state)
{
    struct world *w = *state;
    claim(w);
    for (int of_user = 0; of_user < 2; of_user++) {
        int64_t now_us = clock_wall_us(loop_fake_clock(w->loop));
        int fd = open_ordered(w, &(struct stream_order){.id = w->id,
                                                        .of_user = of_user,
                                                        .owner = ANN,
                                                        .until_s = now_us / 1000000 + 100});
        loop_fake_run_for(w->loop, 97000);
        assert_false(is_over(w, fd));
        loop_fake_run_for(w->loop, 3000 + STREAMS_LOOK_MS);
        assert_true(is_over(w, fd));
        assert_int_equal(ended("expired"), of_user + 1);
        close(fd);
    }
}

static void a_user_hears_of_open_jobs_and_of_ends(void **state)
{
    struct world *w = *state;
    claim(w);
    int fd = open_stream(w, true, 0);
    const char *text = heard(w, fd);
    assert_int_equal(count_of(text, "event: job"), 1);
    assert_non_null(strstr(text, "\"title\":\"Title of f\",\"state\":\"running\""));
    assert_non_null(
        strstr(text, "id: 1795561200")); /* for who comes back before anything happens */
    end_job(w, false);
    tell_user(w, JOB_SUCCEEDED, clock_wall_us(loop_fake_clock(w->loop)));
    assert_int_equal(count_of(heard(w, fd), "\"state\":\"succeeded\""), 1);
    loop_fake_run_for(w->loop, STREAMS_BEAT_MS + 2000);
    assert_int_equal(count_of(heard(w, fd), "event: job"), 0); /* told once */
    close(fd);
}

/* The numbers are the record's time: who comes back with one from the future would miss ends. */
static void a_step_of_our_clock_is_not_in_a_users_numbers(void **state)
{
    struct world *w = *state;
    claim(w);
    int fd = open_stream(w, true, 0);
    heard(w, fd);
    loop_fake_step_wall(w->loop, INT64_C(86400000000) * 30);
    end_job(w, false);
    tell_user(w, JOB_SUCCEEDED, clock_boot_us(loop_fake_clock(w->loop)));
    assert_non_null(strstr(heard(w, fd), "id: 17955612"));
    close(fd);
}

static void an_end_that_nobody_told_a_user_is_heard_at_the_next_heartbeat(void **state)
{
    struct world *w = *state;
    claim(w);
    int fd = open_stream(w, true, 0);
    heard(w, fd);
    end_job(w, false);
    loop_fake_run_for(w->loop, STREAMS_BEAT_MS + 2000);
    assert_int_equal(count_of(heard(w, fd), "\"state\":\"succeeded\""), 1);
    close(fd);
}

static void a_user_who_was_away_hears_what_ended_meanwhile(void **state)
{
    struct world *w = *state;
    claim(w);
    loop_fake_run_for(w->loop, 60000);
    end_job(w, false);
    int fd = open_stream(w, true, (uint64_t)(WALL_US / 1000 + 65000)); /* 10 s of grace */
    assert_int_equal(count_of(heard(w, fd), "\"state\":\"succeeded\""), 1);
    int later = open_stream(w, true, (uint64_t)(WALL_US / 1000 + 75000));
    assert_int_equal(count_of(heard(w, later), "event: job"), 0);
    close(fd);
    close(later);
}

/* ---- of a user with many jobs */

enum { MANY = 300 };

static struct job_id many_id(const struct world *w, unsigned i)
{
    struct job_id id = w->id;
    id.b[0] = (uint8_t)(i >> 8);
    id.b[1] = (uint8_t)i;
    return id;
}

/* Jobs with long messages that have ended. */
static void end_many(struct world *w)
{
    char detail[512];
    snprintf(detail, sizeof detail, "%0500d", 0);
    for (unsigned i = 0; i < MANY; i++) {
        struct record_claim c = {.job = {.owner = ANN, .flow = "f", .created_us = WALL_US + i / 2},
                                 .worker = w->fence},
                            *claims[] = {&c};
        struct record_finish f = {.worker = w->fence,
                                  .state = JOB_FAILED,
                                  .flow = "f",
                                  .reason = "x",
                                  .detail = detail,
                                  .keep_ms = 60000},
                             *ends[] = {&f};
        c.job.id = f.id = many_id(w, i);
        assert_int_equal(w->r->ops->claim(w->r, claims, 1), 0);
        assert_int_equal(w->r->ops->finish(w->r, ends, 1), 0);
        record_claim_fini(&c);
    }
}

/* A stream of the user whose reads hang; it resumes, so that ends are told. */
static void open_small(struct world *w, int ends[2])
{
    const struct stream_order order = {
        .of_user = true, .owner = ANN, .last = (uint64_t)(WALL_US / 1000)};
    struct stream_ticket *ticket;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends), 0);
    small_socket(ends[1]);
    assert_int_equal(streams_enter(w->streams, &order, &ticket), 0);
    w->hangs = true;
    stream_begin(ticket, ends[1]);
    loop_fake_run_for(w->loop, 1);
}

/* All that the stream has, as its reader takes it; appended to `text`. */
static void take_all(struct world *w, const int ends[2], struct buf *text)
{
    for (;;) {
        buf_text(text, heard(w, ends[0]));
        if (!(loop_fake_watched(w->loop, ends[1]) & LOOP_WRITE))
            break;
        loop_fake_fire(w->loop, ends[1], LOOP_WRITE);
    }
    loop_fake_run_for(w->loop, 1);
    buf_text(text, heard(w, ends[0]));
}

/* One read of a thousand jobs never waits for a reader as a whole. */
static void a_long_list_comes_as_the_reader_takes_it(void **state)
{
    struct world *w = *state;
    struct buf text = {0};
    int ends[2];
    end_many(w);
    open_small(w, ends);
    while (w->hanging && w->reads < 2 * MANY) {
        size_t before = text.len;
        answer_hanging(w);
        take_all(w, ends, &text);
        assert_true(text.len - before < 4096 + 1024);
    }
    assert_int_equal(buf_ok(&text), 0);
    for (unsigned i = 0; i < MANY; i++) {
        char id[ID_TEXT];
        struct job_id job = many_id(w, i);
        id_format(&job, id);
        assert_non_null(strstr(buf_str(&text), id));
    }
    assert_int_equal(ended("slow"), 0);
    buf_fini(&text);
    close(ends[0]);
}

/* A list says again what the one before said, and that waits. */
static void without_redis_a_user_who_has_not_read_is_not_told_again(void **state)
{
    struct world *w = *state;
    struct buf text = {0};
    int ends[2];
    end_many(w);
    open_small(w, ends);
    while (!(loop_fake_watched(w->loop, ends[1]) & LOOP_WRITE))
        answer_hanging(w); /* the kernel takes the first */
    unsigned reads = w->reads;
    cache_fake_away(w->redis, true);
    loop_fake_run_for(w->loop, 5 * STREAMS_LOOK_MS);
    assert_int_equal(w->reads, reads);
    take_all(w, ends, &text);
    assert_int_equal(w->reads, reads + 1); /* at once when it was taken */
    w->hangs = false;
    answer_hanging(w);
    assert_int_equal(ended("slow"), 0);
    buf_fini(&text);
    close(ends[0]);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
    const struct CMUnitTest tests[] = {
        T(tells_each_call_once_and_ends),
        T(what_nobody_told_is_heard_at_the_next_heartbeat),
        T(without_redis_the_record_is_read_every_second),
        T(where_redis_refuses_messages_the_record_is_read_every_second),
        T(what_is_subscribed_anew_during_a_read_is_read_again),
        T(an_answer_for_a_closed_stream_is_dropped),
        T(a_row_of_another_is_told_to_nobody),
        T(one_too_many_is_refused_until_another_leaves),
        T(a_record_that_hangs_is_a_gap_told_once),
        T(a_record_that_was_away_is_asked_again),
        T(who_never_reads_is_closed_at_its_bytes_and_resumes),
        T(a_long_history_comes_as_the_reader_takes_it),
        T(who_takes_nothing_for_a_heartbeat_is_closed),
        T(who_leaves_is_forgotten),
        T(a_stream_ends_with_the_token_it_was_opened_with),
        T(a_user_hears_of_open_jobs_and_of_ends),
        T(a_step_of_our_clock_is_not_in_a_users_numbers),
        T(an_end_that_nobody_told_a_user_is_heard_at_the_next_heartbeat),
        T(a_user_who_was_away_hears_what_ended_meanwhile),
        T(a_long_list_comes_as_the_reader_takes_it),
        T(without_redis_a_user_who_has_not_read_is_not_told_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
