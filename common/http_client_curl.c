#include "common/http_client.h"

#include <curl/curl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#include "common/http_address.h"
#include "common/http_answer.h"
#include "common/http_end.h"
#include "common/http_route.h"
#include "common/http_shard.h"

enum { IDLE_MAX_S = 30, TOO_LARGE = 100 }; /* of a resting connection; CURLE_TOO_LARGE of 8.6 */

struct http_exchange {
    struct http_route route; /* first: its wait is all that names.h gives back */
    struct client *client;
    struct http_shard *shard; /* NULL: waits for its name */
    CURL *easy;
    CURLU *parsed; /* the URL, until the connection stands; see url_set */
    struct curl_slist *headers, *addresses;
    http_done_fn *fn;
    void *arg;
    struct http_answer answer;
    int64_t started_ms;
    bool allow_private; /* asked for */
    bool once;          /* curl may not send it a second time by itself */
    bool counts;        /* curl wanted to, and the handle remembers it */
    bool done;
    struct http_end end;
    LIST_ENTRY(http_exchange) link; /* of the running or the spare */
    char why[CURL_ERROR_SIZE];
};

struct client {
    struct http_client client; /* first */
    struct loop *loop;
    CURLSH *share; /* names and TLS sessions, for all shards */
    struct http_shards shards;
    struct names *names;
    LIST_HEAD(, http_exchange) running, spare;
    size_t spare_n; /* easy handles kept for the next calls */
    struct loop_timer *rest;
    struct buf scratch;
    bool closing;
    bool old; /* curl before 8.12, see url_set */
};

/* ---- sockets and timers */

static void collect(struct http_shard *s);

static void act(struct http_shard *s, int fd, int events)
{
    int mask =
        (events & LOOP_READ ? CURL_CSELECT_IN : 0) | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0);
    int running;
    curl_multi_socket_action(s->multi, fd < 0 ? CURL_SOCKET_TIMEOUT : fd, mask, &running);
    collect(s);
}

static int on_socket(CURL *easy, curl_socket_t fd, int what, void *shard, void *unused)
{
    (void)easy, (void)unused;
    int events = (what & CURL_POLL_IN ? LOOP_READ : 0) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0);
    return http_shard_watch(shard, fd, events) ? -1 : 0;
}

static int on_timeout(CURLM *multi, long ms, void *shard)
{
    (void)multi;
    http_shard_wait(shard, ms);
    return 0;
}

static curl_socket_t on_open(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct http_exchange *x = arg;
    (void)purpose;
    x->counts |= x->end.sent;
    if (!x->allow_private && http_sockaddr_is_private(&a->addr)) {
        x->end.blocked = true;
        return CURL_SOCKET_BAD;
    }
    x->end.tried = true;
    return http_shard_socket(x->shard, a->family, a->socktype, a->protocol);
}

static int on_close(void *client, curl_socket_t fd)
{
    return http_shards_close_socket(&((struct client *)client)->shards, fd);
}

/* A call of this shard began or ended: how many connections may it keep now? */
static void account(struct http_shard *s, int change)
{
    struct http_loads *l = &s->all->loads;
    http_loads_call(l, s->number, change);
    curl_multi_setopt(s->multi, CURLMOPT_MAXCONNECTS, http_loads_connections(l, s->number));
}

/* ---- one exchange */

static void parsed_free(struct http_exchange *x)
{
    if (x->parsed)
        curl_easy_setopt(x->easy, CURLOPT_CURLU, NULL);
    curl_url_cleanup(x->parsed);
    x->parsed = NULL;
}

/* Called when the connection stands, before the request is written. A second time: curl found a
 * kept-alive connection dead and wants to send again; only a reading request may be repeated so. */
static int on_ready(void *arg, char *ip, char *local_ip, int port, int local_port)
{
    struct http_exchange *x = arg;
    (void)local_ip, (void)port, (void)local_port;
    x->counts |= x->end.sent;
    parsed_free(x); /* 10,000 that wait for their answers need it no more */
    if (!x->allow_private && http_address_text_is_private(ip)) {
        x->end.blocked = true;
        return CURL_PREREQFUNC_ABORT;
    }
    if (x->end.sent && x->once) {
        x->end.resent = true;
        return CURL_PREREQFUNC_ABORT;
    }
    x->end.sent = true;
    return CURL_PREREQFUNC_OK;
}

