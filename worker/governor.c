#include "worker/governor.h"

enum { HOLD_MAX_MS = 60000 };

static unsigned share(unsigned all, unsigned shares)
{
    unsigned n = all / (shares ? shares : 1);
    return n ? n : 1;
}

void governor_set_shares(struct governor *g, unsigned shares)
{
    const struct upstream *u = g->upstream;
    g->slots = g->share = share(u->concurrency, shares);
    g->gap_us = u->rate > 0 ? 1e6 / u->rate * (shares ? shares : 1) : 0;
}

void governor_init(struct governor *g, const struct upstream *upstream, unsigned shares)
{
    *g = (struct governor){.upstream = upstream, .by_gap = true};
    g->tokens.gap_us = upstream->rate > 0 ? 1e6 / upstream->rate : 0;
    governor_set_shares(g, shares);
}

/* ---- breaker */

static unsigned window_size(const struct governor *g)
{
    unsigned of = g->upstream->breaker.of;
    return of == 0 ? 1 : of < BREAKER_OF_MAX ? of : BREAKER_OF_MAX;
}

static void breaker_open(struct governor *g, int64_t now_us)
{
    g->breaker.state = BREAKER_OPEN;
    g->breaker.leave = false;
    g->breaker.era++;
    g->breaker.until_us = now_us + g->upstream->breaker.open_ms * 1000;
    g->breaker.seen = g->breaker.bad = g->breaker.at = 0;
}

static void breaker_note(struct governor *g, bool bad, int64_t now_us)
{
    unsigned of = window_size(g), at = g->breaker.at;
    uint8_t *byte = &g->breaker.window[at / 8], mask = (uint8_t)(1u << (at % 8));
    if (g->breaker.seen == of)
        g->breaker.bad -= (*byte & mask) != 0;
    else
        g->breaker.seen++;
    *byte = (uint8_t)(bad ? *byte | mask : *byte & ~mask);
    g->breaker.bad += bad;
    g->breaker.at = (at + 1) % of;
    if (g->breaker.seen == of && g->breaker.bad * 100 >= g->upstream->breaker.failures_percent * of)
        breaker_open(g, now_us);
}

/* Is the breaker in the way? An open one whose time is over lets exactly one probe through. */
static bool breaker_blocks(struct governor *g, int64_t now_us)
{
    return g->breaker.state == BREAKER_PROBE ||
           (g->breaker.state == BREAKER_OPEN && now_us < g->breaker.until_us);
}

/* Its time is over, but another shard may be probing. */
static bool breaker_lacks_leave(const struct governor *g, int64_t now_us)
{
    return g->breaker.state == BREAKER_OPEN && now_us >= g->breaker.until_us && g->breaker.shared &&
           !g->breaker.leave;
}

bool governor_wants_probe(const struct governor *g, int64_t now_us)
{
    return g->queued && breaker_lacks_leave(g, now_us);
}

void governor_probe(struct governor *g, int64_t now_us, bool leave, int64_t wait_ms)
{
    if (g->breaker.state != BREAKER_OPEN)
        return;
    g->breaker.leave = leave;
    if (!leave)
        g->breaker.until_us = now_us + wait_ms * 1000;
}

/* ---- limits */

/* Microseconds until concurrency, rate and hold let one more start; 0 now, -1 when a call ends or
 * something is leased. */
static int64_t wait_us(struct governor *g, int64_t now_us)
{
    if (g->flying >= g->slots)
        return -1;
    int64_t wait = g->hold_us > now_us ? g->hold_us - now_us : 0;
    if (g->gap_us > 0 && g->by_gap && g->free_at_us > (double)(now_us + wait))
        wait = (int64_t)(g->free_at_us - (double)now_us) + 1;
    if (g->gap_us > 0 && g->by_tokens) {
        int64_t token = tokens_wait_us(&g->tokens, now_us);
        wait = token < 0 || token > wait ? token : wait;
    }
    return wait;
}

static void start(struct governor *g, struct governor_ticket *t, int64_t now_us)
{
    g->flying++;
    /* by tokens alone a shard may have more than its share, and owes nothing for it later */
    if (g->gap_us > 0)
        g->free_at_us =
            (g->by_gap && g->free_at_us > (double)now_us ? g->free_at_us : (double)now_us) +
            g->gap_us;
    if (g->by_tokens)
        tokens_take(&g->tokens, now_us);
    if (g->breaker.state == BREAKER_OPEN) {
        g->breaker.state = BREAKER_PROBE;
        g->breaker.leave = false;
        g->breaker.era++;
    }
    t->era = g->breaker.era;
}

/* ---- queue */

