/* accept.h - POST /v1/flows/{flow}/jobs: from bytes to a job Kafka has. The order of its steps is
 * the contract: the first error is the answer (http-api: order of an accept). Safe from any thread;
 * everything it uses is given, so a test runs it on fakes. */
#pragma once
#include "common/flow.h"
#include "common/rng.h"
#include "gateway/accept_metrics.h"
#include "gateway/admission.h"
#include "gateway/http.h"
#include "gateway/hasher.h"
#include "gateway/limits.h"
#include "gateway/marks.h"
#include "gateway/passages.h"
#include "gateway/publish.h"
#include "gateway/reader.h"
#include "gateway/register.h"
#include "gateway/serve_metrics.h"
#include "gateway/waiters.h"

struct accept { /* all borrowed, all there for the gateway's life */
    struct flow_set *flows;
    struct publisher *publisher;
    struct marks *marks;
    struct registrar *registrar;
    struct reader *reader;
    struct admission *admission;
    struct limits *limits;
    struct hasher *hasher;
    struct waiters *waiters;
    const struct id_secret *secret;
    const struct clock *clock;
    struct rng *rng;
    struct accept_metrics *metrics;
    struct serve_metrics *served;
    struct passages *passages; /* NULL: every request keeps its thread */
};

/* The flow of this name, if HTTP may start it; NULL: 404. Lent with the set. */
const struct flow *accept_flow(const struct accept *a, const char *name);
/* Answer a POST of q->user for this flow: 202, 200 on a cache hit, a known key's final job or one
 * that ended while the client waited, or a problem. */
void accept_post(struct accept *a, struct http_request *q, struct http_reply *r,
                 const struct flow *flow);
/* ?dry_run=true: what would come of it, without counting, marking or publishing anything. */
void accept_try(struct accept *a, struct http_request *q, struct http_reply *r,
                const struct flow *flow);
