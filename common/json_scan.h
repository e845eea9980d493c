/* json_scan.h - the strict check of JSON text that comes before any tree is built.
 * One pass, no allocation for a usual body, linear apart from a sort of the keys of large objects,
 * so a hostile body costs no more than an honest one of its size. Part of json.c; others use
 * json.h. Pure; any thread. */
#pragma once
#include "common/json.h"

enum {
    JSON_DEPTH_MAX = 512, /* whatever the limits say */
    JSON_NUMBER_MAX = 63  /* characters of one number; the tree's parser holds no more */
};

/* Check text against RFC 8259 and the rules of json.h. depth_max: 1..JSON_DEPTH_MAX. error:
 * borrowed, not NULL, written on failure only. Returns 0, ERR_NOT_JSON, ERR_BIG_NUMBER, ERR_NOMEM.
 */
int json_scan(const char *text, size_t len, unsigned depth_max, bool rounds,
              struct json_error *error) must_use;

/* Bytes of the UTF-8 character at p (no surrogate, shortest form, up to U+10FFFF); 0 if there is
 * none before end. */
size_t json_utf8_len(const unsigned char *p, const unsigned char *end);

/* The next character of the inside of a scanned string, its escapes undone; moves *p. */
unsigned json_scan_char(const unsigned char **p, const unsigned char *end);
