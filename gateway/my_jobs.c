#include "gateway/my_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "gateway/auth.h"
#include "gateway/job_view.h"
#include "gateway/problem.h"

enum { TEXT = 80 };

struct page {
    const char *query;
    char flow[TEXT];
    struct record_list list;
};

/* A parameter; "" if it is not there. */
static int take(const struct page *p, const char *name, char out[TEXT])
{
    out[0] = 0;
    return http_query_text(p->query, name, out, TEXT) < 0 ? ERR_INVALID : 0;
}

static int read_number(const char *text, size_t digits_max, int64_t *out)
{
    size_t n = strlen(text);
    if (n == 0 || n > digits_max || strspn(text, "0123456789") != n)
        return ERR_INVALID;
    *out = strtoll(text, NULL, 10);
    return 0;
}

static int read_state(struct page *p)
{
    char text[TEXT];
    enum job_state state = JOB_NONE;
    int err = take(p, "state", text);
    if (!err && text[0])
        err = job_state_parse(text, &state) != 0 || state == JOB_NONE ? ERR_INVALID : 0;
    p->list.state = (int)state;
    return err;
}

static int read_since(struct page *p)
{
    char text[TEXT];
    if (take(p, "since", text) != 0)
        return ERR_INVALID;
    return text[0] ? clock_parse(text, strlen(text), &p->list.since_us) : 0;
}

/* "MICROSECONDS.ID" of the last job of the page before. */
static int read_cursor(struct page *p)
{
    char text[TEXT];
    if (take(p, "cursor", text) != 0)
        return ERR_INVALID;
    if (!text[0])
        return 0;
    char *dot = strchr(text, '.');
    if (!dot)
        return ERR_INVALID;
    *dot = 0;
    int err = read_number(text, 17, &p->list.before_us);
    return err ? err : id_parse(dot + 1, &p->list.before_id);
}

static int read_limit(struct page *p)
{
    char text[TEXT];
    int64_t limit = MY_JOBS_LIMIT;
    if (take(p, "limit", text) != 0 || (text[0] && read_number(text, TEXT, &limit) != 0) ||
        limit < 1)
        return ERR_INVALID;
    p->list.max = (size_t)(limit > MY_JOBS_LIMIT_MAX ? MY_JOBS_LIMIT_MAX : limit);
    return 0;
}

/* 0, ERR_BAD_PARAMETER or ERR_BAD_CURSOR; *why: what it should be. */
static int read_page(struct page *p, const char **why)
{
    int err = ERR_BAD_PARAMETER;
    if (take(p, "flow", p->flow) != 0) {
        *why = "flow is no name";
    } else if (read_state(p) != 0) {
        *why = "state is queued, running, succeeded, partial, failed, cancelled or expired";
    } else if (read_since(p) != 0) {
        *why = "since is a time like 2026-11-28T01:20:00Z";
    } else if (read_cursor(p) != 0) {
        err = ERR_BAD_CURSOR;
        *why = "cursor is `next` of the page before";
    } else if (read_limit(p) != 0) {
        *why = "limit is a number from 1 to 100; more is 100";
    } else {
        err = 0;
    }
    return err;
}

static void print_cursor(int64_t us, const struct job_id *id, struct buf *b)
{
    char text[ID_TEXT];
    id_format(id, text);
    buf_printf(b, "\"%lld.%s\"}", (long long)us, text);
}

static void print(const struct page *p, size_t shown, const struct http_request *q, struct buf *b)
{
    const struct record_list *l = &p->list;
    buf_text(b, "{\"items\":[");
    for (size_t i = 0; i < shown; i++) {
        if (i)
            buf_char(b, ',');
        job_view_print_row(&l->rows[i], q->public_url, b);
    }
    buf_text(b, "],\"next\":");
    if (shown < l->n)
        print_cursor(l->rows[shown - 1].created_us, &l->rows[shown - 1].id, b);
    else if (l->cut)
        print_cursor(l->cut_us, &l->cut_id, b);
    else
        buf_text(b, "null}");
}

void my_jobs_get(struct jobs *j, const struct http_request *q, struct http_reply *r)
{
    struct page p = {.query = q->query,
                     .list = {.owner = q->user->owner,
                              .result_max = MY_JOBS_RESULT_MAX,
                              .scan_max = MY_JOBS_SCAN_MAX}};
    if (owner_is_nobody(&q->user->owner)) {
        auth_challenge(q, r);
        return;
    }
    const char *why = NULL;
    int err = read_page(&p, &why);
    if (err) {
        problem_simple(q, r, err, why);
        return;
    }
    size_t limit = p.list.max++; /* one more tells whether there is a next page */
    p.list.flow = p.flow;
    if (reader_list(j->reader, &p.list) != 0) {
        problem_simple(q, r, ERR_UNAVAILABLE, NULL);
        return;
    }
    print(&p, p.list.n < limit ? p.list.n : limit, q, &r->body);
    record_list_fini(&p.list);
    http_reply_header(r, "Cache-Control", "private, no-store");
    r->status = 200;
    r->type = "application/json";
}
