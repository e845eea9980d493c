#include "gateway/http_server.h"

#include <civetweb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "common/log.h"
#include "common/metrics.h"
#include "gateway/body_read.h"
#include "gateway/guard.h"
#include "gateway/handover.h"
#include "gateway/http_server_options.h"
#include "gateway/http_thread.h"
#include "gateway/problem.h"
#include "gateway/refusal.h"
#include "gateway/request_id.h"
#include "gateway/sockets.h"
#include "gateway/wire.h"

enum {
    BODY_FIRST = 4096, /* of a chunked body: first read */
    LINGER_MS = 2000,  /* for what a refused client still sends */
    START_MS = 10000
};

struct http_server {
    struct http_server_settings s;
    struct mg_context *ctx;
    char address[96], failure[256];
    int port;
    struct http_thread *threads;
    struct seats *seats;
    _Atomic unsigned workers, masters, in_flight;
    _Atomic bool closing;
    struct body_watchdog watchdog;
    struct handover handover;
    struct metric *refused;
};

struct exchange { /* one request */
    struct http_request q;
    struct mg_connection *c;
    struct http_thread *t;
    bool expect, read; /* wants 100 Continue; the body was read whole */
};

static struct socket_ends ends_of(const struct mg_connection *c)
{
    const struct mg_request_info *ri = mg_get_request_info(c);
    return (struct socket_ends){ri->remote_addr, ri->remote_port, ri->server_port};
}

/* civetweb tells them from a connection's beginning on, just not within init_connection. */
static bool find_ends(const void *connection, struct socket_ends *out)
{
    if (!mg_get_request_info(connection))
        return false;
    *out = ends_of(connection);
    return true;
}

/* ---- the watchdog of bodies */
static void watch_arm(struct http_thread *t, const struct mg_connection *c, int64_t ms)
{
    const struct socket_ends ends = ends_of(c);
    body_watch_arm(t->watch, &ends, clock_mono_us(t->server->s.clock) + ms * 1000);
}

/* ---- bodies */

static int read_some(void *connection, void *to, size_t n)
{
    return mg_read(connection, to, n);
}

static struct http_due *defer(struct http_request *q)
{
    struct exchange *x = (struct exchange *)q;
    const struct socket_ends ends = ends_of(x->c);
    return debt_take(&x->t->debt, &ends, q);
}

/* All of it, in the time there is for it. */
static int read_whole(struct exchange *x, struct buf *b, size_t max)
{
    const struct http_request *q = &x->q;
    const struct body_source source = {read_some, x->c, q->secret};
    watch_arm(x->t, x->c, x->t->server->s.body_ms);
    int err = q->content_length >= 0 ? body_read_counted(&source, b, (size_t)q->content_length)
                                     : body_read_chunked(&source, b, max);
    bool late = body_watch_end(x->t->watch);
    return late && (!err || err == ERR_BAD_REQUEST) ? ERR_SLOW_BODY : err;
}

static int read_body(struct http_request *q, size_t max, char **body, size_t *len)
{
    struct exchange *x = (struct exchange *)q;
    struct buf *b = &x->t->space.body;
    buf_clear(b);
    if (q->content_length > (long long)max)
        return ERR_TOO_LARGE;
    size_t first = q->secret ? max : BODY_FIRST; /* what grows leaves copies behind */
    if (http_space_reserve(b, q->content_length > 0 ? (size_t)q->content_length : first) != 0)
        return ERR_NOMEM;
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";
    if (x->expect && mg_write(x->c, go_on, sizeof go_on - 1) <= 0)
        return ERR_BAD_REQUEST;
    int err = read_whole(x, b, max);
    if (err && q->secret)
        explicit_bzero(b->data, b->cap); /* nobody is told of what came */
    if (err)
        return err;
    x->read = true;
    if (q->content_length)
        seat_read(x->t->seat, q->content_length < 0 ? 0 : b->len);
    b->data[b->len] = 0;
    *body = b->data;
    *len = b->len;
    return 0;
}

/* ---- replies: one buffer, one write */

