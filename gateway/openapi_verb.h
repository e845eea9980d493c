/* openapi_verb.h - `openapi`: the document of the flow files, without a gateway. Main thread. */
#pragma once
#include "common/verb.h"

int openapi_verb(const struct verb_call *call); /* an exit_code */
