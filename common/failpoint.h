/* failpoint.h - stops of the crash tests, compiled in only with -DFAILPOINTS=ON.
 * OFFPATH_FAILPOINT=name kills the process (SIGKILL) the first time it comes to that place,
 * name:n the n-th time, name:n:stop halts it there (SIGSTOP). Names are those of the crash points
 * in docs/guarantees.md. Any thread. */
#pragma once

#ifdef OFFPATH_FAILPOINTS
void failpoint(const char *name);
#define FAILPOINT(name) failpoint(name)
#else
#define FAILPOINT(name) ((void)0)
#endif
