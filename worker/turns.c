#include "worker/turns.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct turn_lane {
    struct turn_lane *next;
    struct turn *head, *tail; /* the head has the turn */
    uint32_t hash;
    size_t len;
    char key[];
};

static uint32_t hash_of(const void *key, size_t len)
{
    const unsigned char *p = key;
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < len; i++)
        h = (h ^ p[i]) * 16777619u;
    return h;
}

static struct turn_lane *lane_of(struct turns *t, const void *key, size_t len)
{
    uint32_t hash = hash_of(key, len);
    struct turn_lane **bucket = &t->lanes[hash % TURN_BUCKETS];
    for (struct turn_lane *l = *bucket; l; l = l->next)
        if (l->hash == hash && l->len == len && (len == 0 || memcmp(l->key, key, len) == 0))
            return l;
    struct turn_lane *l = malloc(sizeof *l + len);
    if (!l)
        return NULL;
    *l = (struct turn_lane){.next = *bucket, .hash = hash, .len = len};
    if (len)
        memcpy(l->key, key, len);
    *bucket = l;
    return l;
}

static void lane_free(struct turns *t, struct turn_lane *lane)
{
    struct turn_lane **at = &t->lanes[lane->hash % TURN_BUCKETS];
    while (*at != lane)
        at = &(*at)->next;
    *at = lane->next;
    free(lane);
}

int turns_enter(struct turns *t, struct turn *turn, const void *key, size_t len, bool *first)
{
    struct turn_lane *l = lane_of(t, key, len);
    if (!l)
        return ERR_NOMEM;
    turn->lane = l;
    turn->next = NULL;
    *first = !l->head;
    if (l->tail)
        l->tail->next = turn;
    else
        l->head = turn;
    l->tail = turn;
    return 0;
}

bool turn_has(const struct turn *turn)
{
    return turn->lane && turn->lane->head == turn;
}

void turns_leave(struct turns *t, struct turn *turn, bool ended)
{
    struct turn_lane *l = turn->lane;
    struct turn *before = NULL;
    if (!l)
        return;
    for (struct turn *at = l->head; at != turn; at = at->next)
        before = at;
    if (before)
        before->next = turn->next;
    else
        l->head = turn->next;
    if (l->tail == turn)
        l->tail = before;
    turn->lane = NULL;
    turn->next = NULL;
    if (!l->head)
        lane_free(t, l);
    else if (!before)
        l->head->fn(l->head->arg, ended);
}
