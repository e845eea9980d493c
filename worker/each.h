/* each.h - `when` and `for_each`, of calls, saves and what else has them. Pure; any thread. */
#pragma once
#include "common/flow.h"

/* True, or false or null; anything else is an error. when NULL: *wanted stays as it is. 0,
 * ERR_EXPRESSION (error filled), ERR_NOMEM. */
int each_wanted(struct expr *when, const struct expr_vars *vars, bool *wanted,
                struct expr_error *error) must_use;
/* The array: *list lent with each, vars and *owned (json_free; NULL where there is none). As above.
 */
int each_list(const struct flow_each *each, const struct expr_vars *vars, const struct json **list,
              struct json **owned, struct expr_error *error) must_use;
