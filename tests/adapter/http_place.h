/* http_place.h - an HTTP server on loopback, and where a test and its handler meet: threads that
 * wait, a reply that is owed. */
#pragma once
#include "tests/adapter/raw_client.h"

#include <pthread.h>
#include <stdlib.h>

#include "gateway/http_server.h"

struct place { /* with the lock: all but server and port */
    pthread_mutex_t lock;
    pthread_cond_t change;
    bool hold;            /* who comes waits */
    unsigned held;        /* so many did */
    struct http_due *due; /* the one that is owed */
    unsigned owed;        /* so many were */
    int streams[8];       /* as their taker got them; -1: no connection */
    unsigned streams_n;
    struct http_server *server;
    int port;
};

/* With these threads, deadlines and handler; the rest is set here. */
static int place_open(void **state, const struct http_server_settings *own)
{
    struct http_server_settings s = *own;
    struct place *p = calloc(1, sizeof *p);
    char why[256] = "";
    pthread_mutex_init(&p->lock, NULL);
    clock_cond_init(&p->change);
    s.listen = "127.0.0.1:0";
    s.header_max = 32768;
    s.arg = p;
    s.clock = clock_real();
    s.public_url = "";
    if (http_server_start(&s, &p->server, why) != 0) {
        fprintf(stderr, "%s\n", why);
        return -1;
    }
    p->port = (int)strtol(strrchr(http_server_address(p->server), ':') + 1, NULL, 10);
    *state = p;
    return 0;
}

static int place_close(void **state)
{
    struct place *p = *state;
    http_server_stop(p->server);
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->change);
    free(p);
    return 0;
}

/* /late leaves its reply with keep (with the lock), where it may; else "now" and the path. */
static inline void place_handle(struct place *p, struct http_request *q, struct http_reply *r,
                                void (*keep)(struct place *, struct http_due *))
{
    snprintf(q->id, sizeof q->id, "test");
    struct http_due *due = strcmp(q->path, "/late") == 0 ? q->defer(q) : NULL;
    if (due) {
        r->deferred = true;
        pthread_mutex_lock(&p->lock);
        keep(p, due);
        p->owed++;
        pthread_cond_broadcast(&p->change);
        pthread_mutex_unlock(&p->lock);
        return;
    }
    r->status = 200;
    r->type = "text/plain";
    buf_printf(&r->body, "now %s", q->path);
}