static void push(struct governor *g, struct governor_ticket *t, bool parked)
{
    struct governor_list *l = parked ? &g->parked[t->refill] : &g->queue[t->refill];
    *t = (struct governor_ticket){
        .prev = l->tail, .queued = true, .parked = parked, .refill = t->refill};
    if (l->tail)
        l->tail->next = t;
    else
        l->head = t;
    l->tail = t;
    g->queued++;
    g->refills += t->refill;
}

void governor_park(struct governor *g, struct governor_ticket *t)
{
    push(g, t, true);
}

void governor_leave(struct governor *g, struct governor_ticket *t)
{
    struct governor_list *l = t->parked ? &g->parked[t->refill] : &g->queue[t->refill];
    if (!t->queued)
        return;
    if (t->prev)
        t->prev->next = t->next;
    else
        l->head = t->next;
    if (t->next)
        t->next->prev = t->prev;
    else
        l->tail = t->prev;
    *t = (struct governor_ticket){.refill = t->refill};
    g->queued--;
    g->refills -= t->refill;
}

/* The first in line; `parked` ones too. */
static struct governor_ticket *first(const struct governor *g, bool parked)
{
    for (int refill = 0; refill < 2; refill++) {
        if (parked && g->parked[refill].head)
            return g->parked[refill].head;
        if (g->queue[refill].head)
            return g->queue[refill].head;
    }
    return NULL;
}

/* Does one stand before it? */
static bool must_line_up(const struct governor *g, const struct governor_ticket *t)
{
    return t->refill ? g->queued > 0 : g->parked[0].head || g->queue[0].head;
}

enum governor_answer governor_ask(struct governor *g, struct governor_ticket *t, int64_t now_us,
                                  bool may_start)
{
    if (breaker_blocks(g, now_us))
        return GOVERNOR_OPEN;
    if (!may_start || must_line_up(g, t) || breaker_lacks_leave(g, now_us) ||
        wait_us(g, now_us) != 0) {
        push(g, t, false);
        return GOVERNOR_WAIT;
    }
    start(g, t, now_us);
    return GOVERNOR_GO;
}

struct governor_ticket *governor_next(struct governor *g, int64_t now_us, int64_t *wait, bool *open)
{
    bool blocked = breaker_blocks(g, now_us);
    struct governor_ticket *t = first(g, !blocked);
    *open = t && blocked;
    *wait = -1;
    if (!t) {
        if (g->queued && g->breaker.state == BREAKER_OPEN)
            *wait = g->breaker.until_us - now_us;
        return NULL;
    }
    if (!*open) {
        *wait = breaker_lacks_leave(g, now_us) ? -1 : wait_us(g, now_us);
        if (*wait != 0)
            return NULL;
    }
    governor_leave(g, t);
    if (!*open)
        start(g, t, now_us);
    return t;
}

void governor_done(struct governor *g, const struct governor_ticket *t, enum governor_sign sign,
                   int64_t now_us)
{
    if (g->flying)
        g->flying--;
    if (!g->upstream->breaker.on || t->era != g->breaker.era)
        return;
    if (g->breaker.state == BREAKER_CLOSED) {
        if (sign != SIGN_NONE)
            breaker_note(g, sign == SIGN_BAD, now_us);
    } else if (g->breaker.state == BREAKER_PROBE) {
        if (sign == SIGN_GOOD)
            g->breaker.state = BREAKER_CLOSED;
        else if (sign == SIGN_BAD)
            breaker_open(g, now_us);
        else
            g->breaker.state = BREAKER_OPEN; /* its time is over: the next one probes */
    }
}

void governor_hold(struct governor *g, int64_t now_us, int64_t ms)
{
    int64_t until = now_us + (ms < HOLD_MAX_MS ? ms : HOLD_MAX_MS) * 1000;
    if (until > g->hold_us)
        g->hold_us = until;
}

unsigned governor_fill(const struct governor *g, bool refills)
{
    unsigned max = g->upstream->queue ? g->upstream->queue : 1;
    unsigned waiting = refills ? g->refills : g->queued - g->refills;
    return (unsigned)((uint64_t)waiting * 100 / max);
}

enum governor_sign governor_sign_of(enum call_code code)
{
    switch (code) {
    case CALL_CONNECT:
    case CALL_DNS:
    case CALL_TLS:
    case CALL_RESET:
    case CALL_TIMEOUT:
    case CALL_HTTP_5XX:
        return SIGN_BAD;
    case CALL_DEADLINE:
    case CALL_CANCELLED:
    case CALL_BLOCKED_ADDRESS:
        return SIGN_NONE;
    default:
        return SIGN_GOOD;
    }
}
