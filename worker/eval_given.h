/* eval_given.h - what `eval` is given: the request, the replies, the rows, whose job it is. Belongs
 * to one thread. */
#pragma once
#include "common/complaint.h"
#include "worker/eval.h"

struct eval_given {
    struct json *request, *replies, *rows, *user, *job; /* rows, replies may be NULL */
};

/* *g is zero before. Reads what the settings name; what is wrong is said. 0, or the exit
 * code. Either way eval_given_fini. */
int eval_given_read(struct eval_given *g, const struct eval_settings *s, const struct flow *f,
                    const struct complaint *to) must_use;
void eval_given_fini(struct eval_given *g);
