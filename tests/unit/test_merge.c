/* merge.h: messages and reads become one series, each number once and in order. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/live.h"
#include "common/record_fake.h"
#include "common/rng.h"
#include "gateway/merge.h"

enum { ROOM = 256 << 10 };

struct world {
    struct merge m;
    struct buf out;
    struct record_call calls[64];
    struct record_progress p;
};

static int open_world(void **state)
{
    struct world *w = calloc(1, sizeof *w);
    merge_init(&w->m, 0);
    assert_int_equal(id_parse("0190a5b2-1111-7222-8333-444455556666", &w->p.job.id), 0);
    w->p.found = true;
    w->p.calls = w->calls;
    w->p.job.state = JOB_RUNNING;
    *state = w;
    return 0;
}

static int close_world(void **state)
{
    struct world *w = *state;
    merge_fini(&w->m);
    buf_fini(&w->out);
    free(w);
    return 0;
}

/* A row of the ledger as a read gives it. */
static void put_row(struct world *w, uint32_t seq, const char *name, enum call_outcome outcome)
{
    struct record_call *c = &w->calls[w->p.n++];
    *c = (struct record_call){.seq = seq, .item = -1, .outcome = outcome, .attempts = 1};
    snprintf(c->name, sizeof c->name, "%s", name);
    static char result[] = "{\"n\":1}";
    if (outcome == OUTCOME_OK) {
        c->result = result;
        c->result_len = sizeof result - 1;
    } else {
        snprintf(c->reason, sizeof c->reason, "http-5xx");
    }
}

static enum merge_next take(struct world *w)
{
    struct record_progress ask = {0};
    merge_ask(&w->m, &ask);
    w->p.after = ask.after;
    w->p.whole = ask.whole;
    return merge_read(&w->m, &w->p, ROOM, &w->out);
}

static bool hear(struct world *w, uint32_t seq, const char *event, const char *data)
{
    struct buf d = {0}, m = {0};
    buf_text(&d, data);
    live_print(seq, event, &d, &m);
    bool want = merge_message(&w->m, m.data, m.len, false, &w->out);
    buf_fini(&d);
    buf_fini(&m);
    return want;
}

/* "event id" of each event so far, with a comma between. */
static const char *said(struct world *w)
{
    static char text[4096];
    size_t n = 0;
    text[0] = 0;
    for (const char *p = buf_str(&w->out); (p = strstr(p, "id: ")) != NULL; p++) {
        unsigned long long id = strtoull(p + 4, NULL, 10);
        const char *event = strstr(p, "event: ");
        n += (size_t)snprintf(text + n, sizeof text - n, "%s%.*s %llu", n ? "," : "",
                              (int)strcspn(event + 7, "\n"), event + 7, id);
    }
    return text;
}

static void begins_with_the_state_and_what_the_record_has(void **state)
{
    struct world *w = *state;
    put_row(w, 1, "a", OUTCOME_OK);
    put_row(w, 2, "b", OUTCOME_FAILED);
    assert_int_equal(take(w), MERGE_WAIT);
    assert_string_equal(said(w), "state 0,call 1,call 2");
    assert_non_null(strstr(buf_str(&w->out),
                           "{\"name\":\"a\",\"item\":null,\"state\":\"succeeded\","
                           "\"result\":{\"n\":1},\"error\":null,"));
    assert_non_null(strstr(buf_str(&w->out), "\"error\":{\"code\":\"http-5xx\",\"message\":\""));
}

static void without_a_row_it_is_queued(void **state)
{
    struct world *w = *state;
    w->p.found = false;
    assert_int_equal(take(w), MERGE_WAIT);
    assert_non_null(strstr(buf_str(&w->out), "data: {\"state\":\"queued\"}\n\n"));
}

static void before_the_first_read_every_message_asks_for_it(void **state)
{
    struct world *w = *state;
    assert_true(hear(w, 1, "call", "{}"));
    assert_true(hear(w, 0, "state", "{\"state\":\"running\"}"));
    assert_string_equal(said(w), "");
}

