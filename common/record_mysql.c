/* The connections behind all operations: made anew when lost, prepared statements with them.
 * Every operation is a body run by record_transact or record_alone; a body that is repeated starts
 * from nothing, so it must hold no state of its own between two runs. */
#include "common/record_mysql.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ATTEMPTS = 10, STALE_MS = 1000, FIRST_ROWS = 16 };

/* ---- connection and transactions */

static struct store **store_of(struct record_mysql *r, enum store_mode mode)
{
    return &r->stores[r->two ? mode : STORE_ALONE];
}

static bool connected(struct record_mysql *r, enum store_mode mode)
{
    struct store *s = *store_of(r, mode);
    return s && !store_lost(s);
}

int record_connect(struct record_mysql *r, enum store_mode mode, char why[STORE_WHY])
{
    struct store_settings s = {&r->url, r->connect_ms, r->io_ms};
    struct store **store = store_of(r, mode);
    int err = 0;
    if (!connected(r, mode)) {
        store_close(*store);
        *store = NULL;
        err = store_open(&s, store, why);
    }
    r->store = *store;
    return err;
}

static int attempt(struct record_mysql *r, enum store_mode mode, record_body *body, void *arg)
{
    int err = record_connect(r, mode, r->why);
    if (err == ERR_REFUSED) /* the server, not a row: a login can be mended */
        err = ERR_IO;
    if (err)
        return err;
    store_why_forget(r->store);
    err = store_use(r->store, r->url.db); /* a user's statement may have been elsewhere */
    if (!err)
        err = store_mode(r->store, mode);
    if (err)
        return err;
    err = body(r, arg);
    if (!err && mode == STORE_TOGETHER)
        err = store_commit(r->store);
    if (err && mode == STORE_TOGETHER)
        store_rollback(r->store);
    return err;
}

static void keep_why(struct record_mysql *r, int err)
{
    if (!err)
        r->why[0] = 0;
    else if (r->store)
        snprintf(r->why, sizeof r->why, "%s", store_why(r->store));
}

static int repeat(struct record_mysql *r, enum store_mode mode, record_body *body, void *arg)
{
    int64_t from = clock_mono_ms(clock_real());
    bool kept = connected(r, mode);
    for (int i = 0; i < ATTEMPTS; i++) {
        r->args_n = 0;
        int err = attempt(r, mode, body, arg);
        keep_why(r, err);
        /* a connection that was closed while it idled is found out at once: no reason to fail */
        if (err == ERR_IO && kept && clock_mono_ms(clock_real()) - from < STALE_MS)
            kept = false;
        else if (err != ERR_CONFLICT)
            return err;
    }
    return ERR_TIMEOUT;
}

int record_transact(struct record_mysql *r, record_body *body, void *arg)
{
    return repeat(r, STORE_TOGETHER, body, arg);
}

int record_alone(struct record_mysql *r, record_body *body, void *arg)
{
    return repeat(r, STORE_ALONE, body, arg);
}

int record_first(struct record_mysql *r, bool likely, size_t n, record_body *first,
                 record_body *body, void *arg)
{
    int err = ERR_EXISTS;
    if (r->two && likely && n <= FIRST_ROWS)
        err = record_alone(r, first, arg);
    if (err == ERR_EXISTS || err == ERR_REFUSED)
        err = record_transact(r, body, arg);
    return err;
}

/* ---- parameters */

static void add(struct record_mysql *r, struct store_value v)
{
    if (r->args_n == r->args_cap) {
        size_t cap = r->args_cap ? r->args_cap * 2 : 256;
        struct store_value *args = realloc(r->args, cap * sizeof *args);
        if (!args) {
            r->args_failed = true;
            return;
        }
        r->args = args;
        r->args_cap = cap;
    }
    r->args[r->args_n++] = v;
}

void record_int(struct record_mysql *r, int64_t i)
{
    add(r, store_int(i));
}

void record_time(struct record_mysql *r, int64_t us)
{
    add(r, store_time(us));
}

void record_bytes(struct record_mysql *r, const void *p, size_t len)
{
    add(r, store_bytes(p, len));
}

void record_bytes_fitting(struct record_mysql *r, const void *p, size_t len, size_t max)
{
    record_bytes(r, len > max ? NULL : p, len);
}

