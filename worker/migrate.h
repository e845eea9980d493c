/* migrate.h - the verb `migrate status|plan|apply` of the worker: the tables of the record. Prints
 * to out and err, asks only a terminal; apply prints its plan first and never deletes. */
#pragma once
#include <stdio.h>
#include "common/record.h"

struct migrate_io {
    FILE *out, *err;
    FILE *in;      /* asked for "yes" when `terminal` */
    bool terminal; /* stdin is one */
    bool yes;      /* --yes */
};
/* The exit code: 0 good (status: up to date), 1 status: something to apply, 2 usage, 3 MySQL did
 * not answer or refused, 5 not confirmed, or another migrate is running. */
int migrate_verb(const struct record_settings *s, const char *verb, const struct migrate_io *io);
