/* flow.h - what the flow files declare, as the programs use it.
 * Made by flow_load.h from YAML, never changed afterwards; one set is shared by all threads and
 * counted: a job keeps the set it was claimed with. Times in ms, sizes in bytes. Strings lent with
 * the set. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include "common/digest.h"
#include "common/id.h"
#include "common/job.h"
#include "common/password.h"
#include "common/expr.h"
#include "common/header.h"
#include "common/schema.h"
#include "common/sql_template.h"
#include "common/sigv4.h"
#include "common/template.h"

enum flow_access { ACCESS_USERS, ACCESS_GUESTS, ACCESS_INTERNAL };
enum cache_scope { SCOPE_NONE, SCOPE_USER, SCOPE_SHARED };
enum limit_per { LIMIT_USER, LIMIT_KEY, LIMIT_FLOW };
enum response_kind { RESPONSE_JSON, RESPONSE_TEXT, RESPONSE_NONE };

enum {
    FLOW_NAME_MAX = 63,
    FLOW_TITLE_MAX = 200,                /* characters */
    FLOW_TITLE = 4 * FLOW_TITLE_MAX + 1, /* bytes, with its ending 0 */
    FLOW_CALLS_MAX = 64,
    FLOW_ITEMS_MAX = 1000,
    FLOW_FIELDS_MAX = 64,
    FLOW_NEED_ALL = -1
};
enum { FLOW_LOADS_MAX = 64, FLOW_CHECKS_MAX = 64, FLOW_SAVES_MAX = 64, FLOW_ROWS_MAX = 10000 };
enum { FLOW_EMITS_MAX = 32, FLOW_REQUEUE_MAX = 20 };

enum { BREAKER_OF_MAX = 10000 };
struct breaker_policy {
    bool on;
    unsigned failures_percent, of; /* of: 1 to BREAKER_OF_MAX */
    int64_t open_ms;
};

struct upstream_tls { /* paths of PEM files; NULL: the system's authorities, no certificate */
    char *ca, *cert, *key;
};

/* What a call brings to say who calls: filled from files that may change while it runs
 * (flow_secrets.h). */
struct credentials {
    struct header *headers; /* secrets: never logged */
    size_t headers_n;
    struct sigv4_keys sign;    /* service NULL: not signed */
    struct credentials *older; /* owned: calls may still read them */
};

struct upstream {
    char *name;
    char *url;                                 /* without trailing / */
    _Atomic(struct credentials *) credentials; /* never NULL once read */
    struct credentials *sources; /* the same as the file has it, `${file:}` unfilled; NULL parts:
                                    nothing to fill in */
    unsigned concurrency;        /* calls in flight over all workers */
    double rate;                 /* per second over all workers; 0 = none */
    unsigned queue;              /* waiting calls per worker */
    struct breaker_policy breaker;
    struct upstream_tls tls;
    bool allow_private;
    unsigned index; /* place in flow_set.upstreams */
};

struct renewed_password {
    struct renewed_password *older; /* owned: a connection may still read it */
    char text[];
};

struct database {
    char *name; /* in upstreams.yaml */
    char *host, *schema, *user;
    char *password;        /* as first read: ask database_password */
    char *password_source; /* with its `${file:}` unfilled; NULL: it has none */
    _Atomic(struct renewed_password *) renewed; /* NULL: not yet (flow_secrets.h) */
    unsigned port;
    bool tls; /* enforced; ca NULL: the system's */
    char *ca, *cert, *key;
    unsigned connections; /* per worker, for `load` and for `save` each */
    unsigned index;       /* place in flow_set.databases */
};

struct retry_policy {
    unsigned attempts; /* the first included */
    int64_t backoff_ms, max_ms;
    uint32_t codes;     /* bit per enum call_code: repeat after these */
    uint16_t *statuses; /* single statuses, e.g. 503; owned by the set */
    size_t statuses_n;
};

struct header_template {
    char *name;
    struct template *value;
};

struct flow_each { /* for_each: one of them, or none: then the call is made once */
    struct expr *expr;
    struct json *list; /* literal; an array */
};

