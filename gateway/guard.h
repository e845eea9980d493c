/* guard.h - refuses requests that two HTTP parsers could read differently (request smuggling), or
 * that civetweb reads wrongly: headers after the 64th are lost to it, a doubled or odd
 * Content-Length is taken as it pleases. Pure: looks at method, version, path and headers only; any
 * thread. Whoever is refused loses the connection: what follows on it cannot be trusted. */
#pragma once
#include "gateway/http.h"

enum { GUARD_HEADERS_MAX = 63 };

/* 0, or with *detail (lent for ever, one sentence):
 *  ERR_HEADERS          64 header fields or more
 *  ERR_BAD_REQUEST      a name that is no token, a control character in a value, Host missing or
 *                       doubled (HTTP/1.1), Content-Length doubled or not only digits,
 *                       Transfer-Encoding doubled, with Content-Length, in HTTP/1.0, or anything
 *                       but `chunked`; an Expect other than 100-continue; a path that does not
 *                       start with / or holds a control character, or %00
 *  ERR_LENGTH_REQUIRED  POST, PUT or PATCH without Content-Length and Transfer-Encoding */
int guard_check(const struct http_request *q, const char **detail) must_use;

/* Does the request announce a body (a Content-Length over 0, or Transfer-Encoding)? */
bool guard_has_body(const struct http_request *q);
