#include "gateway/keyring.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/clock.h"
#include "common/http_address.h"
#include "common/log.h"

enum {
    FETCH_MS = 10000,
    AGE_MIN_MS = 5 * 60 * 1000,
    AGE_MAX_MS = 24 * 3600 * 1000,
    STALE_MS = 24 * 3600 * 1000, /* behind its age */
    ASK_EVERY_MS = 30 * 1000,
    RETRY_MS = 30 * 1000,
    FIRST_RETRY_MS = 2000, /* while there are no keys at all */
    WAITERS_MAX = 16       /* made-up names of keys must not hold all threads */
};

struct keyring {
    struct keyring_settings s;
    bool is_url;
    struct loop_timer *timer; /* the loop's, as is `exchange` */
    struct http_exchange *exchange;
    bool failing;
    size_t weak; /* keys left out at the last reading */

    pthread_mutex_t lock; /* all below */
    pthread_cond_t read_once;
    struct jwks *set; /* NULL: none yet */
    int64_t stale_ms; /* when `set` no longer counts */
    bool asked;       /* a reading is on its way */
    bool away;        /* the last one failed: a key may be missing here only */
    unsigned long readings;
    unsigned waiters;
    int64_t next_ask_ms;
};

int64_t keyring_max_age_ms(const char *text)
{
    for (const char *p = text; p && *p; p += strcspn(p, ",")) {
        p += strspn(p, ", \t");
        if (strncasecmp(p, "max-age=", 8) != 0)
            continue;
        size_t digits = strspn(p + 8, "0123456789");
        if (digits > 9)
            return AGE_MAX_MS;
        int64_t ms = digits ? strtoll(p + 8, NULL, 10) * 1000 : 0;
        return ms < AGE_MIN_MS ? AGE_MIN_MS : ms > AGE_MAX_MS ? AGE_MAX_MS : ms;
    }
    return AGE_MIN_MS;
}

/* ---- reading, in the loop's thread */

/* With a set, or NULL after a failure. */
static void end_reading(struct keyring *k, struct jwks *set, int64_t age_ms)
{
    struct jwks *old = NULL;
    pthread_mutex_lock(&k->lock);
    if (set) {
        old = k->set;
        k->set = set;
        k->stale_ms = loop_now_ms(k->s.loop) + age_ms + STALE_MS;
    }
    bool some = k->set != NULL;
    k->asked = false;
    k->away = !set;
    k->readings++;
    pthread_cond_broadcast(&k->read_once);
    pthread_mutex_unlock(&k->lock);
    jwks_put(old);
    loop_timer_set(k->s.loop, k->timer, set ? age_ms : some ? RETRY_MS : FIRST_RETRY_MS, 0);
}

/* Told when it changes: tokens that such a key signed are refused. */
static void note_weak(struct keyring *k, const struct jwks *set)
{
    if (jwks_weak(set) > k->weak)
        log_warn("jwks-weak", "source", k->s.source, "left-out",
                 log_number((long long)jwks_weak(set)), "means",
                 "RSA keys need 2048 to 8192 bits; tokens of these are refused");
    k->weak = jwks_weak(set);
}

static void take_text(struct keyring *k, const char *text, size_t len, int64_t age_ms)
{
    struct jwks *set = NULL;
    int err = jwks_parse(text, len, &set);
    if (err)
        log_warn("jwks-refused", "source", k->s.source, "why",
                 err == ERR_TOO_LARGE ? "more than 256 KB or 64 keys"
                 : err == ERR_REFUSED ? "RSA keys need 2048 to 8192 bits"
                                      : "no JWK set with an RSA (2048 bits) or P-256 key");
    else if (k->failing)
        log_info("jwks-read", "source", k->s.source);
    k->failing = err != 0;
    if (set)
        note_weak(k, set);
    end_reading(k, set, age_ms);
}

static void give_up(struct keyring *k, const char *why)
{
    if (!k->failing) /* once, until it comes back */
        log_warn("jwks-away", "source", k->s.source, "why", why, "means",
                 k->set ? "the keys read last count on for a day" : "no token can be checked");
    k->failing = true;
    end_reading(k, NULL, 0);
}

static void fetched(void *arg, struct http_response *r)
{
    struct keyring *k = arg;
    char why[40];
    k->exchange = NULL;
    if (r->code != CALL_OK) {
        give_up(k, r->why);
    } else if (r->status != 200) {
        snprintf(why, sizeof why, "it answered %d", r->status);
        give_up(k, why);
    } else {
        take_text(k, r->body, r->body_len,
                  keyring_max_age_ms(http_response_header(r, "cache-control")));
    }
}

static void fetch(struct keyring *k)
{
    static const struct header accept = {"Accept", "application/json"};
    struct http_request q = {.method = "GET",
                             .url = k->s.source,
                             .headers = &accept,
                             .headers_n = 1,
                             .timeout_ms = FETCH_MS,
                             .response_max = JWKS_SIZE_MAX,
                             .allow_private = true}; /* the operator's own word */
    if (!k->exchange && http_start(k->s.http, &q, fetched, k, &k->exchange) != 0)
        give_up(k, "the URL is not valid, or no memory");
}

static int read_file(const char *path, struct buf *out)
{
    char part[4096];
    size_t n;
    FILE *f = fopen(path, "rbe");
    if (!f)
        return ERR_NOT_FOUND;
    buf_init(out, JWKS_SIZE_MAX);
    while ((n = fread(part, 1, sizeof part, f)) > 0)
        buf_add(out, part, n);
    bool broken = ferror(f);
    fclose(f);
    return broken ? ERR_NOT_FOUND : buf_ok(out);
}

