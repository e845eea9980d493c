#include "common/expr_guard.h"

#include <dlfcn.h>
#include <limits.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An input of 1 MB may take 50 MB as jq's values, so the limit grows with it. Nested arrays take
 * 100 to 300 bytes of stack per level. jq needs fewer than OVERDUE_SEEN looks for one opcode. */
enum { USED_MAX = 64 << 20, STACK_MAX = 256 << 10, OVERDUE_SEEN = 10000 };

/* What libjq is to find instead of its own and the C library's; two more are in expr_jq.c. */
#pragma GCC visibility push(default)
void *jv_mem_alloc_unguarded(size_t size);
void *jv_mem_alloc(size_t size);
void *jv_mem_calloc_unguarded(size_t n, size_t size);
void *jv_mem_calloc(size_t n, size_t size);
void *jv_mem_realloc(void *p, size_t size);
void jv_mem_free(void *p);
/* Declared by <assert.h>, which is not for product code. */
_Noreturn void __assert_fail(const char *what, const char *file, unsigned line, const char *where);
#pragma GCC visibility pop

/* libjq gives its functions no context, so which guard is meant is the thread's. */
static _Thread_local struct expr_guard *active;

static bool keeps_numbers; /* see may_be_number() */

__attribute__((constructor)) static void find_version(void)
{
    keeps_numbers = dlsym(RTLD_NEXT, "jv_number_get_literal") != NULL;
}

/* ---- leaving */

_Noreturn static void leave(struct expr_guard *g, const char *wrong)
{
    g->wrong = wrong;
    longjmp(*(jmp_buf *)g->leave, 1);
}

static bool is_deep(const struct expr_guard *g)
{
    return (const char *)__builtin_frame_address(0) < g->stack_low;
}

/* Whether to leave out what was asked for: see expr_guard_expect_stack. */
static bool look_closer(struct expr_guard *g)
{
    if (g->resetting) {
        g->spoiled |= is_deep(g);
        return is_deep(g);
    }
    if (is_deep(g))
        leave(g, "a value is nested too deeply");
    if (++g->overdue_seen > OVERDUE_SEEN)
        leave(g, "took more than 100 ms");
    return false;
}

bool expr_guard_look(void)
{
    struct expr_guard *g = active;
    return g && (is_deep(g) || atomic_load_explicit(&g->overdue, memory_order_relaxed)) &&
           look_closer(g);
}

_Noreturn void __assert_fail(const char *what, const char *file, unsigned line, const char *where)
{
    if (active)
        leave(active, "jq breaks on such a value");
    fprintf(stderr, "%s:%u: %s: Assertion `%s' failed.\n", file, line, where, what);
    abort();
}

/* ---- allocation */

/* malloc gives multiples of 16 for 16 bytes and more. Behind a header of 40 bytes what jq gets is
 * none, which tells it from what has no header. jq needs multiples of 8. */
enum { BARE_MIN = 16 };
_Static_assert(sizeof(struct expr_block) % 16 == 8, "the header tells blocks apart");

/* And should another library's block end up here, its bytes in front say that it is none of ours.
 */
static uintptr_t mark_of(const struct expr_block *b)
{
    return (uintptr_t)b ^ (uintptr_t)0x9e3779b97f4a7c15;
}

static struct expr_block *block_of(void *p)
{
    struct expr_block *b = (uintptr_t)p % 16 == 8 ? (struct expr_block *)p - 1 : NULL;
    return b && b->mark == mark_of(b) ? b : NULL;
}

/* For a path of its library, while it compiles, libjq gives to free() what it took from
 * jv_mem_alloc. */
static bool is_path(size_t size)
{
    return size == PATH_MAX && active && !active->used_max && !active->stack;
}

/* jq 1.7 keeps what it needs to print and read numbers for the thread, not for the state: it must
 * outlive the guard, and be out of its rings before another thread has the state. It is told by its
 * size, and in the end by what it begins with, which no value of jq's of that size does. */
struct number_block {
    void *next;
    int k, room;
};

static bool may_be_number(size_t size)
{
    return keeps_numbers && size >= 32 && ((size - 28) & (size - 29)) == 0;
}

static bool is_number(const struct expr_block *b)
{
    const struct number_block *n = (const void *)(b + 1);
    return n->k >= 0 && n->k < 28 && n->room == 1 << n->k && b->size == 28 + 4 * (size_t)n->room;
}

static void count(struct expr_guard *g, size_t size, bool loose)
{
    if (g->used_max && (size > PTRDIFF_MAX / 2 || g->used + (ptrdiff_t)size > g->used_max ||
                        g->loose > (size_t)g->used_max))
        leave(g, "needs too much memory");
    if (loose)
        g->loose += size;
    else
        g->used += (ptrdiff_t)size;
}

_Noreturn static void no_memory(void)
{
    if (active)
        leave(active, "needs too much memory");
    fputs("jq has no memory\n", stderr);
    abort();
}

static void link_block(struct expr_block *ring, struct expr_block *b)
{
    b->prev = ring;
    b->next = ring->next;
    b->next->prev = b->prev->next = b;
}

