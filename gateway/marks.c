#include "gateway/marks.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/cache_scripts.h"
#include "common/hex.h"
#include "common/metrics.h"
#include "gateway/batcher.h"

/* In Redis an id is its text and a mac is hex: k = p|a + 32 + 36 characters, l = p|a + 36. */
enum {
    ID_CHARS = ID_TEXT - 1,
    MAC_CHARS = 2 * ID_MAC,
    MARK_CHARS = 1 + MAC_CHARS + ID_CHARS,
    CONFIRM_QUEUE = 10000,
    CONFIRM_BATCH = 100,
    RETRY_MS = 500
};

struct marks {
    struct cache *cache;
    struct batcher *batcher;
    struct cache_command commands[2 * CONFIRM_BATCH]; /* the batcher's thread */
    struct cache_reply replies[2 * CONFIRM_BATCH];
    struct confirmation *texts;
    char key_ttl[16]; /* CACHE_MARK_MS */
    struct metric *dropped;
    atomic_bool missed; /* the last look for a value */
};

struct confirmation { /* what the commands of one job point to */
    char key[MARKS_NAME], lead[CACHE_HASH_NAME];
    char key_mark[MARK_CHARS + 1], lead_mark[ID_CHARS + 2];
};

static void key_name(const struct owner *user, const struct job_id *id, char out[MARKS_NAME])
{
    memcpy(out, "op:{o:", 6);
    char *p = hex_print(user->b, sizeof user->b, out + 6);
    memcpy(p, "}:k:", 4);
    id_format(id, p + 4);
}

void marks_key_name(const struct marks_key *key, char out[MARKS_NAME])
{
    key_name(&key->user, &key->id, out);
}

static void clear(struct mark *out)
{
    *out = (struct mark){.state = MARK_NONE};
}

/* p|a + something + id; false: not a mark of ours. */
static bool read_mark(const struct cache_reply *r, size_t before, struct mark *out)
{
    struct job_id id;
    if (r->len != before + ID_CHARS || id_parse(r->text + before, &id) != 0)
        return false;
    out->state = r->text[0] == ANSWER_ACKNOWLEDGED ? MARK_ACKNOWLEDGED : MARK_PENDING;
    out->id = id;
    return true;
}

/* All threads look, and mostly nothing changes. */
static void note_look(struct marks *m, bool missed)
{
    if (atomic_load_explicit(&m->missed, memory_order_relaxed) != missed)
        atomic_store_explicit(&m->missed, missed, memory_order_relaxed);
}

bool marks_missed(const struct marks *m)
{
    return atomic_load_explicit(&m->missed, memory_order_relaxed);
}

static void take_value(struct cache_reply *r, size_t skip, struct mark *out)
{
    out->value_len = r->len - skip;
    if (skip)
        memmove(r->text, r->text + skip, r->len - skip + 1);
    out->value = r->text;
    r->text = NULL;
}

/* Redis is there, and did not do it (a replica, no memory): as good as away. */
static bool is_refused(const struct cache_reply *r)
{
    return r->type == REPLY_ERROR;
}

static void read_admit(const struct cache_reply *r, struct mark *out)
{
    switch (cache_answer_of(r)) {
    case ANSWER_OTHER_BODY:
        out->state = MARK_OTHER_BODY;
        break;
    case ANSWER_PENDING:
    case ANSWER_ACKNOWLEDGED:
        (void)read_mark(r, 1 + MAC_CHARS, out);
        break;
    default:
        break;
    }
}

static void add_admit(struct cache_command *c, const struct marks_key *key,
                      struct confirmation *texts)
{
    marks_key_name(key, texts->key);
    hex_print(key->mac, ID_MAC, texts->key_mark);
    id_format(&key->id, texts->lead_mark);
    *c = (struct cache_command){.script = SCRIPT_ADMIT, .keys = 1};
    cache_arg_text(c, texts->key);
    cache_arg_text(c, texts->key_mark);
    cache_arg_text(c, texts->lead_mark);
}

