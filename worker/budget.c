#include "worker/budget.h"

void budget_init(struct budget *b)
{
    *b = (struct budget){.left = BUDGET_AT_ONCE};
}

bool budget_take(struct budget *b, int64_t now_ms)
{
    if (b->left)
        b->left--;
    else if (now_ms - b->taken_ms < BUDGET_EVERY_MS)
        return false;
    b->taken_ms = now_ms;
    return true;
}

void budget_earn(struct budget *b)
{
    if (++b->good < BUDGET_GOOD)
        return;
    b->good = 0;
    if (b->left < BUDGET_AT_ONCE)
        b->left++;
}
