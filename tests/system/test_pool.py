"""A flow with a pool, with the real programs: pool.yaml. Ready-made results wait in a list in Redis, a
job takes the oldest, refills make new ones (B4 to B12 and B18 of the templates)."""
import json
import time
import uuid

import pytest

from harness import ROOT, Background, request, wait_for

POOL = (ROOT / "tests/system/pool.yaml").read_text()
DAY_MS = 86_400_000
# who started a job of the flow has a mark of its body; refills have none
REFILLS = "SELECT COUNT(*) FROM op_job WHERE state >= 10 AND mac = x'00000000000000000000000000000000'"


class Pool:
    def __init__(self, site, template=7):
        self.site, self.template = site, template
        self.refills = f"design-refill-{site.mark}"

    def key(self, kind):
        return f"op:{{p:design:{self.template}}}:{kind}"

    def redis(self, *words):
        return self.site.stack.redis(*words, db=self.site.redis_db)

    def length(self):
        return self.redis("LLEN", self.key("q"))

    def push(self, name, expires_ms=None):
        """A ready-made design, as a refill leaves it."""
        item = json.dumps({"templateSn": self.template, "images": [name]})
        expires_ms = expires_ms or int(time.time() * 1000) + DAY_MS
        self.redis("RPUSH", self.key("q"), f"{expires_ms}|{uuid.uuid4()}|{item}")

    def start(self):
        a = request(self.site.address, "POST", "/v1/flows/design/jobs",
                    json.dumps({"templateSn": self.template, "companySn": 12}),
                    {"Content-Type": "application/json"})
        assert a.status == 202, a
        return a.json()["id"]

    def images(self):
        self.last = self.start()
        job = self.site.wait_final(self.last)
        assert job["state"] == "succeeded", job
        return job["result"]["images"]

    def calls(self):
        """Of the last job: its refill may be under way by now."""
        return sum(e["key"].startswith(self.last) for e in self.site.standin.log_of("a-mart"))

    def records(self):
        return self.site.stack.records(self.refills)

    def produce(self, n):
        self.site.stack.produce_lines(self.refills, [f'{self.template}\t{{"templateSn": {self.template}}}'] * n)

    def refills_done(self):
        """All refills that were asked for have ended, and asked for no more."""
        return (self.site.sql("SELECT COUNT(*) FROM op_outbox") == [["0"]] and self.site.open_jobs() == 0
                and len(self.records()) == int(self.site.sql(REFILLS)[0][0]))


@pytest.fixture
def pool(new_site):
    def make(**kw):
        return Pool(new_site(extra_flows={"design": POOL}, **kw).open())
    return make


def test_an_empty_pool_costs_the_calls_and_is_filled_up_to_its_size(pool):
    """B6: every take publishes one record, {"templateSn": 7} with key 7. B7: an empty list means the
    copies are made in the job. B8: refills stop at 4."""
    p = pool()
    images = p.images()
    assert len(images) == 3 and p.calls() == 3
    wait_for("the pool is full", lambda: p.length() == 4, 60)
    wait_for("the last refill is over", p.refills_done, 30)
    records = p.records()
    assert len(records) == 4, "one for the take, and each refill asks for the next while it is short"
    assert {(r["key"], r["value"]) for r in records} == {("7", '{"templateSn":7}')}
    assert {r["headers"]["offpath-refill"] for r in records} == {"1"}
    assert p.length() == 4 and p.site.standin.calls("a-mart") == 15
    taken = p.images()
    assert p.calls() == 0, "no call is made with an item"
    assert len(taken) == 3 and taken != images
    wait_for("it is full again", lambda: p.length() == 4, 60)
    assert len(p.records()) == 5


def test_a_hundred_at_once_take_each_item_once(pool):
    """B4, B5: taken from the left, each once, under 100 concurrent takers."""
    p = pool()
    for i in range(100):
        p.push(f"ready-{i}")
    takers = Background(lambda i: p.start(), threads=20, count=100)
    takers.join()
    jobs = [p.site.wait_final(id, 60) for id in takers.results]
    images = sorted(i for j in jobs for i in j["result"]["images"])
    assert images == sorted(f"ready-{i}" for i in range(100))
    made = [e["key"] for e in p.site.standin.log_of("a-mart")]  # of refills, once the list is short
    assert not [key for key in made for id in takers.results if key.startswith(id)], "no call is made with an item"
    assert p.site.sql("SELECT COUNT(DISTINCT item), COUNT(DISTINCT job) FROM op_pool_used") == [["100", "100"]]


def test_ten_racing_refills_fill_no_more_than_its_size(pool):
    """B8: up to 4 and not beyond, when 10 records of one template race. B12: one after another."""
    p = pool()
    p.site.standin.script("a-mart", {"delay_ms": 50, "repeat": -1})
    p.produce(10)
    most = []

    def over():
        most.append(p.length())
        return p.length() == 4 and p.refills_done() and len(p.records()) >= 10

    wait_for("all refills are over", over, 60)
    assert max(most) == 4
    assert p.site.standin.calls("a-mart") == 12
    assert p.site.standin.stats()["a-mart"]["in_flight_max"] <= 3, "the calls of one refill at a time"
    assert {s for s in p.site.state_counts()} == {10}


def test_an_old_item_is_not_given_out_and_each_push_renews_the_list(pool):
    """B9: the list expires after the ttl, 30 days, from each push; an item older than that is not
    given out."""
    p = pool()
    p.push("too old", expires_ms=int(time.time() * 1000) - 1)
    p.push("good")
    assert p.images() == ["good"]
    wait_for("the pool is full", lambda: p.length() == 4, 60)
    assert 29.9 * DAY_MS < p.redis("PTTL", p.key("q")) <= 30 * DAY_MS


def test_a_length_that_cannot_be_read_stops_refills_but_no_jobs(pool):
    """B10: then the refill does nothing. B18: and the job makes its copies itself."""
    p = pool()
    p.redis("SET", p.key("q"), "no list")
    p.produce(1)
    wait_for("the refill is over", lambda: p.site.state_counts() == {10: 1}, 30)
    assert p.site.standin.calls("a-mart") == 0
    assert len(p.images()) == 3 and p.site.standin.calls("a-mart") == 3
    wait_for("its refill is over", p.refills_done, 30)
    assert p.site.standin.calls("a-mart") == 3
    assert len(p.records()) == 2, "one produced here, one for the take"


def test_without_redis_the_job_makes_its_copies(pool):
    """B18: Redis gone is as if the pool were empty."""
    p = pool(env={"OFFPATH_REDIS": "redis://127.0.0.1:1"})
    assert len(p.images()) == 3
    wait_for("the refill it asked for is over", lambda: p.site.state_counts() == {10: 2}, 30)
    assert p.site.standin.calls("a-mart") == 3
