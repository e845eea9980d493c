/* record_mysql.h - what the files of the MySQL record share: the connection, the transaction that
 * is repeated on deadlock, parameters, rows. Only record_*.c include it (and the record's adapter
 * test, to break promises by hand). */
#pragma once
#include "common/record.h"
#include "common/store.h"

struct record_mysql {
    struct record record; /* first */
    struct store_url url;
    int connect_ms, io_ms;
    struct store *store; /* the one in use; NULL: connect at the next use */
    /* With `two` by enum store_mode, since to change the mode of one costs a trip each time. */
    struct store *stores[2];
    bool two;
    unsigned empty_less;      /* so many jobs fewer than STORE_ROWS_MAX are emptied at once (T11) */
    bool new_jobs, new_calls; /* the last claim, the last ledger write met no row (T3, T5) */
    struct store_value *args; /* parameters of the next statement; kept between uses */
    size_t args_n, args_cap;
    bool args_failed;
    char why[STORE_WHY]; /* of the last operation; "": it went well */
};
_Static_assert((int)RECORD_WHY == (int)STORE_WHY, "the one is handed on as the other");

static inline struct record_mysql *record_mysql_of(struct record *record)
{
    return (struct record_mysql *)(void *)record;
}

/* Connected, the tables not looked at. As record_mysql_open. why: STORE_WHY bytes or NULL. */
int record_mysql_connect(const struct record_settings *s, struct record_mysql **out,
                         char *why) must_use;

/* ---- running */

/* Use the connection of this mode, made anew after a loss. 0 or as store_open. */
int record_connect(struct record_mysql *r, enum store_mode mode, char why[STORE_WHY]) must_use;

typedef int record_body(struct record_mysql *r, void *arg);
/* body in a transaction: commit at 0; on deadlock or lock time-out rolled back and repeated whole,
 * at most 10 times (then ERR_TIMEOUT). body must set all it gives anew each time. */
int record_transact(struct record_mysql *r, record_body *body, void *arg) must_use;
/* body with each statement committing by itself: reads, single statements. Repeated in the same
 * way. */
int record_alone(struct record_mysql *r, record_body *body, void *arg) must_use;
/* n rows that most likely are written for the first time (decision 50): `first`, one INSERT of all
 * with RECORD_FENCED, on the connection that has no transactions; where that is refused
 * (ERR_EXISTS, ERR_REFUSED: it wrote nothing), or not worth trying, `body` in a transaction. Each
 * row asks for its fence and each number of rows is a statement to prepare, so only few are tried.
 */
int record_first(struct record_mysql *r, bool likely, size_t n, record_body *first,
                 record_body *body, void *arg) must_use;
/* In place of a column that is never NULL: of a fenced worker (parameter 1) it refuses the whole
 * statement, under the lock of T0. Parameter 2: the column. */
#define RECORD_FENCED "IF((SELECT state FROM op_worker WHERE id=? LOCK IN SHARE MODE)=0,?,NULL)"

/* Parameters gather until record_run, which forgets them. What they point at is borrowed. */
void record_int(struct record_mysql *r, int64_t i);
void record_time(struct record_mysql *r, int64_t us);
void record_bytes(struct record_mysql *r, const void *p, size_t len);
/* NULL if it is longer than its column: other producers' records know no bounds, and a row that the
 * server refuses would be worth less. */
void record_bytes_fitting(struct record_mysql *r, const void *p, size_t len, size_t max);
void record_text(struct record_mysql *r, const char *text);
int record_run(struct record_mysql *r, const struct store_sql *q, size_t rows) must_use;
/* Run, and the first row: 1, 0 (there is none), or an error; *columns as store_next lends them. */
int record_run_first(struct record_mysql *r, const struct store_sql *q,
                     const struct store_value **columns) must_use;

/* ---- rows */

#define RECORD_JOB_COLUMNS                                                                 \
    "id,owner,flow,state,round,worker,crashes,cancel,seq,reason,mac,rev,part,off,created," \
    "deadline,started,retry_at,finished"
/* T2's columns, which T3 begins with, and their parameters. */
#define RECORD_REGISTER_COLUMNS "id,owner,flow,mac,rev,created,deadline,sweep_at"
void record_register_columns(struct record_mysql *r, const struct record_register *j);
#define RECORD_CALL_COLUMNS \
    "job,ckey,seq,name,item,round,outcome,attempts,status,ms,reason,finished,tries,result"

void record_job_read(const struct store_value *v, struct record_job *j);
int record_call_read(const struct store_value *v, struct record_call *c) must_use;
/* A copy ending in 0; NULL for NULL. 0 or ERR_NOMEM. */
int record_copy(const struct store_value *v, char **out, size_t *len) must_use;
void record_text_read(const struct store_value *v, char *out, size_t size);

int record_ids_compare(const struct job_id *a, const struct job_id *b);

