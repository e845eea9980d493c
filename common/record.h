/* record.h - the record of what happened: op_* tables in MySQL (protocols: MySQL, transactions
 * T0-T11). One struct record = one connection = one thread; calls block. Adapter: record_mysql.c
 * and record_*.c over store.h (store_mysql.c alone includes the client library). Fake:
 * record_fake.h, the same guards in memory. Batches are one transaction each, repeated whole on
 * deadlock or lock time-out (ten times, then ERR_TIMEOUT); a lost answer of COMMIT is repeated by
 * the caller: guards make it no change. Times: Unix us in the server's clock. A connection found
 * closed is made anew once within a call; after ERR_IO the next call does. ERR_REFUSED: the
 * statement or its data will never do. */
#pragma once
#include "common/id.h"
#include "common/job.h"
#include "common/event.h"
#include "common/buf.h"

enum { RECORD_FLOW = 64, RECORD_REASON = 64, RECORD_NAME = 64 };

struct record_job { /* a row of op_job */
    struct job_id id;
    struct owner owner;
    char flow[RECORD_FLOW];
    enum job_state state;
    uint16_t round;
    uint64_t worker;
    uint8_t crashes, cancel;
    uint32_t seq;
    char reason[RECORD_REASON + 1];
    uint8_t mac[ID_MAC], rev[8];
    bool has_mac, has_rev;
    int32_t part; /* -1: NULL */
    int64_t off;
    int64_t created_us, deadline_us, started_us, retry_at_us, finished_us; /* 0: NULL */
    char *detail, *calls, *result; /* NULL: NULL; owned: record_job_fini */
    size_t calls_len, result_len;
};
void record_job_fini(struct record_job *j);

struct record_call { /* a row of op_call */
    struct job_id job;
    uint8_t ckey[8];
    uint32_t seq;
    char name[RECORD_NAME + 1];
    int32_t item; /* -1: NULL */
    uint16_t round;
    enum call_outcome outcome;
    uint16_t attempts, status;
    uint32_t ms;
    char reason[RECORD_REASON + 1]; /* call code */
    int64_t finished_us;            /* 0 when writing: NOW(6) */
    char *tries,
        *result; /* JSON text or NULL. From record_claim_*, record_read: owned (record_call_fini) */
    size_t tries_len, result_len;
};
void record_call_fini(struct record_call *c);

struct record_dead { /* the record kept with a dead letter (op_dead); borrowed by finish */
    const char *topic, *reason, *upstream;
    int32_t part;
    int64_t off;
    const void *key, *value, *headers; /* headers: as packed by the caller */
    size_t key_len, value_len, headers_len;
};

/* One operation of a worker; the writer batches those of a kind. status is set per row:
 * 0, ERR_FENCED (this shard was declared dead: drop all its jobs), ERR_CONFLICT (row not mine any
 * more). */
struct record_register { /* T2 */
    struct job_id id;
    struct owner owner;
    const char *flow;
    uint8_t mac[ID_MAC], rev[8];
    bool has_mac, has_rev;
    int64_t created_us, deadline_us, sweep_at_us;
};
struct record_claim { /* T3 */
    struct record_register job;
    uint64_t worker;
    uint16_t round;
    int32_t part;
    int64_t off;
    /* The record as a dead letter (borrowed until done), or NULL: kept in op_dead, if there is
     * none, when the job was ended as `never-finished` before its record came. */
    const struct record_dead *late;
    /* out */
    int status;
    /* As it stands now: row.worker == worker && state running: mine. `started` stays 0 where the
     * job was new: it is now. */
    struct record_job row;
    struct record_call *calls; /* if mine: its ledger, in order of seq; owned: record_claim_fini */
    size_t calls_n;
};
void record_claim_fini(struct record_claim *c);

