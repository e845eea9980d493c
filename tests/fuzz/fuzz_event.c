/* Any headers: decode must not read outside them; what it takes as ours must survive encode and
 * decode unchanged. Input: lines "name:value". */
#include <stdlib.h>
#include <string.h>
#include "common/event.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { LIST = 32 };

/* Cut the text into headers; it is changed. */
static size_t headers_of(char *text, size_t size, struct event_header *list)
{
    size_t n = 0;
    for (char *at = text, *end = text + size; at < end && n < LIST;) {
        char *next = memchr(at, '\n', (size_t)(end - at));
        char *stop = next ? next : end;
        char *colon = memchr(at, ':', (size_t)(stop - at));
        if (colon) {
            *colon = 0;
            list[n++] = (struct event_header){at, colon + 1, (size_t)(stop - colon - 1)};
        }
        at = stop + 1;
    }
    return n;
}

static bool survives(const struct event *e)
{
    struct event back;
    struct event_headers out;
    const char *what;
    if (event_encode(e, &out) || event_decode(out.list, out.n, 1, &back, &what))
        return false;
    bool nobody = owner_is_nobody(&e->owner);
    return back.ours && id_equal(&e->job, &back.job) && !strcmp(e->flow, back.flow) &&
           e->round == back.round && e->deadline_us == back.deadline_us &&
           e->created_us == back.created_us && e->refill == back.refill &&
           (nobody || !strcmp(e->sub, back.sub)) && !strcmp(e->request, back.request) &&
           !strcmp(e->trace, back.trace);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct event_header list[LIST];
    struct event e;
    const char *what = NULL;
    char *text = malloc(size + 1);
    if (!text)
        return 0;
    if (size)
        memcpy(text, data, size);
    size_t n = headers_of(text, size, list);
    int err = event_decode(list, n, 1, &e, &what);
    if (err ? !what : e.ours && !survives(&e))
        abort();
    free(text);
    return 0;
}
