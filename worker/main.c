/* offpath-worker: takes jobs from Kafka, makes their calls, saves what came of them. Wiring only.
 */
#include "worker/verbs.h"

/* jemalloc reads it (jemalloc(3), TUNING); MALLOC_CONF in the environment goes before it. A shard's
 * calls come and go in waves of thousands: one arena per core, and pages of a wave that is over for
 * a second, keep a tenth less memory and cost no CPU that could be measured. */
extern __attribute__((visibility("default"))) const char *const malloc_conf;
const char *const malloc_conf = "narenas_ratio:1,tcache_max:4096,dirty_decay_ms:1000";

int main(int argc, char **argv)
{
    return verb_main(&worker_program, argc, argv);
}
