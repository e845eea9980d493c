/* auth.h, accept.h and jobs.h with users: who may start what, whose job it is, who may read it. */
#include "gateway_stage.h"

#include "gateway/auth_issuers.h"

static const char *reply_headers(struct stage *s)
{
    return buf_str(&s->reply.headers);
}

static int post_as(struct stage *s, const char *flow, const char *user, const char *more)
{
    char headers[1200];
    snprintf(headers, sizeof headers, "%s%s%s", stage_token(s, user, NULL), more ? "\n" : "",
             more ? more : "");
    return stage_post(s, flow, "{\"n\":1}", headers);
}

static int get_as(struct stage *s, const char *id, const char *user)
{
    char path[80];
    snprintf(path, sizeof path, "/v1/jobs/%s", id);
    return stage_ask(s, "GET", path, user ? stage_token(s, user, NULL) : NULL);
}

static void makes_the_job_its_users_own(void **state)
{
    struct stage *s = *state;
    struct owner alice = owner_of(STAGE_ISSUER, "alice");
    struct job_id id;
    struct buf want = {0};
    assert_int_equal(post_as(s, "mine", "alice", NULL), 202);
    assert_int_equal(id_parse(s->got[0].job, &id), 0);
    assert_true(id_is_of(&s->secret, &id, &alice));
    assert_string_equal(s->got[0].key, "alice"); /* $user.id */
    buf_hex(&want, alice.b, sizeof alice.b);
    buf_text(&want, " alice");
    assert_string_equal(s->got[0].user, buf_str(&want));
    buf_fini(&want);
    assert_int_equal(get_as(s, s->got[0].job, "alice"), 200); /* perhaps not registered yet */
    stage_flush(s);
    assert_int_equal(get_as(s, s->got[0].job, "alice"), 200);
    assert_string_equal(stage_member(s, "flow"), "mine");
}

static void shows_a_job_to_its_owner_only(void **state)
{
    struct stage *s = *state;
    static const char *const others[] = {"bob", NULL};
    assert_int_equal(post_as(s, "mine", "alice", NULL), 202);
    for (int registered = 0; registered < 2; registered++, stage_flush(s))
        for (size_t i = 0; i < 2; i++) {
            assert_int_equal(get_as(s, s->got[0].job, others[i]), 404);
            assert_string_equal(stage_member(s, "code"), "no-job");
        }
    assert_int_equal(get_as(s, s->got[0].job, "alice"), 200);
}

static void shows_a_guests_job_to_whoever_holds_its_id(void **state)
{
    struct stage *s = *state;
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    assert_string_equal(s->got[0].user, "");
    for (int registered = 0; registered < 2; registered++, stage_flush(s)) {
        assert_int_equal(get_as(s, s->got[0].job, NULL), 200);
        assert_int_equal(get_as(s, s->got[0].job, "bob"), 200);
    }
}

/* A flow for guests, used with a token, makes a user's job. */
static void knows_a_user_where_guests_may(void **state)
{
    struct stage *s = *state;
    assert_int_equal(post_as(s, "plain", "alice", NULL), 202);
    stage_flush(s);
    assert_int_equal(get_as(s, s->got[0].job, NULL), 404);
    assert_int_equal(get_as(s, s->got[0].job, "alice"), 200);
}

static void asks_guests_to_sign_in(void **state)
{
    struct stage *s = *state;
    s->body_err = ERR_BUG; /* the body is not even read */
    assert_int_equal(stage_post(s, "mine", "{", NULL), 401);
    assert_string_equal(stage_member(s, "code"), "signed-out");
    assert_non_null(strstr(reply_headers(s), "WWW-Authenticate: Bearer\r\n"));
    assert_int_equal(stage_post(s, "scoped", "{", NULL), 401);
    assert_int_equal(s->got_n, 0);
    assert_null(strstr(buf_str(&s->reply.body), "Bearer ey"));
}

static void wants_the_scope_of_the_flow(void **state)
{
    struct stage *s = *state;
    static const struct {
        const char *scope;
        int status;
    } rows[] = {{NULL, 403}, {"read", 403}, {"writer", 403}, {"read write", 202}};
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(stage_post(s, "scoped", "{}", stage_token(s, "alice", rows[i].scope)),
                         rows[i].status);
        if (rows[i].status == 202)
            break;
        assert_string_equal(stage_member(s, "code"), "not-allowed");
        assert_non_null(strstr(reply_headers(s), "error=\"insufficient_scope\", scope=\"write\""));
    }
    assert_int_equal(s->got_n, 1);
}

