#include "gateway/limits.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cache_scripts.h"
#include "common/digest.h"
#include "gateway/limits_own.h"

static_assert(LIMITS_MAX <= 8, "as the loader takes");

struct limits {
    struct cache *cache;
    const struct clock *clock;
    unsigned gateways;
    struct limits_own *own;
};

static const char *const pers[] = {"user", "key", "flow"};

int limits_open(const struct limits_settings *s, struct limits **out)
{
    struct limits *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    *l = (struct limits){s->cache, s->clock, s->gateways ? s->gateways : 1, NULL};
    if (limits_own_open(s->own_max, &l->own) != 0) {
        free(l);
        return ERR_NOMEM;
    }
    *out = l;
    return 0;
}

void limits_close(struct limits *l)
{
    if (!l)
        return;
    limits_own_close(l->own);
    free(l);
}

/* ---- names */

void limits_address(const char *address, char out[LIMITS_ADDRESS])
{
    struct in6_addr a;
    snprintf(out, LIMITS_ADDRESS, "%s", address ? address : "");
    if (!address || inet_pton(AF_INET6, address, &a) != 1)
        return;
    if (IN6_IS_ADDR_V4MAPPED(&a)) {
        inet_ntop(AF_INET, a.s6_addr + 12, out, LIMITS_ADDRESS);
        return;
    }
    memset(a.s6_addr + 8, 0, 8);
    inet_ntop(AF_INET6, &a, out, LIMITS_ADDRESS - 4);
    memcpy(out + strlen(out), "/64", 4);
}

static void print_who(const struct limits_who *w, enum limit_per per, struct buf *b)
{
    char address[LIMITS_ADDRESS];
    uint8_t digest[DIGEST_SIZE];
    struct digest_part part = {w->key, w->key_len};
    if (per == LIMIT_FLOW) {
        buf_printf(b, "f:%s", w->flow->name);
    } else if (per == LIMIT_KEY) {
        digest_sha256(&part, 1, digest);
        buf_text(b, "k:");
        buf_hex(b, digest, sizeof digest);
    } else if (owner_is_nobody(w->user)) {
        limits_address(w->address, address);
        buf_printf(b, "o:%s", address);
    } else {
        buf_text(b, "o:");
        buf_hex(b, w->user->b, sizeof w->user->b);
    }
}

/* op:{WHO}:l:FLOW:n */
static void print_names(const struct limits_who *w, struct limits_taken *t)
{
    t->n = w->flow->limits_n < LIMITS_MAX ? w->flow->limits_n : LIMITS_MAX;
    for (size_t i = 0; i < t->n; i++) {
        struct buf b = {0};
        buf_text(&b, "op:{");
        print_who(w, w->flow->limits[i].per, &b);
        buf_printf(&b, "}:l:%s:%zu", w->flow->name, i);
        snprintf(t->name[i], sizeof t->name[i], "%s", buf_str(&b));
        buf_fini(&b);
    }
}

/* ---- in Redis */

/* What one costs: the window over the count; at least the clock's smallest step. */
static int64_t step_us(const struct flow_limit *f)
{
    int64_t step = f->window_ms * 1000 / f->count;
    return step > 0 ? step : 1;
}

struct words { /* what a command points to */
    char step[24], window[24];
};

static void add(struct cache_command *c, enum cache_script script, const char *name,
                const struct flow_limit *f, struct words *w)
{
    *c = (struct cache_command){.script = script, .keys = 1};
    snprintf(w->step, sizeof w->step, "%lld", (long long)step_us(f));
    snprintf(w->window, sizeof w->window, "%lld", (long long)f->window_ms * 1000);
    cache_arg_text(c, name);
    cache_arg_text(c, w->step);
}

static bool read_state(const struct cache_reply *r, struct limits_state *out)
{
    char *end;
    if (r->type != REPLY_TEXT)
        return false;
    *out = (struct limits_state){.spent = r->text[0] == '0'};
    int64_t a = strtoll(r->text + 1, &end, 10);
    out->reset_us = strtoll(end, NULL, 10);
    if (out->spent)
        out->wait_us = a;
    else
        out->left = (unsigned)a;
    return true;
}

