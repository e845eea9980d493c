#include "common/http_end.h"

#include <string.h>

/* In TLS 1.3 a server refuses a client's certificate when the client has sent its request. */
static bool is_refused(const struct http_end *e)
{
    static const char *const alerts[] = {"alert certificate required", "alert bad certificate",
                                         "alert unknown ca", "alert certificate unknown",
                                         "alert certificate expired"};
    for (size_t i = 0; i < sizeof alerts / sizeof *alerts && e->kind != END_ANSWER; i++)
        if (strstr(e->text, alerts[i]))
            return true;
    return false;
}

enum call_code http_end_code(const struct http_end *e)
{
    if (e->too_big)
        return CALL_TOO_BIG;
    if (e->blocked && (!e->tried || e->kind == END_ABORTED))
        return CALL_BLOCKED_ADDRESS;
    if (is_refused(e))
        return CALL_TLS;
    switch (e->kind) {
    case END_ANSWER:
        return CALL_OK;
    case END_TIMEOUT:
        return CALL_TIMEOUT;
    case END_NO_NAME:
        return CALL_DNS;
    case END_TLS:
        return e->sent ? CALL_RESET : CALL_TLS;
    case END_BROKEN:
        return e->sent ? CALL_BAD_BODY : CALL_CONNECT;
    default:
        return e->sent ? CALL_RESET : CALL_CONNECT;
    }
}

const char *http_end_why(const struct http_end *e)
{
    if (e->too_big)
        return e->head_done ? "the body is larger than max_response" : "headers above 64 KB";
    if (e->blocked && e->kind != END_ANSWER)
        return "the address is private";
    if (e->resent)
        return "the kept-alive connection was lost while the request was sent";
    return e->text;
}
