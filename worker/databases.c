#include "worker/databases.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "common/log.h"
#include "common/metrics.h"
#include "worker/clerk.h"
#include "worker/groups.h"

enum { SWEEP_FIRST_MS = 60000, SWEEP_MS = 3600 * 1000, SWEEP_MORE_MS = 1000 };
/* How long nobody may have asked one that is away, before it is asked for its own sake. */
enum { LOOK_MS = 5000 };
#define NEVER INT64_MAX

struct desk { /* a connection and its thread */
    struct counter *counter;
    struct clerk *clerk;
    struct sql *sql; /* the clerk's */
    bool idle;       /* with the lock */
};

struct counter { /* one database */
    const struct database *database;
    struct databases *all;
    pthread_mutex_t lock; /* of all below */
    struct sql_op *first, *last;
    bool away;
    long error; /* what it said last while away: 2006, 1045 .. */
    int64_t away_until_ms, look_at_ms;
    struct desk *desks;
    unsigned n;
    int64_t sweep_at_ms; /* its first desk's; NEVER: no offpath_applied */
    struct metric *seconds[2], *gone;
};

struct databases {
    struct databases_settings s;
    const struct clock *clock;
    struct counter *list; /* by place in the set */
    size_t n;
};

bool databases_is_used(const struct flow_set *set, const char *const *only, size_t only_n,
                       const struct database *d)
{
    for (size_t i = 0; i < set->flows_n; i++) {
        const struct flow *f = &set->flows[i];
        if (!groups_wants(f, only, only_n))
            continue;
        for (size_t k = 0; k < f->loads_n; k++)
            if (f->loads[k].database == d)
                return true;
        for (size_t k = 0; k < f->saves_n; k++)
            if (f->saves[k].database == d)
                return true;
    }
    return false;
}

bool databases_needs_applied(const struct flow_set *set, const char *const *only, size_t only_n,
                             const struct database *d, const struct store_url *record)
{
    if (sql_is_record(d, record))
        return false;
    for (size_t i = 0; i < set->flows_n; i++) {
        const struct flow *f = &set->flows[i];
        if (!groups_wants(f, only, only_n))
            continue;
        for (size_t k = 0; k < f->saves_n; k++)
            if (f->saves[k].database == d && !f->saves[k].optional)
                return true;
    }
    return false;
}

bool databases_is_own(const struct databases *d, const struct database *database)
{
    return sql_is_record(database, d->s.record);
}

/* ---- the queue */

static struct sql_op *take(struct desk *d, bool *away)
{
    struct counter *c = d->counter;
    pthread_mutex_lock(&c->lock);
    struct sql_op *op = c->first;
    if (op)
        c->first = op->next;
    if (!c->first)
        c->last = NULL;
    d->idle = !op;
    *away = c->away && clock_mono_ms(c->all->clock) < c->away_until_ms;
    pthread_mutex_unlock(&c->lock);
    return op;
}

/* ---- one operation */

/* Said once when it goes, when it is away for another reason (killed connections first, then a
 * password that is wrong), and once when it is back. */
static void note(struct counter *c, bool away, const char *why)
{
    long error = away ? strtol(why, NULL, 10) : 0;
    int64_t now = clock_mono_ms(c->all->clock);
    pthread_mutex_lock(&c->lock);
    int turn = away - c->away;
    bool other = away && error != c->error;
    c->away = away;
    c->error = error;
    if (away) {
        c->away_until_ms = now + DATABASES_AWAY_MS;
        c->look_at_ms = now + LOOK_MS;
    }
    pthread_mutex_unlock(&c->lock);
    metrics_add(c->gone, turn);
    if (turn > 0 || other)
        log_warn("database-away", "database", c->database->name, "why", why);
    else if (turn < 0)
        log_info("database-back", "database", c->database->name);
}

static int open_sql(struct desk *d)
{
    const struct counter *c = d->counter;
    return d->sql ? 0 : c->all->s.open(c->all->s.open_arg, c->database, &d->sql);
}

