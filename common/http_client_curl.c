#include "common/http_client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/http_address.h"
#include "common/http_answer.h"
#include "common/http_watch.h"

/* In one multi handle the cost of a call grows with the calls in flight, because each new transfer
 * walks that host's connections. So a client owns several (shards): the first that is not full gets
 * the next call, which also keeps a small load on few, warm connections. */

enum {
    SHARDS_MAX = 32,
    SHARD_FILL = 64, /* calls in flight before the next shard is used */
    SPARE_MAX = 512, /* easy handles kept for the next calls */
    IDLE_MAX_S = 30, /* a resting connection older than this is not used again */
    EXPECT_MIN = 1 << 20
};

struct shard {
    struct client *client;
    CURLM *multi;
    struct loop_timer *timer;
    unsigned running, sockets;
};

struct http_exchange {
    struct client *client;
    struct shard *shard;
    CURL *easy;
    struct curl_slist *headers;
    http_done_fn *fn;
    void *arg;
    struct http_answer answer;
    int64_t started_ms;
    bool allow_private; /* asked for */
    bool once;          /* curl may not send it a second time by itself */
    bool blocked;       /* an address was refused */
    bool tried;         /* another was not */
    bool sent, resent;
    bool done;
    struct http_exchange *prev, *next; /* running; next alone: spare */
    char why[CURL_ERROR_SIZE];
};

struct client {
    struct http_client client; /* first */
    struct loop *loop;
    CURLSH *share; /* names and TLS sessions, for all shards */
    struct shard *shards[SHARDS_MAX];
    size_t shards_n;
    struct http_watches watches;
    struct http_exchange *running, *spare;
    size_t spare_n;
    unsigned running_n, sockets, idle_max;
    struct buf scratch;
    bool closing;
};

/* ---- descriptors and timers */

static void collect(struct shard *s);

static void on_io(void *arg, int events)
{
    struct http_watch *w = arg;
    struct shard *s = w->owner;
    int mask =
        (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
    int running;
    curl_multi_socket_action(s->multi, w->fd, mask, &running);
    collect(s);
}

static struct http_watch *watch(struct shard *s, int fd, bool ours)
{
    struct client *c = s->client;
    struct http_watch *w = http_watch_get(&c->watches, fd);
    if (w)
        return w;
    return http_watch_new(
        &c->watches,
        &(struct http_watch){.loop = c->loop, .owner = s, .fd = fd, .ours = ours, .fn = on_io});
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *shard, void *unused)
{
    struct shard *s = shard;
    (void)easy, (void)unused;
    if (what == CURL_POLL_REMOVE) {
        http_watch_rest(&s->client->watches, http_watch_get(&s->client->watches, fd));
        return 0;
    }
    struct http_watch *w = watch(s, fd, false);
    int events = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);
    return w && http_watch_set(w, events) == 0 ? 0 : -1;
}

static void on_timer(void *arg)
{
    struct shard *s = arg;
    int running;
    curl_multi_socket_action(s->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    collect(s);
}

static int on_timeout(CURLM *multi, long ms, void *shard)
{
    struct shard *s = shard;
    (void)multi;
    if (ms < 0 || s->client->closing)
        loop_timer_stop(s->client->loop, s->timer);
    else
        loop_timer_set(s->client->loop, s->timer, ms, 0);
    return 0;
}

static bool is_private(const struct curl_sockaddr *a)
{
    const void *at = &a->addr;
    if (a->family == AF_INET)
        return http_address_is_private((const uint8_t *)&((const struct sockaddr_in *)at)->sin_addr,
                                       4);
    if (a->family == AF_INET6)
        return http_address_is_private(((const struct sockaddr_in6 *)at)->sin6_addr.s6_addr, 16);
    return true;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_exchange *x = arg;
    (void)purpose;
    if (!x->allow_private && is_private(a)) {
        x->blocked = true;
        return CURL_SOCKET_BAD;
    }
    x->tried = true;
    int fd = socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
    if (fd < 0)
        return CURL_SOCKET_BAD;
    if (!watch(x->shard, fd, true)) {
        close(fd);
        return CURL_SOCKET_BAD;
    }
    x->shard->sockets++;
    x->client->sockets++;
    return fd;
}

static int on_close(void *client, curl_socket_t fd)
{
    struct client *c = client;
    struct http_watch *w = http_watch_get(&c->watches, fd);
    if (w) {
        ((struct shard *)w->owner)->sockets--;
        c->sockets--;
        http_watch_free(&c->watches, w);
    }
    return close(fd);
}

/* Keep at most idle_max resting connections over all shards; curl wants the number of all. */
static void limit_idle(struct shard *s)
{
    struct client *c = s->client;
    unsigned idle = c->sockets > c->running_n ? c->sockets - c->running_n : 0;
    unsigned mine = s->sockets > s->running ? s->sockets - s->running : 0;
    unsigned others = idle > mine ? idle - mine : 0;
    unsigned room = c->idle_max > others ? c->idle_max - others : 0;
    unsigned all = s->running + room;
    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, all ? (long)all : 1L); /* 0: no limit */
}

