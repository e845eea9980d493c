#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "common/buf.h"
#include "common/digest.h"

static void check_hex(const uint8_t *bytes, const char *want)
{
    struct buf b;
    buf_init(&b, 0);
    buf_hex(&b, bytes, DIGEST_SIZE);
    assert_string_equal(buf_str(&b), want);
    buf_fini(&b);
}

static struct digest_part part(const char *text)
{
    return (struct digest_part){text, strlen(text)};
}

/* FIPS 180-4 examples. */
static void test_sha256_of_published_examples(void **state)
{
    (void)state;
    uint8_t h[DIGEST_SIZE];
    struct digest_part abc = part("abc");
    digest_sha256(&abc, 1, h);
    check_hex(h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    digest_sha256(NULL, 0, h);
    check_hex(h, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    struct digest_part two = part("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq");
    digest_sha256(&two, 1, h);
    check_hex(h, "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
    char *a = malloc(1000000);
    memset(a, 'a', 1000000);
    digest_sha256(&(struct digest_part){a, 1000000}, 1, h);
    check_hex(h, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(a);
}

static void test_parts_are_one_text(void **state)
{
    (void)state;
    uint8_t h[DIGEST_SIZE];
    struct digest_part parts[] = {part("a"), part(""), {NULL, 0}, part("bc")};
    digest_sha256(parts, 4, h);
    check_hex(h, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

/* RFC 4231, test cases 1, 2, 3, 4, 6, 7. */
static void test_hmac_of_rfc_4231(void **state)
{
    (void)state;
    uint8_t h[DIGEST_SIZE], key[131], data[50];
    struct digest_part p = part("Hi There");
    memset(key, 0x0b, 20);
    digest_hmac(key, 20, &p, 1, h);
    check_hex(h, "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    struct digest_part split[] = {part("what do ya want "), part("for nothing?")};
    digest_hmac("Jefe", 4, split, 2, h);
    check_hex(h, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    memset(key, 0xaa, sizeof key);
    memset(data, 0xdd, sizeof data);
    digest_hmac(key, 20, &(struct digest_part){data, 50}, 1, h);
    check_hex(h, "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe");
    uint8_t counted[25];
    for (int i = 0; i < 25; i++)
        counted[i] = (uint8_t)(i + 1);
    memset(data, 0xcd, sizeof data);
    digest_hmac(counted, 25, &(struct digest_part){data, 50}, 1, h);
    check_hex(h, "82558a389a443c0ea4cc819899f2083a85f0faa3e578f8077a2e3ff46729665b");
    p = part("Test Using Larger Than Block-Size Key - Hash Key First");
    digest_hmac(key, 131, &p, 1, h);
    check_hex(h, "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    p = part("This is a test using a larger than block-size key and a larger than block-size data. "
             "The key needs to be hashed before being used by the HMAC algorithm.");
    digest_hmac(key, 131, &p, 1, h);
    check_hex(h, "9b09ffa71b942fcb27635fbcd5b0e944bfdc63644f0713938a7f51535c3a35e2");
}

static void test_hmac_with_an_empty_key(void **state)
{
    (void)state;
    uint8_t h[DIGEST_SIZE];
    digest_hmac(NULL, 0, NULL, 0, h);
    check_hex(h, "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

static void test_equal_looks_at_every_byte(void **state)
{
    (void)state;
    uint8_t a[DIGEST_SIZE] = {1, 2, 3}, b[DIGEST_SIZE] = {1, 2, 3};
    assert_true(digest_equal(a, b, sizeof a));
    for (size_t i = 0; i < sizeof a; i++) {
        b[i] ^= 0x80;
        assert_false(digest_equal(a, b, sizeof a));
        b[i] ^= 0x80;
    }
    assert_true(digest_equal(a, b, 0));
}

static void *hash_often(void *arg)
{
    uint8_t want[DIGEST_SIZE], h[DIGEST_SIZE];
    struct digest_part p = part(arg);
    size_t bad = 0;
    digest_hmac("k", 1, &p, 1, want);
    for (int i = 0; i < 2000; i++) {
        digest_hmac("k", 1, &p, 1, h);
        bad += !digest_equal(h, want, sizeof h);
    }
    return (void *)bad;
}

static void test_threads_do_not_share_a_digest(void **state)
{
    (void)state;
    pthread_t threads[3];
    static char texts[3][8] = {"one", "two", "three"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, hash_often, texts[i]), 0);
    for (int i = 0; i < 3; i++) {
        void *bad = (void *)1;
        pthread_join(threads[i], &bad);
        assert_null(bad);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_of_published_examples),
        cmocka_unit_test(test_parts_are_one_text),
        cmocka_unit_test(test_hmac_of_rfc_4231),
        cmocka_unit_test(test_hmac_with_an_empty_key),
        cmocka_unit_test(test_equal_looks_at_every_byte),
        cmocka_unit_test(test_threads_do_not_share_a_digest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