static void run(struct desk *d, struct sql_op *op)
{
    struct counter *c = d->counter;
    op->status = open_sql(d);
    if (op->status)
        return;
    int64_t from = clock_mono_us(c->all->clock);
    if (op->kind == SQL_LOAD)
        op->status = d->sql->ops->select(d->sql, op->list, op->rows_max, &op->rows);
    else
        op->status = d->sql->ops->apply(d->sql, &op->job, op->step, op->list, op->n);
    metrics_observe_us(c->seconds[op->kind], clock_mono_us(c->all->clock) - from);
    if (op->status)
        snprintf(op->why, sizeof op->why, "%s", d->sql->ops->why(d->sql));
    note(c, op->status == ERR_IO || op->status == ERR_OUTCOME_UNKNOWN, op->why);
}

/* ---- is one that is away back, although nobody asks it for anything? */

static int64_t look_in_ms(struct desk *d)
{
    struct counter *c = d->counter;
    pthread_mutex_lock(&c->lock);
    int64_t left = c->away ? c->look_at_ms - clock_mono_ms(c->all->clock) : NEVER;
    if (left <= 0) { /* this desk looks, the others wait for the next time */
        c->look_at_ms += LOOK_MS - left;
        d->idle = false;
    }
    pthread_mutex_unlock(&c->lock);
    return left < 0 ? 0 : left;
}

static void look(struct desk *d)
{
    int err = open_sql(d);
    if (err)
        return;
    err = d->sql->ops->look(d->sql, false);
    if (err != ERR_NOMEM)
        note(d->counter, err != 0, err ? d->sql->ops->why(d->sql) : "");
}

/* ---- what offpath_applied no longer needs */

static int64_t sweep_in_ms(const struct desk *d)
{
    const struct counter *c = d->counter;
    bool mine = d == c->desks && c->sweep_at_ms != NEVER;
    int64_t left = mine ? c->sweep_at_ms - clock_mono_ms(c->all->clock) : NEVER;
    return left < 0 ? 0 : left;
}

static void sweep(struct desk *d)
{
    struct counter *c = d->counter;
    bool more = false;
    int err = open_sql(d);
    if (!err)
        err = d->sql->ops->sweep(d->sql, &more);
    if (err && err != ERR_IO) /* who is away says so with the next save */
        log_warn("applied-not-swept", "database", c->database->name, "why",
                 d->sql ? d->sql->ops->why(d->sql) : err_text(err));
    c->sweep_at_ms = clock_mono_ms(c->all->clock) + (more ? SWEEP_MORE_MS : SWEEP_MS);
}

/* ---- */

static void give_back(struct sql_op *op)
{
    static const struct timespec pause = {0, 1000000};
    while (loop_post(op->loop, op->done, op->arg)) /* no memory: it must not be lost */
        nanosleep(&pause, NULL);
}

static int step(void *arg, struct record *r, int64_t *next_ms)
{
    struct desk *d = arg;
    bool away;
    (void)r;
    if (sweep_in_ms(d) == 0)
        sweep(d);
    struct sql_op *op = take(d, &away);
    if (!op) {
        int64_t sweep_ms = sweep_in_ms(d), look_ms = look_in_ms(d);
        int64_t least = look_ms < sweep_ms ? look_ms : sweep_ms;
        *next_ms = least == NEVER ? CLERK_WAIT : least;
        if (look_ms == 0)
            look(d);
        return 0;
    }
    *next_ms = 0;
    op->rows = NULL;
    op->why[0] = 0;
    if (away)
        op->status = ERR_IO;
    else
        run(d, op);
    give_back(op);
    return 0;
}

/* ---- */

