#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/buf.h"
#include "common/id.h"

/* The ids written here were computed once, from the text of the protocol, by Python's hashlib and
 * hmac. They must never change: stored jobs and other gateways know them. */

static const int64_t NOW_MS = 1795560300123; /* 2026-11-24T22:45:00.123Z */

static struct id_secret secret(void)
{
    struct id_secret s;
    for (int i = 0; i < 32; i++)
        s.b[i] = (uint8_t)i;
    return s;
}

static struct owner alice(void)
{
    return owner_of("https://issuer.example", "alice");
}

static const struct owner nobody = {{0}};

static void check_hex(const uint8_t *bytes, size_t len, const char *want)
{
    struct buf b;
    buf_init(&b, 0);
    buf_hex(&b, bytes, len);
    assert_string_equal(buf_str(&b), want);
    buf_fini(&b);
}

static void check_id(struct job_id id, const char *want)
{
    char text[ID_TEXT];
    id_format(&id, text);
    assert_string_equal(text, want);
}

static struct job_id new_id(const struct owner *o, uint64_t seed)
{
    struct id_secret s = secret();
    struct clock_stepped c;
    struct rng_seeded r;
    clock_stepped_init(&c, NOW_MS * 1000 + 999);
    rng_seeded_init(&r, seed);
    return id_new(&s, o, &c.clock, &r.rng);
}

static struct job_id key_id(const struct owner *o, const char *flow, const char *key)
{
    struct id_secret s = secret();
    return id_from_key(&s, o, o, flow, key);
}

static void test_owner(void **state)
{
    (void)state;
    struct owner o = alice(), other = owner_of("https://issuer.examplea", "lice");
    check_hex(o.b, sizeof o.b, "d0c1e6aaa26b1226a7b0a1a3e4c6800d");
    assert_memory_not_equal(&o, &other, sizeof o); /* issuer and subject do not run together */
    assert_false(owner_is_nobody(&o));
    assert_true(owner_is_nobody(&nobody));
}

static void test_new_id_holds_time_bucket_and_tag(void **state)
{
    (void)state;
    struct owner o = alice();
    struct job_id a = new_id(&o, 1), guest = new_id(&nobody, 1);
    check_id(a, "01a20fbb-de5b-7d0f-815c-0289ec8f1051");
    check_id(guest, "01a20fbb-de5b-767f-815c-0289ec738dbd");
    assert_true(id_created_ms(&a) == NOW_MS);
    assert_int_equal(id_bucket(&a), 835);     /* the owner's first 10 bits */
    assert_int_equal(id_bucket(&guest), 415); /* random */
    struct job_id next = new_id(&o, 2);
    assert_false(id_equal(&a, &next));
    assert_int_equal(id_bucket(&next), 835);
}

static void test_id_of_a_key_is_the_same_everywhere(void **state)
{
    (void)state;
    struct owner o = alice();
    struct job_id a = key_id(&o, "price-compare", "order-1");
    check_id(a, "f2da0f6c-866e-8d0f-9af8-c25ae166f459");
    check_id(key_id(&nobody, "price-compare", "6ba7b810-9dad-11d1-80b4-00c04fd430c8"),
             "00208114-637a-829f-8415-363b3b5c4a6f");
    assert_int_equal(id_bucket(&a), 835);
    assert_int_equal(id_created_ms(&a), -1);
    struct job_id others[] = {key_id(&o, "price-compare", "order-2"),
                              key_id(&o, "price-compareorder-1", ""),
                              key_id(&nobody, "price-compare", "order-1")};
    for (int i = 0; i < 3; i++)
        assert_false(id_equal(&a, &others[i]));
    assert_false(id_is_nil(&a));
    assert_true(id_is_nil(&(struct job_id){{0}}));
}

static void test_children_keep_time_and_bucket(void **state)
{
    (void)state;
    struct owner o = alice();
    struct job_id parent = key_id(&o, "price-compare", "order-1");
    check_id(id_child(&parent, "emit", 0, 0), "f2da0f6c-866e-8d0f-b8a9-933ed2ffa3f7");
    check_id(id_child(&parent, "emit", 1, 258), "f2da0f6c-866e-8d0f-b145-035e258ef3d3");
    check_id(id_child(&parent, "refill", 0, 0), "f2da0f6c-866e-8d0d-b157-da044e5f508c");
}

static void test_ids_of_other_producers(void **state)
{
    (void)state;
    check_id(id_from_topic_id("flow-a", "rec-1"), "05a1e1bd-9876-8e39-96fb-e87a9c4212b4");
    struct id_place at = {"orders", 3, 41, NOW_MS};
    struct job_id a = id_from_place(&at, "{\"a\":1}", 7);
    check_id(a, "01a20fbb-de5b-8b84-ba58-8147c1778cea");
    at.offset = 42;
    struct job_id b = id_from_place(&at, "{\"a\":1}", 7);
    at.offset = 41;
    struct job_id c = id_from_place(&at, "{\"a\":2}", 7);
    assert_false(id_equal(&a, &b));
    assert_false(id_equal(&a, &c));
}

