"""The limits of an upstream hold over all workers together (upstreams.yaml: concurrency)."""
from harness import SHOPS, Background, wait_for

AT_ONCE, DELAY_MS = 6, 150


def knows(worker, shards):
    """The worker last said that so many shards share the limits."""
    said = [line for line in worker.text().splitlines() if " shares " in line]
    return said and said[-1].split(" shares ")[1].startswith(f"shards={shards}")


def wait_shares(site, workers, shards):
    wait_for(f"all count {shards}", lambda: all(knows(w, shards) for w in workers), 20)
    # what had begun before is over when so many more came through
    seen = site.standin.calls()
    wait_for("older calls are over", lambda: site.standin.calls() >= seen + 3 * 3 * AT_ONCE, 30)


def peaks(site):
    return [site.standin.stats()[s]["in_flight_max"] for s in SHOPS]


def test_three_workers_make_no_more_calls_at_once_than_one_may(new_site):
    """Two workers share 6 as 3 and 3; a third takes 2 from the start, and for the 3 s until the
    others have counted it the shops may see 3 + 3 + 2; from then on 6 again."""
    site = new_site(concurrency=AT_ONCE).open(workers=2)
    for shop in SHOPS:
        site.standin.script(shop, {"delay_ms": DELAY_MS, "repeat": -1})
    load = Background(lambda i: site.run(timeout=60), threads=24)
    wait_shares(site, site.workers, 2)
    site.standin.call("DELETE", "/_log")  # counts the peak anew
    seen = site.standin.calls()
    wait_for("calls of two", lambda: site.standin.calls() >= seen + 100, 30)
    assert max(peaks(site)) <= AT_ONCE and max(peaks(site)) > AT_ONCE // 2, peaks(site)

    site.workers.append(site.worker())
    wait_shares(site, site.workers, 3)
    assert max(peaks(site)) <= AT_ONCE + AT_ONCE // 3, peaks(site)
    site.standin.call("DELETE", "/_log")
    seen = site.standin.calls()
    wait_for("calls of three", lambda: site.standin.calls() >= seen + 100, 30)
    assert max(peaks(site)) <= AT_ONCE, peaks(site)
    load.stop()
    assert not load.errors, load.errors[:3]
    assert {j["state"] for j in load.results} == {"succeeded"}
