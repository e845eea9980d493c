#include "common/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 }; /* of SHA-256, bytes */

/* One context per thread: creating one costs more than hashing an id. Freed by the process's end
 * only. */
static EVP_MD_CTX *context(void)
{
    static _Thread_local EVP_MD_CTX *ctx;
    if (!ctx)
        ctx = EVP_MD_CTX_new();
    if (!ctx)
        abort();
    return ctx;
}

static void start(EVP_MD_CTX *ctx)
{
    if (EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        abort();
}

static void finish(EVP_MD_CTX *ctx, uint8_t out[DIGEST_SIZE])
{
    if (EVP_DigestFinal_ex(ctx, out, NULL) != 1)
        abort();
}

void digest_sha256(const struct digest_part *parts, size_t n, uint8_t out[DIGEST_SIZE])
{
    EVP_MD_CTX *ctx = context();
    start(ctx);
    for (size_t i = 0; i < n; i++)
        EVP_DigestUpdate(ctx, parts[i].bytes, parts[i].len);
    finish(ctx, out);
}

void digest_hmac(const void *key, size_t key_len, const struct digest_part *parts, size_t n,
                 uint8_t out[DIGEST_SIZE])
{
    uint8_t block[BLOCK] = {0}, pad[BLOCK], inner[DIGEST_SIZE];
    if (key_len > BLOCK)
        digest_sha256(&(struct digest_part){key, key_len}, 1, block);
    else if (key_len)
        memcpy(block, key, key_len);
    EVP_MD_CTX *ctx = context();
    for (int i = 0; i < BLOCK; i++)
        pad[i] = block[i] ^ 0x36;
    start(ctx);
    EVP_DigestUpdate(ctx, pad, BLOCK);
    for (size_t i = 0; i < n; i++)
        EVP_DigestUpdate(ctx, parts[i].bytes, parts[i].len);
    finish(ctx, inner);
    for (int i = 0; i < BLOCK; i++)
        pad[i] = block[i] ^ 0x5c;
    digest_sha256((struct digest_part[]){{pad, BLOCK}, {inner, DIGEST_SIZE}}, 2, out);
    OPENSSL_cleanse(block, sizeof block);
    OPENSSL_cleanse(pad, sizeof pad);
}

int digest_equal(const void *a, const void *b, size_t len)
{
    return CRYPTO_memcmp(a, b, len) == 0;
}
