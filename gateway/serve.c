#include "gateway/serve.h"

#include <string.h>

#include "common/log.h"
#include "gateway/cancel.h"
#include "gateway/demo.h"
#include "gateway/error_page.h"
#include "gateway/flows.h"
#include "gateway/guard.h"
#include "gateway/live_events.h"
#include "gateway/login.h"
#include "gateway/my_jobs.h"
#include "gateway/openapi.h"
#include "gateway/pages.h"
#include "gateway/problem.h"
#include "gateway/request_id.h"

/* dry_run: 1 true, 0 false or not there, ERR_INVALID. Nothing is started that was only to be tried:
 * what is neither, and what stands twice, is refused. */
static int read_dry(const char *query)
{
    int dry = 0;
    for (unsigned n = 0; (query = http_query(query, "dry_run")) != NULL; n++) {
        size_t len = strcspn(query, "&");
        bool yes = len == 4 && memcmp(query, "true", 4) == 0;
        bool no = len == 5 && memcmp(query, "false", 5) == 0;
        if (n > 0 || !(yes || no))
            return ERR_INVALID;
        dry = yes;
        query += len + (query[len] == '&');
    }
    return dry;
}

static void post(struct serve *s, struct http_request *q, struct http_reply *r,
                 const struct flow *flow)
{
    int dry = read_dry(q->query);
    if (dry < 0)
        problem_simple(q, r, ERR_BAD_PARAMETER,
                       "dry_run is true or false, once; nothing was started");
    else if (dry)
        accept_try(&s->accept, q, r, flow);
    else
        accept_post(&s->accept, q, r, flow);
}

static void handle(struct serve *s, struct http_request *q, struct http_reply *r,
                   const struct route_match *m, const struct flow *flow)
{
    switch (m->route) {
    case ROUTE_ACCEPT:
        post(s, q, r, flow);
        return;
    case ROUTE_JOB:
        jobs_get(&s->jobs, q, r, m->arg);
        return;
    case ROUTE_CANCEL:
        cancel_job(&s->jobs, q, r, m->arg);
        return;
    case ROUTE_MY_JOBS:
        my_jobs_get(&s->jobs, q, r);
        return;
    case ROUTE_FLOWS:
        flows_get(s->jobs.flows, s->jobs.etas, q, r);
        return;
    case ROUTE_OPENAPI:
        openapi_get(s->jobs.flows, q, r);
        return;
    case ROUTE_EVENTS:
        live_events_of_job(&s->jobs, s->streams, q, r, m->arg);
        return;
    case ROUTE_MY_EVENTS:
        live_events_of_user(s->streams, q, r);
        return;
    default:
        problem_simple(q, r, ERR_NO_ROUTE, NULL);
    }
}

/* Where a page may stand and none does, a browser gets one that leads home; who wants JSON gets his
 * problem, as all do below /v1. */
static void refuse(const struct http_request *q, struct http_reply *r, int err)
{
    bool reads = strcmp(q->method, "GET") == 0 || strcmp(q->method, "HEAD") == 0;
    const char *accept = http_header(q, "accept");
    if (err == ERR_NO_ROUTE && reads && strncmp(q->path, "/v1", 3) != 0) {
        http_reply_header(r, "Vary", "Accept");
        if (accept && strcasestr(accept, "text/html") && error_page(r, err_info(err)->code) == 0) {
            r->status = err_info(err)->http;
            return;
        }
    }
    problem_simple(q, r, err, NULL);
}

/* What needs no user: true if it was that. */
static bool open_to_all(struct serve *s, struct http_request *q, struct http_reply *r,
                        const struct route_match *m)
{
    int err = 0;
    switch (m->route) {
    case ROUTE_ERROR_PAGE:
        err = error_page(r, m->arg);
        break;
    case ROUTE_PAGE:
        if (s->demo_users)
            demo_page(s->demo_users, r);
        else
            err = pages_get(q, r, "index.html");
        break;
    case ROUTE_ASSET:
        err = pages_get(q, r, m->arg);
        break;
    case ROUTE_LOGIN:
        if (s->demo_users && http_query(q->query, "demo"))
            demo_login(s->demo_users, &s->auth, q, r);
        else
            login_post(&s->auth, q, r);
        break;
    case ROUTE_LOGOUT:
        logout_post(q, r);
        break;
    default:
        return false;
    }
    if (err)
        refuse(q, r, err);
    return true;
}

/* What needs no user, and what is there for nobody, comes before the token. */
static void dispatch(struct serve *s, struct http_request *q, struct http_reply *r,
                     const struct route_match *m)
{
    struct token_user user;
    const struct flow *flow = NULL;
    const char *why = NULL;
    if (open_to_all(s, q, r, m))
        return;
    if (m->route == ROUTE_ACCEPT && !(flow = accept_flow(&s->accept, m->arg))) {
        problem_simple(q, r, ERR_NO_FLOW, NULL);
        return;
    }
    int err = auth_request(&s->auth, q, &user, &why);
    if (err) {
        auth_refuse(q, r, err, why);
        return;
    }
    q->user = &user;
    handle(s, q, r, m, flow);
    q->user = NULL;
}

void serve_request(void *arg, struct http_request *q, struct http_reply *r)
{
    struct serve *s = arg;
    struct route_match match = {.route = ROUTE_NONE};
    const char *detail = NULL;
    request_id_set(http_header(q, "request-id"), s->rng, q->id);
    log_scope(NULL, q->id);
    int err = guard_check(q, &detail);
    if (err) {
        r->close = true;
        problem_simple(q, r, err, detail);
    } else if ((err = route_find(q->method, q->path, &match)) != 0) {
        if (err == ERR_METHOD)
            http_reply_header(r, "Allow", match.allow);
        if (err != ERR_METHOD || !cors_preflight(s->cors, q, r, match.allow))
            refuse(q, r, err);
    } else {
        dispatch(s, q, r, &match);
    }
    if (!r->deferred)
        serve_metrics_count(s->accept.served, match.route, r->status);
    log_scope(NULL, NULL);
}
