/* count, then per header: u16 length and name with its 0, u32 length and value; big-endian. What
 * unpack reads stands in a table anybody may have written to: nothing in it is trusted. */
#include "common/record.h"

#include <string.h>

enum { COUNT_MAX = 255, NAME_MAX_LEN = 0xffff, BYTES_MAX = 1 << 20 };

static void put(struct buf *out, size_t v, int bytes)
{
    while (bytes-- > 0)
        buf_char(out, (char)(unsigned char)(v >> (8 * bytes)));
}

bool record_headers_fit(const struct event_header *h, size_t n)
{
    size_t bytes = 1;
    for (size_t i = 0; n <= COUNT_MAX && i < n; i++) {
        size_t name = strlen(h[i].name) + 1;
        if (name > NAME_MAX_LEN || h[i].len > BYTES_MAX)
            return false;
        bytes += 2 + name + 4 + h[i].len;
    }
    return n <= COUNT_MAX && bytes <= BYTES_MAX;
}

int record_headers_pack(const struct event_header *h, size_t n, struct buf *out)
{
    if (!record_headers_fit(h, n))
        return ERR_TOO_LARGE;
    put(out, n, 1);
    for (size_t i = 0; i < n; i++) {
        size_t name = strlen(h[i].name);
        put(out, name + 1, 2); /* the 0 is stored too: unpack lends names without copying */
        buf_add(out, h[i].name, name + 1);
        put(out, h[i].len, 4);
        buf_add(out, h[i].value, h[i].value ? h[i].len : 0);
    }
    return buf_ok(out);
}

struct reader {
    const unsigned char *p, *end;
    bool bad;
};

static size_t get(struct reader *r, int bytes)
{
    size_t v = 0;
    if (r->end - r->p < bytes) {
        r->bad = true;
        return 0;
    }
    while (bytes-- > 0)
        v = v << 8 | *r->p++;
    return v;
}

static const void *take(struct reader *r, size_t len)
{
    const void *at = r->p;
    if ((size_t)(r->end - r->p) < len) {
        r->bad = true;
        return NULL;
    }
    r->p += len;
    return at;
}

int record_headers_unpack(const void *bytes, size_t len, struct event_header *out, size_t max,
                          size_t *n)
{
    const unsigned char *from = bytes;
    struct reader r = {from, from + len, false};
    size_t count = get(&r, 1);
    if (r.bad || count > max)
        return ERR_INVALID;
    for (size_t i = 0; i < count && !r.bad; i++) {
        size_t name = get(&r, 2);
        out[i].name = take(&r, name);
        if (r.bad || name == 0 || memchr(out[i].name, 0, name) != out[i].name + name - 1)
            return ERR_INVALID;
        out[i].len = get(&r, 4);
        out[i].value = take(&r, out[i].len);
    }
    if (r.bad || r.p != r.end)
        return ERR_INVALID;
    *n = count;
    return 0;
}
