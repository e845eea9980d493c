/* operator.h - the person, or script, behind a verb: where to print, whom to ask. */
#pragma once
#include <stdbool.h>
#include <stdio.h>

struct operator_io {
    FILE *out, *err; /* results; everything else */
    FILE *in;        /* asked for "yes" when `terminal` */
    bool terminal;   /* stdin is one */
    bool yes;        /* --yes */
};

/* May the plan just printed be applied? --yes says so; else a terminal is asked; else no, and err
 * says how. */
bool operator_confirms(const struct operator_io *io, const char *verb);
