/* store_client.h - what store.c and the client's adapter share; only they include it. What belongs
 * to the client stands as void: store_mysql.c alone knows its types. */
#pragma once
#include "common/store.h"

enum { STMTS_MAX = 192 };

struct stmt {
    const struct store_sql *q;
    size_t rows, params_n, columns_n;
    void *handle;
    void *params, *times, *results, *meta; /* the client's, as are the columns; meta: their names */
    struct column *columns;
    struct store_value *values;
    struct store_column *shapes; /* of a user's */
    char *text, db[65];          /* of a user's, owned: what it was made of, and where */
};

struct store {
    void *client;
    enum store_mode mode;
    bool lost, all_new;
    int64_t affected;
    struct stmt *active; /* whose rows are being read */
    struct stmt stmts[STMTS_MAX];
    size_t stmts_n, victim;
    struct stmt user; /* the last of a user's */
    char db[65];
    char why[STORE_WHY];
};

/* ---- store_mysql.c. All zero but `text`, or as stmt_fini leaves it. */
int stmt_make(struct store *s, struct stmt *t, const char *sql, size_t len) must_use;
int stmt_run(struct store *s, struct stmt *t, size_t rows, const struct store_value *params,
             size_t n) must_use;
void stmt_forget_rows(struct store *s);
void stmt_fini(struct stmt *t);
/* ---- store.c */
int store_session(struct store *s) must_use;
