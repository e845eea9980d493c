/* topics.h - the verb `topics plan|apply`: the topics the flows need. Creates what is missing,
 * never changes or deletes what is there. */
#pragma once
#include "common/broker.h"
#include "common/flow.h"
#include "worker/operator.h"

/* What a flow set needs: topic.name and <name>.retry of each flow, then the topics of pools'
 * refills, each with the flow's partitions. topics: room for TOPICS_EACH * flows_n; returns how
 * many. Pure. */
enum { TOPICS_EACH = 3 };
size_t topics_wanted(const struct flow_set *set, struct broker_topic *topics);

/* The topics of others that flows write to, perhaps twice; returns how many. topics: NULL counts
 * them. Pure. */
size_t topics_of_others(const struct flow_set *set, struct broker_topic *topics);

/* The exit code: 0 good (plan: nothing to do, or printed), 2 usage, 3 Kafka did not answer or
 * refused, 5 not confirmed. */
int topics_run(const struct broker_settings *b, const struct flow_set *set, const char *verb,
               const struct operator_io *io);
