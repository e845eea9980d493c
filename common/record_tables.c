/* Are the tables there as this program uses them? op_schema tells the version, but nothing of what
 * was dropped, restored only in part or not granted. One question for all: it is asked each time
 * that the record is opened, never of a statement. */
#include "common/record_mysql.h"

#include <stdio.h>
#include <string.h>

#include "common/buf.h"

enum { TABLES_MAX = 16, NAMES_MAX = 110 };

struct looking {
    uint32_t seen[TABLES_MAX]; /* by table, a bit for each column */
};

/* The next of a table's columns; false: that was the last. */
static bool next_column(const char **at, const char **column, size_t *len)
{
    *column = *at + strspn(*at, " ");
    *len = strcspn(*column, " ");
    *at = *column + *len;
    return *len > 0;
}

static bool is_word(const char *word, size_t len, const struct store_value *v)
{
    return v->len == len && memcmp(v->p, word, len) == 0;
}

static void see(struct looking *a, const struct store_value *table, const struct store_value *name)
{
    for (size_t i = 0; record_tables[i].name; i++) {
        const struct record_table *t = &record_tables[i];
        const char *at = t->columns, *column;
        size_t len;
        if (!is_word(t->name, strlen(t->name), table))
            continue;
        for (uint32_t bit = 1; next_column(&at, &column, &len); bit <<= 1)
            a->seen[i] |= is_word(column, len, name) ? bit : 0;
    }
}

static int look(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        .head = "SELECT table_name,column_name FROM information_schema.columns"
                " WHERE table_schema=DATABASE() AND"
                " (table_name LIKE 'op!_%' ESCAPE '!' OR table_name='offpath_applied')"};
    struct looking *a = arg;
    const struct store_value *v;
    memset(a, 0, sizeof *a);
    int err = record_run(r, &q, 0);
    while (!err && (err = store_next(r->store, &v)) == 1) {
        see(a, &v[0], &v[1]);
        err = 0;
    }
    return err;
}

/* Whole names only: once one does not fit, the list is failed and takes no more. */
static void add_missing(struct buf *names, const struct record_table *t, uint32_t seen)
{
    const char *at = t->columns, *column;
    size_t len;
    if (!seen)
        buf_printf(names, "%s%s", names->len ? ", " : "", t->name);
    for (uint32_t bit = 1; seen && next_column(&at, &column, &len); bit <<= 1)
        if (!(seen & bit))
            buf_printf(names, "%s%s.%.*s", names->len ? ", " : "", t->name, (int)len, column);
}

static int check_columns(struct record_mysql *r, char why[STORE_WHY])
{
    struct looking a;
    struct buf names;
    int err = record_alone(r, look, &a);
    if (err) {
        snprintf(why, STORE_WHY, "MySQL: %.240s", r->why);
        return err;
    }
    buf_init(&names, NAMES_MAX);
    for (size_t i = 0; record_tables[i].name; i++)
        add_missing(&names, &record_tables[i], a.seen[i]);
    err = names.len ? ERR_SETUP : buf_ok(&names);
    if (names.len)
        snprintf(why, STORE_WHY,
                 "MySQL: missing, or not granted to this user: %s%s; restore or grant it, or make "
                 "it as in "
                 "deploy/sql/001-record.sql",
                 buf_str(&names), names.failed ? ", ..." : "");
    buf_fini(&names);
    return err;
}

/* A program of version N runs on tables of N and N+1 (protocols: migrate). */
int record_tables_check(struct record_mysql *r, char why[STORE_WHY])
{
    int version = 0, err = record_schema(&r->record, &version);
    if (err == ERR_SETUP) {
        snprintf(why, STORE_WHY,
                 "MySQL: the tables are missing: run `offpath-worker migrate apply`");
    } else if (err) {
        snprintf(why, STORE_WHY, "MySQL: %.240s", r->why);
    } else if (version < RECORD_SCHEMA || version > RECORD_SCHEMA + 1) {
        err = ERR_SETUP;
        snprintf(why, STORE_WHY, "MySQL: the tables are of version %d, this program needs %d: %s",
                 version, RECORD_SCHEMA,
                 version < RECORD_SCHEMA ? "run `offpath-worker migrate apply`"
                                         : "use a newer program");
    }
    return err ? err : check_columns(r, why);
}
