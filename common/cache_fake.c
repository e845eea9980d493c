#include "common/cache_fake.h"
#include "common/cache_channels.h"
#include "common/cache_fake_store.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

struct cache_fake {
    pthread_mutex_t lock; /* all below, but what belongs to a view */
    struct fake_store store;
    bool away;
    unsigned fail_in; /* commands until one fails; 0: none */
    int fail_err;
    const char *refusal; /* NULL: none */
    enum cache_script refused;
    size_t commands;
    struct async_view *views;
};

struct sync_view {
    struct cache port; /* first */
    struct cache_fake *fake;
};

/* What an asynchronous view has to tell in its next turn. */
struct event {
    struct event *next;
    cache_reply_fn *fn; /* NULL: a message, or nothing but a confirmation */
    void *arg;
    int err;
    struct cache_reply reply;
    char *channel; /* owned */
};

struct token {               /* one wake-up on its way to the loop */
    struct async_view *view; /* NULL: closed meanwhile */
};

struct async_view {
    struct cache_async port; /* first */
    struct cache_fake *fake;
    struct async_view *next;
    struct loop *loop;
    struct loop_timer *timer;
    struct cache_channels channels;
    struct event *first, **last; /* under the fake's lock, as `token` */
    struct token *token;
};

/* ---- the store, with its failures. With the lock. */
static int perform(struct cache_fake *f, const struct cache_command *c, struct cache_reply *out)
{
    if (f->away)
        return ERR_IO;
    f->commands++;
    if (f->fail_in && --f->fail_in == 0)
        return f->fail_err;
    if (f->refusal && (f->refused == SCRIPT_NONE || f->refused == c->script)) {
        *out = (struct cache_reply){REPLY_ERROR, strdup(f->refusal), strlen(f->refusal), 0};
        return out->text ? 0 : ERR_NOMEM;
    }
    return fake_store_do(&f->store, c, out);
}

static int queue(struct async_view *v, const struct event *event)
{
    struct event *e = malloc(sizeof *e);
    if (!e)
        return ERR_NOMEM;
    *e = *event;
    e->next = NULL;
    *v->last = e;
    v->last = &e->next;
    return 0;
}

static int queue_message(struct async_view *v, const char *channel, const struct fake_message *m)
{
    struct event e = {.channel = strdup(channel)};
    if (!e.channel)
        return ERR_NOMEM;
    if (m) {
        e.reply = (struct cache_reply){REPLY_TEXT, malloc(m->len + 1), m->len, 0};
        if (e.reply.text)
            memcpy(e.reply.text, m->text, m->len + 1);
    }
    int err = m && !e.reply.text ? ERR_NOMEM : queue(v, &e);
    if (err) {
        free(e.channel);
        free(e.reply.text);
    }
    return err;
}

static void wake(struct async_view *v)
{
    loop_timer_set(v->loop, v->timer, 0, 0);
}

static void on_token(void *arg)
{
    struct token *t = arg;
    if (t->view) {
        struct cache_fake *f = t->view->fake;
        wake(t->view);
        pthread_mutex_lock(&f->lock);
        t->view->token = NULL;
        pthread_mutex_unlock(&f->lock);
    }
    free(t);
}

/* From any thread; with the lock. */
static void wake_from_afar(struct async_view *v)
{
    if (v->token || !(v->token = malloc(sizeof *v->token)))
        return;
    v->token->view = v;
    if (loop_post(v->loop, on_token, v->token)) {
        free(v->token);
        v->token = NULL;
    }
}

/* What was published since `from` goes to all views. With the lock. */
static void spread(struct cache_fake *f, size_t from)
{
    for (size_t i = from; i < f->store.messages_n; i++)
        for (struct async_view *v = f->views; v; v = v->next)
            if (!queue_message(v, f->store.messages[i].channel, &f->store.messages[i]))
                wake_from_afar(v);
}

