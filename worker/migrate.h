/* migrate.h - the verb `migrate status|plan|apply` of the worker: the tables of the record, and
 * offpath_applied in users' databases. Prints
 * to out and err, asks only a terminal; apply prints its plan first and never deletes. */
#pragma once
#include "common/record.h"
#include "worker/operator.h"
#include "worker/user_databases.h"

/* users: NULL: none are known. The exit code: 0 good (status: up to date), 1 status: something to
 * apply, 2 usage, 3 MySQL did not answer or refused, or a table or column of this version is
 * missing, 5 not confirmed, or another migrate is running. */
int migrate_run(const struct record_settings *s, const struct user_databases *users,
                const char *verb, const struct operator_io *io);
