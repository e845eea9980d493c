/* exit_code.h - how a process ends; the same numbers in both programs. */
#pragma once

enum exit_code {
    EXIT_GOOD = 0,
    EXIT_FINDINGS = 1, /* or a test that failed */
    EXIT_USAGE = 2,
    EXIT_DEPENDENCY = 3, /* did not answer */
    EXIT_REFUSED = 4,    /* 401, 403, 429 */
    EXIT_CONFLICT = 5,   /* or a plan that nobody confirmed */
    EXIT_PARTIAL = 10,   /* how a job ended */
    EXIT_FAILED = 11,
    EXIT_EXPIRED = 12,
    EXIT_CANCELLED = 13,
    EXIT_BUG = 70,
    EXIT_INTERRUPTED = 130
};
