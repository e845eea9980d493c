/* T2 */
#include "common/record_mysql.h"

#include <stdlib.h>

struct registering {
    struct record_register *rows;
    size_t n;
};

static int register_rows(struct record_mysql *r, void *arg)
{
    static const struct store_sql q = {
        "INSERT INTO op_job(" RECORD_REGISTER_COLUMNS ") VALUES ", "(?,?,?,?,?,?,?,?)",
        " ON DUPLICATE KEY UPDATE flow=IF(flow='',VALUES(flow),flow)", NULL};
    struct registering *a = arg;
    for (size_t i = 0; i < a->n; i++)
        record_register_columns(r, &a->rows[i]);
    return record_run(r, &q, a->n);
}

static int by_id(const void *a, const void *b)
{
    const struct record_register *x = a, *y = b;
    return record_ids_compare(&x->id, &y->id);
}

/* Rows stand for themselves: each statement commits by itself. In order of id, as claims are:
 * otherwise the two meet in deadlocks. */
int record_register(struct record *record, struct record_register *rows, size_t n)
{
    int err = 0;
    qsort(rows, n, sizeof *rows, by_id);
    for (size_t at = 0; at < n && !err;) {
        struct registering a = {rows + at, store_rows_fill(n - at)};
        err = record_alone(record_mysql_of(record), register_rows, &a);
        at += a.n;
    }
    return err;
}
