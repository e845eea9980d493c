/* flows_verb.h - `flows`: what this user, or a guest, may start. Main thread. */
#pragma once
#include "common/verb.h"

int flows_verb(const struct verb_call *call); /* an exit_code */
