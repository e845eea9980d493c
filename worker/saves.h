/* saves.h - what a job saves: computed as a whole before anything is stored, kept as one document
 * that the ledger row `$save` holds (protocols: Save).
 *   {"saves": [{"database": "batch", "sql": "INSERT ...", "optional": false, "elsewhere": true,
 *               "rows": [[1, "a"]]}],
 *    "state": "succeeded", "result": {..}, "calls": [..], "emits": [..], "message": "It is made."}
 * message: the text of `notify`; null: none, and absent in rows of older workers.
 * What was elsewhere when it was computed stays a transaction of its own, with offpath_applied: the
 * database may have moved to the record's server after it was applied there.
 * Counted: what is being written borrows from it. Belongs to its job's thread. */
#pragma once
#include "common/job.h"
#include "common/sql.h"
#include "worker/job_emit.h"

enum { SAVES_MAX = 2000, SAVES_TEXT_MAX = 14 << 20 };

struct save_group {                  /* a transaction */
    const char *name;                /* of the database in upstreams.yaml */
    const struct database *database; /* NULL: it is not declared any more */
    bool own;                        /* on the record's server: a part of T6 */
    int step;                        /* place of its first entry; -1: optional */
    struct sql_statement *list;      /* owned */
    size_t n;
};

struct saves {
    unsigned refs;
    struct json *document; /* owned */
    size_t bytes;          /* it takes, roughly */
    /* in order of mention, the record's own server last; then those that are optional */
    struct save_group *groups;
    size_t groups_n;   /* without the optional ones */
    size_t optional_n; /* behind them */
};

/* Which databases there are, and which of them are on the record's server. */
struct saves_world {
    const struct flow_set *set;
    bool (*is_own)(void *arg, const struct database *d);
    void *arg;
};

/* All parameters of flow's `save` with these values. *out: owned by one (saves_put). 0,
 * ERR_EXPRESSION (error filled: also for more than SAVES_MAX statements), ERR_TOO_LARGE, ERR_NOMEM.
 */
int saves_compute(const struct flow *f, const struct expr_vars *vars, const struct saves_world *w,
                  struct saves **out, struct expr_error *error) must_use;
/* The same from what `$save` holds. 0, ERR_INVALID, ERR_NOMEM. */
int saves_read(const char *text, size_t len, const struct saves_world *w,
               struct saves **out) must_use;

/* The document's text for `$save`, with what the job comes to. result, calls: JSON text, message:
 * text; NULL: none. 0, ERR_TOO_LARGE. */
struct saves_end {
    enum job_state state;
    const char *result, *calls, *message;
    const struct job_emits *emits;
};
int saves_print(const struct saves *s, const struct saves_end *end, struct buf *out) must_use;

struct saves *saves_get(struct saves *s); /* one more user */
void saves_put(struct saves *s);          /* NULL is fine */

/* Some of it is neither optional nor on the record's server. */
bool saves_are_elsewhere(const struct saves *s);
/* The one on the record's server; NULL: none. */
const struct save_group *saves_own(const struct saves *s);
