/* schema_node.h - a compiled schema: nodes (one per subschema) that hold rules (one per keyword
 * that can refuse). For schema*.c only; nothing changes after schema_compile. */
#pragma once
#include "common/regex.h"
#include "common/schema.h"

enum {
    SCHEMA_NODES_MAX = 4000,
    SCHEMA_NEST_MAX = 200,      /* of subschemas and references while compiling */
    SCHEMA_DEPTH_MAX = 500,     /* of nodes under check at one time */
    SCHEMA_STEPS_MAX = 5000000, /* nodes visited in one check: a tenth of a second or two */
};

struct schema_rule;
struct schema_run;

/* Where in the instance (check) or in the schema (compile) we are; lives on the C stack. */
struct schema_path {
    const struct schema_path *up; /* NULL: the root */
    const char *key;              /* NULL: an element */
    size_t index;
};

struct schema_entry { /* one of a list: a property, a pattern, an alternative */
    const char *name; /* lent with the source */
    struct regex *regex;
    struct schema_node *node;
    const struct json *list; /* dependentRequired: names */
};

struct schema_node {
    const struct json *source;
    bool refuses_all; /* the schema `false` */
    struct schema_rule *rules;
    size_t n;
    enum { SCHEMA_NEW, SCHEMA_VISITING, SCHEMA_DONE } mark; /* search for circles, compile only */
    struct schema_node *made_before;                        /* list of all, for freeing */
};

/* Does value fit the rule? If not a problem is reported. */
typedef bool schema_check_fn(struct schema_run *run, const struct schema_rule *rule,
                             const struct json *value, const struct schema_path *path);

struct schema_rule {
    const char *keyword;
    schema_check_fn *check;
    unsigned applies;         /* OR of 1 << enum json_type; other values fit */
    bool in_place;            /* its nodes look at the same value, not at a part of it */
    const struct json *value; /* of the keyword; lent with the source */
    double number;
    size_t min, max; /* counts */
    unsigned types;  /* `type`: OR of 1 << enum json_type and SCHEMA_INTEGER */
    struct regex *regex;
    struct schema_node *node, *then_node, *else_node;
    struct schema_entry *entries; /* owned; properties: sorted by name */
    size_t n;
    const struct schema_rule *properties, *patterns; /* additionalProperties: siblings, or NULL */
};

enum { SCHEMA_INTEGER = 1u << 8 };

struct schema {
    struct json *source; /* own copy; all names and values are lent from it */
    struct schema_node *root, *nodes;
    size_t nodes_n;
};

struct schema_run {
    struct schema_report *report;
    unsigned quiet; /* > 0: inside not, anyOf, if...: a problem there is not one of the value */
    bool gave_up;   /* a limit was reached: whatever `not` makes of it, the value does not fit */
    size_t steps;   /* left */
    unsigned depth;
};

/* After a refusal: are more problems wanted? */
static inline bool schema_goes_on(const struct schema_run *run)
{
    return run->quiet == 0 && !run->gave_up && run->report->n < SCHEMA_PROBLEMS_MAX;
}

/* Check one value against a node; steps and stops are counted here. */
bool schema_fits(struct schema_run *run, const struct schema_node *node, const struct json *value,
                 const struct schema_path *path);
/* The same without reporting. */
bool schema_fits_quietly(struct schema_run *run, const struct schema_node *node,
                         const struct json *value, const struct schema_path *path);

/* Report, always false. */
bool schema_refuse(struct schema_run *run, const char *keyword, const struct schema_path *path,
                   const char *format, ...) __attribute__((format(printf, 4, 5)));
bool schema_give_up(struct schema_run *run, const char *keyword, const struct schema_path *path);

struct schema_compiler {
    struct schema *schema;
    schema_tell_fn *tell;
    void *arg;
    unsigned nest;
};
/* What is refused is told, and the rest is looked at all the same; what else ends it all. */
static inline bool schema_is_over(int rc)
{
    return rc != 0 && rc != ERR_SCHEMA;
}
/* What comes out of two parts. */
static inline int schema_both(int first, int second)
{
    return schema_is_over(first) || second == 0 ? first : second;
}

