/* check.h - the verb `check DIR...`: load flow folders as start-up does and print what is wrong.
 * Findings are the result, so they go to `out`; one line each, with the source line and a caret
 * when `excerpt`. With `json` all of it is JSON Lines, settings and servers, too. Starts and stops
 * the expressions (expr_start) itself.
 */
#pragma once
#include <stdio.h>
#include "common/flow_load.h"

struct config;

struct check_settings { /* all borrowed */
    const char *const *dirs;
    size_t dirs_n;
    struct flow_load_settings load; /* flows_dir is set from dirs */
    bool deny_warnings;             /* a warning counts as an error */
    bool json;
    bool excerpt;                /* out is a terminal */
    const struct config *config; /* --show: print the settings and their origins first; else NULL */
    /* Try every server, say on `out` what does not answer; 0, or the exit code. NULL: --offline. */
    int (*servers)(void *arg, FILE *out);
    void *servers_arg;
};

/* The exit code: 0 good, 1 findings, 2 no folder named, 3 a server did not answer, 70 no memory. */
int check_run(const struct check_settings *s, FILE *out);
