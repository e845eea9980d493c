/* T7: queue jobs again for a later round, with the records that bring them back. They were locked
 * and judged as those that end. */
#include "common/record_mysql.h"

static int write_row(struct record_mysql *r, const struct record_finish *f)
{
    static const struct store_sql q = {
        .head = "UPDATE op_job SET state=0,worker=0,round=round+1,seq=?,retry_at=?,sweep_at=?"
                " WHERE id=?"};
    record_int(r, f->seq);
    record_time(r, f->due_us);
    record_time(r, f->sweep_at_us);
    record_bytes(r, f->id.b, sizeof f->id.b);
    return record_run(r, &q, 0);
}

int record_again(struct record_mysql *r, struct record_finish **rows, size_t *n, uint16_t *rounds)
{
    size_t kept = 0;
    int err = 0;
    for (size_t i = 0; i < *n && !err; i++) {
        if (rows[i]->stored == JOB_QUEUED) {
            err = write_row(r, rows[i]);
        } else {
            rows[kept] = rows[i];
            rounds[kept++] = rounds[i];
        }
    }
    *n = kept;
    return err;
}
