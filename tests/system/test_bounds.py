"""Memory stays flat whatever waits; intake pauses and the group keeps its member."""
import json
import time

from harness import SHOPS, wait_for


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
    # all shops are one port here: the kernel takes milliseconds per connection once half its ports are used
    site = new_site(binaries_folder=release, concurrency=2000,
                    edit={"deadline: 12s": "deadline: 10m", "timeout: 8s": "timeout: 60s"})
    site.prepare()
    for shop in SHOPS:
        site.standin.script(shop, {"hang": True, "repeat": -1})
    worker = site.worker()
    backlog(site, 1_000_000, 30_000)
    wait_for("it works at its limit", lambda: site.standin.in_flight() >= 6000, 60)
    few = steady(worker)
    backlog(site, 2_000_000, 150_000)
    many = steady(worker)
    assert many < few * 1.1 + 4096, f"{few} kB with 30,000 waiting, {many} kB with 180,000"
    assert worker.get("/readyz").status == 200, "polling goes on, membership is kept"
    worker.kill()


def test_a_full_worker_goes_on_when_the_shops_answer_again(new_site, release):
    site = new_site(binaries_folder=release, edit={"deadline: 12s": "deadline: 10m"}).prepare()
    for shop in SHOPS:
        site.standin.script(shop, {"delay_ms": 3000, "repeat": 40})
    site.worker()
    backlog(site, 1_000_000, 1000)
    wait_for("all are final", lambda: site.state_counts() == {10: 1000}, 120)
    assert {s: site.standin.calls(s) for s in SHOPS} == dict.fromkeys(SHOPS, 1000)
