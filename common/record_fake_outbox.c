/* T10 in memory: records that are due, held by who takes them. */
#include "common/record_fake_db.h"

#include <stdlib.h>
#include <string.h>

static const int64_t HOLD = 30ll * 1000000;

void fake_outbox_fini(struct fake_outbox *o)
{
    free(o->key);
    free(o->value);
    free(o->headers);
}

int fake_outbox_put(struct record_fake *f, const struct record_post *p, uint64_t holder,
                    int64_t due_us)
{
    size_t n = f->outbox_n;
    struct fake_outbox *list = f->outbox;
    if ((n & (n - 1)) == 0) /* full: room for as many again */
        list = realloc(list, (n ? 2 * n : 1) * sizeof *list);
    if (!list)
        return ERR_NOMEM;
    f->outbox = list;
    struct fake_outbox *o = &list[f->outbox_n++];
    *o = (struct fake_outbox){.id = ++f->outbox_id,
                              .holder = holder,
                              .due = due_us,
                              .job = p->job,
                              .key = fake_copy(p->key, p->key_len),
                              .value = fake_copy(p->value, p->value_len),
                              .headers = fake_copy(p->headers, p->headers_len),
                              .key_len = p->key_len,
                              .value_len = p->value_len,
                              .headers_len = p->headers_len};
    strncpy(o->topic, p->topic, sizeof o->topic - 1);
    return 0;
}

int fake_outbox_take(struct record *r, uint64_t worker, struct record_outbox **rows, size_t *n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    if (!fake_alive(f, worker))
        return fake_end(f, ERR_FENCED);
    struct record_outbox *list = calloc(RECORD_OUTBOX_ROWS, sizeof *list);
    size_t got = 0, bytes = 0;
    for (size_t i = 0; list && i < f->outbox_n; i++) {
        if (got == RECORD_OUTBOX_ROWS || bytes >= RECORD_OUTBOX_BYTES)
            break;
        struct fake_outbox *o = &f->outbox[i];
        if (o->due > fake_now(f))
            continue;
        o->due = fake_now(f) + HOLD;
        o->holder = worker;
        list[got].id = o->id;
        memcpy(list[got].topic, o->topic, sizeof o->topic);
        list[got].job = o->job;
        list[got].key = fake_copy(o->key, o->key_len);
        list[got].key_len = o->key_len;
        list[got].value = fake_copy(o->value, o->value_len);
        list[got].value_len = o->value_len;
        list[got].headers = fake_copy(o->headers, o->headers_len);
        list[got++].headers_len = o->headers_len;
        bytes += o->key_len + o->value_len + o->headers_len;
    }
    err = fake_end(f, list ? 0 : ERR_NOMEM);
    if (err) {
        record_outbox_free(list, got);
        return err;
    }
    *rows = list;
    *n = got;
    return 0;
}

static bool is_among(uint64_t id, const uint64_t *ids, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (ids[i] == id)
            return true;
    return false;
}

int fake_outbox_delete(struct record *r, const uint64_t *ids, size_t n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    size_t kept = 0;
    for (size_t k = 0; k < f->outbox_n; k++) {
        if (is_among(f->outbox[k].id, ids, n))
            fake_outbox_fini(&f->outbox[k]);
        else
            f->outbox[kept++] = f->outbox[k];
    }
    f->outbox_n = kept;
    return fake_end(f, 0);
}

int fake_outbox_due(struct record *r, size_t max, size_t *n)
{
    struct record_fake *f;
    int err = fake_begin(r, &f);
    if (err)
        return err;
    size_t due = 0;
    for (size_t i = 0; i < f->outbox_n && due < max; i++)
        due += f->outbox[i].due <= fake_now(f);
    *n = due;
    return fake_end(f, 0);
}

int record_fake_outbox(struct record_fake *f, const char *topic, const char *value)
{
    const struct record_post p = {.topic = topic, .value = value, .value_len = strlen(value)};
    pthread_mutex_lock(&f->lock);
    int err = fake_outbox_put(f, &p, 0, fake_now(f));
    pthread_mutex_unlock(&f->lock);
    return err;
}

size_t record_fake_outbox_n(struct record_fake *f)
{
    pthread_mutex_lock(&f->lock);
    size_t n = f->outbox_n;
    pthread_mutex_unlock(&f->lock);
    return n;
}
