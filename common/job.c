#include "common/job.h"

#include <string.h>

static const int64_t GRACE_US = 600LL * 1000000, DAY_US = 86400LL * 1000000;

static const struct {
    enum job_state state;
    const char *name;
} names[] = {
    {JOB_QUEUED, "queued"},   {JOB_RUNNING, "running"}, {JOB_SUCCEEDED, "succeeded"},
    {JOB_PARTIAL, "partial"}, {JOB_FAILED, "failed"},   {JOB_CANCELLED, "cancelled"},
    {JOB_EXPIRED, "expired"},
};

/* Every move there is; any other pair is no change (protocols: State machine). */
static const struct {
    enum job_state from;
    enum job_move move;
    enum job_state to;
} moves[] = {
    {JOB_NONE, MOVE_REGISTER, JOB_QUEUED},          {JOB_NONE, MOVE_CLAIM, JOB_RUNNING},
    {JOB_QUEUED, MOVE_CLAIM, JOB_RUNNING},          {JOB_NONE, MOVE_CANCEL, JOB_CANCELLED},
    {JOB_QUEUED, MOVE_CANCEL, JOB_CANCELLED},       {JOB_RUNNING, MOVE_TAKE_OVER, JOB_RUNNING},
    {JOB_RUNNING, MOVE_TAKE_OVER, JOB_FAILED},      {JOB_RUNNING, MOVE_FINISH, JOB_SUCCEEDED},
    {JOB_RUNNING, MOVE_FINISH, JOB_PARTIAL},        {JOB_RUNNING, MOVE_FINISH, JOB_FAILED},
    {JOB_RUNNING, MOVE_RETRY, JOB_QUEUED},          {JOB_RUNNING, MOVE_RELEASE, JOB_QUEUED},
    {JOB_RUNNING, MOVE_CANCEL_SEEN, JOB_CANCELLED}, {JOB_RUNNING, MOVE_DEADLINE, JOB_PARTIAL},
    {JOB_RUNNING, MOVE_DEADLINE, JOB_EXPIRED},      {JOB_QUEUED, MOVE_SWEEP, JOB_EXPIRED},
    {JOB_RUNNING, MOVE_SWEEP, JOB_EXPIRED},         {JOB_FAILED, MOVE_REDRIVE, JOB_QUEUED},
    {JOB_EXPIRED, MOVE_REDRIVE, JOB_QUEUED},
};

struct code {
    const char *code, *user, *oper;
};

static const struct code reasons[REASON_COUNT] = {{"", "", ""},
#define X(name, code, user, oper) {code, user, oper},
                                                  REASON_TABLE(X)
#undef X
};

static const struct code codes[CALL_CODE_COUNT] = {{"", "", ""},
#define X(name, code, user, oper) {code, user, oper},
                                                   CALL_CODE_TABLE(X)
#undef X
};

const char *job_state_name(enum job_state s)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (names[i].state == s)
            return names[i].name;
    return "?";
}

int job_state_parse(const char *name, enum job_state *out)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(names[i].name, name) == 0) {
            *out = names[i].state;
            return 0;
        }
    }
    return ERR_INVALID;
}

int job_move(enum job_state *state, enum job_move move, enum job_state to)
{
    for (size_t i = 0; i < sizeof moves / sizeof moves[0]; i++) {
        if (moves[i].from == *state && moves[i].move == move && moves[i].to == to) {
            *state = to;
            return 0;
        }
    }
    return ERR_CONFLICT;
}

int64_t job_sweep_at_us(int64_t from_us, int64_t deadline_us, int64_t retention_ms)
{
    return deadline_us ? deadline_us + GRACE_US : from_us + retention_ms * 1000 + DAY_US;
}

static int find(const struct code *table, int n, const char *code)
{
    for (int i = 0; i < n; i++)
        if (strcmp(table[i].code, code) == 0)
            return i;
    return n;
}

static const struct code *row(const struct code *table, int n, int i)
{
    return &table[i >= 0 && i < n ? i : 0];
}

const char *reason_code(enum job_reason r)
{
    return row(reasons, REASON_COUNT, (int)r)->code;
}

const char *reason_for_user(enum job_reason r)
{
    return row(reasons, REASON_COUNT, (int)r)->user;
}

const char *reason_for_operator(enum job_reason r)
{
    return row(reasons, REASON_COUNT, (int)r)->oper;
}

enum job_reason reason_parse(const char *code)
{
    int i = find(reasons, REASON_COUNT, code);
    return i < REASON_COUNT ? (enum job_reason)i : REASON_NONE;
}

const char *call_code(enum call_code c)
{
    return row(codes, CALL_CODE_COUNT, (int)c)->code;
}

const char *call_code_for_user(enum call_code c)
{
    return row(codes, CALL_CODE_COUNT, (int)c)->user;
}

const char *call_code_for_operator(enum call_code c)
{
    return row(codes, CALL_CODE_COUNT, (int)c)->oper;
}

enum call_code call_code_parse(const char *code)
{
    return (enum call_code)find(codes, CALL_CODE_COUNT, code);
}
