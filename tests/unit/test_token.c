/* token.h, jwks.h, jose.h: published vectors, and every way in which a token must not count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <pthread.h>

#include "common/digest.h"
#include "common/token.h"

static const char secret[] = "a secret of more than 32 bytes, for tests";
static const int64_t now_us = 1795561200LL * 1000000;
static const struct token_rules any_hs = {"", "", 1u << JOSE_HS256};
#define NOW 1795561200

/* ---- RFC 7515, appendix A */

static const char a1_key[] =
    "\x03\x23\x35\x4b\x2b\x0f\xa5\xbc\x83\x7e\x06\x65\x77\x7b\xa6\x8f\x5a\xb3\x28\xe6\xf0\x54\xc9"
    "\x28\xa9\x0f\x84\xb2\xd2\x50\x2e\xbf\xd3\xfb\x5a\x92\xd2\x06\x47\xef\x96\x8a\xb4\xc3\x77\x62"
    "\x3d\x22\x3d\x2e\x21\x72\x05\x2e\x4f\x08\xc0\xcd\x9a\xf5\x67\xd0\x80\xa3";
#define A_CLAIMS                                                                                \
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0" \
    "cnVlfQ."
static const char a1[] = "eyJ0eXAiOiJKV1QiLA0KICJhbGciOiJIUzI1NiJ9" A_CLAIMS
                         "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
static const char a2_jwk[] =
    "{\"kty\":\"RSA\",\"n\":\"ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw"
    "-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0L"
    "OL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh"
    "9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ\","
    "\"e\":\"AQAB\"}";
static const char a2[] =
    "eyJhbGciOiJSUzI1NiJ9" A_CLAIMS
    "cC4hiUPoj9Eetdgtv3hF80EGrhuB__dzERat0XF9g2VtQgr9PJbu3XOiZj5RZmh7AAuHIm4Bh-0Qc_lF5YKt_O8W2Fp5j"
    "ujGbds9uJdbF9CUAr7t1dnZcAcQjbKBYNX4BAynRFdiuB--f_nZLgrnbyTyWzO75vRK5h6xBArLIARNPvkSjtQBMHlb1L0"
    "7Qe7K0GarZRmB_eSN9383LcOLn6_dO--xi12jzDwusC-eOkHWEsqtFZESc6BfI7noOPqvhJ1phCnvWh6IeYI2w9QOYEUip"
    "UTI8np6LbgGY9Fs98rqVt5AXLIhWkWywlVmtVrBp0igcN_IoypGlUPQGe77Rw";
static const char a3_jwk[] =
    "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
    "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}";
static const char a3[] =
    "eyJhbGciOiJFUzI1NiJ9" A_CLAIMS
    "DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q";

/* ---- made with openssl: alice of https://id.example, for [offpath, x], until 2100 */

#define RS_N                                                                                       \
    "uOk_1AtAt2VQsyQcMaHLNqLpT5jf9rh8vOoGYq_Qb-A3VE_b3Vjvf5bx8laLRL-qBWlsithG8vS9NWOe5zWxNBnxuBBt" \
    "bj4zN2o7OqSGxWYXTrsU1W_TMKeAcUUrrkyXwZQfq3BwhhZOAesQYKKPL_YX9zb3AqvNx7ga2PdJdhpwZ48Ng_2bvhSk" \
    "Nzho5w2LJcjySyjEroAld4SoK-UG_J054LE41A-3kvSqldUNqv1LzdbKBfWaM0hw9S50YX4flW_NH-0Cp6958vcb5VBj" \
    "wseeB78ZTmyxvnHoSWZwHHYxRdIdgj1QuWNoldd5WgvBFNNPS5VuAw_nJtrsXbc8RQ"
#define RS_JWK \
    "{\"kid\":\"k-rs\",\"alg\":\"RS256\",\"kty\":\"RSA\",\"n\":\"" RS_N "\",\"e\":\"AQAB\"}"
#define ES_JWK                                                                         \
    "{\"kid\":\"k-es\",\"use\":\"sig\",\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"stBV-" \
    "s59GGi4NzqEhGf_z"                                                                 \
    "-9OwwCLvszrRf9EIoXe_kY\",\"y\":\"t5VNJ9luWVPeK1XYd6kCsyghDrIcm9zJSOsUZna297I\"}"
