#include "worker/shard_gauges.h"

static const struct {
    const char *name, *help;
} gauges[GAUGE_COUNT] = {
    [GAUGE_JOBS] = {"offpath_jobs_held", "jobs in memory, watched ones too"},
    [GAUGE_BYTES] = {"offpath_jobs_bytes", "memory counted for jobs"},
    [GAUGE_PARTITIONS] = {"offpath_partitions", "assigned partitions"},
    [GAUGE_PAUSED] = {"offpath_partitions_paused", "partitions that pause"},
    [GAUGE_UNFINISHED] = {"offpath_records_unfinished", "records taken and not done"},
};

void shard_gauges_init(struct shard_gauges *g)
{
    for (int i = 0; i < GAUGE_COUNT; i++) {
        g->metric[i] = metrics_gauge(gauges[i].name, "", gauges[i].help);
        g->shown[i] = 0;
    }
}

void shard_gauges_show(struct shard_gauges *g, enum shard_gauge which, int64_t now)
{
    metrics_add(g->metric[which], now - g->shown[which]);
    g->shown[which] = now;
}

void shard_gauges_clear(struct shard_gauges *g)
{
    for (int i = 0; i < GAUGE_COUNT; i++)
        if (g->metric[i])
            shard_gauges_show(g, (enum shard_gauge)i, 0);
}
