/* send.h - `send FLOW [JSON|@file|-]`: start a job as a user, and see it through. Main thread. */
#pragma once
#include "common/verb.h"

int send_verb(const struct verb_call *call); /* an exit_code */