/* 404 comes before 401 and 403: what is there for nobody asks for no token. */
static void hides_what_http_may_not_start(void **state)
{
    struct stage *s = *state;
    static const char *const flows[] = {"hidden", "nope"};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(stage_post(s, flows[i], "{}", NULL), 404);
        assert_int_equal(post_as(s, flows[i], "alice", NULL), 404);
        assert_int_equal(stage_post(s, flows[i], "{}", "Authorization: Bearer x.y.z"), 404);
        assert_string_equal(stage_member(s, "code"), "no-flow");
    }
}

static void makes_nobody_a_guest_by_a_bad_token(void **state)
{
    struct stage *s = *state;
    static const char *const bad[] = {"Authorization: Bearer x.y.z",
                                      "Authorization: Bearer ",
                                      "Authorization: bearer",
                                      "Authorization: Bearerx.y.z",
                                      "Authorization: eyJhbGciOiJub25lIn0.e30.AAAA",
                                      "Authorization: JWT eyJhbGciOiJub25lIn0.e30.AAAA",
                                      "Authorization: Token abc",
                                      "Authorization: Basic",
                                      "Authorization: Basically eA==",
                                      "Authorization: Basic eyJhbGciOiJub25lIn0.e30.AAAA",
                                      "Authorization: ",
                                      "Authorization: Basic eA==\nAuthorization: Basic eA==",
                                      "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.AAAA"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(stage_post(s, "plain", "{\"n\":1}", bad[i]), 401);
        assert_non_null(strstr(reply_headers(s), "error=\"invalid_token\""));
    }
    char old[1000];
    snprintf(old, sizeof old, "%s", stage_token(s, "alice", NULL));
    clock_step(&s->clock, 661 * 1000000LL);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", old), 401);
    assert_string_equal(stage_member(s, "detail"), "the token has expired");
    assert_null(strstr(buf_str(&s->reply.body), old + 22)); /* never repeated */
    char twice[2000];
    snprintf(twice, sizeof twice, "Authorization: Basic eA==\n%s", stage_token(s, "alice", NULL));
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", twice), 401);
    assert_int_equal(s->got_n, 0);
}

static void leaves_a_proxys_credentials_to_the_proxy(void **state)
{
    struct stage *s = *state;
    static const char *const theirs[] = {"Authorization: Basic eA==", "Authorization: basic eA==",
                                         "Authorization: Digest username=\"x\", realm=\"y\"",
                                         "Authorization: Negotiate YIIabc=="};
    for (size_t i = 0; i < sizeof theirs / sizeof theirs[0]; i++) {
        assert_int_equal(stage_post(s, "plain", "{\"n\":1}", theirs[i]), 202);
        assert_int_equal(stage_post(s, "mine", "{\"n\":1}", theirs[i]), 401);
        assert_non_null(strstr(stage_member(s, "detail"), "send Authorization: Bearer"));
    }
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", "Authorization: JWT eyJ.e30.A"), 401);
    assert_string_equal(stage_member(s, "detail"),
                        "write `Authorization: Bearer`, a space and the token");
}

static void takes_no_token_without_keys(void **state)
{
    struct stage *s = *state;
    s->serve.auth.n = 0;
    assert_int_equal(post_as(s, "plain", "alice", NULL), 401);
    assert_non_null(strstr(stage_member(s, "detail"), "no keys to check tokens with"));
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", NULL), 202);
    s->serve.auth.n = 1;
}

/* ---- several issuers */

