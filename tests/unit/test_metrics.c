#include <math.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "common/metrics.h"

static char *printed(void)
{
    static char text[512 * 1024];
    struct buf out;
    buf_init(&out, sizeof text - 1);
    metrics_print(&out);
    assert_int_equal(buf_ok(&out), 0);
    memcpy(text, buf_str(&out), out.len + 1);
    buf_fini(&out);
    return text;
}

static int setup(void **state)
{
    (void)state;
    metrics_reset();
    return 0;
}

static void test_counters_and_gauges_in_the_text_format(void **state)
{
    (void)state;
    struct metric *c = metrics_counter("offpath_jobs_total", "flow=\"a\"", "Jobs.\\ All\nof them");
    struct metric *d = metrics_counter("offpath_jobs_total", "flow=\"b\"", "another help");
    struct metric *g = metrics_gauge("offpath_inflight", "", "In flight");
    metrics_add(c, 1);
    metrics_add(c, 41);
    metrics_add(d, 3);
    metrics_set(g, 7);
    metrics_add(g, -9);
    assert_string_equal(printed(), "# HELP offpath_jobs_total Jobs.\\\\ All\\nof them\n"
                                   "# TYPE offpath_jobs_total counter\n"
                                   "offpath_jobs_total{flow=\"a\"} 42\n"
                                   "offpath_jobs_total{flow=\"b\"} 3\n"
                                   "# HELP offpath_inflight In flight\n"
                                   "# TYPE offpath_inflight gauge\n"
                                   "offpath_inflight -2\n");
    assert_int_equal(metrics_value(c), 42);
    assert_int_equal(metrics_value(g), -2);
}

static void test_one_name_and_labels_is_one_metric(void **state)
{
    (void)state;
    struct metric *a = metrics_counter("offpath_x_total", "flow=\"a\"", "x");
    assert_ptr_equal(metrics_counter("offpath_x_total", "flow=\"a\"", "y"), a);
    assert_ptr_not_equal(metrics_counter("offpath_x_total", "flow=\"b\"", "x"), a);
    assert_ptr_not_equal(metrics_counter("offpath_x_total", "", "x"), a);
}

static void test_a_name_of_another_kind_gets_a_dummy(void **state)
{
    (void)state;
    metrics_counter("offpath_x_total", "", "x");
    struct metric *h = metrics_histogram("offpath_x_total", "", "x");
    metrics_observe_us(h, 5);
    metrics_gauge_fn("offpath_x_total", "", "x", NULL, NULL);
    assert_string_equal(printed(), "# HELP offpath_x_total x\n# TYPE offpath_x_total counter\n"
                                   "offpath_x_total 0\n");
}

static void test_histogram_is_cumulative_in_seconds(void **state)
{
    (void)state;
    struct metric *h = metrics_histogram("offpath_call_seconds", "up=\"u\"", "Calls");
    metrics_observe_us(h, 0);
    metrics_observe_us(h, 500); /* a bound belongs to its bucket */
    metrics_observe_us(h, 501);
    metrics_observe_us(h, 120000000);
    metrics_observe_us(h, 120000001);
    metrics_observe_us(h, 1498998);
    const char *text = printed();
    assert_non_null(strstr(text, "# TYPE offpath_call_seconds histogram\n"));
    assert_non_null(strstr(text, "offpath_call_seconds_bucket{up=\"u\",le=\"0.0005\"} 2\n"));
    assert_non_null(strstr(text, "offpath_call_seconds_bucket{up=\"u\",le=\"0.001\"} 3\n"));
    assert_non_null(strstr(text, "offpath_call_seconds_bucket{up=\"u\",le=\"1\"} 3\n"));
    assert_non_null(strstr(text, "offpath_call_seconds_bucket{up=\"u\",le=\"2.5\"} 4\n"));
    assert_non_null(strstr(text, "offpath_call_seconds_bucket{up=\"u\",le=\"120\"} 5\n"));
    assert_non_null(strstr(text, "offpath_call_seconds_bucket{up=\"u\",le=\"+Inf\"} 6\n"));
    assert_non_null(strstr(text, "offpath_call_seconds_sum{up=\"u\"} 241.5\n"));
    assert_non_null(strstr(text, "offpath_call_seconds_count{up=\"u\"} 6\n"));
    assert_int_equal(metrics_value(h), 6);
}

/* The default deadline of a flow and those of an hour: a p99 must not be beyond the last bound. */
static void test_a_job_that_took_its_deadline_has_a_bucket(void **state)
{
    (void)state;
    struct metric *h = metrics_histogram("offpath_job_seconds", "", "Jobs");
    metrics_observe_us(h, INT64_C(300000000));
    metrics_observe_us(h, INT64_C(3600000000));
    metrics_observe_us(h, INT64_C(3600000001));
    const char *text = printed();
    assert_non_null(strstr(text, "offpath_job_seconds_bucket{le=\"120\"} 0\n"));
    assert_non_null(strstr(text, "offpath_job_seconds_bucket{le=\"300\"} 1\n"));
    assert_non_null(strstr(text, "offpath_job_seconds_bucket{le=\"3600\"} 2\n"));
    assert_non_null(strstr(text, "offpath_job_seconds_bucket{le=\"+Inf\"} 3\n"));
}

