/* http_end.h - what the end of an exchange means: the call's code, and why in words. Pure; any
 * thread. */
#pragma once
#include "common/flow.h"

enum http_end_kind {
    END_LOST, /* the connection, or it was never there */
    END_ANSWER,
    END_TIMEOUT,
    END_NO_NAME,
    END_TLS,
    END_BROKEN, /* an answer that is no HTTP, or cannot be unpacked */
    END_ABORTED /* by us */
};

struct http_end {
    enum http_end_kind kind;
    bool sent;               /* the request may have reached the upstream */
    bool resent;             /* it would have been sent a second time */
    bool blocked, tried;     /* an address was refused; another was not */
    bool too_big, head_done; /* of the answer */
    const char *text;        /* the library's; never NULL */
};

enum call_code http_end_code(const struct http_end *e);
const char *http_end_why(const struct http_end *e); /* lent with e->text */
