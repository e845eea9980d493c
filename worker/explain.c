#include "worker/explain.h"

#include "common/finding.h"
#include "common/job.h"
#include "common/meaning.h"

static size_t findings(struct meaning *out)
{
    size_t n = 0;
    for (int c = 0; c < FINDING_CODE_COUNT && n < MEANINGS_MAX; c++) {
        struct meaning m = {.kind = "finding", .code = finding_code_text((enum finding_code)c)};
        if (finding_explain(m.code, &m.title, &m.help) == 0)
            out[n++] = m;
    }
    return n;
}

_Static_assert(FINDING_CODE_COUNT + REASON_COUNT + CALL_CODE_COUNT <= MEANINGS_MAX, "all are told");

/* As an operator meets them. */
static size_t meanings(struct meaning out[MEANINGS_MAX])
{
    size_t n = findings(out);
    for (int r = REASON_NONE + 1; r < REASON_COUNT && n < MEANINGS_MAX; r++)
        out[n++] = (struct meaning){"reason of a job", reason_code((enum job_reason)r),
                                    reason_for_user((enum job_reason)r),
                                    reason_for_operator((enum job_reason)r), 0};
    for (int c = CALL_OK + 1; c < CALL_CODE_COUNT && n < MEANINGS_MAX; c++)
        out[n++] = (struct meaning){"error of a call", call_code((enum call_code)c),
                                    call_code_for_user((enum call_code)c),
                                    call_code_for_operator((enum call_code)c), 0};
    return n;
}

int explain_run(const char *code, bool json, FILE *out)
{
    struct meaning all[MEANINGS_MAX];
    const struct meaning_ask ask = {.code = code,
                                    .json = json,
                                    .program = "offpath-worker",
                                    .verb = "explain",
                                    .out = out,
                                    .err = stderr};
    return meaning_tell(all, meanings(all), &ask);
}
