#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "common/rng.h"

static void test_a_seed_repeats_its_numbers(void **state)
{
    (void)state;
    struct rng_seeded r;
    rng_seeded_init(&r, 1); /* splitmix64 as published */
    assert_true(rng_u64(&r.rng) == 0x910a2dec89025cc1u);
    assert_true(rng_u64(&r.rng) == 0xbeeb8da1658eec67u);
    assert_true(rng_u64(&r.rng) == 0xf893a2eefb32555eu);
    rng_seeded_init(&r, 2);
    assert_true(rng_u64(&r.rng) != 0x910a2dec89025cc1u);
}

static void test_fill_writes_all_and_no_more(void **state)
{
    (void)state;
    struct rng_seeded r;
    struct rng *both[] = {&r.rng, rng_real()};
    rng_seeded_init(&r, 3);
    for (int k = 0; k < 2; k++) {
        for (size_t len = 0; len <= 40; len++) {
            unsigned char bytes[48], seen[48] = {0};
            for (int round = 0; round < 64; round++) {
                memset(bytes, 0, sizeof bytes);
                rng_fill(both[k], bytes, len);
                for (size_t i = 0; i < sizeof bytes; i++)
                    seen[i] |= bytes[i];
            }
            for (size_t i = 0; i < sizeof bytes; i++)
                assert_int_equal(seen[i] != 0, i < len);
        }
    }
}

static void test_real_numbers_differ_across_refills(void **state)
{
    (void)state;
    uint64_t seen[500];
    unsigned char big[3000];
    for (int i = 0; i < 500; i++) {
        seen[i] = rng_u64(rng_real());
        for (int j = 0; j < i; j++)
            assert_true(seen[i] != seen[j]);
    }
    rng_fill(rng_real(), big, sizeof big); /* more than one buffer */
    assert_memory_not_equal(big, big + 1500, 1500);
}

/* A number source that counts up from a start, to see what rng_upto takes and leaves. */
struct counting {
    struct rng rng;
    uint64_t next;
};

static void count_up(struct rng *r, void *out, size_t len)
{
    struct counting *c = (struct counting *)(void *)r;
    memcpy(out, &c->next, len);
    c->next++;
}

static void test_upto_is_even_and_inclusive(void **state)
{
    (void)state;
    struct counting c = {{count_up}, 0};
    int counts[6] = {0};
    for (int i = 0; i < 600; i++)
        counts[rng_upto(&c.rng, 5)]++;
    for (int i = 0; i < 6; i++)
        assert_int_equal(counts[i], 100);
    assert_int_equal(rng_upto(&c.rng, 0), 0);
    c.next = 12345;
    assert_true(rng_upto(&c.rng, UINT64_MAX) == 12345);
    /* 2^64 is no multiple of 6: the last numbers would favour 0 to 3 and are drawn again */
    c.next = UINT64_MAX;
    assert_int_equal(rng_upto(&c.rng, 5), 0);
    assert_int_equal(c.next, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_seed_repeats_its_numbers),
        cmocka_unit_test(test_fill_writes_all_and_no_more),
        cmocka_unit_test(test_real_numbers_differ_across_refills),
        cmocka_unit_test(test_upto_is_even_and_inclusive),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
