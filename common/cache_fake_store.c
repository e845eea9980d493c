#include "common/cache_fake_store.h"
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct fake_entry {
    struct fake_entry *next;
    char *key, *value;
    size_t key_len, len;
    int64_t expires_us; /* mono; 0: never */
};

struct text {
    const char *at;
    size_t len;
};

/* ---- keys */
static char *copy(const void *bytes, size_t len)
{
    char *to = malloc(len + 1);
    if (!to)
        return NULL;
    if (len)
        memcpy(to, bytes, len);
    to[len] = 0;
    return to;
}

static void entry_free(struct fake_entry *e)
{
    free(e->key);
    free(e->value);
    free(e);
}

static struct fake_entry **find(struct fake_store *s, struct text key)
{
    struct fake_entry **at = &s->entries;
    while (*at) {
        struct fake_entry *e = *at;
        if (e->expires_us && e->expires_us <= clock_mono_us(s->clock)) {
            *at = e->next;
            entry_free(e);
            continue;
        }
        if (e->key_len == key.len && !memcmp(e->key, key.at, key.len))
            break;
        at = &e->next;
    }
    return at;
}

static bool erase(struct fake_store *s, struct text key)
{
    struct fake_entry **at = find(s, key), *e = *at;
    if (!e)
        return false;
    *at = e->next;
    entry_free(e);
    return true;
}

static struct text get(struct fake_store *s, struct text key)
{
    const struct fake_entry *e = *find(s, key);
    return e ? (struct text){e->value, e->len} : (struct text){NULL, 0};
}

/* ttl_ms: 0 for ever, below 0 keep what is left. */
static int set(struct fake_store *s, struct text key, struct text value, int64_t ttl_ms)
{
    struct fake_entry *old = *find(s, key), *e = calloc(1, sizeof *e);
    if (!e)
        return ERR_NOMEM;
    *e = (struct fake_entry){
        s->entries, copy(key.at, key.len), copy(value.at, value.len), key.len, value.len, 0};
    if (!e->key || !e->value) {
        entry_free(e);
        return ERR_NOMEM;
    }
    if (ttl_ms > 0)
        e->expires_us = clock_mono_us(s->clock) + ttl_ms * 1000;
    else if (ttl_ms < 0 && old)
        e->expires_us = old->expires_us;
    if (old) {
        erase(s, key);
        e->next = s->entries;
    }
    s->entries = e;
    return 0;
}

const char *fake_store_get(struct fake_store *s, const char *key, size_t key_len, size_t *len,
                           int64_t *expires_us)
{
    const struct fake_entry *e = *find(s, (struct text){key, key_len});
    if (!e)
        return NULL;
    *len = e->len;
    *expires_us = e->expires_us;
    return e->value;
}

int fake_store_set(struct fake_store *s, const char *key, size_t key_len, const void *value,
                   size_t len, int64_t ttl_ms)
{
    return set(s, (struct text){key, key_len}, (struct text){value, len}, ttl_ms);
}

bool fake_store_erase(struct fake_store *s, const char *key, size_t key_len)
{
    return erase(s, (struct text){key, key_len});
}

void fake_store_fini(struct fake_store *s)
{
    for (struct fake_entry *e = s->entries, *next; e; e = next) {
        next = e->next;
        entry_free(e);
    }
    for (size_t i = 0; i < s->messages_n; i++) {
        free(s->messages[i].channel);
        free(s->messages[i].text);
    }
    free(s->messages);
    *s = (struct fake_store){.clock = s->clock};
}

/* ---- replies */
static int reply_bytes(struct cache_reply *out, enum cache_reply_type type, struct text v)
{
    char *to = copy(v.at, v.len);
    if (!to)
        return ERR_NOMEM;
    *out = (struct cache_reply){type, to, v.len, 0};
    return 0;
}

static int reply_text(struct cache_reply *out, enum cache_reply_type type, const char *text)
{
    return reply_bytes(out, type, (struct text){text, strlen(text)});
}

static int reply_integer(struct cache_reply *out, long long n)
{
    *out = (struct cache_reply){.type = REPLY_INTEGER, .integer = n};
    return 0;
}

static int reply_nil(struct cache_reply *out)
{
    *out = (struct cache_reply){.type = REPLY_NIL};
    return 0;
}

