#include "worker/leases.h"

enum {
    LEASE_US = 10000000,
    RENEW_US = 3000000,
    AGAIN_US = 200000, /* others have what is missing */
    BACK_US = 50000,   /* others want what is held */
    MORE_US = 2000,
    SECOND_US = 1000000,
    TENTH_US = 100000,
    SLOW_US = 500000, /* an answer that takes longer will not come */
    GRACE_US = 4000000,
    CAREFUL_US = 5000000, /* longer than a lost connection takes to come back */
    LATE_US = 90000,      /* with AHEAD below the 200 ms after which a token is void */
    LEAST_US = 5000
};

static unsigned most(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static unsigned least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* ---- modes */

static void apply(struct leases *l, int64_t now_us)
{
    struct governor *g = l->governor;
    bool shared = l->mode == LEASES_SHARED, careful = !shared || now_us < l->careful_us;
    g->by_tokens = shared;
    g->by_gap = careful;
    g->breaker.shared = shared;
    if (l->mode == LEASES_LOCAL)
        g->slots = g->share;
    else
        g->slots = least(l->slot.target, careful ? g->share : l->cap);
}

void leases_init(struct leases *l, struct governor *g, bool redis, int64_t now_us)
{
    *l = (struct leases){.governor = g,
                         .redis = redis,
                         .fresh = true,
                         .shares = 1,
                         .mode = redis ? LEASES_LOST : LEASES_LOCAL,
                         .cap = g->share,
                         .since_us = now_us};
    l->slot.asked_us = l->rate.asked_us = now_us - LEASE_US;
    apply(l, now_us);
}

void leases_share(struct leases *l, unsigned shares, unsigned cap, int64_t now_us)
{
    l->shares = shares ? shares : 1;
    l->cap = cap;
    apply(l, now_us);
}

static bool is_silent(const struct leases *l, int64_t now_us)
{
    return (l->slot.asking && now_us - l->slot.asked_us > SLOW_US) ||
           (l->rate.asking && now_us - l->rate.asked_us > SLOW_US);
}

static void lose(struct leases *l, int64_t now_us)
{
    l->fresh = false;
    if (l->mode != LEASES_SHARED)
        return;
    l->mode = LEASES_LOST;
    l->since_us = now_us;
}

static void notice(struct leases *l, int64_t now_us)
{
    if (l->mode == LEASES_SHARED && (!l->up || is_silent(l, now_us))) {
        lose(l, now_us);
    } else if (l->mode == LEASES_LOST && now_us - l->since_us >= GRACE_US) {
        l->mode = LEASES_LOCAL;
        l->fresh = false;
    }
}

static unsigned need(const struct governor *g)
{
    if (g->breaker.state == BREAKER_CLOSED)
        return g->flying + g->queued;
    return g->flying + (g->queued != 0); /* a probe */
}

static void measure(struct leases *l, int64_t now_us)
{
    if (now_us - l->slot.second_us >= SECOND_US) {
        l->slot.before = now_us - l->slot.second_us < INT64_C(2) * SECOND_US ? l->slot.peak : 0;
        l->slot.second_us = now_us;
        l->slot.peak = 0;
    }
    l->slot.peak = most(l->slot.peak, need(l->governor));
}

void leases_look(struct leases *l, int64_t now_us, bool up)
{
    if (!l->redis)
        return;
    l->up = up;
    notice(l, now_us);
    if (l->slot.leased && now_us >= l->slot.until_us)
        l->slot.leased = l->slot.target = 0;
    measure(l, now_us);
    apply(l, now_us);
}

/* ---- slots */

/* What this shard may keep at hand: its part of the limit, rounded down. */
static unsigned part(const struct leases *l)
{
    return least(l->governor->upstream->concurrency / l->shares, l->cap);
}

static unsigned recent(const struct leases *l)
{
    return most(l->slot.peak, l->slot.before);
}

static unsigned want(const struct leases *l)
{
    unsigned peak = recent(l), easy = peak ? peak * 2 + 8 : 0;
    return least(most(peak, least(easy, part(l))), l->cap);
}

/* Microseconds after the last question that the next one is due; -1: there is nothing to ask. */
static int64_t slots_due_us(const struct leases *l)
{
    const struct governor *g = l->governor;
    unsigned needed = least(need(g), l->cap);
    if (!l->up || l->slot.asking)
        return -1;
    if (l->mode != LEASES_SHARED)
        return l->fresh ? MORE_US : AGAIN_US;
    if (needed > l->slot.target)
        return l->slot.target < l->slot.wanted ? AGAIN_US : MORE_US;
    if (l->slot.leased > most(g->flying, l->slot.target))
        return BACK_US;
    if (l->slot.leased > (recent(l) ? most(want(l), part(l)) : 0))
        return SECOND_US;
    return l->slot.leased ? RENEW_US : -1;
}

bool leases_ask_slots(struct leases *l, int64_t now_us, struct leases_slots *out)
{
    int64_t due = slots_due_us(l);
    if (due < 0 || now_us - l->slot.asked_us < due)
        return false;
    unsigned wanted = want(l), flying = l->governor->flying;
    unsigned usable = l->mode == LEASES_LOCAL ? l->governor->share : l->slot.target;
    out->want = wanted;
    out->claim = most(flying, least(usable, wanted));
    out->max = l->governor->upstream->concurrency;
    l->slot.target = out->claim; /* no more starts until the answer than are counted for us */
    l->slot.wanted = wanted;
    l->slot.asked_us = now_us;
    l->slot.asking = true;
    apply(l, now_us);
    return true;
}

void leases_slots(struct leases *l, int64_t now_us, unsigned leased, unsigned target)
{
    l->slot.asking = false;
    if (now_us - l->slot.asked_us > SLOW_US)
        return;
    if (l->mode != LEASES_SHARED) {
        l->mode = LEASES_SHARED;
        l->careful_us = l->fresh ? 0 : now_us + CAREFUL_US;
        l->rate.again_us = 0;
    }
    l->slot.leased = leased;
    l->slot.target = target;
    l->slot.until_us = l->slot.asked_us + LEASE_US;
    apply(l, now_us);
}

void leases_slots_failed(struct leases *l, int64_t now_us)
{
    l->slot.asking = false;
    lose(l, now_us);
    apply(l, now_us);
}

/* ---- tokens */

static void turn_tenth(struct leases *l, int64_t now_us)
{
    if (now_us - l->rate.tenth_us < TENTH_US)
        return;
    l->rate.before = now_us - l->rate.tenth_us < INT64_C(2) * TENTH_US ? l->rate.used : 0;
    l->rate.tenth_us = now_us;
    l->rate.used = 0;
}

void leases_started(struct leases *l, int64_t now_us)
{
    turn_tenth(l, now_us);
    l->rate.used++;
}

/* Calls that could start if there were tokens. */
static unsigned ready(const struct governor *g, int64_t now_us)
{
    unsigned free = g->slots > g->flying ? g->slots - g->flying : 0;
    if (g->hold_us > now_us || (g->breaker.state != BREAKER_CLOSED && !g->breaker.leave))
        return 0;
    return least(g->queued, free);
}

bool leases_ask_rate(struct leases *l, int64_t now_us, unsigned *n)
{
    struct governor *g = l->governor;
    if (g->upstream->rate <= 0 || l->mode != LEASES_SHARED || l->rate.asking ||
        now_us < l->rate.again_us)
        return false;
    turn_tenth(l, now_us);
    unsigned left = tokens_left(&g->tokens, now_us), waiting = ready(g, now_us);
    unsigned usual = most(l->rate.used, l->rate.before);
    /* many at once, before they are missing: one trip for a tenth of a second */
    unsigned ahead = usual >= 4 && left < usual / 2 ? usual : 0;
    unsigned wanted = most(waiting, ahead);
    unsigned tenth = (unsigned)(g->upstream->rate / 10) + 1;
    if (wanted <= left || left > tenth / 2 || g->tokens.batches == TOKENS_BATCHES)
        return false;
    *n = least(wanted - left, tenth);
    l->rate.asking = true;
    l->rate.asked_us = now_us;
    return true;
}

void leases_rate(struct leases *l, int64_t now_us, unsigned n, int64_t delay_us)
{
    l->rate.asking = false;
    if (l->mode != LEASES_SHARED)
        return;
    if (!n) {
        int64_t wait = delay_us - LEASES_AHEAD_US;
        l->rate.again_us = now_us + (wait > LEAST_US ? wait : LEAST_US);
        return;
    }
    /* void by the time of the question, which Redis answered no earlier; a slow answer's tokens
     * are good for a moment all the same */
    int64_t trip = now_us - l->rate.asked_us, late = LATE_US - trip;
    tokens_add(&l->governor->tokens, now_us + delay_us, late > LEAST_US ? late : LEAST_US, n);
}

void leases_rate_failed(struct leases *l, int64_t now_us)
{
    l->rate.asking = false;
    lose(l, now_us);
    apply(l, now_us);
}

/* ---- time */

static int64_t sooner(int64_t a, int64_t b)
{
    if (b < 0)
        return a;
    return a < 0 || b < a ? b : a;
}

static int64_t until(int64_t at_us, int64_t now_us)
{
    return at_us > now_us ? at_us - now_us : 1;
}

int64_t leases_wait_us(const struct leases *l, int64_t now_us)
{
    const struct governor *g = l->governor;
    int64_t wait = -1, due = slots_due_us(l);
    if (!l->redis)
        return -1;
    if (due >= 0)
        wait = until(l->slot.asked_us + due, now_us);
    if (l->slot.asking)
        wait = sooner(wait, until(l->slot.asked_us + SLOW_US + 1, now_us));
    if (l->rate.asking)
        wait = sooner(wait, until(l->rate.asked_us + SLOW_US + 1, now_us));
    if (g->queued && l->mode == LEASES_LOST)
        wait = sooner(wait, until(l->since_us + GRACE_US, now_us));
    if (g->queued && l->mode == LEASES_SHARED && now_us < l->careful_us)
        wait = sooner(wait, until(l->careful_us, now_us));
    if (g->queued && !l->rate.asking && now_us < l->rate.again_us)
        wait = sooner(wait, until(l->rate.again_us, now_us));
    return wait;
}