/* ---- T0: which of these workers may write. Locks their rows until the end of the transaction. */
struct record_fence {
    uint64_t ids[STORE_ROWS_MAX];
    bool alive[STORE_ROWS_MAX];
    size_t n;
    int64_t now_us; /* the server's */
};
void record_fence_add(struct record_fence *f, uint64_t worker); /* once each */
int record_fence_check(struct record_mysql *r, struct record_fence *f) must_use;
/* As it is now, without a lock: a check must follow before the transaction commits. */
int record_fence_look(struct record_mysql *r, struct record_fence *f) must_use;
bool record_fence_alive(const struct record_fence *f, uint64_t worker);

/* Locks jobs (ids in order, n <= 100) and reads what guards look at. */
struct record_locked {
    struct job_id id;
    enum job_state state;
    uint64_t worker;
    uint8_t cancel;
    uint16_t round;
    uint32_t seq;
};
int record_lock_jobs(struct record_mysql *r, const struct job_id *ids, size_t n,
                     struct record_locked *out, size_t *found) must_use;
/* Those only that nobody else has locked; waits for none where the server can (MariaDB 10.6, MySQL
 * 8). */
int record_lock_free_jobs(struct record_mysql *r, const struct job_id *ids, size_t n,
                          struct record_locked *out, size_t *found) must_use;
const struct record_locked *record_locked_find(const struct record_locked *list, size_t n,
                                               const struct job_id *id);

enum { RECORD_HOLD_US = 30 * 1000000 }; /* so long a row of op_outbox is its holder's alone */
/* A row of op_outbox within the transaction: `holder` may publish it until `due`, then anybody. */
int record_outbox_put(struct record_mysql *r, const struct record_post *p, uint64_t holder,
                      int64_t due_us) must_use;

/* The posts of these finishes, those whose cancel came first left out; their post_ids are set. */
int record_posts_write(struct record_mysql *r, struct record_finish *const *rows, size_t n,
                       int64_t now_us) must_use;

/* T7: write the rows that are to run again, and leave the others, with their rounds. */
int record_again(struct record_mysql *r, struct record_finish **rows, size_t *n,
                 uint16_t *rounds) must_use;
/* T6: the users' statements of these finishes (those that were not cancelled), and `$save` goes
 * where it shall (record_saves.c). ERR_REFUSED: one was refused, its finish says which. */
int record_saves_run(struct record_mysql *r, struct record_finish *const *rows, size_t n) must_use;
/* T5: may `$save` of this job be written? A cancel that came first wins. */
int record_saves_may(struct record_mysql *r, const struct job_id *id, bool *may) must_use;
/* Is its `$save` written? Then it can no longer be cancelled. */
int record_saves_has(struct record_mysql *r, const struct job_id *id, bool *has) must_use;

/* ---- operations, by file */
int record_now(struct record *, int64_t *us);
int record_schema(struct record *, int *version);
int record_register(struct record *, struct record_register *, size_t n);
int record_look(struct record *, const struct job_id *, struct record_job *);
int record_read(struct record *, const struct job_id *, struct record_job *, struct record_call **,
                size_t *n);
int record_cancel(struct record *, struct record_cancel *);
int record_list(struct record *, struct record_list *);
int record_progress(struct record *, struct record_progress *, size_t n);
int record_worker_start(struct record *, const char *name, int64_t lease_ms, uint64_t *worker);
int record_worker_renew(struct record *, uint64_t worker, int64_t lease_ms);
int record_worker_end(struct record *, uint64_t worker);
int record_claim(struct record *, struct record_claim **, size_t n);
int record_ledger(struct record *, struct record_ledger **, size_t n);
int record_finish(struct record *, struct record_finish **, size_t n);
int record_pool(struct record *, struct record_pool **, size_t n);
int record_release(struct record *, struct record_release **, size_t n);
int record_watch(struct record *, struct record_watch *, size_t n);
int record_take_over(struct record *, uint64_t dead, uint64_t worker, const struct job_id *ids,
                     size_t n, bool *taken);
int record_workers(struct record *, unsigned *n);
int record_cancels(struct record *, int64_t since_us, struct job_id *ids, size_t max, size_t *n);
int record_outbox_take(struct record *, uint64_t worker, struct record_outbox **rows, size_t *n);
int record_outbox_delete(struct record *, const uint64_t *ids, size_t n);
int record_outbox_due(struct record *, size_t max, size_t *n);
int record_sweep(struct record *, int64_t retention_ms, struct record_swept *);

/* ---- the tables. Those that this program uses, with a blank between columns; ends in {NULL}. */
struct record_table {
    const char *name, *columns; /* at most 16 tables of 32 columns: record_tables.c */
};
extern const struct record_table record_tables[];
/* Their version fits this program, and all of them are there. 0, else as record_mysql_open; why
 * names what is missing and says what to do. */
int record_tables_check(struct record_mysql *r, char why[STORE_WHY]) must_use;

/* Statements of each version, first to last; each list ends in NULL. */
extern const char *const *const record_schema_versions[RECORD_SCHEMA];