/* ---- commands */
static struct text arg(const struct cache_command *c, unsigned i)
{
    return i < c->argc ? (struct text){c->argv[i], c->argv_len[i]} : (struct text){"", 0};
}

static bool is(struct text a, const char *word)
{
    return strlen(word) == a.len && !strncasecmp(a.at, word, a.len);
}

static long long number(struct text a)
{
    char digits[24] = "";
    if (!a.len || a.len >= sizeof digits)
        return LLONG_MIN;
    memcpy(digits, a.at, a.len);
    char *end;
    long long n = strtoll(digits, &end, 10);
    return *end ? LLONG_MIN : n;
}

static int do_set(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    int64_t ttl_ms = 0;
    bool there = get(s, arg(c, 1)).at != NULL, wrong = c->argc < 3, skip = false;
    for (unsigned i = 3; i < c->argc; i++) {
        struct text a = arg(c, i);
        if (is(a, "PX") || is(a, "EX")) {
            ttl_ms = number(arg(c, ++i)) * (is(a, "EX") ? 1000 : 1);
            wrong |= ttl_ms <= 0;
        } else if (is(a, "KEEPTTL")) {
            ttl_ms = -1;
        } else if (is(a, "NX") || is(a, "XX")) {
            skip |= there == is(a, "NX");
        } else {
            wrong = true;
        }
    }
    if (wrong)
        return reply_text(out, REPLY_ERROR, "ERR syntax error");
    if (skip)
        return reply_nil(out);
    int err = set(s, arg(c, 1), arg(c, 2), ttl_ms);
    return err ? err : reply_text(out, REPLY_STATUS, "OK");
}

static int do_get(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct text v = get(s, arg(c, 1));
    return v.at ? reply_bytes(out, REPLY_TEXT, v) : reply_nil(out);
}

static int do_del(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    int n = 0;
    for (unsigned i = 1; i < c->argc; i++)
        n += erase(s, arg(c, i));
    return reply_integer(out, n);
}

static int do_exists(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    int n = 0;
    for (unsigned i = 1; i < c->argc; i++)
        n += get(s, arg(c, i)).at != NULL;
    return reply_integer(out, n);
}

static int do_expire(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct fake_entry *e = *find(s, arg(c, 1));
    long long n = number(arg(c, 2));
    if (n == LLONG_MIN)
        return reply_text(out, REPLY_ERROR, "ERR value is not an integer or out of range");
    if (e)
        e->expires_us = clock_mono_us(s->clock) + n * (is(arg(c, 0), "EXPIRE") ? 1000000 : 1000);
    return reply_integer(out, e != NULL);
}

static int do_pttl(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    const struct fake_entry *e = *find(s, arg(c, 1));
    if (!e)
        return reply_integer(out, -2);
    return reply_integer(out, e->expires_us ? (e->expires_us - clock_mono_us(s->clock) + 999) / 1000
                                            : -1);
}

static int do_publish(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct text channel = arg(c, 1), text = arg(c, 2);
    struct fake_message *more = realloc(s->messages, (s->messages_n + 1) * sizeof *more);
    if (!more)
        return ERR_NOMEM;
    s->messages = more;
    struct fake_message m = {copy(channel.at, channel.len), copy(text.at, text.len), text.len};
    if (!m.channel || !m.text) {
        free(m.channel);
        free(m.text);
        return ERR_NOMEM;
    }
    s->messages[s->messages_n++] = m;
    return reply_integer(out, 0);
}

static int do_ping(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    (void)s;
    (void)c;
    return reply_text(out, REPLY_STATUS, "PONG");
}

static int do_echo(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    (void)s;
    return reply_bytes(out, REPLY_TEXT, arg(c, 1));
}

/* ---- scripts: the meaning that cache_scripts.h promises */
static int put_mark(struct fake_store *s, struct text key, char state, struct text rest,
                    int64_t ttl_ms)
{
    char *text = malloc(rest.len + 1);
    if (!text)
        return ERR_NOMEM;
    text[0] = state;
    memcpy(text + 1, rest.at, rest.len);
    int err = set(s, key, (struct text){text, rest.len + 1}, ttl_ms);
    free(text);
    return err;
}

/* Is `mark` one state character and these bytes (and, with `more`, others behind them)? */
static bool marks(struct text mark, struct text bytes, bool more)
{
    return mark.at && (more ? mark.len > bytes.len : mark.len == bytes.len + 1) &&
           !memcmp(mark.at + 1, bytes.at, bytes.len);
}

