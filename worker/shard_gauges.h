/* shard_gauges.h - what a shard holds, as gauges of the process: several shards add up in one. Each
 * shard has its own struct, which belongs to its thread. */
#pragma once
#include "common/metrics.h"

enum shard_gauge {
    GAUGE_JOBS,
    GAUGE_BYTES,
    GAUGE_PARTITIONS,
    GAUGE_PAUSED,
    GAUGE_UNFINISHED,
    GAUGE_COUNT
};

struct shard_gauges {
    struct metric *metric[GAUGE_COUNT];
    int64_t shown[GAUGE_COUNT]; /* this shard's part of each */
};

/* Find or make the gauges; this shard's part is 0. */
void shard_gauges_init(struct shard_gauges *g);
/* Make this shard's part of one gauge `now`. */
void shard_gauges_show(struct shard_gauges *g, enum shard_gauge which, int64_t now);
/* Its part of all of them is over. */
void shard_gauges_clear(struct shard_gauges *g);
