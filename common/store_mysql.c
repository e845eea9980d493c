/* MariaDB Connector/C or libmysqlclient 8, blocking calls only: the non-blocking ones differ.
 * Results are stored at the client as a whole, so the connection is free for the next statement at
 * once. Columns land in buffers of the statement; what is longer than INLINE_MAX is fetched once
 * more. */
#include "common/store.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mysql.h>

#include "common/buf.h"

#if !defined(MARIADB_BASE_VERSION) && MYSQL_VERSION_ID >= 80001
typedef bool my_bool; /* gone in MySQL 8 */
#endif

enum {
    STMTS_MAX = 192,
    COLUMNS_MAX = 32,
    INLINE_MAX = 192,
    PACKET_MAX = 64 << 20,
    SQL_MAX = 1 << 20
};

struct column { /* where a fetched value lands */
    enum store_kind kind;
    long long i;
    MYSQL_TIME time;
    char small[INLINE_MAX];
    char *big; /* owned; a value longer than small */
    size_t big_cap;
    unsigned long len;
    my_bool null, cut;
};

struct stmt {
    const struct store_sql *q;
    size_t rows, params_n, columns_n;
    MYSQL_STMT *handle;
    MYSQL_BIND *params;
    MYSQL_TIME *times;
    struct column *columns;
    MYSQL_BIND *results;
};

struct store {
    MYSQL *mysql;
    enum store_mode mode;
    bool lost, all_new;
    int64_t affected;
    struct stmt *active; /* whose rows are being read */
    struct stmt stmts[STMTS_MAX];
    size_t stmts_n, victim;
    struct store_value values[COLUMNS_MAX];
    char why[STORE_WHY];
};

/* ---- errors */

static int failed(struct store *s, unsigned number, const char *sqlstate, const char *text)
{
    int err = store_err_of(number, sqlstate);
    snprintf(s->why, sizeof s->why, "%u %s", number, text);
    if (err == ERR_IO)
        s->lost = true;
    return err;
}

static int connection_failed(struct store *s)
{
    return failed(s, mysql_errno(s->mysql), mysql_sqlstate(s->mysql), mysql_error(s->mysql));
}

static int stmt_failed(struct store *s, const struct stmt *t)
{
    return failed(s, mysql_stmt_errno(t->handle), mysql_stmt_sqlstate(t->handle),
                  mysql_stmt_error(t->handle));
}

const char *store_why(const struct store *s)
{
    return s->why;
}

/* ---- time */

static int64_t us_of(const MYSQL_TIME *t)
{
    struct store_date d = {(int)t->year, t->month,  t->day,        t->hour,
                           t->minute,    t->second, t->second_part};
    return store_date_us(&d);
}

static void time_of(int64_t us, MYSQL_TIME *t)
{
    struct store_date d = store_date_of(us);
    memset(t, 0, sizeof *t);
    t->year = (unsigned)d.year;
    t->month = d.month;
    t->day = d.day;
    t->hour = d.hour;
    t->minute = d.minute;
    t->second = d.second;
    t->second_part = d.us;
    t->time_type = MYSQL_TIMESTAMP_DATETIME;
}

/* ---- connection */

static void library_init(void)
{
    mysql_library_init(0, NULL, NULL);
}

static void set_options(MYSQL *m, const struct store_settings *s)
{
    unsigned connect_s = (unsigned)(s->connect_ms + 999) / 1000,
             io_s = (unsigned)s->io_ms / 1000 + 1;
    unsigned protocol = s->url->socket[0] ? MYSQL_PROTOCOL_SOCKET : MYSQL_PROTOCOL_TCP;
    unsigned long packet = PACKET_MAX;
    mysql_options(m, MYSQL_OPT_CONNECT_TIMEOUT, &connect_s);
    mysql_options(m, MYSQL_OPT_READ_TIMEOUT, &io_s);
    mysql_options(m, MYSQL_OPT_WRITE_TIMEOUT, &io_s);
    mysql_options(m, MYSQL_OPT_PROTOCOL, &protocol);
    mysql_options(m, MYSQL_OPT_MAX_ALLOWED_PACKET, &packet);
    mysql_options(m, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    if (s->url->ca[0])
        mysql_options(m, MYSQL_OPT_SSL_CA, s->url->ca);
    if (s->url->cert[0])
        mysql_options(m, MYSQL_OPT_SSL_CERT, s->url->cert);
    if (s->url->key[0])
        mysql_options(m, MYSQL_OPT_SSL_KEY, s->url->key);
#ifdef MARIADB_BASE_VERSION /* defaults differ between releases: always said */
    my_bool tls = s->url->tls;
    mysql_options(m, MYSQL_OPT_SSL_ENFORCE, &tls);
    mysql_options(m, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &tls);
#else
    unsigned mode = s->url->tls ? SSL_MODE_VERIFY_IDENTITY : SSL_MODE_PREFERRED;
    mysql_options(m, MYSQL_OPT_SSL_MODE, &mode);
#endif
}

/* In two statements: the isolation level has one spelling that both servers know, and that is not a
 * variable. */
static int session_set(struct store *s)
{
    int err =
        store_exec(s, "SET time_zone='+00:00', sql_mode='STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION',"
                      " innodb_lock_wait_timeout=5");
    if (!err)
        err = store_exec(s, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED");
    return err;
}

int store_open(const struct store_settings *settings, struct store **out, char why[STORE_WHY])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct store_url *u = settings->url;
    pthread_once(&once, library_init);
    mysql_thread_init();
    struct store *s = calloc(1, sizeof *s);
    int err = ERR_NOMEM;
    if (!s || !(s->mysql = mysql_init(NULL)))
        goto out;
    set_options(s->mysql, settings);
    if (!mysql_real_connect(s->mysql, u->host, u->user, u->pass, u->db, u->port,
                            u->socket[0] ? u->socket : NULL, 0))
        err = connection_failed(s);
    else
        err = session_set(s);
out:
    if (err) {
        snprintf(why, STORE_WHY, "%s", s ? s->why : "out of memory");
        store_close(s);
        return err;
    }
    *out = s;
    return 0;
}

static void stmt_fini(struct stmt *t)
{
    if (t->handle)
        mysql_stmt_close(t->handle);
    while (t->columns && t->columns_n)
        free(t->columns[--t->columns_n].big);
    free(t->columns);
    free(t->results);
    free(t->params);
    free(t->times);
    memset(t, 0, sizeof *t);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->stmts_n; i++)
        stmt_fini(&s->stmts[i]);
    if (s->mysql)
        mysql_close(s->mysql);
    mysql_thread_end();
    free(s);
}

