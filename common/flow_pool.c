/* A pool's key, and what its refills have of a request. */
#include "common/flow.h"

#include <stdio.h>
#include <string.h>

#include "common/json.h"

static int wrong_key(struct expr_error *error, const char *text)
{
    if (error) {
        *error = (struct expr_error){0};
        snprintf(error->text, sizeof error->text, "%s", text);
    }
    return ERR_EXPRESSION;
}

int flow_pool_key(const struct flow *f, const struct expr_vars *vars, struct buf *out,
                  struct expr_error *error)
{
    struct json *v = NULL;
    int err = expr_eval(f->pool.key, vars, &v, error);
    if (err)
        return err;
    size_t before = out->len;
    if (!json_print_scalar(v, out))
        err = wrong_key(error, "the pool's key must be a string, number or boolean");
    json_free(v);
    if (!err && buf_ok(out))
        err = ERR_NOMEM;
    if (!err && out->len - before > FLOW_POOL_KEY_MAX)
        err = wrong_key(error, "the pool's key is longer than 200 bytes");
    return err;
}

int flow_pool_fields(const struct flow *f, const struct json *request, struct json **out)
{
    if (!json_is(request, JSON_OBJECT))
        return ERR_INVALID;
    struct json *fields = json_new_object();
    int err = fields ? 0 : ERR_NOMEM;
    for (size_t i = 0; i < f->pool.fields_n && !err; i++) {
        const struct json *v = json_get(request, f->pool.fields[i]);
        if (v)
            err = json_put(fields, f->pool.fields[i], json_copy(v));
    }
    if (err)
        json_free(fields);
    else
        *out = fields;
    return err;
}
