"""A shop that misbehaves: only its call fails, with a reason, and in bounded time and memory."""
import time

import pytest

from harness import SHOPS, Background, StandIn, call_of, wait_for

FAULTS = [
    ({"garbage": "body"}, {"bad-body"}),
    ({"garbage": "http"}, {"reset", "bad-body"}),
    ({"gzip_bomb": True}, {"too-big"}),
    ({"endless": True}, {"too-big"}),
    ({"disconnect": "before"}, {"reset"}),
    ({"disconnect": "mid"}, {"reset"}),
    ({"disconnect": "reset"}, {"reset"}),
    ({"redirect": "http://10.1.2.3/prices"}, {"http-3xx"}),
    ({"redirect": "http://169.254.169.254/latest/meta-data"}, {"http-3xx"}),
    ({"status": 400}, {"http-4xx"}),
    ({"status": 429}, {"http-429"}),
    ({"status": 500}, {"http-5xx"}),
    ({"body": "[]"}, {"bad-body"}),
    ({"body": "x" * 70000}, {"too-big"}),
]


@pytest.mark.parametrize("fault, reasons", FAULTS, ids=[str(f)[:40] for f, _ in FAULTS])
def test_only_that_call_fails(site, fault, reasons):
    site.standin.script("a-mart", {**fault, "repeat": -1})
    memory = site.workers[0].memory_kb()
    job = site.run()
    assert job["state"] == "partial", job
    assert sorted(o["shop"] for o in job["result"]["offers"]) == ["b-shop", "c-store"]
    error = call_of(job, "a-mart")["error"]
    assert error["code"] in reasons, error
    assert error["message"] and "x" * 20 not in error["message"]
    assert site.workers[0].memory_kb() < memory + 60_000
    site.standin.mend()
    assert site.run()["state"] == "succeeded", "the next job is not harmed"


def test_a_slow_drip_ends_with_the_time_out(site):
    site.standin.script("a-mart", {"drip_ms": 1000, "repeat": -1})
    began = time.monotonic()
    job = site.run()
    assert job["state"] == "partial"
    assert call_of(job, "a-mart")["error"]["code"] in ("timeout", "deadline")
    assert time.monotonic() - began < 40  # 8 s a call, 12 s the job; a byte a second would take a minute


def test_retry_after_is_heeded(site):
    site.standin.script("c-store", {"status": 429, "retry_after": 1})
    job = site.run()
    assert job["state"] == "succeeded" and call_of(job, "c-store")["attempts"] == 2
    first, second = (e["at_ms"] for e in site.standin.log_of("c-store"))
    assert second - first >= 1000


def test_no_more_attempts_than_declared(site):
    site.standin.script("b-shop", {"status": 503, "repeat": -1})
    job = site.run()
    assert call_of(job, "b-shop")["attempts"] == 3
    assert site.standin.calls("b-shop") == 3


def test_a_permanent_error_is_not_repeated(site):
    site.standin.script("b-shop", {"status": 403, "repeat": -1})
    job = site.run()
    assert call_of(job, "b-shop")["attempts"] == 1 and call_of(job, "b-shop")["error"]["code"] == "http-4xx"


def test_a_private_address_is_refused_unless_allowed(new_site):
    site = new_site()
    path = site.folder / "upstreams.yaml"
    text = path.read_text()
    at = text.index("b-shop:")
    path.write_text(text[:at] + text[at:].replace("allow_private: true", "allow_private: false", 1))
    site.open()
    job = site.run()
    assert job["state"] == "partial"
    assert call_of(job, "b-shop")["error"]["code"] == "blocked-address", job["calls"]
    assert site.standin.calls("b-shop") == 0


def test_a_shop_that_is_gone_and_comes_back(new_site):
    """Its own stand-in, killed while requests come: partial meanwhile, whole again afterwards."""
    site = new_site()
    lonely = StandIn(site.folder, site.standin_binary(), name="lonely")
    port = int(lonely.address().rsplit(":", 1)[1])
    site.programs.append(lonely)
    site.env["B_SHOP_URL"] = f"http://{lonely.address()}/b-shop"
    site.open()
    assert site.run()["state"] == "succeeded"
    lonely.kill()
    ids = [site.accept() for _ in range(10)]
    jobs = [site.wait_final(i) for i in ids]
    assert {j["state"] for j in jobs} == {"partial"}
    assert {call_of(j, "b-shop")["error"]["code"] for j in jobs} <= {"connect", "breaker-open", "deadline"}
    site.programs.append(StandIn(site.folder, site.standin_binary(), name="lonely", port=port))
    wait_for("it is used again", lambda: site.run()["state"] == "succeeded", 40)


