/* json_pointer.h - JSON Pointers (RFC 6901) as text of bounded size. Pure; any thread. */
#pragma once
#include "common/json.h"

/* Append "/" and the token, escaped (~0 ~1) and cut at a character's border, to the pointer in
 * out. Nothing is added behind a token that was cut. */
void json_pointer_add(char *out, size_t size, const char *token, size_t len);
void json_pointer_add_index(char *out, size_t size, size_t index);

/* Where in the text the value or key at `offset` stands. text: correct JSON up to there, nested
 * at most JSON_DEPTH_MAX deep. Costs a second look at the text: for errors only. */
void json_pointer_at(const char *text, size_t len, size_t offset, char *out, size_t size);
