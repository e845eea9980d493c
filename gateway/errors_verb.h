/* errors_verb.h - `errors [CODE]`: what a code in an answer means, without a network. Main thread.
 */
#pragma once
#include "common/verb.h"

int errors_verb(const struct verb_call *call); /* an exit_code */
