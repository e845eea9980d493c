/* event.c against the records in proto/golden, both ways, and what no golden record shows. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "common/event.h"
#include "common/json.h"
#include "common/schema.h"

enum { FILE_MAX = 1 << 16, HEADERS_MAX = 32 };

static struct json *load(const char *path)
{
    static char text[FILE_MAX];
    struct json *v;
    FILE *f = fopen(path, "r");
    assert_non_null(f);
    size_t len = fread(text, 1, sizeof text, f);
    fclose(f);
    if (json_parse(text, len, NULL, &v, NULL))
        fail_msg("%s is not JSON", path);
    return v;
}

static size_t headers_of(const struct json *golden, struct event_header *list)
{
    size_t n = 0;
    const struct json *h = json_first(json_get(golden, "headers"));
    for (; h; h = json_next(h)) {
        const char *value = json_text(json_at(h, 1));
        list[n++] = (struct event_header){json_text(json_at(h, 0)), value, strlen(value)};
        assert_true(n < HEADERS_MAX);
    }
    return n;
}

static bool bytes_of(const struct json *o, const char *key, uint8_t *out, size_t len)
{
    const char *hex = json_text(json_get(o, key));
    for (size_t i = 0; hex && i < len; i++) {
        char two[3] = {hex[2 * i], hex[2 * i + 1], 0};
        out[i] = (uint8_t)strtoul(two, NULL, 16);
    }
    return hex != NULL;
}

static const char *text_of(const struct json *o, const char *key)
{
    const char *text = json_text(json_get(o, key));
    return text ? text : "";
}

static int64_t time_of(const struct json *o, const char *key)
{
    int64_t us = 0;
    const char *text = json_text(json_get(o, key));
    if (text)
        assert_int_equal(clock_parse(text, strlen(text), &us), 0);
    return us;
}

static struct event event_of(const struct json *o)
{
    struct event e = {.ours = json_bool(json_get(o, "ours")),
                      .round = (uint16_t)json_number(json_get(o, "round")),
                      .created_us = time_of(o, "created"),
                      .deadline_us = time_of(o, "deadline"),
                      .refill = json_bool(json_get(o, "refill"))};
    if (json_get(o, "job"))
        assert_int_equal(id_parse(text_of(o, "job"), &e.job), 0);
    snprintf(e.flow, sizeof e.flow, "%s", text_of(o, "flow"));
    snprintf(e.sub, sizeof e.sub, "%s", text_of(o, "sub"));
    snprintf(e.request, sizeof e.request, "%s", text_of(o, "request"));
    snprintf(e.trace, sizeof e.trace, "%s", text_of(o, "trace"));
    bytes_of(o, "owner", e.owner.b, sizeof e.owner.b);
    e.has_mac = bytes_of(o, "mac", e.mac, sizeof e.mac);
    e.has_rev = bytes_of(o, "rev", e.rev, sizeof e.rev);
    return e;
}

static void expect_event(const struct event *got, const struct event *want)
{
    assert_int_equal(got->ours, want->ours);
    assert_memory_equal(&got->job, &want->job, sizeof got->job);
    assert_string_equal(got->flow, want->flow);
    assert_memory_equal(&got->owner, &want->owner, sizeof got->owner);
    assert_string_equal(got->sub, want->sub);
    assert_int_equal(got->round, want->round);
    assert_int_equal(got->created_us, want->created_us);
    assert_int_equal(got->deadline_us, want->deadline_us);
    assert_int_equal(got->has_mac, want->has_mac);
    assert_memory_equal(got->mac, want->mac, sizeof got->mac);
    assert_int_equal(got->has_rev, want->has_rev);
    assert_memory_equal(got->rev, want->rev, sizeof got->rev);
    assert_int_equal(got->refill, want->refill);
    assert_string_equal(got->request, want->request);
    assert_string_equal(got->trace, want->trace);
}

static void expect_headers(const struct event_headers *got, const struct event_header *want,
                           size_t n)
{
    assert_int_equal(got->n, n);
    for (size_t i = 0; i < n; i++) {
        assert_string_equal(got->list[i].name, want[i].name);
        assert_int_equal(got->list[i].len, want[i].len);
        assert_memory_equal(got->list[i].value, want[i].value, want[i].len);
    }
}

static void check_golden(const char *path)
{
    struct event_header headers[HEADERS_MAX];
    struct json *golden = load(path);
    const char *error = json_text(json_get(golden, "error")), *what = NULL;
    size_t n = headers_of(golden, headers);
    struct event got, want = event_of(json_get(golden, "event"));
    int64_t timestamp = (int64_t)json_number(json_get(golden, "timestamp_ms"));
    int err = event_decode(headers, n, timestamp, &got, &what);
    print_message("%s\n", path);
    assert_int_equal(err, error ? ERR_INVALID : 0);
    if (error) {
        assert_string_equal(what, error);
        assert_memory_equal(&got.job, &want.job, sizeof got.job);
        assert_false(got.ours);
    } else {
        expect_event(&got, &want);
    }
    if (json_bool(json_get(golden, "encodes"))) {
        struct event_headers out;
        assert_int_equal(event_encode(&want, &out), 0);
        expect_headers(&out, headers, n);
    }
    json_free(golden);
}

static void every_golden_record_reads_and_writes(void **state)
{
    (void)state;
    glob_t found;
    assert_int_equal(glob("proto/golden/*.json", 0, NULL, &found), 0);
    assert_true(found.gl_pathc >= 10);
    for (size_t i = 0; i < found.gl_pathc; i++)
        check_golden(found.gl_pathv[i]);
    globfree(&found);
}

static struct json *headers_as_object(const struct json *golden)
{
    struct json *o = json_new_object();
    const struct json *h = json_first(json_get(golden, "headers"));
    for (; h; h = json_next(h))
        assert_int_equal(
            json_put(o, json_text(json_at(h, 0)), json_new_text(json_text(json_at(h, 1)))), 0);
    return o;
}

static void the_schema_takes_what_decode_takes(void **state)
{
    (void)state;
    glob_t found;
    struct schema *schema;
    struct schema_report report = {.n = 0};
    struct json *source = load("proto/events.schema.json");
    if (schema_compile(source, &schema, schema_report_take, &report))
        fail_msg("%s: %s", report.problems[0].pointer, report.problems[0].text);
    assert_int_equal(glob("proto/golden/*.json", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        struct json *golden = load(found.gl_pathv[i]);
        struct json *headers = headers_as_object(golden);
        bool bad = json_get(golden, "error") != NULL;
        if (json_bool(json_get(golden, "encodes")) || bad)
            assert_int_equal(schema_check(schema, headers, &report), bad ? ERR_SCHEMA : 0);
        json_free(headers);
        json_free(golden);
    }
    globfree(&found);
    schema_free(schema);
    json_free(source);
}

#define JOB "018f6b2e-7c1d-7a2b-8c3d-4e5f60718293"

/* Decode offpath-job and one more header. */
static int decode_with(const char *name, const char *value, struct event *e)
{
    const char *what = NULL;
    const struct event_header list[] = {{"offpath-job", JOB, strlen(JOB)},
                                        {name, value, strlen(value)}};
    int err = event_decode(list, 2, 1000, e, &what);
    if (err)
        assert_non_null(strstr(what, name));
    return err;
}