static void sends_the_next_drops_the_old_and_reads_at_a_jump(void **state)
{
    struct world *w = *state;
    assert_int_equal(take(w), MERGE_WAIT);
    assert_false(hear(w, 1, "call", "{\"name\":\"a\"}"));
    assert_false(hear(w, 1, "call", "{\"name\":\"a\"}"));
    assert_string_equal(said(w), "state 0,call 1");
    assert_true(hear(w, 3, "call", "{\"name\":\"c\"}"));
    assert_string_equal(said(w), "state 0,call 1");
    put_row(w, 2, "b", OUTCOME_OK);
    put_row(w, 3, "c", OUTCOME_OK);
    assert_int_equal(take(w), MERGE_WAIT);
    assert_false(hear(w, 2, "call", "{\"name\":\"b\"}"));
    assert_string_equal(said(w), "state 0,call 1,call 2,call 3");
}

/* A later round has replaced number 2: it will never come. */
static void numbers_that_were_replaced_are_passed_over(void **state)
{
    struct world *w = *state;
    put_row(w, 1, "a", OUTCOME_OK);
    put_row(w, 3, "b", OUTCOME_OK);
    assert_int_equal(take(w), MERGE_WAIT);
    assert_false(hear(w, 4, "call", "{}"));
    assert_string_equal(said(w), "state 0,call 1,call 3,call 4");
}

static void what_will_be_made_again_is_not_finished(void **state)
{
    struct world *w = *state;
    put_row(w, 1, "a", OUTCOME_RETRYABLE);
    w->p.job.round = 1;
    w->p.job.state = JOB_QUEUED;
    assert_int_equal(take(w), MERGE_WAIT);
    assert_string_equal(said(w), "state 0");
    assert_non_null(strstr(buf_str(&w->out), "running")); /* it will be retried */
    assert_false(hear(w, 2, "call", "{}"));
}

static void what_is_too_large_for_a_message_is_read(void **state)
{
    struct world *w = *state;
    assert_int_equal(take(w), MERGE_WAIT);
    assert_true(merge_message(&w->m, "{\"seq\":1}", 9, false, &w->out));
    assert_false(
        merge_message(&w->m, "{\"seq\":0}", 9, false, &w->out)); /* unnumbered: at the end */
}

static void what_is_no_message_of_ours_is_no_change(void **state)
{
    static const char *const wrong[] = {"",
                                        "x",
                                        "{",
                                        "}",
                                        "{}",
                                        "{\"seq\":}",
                                        "{\"seq\":-1}",
                                        "{\"seq\":99999999999999999999}",
                                        "{\"seq\":1,\"event\":\"\",\"data\":1}",
                                        "{\"seq\":1,\"event\":\"call\"}",
                                        "{\"seq\":1,\"event\":\"call\",\"data\":}",
                                        "{\"seq\":1,\"event\":\"calls and more\",\"data\":1}"};
    struct world *w = *state;
    assert_int_equal(take(w), MERGE_WAIT);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_false(merge_message(&w->m, wrong[i], strlen(wrong[i]), false, &w->out));
    assert_string_equal(said(w), "state 0");
}

static void a_state_is_told_when_it_changes(void **state)
{
    struct world *w = *state;
    w->p.job.state = JOB_QUEUED;
    assert_int_equal(take(w), MERGE_WAIT);
    assert_false(hear(w, 0, "state", "{\"state\":\"running\"}"));
    assert_false(hear(w, 0, "state", "{\"state\":\"running\"}"));
    assert_false(hear(w, 0, "state", "{\"state\":\"<b>\"}"));
    assert_string_equal(said(w), "state 0,state 0");
}

/* The read began before the claim was committed. */
static void a_state_heard_meanwhile_is_newer_than_the_read(void **state)
{
    struct world *w = *state;
    struct record_progress ask = {0};
    static const char text[] = "{\"seq\":0,\"event\":\"state\",\"data\":{\"state\":\"running\"}}";
    w->p.job.state = JOB_QUEUED;
    assert_int_equal(take(w), MERGE_WAIT);
    merge_ask(&w->m, &ask);
    assert_false(merge_message(&w->m, text, sizeof text - 1, true, &w->out));
    assert_int_equal(merge_read(&w->m, &w->p, ROOM, &w->out), MERGE_WAIT);
    assert_string_equal(said(w), "state 0,state 0");
}

