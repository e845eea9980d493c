#include "gateway/register.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "common/metrics.h"
#include "common/record_clock.h"
#include "gateway/batcher.h"

enum { WHY = 256 };

struct registrar {
    struct registrar_settings s;
    struct batcher *batcher;
    struct record *record; /* the batcher's thread */
    struct record_register rows[REGISTER_BATCH];
    _Atomic bool up;
    _Atomic int64_t retention_ms;
    pthread_mutex_t lock;
    char refusal[WHY];          /* lock */
    struct record_clock server; /* the batcher's thread asks */
    struct metric *dropped, *registered, *refused, *failed;
};

struct queued { /* outlives the set of flows that the request held */
    struct register_row row;
    char flow[FLOW_NAME_MAX + 1];
    uint8_t rev[8];
};

static void fill(struct registrar *r, const struct queued *q, struct record_register *to)
{
    const struct register_row *row = &q->row;
    *to = (struct record_register){.id = row->id,
                                   .owner = row->owner,
                                   .flow = q->flow,
                                   .has_mac = true,
                                   .has_rev = true,
                                   .created_us = row->created_us,
                                   .deadline_us = row->deadline_us,
                                   .sweep_at_us = job_sweep_at_us(row->created_us, row->deadline_us,
                                                                  atomic_load(&r->retention_ms))};
    memcpy(to->mac, row->mac, sizeof to->mac);
    memcpy(to->rev, q->rev, sizeof to->rev);
}

static void set_refusal(struct registrar *r, const char *why)
{
    pthread_mutex_lock(&r->lock);
    bool news = strcmp(r->refusal, why) != 0;
    snprintf(r->refusal, sizeof r->refusal, "%s", why);
    pthread_mutex_unlock(&r->lock);
    if (news && why[0])
        log_error("mysql-unusable", "why", why);
}

static void set_up(struct registrar *r, bool up, const char *why)
{
    if (atomic_exchange(&r->up, up) == up)
        return;
    if (up)
        log_info("mysql-up");
    else
        log_warn("mysql-away", "why", why);
}

static int connect_record(struct registrar *r)
{
    char why[WHY] = "";
    if (r->record)
        return 0;
    int err = r->s.open(r->s.arg, &r->record, why);
    set_refusal(r, err == ERR_SETUP || err == ERR_REFUSED ? why : "");
    if (err) {
        set_up(r, false, why);
        return err;
    }
    set_up(r, true, NULL);
    return 0;
}

static void disconnect(struct registrar *r, int err)
{
    const char *why = r->record ? r->record->ops->why(r->record) : "";
    set_up(r, false, why[0] ? why : err_text(err));
    if (r->record)
        r->record->ops->close(r->record);
    r->record = NULL;
}

/* A row that MySQL will never take must not hold back the others: its worker writes it. */
static size_t write_singly(struct registrar *r, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int err = r->record->ops->register_jobs(r->record, &r->rows[i], 1);
        if (err && err != ERR_REFUSED) {
            disconnect(r, err);
            return i;
        }
        metrics_add(err ? r->refused : r->registered, 1);
    }
    return n;
}

/* The clock is asked for when its time has come, however much there is to register; and when there
 * is nothing, to know whether MySQL is there. */
static int write_rows(struct registrar *r, size_t n)
{
    int err =
        n && record_clock_wait_ms(&r->server) > 0 ? 0 : record_clock_ask(&r->server, r->record);
    return err || n == 0 ? err : r->record->ops->register_jobs(r->record, r->rows, n);
}

static size_t write_batch(void *arg, const void *items, size_t n)
{
    struct registrar *r = arg;
    const struct queued *rows = items;
    if (connect_record(r) != 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        fill(r, &rows[i], &r->rows[i]);
    if (n)
        FAILPOINT("before-register");
    int err = write_rows(r, n);
    if (err == ERR_REFUSED)
        return write_singly(r, n);
    if (err) {
        metrics_add(r->failed, 1);
        disconnect(r, err);
        return 0;
    }
    metrics_add(r->registered, (int64_t)n);
    return n;
}

int registrar_open(const struct registrar_settings *s, struct registrar **out)
{
    struct registrar *r = calloc(1, sizeof *r);
    if (!r)
        return ERR_NOMEM;
    r->s = *s;
    record_clock_init(&r->server, s->clock);
    pthread_mutex_init(&r->lock, NULL);
    r->dropped = metrics_counter("offpath_register_dropped_total", "",
                                 "Jobs not registered because the queue was full; they run.");
    r->registered = metrics_counter("offpath_register_total", "", "Jobs registered in MySQL.");
    r->refused = metrics_counter("offpath_register_refused_total", "",
                                 "Jobs MySQL refused to register; their workers do it.");
    r->failed = metrics_counter("offpath_register_failed_total", "", "Batches that failed.");
    int err = batcher_open(&(struct batcher_settings){.name = "register",
                                                      .item_size = sizeof(struct queued),
                                                      .queue_max = REGISTER_QUEUE,
                                                      .batch_max = REGISTER_BATCH,
                                                      .gather_ms = s->gather_ms,
                                                      .retry_ms = s->retry_ms,
                                                      .tick_ms = s->tick_ms,
                                                      .fn = write_batch,
                                                      .arg = r},
                           &r->batcher);
    if (err) {
        pthread_mutex_destroy(&r->lock);
        free(r);
        return err;
    }
    *out = r;
    return 0;
}

void registrar_keep(struct registrar *r, int64_t retention_ms)
{
    int64_t longest = atomic_load(&r->retention_ms);
    while (retention_ms > longest &&
           !atomic_compare_exchange_weak(&r->retention_ms, &longest, retention_ms))
        continue;
}

void registrar_put(struct registrar *r, const struct register_row *row)
{
    struct queued q = {.row = *row};
    memcpy(q.flow, row->flow->name, sizeof q.flow);
    memcpy(q.rev, row->flow->rev, sizeof q.rev);
    q.row.flow = NULL;
    if (batcher_put(r->batcher, &q) != 0)
        metrics_add(r->dropped, 1);
}

size_t registrar_flush(struct registrar *r, int wait_ms)
{
    return batcher_flush(r->batcher, wait_ms);
}

void registrar_close(struct registrar *r)
{
    if (!r)
        return;
    batcher_close(r->batcher);
    if (r->record)
        r->record->ops->close(r->record);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

bool registrar_up(const struct registrar *r)
{
    return atomic_load(&r->up);
}

void registrar_refusal(struct registrar *r, char why[256])
{
    pthread_mutex_lock(&r->lock);
    memcpy(why, r->refusal, sizeof r->refusal);
    pthread_mutex_unlock(&r->lock);
}

int64_t registrar_now_us(const struct registrar *r)
{
    return record_clock_now_us(r->s.clock, &r->server.ahead_us);
}
