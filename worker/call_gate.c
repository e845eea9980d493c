#include "worker/call_gate.h"
#include "common/log.h"
#include "worker/call_leases.h"
#include "worker/call_run.h"

#include <stdint.h>
#include <stdlib.h>

/* Calls that one look lets go, so that thousands of them leave the loop time for others. */
enum { TURNS_MAX = 256 };

static void look(void *arg)
{
    call_gate_pump(arg);
}

static void hold_over(void *arg)
{
    struct call_gate *g = arg;
    metrics_add(g->metrics.held, -1);
}

static void gate_init(struct call_gate *g, struct call_env *env, const struct upstream *u,
                      unsigned shares)
{
    char name[128], labels[160];
    governor_init(&g->governor, u, shares);
    leases_init(&g->leases, &g->governor, env->cache != NULL, clock_mono_us(env->clock));
    g->env = env;
    g->look = (struct due_item){.fn = look, .arg = g};
    g->hold = (struct due_item){.fn = hold_over, .arg = g};
    metrics_label(name, sizeof name, u->name);
    struct buf b;
    buf_init(&b, sizeof labels);
    buf_printf(&b, "upstream=\"%s\"", name);
    g->metrics.seconds = metrics_histogram("offpath_call_seconds", buf_str(&b),
                                           "duration of one attempt at an upstream");
    g->metrics.flying =
        metrics_gauge("offpath_calls_flying", buf_str(&b), "attempts in flight at an upstream");
    g->metrics.queued =
        metrics_gauge("offpath_calls_queued", buf_str(&b), "calls that wait for their turn");
    g->metrics.breaker = metrics_gauge("offpath_breaker_open", buf_str(&b),
                                       "shards whose breaker of an upstream is open");
    g->metrics.held = metrics_gauge("offpath_upstream_held", buf_str(&b),
                                    "shards that wait as an upstream asked (Retry-After)");
    buf_fini(&b);
}

/* n of `all`, where only calls_max of them may be. */
static unsigned part_of(const struct call_env *env, unsigned n, uint64_t all)
{
    if (!env->calls_max || all == 0 || all <= env->calls_max)
        return n;
    unsigned part = (unsigned)(n * (uint64_t)env->calls_max / all);
    return part ? part : 1;
}

/* Upstreams that may have more calls together than there are descriptors get their part of those,
 * as they stand to each other: a call without one would fail, and wait here instead. So with the
 * share, and with what may be leased. */
static void fit(struct call_env *env)
{
    uint64_t shares = 0, all = 0;
    for (size_t i = 0; i < env->gates_n; i++) {
        shares += env->gates[i].governor.share;
        all += env->gates[i].governor.upstream->concurrency;
    }
    for (size_t i = 0; i < env->gates_n; i++) {
        struct governor *g = &env->gates[i].governor;
        unsigned cap = part_of(env, g->upstream->concurrency, all);
        g->share = part_of(env, g->share, shares);
        leases_share(&env->gates[i].leases, env->shares, cap > g->share ? cap : g->share,
                     clock_mono_us(env->clock));
    }
}

int call_gates_open(struct call_env *env, const struct flow_set *set, unsigned shares)
{
    size_t n = set->upstreams_n;
    struct call_gate *gates = calloc(n ? n : 1, sizeof *gates);
    if (!gates)
        return ERR_NOMEM;
    for (size_t i = 0; i < n; i++)
        gate_init(&gates[i], env, &set->upstreams[i], shares);
    env->gates = gates;
    env->gates_n = n;
    env->shares = shares;
    fit(env);
    return 0;
}

void call_gates_close(struct call_env *env)
{
    for (size_t i = 0; i < env->gates_n; i++) {
        struct call_gate *g = &env->gates[i];
        due_stop(env->due, &g->look);
        metrics_add(g->metrics.held, -(g->hold.place != 0));
        due_stop(env->due, &g->hold);
        call_leases_close(g);
        metrics_add(g->metrics.breaker, -(g->governor.breaker.state != BREAKER_CLOSED));
    }
    free(env->gates);
    env->gates = NULL;
    env->gates_n = 0;
}

void call_gates_share(struct call_env *env, unsigned shares)
{
    for (size_t i = 0; i < env->gates_n; i++)
        governor_set_shares(&env->gates[i].governor, shares);
    env->shares = shares;
    fit(env);
    call_gates_pump(env);
}

void call_gates_look(struct call_env *env, unsigned shares)
{
    if (env->shares == shares)
        return;
    log_info("shares", "shards", log_number((long long)shares));
    call_gates_share(env, shares);
}

static void look_at(struct call_gate *g, int64_t ms)
{
    /* without memory for it the next call that ends looks */
    if (due_set(g->env->due, &g->look, ms))
        return;
}

static int64_t now_us(const struct call_gate *g)
{
    return clock_mono_us(g->env->clock);
}

static int64_t sooner(int64_t a, int64_t b)
{
    return a < 0 || (b >= 0 && b < a) ? b : a;
}

