/* verbs.h - the verbs of offpath-gateway and their help. */
#pragma once
#include "common/verb.h"

extern const struct verb_program gateway_program;