struct flow_load { /* an entry of `load`; in file order */
    char *name;
    struct expr *when; /* NULL: always */
    const struct database *database;
    struct sql_template *sql; /* a SELECT */
    unsigned max_rows;
};

struct flow_check {    /* an entry of `check` */
    struct expr *when; /* NULL: always */
    struct expr *that;
    struct template *message; /* `else` */
};

struct flow_save {     /* an entry of `save`; in file order */
    struct expr *when; /* NULL: always */
    struct flow_each each;
    const struct database *database;
    struct sql_template *sql;
    bool optional;
};

struct flow_call {
    char *name;
    struct expr *when; /* NULL: always */
    uint8_t *after;    /* places in flow->calls; none leads back here */
    size_t after_n;
    struct flow_each each;
    unsigned max_items;
    unsigned parallel; /* items in flight at once */
    const struct upstream *upstream;
    char *method; /* upper case */
    struct template *path;
    struct header_template *headers;
    size_t headers_n;
    struct template *body; /* NULL: none */
    int64_t timeout_ms;    /* per attempt */
    struct retry_policy retry;
    enum response_kind response;
    size_t response_max; /* bytes after decompression */
    struct expr *ok;     /* NULL: 2xx */
    struct expr *result; /* NULL: $body */
    bool optional;
    bool never_again; /* repeat: never */
    bool unrecorded;  /* ledger: false */
};
static inline bool flow_call_has_items(const struct flow_call *c)
{
    return c->each.expr || c->each.list;
}
unsigned flow_call_uses(const struct flow_call *c); /* OR of VAR_BIT of all its expressions */

struct flow;
struct flow_emit {     /* a record for another flow, or for a topic of others */
    struct expr *when; /* NULL: always */
    struct flow_each each;
    const struct flow *flow; /* of the same set; NULL: a topic of others */
    char *topic;             /* then its name, else NULL */
    struct expr *key;        /* of a record there; NULL: none */
    struct template *value;
};

struct flow_limit { /* count at once, refilled evenly over the window */
    enum limit_per per;
    unsigned count;
    int64_t window_ms;
};

struct flow_set_field { /* request.set: the gateway's value of a top-level field */
    char *name;
    struct expr *expr;
};

struct flow_hash_field { /* request.hash: a top-level string that becomes a hash */
    char *name;
    enum password_kind kind;
};

struct flow {
    char name[FLOW_NAME_MAX + 1];
    char *title;
    uint8_t rev[8]; /* SHA-256(file)[0..8] */
    enum flow_access access;
    char *token_scope; /* must be in the token; NULL: none */
    int64_t wait_ms;   /* POST waits so long for a final state; 0: it does not */
    struct {
        char *name, *group;
        unsigned partitions;
        struct expr *id, *user; /* of records without our headers; NULL: place, guest */
    } topic;
    struct schema *schema;
    struct json *schema_source;
    size_t request_max;
    struct flow_set_field *set;
    size_t set_n;
    struct flow_hash_field *hash;
    size_t hash_n;
    struct flow_limit *limits;
    size_t limits_n;
    struct expr *key; /* NULL: the job id */
    struct {
        enum cache_scope scope; /* SCOPE_NONE: no cache */
        struct expr *key;
        int64_t ttl_ms, partial_ttl_ms;
    } cache;
    int64_t deadline_ms; /* 0: never */
    bool ordered;        /* order: key */
    struct flow_load *loads;
    size_t loads_n;
    struct flow_check *checks;
    size_t checks_n;
    struct {
        struct expr *key; /* NULL: no pool */
        unsigned size;
        int64_t ttl_ms;      /* of an item */
        char *topic, *group; /* of refills */
        char **fields;       /* of $request that a refill has */
        size_t fields_n;
        struct schema *schema; /* of these; NULL: none was given */
    } pool;
    struct flow_call *calls; /* in declared order */
    size_t calls_n;
    int need;            /* FLOW_NEED_ALL or a number */
    struct expr *result; /* NULL: null */
    struct flow_save *saves;
    size_t saves_n;
    struct flow_emit *emits;
    size_t emits_n;
    int64_t requeue_ms[FLOW_REQUEUE_MAX]; /* waits before later rounds */
    size_t requeue_n;
    struct {
        struct template *done, *failed; /* NULL: title and state say enough */
    } notify;
    int64_t keep_ms;
};

