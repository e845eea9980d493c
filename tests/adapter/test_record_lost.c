/* The answer of a commit is lost: a proxy between the record and the server hands on the COMMIT, or
 * the statement that commits by itself, waits until the server has answered, and lets nobody hear
 * it. What stands in the tables at that
 * moment is what must stand there after the repetition. */
#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <strings.h>
#include <sys/socket.h>
#include "tests/adapter/record_db.h"

enum loss {
    CUT,   /* the connection ends: the record repeats by itself, once */
    SILENT /* nothing comes any more: the record gives up, its caller repeats */
};
enum { IO_MS = 500, PACKET = 1 << 16, CONNECTIONS = 8 };

struct relay { /* one connection through the proxy, and its thread */
    struct proxy *proxy;
    pthread_t thread;
    int client, server;
    bool together; /* its statements commit at COMMIT */
};

struct proxy {
    int listener;
    unsigned port;
    struct store_url server;
    pthread_t thread;
    enum loss loss;
    atomic_bool armed;
    atomic_int lost;      /* answers */
    struct store *looker; /* copies the tables; the proxy's thread alone uses it */
    atomic_int looked;    /* error of it */
    struct relay relays[CONNECTIONS];
    size_t relays_n; /* the accepting thread's, until it is joined */
};

static const char *const tables[] = {"op_job", "op_call", "op_dead", "op_outbox"};
enum { TABLES = sizeof tables / sizeof tables[0] };

static void copy_tables(struct proxy *p)
{
    char sql[128];
    for (int i = 0; i < TABLES; i++) {
        snprintf(sql, sizeof sql, "CREATE TABLE was_%s AS SELECT * FROM %s", tables[i], tables[i]);
        int err = store_exec(p->looker, sql);
        if (err)
            atomic_store(&p->looked, err);
    }
}

