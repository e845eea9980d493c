/* cache_redis.c against a real server: OFFPATH_TEST_REDIS=redis://host:port. What needs a server
 * that comes and goes starts one of its own on a free port. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "common/cache_scripts.h"
#include "tests/lease_scripts.h"
#include "tests/limit_scripts.h"
#include "tests/pool_scripts.h"

enum { WAIT_MS = 10000 };

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

static struct cache_settings settings(void)
{
    const char *url = getenv("OFFPATH_TEST_REDIS");
    if (!url)
        fail_msg("OFFPATH_TEST_REDIS is not set: run tests/run");
    return (struct cache_settings){.url = url, .wait_ms = 2000, .connections = 4};
}

static const char *fresh(char name[64])
{
    static int n;
    snprintf(name, 64, "test:%lld:%d", (long long)clock_wall_us(clock_real()), n++);
    return name;
}

/* ---- a server of our own */
struct server {
    pid_t pid;
    int port;
    char url[64];
};

static int free_port(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, len), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    close(fd);
    return ntohs(a.sin_port);
}

static void server_start(struct server *s, const char *password)
{
    char port[12];
    snprintf(port, sizeof port, "%d", s->port);
    s->pid = fork();
    if (s->pid == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, 1);
        const char *words[] = {
            "redis-server", "--port", port,     "--bind", "127.0.0.1",
            "--save",       "",       "--user", "ann",    "on",
            ">a:b@c",       "~*",     "&*",     "+@all",  *password ? "--requirepass" : NULL,
            password,       NULL};
        execvp("redis-server", (char **)words);
        execvp("redis-check-rdb", (char **)words); /* the same program, in redis-tools */
        _exit(1);
    }
}

static struct server server_new(const char *password)
{
    struct server s = {.port = free_port()};
    snprintf(s.url, sizeof s.url, "redis://127.0.0.1:%d", s.port);
    server_start(&s, password);
    return s;
}

static void server_stop(struct server *s)
{
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
}

/* ---- synchronous */
static struct cache *cache_of(const struct cache_settings *s)
{
    struct cache *c;
    assert_int_equal(cache_redis_open(s, clock_real(), &c), 0);
    for (int64_t until = now_ms() + WAIT_MS; !cache_up(c) && now_ms() < until;)
        poll(NULL, 0, 5);
    assert_true(cache_up(c));
    return c;
}

static struct cache_command plain(const char *a, const char *b, const char *d)
{
    struct cache_command c = {0};
    const char *all[] = {a, b, d};
    for (int i = 0; i < 3 && all[i]; i++)
        cache_arg_text(&c, all[i]);
    return c;
}

static struct cache_command script(enum cache_script s, unsigned keys, const char *const *argv,
                                   unsigned n)
{
    struct cache_command c = {.script = s, .keys = keys};
    for (unsigned i = 0; i < n; i++)
        cache_arg_text(&c, argv[i]);
    return c;
}

static struct cache_reply ask(struct cache *c, struct cache_command command)
{
    struct cache_reply r;
    assert_int_equal(cache_call(c, &command, 1, &r), 0);
    return r;
}

static void expect_text(struct cache *c, struct cache_command command, const char *text)
{
    struct cache_reply r = ask(c, command);
    assert_int_equal(r.type, REPLY_TEXT);
    assert_string_equal(r.text, text);
    assert_int_equal(r.len, strlen(text));
    cache_reply_fini(&r);
}

static void expect_integer(struct cache *c, struct cache_command command, long long n)
{
    struct cache_reply r = ask(c, command);
    assert_int_equal(r.type, REPLY_INTEGER);
    assert_int_equal(r.integer, n);
}

static void several_commands_travel_together(void **state)
{
    (void)state;
    char key[64];
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    fresh(key);
    struct cache_command list[4] = {plain("SET", key, NULL), plain("GET", key, NULL),
                                    plain("GET", "test:nobody", NULL), plain("LPUSH", key, "x")};
    cache_arg(&list[0], "a\0b", 3);
    struct cache_reply r[4];
    assert_int_equal(cache_call(c, list, 4, r), 0);
    assert_int_equal(r[0].type, REPLY_STATUS);
    assert_string_equal(r[0].text, "OK");
    assert_int_equal(r[1].type, REPLY_TEXT);
    assert_int_equal(r[1].len, 3);
    assert_memory_equal(r[1].text, "a\0b", 4);
    assert_int_equal(r[2].type, REPLY_NIL);
    assert_int_equal(r[3].type, REPLY_ERROR);
    for (int i = 0; i < 4; i++)
        cache_reply_fini(&r[i]);
    assert_int_equal(cache_call(c, list, 0, r), 0);
    cache_close(c);
}

