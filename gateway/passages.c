#include "gateway/passages.h"

#include <stdlib.h>
#include <string.h>

#include "common/failpoint.h"
#include "common/log.h"
#include "gateway/accept_run.h"
#include "gateway/errands.h"
#include "gateway/lane.h"

struct passages {
    struct passages_settings s;
    struct lane *lane;
    struct errands *errands;
};

struct passage {
    struct lane_item item; /* first */
    struct errand errand;
    struct accept_run t; /* its own: nothing in it belongs to the request's thread */
    struct http_due *due;
    struct mark mark; /* for the errand */
    struct event_headers headers;
    struct broker_record record;
    char value[];
};

/* One answer, and what the request held is let go before: behind pay the gateway may end. */
static void answer(struct passage *p)
{
    struct accept_run *t = &p->t;
    const struct passages_settings *s = &t->a->passages->s;
    serve_metrics_count(t->a->served, ROUTE_ACCEPT, t->r->status);
    log_scope(NULL, NULL);
    buf_fini(&t->record_key);
    s->leave(s->arg, t->a);
    p->due->pay(p->due);
}

/* A key names its job: one that is pending is this one, whatever id the mark holds. */
static bool is_plain(const struct mark *m)
{
    return m->state == MARK_NONE || m->state == MARK_PENDING;
}

static void run_errand(struct errand *errand)
{
    struct passage *p = (struct passage *)((char *)errand - offsetof(struct passage, errand));
    log_scope(p->t.id_text, p->t.q->id);
    accept_run_told(&p->t, &p->mark);
    answer(p);
    free(p);
}

static bool admitted(struct lane_item *i, struct mark *mark)
{
    struct passage *p = (struct passage *)i;
    if (is_plain(mark)) {
        FAILPOINT("before-publish");
        return true;
    }
    p->mark = *mark;
    errands_put(p->t.a->passages->errands, &p->errand);
    return false;
}

static void over(struct lane_item *i, int err)
{
    struct passage *p = (struct passage *)i;
    log_scope(p->t.id_text, p->t.q->id);
    (void)accept_run_published(&p->t, err);
    answer(p);
}

static void release(struct lane_item *i)
{
    free((struct passage *)i);
}

/* What needs no second look at Redis, and nothing but the record of the request. */
static bool may_leave(const struct accept_run *t)
{
    return t->a->passages && t->q->defer && !t->has_hash && t->flow->hash_n == 0 &&
           t->flow->limits_n == 0 && t->wait_ms == 0 && !t->late_err &&
           !admission_overloaded(t->a->admission, t->flow);
}

static struct passage *make(struct accept_run *t)
{
    size_t len = t->value.len ? t->value.len : t->body_len;
    struct passage *p = malloc(sizeof *p + len);
    if (!p)
        return NULL;
    memcpy(p->value, t->value.len ? t->value.data : t->body, len);
    if (accept_run_record(t, &p->headers, &p->record) != 0) {
        free(p);
        return NULL;
    }
    p->record.value = p->value;
    p->item = (struct lane_item){
        .record = &p->record, .admitted = admitted, .over = over, .release = release};
    p->errand.run = run_errand;
    return p;
}

/* The request's own memory ends with its handler. */
static void move_in(struct passage *p, struct accept_run *t)
{
    p->t = *t;
    p->t.q = &p->due->q;
    p->t.r = &p->due->reply;
    p->t.body = p->value;
    p->t.request = NULL;
    p->t.waiter = NULL;
    p->t.value = (struct buf){0};
    p->record.key = t->flow->key ? buf_str(&p->t.record_key) : p->t.id_text;
    if (t->has_key)
        p->item.key = &p->t.key;
    if (t->r->headers.len) /* cors.h: of any answer */
        buf_add(&p->due->reply.headers, t->r->headers.data, t->r->headers.len);
    t->record_key = (struct buf){0};
}

int accept_run_leave(struct accept_run *t)
{
    struct passages *all = t->a->passages;
    struct passage *p = NULL;
    if (!may_leave(t))
        return 0;
    accept_run_need_id(t);
    if (accept_run_value(t) == 0)
        p = make(t);
    if (p)
        p->due = t->q->defer(t->q);
    if (!p || !p->due) {
        free(p);
        return 0;
    }
    move_in(p, t);
    t->r->deferred = true;
    all->s.enter(all->s.arg, t->a);
    lane_put(all->lane, &p->item);
    return ACCEPT_RUN_DONE;
}

/* ---- life */

int passages_open(const struct passages_settings *s, struct passages **out)
{
    const struct lane_settings lane = {s->marks, s->publisher, s->clock, s->wait_ms, s->tick_ms};
    struct passages *p = calloc(1, sizeof *p);
    int err = p ? lane_open(&lane, &p->lane) : ERR_NOMEM;
    if (!err)
        err = errands_open(s->errands, &p->errands);
    if (err) {
        passages_close(p);
        return err;
    }
    p->s = *s;
    *out = p;
    return 0;
}

void passages_close(struct passages *p)
{
    if (!p)
        return;
    lane_close(p->lane);
    errands_close(p->errands);
    free(p);
}
