/* JSON to parameters, rows to JSON, over a store. */
#include "common/sql.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/json.h"

#define EXACT_MAX (INT64_C(1) << 53)

const char sql_applied_table[] =
    "CREATE TABLE IF NOT EXISTS offpath_applied (job BINARY(16) NOT NULL, step SMALLINT NOT NULL, "
    "at DATETIME(6) NOT NULL, PRIMARY KEY (job, step), KEY at (at)) ENGINE=InnoDB "
    "ROW_FORMAT=DYNAMIC DEFAULT CHARSET=ascii";

bool sql_is_record(const struct database *d, const struct store_url *record)
{
    return strcasecmp(d->host, record->host) == 0 && d->port == record->port &&
           strcmp(d->user, record->user) == 0;
}

/* ---- parameters */

static struct store_value value_of(const struct json *v)
{
    switch (json_type(v)) {
    case JSON_BOOL:
        return store_int(json_bool(v));
    case JSON_NUMBER: {
        double n = json_number(v);
        if (floor(n) == n && fabs(n) <= (double)EXACT_MAX)
            return store_int((int64_t)n);
        return (struct store_value){.kind = STORE_DOUBLE, .d = n};
    }
    case JSON_STRING: {
        const char *text = json_text(v);
        return (struct store_value){.kind = STORE_TEXT, .p = text, .len = strlen(text)};
    }
    default:
        return store_null();
    }
}

static int begin(struct store *s, const struct sql_statement *q)
{
    size_t n = json_size(q->params), i = 0;
    struct store_value *values = calloc(n ? n : 1, sizeof *values);
    int err = values ? 0 : ERR_NOMEM;
    for (const struct json *p = json_first(q->params); p && !err; p = json_next(p))
        values[i++] = value_of(p);
    if (!err && q->schema)
        err = store_use(s, q->schema);
    if (!err)
        err = store_ask(s, q->text, values, n);
    free(values);
    return err;
}

int sql_store_run(struct store *s, const struct sql_statement *q)
{
    const struct store_value *v;
    int err = begin(s, q);
    while (!err && (err = store_next(s, &v)) == 1)
        err = 0;
    return err;
}

/* ---- rows */

static struct json *integer(const struct store_value *v, const struct store_column *c)
{
    struct buf text;
    bool big = c->is_unsigned ? (uint64_t)v->i > EXACT_MAX : v->i > EXACT_MAX || v->i < -EXACT_MAX;
    if (!big)
        return json_new_number((double)v->i);
    buf_init(&text, 0);
    if (c->is_unsigned)
        buf_printf(&text, "%llu", (unsigned long long)v->i);
    else
        buf_printf(&text, "%lld", (long long)v->i);
    struct json *out = json_new_text(buf_str(&text));
    buf_fini(&text);
    return out;
}

/* BIT(n): at most eight bytes, highest first. */
static struct json *bits(const struct store_value *v)
{
    const uint8_t *p = v->p;
    struct store_value number = store_int(0);
    uint64_t all = 0;
    for (size_t i = 0; i < v->len; i++)
        all = all << 8 | p[i];
    number.i = (int64_t)all;
    return integer(&number, &(struct store_column){.is_unsigned = true});
}

static struct json *parsed(const struct store_value *v)
{
    struct json *out = NULL;
    if (json_parse(v->p, v->len, NULL, &out, NULL) == 0)
        return out;
    return json_new_text_n(v->p, v->len); /* not what our parser takes: as it is */
}

static struct json *cell(const struct store_value *v, const struct store_column *c)
{
    switch (v->kind) {
    case STORE_INT:
        return integer(v, c);
    case STORE_DOUBLE:
        return json_new_number(v->d);
    case STORE_NULL:
        return json_new_null();
    default:
        return c->bits ? bits(v) : c->json ? parsed(v) : json_new_text_n(v->p, v->len);
    }
}

static int add_row(struct store *s, const struct store_value *v, size_t *bytes, struct json *rows)
{
    const struct store_column *c;
    size_t n = store_columns(s, &c);
    for (size_t i = 0; i < n; i++)
        *bytes += v[i].len + strlen(c[i].name) + 8;
    if (*bytes > SQL_BYTES_MAX)
        return ERR_TOO_LARGE;
    struct json *row = json_new_object();
    int err = row ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < n && !err; i++)
        err = json_put(row, c[i].name, cell(&v[i], &c[i]));
    if (err) {
        json_free(row);
        return err;
    }
    return json_push(rows, row);
}

int sql_store_rows(struct store *s, const struct sql_statement *q, unsigned rows_max,
                   struct json **out)
{
    const struct store_value *v;
    struct json *rows = json_new_array();
    size_t bytes = 0, n = 0;
    int err = rows ? begin(s, q) : ERR_NOMEM;
    while (!err && (err = store_next(s, &v)) == 1)
        err = ++n > rows_max ? ERR_TOO_LARGE : add_row(s, v, &bytes, rows);
    store_forget(s); /* the server holds the table until they are read */
    if (err)
        json_free(rows);
    else
        *out = rows;
    return err;
}
