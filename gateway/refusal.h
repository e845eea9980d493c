/* refusal.h - answers to requests that no handler sees. Pure; any thread. */
#pragma once
#include "gateway/http.h"

enum refusal {
    REFUSAL_CROWDED,    /* too many connections of its address */
    REFUSAL_BUSY,       /* too many requests at once */
    REFUSAL_GAVE_WAY,   /* its connection was closed for another's */
    REFUSAL_SLOW,       /* its header was not there in time */
    REFUSAL_UNREADABLE, /* it is no request */
    REFUSAL_TARGET      /* it is for `*` or http://HOST/.. and not for a path */
};
/* header_max: so many bytes a header may have. The reply ends its connection but for BUSY. */
void refusal_reply(enum refusal why, unsigned header_max, const struct http_request *q,
                   struct http_reply *r);