static void news_during_a_read_ask_for_another(void **state)
{
    struct world *w = *state;
    struct record_progress ask = {0};
    merge_ask(&w->m, &ask);
    assert_true(merge_message(&w->m, "{\"seq\":2}", 9, true, &w->out));
    assert_int_equal(merge_read(&w->m, &w->p, ROOM, &w->out), MERGE_READ);
    assert_int_equal(take(w), MERGE_WAIT);
}

static void finish(struct world *w, const char *calls)
{
    w->p.job.state = JOB_PARTIAL;
    w->p.job.seq = w->p.n ? w->calls[w->p.n - 1].seq + 1 : 1;
    w->p.job.calls = (char *)(uintptr_t)calls;
    w->p.job.calls_len = strlen(calls);
    w->p.job.detail = (char *)(uintptr_t) "ready";
    w->p.job.result = (char *)(uintptr_t) "[1,\n2]";
    w->p.job.result_len = 6;
}

static void ends_with_what_had_no_row_and_done(void **state)
{
    struct world *w = *state;
    assert_int_equal(take(w), MERGE_WAIT);
    assert_false(hear(w, 0, "call", "{\"name\":\"told\",\"item\":null,\"state\":\"succeeded\"}"));
    assert_false(hear(w, 1, "call", "{\"name\":\"a\"}"));
    assert_true(hear(w, 2, "done", "{}"));
    put_row(w, 1, "a", OUTCOME_OK);
    finish(w, "[{\"name\":\"a\",\"item\":null,\"state\":\"succeeded\"},"
              "{\"name\":\"told\",\"item\":null,\"state\":\"succeeded\",\"attempts\":1,\"ms\":1},"
              "{\"name\":\"skipped\",\"item\":2,\"state\":\"skipped\",\"attempts\":0,\"ms\":0}]");
    assert_int_equal(take(w), MERGE_ENDED);
    assert_string_equal(said(w), "state 0,call 0,call 1,state 1,call 1,done 2");
    assert_non_null(
        strstr(buf_str(&w->out), "{\"name\":\"skipped\",\"item\":2,\"state\":\"skipped\","));
    assert_non_null(
        strstr(buf_str(&w->out),
               "data: {\"id\":\"0190a5b2-1111-7222-8333-444455556666\",\"state\":"
               "\"partial\",\"reason\":null,\"message\":\"ready\",\"result\":[1, 2]}\n"));
}

static void goes_on_behind_the_number_it_was_told(void **state)
{
    struct world *w = *state;
    merge_init(&w->m, 1);
    put_row(w, 1, "a", OUTCOME_OK);
    put_row(w, 2, "b", OUTCOME_OK);
    assert_int_equal(take(w), MERGE_WAIT);
    assert_true(w->p.whole); /* it must be known how far the numbers go */
    assert_string_equal(said(w), "state 1,call 2");
}

static void a_number_beyond_all_counts_as_none(void **state)
{
    struct world *w = *state;
    merge_init(&w->m, 77);
    put_row(w, 1, "a", OUTCOME_OK);
    assert_int_equal(take(w), MERGE_READ);
    assert_string_equal(said(w), "");
    assert_int_equal(take(w), MERGE_WAIT);
    assert_string_equal(said(w), "state 0,call 1");
    merge_init(&w->m, UINT32_MAX + 1ull);
    assert_int_equal(w->m.last, 0);
}

/* It has heard the end, and comes back all the same. */
static void behind_done_comes_done_again_alone(void **state)
{
    struct world *w = *state;
    put_row(w, 1, "a", OUTCOME_OK);
    finish(w, "[{\"name\":\"a\",\"item\":null,\"state\":\"succeeded\"}]");
    merge_init(&w->m, 2);
    assert_int_equal(take(w), MERGE_ENDED);
    assert_string_equal(said(w), "state 2,done 2");
}

/* Cancelled in the queue, or expired: nobody gave `done` a number in the row. */
static void done_is_behind_every_call(void **state)
{
    struct world *w = *state;
    put_row(w, 4, "a", OUTCOME_OK);
    finish(w, "");
    w->p.job.seq = 0;
    assert_int_equal(take(w), MERGE_ENDED);
    assert_string_equal(said(w), "state 0,call 4,done 5");
}