void record_text(struct record_mysql *r, const char *text)
{
    add(r, store_text(text));
}

int record_run(struct record_mysql *r, const struct store_sql *q, size_t rows)
{
    size_t n = r->args_n;
    bool no_memory = r->args_failed;
    r->args_n = 0;
    r->args_failed = false;
    return no_memory ? ERR_NOMEM : store_run(r->store, q, rows, r->args, n);
}

int record_run_first(struct record_mysql *r, const struct store_sql *q,
                     const struct store_value **columns)
{
    int err = record_run(r, q, 0);
    return err ? err : store_next(r->store, columns);
}

/* ---- opening */

static void close_record(struct record *record)
{
    struct record_mysql *r = record_mysql_of(record);
    store_close(r->stores[STORE_ALONE]);
    store_close(r->stores[STORE_TOGETHER]);
    free(r->args);
    free(r);
}

static const char *why(struct record *record)
{
    return record_mysql_of(record)->why;
}

static int ping(struct record *record)
{
    struct record_mysql *r = record_mysql_of(record);
    int err = record_connect(r, STORE_ALONE, r->why);
    if (!err)
        err = store_ping(r->store);
    keep_why(r, err);
    return err;
}

static const struct record_ops ops = {
    .close = close_record,
    .why = why,
    .ping = ping,
    .now = record_now,
    .schema = record_schema,
    .register_jobs = record_register,
    .look = record_look,
    .read = record_read,
    .cancel = record_cancel,
    .list = record_list,
    .progress = record_progress,
    .worker_start = record_worker_start,
    .worker_renew = record_worker_renew,
    .worker_end = record_worker_end,
    .workers = record_workers,
    .claim = record_claim,
    .ledger = record_ledger,
    .finish = record_finish,
    .pool = record_pool,
    .release = record_release,
    .watch = record_watch,
    .take_over = record_take_over,
    .cancels = record_cancels,
    .outbox_take = record_outbox_take,
    .outbox_delete = record_outbox_delete,
    .outbox_due = record_outbox_due,
    .sweep = record_sweep,
};

/* What to do about a server that is away (ERR_IO), or that knows no such database or account. */
static void say_where(const struct store_url *url, int err, char text[STORE_WHY])
{
    char said[STORE_WHY], at[80];
    memcpy(said, text, sizeof said);
    if (url->socket[0])
        snprintf(at, sizeof at, "%s", url->socket);
    else
        snprintf(at, sizeof at, "%.60s:%u", url->host, url->port);
    snprintf(text, STORE_WHY, "MySQL at %s: %.120s; %s it, or mend --mysql", at, said,
             err == ERR_IO ? "start" : "create");
}

int record_mysql_connect(const struct record_settings *s, struct record_mysql **out, char *why)
{
    char text[STORE_WHY] = "";
    struct record_mysql *r = calloc(1, sizeof *r);
    int err = r ? store_url_parse(s->url, &r->url, text) : ERR_NOMEM;
    if (!err) {
        r->record.ops = &ops;
        r->two = s->two;
        r->new_jobs = r->new_calls = true;
        r->connect_ms = s->connect_ms > 0 ? s->connect_ms : 5000;
        r->io_ms = s->io_ms > 0 ? s->io_ms : 10000;
        err = record_connect(r, STORE_TOGETHER, text);
        if (!err)
            err = record_connect(r, STORE_ALONE, text);
        if (err == ERR_IO || err == ERR_REFUSED)
            say_where(&r->url, err, text);
    }
    if (why)
        snprintf(why, STORE_WHY, "%s", text);
    if (err) {
        if (r)
            close_record(&r->record);
        return err == ERR_INVALID ? ERR_REFUSED : err;
    }
    *out = r;
    return 0;
}

int record_mysql_open(const struct record_settings *s, struct record **out, char *why)
{
    struct record_mysql *r;
    char text[STORE_WHY] = "";
    int err = record_mysql_connect(s, &r, text);
    if (!err) {
        err = record_tables_check(r, text);
        if (err)
            close_record(&r->record);
    }
    if (why)
        snprintf(why, STORE_WHY, "%s", text);
    if (!err)
        *out = &r->record;
    return err;
}
