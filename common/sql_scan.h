/* sql_scan.h - looks at the text of an `sql` template without knowing SQL: quotes, comments, holes
 * and the words outside of them. For lint, before the server sees the statement. Pure; any thread.
 */
#pragma once
#include <stddef.h>

enum sql_problem {
    SQL_FINE,
    SQL_QUOTED_HOLE, /* a hole inside quotes or a comment: it would stay text */
    SQL_SEVERAL,     /* something behind a `;` */
    SQL_MARK,        /* a `?`: the place of a parameter nobody gives */
    SQL_OPEN,        /* a quote or comment does not end */
    SQL_EMPTY        /* no word at all */
};

enum { SQL_VERB = 16 };
struct sql_scan {
    enum sql_problem problem; /* the first */
    size_t offset;            /* its byte in the text */
    char verb[SQL_VERB];      /* upper case: the first word, or behind WITH that of the statement */
    size_t verb_offset;
    size_t end; /* the statement's length, without a last `;` and what follows it */
};
void sql_scan(const char *text, struct sql_scan *out);
