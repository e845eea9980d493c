"""An upstream's concurrency and rate over three workers, leased from Redis; without Redis by share."""
import time

from harness import SHOPS, wait_for

AT_ONCE, RATE, JOBS = 20, 50, 2400
DELAY_MS = {"a-mart": 100, "b-shop": 300, "c-store": 300}  # the first would make 200 calls in a second, but for its rate


def limited(site):
    path = site.folder / "upstreams.yaml"
    text = path.read_text()
    assert text.count(f"concurrency: {AT_ONCE}") >= len(SHOPS)
    path.write_text(text.replace(f"concurrency: {AT_ONCE}", f"concurrency: {AT_ONCE}\n    rate: {RATE}/s"))


def most_within(times, ms):
    """The most calls that came within so many ms."""
    most, first = 0, 0
    for i, at in enumerate(times):
        while times[first] + ms <= at:
            first += 1
        most = max(most, i - first + 1)
    return most


def check(site, seconds, least):
    """What the shops saw from now on for so long: never too many at once, never too many in two
    seconds, and at least that part of what they allow. Calls are counted as they come: on a machine
    that stood still some come late, and with those of the next moments. Workers that do not share
    make two or three times as many."""
    site.standin.call("DELETE", "/_log")
    began = time.monotonic()
    wait_for("time to look at", lambda: time.monotonic() - began > seconds, seconds + 10)
    stats, log = site.standin.stats(), site.standin.log_of()
    for shop in SHOPS:
        times = sorted(x["at_ms"] for x in log if x["shop"] == shop)
        assert stats[shop]["in_flight_max"] <= AT_ONCE, stats
        assert most_within(times, 2000) <= RATE * 2 * 1.3, (shop, most_within(times, 2000))
        assert len(times) >= RATE * seconds * least, (shop, len(times))


def test_three_workers_share_concurrency_and_rate_with_and_without_redis(new_site, stack, release):
    site = new_site(release, concurrency=AT_ONCE, edit={"deadline: 12s": "deadline: 10m"})
    limited(site)
    site.open(workers=3)
    for shop in SHOPS:
        site.standin.script(shop, {"delay_ms": DELAY_MS[shop], "repeat": -1})
    wait_for("each has a partition", lambda: [w.metric("offpath_partitions") for w in site.workers] == [2, 2, 2], 60)
    stack.produce_lines(site.topic, [f"{i}\t{{\"productId\": \"{i}\"}}" for i in range(JOBS)])
    wait_for("all have begun", lambda: all(w.metric("offpath_calls_flying") for w in site.workers), 30)
    check(site, 5, least=0.8)
    with stack.dead("redis"):
        check(site, 20, least=0.4)
    check(site, 6, least=0.4)
