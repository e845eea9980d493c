/* How long the flow's jobs take, and how many came to nothing waiting: told to gateways through
 * Redis. */
#include "common/eta.h"
#include "common/log.h"
#include "worker/job_parts.h"

enum { TELL_EVERY_MS = 10000 };

/* Redis away: nobody is told. */
static void tell(struct cache_async *cache, const char *name, const char *text, int ttl_s)
{
    struct cache_command c = {.script = SCRIPT_NONE};
    cache_arg_text(&c, "SET");
    cache_arg_text(&c, name);
    cache_arg_text(&c, text);
    cache_arg_text(&c, "EX");
    cache_arg_text(&c, log_number(ttl_s));
    if (cache_send(cache, &c, NULL, NULL))
        return;
}

/* At most every TELL_EVERY_MS. */
static bool may_tell(const struct job_run *j, int64_t *next_ms)
{
    int64_t now_ms = loop_now_ms(j->env->loop);
    if (!j->env->cache || !cache_async_up(j->env->cache) || now_ms < *next_ms)
        return false;
    *next_ms = now_ms + TELL_EVERY_MS;
    return true;
}

void job_eta_note(struct job_run *j, int64_t took_ms)
{
    struct flow_facts *facts = job_facts(j);
    char name[ETA_NAME], text[ETA_TEXT];
    struct eta eta;
    eta_note(&facts->took, took_ms);
    if (!eta_is_known(&facts->took) || !may_tell(j, &facts->tell_ms) || !eta_of(&facts->took, &eta))
        return;
    eta_name(j->claim.flow->name, name);
    eta_print(&eta, text);
    tell(j->env->cache, name, text, ETA_TTL_S);
}

/* It came to nothing since it had waited for most of its time. */
static bool is_overdue(const struct job_run *j, bool called, int64_t took_ms)
{
    int64_t had_ms = loop_now_ms(j->env->loop) - j->began_ms;
    return !called || (j->began_ms && had_ms * 2 < took_ms);
}

void job_overdue_note(struct job_run *j, bool expired, bool called, int64_t took_ms)
{
    struct flow_facts *facts = job_facts(j);
    char name[OVERDUE_NAME];
    if (j->claim.event.refill || j->claim.event.round) /* of these the waiting was meant */
        return;
    overdue_note(&facts->overdue, expired && is_overdue(j, called, took_ms));
    int percent = overdue_percent(&facts->overdue);
    if (!percent || !may_tell(j, &facts->warn_ms))
        return;
    overdue_name(j->claim.flow->name, name);
    tell(j->env->cache, name, log_number(percent), OVERDUE_TTL_S);
}
