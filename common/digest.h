/* digest.h - SHA-256 and HMAC-SHA-256 (FIPS 180-4, RFC 2104), by OpenSSL behind digest_openssl.c.
 * Fed in parts so that nobody concatenates. Safe from any thread; a digest in progress belongs to
 * one. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

enum { DIGEST_SIZE = 32 };

struct digest_part {
    const void *bytes; /* borrowed */
    size_t len;
};

/* SHA-256 over the parts one after the other. Aborts on a broken OpenSSL: there is no way on. */
void digest_sha256(const struct digest_part *parts, size_t n, uint8_t out[DIGEST_SIZE]);

/* HMAC-SHA-256 with key. */
void digest_hmac(const void *key, size_t key_len, const struct digest_part *parts, size_t n,
                 uint8_t out[DIGEST_SIZE]);

/* Equal in constant time? */
int digest_equal(const void *a, const void *b, size_t len);
