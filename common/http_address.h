/* http_address.h - the pure parts of the HTTP client: addresses, URLs, header blocks.
 * See also http_address_is_private in http_client.h. Safe from any thread. */
#pragma once
#include "common/http_client.h"

/* As http_address_is_private, for the text of an address. A text that is none reads as private. */
bool http_address_text_is_private(const char *text);

/* The same for a socket address; another family than IPv4 and IPv6 reads as private. */
struct sockaddr;
bool http_sockaddr_is_private(const struct sockaddr *a);

/* May a request be tried with this URL? http or https, a host, printable ASCII only. */
bool http_url_is_valid(const char *url);

/* The host of a URL that http_url_is_valid, where it is a name to be looked up, in lower case, and
 * its port. False: it is an address, or localhost, or what only the library's parser knows to read:
 * as it comes to that. */
struct http_host {
    char name[254];
    uint16_t port;
};
bool http_url_host(const char *url, struct http_host *out);

/* An upper-case word: GET, POST, ... */
bool http_method_is_valid(const char *method);

/* GET, HEAD: may be sent a second time on a new connection when a kept-alive one was lost. */
bool http_method_is_safe(const char *method);
/* POST, PUT, PATCH: says Content-Length: 0 when it has no body. */
bool http_method_has_body(const char *method);

/* No control characters; a name is a token. */
bool http_header_is_valid(const struct header *h);

/* URL, method and every header. */
bool http_request_is_valid(const struct http_request *r);

/* Line i of the request's headers as curl wants it: "Name: value", "Name;" for an empty value,
 * "Name:" for what curl would add by itself and must not: a form's type, Expect. gzip is accepted
 * unless the request says otherwise: all know it, and curl's own line costs more. False: no more.
 */
bool http_request_line(const struct http_request *r, size_t i, struct buf *line);

/* Split the raw header lines of an answer in place: names in lower case, values trimmed, lines that
 * are no header dropped. block: ends in 0. out: NULL only counts an upper bound; else room for as
 * many as that. The strings are lent with the block. Returns how many. */
size_t http_headers_split(char *block, struct header *out);
