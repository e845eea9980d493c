/* producers.h - the publisher on real Kafka. Two producers: one sends at once, one lingers and is
 * used under load (publish.h). */
#pragma once
#include "gateway/options.h"
#include "gateway/publish.h"

enum { PRODUCERS_WHY = 256 };
/* A report comes by the deadline of the publish; this is for the way back. */
enum { PRODUCERS_GRACE_MS = 2000 };

/* lost: as in broker.h; both may call it. *out: owned (publisher_close), also behind an error, or
 * NULL. Does not wait for the broker. 0 or an exit_code, and then why says what to do. */
int producers_open(const struct options *o, void (*lost)(void *arg, const char *why), void *arg,
                   struct publisher **out, char why[PRODUCERS_WHY]) must_use;
