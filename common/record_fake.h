/* record_fake.h - the record in memory, for tests and virtual time: the same guards as record_*.c
 * say in SQL, a clock that is stepped, and faults on demand. struct record_fake is the database;
 * each record_fake_open is a connection. Safe from any thread (one lock). */
#pragma once
#include "common/record.h"

struct record_fake;

/* clock: lent until free; its wall time is the server's. NULL without memory. */
struct record_fake *record_fake_new(const struct clock *clock);
void record_fake_free(struct record_fake *f); /* after all its connections are closed */
/* arg: the struct record_fake; fits writer_settings.open, clerk_settings.open. 0, ERR_IO (down). */
int record_fake_open(void *arg, struct record **out, char *why) must_use;

/* ---- faults: a call is one record_ops function; opening is none */
/* The nth call from now (1: the next) does nothing and returns err. One at a time; 0: none. */
void record_fake_fail(struct record_fake *f, unsigned nth, int err);
/* The nth call from now is done, but its answer is lost: out fields as before, ERR_IO. */
void record_fake_lose(struct record_fake *f, unsigned nth);
/* Away: every call and open gives ERR_IO until it is back. */
void record_fake_down(struct record_fake *f, bool down);
/* A take-over is done, and says of no job that it is taken: its answer was lost, and it was done
 * again at once. */
void record_fake_repeat(struct record_fake *f, bool repeat);
/* Its row is locked, as by a transaction of a host that is frozen; 0: none. */
void record_fake_lock(struct record_fake *f, uint64_t worker);
/* ERR_REFUSED for each claim, ledger or finish batch with this job in it; NULL: none. */
void record_fake_poison(struct record_fake *f, const struct job_id *id);
unsigned record_fake_calls(struct record_fake *f); /* so far, failed ones too */

/* Where T6 saves; lent until free. Without, a finish with saves is ERR_REFUSED. */
struct sql_fake;
void record_fake_sql(struct record_fake *f, struct sql_fake *sql);

/* ---- looking, and what others do */
bool record_fake_has(struct record_fake *f, const struct job_id *id);
/* T9 as the gateway does it: 0, ERR_CONFLICT (final), ERR_NOT_FOUND (another owner). */
int record_fake_cancel(struct record_fake *f, const struct job_id *id, const struct owner *o);
/* Its lease is out at once, as if it had not renewed. */
void record_fake_expire(struct record_fake *f, uint64_t worker);
/* 0 alive, 1 gone, 9 declared dead; -1: no such worker. */
int record_fake_worker(struct record_fake *f, uint64_t worker);
/* op_dead.status, -1: no row. */
int record_fake_dead(struct record_fake *f, const struct job_id *id);
/* op_dead.topic, "" without a row. out: at least 64 bytes. */
void record_fake_dead_topic(struct record_fake *f, const struct job_id *id, char *out);
void record_fake_dead_set(struct record_fake *f, const struct job_id *id, int status);
/* An outbox row, due now. 0 or ERR_NOMEM. */
int record_fake_outbox(struct record_fake *f, const char *topic, const char *value) must_use;
size_t record_fake_outbox_n(struct record_fake *f);
/* A row as it might stand there: overdue, in this state; a final one with an open dead letter. */
void record_fake_put(struct record_fake *f, const struct job_id *id, enum job_state state,
                     uint64_t worker);
/* The sweep is due for it. */
void record_fake_overdue(struct record_fake *f, const struct job_id *id);
/* T7 by hand: queued again with the next round. */
void record_fake_requeue(struct record_fake *f, const struct job_id *id);
