/* json.h - JSON values: strict parse, look-up, build, print. cJSON behind json.c, nowhere else.
 * Strict (RFC 8259, I-JSON RFC 7493): valid UTF-8 without BOM or lone surrogates, no duplicate
 * keys, no text after the value, bounded depth. Numbers beyond 2^53 or no double holds are refused,
 * so what is printed is what was read. Object members keep their order. A value belongs to one
 * thread at a time; reading a value that nobody changes is safe from several. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/buf.h"
#include "common/err.h"

struct json; /* one value */

enum json_type { JSON_NULL, JSON_BOOL, JSON_NUMBER, JSON_STRING, JSON_ARRAY, JSON_OBJECT };

enum {
    JSON_DEPTH_VALUE = 64, /* requests, answers, what expressions and templates make */
    JSON_DEPTH_KEPT = 256  /* what we wrote ourselves: such values, wrapped some levels deep */
};

struct json_limits {
    size_t size_max;    /* bytes; 0 = 1 MB */
    unsigned depth_max; /* 0 = JSON_DEPTH_VALUE */
    bool rounds;        /* take integers beyond 2^53, too, as the double next to them */
};

struct json_error {
    size_t offset;     /* byte where it was noticed */
    char pointer[128]; /* JSON Pointer of a big number or duplicate key, cut to fit; else "" */
    const char *what;  /* short text, lent for ever: "duplicate key", "lone surrogate", ... */
};

/* Parse. limits, error may be NULL. *out: owned (json_free).
 * Returns 0, ERR_NOT_JSON, ERR_BIG_NUMBER, ERR_TOO_LARGE, ERR_NOMEM. */
int json_parse(const char *text, size_t len, const struct json_limits *limits, struct json **out,
               struct json_error *error) must_use;
/* Overwrite the bytes of a text with zeros, so that they are not found in freed memory. Nothing for
 * other types and NULL. */
void json_wipe_text(struct json *v);
void json_free(struct json *v);               /* NULL is fine */
struct json *json_copy(const struct json *v); /* owned, without name; NULL without memory */

enum json_type json_type(const struct json *v); /* NULL reads as JSON_NULL */
bool json_is(const struct json *v, enum json_type t);
bool json_bool(const struct json *v);        /* false for any other type */
double json_number(const struct json *v);    /* 0 for any other type */
bool json_is_integer(const struct json *v);  /* a number without fraction (1.0 is one) */
const char *json_text(const struct json *v); /* NULL for any other type; lent with v; holds no NUL
                                                byte (a \u0000 is refused) */

/* Members and elements. get: case-sensitive, NULL if absent. first/next walk both arrays and
 * objects; key: the member's name, NULL for an element. All lent with the container. */
const struct json *json_get(const struct json *object, const char *key);
const struct json *json_at(const struct json *array, size_t index);
size_t json_size(const struct json *v);
/* More than depth (at most JSON_DEPTH_KEPT) arrays and objects within each other? */
bool json_is_deeper(const struct json *v, unsigned depth);
const struct json *json_first(const struct json *v);
const struct json *json_next(const struct json *v);
const char *json_key(const struct json *v);

/* Build. Text that is not UTF-8, and a NUL byte, is stored as U+FFFD: what was built prints as
 * JSON. NaN and infinity become null. Each gives an owned value or NULL without memory. json_put
 * and json_push take the value (also on failure, and NULL is passed through as ERR_NOMEM). json_put
 * replaces a member of that name in place. */
struct json *json_new_null(void);
struct json *json_new_bool(bool b);
struct json *json_new_number(double n);
struct json *json_new_text(const char *text);
struct json *json_new_text_n(const char *text, size_t len);
struct json *json_new_array(void);
struct json *json_new_object(void);
int json_put(struct json *object, const char *key, struct json *value);
int json_push(struct json *array, struct json *value);
/* json_put for a name the object does not have yet, which the caller knows: no look-up. */
int json_add(struct json *object, const char *key, struct json *value);

/* JSON Schema equality: 1 and 1.0 are equal, order of members does not matter. */
bool json_equal(const struct json *a, const struct json *b);

/* Compact text appended to out; numbers in their shortest form that reads back the same. */
void json_print(const struct json *v, struct buf *out);
/* What stands for a value outside of JSON, as a key: a text as it is, a number or boolean as it is
 * printed. False: anything else; nothing is appended. */
bool json_print_scalar(const struct json *v, struct buf *out) must_use;
/* Members sorted by name, -0 as 0: values that are json_equal print the same bytes. */
void json_print_sorted(const struct json *v, struct buf *out);
void json_print_text(const char *text, size_t len,
                     struct buf *out); /* one string, quoted and escaped */
