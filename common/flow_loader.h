/* flow_loader.h - what the files flow_load*.c, flow_key.c, flow_value.c and flow_env.c share.
 * Internal to the loader; one load = one thread. A reader of a value that does not fit adds a
 * finding and gives the fallback, so reading always goes on to the end of the file. */
#pragma once
#include "common/flow_load.h"
#include "common/flow_scan.h"
#include "common/yaml.h"

struct dirent;

/* ---- one load */
struct flow_loader {
    const struct flow_load_settings *settings;
    struct findings *findings;
    struct flow_set *set;
    struct flow_emit_ref *emits; /* what `emit.flow` says, until all flows are read; owned */
    size_t emits_n;
    /* What could not be read is told once: who names an entry of it may be right. */
    bool upstreams_unread, databases_unread;
    struct dirent **files; /* of the folder; lent */
    size_t files_n;
    bool no_memory; /* give up; checked at the end */
};
/* Is there a file for the flow of this name? It may be one that cannot be read. */
bool flow_has_file(const struct flow_loader *l, const char *name);
/* These bytes were read: they belong to what the set is told by. A loader without a set: nothing.
 */
void flow_digest_add(struct flow_loader *l, const void *bytes, size_t len);

/* ---- keys (flow_key.c): every key of the reference */
enum flow_map {
    MAP_FLOW,
    MAP_TOPIC,
    MAP_REQUEST,
    MAP_CACHE,
    MAP_LIMIT,
    MAP_LOAD,
    MAP_CHECK,
    MAP_POOL,
    MAP_REFILL,
    MAP_CALL,
    MAP_CALL_REQUEST,
    MAP_RETRY,
    MAP_SAVE,
    MAP_EMIT,
    MAP_NOTIFY,
    MAP_UPSTREAMS,
    MAP_UPSTREAM,
    MAP_BREAKER,
    MAP_SIGN,
    MAP_TLS,
    MAP_DATABASE
};
/* Row i of the table of keys; false behind the last. */
bool flow_key_at(size_t i, enum flow_map *map, const char **name);
/* Check a map's keys. false: it is no map (a finding), do not read it. NULL node: false, silently.
 */
bool flow_keys_check(struct flow_loader *l, const struct yaml_node *map, enum flow_map which);
/* The finding "`x` is missing" for a key without a default. */
void flow_key_missing(struct flow_loader *l, const struct yaml_node *map, const char *key,
                      const char *todo);

/* ---- ${env:} and ${file:} (flow_env.c): fill in all scalars of a file; secrets: ${file:} too */
void flow_env_fill(struct flow_loader *l, struct yaml *y, bool secrets);
/* Fill in a text again, as its files are now. *out: owned. ERR_NOT_FOUND (a file is missing or no
 * good), ERR_TOO_LARGE, ERR_NOMEM. */
int flow_env_again(const struct flow_load_settings *settings, const char *source,
                   char **out) must_use;
/* The file of `${file:name}`, of at most size bytes. */
void flow_env_path(const struct flow_load_settings *settings, const char *name, char *out,
                   size_t size);

/* ---- values (flow_value.c); node NULL = absent: the fallback, no finding */
struct value_range {
    int64_t min, max, fallback;
};
int64_t value_number(struct flow_loader *l, const struct yaml_node *n, struct value_range r);
int64_t value_duration(struct flow_loader *l, const struct yaml_node *n, struct value_range r);
int64_t value_size(struct flow_loader *l, const struct yaml_node *n, struct value_range r);
/* As one would write it: "90s", "2h". */
enum { VALUE_DURATION = 32 };
void value_print_duration(int64_t ms, char out[VALUE_DURATION]);
bool value_bool(struct flow_loader *l, const struct yaml_node *n, bool fallback);
/* A number, or what came out of ${env:}, which is text, and spells one. No finding. */
bool value_is_number(const struct yaml_node *n, double *number);
bool value_is_quoted_number(const struct yaml_node *n); /* digits, which quotes make text */
/* Text, lent with the file; NULL if absent or wrong. like: todo says how to write it. */
const char *value_text(struct flow_loader *l, const struct yaml_node *n);
const char *value_text_like(struct flow_loader *l, const struct yaml_node *n, const char *todo);
/* Index into names; fallback if absent or wrong. */
unsigned value_choice(struct flow_loader *l, const struct yaml_node *n, const char *const *names,
                      size_t names_n, unsigned fallback);