static void read_again(void *arg)
{
    struct keyring *k = arg;
    struct buf text = {0};
    if (k->is_url) {
        fetch(k);
        return;
    }
    int err = read_file(k->s.source, &text);
    if (err)
        give_up(k, err == ERR_NOT_FOUND ? "it cannot be read" : "more than 256 KB");
    else
        take_text(k, text.data ? text.data : "", text.len, AGE_MIN_MS);
    buf_fini(&text);
}

/* ---- life */

static int read_set(const char *path, struct jwks **out)
{
    struct buf text = {0};
    int err = read_file(path, &text);
    if (!err)
        err = jwks_parse(text.data ? text.data : "", text.len, out);
    buf_fini(&text);
    return err;
}

static bool is_url(const char *source)
{
    return strncmp(source, "http://", 7) == 0 || strncmp(source, "https://", 8) == 0;
}

int keyring_check(const char *source, unsigned *algorithms)
{
    struct jwks *set = NULL;
    const char *host = strstr(source, "://");
    if (is_url(source)) {
        bool has_user = memchr(host + 3, '@', strcspn(host + 3, "/?#")) != NULL;
        *algorithms = ~0u;
        return has_user || !http_url_is_valid(source) ? ERR_BAD_REQUEST : 0;
    }
    int err = read_set(source, &set);
    if (!err)
        *algorithms = jwks_algorithms(set);
    jwks_put(set);
    return err;
}

static int read_first(struct keyring *k)
{
    int err = read_set(k->s.source, &k->set);
    if (err)
        return err;
    note_weak(k, k->set);
    k->stale_ms = loop_now_ms(k->s.loop) + AGE_MIN_MS + STALE_MS;
    loop_timer_set(k->s.loop, k->timer, AGE_MIN_MS, 0);
    return 0;
}

static int open_source(struct keyring *k)
{
    k->is_url = is_url(k->s.source);
    k->timer = loop_timer_new(k->s.loop, read_again, k);
    if (!k->timer)
        return ERR_NOMEM;
    if (!k->is_url)
        return read_first(k);
    k->asked = true;
    loop_timer_set(k->s.loop, k->timer, 0, 0);
    return 0;
}

int keyring_open(const struct keyring_settings *s, struct keyring **out)
{
    struct keyring *k = calloc(1, sizeof *k);
    if (!k) {
        jwks_put(s->fixed);
        return ERR_NOMEM;
    }
    k->s = *s;
    k->set = s->fixed;
    k->stale_ms = INT64_MAX;
    pthread_mutex_init(&k->lock, NULL);
    clock_cond_init(&k->read_once);
    int err = k->set ? 0 : open_source(k);
    if (err) {
        keyring_close(k);
        return err;
    }
    *out = k;
    return 0;
}

void keyring_close(struct keyring *k)
{
    if (!k)
        return;
    if (k->exchange)
        http_cancel(k->s.http, k->exchange);
    if (k->timer)
        loop_timer_free(k->s.loop, k->timer);
    jwks_put(k->set);
    pthread_cond_destroy(&k->read_once);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* ---- finding, in any thread, with the lock */

/* Until one more reading has ended, well or badly. */
static void wait_for_reading(struct keyring *k, int wait_ms)
{
    struct timespec until = clock_until(wait_ms);
    unsigned long before = k->readings;
    k->waiters++;
    while (k->asked && k->readings == before)
        if (pthread_cond_timedwait(&k->read_once, &k->lock, &until) != 0)
            break;
    k->waiters--;
}

static void ask(struct keyring *k)
{
    int64_t now = loop_now_ms(k->s.loop);
    if (k->asked || now < k->next_ask_ms || loop_post(k->s.loop, read_again, k) != 0)
        return;
    k->asked = true;
    k->next_ask_ms = now + ASK_EVERY_MS;
}

static struct jwks *counting(const struct keyring *k)
{
    return k->set && (k->s.fixed || loop_now_ms(k->s.loop) < k->stale_ms) ? k->set : NULL;
}

static const struct jose_key *look(const struct keyring *k, const struct token_head *head)
{
    struct jwks *set = counting(k);
    return set ? jwks_find(set, head->alg, head->kid) : NULL;
}

int keyring_find(struct keyring *k, const struct token_head *head, struct jwks **set,
                 const struct jose_key **key)
{
    pthread_mutex_lock(&k->lock);
    const struct jose_key *found = look(k, head);
    if (!found && !k->s.fixed) {
        ask(k);
        if (k->asked && k->waiters < WAITERS_MAX)
            wait_for_reading(k, k->s.wait_ms);
        found = look(k, head);
    }
    bool known = counting(k) && !k->asked && !k->away; /* what keys there are */
    int err = found ? 0 : known ? ERR_NOT_FOUND : ERR_UNAVAILABLE;
    if (found) {
        *set = jwks_get(k->set);
        *key = found;
    }
    pthread_mutex_unlock(&k->lock);
    return err;
}

int keyring_await(struct keyring *k, int wait_ms)
{
    pthread_mutex_lock(&k->lock);
    if (!k->set)
        wait_for_reading(k, wait_ms);
    int err = k->set ? 0 : ERR_UNAVAILABLE;
    pthread_mutex_unlock(&k->lock);
    return err;
}
