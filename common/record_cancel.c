/* T9: a cancel asked for. The row is locked first, so that claim and finish come wholly before or
 * wholly after: a job claimed before is running and its worker sees `cancel`, one claimed after is
 * final and settled; a finish before leaves nothing to cancel, a finish after obeys. */
#include "common/clock.h"
#include "common/record_mysql.h"

#include <string.h>

enum { PATIENCE_MS = 6000 }; /* a row that stays locked costs 5 s each time, and a request waits */

struct cancelling {
    struct record_cancel *c;
    unsigned tries;
    int64_t from_ms;
    int status;
};

/* 0, ERR_NOT_FOUND (no row). */
static int lock(struct record_mysql *r, struct record_cancel *c, struct owner *owner)
{
    static const struct store_sql q = {
        .head = "SELECT owner,state,seq FROM op_job WHERE id=? FOR UPDATE"};
    const struct store_value *v;
    record_bytes(r, c->id.b, sizeof c->id.b);
    int err = record_run(r, &q, 0);
    if (err)
        return err;
    err = store_next(r->store, &v);
    if (err != 1)
        return err ? err : ERR_NOT_FOUND;
    *owner = (struct owner){0};
    memcpy(owner->b, v[0].p, v[0].len < sizeof owner->b ? v[0].len : sizeof owner->b);
    c->before = (enum job_state)v[1].i;
    c->seq = (uint32_t)v[2].i;
    return 0;
}

/* Cancelled before anybody wrote it: registration and claim will find it final. */
static int insert(struct record_mysql *r, struct record_cancel *c)
{
    static const struct store_sql q = {
        .head = "INSERT INTO op_job(id,owner,state,cancel,reason,created,finished,sweep_at) VALUES"
                " (?,?,13,1,'cancelled',COALESCE(?,NOW(6)),NOW(6),NOW(6)+INTERVAL 1 DAY)"};
    record_bytes(r, c->id.b, sizeof c->id.b);
    record_bytes(r, c->owner.b, sizeof c->owner.b);
    record_time(r, c->created_us);
    c->before = JOB_NONE;
    c->seq = 0;
    int err = record_run(r, &q, 0);
    return err == ERR_EXISTS ? ERR_CONFLICT : err; /* somebody was faster: all again */
}

/* Given back, or redriven, in the middle of its saves: who claims it goes on with them. */
static int note_too_late(struct record_mysql *r, struct record_cancel *c)
{
    static const struct store_sql q = {.head = "UPDATE op_job SET cancel=1 WHERE id=?"};
    record_bytes(r, c->id.b, sizeof c->id.b);
    c->before = JOB_RUNNING;
    return record_run(r, &q, 0);
}

static int update(struct record_mysql *r, struct record_cancel *c)
{
    static const struct store_sql q = {
        .head = "UPDATE op_job SET cancel=1,finished=IF(state=0,NOW(6),NULL),"
                "reason=IF(state=0,'cancelled',''),state=IF(state=0,13,state)"
                " WHERE id=? AND owner=? AND state<10"};
    bool saved = false;
    int err = c->before == JOB_QUEUED ? record_saves_has(r, &c->id, &saved) : 0;
    if (err || saved)
        return err ? err : note_too_late(r, c);
    record_bytes(r, c->id.b, sizeof c->id.b);
    record_bytes(r, c->owner.b, sizeof c->owner.b);
    return record_run(r, &q, 0);
}

static int note(struct record_mysql *r, const struct record_cancel *c)
{
    static const struct store_sql q = {
        .head = "INSERT IGNORE INTO op_cancel(job,at) VALUES (?,NOW(6))"};
    record_bytes(r, c->id.b, sizeof c->id.b);
    return record_run(r, &q, 0);
}

static int cancel(struct record_mysql *r, void *arg)
{
    struct cancelling *a = arg;
    struct owner owner;
    a->status = 0;
    bool again = a->tries++ > 0;
    if (again && clock_mono_ms(clock_real()) - a->from_ms > PATIENCE_MS)
        return ERR_TIMEOUT;
    int err = lock(r, a->c, &owner);
    if (err == ERR_NOT_FOUND) {
        err = insert(r, a->c);
        return err ? err : note(r, a->c);
    }
    if (err)
        return err;
    if (memcmp(&owner, &a->c->owner, sizeof owner) != 0) {
        a->status = ERR_NOT_FOUND;
    } else if (again && a->c->before == JOB_CANCELLED) {
        a->c->before = JOB_QUEUED; /* the answer of our own commit was lost */
    } else if (job_is_final(a->c->before)) {
        a->status = ERR_CONFLICT;
    } else {
        err = update(r, a->c);
        return err ? err : note(r, a->c);
    }
    return 0;
}

int record_cancel(struct record *record, struct record_cancel *c)
{
    struct cancelling a = {.c = c, .from_ms = clock_mono_ms(clock_real())};
    int err = record_transact(record_mysql_of(record), cancel, &a);
    return err ? err : a.status;
}
