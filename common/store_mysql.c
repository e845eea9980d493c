/* MariaDB Connector/C or libmysqlclient 8, blocking calls only: the non-blocking ones differ.
 * Results are stored at the client as a whole, so the connection is free for the next statement at
 * once; those of a user's statement are read row by row. Columns land in buffers of the statement;
 * what is longer than INLINE_MAX is fetched once more. */
#include "common/store_client.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <mysql.h>

#if !defined(MARIADB_BASE_VERSION) && MYSQL_VERSION_ID >= 80001
typedef bool my_bool; /* gone in MySQL 8 */
#endif

enum { INLINE_MAX = 192, PACKET_MAX = 64 << 20 };

struct column { /* where a fetched value lands */
    enum store_kind kind;
    long long i;
    double d;
    MYSQL_TIME time;
    char small[INLINE_MAX];
    char *big; /* owned; a value longer than small */
    size_t big_cap;
    unsigned long len;
    my_bool null, cut;
};

/* ---- errors */

static int failed(struct store *s, bool user, unsigned number, const char *sqlstate,
                  const char *text)
{
    int err = user ? store_err_of_user(number, sqlstate) : store_err_of(number, sqlstate);
    int n = snprintf(s->why, sizeof s->why, "%u ", number);
    store_hide_value(number, text, s->why + n, sizeof s->why - (size_t)n);
    if (err == ERR_IO)
        s->lost = true;
    return err;
}

static int connection_failed(struct store *s)
{
    return failed(s, false, mysql_errno(s->client), mysql_sqlstate(s->client),
                  mysql_error(s->client));
}

static int stmt_failed(struct store *s, const struct stmt *t)
{
    return failed(s, t == &s->user, mysql_stmt_errno(t->handle), mysql_stmt_sqlstate(t->handle),
                  mysql_stmt_error(t->handle));
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

int store_open(const struct store_settings *settings, struct store **out, char why[STORE_WHY])
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    const struct store_url *u = settings->url;
    pthread_once(&once, library_init);
    mysql_thread_init();
    struct store *s = calloc(1, sizeof *s);
    int err = ERR_NOMEM;
    if (!s || !(s->client = mysql_init(NULL)))
        goto out;
    set_options(s->client, settings);
    if (!mysql_real_connect(s->client, u->host, u->user, u->pass, u->db, u->port,
                            u->socket[0] ? u->socket : NULL, 0))
        err = connection_failed(s);
    else
        err = store_session(s);
    snprintf(s->db, sizeof s->db, "%s", u->db);
out:
    if (err) {
        snprintf(why, STORE_WHY, "%s", s ? s->why : "out of memory");
        store_close(s);
        return err;
    }
    *out = s;
    return 0;
}

void stmt_fini(struct stmt *t)
{
    if (t->handle)
        mysql_stmt_close(t->handle);
    while (t->columns && t->columns_n)
        free(t->columns[--t->columns_n].big);
    if (t->meta)
        mysql_free_result(t->meta);
    void *const owned[] = {t->columns, t->results, t->values, t->shapes,
                           t->params,  t->times,   t->text};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++)
        free(owned[i]);
    memset(t, 0, sizeof *t);
}

void store_close(struct store *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->stmts_n; i++)
        stmt_fini(&s->stmts[i]);
    stmt_fini(&s->user);
    if (s->client)
        mysql_close(s->client);
    mysql_thread_end();
    free(s);
}

int store_ping(struct store *s)
{
    stmt_forget_rows(s);
    return mysql_ping(s->client) ? connection_failed(s) : 0;
}

