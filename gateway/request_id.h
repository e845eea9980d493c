/* request_id.h - the id by which a request is found in logs and records: the caller's if it is
 * harmless, else a new one. Pure but for the randomness given; any thread. */
#pragma once
#include "common/rng.h"
#include "gateway/http.h"

/* given: the caller's Request-Id or NULL. Taken as it is if it has 1 to 64 characters of
 * A-Za-z0-9._- ; otherwise 16 random hex digits. */
void request_id_set(const char *given, struct rng *rng, char out[HTTP_REQUEST_ID]);

/* Is this a W3C traceparent of version 00 with ids that are not zero? */
bool request_id_is_trace(const char *traceparent);
