/* follow.h - watch a job until it is final, as `send` and `jobs watch` do: each call that ends is a
 * line on err (in --json lines an event on out), the result comes on out. Main thread. */
#pragma once
#include "gateway/person.h"

struct follow {
    struct person *person;
    const char *id;
    bool events;        /* --json of `watch`: an event a line, instead of the job as one document */
    int64_t started_ms; /* clock_mono_ms of the request */
};

/* From now on an interrupt says that the job goes on, and ends the process with 130. */
void follow_mind_interrupt(void);
/* The exit status: 0, 10 to 13 by the job's end; others have been said. */
int follow_job(const struct follow *f) must_use;
/* A job that is final already: its end and its result. */
int follow_end(const struct follow *f, const struct json *job);
/* The exit status of a final state; EXIT_BUG for others. */
int follow_exit(const char *state);
