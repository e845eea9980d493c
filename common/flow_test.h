/* flow_test.h - `NAME.test.yaml` beside a flow: requests, what the upstreams answer, what must come
 * of it. Read with the same findings as a flow file; run by worker/trial.h. Belongs to one thread.
 *
 *   tests:
 *     - name: one shop down leaves two
 *       request: {productId: '42'}
 *       user: alice                       # a guest without it
 *       rows: {member: [{id: 1}]}         # of `load`; without it there are none
 *       pool: [{name: ready}]             # of a flow with `pool`: results in it, the oldest first
 *       refill: false                     # the record is a refill's
 *       replies:
 *         a-mart: {body: {price: 18900}, delay: 200ms}
 *         b-shop: [{status: 503}, {fails: timeout}]      # one after the other, the last for ever
 *       expect:
 *         .state: partial
 *         .result.offers | length: 2 */
#pragma once
#include "common/finding.h"
#include "common/flow.h"

struct flow_test_reply {
    char *call;          /* name of a call of the flow */
    int32_t item;        /* of for_each; -1: any */
    enum call_code code; /* CALL_OK: an answer */
    bool hang;           /* none until the time-out */
    int status;
    int64_t delay_ms;
    char *body;           /* as it goes over the wire */
    struct header header; /* name NULL: none */
    bool used;            /* for who plays them */
};

struct flow_test_rows { /* what an entry of `load` gives */
    const struct flow_load *load;
    char *rows; /* JSON */
};

struct flow_test_want {
    char *path;        /* jq behind the document of what happened: ".result.offers | length" */
    struct expr *expr; /* the same, of $body */
    struct json *value;
    unsigned line, column;
};

struct flow_test {
    char *name;
    unsigned line;
    char *request; /* JSON */
    char *user;    /* NULL: a guest */
    bool refill;
    char **items; /* JSON */
    size_t items_n;
    struct flow_test_reply *replies;
    size_t replies_n;
    struct flow_test_rows *rows;
    size_t rows_n;
    struct flow_test_want *wants;
    size_t wants_n;
};

struct flow_tests {
    struct flow_test *list;
    size_t n;
};

/* path: of the test file. set: with the flow it tests, `NAME` of NAME.test.yaml (*flow: lent with
 * it). *out: owned (flow_tests_free), also when there are findings. 0, ERR_INVALID (findings),
 * ERR_NOMEM. */
int flow_tests_read(const char *path, const struct flow_set *set, struct findings *findings,
                    const struct flow **flow, struct flow_tests *out) must_use;
void flow_tests_free(struct flow_tests *t);