/* Lets go who may, and moves *at_us on. False: no call may start at all (the lease). *wait: us
 * until more may, -1: no need to look. */
static bool let_go(struct call_gate *g, int64_t *at_us, int64_t *wait)
{
    bool open = false;
    for (unsigned turns = 0; g->env->may_start(g->env->arg); turns++) {
        struct governor_ticket *t = NULL;
        if (turns == TURNS_MAX)
            *wait = 1;
        else
            t = governor_next(&g->governor, *at_us, wait, &open);
        if (!t)
            return true;
        if (!open)
            leases_started(&g->leases, *at_us);
        call_run_turn(t, open);
        *at_us = now_us(g);
    }
    return false;
}

void call_gate_pump(struct call_gate *g)
{
    int64_t at_us = now_us(g), wait = -1;
    call_leases_look(g, at_us);
    if (let_go(g, &at_us, &wait)) {
        call_leases_ask(g, at_us);
        wait = sooner(wait, leases_wait_us(&g->leases, at_us));
    }
    if (wait > 0)
        look_at(g, (at_us + wait) / 1000 + 1);
}

enum governor_answer call_gate_ask(struct call_gate *g, struct governor_ticket *t, bool may_start)
{
    int64_t at_us = now_us(g);
    call_leases_look(g, at_us);
    enum governor_answer answer = governor_ask(&g->governor, t, at_us, may_start);
    if (answer != GOVERNOR_GO)
        return answer;
    leases_started(&g->leases, at_us);
    call_leases_ask(g, at_us);
    int64_t wait = g->look.place ? -1 : leases_wait_us(&g->leases, at_us);
    if (wait > 0)
        look_at(g, (at_us + wait) / 1000 + 1);
    return answer;
}

void call_gate_heed(struct call_gate *g, int64_t ms)
{
    bool was = g->hold.place != 0;
    governor_hold(&g->governor, now_us(g), ms);
    if (due_set(g->env->due, &g->hold, g->governor.hold_us / 1000 + 1))
        return; /* without memory it is held all the same, and not counted */
    metrics_add(g->metrics.held, !was);
}

void call_gate_hold(struct call_gate *g, int64_t ms)
{
    bool was = g->hold.place != 0;
    call_gate_heed(g, ms);
    if (!was)
        log_warn("upstream-held", "upstream", g->governor.upstream->name, "ms",
                 log_number((long long)(g->governor.hold_us - now_us(g)) / 1000), "means",
                 "it asked for a pause (Retry-After): no call to it starts before");
    call_leases_hold(g, ms);
}

void call_gate_pump_soon(struct call_gate *g)
{
    if (g->governor.queued && !g->look.place)
        look_at(g, clock_mono_ms(g->env->clock));
}

void call_gates_pump(struct call_env *env)
{
    for (size_t i = 0; i < env->gates_n; i++) {
        call_leases_mind(&env->gates[i]);
        call_gate_pump(&env->gates[i]);
    }
}

unsigned call_gates_fill(const struct call_env *env, bool refills)
{
    unsigned most = 0;
    for (size_t i = 0; i < env->gates_n; i++) {
        unsigned fill = governor_fill(&env->gates[i].governor, refills);
        most = fill > most ? fill : most;
    }
    return most;
}

static struct metric *counter_of(struct call_gate *g, enum call_code code)
{
    if (!g->metrics.by_code[code]) {
        char name[128];
        struct buf b;
        metrics_label(name, sizeof name, g->governor.upstream->name);
        buf_init(&b, 256);
        buf_printf(&b, "upstream=\"%s\",code=\"%s\"", name, code ? call_code(code) : "ok");
        g->metrics.by_code[code] =
            metrics_counter("offpath_call_attempts_total", buf_str(&b), "attempts by their ending");
        buf_fini(&b);
    }
    return g->metrics.by_code[code];
}

static void give_back(struct call_gate *g, const struct governor_ticket *t, enum governor_sign sign)
{
    enum breaker_state before = g->governor.breaker.state;
    governor_done(&g->governor, t, sign, clock_mono_us(g->env->clock));
    metrics_add(g->metrics.flying, -1);
    enum breaker_state after = g->governor.breaker.state;
    if (g->probing && before == BREAKER_PROBE && after != BREAKER_PROBE)
        call_leases_probed(g);
    metrics_add(g->metrics.breaker, (after != BREAKER_CLOSED) - (before != BREAKER_CLOSED));
}

void call_gate_ended(struct call_gate *g, const struct governor_ticket *t, enum call_code code,
                     int64_t ms)
{
    give_back(g, t, governor_sign_of(code));
    metrics_add(counter_of(g, code), 1);
    metrics_observe_us(g->metrics.seconds, ms * 1000);
}

void call_gate_left(struct call_gate *g, const struct governor_ticket *t)
{
    give_back(g, t, SIGN_NONE);
}