/* ---- synchronous view */
static int sync_call(struct cache *port, const struct cache_command *commands, size_t n,
                     struct cache_reply *replies)
{
    struct cache_fake *f = ((struct sync_view *)port)->fake;
    struct cache_reply *made = calloc(n + 1, sizeof *made);
    int err = made ? 0 : ERR_NOMEM;
    pthread_mutex_lock(&f->lock);
    size_t before = f->store.messages_n;
    if (f->away)
        err = ERR_IO;
    for (size_t i = 0; !err && i < n; i++)
        err =
            cache_command_is_valid(&commands[i]) ? perform(f, &commands[i], &made[i]) : ERR_INVALID;
    spread(f, before);
    pthread_mutex_unlock(&f->lock);
    for (size_t i = 0; made && i < n; i++)
        if (err)
            cache_reply_fini(&made[i]);
        else
            replies[i] = made[i];
    free(made);
    return err;
}

static bool obeys(struct cache_fake *f)
{
    pthread_mutex_lock(&f->lock);
    bool does = !f->away && !f->refusal;
    pthread_mutex_unlock(&f->lock);
    return does;
}

static bool sync_up(struct cache *port)
{
    return obeys(((struct sync_view *)port)->fake);
}

static void sync_close(struct cache *port)
{
    free(port);
}