#define SMALL_JWK                                                                                  \
    "{\"kid\":\"small\",\"kty\":\"RSA\",\"n\":\"us45jL-"                                           \
    "ZdDlRLbw5dkOa8URvpZ1OnXAeZI7aPWQF4NW1zFHwhJD"                                                 \
    "YtJeTo7b3H1mqDXHc67sZ7GbJDzJts7opqymHkOWApQsf98aEcTGy6nx6yraO8lo8M1VfWXl6LSek8jlOoAc80Fgd4Tg" \
    "rj6BiOacmq4TOf4s3vhC0YSHloLc\",\"e\":\"AQAB\"}"
#define ALICE                                                                                    \
    ".eyJzdWIiOiAiYWxpY2UiLCAiZXhwIjogNDEwMjQ0NDgwMCwgImlzcyI6ICJodHRwczovL2lkLmV4YW1wbGUiLCAiY" \
    "XVkIjogWyJvZmZwYXRoIiwgIngiXX0."
static const char rs_token[] =
    "eyJhbGciOiAiUlMyNTYiLCAia2lkIjogImstcnMifQ" ALICE
    "g1FAsxy04gO94--CFJ63_Kj8yWRPgsHKQJWDMBKYHtuH4oxAs8inqXtp4-Bb_Ck2VC8FKMAykQlF7mO6VCyNhTzABeCXHj"
    "k-lWblBaMefpgTaj5umwVTpqJ747xTYmItC4x3tj_I6dPkV2Rfos8QWEp128rhC57oH-0KbXrl3segR1f68Paap318Svmh"
    "Gu5KUwhCYzu-bCnINmRHYZBPaytddcP_mRug8Lf2Btj2WsRAZrWuUAjp6mbIKrlLLFiCsSFRQIIGPfQBOJ6-N1AxrSETZd"
    "O9qCh9Ff-wTZv5zZR4ReJEm50Sc6Yg7AJIucLQWQm0zveR8zjnahspi7CqEw";
static const char es_token[] =
    "eyJhbGciOiAiRVMyNTYiLCAia2lkIjogImstZXMifQ" ALICE
    "7cKWbpDuLnUcU0Zx1yVP29fuNlKa5LDG1oSmrpkLyzXqaL__zpp6WU1iejzuOiTj5C0UPnJUYHUdpSdG0twJTQ";

static struct jose_key *public_key(const char *jwk)
{
    struct json *v = NULL;
    struct jose_key *k = NULL;
    assert_int_equal(json_parse(jwk, strlen(jwk), NULL, &v, NULL), 0);
    assert_int_equal(jose_key_public(v, &k), 0);
    json_free(v);
    return k;
}

static struct jose_key *secret_key(void)
{
    struct jose_key *k = NULL;
    assert_int_equal(jose_key_secret(secret, strlen(secret), &k), 0);
    return k;
}

static void verifies_the_published_examples(void **state)
{
    struct jose_key *keys[JOSE_ALGS] = {NULL};
    const char *tokens[JOSE_ALGS] = {a1, a2, a3};
    (void)state;
    assert_int_equal(jose_key_secret(a1_key, sizeof a1_key - 1, &keys[JOSE_HS256]), 0);
    keys[JOSE_RS256] = public_key(a2_jwk);
    keys[JOSE_ES256] = public_key(a3_jwk);
    for (int k = 0; k < JOSE_ALGS; k++) {
        assert_int_equal(jose_key_alg(keys[k]), k);
        for (int t = 0; t < JOSE_ALGS; t++) /* no other key will do */
            assert_int_equal(jose_verify(keys[k], tokens[t], strlen(tokens[t])),
                             k == t ? 0 : ERR_SIGNED_OUT);
    }
    for (int t = 0; t < JOSE_ALGS; t++) { /* one bit of the claims, one of the signature */
        char forged[2000];
        for (int place = 0; place < 2; place++) {
            memcpy(forged, tokens[t], strlen(tokens[t]) + 1);
            char *at = place ? strrchr(forged, '.') + 5 : strchr(forged, '.') + 5;
            *at = *at == 'A' ? 'B' : 'A';
            assert_int_equal(jose_verify(keys[t], forged, strlen(forged)), ERR_SIGNED_OUT);
        }
        jose_key_free(keys[t]);
    }
}

