/* marks.h - what gateways tell each other through Redis about one request: its Idempotency-Key is
 * pending or acknowledged, its cached result, which job runs for its cache key. Only an
 * acknowledged mark stops a publish, so losing Redis costs speed and coalescing, nothing else.
 * Any thread. */
#pragma once
#include "common/cache.h"
#include "common/id.h"

struct marks;

enum mark_state {
    MARK_NONE,         /* nobody was here before; it is ours and pending now */
    MARK_PENDING,      /* somebody was, and no acknowledgement is known: publish that id */
    MARK_ACKNOWLEDGED, /* that job exists */
    MARK_OTHER_BODY    /* the key belongs to another request */
};

struct marks_key {       /* the Idempotency-Key's mark */
    struct job_id id;    /* made from the key */
    struct owner user;   /* who asks */
    uint8_t mac[ID_MAC]; /* of the body */
};

struct mark { /* out */
    enum mark_state state;
    struct job_id id; /* PENDING, ACKNOWLEDGED */
    char *value;      /* a cached result (the 200's JSON) or NULL; owned: free */
    size_t value_len;
};

/* confirm_ms: how long confirmations gather before they are sent together. cache: borrowed until
 * close. *out: owned (marks_close). 0, ERR_NOMEM. */
int marks_open(struct cache *cache, int confirm_ms, struct marks **out) must_use;
void marks_close(struct marks *m);                /* NULL is fine */
size_t marks_flush(struct marks *m, int wait_ms); /* confirmations still waiting afterwards */

/* First trip: admit the key, read the cached value; key, hash: NULL where not asked, no trip where
 * neither is. 0; ERR_IO: Redis is away or refuses, *out is MARK_NONE without value for what was not
 * answered: go on. */
int marks_ask(struct marks *m, const struct marks_key *key, const char *hash, struct mark *out);
/* The first trip of n requests at once, at most MARKS_TOGETHER: admits their keys. Same errors. */
enum { MARKS_TOGETHER = 32 };
int marks_ask_together(struct marks *m, const struct marks_key *const *keys, size_t n,
                       struct mark *out);
/* Second trip: become the one job of this cache key. MARK_NONE: we lead; PENDING, ACKNOWLEDGED: go
 * on with mark->id; or a value that came meanwhile. ttl_ms: of the lead. Same errors. */
int marks_lead(struct marks *m, const char *hash, const struct job_id *id, int64_t ttl_ms,
               struct mark *out);

/* Did the last look for a cached result find none? Then the next will most likely find none either,
 * and may leave the first trip out: the second one looks, too, and costs Redis more than a GET. */
bool marks_missed(const struct marks *m);

/* A lead whose job is over without a value: gone, if it is still this job's. */
void marks_end_lead(struct marks *m, const char *hash, const struct job_id *id);

struct marks_done { /* a job Kafka has */
    bool has_key, has_hash;
    struct marks_key key;
    char hash[65]; /* cache key it leads */
    struct job_id id;
    int64_t ttl_ms; /* of the lead */
};
/* Acknowledge: the key's mark names this job, and so does the lead if it is still there. Not waited
 * for; up to 10,000 wait, more are dropped and counted (a repetition publishes the same id again).
 */
void marks_confirm(struct marks *m, const struct marks_done *done);

enum { MARKS_NAME = 128 };
/* op:{o:OWNER}:k:ID. */
void marks_key_name(const struct marks_key *key, char out[MARKS_NAME]);
/* Is there a mark of this key's job? 0: yes; ERR_NOT_FOUND; ERR_IO: away, or it does not say. */
int marks_exists(struct marks *m, const struct owner *user, const struct job_id *id) must_use;
