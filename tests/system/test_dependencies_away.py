"""Kafka, Redis or MariaDB gone for 20 s while requests come (protocols: crash points, "away")."""
import re
import subprocess
import time

import pytest

from harness import CACHE_OF_THE_FLOW, SHOPS, Background, NotInTime, Unreadable, request, wait_for, wait_held
from test_leased_limits import limited

AWAY_S = 20
LONG = {"deadline: 12s": "deadline: 90s"}
LONG_CALLS = {**LONG, "timeout: 8s": "timeout: 60s"}


def keep_away(began):
    """The outage lasts its time, whatever the test did meanwhile."""
    wait_for("the outage is over", lambda: time.monotonic() - began > AWAY_S, AWAY_S + 30, every=0.2)


def suppressed(look):
    try:
        return look()
    except NotInTime:
        return False


def uuid_key(i):
    return f"8f14e45f-ceea-467f-a0e6-2d9c{i:08x}"


@pytest.mark.parametrize("how", ["frozen", "dead"])
def test_c10_redis_away_costs_speed_only(new_site, how):
    site = new_site(edit=LONG).open()
    site.run()
    began = time.monotonic()
    with getattr(site.stack, how)("redis"):
        ids = [site.accept() for _ in range(10)]
        wait_for("it is told", lambda: "redis" in str(site.gateways[0].get("/readyz").json().get("degraded")), 20)
        assert site.gateways[0].get("/readyz").status == 200
        assert site.workers[0].get("/readyz").status == 200
        for id in ids:
            assert site.wait_final(id)["state"] == "succeeded"
        product = site.product()
        first, second = site.run(product), site.run(product)
        assert first["id"] != second["id"], "every request is a miss"
        quick = [site.post().took for _ in range(10)]
        assert sorted(quick)[7] < 0.5, f"a broken Redis is asked each time: {quick}"
        key, product = uuid_key(1), site.product()
        first = site.accept(product, key=key)
        assert site.post(product, key=key).json()["id"] == first, "a key holds without Redis"
        keep_away(began)
    wait_for("it is whole again", lambda: not site.gateways[0].get("/readyz").json().get("degraded"), 30)

    def a_result_is_cached():
        product = site.product()
        site.run(product)
        return wait_for("cached", lambda: site.post(product).status == 200, 1)
    wait_for("the cache works again", lambda: suppressed(a_result_is_cached), 30)
    wait_for("all jobs are final", lambda: site.open_jobs() == 0)
    assert set(site.state_counts()) == {10}


@pytest.mark.parametrize("how", ["replica", "no memory"])
def test_redis_that_refuses_costs_speed_only(new_site, how):
    site = new_site(concurrency=20)
    limited(site)
    site.open()
    site.run()
    both = site.gateways[0], site.workers[0]

    def told():
        return ["redis" in str(p.get("/readyz").json()["degraded"]) for p in both]
    wait_for("both have Redis", lambda: told() == [False, False])
    began = time.monotonic()
    with site.stack.refusing(how):
        key, product = uuid_key(2), site.product()
        first = site.accept(product, key=key)
        assert site.post(product, key=key).json()["id"] == first, "a key holds"
        while time.monotonic() - began < AWAY_S:  # longer than a lease of slots
            assert site.run()["state"] == "succeeded"
        assert told() == [True, True] and {p.get("/readyz").status for p in both} == {200}
    wait_for("it is whole again", lambda: (site.run()["state"], told()) == ("succeeded", [False, False]), 30)
    product = site.product()
    site.run(product)
    wait_for("the cache works again", lambda: site.post(product).status == 200, 10)
    assert set(site.state_counts()) == {10}


@pytest.mark.parametrize("how", ["frozen", "dead"])
def test_mysql_away_accepts_and_catches_up(new_site, how):
    site = new_site(edit=LONG_CALLS).open()
    site.run()
    site.standin.call("DELETE", "/_log")
    for shop in SHOPS:
        site.standin.hold(shop, repeat=-1)
    flying = [site.accept() for _ in range(5)]
    wait_for("calls are in flight", lambda: site.standin.in_flight() == 15)
    began = time.monotonic()
    with getattr(site.stack, how)("mysql"):
        site.standin.mend()  # they are answered while MySQL is away
        ids = [site.accept() for _ in range(20)]
        a = wait_for("reading says so", lambda: (
            x := request(site.address, "GET", f"/v1/jobs/{flying[0]}", timeout=40)).status == 503 and x, 60)
        assert a.json()["code"] == "unavailable" and "retry-after" in a.headers
        wait_for("it is told", lambda: "mysql" in str(site.gateways[0].get("/readyz").json().get("degraded")), 20)
        assert site.gateways[0].get("/readyz").status == 200, "the gateway still accepts"
        wait_for("the worker says no", lambda: site.workers[0].get("/readyz").status == 503, 30)
        assert site.accept()
        ids.append(site.accept())
        keep_away(began)
    for id in flying + ids:
        assert site.wait_final(id, 60)["state"] == "succeeded"
    wait_for("nothing is open", lambda: site.open_jobs() == 0)
    assert set(site.state_counts()) == {10}
    calls = {e["key"]: 0 for e in site.standin.log_of()}
    for e in site.standin.log_of():
        calls[e["key"]] += 1
    assert set(calls.values()) == {1}, "no call was repeated"


