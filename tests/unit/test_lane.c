/* lane.h: what is put in goes through Redis and to Kafka in order; each item is over once and
 * released once, whatever the report does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "common/cache_fake.h"
#include "gateway/lane.h"

enum { ITEMS = 100 };

struct place {
    struct broker_producer producer; /* first */
    struct clock_stepped clock;
    struct cache_fake *redis;
    struct cache *cache;
    struct marks *marks;
    struct publisher *publisher;
    struct lane *lane;
    int refuse;  /* the broker's answer to a publish */
    bool deaf;   /* no report before the test makes one; each publish is told in `ended` */
    bool silent; /* the same, and time passes */
    bool stalls; /* time passes, the lane's thread leaves the item, then the broker refuses it */
    sem_t left;
    bool late; /* the report comes while its item is over for the lane */
    struct publish_call *silenced;
    unsigned published[ITEMS], published_n;
    sem_t ended; /* one for each item that is released, left or turned away */
};

struct thing {
    struct lane_item item; /* first */
    struct place *place;
    struct marks_key key;
    struct broker_record record;
    unsigned number;
    bool turn_away;
    struct thing *next; /* put in while this one is on its trip: so many, which share the next */
    unsigned next_n;
    enum mark_state mark;
    struct job_id marked;
    pthread_t carrier;
    _Atomic int err, over, released, early;
};

static int publish(struct broker_producer *port, const struct broker_record *r, void *tag)
{
    struct place *p = (struct place *)port;
    if (p->refuse)
        return p->refuse;
    p->published[p->published_n++] = *(const unsigned *)r->value;
    p->silenced = tag;
    if (p->stalls) {
        clock_step(&p->clock, 60000000);
        sem_wait(&p->left);
        return ERR_TOO_LARGE;
    }
    if (p->deaf)
        return sem_post(&p->ended);
    if (p->silent) {
        clock_step(&p->clock, 60000000);
        return 0;
    }
    struct broker_delivery d = {.tag = tag, .report = REPORT_PERSISTED, .why = ""};
    publisher_reports(p->publisher, &d, 1);
    return 0;
}

static void close_nothing(struct broker_producer *p)
{
    (void)p;
}

static bool admitted(struct lane_item *i, struct mark *mark)
{
    struct thing *t = (struct thing *)i;
    bool turn_away = t->turn_away;
    t->mark = mark->state;
    t->marked = mark->id;
    t->carrier = pthread_self();
    for (unsigned n = 0; n < t->next_n; n++)
        lane_put(t->place->lane, &t->next[n].item);
    if (turn_away)
        sem_post(&t->place->ended); /* the last touch */
    return !turn_away;
}

static void over(struct lane_item *i, int err)
{
    struct thing *t = (struct thing *)i;
    if (t->place->late) {
        struct broker_delivery d = {
            .tag = t->place->silenced, .report = REPORT_PERSISTED, .why = ""};
        publisher_reports(t->place->publisher, &d, 1);
        t->early = t->released;
    }
    t->err = err;
    t->over++;
    sem_post(&t->place->left);
    if (t->place->silent && !t->place->late) /* nothing else will come */
        sem_post(&t->place->ended);
}

static void release(struct lane_item *i)
{
    struct thing *t = (struct thing *)i;
    t->released++;
    sem_post(&t->place->ended); /* the last touch: the test may end */
}

static int setup(void **state)
{
    static const struct broker_producer_ops ops = {.publish = publish, .close = close_nothing};
    static struct place p;
    p = (struct place){.producer.ops = &ops};
    sem_init(&p.ended, 0, 0);
    sem_init(&p.left, 0, 0);
    clock_stepped_init(&p.clock, 1795561200LL * 1000000);
    assert_int_equal(cache_fake_open(&p.clock.clock, &p.redis), 0);
    assert_int_equal(cache_fake_view(p.redis, &p.cache), 0);
    assert_int_equal(marks_open(p.cache, 0, &p.marks), 0);
    assert_int_equal(publisher_open(1000, ITEMS, &p.publisher), 0);
    publisher_use(p.publisher, &p.producer, NULL);
    struct lane_settings s = {p.marks, p.publisher, &p.clock.clock, 1000, 5};
    assert_int_equal(lane_open(&s, &p.lane), 0);
    *state = &p;
    return 0;
}

static int teardown(void **state)
{
    struct place *p = *state;
    publisher_close(p->publisher);
    lane_close(p->lane);
    marks_close(p->marks);
    cache_close(p->cache);
    cache_fake_close(p->redis);
    sem_destroy(&p->ended);
    sem_destroy(&p->left);
    return 0;
}

