#include "common/cache_scripts.h"

#include <string.h>

/* What the scripts of a pool share: the time, what has run out, the room that is left. */
#define POOL                                                       \
    "local t = redis.call('TIME')\n"                               \
    "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"          \
    "local function ms(n) return string.format('%.0f', n) end\n"   \
    "local function is_over(item)\n"                               \
    "  return tonumber(string.match(item, '^%d+') or 0) <= now\n"  \
    "end\n"                                                        \
    "local function has_room(size)\n"                              \
    "  local n = redis.call('LLEN', KEYS[1])\n"                    \
    "  return n + redis.call('ZCARD', KEYS[2]) < tonumber(size)\n" \
    "end\n"                                                        \
    "local function drop_expired()\n"                              \
    "  redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)\n"     \
    "  local item = redis.call('LINDEX', KEYS[1], 0)\n"            \
    "  while item and is_over(item) do\n"                          \
    "    redis.call('LPOP', KEYS[1])\n"                            \
    "    item = redis.call('LINDEX', KEYS[1], 0)\n"                \
    "  end\n"                                                      \
    "end\n"

/* What the scripts of a limit share. Numbers of 16 digits need a format of their own. */
#define LIMIT                                                                  \
    "local t = redis.call('TIME')\n"                                           \
    "local now = t[1] * 1000000 + t[2]\n"                                      \
    "local step = tonumber(ARGV[1])\n"                                         \
    "local full = tonumber(redis.call('GET', KEYS[1]) or now)\n"               \
    "if full < now then full = now end\n"                                      \
    "local function us(n) return string.format('%.0f', n) end\n"               \
    "local function keep(n)\n"                                                 \
    "  full = n\n"                                                             \
    "  if n <= now then redis.call('DEL', KEYS[1]) return end\n"               \
    "  redis.call('SET', KEYS[1], us(n), 'PX', math.ceil((n - now) / 1000))\n" \
    "end\n"

