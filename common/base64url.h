/* base64url.h - base64url without padding (RFC 4648, 5; RFC 7515, 2). Strict: no padding, no other
 * character, no bits left over, so each byte string has one way to be written. Pure; any thread. */
#pragma once
#include <stddef.h>

/* out: room for len * 3 / 4 bytes, or NULL to count only. The number of bytes; -1: not base64url.
 */
long base64url_decode(const char *text, size_t len, char *out);
