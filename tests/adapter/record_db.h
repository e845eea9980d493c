/* record_db.h - a database of its own for a test of the record: made in setup, dropped in teardown.
 * Two connections (`a`, `b`) with a worker each, and a raw one to look and to break promises. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/record_mysql.h"

enum { LEASE_MS = 15000, KEEP_MS = 3600 * 1000 };

struct db {
    char name[32], url[1024];
    struct record *a, *b;
    uint64_t wa, wb;
    struct store *raw;
    struct store_sql *asked[150];
    size_t asked_n;
};

static inline void db_open_raw(struct db *d, const char *url)
{
    struct store_url u;
    char why[STORE_WHY];
    assert_int_equal(store_url_parse(url, &u, why), 0);
    struct store_settings s = {&u, 5000, 10000};
    int err = store_open(&s, &d->raw, why);
    if (err)
        fail_msg("no MySQL at OFFPATH_TEST_MYSQL: %s", why);
}

static inline struct record *db_open(struct db *d)
{
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000, .two = true};
    struct record *r;
    char why[STORE_WHY];
    int err = record_mysql_open(&s, &r, why);
    if (err)
        fail_msg("record_mysql_open: %s", why);
    return r;
}

static inline void db_exec(struct db *d, const char *sql)
{
    int err = store_exec(d->raw, sql);
    if (err)
        fail_msg("%s: %s", sql, store_why(d->raw));
}

/* The one number a query gives; -1 for no row or NULL. %s in sql: hex of id. */
static inline int64_t db_number(struct db *d, const char *sql, const struct job_id *id)
{
    const struct store_value *v;
    struct store_value param = {.kind = STORE_NULL};
    struct store_sql *q = calloc(1, sizeof *q);
    q->head = sql;
    assert_true(d->asked_n < sizeof d->asked / sizeof d->asked[0]);
    d->asked[d->asked_n++] = q;
    if (id)
        param = store_bytes(id->b, sizeof id->b);
    int err = store_run(d->raw, q, 0, &param, id ? 1 : 0);
    if (err)
        fail_msg("%s: %s", sql, store_why(d->raw));
    int got = store_next(d->raw, &v);
    int64_t n = got == 1 && v[0].kind != STORE_NULL ? v[0].i : -1;
    while (store_next(d->raw, &v) == 1)
        ;
    return n;
}

static inline int db_setup(void **state)
{
    static struct db d;
    const char *url = getenv("OFFPATH_TEST_MYSQL");
    d = (struct db){0};
    *state = &d;
    if (!url) {
        print_error("OFFPATH_TEST_MYSQL is not set: run tests/run\n");
        return -1;
    }
    char sql[128];
    db_open_raw(&d, url);
    snprintf(d.name, sizeof d.name, "offpath_test_%d", (int)getpid());
    snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s", d.name);
    db_exec(&d, sql);
    snprintf(sql, sizeof sql, "CREATE DATABASE %s", d.name);
    db_exec(&d, sql);
    snprintf(sql, sizeof sql, "USE %s", d.name);
    db_exec(&d, sql);
    snprintf(d.url, sizeof d.url, "%.*s/%s", (int)(strrchr(url, '/') - url), url, d.name);
    return 0;
}

static inline int db_setup_tables(void **state)
{
    if (db_setup(state))
        return -1;
    struct db *d = *state;
    struct record_settings s = {.url = d->url, .connect_ms = 5000, .io_ms = 10000};
    char why[STORE_WHY];
    assert_int_equal(record_migrate_apply(&s, why), 0);
    d->a = db_open(d);
    d->b = db_open(d);
    assert_int_equal(d->a->ops->worker_start(d->a, "a", LEASE_MS, &d->wa), 0);
    assert_int_equal(d->b->ops->worker_start(d->b, "b", LEASE_MS, &d->wb), 0);
    return 0;
}

static inline int db_teardown(void **state)
{
    struct db *d = *state;
    char sql[128];
    if (d->a)
        d->a->ops->close(d->a);
    if (d->b)
        d->b->ops->close(d->b);
    if (d->raw) {
        snprintf(sql, sizeof sql, "DROP DATABASE IF EXISTS %s", d->name);
        db_exec(d, sql);
    }
    store_close(d->raw);
    for (size_t i = 0; i < d->asked_n; i++)
        free(d->asked[i]);
    return 0;
}

/* ---- operations with defaults */

static inline struct job_id id_of(unsigned n)
{
    struct job_id id = {{0x01, 0x90}};
    id.b[13] = (uint8_t)(n * 37); /* not in order of n */
    id.b[14] = (uint8_t)(n >> 8);
    id.b[15] = (uint8_t)n;
    return id;
}

enum { T0_S = 1800000000 };
static const int64_t CREATED = (int64_t)T0_S * 1000000 + 123456;

static inline struct record_register job_of(unsigned n)
{
    return (struct record_register){.id = id_of(n),
                                    .owner = {{7, 7, (uint8_t)n}},
                                    .flow = "price-compare",
                                    .mac = {1, 2, 3},
                                    .rev = {9},
                                    .has_mac = true,
                                    .has_rev = true,
                                    .created_us = CREATED,
                                    .deadline_us = CREATED + 60000000,
                                    .sweep_at_us = CREATED + 660000000};
}

static inline struct record_claim claim_of(unsigned n, uint64_t worker)
{
    return (struct record_claim){
        .job = job_of(n), .worker = worker, .round = 0, .part = 3, .off = 1000 + n};
}

/* One claim on its own; the caller ends it with record_claim_fini. */
static inline struct record_claim claim_one(struct record *r, unsigned n, uint64_t worker,
                                            uint16_t round)
{
    struct record_claim c = claim_of(n, worker), *list[] = {&c};
    c.round = round;
    assert_int_equal(r->ops->claim(r, list, 1), 0);
    return c;
}

static inline void claim_mine(struct record *r, unsigned n, uint64_t worker)
{
    struct record_claim c = claim_one(r, n, worker, 0);
    assert_int_equal(c.status, 0);
    assert_int_equal(c.row.state, JOB_RUNNING);
    assert_int_equal(c.row.worker, worker);
    record_claim_fini(&c);
}

static inline struct record_ledger call_of(unsigned n, unsigned seq, enum call_outcome outcome,
                                           uint64_t worker)
{
    struct record_ledger l = {.worker = worker,
                              .call = {.job = id_of(n),
                                       .ckey = {(uint8_t)seq, 5},
                                       .seq = seq,
                                       .name = "a-shop",
                                       .item = -1,
                                       .outcome = outcome,
                                       .attempts = 1,
                                       .status = 200,
                                       .ms = 12}};
    return l;
}

static inline int ledger_one(struct record *r, struct record_ledger *l)
{
    struct record_ledger *list[] = {l};
    assert_int_equal(r->ops->ledger(r, list, 1), 0);
    return l->status;
}

static inline struct record_finish end_of(unsigned n, enum job_state state, uint64_t worker)
{
    return (struct record_finish){.worker = worker,
                                  .id = id_of(n),
                                  .state = state,
                                  .flow = "price-compare",
                                  .reason = "",
                                  .seq = 4,
                                  .keep_ms = KEEP_MS,
                                  .calls = "[]",
                                  .calls_len = 2,
                                  .result = "{\"x\":1}",
                                  .result_len = 7};
}

static inline int finish_one(struct record *r, struct record_finish *f)
{
    struct record_finish *list[] = {f};
    assert_int_equal(r->ops->finish(r, list, 1), 0);
    return f->status;
}