/* Every thread of the gateway checks with the same keys at once. */
enum { THREADS = 8, TIMES = 100 };

static void *verify_often(void *arg)
{
    struct jose_key *const *keys = arg;
    const char *const tokens[JOSE_ALGS] = {a1, a2, a3};
    size_t bad = 0;
    for (int i = 0; i < TIMES; i++)
        for (int k = 0; k < JOSE_ALGS; k++)
            bad += jose_verify(keys[k], tokens[k], strlen(tokens[k])) != 0;
    return (void *)bad;
}

static void verifies_in_many_threads_with_one_key(void **state)
{
    struct jose_key *keys[JOSE_ALGS] = {NULL};
    pthread_t threads[THREADS];
    (void)state;
    assert_int_equal(jose_key_secret(a1_key, sizeof a1_key - 1, &keys[JOSE_HS256]), 0);
    keys[JOSE_RS256] = public_key(a2_jwk);
    keys[JOSE_ES256] = public_key(a3_jwk);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, verify_often, keys), 0);
    for (int i = 0; i < THREADS; i++) {
        void *bad = NULL;
        assert_int_equal(pthread_join(threads[i], &bad), 0);
        assert_null(bad);
    }
    for (int k = 0; k < JOSE_ALGS; k++)
        jose_key_free(keys[k]);
}

static void takes_no_key_that_is_weak_or_of_another_kind(void **state)
{
    static const struct {
        const char *jwk;
        int err;
    } rows[] = {
        {SMALL_JWK, ERR_REFUSED},
        {"{\"kty\":\"oct\",\"k\":\"AyM1SysPpbyDfgZld3umj1qzKObwVMkoqQ-EstJQLr8\"}",
         ERR_UNSUPPORTED},
        {"{\"kty\":\"EC\",\"crv\":\"P-384\",\"x\":\"AA\",\"y\":\"AA\"}", ERR_UNSUPPORTED},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"AQ\",\"y\":\"AQ\"}", ERR_INVALID},
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\"}",
         ERR_INVALID}, /* no point of the curve */
        {"{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
         "\"y\":\"x_FEzRu9m36HL=_tue659LNpXW6pCyStikYjKIWI5a0\"}",
         ERR_INVALID}, /* padding in the middle: libcjose asserts that there is none */
        {"{\"kty\":\"RSA\",\"n\":\"AQ\"}", ERR_INVALID},
        {"{\"kty\":7}", ERR_INVALID},
        {"{}", ERR_INVALID},
    };
    struct jose_key *k = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct json *v = NULL;
        assert_int_equal(json_parse(rows[i].jwk, strlen(rows[i].jwk), NULL, &v, NULL), 0);
        assert_int_equal(jose_key_public(v, &k), rows[i].err);
        json_free(v);
    }
    assert_int_equal(jose_key_secret("0123456789abcdef0123456789abcde", 31, &k), ERR_INVALID);
    assert_null(k);
}

static void refuses_what_is_not_base64url_before_the_library_reads_it(void **state)
{
    struct jose_key *k = secret_key();
    char bad[1000];
    (void)state;
    assert_true(strlen(a1) < sizeof bad);
    for (const char *at = a1; *at; at++) {
        memcpy(bad, a1, strlen(a1) + 1);
        bad[at - a1] = '=';
        assert_int_equal(jose_verify(k, bad, strlen(bad)), ERR_SIGNED_OUT);
        struct token_user u;
        const char *why = NULL;
        assert_int_equal(token_check(&any_hs, k, bad, now_us, &u, &why), ERR_SIGNED_OUT);
        assert_non_null(why);
    }
    jose_key_free(k);
}

/* ---- sets of keys */

