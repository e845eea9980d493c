#include "common/watchdog.h"

#include <pthread.h>
#include <time.h>

#include "common/clock.h"

enum { LOOK_MS = 10, RESTING_LOOKS = 200 };

/* Process-wide on purpose: it is one thread, and who arms it has no common owner. */
static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    struct watchdog_item *armed;
    unsigned users;
    _Atomic unsigned stretch;
    bool asleep, stop;
} dog = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .stretch = 1};

static void item_remove(struct watchdog_item *i)
{
    *(i->prev ? &i->prev->next : &dog.armed) = i->next;
    if (i->next)
        i->next->prev = i->prev;
    i->prev = i->next = NULL;
}

static int64_t cpu_us(clockid_t clock)
{
    struct timespec ts = {0};
    clock_gettime(clock, &ts);
    return (int64_t)ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

static void look_at(struct watchdog_item *i, int64_t now)
{
    int64_t cpu = cpu_us(i->cpu);
    if (i->cpu_from_us < 0)
        i->cpu_from_us = cpu;
    if (i->due_us > now || cpu - i->cpu_from_us < i->limit_us - (int64_t)LOOK_MS * 1000)
        return;
    i->fired = true;
    i->fn(i->arg);
}

static void look(void)
{
    int64_t now = clock_mono_us(clock_real());
    for (struct watchdog_item *i = dog.armed; i; i = i->next) {
        if (!i->fired)
            look_at(i, now);
    }
}

/* Wait LOOK_MS; without a time when nothing was armed for a while. */
static void rest(unsigned *idle)
{
    struct timespec until;
    *idle = dog.armed ? 0 : *idle + 1;
    if (*idle > RESTING_LOOKS) {
        dog.asleep = true;
        pthread_cond_wait(&dog.wake, &dog.lock);
        dog.asleep = false;
        *idle = 0;
        return;
    }
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += LOOK_MS * 1000000L;
    until.tv_sec += until.tv_nsec / 1000000000L;
    until.tv_nsec %= 1000000000L;
    pthread_cond_clockwait(&dog.wake, &dog.lock, CLOCK_MONOTONIC, &until);
}

static void *watch(void *unused)
{
    unsigned idle = 0;
    pthread_mutex_lock(&dog.lock);
    while (!dog.stop) {
        rest(&idle);
        look();
    }
    pthread_mutex_unlock(&dog.lock);
    return unused;
}

int watchdog_start(void)
{
    int err = 0;
    pthread_mutex_lock(&dog.lock);
    if (dog.users == 0) {
        dog.stop = false;
        err = pthread_create(&dog.thread, NULL, watch, NULL) == 0 ? 0 : ERR_NOMEM;
    }
    if (!err)
        dog.users++;
    pthread_mutex_unlock(&dog.lock);
    return err;
}

void watchdog_stop(void)
{
    pthread_mutex_lock(&dog.lock);
    bool last = dog.users > 0 && --dog.users == 0;
    dog.stop = last;
    pthread_cond_broadcast(&dog.wake);
    pthread_mutex_unlock(&dog.lock);
    if (last)
        pthread_join(dog.thread, NULL);
}

void watchdog_stretch(unsigned times)
{
    dog.stretch = times;
}

void watchdog_arm(struct watchdog_item *item, int64_t ms, watchdog_fn *fn, void *arg)
{
    ms *= dog.stretch;
    int64_t due = clock_mono_us(clock_real()) + ms * 1000;
    *item = (struct watchdog_item){
        .fn = fn, .arg = arg, .due_us = due, .limit_us = ms * 1000, .cpu_from_us = -1};
    pthread_getcpuclockid(pthread_self(), &item->cpu);
    pthread_mutex_lock(&dog.lock);
    item->next = dog.armed;
    if (item->next)
        item->next->prev = item;
    dog.armed = item;
    if (dog.asleep)
        pthread_cond_signal(&dog.wake);
    pthread_mutex_unlock(&dog.lock);
}

bool watchdog_disarm(struct watchdog_item *item)
{
    pthread_mutex_lock(&dog.lock);
    item_remove(item);
    pthread_mutex_unlock(&dog.lock);
    return item->fired;
}