def test_a_shop_away_for_20_s_under_load(new_site):
    """The breaker opens, asks with one probe each 10 s, and closes when the shop is back; meanwhile
    jobs end as soon as their other calls have, and nothing becomes a dead letter."""
    site = new_site()
    lonely = StandIn(site.folder, site.standin_binary(), name="lonely")
    port = int(lonely.address().rsplit(":", 1)[1])
    site.programs.append(lonely)
    site.env["B_SHOP_URL"] = f"http://{lonely.address()}/b-shop"
    worker = site.open().workers[0]

    def is_open():
        return worker.metric("offpath_breaker_open", upstream="b-shop")

    def refused():
        return worker.metric("offpath_call_attempts_total", upstream="b-shop", code="connect") or 0

    assert site.run()["state"] == "succeeded"
    threads = 8
    load = Background(lambda i: (time.monotonic(), site.run()), threads)

    def states(since):
        """Of the jobs that began since then: a thread may end its job long after the others' next ones."""
        return [job["state"] for at, job in load.results if at > since]
    wait_for("some went well", lambda: len(load.results) > 20)
    assert is_open() == 0
    lonely.kill()
    away = time.monotonic()
    wait_for("the breaker is open", lambda: is_open() == 1, 20)
    asked, opened = refused(), time.monotonic()
    wait_for("20 s, and a probe", lambda: time.monotonic() - away > 20 and refused() > asked, 60, every=0.2)
    assert is_open() == 1
    probes = (time.monotonic() - opened) / 10 + 1
    assert refused() - asked <= threads + probes, "what was in flight, and a probe each 10 s"
    during = states(opened)
    assert len(during) > 50 and set(during) == {"partial"}, "the other shops' calls go on"
    assert {call_of(j, "b-shop")["error"]["code"] for at, j in load.results if at > opened} <= {"breaker-open", "connect"}
    site.programs.append(StandIn(site.folder, site.standin_binary(), name="lonely", port=port))
    wait_for("a probe closes it", lambda: is_open() == 0, 20)
    whole = time.monotonic()
    wait_for("whole again", lambda: len(states(whole)) > 20)
    load.stop()
    assert not load.errors, load.errors[:3]
    assert set(states(whole)) == {"succeeded"}
    assert set(states(0)) == {"succeeded", "partial"}
    assert site.open_jobs() == 0 and site.sql("SELECT COUNT(*) FROM op_dead") == [["0"]]


def test_a_slow_shop_does_not_hold_back_jobs_of_others(site):
    """50 jobs wait for a hanging shop; a job that does not is through at once."""
    site.standin.script("b-shop", {"hang": True, "match": "id=77", "repeat": -1})
    slow = [site.accept(f"77{i:04}") for i in range(40)]
    wait_for("they hang", lambda: site.standin.stats()["b-shop"]["in_flight"] >= 30, 20)
    assert site.run("9000001")["state"] == "succeeded"
    assert site.standin.stats()["b-shop"]["in_flight"] >= 30, "it waited for the others"
    site.standin.mend()
    for id in slow:
        assert site.wait_final(id)["state"] == "partial"


def test_every_shop_hanging_ends_with_the_deadline(new_site):
    site = new_site(edit={"deadline: 12s": "deadline: 5s"}).open()
    for shop in SHOPS:
        site.standin.script(shop, {"hang": True, "repeat": -1})
    began = time.monotonic()
    job = site.run()
    assert job["state"] == "expired" and job["reason"] == "deadline", job
    assert time.monotonic() - began < 30
    assert {c["error"]["code"] for c in job["calls"]} == {"deadline"}
    wait_for("the calls are cut", lambda: site.standin.in_flight() == 0, 5)
