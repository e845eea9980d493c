/* keyring.h in virtual time: when keys are read again, and what counts while they cannot be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/http_client_fake.h"
#include "common/loop_fake.h"
#include "gateway/keyring.h"

#define URL "http://id.example/keys"
#define KEYS(kid)                                                       \
    "{\"keys\":[{\"kid\":\"" kid                                        \
    "\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"stBV-s59GGi4NzqEhGf_z" \
    "-9OwwCLvszrRf9EIoXe_kY\",\"y\":\"t5VNJ9luWVPeK1XYd6kCsyghDrIcm9zJSOsUZna297I\"}]}"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

struct world {
    struct loop *loop;
    struct http_client *http;
    struct keyring *keys;
    struct http_fake_reply reply; /* of the URL from now on */
};

static void decide(void *arg, const struct http_request *r, struct http_fake_reply *reply)
{
    struct world *w = arg;
    assert_string_equal(r->url, URL);
    *reply = w->reply;
}

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    assert_int_equal(loop_fake_open(1795561200LL * 1000000, &w->loop), 0);
    assert_int_equal(http_client_fake_open(w->loop, &w->http), 0);
    http_client_fake_decide(w->http, decide, w);
    w->reply = (struct http_fake_reply){.status = 200, .body = KEYS("one")};
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    keyring_close(w->keys);
    http_client_close(w->http);
    loop_close(w->loop);
    free(w);
    return 0;
}

static int open_keys(struct world *w, const char *source)
{
    return keyring_open(
        &(struct keyring_settings){.source = source, .loop = w->loop, .http = w->http}, &w->keys);
}

static int find(struct world *w, const char *kid)
{
    struct token_head head = {.alg = JOSE_ES256};
    struct jwks *set;
    const struct jose_key *key = NULL;
    snprintf(head.kid, sizeof head.kid, "%s", kid);
    int err = keyring_find(w->keys, &head, &set, &key);
    if (!err) {
        assert_int_equal(jose_key_alg(key), JOSE_ES256);
        jwks_put(set);
    }
    return err;
}

static size_t fetches(const struct world *w)
{
    return http_client_fake_calls(w->http);
}

static void reads_a_url_at_its_first_turn(void **state)
{
    struct world *w = *state;
    assert_int_equal(open_keys(w, URL), 0);
    assert_int_equal(find(w, "one"), ERR_UNAVAILABLE);
    assert_int_equal(keyring_await(w->keys, 0), ERR_UNAVAILABLE);
    loop_fake_run_for(w->loop, 10);
    assert_int_equal(find(w, "one"), 0);
    assert_int_equal(keyring_await(w->keys, 0), 0);
    assert_int_equal(fetches(w), 1);
    assert_int_equal(http_client_fake_call(w->http, 0)->response_max, JWKS_SIZE_MAX);
    assert_true(http_client_fake_call(w->http, 0)->allow_private);
}

static void reads_again_when_the_age_is_over(void **state)
{
    static const struct {
        const char *cache_control;
        int64_t age_ms;
    } rows[] = {{"public, max-age=3600", HOUR}, {"MAX-AGE=1", 5 * MINUTE},
                {"no-store", 5 * MINUTE},       {"max-age=99999999999999999999", 24 * HOUR},
                {"max-age=100000", 24 * HOUR},  {"s-maxage=7200,max-age=600", 10 * MINUTE},
                {"max-age=x", 5 * MINUTE}};
    struct world *w = *state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(keyring_max_age_ms(rows[i].cache_control), rows[i].age_ms);
    assert_int_equal(keyring_max_age_ms(NULL), 5 * MINUTE);
    w->reply.header = (struct header){"cache-control", "max-age=3600"};
    assert_int_equal(open_keys(w, URL), 0);
    loop_fake_run_for(w->loop, HOUR - SECOND);
    assert_int_equal(fetches(w), 1);
    w->reply.body = KEYS("two");
    loop_fake_run_for(w->loop, 2 * SECOND);
    assert_int_equal(fetches(w), 2);
    assert_int_equal(find(w, "two"), 0);
}

static void asks_once_in_30_s_for_a_key_nobody_knows(void **state)
{
    struct world *w = *state;
    assert_int_equal(open_keys(w, URL), 0);
    loop_fake_run_for(w->loop, MINUTE);
    w->reply.body = KEYS("two");                       /* rotated */
    assert_int_equal(find(w, "two"), ERR_UNAVAILABLE); /* on its way */
    loop_fake_run_for(w->loop, 10);
    assert_int_equal(fetches(w), 2);
    assert_int_equal(find(w, "two"), 0);
    for (int i = 0; i < 29; i++) {
        assert_int_equal(find(w, "made up"), ERR_NOT_FOUND);
        loop_fake_run_for(w->loop, SECOND);
    }
    assert_int_equal(fetches(w), 2);
    loop_fake_run_for(w->loop, SECOND);
    assert_int_equal(find(w, "made up"), ERR_UNAVAILABLE);
    loop_fake_run_for(w->loop, 10);
    assert_int_equal(fetches(w), 3);
    assert_int_equal(find(w, "made up"), ERR_NOT_FOUND);
}

