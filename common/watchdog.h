/* watchdog.h - one thread of the process that ends work which runs too long.
 * While anything is armed it looks every few ms; when nothing is, it sleeps: arming costs two
 * uncontended locks. Any thread arms and disarms. */
#pragma once
#include <stdbool.h>
#include <stdint.h>
#include <time.h>
#include "common/err.h"

typedef void watchdog_fn(void *arg);

struct watchdog_item { /* owned by the caller, untouched by it while armed */
    watchdog_fn *fn;   /* called once, with the watchdog's lock held: be short */
    void *arg;
    clockid_t cpu;       /* of the thread that armed it */
    int64_t due_us;      /* not before this moment, */
    int64_t limit_us;    /* and this much CPU time */
    int64_t cpu_from_us; /* since its first look; -1: not seen yet */
    bool fired;
    struct watchdog_item *prev, *next;
};

/* Start the thread; counted: each start needs its stop. 0 or ERR_NOMEM. */
int watchdog_start(void) must_use;
void watchdog_stop(void);

/* Call fn(arg) when this thread has worked for about ms without disarming: CPU time, so that a busy
 * machine ends nothing that is quick. Without a running watchdog nothing is called. */
void watchdog_arm(struct watchdog_item *item, int64_t ms, watchdog_fn *fn, void *arg);
/* All limits armed from now on last this many times as long: for tests under valgrind. 1 as at
 * start. */
void watchdog_stretch(unsigned times);
/* fn is not called any more, nor running. Returns whether it was called. */
bool watchdog_disarm(struct watchdog_item *item);