static void test_a_gateway_knows_whose_its_id_is(void **state)
{
    (void)state;
    struct id_secret s = secret(), other = secret();
    struct owner o = alice(), bob = owner_of("https://issuer.example", "bob");
    struct job_id ids[] = {new_id(&o, 1), key_id(&o, "price-compare", "order-1")};
    other.b[0] ^= 1;
    for (int i = 0; i < 2; i++) {
        assert_true(id_is_of(&s, &ids[i], &o));
        assert_false(id_is_of(&s, &ids[i], &bob));
        assert_false(id_is_of(&s, &ids[i], &nobody));
        assert_false(id_is_of(&other, &ids[i], &o));
        for (int bit = 0; bit < 128; bit++) {
            struct job_id forged = ids[i];
            forged.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
            assert_false(id_is_of(&s, &forged, &o));
        }
    }
    struct job_id guest = new_id(&nobody, 1);
    assert_true(id_is_of(&s, &guest, &nobody));
    struct job_id child = id_child(&ids[0], "emit", 0, 0);
    assert_false(id_is_of(&s, &child, &o)); /* made by a worker, which has no secret */
}

static void test_all_ids_are_rfc_9562(void **state)
{
    (void)state;
    struct owner o = alice();
    struct id_place at = {"t", 0, 0, NOW_MS};
    for (uint64_t i = 0; i < 200; i++) {
        char key[24];
        snprintf(key, sizeof key, "%d", (int)i);
        struct job_id ids[] = {new_id(&o, i), new_id(&nobody, i), key_id(&o, "f", key),
                               id_from_topic_id("f", key), id_from_place(&at, key, strlen(key))};
        for (int k = 0; k < 5; k++) {
            assert_int_equal(ids[k].b[6] >> 4, k < 2 ? 7 : 8);
            assert_int_equal(ids[k].b[8] >> 6, 2);
            assert_in_range(id_bucket(&ids[k]), 0, 1023);
        }
    }
}

static void test_mac_tells_bodies_apart(void **state)
{
    (void)state;
    struct id_secret s = secret();
    uint8_t a[ID_MAC], b[ID_MAC];
    id_mac(&s, "{\"a\":1}", 7, a);
    check_hex(a, sizeof a, "57f83b070a6bec6ca88c9e2a67927b4c");
    id_mac(&s, "{\"a\":2}", 7, b);
    assert_memory_not_equal(a, b, sizeof a);
    id_mac(&s, "", 0, b);
    assert_memory_not_equal(a, b, sizeof a);
}

static void test_formats_and_parses(void **state)
{
    (void)state;
    struct job_id id, kept;
    char text[ID_TEXT];
    assert_int_equal(id_parse("6BA7B810-9dad-11d1-80b4-00C04fd430c8", &id), 0);
    id_format(&id, text);
    assert_string_equal(text, "6ba7b810-9dad-11d1-80b4-00c04fd430c8");
    kept = id;
    static const char *const bad[] = {
        "",
        "6ba7b810",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c80",
        "6ba7b8109dad11d180b400c04fd430c8",
        "6ba7b810-9dad-11d1-80b4-00c04fd430cg",
        "6ba7b810-9dad-11d1-80b4_00c04fd430c8",
        " 6ba7b810-9dad-11d1-80b4-00c04fd430c8",
        "{6ba7b810-9dad-11d1-80b4-00c04fd430c8}",
        "6ba7b810-9dad-11d1-80b4-00c04fd430c8\n",
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_int_equal(id_parse(bad[i], &id), ERR_INVALID);
    assert_true(id_equal(&id, &kept));
}

static void write_secret(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static void test_secret_is_read_from_a_file(void **state)
{
    (void)state;
    char path[] = "/tmp/offpath-secret-XXXXXX";
    int fd = mkstemp(path);
    struct id_secret s = {{7}}, kept = s;
    assert_true(fd >= 0);
    close(fd);
    write_secret(path, "15 characters..\n");
    assert_int_equal(id_secret_load(path, &s), ERR_INVALID);
    assert_memory_equal(&s, &kept, sizeof s);
    static const char *const same[] = {"a-secret-of-at-least-16", "a-secret-of-at-least-16\n",
                                       "a-secret-of-at-least-16\r\n"};
    for (int i = 0; i < 3; i++) {
        write_secret(path, same[i]);
        assert_int_equal(id_secret_load(path, &s), 0);
        check_hex(s.b, sizeof s.b,
                  "b7b2546703c561d30a9a11dc163973f9231e9e2656b6ac80d76fd9502364ac9f");
    }
    unlink(path);
    assert_int_equal(id_secret_load(path, &s), ERR_NOT_FOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_owner),
        cmocka_unit_test(test_new_id_holds_time_bucket_and_tag),
        cmocka_unit_test(test_id_of_a_key_is_the_same_everywhere),
        cmocka_unit_test(test_children_keep_time_and_bucket),
        cmocka_unit_test(test_ids_of_other_producers),
        cmocka_unit_test(test_a_gateway_knows_whose_its_id_is),
        cmocka_unit_test(test_all_ids_are_rfc_9562),
        cmocka_unit_test(test_mac_tells_bodies_apart),
        cmocka_unit_test(test_formats_and_parses),
        cmocka_unit_test(test_secret_is_read_from_a_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
