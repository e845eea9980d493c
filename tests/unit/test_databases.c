/* The threads of users' databases: those of one that no flow uses start with what is put first.
 * What they do in virtual time is in test_shard_sql.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <cmocka.h>

#include "common/sql_fake.h"
#include "worker/databases.h"

enum { SHARDS = 4, OPS = 50, CONNECTIONS = 3 };

struct bench;
struct shard { /* its loop puts and gets back */
    struct bench *bench;
    struct loop *loop;
    pthread_t thread;
    struct sql_op ops[OPS];
    size_t back, well;
};

struct bench {
    struct database database;
    struct flow_set set;
    struct sql_fake *sql;
    struct databases *databases;
    atomic_int opened;
    struct shard shards[SHARDS];
};

static int open_one(void *arg, const struct database *d, struct sql **out)
{
    struct bench *b = arg;
    atomic_fetch_add(&b->opened, 1);
    return sql_fake_open(b->sql, d, out);
}

static void done(void *arg)
{
    struct shard *s = arg;
    if (++s->back == OPS)
        loop_stop(s->loop);
}

static void put_all(void *arg)
{
    static const struct sql_statement one = {.text = "INSERT INTO t"};
    struct shard *s = arg;
    for (size_t i = 0; i < OPS; i++) {
        s->ops[i] = (struct sql_op){.kind = SQL_APPLY,
                                    .database = &s->bench->database,
                                    .loop = s->loop,
                                    .done = done,
                                    .arg = s,
                                    .list = &one,
                                    .n = 1,
                                    .step = -1};
        databases_put(s->bench->databases, &s->ops[i]);
    }
}

static void *work(void *arg)
{
    struct shard *s = arg;
    loop_run(s->loop);
    for (size_t i = 0; i < OPS; i++)
        s->well += s->ops[i].status == 0;
    return NULL;
}

static void threads_start_with_what_is_put_first(void **state)
{
    (void)state;
    static struct bench b;
    b.database = (struct database){.name = (char[]){"far"},
                                   .host = (char[]){"far"},
                                   .schema = (char[]){"far"},
                                   .user = (char[]){"f"},
                                   .connections = CONNECTIONS};
    b.set = (struct flow_set){.databases = &b.database, .databases_n = 1};
    b.sql = sql_fake_new();
    const struct store_url record = {.host = "record", .user = "op", .port = 3306};
    const struct databases_settings settings = {
        .set = &b.set, .open = open_one, .open_arg = &b, .record = &record};
    assert_int_equal(databases_start(&settings, &b.databases), 0);
    assert_int_equal(b.opened, 0);
    for (size_t i = 0; i < SHARDS; i++) {
        struct shard *s = &b.shards[i];
        s->bench = &b;
        assert_int_equal(loop_uv_open(&s->loop), 0);
        assert_int_equal(loop_post(s->loop, put_all, s), 0);
        assert_int_equal(pthread_create(&s->thread, NULL, work, s), 0);
    }
    for (size_t i = 0; i < SHARDS; i++) {
        assert_int_equal(pthread_join(b.shards[i].thread, NULL), 0);
        assert_int_equal(b.shards[i].well, OPS);
    }
    databases_stop(b.databases);
    assert_in_range(b.opened, 1, CONNECTIONS);
    assert_int_equal(sql_fake_saved(b.sql, "INSERT INTO t"), SHARDS * OPS);
    for (size_t i = 0; i < SHARDS; i++)
        loop_close(b.shards[i].loop);
    sql_fake_free(b.sql);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_start_with_what_is_put_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
