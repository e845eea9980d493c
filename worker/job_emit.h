/* job_emit.h - the records a job sends when it has ended well: computed and checked before T6,
 * rows of the outbox in it, published right behind it (flow file: emit; protocols: 7.6). Belongs to
 * its job's thread. */
#pragma once
#include "common/flow.h"
#include "common/record.h"
#include "worker/relay.h"
#include "worker/topic_limits.h"

struct job_emits {             /* owned: job_emits_fini */
    struct record_post *posts; /* topics are lent with the flows; the rest of a post is owned */
    uint64_t *ids;             /* of their rows, once they are committed */
    size_t n, bytes;           /* bytes of all, for the writer */
};
void job_emits_fini(struct job_emits *e); /* zeroed is fine, and twice */

struct emit_source { /* what is sent from; all borrowed */
    const struct flow *flow;
    const struct event *event;
    const struct expr_vars *vars; /* with $result and $calls */
    const struct topic_limits *limits;
    int64_t now_us; /* the record's clock: when the records are made */
};
/* All records of a flow. *out: owned, also in failure. 0; ERR_EXPRESSION (one cannot be computed,
 * or breaks the schema of its flow), ERR_TOO_LARGE (of its topic, or all together), ERR_NOMEM. why:
 * for the log. */
enum { EMIT_WHY = 300, EMIT_ALL_MAX = 8 << 20 };
int job_emit_compute(const struct emit_source *s, struct job_emits *out,
                     char why[EMIT_WHY]) must_use;

/* One record in the outbox: header list packed, key (NULL: none) and value copied. topic: lent. 0,
 * ERR_NOMEM, ERR_TOO_LARGE (headers). */
struct emit_record {
    struct job_id job;
    const char *topic;
    const struct event_header *headers;
    size_t headers_n;
    const void *key, *value;
    size_t key_len, value_len;
};
int job_emits_add(struct job_emits *e, const struct emit_record *r) must_use;
/* Would the outbox or its topic refuse it? A row that is never published keeps its job for ever. */
bool job_emits_is_too_large(const struct record_post *p, const struct topic_limits *limits);

/* They are committed: publish those whose row is known. relay: NULL leaves them to T10. */
void job_emits_publish(const struct job_emits *e, struct relay *relay);
