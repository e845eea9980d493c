#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "common/flow_load.h"

enum { FILES_MAX = 4 };

struct fixture {
    char dir[40];
    char *files[FILES_MAX];
    size_t n;
    struct findings findings;
    struct flow_set *set;
};

static void setup(struct fixture *x)
{
    *x = (struct fixture){.n = 0};
    snprintf(x->dir, sizeof x->dir, "/tmp/test_flow_emit-XXXXXX");
    assert_non_null(mkdtemp(x->dir));
    findings_init(&x->findings);
}

static void put(struct fixture *x, const char *name, const char *text)
{
    struct buf path = {0};
    buf_printf(&path, "%s/%s.yaml", x->dir, name);
    x->files[x->n] = buf_take(&path, NULL);
    FILE *out = fopen(x->files[x->n++], "we");
    assert_non_null(out);
    fprintf(out, "flow: %s\ntitle: T\naccess: guests\n%s", name, text);
    assert_int_equal(fclose(out), 0);
}

static int load(struct fixture *x)
{
    const struct flow_load_settings s = {.flows_dir = x->dir,
                                         .upstreams_file = "tests/shops/upstreams.yaml"};
    return flow_load(&s, &x->findings, &x->set);
}

static void done(struct fixture *x)
{
    for (size_t i = 0; i < x->n; i++) {
        unlink(x->files[i]);
        free(x->files[i]);
    }
    rmdir(x->dir);
    findings_fini(&x->findings);
    flow_set_put(x->set);
}

/* One error, and this in what is said. */
static void fails_with(struct fixture *x, const char *expected)
{
    struct buf text = {0};
    assert_int_equal(load(x), ERR_INVALID);
    findings_print(&x->findings, false, &text);
    if (!strstr(buf_str(&text), expected) || x->findings.errors != 1)
        fail_msg("no %s in\n%s", expected, buf_str(&text));
    buf_fini(&text);
    done(x);
}

static void emits_name_flows_and_topics(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, "one",
        "request: {key: $request.id}\n"
        "result: '[1, 2]'\n"
        "emit:\n"
        "  - flow: two\n"
        "    when: $user.id != null\n"
        "    for_each: $result\n"
        "    value: {n: \\($item), at: \\($index), r: \\($result | length)}\n"
        "  - {topic: others.topic, key: $job.id, value: [\\($request.id)]}\n"
        "  - {topic: others.topic, for_each: [a, b], value: \\($item)}\n");
    put(&x, "two", "result: $request.n\n");
    assert_int_equal(load(&x), 0);
    const struct flow *one = flow_by_name(x.set, "one");
    assert_int_equal(one->emits_n, 3);
    const struct flow_emit *e = one->emits;
    assert_ptr_equal(e[0].flow, flow_by_name(x.set, "two"));
    assert_non_null(e[0].when);
    assert_string_equal(expr_source(e[0].each.expr), "$result");
    assert_null(e[0].topic);
    assert_null(e[0].key);
    assert_null(e[1].flow);
    assert_null(e[1].when);
    assert_string_equal(e[1].topic, "others.topic");
    assert_string_equal(expr_source(e[1].key), "$job.id");
    assert_null(e[1].each.expr);
    assert_int_equal(json_size(e[2].each.list), 2);
    assert_null(e[2].key);
    for (size_t i = 0; i < 3; i++)
        assert_non_null(e[i].value);
    done(&x);
}

static void the_rest_of_the_life_after(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, "one",
        "topic: {id: $request.id, user: $request.member}\n"
        "requeue: [10s, 1m]\n"
        "deadline: none\n"
        "notify:\n"
        "  done: Ready, \\($request.id)\n"
        "  failed: Not made (\\($error.message))\n");
    put(&x, "two", "request: {key: $request.id}\norder: key\n");
    put(&x, "three", "order: none\n");
    assert_int_equal(load(&x), 0);
    const struct flow *one = flow_by_name(x.set, "one"), *two = flow_by_name(x.set, "two");
    assert_string_equal(expr_source(one->topic.id), "$request.id");
    assert_string_equal(expr_source(one->topic.user), "$request.member");
    assert_int_equal(one->requeue_n, 2);
    assert_int_equal(one->requeue_ms[0], 10000);
    assert_int_equal(one->requeue_ms[1], 60000);
    assert_int_equal(one->deadline_ms, 0);
    assert_true(template_uses(one->notify.done) & VAR_BIT(VAR_REQUEST));
    assert_true(template_uses(one->notify.failed) & VAR_BIT(VAR_ERROR));
    assert_false(one->ordered);
    assert_true(two->ordered);
    assert_false(flow_by_name(x.set, "three")->ordered);
    assert_int_equal(two->requeue_n + two->emits_n, 0);
    assert_null(two->notify.done);
    assert_null(two->topic.id);
    done(&x);
}

static void a_mistyped_flow_has_a_near_one(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, "summary", "");
    put(&x, "one", "emit:\n  - {flow: sumary, value: 1}\n");
    fails_with(&x,
               "one.yaml:5:12: error[F025]: no flow is named `sumary`; did you mean `summary`?");
}

static void a_cycle_names_its_flows(void **state)
{
    (void)state;
    struct fixture x;
    setup(&x);
    put(&x, "a", "emit:\n  - {flow: b, value: 1}\n");
    put(&x, "b", "emit:\n  - {flow: c, value: 1}\n");
    put(&x, "c",
        "emit:\n  - {flow: b, value: 1, when: $request.x == 1}\n  - {flow: c, value: 1}\n");
    fails_with(&x, "c.yaml:6:12: error[F026]: `c` starts `c`: this never ends; give one of these "
                   "entries a `when`");
}

static void bounds(void **state)
{
    (void)state;
    struct buf text = {0};
    struct fixture x;
    setup(&x);
    buf_text(&text, "emit:\n");
    for (int i = 0; i < 33; i++)
        buf_text(&text, "  - {topic: others, value: 1}\n");
    put(&x, "one", buf_str(&text));
    buf_fini(&text);
    fails_with(&x, "error[F006]: more than 32 entries");
    setup(&x);
    put(&x, "one", "requeue: [1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s,1s]\n");
    fails_with(&x, "error[F006]: more than 20 waits");
    setup(&x);
    put(&x, "one", "requeue: [10ms]\n");
    fails_with(&x, "one.yaml:4:11: error[F014]");
}

static int start(void **state)
{
    (void)state;
    return expr_start();
}

static int stop(void **state)
{
    (void)state;
    expr_stop();
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(emits_name_flows_and_topics),
        cmocka_unit_test(the_rest_of_the_life_after),
        cmocka_unit_test(a_mistyped_flow_has_a_near_one),
        cmocka_unit_test(a_cycle_names_its_flows),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
