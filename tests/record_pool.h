/* record_pool.h - what the record promises of a pool's items (common/record.h), tried on any
 * record: the fake and the SQL pass the same. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "common/record.h"

static struct job_id pool_id(unsigned n)
{
    struct job_id id = {{0x70, 0x01}};
    id.b[15] = (uint8_t)n;
    return id;
}

struct pool_taker {
    struct record *r;
    uint64_t worker;
    unsigned job, item; /* item 0: none */
    const char *result; /* NULL: none */
    bool refill;
};

/* Owned: record_call_fini of .stored. */
static struct record_pool pool_write(const struct pool_taker *t)
{
    const struct record_post refill = {.job = pool_id(t->job + 100),
                                       .topic = "warm-up",
                                       .key = "7",
                                       .key_len = 1,
                                       .value = "{\"templateSn\":7}",
                                       .value_len = 16,
                                       .headers = "",
                                       .headers_len = 0};
    struct record_pool p = {.worker = t->worker,
                            .call = {.job = pool_id(t->job),
                                     .ckey = "$pool",
                                     .name = "$pool",
                                     .item = -1,
                                     .outcome = OUTCOME_OK,
                                     .result = (char *)(uintptr_t)t->result,
                                     .result_len = t->result ? strlen(t->result) : 0},
                            .has_item = t->item != 0,
                            .item = pool_id(t->item),
                            .refill = t->refill ? &refill : NULL},
                       *list[] = {&p};
    assert_int_equal(t->r->ops->pool(t->r, list, 1), 0);
    return p;
}

/* The job's row `$pool` holds this; NULL: no result. */
static void pool_expect(struct record *r, unsigned job, const char *result)
{
    struct job_id id = pool_id(job);
    struct record_job row;
    struct record_call *calls;
    size_t n;
    assert_int_equal(r->ops->read(r, &id, &row, &calls, &n), 0);
    assert_int_equal(n, 1);
    assert_string_equal(calls[0].name, "$pool");
    assert_int_equal(calls[0].seq, 0);
    assert_int_equal(calls[0].item, -1);
    assert_int_equal(calls[0].outcome, OUTCOME_OK);
    if (result)
        assert_string_equal(calls[0].result, result);
    else
        assert_null(calls[0].result);
    record_call_fini(&calls[0]);
    free(calls);
    record_job_fini(&row);
}

/* `worker` is alive; jobs 1 and 2 are not there yet. */
static void pool_item_is_one_jobs(struct record *r, uint64_t worker)
{
    struct record_outbox *rows = NULL;
    size_t n = 0;
    for (unsigned job = 1; job <= 2; job++) {
        struct record_claim c = {.job = {.id = pool_id(job),
                                         .flow = "f",
                                         .created_us = 1000000,
                                         .sweep_at_us = INT64_C(4102444800000000)},
                                 .worker = worker},
                            *list[] = {&c};
        assert_int_equal(r->ops->claim(r, list, 1), 0);
        assert_int_equal(c.status, 0);
        record_claim_fini(&c);
    }
    struct pool_taker first = {r, worker, 1, 50, "{\"a\":1}", true};
    struct record_pool p = pool_write(&first);
    assert_int_equal(p.status, 0);
    assert_false(p.lost);
    pool_expect(r, 1, "{\"a\":1}");
    /* again, with what another look into the pool gave: the row stands, and no second refill */
    struct pool_taker again = {r, worker, 1, 51, "{\"b\":2}", true};
    p = pool_write(&again);
    assert_int_equal(p.status, ERR_EXISTS);
    assert_string_equal(p.stored.result, "{\"a\":1}");
    record_call_fini(&p.stored);
    pool_expect(r, 1, "{\"a\":1}");
    /* the pool lost its memory and gives the item to another job */
    struct pool_taker other = {r, worker, 2, 50, "{\"a\":1}", false};
    p = pool_write(&other);
    assert_int_equal(p.status, 0);
    assert_true(p.lost);
    pool_expect(r, 2, NULL);
    assert_int_equal(r->ops->outbox_take(r, worker, &rows, &n), 0);
    assert_int_equal(n, 1);
    struct job_id child = pool_id(101);
    assert_true(id_equal(&rows[0].job, &child));
    assert_string_equal(rows[0].topic, "warm-up");
    assert_int_equal(rows[0].key_len, 1);
    assert_memory_equal(rows[0].key, "7", 1);
    assert_int_equal(rows[0].value_len, 16);
    assert_memory_equal(rows[0].value, "{\"templateSn\":7}", 16);
    assert_int_equal(r->ops->outbox_delete(r, &rows[0].id, 1), 0);
    record_outbox_free(rows, n);
}

/* `worker` has been declared dead. */
static void pool_is_fenced(struct record *r, uint64_t worker)
{
    struct pool_taker dead = {r, worker, 3, 60, "1", true};
    struct record_pool p = pool_write(&dead);
    assert_int_equal(p.status, ERR_FENCED);
}
