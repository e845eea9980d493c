/* sigv4_canon.h - the parts of a request in the one form that both sides of a signature write:
 * path, query, headers. Pure; any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "common/buf.h"
#include "common/header.h"

struct sigv4_url { /* lent with the URL */
    const char *host, *path, *query;
    size_t host_len, path_len, query_len; /* host: with its port, but for the scheme's own */
};
/* false: it is not http(s)://host... */
bool sigv4_url_split(const char *url, struct sigv4_url *out);

/* S3 names objects by any bytes, so `..` and `//` mean themselves, and what is encoded is decoded
 * first; all other services resolve dots and encode what is encoded once more. */
void sigv4_path(const char *path, size_t len, bool s3, struct buf *out);
/* name=value, sorted, encoded again whatever the request's spelling; `+` is a space. 0, ERR_NOMEM.
 */
int sigv4_query(const char *query, size_t len, struct buf *out) must_use;

/* Sorts the list by name, then writes "name:value\n" each, equal names in one line. */
void sigv4_headers(struct header *list, size_t n, struct buf *out);
void sigv4_names(const struct header *sorted, size_t n, struct buf *out); /* "a;b;c" */
