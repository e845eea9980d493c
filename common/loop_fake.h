/* loop_fake.h - a loop in virtual time, for tests: nothing waits, nothing sleeps.
 * A turn runs what was posted, then the timers that are due; when nothing is left to do at the
 * present moment, the loop's stepped clock jumps to the next timer. Order is exact: posted calls in
 * order of posting, timers by due time, then by order of setting. Everything, also post and stop,
 * belongs to one thread. Descriptors are not watched: loop_fake_fire plays their events. */
#pragma once
#include "common/loop.h"

/* A loop whose clock starts at wall_us (mono at 0). *out: owned (loop_close). 0 or ERR_NOMEM.
 * loop_run ends at loop_stop, or when nothing is left that could ever happen. */
int loop_fake_open(int64_t wall_us, struct loop **out) must_use;

/* The clock all fakes of a test share; lent with the loop. */
const struct clock *loop_fake_clock(const struct loop *l);

/* Set the machine's clock: only the wall's moves. */
void loop_fake_step_wall(struct loop *l, int64_t us);
/* The machine sleeps so long, and its timers with it. */
void loop_fake_sleep(struct loop *l, int64_t us);

/* Do what is due now and in the next ms; the clock then stands exactly ms later. */
void loop_fake_run_for(struct loop *l, int64_t ms);

/* Run until condition(arg) is true (asked before each turn), at most max_ms of virtual time.
 * Returns whether it came true; false also when nothing is left to do. */
typedef bool loop_fake_condition(void *arg);
bool loop_fake_run_until(struct loop *l, loop_fake_condition *condition, void *arg, int64_t max_ms);

/* How many posted calls and armed timers wait. */
size_t loop_fake_pending(const struct loop *l);

/* Play events on a descriptor: calls the watch of fd now, if it asks for one of them. */
void loop_fake_fire(struct loop *l, int fd, int events);

/* What a watch asks for at present; 0 if there is none. */
int loop_fake_watched(const struct loop *l, int fd);

/* The n-th allocation from now (1 = the next post, timer_new or io_new) fails; 0: none. */
void loop_fake_fail(struct loop *l, unsigned n);
