/* event.h - a Kafka record as Offpath reads and writes it: value = plain request JSON, metadata in
 * headers (CloudEvents 1.0 binary mode and offpath-*; protocols: Kafka). All headers are optional
 * on input: a record of another producer is an event without `ours`. Golden examples: proto/golden.
 * Pure; any thread. */
#pragma once
#include "common/id.h"

enum { EVENT_FLOW = 64, EVENT_SUB = 256, EVENT_REQUEST = 65, EVENT_TRACE = 56 };

struct event_header {
    const char *name;  /* borrowed */
    const void *value; /* may be NULL with len 0 */
    size_t len;
};

struct event {
    bool ours; /* has offpath-job: all of the below counts */
    struct job_id job;
    char flow[EVENT_FLOW];
    struct owner owner;  /* zeros: nobody */
    char sub[EVENT_SUB]; /* the user's name; "" for nobody */
    uint16_t round;
    int64_t created_us;  /* ce_time, else the record's timestamp */
    int64_t deadline_us; /* 0: none */
    uint8_t mac[ID_MAC];
    bool has_mac;
    uint8_t rev[8];
    bool has_rev;
    bool refill;
    char request[EVENT_REQUEST]; /* Request-Id */
    char trace[EVENT_TRACE];     /* traceparent */
};

enum { EVENT_HEADERS_MAX = 20 };
/* Headers ready to publish; text lives in the struct: do not copy it by value. */
struct event_headers {
    struct event_header list[EVENT_HEADERS_MAX];
    size_t n;
    char text[1536];
};

/* Write the headers of `e`. 0 or ERR_TOO_LARGE (a field that does not fit). */
int event_encode(const struct event *e, struct event_headers *out) must_use;

/* For a topic of others: ce_* and traceparent alone. */
int event_encode_foreign(const struct event *e, struct event_headers *out) must_use;

/* Read headers. timestamp_ms: the record's. ERR_INVALID with `what` (lent for ever,
 * "offpath-deadline is no time"): a header of ours is broken or of a newer major version: the
 * record is `bad-event`; out->job is set when it could be read. Unknown headers are left alone. */
int event_decode(const struct event_header *headers, size_t n, int64_t timestamp_ms,
                 struct event *out, const char **what) must_use;