int store_ping(struct store *s)
{
    return mysql_ping(s->mysql) ? connection_failed(s) : 0;
}

int store_exec(struct store *s, const char *sql)
{
    if (mysql_real_query(s->mysql, sql, (unsigned long)strlen(sql)))
        return connection_failed(s);
    MYSQL_RES *rows = mysql_store_result(s->mysql);
    if (rows)
        mysql_free_result(rows);
    else if (mysql_errno(s->mysql))
        return connection_failed(s);
    return 0;
}

/* ---- preparing */

static void bind_to(MYSQL_BIND *b, enum enum_field_types type, void *at, size_t len)
{
    b->buffer_type = type;
    b->buffer = at;
    b->buffer_length = (unsigned long)len;
}

static void result_bind(const MYSQL_FIELD *f, struct column *c, MYSQL_BIND *b)
{
    b->length = &c->len;
    b->is_null = &c->null;
    b->error = &c->cut;
    switch (f->type) {
    case MYSQL_TYPE_TINY:
    case MYSQL_TYPE_SHORT:
    case MYSQL_TYPE_INT24:
    case MYSQL_TYPE_LONG:
    case MYSQL_TYPE_LONGLONG:
        c->kind = STORE_INT;
        bind_to(b, MYSQL_TYPE_LONGLONG, &c->i, sizeof c->i);
        b->is_unsigned = (f->flags & UNSIGNED_FLAG) != 0;
        break;
    case MYSQL_TYPE_DATETIME:
    case MYSQL_TYPE_TIMESTAMP:
        c->kind = STORE_TIME;
        bind_to(b, MYSQL_TYPE_DATETIME, &c->time, sizeof c->time);
        break;
    default:
        c->kind = STORE_BYTES;
        bind_to(b, MYSQL_TYPE_BLOB, c->small, sizeof c->small);
    }
}

static int results_prepare(struct store *s, struct stmt *t)
{
    MYSQL_RES *meta = mysql_stmt_result_metadata(t->handle);
    if (!meta)
        return mysql_stmt_errno(t->handle) ? stmt_failed(s, t) : 0;
    int err = ERR_NOMEM;
    t->columns_n = mysql_num_fields(meta);
    t->columns = calloc(t->columns_n, sizeof *t->columns);
    t->results = calloc(t->columns_n, sizeof *t->results);
    if (t->columns_n > COLUMNS_MAX)
        err = ERR_BUG;
    else if (t->columns && t->results) {
        for (size_t i = 0; i < t->columns_n; i++)
            result_bind(mysql_fetch_field_direct(meta, (unsigned)i), &t->columns[i],
                        &t->results[i]);
        err = mysql_stmt_bind_result(t->handle, t->results) ? stmt_failed(s, t) : 0;
    }
    mysql_free_result(meta);
    return err;
}