static bool send_reply(struct exchange *x, bool head_only)
{
    struct http_reply *r = &x->t->space.reply;
    struct buf *out = &x->t->space.out;
    struct http_write w = {http_date_now(&x->t->date), x->q.id, head_only};
    buf_clear(out);
    http_write_reply(r, &w, out);
    if (r->close)
        mg_disable_connection_keep_alive(x->c);
    bool sent = buf_ok(out) == 0 && mg_write(x->c, out->data, out->len) == (int)out->len;
    if (!sent)
        mg_disable_connection_keep_alive(x->c);
    return sent;
}

static int carry(void *arg, const void *bytes, size_t len)
{
    return mg_write(arg, bytes, len);
}

/* A reply that becomes a stream: the thread is free again, where the connection can be detached. */
static void send_stream(struct exchange *x)
{
    struct http_server *s = x->t->server;
    const struct http_reply *r = &x->t->space.reply;
    const struct socket_ends ends = ends_of(x->c);
    if (send_reply(x, false)) {
        handover_give(&s->handover, &ends, carry, x->c, r);
        return;
    }
    handover_leave(&s->handover, r);
    r->taker(r->taker_arg, -1);
}

/* ---- requests */

static void fill_request(struct exchange *x, const struct mg_request_info *ri,
                         struct http_header *headers)
{
    size_t n = ri->num_headers > 0 ? (size_t)ri->num_headers : 0;
    for (size_t i = 0; i < n; i++)
        headers[i] = (struct http_header){ri->http_headers[i].name, ri->http_headers[i].value};
    wire_mark(headers, n, MG_MAX_HEADERS);
    bool late = wire_starts_late(&x->t->start, ri->request_method, x->t->server->s.header_max);
    seat_read(x->t->seat, wire_head_size(x->t->start, headers, n));
    for (size_t i = 0; i < n; i++)
        wire_cut_blanks((char *)headers[i].value); /* of its buffer */
    x->q = (struct http_request){.method = ri->request_method,
                                 .path = late || !ri->request_uri ? "" : ri->request_uri,
                                 .query = ri->query_string,
                                 .version = ri->http_version,
                                 .client = ri->remote_addr,
                                 .headers = headers,
                                 .headers_n = n,
                                 .content_length = ri->content_length,
                                 .public_url = x->t->server->s.public_url,
                                 .read_body = read_body,
                                 .defer = defer};
    if (http_header(&x->q, "transfer-encoding"))
        x->q.content_length = -1;
    x->expect = http_expects_continue(&x->q);
}

static void refuse(struct exchange *x, enum refusal why)
{
    request_id_set(http_header(&x->q, "request-id"), rng_real(), x->q.id);
    refusal_reply(why, x->t->server->s.header_max, &x->q, &x->t->space.reply);
}

/* What is not for the handler, and else the handler. */
static void answer(struct exchange *x)
{
    struct http_server *s = x->t->server;
    struct http_reply *r = &x->t->space.reply;
    unsigned before = atomic_fetch_add(&s->in_flight, 1);
    if (!seat_serve(x->t->seat, x->q.client)) {
        refuse(x, REFUSAL_CROWDED);
    } else if (s->s.in_flight && before >= s->s.in_flight) {
        metrics_add(s->refused, 1);
        refuse(x, REFUSAL_BUSY);
    } else if (handover_is_trial(&s->handover, &x->q)) {
        r->status = 200;
        r->taker = handover_try_taker;
        r->close = true;
    } else {
        s->s.handler(s->s.arg, &x->q, r);
    }
}

static int serve(struct mg_connection *c)
{
    struct http_header headers[MG_MAX_HEADERS];
    struct exchange x = {.c = c, .t = mg_get_thread_pointer(c)};
    struct http_server *s = x.t->server;
    struct http_reply *r = &x.t->space.reply;
    body_watch_end(x.t->watch);
    if (!debt_settle(&x.t->debt)) {
        mg_disable_connection_keep_alive(c);
        return 503; /* to nobody: the client was told that the connection ends */
    }
    http_reply_clear(r);
    fill_request(&x, mg_get_request_info(c), headers);
    if (s->s.begin)
        s->s.begin(s->s.arg, &x.q, r);
    answer(&x);
    if (r->deferred) {
        http_space_shrink(&x.t->space);
        return 202;
    }
    handover_admit(&s->handover, &x.q, r);
    bool unread = !x.read && guard_has_body(&x.q);
    r->close = r->close || unread || atomic_load_explicit(&s->closing, memory_order_relaxed) ||
               seat_gives_way(x.t->seat);
    if (!r->status || buf_ok(&r->body) != 0 || buf_ok(&r->headers) != 0)
        problem_simple(&x.q, r, ERR_BUG, NULL);
    int status = r->status;
    if (r->taker)
        send_stream(&x);
    else
        (void)send_reply(&x, strcmp(x.q.method, "HEAD") == 0);
    http_space_shrink(&x.t->space);
    if (unread) /* civetweb reads on for a while: bounded too */
        watch_arm(x.t, c, LINGER_MS);
    else
        seat_wait(x.t->seat);
    atomic_fetch_sub(&s->in_flight, 1);
    return status;
}

