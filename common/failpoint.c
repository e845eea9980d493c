#include "common/failpoint.h"

#ifdef OFFPATH_FAILPOINTS
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* How often the place was passed: the one piece of state besides log and metrics, in test builds.
 */
static atomic_ulong passed;

void failpoint(const char *name)
{
    const char *want = getenv("OFFPATH_FAILPOINT");
    size_t len = strlen(name);
    if (!want || strncmp(want, name, len) != 0 || (want[len] && want[len] != ':'))
        return;
    char *rest = NULL;
    unsigned long n = want[len] ? strtoul(want + len + 1, &rest, 10) : 1;
    if (atomic_fetch_add(&passed, 1) + 1 != n)
        return;
    raise(rest && strcmp(rest, ":stop") == 0 ? SIGSTOP : SIGKILL);
}
#else
typedef int failpoint_is_compiled_out;
#endif