struct record_ledger { /* T5 */
    uint64_t worker;
    struct record_call call; /* borrowed */
    /* out: 0; ERR_EXISTS: another outcome stood there and counts: `stored` is it (owned);
     * ERR_CONFLICT: `$save` of a job that was cancelled first: it is not written */
    int status;
    struct record_call stored;
};
struct record_post {   /* a record to be published: a row of op_outbox; borrowed */
    struct job_id job; /* whose record it is */
    const char *topic;
    const void *key, *value, *headers; /* headers: packed by record_headers_pack; key NULL: none */
    size_t key_len, value_len, headers_len;
};
#define RECORD_SAVE "$save" /* the name of what is to be saved elsewhere (protocols: Save) */
struct sql_statement;
enum { RECORD_WHY = 256 };
struct record_saves { /* what T6 does in users' databases on the record's server; borrowed */
    const struct sql_statement *list; /* each with its schema */
    size_t n;
    bool forget; /* the row `$save` goes: nothing of it is applied anywhere */
    /* out: ERR_EXISTS (a duplicate key), ERR_REFUSED (never): of a user's statement. Then nothing
     * is written, `status` is the same, and why says more. Locked or away is an error of the call.
     */
    int err;
    char why[RECORD_WHY];
};
struct record_finish { /* T6; with state JOB_QUEUED T7 */
    uint64_t worker;
    struct job_id id;
    enum job_state state;               /* the state computed */
    const char *flow, *reason, *detail; /* detail may be NULL */
    uint32_t seq;
    int64_t keep_ms;
    const char *calls, *result; /* JSON text; may be NULL */
    size_t calls_len, result_len;
    const struct record_dead *dead; /* NULL: no dead letter */
    /* Rows of op_outbox in the same transaction; none if a cancel came first. T6: the worker may
     * publish them for 30 s, then anybody; post_ids: out, one each, 0: not known (an answer was
     * lost), the relay does it. T7: due at due_us. */
    const struct record_post *posts;
    size_t posts_n;
    uint64_t *post_ids; /* NULL: not wanted */
    /* T7 alone: the job is queued again, with the next round. If a cancel came first nothing is
     * written, `stored` says so, and it is the caller's to end it. */
    int64_t due_us, sweep_at_us;
    struct record_saves *saves; /* NULL: none; with them a job is a transaction of its own */
    /* out: 0; ERR_CONFLICT: not mine or not running */
    int status;
    enum job_state stored; /* what it is now: `state`, or JOB_CANCELLED when a cancel came first */
};
struct record_pool { /* a pool's item and a job, or what a refill came to (protocols: Pool) */
    uint64_t worker;
    struct record_call call; /* the row `$pool`; borrowed. Its result is what the job got */
    bool has_item;           /* the item is the job's, if it is nobody else's yet */
    struct job_id item;
    const struct record_post *refill; /* due now; NULL: none */
    /* out: 0; ERR_EXISTS: the row stood there and nothing is changed, `stored` is it (owned: as
     * record_ledger's) */
    int status;
    bool lost; /* another job has the item: the row was written without a result */
    struct record_call stored;
};
struct record_release { /* T8 */
    uint64_t worker;
    struct job_id id;
    int status;
};

struct record_cancel { /* T9 */
    struct job_id id;
    struct owner owner; /* whose job it must be; of the new row, if there is none */
    int64_t created_us; /* of the new row; 0: now */
    /* out */
    enum job_state before; /* QUEUED: it is cancelled; RUNNING: its worker will see, also that of a
                            * queued one with `$save`; NONE: new row */
    uint32_t seq;
};
struct record_list { /* a user's jobs, newest first */
    struct owner owner;
    const char *flow;  /* borrowed; NULL or "": any */
    int state;         /* as shown: queued with a round > 0 is running; -1: any */
    int64_t since_us;  /* created then or later; 0: any */
    int64_t before_us; /* behind this job: its `created` and id; 0: from the newest */
    struct job_id before_id;
    int64_t ended_us; /* of the newest `max`, those that are open or ended then or later; 0: all */
    size_t max, result_max; /* rows; bytes of a result that is still read */
    size_t scan_max;        /* of the user's jobs looked at, with flow or state; 0: all */
    /* out */
    struct record_job *rows; /* without calls; a longer result: NULL, with its length */
    size_t n;
    bool cut; /* scan_max ended it: there may be more behind this job */
    int64_t cut_us;
    struct job_id cut_id;
};
void record_list_fini(struct record_list *l);

