/* expr_guard.h - holds libjq's C functions to limits. jq looks at a halt only between its opcodes;
 * inside a function it loops, allocates and recurses as long as its values let it, and an assertion
 * of its ends the process. So this file stands in for a few functions that libjq calls on its way
 * (allocation, strdup, jv_free, jv_string_append_buf, __assert_fail): what exceeds a limit leaves
 * libjq by a jump, and all that was allocated meanwhile is freed.
 * A guard belongs to one jq state and, like that, to one thread at a time. */
#pragma once
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct expr_block { /* in front of each allocation */
    struct expr_block *prev, *next;
    size_t size;
    uintptr_t pad, mark; /* mark: of its address; in front of nobody else's block */
};

struct expr_guard {
    struct expr_block numbers; /* of a run: may be jq's for the thread */
    struct expr_block all;     /* what lives of this state's allocations; the head of a ring */
    ptrdiff_t used, used_max;  /* bytes since expr_guard_run began; used_max 0: no limits */
    size_t loose;              /* that it may free itself, since then */
    void *stack;               /* jq's, which it gives to free(); */
    bool stack_next;           /* the next block without a predecessor is it */
    bool resetting, spoiled;   /* see expr_guard_expect_stack */
    const char *stack_low;     /* recursion ends here */
    _Atomic bool overdue;      /* set by expr_guard_overdue */
    unsigned overdue_seen;     /* jq's own halt comes first */
    const char *wrong;         /* why expr_guard_run was left */
    void *leave;               /* its jmp_buf */
};

typedef void expr_guard_fn(void *arg);

void expr_guard_init(struct expr_guard *g);

/* Call fn(arg), which may call libjq for this guard's state. true: it returned. false: it was left
 * somewhere inside (g->wrong says why; static text): nothing that libjq made for this guard may be
 * touched again, the state included; expr_guard_drop frees it. Limits hold from expr_guard_limit
 * on, until then only assertions are caught. Not nested. */
bool expr_guard_run(struct expr_guard *g, expr_guard_fn *fn, void *arg);

/* From inside: what is allocated from now on is limited, and so are time and stack. */
void expr_guard_limit(struct expr_guard *g);

/* From inside, before jq_start, which frees jq's stack and makes a new one, and jq_teardown. Nobody
 * sees whether the old stack is freed yet, so libjq is not left until the new one is there. What is
 * nested too deeply is not freed meanwhile, which makes the guard spoiled: its state has to go. */
void expr_guard_expect_stack(struct expr_guard *g, bool new_one);

/* Time and stack are looked at here: from what libjq calls often. true: the caller must leave out
 * what it was asked for (see expr_guard_expect_stack). It may not return. Outside a run: false. */
bool expr_guard_look(void);

/* From any thread, while expr_guard_run runs: it should have ended. */
void expr_guard_overdue(struct expr_guard *g);

/* Free all that libjq allocated inside and did not free. */
void expr_guard_drop(struct expr_guard *g);
