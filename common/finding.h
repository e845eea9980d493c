/* finding.h - what is wrong in a file somebody wrote, and what to do about it.
 * All readers of YAML (flow files, upstreams.yaml, --config) add to one list and go on, so one run
 * shows everything. Each finding stands at file:line:column and has a code that `explain` knows.
 * A list belongs to one thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/buf.h"

/*    name           code    severity  title                                explanation */
#define FINDING_TABLE(X)                                                                           \
    X(READ, "F001", ERROR, "a file or folder cannot be read",                                      \
      "Check the path and the permissions.")                                                       \
    X(SYNTAX, "F002", ERROR, "not YAML",                                                           \
      "The text breaks YAML's own rules at this place or just before it. Usual causes: a tab, a "  \
      "missing quote, `: ` or ` #` in unquoted text, a wrong indentation.")                        \
    X(DUPLICATE, "F003", ERROR, "a key stands twice",                                              \
      "A map holds each key once, a list of headers each name in one spelling: HTTP sees no "      \
      "difference between upper and lower case. Remove one of them.")                              \
    X(YAML, "F004", ERROR, "a part of YAML that is not used here",                                 \
      "Tags (`!x`), merge keys (`<<`), several documents and keys that are no plain text are "     \
      "refused, because they hide what a file says. Anchors and aliases work.")                    \
    X(NUMBER, "F005", ERROR, "a number that would be changed",                                     \
      "Leading zeros and integers beyond 2^53 cannot be kept as a number. Quote them.")            \
    X(LIMIT, "F006", ERROR, "too large",                                                           \
      "A file has at most 1 MB, 64 levels, 20,000 nodes (aliases expanded) and 1,000 anchors.")    \
    X(PLACEHOLDER, "F007", ERROR, "a `${...}` that cannot be filled in",                           \
      "`${env:NAME}`, `${env:NAME:-default}` and `${file:name}` are known; `$${` writes `${`. "    \
      "Flow files take no `${file:}`: secrets live in upstreams.yaml.")                            \
    X(KEY, "F010", ERROR, "unknown key",                                                           \
      "Nothing is ignored: a key that is not in the reference is a mistake.")                      \
    X(UNSUPPORTED, "F011", ERROR, "not supported yet",                                             \
      "The reference knows this key; this version does not. It is refused instead of ignored.")    \
    X(REQUIRED, "F012", ERROR, "a key is missing", "Write it.")                                    \
    X(KIND, "F013", ERROR, "wrong kind of value",                                                  \
      "The key decides what its value must be: text, number, true or false, a duration (`200ms "   \
      "3s 5m 2h 30d`), a size (`16KB 1MB`), a list or a map.")                                     \
    X(VALUE, "F014", ERROR, "a value that is not allowed here",                                    \
      "The kind is right, the value is out of range or not one of the names.")                     \
    X(NAME, "F015", ERROR, "a name that does not fit",                                             \
      "Names are `[a-z][a-z0-9-]{0,62}`; a flow's name is its file's name.")                       \
    X(UPSTREAM, "F020", ERROR, "unknown upstream", "`upstream` names an entry of upstreams.yaml.") \
    X(TOPIC, "F021", ERROR, "two flows read one topic", "Give each flow a topic of its own.")      \
    X(CACHE, "F022", ERROR, "a cache that cannot work",                                            \
      "A cache needs `key` and `ttl`; with `scope: shared` the flow must not use `$user`.")        \
    X(CYCLE, "F023", ERROR, "calls that wait for each other",                                      \
      "A call starts when those of its `after` have ended; none of them may come after it.")       \
    X(DATABASE, "F024", ERROR, "unknown database",                                                 \
      "`database` names an entry of `databases` in upstreams.yaml.")                               \
    X(FLOW, "F025", ERROR, "unknown flow", "`emit.flow` names a flow of this folder.")             \
    X(EMIT_CYCLE, "F026", ERROR, "flows that start each other for ever",                           \
      "A flow whose `emit` leads back to itself never ends. An `emit` with a `when` may.")         \
    X(ORDER, "F027", ERROR, "an order that cannot be kept",                                        \
      "`order: key` needs `request.key` and a deadline, and forbids `requeue`: the next job of a " \
      "key waits for the one before.")                                                             \
    X(POOL, "F029", ERROR, "a pool that cannot be filled",                                         \
      "A refill is a job without a user: what it runs (load, check, calls, result, pool.key) "     \
      "uses "                                                                                      \
      "the request's fields named in pool.refill.fields only, and no `$user`.")                    \
    X(HOLE, "F030", ERROR, "`\\(` starts an expression",                                           \
      "This key is an expression already; `\\( )` is for templates.")                              \
    X(JQ, "F031", ERROR, "an expression is not valid jq",                                          \
      "Expressions are jq 1.6. It wants `else` with every `if`, and `{a: (1 + 2)}` in objects.")   \
    X(INVISIBLE, "F032", ERROR, "a variable that is not visible here",                             \
      "The reference lists where each variable can be seen.")                                      \
    X(CALL, "F033", ERROR, "a call that does not exist",                                           \
      "`$calls.NAME` and `after` name entries of `calls`.")                                        \
    X(BARE, "F034", ERROR, "`$name` outside `\\( )` in a template",                                \
      "In a template only what stands in `\\( )` is computed; the rest goes out as it is.")        \
    X(DOT, "F035", ERROR, "an expression starts with `.`",                                         \
      "`.` is not data; everything comes from variables like `$request`.")                         \
    X(SQL, "F036", ERROR, "an `sql` that cannot work",                                             \
      "One statement per entry: a SELECT in `load`, an INSERT, UPDATE, DELETE or REPLACE in "      \
      "`save`. Holes become parameters, so they stand outside of quotes and comments.")            \
    X(ROWS, "F037", ERROR, "rows that are not loaded",                                             \
      "`$rows.NAME` names an entry of `load`; in `load` one above.")                               \
    X(SCHEMA, "F040", ERROR, "the schema is not valid",                                            \
      "request.schema takes a subset of JSON Schema 2020-12; other keywords are refused.")         \
    X(EXAMPLE, "F041", ERROR, "an example does not fit its schema",                                \
      "Mend the example or the schema.")                                                           \
    X(EXAMPLE_RUN, "F042", ERROR, "an expression fails with an example",                           \
      "What fails with your own example fails for users.")                                         \
    X(FIELD, "F043", ERROR, "a request field the schema forbids",                                  \
      "With `additionalProperties: false` a field outside `properties` can never be there.")       \
    X(HASH, "F044", ERROR, "a hash that hides nothing",                                            \
      "request.hash takes top-level strings. request.set, request.key and cache.key are computed " \
      "before and go out in plain text, so they must not use such a field.")                       \
    X(W_DEADLINE, "F050", WARNING, "time-outs or waits reach beyond the deadline",                 \
      "Calls are cut at the job's deadline: later attempts and rounds never happen, and a POST "   \
      "has nothing left to wait for.")                                                             \
    X(W_UNREAD, "F051", WARNING, "nobody reads this call",                                         \
      "Its result is in no expression; it can only count for `need`.")                             \
    X(W_OPTIONAL_KEY, "F052", WARNING, "the key's field is not required",                          \
      "Without the field the request is refused, by a less clear message than the schema's.")      \
    X(W_FIELD, "F053", WARNING, "a request field the schema does not name",                        \
      "Add it to `properties`, or mend its name.")                                                 \
    X(W_SECRET, "F054", WARNING, "a secret in plain text",                                         \
      "Write it to a file in the secrets folder and use `${file:name}`.")                          \
    X(W_NEVER, "F055", WARNING, "calls without a deadline",                                        \
      "With `deadline: none` a job waits for its calls for ever.")                                 \
    X(W_ITEMS, "F056", WARNING, "a list without a bound",                                          \
      "More elements than `max_items` fail the call; `maxItems` in the schema refuses them "       \
      "before.")                                                                                   \
    X(W_DATABASES, "F057", WARNING, "a save in two databases",                                     \
      "Each is a transaction of its own: one may be refused when the other is written.")           \
    X(W_EFFECT, "F058", WARNING, "a key without effect",                                           \
      "It is for requests over HTTP, which `access: internal` refuses. Let it stand while a flow " \
      "is being removed: jobs under way may still go by it.")                                      \
    X(W_FILE, "F059", WARNING, "a file that is not read",                                          \
      "Flow files end in `.yaml`, `.yml` or `.json`, in small letters. Rename it, or take it out " \
      "of the folder.")

