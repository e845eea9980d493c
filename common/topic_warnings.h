/* topic_warnings.h - what may lose accepted jobs although everything works: topics with one
 * replica, min.insync.replicas below 2, unclean elections. Told by /readyz of both programs. Any
 * thread. */
#pragma once
#include "common/broker.h"
#include "common/buf.h"

enum { TOPIC_WARNINGS = 8, TOPIC_WARNING = 160 };

struct topic_warnings { /* zeroed: none */
    char text[TOPIC_WARNINGS][TOPIC_WARNING];
    size_t n;
};

/* Add what is to be said of a topic that was described; beyond TOPIC_WARNINGS it is left out. */
void topic_warnings_add(struct topic_warnings *w, const struct broker_topic *t);
/* Add another warning of the same weight, cut to fit; the last one makes room if there is none. */
void topic_warnings_say(struct topic_warnings *w, const char *text);
/* As a JSON array of strings. */
void topic_warnings_print(const struct topic_warnings *w, struct buf *out);
