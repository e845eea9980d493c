#include "gateway/errors_verb.h"

#include "common/job.h"
#include "common/meaning.h"

/* As a user meets them: in a problem, as a job's reason or as a call's error. */
static size_t problems(struct meaning *out)
{
    size_t n = 0;
    for (unsigned i = 0; err_at(i) && n < MEANINGS_MAX; i++) {
        const struct err_info *e = err_at(i);
        if (e->err > ERR_NOMEM) /* the rest borrow a code from these */
            out[n++] = (struct meaning){"error", e->code, e->title, err_help(e->code), e->http};
    }
    return n;
}

static size_t meanings(struct meaning out[MEANINGS_MAX])
{
    size_t n = problems(out);
    for (int r = REASON_NONE + 1; r < REASON_COUNT && n < MEANINGS_MAX; r++)
        out[n++] = (struct meaning){"reason of a job", reason_code((enum job_reason)r),
                                    reason_for_user((enum job_reason)r), NULL, 0};
    for (int c = CALL_OK + 1; c < CALL_CODE_COUNT && n < MEANINGS_MAX; c++)
        out[n++] = (struct meaning){"error of a call", call_code((enum call_code)c),
                                    call_code_for_user((enum call_code)c), NULL, 0};
    return n;
}

int errors_verb(const struct verb_call *call)
{
    struct meaning all[MEANINGS_MAX];
    const struct meaning_ask ask = {.code = call->words_n > 1 ? call->words[1] : NULL,
                                    .json = config_bool(call->config, "json"),
                                    .program = "offpath-gateway",
                                    .verb = "errors",
                                    .out = stdout,
                                    .err = stderr};
    return meaning_tell(all, meanings(all), &ask);
}