/* What holds for every call; the rest is set by request_set. */
static void options_set(struct http_exchange *x)
{
    CURL *e = x->easy;
    curl_easy_setopt(e, CURLOPT_PRIVATE, x);
    curl_easy_setopt(e, CURLOPT_SHARE, x->client->share);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_QUICK_EXIT, 1L); /* should it ever resolve: wait for no thread */
    curl_easy_setopt(e, CURLOPT_PROXY, "");
    curl_easy_setopt(e, CURLOPT_NOPROXY, "*"); /* else it asks the environment, each time */
    curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https");
    /* Else curl multiplexes on any connection whose status line says "HTTP/2" (decision 65). */
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(e, CURLOPT_ACCEPT_ENCODING, "gzip"); /* as the header of http_request_line */
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, 1024L);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, 16384L);
    curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, (long)IDLE_MAX_S);
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, x->why);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, http_answer_on_head);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, &x->answer);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, http_answer_on_body);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, &x->answer);
    curl_easy_setopt(e, CURLOPT_PREREQFUNCTION, on_ready);
    curl_easy_setopt(e, CURLOPT_PREREQDATA, x);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETFUNCTION, on_open);
    curl_easy_setopt(e, CURLOPT_OPENSOCKETDATA, x);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETFUNCTION, on_close);
    curl_easy_setopt(e, CURLOPT_CLOSESOCKETDATA, x->client);
}

static struct http_exchange *spare_take(struct client *c)
{
    struct http_exchange *x = LIST_FIRST(&c->spare);
    LIST_REMOVE(x, link);
    c->spare_n--;
    return x;
}

static struct http_exchange *exchange_new(struct client *c)
{
    if (c->spare_n > 0)
        return spare_take(c);
    struct http_exchange *x = calloc(1, sizeof *x);
    CURL *easy = x ? curl_easy_init() : NULL;
    if (!easy) {
        free(x);
        return NULL;
    }
    *x = (struct http_exchange){.client = c, .easy = easy};
    options_set(x);
    return x;
}

static void spare_trim(struct client *c)
{
    while (c->spare_n > (c->closing ? 0 : http_loads_spare(&c->shards.loads))) {
        struct http_exchange *x = spare_take(c);
        curl_easy_cleanup(x->easy);
        free(x);
    }
}

static void exchange_free(struct http_exchange *x)
{
    struct client *c = x->client;
    http_answer_fini(&x->answer);
    parsed_free(x);
    curl_slist_free_all(x->headers);
    curl_slist_free_all(x->addresses);
    curl_easy_setopt(x->easy, CURLOPT_RESOLVE, NULL);
    x->headers = x->addresses = NULL;
    curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, NULL);
    curl_easy_setopt(x->easy, CURLOPT_POSTFIELDS, NULL); /* frees curl's copy of the body */
    if (x->counts) { /* with five in all its calls it would give up on the next */
        curl_easy_reset(x->easy);
        options_set(x);
    }
    LIST_INSERT_HEAD(&c->spare, x, link);
    c->spare_n++;
    spare_trim(c);
}

static CURLcode headers_set(struct http_exchange *x, const struct http_request *r)
{
    struct buf *line = &x->client->scratch;
    for (size_t i = 0; http_request_line(r, i, line); i++) {
        struct curl_slist *l = buf_ok(line) ? NULL : curl_slist_append(x->headers, buf_str(line));
        if (!l)
            return CURLE_OUT_OF_MEMORY;
        x->headers = l;
    }
    return curl_easy_setopt(x->easy, CURLOPT_HTTPHEADER, x->headers);
}

static int body_set(struct http_exchange *x, const struct http_request *r)
{
    CURLcode rc = CURLE_OK;
    x->once = r->once || !http_method_is_safe(r->method);
    if (r->body || http_method_has_body(r->method)) {
        curl_easy_setopt(x->easy, CURLOPT_POST, 1L);
        curl_easy_setopt(x->easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->body_len);
        rc = curl_easy_setopt(x->easy, CURLOPT_COPYPOSTFIELDS, r->body ? r->body : "");
    } else if (strcmp(r->method, "HEAD") == 0) {
        curl_easy_setopt(x->easy, CURLOPT_NOBODY, 1L);
    } else {
        curl_easy_setopt(x->easy, CURLOPT_HTTPGET, 1L);
    }
    return rc || curl_easy_setopt(x->easy, CURLOPT_CUSTOMREQUEST, r->method) ? ERR_NOMEM : 0;
}

/* curl uses no connection for a call with other files; a new one reads an upstream's own again. */
static int tls_set(struct http_exchange *x, const struct upstream_tls *tls)
{
    const struct upstream_tls *t = tls ? tls : &(const struct upstream_tls){0};
    curl_easy_setopt(x->easy, CURLOPT_CA_CACHE_TIMEOUT, t->ca ? 0L : 86400L);
    const char *ca = t->ca ? t->ca : curl_version_info(CURLVERSION_NOW)->cainfo;
    CURLcode rc = ca ? curl_easy_setopt(x->easy, CURLOPT_CAINFO, ca) : CURLE_OK;
    if (ca) /* with a folder besides, curl reads 140 files each time */
        curl_easy_setopt(x->easy, CURLOPT_CAPATH, NULL);
    rc = rc ? rc : curl_easy_setopt(x->easy, CURLOPT_SSLCERT, t->cert);
    return rc || curl_easy_setopt(x->easy, CURLOPT_SSLKEY, t->key) ? ERR_NOMEM : 0;
}