static int dial(const struct store_url *u)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)u->port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && (inet_pton(AF_INET, u->host, &to.sin_addr) != 1 ||
                    connect(fd, (struct sockaddr *)&to, sizeof to) != 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

static bool send_all(int fd, const char *bytes, ssize_t n)
{
    while (n > 0) {
        ssize_t did = send(fd, bytes, (size_t)n, MSG_NOSIGNAL);
        if (did <= 0)
            return false;
        bytes += did;
        n -= did;
    }
    return true;
}

enum { COM_QUERY = 3, COM_STMT_EXECUTE = 0x17 };

static bool is_query(const char *bytes, ssize_t n, const char *text)
{
    size_t len = strlen(text);
    return (size_t)n >= 5 + len && bytes[4] == COM_QUERY && strncasecmp(bytes + 5, text, len) == 0;
}

/* A packet of its own: the client waits for the answer before it. */
static bool commits(struct relay *r, const char *bytes, ssize_t n)
{
    if (is_query(bytes, n, "SET autocommit=0"))
        r->together = true;
    return r->together ? is_query(bytes, n, "COMMIT") : n > 5 && bytes[4] == COM_STMT_EXECUTE;
}

static void lose_answer(struct relay *r)
{
    char answer[PACKET];
    if (recv(r->server, answer, sizeof answer, 0) > 0) {
        copy_tables(r->proxy);
        atomic_fetch_add(&r->proxy->lost, 1);
    }
    while (r->proxy->loss == SILENT && recv(r->client, answer, sizeof answer, 0) > 0)
        ;
}

/* False: this connection is over. */
static bool pass_on(struct relay *r)
{
    char bytes[PACKET];
    struct pollfd ends[] = {{.fd = r->client, .events = POLLIN},
                            {.fd = r->server, .events = POLLIN}};
    if (poll(ends, 2, -1) < 0)
        return errno == EINTR;
    bool up = ends[0].revents != 0;
    ssize_t n = recv(up ? r->client : r->server, bytes, sizeof bytes, 0);
    if (n <= 0 || !send_all(up ? r->server : r->client, bytes, n))
        return false;
    if (!up || !commits(r, bytes, n) || !atomic_exchange(&r->proxy->armed, false))
        return true;
    lose_answer(r);
    return false;
}

static void *relay_run(void *arg)
{
    struct relay *r = arg;
    while (r->server >= 0 && pass_on(r))
        ;
    close(r->server);
    close(r->client);
    return NULL;
}

static void *proxy_run(void *arg)
{
    struct proxy *p = arg;
    int client;
    while (p->relays_n < CONNECTIONS && (client = accept(p->listener, NULL, NULL)) >= 0) {
        struct relay *r = &p->relays[p->relays_n];
        *r = (struct relay){.proxy = p, .client = client, .server = dial(&p->server)};
        if (pthread_create(&r->thread, NULL, relay_run, r) != 0)
            return NULL;
        p->relays_n++;
    }
    return NULL;
}

/* What the last claim and the last ledger write met: one statement is tried, or none. */
enum expected { NEW_ROWS, KNOWN_ROWS };

static struct record *proxy_start(struct proxy *p, struct db *d, enum loss loss,
                                  enum expected expected)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof at;
    struct store_settings looking = {&p->server, 5000, 10000};
    char url[1100], why[STORE_WHY];
    struct record *r;
    *p = (struct proxy){.loss = loss};
    assert_int_equal(store_url_parse(d->url, &p->server, why), 0);
    assert_int_equal(store_open(&looking, &p->looker, why), 0);
    p->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(p->listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(p->listener, 4), 0);
    assert_int_equal(getsockname(p->listener, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(pthread_create(&p->thread, NULL, proxy_run, p), 0);
    snprintf(url, sizeof url, "%.*s@127.0.0.1:%u/%s", (int)(strchr(d->url, '@') - d->url), d->url,
             ntohs(at.sin_port), d->name);
    struct record_settings s = {.url = url, .connect_ms = 5000, .io_ms = IO_MS, .two = true};
    if (record_mysql_open(&s, &r, why))
        fail_msg("through the proxy: %s", why);
    if (expected == KNOWN_ROWS) {
        struct record_mysql *m = record_mysql_of(r);
        m->new_jobs = m->new_calls = false;
    }
    atomic_store(&p->armed, true);
    return r;
}

static void nothing_changed(struct db *d)
{
    char sql[256];
    for (int i = 0; i < TABLES; i++) {
        const char *t = tables[i];
        snprintf(sql, sizeof sql,
                 "SELECT (SELECT COUNT(*) FROM (SELECT * FROM %s EXCEPT SELECT * FROM was_%s) x)"
                 "+(SELECT COUNT(*) FROM (SELECT * FROM was_%s EXCEPT SELECT * FROM %s) y)",
                 t, t, t, t);
        if (db_number(d, sql, NULL) != 0)
            fail_msg("the repetition changed %s", t);
    }
}

static void proxy_stop(struct proxy *p, struct record *r)
{
    r->ops->close(r);
    shutdown(p->listener, SHUT_RDWR);
    pthread_join(p->thread, NULL);
    for (size_t i = 0; i < p->relays_n; i++)
        pthread_join(p->relays[i].thread, NULL);
    close(p->listener);
    store_close(p->looker);
    assert_int_equal(atomic_load(&p->lost), 1);
    assert_int_equal(atomic_load(&p->looked), 0);
}

typedef int operation(struct db *d, struct record *r);

static int claims(struct db *d, struct record *r)
{
    struct record_claim c = claim_of(1, d->wa), *list[] = {&c};
    int err = r->ops->claim(r, list, 1);
    if (!err) {
        assert_int_equal(c.status, 0);
        assert_int_equal(c.row.worker, d->wa); /* still its own */
        assert_int_equal(c.row.crashes, 0);
    }
    record_claim_fini(&c);
    return err;
}

static int records_a_call(struct db *d, struct record *r)
{
    struct record_ledger l = call_of(1, 1, OUTCOME_OK, d->wa), *list[] = {&l};
    int err = r->ops->ledger(r, list, 1);
    if (!err)
        assert_int_equal(l.status, 0);
    return err;
}

static int fails_with_a_dead_letter(struct db *d, struct record *r)
{
    struct record_dead dead = {
        .topic = "t", .reason = "need-not-met", .value = "{}", .value_len = 2};
    struct record_finish f = end_of(1, JOB_FAILED, d->wa), *list[] = {&f};
    f.reason = dead.reason;
    f.dead = &dead;
    int err = r->ops->finish(r, list, 1);
    if (!err) {
        assert_int_equal(f.status, 0);
        assert_int_equal(f.stored, JOB_FAILED);
    }
    return err;
}

static int takes_over(struct db *d, struct record *r)
{
    struct job_id id = id_of(1);
    bool taken;
    return r->ops->take_over(r, d->wa, d->wb, &id, 1, &taken);
}

/* The operation commits, nobody hears of it, and it comes again until it is known to be done. */
static void lose_answer_of(struct db *d, operation *once, enum loss loss, enum expected expected)
{
    static struct proxy p;
    struct record *r = proxy_start(&p, d, loss, expected);
    assert_int_equal(once(d, r), loss == SILENT ? ERR_IO : 0);
    assert_int_equal(once(d, r), 0);
    proxy_stop(&p, r);
}

static void repeated_by_the_record(struct db *d, operation *once, enum expected expected)
{
    lose_answer_of(d, once, CUT, expected);
    nothing_changed(d);
}

static void repeated_by_the_caller(struct db *d, operation *once, enum expected expected)
{
    lose_answer_of(d, once, SILENT, expected);
    nothing_changed(d);
}

static void a_claim(void **state)
{
    repeated_by_the_record(*state, claims, NEW_ROWS);
}

static void a_claim_repeated_by_its_caller(void **state)
{
    repeated_by_the_caller(*state, claims, NEW_ROWS);
}

static void a_claim_in_a_transaction(void **state)
{
    repeated_by_the_record(*state, claims, KNOWN_ROWS);
}

static void a_claim_in_a_transaction_repeated_by_its_caller(void **state)
{
    repeated_by_the_caller(*state, claims, KNOWN_ROWS);
}

static void a_ledger_row(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 1, d->wa);
    repeated_by_the_record(d, records_a_call, NEW_ROWS);
}

static void a_ledger_row_repeated_by_its_caller(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 1, d->wa);
    repeated_by_the_caller(d, records_a_call, NEW_ROWS);
}

