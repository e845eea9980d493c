/* job_sql.h - a job's statements in users' databases: before its calls (job_load.c) and at its end
 * (job_save.c). Between the files of job_run.h only. */
#pragma once
#include "worker/databases.h"
#include "worker/job_parts.h"
#include "worker/saves.h"

/* Lent to the databases with its job. j may be gone after either call; s is freed then. */
struct job_sql;
typedef void job_sql_fn(struct job_run *j, struct job_sql *s);
struct job_sql {
    struct sql_op op; /* first */
    struct job_run *job;
    job_sql_fn *back;         /* it is back, and the job waits for it */
    job_sql_fn *too_late;     /* it is back, and the job was dropped meanwhile; NULL: nothing */
    struct sql_statement one; /* of a load */
    struct json *params;      /* owned; what `one` borrows */
    struct saves *saves;      /* counted; what a save borrows */
    size_t at;                /* place of the optional save */
};
struct job_sql *job_sql_new(struct job_run *j, enum sql_kind kind, job_sql_fn *back);
void job_sql_put(struct job_sql *s);  /* taken */
void job_sql_free(struct job_sql *s); /* one that was not put */
/* Was it only away or locked? Then fn comes again after a while, twice as long each time. */
bool job_sql_again(struct job_run *j, int status, due_fn *fn);

/* The databases as saves.h asks for them. */
struct saves_world job_saves_world(const struct job_run *j);
