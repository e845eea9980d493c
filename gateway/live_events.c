#include "gateway/live_events.h"

#include <string.h>

#include "gateway/auth.h"
#include "gateway/problem.h"
#include "gateway/sse.h"

static void refuse(const struct http_request *q, struct http_reply *r, int err)
{
    if (err == ERR_FULL)
        problem_simple(
            q, r, ERR_OVERLOADED,
            "too many live streams are open; read the job itself, its ETag makes that cheap");
    else if (err == ERR_OVERLOADED)
        problem_simple(q, r, ERR_OVERLOADED,
                       "you have too many live streams open; end some, or read the job itself");
    else if (err == ERR_CLOSED)
        problem_simple(q, r, ERR_SHUTTING_DOWN, "connect again");
    else
        problem_simple(q, r, ERR_BUG, NULL);
}

static void begin(struct streams *s, const struct http_request *q, struct http_reply *r,
                  const struct stream_order *order)
{
    struct stream_ticket *ticket = NULL;
    bool head = strcmp(q->method, "HEAD") == 0;
    int err = head ? 0 : streams_enter(s, order, &ticket);
    if (err) {
        refuse(q, r, err);
        return;
    }
    http_reply_header(r, "Cache-Control", "no-store");
    http_reply_header(r, "X-Accel-Buffering", "no"); /* nginx would keep events back */
    r->status = 200;
    r->type = "text/event-stream";
    r->close = true;
    if (!head)
        r->taker = stream_begin;
    r->taker_arg = ticket;
}

static struct stream_order order_of(const struct http_request *q)
{
    struct stream_order order = {.owner = q->user->owner,
                                 .last = sse_last_id(http_header(q, "last-event-id")),
                                 .until_s =
                                     q->user->expires_s ? q->user->expires_s + TOKEN_LEEWAY_S : 0};
    limits_address(q->client, order.address);
    return order;
}

void live_events_of_job(struct jobs *j, struct streams *s, const struct http_request *q,
                        struct http_reply *r, const char *text)
{
    struct stream_order order = order_of(q);
    if (id_parse(text, &order.id) != 0) {
        problem_simple(q, r, ERR_NO_JOB, "an id is a UUID");
        return;
    }
    int err = jobs_may_follow(j, q->user, &order.id);
    if (err == ERR_NOT_FOUND)
        problem_simple(q, r, ERR_NO_JOB, NULL);
    else if (err)
        problem_simple(q, r, ERR_UNAVAILABLE, "the job goes on meanwhile");
    else
        begin(s, q, r, &order);
}

void live_events_of_user(struct streams *s, const struct http_request *q, struct http_reply *r)
{
    struct stream_order order = order_of(q);
    order.of_user = true;
    if (owner_is_nobody(&q->user->owner))
        auth_challenge(q, r);
    else
        begin(s, q, r, &order);
}
