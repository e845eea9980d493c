/* eval.h - the verb `eval FLOW`: each expression of one flow in the order in which it is computed,
 * and what it gives for a request, rows and replies that are named. Nothing is called or stored.
 * Starts and stops the expressions (expr_start) itself. Main thread; blocks. */
#pragma once
#include <stdio.h>
#include "common/flow_load.h"

struct eval_settings { /* all borrowed */
    const char *flow;  /* a flow's name, or its file */
    /* JSON, or `@FILE` that holds it; NULL: none. request: NULL is the schema's first example.
     * replies: {CALL: {status, headers, body}}, for each item a list of them. rows: {NAME: [..]} */
    const char *request, *replies, *rows;
    const char *user;               /* NULL: a guest */
    struct flow_load_settings load; /* flows_dir is set from flow if that is a file */
    bool json;                      /* JSON Lines {name,value|error} */
};

/* The exit code: 0 good, 1 an expression failed or the flows have errors (on err), 2 usage, 70. */
int eval_run(const struct eval_settings *s, FILE *out, FILE *err);