static void goes_on_with_old_keys_for_a_day(void **state)
{
    static const struct http_fake_reply bad[] = {
        {.code = CALL_CONNECT},
        {.status = 500, .body = KEYS("two")},
        {.status = 200, .body = "<html>sign in first</html>"},
        {.status = 200, .body = "{\"keys\":[]}"},
    };
    struct world *w = *state;
    assert_int_equal(open_keys(w, URL), 0);
    loop_fake_run_for(w->loop, 10);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        size_t before = fetches(w);
        w->reply = bad[i];
        loop_fake_run_for(w->loop, 10 * MINUTE);
        assert_in_range(fetches(w), before + 10, before + 22); /* every 30 s, and when asked */
        assert_int_equal(find(w, "one"), 0);
        assert_int_equal(find(w, "two"), ERR_UNAVAILABLE); /* nobody can know */
    }
    loop_fake_run_for(w->loop, 24 * HOUR);
    assert_int_equal(find(w, "one"), ERR_UNAVAILABLE);
    w->reply = (struct http_fake_reply){.status = 200, .body = KEYS("two")};
    loop_fake_run_for(w->loop, 31 * SECOND);
    assert_int_equal(find(w, "two"), 0);
    loop_fake_run_for(w->loop, MINUTE);
    assert_int_equal(find(w, "one"), ERR_UNAVAILABLE); /* asks */
    loop_fake_run_for(w->loop, 10);
    assert_int_equal(find(w, "one"), ERR_NOT_FOUND);
}

static void tries_soon_while_it_has_no_keys(void **state)
{
    struct world *w = *state;
    w->reply.status = 503;
    assert_int_equal(open_keys(w, URL), 0);
    loop_fake_run_for(w->loop, 10 * SECOND);
    assert_in_range(fetches(w), 4, 6);
    w->reply.status = 200;
    loop_fake_run_for(w->loop, 2 * SECOND);
    assert_int_equal(find(w, "one"), 0);
}

static void write_keys(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static void reads_a_file_at_once_and_again(void **state)
{
    struct world *w = *state;
    char path[] = "/tmp/offpath-keys-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(open_keys(w, path), ERR_INVALID); /* empty */
    write_keys(path, KEYS("one"));
    assert_int_equal(open_keys(w, path), 0);
    assert_int_equal(find(w, "one"), 0);
    write_keys(path, KEYS("two"));
    assert_int_equal(find(w, "two"), ERR_UNAVAILABLE);
    loop_fake_run_for(w->loop, 10); /* somebody asked */
    assert_int_equal(find(w, "two"), 0);
    write_keys(path, KEYS("three"));
    loop_fake_run_for(w->loop, 5 * MINUTE);
    assert_int_equal(find(w, "three"), 0);
    unlink(path);
    loop_fake_run_for(w->loop, HOUR);
    assert_int_equal(find(w, "three"), 0);
    assert_int_equal(fetches(w), 0);
    keyring_close(w->keys);
    w->keys = NULL;
    assert_int_equal(open_keys(w, path), ERR_NOT_FOUND);
}

static void reads_nothing_for_a_fixed_key(void **state)
{
    struct world *w = *state;
    struct jwks *fixed = NULL;
    assert_int_equal(jwks_of_secret("0123456789abcdef0123456789abcdef", 32, &fixed), 0);
    assert_int_equal(keyring_open(&(struct keyring_settings){.fixed = fixed}, &w->keys), 0);
    struct token_head head = {.alg = JOSE_HS256, .kid = "whatever"};
    struct jwks *set;
    const struct jose_key *key;
    assert_int_equal(keyring_find(w->keys, &head, &set, &key), 0);
    jwks_put(set);
    assert_int_equal(find(w, "one"), ERR_NOT_FOUND); /* of another algorithm */
    assert_int_equal(loop_fake_pending(w->loop), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, open_world, close_world)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(reads_a_url_at_its_first_turn),
        TEST(reads_again_when_the_age_is_over),
        TEST(asks_once_in_30_s_for_a_key_nobody_knows),
        TEST(goes_on_with_old_keys_for_a_day),
        TEST(tries_soon_while_it_has_no_keys),
        TEST(reads_a_file_at_once_and_again),
        TEST(reads_nothing_for_a_fixed_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
