/* job_sql.h - a job's statements in users' databases: before its calls (job_load.c) and at its end
 * (job_save.c). Between the files of job_run.h only. */
#pragma once
#include "worker/databases.h"
#include "worker/job_run.h"
#include "worker/saves.h"

/* Lent to the databases with its job; freed by its done. */
struct job_sql {
    struct sql_op op; /* first */
    struct job_run *job;
    struct sql_statement one; /* of a load */
    struct json *params;      /* owned; what `one` borrows */
    struct saves *saves;      /* counted; what a save borrows */
    struct job_op *ended;     /* of an optional save: T6, which is written. Owned */
    size_t at;                /* place of the optional save */
};
struct job_sql *job_sql_new(struct job_run *j, enum sql_kind kind, loop_fn *done);
void job_sql_put(struct job_sql *s);
/* It is back. False: the job was dropped meanwhile (j may be gone), only free it. */
bool job_sql_back(struct job_sql *s);
void job_sql_free(struct job_sql *s);
/* Was it only away or locked? Then fn comes again after a while, twice as long each time. */
bool job_sql_again(struct job_run *j, int status, due_fn *fn);

/* The databases as saves.h asks for them. */
struct saves_world job_saves_world(const struct job_run *j);