/* ---- one exchange */

/* Called when the connection stands, before the request is written. A second time: curl found a
 * kept-alive connection dead and wants to send again; only a reading request may be repeated so. */
static int on_ready(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    struct http_exchange *x = arg;
    (void)local_ip, (void)port, (void)local_port;
    if (!x->allow_private && http_address_text_is_private(ip)) {
        x->blocked = true;
        return CURL_PREREQFUNC_ABORT;
    }
    if (x->sent && x->once) {
        x->resent = true;
        return CURL_PREREQFUNC_ABORT;
    }
    x->sent = true;
    return CURL_PREREQFUNC_OK;
}

static size_t on_head(char *bytes, size_t size, size_t n, void *arg)
{
    struct http_exchange *x = arg;
    return http_answer_head(&x->answer, bytes, size * n) ? size * n : 0;
}

static size_t on_body(char *bytes, size_t size, size_t n, void *arg)
{
    struct http_exchange *x = arg;
    return http_answer_body(&x->answer, bytes, size * n) ? size * n : 0;
}

/* What holds for every call; the rest is set by request_set. */
static void options_set(struct http_exchange *x)
{
    CURL *e = x->easy;
    curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    curl_easy_setopt(e, CURLOPT_SHARE, x->client->share);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*");
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 0L);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "");
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 1024L);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)IDLE_MAX_S);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->why);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, on_head);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, x);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, x);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_ready);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, x);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, x->client);
}

static struct http_exchange *exchange_new(struct client *c)
{
    struct http_exchange *x = c->spare;
    if (x) {
        c->spare = x->next;
        c->spare_n--;
        return x;
    }
    x = calloc(1, sizeof *x);
    if (!x)
        return NULL;
    x->client = c;
    x->easy = curl_easy_init();
    if (!x->easy) {
        free(x);
        return NULL;
    }
    options_set(x);
    return x;
}

static void exchange_free(struct http_exchange *x)
{
    struct client *c = x->client;
    http_answer_fini(&x->answer);
    curl_slist_free_all(x->headers);
    x->headers = NULL;
    if (c->spare_n >= SPARE_MAX || c->closing) {
        curl_easy_cleanup(x->easy);
        free(x);
        return;
    }
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, NULL); /* frees curl's copy of the body */
    x->next = c->spare;
    c->spare = x;
    c->spare_n++;
}

static int header_add(struct http_exchange *x, const char *name, const char *value)
{
    struct buf *line = &x->client->scratch;
    buf_clear(line);
    buf_text(line, name);
    buf_text(line, value && value[0] ? ": " : value ? ";" : ":"); /* curl's: empty, and removed */
    buf_text(line, value ? value : "");
    struct curl_slist *list =
        buf_ok(line) == 0 ? curl_slist_append(x->headers, buf_str(line)) : NULL;
    if (!list)
        return ERR_NOMEM;
    x->headers = list;
    return 0;
}