static void scripts_keep_their_contract(void **state)
{
    (void)state;
    char k[64], v[64], l[64];
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    fresh(k);
    fresh(v);
    fresh(l);
    const char *admit[] = {k, "MAC1", "ID1"};
    expect_text(c, script(SCRIPT_ADMIT, 1, admit, 3), "new");
    expect_text(c, script(SCRIPT_ADMIT, 1, admit, 3), "pMAC1ID1");
    const char *mark[] = {k, "aMAC1ID2", "86400000"};
    expect_integer(c, script(SCRIPT_MARK, 1, mark, 3), 1);
    expect_text(c, script(SCRIPT_ADMIT, 1, admit, 3), "aMAC1ID2");
    const char *other[] = {k, "MAC2", "ID1"};
    expect_text(c, script(SCRIPT_ADMIT, 1, other, 3), "other body");

    const char *lead[] = {v, l, "ID1", "60000"}, *late[] = {v, l, "ID2", "60000"};
    expect_text(c, script(SCRIPT_LEAD, 2, lead, 4), "new");
    expect_text(c, script(SCRIPT_LEAD, 2, late, 4), "pID1");
    const char *wrong[] = {l, "aID2", "0"}, *right[] = {l, "aID1", "0"};
    expect_integer(c, script(SCRIPT_MARK, 1, wrong, 3), 0);
    expect_integer(c, script(SCRIPT_MARK, 1, right, 3), 1);
    expect_integer(c, script(SCRIPT_MARK, 1, right, 3), 0);
    expect_text(c, script(SCRIPT_LEAD, 2, late, 4), "aID1");
    struct cache_reply ttl = ask(c, plain("PTTL", l, NULL));
    assert_true(ttl.integer > 0 && ttl.integer <= 60000);

    const char *stranger[] = {v, l, "ID2", "", "1000"}, *done[] = {v, l, "ID1", "{}", "60000"};
    expect_integer(c, script(SCRIPT_LEAD_DONE, 2, stranger, 5), 0);
    expect_integer(c, script(SCRIPT_LEAD_DONE, 2, done, 5), 1);
    expect_text(c, script(SCRIPT_LEAD, 2, late, 4), "v{}");
    expect_integer(c, script(SCRIPT_MARK, 1, right, 3), 0);
    expect_integer(c, plain("EXISTS", l, NULL), 0);
    cache_close(c);
}

static int64_t pool_now(void *arg)
{
    (void)arg;
    return clock_wall_us(clock_real()) / 1000;
}

static void pool_pass(void *arg, int ms)
{
    (void)arg;
    poll(NULL, 0, ms);
}

static void a_pool_keeps_its_promises(void **state)
{
    (void)state;
    char name[64], prefix[80];
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    for (int i = 0; i < POOL_PROMISES; i++) {
        struct pool p = {c, prefix, pool_now, pool_pass, NULL, ""};
        snprintf(prefix, sizeof prefix, "{%s}", fresh(name));
        pool_promises[i](&p);
    }
    cache_close(c);
}

/* Of a pool that turns over quickly thousands have put within the day. */
static void those_that_have_put_are_swept_now_and_then(void **state)
{
    (void)state;
    char name[64], prefix[80], job[16];
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    struct pool p = {c, prefix, pool_now, pool_pass, NULL, ""};
    snprintf(prefix, sizeof prefix, "{%s}", fresh(name));
    for (int i = 0; i < 437; i++) {
        snprintf(job, sizeof job, "old%d", i);
        assert_string_equal(pool_plain(&p, "HSET", "d", job, "1"), "1");
    }
    for (int i = 0; i < 200; i++) {
        snprintf(job, sizeof job, "new%d", i);
        assert_string_equal(pool_put(&p, job, "1", "1000", "60000"), "put short");
        if (i == 0)
            assert_string_equal(pool_plain(&p, "HLEN", "d"), "438");
    }
    assert_string_equal(pool_plain(&p, "HLEN", "d"), "200");
    cache_close(c);
}

