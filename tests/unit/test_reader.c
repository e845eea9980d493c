/* What the gateway's reader logs; its reads themselves are in test_register.c. */
#include <stdlib.h>

#include "common/clock.h"
#include "gateway/reader.h"
#include "log_capture.h"

enum { REST_MS = 1000 };

/* A server that may be away, or lack what a read of a job needs and a list does not. */
struct bench {
    struct clock_stepped now;
    struct record record;
    struct reader *reader;
    int open_err, read_err;
};
static struct bench bench;

static void close_record(struct record *r)
{
    (void)r;
}

static const char *why(struct record *r)
{
    (void)r;
    return bench.open_err ? "2013 lost" : "1146 no op_call";
}

static int read_calls(struct record *r, const struct job_id *id, struct record_job *job,
                      struct record_call **calls, size_t *n)
{
    (void)r;
    (void)id;
    *job = (struct record_job){.part = -1};
    *calls = NULL;
    *n = 0;
    return bench.open_err ? bench.open_err : bench.read_err;
}

static int list(struct record *r, struct record_list *l)
{
    (void)r;
    (void)l;
    return bench.open_err;
}

static const struct record_ops ops = {
    .close = close_record, .why = why, .read = read_calls, .list = list};

static int open_record(void *arg, struct record **out, char *text)
{
    (void)arg;
    snprintf(text, RECORD_WHY, "%s", bench.open_err ? "2002 away" : "");
    bench.record.ops = &ops;
    *out = &bench.record;
    return bench.open_err;
}

static int setup(void **state)
{
    (void)state;
    bench = (struct bench){0};
    clock_stepped_init(&bench.now, 1800000000ll * 1000000);
    const struct reader_settings s = {.open = open_record,
                                      .connections = 2,
                                      .wait_ms = 20,
                                      .stuck_ms = 10,
                                      .rest_ms = REST_MS,
                                      .clock = &bench.now.clock};
    return reader_open(&s, &bench.reader);
}

static int teardown(void **state)
{
    (void)state;
    reader_close(bench.reader);
    return 0;
}

static int read_job(void)
{
    struct job_id id = {{1}};
    struct record_job job;
    struct record_call *calls;
    size_t n;
    return reader_read(bench.reader, &id, NULL, &job, &calls, &n);
}

static int list_jobs(void)
{
    struct record_list l = {.max = 1};
    return reader_list(bench.reader, &l);
}

static void pass(int ms)
{
    clock_step(&bench.now, (int64_t)ms * 1000);
}

static void an_outage_is_a_line_however_many_ask(void **state)
{
    (void)state;
    capture_start();
    assert_int_equal(read_job(), 0); /* this connection is lost, later ones are not to be had */
    for (int outage = 0; outage < 2; outage++) {
        bench.open_err = ERR_IO;
        for (int i = 0; i < 20; i++) {
            assert_int_equal(read_job(), ERR_UNAVAILABLE);
            assert_int_equal(list_jobs(), ERR_UNAVAILABLE);
            pass(REST_MS / 2);
        }
        bench.open_err = 0;
        pass(REST_MS);
        for (int i = 0; i < 3; i++)
            assert_int_equal(list_jobs(), 0);
    }
    capture_stop();
    assert_int_equal(capture_lines(" record-away ", NULL, NULL), 2);
    assert_int_equal(capture_lines(" record-away ", "who=reader", "2002 away"), 2);
    assert_int_equal(capture_lines(" record-back ", "who=reader", NULL), 2);
}

static void a_missing_table_is_a_line_though_lists_go_on(void **state)
{
    (void)state;
    capture_start();
    bench.read_err = ERR_SETUP;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(read_job(), ERR_UNAVAILABLE);
        assert_int_equal(list_jobs(), 0);
    }
    bench.read_err = ERR_NOT_FOUND; /* says nothing of the table */
    assert_int_equal(read_job(), ERR_NOT_FOUND);
    bench.read_err = ERR_SETUP;
    assert_int_equal(read_job(), ERR_UNAVAILABLE);
    bench.read_err = 0;
    assert_int_equal(read_job(), 0);
    assert_int_equal(list_jobs(), 0);
    capture_stop();
    assert_int_equal(capture_lines(" record-away ", NULL, NULL), 1);
    assert_int_equal(capture_lines(" record-away ", "who=reader", "1146 no op_call"), 1);
    assert_int_equal(capture_lines(" record-back ", "who=reader", NULL), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        T(an_outage_is_a_line_however_many_ask),
        T(a_missing_table_is_a_line_though_lists_go_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