int marks_ask(struct marks *m, const struct marks_key *key, const char *hash, struct mark *out)
{
    struct cache_command commands[2];
    struct cache_reply replies[2] = {{0}};
    struct confirmation texts;
    size_t n = 0;
    clear(out);
    if (key)
        add_admit(&commands[n++], key, &texts);
    if (hash) {
        cache_hash_name(hash, 'v', texts.lead);
        commands[n] = (struct cache_command){.script = SCRIPT_NONE};
        cache_arg(&commands[n], "GET", 3);
        cache_arg_text(&commands[n++], texts.lead);
    }
    if (n == 0)
        return 0;
    if (cache_call(m->cache, commands, n, replies) != 0)
        return ERR_IO;
    if (key)
        read_admit(&replies[0], out);
    if (hash && replies[n - 1].type == REPLY_TEXT)
        take_value(&replies[n - 1], 0, out);
    bool refused = key && is_refused(&replies[0]);
    if (hash && is_refused(&replies[n - 1]))
        refused = true;
    else if (hash)
        note_look(m, !out->value);
    for (size_t i = 0; i < n; i++)
        cache_reply_fini(&replies[i]);
    return refused ? ERR_IO : 0;
}

int marks_ask_together(struct marks *m, const struct marks_key *const *keys, size_t n,
                       struct mark *out)
{
    struct cache_command commands[MARKS_TOGETHER];
    struct cache_reply replies[MARKS_TOGETHER] = {{0}};
    struct confirmation texts[MARKS_TOGETHER];
    for (size_t i = 0; i < n; i++) {
        clear(&out[i]);
        add_admit(&commands[i], keys[i], &texts[i]);
    }
    if (n == 0)
        return 0;
    if (cache_call(m->cache, commands, n, replies) != 0)
        return ERR_IO;
    bool refused = false;
    for (size_t i = 0; i < n; i++) {
        read_admit(&replies[i], &out[i]);
        refused = refused || is_refused(&replies[i]);
        cache_reply_fini(&replies[i]);
    }
    return refused ? ERR_IO : 0;
}

int marks_lead(struct marks *m, const char *hash, const struct job_id *id, int64_t ttl_ms,
               struct mark *out)
{
    struct cache_command c = {.script = SCRIPT_LEAD, .keys = 2};
    struct cache_reply reply = {0};
    char value[CACHE_HASH_NAME], lead[CACHE_HASH_NAME], text[ID_TEXT], ttl[24];
    clear(out);
    cache_hash_name(hash, 'v', value);
    cache_hash_name(hash, 'l', lead);
    id_format(id, text);
    snprintf(ttl, sizeof ttl, "%lld", (long long)ttl_ms);
    cache_arg_text(&c, value);
    cache_arg_text(&c, lead);
    cache_arg_text(&c, text);
    cache_arg_text(&c, ttl);
    if (cache_call(m->cache, &c, 1, &reply) != 0)
        return ERR_IO;
    enum cache_answer answer = cache_answer_of(&reply);
    if (answer == ANSWER_VALUE)
        take_value(&reply, 1, out);
    else if (answer == ANSWER_PENDING || answer == ANSWER_ACKNOWLEDGED)
        (void)read_mark(&reply, 1, out);
    bool refused = is_refused(&reply);
    if (!refused)
        note_look(m, !out->value);
    cache_reply_fini(&reply);
    return refused ? ERR_IO : 0;
}

void marks_end_lead(struct marks *m, const char *hash, const struct job_id *id)
{
    struct cache_command c = {.script = SCRIPT_LEAD_DONE, .keys = 2};
    struct cache_reply reply = {0};
    char value[CACHE_HASH_NAME], lead[CACHE_HASH_NAME], text[ID_TEXT];
    cache_hash_name(hash, 'v', value);
    cache_hash_name(hash, 'l', lead);
    id_format(id, text);
    cache_arg_text(&c, value);
    cache_arg_text(&c, lead);
    cache_arg_text(&c, text);
    cache_arg(&c, "", 0);
    cache_arg_text(&c, "0");
    if (cache_call(m->cache, &c, 1, &reply) == 0)
        cache_reply_fini(&reply);
}

