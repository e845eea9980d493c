/* Any messages on a job's or a user's channel: what is read of one is inside it and prints as it
 * was, and whatever comes, readers get events of known names, calls in order and each number once.
 * A first byte picks what the lines after it are for. */
#include <stdlib.h>
#include <string.h>

#include "common/live.h"
#include "gateway/feed.h"
#include "gateway/merge.h"
#include "gateway/sse_read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct heard {
    struct sse_read read;
    bool of_user;
    uint64_t number; /* of the last call that has one */
    size_t events;
};

static void on_event(void *arg, const struct sse_event *e)
{
    struct heard *h = arg;
    bool call = strcmp(e->name, "call") == 0, state = strcmp(e->name, "state") == 0;
    uint64_t id = strtoull(h->read.last, NULL, 10);
    if (h->of_user ? strcmp(e->name, "job") != 0 : !call && !state)
        abort();
    if (!h->of_user && (id < h->number || id > h->number + 1 || (state && id != h->number)))
        abort();
    h->number = id;
    h->events++;
}

static void one_message(const char *text, size_t len)
{
    struct live_message m, again;
    struct buf body = {0}, printed = {0};
    struct job_id id;
    if (live_parse_cancel(text, len, &id) == 0 && len != sizeof "cancel " - 1 + ID_TEXT - 1)
        abort();
    if (live_parse(text, len, &m) != 0)
        return;
    if (m.data && (m.data < text || m.data + m.data_len > text + len || !m.event[0]))
        abort();
    if (!m.data)
        return;
    buf_add(&body, m.data, m.data_len);
    live_print(m.seq, m.event, &body, &printed);
    bool small = m.data_len <= LIVE_DATA_MAX;
    if (live_parse(buf_str(&printed), printed.len, &again) != 0 || again.seq != m.seq ||
        (small && (strcmp(again.event, m.event) != 0 || again.data_len != m.data_len ||
                   memcmp(again.data, m.data, m.data_len) != 0)))
        abort();
    buf_fini(&body);
    buf_fini(&printed);
}

struct channel {
    struct merge merge;
    struct feed feed;
    struct heard heard;
};

static void title(void *arg, const char *flow, char out[FEED_TITLE])
{
    (void)arg;
    (void)flow;
    out[0] = 0;
}

/* The first read, of a job that runs or a user without jobs: from then on messages count. */
static void begin(struct channel *c, struct buf *out)
{
    const struct record_progress p = {.found = true, .job = {.state = JOB_RUNNING}};
    const struct record_list none = {0};
    const struct feed_read r = {&none, 1000, title, NULL};
    merge_init(&c->merge, 0);
    feed_init(&c->feed, 0);
    sse_read_init(&c->heard.read, on_event, &c->heard);
    bool all = c->heard.of_user ? !feed_take(&c->feed, &r, SIZE_MAX, out)
                                : merge_read(&c->merge, &p, SIZE_MAX, out) == MERGE_WAIT;
    if (!all)
        abort();
}

static void hear(struct channel *c, const char *text, size_t len, struct buf *out)
{
    size_t before = c->heard.events;
    if (c->heard.of_user)
        feed_message(&c->feed, text, len, 2000, true, out);
    else
        (void)merge_message(&c->merge, text, len, false, out);
    bool printed = out->len > 0;
    sse_read_bytes(&c->heard.read, out->data, out->len);
    if (c->heard.events - before != printed)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct channel c = {.heard = {.of_user = size && data[0] % 2}};
    struct buf out = {0};
    if (size == 0)
        return 0;
    begin(&c, &out);
    sse_read_bytes(&c.heard.read, out.data, out.len);
    const char *text = (const char *)data + 1, *end = (const char *)data + size;
    while (text < end) {
        const char *line = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((line ? line : end) - text);
        buf_clear(&out);
        one_message(text, len);
        hear(&c, text, len, &out);
        text += len + 1;
    }
    buf_fini(&out);
    sse_read_fini(&c.heard.read);
    merge_fini(&c.merge);
    feed_fini(&c.feed);
    return 0;
}
