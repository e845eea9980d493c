/* record_fake_db.h - the tables of the fake, shared by record_fake*.c only. All with the lock held.
 */
#pragma once
#include <pthread.h>
#include "common/record_fake.h"

enum { FAKE_BUCKETS = 4096 };

struct fake_job {
    struct record_job row;
    int64_t sweep_at, cancel_at; /* cancel_at: op_cancel.at, 0 none */
    struct record_call *calls;
    size_t calls_n;
    int dead; /* op_dead.status, -1 none */
    char dead_topic[64];
    struct fake_job *next;
};
struct fake_worker {
    int64_t lease_until;
    int state;
};
struct fake_outbox {
    uint64_t id, holder;
    int64_t due;
    struct job_id job;
    char topic[250];
    char *key, *value, *headers; /* owned; key NULL: none */
    size_t key_len, value_len, headers_len;
};
struct fake_used { /* op_pool_used */
    struct job_id item, job;
};

struct record_fake {
    pthread_mutex_t lock;
    const struct clock *clock;
    struct fake_job *jobs[FAKE_BUCKETS];
    struct fake_worker *workers; /* id = index + 1 */
    size_t workers_n;
    struct fake_outbox *outbox;
    size_t outbox_n;
    uint64_t outbox_id;
    struct fake_used *used;
    size_t used_n;
    unsigned calls, fail_at, lose_at;
    int fail_err;
    bool down, poisoned, repeats;
    struct job_id poison;
    uint64_t locked; /* worker; 0: none */
    struct sql_fake *sql;
};
struct fake_connection {
    struct record record; /* first */
    struct record_fake *db;
    const char *why; /* of the last call; a text that stays */
};

struct fake_job *fake_find(struct record_fake *f, const struct job_id *id);
/* Found or made, all zero but id; NULL without memory. */
struct fake_job *fake_make(struct record_fake *f, const struct job_id *id);
void fake_remove(struct record_fake *f, struct fake_job *j);
bool fake_alive(struct record_fake *f, uint64_t worker); /* T0 */
int64_t fake_now(const struct record_fake *f);

/* Begin and end of each operation: takes the lock, counts, and gives the fault that is due. end
 * gives ERR_IO when the answer is to be lost. */
int fake_begin(struct record *r, struct record_fake **db) must_use;
int fake_end(struct record_fake *f, int err) must_use;

int fake_cancel(struct record *r, struct record_cancel *c);
int fake_list(struct record *r, struct record_list *l);
int fake_progress(struct record *r, struct record_progress *rows, size_t n);
int fake_claim(struct record *r, struct record_claim **rows, size_t n);
int fake_ledger(struct record *r, struct record_ledger **rows, size_t n);
int fake_finish(struct record *r, struct record_finish **rows, size_t n);
int fake_pool(struct record *r, struct record_pool **rows, size_t n);
/* What T6 saves (record_fake_saves.c): as record_saves_run of one finish. */
int fake_save(struct record_fake *f, struct fake_job *j, struct record_finish *a) must_use;
int fake_release(struct record *r, struct record_release **rows, size_t n);
int fake_watch(struct record *r, struct record_watch *rows, size_t n);
int fake_take_over(struct record *r, uint64_t dead, uint64_t worker, const struct job_id *ids,
                   size_t n, bool *taken);
int fake_cancels(struct record *r, int64_t since_us, struct job_id *ids, size_t max, size_t *n);
int fake_outbox_take(struct record *r, uint64_t worker, struct record_outbox **rows, size_t *n);
int fake_outbox_delete(struct record *r, const uint64_t *ids, size_t n);
int fake_outbox_due(struct record *r, size_t max, size_t *n);
int fake_sweep(struct record *r, int64_t retention_ms, struct record_swept *out);
int fake_call_copy(const struct record_call *from, struct record_call *to) must_use;
/* Kept in order of seq, as the SELECT gives them. c: taken, but on failure. 0 or ERR_NOMEM. */
int fake_call_add(struct fake_job *j, const struct record_call *c) must_use;
bool fake_has_save(const struct fake_job *j);
struct record_call *fake_call_find(struct fake_job *j, const uint8_t ckey[8]);
/* A row of op_outbox. 0 or ERR_NOMEM. */
int fake_outbox_put(struct record_fake *f, const struct record_post *p, uint64_t holder,
                    int64_t due_us) must_use;
void fake_outbox_fini(struct fake_outbox *o);
char *fake_copy(const void *p, size_t len); /* ending in 0; NULL for NULL, or without memory */