static int ask_redis(struct limits *l, const struct flow *f, bool take, struct limits_taken *t)
{
    struct cache_command commands[LIMITS_MAX];
    struct cache_reply replies[LIMITS_MAX] = {{0}};
    struct words words[LIMITS_MAX];
    for (size_t i = 0; i < t->n; i++) {
        add(&commands[i], SCRIPT_LIMIT, t->name[i], &f->limits[i], &words[i]);
        cache_arg_text(&commands[i], words[i].window);
        cache_arg_text(&commands[i], take ? "1" : "0");
    }
    if (cache_call(l->cache, commands, t->n, replies) != 0)
        return ERR_IO;
    bool whole = true;
    for (size_t i = 0; i < t->n; i++) {
        whole = read_state(&replies[i], &t->state[i]) && whole;
        cache_reply_fini(&replies[i]);
    }
    return whole ? 0 : ERR_IO;
}

static void refund_redis(struct limits *l, const struct flow *f, const struct limits_taken *t)
{
    struct cache_command commands[LIMITS_MAX];
    struct cache_reply replies[LIMITS_MAX] = {{0}};
    struct words words[LIMITS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < t->n; i++) {
        if (t->state[i].spent)
            continue; /* it gave nothing */
        add(&commands[n], SCRIPT_REFUND, t->name[i], &f->limits[i], &words[n]);
        n++;
    }
    if (n > 0 && cache_call(l->cache, commands, n, replies) == 0)
        for (size_t i = 0; i < n; i++)
            cache_reply_fini(&replies[i]);
}

/* ---- by itself */

static struct limits_rule share(const struct limits *l, const struct flow_limit *f)
{
    unsigned count = f->count / l->gateways;
    struct flow_limit own = {f->per, count ? count : 1, f->window_ms};
    return (struct limits_rule){step_us(&own), f->window_ms * 1000};
}

static void ask_own(struct limits *l, const struct flow *f, bool take, struct limits_taken *t)
{
    int64_t now = clock_mono_us(l->clock);
    for (size_t i = 0; i < t->n; i++)
        limits_own_ask(l->own, t->name[i], share(l, &f->limits[i]), now, take, &t->state[i]);
}

static void refund_own(struct limits *l, const struct flow *f, const struct limits_taken *t)
{
    int64_t now = clock_mono_us(l->clock);
    for (size_t i = 0; i < t->n; i++)
        if (!t->state[i].spent)
            limits_own_refund(l->own, t->name[i], share(l, &f->limits[i]), now);
}

/* ---- both */

static void ask(struct limits *l, const struct limits_who *who, bool take, struct limits_taken *out)
{
    print_names(who, out);
    out->own = out->n > 0 && ask_redis(l, who->flow, take, out) != 0;
    if (out->own)
        ask_own(l, who->flow, take, out);
}

int limits_take(struct limits *l, const struct limits_who *who, struct limits_taken *out)
{
    bool spent = false;
    ask(l, who, true, out);
    for (size_t i = 0; i < out->n; i++)
        spent = spent || out->state[i].spent;
    if (!spent)
        return 0;
    limits_refund(l, who->flow, out);
    return ERR_RATE_LIMITED;
}

void limits_look(struct limits *l, const struct limits_who *who, struct limits_taken *out)
{
    ask(l, who, false, out);
}

void limits_refund(struct limits *l, const struct flow *f, const struct limits_taken *taken)
{
    if (taken->own)
        refund_own(l, f, taken);
    else
        refund_redis(l, f, taken);
}

/* ---- telling */

static long long seconds(int64_t us)
{
    return (us + 999999) / 1000000;
}

int limits_retry_s(const struct limits_taken *t)
{
    int64_t most = 1;
    for (size_t i = 0; i < t->n; i++)
        if (t->state[i].spent && t->state[i].wait_us > most)
            most = t->state[i].wait_us;
    return (int)seconds(most);
}

/* draft-ietf-httpapi-ratelimit-headers: "user-0";q=5;w=60 and "user-0";r=3;t=24. */
void limits_headers(const struct flow *f, const struct limits_taken *t, struct buf *out)
{
    for (size_t i = 0; i < t->n; i++)
        buf_printf(out, "%s\"%s-%zu\";q=%u;w=%lld",
                   i ? ", " : "RateLimit-Policy: ", pers[f->limits[i].per], i, f->limits[i].count,
                   seconds(f->limits[i].window_ms * 1000));
    for (size_t i = 0; i < t->n; i++)
        buf_printf(out, "%s\"%s-%zu\";r=%u;t=%lld",
                   i ? ", " : "\r\nRateLimit: ", pers[f->limits[i].per], i, t->state[i].left,
                   seconds(t->state[i].reset_us));
    if (t->n)
        buf_text(out, "\r\n");
}
