"""Many streams that are cut at both ends: readers leave in the middle and come back with Last-Event-ID,
while Redis drops the gateway's subscriber connection every 150 ms. Numbers in names are those of the
behaviours. OFFPATH_TEST_STREAMS=200x50 is the full size: 200 streams, each coming back 50 times."""
import contextlib
import json
import os
import random
import threading
import time

from harness import Background, request
from streams import check_series, events_of

CUT_S = 0.15
FLOW = r"""flow: series
title: Series
access: guests
topic: {name: series-MARK, group: series-MARK, partitions: 3}
deadline: 10m
request:
  schema: {type: object, required: [n], properties: {n: {type: integer}}}
calls:
  step:
    for_each: '[range($request.n)]'
    parallel: 2
    max_items: 100
    upstream: a-mart
    request: {path: '/products/\($item)/price'}
    timeout: 60s
    result: $item
result: '[$calls.step[].result]'
"""


class Cutter:
    """Ends every connection that listens at Redis, again and again. CLIENT KILL knows no database: it
    meets other sites' too, which stand still meanwhile."""

    def __init__(self, stack):
        self.stack, self.killed = stack, 0
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self.go, daemon=True)

    def go(self):
        while not self.stopped.wait(CUT_S):
            self.killed += self.stack.redis("CLIENT", "KILL", "TYPE", "pubsub")

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self.thread.join(20)


def accept(site, n):
    a = request(site.address, "POST", "/v1/flows/series/jobs", json.dumps({"n": n}),
                {"Content-Type": "application/json"}, 60)
    assert a.status == 202, a
    return a.json()["id"]


def read_some(stream, draw):
    """Up to two calls more, and now and then half of what comes next."""
    wanted = draw.randint(1, 2)
    while wanted:
        wanted -= stream.next().name in ("call", "done")
    if draw.random() < 0.2:
        stream.socket.settimeout(0.02)
        with contextlib.suppress(TimeoutError):
            stream.more()


def follow(site, id, times, seed):
    """All that one client saw of a job, leaving so many times."""
    draw, seen, last = random.Random(seed), [], None
    for _ in range(times):
        s = events_of(site, id, last=last, timeout=120)
        with contextlib.suppress(StopIteration):
            read_some(s, draw)
        s.close()
        seen += s.events
        last = s.last
        if seen[-1].name == "done":
            return seen
    s = events_of(site, id, last=last, timeout=120)
    return seen + s.all()


def check_whole(events, n):
    """Each number from 1 on once, each item once, then the end; no state or gap counts."""
    told = [e for e in events if e.name in ("call", "done")]
    check_series(told)
    assert [e.id for e in told] == list(range(1, n + 2)), [e.id for e in told]
    assert sorted(e.data["item"] for e in told[:-1]) == list(range(n))
    assert told[-1].data["state"] == "succeeded" and told[-1].data["result"] == list(range(n))


def test_d14_streams_and_redis_cut_again_and_again_lose_and_repeat_nothing(new_site, stack, seed):
    streams, times = map(int, os.environ.get("OFFPATH_TEST_STREAMS", "30x8").split("x"))
    items = min(100, 2 * times)
    site = new_site(extra_flows={"series": FLOW}, env={"OFFPATH_CONNECTIONS_PER_ADDRESS": "256"}).open()
    site.standin.script("a-mart", {"delay_ms": max(250, streams * 4), "repeat": -1})
    began = time.monotonic()
    with Cutter(stack) as cutter:
        ids = [accept(site, items) for _ in range(streams)]
        load = Background(lambda i: (i, follow(site, ids[i], times, seed + i)), streams, streams).join(600)
    took = time.monotonic() - began
    assert not load.errors, load.errors[:3]
    for _, events in load.results:
        check_whole(events, items)
    comings = sum(e.name == "state" for _, events in load.results for e in events)
    print(f"{streams} streams, {comings} states told, {cutter.killed} connections cut, {took:.1f} s")
    assert cutter.killed > took, "Redis cut nothing"
    assert comings > streams * times / 2, "hardly any of them came back while its job ran"