int marks_exists(struct marks *m, const struct owner *user, const struct job_id *id)
{
    struct cache_command c = {.script = SCRIPT_NONE};
    struct cache_reply reply = {0};
    char name[MARKS_NAME];
    key_name(user, id, name);
    cache_arg(&c, "EXISTS", 6);
    cache_arg_text(&c, name);
    if (cache_call(m->cache, &c, 1, &reply) != 0)
        return ERR_IO;
    bool known = reply.type == REPLY_INTEGER, there = known && reply.integer == 1;
    cache_reply_fini(&reply);
    return there ? 0 : known ? ERR_NOT_FOUND : ERR_IO;
}

/* ---- confirmations, in the batcher's thread */

static void add_mark(struct cache_command *c, const char *name, const char *mark, const char *ttl)
{
    *c = (struct cache_command){.script = SCRIPT_MARK, .keys = 1};
    cache_arg_text(c, name);
    cache_arg_text(c, mark);
    cache_arg_text(c, ttl);
}

static size_t add_commands(const struct marks *m, const struct marks_done *d,
                           struct confirmation *t, struct cache_command *commands)
{
    size_t n = 0;
    if (d->has_key) {
        marks_key_name(&d->key, t->key);
        t->key_mark[0] = ANSWER_ACKNOWLEDGED;
        hex_print(d->key.mac, ID_MAC, t->key_mark + 1);
        id_format(&d->id, t->key_mark + 1 + MAC_CHARS);
        add_mark(&commands[n++], t->key, t->key_mark, m->key_ttl);
    }
    if (d->has_hash) {
        cache_hash_name(d->hash, 'l', t->lead);
        t->lead_mark[0] = ANSWER_ACKNOWLEDGED;
        id_format(&d->id, t->lead_mark + 1);
        add_mark(&commands[n++], t->lead, t->lead_mark, "0");
    }
    return n;
}

static size_t send_batch(void *arg, const void *items, size_t n)
{
    struct marks *m = arg;
    const struct marks_done *done = items;
    size_t commands = 0;
    for (size_t i = 0; i < n; i++)
        commands += add_commands(m, &done[i], &m->texts[i], m->commands + commands);
    if (commands == 0)
        return n;
    memset(m->replies, 0, commands * sizeof m->replies[0]);
    if (cache_call(m->cache, m->commands, commands, m->replies) != 0)
        return 0;
    size_t refused = 0;
    for (size_t i = 0; i < commands; i++) {
        refused += is_refused(&m->replies[i]);
        cache_reply_fini(&m->replies[i]);
    }
    return refused == commands ? 0 : n; /* one that nothing can be done with stops no others */
}

int marks_open(struct cache *cache, int confirm_ms, struct marks **out)
{
    struct marks *m = calloc(1, sizeof *m);
    if (!m)
        return ERR_NOMEM;
    m->cache = cache;
    snprintf(m->key_ttl, sizeof m->key_ttl, "%d", CACHE_MARK_MS);
    m->texts = calloc(CONFIRM_BATCH, sizeof *m->texts);
    m->dropped = metrics_counter("offpath_marks_dropped_total", "",
                                 "Confirmations dropped while Redis was away.");
    if (!m->texts || batcher_open(&(struct batcher_settings){.name = "marks",
                                                             .item_size = sizeof(struct marks_done),
                                                             .queue_max = CONFIRM_QUEUE,
                                                             .batch_max = CONFIRM_BATCH,
                                                             .gather_ms = confirm_ms,
                                                             .retry_ms = RETRY_MS,
                                                             .fn = send_batch,
                                                             .arg = m},
                                  &m->batcher) != 0) {
        free(m->texts);
        free(m);
        return ERR_NOMEM;
    }
    *out = m;
    return 0;
}

void marks_close(struct marks *m)
{
    if (!m)
        return;
    batcher_close(m->batcher);
    free(m->texts);
    free(m);
}

size_t marks_flush(struct marks *m, int wait_ms)
{
    return batcher_flush(m->batcher, wait_ms);
}

void marks_confirm(struct marks *m, const struct marks_done *done)
{
    if (batcher_put(m->batcher, done) != 0)
        metrics_add(m->dropped, 1);
}
