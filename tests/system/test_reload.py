"""Flow files read again while everything runs (SIGHUP, or a file that changed)."""
import json
import signal

import pytest

from harness import ROOT, Background, request, wait_for

RESULT = "    missing: ["
ORDER = (ROOT / "tests/system/order.yaml").read_text()


@pytest.fixture
def site(new_site):
    # a busy machine may be seconds behind the load
    return new_site(edit={"deadline: 12s": "deadline: 3m", "timeout: 8s": "timeout: 60s"}).open()


def programs(site):
    return site.gateways + site.workers


def reloads(program, result):
    return program.metric("offpath_reloads_total", result=result) or 0


def change(site, old, new):
    path = site.folder / "flows/price-compare.yaml"
    text = path.read_text()
    assert old in text
    part = path.with_suffix(".part")
    part.write_text(text.replace(old, new))
    part.rename(path)


def reloaded(site, result="ok", times=1):
    for p in programs(site):
        wait_for(f"{p.name} has read the files again ({result})", lambda p=p: reloads(p, result) >= times, 40)


def warnings(program):
    return [w for w in program.get("/readyz").json()["warnings"] if w.startswith("reload-failed")]


def test_a_wrong_file_keeps_the_old_set_and_says_so(site):
    change(site, "need: 1", "nead: 1")
    reloaded(site, "failed")
    for p in programs(site):
        wait_for("it is told", lambda p=p: warnings(p))
        assert "price-compare.yaml" in warnings(p)[0] and "F010" in warnings(p)[0], warnings(p)
        assert p.get("/readyz").status == 200
        wait_for("it is in the log", lambda p=p: "reload-failed" in p.text())
    assert site.run()["state"] == "succeeded"
    change(site, "nead: 1", "need: 1")
    reloaded(site)
    for p in programs(site):
        wait_for("it is told no more", lambda p=p: not warnings(p))


def test_a_running_job_ends_by_the_file_it_was_claimed_with(site):
    site.standin.hold("a-mart")
    before = site.accept()
    wait_for("its call is on the way", lambda: site.standin.in_flight() == 1)
    change(site, RESULT, "    edition: 2,\n" + RESULT)
    reloaded(site)
    after = site.run()
    assert after["state"] == "succeeded" and after["result"]["edition"] == 2
    site.standin.let_go("a-mart")
    job = site.wait_final(before)
    assert job["state"] == "succeeded" and "edition" not in job["result"], job
    assert site.standin.calls("a-mart") == 2, "its calls were not made again"


def test_a_reload_under_load_drops_nothing(site):
    ids = []

    def work(_):
        ids.append(site.accept())

    def ended():
        ids.append(id := site.accept())
        return site.wait_final(id)
    load = Background(work, 4)
    for edition in (2, 3, 4):
        mark = len(ids)
        wait_for("there is load", lambda mark=mark: len(ids) > mark + 20)
        change(site, RESULT if edition == 2 else f"    edition: {edition - 1},\n" + RESULT,
               f"    edition: {edition},\n" + RESULT)
        for p in programs(site):
            p.signal(signal.SIGHUP)
        reloaded(site, times=edition - 1)
        wait_for(f"edition {edition} is served", lambda edition=edition: ended()["result"].get("edition") == edition, 40)
    load.stop()
    assert not load.errors, load.errors[:3]
    assert len(ids) > 60 and len(set(ids)) == len(ids)
    wait_for("all have ended", lambda: site.open_jobs() == 0, 120)
    counts = site.state_counts()
    assert sum(counts.values()) == len(ids), counts
    assert list(counts) == [10], counts  # succeeded
    asked = site.standin.calls("a-mart")
    assert asked == len(ids), f"{asked} calls for {len(ids)} jobs: some were made again"


def test_what_comes_out_the_same_is_no_rebalance(site):
    worker = site.workers[0]
    (site.folder / "flows/README.md").write_text("of the shops\n")
    (site.folder / "flows/price-compare.yaml").touch()
    wait_for("it was read again", lambda: reloads(worker, "ok") == 1, 40)
    wait_for("it says that nothing differs", lambda: "reload-same" in worker.text())
    assert "reloaded" not in worker.text() and "retired" not in worker.text()
    assert site.run()["state"] == "succeeded"


def test_many_reloads_within_a_minute_are_all_taken(site):
    worker = site.workers[0]
    for n in range(1, 11):
        worker.signal(signal.SIGHUP)
        wait_for(f"reload {n}", lambda n=n: reloads(worker, "ok") == n, 40)
    assert reloads(worker, "failed") == 0
    assert site.run()["state"] == "succeeded"


def lag(site, flow):
    return site.gateways[0].metric("offpath_flow_lag_records", flow=flow)


