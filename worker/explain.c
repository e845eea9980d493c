#include "worker/explain.h"

#include <string.h>

#include "common/complaint.h"
#include "common/exit_code.h"
#include "common/finding.h"
#include "common/job.h"

static void list_all(FILE *out)
{
    fputs("findings of `check`\n", out);
    for (int c = 0; c < FINDING_CODE_COUNT; c++) {
        const char *title = "", *explanation = "";
        if (finding_explain(finding_code_text((enum finding_code)c), &title, &explanation) == 0)
            fprintf(out, "  %-18s %s\n", finding_code_text((enum finding_code)c), title);
    }
    fputs("reasons of jobs\n", out);
    for (int r = REASON_NONE + 1; r < REASON_COUNT; r++)
        fprintf(out, "  %-18s %s\n", reason_code((enum job_reason)r),
                reason_for_user((enum job_reason)r));
    fputs("codes of calls\n", out);
    for (int c = CALL_OK + 1; c < CALL_CODE_COUNT; c++)
        fprintf(out, "  %-18s %s\n", call_code((enum call_code)c),
                call_code_for_user((enum call_code)c));
}

static int unknown(const char *code)
{
    enum { CODES = FINDING_CODE_COUNT + REASON_COUNT + CALL_CODE_COUNT };
    const char *names[CODES];
    size_t n = 0;
    for (int c = 0; c < FINDING_CODE_COUNT; c++)
        names[n++] = finding_code_text((enum finding_code)c);
    for (int r = REASON_NONE + 1; r < REASON_COUNT; r++)
        names[n++] = reason_code((enum job_reason)r);
    for (int c = CALL_OK + 1; c < CALL_CODE_COUNT; c++)
        names[n++] = call_code((enum call_code)c);
    const char *near = nearest_name(code, names, n);
    return complain(&(struct complaint){stderr, "offpath-worker", false}, EXIT_USAGE,
                    "`%.60s` is no code; %s%s%s", code,
                    near ? "did you mean `" : "`explain` without one lists them all",
                    near ? near : "", near ? "`?" : "");
}

/* Some codes are both a job's reason and a call's code: both are told. */
int explain_run(const char *code, FILE *out)
{
    const char *title, *explanation;
    bool found = false;
    if (!code) {
        list_all(out);
        return EXIT_GOOD;
    }
    if (finding_explain(code, &title, &explanation) == 0) {
        fprintf(out, "%s: %s\n%s\n", code, title, explanation);
        found = true;
    }
    enum job_reason reason = reason_parse(code);
    if (reason != REASON_NONE) {
        fprintf(out, "%s (of a job): %s\n%s\n", code, reason_for_user(reason),
                reason_for_operator(reason));
        found = true;
    }
    enum call_code call = call_code_parse(code);
    if (call != CALL_OK && call != CALL_CODE_COUNT) {
        fprintf(out, "%s (of a call): %s\n%s\n", code, call_code_for_user(call),
                call_code_for_operator(call));
        found = true;
    }
    return found ? EXIT_GOOD : unknown(code);
}
