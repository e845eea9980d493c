/* Any bytes as a stream of events and as a Last-Event-ID: the size of the pieces they come in
 * changes nothing, and an id to come back with is one that the gateway reads as it is. A first byte
 * is the size of the pieces. */
#include <stdlib.h>
#include <string.h>

#include "gateway/sse.h"
#include "gateway/sse_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    struct sse_read read;
    struct buf all;
};

static void on_event(void *arg, const struct sse_event *e)
{
    struct heard *h = arg;
    if (!e->name[0] || strlen(e->name) >= SSE_NAME || e->data[e->len] != 0)
        abort();
    buf_printf(&h->all, "%s %s ", e->name, h->read.last);
    buf_add(&h->all, e->data, e->len + 1);
}

static void hear(struct heard *h, const char *text, size_t len, size_t piece)
{
    sse_read_init(&h->read, on_event, h);
    for (size_t at = 0; at < len; at += piece)
        sse_read_bytes(&h->read, text + at, len - at < piece ? len - at : piece);
    if (h->read.too_big)
        abort();
}

static bool is_plain_number(const char *text)
{
    size_t n = strlen(text);
    return n > 0 && n <= 18 && strspn(text, "0123456789") == n;
}

static void check_id(const char *text)
{
    uint64_t id = sse_last_id(text);
    if (id != (is_plain_number(text) ? strtoull(text, NULL, 10) : 0))
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct heard whole = {0}, pieces = {0};
    if (size == 0)
        return 0;
    const char *text = (const char *)data + 1;
    size_t len = size - 1;
    hear(&whole, text, len, len + 1);
    hear(&pieces, text, len, data[0] % 16 + 3u); /* a mark at the start may not be cut */
    if (whole.all.len != pieces.all.len || strcmp(whole.read.last, pieces.read.last) != 0 ||
        whole.read.retry_ms != pieces.read.retry_ms ||
        (whole.all.len && memcmp(whole.all.data, pieces.all.data, whole.all.len) != 0))
        abort();
    if (whole.read.last[0] && !is_plain_number(whole.read.last))
        abort();
    char *line = strndup(text, len);
    if (line)
        check_id(line);
    free(line);
    buf_fini(&whole.all);
    buf_fini(&pieces.all);
    sse_read_fini(&whole.read);
    sse_read_fini(&pieces.read);
    return 0;
}