static void finds_the_key_by_kid_and_algorithm(void **state)
{
    static const char set[] = "{\"keys\":[" RS_JWK "," ES_JWK "," SMALL_JWK
                              ",{\"kty\":\"oct\",\"kid\":\"s\",\"k\":\"AyM1SysPpbyDfgZld3um\"}"
                              ",{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"AA\"}]}";
    struct jwks *s = NULL;
    (void)state;
    assert_int_equal(jwks_parse(set, strlen(set), &s), 0);
    assert_int_equal(jwks_size(s), 2);
    assert_non_null(jwks_find(s, JOSE_RS256, "k-rs"));
    assert_null(jwks_find(s, JOSE_ES256, "k-rs"));
    assert_non_null(jwks_find(s, JOSE_ES256, ""));
    assert_null(jwks_find(s, JOSE_ES256, "else"));
    assert_null(jwks_find(s, JOSE_HS256, "s"));
    assert_null(jwks_find(s, JOSE_HS256, ""));
    assert_ptr_equal(jwks_get(s), s);
    jwks_put(s);
    jwks_put(s);
}

static void guesses_no_key_where_two_would_fit(void **state)
{
    static const char set[] =
        "{\"keys\":[" RS_JWK ",{\"kty\":\"RSA\",\"n\":\"" RS_N "\",\"e\":\"AQAB\"}]}";
    struct jwks *s = NULL;
    (void)state;
    assert_int_equal(jwks_parse(set, strlen(set), &s), 0);
    assert_int_equal(jwks_size(s), 2);
    assert_null(jwks_find(s, JOSE_RS256, ""));
    jwks_put(s);
}

static void leaves_out_keys_that_are_not_for_verifying(void **state)
{
    static const char *const sets[] = {
        "{\"keys\":[{\"use\":\"enc\",\"kty\":\"RSA\",\"n\":\"" RS_N "\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"key_ops\":[\"sign\"],\"kty\":\"RSA\",\"n\":\"" RS_N "\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"alg\":\"RS512\",\"kty\":\"RSA\",\"n\":\"" RS_N "\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[{\"alg\":\"HS256\",\"kty\":\"RSA\",\"n\":\"" RS_N "\",\"e\":\"AQAB\"}]}",
        "{\"keys\":[]}",
        "{\"keys\":{}}",
        "{}",
        "[]",
        "",
        "{\"keys\":[7,null,\"x\"]}",
    };
    struct jwks *s = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++)
        assert_int_equal(jwks_parse(sets[i], strlen(sets[i]), &s), ERR_INVALID);
    assert_null(s);
    static const char small[] = "{\"keys\":[" SMALL_JWK "]}";
    assert_int_equal(jwks_parse(small, strlen(small), &s), ERR_REFUSED);
    static const char some[] = "{\"keys\":[" SMALL_JWK "," ES_JWK "]}";
    assert_int_equal(jwks_parse(some, strlen(some), &s), 0);
    assert_int_equal(jwks_size(s), 1);
    assert_int_equal(jwks_weak(s), 1);
    assert_int_equal(jwks_algorithms(s), 1u << JOSE_ES256);
    jwks_put(s);
}

static void bounds_a_set(void **state)
{
    struct buf text = {0};
    struct jwks *s = NULL;
    (void)state;
    buf_text(&text, "{\"keys\":[" ES_JWK);
    for (int i = 1; i < JWKS_KEYS_MAX; i++)
        buf_text(&text, ",{}");
    size_t len = text.len;
    buf_text(&text, "]}");
    assert_int_equal(jwks_parse(text.data, text.len, &s), 0);
    jwks_put(s);
    text.len = len;
    buf_text(&text, ",{}]}");
    assert_int_equal(jwks_parse(text.data, text.len, &s), ERR_TOO_LARGE);
    while (text.len <= JWKS_SIZE_MAX)
        buf_text(&text, "                                ");
    assert_int_equal(jwks_parse(text.data, text.len, &s), ERR_TOO_LARGE);
    buf_fini(&text);
}

/* ---- tokens */