/* Only calls on KEYS, so that a script runs in a cluster. Those that ask for the time replicate
 * what they do, not themselves: since Redis 5 that is the default. */
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
    [SCRIPT_LIMIT] = LIMIT
    "local window = tonumber(ARGV[2])\n"
    "if full > now + window then keep(now + window) end\n" /* it was another limit's */
    "if full - now + step > window then\n"
    "  return '0 ' .. us(full - now + step - window) .. ' ' .. us(full - now)\n"
    "end\n"
    "if ARGV[3] ~= '0' then keep(full + step) end\n"
    "return '1 ' .. us(math.floor((window - (full - now)) / step)) .. ' ' .. us(full - now)\n",
    [SCRIPT_REFUND] = LIMIT "if full <= now then return 0 end\n"
                            "keep(full - step)\n"
                            "return 1\n",
    [SCRIPT_POOL_TAKE] =
        POOL "local item = redis.call('GET', KEYS[2])\n"
             "if item then return item end\n"
             "item = redis.call('LPOP', KEYS[1])\n"
             "while item and is_over(item) do item = redis.call('LPOP', KEYS[1]) end\n"
             "if item then redis.call('SET', KEYS[2], item, 'PX', 3600000) end\n"
             "return item\n",
    [SCRIPT_POOL_RESERVE] = POOL "drop_expired()\n"
                                 "if redis.call('ZSCORE', KEYS[2], ARGV[1]) then return 'ok' end\n"
                                 "if not has_room(ARGV[2]) then return 'full' end\n"
                                 "redis.call('ZADD', KEYS[2], ms(now + ARGV[3]), ARGV[1])\n"
                                 "if redis.call('PTTL', KEYS[2]) < tonumber(ARGV[3]) then\n"
                                 "  redis.call('PEXPIRE', KEYS[2], ARGV[3])\n"
                                 "end\n"
                                 "return 'ok'\n",
    /* d is swept each time it has grown by 200: a refill asks again within its own life only, and
     * all of it is read for that */
    [SCRIPT_POOL_PUT] =
        POOL "local function note()\n"
             "  local n = redis.call('HLEN', KEYS[3])\n"
             "  if n > 0 and n % 200 == 0 then\n"
             "    local all = redis.call('HGETALL', KEYS[3])\n"
             "    for i = 1, #all, 2 do\n"
             "      local old = all[i + 1] + 86400000 <= now\n"
             "      if old then redis.call('HDEL', KEYS[3], all[i]) end\n"
             "    end\n"
             "  end\n"
             "  redis.call('HSET', KEYS[3], ARGV[1], ms(now))\n"
             "  redis.call('PEXPIRE', KEYS[3], 86400000)\n"
             "end\n"
             "drop_expired()\n"
             "local had = redis.call('ZREM', KEYS[2], ARGV[1])\n"
             "local did = 'put'\n"
             "if redis.call('HEXISTS', KEYS[3], ARGV[1]) == 1 then did = 'done'\n"
             "elseif ARGV[2] == '' then did = 'back'\n"
             "else\n"
             "  note()\n"
             "  if had == 0 and not has_room(ARGV[3]) then did = 'refused' end\n"
             "end\n"
             "if did == 'put' then\n"
             "  local item = ms(now + ARGV[4]) .. '|' .. ARGV[1] .. '|' .. ARGV[2]\n"
             "  redis.call('RPUSH', KEYS[1], item)\n"
             "  redis.call('PEXPIRE', KEYS[1], ARGV[4])\n"
             "end\n"
             "return did .. (has_room(ARGV[3]) and ' short' or ' full')\n",
    [SCRIPT_SLOT_LEASE] =
        "local t = redis.call('TIME')\n"
        "local now = t[1] * 1000 + math.floor(t[2] / 1000)\n"
        "local claim, want, max = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])\n"
        "local taken, calm, short, without, had = 0, 0, 0, 0, 0\n"
        "redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)\n"
        "for _, m in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do\n"
        "  local who, n, wanted = string.match(m, '^(.-):(%d+):(%d+)$')\n"
        "  n, wanted = tonumber(n), tonumber(wanted)\n"
        "  if who == ARGV[1] then\n"
        "    had = n\n"
        "    redis.call('ZREM', KEYS[1], m)\n"
        "  else\n"
        "    taken = taken + n\n"
        "    if wanted <= n then calm = calm + n\n"
        "    else\n"
        "      short = short + 1\n"
        "      if n == 0 then without = without + 1 end\n"
        "    end\n"
        "  end\n"
        "end\n"
        "local target = math.min(want, max - taken)\n"
        "if short > 0 then\n"
        "  local part = math.ceil((max - calm) / (short + 1))\n"
        "  if without > 0 and had > 0 and max - calm <= short then part = 0 end\n"
        "  target = math.min(target, part)\n"
        "end\n"
        "target = math.max(target, 0)\n"
        "local n = math.max(target, claim)\n"
        "if n + want > 0 then\n"
        "  redis.call('ZADD', KEYS[1], now + 10000, ARGV[1] .. ':' .. n .. ':' .. want)\n"
        "  redis.call('PEXPIRE', KEYS[1], 10000)\n"
        "end\n"
        "return n .. ' ' .. target .. ' ' .. math.max(redis.call('PTTL', KEYS[2]), 0)\n",
    [SCRIPT_RATE_LEASE] = "local t = redis.call('TIME')\n"
                          "local now = t[1] * 1000000 + t[2]\n"
                          "local at = math.max(tonumber(redis.call('GET', KEYS[1]) or '0'), now)\n"
                          "local delay, n = at - now, 0\n"
                          "while n < tonumber(ARGV[2]) and at - now <= tonumber(ARGV[3]) do\n"
                          "  n = n + 1\n"
                          "  at = at + tonumber(ARGV[1])\n"
                          "end\n"
                          "if n > 0 then\n"
                          "  redis.call('SET', KEYS[1], string.format('%.0f', at), 'PX', "
                          "math.ceil((at - now) / 1000))\n"
                          "end\n"
                          "return n .. ' ' .. string.format('%.0f', delay) .. ' ' ..\n"
                          "       math.max(redis.call('PTTL', KEYS[2]), 0)\n",
    [SCRIPT_HOLD] = "if redis.call('PTTL', KEYS[1]) >= tonumber(ARGV[1]) then return 0 end\n"
                    "redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])\n"
                    "return 1\n",
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

void cache_hash_name(const char *hash, char which, char out[CACHE_HASH_NAME])
{
    memcpy(out, "op:{c:", 6);
    memcpy(out + 6, hash, 64);
    memcpy(out + 6 + 64, (char[]){'}', ':', which, 0}, 4);
}
