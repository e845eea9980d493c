/* databases.h - the threads that read and write users' databases for all shards of a process: as
 * many for each as it has `connections`, those that no flow uses only once something is put: what
 * `$save` holds was computed by earlier files.
 * An operation is embedded in its owner's struct and lent until its done callback, which runs in
 * the loop of the shard that asked. It is tried once: ERR_IO and ERR_CONFLICT are the owner's to
 * repeat. The first thread of each that has offpath_applied deletes its old rows, once an hour.
 * While a database is away all that wait for it fail at once, every AWAY_MS one tries; if none
 * waits, it is looked for every 5 s. */
#pragma once
#include "common/loop.h"
#include "common/sql.h"

enum { DATABASES_AWAY_MS = 500 };

enum sql_kind { SQL_LOAD, SQL_APPLY };
struct sql_op {
    enum sql_kind kind;
    const struct database *database; /* of the settings' set */
    struct loop *loop;               /* where done runs */
    loop_fn *done;                   /* arg: the argument below */
    void *arg;
    const struct sql_statement *list; /* one for SQL_LOAD; lent */
    size_t n;
    unsigned rows_max;   /* SQL_LOAD */
    struct job_id job;   /* SQL_APPLY, as step */
    int step;            /* of offpath_applied; -1: without */
    struct sql_op *next; /* the databases' */
    int status;          /* out: as sql.h says */
    struct json *rows;   /* out, SQL_LOAD: owned by the op's owner */
    char why[STORE_WHY]; /* out */
};

struct databases;
struct databases_settings {
    const struct flow_set *set; /* lent until databases_stop */
    const char *const *only;    /* names of the flows that are consumed; only_n 0: all. Lent */
    size_t only_n;
    /* opens a connection; tests pass one that gives a fake */
    int (*open)(void *arg, const struct database *d, struct sql **out);
    void *open_arg;
    const struct store_url *record; /* which of them are on its server, by the same account */
    struct loop *loop;              /* NULL; set: timers of this loop instead (virtual time) */
};
int databases_start(const struct databases_settings *s, struct databases **out) must_use;
/* Any thread; never blocks. Without memory for its threads: ERR_NOMEM, the owner's to repeat. */
void databases_put(struct databases *d, struct sql_op *op);
/* Waits for the statements under way. Operations still open are not called back. NULL is fine. */
void databases_stop(struct databases *d);
/* Those that are away; how many, up to max. Any thread. */
size_t databases_away(struct databases *d, const struct database **out, size_t max);
/* A save there is a part of T6. */
bool databases_is_own(const struct databases *d, const struct database *database);
/* Does a flow of the set, of these only, load from it, or save to it? */
bool databases_is_used(const struct flow_set *set, const char *const *only, size_t only_n,
                       const struct database *d);
/* Does a save there need offpath_applied: in a transaction of its own, that must not be repeated?
 */
bool databases_needs_applied(const struct flow_set *set, const char *const *only, size_t only_n,
                             const struct database *d, const struct store_url *record);