def test_a_new_flow_is_served_once_its_topics_are_there_and_gone_without_a_trace(site):
    (site.folder / "flows/order.yaml").write_text(ORDER.replace("MARK", site.mark))
    reloaded(site, "failed")
    for p in programs(site):
        assert "topics apply" in wait_for("it says what to run", lambda p=p: warnings(p))[0]
    post = ("/v1/flows/order/jobs", json.dumps({"items": ["a"]}), {"Content-Type": "application/json"})
    assert request(site.address, "POST", *post).status == 404
    assert site.verb("offpath-worker", "topics", "apply", "--yes").returncode == 0
    site.workers[0].signal(signal.SIGHUP)  # the gateway looks again by itself
    reloaded(site)
    a = request(site.address, "POST", *post)
    assert a.status == 202, a
    assert site.wait_final(a.json()["id"])["state"] == "succeeded"
    assert lag(site, "order") is not None
    (site.folder / "flows/order.yaml").unlink()
    reloaded(site, times=2)
    assert request(site.address, "POST", *post).status == 404
    wait_for("nobody says how far the flow is behind", lambda: lag(site, "order") is None)
    assert lag(site, "price-compare") is not None


def test_the_longest_retention_there_was_counts(new_site):
    """A replay of what a topic still holds must find its jobs, also where it was set to hold more."""
    site = new_site(edit={"deadline: 12s": "deadline: none"}).open()
    gone = "SELECT TIMESTAMPDIFF(DAY, finished, sweep_at) FROM op_job WHERE reason = 'gone'"
    for times, days in (1, 400), (2, 3):
        site.stack.java("set", "retention.ms", str(days * 86400000), site.topic)
        for p in programs(site):
            p.signal(signal.SIGHUP)
        reloaded(site, times=times)
        site.sql("INSERT INTO op_job (id, state, created, finished, sweep_at)"
                 f" VALUES (REPEAT('{times}', 16), 10, NOW(6), NOW(6), NOW(6) - INTERVAL 1 SECOND)")
        rows = wait_for("it is swept", lambda times=times: len(found := site.sql(gone)) == times and found, 60)
        assert rows == [["401"]] * times
        site.workers[0].freeze()  # the gateway registers what it cannot claim
        id = site.accept().replace("-", "")
        due = f"SELECT TIMESTAMPDIFF(DAY, created, sweep_at) FROM op_job WHERE id = UNHEX('{id}')"
        assert wait_for("it is registered", lambda due=due: site.sql(due)) == [["401"]]
        site.workers[0].thaw()


LATER = r"""
flow: later
title: Comes again
access: guests
topic: {name: TOPIC-MARK, group: later-MARK, partitions: 1}
deadline: 10m
request: {schema: {type: object, properties: {}}}
calls:
  shop: {upstream: a-mart, request: {path: /products/1/price}, timeout: 5s, retry: {attempts: 1, on: [5xx]}}
requeue: [8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s, 8s]
result: $calls.shop.status
"""


def left(program):
    return [w for w in program.get("/readyz").json()["warnings"] if w.startswith("topic-left")]


def test_jobs_of_a_topic_that_a_flow_left_end_where_it_is_still_read(new_site):
    """As the guide to moving a flow has it: a worker more, with the old file."""
    site = new_site(extra_flows={"later": LATER.replace("TOPIC", "old")}).open()
    worker, path = site.workers[0], site.folder / "flows/later.yaml"
    site.standin.script("a-mart", {"status": 500, "repeat": -1})
    a = request(site.address, "POST", "/v1/flows/later/jobs", "{}", {"Content-Type": "application/json"})
    assert a.status == 202, a
    id = a.json()["id"]
    wait_for("it waits for its next round", lambda: site.job(id).get("retry_at"))
    copy = site.folder / "copy"
    copy.mkdir()
    (copy / "later.yaml").write_text(path.read_text())
    path.with_suffix(".part").write_text(LATER.replace("TOPIC", "new").replace("MARK", site.mark))
    path.with_suffix(".part").rename(path)
    assert site.verb("offpath-worker", "topics", "apply", "--yes").returncode == 0
    reloaded(site)
    wait_for("it is told", lambda: left(worker), 20)
    assert f"old-{site.mark}" in left(worker)[0] and f"topic-left flow=later topic=old-{site.mark}" in worker.text()
    site.standin.mend()
    site.worker(OFFPATH_FLOWS=str(copy), OFFPATH_ONLY="later")
    job = site.wait_final(id, 60)
    assert job["state"] == "succeeded", job
    a = request(site.address, "POST", "/v1/flows/later/jobs", "{}", {"Content-Type": "application/json"})
    job = site.wait_final(a.json()["id"], 60)
    assert job["state"] == "succeeded", job
    path.with_suffix(".part").write_text(LATER.replace("TOPIC", "old").replace("MARK", site.mark))
    path.with_suffix(".part").rename(path)
    wait_for("it is read again", lambda: f"new-{site.mark}" in str(left(worker)) and f"old-{site.mark}" not in str(left(worker)), 40)
