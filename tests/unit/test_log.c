#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/json.h"
#include "common/log.h"
#include "common/log_mask.h"
#include "common/log_rate.h"
#include "common/metrics.h"

/* What stands on stderr between start and stop. */
struct capture {
    int old, file;
    char text[256 * 1024];
};

static void capture_start(struct capture *c)
{
    fflush(stderr);
    c->old = dup(STDERR_FILENO);
    c->file = memfd_create("stderr", 0);
    assert_int_equal(fcntl(c->file, F_SETFL, O_APPEND), 0); /* or two writes take one place */
    assert_int_equal(dup2(c->file, STDERR_FILENO), STDERR_FILENO);
}

static const char *capture_stop(struct capture *c)
{
    dup2(c->old, STDERR_FILENO);
    ssize_t n = pread(c->file, c->text, sizeof c->text - 1, 0);
    c->text[n > 0 ? n : 0] = 0;
    close(c->old);
    close(c->file);
    return c->text;
}

static struct capture cap;

/* The text behind the time stamp, which is checked on the way. */
static const char *behind_time(const char *line)
{
    assert_int_equal(strspn(line, "0123456789-T:.Z"), 27);
    assert_int_equal(line[27], ' ');
    return line + 28;
}

static void test_text_is_one_line_of_pairs(void **state)
{
    (void)state;
    log_open("gateway", false, LOG_INFO);
    capture_start(&cap);
    log_info("started", "port", "8480", "path", "a b", "empty", "", "none", (const char *)NULL,
             "quote", "x=\"1\"\n2");
    const char *text = capture_stop(&cap);
    assert_string_equal(behind_time(text),
                        "info  gateway started port=8480 path=\"a b\" empty=\"\" none=\"\" "
                        "quote=\"x=\\\"1\\\"\\n2\"\n");
}

static void test_json_is_one_strict_object_a_line(void **state)
{
    (void)state;
    struct json *v = NULL;
    log_open("worker", true, LOG_INFO);
    capture_start(&cap);
    log_scope("J", "R");
    log_error("call-failed", "detail", "\"\\\n\xff\x01");
    log_scope(NULL, NULL);
    const char *text = capture_stop(&cap);
    size_t len = strlen(text);
    assert_ptr_equal(strchr(text, '\n'), text + len - 1);
    assert_int_equal(json_parse(text, len, NULL, &v, NULL), 0);
    static const char *const want[][2] = {
        {"level", "error"}, {"program", "worker"}, {"event", "call-failed"},
        {"job", "J"},       {"request", "R"},      {"detail", "\"\\\n\xef\xbf\xbd\x01"}};
    for (size_t i = 0; i < sizeof want / sizeof want[0]; i++)
        assert_string_equal(json_text(json_get(v, want[i][0])), want[i][1]);
    assert_int_equal(strlen(json_text(json_get(v, "time"))), 27);
    assert_int_equal(json_size(v), 7);
    json_free(v);
}

static void test_scope_stands_on_every_line_of_its_thread(void **state)
{
    (void)state;
    log_open("worker", false, LOG_DEBUG);
    capture_start(&cap);
    log_scope("job-1", NULL);
    log_debug("one");
    log_debug("two", "job", "job-2"); /* named: once, and as named */
    log_scope(NULL, "req-1");
    log_debug("three");
    log_scope(NULL, NULL);
    log_debug("four");
    const char *line = capture_stop(&cap);
    static const char *const want[] = {"debug worker one job=job-1\n",
                                       "debug worker two job=job-2\n",
                                       "debug worker three request=req-1\n", "debug worker four\n"};
    for (int i = 0; i < 4; i++) {
        line = behind_time(line);
        assert_memory_equal(line, want[i], strlen(want[i]));
        line += strlen(want[i]);
    }
    assert_string_equal(line, "");
}

static void test_lines_below_the_level_are_not_written(void **state)
{
    (void)state;
    log_open("worker", false, LOG_WARN);
    capture_start(&cap);
    log_debug("low");
    log_info("low");
    log_warn("high");
    assert_string_equal(behind_time(capture_stop(&cap)), "warn  worker high\n");
}

static void test_secrets_are_masked_in_every_value(void **state)
{
    (void)state;
    log_open("worker", false, LOG_INFO);
    log_secret("hunter22");
    log_secret("hunter22-and-more");
    log_secret("sword-and-more");
    log_secret("sword"); /* whichever is known first */
    log_secret("abc");   /* too short to be masked */
    log_secret(NULL);
    capture_start(&cap);
    log_scope("hunter22", NULL);
    log_info("login", "url", "mysql://u:hunter22@h/db", "two", "hunter22hunter22-and-more",
             "longer", "sword-and-more", "short", "abc");
    log_scope(NULL, NULL);
    assert_string_equal(behind_time(capture_stop(&cap)),
                        "info  worker login job=*** url=mysql://u:***@h/db two=****** "
                        "longer=*** short=abc\n");
}

