/* base64url.h: the vectors of RFC 4648, 10, without their padding; and what is not base64url. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "common/base64url.h"

static void reads_the_published_vectors(void **state)
{
    static const struct {
        const char *text, *bytes;
    } rows[] = {{"", ""},           {"Zg", "f"},          {"Zm8", "fo"},         {"Zm9v", "foo"},
                {"Zm9vYg", "foob"}, {"Zm9vYmE", "fooba"}, {"Zm9vYmFy", "foobar"}};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char out[8] = "";
        size_t len = strlen(rows[i].text), want = strlen(rows[i].bytes);
        assert_int_equal(base64url_decode(rows[i].text, len, out), want);
        assert_memory_equal(out, rows[i].bytes, want);
        assert_int_equal(base64url_decode(rows[i].text, len, NULL), want);
    }
    char high[3];
    assert_int_equal(base64url_decode("_-_-", 4, high), 3);
    assert_memory_equal(high, "\xff\xef\xfe", 3);
}

static void refuses_padding_other_alphabets_and_bits_left_over(void **state)
{
    static const char *const rows[] = {"Zg==", "Z",  "Zm9=vYg", "Zm9v+/",
                                       "Zm 9", "Zh", "Zm9vYmF", "Zm9vY"};
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(base64url_decode(rows[i], strlen(rows[i]), NULL), -1);
    assert_int_equal(base64url_decode("Zm\0v", 4, NULL), -1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_published_vectors),
        cmocka_unit_test(refuses_padding_other_alphabets_and_bits_left_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
