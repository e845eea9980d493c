/* user_databases.h - are the databases that flows load from and save to there, with offpath_applied
 * where a save on another server than the record's needs it? For start-up, `check` and `migrate`.
 * Main thread; blocks. */
#pragma once
#include <stdio.h>
#include "common/buf.h"
#include "common/sql.h"

enum { USER_DATABASES_WHY = 1024 };

struct user_databases {
    const struct flow_set *set;
    const char *const *only; /* names of the flows that are consumed; only_n 0: all */
    size_t only_n;
    const char *record; /* the record's address, mysql://... */
    const struct sql_settings *connect;
    /* opens a connection; NULL: sql_mysql_open */
    int (*open)(void *arg, const struct database *d, struct sql **out);
    void *arg;
};
/* Each that is used. 0; ERR_SETUP with why: what to do about the first that is missing. One that is
 * away is no reason not to start: its line goes to away, if that is not NULL. */
int user_databases_check(const struct user_databases *u, FILE *away,
                         char why[USER_DATABASES_WHY]) must_use;
/* One line each (server_line.h). 0, or ERR_SETUP for any that is not well. */
int user_databases_show(const struct user_databases *u, bool json, FILE *out) must_use;
/* The statements still to run, as text appended to out, for `migrate plan`. 0, or the error of one
 * with why. */
int user_databases_plan(const struct user_databases *u, struct buf *out,
                        char why[USER_DATABASES_WHY]) must_use;
/* Create offpath_applied where it is missing. As above. */
int user_databases_apply(const struct user_databases *u, char why[USER_DATABASES_WHY]) must_use;
