#include "common/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 64 }; /* of SHA-256, bytes */

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t at_thread_end; /* frees a thread's context when the thread ends */

static void free_context(void *ctx)
{
    EVP_MD_CTX_free(ctx);
}

static void make_key(void)
{
    if (pthread_key_create(&at_thread_end, free_context) != 0)
        abort();
}

/* One context per thread: creating one costs more than hashing an id. */
static EVP_MD_CTX *context(void)
{
    static _Thread_local EVP_MD_CTX *ctx;
    if (ctx)
        return ctx;
    pthread_once(&once, make_key);
    ctx = EVP_MD_CTX_new();
    if (!ctx || pthread_setspecific(at_thread_end, ctx) != 0 ||
        EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) != 1)
        abort();
    return ctx;
}

/* The context knows its algorithm: looking it up again takes locks and memory each time. */
static void start(EVP_MD_CTX *ctx)
{
    if (EVP_DigestInit_ex(ctx, NULL, NULL) != 1)
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
