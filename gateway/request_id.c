#include "gateway/request_id.h"

#include <string.h>

#include "common/hex.h"

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
    hex_print(b, sizeof b, out);
}

static const char hex[] = "0123456789abcdef";

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
