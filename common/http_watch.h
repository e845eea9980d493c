/* http_watch.h - the descriptors of the HTTP client, found by number, and their loop watches.
 * The watch of a kept-alive connection stays armed for reading while it rests: two epoll_ctl less
 * for each call. Belongs to the loop's thread. */
#pragma once
#include "common/loop.h"

struct http_watch {
    struct loop *loop;
    void *owner; /* borrowed: whose descriptor it is */
    int fd;
    bool ours;    /* we open and close it; else it is the resolver's, closed behind our back */
    bool resting; /* nobody asks for its events at present */
    loop_io_fn *fn;
    struct loop_io *io;
};

struct http_watches { /* zeroed: empty */
    struct http_watch **by_fd;
    size_t n;
};

/* NULL if there is none. Lent until freed. */
struct http_watch *http_watch_get(const struct http_watches *all, int fd);

/* A watch for w->fd from the values in *w (copied). fn gets the watch. NULL without memory. */
struct http_watch *http_watch_new(struct http_watches *all, const struct http_watch *w);

/* Ask for events. 0 or ERR_NOMEM. */
int http_watch_set(struct http_watch *w, int events) must_use;

/* Nobody asks any more: rests if it is ours, else it is freed. NULL is fine. */
void http_watch_rest(struct http_watches *all, struct http_watch *w);
void http_watch_free(struct http_watches *all, struct http_watch *w);
void http_watches_fini(struct http_watches *all);
