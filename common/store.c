/* What of the store needs no client: which statements stay prepared, the session. */
#include "common/store_client.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/buf.h"

enum { SQL_MAX = 1 << 20 };

/* Decision 57: what a lost or frozen host locked is free again after SILENT_S. MariaDB knows a time
 * limit of idle transactions. MySQL has one of idle connections only: those in mode TOGETHER get
 * it. Each server reads its own kind of comment. */
#define SILENT_S       "15"
#define BY_ITSELF      "SET autocommit=1"
#define IN_MYSQL(text) " /*!80000 " text " */"

/* In two statements: the isolation level has one spelling that both servers know, and that is not a
 * variable. autocommit: a server may be set to begin with 0. */
int store_session(struct store *s)
{
    int err = store_exec(s, BY_ITSELF
                         ",time_zone='+00:00',sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
                         "innodb_lock_wait_timeout=5,net_read_timeout=" SILENT_S
                         ",net_write_timeout=" SILENT_S
                         " /*M!100301 ,idle_transaction_timeout=" SILENT_S " */");
    if (!err)
        err = store_exec(s, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    return err;
}

int store_mode(struct store *s, enum store_mode mode)
{
    static const char *const texts[] = {
        [STORE_ALONE] = BY_ITSELF IN_MYSQL(",wait_timeout=DEFAULT"),
        [STORE_TOGETHER] = "SET autocommit=0" IN_MYSQL(",wait_timeout=" SILENT_S),
    };
    stmt_forget_rows(s);
    int err = s->mode == mode ? 0 : store_exec(s, texts[mode]);
    if (!err)
        s->mode = mode;
    return err;
}

int store_patience(struct store *s, bool impatient)
{
    return store_exec(s, impatient ? "SET innodb_lock_wait_timeout=1"
                                   : "SET innodb_lock_wait_timeout=5");
}

static int stmt_prepare(struct store *s, struct stmt *t, const struct store_sql *q, size_t rows)
{
    struct buf sql;
    buf_init(&sql, SQL_MAX);
    int err = store_sql_text(q, rows, &sql);
    *t = (struct stmt){.q = q, .rows = rows};
    if (!err)
        err = stmt_make(s, t, sql.data, sql.len);
    buf_fini(&sql);
    if (err)
        stmt_fini(t);
    return err;
}

/* By the address of the text and the number of rows; a program has a few dozen of them. */
static int stmt_find(struct store *s, const struct store_sql *q, size_t rows, struct stmt **out)
{
    for (size_t i = 0; i < s->stmts_n; i++) {
        if (s->stmts[i].q == q && s->stmts[i].rows == rows) {
            *out = &s->stmts[i];
            return 0;
        }
    }
    size_t at = s->stmts_n;
    if (at == STMTS_MAX) { /* more than this program has: give up one in turn */
        at = s->victim++ % STMTS_MAX;
        stmt_fini(&s->stmts[at]);
    }
    int err = stmt_prepare(s, &s->stmts[at], q, rows);
    if (err)
        return err; /* a slot given up stays empty: it is found by no statement */
    s->stmts_n += at == s->stmts_n;
    *out = &s->stmts[at];
    return 0;
}

int store_run(struct store *s, const struct store_sql *q, size_t rows,
              const struct store_value *params, size_t n)
{
    struct stmt *t;
    stmt_forget_rows(s);
    int err = stmt_find(s, q, q->row ? rows : 0, &t);
    if (err)
        return err;
    return stmt_run(s, t, rows, params, n);
}

/* Kept for the next only where there are no rows: a table may get other columns meanwhile. */
int store_ask(struct store *s, const char *sql, const struct store_value *params, size_t n)
{
    struct stmt *t = &s->user;
    stmt_forget_rows(s);
    bool same = t->text && !t->columns_n && strcmp(t->text, sql) == 0 && strcmp(t->db, s->db) == 0;
    if (!same) {
        stmt_fini(t);
        memcpy(t->db, s->db, sizeof t->db);
        t->text = strdup(sql);
        int err = t->text ? stmt_make(s, t, sql, strlen(sql)) : ERR_NOMEM;
        if (err) {
            stmt_fini(t);
            return err;
        }
    }
    return stmt_run(s, t, 1, params, n);
}

void store_forget(struct store *s)
{
    stmt_forget_rows(s);
}

const char *store_why(const struct store *s)
{
    return s->why;
}

int64_t store_affected(const struct store *s)
{
    return s->affected;
}

void store_why_forget(struct store *s)
{
    s->why[0] = 0;
}

bool store_lost(const struct store *s)
{
    return s->lost;
}

bool store_all_new(const struct store *s)
{
    return s->all_new;
}

size_t store_columns(const struct store *s, const struct store_column **out)
{
    *out = s->user.shapes;
    return s->user.columns_n;
}
