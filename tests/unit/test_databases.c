/* The threads of users' databases: those of one that no flow uses start with what is put first.
 * What they do in virtual time is in test_shard_sql.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/loop_fake.h"
#include "common/metrics.h"
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

/* ---- away: in virtual time, of a server that says what the test wants */

struct away {
    struct sql sql; /* first */
    int err;
    const char *why;
    struct loop *loop;
    struct database database;
    struct flow_set set;
    struct databases *databases;
};

static const char *say_why(const struct sql *sql)
{
    return ((const struct away *)(const void *)sql)->why;
}

static int answer(const struct sql *sql)
{
    return ((const struct away *)(const void *)sql)->err;
}

static int apply_one(struct sql *sql, const struct job_id *job, int step,
                     const struct sql_statement *q, size_t n)
{
    (void)job, (void)step, (void)q, (void)n;
    return answer(sql);
}

static int look_at(struct sql *sql, bool applied)
{
    (void)applied;
    return answer(sql);
}

static void close_none(struct sql *sql)
{
    (void)sql;
}

static int open_away(void *arg, const struct database *d, struct sql **out)
{
    static const struct sql_ops ops = {
        .close = close_none, .apply = apply_one, .look = look_at, .why = say_why};
    struct away *a = arg;
    (void)d;
    a->sql.ops = &ops;
    *out = &a->sql;
    return 0;
}

static void away_open(struct away *a)
{
    static char shop[] = "shop";
    *a = (struct away){
        .database = {.name = shop, .host = shop, .schema = shop, .user = shop, .connections = 2},
        .why = ""};
    a->set = (struct flow_set){.databases = &a->database, .databases_n = 1};
    assert_int_equal(loop_fake_open(0, &a->loop), 0);
    static const struct store_url record = {.host = "record", .user = "op", .port = 3306};
    const struct databases_settings settings = {
        .set = &a->set, .open = open_away, .open_arg = a, .record = &record, .loop = a->loop};
    assert_int_equal(databases_start(&settings, &a->databases), 0);
}

static void away_close(struct away *a)
{
    databases_stop(a->databases);
    loop_close(a->loop);
}

static void nothing(void *arg)
{
    (void)arg;
}

/* What one save ends with; lines: what it logged. */
static int save_one(struct away *a, int err, const char *why, char lines[1000])
{
    static const struct sql_statement one = {.text = "INSERT INTO t"};
    struct sql_op op = {.kind = SQL_APPLY,
                        .database = &a->database,
                        .loop = a->loop,
                        .done = nothing,
                        .list = &one,
                        .n = 1,
                        .step = -1};
    a->err = err;
    a->why = why;
    fflush(stderr);
    int old = dup(STDERR_FILENO), file = memfd_create("stderr", 0);
    assert_int_equal(dup2(file, STDERR_FILENO), STDERR_FILENO);
    databases_put(a->databases, &op);
    loop_fake_run_for(a->loop, DATABASES_AWAY_MS + 1);
    dup2(old, STDERR_FILENO);
    ssize_t n = pread(file, lines, 999, 0);
    lines[n > 0 ? n : 0] = 0;
    close(file);
    close(old);
    return op.status;
}

static long gone(void)
{
    return (long)metrics_value(
        metrics_gauge("offpath_database_away", "database=\"shop\"", "as it is"));
}

static void why_a_database_is_away_is_said_when_it_changes(void **state)
{
    static const char killed[] = "2006 Server has gone away",
                      denied[] = "1045 Access denied for user 's'";
    (void)state;
    struct away a;
    char lines[1000];
    away_open(&a);
    assert_int_equal(save_one(&a, ERR_IO, killed, lines), ERR_IO);
    assert_non_null(strstr(lines, "database-away"));
    assert_int_equal(save_one(&a, ERR_IO, killed, lines), ERR_IO);
    assert_string_equal(lines, "");
    assert_int_equal(save_one(&a, ERR_IO, denied, lines), ERR_IO);
    assert_non_null(strstr(lines, "1045 Access denied"));
    assert_int_equal(save_one(&a, ERR_IO, denied, lines), ERR_IO);
    assert_string_equal(lines, "");
    assert_int_equal(save_one(&a, 0, "", lines), 0);
    assert_non_null(strstr(lines, "database-back"));
    away_close(&a);
}

/* Jobs whose deadline passed ask no more: it is looked for all the same. */
static void a_database_is_found_to_be_back_although_no_job_asks(void **state)
{
    (void)state;
    struct away a;
    char lines[1000];
    const struct database *away[2];
    away_open(&a);
    assert_int_equal(databases_away(a.databases, away, 2), 0);
    assert_int_equal(save_one(&a, ERR_IO, "2002 Can't connect", lines), ERR_IO);
    assert_int_equal(databases_away(a.databases, away, 2), 1);
    assert_ptr_equal(away[0], &a.database);
    assert_int_equal(gone(), 1);
    loop_fake_run_for(a.loop, 60000);
    assert_int_equal(gone(), 1);
    a.err = 0;
    loop_fake_run_for(a.loop, 6000);
    assert_int_equal(databases_away(a.databases, away, 2), 0);
    assert_int_equal(gone(), 0);
    assert_int_equal(save_one(&a, ERR_IO, "2002 Can't connect", lines), ERR_IO);
    away_close(&a); /* a set that is over says nothing of it any more */
    assert_int_equal(gone(), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(threads_start_with_what_is_put_first),
        cmocka_unit_test(why_a_database_is_away_is_said_when_it_changes),
        cmocka_unit_test(a_database_is_found_to_be_back_although_no_job_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