static void broken_headers_of_ours_are_bad_events(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"offpath-user", ""},
        {"offpath-user", "00112233445566778899aabbccddeeff"},
        {"offpath-user", "00112233445566778899aabbccddeefg u"},
        {"offpath-user", "0011 u"},
        {"offpath-round", ""},
        {"offpath-round", "-1"},
        {"offpath-round", "65536"},
        {"offpath-round", "99999999999"},
        {"offpath-round", "1x"},
        {"offpath-deadline", ""},
        {"offpath-deadline", "2026-13-01T00:00:00Z"},
        {"offpath-deadline", "1960-01-01T00:00:00Z"},
        {"ce_time", "yesterday"},
        {"ce_time", "0967-11-24T22:45:00Z"},
        {"ce_time", "9999-12-31T23:59:59-14:00"},
        {"offpath-mac", "00"},
        {"offpath-mac", "000102030405060708090a0b0c0d0e0g"},
        {"offpath-rev", "a1b2c3d4e5f6071800"},
        {"offpath-refill", "yes"},
        {"offpath-flow", ""},
        {"ce_type", "offpath.job.requested.v2"},
        {"ce_type", "offpath.job.requested.v10"},
        {"ce_type", "offpath.job.requested.v2.1"},
        {"ce_type", "offpath.job.requested.vx"},
    };
    struct event e;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(decode_with(bad[i][0], bad[i][1], &e), ERR_INVALID);
}

