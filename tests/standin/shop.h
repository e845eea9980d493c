/* shop.h - the shops, and `v1` (an LLM) and `builder` (a bucket): what each answers by itself, its
 * script, its counters, and the log of every request. The first segment of a path names the shop;
 * any name may be scripted. Belongs to the one thread of the stand-in. */
#pragma once
#include "common/buf.h"
#include "tests/standin/script.h"
#include <stdint.h>

enum { SHOPS_MAX = 32, SHOP_NAME = 64 };

struct shop {
    char name[SHOP_NAME];
    struct reply *script; /* owned */
    unsigned scripts;     /* how often it was set or deleted */
    uint64_t requests, answered, aborted;
    unsigned in_flight, in_flight_max;
};

struct shop_log;

struct shops {
    struct shop shop[SHOPS_MAX];
    unsigned count;
    int delay_ms;         /* of a shop's own answers; -1: a natural one */
    uint64_t random;      /* state of the natural delays */
    struct shop_log *log; /* owned */
};

/* What came, as the log keeps it. Borrowed. */
struct shop_request {
    const char *method, *path; /* path as it came, with the query */
    const char *key;           /* Idempotency-Key or "" */
    const char *headers;       /* JSON members: Authorization, traceparent, X-..; "" if none */
    const char *body;
    int64_t at_us; /* Unix time */
};

void shops_init(struct shops *s, int delay_ms);

/* The shop of a path ("/a-mart/..."), made if there is room and create is set. Else NULL. */
struct shop *shops_find(struct shops *s, const char *path, bool create);

/* A request begins: counted and logged; returns its number in the log. */
uint64_t shop_begin(struct shops *s, struct shop *shop, const struct shop_request *q);
/* It ends, at_us of Unix time: status as sent, or 0 when the caller went away before the end. */
void shop_end(struct shops *s, struct shop *shop, uint64_t number, int status, int64_t at_us);

/* The shop's own answer to a request: status, body appended to out, delay. */
int shop_answer(struct shops *s, const struct shop *shop, const struct shop_request *q,
                struct buf *out, int *delay_ms);

void shops_print_stats(const struct shops *s, struct buf *out); /* one JSON object by shop */
void shops_print_log(const struct shops *s, const char *only, struct buf *out); /* "" = all */
void shops_clear(struct shops *s); /* log and counters; what is in flight stays counted */
/* Quoted; at most max bytes of it, and no part of a character. */
void json_text(const char *text, size_t max, struct buf *out);
