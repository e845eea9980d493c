#include "common/http_loads.h"

size_t http_loads_least(const struct http_loads *l)
{
    size_t least = 0;
    for (size_t i = 1; i < l->n; i++) {
        if (l->list[i].running < l->list[least].running)
            least = i;
    }
    return least;
}

size_t http_loads_pick(const struct http_loads *l)
{
    for (size_t i = 0; i < l->n; i++) {
        if (l->list[i].running < HTTP_SHARD_FILL)
            return i;
    }
    return l->n < HTTP_SHARDS_MAX ? l->n : http_loads_least(l);
}

void http_loads_call(struct http_loads *l, size_t shard, int change)
{
    l->list[shard].running += (unsigned)change;
    l->all.running += (unsigned)change;
    l->list[shard].used = true;
    if (l->peak[0] < l->all.running)
        l->peak[0] = l->all.running;
}

void http_loads_rest(struct http_loads *l)
{
    l->peak[1] = l->peak[0];
    l->peak[0] = l->all.running;
    for (size_t i = 0; i < l->n; i++)
        l->list[i].used = l->list[i].running > 0;
}

bool http_loads_is_unused(const struct http_loads *l, size_t shard)
{
    return !l->list[shard].used;
}

static unsigned peak(const struct http_loads *l)
{
    return l->peak[0] > l->peak[1] ? l->peak[0] : l->peak[1];
}

unsigned http_loads_spare(const struct http_loads *l)
{
    unsigned most = peak(l) > l->idle_max ? peak(l) : l->idle_max;
    return most > l->all.running ? most - l->all.running : 0;
}

void http_loads_socket(struct http_loads *l, size_t shard, int change)
{
    l->list[shard].sockets += (unsigned)change;
    l->all.sockets += (unsigned)change;
}

static unsigned idle(const struct http_load *l)
{
    return l->sockets > l->running ? l->sockets - l->running : 0;
}

long http_loads_connections(const struct http_loads *l, size_t shard)
{
    const struct http_load *own = &l->list[shard];
    unsigned all = idle(&l->all), mine = idle(own);
    unsigned others = all > mine ? all - mine : 0;
    unsigned rest = peak(l) > l->all.running ? peak(l) - l->all.running : 0;
    rest = rest > l->idle_max ? rest : l->idle_max;
    unsigned room = rest > others ? rest - others : 0;
    unsigned connections = own->running + room;
    return connections ? (long)connections : 1; /* curl takes 0 for no limit */
}
