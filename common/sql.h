/* sql.h - a connection to a user's database: what `load` reads and `save` writes (flow file: load,
 * save; protocols: Save). Port: sql_mysql.c over store.h; fake: sql_fake.h. One struct sql belongs
 * to one thread; calls block. It connects when it is first used, and anew after a loss. Errors:
 * ERR_IO (away), ERR_OUTCOME_UNKNOWN (apply: the answer of COMMIT was lost), ERR_CONFLICT (locked,
 * a deadlock: again helps), ERR_EXISTS (a duplicate key), ERR_TOO_LARGE, ERR_REFUSED (never:
 * statement, data, rights, login), ERR_NOMEM. After an error nothing is applied, but for
 * ERR_OUTCOME_UNKNOWN perhaps all. sql_why says more. */
#pragma once
#include "common/flow.h"
#include "common/id.h"
#include "common/store.h"

struct sql_statement {         /* all borrowed */
    const char *schema;        /* on the record's server: where names without one are; else NULL */
    const char *text;          /* `?` for each parameter */
    const struct json *params; /* an array of null, booleans, numbers and strings */
};

struct sql;
struct sql_ops {
    void (*close)(struct sql *);
    /* Rows as an array of {column: value}: DECIMAL, dates and integers beyond 2^53 are strings,
     * JSON is parsed. *rows: owned. More than rows_max rows, or SQL_BYTES_MAX: ERR_TOO_LARGE. */
    int (*select)(struct sql *, const struct sql_statement *, unsigned rows_max,
                  struct json **rows);
    /* One transaction. step >= 0: with the row of offpath_applied that says that this step of the
     * job is applied; it was already: 0 and nothing done. -1: without. */
    int (*apply)(struct sql *, const struct job_id *, int step, const struct sql_statement *,
                 size_t n);
    /* Is the database there, with the table offpath_applied if `applied`? 0, ERR_IO, ERR_REFUSED
     * (login, database), ERR_SETUP (the table is missing). */
    int (*look)(struct sql *, bool applied);
    /* Create offpath_applied if it is missing. */
    int (*prepare)(struct sql *);
    /* Delete up to 500 rows of offpath_applied that are older than 400 days (protocols: T11);
     * *more: there may be others. */
    int (*sweep)(struct sql *, bool *more);
    const char *(*why)(const struct sql *); /* of the last error; lent until the next call */
};
struct sql {
    const struct sql_ops *ops;
};
enum { SQL_BYTES_MAX = 8 << 20 };

struct sql_settings {
    int connect_ms, io_ms;
};
/* d: borrowed until close. *out: owned (ops->close). 0 or ERR_NOMEM. */
int sql_mysql_open(const struct sql_settings *s, const struct database *d,
                   struct sql **out) must_use;

/* ---- over a store, for sql_mysql.c and the record's own server (sql_store.c) */
/* A statement; a change of database if it names one. As the errors above. Rows are dropped. */
int sql_store_run(struct store *s, const struct sql_statement *q) must_use;
/* The same with its rows. */
int sql_store_rows(struct store *s, const struct sql_statement *q, unsigned rows_max,
                   struct json **rows) must_use;
extern const char sql_applied_table[]; /* CREATE TABLE IF NOT EXISTS offpath_applied ... */

/* Is it the server the record is on, by the same account: then its saves are a part of T6 (flow
 * file: save). Pure. */
bool sql_is_record(const struct database *d, const struct store_url *record);