/* What comes to no handler: civetweb refuses it by itself. */
static void answer_unserved(struct mg_connection *c, enum refusal why)
{
    struct exchange x = {.c = c, .t = mg_get_thread_pointer(c)};
    x.q.public_url = x.t->server->s.public_url;
    body_watch_end(x.t->watch);
    if (!debt_settle(&x.t->debt))
        return;
    http_reply_clear(&x.t->space.reply);
    refuse(&x, why);
    (void)send_reply(&x, false);
    x.t->told = true;
}

/* A header that is too large, too slow or not readable. */
static int http_error(struct mg_connection *c, int status, const char *text)
{
    const struct http_thread *t = mg_get_thread_pointer(c);
    (void)status;
    (void)text;
    if (!t)
        return 1;
    answer_unserved(c, seat_is_late(t->seat)    ? REFUSAL_SLOW
                       : seat_is_ended(t->seat) ? REFUSAL_GAVE_WAY
                                                : REFUSAL_UNREADABLE);
    return 0;
}

/* ---- life */

static void *init_thread(const struct mg_context *ctx, int type)
{
    struct http_server *s = mg_get_user_data(ctx);
    if (type == 0)
        atomic_fetch_add(&s->masters, 1);
    if (type != 1)
        return NULL;
    unsigned i = atomic_fetch_add(&s->workers, 1);
    struct http_thread *t = &s->threads[i < s->s.threads ? i : 0];
    pthread_setname_np(pthread_self(), "http");
    return t;
}

static int connection_begin(const struct mg_connection *c, void **data)
{
    struct http_thread *t = mg_get_thread_pointer(c);
    (void)data;
    if (!t)
        return 0;
    t->told = false;
    seat_take(t->seat, c);
    return 0;
}

/* A request that can be read, but not for a path: civetweb ends without a word. */
static bool is_unanswered(const struct http_thread *t, const struct mg_connection *c)
{
    const struct mg_request_info *ri = mg_get_request_info(c);
    return !t->told && ri && ri->request_method && !ri->local_uri;
}

static void connection_close(const struct mg_connection *c)
{
    struct http_thread *t = mg_get_thread_pointer(c);
    if (!t)
        return;
    if (is_unanswered(t, c))
        answer_unserved((struct mg_connection *)c, REFUSAL_TARGET);
    body_watch_end(t->watch);
    debt_end(&t->debt);
    seat_leave(t->seat);
}

static int log_message(const struct mg_connection *c, const char *message)
{
    const struct mg_context *ctx = c ? mg_get_context(c) : NULL;
    struct http_server *s = ctx ? mg_get_user_data(ctx) : NULL;
    if (s && !s->failure[0] && !s->ctx)
        snprintf(s->failure, sizeof s->failure, "%s", message);
    log_debug("civetweb", "message", message);
    return 1;
}

static struct mg_context *start_civetweb(struct http_server *s, const char *ports)
{
    struct http_server_options options;
    http_server_options_fill(&s->s, ports, &options);
    struct mg_callbacks calls = {.begin_request = serve,
                                 .http_error = http_error,
                                 .init_thread = init_thread,
                                 .init_connection = connection_begin,
                                 .connection_close = connection_close,
                                 .log_message = log_message};
    return mg_start(&calls, s, options.list[0]);
}

