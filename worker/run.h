/* run.h - the verb `run`: threads for the record, one loop thread per shard, the admin port; until
 * SIGTERM or SIGINT, then the drain (a second signal cuts it short). Main thread. */
#pragma once
#include "worker/generation.h"

struct run {
    const struct settings *settings;
    struct generation_flows *flows; /* taken */
    int admin_fd;                   /* listening; taken */
    int admin_port;
};

/* The exit code; a line on stderr when it is not 0. Signals must be blocked by run_block_signals.
 */
int run_worker(const struct run *r);
/* Before any thread is started. */
void run_block_signals(void);
