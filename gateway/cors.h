/* cors.h - which pages of other origins may read what the API answers (--cors-origins): those that
 * are listed, without cookies. No answer has Access-Control-Allow-Credentials, so that a bearer
 * token is good from there and the console's cookie never is; signing in and out by cookie
 * (/v1/login, /v1/logout) and all pages are left out. Pure. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/err.h"

enum { CORS_MAX = 64, CORS_WHY = 256 };

struct http_request; /* gateway/http.h */
struct http_reply;

struct cors {
    size_t n; /* 0: off */
    struct cors_origin {
        const char *text; /* lent with the setting */
        size_t len;
    } origin[CORS_MAX];
};

/* Origins as browsers send them (https://app.example, http://localhost:5173) with commas or spaces
 * between; NULL and "": none. 0; ERR_INVALID with why: which entry, and what to write instead; *out
 * is as it was. */
int cors_read(const char *text, struct cors *out, char why[CORS_WHY]) must_use;

/* Before a request is answered: the headers that any answer to it has, an error and a stream, too.
 * All of the API get Vary, so that no cache gives one origin what another was answered. */
void cors_begin(const struct cors *c, const struct http_request *q, struct http_reply *r);

/* Is it a preflight of a listed origin? Then the reply says what it may send there; it needs no
 * token. c: NULL is off; allow: the methods of the address. */
bool cors_preflight(const struct cors *c, const struct http_request *q, struct http_reply *r,
                    const char *allow);