/* mg_start returns a context even if its threads could not be made. */
static bool wait_threads(struct http_server *s)
{
    struct timespec pause = {0, 2 * 1000000L};
    int64_t until = clock_mono_us(clock_real()) + (int64_t)START_MS * 1000;
    while (atomic_load(&s->workers) < s->s.threads || !atomic_load(&s->masters)) {
        if (clock_mono_us(clock_real()) > until)
            return false;
        nanosleep(&pause, NULL);
    }
    return true;
}

static void server_free(struct http_server *s)
{
    http_threads_free(s->threads, s->s.threads);
    free(s->watchdog.watches);
    seats_free(s->seats);
    free(s);
}

static struct http_server *server_new(const struct http_server_settings *settings)
{
    struct http_server *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->s = *settings;
    handover_init(&s->handover, settings->threads);
    const struct seats_settings seats = {.n = settings->threads,
                                         .per_address = settings->per_address,
                                         .below = s->handover.above,
                                         .ends = find_ends,
                                         .header_ms = settings->header_ms,
                                         .idle_ms = settings->keep_alive_ms};
    const struct debt_terms terms = {&s->in_flight, &s->closing, s->handover.above,
                                     settings->header_ms, NULL};
    s->watchdog.watches = calloc(settings->threads, sizeof *s->watchdog.watches);
    s->watchdog.n = settings->threads;
    s->watchdog.clock = settings->clock;
    if (s->watchdog.watches && seats_new(&seats, &s->seats) == 0)
        s->threads = http_threads_new(settings->threads, s, s->seats, s->watchdog.watches, terms);
    if (!s->threads) {
        server_free(s);
        return NULL;
    }
    s->watchdog.seats = s->seats;
    s->refused = metrics_counter("offpath_http_refused_total", "",
                                 "Requests refused because too many were being served.");
    return s;
}

static int run(struct http_server *s, const char *host, char why[256])
{
    char ports[96];
    struct mg_server_port taken[4];
    snprintf(ports, sizeof ports, "%s:%d", host, s->port);
    s->ctx = start_civetweb(s, ports);
    if (!s->ctx) {
        snprintf(why, 256, "cannot listen on %s: %.120s", ports, s->failure);
        return ERR_EXISTS;
    }
    if (!wait_threads(s)) {
        snprintf(why, 256,
                 "only %u of %u threads could be started; raise the limit of processes, "
                 "or lower --threads",
                 atomic_load(&s->workers), s->s.threads);
        return ERR_NOMEM;
    }
    if (mg_get_server_ports(s->ctx, 4, taken) > 0)
        s->port = taken[0].port;
    snprintf(s->address, sizeof s->address, "%s:%d", host, s->port);
    s->watchdog.port = s->port;
    return body_watchdog_start(&s->watchdog);
}

int http_server_start(const struct http_server_settings *settings, struct http_server **out,
                      char why[256])
{
    char host[SOCKET_HOST];
    if (strcmp(mg_version(), CIVETWEB_VERSION) != 0) {
        snprintf(why, 256, "civetweb %s is installed, %s was compiled for; build again",
                 mg_version(), CIVETWEB_VERSION);
        return ERR_INVALID;
    }
    struct http_server *s = server_new(settings);
    if (!s)
        return ERR_NOMEM;
    int err = socket_parse_listen(s->s.listen, host, &s->port, why);
    if (!err)
        err = socket_try_listen(host, s->port, why);
    if (!err) {
        mg_init_library(0);
        err = run(s, host, why);
    }
    if (err) {
        if (err != ERR_NOMEM || !s->ctx) /* half started: mg_stop may wait for ever */
            server_free(s);
        return err;
    }
    if (settings->streams)
        handover_try(&s->handover, host, s->port);
    *out = s;
    return 0;
}

const char *http_server_address(const struct http_server *s)
{
    return s->address;
}

unsigned http_server_in_flight(const struct http_server *s)
{
    return atomic_load(&s->in_flight);
}

void http_server_close_connections(struct http_server *s)
{
    atomic_store(&s->closing, true);
}

void http_server_refuse(struct http_server *s)
{
    if (sockets_refuse(s->port) == 0)
        log_warn("listener-not-found", "address", s->address);
}

void http_server_stop(struct http_server *s)
{
    if (!s)
        return;
    body_watchdog_stop(&s->watchdog);
    mg_stop(s->ctx);
    server_free(s);
}
