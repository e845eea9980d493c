/* eval_print.h - one line of what `eval` says: the name of a part and its value, or what is wrong.
 */
#pragma once
#include <stdbool.h>
#include <stdio.h>

struct eval_line {      /* borrowed */
    const char *name;   /* "calls.list.ok" */
    const char *member; /* "value": text is JSON; else what the text is, like "error" */
    const char *text;
};

/* As a line of a table, or as JSON {name, MEMBER}. */
void eval_print(FILE *out, bool json, const struct eval_line *l);