enum { RECORD_PROGRESS_BYTES = 4 << 20 };
struct record_progress { /* what became of a job behind a number */
    struct job_id id;
    uint32_t after; /* rows of the ledger behind this number come with their results */
    bool whole;     /* those up to it come too, without results; of a final job always */
    /* out */
    bool found;
    struct record_job job;     /* a final one with detail, calls and result */
    struct record_call *calls; /* in order of seq, without tries; none with seq 0 */
    size_t n, cap;
    bool cut; /* more rows are behind the last one: one read gives about RECORD_PROGRESS_BYTES */
};
void record_progress_fini(struct record_progress *p);

struct record;
struct record_watch;
struct record_outbox;
struct record_swept;
struct record_ops { /* the worker's and gateway's use of MySQL */
    void (*close)(struct record *);
    /* what the server said when the last operation failed, "1146 Table 'x.op_call' doesn't exist";
     * "": it went well, or nothing is known. Without values; lent until the next */
    const char *(*why)(struct record *);
    int (*ping)(struct record *);
    /* server NOW(6) in Unix us */
    int (*now)(struct record *, int64_t *us);
    /* schema version in op_schema; ERR_SETUP: no tables */
    int (*schema)(struct record *, int *version);
    /* gateway. Puts the rows in order of id */
    int (*register_jobs)(struct record *, struct record_register *, size_t n);
    /* one job's row alone: no texts, no ledger; ERR_NOT_FOUND */
    int (*look)(struct record *, const struct job_id *, struct record_job *);
    /* one job with its ledger; ERR_NOT_FOUND. calls: owned array (each record_call_fini, then free)
     */
    int (*read)(struct record *, const struct job_id *, struct record_job *,
                struct record_call **calls, size_t *n);
    /* T9. 0; ERR_CONFLICT: final; ERR_NOT_FOUND: another owner's */
    int (*cancel)(struct record *, struct record_cancel *);
    /* rows: owned (record_list_fini) */
    int (*list)(struct record *, struct record_list *);
    /* what became of jobs, 500 per statement; rows: owned (record_progress_fini each) */
    int (*progress)(struct record *, struct record_progress *, size_t n);
    /* worker: T0 first in each */
    int (*worker_start)(struct record *, const char *name, int64_t lease_ms, uint64_t *worker);
    int (*worker_renew)(struct record *, uint64_t worker, int64_t lease_ms); /* T1; ERR_FENCED */
    int (*worker_end)(struct record *, uint64_t worker);                     /* state=1 */
    int (*workers)(struct record *, unsigned *n); /* alive, with a lease that is good now */
    int (*claim)(struct record *, struct record_claim **, size_t n);
    int (*ledger)(struct record *, struct record_ledger **, size_t n);
    int (*finish)(struct record *, struct record_finish **, size_t n);
    int (*pool)(struct record *, struct record_pool **, size_t n);
    int (*release)(struct record *, struct record_release **, size_t n);
    /* watch: state, worker, round, cancel of jobs; and of their workers whether the lease is out
     * now */
    int (*watch)(struct record *, struct record_watch *, size_t n);
    /* T4: declare `dead` dead, then take over those of its jobs; taken[i]: job i is ours now.
     * ERR_CONFLICT: its lease is good after all; ERR_FENCED: ours is not; ERR_TIMEOUT: its row is
     * still locked, look again. Waits 1 s for that, for a job that is locked not at all. */
    int (*take_over)(struct record *, uint64_t dead, uint64_t worker, const struct job_id *ids,
                     size_t n, bool *taken);
    /* jobs asked to be cancelled since us (op_cancel); at most max ids */
    int (*cancels)(struct record *, int64_t since_us, struct job_id *ids, size_t max, size_t *n);
    /* T10: of the rows that are due up to RECORD_OUTBOX_ROWS, no more once they have
     * RECORD_OUTBOX_BYTES. With either of these there may be others */
    int (*outbox_take)(struct record *, uint64_t worker, struct record_outbox **rows, size_t *n);
    int (*outbox_delete)(struct record *, const uint64_t *ids, size_t n);
    /* rows that are due now, counted up to max */
    int (*outbox_due)(struct record *, size_t max, size_t *n);
    /* T11, one round of at most 500; retention_ms: protocols. counts what it did */
    int (*sweep)(struct record *, int64_t retention_ms, struct record_swept *);
};
struct record_watch {
    struct job_id id;
    /* out */
    enum job_state state; /* JOB_NONE: no row */
    uint16_t round;
    uint64_t worker;
    bool lease_out; /* its worker is dead, gone or its lease has passed */
};
enum { RECORD_OUTBOX_ROWS = 200, RECORD_OUTBOX_BYTES = 16 << 20 };
struct record_outbox {
    uint64_t id;
    struct job_id job;
    char topic[250];
    char *key, *value, *headers; /* owned: record_outbox_free */
    size_t key_len, value_len, headers_len;
};
void record_outbox_free(struct record_outbox *rows, size_t n);
enum { RECORD_SWEPT = 500 };
struct record_swept {
    unsigned expired, emptied, deleted;
    struct job_id ids[RECORD_SWEPT]; /* those that expired */
    bool more; /* it took as many as one round may, or something failed: others wait */
};
struct record {
    const struct record_ops *ops;
};

