/* complaint.h - why a verb did not do what was asked, on standard error: a line for people, or with
 * --json one line of problem+json. Main thread. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

struct complaint {
    FILE *err;
    const char *program; /* "offpath-worker"; lent */
    bool json;
};

/* Says it and returns status, an exit_code. What others wrote must be clean before. */
int complain(const struct complaint *c, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The problem alone: {type, title, detail}. */
void complain_json(FILE *err, int status, const char *text);
