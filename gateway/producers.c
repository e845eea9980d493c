#include "gateway/producers.h"

#include <stdio.h>

enum { QUEUE = 10000, BUSY_LINGER_MS = 2 };

/* What was not sent by publish_ms is told as such: `not-durable`, not `outcome-unknown`. */
static int open_one(const struct options *o, struct broker_settings s, int linger_ms,
                    struct publisher *p, struct broker_producer **out)
{
    struct buf properties = {0};
    buf_printf(&properties, "message.timeout.ms=%d\n", o->publish_ms);
    if (linger_ms)
        buf_printf(&properties, "linger.ms=%d\n", linger_ms);
    buf_text(&properties, o->kafka_properties ? o->kafka_properties : ""); /* the user's own wins */
    s.properties = buf_str(&properties);
    int err = buf_ok(&properties);
    if (!err)
        err = broker_kafka_producer_open(&s, publisher_reports, p, out);
    buf_fini(&properties);
    return err;
}

int producers_open(const struct options *o, void (*lost)(void *arg, const char *why), void *arg,
                   struct publisher **out, char why[PRODUCERS_WHY])
{
    const struct broker_settings s = {
        .servers = o->kafka, .client_id = "offpath-gateway", .lost = lost, .lost_arg = arg};
    struct broker_producer *calm = NULL, *busy = NULL;
    if (publisher_open(o->publish_ms + PRODUCERS_GRACE_MS, QUEUE, out) != 0)
        return EXIT_BUG;
    int err = open_one(o, s, 0, *out, &calm);
    if (!err)
        err = open_one(o, s, BUSY_LINGER_MS, *out, &busy);
    publisher_use(*out, calm, busy);
    if (!err)
        return EXIT_GOOD;
    snprintf(why, PRODUCERS_WHY, "--kafka or --kafka-properties: %s", err_text(err));
    return err == ERR_INVALID ? EXIT_USAGE : EXIT_BUG;
}