static void test_long_values_are_cut(void **state)
{
    (void)state;
    char *big = calloc(1, 100001);
    memset(big, 'x', 100000);
    log_open("worker", false, LOG_INFO);
    capture_start(&cap);
    log_info("big", "value", big, "next", "1");
    const char *text = capture_stop(&cap);
    assert_true(strlen(text) < 3000);
    assert_non_null(strstr(text, "xxx... next=1\n"));
    free(big);
}

static const char *read_pipe(int fd)
{
    static char text[8192];
    ssize_t n = read(fd, text, sizeof text - 1);
    text[n > 0 ? n : 0] = 0;
    return text;
}

/* A pipe of one page: what is in it, if only a character, leaves no room. */
static void test_a_reader_that_stalls_stops_nobody(void **state)
{
    (void)state;
    static char big[2001];
    int ends[2], old = dup(STDERR_FILENO);
    memset(big, 'x', sizeof big - 1);
    log_open("worker", false, LOG_INFO);
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(fcntl(ends[0], F_SETPIPE_SZ, 4096), 4096);
    assert_int_equal(dup2(ends[1], STDERR_FILENO), STDERR_FILENO);
    alarm(60); /* it hung here */
    log_info("first");
    for (int i = 0; i < 3; i++)
        log_info("lost");
    const char *text = read_pipe(ends[0]);
    bool alone = strstr(text, " first\n") && !strstr(text, "lost");
    log_info("long", "a", big, "b", big, "c", big); /* its second page is lost */
    text = read_pipe(ends[0]);
    bool counted = strstr(text, " worker long a=x") && strlen(text) == 4096;
    log_info("on");
    text = read_pipe(ends[0]);
    bool anew = text[0] == '\n' && strstr(text, " on dropped=4\n");
    log_info("and-on");
    text = read_pipe(ends[0]);
    alarm(0);
    dup2(old, STDERR_FILENO);
    assert_true(alone && counted && anew);
    assert_string_equal(behind_time(text), "info  worker and-on\n");
    assert_int_equal(metrics_value(metrics_counter("offpath_log_dropped_total", "", "")), 4);
    close(ends[0]);
    close(ends[1]);
    close(old);
}

static void test_a_flood_of_one_event_is_limited(void **state)
{
    (void)state;
    log_open("worker", false, LOG_INFO);
    capture_start(&cap);
    for (int i = 0; i < 500; i++)
        log_info("flood", "n", log_number(i));
    log_info("other");
    const char *text = capture_stop(&cap);
    size_t lines = 0;
    for (const char *p = text; (p = strchr(p, '\n')) != NULL; p++)
        lines++;
    assert_in_range(lines, LOG_RATE_BURST + 1, LOG_RATE_BURST + 50); /* + what time gives back */
    assert_non_null(strstr(text, " other\n"));
    assert_non_null(strstr(text, " flood n=49\n"));
}

static void test_rate_is_50_then_5_a_second_and_counts(void **state)
{
    (void)state;
    struct log_rate *r = calloc(1, sizeof *r);
    uint64_t suppressed = 99;
    int64_t now = 1000000000;
    for (int i = 0; i < 50; i++)
        assert_true(log_rate_take(r, "a", now, &suppressed));
    assert_int_equal(suppressed, 0);
    for (int i = 0; i < 7; i++)
        assert_false(log_rate_take(r, "a", now, &suppressed));
    assert_true(log_rate_take(r, "b", now, &suppressed)); /* each event has its own */
    assert_false(log_rate_take(r, "a", now + 199999, &suppressed));
    assert_true(log_rate_take(r, "a", now + 200000, &suppressed));
    assert_int_equal(suppressed, 8);
    now += 1200000;
    for (int i = 0; i < 5; i++)
        assert_true(log_rate_take(r, "a", now, &suppressed));
    assert_int_equal(suppressed, 0);
    assert_false(log_rate_take(r, "a", now, &suppressed));
    now += 3600LL * 1000000; /* rest fills it to the burst and no further */
    for (int i = 0; i < 50; i++)
        assert_true(log_rate_take(r, "a", now, &suppressed));
    assert_false(log_rate_take(r, "a", now, &suppressed));
    free(r);
}

static void test_rate_of_too_many_events_stays_bounded(void **state)
{
    (void)state;
    struct log_rate *r = calloc(1, sizeof *r);
    uint64_t suppressed;
    int allowed = 0;
    char name[100];
    for (int i = 0; i < 5000; i++) {
        snprintf(name, sizeof name, "event-%d-with-a-name-that-is-longer-than-the-table-keeps", i);
        allowed += log_rate_take(r, name, 0, &suppressed);
    }
    assert_in_range(allowed, LOG_RATE_BURST, LOG_RATE_EVENTS + LOG_RATE_BURST);
    free(r);
}

