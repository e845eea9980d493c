/* What T6 does in users' databases on the record's own server, and the row `$save` of what is done
 * on others. */
#include "common/record_mysql.h"
#include "common/sql.h"

#include <stdio.h>

static int forget(struct record_mysql *r, const struct job_id *id)
{
    static const struct store_sql q = {.head = "DELETE FROM op_call WHERE job=? AND name='$save'"};
    record_bytes(r, id->b, sizeof id->b);
    return record_run(r, &q, 0);
}

/* Never, for this statement: the transaction goes, and the finish says why. */
static int refused(struct record_mysql *r, struct record_saves *saves, int err)
{
    saves->err = err == ERR_EXISTS ? ERR_EXISTS : ERR_REFUSED;
    snprintf(saves->why, sizeof saves->why, "%s", store_why(r->store));
    return ERR_REFUSED;
}

static int run_one(struct record_mysql *r, struct record_finish *f)
{
    struct record_saves *saves = f->saves;
    int err = 0;
    saves->err = 0;
    for (size_t i = 0; i < saves->n && !err; i++)
        err = sql_store_run(r->store, &saves->list[i]);
    if (err && err != ERR_IO && err != ERR_CONFLICT && err != ERR_NOMEM)
        return refused(r, saves, err);
    if (!err && saves->n)
        err = store_use(r->store, r->url.db);
    return err || !saves->forget ? err : forget(r, &f->id);
}

int record_saves_run(struct record_mysql *r, struct record_finish *const *rows, size_t n)
{
    int err = 0;
    for (size_t i = 0; i < n && !err; i++)
        if (rows[i]->saves && rows[i]->stored == rows[i]->state)
            err = run_one(r, rows[i]);
    return err;
}

int record_saves_may(struct record_mysql *r, const struct job_id *id, bool *may)
{
    static const struct store_sql q = {.head = "SELECT cancel FROM op_job WHERE id=? FOR UPDATE"};
    const struct store_value *v;
    record_bytes(r, id->b, sizeof id->b);
    int err = record_run_first(r, &q, &v);
    *may = err != 1 || v[0].i == 0;
    return err < 0 ? err : 0;
}

int record_saves_has(struct record_mysql *r, const struct job_id *id, bool *has)
{
    static const struct store_sql q = {
        .head = "SELECT 1 FROM op_call WHERE job=? AND name='$save' LIMIT 1"};
    const struct store_value *v;
    record_bytes(r, id->b, sizeof id->b);
    int err = record_run_first(r, &q, &v);
    *has = err == 1;
    return err < 0 ? err : 0;
}
