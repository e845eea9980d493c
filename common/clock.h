/* clock.h - time as an argument.
 * Everything that waits or stamps takes a clock, so tests step it and nobody sleeps. Wall time is
 * Unix microseconds UTC, and whoever sets the machine's clock moves it; mono never goes back and is
 * for intervals; boot is the same, and counts the time in which the machine slept, too. The real
 * clock is safe from any thread, and a stepped one to read; one thread steps it. */
#pragma once
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct clock {
    int64_t (*wall_us)(const struct clock *);
    int64_t (*mono_us)(const struct clock *);
    int64_t (*boot_us)(const struct clock *);
};

struct clock_stepped {
    struct clock clock; /* first: pass &c.clock */
    _Atomic int64_t wall, mono, boot;
};

/* The machine's clock; lent for ever. */
const struct clock *clock_real(void);

/* A clock that stands at wall_us until stepped; mono starts at 0, boot at wall_us. */
void clock_stepped_init(struct clock_stepped *c, int64_t wall_us);
void clock_step(struct clock_stepped *c, int64_t us);
void clock_step_wall(struct clock_stepped *c, int64_t us);   /* somebody sets the machine's clock */
void clock_step_asleep(struct clock_stepped *c, int64_t us); /* the machine sleeps so long */

static inline int64_t clock_wall_us(const struct clock *c)
{
    return c->wall_us(c);
}
static inline int64_t clock_mono_us(const struct clock *c)
{
    return c->mono_us(c);
}
static inline int64_t clock_boot_us(const struct clock *c)
{
    return c->boot_us(c);
}
static inline int64_t clock_boot_ms(const struct clock *c)
{
    return c->boot_us(c) / 1000;
}
static inline int64_t clock_mono_ms(const struct clock *c)
{
    return c->mono_us(c) / 1000;
}

/* So many milliseconds from now (less than 0: now) on CLOCK_MONOTONIC, for a thread's timed wait:
 * on a condition of clock_cond_init, sem_clockwait. The machine's time, whatever a test's clock
 * says. */
struct timespec clock_until(int64_t ms);
/* A condition that pthread_cond_timedwait waits on by that clock. pthread_cond_destroy ends it. */
void clock_cond_init(pthread_cond_t *cond);

/* RFC 3339 in UTC with microseconds: 2026-11-24T22:45:00.123456Z. */
enum { CLOCK_TEXT = 28 }; /* bytes with the ending 0 */
void clock_format(int64_t wall_us, char out[CLOCK_TEXT]);

/* Parse RFC 3339 (any offset, up to 9 fraction digits, T and Z in either case). Returns 0 or
 * ERR_INVALID. */
int clock_parse(const char *text, size_t len, int64_t *wall_us);
