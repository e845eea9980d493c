/* run.h - the verbs `run`, `check` and `token`. Main thread. */
#pragma once
#include "common/verb.h"

int run_verb(const struct verb_call *call); /* serve until SIGTERM; an exit_code */
int check_verb(const struct verb_call *call);
int token_verb(const struct verb_call *call);