int cache_fake_view(struct cache_fake *f, struct cache **out)
{
    static const struct cache_ops ops = {sync_call, sync_up, sync_close};
    struct sync_view *v = calloc(1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    *v = (struct sync_view){{&ops}, f};
    *out = &v->port;
    return 0;
}

/* ---- asynchronous view */
static struct event *take(struct async_view *v)
{
    pthread_mutex_lock(&v->fake->lock);
    struct event *e = v->first;
    if (e && !(v->first = e->next))
        v->last = &v->first;
    pthread_mutex_unlock(&v->fake->lock);
    return e;
}

static void event_free(struct event *e)
{
    cache_reply_fini(&e->reply);
    free(e->channel);
    free(e);
}

static void on_due(void *arg)
{
    struct async_view *v = arg;
    struct event *e;
    while ((e = take(v))) {
        if (e->fn)
            e->fn(e->arg, e->err, e->err ? NULL : &e->reply);
        else if (e->channel && e->reply.text)
            cache_channels_tell(&v->channels, e->channel, e->reply.text, e->reply.len);
        else if (e->channel)
            cache_channels_confirm(&v->channels, e->channel);
        event_free(e);
    }
}

static int async_send(struct cache_async *port, const struct cache_command *c, cache_reply_fn *fn,
                      void *arg)
{
    struct async_view *v = (struct async_view *)port;
    struct cache_fake *f = v->fake;
    struct event e = {.fn = fn, .arg = arg};
    if (!cache_command_is_valid(c))
        return ERR_INVALID;
    pthread_mutex_lock(&f->lock);
    size_t before = f->store.messages_n;
    int err = f->away ? ERR_IO : 0;
    if (!err) {
        e.err = perform(f, c, &e.reply);
        err = queue(v, &e);
        spread(f, before);
    }
    pthread_mutex_unlock(&f->lock);
    if (err)
        cache_reply_fini(&e.reply);
    else
        wake(v);
    return err;
}

static int async_subscribe(struct cache_async *port, const char *channel, cache_message_fn *fn,
                           void *arg)
{
    struct async_view *v = (struct async_view *)port;
    bool first;
    int err = cache_channels_add(&v->channels, channel, fn, arg, &first);
    pthread_mutex_lock(&v->fake->lock);
    if (!err && !v->fake->away) {
        err = queue_message(v, channel, NULL);
        wake(v);
    }
    pthread_mutex_unlock(&v->fake->lock);
    return err;
}

static void async_unsubscribe(struct cache_async *port, const char *channel, cache_message_fn *fn,
                              void *arg)
{
    (void)cache_channels_remove(&((struct async_view *)port)->channels, channel, fn, arg);
}

static bool async_up(const struct cache_async *port)
{
    struct cache_fake *f = ((const struct async_view *)port)->fake;
    pthread_mutex_lock(&f->lock);
    bool up = !f->away;
    pthread_mutex_unlock(&f->lock);
    return up;
}

static bool async_obeys(const struct cache_async *port)
{
    return obeys(((const struct async_view *)port)->fake);
}

static void async_close(struct cache_async *port)
{
    struct async_view *v = (struct async_view *)port;
    struct event *e;
    while ((e = take(v))) {
        if (e->fn)
            e->fn(e->arg, ERR_CLOSED, NULL);
        event_free(e);
    }
    pthread_mutex_lock(&v->fake->lock);
    struct async_view **at = &v->fake->views;
    while (*at != v)
        at = &(*at)->next;
    *at = v->next;
    if (v->token)
        v->token->view = NULL;
    pthread_mutex_unlock(&v->fake->lock);
    loop_timer_free(v->loop, v->timer);
    cache_channels_fini(&v->channels);
    free(v);
}

int cache_fake_async_view(struct cache_fake *f, struct loop *loop, struct cache_async **out)
{
    static const struct cache_async_ops ops = {async_send, async_subscribe, async_unsubscribe,
                                               async_up,   async_obeys,     async_up,
                                               async_close};
    struct async_view *v = calloc(1, sizeof *v);
    if (!v)
        return ERR_NOMEM;
    *v = (struct async_view){.port = {&ops}, .fake = f, .loop = loop};
    v->last = &v->first;
    v->timer = loop_timer_new(loop, on_due, v);
    if (!v->timer) {
        free(v);
        return ERR_NOMEM;
    }
    pthread_mutex_lock(&f->lock);
    v->next = f->views;
    f->views = v;
    pthread_mutex_unlock(&f->lock);
    *out = &v->port;
    return 0;
}

/* ---- the test's side */
int cache_fake_open(const struct clock *clock, struct cache_fake **out)
{
    struct cache_fake *f = calloc(1, sizeof *f);
    if (!f)
        return ERR_NOMEM;
    pthread_mutex_init(&f->lock, NULL);
    f->store.clock = clock;
    *out = f;
    return 0;
}

void cache_fake_close(struct cache_fake *f)
{
    if (!f)
        return;
    fake_store_fini(&f->store);
    pthread_mutex_destroy(&f->lock);
    free(f);
}

static void confirm_again(void *arg, const char *channel)
{
    (void)queue_message(arg, channel, NULL);
}

void cache_fake_away(struct cache_fake *f, bool away)
{
    pthread_mutex_lock(&f->lock);
    for (struct async_view *v = f->views; v && away != f->away; v = v->next) {
        for (struct event *e = v->first; e && away; e = e->next) {
            e->err = ERR_IO;
            free(e->channel); /* a message on its way is lost */
            e->channel = NULL;
        }
        if (away)
            cache_channels_lost(&v->channels);
        else
            cache_channels_each(&v->channels, confirm_again, v);
        wake(v);
    }
    f->away = away;
    pthread_mutex_unlock(&f->lock);
}

void cache_fake_fail(struct cache_fake *f, unsigned n, int err)
{
    pthread_mutex_lock(&f->lock);
    f->fail_in = n;
    f->fail_err = err;
    pthread_mutex_unlock(&f->lock);
}

void cache_fake_refuse(struct cache_fake *f, enum cache_script only, const char *why)
{
    pthread_mutex_lock(&f->lock);
    f->refusal = why;
    f->refused = only;
    pthread_mutex_unlock(&f->lock);
}

const char *cache_fake_get(struct cache_fake *f, const char *key, size_t *len)
{
    int64_t expires;
    size_t n = 0;
    pthread_mutex_lock(&f->lock);
    const char *value = fake_store_get(&f->store, key, strlen(key), &n, &expires);
    pthread_mutex_unlock(&f->lock);
    if (len)
        *len = n;
    return value;
}

int64_t cache_fake_ttl_ms(struct cache_fake *f, const char *key)
{
    int64_t expires = 0;
    size_t n;
    pthread_mutex_lock(&f->lock);
    bool there = fake_store_get(&f->store, key, strlen(key), &n, &expires) != NULL;
    int64_t now = clock_mono_us(f->store.clock);
    pthread_mutex_unlock(&f->lock);
    return !there ? -2 : !expires ? -1 : (expires - now) / 1000;
}

int cache_fake_put(struct cache_fake *f, const char *key, const void *value, size_t len,
                   int64_t ttl_ms)
{
    pthread_mutex_lock(&f->lock);
    int err = fake_store_set(&f->store, key, strlen(key), value, len, ttl_ms);
    pthread_mutex_unlock(&f->lock);
    return err;
}

size_t cache_fake_commands(const struct cache_fake *f)
{
    return f->commands;
}

const char *cache_fake_published(struct cache_fake *f, size_t i, const char **channel)
{
    if (i >= f->store.messages_n)
        return NULL;
    if (channel)
        *channel = f->store.messages[i].channel;
    return f->store.messages[i].text;
}
