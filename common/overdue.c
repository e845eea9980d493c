#include "common/overdue.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void overdue_note(struct overdue *o, bool was)
{
    o->bits = o->bits << 1 | was;
    if (o->n < OVERDUE_KEPT)
        o->n++;
}

int overdue_percent(const struct overdue *o)
{
    return o->n ? __builtin_popcountll(o->bits) * 100 / (int)o->n : 0;
}

void overdue_name(const char *flow, char out[OVERDUE_NAME])
{
    snprintf(out, OVERDUE_NAME, "op:{f:%s}:overdue", flow);
}

int overdue_parse(const char *text)
{
    size_t n = strspn(text, "0123456789");
    long percent = n && n <= 3 && !text[n] ? strtol(text, NULL, 10) : 0;
    return percent <= 100 ? (int)percent : 0;
}
