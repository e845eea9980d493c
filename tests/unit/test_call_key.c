/* Ledger keys: the same for the same call, another for any other. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "common/digest.h"
#include "worker/call_key.h"

static const struct call_key_of base = {"shop", "POST", "https://s/quote", "{\"a\":1}", 7, 0};

static int same(struct call_key_of other)
{
    uint8_t a[CALL_KEY], b[CALL_KEY];
    call_key(&base, a);
    call_key(&other, b);
    return memcmp(a, b, CALL_KEY) == 0;
}

static void each_part_counts(void **state)
{
    (void)state;
    struct call_key_of o = base;
    assert_true(same(o));
    o.name = "shop2";
    assert_false(same(o));
    o = base;
    o.method = "PUT";
    assert_false(same(o));
    o = base;
    o.url = "https://s/quote?";
    assert_false(same(o));
    o = base;
    o.body_len = 6;
    assert_false(same(o));
    o = base;
    o.number = 1;
    assert_false(same(o));
}

static void parts_do_not_run_together(void **state)
{
    (void)state;
    uint8_t a[CALL_KEY], b[CALL_KEY];
    call_key(&(struct call_key_of){"ab", "GET", "/", NULL, 0, 0}, a);
    call_key(&(struct call_key_of){"a", "bGET", "/", NULL, 0, 0}, b);
    assert_memory_not_equal(a, b, CALL_KEY);
}

/* Stored in databases: the bytes hashed must never change. */
static void the_form_is_fixed(void **state)
{
    (void)state;
    const char bytes[] = "shop\0POST\0https://s/quote\0{\"a\":1}\0\0\0\0"; /* and its last 0 */
    uint8_t sum[DIGEST_SIZE], key[CALL_KEY];
    digest_sha256(&(struct digest_part){bytes, sizeof bytes}, 1, sum);
    call_key(&base, key);
    assert_memory_equal(sum, key, CALL_KEY);
}

static void the_outbound_key_is_job_and_hex(void **state)
{
    (void)state;
    struct job_id id;
    assert_int_equal(id_parse("0190a5b2-1111-7222-8333-444455556666", &id), 0);
    const uint8_t key[CALL_KEY] = {0, 0x1f, 0xa0, 3, 4, 5, 6, 0xff};
    char text[CALL_KEY_TEXT];
    call_key_format(&id, key, text);
    assert_string_equal(text, "0190a5b2-1111-7222-8333-444455556666.001fa003040506ff");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_part_counts),
        cmocka_unit_test(parts_do_not_run_together),
        cmocka_unit_test(the_form_is_fixed),
        cmocka_unit_test(the_outbound_key_is_job_and_hex),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