struct record_settings {
    const char *url;       /* mysql://user:pass@host:port/db */
    int connect_ms, io_ms; /* 5000, 10000 */
    bool two;              /* a second connection, for transactions: claims and outcomes that are
                            * written for the first time are then one statement on the first */
};
/* Connects. 0, ERR_IO (away), ERR_REFUSED (login, no database; why says it), ERR_SETUP (a table or
 * column is missing or not granted, or they are of another version; why names it and says what to
 * do). why: RECORD_WHY bytes, may be NULL. */
int record_mysql_open(const struct record_settings *s, struct record **out, char *why) must_use;

/* Bytes that the tables take of a record: VARBINARY(1024), BLOB. A dead letter goes without what is
 * longer; an outbox row with it is refused. */
enum { RECORD_KEY_MAX = 1024, RECORD_HEADERS_MAX = 65535 };
/* Headers of a record packed for op_outbox and op_dead: count, then (u16 name length, name, u32
 * value length, value)*, big-endian. They fit as long as there are at most 255, with names of up to
 * 65,534 bytes, of 1 MB together. pack, to an empty buffer: 0, ERR_NOMEM; ERR_TOO_LARGE: they do
 * not fit it, or at all, and then nothing is added. unpack: headers lent with bytes; 0 or
 * ERR_INVALID. */
bool record_headers_fit(const struct event_header *h, size_t n);
int record_headers_pack(const struct event_header *h, size_t n, struct buf *out) must_use;
int record_headers_unpack(const void *bytes, size_t len, struct event_header *out, size_t max,
                          size_t *n) must_use;

/* Schema: what `migrate plan|apply` does. The SQL is deploy/sql/NNN-*.sql compiled in. */
enum { RECORD_SCHEMA = 1 };
/* Statements still to run, as text appended to out ("" none). 0 or as record_mysql_open. */
int record_migrate_plan(const struct record_settings *s, struct buf *out, char *why) must_use;
int record_migrate_apply(const struct record_settings *s, char *why) must_use;
