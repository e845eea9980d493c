#include "worker/topics.h"

#include <stdlib.h>
#include <string.h>

#include "common/exit_code.h"
#include "worker/server_line.h"

enum { WAIT_MS = 15000 };

size_t topics_wanted(const struct flow_set *set, struct broker_topic *topics)
{
    size_t n = 0;
    for (size_t i = 0; i < set->flows_n; i++) {
        const struct flow *f = &set->flows[i];
        for (int retry = 0; retry < 2; retry++) {
            struct broker_topic t = {.partitions = (int)f->topic.partitions, .replication = -1};
            snprintf(t.name, sizeof t.name, "%s%s", f->topic.name, retry ? ".retry" : "");
            topics[n++] = t;
        }
    }
    for (size_t i = 0; i < set->flows_n; i++) {
        const struct flow *f = &set->flows[i];
        struct broker_topic t = {.partitions = (int)f->topic.partitions, .replication = -1};
        snprintf(t.name, sizeof t.name, "%s", f->pool.topic ? f->pool.topic : "");
        if (f->pool.topic)
            topics[n++] = t;
    }
    return n;
}

size_t topics_of_others(const struct flow_set *set, struct broker_topic *topics)
{
    size_t n = 0;
    for (size_t i = 0; i < set->flows_n; i++)
        for (size_t k = 0; k < set->flows[i].emits_n; k++) {
            const char *name = set->flows[i].emits[k].topic;
            if (name && topics)
                snprintf(topics[n].name, sizeof topics[n].name, "%s", name);
            n += name != NULL;
        }
    return n;
}

/* Keep those that do not exist, with the partitions wanted; says of the others what differs. */
static size_t missing(const struct broker_topic *there, struct broker_topic *want, size_t n,
                      const struct operator_io *io)
{
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (there[i].partitions == 0)
            want[kept++] = want[i];
        else if (there[i].partitions != want[i].partitions)
            fprintf(io->err, "topics: %s has %d partitions, its flow says %d; left as it is\n",
                    want[i].name, there[i].partitions, want[i].partitions);
    }
    return kept;
}

static int create(const struct broker_settings *b, const struct broker_topic *topics, size_t n,
                  const struct operator_io *io)
{
    char why[256] = "";
    if (!operator_confirms(io, "topics"))
        return EXIT_CONFLICT;
    if (broker_create(b, topics, n, WAIT_MS, why)) {
        fprintf(io->err, "topics: %s\n", why);
        return EXIT_DEPENDENCY;
    }
    fprintf(io->out, "created %zu topic%s\n", n, n == 1 ? "" : "s");
    return EXIT_GOOD;
}

/* Said of each once; how many. To look at them is a right that whoever makes ours may not have. */
static size_t missing_of_others(const struct broker_settings *b, struct broker_topic *there,
                                size_t n, const struct operator_io *io)
{
    size_t count = 0;
    if (n > 0 && broker_describe(b, there, n, WAIT_MS)) {
        fprintf(io->err, "topics: those of others, to which flows emit, cannot be looked at\n");
        return n;
    }
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t k = 0; k < i && !seen; k++)
            seen = strcmp(there[k].name, there[i].name) == 0;
        if (seen || there[i].partitions > 0)
            continue;
        fprintf(io->err,
                "topics: %s is missing, to which a flow emits; it is of others, ask them to create "
                "it\n",
                there[i].name);
        count++;
    }
    return count;
}

static int plan(const struct broker_settings *b, struct broker_topic *want, size_t ours, size_t all,
                const struct operator_io *io, bool apply)
{
    struct broker_topic *there = calloc(all + 1, sizeof *there);
    if (!there)
        return EXIT_DEPENDENCY;
    memcpy(there, want, all * sizeof *there);
    if (broker_describe(b, there, ours, WAIT_MS)) {
        char away[SERVER_AWAY];
        server_away(b->servers, "kafka", away);
        fprintf(io->err, "topics: Kafka %s\n", away);
        free(there);
        return EXIT_DEPENDENCY;
    }
    size_t n = missing(there, want, ours, io);
    size_t others = missing_of_others(b, there + ours, all - ours, io);
    free(there);
    for (size_t i = 0; i < n; i++)
        fprintf(io->out, "create %s, %d partition%s\n", want[i].name, want[i].partitions,
                want[i].partitions == 1 ? "" : "s");
    if (n == 0)
        fprintf(io->out, "nothing to do: all topics%s exist\n", others ? " of the flows" : "");
    return n && apply ? create(b, want, n, io) : EXIT_GOOD;
}

int topics_run(const struct broker_settings *b, const struct flow_set *set, const char *verb,
               const struct operator_io *io)
{
    bool apply = strcmp(verb, "apply") == 0;
    if (!apply && strcmp(verb, "plan") != 0) {
        fprintf(io->err, "topics: write `topics plan` or `topics apply`\n");
        return EXIT_USAGE;
    }
    size_t most = TOPICS_EACH * set->flows_n + topics_of_others(set, NULL);
    struct broker_topic *want = calloc(most + 1, sizeof *want);
    if (!want)
        return EXIT_DEPENDENCY;
    size_t ours = topics_wanted(set, want), all = ours + topics_of_others(set, want + ours);
    int code = plan(b, want, ours, all, io, apply);
    free(want);
    return code;
}
