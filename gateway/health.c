#include "gateway/health.h"

#include <string.h>

#include "common/json.h"

static void quoted(struct buf *b, const char *text)
{
    json_print_text(text, strlen(text), b);
}

static void lacking(struct buf *b, const char *name, const char *means)
{
    if (b->data[b->len - 1] == '}')
        buf_char(b, ',');
    buf_text(b, "{\"name\":");
    quoted(b, name);
    buf_text(b, ",\"means\":");
    quoted(b, means);
    buf_char(b, '}');
}

int health_print(const struct health_state *s, struct buf *b)
{
    bool ready = s->kafka && !s->draining;
    buf_text(b, ready ? "{\"ready\":true" : "{\"ready\":false,\"reason\":");
    if (!ready)
        quoted(b, s->draining ? "stopping" : "Kafka does not answer: nothing can be accepted");
    buf_text(b, ",\"degraded\":[");
    if (!s->redis)
        lacking(b, "redis", "no cache, no coalescing; a repeated key is published again");
    if (!s->mysql)
        lacking(b, "mysql",
                s->mysql_why[0] ? s->mysql_why
                                : "jobs are accepted, but cannot be read or listed for now");
    buf_text(b, "],\"warnings\":");
    topic_warnings_print(s->warnings, b);
    buf_text(b, "}\n");
    return ready ? 200 : 503;
}
