/* trial.h - a worker in virtual time, for `test`: the real shard, writer, lease and watch on the
 * product's fakes of Kafka, MySQL, Redis and HTTP, one clock for all. One job in one trial; nothing
 * waits. Belongs to one thread. */
#pragma once
#include "common/http_client_fake.h"
#include "common/record.h"
#include "common/sql_fake.h"

struct trial;

/* A worker that consumes this flow (of set, which is kept) and holds its lease. *out: owned
 * (trial_close). 0, ERR_NOMEM, or what a part says. */
int trial_open(struct flow_set *set, const struct flow *f, struct trial **out) must_use;
void trial_close(struct trial *t); /* NULL is fine */

/* Its upstreams: script them with http_client_fake.h. Lent. */
struct http_client *trial_http(struct trial *t);
/* Users' databases: what a SELECT answers is scripted with sql_fake.h (no rows), what is saved is
 * noted there. Lent. */
struct sql_fake *trial_sql(struct trial *t);

struct trial_job { /* borrowed */
    const char *request;
    const char *user; /* NULL: a guest */
    bool refill;      /* of a flow with a pool: a record of its refills' topic */
    char **items;     /* results that lie in the pool for this job's key, the oldest first */
    size_t items_n;
};
struct trial_end {
    struct record_job job;
    struct record_call *calls; /* the ledger, in order of seq */
    size_t calls_n;
    struct record_outbox *sent; /* the first emits_n of them are what the flow emits, in order */
    size_t sent_n, emits_n;
    struct json *items; /* a list: what lies in the pool now; NULL without a pool */
    int64_t begin_ms;   /* of the loop, when the record came */
    int64_t ms;         /* from the record to the final state */
};
/* A record as the gateway makes it, and the worker until the job is final, for at most a day: later
 * rounds are played when they are due. Nothing else that it sends on is run, so a refill that it
 * asks for is not. *out: owned (trial_end_fini). 0; ERR_NOT_FOUND: it was not even claimed. */
int trial_run(struct trial *t, const struct trial_job *job, struct trial_end *out) must_use;
void trial_end_fini(struct trial_end *e);