/* Given a URL that is parsed, an old curl does not print it once more; behind it, or it would print
 * this one. An address with a zone loses that so; what does not parse, curl refuses in its call. */
static CURLcode url_set(struct http_exchange *x, const char *url)
{
    x->parsed = x->client->old && !strchr(url, '[') ? curl_url() : NULL;
    if (x->parsed && !curl_url_set(x->parsed, CURLUPART_URL, url, CURLU_PATH_AS_IS))
        curl_easy_setopt(x->easy, CURLOPT_CURLU, x->parsed);
    return curl_easy_setopt(x->easy, CURLOPT_URL, url);
}

static int request_set(struct http_exchange *x, const struct http_request *r)
{
    bool failed = url_set(x, r->url) || headers_set(x, r) || body_set(x, r) ||
                  (!strncasecmp(r->url, "https://", 8) && tls_set(x, r->tls));
    curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)(r->timeout_ms > 0 ? r->timeout_ms : 1));
    x->why[0] = 0;
    x->started_ms = loop_now_ms(x->client->loop);
    x->allow_private = r->allow_private;
    x->done = x->counts = false;
    x->shard = NULL;
    x->end = (struct http_end){0};
    return failed ? ERR_NOMEM : http_answer_init(&x->answer, r, x->arg);
}

static bool shard_open(struct http_shard *s)
{
    if (!(s->multi = curl_multi_init()))
        return false;
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETFUNCTION, on_socket);
    curl_multi_setopt(s->multi, CURLMOPT_SOCKETDATA, s);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERFUNCTION, on_timeout);
    curl_multi_setopt(s->multi, CURLMOPT_TIMERDATA, s);
    return true;
}

static void shard_close(struct http_shard *s)
{
    curl_multi_cleanup(s->multi);
}

static void on_rest(void *client)
{
    struct client *c = client;
    http_shards_rest(&c->shards);
    spare_trim(c);
}

static int shard_add(struct http_exchange *x)
{
    struct http_shard *s = http_shards_pick(&x->client->shards);
    if (!s || curl_multi_add_handle(s->multi, x->easy) != CURLM_OK)
        return ERR_NOMEM;
    x->shard = s;
    account(s, 1);
    return 0;
}

/* Out of what it is in: a shard, or those who wait for a name. */
static void take_out(struct http_exchange *x)
{
    names_leave(x->client->names, &x->route.wait);
    if (x->shard) {
        curl_multi_remove_handle(x->shard->multi, x->easy);
        account(x->shard, -1);
    }
    LIST_REMOVE(x, link);
}

static void end_set(struct http_exchange *x, CURLcode rc)
{
    static const struct {
        CURLcode rc;
        enum http_end_kind kind;
    } kinds[] = {{CURLE_OK, END_ANSWER},
                 {CURLE_OPERATION_TIMEDOUT, END_TIMEOUT},
                 {CURLE_COULDNT_RESOLVE_HOST, END_NO_NAME},
                 {CURLE_SSL_CONNECT_ERROR, END_TLS},
                 {CURLE_PEER_FAILED_VERIFICATION, END_TLS},
                 {CURLE_SSL_CACERT_BADFILE, END_TLS},
                 {CURLE_SSL_CERTPROBLEM, END_TLS},
                 {CURLE_SSL_CLIENTCERT, END_TLS},
                 {CURLE_BAD_CONTENT_ENCODING, END_BROKEN},
                 {CURLE_WEIRD_SERVER_REPLY, END_BROKEN},
                 {CURLE_UNSUPPORTED_PROTOCOL, END_BROKEN},
                 {CURLE_ABORTED_BY_CALLBACK, END_ABORTED}};
    /* a line of the head above 100 KB, of which we get no part: no memory to curl before 8.6 */
    bool long_line = rc == CURLE_OUT_OF_MEMORY || (int)rc == TOO_LARGE;
    x->end.kind = END_LOST;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (kinds[i].rc == rc)
            x->end.kind = kinds[i].kind;
    x->end.too_big = x->answer.too_big || (long_line && x->end.sent && !x->answer.head_done);
    x->end.head_done = x->answer.head_done;
    x->end.text = x->why[0] ? x->why : rc == CURLE_OK ? "" : curl_easy_strerror(rc);
}

