/* id.h - who a job is: job ids, owners, body marks (protocols: Identity).
 * UUIDv7 and v8 of RFC 9562 with an owner tag, so that a gateway knows its own ids, and whose they
 * are, with no store. Pure; safe from any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/clock.h"
#include "common/err.h"
#include "common/rng.h"

struct job_id {
    uint8_t b[16];
};
struct owner {
    uint8_t b[16]; /* zeros: nobody (guest, shared, refill) */
};
struct id_secret {
    uint8_t b[32]; /* one for all gateways, permanent; never logged */
};

enum { ID_TEXT = 37, ID_MAC = 16 };

/* owner = SHA-256(iss, 0, sub)[0..16]. */
struct owner owner_of(const char *iss, const char *sub);
bool owner_is_nobody(const struct owner *o);

/* A new id for a POST: UUIDv7 = ms48, bucket10, random40, tag24. */
struct job_id id_new(const struct id_secret *s, const struct owner *o, const struct clock *c,
                     struct rng *r);

/* The id of a POST with an Idempotency-Key: UUIDv8, the same on every gateway. The key is the
 * user's (who asks); the job is the owner's (nobody's, in a flow whose cache is shared). flow, key:
 * borrowed text. */
struct job_id id_from_key(const struct id_secret *s, const struct owner *user,
                          const struct owner *owner, const char *flow, const char *key);

/* Child of a job: kind is "emit" or "refill"; UUIDv8 with the parent's time and bucket. */
struct job_id id_child(const struct job_id *parent, const char *kind, uint32_t entry,
                       uint32_t item);

/* Records of other producers: by the flow's topic.id, or by place and content. timestamp_ms: the
 * record's. */
struct job_id id_from_topic_id(const char *flow, const char *topic_id);
struct id_place {
    const char *topic; /* borrowed */
    int32_t partition;
    int64_t offset, timestamp_ms;
};
struct job_id id_from_place(const struct id_place *at, const void *value, size_t len);

/* Is this an id a gateway with this secret gave to this owner? */
bool id_is_of(const struct id_secret *s, const struct job_id *id, const struct owner *o);

/* Unix ms in a v7 id; -1 for others. */
int64_t id_created_ms(const struct job_id *id);
/* MySQL bucket, 0..1023. */
unsigned id_bucket(const struct job_id *id);

/* mac = HMAC("body", raw body)[0..16]: two POSTs with one key and another body differ here. */
void id_mac(const struct id_secret *s, const void *body, size_t len, uint8_t out[ID_MAC]);

bool id_equal(const struct job_id *a, const struct job_id *b);
/* Is it the nil UUID, which names no job? */
bool id_is_nil(const struct job_id *id);
void id_format(const struct job_id *id, char out[ID_TEXT]); /* lower-case, with dashes */
int id_parse(const char *text,
             struct job_id *out) must_use; /* 0 or ERR_INVALID; any UUID is taken */

/* Read a secret of at least 16 bytes from a file (hashed to 32). 0, ERR_NOT_FOUND, ERR_INVALID (too
 * short). */
int id_secret_load(const char *path, struct id_secret *out) must_use;
