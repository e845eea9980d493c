/* body_read.h - a body as it comes off a connection: of a length that was told, or chunked. No
 * server in it. Belongs to the request's thread. */
#pragma once
#include <stdbool.h>
#include "common/buf.h"
#include "common/err.h"

struct body_source {
    /* As read(2): bytes, 0 at the end of a chunked body or where it was cut short, < 0: failed. */
    int (*read)(void *arg, void *to, size_t n);
    void *arg;
    bool secret; /* leave no copies behind */
};
/* b has room for want bytes. 0, ERR_BAD_REQUEST: cut short. */
int body_read_counted(const struct body_source *s, struct buf *b, size_t want) must_use;
/* 0, ERR_TOO_LARGE, ERR_BAD_REQUEST: badly chunked or cut short, ERR_NOMEM. */
int body_read_chunked(const struct body_source *s, struct buf *b, size_t max) must_use;
