/* The worker in virtual time: a flow whose records must bring a hash. */
#include "shard_calls.h"

static struct world *world_hashed(void)
{
    char dir[] = "/tmp/test_shard_hash-XXXXXX", file[100],
         upstreams[] = "tests/shops/upstreams.yaml";
    assert_non_null(mkdtemp(dir));
    write_file(dir, "price-compare.yaml",
               "flow: price-compare\ntitle: T\naccess: guests\n"
               "topic: {name: " TOPIC ", group: price-compare-consumer-group, partitions: 3}\n"
               "request:\n  schema: {properties: {password: {type: string}}}\n"
               "  hash: {password: bcrypt}\nresult: $request.password\n",
               file);
    struct world *w = world_new_with(
        0, &(struct flow_load_settings){.flows_dir = dir, .upstreams_file = upstreams}, NULL);
    unlink(file);
    rmdir(dir);
    return w;
}

static void plain_text_is_refused_and_a_hash_is_taken(void **state)
{
    (void)state;
    struct world *w = world_hashed();
    struct event plain = world_event(w, NULL), good = world_event(w, NULL);
    world_put(w, &plain, "{\"password\":\"secret\"}", 0);
    world_put(w, &good,
              "{\"password\":\"$2b$10$N9qo8uLOickgx2ZMRZoMyeIjZAgcfl7p92ldGxad68LJZdL17lhWy\"}", 0);
    struct seen s = world_final(w, &plain.job);
    assert_int_equal(s.job.state, JOB_FAILED);
    assert_string_equal(s.job.reason, "bad-event");
    seen_fini(&s);
    s = world_final(w, &good.job);
    assert_int_equal(s.job.state, JOB_SUCCEEDED);
    seen_fini(&s);
    world_free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_text_is_refused_and_a_hash_is_taken),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