static int admit(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct text key = arg(c, 0), mac = arg(c, 1), id = arg(c, 2), v = get(s, key);
    if (v.at)
        return marks(v, mac, true) ? reply_bytes(out, REPLY_TEXT, v)
                                   : reply_text(out, REPLY_TEXT, "other body");
    char *both = malloc(mac.len + id.len + 1);
    if (!both)
        return ERR_NOMEM;
    memcpy(both, mac.at, mac.len);
    memcpy(both + mac.len, id.at, id.len);
    int err = put_mark(s, key, 'p', (struct text){both, mac.len + id.len}, 86400000);
    free(both);
    return err ? err : reply_text(out, REPLY_TEXT, "new");
}

static int lead(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct text v = get(s, arg(c, 0)), l = get(s, arg(c, 1));
    if (v.at) {
        char *text = malloc(v.len + 2);
        if (!text)
            return ERR_NOMEM;
        text[0] = 'v';
        memcpy(text + 1, v.at, v.len + 1);
        *out = (struct cache_reply){REPLY_TEXT, text, v.len + 1, 0};
        return 0;
    }
    if (l.at)
        return reply_bytes(out, REPLY_TEXT, l);
    int err = put_mark(s, arg(c, 1), 'p', arg(c, 2), number(arg(c, 3)));
    return err ? err : reply_text(out, REPLY_TEXT, "new");
}

static int lead_done(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    int err = 0;
    if (arg(c, 3).len)
        err = set(s, arg(c, 0), arg(c, 3), number(arg(c, 4)));
    if (err)
        return err;
    bool own = marks(get(s, arg(c, 1)), arg(c, 2), false);
    return reply_integer(out, own && erase(s, arg(c, 1)));
}

static int mark(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    struct text key = arg(c, 0), value = arg(c, 1), now = get(s, key);
    if (!is(arg(c, 2), "0")) {
        int err = set(s, key, value, number(arg(c, 2)));
        return err ? err : reply_integer(out, 1);
    }
    struct text id = {value.at + 1, value.len ? value.len - 1 : 0};
    if (!marks(now, id, false) || now.at[0] != 'p')
        return reply_integer(out, 0);
    int err = set(s, key, value, -1);
    return err ? err : reply_integer(out, 1);
}

int fake_store_do(struct fake_store *s, const struct cache_command *c, struct cache_reply *out)
{
    static fake_do_fn *const scripts[SCRIPT_COUNT] = {[SCRIPT_ADMIT] = admit,
                                                      [SCRIPT_LEAD] = lead,
                                                      [SCRIPT_LEAD_DONE] = lead_done,
                                                      [SCRIPT_MARK] = mark,
                                                      [SCRIPT_LIMIT] = fake_limit,
                                                      [SCRIPT_REFUND] = fake_refund,
                                                      [SCRIPT_POOL_TAKE] = fake_pool_take,
                                                      [SCRIPT_POOL_RESERVE] = fake_pool_reserve,
                                                      [SCRIPT_POOL_PUT] = fake_pool_put,
                                                      [SCRIPT_SLOT_LEASE] = fake_slot_lease,
                                                      [SCRIPT_RATE_LEASE] = fake_rate_lease,
                                                      [SCRIPT_HOLD] = fake_hold};
    static const struct {
        const char *name;
        fake_do_fn *fn;
    } commands[] = {{"GET", do_get},
                    {"SET", do_set},
                    {"DEL", do_del},
                    {"EXISTS", do_exists},
                    {"EXPIRE", do_expire},
                    {"PEXPIRE", do_expire},
                    {"PTTL", do_pttl},
                    {"PUBLISH", do_publish},
                    {"PING", do_ping},
                    {"ECHO", do_echo},
                    {"LLEN", fake_pool_length},
                    {"ZCARD", fake_pool_length},
                    {"HLEN", fake_pool_length}};
    if (c->script != SCRIPT_NONE)
        return scripts[c->script](s, c, out);
    for (size_t i = 0; i < sizeof commands / sizeof *commands; i++)
        if (is(arg(c, 0), commands[i].name))
            return commands[i].fn(s, c, out);
    return reply_text(out, REPLY_ERROR, "ERR unknown command");
}