static void encode(struct buf *b, const void *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const uint8_t *p = bytes;
    for (size_t i = 0; i < len; i += 3) {
        unsigned three = (unsigned)p[i] << 16 | (i + 1 < len ? p[i + 1] : 0u) << 8 |
                         (i + 2 < len ? p[i + 2] : 0u);
        for (size_t c = 0; c < 4 && i + c <= len; c++)
            buf_char(b, digits[three >> (18 - 6 * c) & 63]);
    }
}

/* Signed with the secret, whatever it says. */
static void sign(struct buf *b, const char *head, const char *claims)
{
    uint8_t mac[DIGEST_SIZE];
    buf_clear(b);
    encode(b, head, strlen(head));
    buf_char(b, '.');
    encode(b, claims, strlen(claims));
    digest_hmac(secret, strlen(secret), &(struct digest_part){b->data, b->len}, 1, mac);
    buf_char(b, '.');
    encode(b, mac, sizeof mac);
}

static const struct token_rules hs_rules = {"https://id.example", "offpath", 1u << JOSE_HS256};
#define HS  "{\"alg\":\"HS256\"}"
#define FOR "\"iss\":\"https://id.example\",\"aud\":\"offpath\",\"sub\":\"alice\""

static int check(const char *head, const char *claims, struct token_user *user, const char **why)
{
    struct jose_key *k = secret_key();
    struct buf b = {0};
    sign(&b, head, claims);
    int err = token_check(&hs_rules, k, buf_str(&b), now_us, user, why);
    buf_fini(&b);
    jose_key_free(k);
    return err;
}

static void makes_a_user_of_a_good_token(void **state)
{
    struct token_user u;
    const char *why = NULL;
    char claims[200];
    (void)state;
    snprintf(claims, sizeof claims, "{%s,\"exp\":%d,\"scope\":\"a b\",\"scp\":[\"c\",\"d e\"]}",
             FOR, NOW + 1);
    assert_int_equal(check("{\"typ\":\"JWT\",\"alg\":\"HS256\",\"kid\":\"any\"}", claims, &u, &why),
                     0);
    assert_string_equal(u.sub, "alice");
    struct owner want = owner_of("https://id.example", "alice");
    assert_memory_equal(&u.owner, &want, sizeof want);
    assert_string_equal(u.scope, "a b c"); /* a list's member is one name */
    assert_true(token_has_scope(&u, "a"));
    assert_true(token_has_scope(&u, "c"));
    assert_false(token_has_scope(&u, "a b"));
    assert_false(token_has_scope(&u, ""));
    assert_false(token_has_scope(&u, "e"));
}

static void takes_the_clocks_to_be_a_minute_apart(void **state)
{
    static const struct {
        int exp, nbf, err;
    } rows[] = {{-59, -100, 0}, {-60, -100, ERR_SIGNED_OUT}, {600, 60, 0}, {600, 61, ERR_NOT_YET}};
    struct token_user u;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char claims[200];
        const char *why = "";
        snprintf(claims, sizeof claims, "{%s,\"exp\":%d,\"nbf\":%d}", FOR, NOW + rows[i].exp,
                 NOW + rows[i].nbf);
        assert_int_equal(check(HS, claims, &u, &why), rows[i].err);
        if (rows[i].err)
            assert_non_null(strstr(why, i == 1 ? "expired" : "not valid yet"));
    }
}

/* Many issuers write ids of 64 bits. */
static void minds_no_size_of_a_number_that_it_does_not_read(void **state)
{
    struct token_user u;
    const char *why = "";
    (void)state;
    assert_int_equal(
        check(HS, "{" FOR ",\"exp\":4102444800,\"uid\":18446744073709551615,\"x\":[-1e300]}", &u,
              &why),
        0);
    assert_string_equal(u.sub, "alice");
}

