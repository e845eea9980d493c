/* test.h - the verb `test [FILE|DIR...]`: runs the tests beside flows (common/flow_test.h) with the
 * real worker in virtual time (trial.h) and shows what differs. Starts and stops the expressions
 * (expr_start) itself. Main thread; blocks. */
#pragma once
#include <stdio.h>
#include "common/flow_load.h"

struct test_settings {        /* all borrowed */
    const char *const *paths; /* test files, flow files, folders */
    size_t paths_n;
    struct flow_load_settings load; /* flows_dir is set from the paths */
    bool json;                      /* JSON Lines */
};

/* The exit code: 0 all passed, 1 one failed or findings (on err), 2 usage, 70. */
int test_run(const struct test_settings *s, FILE *out, FILE *err);
