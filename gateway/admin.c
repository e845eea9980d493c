#include "gateway/admin.h"

#include <string.h>

#include "common/metrics.h"
#include "gateway/guard.h"
#include "gateway/problem.h"
#include "gateway/request_id.h"

void admin_request(void *arg, struct http_request *q, struct http_reply *r)
{
    struct admin *a = arg;
    const char *detail = NULL;
    request_id_set(http_header(q, "request-id"), rng_real(), q->id);
    int err = guard_check(q, &detail);
    if (err) {
        r->close = true;
        problem_simple(q, r, err, detail);
        return;
    }
    if (strcmp(q->method, "GET") != 0 && strcmp(q->method, "HEAD") != 0) {
        http_reply_header(r, "Allow", "GET, HEAD");
        problem_simple(q, r, ERR_METHOD, NULL);
    } else if (strcmp(q->path, "/healthz") == 0) {
        r->status = 200;
        r->type = "text/plain; charset=utf-8";
        buf_text(&r->body, "ok\n");
    } else if (strcmp(q->path, "/readyz") == 0) {
        struct health_state state = {0};
        a->look(a->arg, &state);
        r->type = "application/json";
        r->status = health_print(&state, &r->body);
    } else if (strcmp(q->path, "/metrics") == 0) {
        r->status = 200;
        r->type = "text/plain; version=0.0.4; charset=utf-8";
        metrics_print(&r->body);
    } else {
        problem_simple(q, r, ERR_NO_ROUTE, "here are /healthz, /readyz and /metrics");
    }
}
