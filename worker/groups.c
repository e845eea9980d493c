#include "worker/groups.h"

#include <stdlib.h>
#include <string.h>

bool groups_wants(const struct flow *f, const char *const *only, size_t only_n)
{
    for (size_t i = 0; i < only_n; i++)
        if (strcmp(only[i], f->name) == 0)
            return true;
    return only_n == 0;
}

static struct group *find(struct groups *g, const char *name)
{
    for (size_t i = 0; i < g->n; i++)
        if (strcmp(g->list[i].name, name) == 0)
            return &g->list[i];
    g->list[g->n].name = name;
    return &g->list[g->n++];
}

static int add(struct group *g, const char *topic, const char *suffix)
{
    struct buf name = {0};
    char **topics = realloc(g->topics, (g->topics_n + 1) * sizeof(char *));
    if (!topics)
        return ERR_NOMEM;
    g->topics = topics;
    buf_printf(&name, "%s%s", topic, suffix);
    topics[g->topics_n++] = buf_take(&name, NULL);
    return topics[g->topics_n - 1] ? 0 : ERR_NOMEM;
}

static int add_flow(struct groups *g, const struct flow *f)
{
    struct group *own = find(g, f->topic.group);
    int err = add(own, f->topic.name, "");
    if (!err)
        err = add(own, f->topic.name, ".retry");
    return err || !f->pool.topic ? err : add(find(g, f->pool.group), f->pool.topic, "");
}

int groups_init(struct groups *out, const struct flow_set *set, const char *const *only,
                size_t only_n)
{
    size_t most = 2 * set->flows_n + 1; /* a flow's, and its refills' */
    struct groups g = {.list = calloc(most, sizeof *g.list)};
    int err = g.list ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < set->flows_n && !err; i++) {
        const struct flow *f = &set->flows[i];
        if (groups_wants(f, only, only_n))
            err = add_flow(&g, f);
    }
    if (err)
        groups_fini(&g);
    else
        *out = g;
    return err;
}

void groups_fini(struct groups *g)
{
    for (size_t i = 0; i < g->n; i++) {
        for (size_t k = 0; k < g->list[i].topics_n; k++)
            free(g->list[i].topics[k]);
        free(g->list[i].topics);
    }
    free(g->list);
    *g = (struct groups){0};
}

bool groups_is_refill(const struct flow_set *set, const char *topic)
{
    const struct flow *f = flow_by_topic(set, topic);
    return f && f->pool.topic && strcmp(f->pool.topic, topic) == 0;
}
