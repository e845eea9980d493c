/* stream.h - one live stream, and what all share; for stream.c and streams.c only. All of it
 * belongs to the loop's thread but what stands under `lock`. */
#pragma once
#include <pthread.h>
#include "common/live.h"
#include "gateway/merge.h"
#include "gateway/shares.h"
#include "gateway/sink.h"
#include "gateway/streams.h"

enum stream_end { /* why a stream was closed */
                  STREAM_DONE,
                  STREAM_LEFT,    /* by its reader */
                  STREAM_SLOW,    /* reader: too many bytes waited, or none moved for a heartbeat */
                  STREAM_EXPIRED, /* its reader's token */
                  STREAM_DRAINED, /* the gateway goes */
                  STREAM_BROKEN,  /* no memory, or a row that may not be read */
                  STREAM_ENDS
};

/* listening --subscribed--> asks --row--> live <--jump, heartbeat, Redis lost--> asks
 *                                           | final row: `done`
 *                                         ended --all is sent--> closed */
struct stream {
    struct streams *all;
    struct stream *prev, *next; /* by the next heartbeat */
    struct stream *wants_next;
    struct sink sink;
    char channel[LIVE_CHANNEL];
    bool of_user;
    bool wanted, reading; /* a read: it waits for its turn, it is on its way */
    bool again;           /* subscribed while a read was on its way: it may be too old */
    bool late;            /* the record did not answer: again at the next tick */
    bool full;            /* the next read waits until all is sent */
    bool gap;             /* told, until the record answers again */
    bool ended;           /* `done` was said: closed when it is sent */
    bool closed;          /* freed when its read comes back */
    struct owner owner;   /* who reads */
    struct share *share;  /* its client's, given back at its end */
    struct job_id id;
    int64_t beat_ms, asked_ms; /* asked: since when a read is wanted; 0: none is */
    int64_t until_s;           /* of stream_order */
    union {
        struct merge merge;
        struct feed feed;
    };
};

struct streams {
    struct streams_settings s;
    struct loop_timer *timer;
    struct stream *first, *last;
    struct stream *wants_first, *wants_last;
    size_t wants_n;
    unsigned reads; /* on their way */
    bool flushing, stopping;
    unsigned mute;    /* Redis refuses messages: looks at the record that are due at least */
    int64_t ahead_ms; /* the record's clock before ours, which nobody sets (boot) */
    struct metric *open, *refused, *gaps, *ends[STREAM_ENDS];
    pthread_mutex_t lock; /* all below */
    pthread_cond_t empty;
    unsigned n;
    struct shares *shares;
    bool closing;
};

/* fd: taken. 0 or ERR_NOMEM. */
int stream_new(struct streams *s, const struct stream_order *order, int fd,
               struct stream **out) must_use;
void stream_free(struct stream *x);
/* cache_message_fn */
void stream_hear(void *stream, const char *channel, const char *message, size_t len);
void stream_ask(struct stream *x, struct record_progress *p); /* of a job */
/* What a read gave; p: NULL: the list in r. It may close the stream. */
void stream_take(struct stream *x, const struct record_progress *p, const struct stream_read *r);
void stream_beat(struct stream *x);
void stream_gap(struct stream *x);

/* streams.c: */
void stream_want(struct stream *x);         /* the record is to be read */
bool streams_hear(const struct streams *s); /* is all told that workers publish? */
/* Gone at once, or when its read comes back. */
void stream_close(struct stream *x, enum stream_end why);