static void unlink_block(struct expr_block *b)
{
    b->prev->next = b->next;
    b->next->prev = b->prev;
    if (active)
        active->used -= (ptrdiff_t)b->size;
}

static void *allocate(size_t size, bool loose)
{
    struct expr_guard *g = active;
    if (g)
        count(g, size, loose);
    if (!g || loose)
        return malloc(size > BARE_MIN ? size : BARE_MIN);
    struct expr_block *b = malloc(sizeof *b + size);
    if (!b)
        return NULL;
    b->size = size;
    b->mark = mark_of(b);
    link_block(may_be_number(size) ? &g->numbers : &g->all, b);
    return b + 1;
}

void *jv_mem_alloc_unguarded(size_t size)
{
    return allocate(size, is_path(size));
}

void *jv_mem_alloc(size_t size)
{
    void *p = jv_mem_alloc_unguarded(size);
    if (!p)
        no_memory();
    return p;
}

/* Of single bytes, while it evaluates: @base64d gives it to the C library's free(). */
void *jv_mem_calloc_unguarded(size_t n, size_t size)
{
    size_t all = 0;
    if (__builtin_mul_overflow(n, size, &all))
        return NULL;
    void *p = allocate(all, size == 1 && active && active->used_max);
    return p ? memset(p, 0, all) : NULL;
}

void *jv_mem_calloc(size_t n, size_t size)
{
    void *p = jv_mem_calloc_unguarded(n, size);
    if (!p)
        no_memory();
    return p;
}

/* Not behind a header: libjq gives it to free(), or may. */
static void *grow_bare(struct expr_guard *g, void *p, size_t size)
{
    bool is_stack = g && (p ? p == g->stack : g->stack_next);
    if (g)
        count(g, size, true);
    p = realloc(p, size > BARE_MIN ? size : BARE_MIN);
    if (!p)
        no_memory();
    if (is_stack) {
        g->stack = p;
        g->stack_next = g->resetting = false;
    }
    return p;
}

void *jv_mem_realloc(void *p, size_t size)
{
    struct expr_guard *g = active;
    struct expr_block *b = block_of(p);
    if (!b && (p || !g || !g->used_max || g->stack_next))
        return grow_bare(g, p, size);
    void *more = allocate(size, false);
    if (!more)
        no_memory();
    if (b) {
        memcpy(more, p, b->size < size ? b->size : size);
        jv_mem_free(p);
    }
    return more;
}

void jv_mem_free(void *p)
{
    struct expr_block *b = block_of(p);
    if (b) {
        unlink_block(b);
        b->mark = 0;
        free(b);
    } else {
        free(p);
    }
}

/* libjq frees as its own what strdup gave, and jemalloc gives multiples of 8 for less than 16
 * bytes. So it is ours, too. */
__attribute__((visibility("default"))) char *strdup(const char *text)
{
    size_t size = strlen(text) + 1;
    char *copy = malloc(size > BARE_MIN ? size : BARE_MIN);
    return copy ? memcpy(copy, text, size) : NULL;
}

/* ---- guards */

void expr_guard_init(struct expr_guard *g)
{
    *g = (struct expr_guard){0};
    g->all.next = g->all.prev = &g->all;
    g->numbers.next = g->numbers.prev = &g->numbers;
}

static void sort_numbers(struct expr_guard *g)
{
    for (struct expr_block *b; (b = g->numbers.next) != &g->numbers;) {
        g->numbers.next = b->next;
        b->next->prev = &g->numbers;
        if (is_number(b))
            b->prev = b->next = b; /* a ring of its own */
        else
            link_block(&g->all, b);
    }
}

bool expr_guard_run(struct expr_guard *g, expr_guard_fn *fn, void *arg)
{
    jmp_buf out;
    g->used = g->used_max = 0;
    g->loose = 0;
    g->stack_next = g->resetting = false;
    g->overdue_seen = 0;
    g->stack_low = NULL;
    g->wrong = NULL;
    g->leave = &out;
    if (setjmp(out) == 0) {
        active = g;
        fn(arg);
    }
    active = NULL;
    g->leave = NULL;
    sort_numbers(g);
    return !g->wrong;
}

void expr_guard_limit(struct expr_guard *g)
{
    g->used_max = g->used + (g->used > USED_MAX ? g->used : USED_MAX);
    g->stack_low = (const char *)__builtin_frame_address(0) - STACK_MAX;
}

void expr_guard_expect_stack(struct expr_guard *g, bool new_one)
{
    g->stack = NULL;
    g->stack_next = new_one;
    g->resetting = true;
}

void expr_guard_overdue(struct expr_guard *g)
{
    atomic_store_explicit(&g->overdue, true, memory_order_relaxed);
}

void expr_guard_drop(struct expr_guard *g)
{
    for (struct expr_block *b; (b = g->all.next) != &g->all;) {
        g->all.next = b->next;
        b->next->prev = &g->all;
        free(b);
    }
    free(g->stack);
    g->stack = NULL;
}
