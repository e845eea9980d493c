#include "tests/standin/services.h"

#include <string.h>

#define XML "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"

static int refuse(int status, const char *code, const char *message, struct buf *out)
{
    buf_printf(out, XML "<Error><Code>%s</Code><Message>%s</Message></Error>", code, message);
    return status;
}

int bucket_answer(const struct shop_request *q, struct buf *out)
{
    if (!strcasestr(q->headers, "\"authorization\":\"AWS4-HMAC-SHA256 "))
        return refuse(403, "AccessDenied", "the request is not signed", out);
    if (strcmp(q->method, "PUT") != 0)
        return refuse(405, "MethodNotAllowed", "PUT is all I know", out);
    if (!strcasestr(q->headers, "\"x-amz-copy-source\":\""))
        return 200;
    buf_text(out, XML "<CopyObjectResult xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
                      "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
                      "<ETag>&quot;9b2cf535f27731c974343645a3985328&quot;</ETag>"
                      "</CopyObjectResult>");
    return 200;
}