static void test_mask_is_bounded_and_forgets_repeats(void **state)
{
    (void)state;
    struct log_mask *m = calloc(1, sizeof *m);
    char name[32];
    for (int i = 0; i < LOG_SECRETS_MAX; i++) {
        snprintf(name, sizeof name, "secret-%d", i);
        assert_int_equal(log_mask_add(m, name, true), 0);
        assert_int_equal(log_mask_add(m, name, i % 2), 0);
    }
    assert_int_equal(m->n, LOG_SECRETS_MAX);
    assert_int_equal(log_mask_add(m, "one-more", true), ERR_FULL);
    assert_int_equal(log_mask_add(m, "one-more", false), ERR_FULL);
    struct buf out;
    buf_init(&out, 0);
    log_mask_text(m, "0123456secret-1000", 8, &out); /* the cut falls into the secret */
    assert_string_equal(buf_str(&out), "0123456***");
    buf_fini(&out);
    log_mask_fini(m);
    free(m);
}

static void assert_masked(const struct log_mask *m, const char *text, bool masked)
{
    struct buf out;
    buf_init(&out, 0);
    log_mask_text(m, text, 100, &out);
    assert_string_equal(buf_str(&out), masked ? "***" : text);
    buf_fini(&out);
}

/* Values that others follow, as a token that is renewed every hour: the newest are masked, those
 * that are said again, and those that stay. */
static void test_mask_has_room_for_what_is_new(void **state)
{
    (void)state;
    enum { MANY = 3 * LOG_SECRETS_MAX };
    struct log_mask *m = calloc(1, sizeof *m);
    char name[32];
    assert_int_equal(log_mask_add(m, "stays-first", true), 0);
    assert_int_equal(log_mask_add(m, "stays-later", false), 0);
    assert_int_equal(log_mask_add(m, "stays-later", true), 0);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "passes-%d", i);
        assert_int_equal(log_mask_add(m, name, false), 0);
        assert_int_equal(log_mask_add(m, "said-again", false), 0);
    }
    assert_int_equal(log_mask_add(m, "stays-last", true), 0);
    assert_int_equal(m->n, LOG_SECRETS_MAX);
    assert_masked(m, "stays-first", true);
    assert_masked(m, "stays-later", true);
    assert_masked(m, "stays-last", true);
    assert_masked(m, "said-again", true);
    for (int i = 0; i < MANY; i++) { /* four have another's place */
        snprintf(name, sizeof name, "passes-%d", i);
        assert_masked(m, name, i >= MANY - LOG_SECRETS_MAX + 4);
    }
    log_mask_fini(m);
    free(m);
}

static void *write_many(void *arg)
{
    for (int i = 0; i < 40; i++)
        log_info(arg, "text", "abcdefghijklmnopqrstuvwxyz", "number", log_number(i));
    return NULL;
}

static void test_lines_of_threads_do_not_mix(void **state)
{
    (void)state;
    static char names[4][8] = {"t0", "t1", "t2", "t3"};
    pthread_t threads[4];
    log_open("worker", true, LOG_INFO);
    capture_start(&cap);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, names[i]), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    char *text = (char *)(size_t)capture_stop(&cap);
    int lines = 0;
    for (char *rest = text, *line; (line = strsep(&rest, "\n")) != NULL && *line; lines++) {
        struct json *v = NULL;
        assert_int_equal(json_parse(line, strlen(line), NULL, &v, NULL), 0);
        json_free(v);
    }
    assert_int_equal(lines, 160);
}

static void test_numbers_live_until_8_more(void **state)
{
    (void)state;
    const char *first = log_number(-9223372036854775807LL - 1);
    for (int i = 0; i < 7; i++)
        log_number(i);
    assert_string_equal(first, "-9223372036854775808");
}

static void test_errno_survives(void **state)
{
    (void)state;
    capture_start(&cap);
    errno = EPIPE;
    log_info("errno");
    int after = errno;
    capture_stop(&cap);
    assert_int_equal(after, EPIPE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_is_one_line_of_pairs),
        cmocka_unit_test(test_json_is_one_strict_object_a_line),
        cmocka_unit_test(test_scope_stands_on_every_line_of_its_thread),
        cmocka_unit_test(test_lines_below_the_level_are_not_written),
        cmocka_unit_test(test_secrets_are_masked_in_every_value),
        cmocka_unit_test(test_long_values_are_cut),
        cmocka_unit_test(test_a_reader_that_stalls_stops_nobody),
        cmocka_unit_test(test_a_flood_of_one_event_is_limited),
        cmocka_unit_test(test_rate_is_50_then_5_a_second_and_counts),
        cmocka_unit_test(test_rate_of_too_many_events_stays_bounded),
        cmocka_unit_test(test_mask_is_bounded_and_forgets_repeats),
        cmocka_unit_test(test_mask_has_room_for_what_is_new),
        cmocka_unit_test(test_lines_of_threads_do_not_mix),
        cmocka_unit_test(test_numbers_live_until_8_more),
        cmocka_unit_test(test_errno_survives),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