static void what_does_not_fit_waits_for_the_next_read(void **state)
{
    struct world *w = *state;
    put_row(w, 1, "a", OUTCOME_OK);
    put_row(w, 2, "b", OUTCOME_OK);
    finish(w, "");
    struct record_progress ask = {0};
    merge_ask(&w->m, &ask);
    assert_int_equal(merge_read(&w->m, &w->p, 60, &w->out), MERGE_READ);
    assert_string_equal(said(w), "state 0,call 1");
    assert_int_equal(take(w), MERGE_ENDED);
    assert_string_equal(said(w), "state 0,call 1,call 2,done 3");
}

static void a_read_cut_short_asks_for_the_rest(void **state)
{
    struct world *w = *state;
    put_row(w, 1, "a", OUTCOME_OK);
    w->p.cut = true;
    assert_int_equal(take(w), MERGE_READ);
    w->p.cut = false;
    put_row(w, 2, "b", OUTCOME_OK);
    finish(w, "");
    assert_int_equal(take(w), MERGE_ENDED);
    assert_string_equal(said(w), "state 0,call 1,state 1,call 2,done 3");
}

static void says_a_gap_under_the_last_number(void **state)
{
    struct world *w = *state;
    assert_int_equal(take(w), MERGE_WAIT);
    assert_false(hear(w, 1, "call", "{}"));
    merge_gap(&w->m, &w->out);
    assert_string_equal(said(w), "state 0,call 1,gap 1");
    assert_non_null(strstr(buf_str(&w->out), "event: gap\ndata: {}\n\n"));
}

/* Messages lost, repeated, in any order among reads, and readers that come back at any moment: each
 * number once, in order. */
static void whatever_is_lost_each_number_comes_once_in_order(void **state)
{
    struct world *w = *state;
    struct rng_seeded rng;
    enum { CALLS = 40 };
    rng_seeded_init(&rng, 7);
    for (int round = 0; round < 300; round++) {
        uint32_t committed = 0, seen = 0;
        bool ended = false;
        merge_fini(&w->m);
        merge_init(&w->m, 0);
        w->p.n = 0;
        w->p.job.state = JOB_RUNNING;
        while (!ended) {
            buf_clear(&w->out);
            uint64_t what = rng_upto(&rng.rng, 4);
            if (what == 0 && committed < CALLS)
                put_row(w, ++committed, "c", OUTCOME_OK);
            else if (what == 0)
                finish(w, "");
            else if (what == 1 && committed)
                (void)hear(w, 1 + (uint32_t)rng_upto(&rng.rng, committed - 1), "call", "{}");
            else if (what == 2)
                ended = take(w) == MERGE_ENDED;
            else if (what == 3)
                merge_init(&w->m, w->m.last);
            for (const char *p = buf_str(&w->out); (p = strstr(p, "event: call")) != NULL; p++)
                seen++;
            for (const char *p = buf_str(&w->out); (p = strstr(p, "\nevent: call")) != NULL; p++) {
                const char *id = p;
                while (id > w->out.data && id[-1] != '\n')
                    id--;
                assert_int_equal(strtoul(id + 4, NULL, 10) <= committed, 1);
            }
            assert_int_equal(seen, ended ? CALLS : w->m.last);
        }
    }
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, open_world, close_world)
    const struct CMUnitTest tests[] = {
        T(begins_with_the_state_and_what_the_record_has),
        T(without_a_row_it_is_queued),
        T(before_the_first_read_every_message_asks_for_it),
        T(sends_the_next_drops_the_old_and_reads_at_a_jump),
        T(numbers_that_were_replaced_are_passed_over),
        T(what_will_be_made_again_is_not_finished),
        T(what_is_too_large_for_a_message_is_read),
        T(what_is_no_message_of_ours_is_no_change),
        T(a_state_is_told_when_it_changes),
        T(a_state_heard_meanwhile_is_newer_than_the_read),
        T(news_during_a_read_ask_for_another),
        T(ends_with_what_had_no_row_and_done),
        T(goes_on_behind_the_number_it_was_told),
        T(a_number_beyond_all_counts_as_none),
        T(behind_done_comes_done_again_alone),
        T(done_is_behind_every_call),
        T(what_does_not_fit_waits_for_the_next_read),
        T(a_read_cut_short_asks_for_the_rest),
        T(says_a_gap_under_the_last_number),
        T(whatever_is_lost_each_number_comes_once_in_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
