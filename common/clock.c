#include "common/clock.h"

#include <stdio.h>
#include <time.h>

#include "common/err.h"

static const int64_t DAY_S = 86400;

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;
    clock_gettime(id, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static int64_t real_wall(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_REALTIME);
}

static int64_t real_mono(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t real_boot(const struct clock *c)
{
    (void)c;
    return read_clock(CLOCK_BOOTTIME);
}

const struct clock *clock_real(void)
{
    static const struct clock real = {real_wall, real_mono, real_boot};
    return &real;
}

static int64_t stepped_wall(const struct clock *c)
{
    return ((const struct clock_stepped *)(const void *)c)->wall;
}

static int64_t stepped_mono(const struct clock *c)
{
    return ((const struct clock_stepped *)(const void *)c)->mono;
}

static int64_t stepped_boot(const struct clock *c)
{
    return ((const struct clock_stepped *)(const void *)c)->boot;
}

void clock_stepped_init(struct clock_stepped *c, int64_t wall_us)
{
    c->clock = (struct clock){stepped_wall, stepped_mono, stepped_boot};
    c->wall = c->boot = wall_us;
    c->mono = 0;
}

void clock_step(struct clock_stepped *c, int64_t us)
{
    c->wall += us;
    c->mono += us;
    c->boot += us;
}

void clock_step_wall(struct clock_stepped *c, int64_t us)
{
    c->wall += us;
}

void clock_step_asleep(struct clock_stepped *c, int64_t us)
{
    c->wall += us;
    c->boot += us;
}

struct timespec clock_until(int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    if (ms <= 0)
        return t;
    t.tv_sec += ms / 1000;
    t.tv_nsec += ms % 1000 * 1000000L;
    if (t.tv_nsec >= 1000000000L) {
        t.tv_nsec -= 1000000000L;
        t.tv_sec++;
    }
    return t;
}

void clock_cond_init(pthread_cond_t *cond)
{
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(cond, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* By hand: every accepted job has two of these, and strftime with its locale costs a microsecond.
 */
struct civil_date {
    int64_t days; /* since 1970 */
    int year, month, day;
};

/* Howard Hinnant's civil_from_days: years of 400, beginning in March so that leap days come last.
 */
static struct civil_date civil_date(int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097, doe = z - era * 146097;
    int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    int64_t doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    struct civil_date d = {.days = days};
    d.day = (int)(doy - (153 * mp + 2) / 5 + 1);
    d.month = (int)(mp < 10 ? mp + 3 : mp - 9);
    d.year = (int)(yoe + era * 400 + (d.month <= 2));
    return d;
}

static char *put_digits(char *to, int value, int n)
{
    for (int i = n - 1; i >= 0; i--, value /= 10)
        to[i] = (char)('0' + value % 10);
    return to + n;
}

void clock_format(int64_t wall_us, char out[CLOCK_TEXT])
{
    int64_t us = wall_us % 1000000;
    int64_t seconds = wall_us / 1000000;
    if (us < 0) {
        us += 1000000;
        seconds--;
    }
    struct civil_date d = civil_date(seconds >= 0 ? seconds / DAY_S : (seconds + 1) / DAY_S - 1);
    int second = (int)(seconds - d.days * DAY_S);
    char *p = put_digits(out, d.year, 4);
    *p++ = '-';
    p = put_digits(p, d.month, 2);
    *p++ = '-';
    p = put_digits(p, d.day, 2);
    *p++ = 'T';
    p = put_digits(p, second / 3600, 2);
    *p++ = ':';
    p = put_digits(p, second / 60 % 60, 2);
    *p++ = ':';
    p = put_digits(p, second % 60, 2);
    *p++ = '.';
    p = put_digits(p, (int)us, 6);
    *p++ = 'Z';
    *p = 0;
}

/* Exactly n digits from *p, within [lo, hi]. */
static bool digits(const char **p, const char *end, int n, int lo, int hi, int *out)
{
    int v = 0;
    if (end - *p < n)
        return false;
    for (int i = 0; i < n; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9')
            return false;
        v = v * 10 + (c - '0');
    }
    *p += n;
    *out = v;
    return v >= lo && v <= hi;
}

static bool one_of(const char **p, const char *end, const char *set)
{
    for (; *p < end && *set; set++) {
        if (**p == *set) {
            (*p)++;
            return true;
        }
    }
    return false;
}

static bool fraction(const char **p, const char *end, int64_t *us)
{
    int n = 0;
    int64_t scale = 100000;
    for (; *p < end && **p >= '0' && **p <= '9'; (*p)++, n++) {
        *us += (**p - '0') * scale;
        scale /= 10;
    }
    return n > 0 && n <= 9;
}

static bool offset(const char **p, const char *end, int64_t *seconds)
{
    int h, m;
    if (one_of(p, end, "Zz"))
        return true;
    int sign = one_of(p, end, "+") ? 1 : one_of(p, end, "-") ? -1 : 0;
    if (sign == 0 || !digits(p, end, 2, 0, 23, &h) || !one_of(p, end, ":") ||
        !digits(p, end, 2, 0, 59, &m))
        return false;
    *seconds = (int64_t)sign * (h * 3600 + m * 60);
    return true;
}

static int days_in(int year, int month)
{
    static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return days[month - 1] + (month == 2 && leap);
}

static bool date(const char **p, const char *end, struct tm *tm)
{
    return digits(p, end, 4, 1, 9999, &tm->tm_year) && one_of(p, end, "-") &&
           digits(p, end, 2, 1, 12, &tm->tm_mon) && one_of(p, end, "-") &&
           digits(p, end, 2, 1, 31, &tm->tm_mday) &&
           tm->tm_mday <= days_in(tm->tm_year, tm->tm_mon);
}

static bool time_of_day(const char **p, const char *end, struct tm *tm)
{
    return digits(p, end, 2, 0, 23, &tm->tm_hour) && one_of(p, end, ":") &&
           digits(p, end, 2, 0, 59, &tm->tm_min) && one_of(p, end, ":") &&
           digits(p, end, 2, 0, 60, &tm->tm_sec);
}

int clock_parse(const char *text, size_t len, int64_t *wall_us)
{
    const char *p = text, *end = text + len;
    struct tm tm = {0};
    int64_t us = 0, shift = 0;
    if (!date(&p, end, &tm) || !one_of(&p, end, "Tt ") || !time_of_day(&p, end, &tm))
        return ERR_INVALID;
    if (one_of(&p, end, ".") && !fraction(&p, end, &us))
        return ERR_INVALID;
    if (!offset(&p, end, &shift) || p != end)
        return ERR_INVALID;
    tm.tm_year -= 1900;
    tm.tm_mon -= 1;
    int64_t seconds = (int64_t)timegm(&tm); /* a leap second carries into the next minute */
    *wall_us = (seconds - shift) * 1000000 + us;
    return 0;
}
