#include "gateway/auth_setup.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/http_client.h"
#include "common/log.h"
#include "gateway/auth_issuers.h"

enum { CONNECTIONS = 4, FIRST_MS = 5000, UNKNOWN_WAIT_MS = 3000, SECRET_MAX = 4096 };

static const int64_t TTL_MAX_MS = 30LL * 86400 * 1000;

struct auth_setup {
    char *text; /* of jwt-issuers, which all below may point into */
    struct auth_source sources[AUTH_ISSUERS_MAX];
    struct auth_issuer issuers[AUTH_ISSUERS_MAX];
    size_t n;
    struct loop *loop; /* of key sets; its thread */
    struct http_client *http;
    pthread_t thread;
    bool runs;
};

static int complain(char why[AUTH_SETUP_WHY], const char *format, const char *value)
{
    char form[AUTH_SETUP_WHY];
    snprintf(form, sizeof form, "%s", format);
    char *at = strstr(form, "%s");
    if (at) {
        *at = 0;
        snprintf(why, AUTH_SETUP_WHY, "%s%.200s%s", form, value, at + 2);
    } else {
        snprintf(why, AUTH_SETUP_WHY, "%s", form);
    }
    return EXIT_USAGE;
}

static bool set(const char *text)
{
    return text && text[0];
}

/* ---- the shared secret */

static int read_secret(const char *path, struct jwks **out, char why[AUTH_SETUP_WHY])
{
    char raw[SECRET_MAX + 1];
    FILE *f = fopen(path, "rbe");
    size_t n = f ? fread(raw, 1, sizeof raw, f) : 0;
    bool broken = !f || ferror(f);
    if (f)
        fclose(f);
    if (broken)
        return complain(
            why, "--jwt-hs256-file %s cannot be read; name a file that this user may read", path);
    if (n > SECRET_MAX)
        return complain(why, "--jwt-hs256-file %s holds more than 4096 bytes; is it the secret?",
                        path);
    while (n > 0 && (raw[n - 1] == '\n' || raw[n - 1] == '\r'))
        n--;
    int err = jwks_of_secret(raw, n, out);
    explicit_bzero(raw, sizeof raw);
    if (err == ERR_INVALID)
        return complain(why,
                        "--jwt-hs256-file %s holds less than 32 bytes; make it with `openssl rand "
                        "-hex 32 > FILE`, and give it to whoever makes the tokens",
                        path);
    return err ? EXIT_BUG : EXIT_GOOD;
}

/* ---- algorithms */

static int read_algorithms(const char *list, bool secret, unsigned *out, char why[AUTH_SETUP_WHY])
{
    unsigned bits = 0;
    for (const char *p = list; *p;) {
        char name[16];
        size_t n = strcspn(p, ", ");
        snprintf(name, sizeof name, "%.*s", (int)n, p);
        enum jose_alg a = jose_alg_parse(name);
        if (n && a == JOSE_ALGS)
            return complain(why, "--jwt-algorithms is \"%s\"; write HS256, RS256 or ES256", list);
        if (n)
            bits |= 1u << a;
        p += n + (p[n] != 0);
    }
    if (secret ? bits != 1u << JOSE_HS256 : bits & 1u << JOSE_HS256 || !bits)
        return complain(why,
                        secret ? "--jwt-algorithms is \"%s\"; with --jwt-hs256-file only HS256 fits"
                               : "--jwt-algorithms is \"%s\"; with --jwks write RS256, ES256 or "
                                 "both: HS256 needs a secret, and a key set is public",
                        list);
    *out = bits;
    return EXIT_GOOD;
}

static int read_rules(const struct auth_source *s, struct token_rules *out,
                      char why[AUTH_SETUP_WHY])
{
    bool secret = set(s->hs256_file);
    const char *fallback = secret ? "HS256" : "RS256,ES256";
    if (secret && set(s->jwks))
        return complain(why, "--jwt-hs256-file and --jwks are both set; tokens come from one", "");
    if (set(s->jwks) && (!set(s->issuer) || !set(s->audience)))
        log_warn("jwt-open", "source", s->jwks, "means",
                 "a token that these keys signed for another service counts here, too; say for "
                 "which issuer and audience tokens are");
    *out = (struct token_rules){.issuer = s->issuer, .audience = s->audience};
    return read_algorithms(set(s->algorithms) ? s->algorithms : fallback, secret, &out->algorithms,
                           why);
}