/* Is it a list or map? A finding if not. NULL: false, silently. */
bool value_is(struct flow_loader *l, const struct yaml_node *n, enum yaml_type type);
/* A flow's name `[a-z][a-z0-9-]{0,62}`, or another's `[A-Za-z][A-Za-z0-9_-]{0,62}`; a finding at
 * the key if not. */
bool value_name(struct flow_loader *l, const struct yaml_node *member, bool flow);
/* Copies that note a lack of memory in the loader (NULL then). */
char *value_copy(struct flow_loader *l, const char *text);
void *value_array(struct flow_loader *l, size_t n, size_t size);
/* A literal as JSON, owned; block scalars keep their last newline. NULL: no memory, noted. */
struct json *value_json(struct flow_loader *l, const struct yaml_node *n);
/* The node a JSON Pointer leads to, or the last one on its way. */
const struct yaml_node *value_at_pointer(const struct yaml_node *n, const char *pointer);

/* ---- expressions and templates (flow_load_expr.c) */
enum {
    FLOW_USES_MAX = 9 + FLOW_FIELDS_MAX + FLOW_CALLS_MAX * 42 + FLOW_LOADS_MAX * 2 +
                    FLOW_CHECKS_MAX * 3 + FLOW_SAVES_MAX * 3 + FLOW_EMITS_MAX * 4
};
/* What can be seen where. */
#define VARS_JOB  (VAR_BIT(VAR_REQUEST) | VAR_BIT(VAR_USER) | VAR_BIT(VAR_JOB))
#define VARS_RUN  (VARS_JOB | VAR_BIT(VAR_ROWS))   /* from `check` on */
#define VARS_END  (VARS_RUN | VAR_BIT(VAR_CALLS))  /* from `result` on */
#define VARS_SAVE (VARS_END | VAR_BIT(VAR_RESULT)) /* behind it */
#define VARS_ITEM (VAR_BIT(VAR_ITEM) | VAR_BIT(VAR_INDEX))
enum use_want { WANT_ANY, WANT_SCALAR, WANT_TRUTH, WANT_LIST };
struct flow_use { /* one compiled expression, template or statement and where it stands */
    const struct yaml_node *node;
    const char *what; /* "cache.key" */
    struct expr *expr;
    struct template *template;
    struct sql_template *sql;
    bool text; /* of a template: renders to text */
    unsigned visible;
    enum template_place place;
    bool broken; /* no jq; a finding says so */
    enum use_want want;
};
struct flow_file { /* the flow file being read */
    struct flow_loader *loader;
    struct yaml *yaml;
    struct flow *flow;
    const struct yaml_node *calls; /* the map `calls`, NULL if none */
    const struct yaml_node *call;  /* the one being read, which sees those of its `after` only */
    const struct yaml_node *loads; /* the map `load`, NULL if none */
    const struct yaml_node *load;  /* the one being read, which sees those above it only */
    const struct yaml_node *pool;  /* the map `pool`, NULL if none */
    const struct yaml_node *schema;
    bool shared;         /* cache.scope: $user must not be used */
    bool all_calls_read; /* an expression uses $calls as a whole */
    bool *call_read;     /* by place in `calls` */
    bool read;           /* it is a map: flow_lint may look at it */
    struct flow_use *uses;
    size_t uses_n;
};
/* Compile; NULL after a finding, or when the node is NULL. what: for messages, lent for ever. */
struct expr *flow_expr_read(struct flow_file *f, const struct yaml_node *n, const char *what,
                            unsigned visible);
struct template *flow_template_read(struct flow_file *f, const struct yaml_node *n,
                                    enum template_place place, unsigned visible);

struct sql_template *flow_sql_read(struct flow_file *f, const struct yaml_node *n,
                                   unsigned visible);
/* What the three above left to jq, of all files together: it costs the time of one expression.
 * Findings for those that are no jq. */
void flow_compile(struct flow_loader *l, struct flow_file *files, size_t n);
/* `when` and `for_each` of a map (flow_load_each.c). */
struct expr *flow_when_read(struct flow_file *f, const struct yaml_node *map, unsigned visible);
void flow_each_read(struct flow_file *f, const struct yaml_node *map, unsigned visible,
                    struct flow_each *out);

/* ---- variables (flow_variables.c): invisible ones, `$name` outside a hole, calls that do not
 * exist or are not in `after`, rows that are not loaded, $user in a shared flow; notes which calls
 * are read. true: nothing found, worth compiling. n holds text: an expression, or one string of a
 * template. */