static void metrics_name(struct counter *c)
{
    static const char *const kinds[] = {"load", "save"};
    char labels[120];
    for (int i = 0; i < 2; i++) {
        snprintf(labels, sizeof labels, "database=\"%s\",kind=\"%s\"", c->database->name, kinds[i]);
        c->seconds[i] = metrics_histogram("offpath_database_seconds", labels,
                                          "Time of a statement or transaction of a flow.");
    }
    snprintf(labels, sizeof labels, "database=\"%s\"", c->database->name);
    c->gone = metrics_gauge("offpath_database_away", labels,
                            "sets of flows that find the database away; 0: none");
}

/* With the lock, or before anybody else knows it. */
static int counter_start(struct databases *d, struct counter *c)
{
    unsigned n = c->database->connections;
    int err = 0;
    metrics_name(c);
    if (!c->desks)
        c->desks = calloc(n, sizeof *c->desks);
    if (!c->desks)
        return ERR_NOMEM;
    for (; c->n < n && !err; c->n += err == 0) {
        struct desk *desk = &c->desks[c->n];
        desk->counter = c;
        const struct clerk_settings s = {.step = step, .arg = desk, .loop = d->s.loop};
        err = clerk_start(&s, &desk->clerk);
    }
    return err;
}

/* With the lock. Somebody who is idle, and is no longer. */
static struct clerk *idle_one(struct counter *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        if (!c->desks[i].idle)
            continue;
        c->desks[i].idle = false;
        return c->desks[i].clerk;
    }
    return NULL;
}

void databases_put(struct databases *d, struct sql_op *op)
{
    struct counter *c = &d->list[op->database->index];
    struct clerk *wake = NULL;
    op->next = NULL;
    pthread_mutex_lock(&c->lock);
    int err = c->n ? 0 : counter_start(d, c);
    if (!err) {
        if (c->last)
            c->last->next = op;
        else
            c->first = op;
        c->last = op;
        wake = idle_one(c);
    }
    pthread_mutex_unlock(&c->lock);
    if (wake)
        clerk_wake(wake);
    if (!err)
        return;
    op->rows = NULL;
    op->status = err;
    snprintf(op->why, sizeof op->why, "no thread could be started for it");
    give_back(op);
}

size_t databases_away(struct databases *d, const struct database **out, size_t max)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n && n < max; i++) {
        struct counter *c = &d->list[i];
        pthread_mutex_lock(&c->lock);
        if (c->away)
            out[n++] = c->database;
        pthread_mutex_unlock(&c->lock);
    }
    return n;
}

int databases_start(const struct databases_settings *s, struct databases **out)
{
    struct databases *d = calloc(1, sizeof *d);
    if (!d)
        return ERR_NOMEM;
    d->s = *s;
    d->clock = s->loop ? s->loop->clock : clock_real();
    d->list = calloc(s->set->databases_n ? s->set->databases_n : 1, sizeof *d->list);
    int err = d->list ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < s->set->databases_n && !err; i++) {
        struct counter *c = &d->list[d->n++];
        c->database = &s->set->databases[i];
        c->all = d;
        c->sweep_at_ms = databases_needs_applied(s->set, s->only, s->only_n, c->database, s->record)
                             ? clock_mono_ms(d->clock) + SWEEP_FIRST_MS
                             : NEVER;
        pthread_mutex_init(&c->lock, NULL);
        if (databases_is_used(s->set, s->only, s->only_n, c->database))
            err = counter_start(d, c);
    }
    if (err)
        databases_stop(d);
    else
        *out = d;
    return err;
}

void databases_stop(struct databases *d)
{
    if (!d)
        return;
    for (size_t i = 0; d->list && i < d->n; i++) {
        struct counter *c = &d->list[i];
        for (unsigned k = 0; k < c->n; k++) {
            clerk_stop(c->desks[k].clerk);
            if (c->desks[k].sql)
                c->desks[k].sql->ops->close(c->desks[k].sql);
        }
        if (c->away)
            metrics_add(c->gone, -1);
        free(c->desks);
        pthread_mutex_destroy(&c->lock);
    }
    free(d->list);
    free(d);
}
