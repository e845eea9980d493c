/* password.h: hashes that others verify, and what is none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "common/password.h"

static void hashes_with_bcrypt(void **state)
{
    char a[PASSWORD_HASH], b[PASSWORD_HASH];
    (void)state;
    assert_int_equal(password_hash(PASSWORD_BCRYPT, "correct horse", a), 0);
    assert_memory_equal(a, "$2b$10$", 7); /* Spring's default cost */
    assert_true(password_is_hash(PASSWORD_BCRYPT, a));
    assert_false(password_is_hash(PASSWORD_YESCRYPT, a));
    assert_true(password_matches("correct horse", a));
    assert_false(password_matches("correct hors", a));
    assert_int_equal(password_hash(PASSWORD_BCRYPT, "correct horse", b), 0);
    assert_string_not_equal(a, b); /* a salt each */
}

static void hashes_with_yescrypt(void **state)
{
    char a[PASSWORD_HASH];
    (void)state;
    assert_int_equal(password_hash(PASSWORD_YESCRYPT, "correct horse", a), 0);
    assert_memory_equal(a, "$y$", 3);
    assert_true(password_is_hash(PASSWORD_YESCRYPT, a));
    assert_false(password_is_hash(PASSWORD_BCRYPT, a));
    assert_true(password_matches("correct horse", a));
    assert_false(password_matches("", a));
}

static void makes_the_hashes_others_make(void **state)
{
    (void)state; /* published vectors: the $2b$ of a known implementation, and its older prefix */
    assert_true(
        password_matches("U*U", "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
    assert_true(password_is_hash(PASSWORD_BCRYPT,
                                 "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW"));
}

/* Bytes past the 72nd would not count: two such passwords would be one. */
static void takes_no_more_than_it_hashes(void **state)
{
    char plain[600], a[PASSWORD_HASH];
    (void)state;
    memset(plain, 'x', sizeof plain);
    plain[73] = 0;
    assert_int_equal(password_hash(PASSWORD_BCRYPT, plain, a), ERR_TOO_LARGE);
    plain[72] = 0;
    assert_int_equal(password_hash(PASSWORD_BCRYPT, plain, a), 0);
    assert_int_equal(password_hash(PASSWORD_BCRYPT, "", a), ERR_INVALID);
    memset(plain, 'x', sizeof plain);
    plain[512] = 0;
    assert_int_equal(password_hash(PASSWORD_YESCRYPT, plain, a), ERR_TOO_LARGE);
    plain[511] = 0;
    assert_int_equal(password_hash(PASSWORD_YESCRYPT, plain, a), 0);
    assert_int_equal(password_max(PASSWORD_BCRYPT), 72);
}

static void knows_what_is_no_hash(void **state)
{
    static const char *const texts[] = {
        "",
        "x",
        "$2b$",
        "correct horse",
        "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe",
        "$2b$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOe!",
        "$2x$10$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$2b$1x$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW",
        "$y$",
        "$y$j9T$",
        "$y$j9T$$",
        "$y$j9T$abc$",
        "$1$abc$abcdefghijklmnop"};
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        assert_false(password_is_hash(PASSWORD_BCRYPT, texts[i]));
        assert_false(password_is_hash(PASSWORD_YESCRYPT, texts[i]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_with_bcrypt),
        cmocka_unit_test(hashes_with_yescrypt),
        cmocka_unit_test(makes_the_hashes_others_make),
        cmocka_unit_test(takes_no_more_than_it_hashes),
        cmocka_unit_test(knows_what_is_no_hash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
