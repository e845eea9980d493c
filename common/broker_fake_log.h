/* broker_fake_log.h - the records behind broker_fake.h: topics, partitions, what each group has
 * committed. No locks. For tests. */
#pragma once
#include "common/broker.h"

struct fake_topic;
struct fake_commit;
struct fake_log { /* zeros: empty */
    struct fake_topic *topics;
    struct fake_commit *commits;
    unsigned next; /* for records without a key */
};
void fake_log_fini(struct fake_log *l);

int fake_log_topic(struct fake_log *l, const char *name, int partitions) must_use;
int fake_log_partitions(const struct fake_log *l, const char *topic); /* 0: no such topic */
/* Its records are gone, and numbers begin again; what groups have committed stays. */
void fake_log_empty(struct fake_log *l, const char *topic);
/* Copies. The record's partition and offset are set on success; ERR_NOT_FOUND. */
int fake_log_append(struct fake_log *l, struct broker_record *r) must_use;
const struct broker_record *fake_log_at(const struct fake_log *l, const char *topic,
                                        int32_t partition, int64_t offset);
/* A whole copy of a record in one allocation; owned (free). NULL without memory. */
struct broker_record *fake_log_copy(const struct broker_record *r, const char *topic);
int64_t fake_log_end(const struct fake_log *l, const char *topic, int32_t partition);
int64_t fake_log_committed(const struct fake_log *l, const char *group, const char *topic,
                           int32_t partition);
int fake_log_commit(struct fake_log *l, const char *group,
                    const struct broker_partition *p) must_use;