static void a_ledger_row_in_a_transaction(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 1, d->wa);
    repeated_by_the_record(d, records_a_call, KNOWN_ROWS);
}

static void a_ledger_row_in_a_transaction_repeated_by_its_caller(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 1, d->wa);
    repeated_by_the_caller(d, records_a_call, KNOWN_ROWS);
}

static void a_finish(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 1, d->wa);
    repeated_by_the_record(d, fails_with_a_dead_letter, KNOWN_ROWS);
}

static void a_finish_repeated_by_its_caller(void **state)
{
    struct db *d = *state;
    claim_mine(d->a, 1, d->wa);
    repeated_by_the_caller(d, fails_with_a_dead_letter, KNOWN_ROWS);
}

/* Two transactions: after the lost answer of the first the second is still to come, once. */
static void a_take_over_counts_one_crash(void **state)
{
    struct db *d = *state;
    struct job_id id = id_of(1);
    claim_mine(d->a, 1, d->wa);
    db_exec(d, "UPDATE op_worker SET lease_until=NOW(6)-INTERVAL 1 SECOND WHERE name='a'");
    lose_answer_of(d, takes_over, SILENT, KNOWN_ROWS);
    assert_int_equal(db_number(d, "SELECT crashes FROM op_job WHERE id=?", &id), 1);
    assert_int_equal(db_number(d, "SELECT worker FROM op_job WHERE id=?", &id), d->wb);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_setup_teardown(f, db_setup_tables, db_teardown)
        T(a_claim),
        T(a_claim_repeated_by_its_caller),
        T(a_claim_in_a_transaction),
        T(a_claim_in_a_transaction_repeated_by_its_caller),
        T(a_ledger_row),
        T(a_ledger_row_repeated_by_its_caller),
        T(a_ledger_row_in_a_transaction),
        T(a_ledger_row_in_a_transaction_repeated_by_its_caller),
        T(a_finish),
        T(a_finish_repeated_by_its_caller),
        T(a_take_over_counts_one_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
