/* schema.h - the subset of JSON Schema (Draft 2020-12) that request.schema may use.
 * type enum const properties required additionalProperties patternProperties propertyNames
 * minProperties maxProperties items prefixItems contains minContains maxContains minItems maxItems
 * uniqueItems minLength maxLength pattern minimum maximum exclusiveMinimum exclusiveMaximum
 * multipleOf allOf anyOf oneOf not if/then/else dependentRequired dependentSchemas, local
 * $ref/$defs, annotations (title description default examples $comment deprecated readOnly
 * writeOnly format as annotation; $schema if it names 2020-12). Any other keyword is refused at
 * compile time, never ignored. Patterns run in PCRE2 with limits, and a check has a budget, so a
 * hostile value cannot hold a thread: what cannot be decided within it does not fit. Compiled once;
 * checking is safe from any thread. */
#pragma once
#include "common/json.h"

struct schema;

struct schema_problem {
    char pointer[128]; /* JSON Pointer into the instance (or into the schema, from schema_compile),
                          cut to fit; of a missing member: where it should stand */
    char keyword[32];  /* "required", "type", ...; of what is no schema at all: "" */
    char text[200];    /* "must be a string" */
};

enum { SCHEMA_PROBLEMS_MAX = 10 };
struct schema_report {
    struct schema_problem problems[SCHEMA_PROBLEMS_MAX];
    size_t n;
};

/* Is told what is wrong with a schema, mistake by mistake. p: lent until it returns. */
typedef void schema_tell_fn(void *arg, const struct schema_problem *p);
/* source: borrowed, copied. *out: owned. 0, ERR_SCHEMA (every mistake was told, or that it is too
 * large), ERR_NOMEM. */
int schema_compile(const struct json *source, struct schema **out, schema_tell_fn *tell,
                   void *arg) must_use;
/* A schema_tell_fn whose arg is a schema_report: keeps the first SCHEMA_PROBLEMS_MAX. */
void schema_report_take(void *arg, const struct schema_problem *p);
void schema_free(struct schema *s);

/* 0, or ERR_SCHEMA with at most SCHEMA_PROBLEMS_MAX problems. */
int schema_check(const struct schema *s, const struct json *value,
                 struct schema_report *report) must_use;