/* OR of VAR_BIT of the expressions of `load`, `check` and `save`. */
unsigned flow_sql_uses(const struct flow *f);

/* OR of VAR_BIT of `emit` and `notify`. */
unsigned flow_emit_uses(const struct flow *f);

struct flow_set {
    struct flow *flows;
    size_t flows_n;
    struct upstream *upstreams;
    size_t upstreams_n;
    struct database *databases;
    size_t databases_n;
    uint8_t digest[DIGEST_SIZE]; /* of what was read, with what was filled in */
    _Atomic unsigned refs;
};
/* Were they made of the same files and secrets? */
bool flow_set_same(const struct flow_set *a, const struct flow_set *b);

/* What its calls bring now; never NULL. Lent with the set. Any thread. */
const struct credentials *upstream_credentials(const struct upstream *u);
/* As its file has it now; lent with the set. NULL: none. Any thread. */
const char *database_password(const struct database *d);
void credentials_free(struct credentials *c); /* and all older ones; NULL is fine */

struct flow_set *flow_set_get(struct flow_set *s); /* one more user */
void flow_set_put(struct flow_set *s);             /* the last one frees; NULL is fine */

const struct flow *flow_by_name(const struct flow_set *s, const char *name); /* NULL if none */
/* The name nearest to a mistyped one, NULL: none is near. Lent with the set. */
const char *flow_nearest(const struct flow_set *s, const char *name);
const struct flow *flow_by_topic(const struct flow_set *s,
                                 const char *topic); /* also of <name>.retry and of refills; NULL */

const struct flow_call *flow_call_of(const struct flow *f, const char *name); /* NULL if none */

/* Is this top-level field hashed (NULL: no), or written by the gateway? */
const struct flow_hash_field *flow_hashes(const struct flow *f, const char *field);
bool flow_sets(const struct flow *f, const char *field);
/* request.set: compute every field from vars, then write them over those of request (which vars may
 * hold). *field: the one that failed, lent with the flow. 0, ERR_EXPRESSION, ERR_NOMEM; request is
 * then as it was, unless memory ended between two fields. */
int flow_set_fields(const struct flow *f, const struct expr_vars *vars, struct json *request,
                    const char **field, struct expr_error *error) must_use;
/* Is every field of request.hash that is there a hash of its kind? */
bool flow_holds_hashes(const struct flow *f, const struct json *request);

/* Is there a cache for this owner's jobs of the flow? Scope user: not for guests, who are many and
 * would be one user. */
bool flow_caches_for(const struct flow *f, const struct owner *owner);
/* The cache's key for this job: the rendered cache.key as canonical text ("[\"42\",7]"), and its
 * hash as used in Redis: SHA-256 over flow, rev, scope, owner (scope user), key, in hex (64 + 0).
 * `rev`: the record's, or the flow's own. 0, ERR_EXPRESSION, ERR_NOMEM. */
int flow_cache_hash(const struct flow *f, const uint8_t rev[8], const uint8_t owner[16],
                    const struct expr_vars *vars, char out[65], struct expr_error *error) must_use;
/* The Kafka key as text: string, number or boolean of request.key; without one the id. */
int flow_record_key(const struct flow *f, const char *id, const struct expr_vars *vars,
                    struct buf *out, struct expr_error *error) must_use;

/* ---- pool (flow_pool.c); of a flow that has one */
enum { FLOW_POOL_KEY_MAX = 200 };
/* pool.key as text: string, number or boolean of at most so many bytes. 0, ERR_EXPRESSION (error
 * says why), ERR_NOMEM. */
int flow_pool_key(const struct flow *f, const struct expr_vars *vars, struct buf *out,
                  struct expr_error *error) must_use;
/* What a refill has of this request: an object with its `fields`, as far as they are there. *out:
 * owned. 0, ERR_INVALID (no object), ERR_NOMEM. */
int flow_pool_fields(const struct flow *f, const struct json *request, struct json **out) must_use;
