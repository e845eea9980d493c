"""SIGTERM: what is accepted is finished or handed over, then the program ends by itself."""
import json
import re
import signal
import time

from harness import ROOT, SHOPS, Background, request, wait_for


LONG = {"deadline: 12s": "deadline: 3m", "timeout: 8s": "timeout: 60s"}
GIVER = r"""
flow: giver
title: Gives on
access: guests
topic: {name: giver-MARK, group: giver-MARK, partitions: 1}
calls:
  a:
    upstream: a-mart
    request: {path: /products/1/price}
    timeout: 60s
emit:
  - for_each: "[range(900)]"
    topic: given-MARK
    value: {n: \($item)}
"""


def delays(site, ms):
    for shop in SHOPS:
        site.standin.script(shop, {"delay_ms": ms, "repeat": -1})


def hold_all(site):
    for shop in SHOPS:
        site.standin.hold(shop, repeat=-1)


def drains(worker):
    """It has heard the signal, and takes nothing more."""
    wait_for(f"{worker.name} drains", lambda: worker.get("/readyz").status == 503)


def refuses(address):
    try:
        request(address, "GET", "/healthz", timeout=5)
        return False
    except ConnectionRefusedError:
        return True


def test_a_worker_finishes_its_jobs_and_leaves(new_site):
    site = new_site(edit=LONG).open()
    hold_all(site)
    ids = [site.accept() for _ in range(20)]
    wait_for("all calls are in flight", lambda: site.standin.in_flight() == 60)
    worker = site.workers[0]
    worker.signal(signal.SIGTERM)
    drains(worker)
    late = [site.accept() for _ in range(5)]
    site.standin.mend()
    assert worker.wait_exit(30) == 0, worker.tail()
    assert site.state_counts()[10] == 20
    assert site.sql("SELECT state FROM op_worker") == [["1"]]
    second = site.worker()
    for id in ids + late:
        assert site.wait_final(id)["state"] == "succeeded"
    assert site.standin.calls() == 75, "nothing was called twice"
    assert second.stop() == 0
    assert site.uncommitted() == []


def test_what_the_last_job_emits_is_not_left_to_be_sent_again(new_site):
    """It ends while its worker does: all is acknowledged, and no row of the outbox is left for others."""
    site = new_site(extra_flows={"giver": GIVER})
    topic = f"given-{site.mark}"
    site.stack.java("create", topic)
    site.open()
    site.standin.hold("a-mart", repeat=-1)
    a = request(site.address, "POST", "/v1/flows/giver/jobs", "{}", {"Content-Type": "application/json"})
    assert a.status == 202, a
    wait_for("its call is in flight", lambda: site.standin.in_flight() == 1)
    worker = site.workers[0]
    worker.signal(signal.SIGTERM)
    drains(worker)
    site.standin.mend()
    assert worker.wait_exit(30) == 0, worker.tail()
    assert site.state_counts() == {10: 1}
    assert site.sql("SELECT COUNT(*) FROM op_outbox") == [["0"]]
    assert sorted(json.loads(r["value"])["n"] for r in site.stack.records(topic)) == list(range(900))


def test_a_second_worker_takes_what_comes_meanwhile(new_site):
    site = new_site(edit=LONG).open(workers=2)
    hold_all(site)
    ids = [site.accept() for _ in range(10)]
    wait_for("calls are in flight", lambda: site.standin.in_flight() >= 30)
    site.workers[0].signal(signal.SIGTERM)
    ids += [site.accept() for _ in range(10)]
    site.standin.mend()
    assert site.workers[0].wait_exit(30) == 0
    for id in ids:
        assert site.wait_final(id)["state"] == "succeeded"
    assert site.standin.calls() == 60, "a rebalance repeats no call"


def test_a_drain_that_is_too_short_releases_the_jobs(new_site):
    site = new_site(edit=LONG).open()
    for shop in SHOPS:
        site.standin.script(shop, {"hang": True, "repeat": 4})
    slow = site.launch("worker", OFFPATH_DRAIN="1s").wait_ready()
    site.workers[0].stop()
    ids = [site.accept() for _ in range(4)]
    wait_for("they hang", lambda: site.standin.in_flight() == 12, 40)
    began = time.monotonic()
    assert slow.stop() == 0
    assert time.monotonic() - began < 40, "it waited for the calls"
    assert site.state_counts() == {0: 4}, "released: queued again"
    site.worker()
    for id in ids:
        assert site.wait_final(id)["state"] == "succeeded"
    assert {r[0] for r in site.sql("SELECT crashes FROM op_job")} == {"0"}


