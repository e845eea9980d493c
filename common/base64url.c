#include "common/base64url.h"

#include <string.h>

static int digit(char c)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    const char *at = c ? strchr(digits, c) : NULL;
    return at ? (int)(at - digits) : -1;
}

long base64url_decode(const char *text, size_t len, char *out)
{
    unsigned bits = 0, held = 0;
    long n = 0;
    if (len % 4 == 1)
        return -1;
    for (size_t i = 0; i < len; i++) {
        int d = digit(text[i]);
        if (d < 0)
            return -1;
        held = held << 6 | (unsigned)d;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        if (out)
            out[n] = (char)(held >> bits);
        n++;
        held &= (1u << bits) - 1;
    }
    return held ? -1 : n;
}