static void put(struct place *p, struct thing *t, unsigned number, bool keyed)
{
    *t = (struct thing){.place = p, .number = number, .key.id.b = {(uint8_t)number, 1}};
    t->record = (struct broker_record){.topic = "t", .value = &t->number, .value_len = 4};
    t->item = (struct lane_item){.key = keyed ? &t->key : NULL,
                                 .record = &t->record,
                                 .admitted = admitted,
                                 .over = over,
                                 .release = release};
}

static void await(struct place *p, unsigned n)
{
    struct timespec until;
    timespec_get(&until, TIME_UTC); /* ThreadSanitizer knows no sem_clockwait */
    until.tv_sec += 10;
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(sem_timedwait(&p->ended, &until), 0);
}

static void publishes_all_in_the_order_they_came(void **state)
{
    struct place *p = *state;
    static struct thing things[ITEMS]; /* some trips' worth */
    for (unsigned i = 0; i < ITEMS; i++) {
        put(p, &things[i], i, i % 3 != 0);
        lane_put(p->lane, &things[i].item);
    }
    await(p, ITEMS);
    assert_int_equal(p->published_n, ITEMS);
    for (unsigned i = 0; i < ITEMS; i++) {
        assert_int_equal(p->published[i], i);
        assert_int_equal(things[i].err, 0);
        assert_int_equal(things[i].mark, MARK_NONE);
    }
    assert_int_equal(publisher_open_count(p->publisher), 0);
    assert_int_equal(cache_fake_commands(p->redis), 66);
}

static void lets_who_comes_alone_go_himself(void **state)
{
    struct place *p = *state;
    struct thing first, second;
    put(p, &first, 1, true);
    put(p, &second, 2, true);
    first.next = &second;
    first.next_n = 1;
    lane_put(p->lane, &first.item);
    await(p, 2);
    assert_true(pthread_equal(first.carrier, pthread_self()));
    assert_false(pthread_equal(second.carrier, pthread_self())); /* it did not come alone */
    assert_int_equal(p->published[0], 1);
    assert_int_equal(p->published[1], 2);
}

static void leaves_the_trips_to_the_thread_from_so_many_reports_on(void **state)
{
    struct place *p = *state;
    struct thing things[LANE_CALM + 1];
    struct publish_call *calls[LANE_CALM + 1];
    p->deaf = true;
    for (unsigned i = 0; i <= LANE_CALM; i++) {
        put(p, &things[i], i, true);
        lane_put(p->lane, &things[i].item);
        await(p, 1);
        calls[i] = p->silenced;
    }
    for (unsigned i = 0; i <= LANE_CALM; i++) {
        struct broker_delivery d = {.tag = calls[i], .report = REPORT_PERSISTED, .why = ""};
        publisher_reports(p->publisher, &d, 1);
    }
    await(p, LANE_CALM + 1);
    for (unsigned i = 0; i <= LANE_CALM; i++)
        assert_int_equal(!pthread_equal(things[i].carrier, pthread_self()), i == LANE_CALM);
}

static void turns_away_what_is_not_admitted(void **state)
{
    struct place *p = *state;
    struct thing first, second, third;
    put(p, &first, 1, true);
    lane_put(p->lane, &first.item);
    await(p, 1);
    put(p, &second, 1, true); /* the same key, and no acknowledgement yet */
    second.turn_away = true;
    lane_put(p->lane, &second.item);
    await(p, 1);
    assert_int_equal(second.mark, MARK_PENDING);
    put(p, &third, 1, true);
    memset(third.key.mac, 9, sizeof third.key.mac); /* another body */
    third.turn_away = true;
    lane_put(p->lane, &third.item);
    await(p, 1);
    assert_int_equal(third.mark, MARK_OTHER_BODY);
    assert_int_equal(p->published_n, 1);
    assert_int_equal(second.over + third.over + second.released + third.released, 0);
}

