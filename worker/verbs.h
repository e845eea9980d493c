/* verbs.h - the verbs of offpath-worker and their help. Main thread. */
#pragma once
#include <stdio.h>
#include "common/verb.h"

extern const struct verb_program worker_program;

/* Each returns an exit_code. */
int verbs_run(const struct verb_call *call);
int verbs_topics(const struct verb_call *call);
int verbs_migrate(const struct verb_call *call);
int verbs_check(const struct verb_call *call);
int verbs_eval(const struct verb_call *call);
int verbs_test(const struct verb_call *call);
int verbs_explain(const struct verb_call *call);

/* For `check` (check.h): a line for each server that is set. arg: where a pointer to the config
 * is. */
int verbs_check_servers(void *arg, FILE *out);
