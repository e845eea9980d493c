/* store.h - a thin layer over an SQL client: one connection, prepared statements with parameters,
 * multi-row statements, rows, transactions. Knows nothing of the record. Adapter: store_mysql.c,
 * the only file that includes the MySQL client. One struct store belongs to one thread; calls block
 * up to io_ms. Session: UTC, strict, utf8mb4, READ COMMITTED, lock wait 5 s; a transaction that
 * says nothing for 15 s is ended by the server (its host may be lost), on MySQL also a connection
 * that rests so long in mode TOGETHER; no reconnect by itself: after ERR_IO close and open again.
 * Errors of all that talk to the server: ERR_IO (connection lost, server stopping or read-only),
 * ERR_CONFLICT (deadlock or lock time-out: roll back, repeat the transaction), ERR_SETUP (no such
 * table or column), ERR_EXISTS (duplicate key, table is there), ERR_TOO_LARGE (packet), ERR_REFUSED
 * (anything else: the statement or its data; repeating does not help), ERR_NOMEM. store_why says
 * more. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

enum { STORE_WHY = 256, STORE_ROWS_MAX = 100 };

/* mysql://user:pass@host:port/db?tls=on&ca=/path&socket=/path, %XX decoded; cert and key: of
 * upstreams.yaml only. */
struct store_url {
    char user[81], pass[161], host[256], db[65], ca[256], cert[256], key[256], socket[108];
    unsigned port; /* 3306 when absent */
    bool tls;      /* tls=on: enforced, certificate and name verified; default: in clear */
};
/* 0 or ERR_INVALID with why = what is wrong, without the password. Pure. */
int store_url_parse(const char *url, struct store_url *out, char why[STORE_WHY]) must_use;

/* The error of a server's or client's number and SQLSTATE, of our own statements or of a user's:
 * what is not known is a server that is not well in ours, a statement that will never do in theirs.
 * Pure.
 */
int store_err_of(unsigned number, const char *sqlstate);
int store_err_of_user(unsigned number, const char *sqlstate);
/* A server's words without the value that some errors quote: whose data it is, logs do not know.
 * Cut at size. Pure. */
void store_hide_value(unsigned number, const char *text, char *out, size_t size);

struct store;
struct store_settings {
    const struct store_url *url;
    int connect_ms, io_ms;
};
/* 0, ERR_IO (away), ERR_REFUSED (login, no such database), ERR_NOMEM; why: the client's words. */
int store_open(const struct store_settings *s, struct store **out, char why[STORE_WHY]) must_use;
void store_close(struct store *s);
bool store_lost(const struct store *s); /* an ERR_IO came: of no use any more */
/* Of the last error, "1213 Deadlock found ...", without values; lent. Forgotten: "". */
const char *store_why(const struct store *s);
void store_why_forget(struct store *s);
int store_ping(struct store *s) must_use;

/* A DATETIME(6) in UTC; years 0 to 9999. Pure. */
struct store_date {
    int year;
    unsigned month, day, hour, minute, second;
    unsigned long us;
};
struct store_date store_date_of(int64_t us);
int64_t store_date_us(const struct store_date *d);

/* ---- values, for parameters and columns */
enum store_kind { STORE_NULL, STORE_INT, STORE_BYTES, STORE_TIME, STORE_TEXT, STORE_DOUBLE };
struct store_value {
    enum store_kind kind;
    int64_t i;     /* INT (unsigned ones as the same bits); TIME: Unix us */
    const void *p; /* BYTES: borrowed until the statement ran; of a column: lent until store_next */
    size_t len;
    double d; /* DOUBLE; TEXT is bytes in utf8mb4, compared as text */
};
static inline struct store_value store_null(void)
{
    return (struct store_value){.kind = STORE_NULL};
}
static inline struct store_value store_int(int64_t i)
{
    return (struct store_value){.kind = STORE_INT, .i = i};
}
static inline struct store_value store_time(int64_t us) /* 0: NULL */
{
    return (struct store_value){.kind = us ? STORE_TIME : STORE_NULL, .i = us};
}
static inline struct store_value store_bytes(const void *p, size_t len) /* p NULL: NULL */
{
    return (struct store_value){.kind = p ? STORE_BYTES : STORE_NULL, .p = p, .len = len};
}
struct store_value store_text(const char *text); /* NULL: NULL */

/* ---- statements: head, row repeated with `join` between (NULL: a comma), tail. Prepared once per
 * connection and number of rows; the address of the struct is its name, so let it be static. */
struct store_sql {
    const char *head, *row, *tail, *join; /* row NULL: head alone */
};
struct buf;
int store_sql_text(const struct store_sql *q, size_t rows, struct buf *out) must_use; /* pure */

/* Run with `rows` rows and n parameters in order. Rows of the one before are forgotten. */
int store_run(struct store *s, const struct store_sql *q, size_t rows,
              const struct store_value *params, size_t n) must_use;
/* Text, not prepared, no parameters, its rows dropped: DDL, SET. */
int store_exec(struct store *s, const char *sql) must_use;

/* ---- a user's statement: any text, columns as they are: INT, DOUBLE, TEXT (DECIMAL, dates and
 * times too), BYTES, NULL. Its rows come from the server one by one, and so may its errors: it is
 * done when store_next says so. */
struct store_column {
    const char *name;
    bool is_unsigned, json, bits; /* of INT; TEXT is JSON; BYTES is a number, highest byte first */
};
int store_ask(struct store *s, const char *sql, const struct store_value *params,
              size_t n) must_use;
/* The columns of its rows, lent until the next statement; their number, 0: it gives no rows. */
size_t store_columns(const struct store *s, const struct store_column **out);
/* The database that names without one mean, from now on; costs nothing when it stays the same. */
int store_use(struct store *s, const char *db) must_use;

/* Next row: its columns, lent until the next call with s. 1, 0 (no more), or an error. */
int store_next(struct store *s, const struct store_value **columns) must_use;
void store_forget(struct store *s); /* the rows that are left */
/* Of the last store_run. ON DUPLICATE KEY UPDATE counts 1 inserted, 2 changed, 0 left alone. */
int64_t store_affected(const struct store *s);
/* The last multi-row INSERT met no duplicate key: every row is new. false also if not known. */
bool store_all_new(const struct store *s);

/* Multi-row statements come in few sizes (1, 2, 4 .. 64, 100), so that few are prepared.
 * fill: how many of n rows the next statement takes. cover: rows of one statement that can take n
 * (n <= 100) when the rest is filled up with copies, as in IN lists. Pure. */
size_t store_rows_fill(size_t n);
size_t store_rows_cover(size_t n);

/* ---- transactions: a new connection is in mode ALONE, each statement commits by itself; in mode
 * TOGETHER all up to store_commit or store_rollback are one. Costs nothing when it stays the same.
 */
enum store_mode { STORE_ALONE, STORE_TOGETHER };
int store_mode(struct store *s, enum store_mode mode) must_use;
/* Wait 1 s for a lock from now on, or 5 s again. */
int store_patience(struct store *s, bool impatient) must_use;
int store_commit(struct store *s) must_use; /* ERR_IO: perhaps committed */
void store_rollback(struct store *s);