static void refuses_what_the_rules_do_not_say(void **state)
{
    static const struct {
        const char *head, *claims, *why;
    } rows[] = {
        {HS, "{" FOR "}", "no exp"},
        {HS, "{" FOR ",\"exp\":\"4102444800\"}", "exp is no time"},
        {HS, "{" FOR ",\"exp\":1e300}", "exp is no time"},
        {HS, "{" FOR ",\"exp\":9007199254740993}", "exp is no time"},
        {HS, "{" FOR ",\"exp\":18446744073709551616}", "exp is no time"},
        {HS, "{" FOR ",\"exp\":4102444800,\"nbf\":-18446744073709551617}", "nbf is no time"},
        {HS, "{" FOR ",\"exp\":4102444800,\"nbf\":\"0\"}", "nbf is no time"},
        {HS, "{" FOR ",\"exp\":1,\"exp\":4102444800}", "no JSON object"}, /* duplicate claim */
        {HS, "{" FOR ",\"sub\":\"bob\",\"exp\":4102444800}", "no JSON object"},
        {HS, "{\"aud\":\"offpath\",\"sub\":\"alice\",\"exp\":4102444800}", "another issuer"},
        {HS,
         "{\"iss\":\"https://id.example/\",\"aud\":\"offpath\",\"sub\":\"a\",\"exp\":4102444800}",
         "another issuer"},
        {HS, "{\"iss\":\"https://id.example\",\"sub\":\"alice\",\"exp\":4102444800}", "audience"},
        {HS, "{\"iss\":\"https://id.example\",\"aud\":[\"x\",7],\"sub\":\"a\",\"exp\":4102444800}",
         "audience"},
        {HS, "{\"iss\":\"https://id.example\",\"aud\":\"offpath\",\"exp\":4102444800}", "sub"},
        {HS, "{\"iss\":\"https://id.example\",\"aud\":\"offpath\",\"sub\":\"\",\"exp\":4102444800}",
         "sub"},
        {HS, "{\"iss\":\"https://id.example\",\"aud\":\"offpath\",\"sub\":7,\"exp\":4102444800}",
         "sub"},
        {HS,
         "{\"iss\":\"https://"
         "id.example\",\"aud\":\"offpath\",\"sub\":\"a\\nb\",\"exp\":4102444800}",
         "sub"},
        {HS, "[]", "no JSON object"},
        {HS, "", "three parts"},
        {"[]", "{" FOR ",\"exp\":4102444800}", "no JSON object"},
        {"{\"alg\":\"none\"}", "{" FOR ",\"exp\":4102444800}", "algorithm"},
        {"{\"alg\":\"None\"}", "{" FOR ",\"exp\":4102444800}", "algorithm"},
        {"{\"alg\":\"hs256\"}", "{" FOR ",\"exp\":4102444800}", "algorithm"},
        {"{\"alg\":\"HS384\"}", "{" FOR ",\"exp\":4102444800}", "algorithm"},
        {"{\"alg\":\"RS256\"}", "{" FOR ",\"exp\":4102444800}", "algorithm"},
        {"{}", "{" FOR ",\"exp\":4102444800}", "algorithm"},
        {"{\"alg\":\"none\",\"alg\":\"HS256\"}", "{" FOR ",\"exp\":4102444800}", "no JSON object"},
        {"{\"alg\":\"HS256\",\"crit\":[\"exp\"]}", "{" FOR ",\"exp\":4102444800}", "crit"},
        {"{\"alg\":\"HS256\",\"kid\":7}", "{" FOR ",\"exp\":4102444800}", "kid"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct token_user u = {.sub = "untouched"};
        const char *why = "";
        assert_int_equal(check(rows[i].head, rows[i].claims, &u, &why), ERR_SIGNED_OUT);
        if (!strstr(why, rows[i].why))
            fail_msg("row %zu: %s", i, why);
        assert_string_equal(u.sub, "untouched");
    }
}

static void refuses_what_is_no_token(void **state)
{
    static const char *const rows[] = {
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c.d",
        "eyJhbGciOiJIUzI1NiJ9.e30.",
        "x",
        "a=.b.c",
        "a+b.b.c",
        "é.b.c",
        " a.b.c",
        "eyJhbGciOiJIUzI1NiJ9..AAAA",
        "Zg.Zg.Zh", /* bits that belong to no byte */
        "A.A.A",
    };
    struct token_head head;
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const char *why = "";
        assert_int_equal(token_head(&hs_rules, rows[i], &head, &why), ERR_SIGNED_OUT);
        assert_non_null(strstr(why, "three parts"));
    }
}

