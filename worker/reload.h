/* reload.h - the generations of a worker's shards: the one that runs the files as they are, and
 * those before it that still finish their jobs. Reads the files again when asked to (SIGHUP) or
 * when they have changed; what cannot be run is refused, and the old set stays, as it does when
 * nothing differs and nobody asked. Belongs to the main thread, but what is said. */
#pragma once
#include "worker/generation.h"

struct reload_settings { /* lent until freed */
    const struct settings *settings;
    struct broker_settings broker;
    struct generation_settings generation;
};

struct reload;
/* Starts the first generation. flows: taken, also on failure. *out: owned (reload_free). */
int reload_start(const struct reload_settings *s, struct generation_flows *flows,
                 struct reload **out) must_use;
/* Read the files again and run them, whatever their times and contents are. Blocks while Kafka is
 * asked. */
void reload_read(struct reload *r);
/* Every second: read again what has changed, give back what is over. */
void reload_tick(struct reload *r);
/* All generations; nothing is read again from now on. */
void reload_drain(struct reload *r, int64_t drain_ms);
bool reload_is_over(struct reload *r);
void reload_join(struct reload *r);
void reload_free(struct reload *r); /* the writer is stopped; NULL is fine */

/* What /readyz warns of: of the topics now, and a set of files that was refused. Any thread. */
void reload_warnings(struct reload *r, struct topic_warnings *out);
/* The longest of the topics since the start: what one held, it may still hold. Any thread. */
int64_t reload_retention_ms(struct reload *r);
/* An id that a shard writes with now, 0: none. Any thread. */
uint64_t reload_worker(struct reload *r);
