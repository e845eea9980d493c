/* call_leases.h - asks Redis for what leases.h and the governor's breaker need, a question of each
 * kind at a time, and brings the answers to the gate (protocols: op:{u:UP}). Its shard's thread. */
#pragma once
#include "worker/call_gate.h"

/* Tell the leases the time (us) and whether Redis is up; send what is due. */
void call_leases_look(struct call_gate *g, int64_t at_us);
void call_leases_ask(struct call_gate *g, int64_t at_us);
/* Retry-After, for all workers. */
void call_leases_hold(struct call_gate *g, int64_t ms);
/* The probe is over: others may probe, or wait as long as the breaker is open. */
void call_leases_probed(struct call_gate *g);
/* Every second: a probe takes as long as it takes; leave that nobody used goes to others. */
void call_leases_mind(struct call_gate *g);
/* No answer reaches the gate any more. */
void call_leases_close(struct call_gate *g);
