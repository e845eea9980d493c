#include "common/flow.h"

#include <stdio.h>
#include <string.h>

const struct flow_hash_field *flow_hashes(const struct flow *f, const char *field)
{
    for (size_t i = 0; i < f->hash_n; i++)
        if (strcmp(f->hash[i].name, field) == 0)
            return &f->hash[i];
    return NULL;
}

bool flow_sets(const struct flow *f, const char *field)
{
    for (size_t i = 0; i < f->set_n; i++)
        if (strcmp(f->set[i].name, field) == 0)
            return true;
    return false;
}

int flow_set_fields(const struct flow *f, const struct expr_vars *vars, struct json *request,
                    const char **field, struct expr_error *error)
{
    struct json *value[FLOW_FIELDS_MAX] = {NULL};
    int err = 0;
    if (f->set_n && !json_is(request, JSON_OBJECT)) {
        *field = f->set[0].name;
        snprintf(error->text, sizeof error->text, "the request is no object");
        return ERR_EXPRESSION;
    }
    for (size_t i = 0; i < f->set_n && !err; i++) {
        *field = f->set[i].name;
        err = expr_eval(f->set[i].expr, vars, &value[i], error);
    }
    for (size_t i = 0; i < f->set_n; i++) {
        if (err)
            json_free(value[i]);
        else
            err = json_put(request, f->set[i].name, value[i]);
    }
    return err;
}

bool flow_holds_hashes(const struct flow *f, const struct json *request)
{
    for (size_t i = 0; i < f->hash_n; i++) {
        const struct json *v = json_get(request, f->hash[i].name);
        const char *text = json_text(v);
        if (v && !(text && password_is_hash(f->hash[i].kind, text)))
            return false;
    }
    return true;
}
