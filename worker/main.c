/* offpath-worker: takes jobs from Kafka, makes their calls, saves what came of them. Wiring only.
 */
#include "worker/verbs.h"

int main(int argc, char **argv)
{
    return verb_main(&worker_program, argc, argv);
}
