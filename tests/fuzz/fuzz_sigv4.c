/* Any URL, header and body: signing reads nothing outside, and signs alike what is alike. Lines:
 * the method, the URL, then headers to an empty line, then the body. */
#include <stdlib.h>
#include <string.h>

#include "common/sigv4.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADERS = 8 };

static char *line(char **at)
{
    char *from = *at, *end = strchr(from, '\n');
    *at = end ? end + 1 : from + strlen(from);
    if (end)
        *end = 0;
    return from;
}

static void sign(const char *service, const struct sigv4_request *r)
{
    const struct sigv4_keys k = {(char *)(uintptr_t)service, (char[]){"r"}, (char[]){"A"},
                                 (char[]){"S"}, NULL};
    struct sigv4 a, b;
    int err = sigv4_sign(&k, r, 1000000, &a);
    if (sigv4_sign(&k, r, 1000000, &b) != err)
        abort();
    if (!err && (a.headers_n != b.headers_n || !a.authorization.len ||
                 strcmp(a.authorization.data, b.authorization.data) != 0))
        abort();
    sigv4_fini(&a);
    sigv4_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct header headers[HEADERS];
    struct sigv4_request r = {.headers = headers};
    char *text = malloc(size + 1), *at = text;
    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = 0;
    r.method = line(&at);
    r.url = line(&at);
    while (r.headers_n < HEADERS && *at) {
        char *name = line(&at), *colon = strchr(name, ':');
        if (!colon)
            break;
        *colon = 0;
        headers[r.headers_n++] = (struct header){name, colon + 1};
    }
    r.body = at;
    r.body_len = strlen(at);
    sign("s3", &r);
    sign("service", &r);
    free(text);
    return 0;
}