int store_exec(struct store *s, const char *sql)
{
    stmt_forget_rows(s);
    if (mysql_real_query(s->client, sql, (unsigned long)strlen(sql)))
        return connection_failed(s);
    MYSQL_RES *rows = mysql_store_result(s->client);
    if (rows)
        mysql_free_result(rows);
    else if (mysql_errno(s->client))
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

static bool is_json(const MYSQL_FIELD *f)
{
#ifdef MARIADB_BASE_VERSION /* a kind of text there */
    MARIADB_CONST_STRING format;
    if (mariadb_field_attr(&format, f, MARIADB_FIELD_ATTR_FORMAT_NAME) == 0 && format.length == 4 &&
        memcmp(format.str, "json", 4) == 0)
        return true;
#endif
    return f->type == MYSQL_TYPE_JSON;
}

/* As a user sees it: numbers that JSON has, all else as the server writes it. */
static void result_bind_user(const MYSQL_FIELD *f, struct column *c, MYSQL_BIND *b,
                             struct store_column *shape)
{
    result_bind(f, c, b);
    *shape = (struct store_column){.name = f->name,
                                   .is_unsigned = (f->flags & UNSIGNED_FLAG) != 0,
                                   .json = is_json(f),
                                   .bits = f->type == MYSQL_TYPE_BIT};
    if (f->type == MYSQL_TYPE_FLOAT || f->type == MYSQL_TYPE_DOUBLE) {
        c->kind = STORE_DOUBLE;
        bind_to(b, MYSQL_TYPE_DOUBLE, &c->d, sizeof c->d);
    } else if (f->type == MYSQL_TYPE_YEAR) {
        c->kind = STORE_INT;
        bind_to(b, MYSQL_TYPE_LONGLONG, &c->i, sizeof c->i);
    } else if (c->kind != STORE_INT && !shape->bits) {
        c->kind = STORE_TEXT;
        bind_to(b, MYSQL_TYPE_STRING, c->small, sizeof c->small);
    }
}

static int results_prepare(struct store *s, struct stmt *t)
{
    t->meta = mysql_stmt_result_metadata(t->handle);
    if (!t->meta)
        return mysql_stmt_errno(t->handle) ? stmt_failed(s, t) : 0;
    size_t n = mysql_num_fields(t->meta);
    t->columns = calloc(n, sizeof *t->columns);
    MYSQL_BIND *results = t->results = calloc(n, sizeof *results);
    t->values = calloc(n, sizeof *t->values);
    t->shapes = calloc(n, sizeof *t->shapes);
    if (!t->columns || !t->results || !t->values || !t->shapes)
        return ERR_NOMEM;
    for (; t->columns_n < n; t->columns_n++) {
        size_t i = t->columns_n;
        const MYSQL_FIELD *f = mysql_fetch_field_direct(t->meta, (unsigned)i);
        if (t->text)
            result_bind_user(f, &t->columns[i], &results[i], &t->shapes[i]);
        else
            result_bind(f, &t->columns[i], &results[i]);
    }
    return mysql_stmt_bind_result(t->handle, t->results) ? stmt_failed(s, t) : 0;
}

int stmt_make(struct store *s, struct stmt *t, const char *sql, size_t len)
{
    t->handle = mysql_stmt_init(s->client);
    if (!t->handle)
        return ERR_NOMEM;
    if (mysql_stmt_prepare(t->handle, sql, (unsigned long)len))
        return stmt_failed(s, t);
    t->params_n = mysql_stmt_param_count(t->handle);
    t->params = calloc(t->params_n + 1, sizeof(MYSQL_BIND));
    t->times = calloc(t->params_n + 1, sizeof(MYSQL_TIME));
    return t->params && t->times ? results_prepare(s, t) : ERR_NOMEM;
}

/* ---- running */

void stmt_forget_rows(struct store *s)
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
    case STORE_TEXT:
        bind_to(b, MYSQL_TYPE_STRING, (void *)(uintptr_t)v->p, v->len);
        break;
    case STORE_DOUBLE:
        bind_to(b, MYSQL_TYPE_DOUBLE, (void *)(uintptr_t)&v->d, sizeof v->d);
        break;
    }
}

int stmt_run(struct store *s, struct stmt *t, size_t rows, const struct store_value *params,
             size_t n)
{
    if (n != t->params_n) {
        snprintf(s->why, sizeof s->why, "%zu parameters for %zu in: %.150s", n, t->params_n,
                 t->text ? t->text : t->q->head);
        return t->text ? ERR_REFUSED : ERR_BUG;
    }
    MYSQL_BIND *binds = t->params;
    MYSQL_TIME *times = t->times;
    for (size_t i = 0; i < n; i++)
        param_bind(&params[i], &binds[i], &times[i]);
    if ((n && mysql_stmt_bind_param(t->handle, t->params)) || mysql_stmt_execute(t->handle))
        return stmt_failed(s, t);
    if (t->columns_n) {
        /* a user's rows may be as big as they like: they come one by one */
        if (t != &s->user && mysql_stmt_store_result(t->handle))
            return stmt_failed(s, t);
        s->active = t;
        return 0;
    }
    /* "Records: 3 Duplicates: 1 Warnings: 0"; servers say it for more than one row */
    const char *info = mysql_info(s->client);
    s->affected = (int64_t)mysql_stmt_affected_rows(t->handle);
    s->all_new =
        s->affected == (int64_t)rows && (rows == 1 || (info && strstr(info, "Duplicates: 0")));
    return 0;
}

static int column_read(struct store *s, struct stmt *t, size_t i)
{
    struct column *c = &t->columns[i];
    struct store_value *v = &t->values[i];
    *v = (struct store_value){.kind = c->null ? STORE_NULL : c->kind, .d = c->d};
    if (v->kind == STORE_INT)
        v->i = c->i;
    else if (v->kind == STORE_TIME)
        v->i = us_of(&c->time);
    if (v->kind != STORE_BYTES && v->kind != STORE_TEXT)
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
    MYSQL_BIND b = ((MYSQL_BIND *)t->results)[i];
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
        stmt_forget_rows(s);
        return err;
    }
    for (size_t i = 0; !err && i < t->columns_n; i++)
        err = column_read(s, t, i);
    if (err)
        return err;
    *columns = t->values;
    return 1;
}

/* ---- transactions */

int store_use(struct store *s, const char *db)
{
    stmt_forget_rows(s);
    if (strcmp(s->db, db) != 0 && mysql_select_db(s->client, db))
        return connection_failed(s);
    snprintf(s->db, sizeof s->db, "%s", db);
    return 0;
}

int store_commit(struct store *s)
{
    stmt_forget_rows(s);
    return mysql_commit(s->client) ? connection_failed(s) : 0;
}

void store_rollback(struct store *s)
{
    stmt_forget_rows(s);
    if (!s->lost && mysql_rollback(s->client))
        s->lost = true;
}
