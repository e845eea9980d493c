#include "worker/call_leases.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cache_scripts.h"

enum {
    KEY_SIZE = 96,
    NUMBER = 32,
    PROBE_MIN_MS = 3000,
    PROBE_AGAIN_MS = 1000,
    HOLD_MAX_MS = 60000
};

struct lease_ask {
    struct call_gate *gate; /* NULL: closed meanwhile */
    struct lease_ask **at;  /* where the gate has it */
    void (*answered)(struct call_gate *g, int err, const struct cache_reply *r);
};

/* A command and the texts it borrows. */
struct question {
    struct cache_command command;
    char key[2][KEY_SIZE], number[4][NUMBER];
    unsigned keys, numbers;
};

static int64_t now_us(const struct call_gate *g)
{
    return clock_mono_us(g->env->clock);
}

static void add_key(struct question *q, const struct call_gate *g, char which)
{
    char *key = q->key[q->keys++];
    snprintf(key, KEY_SIZE, "op:{u:%s}:%c", g->governor.upstream->name, which);
    cache_arg_text(&q->command, key);
}

static void add_number(struct question *q, uint64_t n)
{
    char *text = q->number[q->numbers++];
    snprintf(text, NUMBER, "%" PRIu64, n);
    cache_arg_text(&q->command, text);
}

static void ask_reply(void *arg, int err, const struct cache_reply *reply)
{
    struct lease_ask *a = arg;
    struct call_gate *g = a->gate;
    if (g) {
        *a->at = NULL;
        a->answered(g, err, reply);
        call_gate_pump(g);
    }
    free(a);
}

/* false: it is not on its way, and no answer comes. */
static bool ask(struct call_gate *g, struct lease_ask **at, const struct question *q,
                void (*answered)(struct call_gate *, int, const struct cache_reply *))
{
    struct lease_ask *a = malloc(sizeof *a);
    if (!a)
        return false;
    *a = (struct lease_ask){.gate = g, .at = at, .answered = answered};
    if (cache_send(g->env->cache, &q->command, ask_reply, a)) {
        free(a);
        return false;
    }
    *at = a;
    return true;
}

/* Not waited for. */
static void tell(struct call_gate *g, const struct question *q)
{
    if (!g->env->cache || cache_send(g->env->cache, &q->command, NULL, NULL))
        return; /* away: then each shard goes its own way */
}

/* ---- slots and tokens */

struct numbers {
    long long first, second, hold_ms;
};

static bool read_numbers(const struct cache_reply *r, struct numbers *out)
{
    char *at;
    if (!r || r->type != REPLY_TEXT)
        return false;
    out->first = strtoll(r->text, &at, 10);
    out->second = strtoll(at, &at, 10);
    out->hold_ms = strtoll(at, &at, 10);
    return *at == 0 && out->first >= 0 && out->second >= 0;
}

static void heed_hold(struct call_gate *g, const struct numbers *n)
{
    if (n->hold_ms > 0)
        call_gate_heed(g, n->hold_ms);
}

static void slots_answered(struct call_gate *g, int err, const struct cache_reply *r)
{
    struct numbers n;
    if (err || !read_numbers(r, &n)) {
        leases_slots_failed(&g->leases, now_us(g));
        return;
    }
    heed_hold(g, &n);
    leases_slots(&g->leases, now_us(g), (unsigned)n.first, (unsigned)n.second);
}

static void ask_slots(struct call_gate *g, uint64_t worker, int64_t at_us)
{
    struct leases_slots s;
    if (g->slot_ask || !leases_ask_slots(&g->leases, at_us, &s))
        return;
    struct question q = {.command = {.script = SCRIPT_SLOT_LEASE, .keys = 2}};
    add_key(&q, g, 'c');
    add_key(&q, g, 'h');
    add_number(&q, worker);
    add_number(&q, s.claim);
    add_number(&q, s.want);
    add_number(&q, s.max);
    if (!ask(g, &g->slot_ask, &q, slots_answered))
        leases_slots_failed(&g->leases, now_us(g));
}

static void rate_answered(struct call_gate *g, int err, const struct cache_reply *r)
{
    struct numbers n;
    if (err || !read_numbers(r, &n)) {
        leases_rate_failed(&g->leases, now_us(g));
        return;
    }
    heed_hold(g, &n);
    leases_rate(&g->leases, now_us(g), (unsigned)n.first, n.second);
}