static void limits_keep_their_promises(void **state)
{
    (void)state;
    char name[64], prefix[80];
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    struct limits l = {.cache = c, .prefix = prefix};
    snprintf(prefix, sizeof prefix, "{%s}", fresh(name));
    limits_try_all(&l);
    cache_close(c);
}

static void a_limit_keeps_its_promises(void **state)
{
    (void)state;
    char key[64];
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    for (int i = 0; i < LIMIT_PROMISES; i++)
        limit_promises[i](&(struct limit_tried){c, fresh(key), pool_pass, NULL});
    cache_close(c);
}

static void a_flushed_script_is_loaded_again(void **state)
{
    (void)state;
    char k[64];
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    struct cache_command list[3] = {plain("SCRIPT", "FLUSH", NULL)};
    const char *admit[] = {fresh(k), "M", "I"};
    list[1] = script(SCRIPT_ADMIT, 1, admit, 3);
    list[2] = plain("PING", NULL, NULL);
    struct cache_reply r[3];
    assert_int_equal(cache_call(c, list, 3, r), 0);
    assert_string_equal(r[1].text, "new");
    assert_string_equal(r[2].text, "PONG");
    for (int i = 0; i < 3; i++)
        cache_reply_fini(&r[i]);
    cache_close(c);
}

static void commands_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    struct cache_command none = {0}, many = {0};
    struct cache_reply r;
    for (int i = 0; i <= CACHE_ARGS_MAX; i++)
        cache_arg_text(&many, "x");
    assert_int_equal(cache_call(c, &none, 1, &r), ERR_INVALID);
    assert_int_equal(cache_call(c, &many, 1, &r), ERR_INVALID);
    assert_true(cache_up(c));
    cache_close(c);
}

static void *hammer(void *arg)
{
    char key[64], text[16];
    struct cache *c = arg;
    snprintf(key, sizeof key, "test:thread:%lx", (unsigned long)pthread_self());
    for (int i = 0; i < 300; i++) {
        snprintf(text, sizeof text, "%d", i);
        struct cache_reply r[2];
        struct cache_command list[2] = {plain("SET", key, text), plain("GET", key, NULL)};
        if (cache_call(c, list, 2, r))
            return "failed";
        bool same = r[1].text && !strcmp(r[1].text, text);
        cache_reply_fini(&r[0]);
        cache_reply_fini(&r[1]);
        if (!same)
            return "another's answer";
    }
    return NULL;
}

static void more_threads_than_connections_share_them(void **state)
{
    (void)state;
    struct cache_settings s = settings();
    struct cache *c = cache_of(&s);
    pthread_t t[10];
    for (int i = 0; i < 10; i++)
        assert_int_equal(pthread_create(&t[i], NULL, hammer, c), 0);
    for (int i = 0; i < 10; i++) {
        void *why;
        pthread_join(t[i], &why);
        assert_null(why);
    }
    cache_close(c);
}

static void a_dead_server_costs_nothing_and_a_living_one_is_found(void **state)
{
    (void)state;
    struct server server = server_new("");
    struct cache_settings s = {.url = server.url, .wait_ms = 1000};
    struct cache *c = cache_of(&s);
    struct cache_reply r;
    struct cache_command ping = plain("PING", NULL, NULL);
    expect_integer(c, plain("DEL", "x", NULL), 0);
    server_stop(&server);
    assert_int_not_equal(cache_call(c, &ping, 1, &r), 0);
    int64_t start = now_ms();
    for (int i = 0; i < 10000; i++)
        assert_int_equal(cache_call(c, &ping, 1, &r), ERR_IO);
    assert_true(now_ms() - start < 1000);
    assert_false(cache_up(c));
    server_start(&server, "");
    for (int64_t until = now_ms() + WAIT_MS; !cache_up(c) && now_ms() < until;)
        poll(NULL, 0, 10);
    expect_integer(c, plain("DEL", "x", NULL), 0);
    cache_close(c);
    server_stop(&server);
}

