#include "gateway/body_watch.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>
#include <time.h>

#include "gateway/sockets.h"

enum { OFF, ARMED, SHOOTING, SHOT };

void body_watch_arm(struct body_watch *w, const struct socket_ends *ends, int64_t deadline_us)
{
    snprintf(w->peer, sizeof w->peer, "%s", ends->peer);
    w->peer_port = ends->peer_port;
    w->local_port = ends->local_port;
    atomic_store_explicit(&w->deadline_us, deadline_us, memory_order_relaxed);
    atomic_store_explicit(&w->state, ARMED, memory_order_release);
}

bool body_watch_end(struct body_watch *w)
{
    int was = ARMED;
    if (atomic_load_explicit(&w->state, memory_order_relaxed) == OFF ||
        atomic_compare_exchange_strong(&w->state, &was, OFF))
        return false;
    while (atomic_load(&w->state) == SHOOTING)
        sched_yield();
    atomic_store(&w->state, OFF);
    return true;
}

bool body_watch_check(struct body_watch *w, int64_t now_us)
{
    int was = ARMED, fd;
    if (atomic_load_explicit(&w->state, memory_order_relaxed) != ARMED ||
        atomic_load_explicit(&w->deadline_us, memory_order_relaxed) > now_us ||
        !atomic_compare_exchange_strong(&w->state, &was, SHOOTING))
        return false;
    const struct socket_ends ends = {w->peer, w->peer_port, w->local_port}; /* now they stay */
    if (socket_of_peer(&ends, &fd) == 0)
        shutdown(fd, SHUT_RD);
    atomic_store(&w->state, SHOT);
    return true;
}

static void *run(void *arg)
{
    struct body_watchdog *d = arg;
    while (!atomic_load(&d->stopping)) {
        int64_t now = clock_mono_us(d->clock);
        for (unsigned i = 0; i < d->n; i++)
            if (body_watch_check(&d->watches[i], now))
                metrics_add(d->shot, 1);
        struct timespec pause = {0, seats_look(d->seats, d->port, now) * 1000000L};
        nanosleep(&pause, NULL);
    }
    return NULL;
}

int body_watchdog_start(struct body_watchdog *d)
{
    d->shot = metrics_counter("offpath_http_slow_bodies_total", "",
                              "Connections shut down because their body came too slowly.");
    d->runs = pthread_create(&d->thread, NULL, run, d) == 0;
    return d->runs ? 0 : ERR_NOMEM;
}

void body_watchdog_stop(struct body_watchdog *d)
{
    atomic_store(&d->stopping, true);
    if (d->runs)
        pthread_join(d->thread, NULL);
    d->runs = false;
}