struct schema_keyword {
    const char *name;
    /* Fill the rule, whose keyword and value are set; NULL: any value will do. 0, ERR_SCHEMA (told;
     * its nodes are right or NULL), ERR_TOO_LARGE (told), ERR_NOMEM. */
    int (*compile)(struct schema_compiler *c, const struct json *siblings, struct schema_rule *rule,
                   const struct schema_path *path);
    schema_check_fn *check; /* NULL: annotation, or part of another keyword */
    unsigned applies;
    bool in_place;
};
const struct schema_keyword *schema_keyword_find(const char *name);
/* Why a keyword is refused and what to write instead. */
void schema_keyword_hint(const char *name, char *hint, size_t size);

/* May it be a schema: an object, true or false? */
bool schema_is_one(const struct json *source);
/* The node of a subschema, made once: what is wrong in it is told once, too. *out: NULL if it is
 * none. 0, ERR_SCHEMA, ERR_TOO_LARGE, ERR_NOMEM. */
int schema_node_make(struct schema_compiler *c, const struct json *source,
                     const struct schema_path *path, struct schema_node **out) must_use;
/* Tell; always ERR_SCHEMA. */
int schema_compile_refuse(struct schema_compiler *c, const char *keyword,
                          const struct schema_path *path, const char *text);
void schema_rule_fini(struct schema_rule *rule);
/* Compare by name: entries of `properties` are sorted by it. */
int schema_entry_compare(const void *a, const void *b);
const struct schema_entry *schema_entry_find(const struct schema_rule *rule, const char *name);

#define SCHEMA_COMPILER(name)                                                                  \
    int name(struct schema_compiler *c, const struct json *siblings, struct schema_rule *rule, \
             const struct schema_path *path)
#define SCHEMA_CHECK(name)                                                                      \
    bool name(struct schema_run *run, const struct schema_rule *rule, const struct json *value, \
              const struct schema_path *path)
/* schema_compile.c */
SCHEMA_COMPILER(schema_compile_type);
SCHEMA_COMPILER(schema_compile_enum);
SCHEMA_COMPILER(schema_compile_number);
SCHEMA_COMPILER(schema_compile_multiple);
SCHEMA_COMPILER(schema_compile_count);
SCHEMA_COMPILER(schema_compile_bool);
SCHEMA_COMPILER(schema_compile_pattern);
SCHEMA_COMPILER(schema_compile_names);
SCHEMA_COMPILER(schema_compile_node);
SCHEMA_COMPILER(schema_compile_nodes);
SCHEMA_COMPILER(schema_compile_map);
SCHEMA_COMPILER(schema_compile_patterns);
SCHEMA_COMPILER(schema_compile_items);
SCHEMA_COMPILER(schema_compile_contains);
SCHEMA_COMPILER(schema_compile_if);
SCHEMA_COMPILER(schema_compile_branch);
SCHEMA_COMPILER(schema_compile_dependent);
SCHEMA_COMPILER(schema_compile_ref);
SCHEMA_COMPILER(schema_compile_dialect);
/* schema_check_*.c */
SCHEMA_CHECK(schema_check_type);
SCHEMA_CHECK(schema_check_enum);
SCHEMA_CHECK(schema_check_const);
SCHEMA_CHECK(schema_check_minimum);
SCHEMA_CHECK(schema_check_maximum);
SCHEMA_CHECK(schema_check_above);
SCHEMA_CHECK(schema_check_below);
SCHEMA_CHECK(schema_check_multiple);
SCHEMA_CHECK(schema_check_min_length);
SCHEMA_CHECK(schema_check_max_length);
SCHEMA_CHECK(schema_check_pattern);
SCHEMA_CHECK(schema_check_min_size);
SCHEMA_CHECK(schema_check_max_size);
SCHEMA_CHECK(schema_check_unique);
SCHEMA_CHECK(schema_check_items);
SCHEMA_CHECK(schema_check_prefix);
SCHEMA_CHECK(schema_check_contains);
SCHEMA_CHECK(schema_check_properties);
SCHEMA_CHECK(schema_check_patterns);
SCHEMA_CHECK(schema_check_additional);
SCHEMA_CHECK(schema_check_names);
SCHEMA_CHECK(schema_check_required);
SCHEMA_CHECK(schema_check_dependent_required);
SCHEMA_CHECK(schema_check_dependent_schemas);
SCHEMA_CHECK(schema_check_all);
SCHEMA_CHECK(schema_check_any);
SCHEMA_CHECK(schema_check_one);
SCHEMA_CHECK(schema_check_not);
SCHEMA_CHECK(schema_check_if);
SCHEMA_CHECK(schema_check_ref);