static void a_silent_server_is_a_timeout(void **state)
{
    (void)state;
    struct server server = server_new("");
    struct cache_settings s = {.url = server.url, .wait_ms = 1000};
    struct cache *c = cache_of(&s);
    struct cache_reply r;
    struct cache_command ping = plain("PING", NULL, NULL);
    kill(server.pid, SIGSTOP);
    int64_t start = now_ms();
    assert_int_equal(cache_call(c, &ping, 1, &r), ERR_TIMEOUT);
    assert_true(now_ms() - start < WAIT_MS);
    assert_int_equal(cache_call(c, &ping, 1, &r), ERR_IO);
    kill(server.pid, SIGCONT);
    for (int64_t until = now_ms() + WAIT_MS; !cache_up(c) && now_ms() < until;)
        poll(NULL, 0, 10);
    expect_integer(c, plain("DEL", "x", NULL), 0);
    cache_close(c);
    server_stop(&server);
}

static void a_closed_idle_connection_is_replaced(void **state)
{
    (void)state;
    struct server server = server_new("");
    struct cache_settings s = {.url = server.url, .wait_ms = 1000};
    struct cache_settings two = s;
    struct cache *c = cache_of(&s), *other = cache_of(&two);
    expect_integer(c, plain("DEL", "x", NULL), 0);
    struct cache_command kill_them = plain("CLIENT", "KILL", "TYPE");
    cache_arg_text(&kill_them, "normal");
    struct cache_reply r = ask(other, kill_them);
    assert_int_equal(r.type, REPLY_INTEGER);
    expect_integer(c, plain("DEL", "x", NULL), 0);
    cache_close(c);
    cache_close(other);
    server_stop(&server);
}

static void passwords_users_and_databases_are_used(void **state)
{
    (void)state;
    char url[128];
    struct server server = server_new("secret");
    struct cache_settings s = {.url = url, .wait_ms = 1000};
    snprintf(url, sizeof url, "redis://:secret@127.0.0.1:%d/3", server.port);
    struct cache *c = cache_of(&s);
    struct cache_reply r = ask(c, plain("CLIENT", "INFO", NULL));
    assert_non_null(strstr(r.text, " db=3 "));
    cache_reply_fini(&r);
    cache_close(c);
    snprintf(url, sizeof url, "redis://ann:a%%3Ab%%40c@127.0.0.1:%d", server.port);
    c = cache_of(&s);
    expect_text(c, plain("ACL", "WHOAMI", NULL), "ann");
    cache_close(c);
    snprintf(url, sizeof url, "redis://:wrong@127.0.0.1:%d", server.port);
    assert_int_equal(cache_redis_open(&s, clock_real(), &c), 0);
    poll(NULL, 0, 300);
    assert_false(cache_up(c));
    cache_close(c);
    server_stop(&server);
}

static void tls_is_refused_in_a_build_without_it(void **state)
{
    (void)state;
    struct cache_settings s = {.url = "rediss://127.0.0.1"};
    struct cache *c;
    assert_int_equal(cache_redis_open(&s, clock_real(), &c), ERR_INVALID);
    s.url = "127.0.0.1:6379";
    assert_int_equal(cache_redis_open(&s, clock_real(), &c), ERR_INVALID);
}

/* ---- asynchronous */
struct answers {
    int n, errors, closed;
    char last[64];
    struct cache_async *cache;
    bool ask_again;
};

static void on_answer(void *arg, int err, const struct cache_reply *r)
{
    struct answers *a = arg;
    a->n++;
    a->errors += err != 0;
    a->closed += err == ERR_CLOSED;
    snprintf(a->last, sizeof a->last, "%s", r && r->text ? r->text : "");
    if (a->ask_again) {
        struct cache_command ping = plain("PING", NULL, NULL);
        a->ask_again = false;
        int sent = cache_send(a->cache, &ping, on_answer, a);
        a->errors += sent != 0 && !err;
    }
}

/* Run the loop until *n reaches `want` (or 10 s went by). */
struct run {
    struct loop *loop;
    struct loop_timer *timer;
    const int *n;
    const struct cache_async *up;
    int want;
    int64_t until;
};

static void on_look(void *arg)
{
    struct run *r = arg;
    bool there = r->n ? *r->n >= r->want : cache_async_up(r->up);
    if (there || now_ms() > r->until)
        loop_stop(r->loop);
}