static int stmt_prepare(struct store *s, struct stmt *t, const struct store_sql *q, size_t rows)
{
    struct buf sql;
    buf_init(&sql, SQL_MAX);
    int err = store_sql_text(q, rows, &sql);
    *t = (struct stmt){.q = q, .rows = rows};
    if (err)
        goto out;
    t->handle = mysql_stmt_init(s->mysql);
    err = ERR_NOMEM;
    if (!t->handle)
        goto out;
    err = mysql_stmt_prepare(t->handle, sql.data, (unsigned long)sql.len) ? stmt_failed(s, t) : 0;
    if (err)
        goto out;
    err = ERR_NOMEM;
    t->params_n = mysql_stmt_param_count(t->handle);
    t->params = calloc(t->params_n + 1, sizeof *t->params);
    t->times = calloc(t->params_n + 1, sizeof *t->times);
    if (t->params && t->times)
        err = results_prepare(s, t);
out:
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

/* ---- running */

static void forget_rows(struct store *s)
{
    if (s->active)
        mysql_stmt_free_result(s->active->handle);
    s->active = NULL;
}

static void param_bind(const struct store_value *v, MYSQL_BIND *b, MYSQL_TIME *time)
{
    memset(b, 0, sizeof *b);
    /* the client only reads parameters: casting const away is safe */
    switch (v->kind) {
    case STORE_NULL:
        bind_to(b, MYSQL_TYPE_NULL, NULL, 0);
        break;
    case STORE_INT:
        bind_to(b, MYSQL_TYPE_LONGLONG, (void *)(uintptr_t)&v->i, sizeof v->i);
        break;
    case STORE_TIME:
        time_of(v->i, time);
        bind_to(b, MYSQL_TYPE_DATETIME, time, sizeof *time);
        break;
    case STORE_BYTES:
        bind_to(b, MYSQL_TYPE_BLOB, (void *)(uintptr_t)v->p, v->len);
        break;
    }
}

int store_run(struct store *s, const struct store_sql *q, size_t rows,
              const struct store_value *params, size_t n)
{
    struct stmt *t;
    forget_rows(s);
    int err = stmt_find(s, q, q->row ? rows : 0, &t);
    if (err)
        return err;
    if (n != t->params_n) {
        snprintf(s->why, sizeof s->why, "%zu parameters for %zu in: %.150s", n, t->params_n,
                 q->head);
        return ERR_BUG;
    }
    for (size_t i = 0; i < n; i++)
        param_bind(&params[i], &t->params[i], &t->times[i]);
    if ((n && mysql_stmt_bind_param(t->handle, t->params)) || mysql_stmt_execute(t->handle))
        return stmt_failed(s, t);
    if (t->columns_n) {
        if (mysql_stmt_store_result(t->handle))
            return stmt_failed(s, t);
        s->active = t;
        return 0;
    }
    /* "Records: 3 Duplicates: 1 Warnings: 0"; servers say it for more than one row */
    const char *info = mysql_info(s->mysql);
    s->affected = (int64_t)mysql_stmt_affected_rows(t->handle);
    s->all_new =
        s->affected == (int64_t)rows && (rows == 1 || (info && strstr(info, "Duplicates: 0")));
    return 0;
}

static int column_read(struct store *s, struct stmt *t, size_t i)
{
    struct column *c = &t->columns[i];
    struct store_value *v = &s->values[i];
    *v = (struct store_value){c->null ? STORE_NULL : c->kind, 0, NULL, 0};
    if (v->kind == STORE_INT)
        v->i = c->i;
    else if (v->kind == STORE_TIME)
        v->i = us_of(&c->time);
    if (v->kind != STORE_BYTES)
        return 0;
    v->p = c->small;
    v->len = c->len;
    if (c->len <= sizeof c->small)
        return 0;
    if (c->len > c->big_cap) {
        char *big = realloc(c->big, c->len);
        if (!big)
            return ERR_NOMEM;
        c->big = big;
        c->big_cap = c->len;
    }
    MYSQL_BIND b = t->results[i];
    b.buffer = c->big;
    b.buffer_length = c->len;
    v->p = c->big;
    return mysql_stmt_fetch_column(t->handle, &b, (unsigned)i, 0) ? stmt_failed(s, t) : 0;
}

int store_next(struct store *s, const struct store_value **columns)
{
    struct stmt *t = s->active;
    if (!t)
        return 0;
    int got = mysql_stmt_fetch(t->handle);
    int err = got == 1 ? stmt_failed(s, t) : 0;
    if (got == MYSQL_NO_DATA || err) {
        forget_rows(s);
        return err;
    }
    for (size_t i = 0; !err && i < t->columns_n; i++)
        err = column_read(s, t, i);
    if (err)
        return err;
    *columns = s->values;
    return 1;
}

int64_t store_affected(const struct store *s)
{
    return s->affected;
}

bool store_lost(const struct store *s)
{
    return s->lost;
}

bool store_all_new(const struct store *s)
{
    return s->all_new;
}

/* ---- transactions */

int store_mode(struct store *s, enum store_mode mode)
{
    forget_rows(s);
    if (s->mode != mode && mysql_autocommit(s->mysql, mode == STORE_ALONE))
        return connection_failed(s);
    s->mode = mode;
    return 0;
}

int store_commit(struct store *s)
{
    forget_rows(s);
    return mysql_commit(s->mysql) ? connection_failed(s) : 0;
}

void store_rollback(struct store *s)
{
    forget_rows(s);
    if (!s->lost && mysql_rollback(s->mysql))
        s->lost = true;
}
