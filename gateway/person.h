/* person.h - who typed a verb that speaks to a gateway: where it is, as whom, what to print where.
 * Main thread. */
#pragma once
#include "common/id.h"
#include "common/verb.h"
#include "gateway/options.h"
#include "gateway/talk.h"
#include "gateway/terminal.h"

struct person {
    const struct verb_call *call;
    struct talk *talk;
    struct terminal terminal;
    char *url, *shown; /* owned; shown: as people may see it, without a password */
    const char *token;
    bool json;
    int64_t give_up_ms; /* clock_mono_ms when --timeout is over; 0: never */
};

/* Read url, token, json, color, timeout. 0, or an exit status that has been said. */
int person_open(const struct verb_call *call, struct person *p) must_use;
void person_close(struct person *p);

/* Say one line on err, in --json as a problem; gives the exit status back. */
int person_fail(struct person *p, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Say what an answer that is no success is about; the exit status that goes with it: 1 the request
 * is wrong, 3 no answer or not now, 4 not allowed, 5 conflict or unconfirmed. */
int person_refused(struct person *p, const struct talk_answer *a);
/* Say it with what to do instead of the answer's own status. */
int person_no_memory(struct person *p);

/* GET path. 0: *a is a 200 with JSON; else an exit status, said. *a: owned either way. */
int person_get(struct person *p, const char *path, struct talk_answer *a) must_use;
/* What is left of --timeout for one exchange, at most `most`; 0: it is over. */
int64_t person_time_left(const struct person *p, int64_t most);

/* A job's id from what was typed: whole, or its last 8 characters if that is one of the user's
 * jobs. 0, or an exit status, said. */
int person_find_job(struct person *p, const char *typed, char out[ID_TEXT]) must_use;

/* The text of a member, "" if there is none. Lent with the object. */
const char *person_text(const struct json *object, const char *key);
/* As part of a URL: all but letters, digits and -._~ escaped. */
void person_escape(const char *text, struct buf *out);
enum terminal_tone person_tone(const char *state); /* of a job or call */
/* From `from` to `to`, RFC 3339; -1: one of them is missing. */
int64_t person_span_ms(const char *from, const char *to);
