/* jobs_verb.h - `jobs list|show|watch|cancel`: a user's jobs. Main thread. */
#pragma once
#include "common/verb.h"

int jobs_verb(const struct verb_call *call); /* an exit_code */
