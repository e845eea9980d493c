/* wire.h - what came on the wire, told from the traces civetweb's parser leaves in its buffer:
 * other parsers would read these requests differently, and the guard must see them. Any thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

/* "Name : value": civetweb cuts the space off, other parsers see another name. */
bool wire_has_gap(const char *name, const char *value);
/* civetweb stops reading headers at a line that is none (folded, odd name) and forgets the rest: a
 * length among it would make the body a request. value: of the last header it read. */
bool wire_ends_early(const char *value);
/* Two empty lines before a request: civetweb reads its body from the wrong place. One is fine.
 * line: where the request's line begins; *start: where those of this buffer do, kept between calls
 * (NULL: not known yet); size: of the buffer. */
bool wire_starts_late(const char **start, const char *line, size_t size);
/* Blanks behind a value are no part of it (RFC 9110, 5.5), but civetweb leaves them. Comes last:
 * the above look at what stands behind a value. */
void wire_cut_blanks(char *value);