enum finding_severity { FINDING_ERROR, FINDING_WARNING };

enum finding_code {
#define X(name, code, severity, title, explanation) FINDING_##name,
    FINDING_TABLE(X)
#undef X
        FINDING_CODE_COUNT
};
/* ERROR and WARNING above name these severities. */

struct finding_place {
    const char *file;      /* as a person can open it */
    unsigned line, column; /* from 1; 0: the file as a whole */
};

struct finding {
    char *file; /* owned by the list, as are what and help */
    unsigned line, column;
    enum finding_code code;
    char *what, *help; /* "unknown key `reslt`", "write `result`"; help may be "" */
};

enum { FINDINGS_MAX = 1000 };
struct findings {
    struct finding *list;
    size_t n, cap;
    /* Counted by severity, also what is not listed; the same finding at one place counts once. */
    size_t errors, warnings;
    size_t dropped; /* not listed: beyond FINDINGS_MAX, or without memory */
};

void findings_init(struct findings *f);
void findings_fini(struct findings *f); /* also fine on a zeroed struct, and twice */

/* Add one. at: borrowed. format: "what\nwhat to do", split at the last newline; other control
 * characters become spaces, and what is over 1,000 bytes is cut. In a full list an error takes the
 * place of a warning. */
void findings_add(struct findings *f, struct finding_place at, enum finding_code code,
                  const char *format, ...) __attribute__((format(printf, 4, 5)));

void findings_sort(struct findings *f); /* by file, line, column, code */

/* One line each: `file:line:col: error[F010]: what; what to do`. excerpt: with the source line, a
 * caret and the help below, for people at a terminal; the file is read again for it. */
void findings_print(const struct findings *f, bool excerpt, struct buf *out);
void findings_print_json(const struct findings *f, struct buf *out); /* JSON Lines */
/* "8 flows, no findings", else how many errors and warnings. */
void findings_print_sum(const struct findings *f, size_t flows, struct buf *out);
/* The first error (else the first warning) as one line cut to size; "" without findings. */
void findings_first(const struct findings *f, char *out, size_t size);

const char *finding_code_text(enum finding_code c); /* "F010" */
enum finding_severity finding_code_severity(enum finding_code c);
/* What `explain CODE` prints: title and explanation. 0, or ERR_NOT_FOUND. */
int finding_explain(const char *code, const char **title, const char **explanation) must_use;

/* The nearest of n names to a mistyped one (Damerau-Levenshtein, at most a third of it wrong), or
 * NULL. Lent with names. */
const char *nearest_name(const char *typed, const char *const *names, size_t n);
