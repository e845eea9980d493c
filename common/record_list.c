/* A user's own jobs, newest first, by the index `mine`. A read by itself, as all reads. */
#include "common/record_mysql.h"

#include <stdlib.h>
#include <string.h>

static const int64_t FOR_EVER_US = 253402300799LL * 1000000; /* the last second of a DATETIME */

/* Whose, since when and behind which job: what the index alone answers. */
static void add_place(struct record_mysql *r, const struct record_list *l)
{
    static const struct job_id last = {
        {255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255}};
    int64_t before_us = l->before_us ? l->before_us : FOR_EVER_US;
    const struct job_id *before_id = l->before_us ? &l->before_id : &last;
    record_bytes(r, l->owner.b, sizeof l->owner.b);
    record_time(r, before_us);
    record_time(r, before_us);
    record_bytes(r, before_id->b, sizeof before_id->b);
    record_time(r, l->since_us > 0 ? l->since_us : 1);
}

/* Which rows of those, down to the job that ends the scan. */
static void add_filter(struct record_mysql *r, const struct record_list *l)
{
    const char *flow = l->flow ? l->flow : "";
    record_text(r, flow);
    record_text(r, flow);
    record_int(r, l->state);
    record_int(r, l->state);
    record_time(r, l->cut ? l->cut_us : 1);
    record_time(r, l->cut ? l->cut_us : 1);
    record_bytes(r, l->cut_id.b, sizeof l->cut_id.b);
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

/* A filter that few rows fit would read all rows of a user with 100,000 jobs: the job that is
 * scan_max places on ends the scan. The index alone finds it. */
static int find_cut(struct record_mysql *r, struct record_list *l)
{
    static const struct store_sql q = {
        .head = "SELECT created,id FROM op_job WHERE owner=? AND created<=?"
                " AND (created<? OR id<?) AND created>=?"
                " ORDER BY created DESC,id DESC LIMIT 1 OFFSET ?"};
    const struct store_value *v;
    bool filtered = (l->flow && l->flow[0]) || l->state >= 0;
    l->cut = false;
    l->cut_id = (struct job_id){{0}};
    if (!filtered || l->scan_max == 0)
        return 0;
    add_place(r, l);
    record_int(r, (int64_t)l->scan_max - 1);
    int err = record_run(r, &q, 0);
    if (!err && (err = store_next(r->store, &v)) == 1) {
        l->cut = true;
        l->cut_us = v[0].i;
        if (v[1].len == sizeof l->cut_id.b)
            memcpy(l->cut_id.b, v[1].p, sizeof l->cut_id.b);
        err = store_next(r->store, &v);
    }
    return err < 0 ? err : 0;
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
                " AND created>=? AND (created>? OR id>=?)"
                " ORDER BY created DESC,id DESC LIMIT ?) mine JOIN op_job USING(id)"
                " WHERE ?=0 OR state<10 OR finished>=?"
                " ORDER BY created DESC,id DESC"};
    struct record_list *l = arg;
    const struct store_value *v;
    record_list_fini(l);
    int err = find_cut(r, l);
    if (err)
        return err;
    l->rows = calloc(l->max + 1, sizeof *l->rows);
    if (!l->rows)
        return ERR_NOMEM;
    record_int(r, (int64_t)l->result_max);
    add_place(r, l);
    add_filter(r, l);
    record_int(r, (int64_t)l->max);
    record_int(r, l->ended_us ? 1 : 0);
    record_time(r, l->ended_us ? l->ended_us : 1);
    err = record_run(r, &q, 0);
    while (!err && l->n < l->max && (err = store_next(r->store, &v)) == 1)
        err = read_row(v, &l->rows[l->n++]);
    l->cut = l->cut && l->n < l->max; /* else the page ends before the scan does */
    return err < 0 ? err : 0;
}

int record_list(struct record *record, struct record_list *l)
{
    l->rows = NULL;
    l->n = 0;
    int err = record_alone(record_mysql_of(record), list, l);
    if (err)
        record_list_fini(l);
    return err;
}
