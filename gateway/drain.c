#include "gateway/drain.h"

/* A request may be on its way to a thread when none is being served: only quiet for a while counts.
 */
enum { STEP_MS = 20, QUIET_STEPS = 5 };

struct drain_result drain_run(const struct drain_steps *s, const struct drain_limits *l)
{
    struct drain_result result = {0};
    s->unready(s->arg);
    int hurry = s->pause(s->arg, l->serve_ms);
    s->refuse(s->arg);
    for (int waited = 0, quiet = 0; quiet < QUIET_STEPS && waited < l->requests_ms && !hurry;
         waited += STEP_MS) {
        quiet = s->in_flight(s->arg) > 0 ? 0 : quiet + 1;
        hurry = s->pause(s->arg, STEP_MS);
    }
    result.requests = s->in_flight(s->arg);
    result.unflushed = s->flush(s->arg, hurry ? 0 : l->flush_ms);
    return result;
}
