"""Memory stays flat whatever waits; intake pauses and the group keeps its member."""
import json
import time

from harness import SHOPS, wait_for, wait_held

FLYING = 2000  # calls an upstream takes at once here
BOUND = FLYING + 10_000  # jobs of a shard whose calls at one upstream all hang


def backlog(site, first, count):
    site.stack.produce_lines(site.topic, [f"{i}\t" + json.dumps({"productId": str(i)})
                                          for i in range(first, first + count)])


def steady(worker, seconds=3.0):
    """Memory once it stopped growing by more than 1 % over some seconds, in kB."""
    kept = {"at": time.monotonic(), "kb": worker.memory_kb()}

    def look():
        kb = worker.memory_kb()
        if kb > kept["kb"] * 1.01:
            kept.update(at=time.monotonic(), kb=kb)
        return time.monotonic() - kept["at"] > seconds
    wait_for("memory is steady", look, 90, every=0.1)
    return worker.memory_kb()


def test_a_backlog_does_not_grow_the_worker(new_site, release):
    """The same worker with the same jobs, without and with a backlog. Its shops hang, so that it takes
    as many jobs as it may and no more: 2,000 of their calls are in flight at each shop, 10,000 wait
    (the bound that is met first). First Kafka holds just these, all are taken: the backlog is empty.
    Then 200,000 more come. What memory grows by now, the backlog costs."""
    # all shops are one port here: the kernel takes milliseconds per connection once half its ports are used
    site = new_site(binaries_folder=release, concurrency=FLYING,
                    edit={"deadline: 12s": "deadline: 30m", "timeout: 8s": "timeout: 30m"})
    site.prepare()
    for shop in SHOPS:
        site.standin.script(shop, {"hang": True, "repeat": -1})
    worker = site.worker()
    backlog(site, 1_000_000, BOUND)
    wait_for("it has all of them, and is full", lambda: worker.metric("offpath_jobs_held") == BOUND
             and site.standin.in_flight() == 3 * FLYING and worker.metric("offpath_partitions_paused"), 120)
    partitions = worker.metric("offpath_partitions")
    few = steady(worker)
    backlog(site, 2_000_000, 200_000)

    def keeps_its_place():
        assert worker.metric("offpath_partitions") == partitions, "it lost a partition"
        assert worker.metric("offpath_partitions_paused") > 0, "intake goes on"
        assert "revoked" not in worker.text(), worker.tail()
        return True
    wait_held("more than a session time-out (15 s)", keeps_its_place, 16, 60)
    many = steady(worker)
    keeps_its_place()
    assert worker.metric("offpath_records_total") == BOUND, "200,000 wait in Kafka"
    assert worker.metric("offpath_jobs_held") == BOUND
    assert many <= few * 1.1, f"{few} kB with an empty backlog, {many} kB with 200,000 waiting"
    assert worker.get("/readyz").status == 200
    worker.kill()  # it would wait for the shops


def test_a_full_worker_goes_on_when_the_shops_answer_again(new_site, release):
    site = new_site(binaries_folder=release, edit={"deadline: 12s": "deadline: 10m"}).prepare()
    for shop in SHOPS:
        site.standin.script(shop, {"delay_ms": 3000, "repeat": 40})
    site.worker()
    backlog(site, 1_000_000, 1000)
    wait_for("all are final", lambda: site.state_counts() == {10: 1000}, 120)
    assert {s: site.standin.calls(s) for s in SHOPS} == dict.fromkeys(SHOPS, 1000)
