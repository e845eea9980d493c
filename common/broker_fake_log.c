#include "common/broker_fake_log.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct kept { /* one record and all it points to, in one allocation */
    struct broker_record record;
    struct event_header headers[];
};

struct fake_partition {
    struct kept **list;
    size_t n, cap;
};

struct fake_topic {
    struct fake_topic *next;
    char name[250];
    int partitions_n;
    struct fake_partition partitions[];
};

struct fake_commit {
    struct fake_commit *next;
    char group[250], topic[250];
    int32_t partition;
    int64_t offset;
};

static struct fake_topic *find(const struct fake_log *l, const char *name)
{
    struct fake_topic *t = l->topics;
    while (t && strcmp(t->name, name) != 0)
        t = t->next;
    return t;
}

static struct fake_partition *part(const struct fake_log *l, const char *topic, int32_t partition)
{
    struct fake_topic *t = find(l, topic);
    return t && partition >= 0 && partition < t->partitions_n ? &t->partitions[partition] : NULL;
}

int fake_log_topic(struct fake_log *l, const char *name, int partitions)
{
    struct fake_topic *t =
        calloc(1, sizeof *t + (size_t)partitions * sizeof(struct fake_partition));
    if (!t)
        return ERR_NOMEM;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->partitions_n = partitions;
    t->next = l->topics;
    l->topics = t;
    return 0;
}

int fake_log_partitions(const struct fake_log *l, const char *topic)
{
    const struct fake_topic *t = find(l, topic);
    return t ? t->partitions_n : 0;
}

static void empty(struct fake_topic *t)
{
    for (int i = 0; i < t->partitions_n; i++) {
        for (size_t k = 0; k < t->partitions[i].n; k++)
            free(t->partitions[i].list[k]);
        free(t->partitions[i].list);
        t->partitions[i] = (struct fake_partition){0};
    }
}

void fake_log_empty(struct fake_log *l, const char *topic)
{
    struct fake_topic *t = find(l, topic);
    if (t)
        empty(t);
}

void fake_log_fini(struct fake_log *l)
{
    for (struct fake_topic *t = l->topics, *next; t; t = next) {
        next = t->next;
        empty(t);
        free(t);
    }
    for (struct fake_commit *c = l->commits, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    *l = (struct fake_log){0};
}

/* Kafka's murmur2, so that tests see the partitions of production. */
static uint32_t murmur2(const unsigned char *data, size_t len)
{
    const uint32_t m = 0x5bd1e995;
    uint32_t h = 0x9747b28c ^ (uint32_t)len;
    for (; len >= 4; data += 4, len -= 4) {
        uint32_t k = (uint32_t)data[0] | (uint32_t)data[1] << 8 | (uint32_t)data[2] << 16 |
                     (uint32_t)data[3] << 24;
        k *= m;
        k ^= k >> 24;
        h = (h * m) ^ (k * m);
    }
    if (len == 3)
        h ^= (uint32_t)data[2] << 16;
    if (len >= 2)
        h ^= (uint32_t)data[1] << 8;
    if (len >= 1)
        h = (h ^ data[0]) * m;
    h = (h ^ h >> 13) * m;
    return h ^ h >> 15;
}

static void *put(char **at, const void *bytes, size_t len)
{
    void *to = *at;
    if (len)
        memcpy(to, bytes, len);
    (*at)[len] = 0;
    *at += len + 1;
    return to;
}

static struct kept *keep(const struct broker_record *r, const char *topic)
{
    size_t size =
        sizeof(struct kept) + r->headers_n * sizeof *r->headers + r->key_len + r->value_len + 2;
    for (size_t i = 0; i < r->headers_n; i++)
        size += strlen(r->headers[i].name) + r->headers[i].len + 2;
    struct kept *k = calloc(1, size);
    if (!k)
        return NULL;
    char *at = (char *)&k->headers[r->headers_n];
    k->record = *r;
    k->record.topic = topic;
    k->record.key = r->key ? put(&at, r->key, r->key_len) : NULL;
    k->record.value = r->value ? put(&at, r->value, r->value_len) : NULL;
    k->record.headers = k->headers;
    for (size_t i = 0; i < r->headers_n; i++) {
        const struct event_header *h = &r->headers[i];
        k->headers[i].name = put(&at, h->name, strlen(h->name));
        k->headers[i].value = h->value ? put(&at, h->value, h->len) : NULL;
        k->headers[i].len = h->len;
    }
    return k;
}

struct broker_record *fake_log_copy(const struct broker_record *r, const char *topic)
{
    struct kept *k = keep(r, topic);
    return k ? &k->record : NULL;
}

static int32_t place(struct fake_log *l, const struct fake_topic *t, const struct broker_record *r)
{
    if (r->partition >= 0)
        return r->partition;
    uint32_t hash = r->key ? murmur2(r->key, r->key_len) : l->next++;
    return (int32_t)((hash & 0x7fffffff) % (uint32_t)t->partitions_n);
}

int fake_log_append(struct fake_log *l, struct broker_record *r)
{
    struct fake_topic *t = find(l, r->topic);
    if (!t || r->partition >= t->partitions_n)
        return ERR_NOT_FOUND;
    int32_t partition = place(l, t, r);
    struct fake_partition *p = &t->partitions[partition];
    if (p->n == p->cap) {
        size_t cap = p->cap ? 2 * p->cap : 16;
        struct kept **more = realloc(p->list, cap * sizeof(struct kept *));
        if (!more)
            return ERR_NOMEM;
        p->list = more;
        p->cap = cap;
    }
    struct kept *k = keep(r, t->name);
    if (!k)
        return ERR_NOMEM;
    r->partition = k->record.partition = partition;
    r->offset = k->record.offset = (int64_t)p->n;
    p->list[p->n++] = k;
    return 0;
}

const struct broker_record *fake_log_at(const struct fake_log *l, const char *topic,
                                        int32_t partition, int64_t offset)
{
    const struct fake_partition *p = part(l, topic, partition);
    return p && offset >= 0 && (size_t)offset < p->n ? &p->list[offset]->record : NULL;
}

int64_t fake_log_end(const struct fake_log *l, const char *topic, int32_t partition)
{
    const struct fake_partition *p = part(l, topic, partition);
    return p ? (int64_t)p->n : -1;
}

static struct fake_commit *commit_of(const struct fake_log *l, const char *group, const char *topic,
                                     int32_t partition)
{
    struct fake_commit *c = l->commits;
    while (c && (c->partition != partition || strcmp(c->group, group) != 0 ||
                 strcmp(c->topic, topic) != 0))
        c = c->next;
    return c;
}

int64_t fake_log_committed(const struct fake_log *l, const char *group, const char *topic,
                           int32_t partition)
{
    const struct fake_commit *c = commit_of(l, group, topic, partition);
    return c ? c->offset : -1;
}

int fake_log_commit(struct fake_log *l, const char *group, const struct broker_partition *p)
{
    struct fake_commit *c = commit_of(l, group, p->topic, p->partition);
    if (!c) {
        c = calloc(1, sizeof *c);
        if (!c)
            return ERR_NOMEM;
        snprintf(c->group, sizeof c->group, "%s", group);
        snprintf(c->topic, sizeof c->topic, "%s", p->topic);
        c->partition = p->partition;
        c->next = l->commits;
        l->commits = c;
    }
    c->offset = p->offset;
    return 0;
}
