#include "common/live.h"
#include "common/hex.h"
#include "common/json.h"

#include <string.h>

static void publish(struct cache_async *cache, const char *channel, const struct buf *message)
{
    if (buf_ok(message))
        return;
    struct cache_command c = {.script = SCRIPT_NONE};
    cache_arg_text(&c, "PUBLISH");
    cache_arg_text(&c, channel);
    cache_arg(&c, message->data, message->len);
    /* a hint: who misses it reads the record */
    if (cache_send(cache, &c, NULL, NULL))
        return;
}

void live_print(uint32_t seq, const char *event, const struct buf *data, struct buf *out)
{
    buf_text(out, "{\"seq\":");
    buf_number(out, seq);
    if (data->len <= LIVE_DATA_MAX && !buf_ok(data)) {
        buf_text(out, ",\"event\":\"");
        buf_text(out, event);
        buf_text(out, "\",\"data\":");
        buf_add(out, data->data, data->len);
    }
    buf_char(out, '}');
}

void live_publish(struct cache_async *cache, const struct job_id *id, uint32_t seq,
                  const char *event, const struct buf *data)
{
    if (!cache || !cache_async_up(cache))
        return;
    char channel[LIVE_CHANNEL];
    struct buf m;
    live_channel(id, channel);
    buf_init(&m, LIVE_DATA_MAX + 256);
    live_print(seq, event, data, &m);
    publish(cache, channel, &m);
    buf_fini(&m);
}

void live_channel(const struct job_id *id, char out[LIVE_CHANNEL])
{
    memcpy(out, "op:j:", 5);
    id_format(id, out + 5);
}

void live_channel_of_user(const struct owner *o, char out[LIVE_CHANNEL])
{
    memcpy(out, "op:u:", 5);
    hex_print(o->b, sizeof o->b, out + 5);
}

static void text_member(struct buf *out, const char *key, const char *text)
{
    buf_text(out, key);
    if (text)
        json_print_text(text, strlen(text), out);
    else
        buf_text(out, "null");
}

void live_print_state(enum job_state state, struct buf *out)
{
    text_member(out, "{\"state\":", job_state_name(state));
    buf_char(out, '}');
}

void live_print_done(const struct live_done *d, struct buf *out)
{
    buf_text(out, "{\"id\":\"");
    buf_text(out, d->id);
    text_member(out, "\",\"state\":", job_state_name(d->state));
    text_member(out, ",\"reason\":", *d->reason ? d->reason : NULL);
    text_member(out, ",\"message\":", d->message);
    buf_text(out, ",\"result\":");
    buf_text(out, d->result ? d->result : "null");
    buf_char(out, '}');
}

void live_print_job(const struct live_job *j, struct buf *out)
{
    char id[ID_TEXT], finished[CLOCK_TEXT];
    id_format(j->id, id);
    buf_printf(out, "{\"seq\":0,\"event\":\"job\",\"data\":{\"id\":\"%s\"", id);
    text_member(out, ",\"flow\":", j->flow);
    text_member(out, ",\"title\":", j->title);
    text_member(out, ",\"state\":", job_state_name(j->state));
    text_member(out, ",\"message\":", j->message);
    if (j->finished_us)
        clock_format(j->finished_us, finished);
    text_member(out, ",\"finished\":", j->finished_us ? finished : NULL);
    buf_text(out, "}}");
}

void live_publish_job(struct cache_async *cache, const struct live_job *j)
{
    if (!cache || owner_is_nobody(j->owner) || !cache_async_up(cache))
        return;
    char channel[LIVE_CHANNEL];
    struct buf m;
    live_channel_of_user(j->owner, channel);
    buf_init(&m, LIVE_DATA_MAX);
    live_print_job(j, &m);
    publish(cache, channel, &m);
    buf_fini(&m);
}

/* The text behind `before`, if the message goes on with it. */
static bool skip(const char **at, const char *end, const char *before)
{
    size_t n = strlen(before);
    if ((size_t)(end - *at) < n || memcmp(*at, before, n) != 0)
        return false;
    *at += n;
    return true;
}

static bool read_seq(const char **at, const char *end, uint32_t *seq)
{
    uint64_t n = 0;
    const char *from = *at;
    for (; *at < end && **at >= '0' && **at <= '9' && n <= UINT32_MAX; (*at)++)
        n = n * 10 + (uint64_t)(**at - '0');
    *seq = (uint32_t)n;
    return *at > from && n <= UINT32_MAX;
}

static bool read_event(const char **at, const char *end, char out[8])
{
    size_t n = 0;
    for (; *at < end && **at >= 'a' && **at <= 'z' && n < 7; (*at)++)
        out[n++] = **at;
    out[n] = 0;
    return n > 0;
}

int live_parse(const char *message, size_t len, struct live_message *out)
{
    struct live_message m = {0};
    const char *at = message, *end = message + len;
    if (len < 1 || end[-1] != '}' || !skip(&at, end, "{\"seq\":") || !read_seq(&at, end, &m.seq))
        return ERR_INVALID;
    end--;
    if (at < end) {
        if (!skip(&at, end, ",\"event\":\"") || !read_event(&at, end, m.event) ||
            !skip(&at, end, "\",\"data\":") || at == end)
            return ERR_INVALID;
        m.data = at;
        m.data_len = (size_t)(end - at);
    }
    *out = m;
    return 0;
}

int live_parse_cancel(const char *message, size_t len, struct job_id *out)
{
    static const char verb[] = "cancel ";
    char id[ID_TEXT];
    if (len != sizeof verb - 1 + ID_TEXT - 1 || memcmp(message, verb, sizeof verb - 1) != 0)
        return ERR_INVALID;
    memcpy(id, message + sizeof verb - 1, ID_TEXT - 1);
    id[ID_TEXT - 1] = 0;
    return id_parse(id, out);
}