static void bytes_of(const char *text, uint8_t *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned held = 0, bits = 0;
    for (; *text; text++) {
        held = held << 6 | (unsigned)(strchr(digits, *text) - digits);
        bits += 6;
        if (bits >= 8)
            *out++ = (uint8_t)(held >> (bits -= 8));
    }
}

/* The two numbers of ES256 with zeros before them are the same numbers, and libcjose takes them;
 * a short HMAC it compares with bytes that are not its own. */
static void takes_a_signature_of_its_length_only(void **state)
{
    static const struct token_rules rules = {NULL, NULL, 1u << JOSE_ES256};
    uint8_t numbers[66] = {0}, stretched[66] = {0};
    struct jose_key *k = public_key(a3_jwk), *hs = secret_key();
    struct token_user user;
    struct buf b = {0};
    const char *why = "";
    (void)state;
    assert_int_equal(token_check(&rules, k, a3, now_us, &user, &why), ERR_SIGNED_OUT);
    assert_null(strstr(why, "signature")); /* its time is over */
    bytes_of(strrchr(a3, '.') + 1, numbers);
    memcpy(stretched + 1, numbers, 32);
    memcpy(stretched + 34, numbers + 32, 32);
    buf_add(&b, a3, (size_t)(strrchr(a3, '.') + 1 - a3));
    encode(&b, stretched, sizeof stretched);
    assert_int_equal(token_check(&rules, k, buf_str(&b), now_us, &user, &why), ERR_SIGNED_OUT);
    assert_non_null(strstr(why, "signature"));
    sign(&b, HS, "{" FOR ",\"exp\":1}");
    char *mac = strrchr(buf_str(&b), '.') + 1;
    memcpy(mac, "AA", 3);
    assert_int_equal(token_check(&hs_rules, hs, b.data, now_us, &user, &why), ERR_SIGNED_OUT);
    assert_non_null(strstr(why, "signature"));
    buf_fini(&b);
    jose_key_free(k);
    jose_key_free(hs);
}

static void refuses_a_huge_token_unread(void **state)
{
    char *huge = malloc(TOKEN_MAX + 2);
    struct token_head head;
    const char *why = "";
    (void)state;
    memset(huge, 'A', TOKEN_MAX + 1);
    huge[TOKEN_MAX + 1] = 0;
    assert_int_equal(token_head(&hs_rules, huge, &head, &why), ERR_SIGNED_OUT);
    assert_non_null(strstr(why, "longer than 8192"));
    huge[TOKEN_MAX] = 0;
    assert_int_equal(token_head(&hs_rules, huge, &head, &why), ERR_SIGNED_OUT);
    assert_non_null(strstr(why, "three parts"));
    free(huge);
}

static void checks_tokens_of_public_keys(void **state)
{
    struct token_rules rules = {"https://id.example", "x", 1u << JOSE_RS256 | 1u << JOSE_ES256};
    struct jose_key *rs = public_key(RS_JWK), *es = public_key(ES_JWK);
    struct token_user u;
    struct token_head head;
    const char *why = "";
    (void)state;
    assert_int_equal(token_head(&rules, es_token, &head, &why), 0);
    assert_int_equal(head.alg, JOSE_ES256);
    assert_string_equal(head.kid, "k-es");
    assert_int_equal(token_check(&rules, rs, rs_token, now_us, &u, &why), 0);
    assert_int_equal(token_check(&rules, es, es_token, now_us, &u, &why), 0);
    assert_string_equal(u.sub, "alice");
    assert_int_equal(token_check(&rules, rs, es_token, now_us, &u, &why), ERR_SIGNED_OUT);
    rules.algorithms = 1u << JOSE_RS256;
    assert_int_equal(token_check(&rules, es, es_token, now_us, &u, &why), ERR_SIGNED_OUT);
    assert_non_null(strstr(why, "algorithm"));
    jose_key_free(rs);
    jose_key_free(es);
}

