/* outcome.h - how a call ended, in the three forms it is told in: `$calls` of expressions, entries
 * of `calls[]` in answers and live events, and rows of the ledger (flow file: Variables; HTTP:
 * Shapes). Belongs to its job's thread. */
#pragma once
#include "common/flow.h"
#include "common/record.h"
#include "worker/items.h"

struct outcome {         /* what a call came to, beside its plan_item */
    struct json *result; /* owned; NULL: null */
    uint32_t seq;        /* its number among the job's events; 0: none */
    uint32_t ms;         /* from its first start to its end */
    uint16_t attempts, status;
    bool in_ledger; /* op_call holds it, and its result */
};
void outcome_fini(struct outcome *o);

/* The value of `$calls`: {name: {ok,state,result,status,attempts,ms,error,item,index}}, with
 * for_each {name: [..]}; there a call that failed as a whole gives one outcome without index, a
 * skipped one none. Takes the results out of the outcomes. *out: owned (json_free). 0 or ERR_NOMEM.
 */
int outcome_variable(const struct flow *f, struct call_items *calls, struct json **out) must_use;
/* The same for an expression of one call: those of its `after` alone, which are over; copied. */
int outcome_seen(const struct flow *f, struct call_items *calls, const struct flow_call *by,
                 struct json **out) must_use;

/* One entry {name,item,state,result,error,attempts,ms} appended to out. result: JSON text; NULL:
 * null; OUTCOME_NO_RESULT: the member is left out, the ledger holds it. */
#define OUTCOME_NO_RESULT ((const char *)"")
void outcome_print(const struct flow *f, const struct plan_item *i, const struct outcome *o,
                   const char *result, struct buf *out);

/* enum call_outcome of a call that is over. */
enum call_outcome outcome_for_ledger(const struct plan_item *i);
/* Take over what a ledger row says; its JSON is parsed. ERR_NOT_JSON: the row is broken, the call
 * is made again. */
int outcome_from_ledger(const struct record_call *row, struct plan_item *i,
                        struct outcome *o) must_use;
