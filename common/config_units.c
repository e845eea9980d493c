#include <limits.h>
#include <string.h>

#include "common/config.h"

struct unit {
    const char *name;
    int64_t factor;
};

/* Digits and one of the units, nothing else. */
static int parse(const char *text, const struct unit *units, size_t n, int64_t *out)
{
    int64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *p - '0', &value))
            return ERR_INVALID;
    if (p == text || (*text == '0' && p - text > 1))
        return ERR_INVALID;
    for (size_t i = 0; i < n; i++) {
        if (strcmp(p, units[i].name) == 0)
            return __builtin_mul_overflow(value, units[i].factor, out) ? ERR_INVALID : 0;
    }
    return ERR_INVALID;
}

int config_parse_duration(const char *text, int64_t *ms)
{
    static const struct unit units[] = {
        {"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
    int64_t value;
    if (parse(text, units, sizeof units / sizeof units[0], &value))
        return ERR_INVALID;
    *ms = value;
    return 0;
}

int config_parse_size(const char *text, size_t *bytes)
{
    static const struct unit units[] = {
        {"B", 1}, {"KB", 1 << 10}, {"MB", 1 << 20}, {"GB", 1 << 30}};
    int64_t value;
    if (parse(text, units, sizeof units / sizeof units[0], &value) ||
        (uint64_t)value > (uint64_t)SIZE_MAX)
        return ERR_INVALID;
    *bytes = (size_t)value;
    return 0;
}