static void ask_rate(struct call_gate *g, int64_t at_us)
{
    char gap[NUMBER];
    unsigned n;
    if (g->rate_ask || !leases_ask_rate(&g->leases, at_us, &n))
        return;
    struct question q = {.command = {.script = SCRIPT_RATE_LEASE, .keys = 2}};
    add_key(&q, g, 'r');
    add_key(&q, g, 'h');
    snprintf(gap, sizeof gap, "%.3f", g->governor.tokens.gap_us);
    cache_arg_text(&q.command, gap);
    add_number(&q, n);
    add_number(&q, LEASES_AHEAD_US);
    if (!ask(g, &g->rate_ask, &q, rate_answered))
        leases_rate_failed(&g->leases, now_us(g));
}

/* ---- the breaker's probe */

static uint64_t probe_ms(const struct call_gate *g)
{
    int64_t ms = g->governor.upstream->breaker.open_ms;
    return (uint64_t)(ms > PROBE_MIN_MS ? ms : PROBE_MIN_MS);
}

/* Without Redis' word each shard probes for itself. */
static void probe_answered(struct call_gate *g, int err, const struct cache_reply *r)
{
    int64_t open_ms = g->governor.upstream->breaker.open_ms;
    bool leave = err || r->type != REPLY_NIL;
    g->probing = !err && r->type == REPLY_STATUS;
    governor_probe(&g->governor, now_us(g), leave,
                   open_ms < PROBE_AGAIN_MS ? open_ms : PROBE_AGAIN_MS);
}

static void ask_probe(struct call_gate *g, uint64_t worker, int64_t at_us)
{
    if (g->probe_ask || !governor_wants_probe(&g->governor, at_us))
        return;
    struct question q = {0};
    cache_arg_text(&q.command, "SET");
    add_key(&q, g, 'b');
    add_number(&q, worker);
    cache_arg_text(&q.command, "NX");
    cache_arg_text(&q.command, "PX");
    add_number(&q, probe_ms(g));
    if (!ask(g, &g->probe_ask, &q, probe_answered))
        probe_answered(g, ERR_IO, NULL);
}

static void keep_probe(struct call_gate *g)
{
    struct question q = {0};
    cache_arg_text(&q.command, "PEXPIRE");
    add_key(&q, g, 'b');
    add_number(&q, probe_ms(g));
    tell(g, &q);
}

static void drop_probe(struct call_gate *g)
{
    struct question q = {0};
    cache_arg_text(&q.command, "DEL");
    add_key(&q, g, 'b');
    tell(g, &q);
    g->probing = false;
}

void call_leases_probed(struct call_gate *g)
{
    bool bad =
        g->governor.breaker.state == BREAKER_OPEN && g->governor.breaker.until_us > now_us(g);
    if (bad)
        keep_probe(g);
    else
        drop_probe(g);
    g->probing = false;
}

void call_leases_mind(struct call_gate *g)
{
    if (!g->probing)
        return;
    if (g->governor.breaker.state == BREAKER_PROBE) {
        keep_probe(g);
    } else if (!g->governor.queued) {
        governor_probe(&g->governor, now_us(g), false, 0);
        drop_probe(g);
    }
}

/* ---- the gate */

void call_leases_look(struct call_gate *g, int64_t at_us)
{
    if (g->env->cache)
        leases_look(&g->leases, at_us, cache_async_up(g->env->cache));
}

void call_leases_ask(struct call_gate *g, int64_t at_us)
{
    uint64_t worker = g->env->cache ? g->env->worker(g->env->arg) : 0;
    if (!worker)
        return;
    ask_slots(g, worker, at_us);
    ask_rate(g, at_us);
    ask_probe(g, worker, at_us);
}

void call_leases_hold(struct call_gate *g, int64_t ms)
{
    struct question q = {.command = {.script = SCRIPT_HOLD, .keys = 1}};
    if (!g->env->cache)
        return;
    add_key(&q, g, 'h');
    add_number(&q, (uint64_t)(ms < HOLD_MAX_MS ? ms : HOLD_MAX_MS));
    tell(g, &q);
}

void call_leases_close(struct call_gate *g)
{
    struct lease_ask *all[] = {g->slot_ask, g->rate_ask, g->probe_ask};
    for (size_t i = 0; i < 3; i++)
        if (all[i])
            all[i]->gate = NULL;
    g->slot_ask = g->rate_ask = g->probe_ask = NULL;
}
