#include "common/eta.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void eta_note(struct eta_recent *r, int64_t ms)
{
    r->ms[r->next] = ms < 0 ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
    r->next = (r->next + 1) % ETA_KEPT;
    if (r->n < ETA_KEPT)
        r->n++;
}

static int ascending(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x > y) - (x < y);
}

bool eta_of(const struct eta_recent *r, struct eta *out)
{
    uint32_t sorted[ETA_KEPT];
    if (!eta_is_known(r))
        return false;
    memcpy(sorted, r->ms, r->n * sizeof sorted[0]);
    qsort(sorted, r->n, sizeof sorted[0], ascending);
    *out = (struct eta){sorted[(r->n - 1) / 2], sorted[(r->n * 9 + 9) / 10 - 1]};
    return true;
}

void eta_name(const char *flow, char out[ETA_NAME])
{
    snprintf(out, ETA_NAME, "op:{f:%s}:eta", flow);
}

void eta_print(const struct eta *e, char out[ETA_TEXT])
{
    snprintf(out, ETA_TEXT, "%lld %lld", (long long)e->p50_ms, (long long)e->p90_ms);
}

int eta_parse(const char *text, struct eta *out)
{
    size_t n = strspn(text, "0123456789"),
           m = text[n] == ' ' ? strspn(text + n + 1, "0123456789") : 0;
    if (!n || !m || n > 10 || m > 10 || text[n + 1 + m])
        return ERR_INVALID;
    struct eta e = {strtoll(text, NULL, 10), strtoll(text + n + 1, NULL, 10)};
    if (e.p50_ms > e.p90_ms)
        return ERR_INVALID;
    *out = e;
    return 0;
}