static void settings_tell_issuers_apart(void **state)
{
    static const struct {
        const char *text, *why;
    } bad[] = {{"", "line 1 names no issuer"},
               {"# none\n\n", "names no issuer"},
               {"https://a", "line 1 names no jwks="},
               {"\nhttps://a jwks=k audience=x keys=l", "line 2 holds a word that is not known"},
               {"https://a jwks=", "line 1 holds a word that is not known, empty"},
               {"https://a jwks=k jwks=l", "there twice"},
               {"https://a jwks=k\nhttps://a jwks=l", "line 2 names an issuer that stands above"}};
    struct auth_source got[AUTH_ISSUERS_MAX];
    char text[200], why[AUTH_ISSUERS_WHY];
    size_t n = 99;
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, "%s", bad[i].text);
        assert_int_equal(auth_issuers_parse(text, got, &n, why), ERR_INVALID);
        assert_non_null(strstr(why, bad[i].why));
        assert_non_null(strstr(why, "write `ISSUER jwks="));
    }
    assert_int_equal(n, 99);
    snprintf(
        text, sizeof text,
        "https://a  jwks=https://a/keys algorithms=ES256,RS256 audience=me\r\n # x\n\tb jwks=f");
    assert_int_equal(auth_issuers_parse(text, got, &n, why), 0);
    assert_int_equal(n, 2);
    assert_string_equal(got[0].issuer, "https://a");
    assert_string_equal(got[0].jwks, "https://a/keys");
    assert_string_equal(got[0].audience, "me");
    assert_string_equal(got[0].algorithms, "ES256,RS256");
    assert_string_equal(got[1].issuer, "b");
    assert_null(got[1].audience);
    assert_null(got[1].hs256_file);
}

/* Keys of one issuer sign for nobody else, whatever a token says. */
static void takes_a_token_by_the_rules_of_its_issuer(void **state)
{
    struct stage *s = *state;
    static const char secret[] = "another secret of 32 bytes or more";
    struct auth_issuer two[2] = {s->issuer, {.rules = s->issuer.rules}};
    struct jwks *keys = NULL;
    struct token_wish w = {.sub = "alice", .ttl_s = 600};
    assert_int_equal(jwks_of_secret(secret, strlen(secret), &keys), 0);
    const struct {
        const char *issuer;
        struct jwks *keys;
        int status;
    } rows[] = {{STAGE_ISSUER, s->keys, 202},    {"https://two", keys, 202},
                {"https://two", s->keys, 401},   {STAGE_ISSUER, keys, 401},
                {"https://three", s->keys, 401}, {NULL, s->keys, 401}};
    assert_int_equal(
        keyring_open(&(struct keyring_settings){.fixed = jwks_get(keys)}, &two[1].keys), 0);
    two[1].rules.issuer = "https://two";
    s->serve.auth.issuers = two;
    s->serve.auth.n = 2;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct buf header = {0};
        w.issuer = rows[i].issuer;
        buf_text(&header, "Authorization: Bearer ");
        const struct jose_key *key = jwks_find(rows[i].keys, JOSE_HS256, "");
        assert_int_equal(token_make(&w, key, clock_wall_us(&s->clock.clock), &header), 0);
        assert_int_equal(stage_post(s, "mine", "{\"n\":1}", buf_str(&header)), rows[i].status);
        buf_fini(&header);
    }
    assert_int_equal(stage_post(s, "mine", "{}", "Authorization: Bearer x.y.z"), 401);
    assert_int_equal(s->got_n, 2);
    assert_string_not_equal(s->got[0].user, s->got[1].user); /* two people of one name */
    keyring_close(two[1].keys);
    jwks_put(keys);
}

/* ---- keys and caches */

static void lets_each_user_have_short_keys_of_his_own(void **state)
{
    struct stage *s = *state;
    char first[40];
    assert_int_equal(post_as(s, "plain", "alice", "Idempotency-Key: 1"), 202);
    snprintf(first, sizeof first, "%s", stage_member(s, "id"));
    stage_flush(s);
    assert_int_equal(post_as(s, "plain", "alice", "Idempotency-Key: 1"), 202);
    assert_string_equal(stage_member(s, "id"), first);
    assert_non_null(strstr(reply_headers(s), "Idempotent-Replayed: true"));
    assert_int_equal(post_as(s, "plain", "bob", "Idempotency-Key: 1"), 202);
    assert_string_not_equal(stage_member(s, "id"), first);
    assert_int_equal(stage_post(s, "plain", "{\"n\":1}", "Idempotency-Key: 1"), 422);
    assert_string_equal(stage_member(s, "code"), "guest-key");
    assert_int_equal(get_as(s, first, "alice"), 200);
    assert_int_equal(get_as(s, first, "bob"), 404);
}