/* ---- keys from a file or URL */

static void *run(void *arg)
{
    loop_run(((struct auth_setup *)arg)->loop);
    return NULL;
}

static int say_source(int err, const char *source, char why[AUTH_SETUP_WHY])
{
    if (err == ERR_NOT_FOUND)
        return complain(why, "--jwks %s cannot be read; name a file or an http(s) URL", source);
    if (err == ERR_TOO_LARGE)
        return complain(why, "--jwks %s holds more than 256 KB or 64 keys", source);
    if (err == ERR_INVALID)
        return complain(why,
                        "--jwks %s is no JWK set with an RSA (2048 bits) or P-256 key; take the "
                        "issuer's jwks_uri (a PEM file is none)",
                        source);
    if (err == ERR_REFUSED)
        return complain(why,
                        "--jwks %s holds RSA keys of less than 2048 bits, or of more than 8192; "
                        "have the issuer sign with a key of 2048 bits",
                        source);
    if (err == ERR_BAD_REQUEST) /* not repeated: it may hold a password */
        return complain(why,
                        "--jwks is no URL that can be asked; write https://host/path, without "
                        "user and password",
                        "");
    return EXIT_BUG;
}

/* What a server need not be asked for. */
static int check_source(const char *source, unsigned algorithms, char why[AUTH_SETUP_WHY])
{
    unsigned known = 0;
    int err = keyring_check(source, &known);
    if (err)
        return say_source(err, source, why);
    if (!(known & algorithms))
        return complain(why, "--jwks %s holds no key for --jwt-algorithms; name one that it is for",
                        source);
    return EXIT_GOOD;
}

/* ---- the settings */

static int read_issuers(const struct options *o, struct auth_setup *s, char why[AUTH_SETUP_WHY])
{
    char wrong[AUTH_ISSUERS_WHY];
    if (set(o->jwks) || set(o->jwt_hs256_file) || set(o->jwt_issuer) || set(o->jwt_audience) ||
        set(o->jwt_algorithms))
        return complain(why,
                        "--jwt-issuers says all of tokens; unset --jwks, --jwt-hs256-file, "
                        "--jwt-issuer, --jwt-audience and --jwt-algorithms",
                        "");
    s->text = strdup(o->jwt_issuers);
    if (!s->text)
        return EXIT_BUG;
    if (auth_issuers_parse(s->text, s->sources, &s->n, wrong) != 0)
        return complain(why, "--jwt-issuers: %s", wrong);
    return EXIT_GOOD;
}

static int read_sources(const struct options *o, struct auth_setup *s, char why[AUTH_SETUP_WHY])
{
    bool some = set(o->jwt_issuer) || set(o->jwt_audience) || set(o->jwt_algorithms);
    if (set(o->jwt_issuers))
        return read_issuers(o, s, why);
    if (!set(o->jwt_hs256_file) && !set(o->jwks))
        return some ? complain(why,
                               "--jwt-issuer, -audience and -algorithms need --jwks or "
                               "--jwt-hs256-file",
                               "")
                    : EXIT_GOOD;
    s->sources[s->n++] = (struct auth_source){o->jwt_issuer, o->jwt_audience, o->jwt_algorithms,
                                              o->jwks, o->jwt_hs256_file};
    return EXIT_GOOD;
}

/* All that can be said without asking anybody. */
static int read_settings(const struct options *o, struct auth_setup *s, char why[AUTH_SETUP_WHY])
{
    int rc = read_sources(o, s, why);
    for (size_t i = 0; i < s->n && !rc; i++) {
        struct token_rules *rules = &s->issuers[i].rules;
        rc = read_rules(&s->sources[i], rules, why);
        if (!rc && !set(s->sources[i].hs256_file))
            rc = check_source(s->sources[i].jwks, rules->algorithms, why);
    }
    return rc;
}

int auth_check(const struct options *o, char why[AUTH_SETUP_WHY])
{
    struct auth_setup *s = calloc(1, sizeof *s);
    struct jwks *secret = NULL;
    int rc = s ? read_settings(o, s, why) : EXIT_BUG;
    if (!rc && set(o->jwt_hs256_file))
        rc = read_secret(o->jwt_hs256_file, &secret, why);
    jwks_put(secret);
    auth_teardown(s);
    return rc;
}

