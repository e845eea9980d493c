/* job.h - job states, who may move them, and the codes that explain an end.
 * The table in job.c is the only place that knows which moves exist; the SQL guards in record_*.c
 * say the same to the database, and tests/record_moves.h holds them to it (protocols: State
 * machine). Numbers are stored; never renumber. Pure; any thread.
 *
 *   register      claim          finish
 *  --------> queued ----> running ------> succeeded | partial | failed        (final)
 *              ^  |          |  deadline > partial | expired                  (final)
 *              |  | cancel   |  cancel seen > cancelled                       (final)
 *              +--(retry, release)--+    redrive: failed | expired > queued
 */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "common/err.h"

enum job_state {
    JOB_NONE = -1,
    JOB_QUEUED = 0,
    JOB_RUNNING = 1,
    JOB_SUCCEEDED = 10,
    JOB_PARTIAL = 11,
    JOB_FAILED = 12,
    JOB_CANCELLED = 13,
    JOB_EXPIRED = 14
};

enum job_move {
    MOVE_REGISTER,
    MOVE_CLAIM,
    MOVE_CANCEL, /* of a queued job, by the gateway */
    MOVE_TAKE_OVER,
    MOVE_FINISH,
    MOVE_RETRY,
    MOVE_RELEASE,
    MOVE_CANCEL_SEEN, /* of a running job, by its worker */
    MOVE_DEADLINE,
    MOVE_SWEEP,
    MOVE_REDRIVE,
    MOVE_COUNT
};

const char *job_state_name(enum job_state s); /* "queued"; "?" for no state */
int job_state_parse(const char *name, enum job_state *out) must_use; /* 0 or ERR_INVALID */
static inline bool job_is_final(enum job_state s)
{
    return s >= JOB_SUCCEEDED;
}

/* Move *state to `to`. 0, or ERR_CONFLICT and no change: the move does not exist. */
int job_move(enum job_state *state, enum job_move move, enum job_state to) must_use;

/* When the sweep looks after a job that is still open: 10 min after its deadline (0: none, then a
 * day after its record has left a topic that keeps it for retention_ms). from_us: when that was
 * made. */
int64_t job_sweep_at_us(int64_t from_us, int64_t deadline_us, int64_t retention_ms);

/* Reasons of a job that did not end well, stored in op_job.reason. user, operator: one sentence
 * each. */
#define REASON_TABLE(X)                                                                           \
    X(NEED_NOT_MET, "need-not-met", "Too few of its calls succeeded.",                            \
      "See its calls; redrive when the upstream is back.")                                        \
    X(REFUSED, "refused", "A rule of this flow says no.",                                         \
      "A check of the flow was not true; nothing to redrive.")                                    \
    X(CONFLICT, "conflict", "This already exists.",                                               \
      "A duplicate key in a save, or two jobs with one id.")                                      \
    X(LOAD_FAILED, "load-failed", "Its data could not be read.",                                  \
      "An SQL error or too many rows in load.")                                                   \
    X(SAVE_FAILED, "save-failed", "The result could not be saved.",                               \
      "An SQL error in save; see the log.")                                                       \
    X(EXPRESSION, "expression", "Its result could not be computed.",                              \
      "An expression of the flow failed; mend it, then redrive.")                                 \
    X(TOO_BIG, "too-big", "Its result is too big.", "The result passes 1 MB or a topic's limit.") \
    X(BAD_EVENT, "bad-event", "The request could not be read.",                                   \
      "The record is garbage or of a newer version; see op_dead.")                                \
    X(CRASHED_WORKER, "crashed-worker", "It stopped its worker again and again.",                 \
      "Five workers died while they ran it.")                                                     \
    X(DEADLINE, "deadline", "There was not enough time.",                                         \
      "Its deadline passed; look at lag and upstream latency.")                                   \
    X(NEVER_FINISHED, "never-finished", "It never ended.",                                        \
      "No record or no worker came before its deadline.")                                         \
    X(CANCELLED, "cancelled", "It was cancelled.", "Asked for by its owner or an operator.")      \
    X(REDRIVE_ABORTED, "redrive-aborted", "A second try was called off.",                         \
      "An operator stopped the redrive.")