static void test_histogram_without_labels(void **state)
{
    (void)state;
    metrics_observe_us(metrics_histogram("offpath_t_seconds", "", "t"), 1000);
    const char *text = printed();
    assert_non_null(strstr(text, "offpath_t_seconds_bucket{le=\"0.001\"} 1\n"));
    assert_non_null(strstr(text, "offpath_t_seconds_sum 0.001\n"));
}

static double read_arg(void *arg)
{
    return *(double *)arg;
}

static void test_gauge_fn_is_read_at_each_scrape(void **state)
{
    (void)state;
    double value = 0.25;
    metrics_gauge_fn("offpath_lag", "", "Lag", read_arg, &value);
    assert_non_null(strstr(printed(), "\noffpath_lag 0.25\n"));
    value = (double)INFINITY;
    assert_non_null(strstr(printed(), "\noffpath_lag +Inf\n"));
    value = (double)NAN;
    assert_non_null(strstr(printed(), "\noffpath_lag NaN\n"));
}

static void test_a_gauge_fn_that_ended_is_left_out(void **state)
{
    (void)state;
    double one = 1, two = 2;
    metrics_gauge_fn("offpath_lag", "flow=\"a\"", "Lag", read_arg, &one);
    metrics_gauge_fn("offpath_lag", "flow=\"b\"", "Lag", read_arg, &two);
    metrics_gauge_fn_end(&one);
    assert_string_equal(printed(), "# HELP offpath_lag Lag\n# TYPE offpath_lag gauge\n"
                                   "offpath_lag{flow=\"b\"} 2\n");
    metrics_gauge_fn("offpath_lag", "flow=\"b\"", "Lag", read_arg, &one);
    metrics_gauge_fn_end(&two); /* read by another since */
    assert_non_null(strstr(printed(), "\noffpath_lag{flow=\"b\"} 1\n"));
    metrics_gauge_fn("offpath_lag", "flow=\"a\"", "Lag", read_arg, &two);
    assert_non_null(strstr(printed(), "\noffpath_lag{flow=\"a\"} 2\n"));
}

static void test_series_over_the_limit_share_one(void **state)
{
    (void)state;
    char labels[64];
    for (int i = 0; i < 1500; i++) {
        snprintf(labels, sizeof labels, "flow=\"f\\\"%d\",state=\"s\"", i);
        metrics_add(metrics_counter("offpath_many_total", labels, "m"), 1);
    }
    size_t series = 0;
    const char *text = printed();
    for (const char *p = text; (p = strstr(p, "\noffpath_many_total{")) != NULL; p++)
        series++;
    assert_int_equal(series, 1001);
    assert_non_null(strstr(text, "offpath_many_total{flow=\"other\",state=\"other\"} 500\n"));
    metrics_add(metrics_counter("offpath_many_total", "flow=\"f\\\"3\",state=\"s\"", "m"), 1);
    assert_non_null(strstr(printed(), "{flow=\"f\\\"3\",state=\"s\"} 2\n"));
}

static void test_labels_are_escaped_and_cut_between_characters(void **state)
{
    (void)state;
    char out[8];
    metrics_label(out, sizeof out, "a\"\\\nb");
    assert_string_equal(out, "a\\\"\\\\\\n");
    metrics_label(out, sizeof out, "123456\"");
    assert_string_equal(out, "123456");
    metrics_label(out, sizeof out, "123456\xc3\xa9");
    assert_string_equal(out, "123456");
    metrics_label(out, sizeof out, "x\xff\xc3\xa9");
    assert_string_equal(out, "x?\xc3\xa9");
    metrics_label(out, 1, "x");
    assert_string_equal(out, "");
}

static void *add_many(void *arg)
{
    struct metric *h = metrics_histogram("offpath_t_seconds", "", "t");
    for (int i = 0; i < 10000; i++) {
        metrics_add(metrics_counter("offpath_n_total", "", "n"), 1);
        metrics_observe_us(h, i);
    }
    return arg;
}

static void test_threads_lose_no_update(void **state)
{
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(metrics_value(metrics_counter("offpath_n_total", "", "n")), 40000);
    assert_int_equal(metrics_value(metrics_histogram("offpath_t_seconds", "", "t")), 40000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_counters_and_gauges_in_the_text_format, setup),
        cmocka_unit_test_setup(test_one_name_and_labels_is_one_metric, setup),
        cmocka_unit_test_setup(test_a_name_of_another_kind_gets_a_dummy, setup),
        cmocka_unit_test_setup(test_histogram_is_cumulative_in_seconds, setup),
        cmocka_unit_test_setup(test_a_job_that_took_its_deadline_has_a_bucket, setup),
        cmocka_unit_test_setup(test_histogram_without_labels, setup),
        cmocka_unit_test_setup(test_gauge_fn_is_read_at_each_scrape, setup),
        cmocka_unit_test_setup(test_a_gauge_fn_that_ended_is_left_out, setup),
        cmocka_unit_test_setup(test_series_over_the_limit_share_one, setup),
        cmocka_unit_test_setup(test_labels_are_escaped_and_cut_between_characters, setup),
        cmocka_unit_test_setup(test_threads_lose_no_update, setup),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    metrics_reset();
    return failed;
}
