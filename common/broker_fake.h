/* broker_fake.h - Kafka in memory, for tests: topics with partitions, producers, and consumers
 * whose partitions the test gives and takes. Keys land where Kafka puts them (murmur2). One thread,
 * or, without a loop, producers from any thread. Reports: with a loop they come in its next turn,
 * else inside broker_publish; held back on demand. Consumers: what is assigned and revoked is told
 * in the next broker_poll, as in the real one; with a (fake) loop their descriptor fires when
 * something waits. */
#pragma once
#include "common/broker.h"
#include "common/loop.h"

struct broker_fake;

/* clock: borrowed; loop: borrowed, a loop_fake, or NULL. 0 or ERR_NOMEM. */
int broker_fake_open(const struct clock *clock, struct loop *loop,
                     struct broker_fake **out) must_use;
/* After its producers and consumers. NULL is fine. */
void broker_fake_close(struct broker_fake *f);

int broker_fake_topic(struct broker_fake *f, const char *name, int partitions) must_use;
/* As another producer would: r->partition -1 by key. ERR_NOT_FOUND: no such topic or partition. */
int broker_fake_put(struct broker_fake *f, const struct broker_record *r) must_use;
/* The topic was deleted and made anew: consumers whose position is behind its end begin again. */
void broker_fake_remake(struct broker_fake *f, const char *topic);
/* What stands there; NULL behind the last. Lent until the fake is closed or the topic made anew. */
const struct broker_record *broker_fake_at(struct broker_fake *f, const char *topic,
                                           int32_t partition, int64_t offset);
int64_t broker_fake_end(struct broker_fake *f, const char *topic, int32_t partition);
int64_t broker_fake_committed(struct broker_fake *f, const char *group, const char *topic,
                              int32_t partition); /* -1 none */

/* ---- clients; owned: broker_producer_close, broker_consumer_close */
int broker_fake_producer_open(struct broker_fake *f, broker_report_fn *report, void *arg,
                              struct broker_producer **out) must_use;
int broker_fake_consumer_open(struct broker_fake *f, const char *group, const char *const *topics,
                              size_t topics_n, const struct broker_consumer_events *events,
                              struct broker_consumer **out) must_use;

/* ---- what happens to them */
/* Give all partitions of the consumer's topics to it, or just one. */
void broker_fake_assign(struct broker_consumer *c);
void broker_fake_assign_one(struct broker_consumer *c, const char *topic, int32_t partition);
void broker_fake_assign_none(struct broker_consumer *c); /* the others have them all */
/* Take all back; lost: it may not commit any more (ERR_CONFLICT). */
void broker_fake_revoke(struct broker_consumer *c, bool lost);
void broker_fake_error(struct broker_consumer *c, int err, bool fatal, const char *why);
/* It reads on from there, as after a resume that was not asked for. */
void broker_fake_rewind(struct broker_consumer *c, const char *topic, int32_t partition,
                        int64_t offset);
bool broker_fake_paused(struct broker_consumer *c, const char *topic, int32_t partition);

/* Keep reports back (a broker that does not answer); false: let them go. */
void broker_fake_hold(struct broker_fake *f, bool hold);
/* Away: nothing is up, publishes are accepted and reported NOT persisted, commits and lag fail. */
void broker_fake_away(struct broker_fake *f, bool away);

enum broker_fake_op { FAKE_PUBLISH, FAKE_REPORT, FAKE_COMMIT, FAKE_LAG, FAKE_OPS };
/* The n-th such operation from now (1 = the next) fails; 0: none. how: an ERR_*, but for
 * FAKE_REPORT an enum broker_report: NOT persisted is not kept, POSSIBLY persisted is. */
void broker_fake_fail(struct broker_fake *f, enum broker_fake_op op, unsigned n, int how);