/* The classic: a token signed as HS256 with the public key's own bytes as the secret. */
static void mistakes_no_public_key_for_a_secret(void **state)
{
    struct token_rules rules = {NULL, NULL, 1u << JOSE_RS256 | 1u << JOSE_HS256}; /* even so */
    struct jose_key *public = public_key(RS_JWK), *confused = NULL;
    struct buf token = {0};
    struct token_user u;
    struct jwks *set = NULL;
    const char *why = "";
    (void)state;
    assert_int_equal(jose_key_secret(RS_N, strlen(RS_N), &confused), 0);
    struct token_wish w = {.sub = "mallory", .ttl_s = 60};
    assert_int_equal(token_make(&w, confused, now_us, &token), 0);
    assert_int_equal(token_check(&rules, public, buf_str(&token), now_us, &u, &why),
                     ERR_SIGNED_OUT);
    assert_int_equal(jwks_parse("{\"keys\":[" RS_JWK "]}", strlen("{\"keys\":[" RS_JWK "]}"), &set),
                     0);
    assert_null(jwks_find(set, JOSE_HS256, ""));
    assert_null(jwks_find(set, JOSE_HS256, "k-rs"));
    jwks_put(set);
    buf_fini(&token);
    jose_key_free(public);
    jose_key_free(confused);
}

static void makes_tokens_that_it_takes(void **state)
{
    struct jose_key *k = secret_key(), *public = public_key(RS_JWK);
    struct buf token = {0};
    struct token_user u;
    const char *why = "";
    struct token_wish w = {"https://id.example", "offpath", "Zoë \"z\"", "one two", 5};
    (void)state;
    assert_int_equal(token_make(&w, k, now_us, &token), 0);
    assert_int_equal(token_check(&hs_rules, k, buf_str(&token), now_us, &u, &why), 0);
    assert_string_equal(u.sub, "Zoë \"z\"");
    assert_true(token_has_scope(&u, "two"));
    assert_int_equal(token_check(&hs_rules, k, buf_str(&token), now_us + 65 * 1000000LL, &u, &why),
                     ERR_SIGNED_OUT);
    w.sub = "";
    assert_int_equal(token_make(&w, k, now_us, &token), ERR_INVALID);
    w.sub = "x";
    assert_int_equal(token_make(&w, public, now_us, &token), ERR_UNSUPPORTED);
    buf_fini(&token);
    jose_key_free(k);
    jose_key_free(public);
}

static void grants_no_scope_that_does_not_fit(void **state)
{
    struct token_user u;
    struct buf claims = {0};
    const char *why = "";
    (void)state;
    buf_text(&claims, "{" FOR ",\"exp\":4102444800,\"scope\":\"");
    for (int i = 0; i < 1100; i++)
        buf_char(&claims, 'x');
    buf_text(&claims, " admin\",\"scp\":\"read\"}");
    assert_int_equal(check(HS, buf_str(&claims), &u, &why), 0);
    assert_string_equal(u.scope, "read");
    buf_fini(&claims);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(verifies_the_published_examples),
        cmocka_unit_test(verifies_in_many_threads_with_one_key),
        cmocka_unit_test(takes_no_key_that_is_weak_or_of_another_kind),
        cmocka_unit_test(refuses_what_is_not_base64url_before_the_library_reads_it),
        cmocka_unit_test(finds_the_key_by_kid_and_algorithm),
        cmocka_unit_test(guesses_no_key_where_two_would_fit),
        cmocka_unit_test(leaves_out_keys_that_are_not_for_verifying),
        cmocka_unit_test(bounds_a_set),
        cmocka_unit_test(makes_a_user_of_a_good_token),
        cmocka_unit_test(takes_the_clocks_to_be_a_minute_apart),
        cmocka_unit_test(minds_no_size_of_a_number_that_it_does_not_read),
        cmocka_unit_test(refuses_what_the_rules_do_not_say),
        cmocka_unit_test(refuses_what_is_no_token),
        cmocka_unit_test(takes_a_signature_of_its_length_only),
        cmocka_unit_test(refuses_a_huge_token_unread),
        cmocka_unit_test(checks_tokens_of_public_keys),
        cmocka_unit_test(mistakes_no_public_key_for_a_secret),
        cmocka_unit_test(makes_tokens_that_it_takes),
        cmocka_unit_test(grants_no_scope_that_does_not_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
