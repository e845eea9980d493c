/* How long the flow's jobs take, told to gateways through Redis. */
#include "common/eta.h"
#include "common/log.h"
#include "worker/job_parts.h"

enum { TELL_EVERY_MS = 10000 };

static void tell(struct cache_async *cache, const char *flow, const struct eta *eta)
{
    char name[ETA_NAME], text[ETA_TEXT];
    struct cache_command c = {.script = SCRIPT_NONE};
    eta_name(flow, name);
    eta_print(eta, text);
    cache_arg_text(&c, "SET");
    cache_arg_text(&c, name);
    cache_arg_text(&c, text);
    cache_arg_text(&c, "EX");
    cache_arg_text(&c, log_number(ETA_TTL_S));
    /* Redis away: nobody says how long it takes */
    if (cache_send(cache, &c, NULL, NULL))
        return;
}

void job_eta_note(struct job_run *j, int64_t took_ms)
{
    struct flow_facts *facts = job_facts(j);
    struct cache_async *cache = j->env->cache;
    int64_t now_ms = loop_now_ms(j->env->loop);
    struct eta eta;
    eta_note(&facts->took, took_ms);
    if (!cache || !cache_async_up(cache) || now_ms < facts->tell_ms || !eta_of(&facts->took, &eta))
        return;
    facts->tell_ms = now_ms + TELL_EVERY_MS;
    tell(cache, j->claim.flow->name, &eta);
}
