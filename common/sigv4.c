#include "common/sigv4.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "common/digest.h"
#include "common/hex.h"
#include "common/sigv4_canon.h"

enum { CANONICAL_MAX = 256 << 10, AUTHORIZATION_MAX = 8 << 10, HOST_MAX = 300, SCOPE_MAX = 300 };

static char *const name_date = (char[]){"x-amz-date"};
static char *const name_hash = (char[]){"x-amz-content-sha256"};
static char *const name_token = (char[]){"x-amz-security-token"};
static char *const name_authorization = (char[]){"Authorization"};
static char *const name_host = (char[]){"host"};

bool sigv4_owns(const char *name)
{
    return strcasecmp(name, name_date) == 0 || strcasecmp(name, name_token) == 0 ||
           strcasecmp(name, name_authorization) == 0;
}

/* Proxies and meshes write these anew. */
static bool is_fleeting(const char *name)
{
    static const char *const names[] = {"traceparent",     "tracestate", "user-agent",
                                        "accept-encoding", "connection", "expect",
                                        "x-amzn-trace-id"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcasecmp(names[i], name) == 0)
            return true;
    return false;
}

static void hash_text(const void *bytes, size_t len, char out[65])
{
    uint8_t h[DIGEST_SIZE];
    digest_sha256(&(struct digest_part){bytes, len}, 1, h);
    hex_print(h, sizeof h, out);
}

static void derive(const void *key, size_t len, const char *text, uint8_t out[DIGEST_SIZE])
{
    uint8_t h[DIGEST_SIZE];
    digest_hmac(key, len, &(struct digest_part){text, strlen(text)}, 1, h);
    memcpy(out, h, sizeof h);
}

static int signing_key(const struct sigv4_keys *k, const char day[9], uint8_t out[DIGEST_SIZE])
{
    struct buf first;
    buf_init(&first, 4096);
    buf_printf(&first, "AWS4%s", k->secret_key);
    int err = buf_ok(&first);
    if (!err) {
        derive(first.data, first.len, day, out);
        derive(out, DIGEST_SIZE, k->region, out);
        derive(out, DIGEST_SIZE, k->service, out);
        derive(out, DIGEST_SIZE, "aws4_request", out);
        explicit_bzero(first.data, first.len);
    }
    buf_fini(&first);
    return err;
}

/* What is sent besides: date, token, for S3 the body's hash. */
static const char *marks(const struct sigv4_keys *k, const struct sigv4_request *r, bool s3,
                         int64_t wall_us, struct sigv4 *out)
{
    time_t now = (time_t)(wall_us / 1000000);
    struct tm tm;
    const char *hash = NULL;
    strftime(out->date, sizeof out->date, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
    out->headers[out->headers_n++] = (struct header){name_date, out->date};
    if (k->session_token && k->session_token[0])
        out->headers[out->headers_n++] = (struct header){name_token, k->session_token};
    for (size_t i = 0; i < r->headers_n; i++)
        if (strcasecmp(r->headers[i].name, name_hash) == 0)
            hash = r->headers[i].value;
    if (hash)
        return hash;
    hash_text(r->body, r->body_len, out->hash);
    if (s3)
        out->headers[out->headers_n++] = (struct header){name_hash, out->hash};
    return out->hash;
}

/* The request as both sides see it, hashed; the names of its headers into `names`. */
static int digest_request(const struct sigv4_request *r, const struct sigv4 *s, bool s3,
                          const char *payload, struct buf *names, char out[65])
{
    struct header list[SIGV4_HEADERS_MAX + SIGV4_ADDS + 1];
    struct sigv4_url u;
    char host[HOST_MAX];
    size_t n = 0;
    if (!sigv4_url_split(r->url, &u) || u.host_len >= sizeof host ||
        r->headers_n > SIGV4_HEADERS_MAX)
        return ERR_INVALID;
    snprintf(host, sizeof host, "%.*s", (int)u.host_len, u.host);
    list[n++] = (struct header){name_host, host};
    for (size_t i = 0; i < s->headers_n; i++)
        list[n++] = s->headers[i];
    for (size_t i = 0; i < r->headers_n; i++)
        if (!is_fleeting(r->headers[i].name) && !sigv4_owns(r->headers[i].name))
            list[n++] = r->headers[i];
    struct buf b;
    buf_init(&b, CANONICAL_MAX);
    buf_printf(&b, "%s\n", r->method);
    sigv4_path(u.path, u.path_len, s3, &b);
    buf_char(&b, '\n');
    int err = sigv4_query(u.query, u.query_len, &b);
    buf_char(&b, '\n');
    sigv4_headers(list, n, &b);
    sigv4_names(list, n, names);
    buf_printf(&b, "\n%s\n%s", buf_str(names), payload);
    if (!err)
        err = buf_ok(&b);
    if (!err)
        hash_text(b.data, b.len, out);
    buf_fini(&b);
    return err;
}

static int authorize(const struct sigv4_keys *k, const char *request, const char *names,
                     struct sigv4 *s)
{
    char scope[SCOPE_MAX], day[9], text[SCOPE_MAX + 128], signature[65];
    uint8_t key[DIGEST_SIZE];
    snprintf(day, sizeof day, "%.8s", s->date);
    int len = snprintf(scope, sizeof scope, "%s/%s/%s/aws4_request", day, k->region, k->service);
    if (len < 0 || (size_t)len >= sizeof scope)
        return ERR_TOO_LARGE;
    snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", s->date, scope, request);
    int err = signing_key(k, day, key);
    if (err)
        return err;
    derive(key, sizeof key, text, key);
    hex_print(key, sizeof key, signature);
    buf_printf(&s->authorization,
               "AWS4-HMAC-SHA256 Credential=%s/%s, SignedHeaders=%s, Signature=%s", k->access_key,
               scope, names, signature);
    err = buf_ok(&s->authorization);
    if (!err)
        s->headers[s->headers_n++] = (struct header){name_authorization, s->authorization.data};
    return err;
}

int sigv4_sign(const struct sigv4_keys *keys, const struct sigv4_request *r, int64_t wall_us,
               struct sigv4 *out)
{
    bool s3 = strncasecmp(keys->service, "s3", 2) == 0;
    char request[65];
    struct buf names;
    *out = (struct sigv4){0};
    buf_init(&out->authorization, AUTHORIZATION_MAX);
    buf_init(&names, AUTHORIZATION_MAX);
    const char *payload = marks(keys, r, s3, wall_us, out);
    int err = digest_request(r, out, s3, payload, &names, request);
    if (!err)
        err = authorize(keys, request, buf_str(&names), out);
    buf_fini(&names);
    return err;
}

void sigv4_fini(struct sigv4 *s)
{
    buf_fini(&s->authorization);
}
