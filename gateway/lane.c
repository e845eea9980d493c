#include "gateway/lane.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

/* An item whose report does not come is over all the same; who comes second releases it:
 * OPEN -> REPORTED (over, and released)
 * OPEN -> LEAVING (over) -> LEFT -> REPORTED, released by the report
 *              |-> REPORTED meanwhile -> released by the lane */
enum { OPEN, REPORTED, LEAVING, LEFT };

struct lane {
    struct lane_settings s;
    pthread_t thread;
    pthread_mutex_t lock; /* all below */
    pthread_cond_t work;
    struct lane_item *first, **last; /* put in, and not taken yet */
    bool carried, asleep, stop;      /* somebody is on a trip; the thread waits */
    struct lane_item open;           /* a ring: published, without a report; oldest behind it */
};

/* ---- what is published and not reported */

static void link_open(struct lane *l, struct lane_item *i)
{
    pthread_mutex_lock(&l->lock);
    i->until_ms = clock_mono_ms(l->s.clock) + l->s.wait_ms;
    i->next = &l->open;
    i->before = l->open.before;
    i->before->next = l->open.before = i;
    pthread_mutex_unlock(&l->lock);
}

static void unlink_open(struct lane_item *i)
{
    pthread_mutex_lock(&i->lane->lock);
    i->before->next = i->next;
    i->next->before = i->before;
    pthread_mutex_unlock(&i->lane->lock);
}

static void reported(struct publish_call *call, int err)
{
    struct lane_item *i = (struct lane_item *)((char *)call - offsetof(struct lane_item, call));
    int was = atomic_exchange(&i->state, REPORTED);
    if (was == LEFT)
        i->release(i);
    if (was != OPEN)
        return;
    unlink_open(i);
    i->over(i, err);
    i->release(i);
}

/* The oldest that is overdue, taken out of the ring; NULL: none. */
static struct lane_item *take_overdue(struct lane *l, int64_t now_ms)
{
    struct lane_item *found = NULL;
    pthread_mutex_lock(&l->lock);
    for (struct lane_item *i = l->open.next; !found && i != &l->open && i->until_ms <= now_ms;
         i = i->next) {
        int was = OPEN; /* or its report is on its way out */
        if (!atomic_compare_exchange_strong(&i->state, &was, LEAVING))
            continue;
        i->before->next = i->next;
        i->next->before = i->before;
        found = i;
    }
    pthread_mutex_unlock(&l->lock);
    return found;
}

static void leave_overdue(struct lane *l)
{
    int64_t now_ms = clock_mono_ms(l->s.clock);
    for (struct lane_item *i; (i = take_overdue(l, now_ms)) != NULL;) {
        int was = LEAVING;
        i->over(i, ERR_OUTCOME_UNKNOWN);
        if (!atomic_compare_exchange_strong(&i->state, &was, LEFT))
            i->release(i); /* reported meanwhile; else its report releases it */
    }
}

/* ---- through Redis, to Kafka */

static void publish(struct lane *l, struct lane_item *i)
{
    link_open(l, i);
    int err = publish_start(l->s.publisher, i->record, &i->call);
    if (err)
        reported(&i->call, err); /* it may be overdue by now, and left */
}

/* As many as share a trip. */
static struct lane_item *carry(struct lane *l, struct lane_item *first)
{
    const struct marks_key *keys[MARKS_TOGETHER] = {NULL};
    struct mark marks[MARKS_TOGETHER], none = {.state = MARK_NONE};
    size_t n = 0, at = 0;
    struct lane_item *end = first, *next;
    for (; end && n < MARKS_TOGETHER; end = end->next)
        if (end->key)
            keys[n++] = end->key;
    (void)marks_ask_together(l->s.marks, keys, n, marks);
    for (struct lane_item *i = first; i != end; i = next) {
        next = i->next;
        if (i->admitted(i, i->key ? &marks[at++] : &none))
            publish(l, i);
    }
    return end;
}

/* Under the lock. */
static struct lane_item *take_all(struct lane *l)
{
    struct lane_item *all = l->first;
    l->first = NULL;
    l->last = &l->first;
    l->carried = all != NULL;
    return all;
}

static struct lane_item *await_some(struct lane *l)
{
    struct timespec until = clock_until(l->s.tick_ms);
    pthread_mutex_lock(&l->lock);
    for (int err = 0; (!l->first || l->carried) && !l->stop && !err;) {
        l->asleep = true;
        err = pthread_cond_timedwait(&l->work, &l->lock, &until);
    }
    l->asleep = false;
    struct lane_item *all = l->carried ? NULL : take_all(l);
    pthread_mutex_unlock(&l->lock);
    return all;
}

/* Under the lock; one waker is enough. */
static bool needs_wake(struct lane *l)
{
    bool wake = l->first && l->asleep && !l->carried;
    l->asleep = l->asleep && !wake;
    return wake;
}

static void trip_over(struct lane *l)
{
    pthread_mutex_lock(&l->lock);
    l->carried = false;
    bool wake = needs_wake(l);
    pthread_mutex_unlock(&l->lock);
    if (wake)
        pthread_cond_signal(&l->work);
}

static bool stops(struct lane *l)
{
    pthread_mutex_lock(&l->lock);
    bool stop = l->stop;
    pthread_mutex_unlock(&l->lock);
    return stop;
}

static void *run(void *arg)
{
    struct lane *l = arg;
    while (!stops(l)) {
        struct lane_item *some = await_some(l);
        for (struct lane_item *i = some; i;)
            i = carry(l, i);
        if (some)
            trip_over(l);
        leave_overdue(l);
    }
    return NULL;
}

/* With little under way, whoever puts something in goes himself: a wake-up less, and no trip that
 * others would share. Under the lock. */
static bool goes_himself(struct lane *l)
{
    return !l->first && !l->carried && publisher_open_count(l->s.publisher) < LANE_CALM;
}

/* On the stack of a server's thread, which is small: a trip for one. */
static void go(struct lane *l, struct lane_item *i)
{
    struct mark mark = {.state = MARK_NONE};
    if (i->key)
        (void)marks_ask(l->s.marks, i->key, NULL, &mark);
    if (i->admitted(i, &mark))
        publish(l, i);
    trip_over(l);
}

void lane_put(struct lane *l, struct lane_item *i)
{
    i->lane = l;
    i->call.reported = reported;
    i->next = NULL;
    atomic_store(&i->state, OPEN);
    pthread_mutex_lock(&l->lock);
    bool alone = goes_himself(l);
    if (alone) {
        l->carried = true;
    } else {
        *l->last = i;
        l->last = &i->next;
    }
    bool wake = needs_wake(l);
    pthread_mutex_unlock(&l->lock);
    if (alone)
        go(l, i);
    else if (wake)
        pthread_cond_signal(&l->work);
}

/* ---- life */

static void destroy(struct lane *l)
{
    pthread_mutex_destroy(&l->lock);
    pthread_cond_destroy(&l->work);
    free(l);
}

int lane_open(const struct lane_settings *s, struct lane **out)
{
    struct lane *l = calloc(1, sizeof *l);
    if (!l)
        return ERR_NOMEM;
    l->s = *s;
    l->last = &l->first;
    l->open.next = l->open.before = &l->open;
    pthread_mutex_init(&l->lock, NULL);
    clock_cond_init(&l->work);
    if (pthread_create(&l->thread, NULL, run, l) != 0) {
        destroy(l);
        return ERR_NOMEM;
    }
    pthread_setname_np(l->thread, "lane");
    *out = l;
    return 0;
}

void lane_close(struct lane *l)
{
    if (!l)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->work);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    destroy(l);
}
