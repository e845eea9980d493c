/* sql_fake.h - users' databases in memory, for tests and virtual time: what a SELECT answers is
 * scripted, what is saved is noted. struct sql_fake is all servers; each sql_fake_open is a
 * connection. The record's fake saves into it, too. Safe from any thread (one lock). */
#pragma once
#include "common/sql.h"

struct sql_fake;
struct sql_fake *sql_fake_new(void); /* NULL without memory */
void sql_fake_free(struct sql_fake *f);
/* arg: the struct sql_fake; fits sql_desks_settings.open. 0 or ERR_NOMEM. */
int sql_fake_open(void *arg, const struct database *d, struct sql **out) must_use;

/* Statements whose text holds this part answer so, until another rule for that part: rows (JSON,
 * for a SELECT; NULL: none) or an error; the first rule made counts. times: how often the error
 * comes, -1: always. part: lent until free. */
void sql_fake_rows(struct sql_fake *f, const char *part, const char *rows);
void sql_fake_fail(struct sql_fake *f, const char *part, int err, int times);
/* The next transaction with this part is done, but its answer is lost. */
void sql_fake_lose(struct sql_fake *f, const char *part);
/* Called before each transaction with this part, outside of the lock. */
void sql_fake_hook(struct sql_fake *f, const char *part, void (*fn)(void *arg), void *arg);
/* Every call with this database (name of its schema; NULL: all) gives ERR_IO until it is back. */
void sql_fake_down(struct sql_fake *f, const char *schema, bool down);

/* Statements committed so far as "SCHEMA: TEXT [PARAMETERS]" that hold this part. */
size_t sql_fake_saved(struct sql_fake *f, const char *part);
/* All of them, in order: [{schema, sql, params}]. *out: owned. 0 or ERR_NOMEM. */
int sql_fake_statements(struct sql_fake *f, struct json **out) must_use;
/* The same of SELECTs asked, answered or not. */
size_t sql_fake_asked(struct sql_fake *f, const char *part);
/* How often offpath_applied of any database was swept. */
size_t sql_fake_swept(struct sql_fake *f);
/* A transaction as a server runs it; the record's fake uses it. step: as sql_ops.apply. */
int sql_fake_apply(struct sql_fake *f, const char *schema, const struct job_id *job, int step,
                   const struct sql_statement *q, size_t n) must_use;
