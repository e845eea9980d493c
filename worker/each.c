#include "worker/each.h"

#include <stdio.h>

int each_wanted(struct expr *when, const struct expr_vars *vars, bool *wanted,
                struct expr_error *error)
{
    const struct json *v = NULL;
    struct json *owned = NULL;
    if (!when)
        return 0;
    int err = expr_view(when, vars, &v, &owned, error);
    if (!err && !json_is(v, JSON_BOOL) && !json_is(v, JSON_NULL)) {
        snprintf(error->text, sizeof error->text, "`when` is neither true nor false");
        err = ERR_EXPRESSION;
    }
    if (!err)
        *wanted = json_bool(v);
    json_free(owned);
    return err;
}

int each_list(const struct flow_each *each, const struct expr_vars *vars, const struct json **list,
              struct json **owned, struct expr_error *error)
{
    const struct json *v = each->list;
    int err = v ? 0 : expr_view(each->expr, vars, &v, owned, error);
    if (!err && !json_is(v, JSON_ARRAY)) {
        snprintf(error->text, sizeof error->text, "`for_each` is no array");
        err = ERR_EXPRESSION;
    }
    if (!err)
        *list = v;
    return err;
}
