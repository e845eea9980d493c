#include "worker/user_databases.h"

#include <string.h>

#include "worker/databases.h"
#include "worker/server_line.h"

static bool is_used(const struct user_databases *u, const struct database *d)
{
    return databases_is_used(u->set, u->only, u->only_n, d);
}

static bool needs_applied(const struct user_databases *u, const struct database *d)
{
    struct store_url record;
    char why[STORE_WHY];
    return store_url_parse(u->record, &record, why) == 0 &&
           databases_needs_applied(u->set, u->only, u->only_n, d, &record);
}

static int open_one(const struct user_databases *u, const struct database *d, struct sql **out)
{
    return u->open ? u->open(u->arg, d, out) : sql_mysql_open(u->connect, d, out);
}

/* err: what its server said, or why it said nothing. */
static void say_away(const struct database *d, int err, const char *text,
                     char why[USER_DATABASES_WHY])
{
    snprintf(why, USER_DATABASES_WHY,
             "database %s at %s:%u: %s; %s it, or mend `databases` in "
             "upstreams.yaml",
             d->name, d->host, d->port, text, err == ERR_IO ? "start" : "create");
}

/* 0, or the error and what to do about it. */
static int look(const struct user_databases *u, const struct database *d,
                char why[USER_DATABASES_WHY])
{
    struct sql *sql = NULL;
    bool applied = needs_applied(u, d);
    int err = open_one(u, d, &sql);
    if (err)
        return err;
    err = sql->ops->look(sql, applied);
    if (err == ERR_SETUP)
        snprintf(why, USER_DATABASES_WHY,
                 "database %s: the table offpath_applied is missing in %s: run `offpath-worker "
                 "migrate apply`",
                 d->name, d->schema);
    else if (err)
        say_away(d, err, sql->ops->why(sql), why);
    sql->ops->close(sql);
    return err;
}

int user_databases_check(const struct user_databases *u, FILE *away, char why[USER_DATABASES_WHY])
{
    for (size_t i = 0; i < u->set->databases_n; i++) {
        const struct database *d = &u->set->databases[i];
        char line[USER_DATABASES_WHY] = "";
        int err = is_used(u, d) ? look(u, d, line) : 0;
        if (err == ERR_IO && away)
            fprintf(away, "offpath-worker: %s; jobs wait for it\n", line);
        if (!err || err == ERR_IO)
            continue;
        memcpy(why, line, sizeof line);
        return ERR_SETUP;
    }
    return 0;
}

int user_databases_show(const struct user_databases *u, bool json, FILE *out)
{
    int err = 0;
    for (size_t i = 0; i < u->set->databases_n; i++) {
        const struct database *d = &u->set->databases[i];
        char line[USER_DATABASES_WHY] = "";
        if (!is_used(u, d))
            continue;
        int one = look(u, d, line);
        server_line(out, json, "database", d->name, one ? line : NULL);
        err = one ? ERR_SETUP : err;
    }
    return err;
}

typedef int act_fn(const struct database *d, struct sql *sql, struct buf *out);

static int act_all(const struct user_databases *u, act_fn *act, struct buf *out,
                   char why[USER_DATABASES_WHY])
{
    int err = 0;
    for (size_t i = 0; i < u->set->databases_n && !err; i++) {
        const struct database *d = &u->set->databases[i];
        struct sql *sql = NULL;
        if (!needs_applied(u, d))
            continue;
        err = open_one(u, d, &sql);
        if (!err)
            err = act(d, sql, out);
        if (err)
            say_away(d, err, sql ? sql->ops->why(sql) : err_text(err), why);
        if (sql)
            sql->ops->close(sql);
    }
    return err;
}

static int plan_one(const struct database *d, struct sql *sql, struct buf *out)
{
    int err = sql->ops->look(sql, true);
    if (err == ERR_SETUP)
        buf_printf(out, "-- database %s: %s at %s:%u\n%s;\n", d->name, d->schema, d->host, d->port,
                   sql_applied_table);
    return err == ERR_SETUP ? buf_ok(out) : err;
}

static int apply_one(const struct database *d, struct sql *sql, struct buf *out)
{
    (void)d;
    (void)out;
    return sql->ops->prepare(sql);
}

int user_databases_plan(const struct user_databases *u, struct buf *out,
                        char why[USER_DATABASES_WHY])
{
    return act_all(u, plan_one, out, why);
}

int user_databases_apply(const struct user_databases *u, char why[USER_DATABASES_WHY])
{
    return act_all(u, apply_one, NULL, why);
}