def test_a_record_that_comes_back_while_the_worker_ends(new_site):
    """MySQL hangs when a worker has to end and answers when its loop is gone: what it left behind is
    another worker's, and nothing is written into freed memory."""
    site = new_site(edit={"deadline: 12s": "deadline: 10m"}).open()
    # what it leaves behind is not freed: at the end of the process nobody minds but the sanitizer
    slow = site.launch("worker", OFFPATH_DRAIN="6s", ASAN_OPTIONS="detect_leaks=0").wait_ready()
    site.workers[0].stop()
    delays(site, 4000)  # long enough that a busy machine has all in flight at once, over within the drain
    ids = [site.accept() for _ in range(4)]
    wait_for("calls are in flight", lambda: site.standin.in_flight() == 12, 40)
    with site.stack.frozen("mysql"):
        slow.signal(signal.SIGTERM)
        wait_for("it forgets its jobs", lambda: "job-left-behind" in slow.text(), 30)
        wait_for("its loop ended", lambda: refuses(slow.address("admin")), 40)
    assert slow.wait_exit(40) == 0, slow.tail()
    site.worker()
    for id in ids:
        assert site.wait_final(id, 60)["state"] == "succeeded"


def test_leaving_groups_without_a_broker_keeps_the_lease(new_site):
    """Each group takes 5 s then; the jobs that still run must not be taken for dead meanwhile."""
    flow = (ROOT / "deploy/flows/price-compare.yaml").read_text()
    more = {f"{name}-compare": flow.replace("flow: price-", f"flow: {name}-").replace(
        "price-compare-requests", f"{name}-MARK").replace("price-compare-consumer-group", f"{name}-MARK")
        for name in ("second", "third")}
    site = new_site(edit={"deadline: 12s": "deadline: 10m", "timeout: 8s": "timeout: 60s"},
                    extra_flows=more).open()
    delays(site, 22000)
    for _ in range(5):
        site.accept()
    wait_for("calls are in flight", lambda: site.standin.in_flight() == 15, 20)
    worker, left = site.workers[0], []

    def ended():
        left.extend(float(r[0]) for r in site.sql(
            "SELECT TIMESTAMPDIFF(MICROSECOND, NOW(6), lease_until) / 1e6 FROM op_worker WHERE state = 0"))
        return not worker.running()
    with site.stack.frozen("kafka"):
        worker.signal(signal.SIGTERM)
        wait_for("it ends", ended, 60, every=0.3)
    assert min(left) > 4, left
    assert site.state_counts() == {10: 5}
    assert site.standin.calls() == 15


def test_a_gateway_answers_what_it_took_and_leaves(new_site):
    site = new_site().open(gateways=2)
    first, second = site.gateways
    load = Background(lambda i: site.post(address=first.address()), threads=8)
    wait_for("the load runs", lambda: len(load.results) > 50, 20)
    first.signal(signal.SIGTERM)
    status = first.wait_exit(50)
    load.stop()
    assert status == 0, first.tail()
    good = [a for a in load.results if a.status == 202]
    assert {a.status for a in load.results} <= {202, 503}, {a.status for a in load.results}
    assert all(isinstance(e, OSError) for e in load.errors), load.errors[:3]
    site.address = second.address()
    wait_for("every accepted job is final", lambda: site.open_jobs() == 0, 60)
    counts = site.state_counts()
    assert counts == {10: len(good)}, "each that was taken was answered, and no other ran"
    for a in good[-20:]:
        assert site.job(a.json()["id"])["state"] == "succeeded"


def test_a_stopping_gateway_says_it_is_not_ready(new_site):
    site = new_site(env={"OFFPATH_DRAIN_WAIT": "2s"}).open()
    gateway = site.gateways[0]
    assert gateway.get("/readyz").status == 200
    gateway.signal(signal.SIGTERM)

    def not_ready():
        try:
            return gateway.get("/readyz", timeout=3).status == 503
        except OSError:
            return not gateway.running()
    wait_for("readiness is off", not_ready, 10)
    assert gateway.wait_exit(50) == 0


def test_two_signals_do_not_hurt(new_site):
    site = new_site().open()
    for p in (site.workers[0], site.gateways[0]):
        p.signal(signal.SIGTERM)
        p.signal(signal.SIGTERM)
        assert p.wait_exit(50) == 0, p.tail()


def test_both_ports_files_have_one_shape(new_site):
    site = new_site().open()
    for p, keys in ((site.workers[0], {"pid", "admin"}), (site.gateways[0], {"pid", "listen", "admin"})):
        assert set(p.ports) == keys and p.ports["pid"] == p.pid, p.ports
        for key in keys - {"pid"}:
            assert re.fullmatch(r"127\.0\.0\.1:[1-9]\d*", p.ports[key]), p.ports


def test_readiness_and_health_are_told(new_site):
    site = new_site().open()
    for p in (site.workers[0], site.gateways[0]):
        assert p.get("/healthz").status == 200
        a = wait_for("it has all", lambda: not (x := p.get("/readyz")).json().get("degraded") and x)
        assert a.status == 200, a
        assert f"topic {site.topic} has one replica" in a.json()["warnings"], a
        assert b"offpath_" in p.get("/metrics").body
    a = request(site.address, "GET", "/metrics")
    assert a.status == 404, "metrics are on the admin port only"