static int headers_set(struct http_exchange *x, const struct http_request *r)
{
    bool typed = false;
    for (size_t i = 0; i < r->headers_n; i++) {
        if (header_add(x, r->headers[i].name, r->headers[i].value) != 0)
            return ERR_NOMEM;
        typed = typed || strcasecmp(r->headers[i].name, "content-type") == 0;
    }
    if (!typed && header_add(x, "Content-Type", NULL) != 0) /* curl would claim a form */
        return ERR_NOMEM;
    if (r->body_len >= EXPECT_MIN && header_add(x, "Expect", NULL) != 0)
        return ERR_NOMEM;
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
    return 0;
}

static int body_set(struct http_exchange *x, const struct http_request *r)
{
    const char *m = r->method;
    bool reading = strcmp(m, "GET") == 0 || strcmp(m, "HEAD") == 0;
    bool sending = r->body || strcmp(m, "POST") == 0 || strcmp(m, "PUT") == 0 ||
                   strcmp(m, "PATCH") == 0; /* these say Content-Length: 0 without a body */
    CURLcode rc = CURLE_OK;
    x->once = !reading;
    if (sending) {
        curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
        rc = curl_easy_setopt(x->easy, CURLOPT_COPYPOSTFIELDS, r->body ? r->body : "");
    } else if (strcmp(m, "HEAD") == 0) {
        curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L);
    }
    if (rc == CURLE_OK)
        rc = curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, m);
    return rc == CURLE_OK ? 0 : ERR_NOMEM;
}

static int request_set(struct http_exchange *x, const struct http_request *r)
{
    if (curl_easy_setopt(x->easy, CURLOPT_URL, r->url) != CURLE_OK)
        return ERR_NOMEM;
    curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)(r->timeout_ms > 0 ? r->timeout_ms : 1));
    int err = headers_set(x, r);
    if (!err)
        err = body_set(x, r);
    x->why[0] = 0;
    x->started_ms = loop_now_ms(x->client->loop);
    x->allow_private = r->allow_private;
    x->blocked = x->tried = x->sent = x->resent = x->done = false;
    return err ? err : http_answer_init(&x->answer, r->response_max);
}

/* ---- shards */

static struct shard *shard_new(struct client *c)
{
    struct shard *s = calloc(1, sizeof *s);
    if (!s)
        return NULL;
    s->client = c;
    s->multi = curl_multi_init();
    s->timer = s->multi ? loop_timer_new(c->loop, on_timer, s) : NULL;
    if (!s->timer) {
        curl_multi_cleanup(s->multi);
        free(s);
        return NULL;
    }
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_PIPELINING, (long)CURLPIPE_NOTHING);
    return c->shards[c->shards_n++] = s;
}

static struct shard *shard_pick(struct client *c)
{
    struct shard *least = NULL;
    for (size_t i = 0; i < c->shards_n; i++) {
        struct shard *s = c->shards[i];
        if (s->running < SHARD_FILL)
            return s;
        if (!least || s->running < least->running)
            least = s;
    }
    struct shard *made = c->shards_n < SHARDS_MAX ? shard_new(c) : NULL;
    return made ? made : least;
}

static int shard_add(struct http_exchange *x)
{
    struct client *c = x->client;
    struct shard *s = shard_pick(c);
    x->shard = s;
    if (!s || curl_multi_add_handle(s->multi, x->easy) != CURLM_OK)
        return ERR_NOMEM;
    s->running++;
    c->running_n++;
    limit_idle(s);
    x->prev = NULL;
    x->next = c->running;
    if (x->next)
        x->next->prev = x;
    c->running = x;
    return 0;
}

static void shard_remove(struct http_exchange *x)
{
    struct client *c = x->client;
    curl_multi_remove_handle(x->shard->multi, x->easy);
    x->shard->running--;
    c->running_n--;
    *(x->prev ? &x->prev->next : &c->running) = x->next;
    if (x->next)
        x->next->prev = x->prev;
    limit_idle(x->shard);
}

/* ---- the end of an exchange */