/* In a shared flow the job is nobody's, the key is still its user's. */
static void keeps_keys_apart_where_jobs_are_shared(void **state)
{
    struct stage *s = *state;
    struct owner nobody = {0};
    struct job_id id;
    cache_fake_away(s->redis, true); /* no coalescing */
    assert_int_equal(post_as(s, "cached", "alice", "Idempotency-Key: 1"), 202);
    assert_int_equal(post_as(s, "cached", "bob", "Idempotency-Key: 1"), 202);
    assert_int_equal(post_as(s, "cached", "bob", "Idempotency-Key: 1"), 202);
    cache_fake_away(s->redis, false);
    assert_string_not_equal(s->got[0].job, s->got[1].job);
    assert_string_equal(s->got[1].job, s->got[2].job);
    assert_int_equal(id_parse(s->got[0].job, &id), 0);
    assert_true(id_is_of(&s->secret, &id, &nobody));
    assert_string_equal(s->got[0].user, "");
    stage_flush(s);
    assert_int_equal(get_as(s, s->got[0].job, NULL), 200);
}

static void believes_in_a_users_keyed_job_while_its_mark_stands(void **state)
{
    struct stage *s = *state;
    struct marks_key key = {.user = owner_of(STAGE_ISSUER, "alice")};
    char text[ID_TEXT], name[MARKS_NAME];
    key.id = id_from_key(&s->secret, &key.user, &key.user, "plain", "k");
    id_format(&key.id, text);
    assert_int_equal(get_as(s, text, "alice"), 404);
    marks_key_name(&key, name);
    assert_int_equal(cache_fake_put(s->redis, name, "p", 1, 0), 0);
    assert_int_equal(get_as(s, text, "alice"), 200);
    assert_int_equal(get_as(s, text, "bob"), 404);
    assert_int_equal(get_as(s, text, NULL), 404);
}

static void own_cache(struct stage *s, const struct owner *o, char which, char out[MARKS_NAME])
{
    struct json *request = NULL;
    char hash[65];
    const struct flow *f = flow_by_name(s->flows, "own");
    assert_int_equal(json_parse("{\"n\":1}", 7, NULL, &request, NULL), 0);
    struct expr_vars vars = {.value[VAR_REQUEST] = request};
    assert_int_equal(flow_cache_hash(f, f->rev, o->b, &vars, hash, NULL), 0);
    json_free(request);
    cache_hash_name(hash, which, out);
}

static void keeps_a_cache_per_user_and_none_for_guests(void **state)
{
    struct stage *s = *state;
    struct owner alice = owner_of(STAGE_ISSUER, "alice"), nobody = {0};
    char name[MARKS_NAME];
    own_cache(s, &alice, 'v', name);
    assert_int_equal(cache_fake_put(s->redis, name, "{\"a\":1}", 7, 60000), 0);
    own_cache(s, &nobody, 'v', name);
    assert_int_equal(cache_fake_put(s->redis, name, "{\"a\":2}", 7, 60000), 0);
    assert_int_equal(post_as(s, "own", "alice", NULL), 200);
    assert_string_equal(buf_str(&s->reply.body), "{\"a\":1}");
    assert_int_equal(post_as(s, "own", "bob", NULL), 202);
    stage_flush(s);
    assert_int_equal(post_as(s, "own", "bob", NULL), 202); /* his running job */
    assert_string_equal(stage_member(s, "id"), s->got[0].job);
    assert_int_equal(stage_post(s, "own", "{\"n\":1}", NULL), 202);
    assert_int_equal(stage_post(s, "own", "{\"n\":1}", NULL), 202);
    assert_int_equal(s->got_n, 3);
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, stage_setup, stage_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(makes_the_job_its_users_own),
        TEST(shows_a_job_to_its_owner_only),
        TEST(shows_a_guests_job_to_whoever_holds_its_id),
        TEST(knows_a_user_where_guests_may),
        TEST(asks_guests_to_sign_in),
        TEST(wants_the_scope_of_the_flow),
        TEST(hides_what_http_may_not_start),
        TEST(makes_nobody_a_guest_by_a_bad_token),
        TEST(leaves_a_proxys_credentials_to_the_proxy),
        TEST(takes_no_token_without_keys),
        TEST(settings_tell_issuers_apart),
        TEST(takes_a_token_by_the_rules_of_its_issuer),
        TEST(lets_each_user_have_short_keys_of_his_own),
        TEST(keeps_keys_apart_where_jobs_are_shared),
        TEST(believes_in_a_users_keyed_job_while_its_mark_stands),
        TEST(keeps_a_cache_per_user_and_none_for_guests),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
