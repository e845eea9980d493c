#include "common/broker_kafka.h"
#include "common/clock.h"
#include <stdio.h>
#include <time.h>

enum { LOOK_MS = 20 };

static int open_admin(const struct broker_settings *s, struct kafka **out)
{
    static const struct kafka_events none = {0};
    return kafka_open(BROKER_ADMIN, s, NULL, &none, out);
}

static int64_t now_ms(void)
{
    return clock_mono_ms(clock_real());
}

int broker_describe(const struct broker_settings *s, struct broker_topic *topics, size_t n,
                    int wait_ms)
{
    struct kafka *k;
    int64_t until = now_ms() + wait_ms;
    int err = open_admin(s, &k);
    if (err)
        return err;
    for (size_t i = 0; !err && i < n; i++) {
        topics[i].max_message_bytes = topics[i].retention_ms = topics[i].min_insync = -1;
        int64_t left = until - now_ms();
        err = left > 0 ? kafka_describe(k, &topics[i], (int)left) : ERR_TIMEOUT;
    }
    kafka_close(k, 0);
    return err;
}

/* Brokers learn of a topic after its creation was answered, a busy one seconds later; until then
 * whoever starts would find it missing. */
static int await_topic(struct kafka *k, const struct broker_topic *t, int64_t until)
{
    static const struct timespec pause = {0, LOOK_MS * 1000000L};
    for (;;) {
        struct broker_topic there = *t;
        int64_t left = until - now_ms();
        int err = left > 0 ? kafka_describe(k, &there, (int)left) : ERR_TIMEOUT;
        if (err || there.partitions)
            return err;
        nanosleep(&pause, NULL);
    }
}

int broker_create(const struct broker_settings *s, const struct broker_topic *topics, size_t n,
                  int wait_ms, char why[256])
{
    struct kafka *k;
    char reason[256] = "";
    int64_t until = now_ms() + wait_ms;
    int err = open_admin(s, &k);
    if (err) {
        snprintf(why, 256, "%s", err_text(err));
        return err;
    }
    for (size_t i = 0; !err && i < n; i++) {
        int64_t left = until - now_ms();
        err = left > 0 ? kafka_create(k, &topics[i], (int)left, reason) : ERR_TIMEOUT;
        if (err)
            snprintf(why, 256, "%.100s: %.150s", topics[i].name, reason);
    }
    for (size_t i = 0; !err && i < n; i++) {
        err = await_topic(k, &topics[i], until);
        if (err)
            snprintf(why, 256, "%.100s: created, but not seen in time", topics[i].name);
    }
    kafka_close(k, 0);
    return err;
}
