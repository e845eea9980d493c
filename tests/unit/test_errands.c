/* errands.h: each runs once, several at the same time, all before the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <stdatomic.h>

#include "gateway/errands.h"

enum { ERRANDS = 50, THREADS = 3 };

static pthread_barrier_t together;
static _Atomic unsigned done;

struct work {
    struct errand errand; /* first */
    unsigned runs;
};

static void count(struct errand *e)
{
    ((struct work *)e)->runs++;
    atomic_fetch_add(&done, 1);
}

static void meet(struct errand *e)
{
    pthread_barrier_wait(&together); /* passes only if the others run too */
    count(e);
}

static void runs_several_at_once(void **state)
{
    struct errands *e = NULL;
    struct work works[THREADS] = {0};
    (void)state;
    atomic_store(&done, 0);
    pthread_barrier_init(&together, NULL, THREADS);
    assert_int_equal(errands_open(THREADS, &e), 0);
    for (unsigned i = 0; i < THREADS; i++) {
        works[i].errand.run = meet;
        errands_put(e, &works[i].errand);
    }
    errands_close(e);
    assert_int_equal(atomic_load(&done), THREADS);
    pthread_barrier_destroy(&together);
}

static void runs_each_once_before_it_ends(void **state)
{
    struct errands *e = NULL;
    struct work works[ERRANDS] = {0};
    (void)state;
    assert_int_equal(errands_open(THREADS, &e), 0);
    for (unsigned i = 0; i < ERRANDS; i++) {
        works[i].errand.run = count;
        errands_put(e, &works[i].errand);
    }
    errands_close(e);
    for (unsigned i = 0; i < ERRANDS; i++)
        assert_int_equal(works[i].runs, 1);
    errands_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_several_at_once),
        cmocka_unit_test(runs_each_once_before_it_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
