#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/flow_watch.h"

static void put(const char *path, const char *text)
{
    FILE *out = fopen(path, "we");
    assert_non_null(out);
    fputs(text, out);
    assert_int_equal(fclose(out), 0);
}

static void a_change_counts_once_when_it_stands_still(void **state)
{
    (void)state;
    char dir[] = "/tmp/test_flow_watch-XXXXXX", flows[64], one[80], two[80], upstreams[80];
    assert_non_null(mkdtemp(dir));
    snprintf(flows, sizeof flows, "%s/flows", dir);
    snprintf(one, sizeof one, "%s/one.yaml", flows);
    snprintf(two, sizeof two, "%s/two.yaml", flows);
    snprintf(upstreams, sizeof upstreams, "%s/upstreams.yaml", dir);
    assert_int_equal(mkdir(flows, 0700), 0);
    put(one, "a");
    put(upstreams, "u");
    const struct flow_load_settings s = {.flows_dir = flows};
    struct flow_watch w;
    flow_watch_init(&w, &s);
    assert_false(flow_watch_changed(&w));
    put(one, "ab");
    assert_false(flow_watch_changed(&w)); /* perhaps it is still being written */
    assert_true(flow_watch_changed(&w));
    assert_false(flow_watch_changed(&w));
    put(two, "b");
    assert_false(flow_watch_changed(&w));
    put(two, "bc");
    assert_false(flow_watch_changed(&w));
    assert_true(flow_watch_changed(&w));
    put(upstreams, "uu");
    assert_false(flow_watch_changed(&w));
    assert_true(flow_watch_changed(&w));
    flow_watch_again(&w);
    for (int i = 1; i < FLOW_WATCH_AGAIN; i++)
        assert_false(flow_watch_changed(&w));
    assert_true(flow_watch_changed(&w));
    for (int i = 0; i < 2 * FLOW_WATCH_AGAIN; i++)
        assert_false(flow_watch_changed(&w)); /* once */
    flow_watch_again(&w);
    unlink(two);
    flow_watch_mark(&w);
    for (int i = 0; i < 2 * FLOW_WATCH_AGAIN; i++)
        assert_false(flow_watch_changed(&w)); /* read for another reason meanwhile */
    assert_false(flow_watch_changed(&w));
    assert_false(flow_watch_changed(&w));
    unlink(one);
    unlink(upstreams);
    rmdir(flows);
    assert_int_equal(rmdir(dir), 0);
}

/* Tests, notes and what editors leave behind stand beside the flows. */
static void what_is_no_flow_is_no_change(void **state)
{
    (void)state;
    static const char *const names[] = {"one.test.yaml", "README.md", "one.yaml~", "one.yaml.bak",
                                        ".one.yaml.swp"};
    char dir[] = "/tmp/test_flow_watch-XXXXXX", path[120];
    assert_non_null(mkdtemp(dir));
    const struct flow_load_settings s = {.flows_dir = dir, .upstreams_file = "/nowhere"};
    struct flow_watch w;
    flow_watch_init(&w, &s);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, "%s/%s", dir, names[i]);
        put(path, "x");
        assert_false(flow_watch_changed(&w));
        assert_false(flow_watch_changed(&w));
        unlink(path);
    }
    snprintf(path, sizeof path, "%s/one.json", dir);
    put(path, "x");
    assert_false(flow_watch_changed(&w));
    assert_true(flow_watch_changed(&w));
    unlink(path);
    assert_int_equal(rmdir(dir), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_change_counts_once_when_it_stands_still),
        cmocka_unit_test(what_is_no_flow_is_no_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
