#include "common/topic_warnings.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"

static char *next(struct topic_warnings *w)
{
    return w->n < TOPIC_WARNINGS ? w->text[w->n++] : NULL;
}

void topic_warnings_add(struct topic_warnings *w, const struct broker_topic *t)
{
    char *to = t->replication < 2 || t->min_insync < 2 ? next(w) : NULL;
    if (to && t->replication == 1)
        snprintf(to, TOPIC_WARNING, "topic %.80s has one replica", t->name);
    else if (to)
        snprintf(to, TOPIC_WARNING, "topic %.80s: min.insync.replicas is %d", t->name,
                 t->min_insync);
    to = t->unclean_election ? next(w) : NULL;
    if (to)
        snprintf(to, TOPIC_WARNING, "topic %.80s: unclean.leader.election.enable is true", t->name);
}

void topic_warnings_say(struct topic_warnings *w, const char *text)
{
    if (w->n == TOPIC_WARNINGS)
        w->n--;
    snprintf(next(w), TOPIC_WARNING, "%s", text);
}

void topic_warnings_print(const struct topic_warnings *w, struct buf *out)
{
    buf_char(out, '[');
    for (size_t i = 0; i < w->n; i++) {
        if (i)
            buf_char(out, ',');
        json_print_text(w->text[i], strlen(w->text[i]), out);
    }
    buf_char(out, ']');
}
