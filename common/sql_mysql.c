#include "common/sql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/clock.h"

/* Longer unused, and it is tried first: a server closes what idles. */
enum { IDLE_MS = 5000, TRIES = 3 };

struct sql_mysql {
    struct sql sql; /* first */
    const struct database *database;
    struct store_url url; /* its password as of the last connect */
    struct sql_settings settings;
    struct store *store;
    int64_t used_ms;
    unsigned limit; /* of rows, as the session has it; 0: none */
    char why[STORE_WHY];
};

static struct sql_mysql *of(const struct sql *s)
{
    return (struct sql_mysql *)(uintptr_t)s;
}

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

static int note(struct sql_mysql *m, int err)
{
    if (err && m->store)
        snprintf(m->why, sizeof m->why, "%s", store_why(m->store));
    m->used_ms = now_ms();
    return err;
}

static void put(char *out, size_t size, const char *text)
{
    snprintf(out, size, "%s", text ? text : "");
}

static int connect(struct sql_mysql *m)
{
    bool stale = m->store && now_ms() - m->used_ms > IDLE_MS;
    if (m->store && !store_lost(m->store) && !(stale && store_ping(m->store)))
        return 0;
    store_close(m->store);
    m->store = NULL;
    m->limit = 0;
    put(m->url.pass, sizeof m->url.pass, database_password(m->database));
    const struct store_settings s = {&m->url, m->settings.connect_ms, m->settings.io_ms};
    return store_open(&s, &m->store, m->why);
}

/* A login that is refused can be mended; a job cannot be made again. */
static int away(int err)
{
    return err == ERR_NOMEM ? err : ERR_IO;
}

/* What the errors of sql.h are for the user's statement. */
static int outer(int err)
{
    return err == ERR_SETUP || err == ERR_TOO_LARGE || err == ERR_BUG ? ERR_REFUSED : err;
}

/* One row more than wanted tells that there are more, and no more than that are sent. */
static int set_limit(struct sql_mysql *m, unsigned rows_max)
{
    char set[64];
    if (m->limit == rows_max + 1)
        return 0;
    snprintf(set, sizeof set, "SET sql_select_limit=%u", rows_max + 1);
    int err = store_exec(m->store, set);
    m->limit = err ? 0 : rows_max + 1;
    return err;
}

static int ask(struct sql_mysql *m, const struct sql_statement *q, unsigned rows_max,
               struct json **rows)
{
    int err = store_mode(m->store, STORE_ALONE);
    if (!err)
        err = set_limit(m, rows_max);
    if (!err)
        err = sql_store_rows(m->store, q, rows_max, rows);
    return err == ERR_TOO_LARGE ? err : outer(err);
}

static int do_select(struct sql *sql, const struct sql_statement *q, unsigned rows_max,
                     struct json **rows)
{
    struct sql_mysql *m = of(sql);
    int err = connect(m);
    if (err)
        return away(err);
    err = note(m, ask(m, q, rows_max, rows));
    if (err == ERR_TOO_LARGE)
        snprintf(m->why, sizeof m->why, "more than %u rows, or 8 MB", rows_max);
    return err;
}

/* ERR_EXISTS: applied before. */
static int mark(struct sql_mysql *m, const struct job_id *job, int step)
{
    static const struct store_sql q = {
        .head = "INSERT INTO offpath_applied(job,step,at) VALUES (?,?,NOW(6))"};
    const struct store_value v[] = {store_bytes(job->b, sizeof job->b), store_int(step)};
    return store_run(m->store, &q, 0, v, 2);
}

static int commit(struct sql_mysql *m)
{
    int err = store_commit(m->store);
    return err == ERR_IO ? ERR_OUTCOME_UNKNOWN : err;
}

static int transact(struct sql_mysql *m, const struct job_id *job, int step,
                    const struct sql_statement *q, size_t n)
{
    bool before = false;
    int err = store_mode(m->store, STORE_TOGETHER);
    if (!err && step >= 0) {
        err = mark(m, job, step);
        before = err == ERR_EXISTS;
    }
    for (size_t i = 0; i < n && !err; i++)
        err = sql_store_run(m->store, &q[i]);
    if (!err)
        err = commit(m);
    if (err) {
        note(m, err);
        store_rollback(m->store);
    }
    return before ? 0 : outer(err);
}

static int apply(struct sql *sql, const struct job_id *job, int step, const struct sql_statement *q,
                 size_t n)
{
    struct sql_mysql *m = of(sql);
    int err = connect(m);
    if (err)
        return away(err);
    err = ERR_CONFLICT;
    for (int i = 0; i < TRIES && err == ERR_CONFLICT; i++)
        err = transact(m, job, step, q, n);
    m->used_ms = now_ms();
    return err;
}

static int look(struct sql *sql, bool applied)
{
    static const struct store_sql q = {.head = "SELECT job,step,at FROM offpath_applied LIMIT 1"};
    struct sql_mysql *m = of(sql);
    int err = connect(m);
    if (!err && applied) {
        err = store_mode(m->store, STORE_ALONE);
        if (!err)
            err = note(m, store_run(m->store, &q, 0, NULL, 0));
    }
    return err;
}

static int prepare(struct sql *sql)
{
    struct sql_mysql *m = of(sql);
    int err = look(sql, true); /* an account that may make no table needs none where it is */
    return err == ERR_SETUP ? note(m, store_exec(m->store, sql_applied_table)) : err;
}

static int sweep(struct sql *sql, bool *more)
{
    static const struct store_sql q = {
        .head = "DELETE FROM offpath_applied WHERE at<NOW(6)-INTERVAL 400 DAY LIMIT 500"};
    struct sql_mysql *m = of(sql);
    int err = connect(m);
    if (err)
        return away(err);
    err = store_mode(m->store, STORE_ALONE);
    if (!err)
        err = store_run(m->store, &q, 0, NULL, 0);
    *more = !err && store_affected(m->store) >= 500;
    return note(m, err);
}

static const char *why(const struct sql *sql)
{
    return of(sql)->why;
}

static void close_sql(struct sql *sql)
{
    store_close(of(sql)->store);
    free(of(sql));
}

static const struct sql_ops ops = {
    .close = close_sql,
    .select = do_select,
    .apply = apply,
    .look = look,
    .prepare = prepare,
    .sweep = sweep,
    .why = why,
};

int sql_mysql_open(const struct sql_settings *s, const struct database *d, struct sql **out)
{
    struct sql_mysql *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    m->sql.ops = &ops;
    m->settings = *s;
    m->database = d;
    struct store_url *u = &m->url;
    put(u->user, sizeof u->user, d->user);
    put(u->host, sizeof u->host, d->host);
    put(u->db, sizeof u->db, d->schema);
    put(u->ca, sizeof u->ca, d->ca);
    put(u->cert, sizeof u->cert, d->cert);
    put(u->key, sizeof u->key, d->key);
    u->port = d->port;
    u->tls = d->tls;
    *out = &m->sql;
    return 0;
}