@pytest.mark.parametrize("how, kept", [("frozen", False), ("dead", True)], ids=("frozen", "dead-passage"))
def test_kafka_away_is_a_503_and_nothing_is_lost(new_site, how, kept):
    site = new_site(edit={**LONG_CALLS, CACHE_OF_THE_FLOW: ""} if kept else LONG_CALLS).open()
    site.run()
    for shop in SHOPS:
        site.standin.hold(shop, repeat=-1)
    before = [site.accept() for _ in range(5)]
    wait_for("calls of all are in flight", lambda: site.standin.in_flight() == 15)
    began = time.monotonic()
    keys = [(uuid_key(i), site.product()) for i in range(8)]
    with getattr(site.stack, how)("kafka"):
        site.standin.mend()  # they are answered while Kafka is away
        load = Background(lambda i: site.post(keys[i][1], key=keys[i][0], timeout=40, kept=kept), threads=8, count=8).join()
        assert not load.errors, load.errors
        for a in load.results:
            assert a.status == 503 and "retry-after" in a.headers, a
            body = a.json()
            assert body["code"] in ("not-durable", "outcome-unknown", "overloaded"), body
            assert body["code"] != "outcome-unknown" or body["id"], "outcome-unknown names the job"
        wait_for("readiness says no", lambda: site.gateways[0].get("/readyz").status == 503, 30)
        assert site.gateways[0].get("/healthz").status == 200
        for id in before:
            assert site.wait_final(id)["state"] == "succeeded", "what is claimed is finished"
        keep_away(began)
    wait_for("readiness says yes", lambda: site.gateways[0].get("/readyz").status == 200, 60)
    ids, cached = set(), 0
    for key, product in keys:
        a = wait_for("the repeat is accepted", lambda: (
            x := site.post(product, key=key, kept=kept)).status in (200, 202) and x, 60)
        if "cached_at" in a.json():  # its job has ended: the flow's cache answers
            assert a.json()["result"]["productId"] == product and not kept, a
            cached += 1
        else:
            ids.add(a.json()["id"])
    unknown = {a.json()["id"] for a in load.results if a.json()["code"] == "outcome-unknown"}
    assert unknown or how != "frozen", "what was sent may have arrived"
    assert len(unknown - ids) <= cached, "the repeat names the same job"
    for id in ids | unknown:
        assert site.wait_final(id, 60)["state"] == "succeeded"
    wait_for("nothing is open", lambda: site.open_jobs() == 0, 60)
    keys_made = [e["key"] for e in site.standin.log_of()]
    assert len(keys_made) == len(set(keys_made)), "each call was made once"


def test_a_table_that_goes_meanwhile_is_named_once_by_each(new_site):
    """By number and name, however many ask; what waited for it goes on once it is there again."""
    site = new_site(edit=LONG).open()
    done = site.run()["id"]
    site.sql("RENAME TABLE op_call TO kept")
    for _ in range(10):
        assert request(site.address, "GET", f"/v1/jobs/{done}").status == 503
    waits = site.accept()
    gateway, worker = site.gateways[0], site.workers[0]
    said = [x for x in gateway.text().splitlines() if "record-away" in x]
    assert len(said) == 1 and "op_call" in said[0], said
    wait_for("the worker tells", lambda: "record-away" in worker.text(), 30)
    assert all("1146 Table" in x and "op_call" in x for x in worker.text().splitlines() if "record-away" in x), worker.tail()
    site.sql("RENAME TABLE kept TO op_call")
    assert site.wait_final(waits)["state"] == "succeeded"
    assert "record-back" in gateway.text(), gateway.tail()
    assert worker.text().count("record-away who=writer") == 1, worker.tail()


def test_the_worker_starts_before_kafka_answers_or_says_so(new_site):
    """A server that does not answer at start-up: exit 3 with a line that names it."""
    site = new_site().prepare()
    p = site.worker(wait=False, OFFPATH_KAFKA="127.0.0.1:1")
    assert p.wait_exit(60) == 3, p.tail()
    assert "127.0.0.1:1" in p.text() and "afka" in p.text()


def test_the_gateway_starts_without_redis_and_mysql(new_site):
    site = new_site().open()
    lonely = site.gateway(OFFPATH_REDIS="redis://127.0.0.1:1", OFFPATH_MYSQL="mysql://u:p@127.0.0.1:1/x")
    a = lonely.get("/readyz")
    assert a.status == 200 and {d["name"] for d in a.json()["degraded"]} == {"redis", "mysql"}, a
    id = site.accept(address=lonely.address())
    assert site.wait_final(id)["state"] == "succeeded"
    b = request(lonely.address(), "GET", f"/v1/jobs/{id}", timeout=40)
    assert (b.status, b.json()["code"]) == (503, "unavailable"), b


