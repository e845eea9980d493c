/* A user's own jobs, newest first, by the index `mine`. A read by itself, as all reads. */
#include "common/record_mysql.h"

#include <stdlib.h>
#include <string.h>

static const int64_t FOR_EVER_US = 253402300799LL * 1000000; /* the last second of a DATETIME */

static void add_parameters(struct record_mysql *r, const struct record_list *l)
{
    static const struct job_id last = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    int64_t before_us = l->before_us ? l->before_us : FOR_EVER_US;
    const struct job_id *before_id = l->before_us ? &l->before_id : &last;
    const char *flow = l->flow ? l->flow : "";
    record_int(r, (int64_t)l->result_max);
    record_bytes(r, l->owner.b, sizeof l->owner.b);
    record_time(r, before_us);
    record_time(r, before_us);
    record_bytes(r, before_id->b, sizeof before_id->b);
    record_time(r, l->since_us > 0 ? l->since_us : 1);
    record_text(r, flow);
    record_text(r, flow);
    record_int(r, l->state);
    record_int(r, l->state);
    record_int(r, (int64_t)l->max);
}

static int read_row(const struct store_value *v, struct record_job *j)
{
    record_job_read(v, j);
    int err = record_copy(&v[19], &j->detail, NULL);
    if (!err)
        err = record_copy(&v[20], &j->result, NULL);
    j->result_len = v[21].kind == STORE_NULL ? 0 : (size_t)v[21].i;
    return err;
}

static int list(struct record_mysql *r, void *arg)
{
    /* two plain comparisons: a row comparison does not use the index. The ids are found first: a
     * result lies on pages of its own, which are read for the rows of the answer only */
    static const struct store_sql q = {
        .head = "SELECT " RECORD_JOB_COLUMNS ",detail,IF(LENGTH(result)<=?,result,NULL),"
                "LENGTH(result) FROM (SELECT id FROM op_job WHERE owner=? AND created<=?"
                " AND (created<? OR id<?) AND created>=? AND (?='' OR flow=?)"
                " AND (?<0 OR IF(state=0 AND round>0,1,state)=?)"
                " ORDER BY created DESC,id DESC LIMIT ?) mine JOIN op_job USING(id)"
                " ORDER BY created DESC,id DESC"};
    struct record_list *l = arg;
    const struct store_value *v;
    record_list_fini(l);
    l->rows = calloc(l->max + 1, sizeof *l->rows);
    if (!l->rows)
        return ERR_NOMEM;
    add_parameters(r, l);
    int err = record_run(r, &q, 0);
    while (!err && l->n < l->max && (err = store_next(r->store, &v)) == 1)
        err = read_row(v, &l->rows[l->n++]);
    return err < 0 ? err : 0;
}

int record_list(struct record *record, struct record_list *l)
{
    l->rows = NULL;
    l->n = 0;
    int err = record_alone((struct record_mysql *)(void *)record, list, l);
    if (err)
        record_list_fini(l);
    return err;
}