static void run_until(struct loop *loop, const int *n, int want, const struct cache_async *up)
{
    struct run r = {loop, NULL, n, up, want, now_ms() + WAIT_MS};
    r.timer = loop_timer_new(loop, on_look, &r);
    loop_timer_set(loop, r.timer, 1, 1);
    loop_run(loop);
    loop_timer_free(loop, r.timer);
    if (n)
        assert_true(*n >= want);
    else
        assert_true(cache_async_up(up));
}

static struct cache_async *async_of(struct loop **loop, const struct cache_settings *s)
{
    struct cache_async *c;
    assert_int_equal(loop_uv_open(loop), 0);
    assert_int_equal(cache_redis_async_open(*loop, s, &c), 0);
    return c;
}

static void answers_come_in_order(void **state)
{
    (void)state;
    char k[64];
    struct loop *loop;
    struct answers a = {0};
    struct cache_settings s = settings();
    struct cache_async *c = async_of(&loop, &s);
    struct cache_command ping = plain("PING", NULL, NULL);
    assert_int_equal(cache_send(c, &ping, on_answer, &a), ERR_IO);
    run_until(loop, NULL, 0, c);
    for (int i = 0; i < 1000; i++) {
        char text[16];
        snprintf(text, sizeof text, "%d", i);
        struct cache_command echo = plain("ECHO", text, NULL);
        assert_int_equal(cache_send(c, &echo, on_answer, &a), 0);
    }
    assert_int_equal(cache_send(c, &ping, NULL, NULL), 0);
    assert_int_equal(a.n, 0);
    run_until(loop, &a.n, 1000, NULL);
    assert_string_equal(a.last, "999");
    const char *admit[] = {fresh(k), "M", "I"};
    struct cache_command flush = plain("SCRIPT", "FLUSH", NULL);
    struct cache_command first = script(SCRIPT_ADMIT, 1, admit, 3);
    assert_int_equal(cache_send(c, &flush, NULL, NULL), 0);
    assert_int_equal(cache_send(c, &first, on_answer, &a), 0);
    memset(k, 'x', 10); /* the command was copied */
    run_until(loop, &a.n, 1001, NULL);
    assert_string_equal(a.last, "new");
    assert_int_equal(a.errors, 0);
    cache_async_close(c);
    loop_close(loop);
}

static void too_many_waiting_are_refused_and_close_answers_all(void **state)
{
    (void)state;
    struct loop *loop;
    struct answers a = {0};
    struct cache_settings s = settings();
    struct cache_async *c = async_of(&loop, &s);
    struct cache_command ping = plain("PING", NULL, NULL);
    run_until(loop, NULL, 0, c);
    int sent = 0;
    while (cache_send(c, &ping, on_answer, &a) == 0)
        sent++;
    assert_in_range(sent, 50000, 500000); /* 32 MB of them */
    assert_int_equal(cache_send(c, &ping, on_answer, &a), ERR_FULL);
    cache_async_close(c);
    assert_int_equal(a.closed, sent);
    loop_close(loop);
}

struct heard {
    int subscribed, messages;
    char last[64];
};

static void on_heard(void *arg, const char *channel, const char *message, size_t len)
{
    struct heard *h = arg;
    assert_non_null(channel);
    if (!message) {
        h->subscribed++;
        return;
    }
    h->messages++;
    assert_int_equal(len, strlen(message));
    snprintf(h->last, sizeof h->last, "%s", message);
}

static void publish(struct cache_async *c, const char *channel, const char *text)
{
    struct cache_command command = plain("PUBLISH", channel, text);
    assert_int_equal(cache_send(c, &command, NULL, NULL), 0);
}

