/* explain.h - the verb `explain CODE`: what a finding, a reason of a job or a code of a call means.
 * Pure but for the stream. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

/* Print what is known of a code ("F031", "need-not-met", "http-5xx"); without one (NULL), list all.
 * json: an object a line. The exit code: 0, or 2 for an unknown code (said on stderr). */
int explain_run(const char *code, bool json, FILE *out);