static enum call_code code_of(const struct http_exchange *x, CURLcode rc)
{
    if (x->answer.too_big)
        return CALL_TOO_BIG;
    if (x->blocked && (!x->tried || rc == CURLE_ABORTED_BY_CALLBACK))
        return CALL_BLOCKED_ADDRESS;
    switch ((int)rc) {
    case CURLE_OK:
        return CALL_OK;
    case CURLE_OPERATION_TIMEDOUT:
        return CALL_TIMEOUT;
    case CURLE_COULDNT_RESOLVE_HOST:
        return CALL_DNS;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
    case CURLE_SSL_ISSUER_ERROR:
    case CURLE_SSL_INVALIDCERTSTATUS:
        return CALL_TLS;
    case CURLE_BAD_CONTENT_ENCODING:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_UNSUPPORTED_PROTOCOL: /* an answer that is no HTTP */
        return x->sent ? CALL_BAD_BODY : CALL_CONNECT;
    default:
        return x->sent ? CALL_RESET : CALL_CONNECT;
    }
}

static const char *why_of(struct http_exchange *x, CURLcode rc)
{
    if (x->answer.too_big)
        return x->answer.head_done ? "the body is larger than max_response" : "headers above 64 KB";
    if (x->blocked && rc != CURLE_OK)
        return "the address is private";
    if (x->resent)
        return "the kept-alive connection was lost while the request was sent";
    return x->why[0] ? x->why : rc == CURLE_OK ? "" : curl_easy_strerror(rc);
}

static void finish(struct http_exchange *x, CURLcode rc)
{
    struct http_response r = {.code = code_of(x, rc), .sent = x->sent || rc == CURLE_OK};
    long status = 0;
    curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    r.status = (int)status;
    shard_remove(x);
    http_answer_finish(&x->answer, r.code == CALL_OK, &r);
    r.why = why_of(x, rc);
    r.ms = loop_now_ms(x->client->loop) - x->started_ms;
    x->done = true;
    x->fn(x->arg, &r);
    free(r.body);
    exchange_free(x);
}

static void collect(struct shard *s)
{
    int left;
    for (CURLMsg *m; (m = curl_multi_info_read(s->multi, &left)) != NULL;) {
        struct http_exchange *x = NULL;
        if (m->msg != CURLMSG_DONE)
            continue;
        CURLcode rc = m->data.result; /* m dies with the removal */
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
        finish(x, rc);
    }
}

/* ---- the port */

static int client_start(struct http_client *client, const struct http_request *r, http_done_fn *fn,
                        void *arg, struct http_exchange **out)
{
    struct client *c = (struct client *)(void *)client;
    if (!http_request_is_valid(r))
        return ERR_INVALID;
    struct http_exchange *x = exchange_new(c);
    if (!x)
        return ERR_NOMEM;
    x->fn = fn;
    x->arg = arg;
    int err = request_set(x, r);
    if (!err)
        err = shard_add(x);
    if (err) {
        exchange_free(x);
        return err;
    }
    *out = x;
    return 0;
}

static void client_cancel(struct http_exchange *x)
{
    if (x->done) /* inside its own callback */
        return;
    shard_remove(x);
    exchange_free(x);
}

static void client_close(struct http_client *client)
{
    struct client *c = (struct client *)(void *)client;
    c->closing = true;
    while (c->running)
        client_cancel(c->running);
    for (struct http_exchange *x; (x = c->spare) != NULL;) {
        c->spare = x->next;
        exchange_free(x);
    }
    for (size_t i = 0; i < c->shards_n; i++) {
        curl_multi_cleanup(c->shards[i]->multi);
        loop_timer_free(c->loop, c->shards[i]->timer);
        free(c->shards[i]);
    }
    curl_share_cleanup(c->share);
    http_watches_fini(&c->watches);
    buf_fini(&c->scratch);
    free(c);
    curl_global_cleanup();
}

int http_client_curl_open(struct loop *loop, unsigned connections, struct http_client **out)
{
    static const struct http_client_ops ops = {client_start, client_cancel, client_close};
    struct client *c = calloc(1, sizeof *c);
    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(c);
        return ERR_NOMEM;
    }
    c->client.ops = &ops;
    c->loop = loop;
    c->idle_max = connections;
    buf_init(&c->scratch, HTTP_HEAD_MAX);
    c->share = curl_share_init();
    if (!c->share || !shard_new(c)) {
        client_close(&c->client);
        return ERR_NOMEM;
    }
    curl_share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    *out = &c->client;
    return 0;
}
