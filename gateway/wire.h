/* wire.h - what came on the wire, told from the traces civetweb's parser leaves in its buffer:
 * other parsers would read these requests differently, and the guard must see them. Any thread. */
#pragma once
#include "gateway/http.h"

/* Names that the guard shall refuse become " ":
 * - "Name : value": civetweb cuts the space off, other parsers see another name;
 * - the last, where civetweb stopped at a line that is no header (folded, odd name) and forgot the
 *   rest: a length among it would make the body a request. Of so many as it can keep it is not
 *   known. */
void wire_mark(struct http_header *headers, size_t n, size_t kept_max);
/* Bytes of a request's head, with a line's end that stood before it. start: of civetweb's buffer.
 * 0: cannot be told. */
size_t wire_head_size(const char *start, const struct http_header *headers, size_t n);
/* Two empty lines before a request: civetweb reads its body from the wrong place. One is fine.
 * line: where the request's line begins; *start: where those of this buffer do, kept between calls
 * (NULL: not known yet); size: of the buffer. */
bool wire_starts_late(const char **start, const char *line, size_t size);
/* Blanks behind a value are no part of it (RFC 9110, 5.5), but civetweb leaves them. Comes last:
 * the above look at what stands behind a value. */
void wire_cut_blanks(char *value);
