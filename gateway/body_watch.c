#include "gateway/body_watch.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <sys/socket.h>

#include "gateway/sockets.h"

enum { OFF, ARMED, SHOOTING, SHOT };

void body_watch_arm(struct body_watch *w, const struct body_watch_ends *ends, int64_t deadline_us)
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
    if (socket_of_peer(w->peer, w->peer_port, w->local_port, &fd) == 0)
        shutdown(fd, SHUT_RD);
    atomic_store(&w->state, SHOT);
    return true;
}