bool flow_variables_lint(struct flow_file *f, const struct yaml_node *n, unsigned visible,
                         bool template);
const char *flow_variable_name(enum expr_var v); /* "request" */

/* ---- parts of the files */
void flow_load_upstreams(struct flow_loader *l, const char *path);
void flow_load_databases(struct flow_loader *l, const struct yaml_node *map);
void flow_load_loads(struct flow_file *f);
void flow_load_checks(struct flow_file *f, const struct yaml_node *list);
void flow_load_saves(struct flow_file *f, const struct yaml_node *list);
/* `sign` of an upstream (flow_load_sign.c); its headers are read already. */
void flow_load_sign(struct flow_loader *l, const struct yaml_node *map, struct upstream *u);
/* May that be its value? Also of what is read again later. An empty session token is none. */
enum flow_sign_part {
    FLOW_SIGN_SERVICE,
    FLOW_SIGN_REGION,
    FLOW_SIGN_ACCESS_KEY,
    FLOW_SIGN_SECRET_KEY,
    FLOW_SIGN_SESSION_TOKEN
};
bool flow_sign_is_good(enum flow_sign_part part, const char *text);
bool flow_header_is_good(const char *value);  /* the same of a header */
bool flow_password_is_good(const char *text); /* and of a database's password */
/* The paths of a `tls` (flow_load_tls.c), owned, of at most max bytes; a file that is not there is
 * a finding unless secrets may be away. false: it is no map; out is untouched. */
bool flow_load_tls(struct flow_loader *l, const struct yaml_node *map, size_t max,
                   struct upstream_tls *out);
/* The text to fill in again when its file changes, a copy; NULL: there is no `${file:}` in it. */
char *flow_source(struct flow_loader *l, const struct yaml_node *n);
/* The warning for a secret that stands in the file as it is. */
void flow_lint_secret(struct flow_loader *l, const struct yaml_node *n);
enum { POOL_TTL_DAYS = 60 }; /* who took an item is known that long (op_pool_used, T11) */
void flow_load_pool(struct flow_file *f);
/* What a refill runs uses only what a refill has. */
void flow_lint_pool(struct flow_file *f);
void flow_load_calls(struct flow_file *f);
/* wait, limits; then request.set and request.hash (flow_load_accept.c). Lint: expressions that are
 * computed before the hash and would tell what it hides. */
void flow_load_accept(struct flow_file *f);
void flow_load_edit(struct flow_file *f, const struct yaml_node *request, unsigned visible);
void flow_lint_hash(struct flow_file *f);
/* `after` of the call being read (flow_load_after.c), and of all: does one lead back to itself? */
void flow_load_after(struct flow_file *f, const struct yaml_node *list, struct flow_call *call);
void flow_lint_after(struct flow_file *f);
/* `emit`, `requeue`, `order`, `notify` (flow_load_emit.c). */
void flow_load_emit(struct flow_file *f);
/* When all flows are read: `emit.flow` becomes the flow; one that leads back without `when`. */
void flow_load_emit_end(struct flow_loader *l);
/* A Kafka name, or a finding. */
bool flow_topic_name(struct flow_loader *l, const struct yaml_node *n, const char *text);
/* The place of a call in `calls`; -1 if there is none of that name. A finding for that. */
int flow_call_place(const struct flow_file *f, const char *name);
void flow_call_unknown(struct flow_file *f, struct finding_place at, const char *name);
/* May a header of this name be set, in a flow file or (with Authorization) for an upstream? */
bool flow_header_name(struct flow_loader *l, const struct yaml_node *member, bool flow_file);
/* The keys of one flow file into f->flow (flow_load_flow.c). */
void flow_load_flow(struct flow_file *f);
/* A schema that says more than `type` and `properties` tell: what is in it cannot be known here. */
bool flow_schema_is_open(const struct yaml_node *schema);
/* The fields a schema of a flow file names, its `properties`; NULL: none, or no map, which is a
 * finding of the schema. And the one nearest to what was typed, or NULL. */
const struct yaml_node *flow_fields(const struct yaml_node *schema);
const char *flow_nearest_field(const struct yaml_node *schema, const char *typed);
/* Keys that can have no effect in this flow (flow_lint_effect.c). */
void flow_lint_effect(struct flow_file *f);
/* Lint that needs the whole flow (flow_lint.c): schema, examples, time, calls nobody reads. */
void flow_lint(struct flow_file *f);