static void listeners_hear_their_channel(void **state)
{
    (void)state;
    char one[64], two[64];
    struct loop *loop;
    struct heard a = {0}, b = {0}, late = {0};
    struct cache_settings s = settings();
    struct cache_async *c = async_of(&loop, &s);
    fresh(one);
    fresh(two);
    assert_int_equal(cache_subscribe(c, one, on_heard, &a), 0);
    assert_int_equal(cache_subscribe(c, one, on_heard, &a), ERR_EXISTS);
    assert_int_equal(cache_subscribe(c, two, on_heard, &b), 0);
    run_until(loop, &b.subscribed, 1, NULL);
    run_until(loop, NULL, 0, c);
    assert_int_equal(cache_subscribe(c, one, on_heard, &late), 0);
    run_until(loop, &late.subscribed, 1, NULL);
    assert_int_equal(a.subscribed, 1);
    publish(c, one, "hello");
    publish(c, two, "other");
    run_until(loop, &b.messages, 1, NULL);
    assert_string_equal(a.last, "hello");
    assert_string_equal(late.last, "hello");
    assert_string_equal(b.last, "other");
    /* the last one leaves and comes back at once, with nobody else on the line */
    cache_unsubscribe(c, two, on_heard, &b);
    cache_unsubscribe(c, one, on_heard, &late);
    cache_unsubscribe(c, one, on_heard, &a);
    assert_int_equal(cache_subscribe(c, one, on_heard, &a), 0);
    run_until(loop, &a.subscribed, 2, NULL);
    for (int i = 2; a.messages < 2 && i < 50; i++) {
        publish(c, one, "again");
        run_until(loop, NULL, 0, c);
    }
    run_until(loop, &a.messages, 2, NULL);
    assert_int_equal(late.messages, 1);
    cache_async_close(c);
    loop_close(loop);
}

static void a_lost_server_is_found_again_and_subscribed(void **state)
{
    (void)state;
    struct loop *loop;
    struct heard h = {0};
    struct answers a = {0};
    struct server server = server_new("");
    struct cache_settings s = {.url = server.url};
    struct cache_async *c = async_of(&loop, &s);
    a.cache = c;
    assert_int_equal(cache_subscribe(c, "news", on_heard, &h), 0);
    run_until(loop, &h.subscribed, 1, NULL);
    run_until(loop, NULL, 0, c);
    struct cache_command wait = plain("BLPOP", "nothing", "60");
    a.ask_again = true; /* from the callback of a lost connection: refused, not lost */
    assert_int_equal(cache_send(c, &wait, on_answer, &a), 0);
    kill(server.pid, SIGSTOP);
    server_stop(&server);
    run_until(loop, &a.n, 1, NULL);
    assert_int_equal(a.errors, 1);
    assert_false(cache_async_up(c));
    server_start(&server, "");
    run_until(loop, &h.subscribed, 2, NULL);
    run_until(loop, NULL, 0, c);
    publish(c, "news", "back");
    run_until(loop, &h.messages, 1, NULL);
    cache_async_close(c);
    loop_close(loop);
    server_stop(&server);
}

static void a_silent_server_is_given_up(void **state)
{
    (void)state;
    struct loop *loop;
    struct answers a = {0};
    struct server server = server_new("");
    struct cache_settings s = {.url = server.url};
    struct cache_async *c = async_of(&loop, &s);
    run_until(loop, NULL, 0, c);
    kill(server.pid, SIGSTOP);
    struct cache_command ping = plain("PING", NULL, NULL);
    assert_int_equal(cache_send(c, &ping, on_answer, &a), 0);
    run_until(loop, &a.n, 1, NULL);
    assert_int_equal(a.errors, 1);
    cache_async_close(c);
    loop_close(loop);
    server_stop(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(several_commands_travel_together),
        cmocka_unit_test(scripts_keep_their_contract),
        cmocka_unit_test(a_pool_keeps_its_promises),
        cmocka_unit_test(those_that_have_put_are_swept_now_and_then),
        cmocka_unit_test(limits_keep_their_promises),
        cmocka_unit_test(a_limit_keeps_its_promises),
        cmocka_unit_test(a_flushed_script_is_loaded_again),
        cmocka_unit_test(commands_that_do_not_fit_are_refused),
        cmocka_unit_test(more_threads_than_connections_share_them),
        cmocka_unit_test(a_dead_server_costs_nothing_and_a_living_one_is_found),
        cmocka_unit_test(a_silent_server_is_a_timeout),
        cmocka_unit_test(a_closed_idle_connection_is_replaced),
        cmocka_unit_test(passwords_users_and_databases_are_used),
        cmocka_unit_test(tls_is_refused_in_a_build_without_it),
        cmocka_unit_test(answers_come_in_order),
        cmocka_unit_test(too_many_waiting_are_refused_and_close_answers_all),
        cmocka_unit_test(listeners_hear_their_channel),
        cmocka_unit_test(a_lost_server_is_found_again_and_subscribed),
        cmocka_unit_test(a_silent_server_is_given_up),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
