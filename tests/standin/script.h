/* script.h - what a shop is told to answer: a list of replies, taken one by one.
 * Text form: a JSON array of flat objects, e.g.
 *   [{"status": 503, "repeat": 2}, {"delay_ms": 3000}, {"hang": true, "match": "id=7"}]
 * Members: status delay_ms body retry_after drip_ms header redirect match repeat (-1: for ever)
 * hold hang endless disconnect ("before", "mid", "reset") garbage ("body", "http") gzip_bomb.
 * With `hold` an answer waits until the shop's script is set or deleted, whatever its delay.
 * A reply with `match` answers only requests whose path or body holds that text.
 * Belongs to the one thread of the stand-in. */
#pragma once
#include <stdbool.h>
#include <stddef.h>

enum reply_kind {
    REPLY_NORMAL,
    REPLY_HANG,         /* no answer until the caller gives up */
    REPLY_ENDLESS,      /* a body without end, as fast as it is read */
    REPLY_GARBAGE_BODY, /* 200, application/json, bytes that are none */
    REPLY_GARBAGE_HTTP, /* not even HTTP */
    REPLY_BOMB,         /* a small gzip body that grows 150 times */
    REPLY_CLOSE_BEFORE, /* the connection ends without a byte */
    REPLY_CLOSE_MID,    /* the connection ends within the body */
    REPLY_RESET         /* the connection is reset without a byte */
};

struct reply {
    struct reply *next;
    enum reply_kind kind;
    int status;      /* 0: the shop's own answer, with this reply's delay */
    int delay_ms;    /* -1: the shop's own */
    int drip_ms;     /* > 0: one byte of the body each */
    bool hold;       /* not before the shop's script changes */
    int repeat;      /* how many requests it still answers; -1: all */
    char *body;      /* owned; NULL: the shop's own, or a short text for an error status */
    char *head;      /* owned header lines, each with CRLF; NULL: none */
    char *match;     /* owned; NULL: every request */
    size_t body_len; /* bytes of body */
};

/* Reads a script. Returns an owned list (script_free), in order; NULL with *why set (lent for ever)
 * when the text is none. An empty array gives NULL with *why NULL. */
struct reply *script_parse(const char *text, size_t len, const char **why);
void script_free(struct reply *list);

/* The first reply that fits, or NULL. Counts it; one that is used up leaves the list, then *owned
 * is true and the caller frees it (script_free), else it is lent until the script changes. */
struct reply *script_take(struct reply **list, const char *path, const char *body, bool *owned);
