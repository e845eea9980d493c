#include "gateway/debt.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "gateway/http_write.h"

enum { NONE, OWED, AWAITED };

struct owed {
    struct http_due due; /* first */
    struct debt *debt;
    struct debt_terms terms;
};

void debt_init(struct debt *d)
{
    *d = (struct debt){.fd = -1};
    sem_init(&d->paid, 0, 0);
}

void debt_fini(struct debt *d)
{
    sem_destroy(&d->paid);
}

/* A reply fits into what the kernel holds for an idle connection; who lets megabytes of replies
 * lie unread is cut off. */
static void send_whole(int fd, const struct buf *b)
{
    if (send(fd, b->data, b->len, MSG_NOSIGNAL | MSG_DONTWAIT) != (ssize_t)b->len)
        shutdown(fd, SHUT_RDWR);
}

static void write_reply(const struct owed *o)
{
    static _Thread_local struct http_date date;
    struct buf out = {0};
    const struct http_write w = {http_date_now(&date), o->due.q.id, false};
    http_write_reply(&o->due.reply, &w, &out);
    if (buf_ok(&out) == 0)
        send_whole(o->debt->fd, &out);
    if (buf_ok(&out) != 0 || o->due.reply.close)
        shutdown(o->debt->fd, SHUT_RD); /* its thread reads the end, and closes it */
    buf_fini(&out);
}

/* Behind the release the connection's thread may be gone, and the server with it. */
static void pay(struct http_due *due)
{
    struct owed *o = (struct owed *)due;
    struct debt *d = o->debt;
    due->reply.close = due->reply.close || atomic_load(o->terms.closing);
    write_reply(o);
    atomic_fetch_sub(o->terms.in_flight, 1);
    if (atomic_exchange(&d->state, NONE) == AWAITED)
        sem_post(&d->paid);
    http_reply_fini(&due->reply);
    free(o);
}

static bool find(struct debt *d, const struct debt_terms *terms, const struct socket_ends *ends)
{
    if (d->requests < 2)
        return false;
    return d->fd >= 0 || socket_of_peer_below(ends, terms->below, &d->fd) == 0;
}

struct http_due *debt_take(struct debt *d, const struct debt_terms *terms,
                           const struct socket_ends *ends, const struct http_request *q)
{
    struct owed *o = find(d, terms, ends) ? malloc(sizeof *o) : NULL;
    if (!o)
        return NULL;
    *o = (struct owed){.due.pay = pay, .debt = d, .terms = *terms};
    o->due.q.public_url = q->public_url;
    memcpy(o->due.q.id, q->id, sizeof q->id);
    http_reply_init(&o->due.reply);
    atomic_store(&d->state, OWED);
    return &o->due;
}

static void settle(struct debt *d)
{
    int was = OWED;
    if (atomic_load_explicit(&d->state, memory_order_acquire) == NONE ||
        !atomic_compare_exchange_strong(&d->state, &was, AWAITED))
        return;
    while (sem_wait(&d->paid) != 0 && errno == EINTR)
        continue;
}

void debt_settle(struct debt *d)
{
    settle(d);
    d->requests++;
}

void debt_end(struct debt *d)
{
    settle(d);
    d->fd = -1;
    d->requests = 0;
}
