/* test_story.h - what happened in a trial, as the document that a test's `expect` looks into:
 * {state, reason, detail, result, ms, rounds,
 * calls: {NAME: {state, code, status, attempts, ms, result}},
 * requests: [{call, item, method, url, body, at}], emits: [{topic, key, value}],
 * statements: [{database, sql, params}], pool: {took, refill, items}}; with for_each NAME holds a
 * list in item order; pool is null without one. Belongs to one thread. */
#pragma once
#include "worker/trial.h"

/* *out: owned (json_free). 0 or ERR_NOMEM. */
int test_story(const struct flow_set *set, const struct flow *f, const struct trial_end *end,
               struct trial *t, struct json **out) must_use;
