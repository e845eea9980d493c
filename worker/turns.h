/* turns.h - who has the same key goes one by one, in order of arrival. Memory for each key that is
 * there now. Belongs to its shard's thread. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include "common/err.h"

struct turn_lane;
struct turn { /* embedded in whoever goes; zeros: not in line */
    struct turn *next;
    struct turn_lane *lane;
    /* it is this one's turn; ended: as who had it before said of itself */
    void (*fn)(void *arg, bool ended);
    void *arg;
};

enum { TURN_BUCKETS = 256 };
struct turns { /* zeros: nobody */
    struct turn_lane *lanes[TURN_BUCKETS];
};

/* Get in line, with fn and arg set. *first: it is its turn now, and fn is not called; else it will
 * be, from another's turns_leave. 0 or ERR_NOMEM (not in line). */
int turns_enter(struct turns *t, struct turn *turn, const void *key, size_t len,
                bool *first) must_use;
bool turn_has(const struct turn *turn); /* it is in line, and it is its turn */
/* Out of line, wherever it stood; fine for one that is not. ended: it did what it came for. The
 * next one's fn may be called. */
void turns_leave(struct turns *t, struct turn *turn, bool ended);