enum job_reason {
    REASON_NONE = 0,
#define X(name, code, user, oper) REASON_##name,
    REASON_TABLE(X)
#undef X
        REASON_COUNT
};

/* Codes of a call that did not succeed (flow file: calls). on: the name in `retry.on` that covers
 * it. */
#define CALL_CODE_TABLE(X)                                                                         \
    X(CONNECT, "connect", "The service could not be reached.",                                     \
      "No TCP connection: check URL, network, firewall.")                                          \
    X(DNS, "dns", "The service could not be found.", "Its name does not resolve.")                 \
    X(TLS, "tls", "The service could not be trusted.", "TLS failed: certificate, CA or protocol.") \
    X(BLOCKED_ADDRESS, "blocked-address", "The service may not be called.",                        \
      "It resolves to a private address; allow_private permits it.")                               \
    X(RESET, "reset", "The service broke off.",                                                    \
      "The connection was lost after the request was sent.")                                       \
    X(TIMEOUT, "timeout", "The service took too long.",                                            \
      "No complete answer within the call's timeout.")                                             \
    X(HTTP_3XX, "http-3xx", "The service points elsewhere.",                                       \
      "Redirects are not followed; mend the URL.")                                                 \
    X(HTTP_4XX, "http-4xx", "The service refused the request.",                                    \
      "It answered 4xx: request or secret is wrong.")                                              \
    X(HTTP_429, "http-429", "The service is too busy.",                                            \
      "It answered 429; lower the upstream's rate.")                                               \
    X(HTTP_5XX, "http-5xx", "The service failed.", "It answered 5xx.")                             \
    X(BAD_BODY, "bad-body", "The service sent an unusable answer.",                                \
      "Not JSON (nor is \\u0000 in a text, or a number of over 63 characters), or `ok` or "        \
      "`result` did not hold.")                                                                    \
    X(TOO_BIG, "too-big", "The service sent too much.", "The answer passes max_response.")         \
    X(BREAKER_OPEN, "breaker-open", "The service is failing at the moment.",                       \
      "The breaker is open after too many failures.")                                              \
    X(DEADLINE, "deadline", "There was not enough time.", "The job's deadline passed.")            \
    X(CANCELLED, "cancelled", "It was cancelled.", "The job was cancelled.")                       \
    X(EXPRESSION, "expression", "The request could not be made.",                                  \
      "An expression of the call failed.")                                                         \
    X(SKIPPED, "skipped", "What it needs did not succeed.", "A call in its `after` failed.")       \
    X(TOO_MANY_ITEMS, "too-many-items", "There are too many items.",                               \
      "for_each gave more than max_items, or the job would have over 1,000 calls.")                \
    X(UNKNOWN, "unknown", "Whether it was done is not known.",                                     \
      "repeat: never, and the worker died during it.")

enum call_code {
    CALL_OK = 0,
#define X(name, code, user, oper) CALL_##name,
    CALL_CODE_TABLE(X)
#undef X
        CALL_CODE_COUNT
};

/* Text of a code ("" for none / ok), its sentence for users, for operators; lent for ever. */
const char *reason_code(enum job_reason r);
const char *reason_for_user(enum job_reason r);
const char *reason_for_operator(enum job_reason r);
enum job_reason reason_parse(const char *code); /* REASON_NONE if unknown */
const char *call_code(enum call_code c);
const char *call_code_for_user(enum call_code c);
const char *call_code_for_operator(enum call_code c);
enum call_code call_code_parse(const char *code); /* CALL_OK for "", CALL_CODE_COUNT if unknown */

/* Outcomes of a ledger row (op_call.outcome). */
enum call_outcome {
    OUTCOME_STARTED = 0,
    OUTCOME_OK = 1,
    OUTCOME_FAILED = 2,
    OUTCOME_RETRYABLE = 3,
    OUTCOME_UNKNOWN = 4
};