/* ---- life */

static int open_secret(struct auth_setup *s, char why[AUTH_SETUP_WHY])
{
    struct jwks *fixed = NULL;
    int rc = read_secret(s->sources[0].hs256_file, &fixed, why);
    if (!rc && keyring_open(&(struct keyring_settings){.fixed = fixed}, &s->issuers[0].keys) != 0)
        rc = EXIT_BUG;
    return rc;
}

static int open_sets(struct auth_setup *s, char why[AUTH_SETUP_WHY])
{
    int err = loop_uv_open(&s->loop);
    if (!err)
        err = http_client_curl_open(s->loop, CONNECTIONS, HTTP_REST_MS, NULL, &s->http);
    for (size_t i = 0; i < s->n; i++) {
        const struct keyring_settings k = {.source = s->sources[i].jwks,
                                           .loop = s->loop,
                                           .http = s->http,
                                           .wait_ms = UNKNOWN_WAIT_MS};
        if (!err)
            err = keyring_open(&k, &s->issuers[i].keys);
        if (err)
            return say_source(err, k.source, why);
    }
    if (pthread_create(&s->thread, NULL, run, s) != 0)
        return EXIT_BUG;
    s->runs = true;
    for (size_t i = 0; i < s->n; i++)
        if (keyring_await(s->issuers[i].keys, FIRST_MS) != 0)
            log_warn("jwks-missing", "source", s->sources[i].jwks, "means",
                     "requests with its tokens are answered 503 until it can be read");
    return EXIT_GOOD;
}

int auth_setup(const struct options *o, struct auth *out, struct auth_setup **setup,
               char why[AUTH_SETUP_WHY])
{
    struct auth_setup *s = calloc(1, sizeof *s);
    *setup = NULL;
    int rc = s ? read_settings(o, s, why) : EXIT_BUG;
    if (!rc && s->n)
        rc = set(s->sources[0].hs256_file) ? open_secret(s, why) : open_sets(s, why);
    if (rc) {
        auth_teardown(s);
        return rc;
    }
    *out = (struct auth){s->issuers, s->n, clock_real()};
    *setup = s;
    return EXIT_GOOD;
}

void auth_teardown(struct auth_setup *s)
{
    if (!s)
        return;
    if (s->runs) {
        loop_stop(s->loop);
        pthread_join(s->thread, NULL);
    }
    for (size_t i = 0; i < s->n; i++)
        keyring_close(s->issuers[i].keys);
    http_client_close(s->http);
    loop_close(s->loop);
    free(s->text);
    free(s);
}

/* ---- token */

static int print_token(const struct token_wish *w, const char *path, char why[AUTH_SETUP_WHY])
{
    struct jwks *keys = NULL;
    struct buf token = {0};
    int rc = read_secret(path, &keys, why);
    if (rc)
        return rc;
    const struct jose_key *key = jwks_find(keys, JOSE_HS256, "");
    int err = token_make(w, key, clock_wall_us(clock_real()), &token);
    jwks_put(keys);
    if (err == ERR_INVALID)
        rc = complain(why, "--user is \"%s\"; write a name of 1 to 255 bytes", w->sub);
    else if (err)
        rc = EXIT_BUG;
    else
        puts(buf_str(&token));
    buf_fini(&token);
    return rc;
}

int auth_print_token(const struct config *c, char why[AUTH_SETUP_WHY])
{
    const char *path = config_text(c, "jwt-hs256-file");
    int64_t ttl_ms = config_ms(c, "ttl");
    struct token_wish w = {config_text(c, "jwt-issuer"), config_text(c, "jwt-audience"),
                           config_text(c, "user"), config_text(c, "scope"), ttl_ms / 1000};
    if (!set(path))
        return complain(why, "`token` signs with the local key; set --jwt-hs256-file", "");
    if (!set(w.sub))
        return complain(why, "say for whom: --user NAME", "");
    if (w.ttl_s < 1 || ttl_ms > TTL_MAX_MS)
        return complain(why, "--ttl is out of range; write 1s to 30d", "");
    return print_token(&w, path, why);
}
