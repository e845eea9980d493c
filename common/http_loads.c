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
    unsigned room = l->idle_max > others ? l->idle_max - others : 0;
    unsigned connections = own->running + room;
    return connections ? (long)connections : 1; /* curl takes 0 for no limit */
}
