/* serving.h - what the gateway answers from: one set of flow files and all that belongs to it. A
 * request holds the one that is current while it is answered; a reload makes another, and the old
 * one ends with its last request. */
#pragma once
#include <pthread.h>
#include "gateway/feed.h"
#include "gateway/options.h"
#include "gateway/serve.h"
#include "gateway/topics.h"

enum { SERVING_WHY = 512 };

struct serving {
    struct flow_set *flows;
    struct topics_report topics;
    struct serve serve;
    /* its own */
    int *partitions;
    struct admission *admission;
    struct etas *etas;
    unsigned users; /* requests that hold it; the box's lock */
};

/* Read the flow files. tell: all findings go to stderr; else why has the first. expr_start must
 * have run. *out: owned. 0 or an exit_code. */
int serving_load(const struct options *o, bool tell, struct flow_set **out,
                 char why[SERVING_WHY]) must_use;
/* Read the flow files and print what is wrong, or how many there are, on stdout; json: only what is
 * wrong, an object a line. expr_start must have run. 0 or an exit_code. */
int serving_check(const struct options *o, bool json) must_use;
/* Read the flow files and ask Kafka for their topics. *out: owned (serving_close). 0 or an
 * exit_code. */
int serving_read(const struct options *o, bool tell, struct serving **out,
                 char why[SERVING_WHY]) must_use;
/* Make it serve: base has what does not depend on the flows. 0 or an exit_code. */
int serving_begin(struct serving *s, const struct options *o, const struct serve *base,
                  struct broker_producer *producer) must_use;
void serving_close(struct serving *s); /* nobody holds it; NULL is fine */

/* ---- the current one, and a reload */
enum { SERVING_OLD_MAX = 8 };
struct serving_box {
    pthread_mutex_t lock;
    struct serving *now;
    char refused[TOPIC_WARNING]; /* why the files as they are do not serve; "": they do */
    struct serving *old[SERVING_OLD_MAX];
    size_t old_n; /* the main thread's, as the two below */
    struct metric *good, *failed;
};
void serving_box_init(struct serving_box *b, struct serving *first);
void serving_box_fini(struct serving_box *b); /* closes all; no request runs any more */

struct serving *serving_take(struct serving_box *b); /* any thread; then: */
void serving_give(struct serving_box *b, struct serving *s);
/* For accept.h: a reply that is owed holds its set. arg: the box. */
void serving_enter(void *arg, const struct accept *a);
void serving_leave(void *arg, const struct accept *a);
/* A feed_title_fn; arg: the box, which may have no set yet. Any thread. */
void serving_title(void *arg, const char *flow, char out[FEED_TITLE]);
/* What /readyz warns of. Any thread. */
void serving_warnings(struct serving_box *b, struct topic_warnings *out);

/* Main thread: read again and replace: true; or refuse and say so in log, metrics and warnings. */
bool serving_reload(struct serving_box *b, const struct options *o,
                    struct broker_producer *producer);
/* Main thread, every second: close those that nobody holds any more. */
void serving_collect(struct serving_box *b);
