/* Small texts that others write: what a query, a cookie, a Prefer's or Retry-After's value, a date
 * and an address in the settings may be. The first byte chooses the reader; each either refuses the
 * text or gives what its header promises, and what can be written again reads as the same. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/cache_url.h"
#include "common/clock.h"
#include "common/config.h"
#include "common/eta.h"
#include "common/store.h"
#include "gateway/auth_issuers.h"
#include "gateway/cookie.h"
#include "gateway/cors.h"
#include "gateway/proxies.h"
#include "worker/retry.h"

static const int64_t NOW_US = 1800000000LL * 1000000;

static void need(bool holds)
{
    if (!holds)
        abort();
}

static void query(char *text)
{
    char out[64];
    const char *found = http_query(text, "state");
    int is = http_query_text(text, "state", out, sizeof out);
    need(is == 0 || is == 1 || is == ERR_INVALID);
    need(is != 1 || (found && *out && strlen(out) < sizeof out));
}

static void cookie(char *text)
{
    char token[COOKIE_TOKEN];
    const char *why = NULL;
    struct http_header headers[] = {{"Cookie", text}, {"Origin", text}};
    struct http_request q = {
        .method = "POST", .public_url = "https://jobs.example", .headers = headers, .headers_n = 2};
    if (cookie_read(&q, token))
        need(strlen(token) < sizeof token && strchr(token, ';') == NULL);
    int err = cookie_guard(&q, &why);
    need(err == 0 ? strcasecmp(text, q.public_url) == 0 : err == ERR_NOT_ALLOWED && why);
}

static void retry_after(char *text)
{
    need(retry_after_parse(text, NOW_US) >= -1);
}

static void date(char *text)
{
    int64_t at, again;
    char out[CLOCK_TEXT];
    if (clock_parse(text, strlen(text), &at) != 0)
        return;
    clock_format(at, out);
    need(clock_parse(out, strlen(out), &again) == 0 && again == at);
}

static void eta(char *text)
{
    struct eta e, again;
    char out[ETA_TEXT];
    if (eta_parse(text, &e) != 0)
        return;
    eta_print(&e, out);
    need(eta_parse(out, &again) == 0 && again.p50_ms == e.p50_ms && again.p90_ms == e.p90_ms);
}

/* Digits and a unit; nothing negative, nothing that ran over. */
static void sizes(char *text)
{
    int64_t ms = -1;
    size_t bytes, digits = strspn(text, "0123456789");
    if (config_parse_duration(text, &ms) == 0)
        need(ms >= 0 && digits > 0 && text[digits]);
    if (config_parse_size(text, &bytes) == 0)
        need(digits > 0 && text[digits] && bytes >= strtoull(text, NULL, 10));
}

static void addresses(char *text)
{
    struct store_url store;
    struct cache_address cache;
    const char *what = NULL;
    char why[STORE_WHY] = "";
    int err = store_url_parse(text, &store, why);
    need(err == 0 ? store.host[0] || store.socket[0] : err == ERR_INVALID && *why);
    need(cache_url_parse(text, &cache, &what) == 0 || what);
}

static void lists(char *text)
{
    struct proxies proxies;
    struct cors cors;
    char of_proxies[PROXIES_WHY] = "", of_cors[CORS_WHY] = "";
    need(proxies_read(text, &proxies, of_proxies) == 0 || *of_proxies);
    need(cors_read(text, &cors, of_cors) == 0 ? cors.n <= CORS_MAX : *of_cors);
}

static void issuers(char *text)
{
    struct auth_source sources[AUTH_ISSUERS_MAX];
    size_t n = 0;
    char why[AUTH_ISSUERS_WHY] = "";
    int err = auth_issuers_parse(text, sources, &n, why);
    need(err == 0 ? n > 0 && n <= AUTH_ISSUERS_MAX : err == ERR_INVALID && *why);
    for (size_t i = 0; err == 0 && i < n; i++)
        need(sources[i].issuer && (!sources[i].jwks || !sources[i].hs256_file));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static void (*const readers[])(char *) = {query, cookie,    retry_after, date,   eta,
                                              sizes, addresses, lists,       issuers};
    if (size == 0)
        return 0;
    char *text = malloc(size);
    if (!text)
        return 0;
    memcpy(text, data + 1, size - 1);
    text[size - 1] = 0;
    readers[data[0] % (sizeof readers / sizeof *readers)](text);
    free(text);
    return 0;
}
