/* overdue.h - how many of a flow's jobs lately came to their deadline after they had waited for
 * half of that time or more, for a worker or for an upstream's turn. Workers note it and tell Redis
 * (op:{f:FLOW}:overdue, a percentage), gateways judge by it (admission.h). Pure; one thread for
 * what it owns. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { OVERDUE_KEPT = 64, OVERDUE_NAME = 96, OVERDUE_TTL_S = 30 };

struct overdue { /* of the last OVERDUE_KEPT jobs; all zero: none yet */
    uint64_t bits;
    unsigned n;
};
void overdue_note(struct overdue *o, bool was);
int overdue_percent(const struct overdue *o); /* 0 to 100; 0 of none */

void overdue_name(const char *flow, char out[OVERDUE_NAME]);
int overdue_parse(const char *text); /* what Redis has; 0 if it is none of ours */