static void finish(struct http_exchange *x, CURLcode rc)
{
    long status = 0;
    end_set(x, rc);
    struct http_response r = {.code = http_end_code(&x->end),
                              .sent = x->end.sent || rc == CURLE_OK};
    if (x->shard) /* else the handle knows its last call's */
        curl_easy_getinfo(x->easy, CURLINFO_RESPONSE_CODE, &status);
    r.status = (int)status;
    take_out(x);
    http_answer_finish(&x->answer, r.code == CALL_OK, &r);
    r.why = http_end_why(&x->end);
    r.ms = loop_now_ms(x->client->loop) - x->started_ms;
    x->done = true;
    x->fn(x->arg, &r);
    free(r.body);
    exchange_free(x);
}

static void collect(struct http_shard *s)
{
    for (CURLMsg *m; (m = curl_multi_info_read(s->multi, &(int){0})) != NULL;) {
        struct http_exchange *x = NULL;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
        finish(x, m->data.result); /* DONE is the only message; m dies with the removal */
    }
}

/* ---- the way to the host */

/* Off it goes; the line in scratch says where curl finds the host. */
static int depart(struct http_exchange *x)
{
    struct buf *line = &x->client->scratch;
    if (line->len) {
        x->addresses = curl_slist_append(NULL, buf_str(line));
        if (!x->addresses || curl_easy_setopt(x->easy, CURLOPT_RESOLVE, x->addresses))
            return ERR_NOMEM;
    }
    return shard_add(x);
}

static int depart_late(struct http_exchange *x, const char *addresses)
{
    int64_t left_ms = x->route.wait.until_ms - loop_now_ms(x->client->loop);
    curl_easy_setopt(x->easy, CURLOPT_TIMEOUT_MS, (long)(left_ms > 0 ? left_ms : 1));
    int err = http_route_line(&x->route, addresses, &x->client->scratch);
    return err ? err : depart(x);
}

/* It has waited for a name. */
static void on_name(void *client, struct names_wait *w, int err, const char *text)
{
    struct http_exchange *x = (struct http_exchange *)(void *)w;
    (void)client;
    if (!err && (err = depart_late(x, text)) == 0)
        return;
    snprintf(x->why, sizeof x->why, "could not resolve %s: %s", names_wait_name(w),
             err == ERR_NOMEM ? err_text(err) : text);
    finish(x, err == ERR_TIMEOUT ? CURLE_OPERATION_TIMEDOUT
              : err == ERR_NOMEM ? CURLE_OUT_OF_MEMORY
                                 : CURLE_COULDNT_RESOLVE_HOST);
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
    bool waits = false;
    int err = request_set(x, r);
    err = err ? err
              : http_route_find(&x->route, c->names, r->url, r->timeout_ms, &c->scratch, &waits);
    if (!err && !waits)
        err = depart(x);
    if (err) {
        exchange_free(x);
        return err;
    }
    LIST_INSERT_HEAD(&c->running, x, link);
    *out = x;
    return 0;
}

static void client_cancel(struct http_exchange *x)
{
    if (!x->done) { /* else inside its own callback */
        take_out(x);
        exchange_free(x);
    }
}

static void client_close(struct http_client *client)
{
    struct client *c = (struct client *)(void *)client;
    c->closing = true;
    while (!LIST_EMPTY(&c->running))
        client_cancel(LIST_FIRST(&c->running));
    spare_trim(c);
    http_shards_fini(&c->shards);
    names_close(c->names);
    loop_timer_free(c->loop, c->rest);
    curl_share_cleanup(c->share);
    buf_fini(&c->scratch);
    free(c);
    curl_global_cleanup();
}

int http_client_curl_open(struct loop *loop, unsigned connections, int64_t rest_ms,
                          const char *name_servers, struct http_client **out)
{
    static const struct http_client_ops ops = {client_start, client_cancel, client_close};
    struct client *c = calloc(1, sizeof *c);
    if (!c || curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK) {
        free(c);
        return ERR_NOMEM;
    }
    *c = (struct client){.client.ops = &ops, .loop = loop};
    c->shards =
        (struct http_shards){loop, shard_open, shard_close, act, .loads.idle_max = connections};
    c->old = curl_version_info(CURLVERSION_NOW)->version_num < 0x080c00;
    buf_init(&c->scratch, HTTP_HEAD_MAX);
    c->share = curl_share_init();
    c->rest = loop_timer_new(loop, on_rest, c);
    struct resolver *resolver;
    int err = c->share && c->rest ? resolver_ares_open(loop, name_servers, &resolver) : ERR_NOMEM;
    err = err ? err : names_open(loop, resolver, on_name, c, &c->names);
    if (err) {
        client_close(&c->client);
        return err;
    }
    loop_timer_set(loop, c->rest, rest_ms, rest_ms);
    curl_share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_DNS);
    curl_share_setopt(c->share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
    signal(SIGPIPE, SIG_IGN); /* OpenSSL writes to sockets without MSG_NOSIGNAL */
    *out = &c->client;
    return 0;
}
