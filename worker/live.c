#include "worker/live.h"
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

void live_publish(struct cache_async *cache, const struct job_id *id, uint32_t seq,
                  const char *event, const struct buf *data)
{
    if (!cache || !cache_async_up(cache))
        return;
    char channel[5 + ID_TEXT] = "op:j:";
    id_format(id, channel + 5);
    struct buf m;
    buf_init(&m, LIVE_DATA_MAX + 256);
    buf_printf(&m, "{\"seq\":%u", seq);
    if (data->len <= LIVE_DATA_MAX && !buf_ok(data)) {
        buf_printf(&m, ",\"event\":\"%s\",\"data\":", event);
        buf_add(&m, data->data, data->len);
    }
    buf_char(&m, '}');
    publish(cache, channel, &m);
    buf_fini(&m);
}

static void text_member(struct buf *out, const char *key, const char *text)
{
    buf_printf(out, ",\"%s\":", key);
    if (text)
        json_print_text(text, strlen(text), out);
    else
        buf_text(out, "null");
}

void live_publish_job(struct cache_async *cache, const struct live_job *j)
{
    if (!cache || owner_is_nobody(j->owner) || !cache_async_up(cache))
        return;
    char id[ID_TEXT], finished[CLOCK_TEXT];
    struct buf channel, m;
    id_format(j->id, id);
    buf_init(&channel, 64);
    buf_text(&channel, "op:u:");
    buf_hex(&channel, j->owner->b, sizeof j->owner->b);
    buf_init(&m, LIVE_DATA_MAX);
    buf_printf(&m, "{\"seq\":0,\"event\":\"job\",\"data\":{\"id\":\"%s\"", id);
    text_member(&m, "flow", j->flow);
    text_member(&m, "title", j->title);
    text_member(&m, "state", job_state_name(j->state));
    text_member(&m, "message", j->message);
    if (j->finished_us)
        clock_format(j->finished_us, finished);
    text_member(&m, "finished", j->finished_us ? finished : NULL);
    buf_text(&m, "}}");
    publish(cache, buf_str(&channel), &m);
    buf_fini(&m);
    buf_fini(&channel);
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
