#include "common/err.h"

#include <string.h>

const char *err_help(const char *code)
{
    static const struct {
        const char *code, *help;
    } rows[] = {
        {"not-json", "Send one JSON value in UTF-8: no BOM, no \\u0000, no lone surrogates, no "
                     "duplicate keys, nothing behind it, at most 64 levels deep."},
        {"schema", "Each entry of errors[] names the place (JSON Pointer) and the rule; mend it "
                   "and send again."},
        {"expression", "The flow could not compute its key from this request; the detail names "
                       "which. Mend the request, or tell the flow's owner."},
        {"big-number", "Send integers beyond 2^53, numbers outside a double's range and those of "
                       "more than 63 characters as strings."},
        {"guest-key",
         "Without a token, use a UUID as Idempotency-Key: short keys could meet a stranger's."},
        {"too-large", "The flow's request.max_size is the limit; send less."},
        {"key-reused", "Use a new Idempotency-Key for another request."},
        {"signed-out", "Send a valid bearer token."},
        {"not-allowed", "The token lacks the scope that this needs, or the job is shared with "
                        "others; the detail says which."},
        {"no-flow", "Check the name: GET /v1/flows lists what you may start."},
        {"no-job",
         "Check the id. Jobs are kept as long as their flow says, and shown to their owner only."},
        {"no-route", "Check the address."},
        {"method", "See the Allow header."},
        {"rate-limited", "Wait as Retry-After says, then send again."},
        {"unavailable", "The job goes on; ask again as Retry-After says."},
        {"overloaded", "Nothing was started. Repeat with the same key after Retry-After."},
        {"not-durable", "Nothing was started. Repeat with the same key after Retry-After."},
        {"outcome-unknown", "The job may run. Ask for its id, or repeat with the same key: it is "
                            "never started twice."},
        {"final", "Read its result with GET /v1/jobs/{id}."},
        {"bad-request",
         "The request's framing is ambiguous or broken; use a standard HTTP client."},
        {"headers-too-large", "Send at most 63 header fields, and no more of them than the server "
                              "takes (32 KB unless set otherwise)."},
        {"length-required", "Send Content-Length, or Transfer-Encoding: chunked."},
        {"slow-header",
         "Send the whole header at once; 10 s is the time for it unless set otherwise."},
        {"slow-body", "Send the body at once; 30 s is the time for it unless set otherwise."},
        {"bad-key", "An Idempotency-Key is 1 to 255 visible ASCII characters."},
        {"shutting-down",
         "Repeat the request; another gateway, or this one restarted, answers it."},
        {"media-type", "Set Content-Type: application/json."},
        {"bad-cursor", "Send `next` of the page before as it stands; without a cursor the list "
                       "begins with its newest."},
        {"bad-parameter", "The detail names the parameter and what it may be; mend it and ask "
                          "again. Nothing was started."},
        {"internal", "Report it with the request_id."},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (strcmp(rows[i].code, code) == 0)
            return rows[i].help;
    return NULL;
}