/* One trip: the key of a job that Kafka has, one of another body, none, and a new one. */
static void gives_each_of_a_trip_its_own_mark(void **state)
{
    enum { KNOWN, OTHER, KEYLESS, NEW, ALL };
    static const enum mark_state marks[] = {MARK_ACKNOWLEDGED, MARK_OTHER_BODY, MARK_NONE,
                                            MARK_NONE};
    struct place *p = *state;
    struct marks_done done = {.has_key = true};
    struct thing first, trip[ALL];
    put(p, &first, 9, false);
    for (unsigned i = 0; i < ALL; i++) {
        put(p, &trip[i], i + 1, i != KEYLESS);
        trip[i].turn_away = marks[i] != MARK_NONE;
    }
    done.key = trip[KNOWN].key;
    done.id = done.key.id;
    marks_confirm(p->marks, &done);
    done.key = trip[OTHER].key;
    done.id = done.key.id;
    marks_confirm(p->marks, &done);
    assert_int_equal(marks_flush(p->marks, 10000), 0);
    memset(trip[OTHER].key.mac, 9, sizeof trip[OTHER].key.mac);
    first.next = trip;
    first.next_n = ALL;
    lane_put(p->lane, &first.item);
    await(p, 1 + ALL);
    for (unsigned i = 0; i < ALL; i++)
        assert_int_equal(trip[i].mark, marks[i]);
    assert_memory_equal(&trip[KNOWN].marked, &trip[KNOWN].key.id, sizeof trip[KNOWN].marked);
    assert_int_equal(p->published_n, 3);
    assert_int_equal(p->published[1], KEYLESS + 1);
    assert_int_equal(p->published[2], NEW + 1);
}

static void publishes_without_redis(void **state)
{
    struct place *p = *state;
    struct thing t;
    cache_fake_away(p->redis, true);
    put(p, &t, 1, true);
    lane_put(p->lane, &t.item);
    await(p, 1);
    assert_int_equal(t.mark, MARK_NONE);
    assert_int_equal(t.err, 0);
    cache_fake_away(p->redis, false);
    cache_fake_refuse(p->redis, SCRIPT_NONE, "READONLY");
    put(p, &t, 2, true);
    lane_put(p->lane, &t.item);
    await(p, 1);
    assert_int_equal(t.mark, MARK_NONE);
    assert_int_equal(t.err, 0);
    cache_fake_refuse(p->redis, SCRIPT_NONE, NULL);
}

static void tells_what_was_not_sent(void **state)
{
    struct place *p = *state;
    struct thing t;
    p->refuse = ERR_FULL;
    put(p, &t, 1, false);
    lane_put(p->lane, &t.item);
    await(p, 1);
    assert_int_equal(t.err, ERR_OVERLOADED);
    assert_int_equal(t.over, 1);
}

static void waits_no_longer_than_told_and_frees_with_the_report(void **state)
{
    struct place *p = *state;
    struct thing t;
    p->silent = true;
    put(p, &t, 1, true);
    lane_put(p->lane, &t.item);
    await(p, 1);
    assert_int_equal(t.err, ERR_OUTCOME_UNKNOWN);
    assert_int_equal(t.released, 0); /* the client still has it */
    struct broker_delivery d = {.tag = p->silenced, .report = REPORT_PERSISTED, .why = ""};
    publisher_reports(p->publisher, &d, 1);
    await(p, 1); /* the lane releases it where the report came before it was marked as left */
    assert_int_equal(t.over, 1);
    assert_int_equal(t.released, 1);
}

static void keeps_what_is_reported_while_it_is_left(void **state)
{
    struct place *p = *state;
    struct thing t;
    p->silent = p->late = true;
    put(p, &t, 1, true);
    lane_put(p->lane, &t.item);
    await(p, 1);
    assert_int_equal(t.early, 0); /* still in use */
    assert_int_equal(t.err, ERR_OUTCOME_UNKNOWN);
    assert_int_equal(t.over, 1);
    assert_int_equal(t.released, 1);
}

static void is_over_once_if_it_is_refused_when_it_was_left(void **state)
{
    struct place *p = *state;
    struct thing t;
    p->stalls = true;
    put(p, &t, 1, false);
    lane_put(p->lane, &t.item); /* on this thread, which the broker holds up */
    await(p, 1);
    assert_int_equal(t.err, ERR_OUTCOME_UNKNOWN);
    assert_int_equal(t.over, 1);
    assert_int_equal(t.released, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(publishes_all_in_the_order_they_came),
        TEST(lets_who_comes_alone_go_himself),
        TEST(leaves_the_trips_to_the_thread_from_so_many_reports_on),
        TEST(turns_away_what_is_not_admitted),
        TEST(gives_each_of_a_trip_its_own_mark),
        TEST(publishes_without_redis),
        TEST(tells_what_was_not_sent),
        TEST(waits_no_longer_than_told_and_frees_with_the_report),
        TEST(is_over_once_if_it_is_refused_when_it_was_left),
        TEST(keeps_what_is_reported_while_it_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
