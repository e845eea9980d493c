#include "common/cache_scripts.h"

/* Only deterministic calls on KEYS, so that a script runs on replicas and in a cluster. */
static const char *const text[SCRIPT_COUNT] = {
    [SCRIPT_NONE] = "",
    [SCRIPT_ADMIT] = "local v = redis.call('GET', KEYS[1])\n"
                     "if v then\n"
                     "  if string.sub(v, 2, 1 + #ARGV[1]) == ARGV[1] then return v end\n"
                     "  return 'other body'\n"
                     "end\n"
                     "redis.call('SET', KEYS[1], 'p' .. ARGV[1] .. ARGV[2], 'PX', 86400000)\n"
                     "return 'new'\n",
    [SCRIPT_LEAD] = "local v = redis.call('GET', KEYS[1])\n"
                    "if v then return 'v' .. v end\n"
                    "local l = redis.call('GET', KEYS[2])\n"
                    "if l then return l end\n"
                    "redis.call('SET', KEYS[2], 'p' .. ARGV[1], 'PX', ARGV[2])\n"
                    "return 'new'\n",
    [SCRIPT_LEAD_DONE] = "if ARGV[2] ~= '' then\n"
                         "  redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])\n"
                         "end\n"
                         "local l = redis.call('GET', KEYS[2])\n"
                         "if l and string.sub(l, 2) == ARGV[1] then\n"
                         "  return redis.call('DEL', KEYS[2])\n"
                         "end\n"
                         "return 0\n",
    [SCRIPT_MARK] = "if ARGV[2] ~= '0' then\n"
                    "  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])\n"
                    "  return 1\n"
                    "end\n"
                    "if redis.call('GET', KEYS[1]) == 'p' .. string.sub(ARGV[1], 2) then\n"
                    "  redis.call('SET', KEYS[1], ARGV[1], 'KEEPTTL')\n"
                    "  return 1\n"
                    "end\n"
                    "return 0\n",
};

const char *cache_script_text(enum cache_script s)
{
    return (unsigned)s < SCRIPT_COUNT ? text[s] : "";
}

enum cache_answer cache_answer_of(const struct cache_reply *r)
{
    if (r->type != REPLY_TEXT || !r->len)
        return ANSWER_NONE;
    switch (r->text[0]) {
    case ANSWER_NEW:
    case ANSWER_OTHER_BODY:
    case ANSWER_PENDING:
    case ANSWER_ACKNOWLEDGED:
    case ANSWER_VALUE:
        return (enum cache_answer)r->text[0];
    default:
        return ANSWER_NONE;
    }
}
