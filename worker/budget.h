/* budget.h - how many jobs of a flow a shard may give up for reasons that may pass
 * (protocols: 7.7): 100 at once, then one for each 5 that succeed, and one in 10 s whatever
 * happens. So an upstream that is down for long does not empty the topic into dead letters: the
 * jobs wait in place. Pure: time comes in. Belongs to its shard's thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { BUDGET_AT_ONCE = 100, BUDGET_GOOD = 5, BUDGET_EVERY_MS = 10000 };

struct budget {
    unsigned left, good; /* good: ended well since the last one was earned */
    int64_t taken_ms;    /* the last one */
};

void budget_init(struct budget *b);
/* May one more be given up now? If so it is counted. */
bool budget_take(struct budget *b, int64_t now_ms);
void budget_earn(struct budget *b); /* a job ended well */
