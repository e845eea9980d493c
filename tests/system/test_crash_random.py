"""300 jobs of 3 calls while programs and the broker die at random moments."""
import random
import time
from collections import Counter

import pytest

from harness import SHOPS, Background, wait_for

pytestmark = pytest.mark.crash

JOBS = 300
LONG = {"deadline: 12s": "deadline: 10m", "timeout: 8s": "timeout: 60s",
        "attempts: 3": "attempts: 8"}


def uuid_key(i):
    return f"8f14e45f-ceea-467f-a0e6-{i:012x}"


def post_until_accepted(site, i):
    """As a client should: the same key until an answer says it is durable."""
    end = time.monotonic() + 120
    while True:
        try:
            a = site.post(str(700_000 + i), key=uuid_key(i), timeout=30)
            if a.status in (200, 202):
                return a.json()["id"]
            assert a.status == 503, a
        except OSError:
            pass
        assert time.monotonic() < end, f"request {i} was never accepted"
        time.sleep(0.2)


def shops(site, low, high):
    rng = random.Random(1)
    for shop in SHOPS:
        replies = [{"delay_ms": rng.randint(low, high)} for _ in range(400)]
        site.standin.script(shop, *replies, {"delay_ms": low, "repeat": -1})


def open_calls(site, victim):
    """The calls a worker had in flight when it died or froze: those a shop saw, of jobs that are its
    own, without a row in the ledger. Nothing of it changes any more until its lease is out (15 s), so
    this may be asked a moment later, and also holds what it started in its very last moment."""
    jobs = {j.lower() for j, in site.sql(
        "SELECT HEX(j.id) FROM op_job j JOIN op_worker w ON w.id = j.worker "
        f"WHERE j.state = 1 AND w.name LIKE '%:{victim.pid}.%'")}
    asked = {e["key"] for e in site.standin.log_of() if e["key"]}
    recorded = {(j.lower(), c.lower()) for j, c in site.sql("SELECT HEX(job), HEX(ckey) FROM op_call")}

    def is_open(key):
        job, call = key.replace("-", "").split(".")
        return job in jobs and (job, call) not in recorded
    return Counter(k for k in asked if is_open(k))


def check_all(site, ids, repeats_allowed):
    """repeats_allowed: how often each call may be made again, by key: once per death in its flight."""
    assert len(ids) == len(set(ids)) == JOBS
    wait_for("every job is final", lambda: site.open_jobs() == 0, 240, every=0.5)
    assert site.state_counts() == {10: JOBS}, "each accepted once, each saved once"
    rows = site.sql("SELECT COUNT(*), COUNT(DISTINCT job) FROM op_call WHERE outcome = 1")
    assert rows == [[str(3 * JOBS), str(JOBS)]]
    made = Counter(e["key"] for e in site.standin.log_of() if e["key"])
    assert len(made) == 3 * JOBS
    repeated = made - Counter(made.keys())
    assert not repeated - repeats_allowed, f"repeated, and not in flight at a death: {repeated - repeats_allowed}"
    # who has a job's record may hear only at its next look, 1 s later, that another worker has ended the job
    wait_for("the gateway sees no lag", lambda: site.gateways[0].metric("offpath_flow_lag_records") == 0, 60, every=0.5)
    for w in list(site.workers):
        if w.running():
            assert w.stop() == 0, w.tail()
    assert site.uncommitted() == [], "offsets are committed without a gap"


def test_c07_workers_gateway_and_broker_killed_at_random(new_site, seed):
    rng = random.Random(seed)
    site = new_site(edit=LONG).open(gateways=1, workers=2)
    shops(site, 50, 1500)
    load = Background(lambda i: post_until_accepted(site, i), threads=8, count=JOBS)
    in_flight_at_kills = Counter()
    for n in range(10):
        moment = time.monotonic() + rng.uniform(0.5, 3.0)
        wait_for("a random moment", lambda: time.monotonic() > moment, 5)
        victim = rng.choice([w for w in site.workers if w.running()])
        victim.kill()
        in_flight_at_kills += open_calls(site, victim)
        site.workers.append(site.worker())
        if n == 3:
            site.gateways[0].kill()
            site.gateways[0] = site.gateway()
            site.address = site.gateways[0].address()
        if n == 6:
            with site.stack.dead("kafka"):
                pass
    frozen = site.workers[-1]
    frozen.freeze()
    in_flight_at_kills += open_calls(site, frozen)
    load.join(240)
    assert not load.errors, load.errors[:3]
    site.workers.append(site.worker())
    moment = time.monotonic() + 25
    wait_for("its lease is over", lambda: time.monotonic() > moment, 30, every=0.2)
    frozen.thaw()
    check_all(site, load.results, in_flight_at_kills)


def test_workers_that_come_and_go_repeat_no_call(new_site):
    """A rebalance every 3 s and no crash: each call is made exactly once."""
    site = new_site(edit=LONG).open(workers=2)
    shops(site, 200, 4000)
    load = Background(lambda i: post_until_accepted(site, i), threads=4, count=JOBS)
    for n in range(6):
        moment = time.monotonic() + 3
        wait_for("three seconds", lambda: time.monotonic() > moment, 5)
        if n % 2 == 0:
            site.workers.append(site.worker())
        else:
            site.workers[n // 2].signal(15)
    load.join(120)
    assert not load.errors, load.errors[:3]
    check_all(site, load.results, Counter())