def test_verbs_of_an_operator_say_what_to_do_about_a_server_that_is_away(new_site):
    site = new_site(database=False)
    away = {"OFFPATH_KAFKA": "127.0.0.1:1", "OFFPATH_REDIS": "redis://u:hidden@127.0.0.1:2", "OFFPATH_MYSQL": "mysql://u:hidden@127.0.0.1:3/x"}
    kafka = "does not answer at 127.0.0.1:1: start it, or mend --kafka"
    redis = "does not answer at 127.0.0.1:2: start it, or mend --redis"
    mysql = r"MySQL at 127\.0\.0\.1:3: 2\d+ .+; start it, or mend --mysql"
    done = site.verb("offpath-worker", "check", site.folder / "flows", env=away)
    lines = done.stdout.splitlines()[-3:]
    assert done.returncode == 3 and lines[:2] == [f"kafka  {kafka}", f"redis  {redis}"] and re.fullmatch(f"mysql  {mysql}", lines[2]), done
    assert "hidden" not in done.stdout + done.stderr
    done = site.verb("offpath-worker", "topics", "plan", env=away)
    assert done.returncode == 3 and done.stderr.splitlines()[-1] == f"topics: Kafka {kafka}", done
    done = site.verb("offpath-worker", "migrate", "status", env=away)
    assert done.returncode == 3 and re.fullmatch(f"migrate: {mysql}\n", done.stderr), done


@pytest.mark.parametrize("edit, why", [((":[0-9]+.*", ":1/0"), "Connection refused"), (("//", "//:secret@"), "AUTH"),
                                       (("/[0-9]*$", "/9999"), "out of range")])
def test_a_redis_that_was_never_of_use_is_told_once(new_site, edit, why):
    """A mistyped address, password or number: silent it would be for ever."""
    site = new_site().prepare()
    url = re.sub(*edit, site.env["OFFPATH_REDIS"], count=1)
    both = site.gateway(OFFPATH_REDIS=url), site.worker(OFFPATH_REDIS=url)

    def told(p):
        return [re.sub(" why=.*", "", x.split(" ", 1)[1]) for x in p.text().splitlines() if re.search(f"cache-away .*{why}", x)]
    for p in both:
        wait_for("it is told", lambda p=p: told(p), 10)
    wait_held("it is not told again", lambda: all(len(told(p)) == len(set(told(p))) for p in both), 3, 10)
    assert not any(word in p.text() for p in both for word in ("secret", "redis-refused")), both[0].tail()


def test_a_gateway_without_kafka_does_not_start(new_site):
    site = new_site().prepare()
    p = site.gateway(wait=False, OFFPATH_KAFKA="127.0.0.1:1")
    assert p.wait_exit(60) == 3, p.tail()


def test_unreadable_is_an_error_of_the_harness(site):
    with pytest.raises(Unreadable):
        site.job("01990c5e-0000-7000-8000-00003f9a2c41")


@pytest.mark.parametrize("how", ["frozen", "dead"])
def test_a_shorter_wait_still_tells_what_was_not_sent(new_site, how):
    """Given up by the library itself, a record is `not-durable` for sure; else all were unknown. The usual wait is 10 s."""
    site = new_site().prepare()
    gateway = site.gateway(OFFPATH_PUBLISH_DEADLINE="2s")
    post = lambda i: site.post(address=gateway.address())  # noqa: E731
    with getattr(site.stack, how)("kafka"):
        load = Background(post, threads=10, count=30).join()
    assert not load.errors, load.errors
    assert {a.status for a in load.results} == {503} and max(a.took for a in load.results) < 9, load.results
    codes = [a.json()["code"] for a in load.results]
    assert codes.count("not-durable") > codes.count("outcome-unknown"), codes


# Answers for librdkafka, from the moment the file is there. No real broker does this when asked to.
FATAL = """
#include <stdio.h>
#include <unistd.h>
int rd_kafka_fatal_error(void *rk, char *text, size_t size)
{
    (void)rk;
    if (access(FLAG, F_OK) != 0)
        return 0;
    if (text)
        snprintf(text, size, "numbers out of order");
    return 45;
}
"""


@pytest.mark.parametrize("program", ["gateway", "worker"])
def test_a_program_that_can_publish_no_more_ends(new_site, release, tmp_path, program):
    library, flag = tmp_path / "fatal.so", tmp_path / "now"
    subprocess.run(["cc", "-shared", "-fPIC", "-x", "c", f'-DFLAG="{flag}"', "-o", library, "-"], input=FATAL,
                   text=True, check=True)
    site = new_site(release).prepare()
    p = getattr(site, program)(LD_PRELOAD=str(library))
    assert p.get("/readyz").status == 200
    flag.touch()
    assert p.wait_exit(60) == 3, p.tail()
    said = [x for x in p.text().splitlines() if "producer-lost" in x]
    assert len(said) == 1 and "numbers out of order" in said[0], p.tail()
