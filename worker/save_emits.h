/* save_emits.h - the records a job will send, in the document of `$save`: who goes on with it sends
 * the same. Pure. */
#pragma once
#include "worker/job_emit.h"

struct json;
void save_emits_print(const struct job_emits *e, struct buf *out); /* a JSON array */
/* list: lent as long as out: topics point into it. *out: owned, also in failure. 0, ERR_INVALID,
 * ERR_NOMEM, ERR_TOO_LARGE. NULL list: none. */
int save_emits_read(const struct json *list, struct job_emits *out) must_use;
