#include "gateway/request_id.h"

#include <string.h>

static const char hex[] = "0123456789abcdef";

void request_id_set(const char *given, struct rng *rng, char out[HTTP_REQUEST_ID])
{
    static const char safe[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-";
    if (given) {
        size_t n = strspn(given, safe);
        if (n > 0 && n < HTTP_REQUEST_ID && given[n] == 0) {
            memcpy(out, given, n + 1);
            return;
        }
    }
    unsigned char b[8];
    rng_fill(rng, b, sizeof b);
    for (size_t i = 0; i < sizeof b; i++) {
        out[2 * i] = hex[b[i] >> 4];
        out[2 * i + 1] = hex[b[i] & 15];
    }
    out[2 * sizeof b] = 0;
}

/* n lower-case hex digits, not all zero */
static bool is_id(const char *s, size_t n)
{
    return strspn(s, hex) >= n && strspn(s, "0") < n;
}

bool request_id_is_trace(const char *s)
{
    return strlen(s) == 55 && memcmp(s, "00-", 3) == 0 && is_id(s + 3, 32) && s[35] == '-' &&
           is_id(s + 36, 16) && s[52] == '-' && strspn(s + 53, hex) == 2;
}
