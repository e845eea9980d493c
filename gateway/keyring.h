/* keyring.h - the keys that tokens are checked with, kept fresh: a file or URL is read again when
 * its max-age is over (5 min to 24 h) and, at most every 30 s, when a token names a key nobody
 * knows. What was read last counts on while reading fails, for a day. One loop's thread reads
 * (open, close and the loop belong to it); keyring_find is for any thread. */
#pragma once
#include "common/token.h"

struct http_client;
struct loop;
struct keyring;
struct keyring_settings {
    struct jwks *fixed; /* taken; nothing else is ever read. NULL: source */
    const char *source; /* file, or http(s) URL; borrowed until close */
    struct loop *loop;  /* of a source; borrowed until close */
    struct http_client *http;
    int wait_ms; /* how long keyring_find waits for a key that is being fetched */
};

/* A file is read at once, a URL at the loop's next turn. *out: owned (keyring_close). 0; for a file
 * ERR_NOT_FOUND (cannot be read), ERR_TOO_LARGE, ERR_INVALID (as jwks_parse); ERR_NOMEM. */
int keyring_open(const struct keyring_settings *s, struct keyring **out) must_use;
/* Its loop no longer runs, nobody looks for keys. NULL is fine. */
void keyring_close(struct keyring *k);

/* What can be said of a source without asking anybody: a file is read, a URL only looked at. 0, and
 * algorithms of the keys, bits as in token_rules (all of a URL); as keyring_open; ERR_REFUSED: keys
 * of RSA only, and none of 2048 to 8192 bits; ERR_BAD_REQUEST: no URL, or one with a user. */
int keyring_check(const char *source, unsigned *algorithms) must_use;

/* The key for a token with this header. *set: owned (jwks_put), *key lent with it. 0;
 * ERR_NOT_FOUND: no such key; ERR_UNAVAILABLE: perhaps there is one, but what was asked for has not
 * come or could not be read, so nobody may say that the token is bad. */
int keyring_find(struct keyring *k, const struct token_head *head, struct jwks **set,
                 const struct jose_key **key) must_use;
/* Wait until there are keys. 0 or ERR_UNAVAILABLE. Any thread. */
int keyring_await(struct keyring *k, int wait_ms) must_use;

/* max-age of a Cache-Control value in ms, within the bounds; NULL: the lower bound. Pure. */
int64_t keyring_max_age_ms(const char *cache_control);
