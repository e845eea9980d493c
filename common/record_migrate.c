/* Forward only. MySQL commits each DDL statement by itself, so a version cannot be one transaction:
 * its last statement is its row in op_schema, and all before it may be run again. */
#include "common/record_mysql.h"

#include <stdio.h>
#include <string.h>

static void say(struct record_mysql *r, char *why)
{
    if (why)
        snprintf(why, STORE_WHY, "MySQL: %.240s", r->store ? store_why(r->store) : r->why);
}

/* What is of this version must also be whole: no version mends what somebody dropped. */
static int check(struct record_mysql *r, char *why)
{
    char text[STORE_WHY];
    int err = record_tables_check(r, text);
    if (err && why)
        snprintf(why, STORE_WHY, "%s", text);
    return err;
}

static int present(struct record_mysql *r, int *version)
{
    *version = 0;
    int err = record_schema(&r->record, version);
    return err == ERR_SETUP ? 0 : err; /* no tables yet */
}

int record_migrate_plan(const struct record_settings *s, struct buf *out, char *why)
{
    struct record_mysql *r;
    int version = 0, err = record_mysql_connect(s, &r, why);
    if (err)
        return err;
    err = present(r, &version);
    if (err)
        say(r, why);
    for (int v = version; !err && v < RECORD_SCHEMA; v++) {
        for (const char *const *q = record_schema_versions[v]; *q; q++)
            buf_printf(out, "%s\n\n", *q);
    }
    if (!err && version >= RECORD_SCHEMA)
        err = check(r, why);
    if (!err)
        err = buf_ok(out);
    r->record.ops->close(&r->record);
    return err;
}

static int lock(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        .head = "SELECT GET_LOCK(CONCAT('offpath.migrate.',DATABASE()),9)"};
    const struct store_value *v;
    (void)arg;
    int err = record_run_first(r, &q, &v);
    return err < 0 ? err : err == 1 && v[0].i == 1 ? 0 : ERR_TIMEOUT;
}

/* Each version ends with its row in op_schema: cut short, it is begun again, and tables that are
 * there already are passed over. */
static int apply_version(struct record_mysql *r, const char *const *statements)
{
    int err = 0;
    for (; *statements && !err; statements++) {
        err = store_exec(r->store, *statements);
        if (err == ERR_EXISTS)
            err = 0;
    }
    return err;
}

int record_migrate_apply(const struct record_settings *s, char *why)
{
    struct record_mysql *r;
    int version = 0, err = record_mysql_connect(s, &r, why);
    if (err)
        return err;
    err = record_alone(r, lock, NULL); /* given back with the connection */
    if (err == ERR_TIMEOUT) {
        if (why)
            snprintf(why, STORE_WHY, "another migrate is running: wait for it");
        goto out;
    }
    if (!err)
        err = present(r, &version);
    for (int v = version; !err && v < RECORD_SCHEMA; v++)
        err = apply_version(r, record_schema_versions[v]);
    if (err)
        say(r, why);
    else
        err = check(r, why);
out:
    r->record.ops->close(&r->record);
    return err;
}
