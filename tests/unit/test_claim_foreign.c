/* Records of other producers: whose job they are, and which. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "worker/claim.h"

static struct flow flow = {.name = "f", .deadline_ms = 60000, .topic = {.name = (char *)"t"}};
static struct flow_set set = {.flows = &flow, .flows_n = 1};

static struct expr *compile(const char *text)
{
    struct expr *e = NULL;
    assert_int_equal(expr_compile(text, VAR_BIT(VAR_REQUEST), &e, NULL), 0);
    return e;
}

static struct claim decode_at(const char *value, int64_t offset)
{
    struct claim c;
    const struct event_header headers[] = {
        {"__TypeId__", "com.example.Advice", 18},
        {"traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", 55}};
    const struct broker_record r = {.topic = "t",
                                    .partition = 2,
                                    .offset = offset,
                                    .timestamp_ms = 1600000000000,
                                    .value = value,
                                    .value_len = strlen(value),
                                    .headers = headers,
                                    .headers_n = 2};
    assert_int_equal(claim_decode(&set, &r, &c), 0);
    claim_foreign(&c, &r, "https://issuer.example");
    return c;
}

static struct claim decode(const char *value)
{
    return decode_at(value, 40);
}

static void set_up(const char *id, const char *user)
{
    expr_free(flow.topic.id);
    expr_free(flow.topic.user);
    flow.topic.id = id ? compile(id) : NULL;
    flow.topic.user = user ? compile(user) : NULL;
}

static void the_id_comes_from_the_value(void **state)
{
    (void)state;
    set_up("$request.uuid", NULL);
    struct claim a = decode_at("{\"uuid\":\"x\"}", 1), b = decode_at("{\"uuid\":\"x\",\"n\":2}", 9);
    struct claim other = decode_at("{\"uuid\":\"y\"}", 1);
    struct job_id id = id_from_topic_id("f", "x");
    assert_false(a.bad || b.bad || other.bad);
    assert_true(id_equal(&a.event.job, &id));
    assert_true(id_equal(&b.event.job, &id)); /* sent twice is one job */
    assert_false(id_equal(&other.event.job, &id));
    a = decode("{\"uuid\":7}");
    id = id_from_topic_id("f", "7");
    assert_true(id_equal(&a.event.job, &id));
    assert_int_equal(a.event.created_us, INT64_C(1600000000000000));
    assert_int_equal(a.event.deadline_us, INT64_C(1600000060000000));
    assert_string_equal(a.event.trace, "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
}

static void the_owner_comes_from_the_value(void **state)
{
    (void)state;
    set_up(NULL, "$request.memberId");
    struct owner owner = owner_of("https://issuer.example", "42");
    struct claim c = decode("{\"memberId\":42}");
    assert_int_equal(c.bad, 0);
    assert_string_equal(c.event.sub, "42");
    assert_memory_equal(&c.event.owner, &owner, sizeof owner);
    c = decode("{\"memberId\":\"42\"}");
    assert_memory_equal(&c.event.owner, &owner, sizeof owner);
    c = decode("{\"memberId\":null}"); /* a guest */
    assert_int_equal(c.bad, 0);
    assert_true(owner_is_nobody(&c.event.owner));
    assert_string_equal(c.event.sub, "");
    c = decode("{}");
    assert_true(!c.bad && owner_is_nobody(&c.event.owner));
    flow.cache.scope = SCOPE_SHARED; /* for all: nobody's */
    c = decode("{\"memberId\":42}");
    flow.cache.scope = SCOPE_NONE;
    assert_true(!c.bad && owner_is_nobody(&c.event.owner));
}

static void what_gives_none_is_a_bad_event(void **state)
{
    (void)state;
    char longer[400] = "{\"memberId\":\"";
    set_up("$request.uuid", NULL);
    static const char *const ids[] = {"{}", "{\"uuid\":null}", "{\"uuid\":[1]}", "7"};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        struct claim c = decode(ids[i]);
        assert_int_equal(c.bad, REASON_BAD_EVENT);
        assert_string_equal(c.why, "topic.id gives no text");
        assert_true(id_created_ms(&c.event.job) < 0); /* has an id, from its place */
    }
    set_up(NULL, "$request.memberId");
    assert_int_equal(decode("{\"memberId\":{}}").bad, REASON_BAD_EVENT);
    assert_int_equal(decode("{\"memberId\":\"\"}").bad, REASON_BAD_EVENT);
    memset(longer + 13, 'x', 300);
    memcpy(longer + 313, "\"}", 3);
    assert_int_equal(decode(longer).bad, REASON_BAD_EVENT);
    assert_int_equal(decode("not JSON").bad, 0); /* its claim finds that */
}

static void our_own_headers_win(void **state)
{
    (void)state;
    static struct event_headers headers;
    struct event e = {.ours = true, .flow = "f", .created_us = 1600000000000000, .job = {{1, 2}}};
    struct claim c;
    set_up("$request.uuid", "$request.memberId");
    assert_int_equal(event_encode(&e, &headers), 0);
    const struct broker_record r = {.topic = "t",
                                    .timestamp_ms = 1600000000000,
                                    .value = "{\"uuid\":\"x\",\"memberId\":42}",
                                    .value_len = 26,
                                    .headers = headers.list,
                                    .headers_n = headers.n};
    assert_int_equal(claim_decode(&set, &r, &c), 0);
    claim_foreign(&c, &r, NULL);
    assert_true(id_equal(&c.event.job, &e.job));
    assert_true(owner_is_nobody(&c.event.owner));
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    set_up(NULL, NULL);
    expr_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_id_comes_from_the_value),
        cmocka_unit_test(the_owner_comes_from_the_value),
        cmocka_unit_test(what_gives_none_is_a_bad_event),
        cmocka_unit_test(our_own_headers_win),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