static void too_long_names_are_bad_events(void **state)
{
    (void)state;
    struct event e;
    char text[400];
    memset(text, 'a', sizeof text);
    text[64] = 0;
    assert_int_equal(decode_with("offpath-flow", text, &e), ERR_INVALID);
    text[63] = 0;
    assert_int_equal(decode_with("offpath-flow", text, &e), 0);
    memset(text, 'a', sizeof text);
    text[65] = 0;
    assert_int_equal(decode_with("offpath-request", text, &e), ERR_INVALID);
    text[64] = 0;
    assert_int_equal(decode_with("offpath-request", text, &e), 0);
    memset(text, 'a', sizeof text);
    text[32] = ' ';
    text[33 + EVENT_SUB] = 0;
    assert_int_equal(decode_with("offpath-user", text, &e), ERR_INVALID);
    text[33 + EVENT_SUB - 1] = 0;
    assert_int_equal(decode_with("offpath-user", text, &e), 0);
    assert_int_equal(strlen(e.sub), EVENT_SUB - 1);
}

static void a_minor_version_and_other_types_are_read(void **state)
{
    (void)state;
    struct event e;
    assert_int_equal(decode_with("ce_type", "offpath.job.requested.v1", &e), 0);
    assert_int_equal(decode_with("ce_type", "offpath.job.requested.v1.2", &e), 0);
    assert_int_equal(decode_with("ce_type", "shop.asked.v7", &e), 0);
    assert_true(e.ours);
}

static void the_last_of_two_equal_headers_counts(void **state)
{
    (void)state;
    struct event e;
    const char *what;
    const struct event_header list[] = {
        {"offpath-job", JOB, strlen(JOB)}, {"offpath-round", "1", 1}, {"offpath-round", "2", 1}};
    assert_int_equal(event_decode(list, 3, 0, &e, &what), 0);
    assert_int_equal(e.round, 2);
    assert_int_equal(e.created_us, 0);
}

static void a_nul_byte_or_no_value_is_no_text(void **state)
{
    (void)state;
    struct event e;
    const char *what;
    struct event_header list[] = {{"offpath-job", JOB, strlen(JOB)}, {"offpath-flow", "a\0b", 3}};
    assert_int_equal(event_decode(list, 2, 0, &e, &what), ERR_INVALID);
    list[1] = (struct event_header){"offpath-flow", NULL, 0};
    assert_int_equal(event_decode(list, 2, 0, &e, &what), ERR_INVALID);
    list[1] = (struct event_header){"other", NULL, 0};
    assert_int_equal(event_decode(list, 2, 0, &e, &what), 0);
    assert_int_equal(event_decode(NULL, 0, 5, &e, &what), 0);
    assert_false(e.ours);
    assert_int_equal(e.created_us, 5000);
}

static void the_largest_event_fits(void **state)
{
    (void)state;
    struct event_headers out;
    struct event back, e = {.round = UINT16_MAX,
                            .created_us = 253402300799999999, /* the end of year 9999 */
                            .deadline_us = 253402300799999999,
                            .has_mac = true,
                            .has_rev = true,
                            .refill = true};
    const char *what;
    memset(&e.job, 0xff, sizeof e.job);
    memset(&e.owner, 0xff, sizeof e.owner);
    memset(e.flow, 'f', sizeof e.flow - 1);
    memset(e.sub, 's', sizeof e.sub - 1);
    memset(e.request, 'r', sizeof e.request - 1);
    memset(e.trace, '0', sizeof e.trace - 1);
    assert_int_equal(event_encode(&e, &out), 0);
    assert_int_equal(event_decode(out.list, out.n, 0, &back, &what), 0);
    e.ours = true;
    expect_event(&back, &e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_golden_record_reads_and_writes),
        cmocka_unit_test(the_schema_takes_what_decode_takes),
        cmocka_unit_test(broken_headers_of_ours_are_bad_events),
        cmocka_unit_test(too_long_names_are_bad_events),
        cmocka_unit_test(a_minor_version_and_other_types_are_read),
        cmocka_unit_test(the_last_of_two_equal_headers_counts),
        cmocka_unit_test(a_nul_byte_or_no_value_is_no_text),
        cmocka_unit_test(the_largest_event_fits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
