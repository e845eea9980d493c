"""The price comparison from POST to cache, as its users see it. A test of a behaviour C1 to C11 bears
its number; tests/lint looks that each has one (C7 is in test_crash_random.py)."""
import contextlib
import json
import re
import threading
import time

import pytest

from harness import SHOPS, Background, call_of, hexid, request, undisturbed, wait_for

PRICES = [{"shop": "c-store", "price": 17450, "currency": "KRW"},
          {"shop": "a-mart", "price": 18900, "currency": "KRW"},
          {"shop": "b-shop", "price": 19200, "currency": "KRW"}]


def delays(site, ms, **more):
    for shop in SHOPS:
        site.standin.script(shop, {"delay_ms": ms, "repeat": -1, **more})


def hold_all(site, **more):
    for shop in SHOPS:
        site.standin.hold(shop, repeat=-1, **more)


def test_c02_a_miss_is_accepted_at_once_and_ends_with_all_prices(site):
    hold_all(site)
    a = site.post("4201")  # the shops answer nothing yet
    site.standin.mend()
    assert a.status == 202, a
    body = a.json()
    assert body["flow"] == "price-compare" and body["state"] == "queued", body
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", body["id"])
    assert a.headers["location"] == f"/v1/jobs/{body['id']}" == body["links"]["self"]
    job = site.wait_final(body["id"])
    assert job["state"] == "succeeded" and job["reason"] is None, job
    assert job["result"] == {"productId": "4201", "offers": PRICES, "missing": []}
    assert [c["name"] for c in job["calls"]] == list(SHOPS)
    assert all(c["state"] == "succeeded" and c["attempts"] == 1 and c["error"] is None for c in job["calls"])
    assert job["created"] <= job["started"] <= job["finished"] <= job["deadline"]


def test_c11_offers_are_sorted_by_price(site):
    site.standin.script("b-shop", {"body": {"items": [{"salePrice": 5, "cur": "KRW"}]}})
    offers = site.run()["result"]["offers"]
    assert [o["price"] for o in offers] == [5, 17450, 18900]


def test_c02_the_record_is_the_request_under_its_product_id(site):
    product = site.product()
    site.run(product)
    records = [r for r in site.records() if r["key"] == product]
    assert [r["value"] for r in records] == [json.dumps({"productId": product})]
    heads = records[0]["headers"]
    assert heads["ce_type"] == "offpath.job.requested.v1"
    assert heads["ce_source"] == "/offpath/flows/price-compare"
    assert heads["content-type"] == "application/json"
    assert heads["ce_id"] == heads["offpath-job"]


def test_c01_a_hit_is_answered_from_the_cache_and_publishes_nothing(site):
    product = site.product()
    job = site.run(product)
    calls, records = site.standin.calls(), len(site.records())
    a = wait_for("the result is cached", lambda: (x := site.post(product)).status == 200 and x)
    body = a.json()
    assert body["flow"] == "price-compare" and body["state"] == "succeeded"
    assert body["result"] == job["result"] and body["cached_at"]
    assert site.standin.calls() == calls
    assert len(site.records()) == records


def test_c04_shops_are_called_in_parallel(site):
    hold_all(site, delay_ms=500)
    id = site.accept()
    wait_for("three calls at once", lambda: site.standin.in_flight() == 3, 7)
    site.standin.mend()
    job = site.wait_final(id)
    assert job["state"] == "succeeded"
    assert site.standin.calls() == 3
    assert all(500 <= c["ms"] < 8000 for c in job["calls"]), job["calls"]


def test_a_shop_that_fails_once_is_asked_again(site):
    site.standin.script("b-shop", {"status": 503})
    job = site.run()
    assert job["state"] == "succeeded"
    assert [c["attempts"] for c in job["calls"]] == [1, 2, 1]
    keys = [e["key"] for e in site.standin.log_of("b-shop")]
    assert len(keys) == 2 and keys[0] == keys[1] and keys[0], "each attempt carries the same key"


def test_every_call_has_a_key_of_its_own(site):
    id = site.accept()
    site.wait_final(id)
    keys = {e["key"] for e in site.standin.log_of()}
    assert len(keys) == 3
    assert all(re.fullmatch(re.escape(id) + r"\.[0-9a-f]{16}", k) for k in keys), keys


def test_a_secret_header_reaches_the_shop_and_no_log(site):
    site.run()
    secret = (site.folder / "secrets/b_shop_key").read_text()
    assert site.standin.log_of("b-shop")[0]["headers"].get("X-Api-Key") == secret
    for p in site.gateways + site.workers:
        assert secret not in p.text(), p.name


@pytest.mark.parametrize("reply, reason", [
    ({"status": 500, "repeat": -1}, "http-5xx"),
    ({"status": 404, "repeat": -1}, "http-4xx"),
    ({"garbage": True, "repeat": -1}, "bad-body"),
])
def test_c05_one_shop_failing_leaves_two(site, reply, reason):
    site.standin.script("b-shop", reply)
    product = site.product()
    job = site.run(product)
    assert job["state"] == "partial"
    assert [o["shop"] for o in job["result"]["offers"]] == ["c-store", "a-mart"]
    assert job["result"]["missing"] == [{"shop": "b-shop", "reason": reason}]
    failed = call_of(job, "b-shop")
    assert failed["state"] == "failed" and failed["error"]["code"] == reason and failed["result"] is None


def test_c05_a_hanging_shop_neither_stops_nor_delays_the_others(site):
    site.standin.script("b-shop", {"hang": True, "repeat": -1})
    id = site.accept()

    def two_are_there():
        job = site.job(id)
        done = [c["name"] for c in job["calls"] if c["state"] == "succeeded"]
        return job if sorted(done) == ["a-mart", "c-store"] else None
    job = wait_for("two shops answered", two_are_there, 5)
    assert job["state"] == "running"
    assert call_of(job, "b-shop")["state"] == "running"
    job = site.wait_final(id, 25)
    assert job["state"] == "partial"
    assert job["result"]["missing"][0] == {"shop": "b-shop", "reason": call_of(job, "b-shop")["error"]["code"]}
    assert call_of(job, "b-shop")["error"]["code"] in ("timeout", "deadline")


def test_c09_all_shops_failing_is_a_failure_with_a_dead_letter_and_not_cached(site):
    for shop in SHOPS:
        site.standin.script(shop, {"status": 404, "repeat": -1})
    product = site.product()
    id = site.accept(product)
    job = site.wait_final(id)
    assert (job["state"], job["reason"]) == ("failed", "need-not-met")
    rows = site.sql(f"SELECT reason, topic, status FROM op_dead WHERE job = x'{hexid(id)}'")
    assert rows == [["need-not-met", site.topic, "0"]]
    site.standin.mend()
    # it leads nobody any more, and is not cached: a job of its own
    job = wait_for("it is accepted again", lambda: (x := site.run(product))["id"] != id and x, 10)
    assert job["state"] == "succeeded"


def test_c11_a_shop_without_the_product_is_neither_an_offer_nor_a_failure(site):
    site.standin.script("a-mart", {"body": {"price": None, "currency": None}})
    job = site.run()
    assert job["state"] == "succeeded"
    assert [o["shop"] for o in job["result"]["offers"]] == ["c-store", "b-shop"]
    assert job["result"]["missing"] == []


def cached_product(site, key):
    value = json.loads(site.stack.redis("GET", key, db=site.redis_db) or "{}")  # of another test, and over
    return value.get("result", {}).get("productId")


def cached_for(site, state):
    """Milliseconds for which the flow as it is shipped caches a result of this state, at least and at most, by the clock of
    whoever looks: a slow machine makes the two differ, not wrong."""
    product, asked = site.product(), time.monotonic()
    assert site.run(product)["state"] == state
    a = wait_for("it is cached", lambda: (x := site.post(product)).status == 200 and x)
    seen = time.monotonic()
    assert a.json()["state"] == state
    (key,) = [k for k in site.stack.redis("KEYS", "op:{c:*}:v", db=site.redis_db) if cached_product(site, k) == product]
    looks = time.monotonic()
    left = site.stack.redis("PTTL", key, db=site.redis_db)
    return left + (looks - seen) * 1000, left + (time.monotonic() - asked) * 1000


def test_c06_a_result_is_cached_for_five_minutes(site):
    least, most = cached_for(site, "succeeded")
    assert least - 100 <= 300_000 <= most + 100, (least, most)


def test_c09_a_partial_result_is_cached_for_half_a_minute(site):
    site.standin.script("b-shop", {"status": 404})
    least, most = cached_for(site, "partial")
    assert least - 100 <= 30_000 <= most + 100, (least, most)


@pytest.mark.parametrize("ttl, state", [("ttl: 5m", "succeeded"), ("partial_ttl: 30s", "partial")], ids=["c06", "c09"])
def test_a_cached_result_is_gone_after_its_time(new_site, ttl, state):
    """C6, and C9 of a partial one: after its time the next request is a miss."""
    site = new_site(edit={ttl: f"{ttl.split()[0]} 2s"}).open()
    if state == "partial":
        site.standin.script("b-shop", {"status": 404, "repeat": -1})
    product = site.product()
    first = site.accept(product)
    assert site.wait_final(first)["state"] == state
    wait_for("it is cached", lambda: site.post(product).status == 200)
    a = wait_for("it is a miss again", lambda: (x := site.post(product)).status == 202 and x, 10)
    assert a.json()["id"] != first


def test_c08_a_hundred_misses_of_one_product_make_one_set_of_calls(site):
    hold_all(site)
    product = site.product()
    load = Background(lambda i: site.post(product), threads=50, count=100).join()
    site.standin.mend()
    assert not load.errors
    assert {a.status for a in load.results} == {202}
    ids = {a.json()["id"] for a in load.results}
    assert len(ids) == 1
    assert site.wait_final(ids.pop())["state"] == "succeeded"
    assert {s: site.standin.calls(s) for s in SHOPS} == dict.fromkeys(SHOPS, 1)


def test_c08_two_gateways_share_one_set_of_calls(new_site):
    site = new_site().open(gateways=2)
    hold_all(site)
    product = site.product()
    load = Background(lambda i: site.post(product, address=site.gateways[i % 2].address()),
                      threads=50, count=100).join()
    site.standin.mend()
    assert not load.errors and {a.status for a in load.results} == {202}, load.results
    ids = {a.json()["id"] for a in load.results}
    assert len(ids) == 1
    site.wait_final(ids.pop())
    assert site.standin.calls() == 3


def test_a_repeated_key_gives_the_same_job(site):
    key, product = "8f14e45f-ceea-467f-a0e6-2d9c3f1b8a11", site.product()
    hold_all(site)
    first = site.post(product, key=key)
    again = site.post(product, key=key)
    assert (first.status, again.status) == (202, 202), (first, again)
    assert again.json()["id"] == first.json()["id"]
    assert "idempotent-replayed" not in first.headers
    # the mark is set behind the answer: a repeat within that moment is published under the same id
    replayed = wait_for("the key is known", lambda: (
        x := site.post(product, key=key)).headers.get("idempotent-replayed") == "true" and x, 7)
    assert replayed.json()["id"] == first.json()["id"]
    site.standin.mend()
    job = site.wait_final(first.json()["id"])
    ended = site.post(product, key=key)
    assert ended.status == 200 and ended.json()["id"] == job["id"], ended
    assert ended.json()["result"] == job["result"]


def test_a_key_used_for_another_request_is_refused(site):
    def act(n):
        key = f"8f14e45f-ceea-467f-a0e6-2d9c3f1b8a1{n}"
        assert site.post(key=key).status == 202
        a = site.post(key=key)
        assert (a.status, a.json().get("code")) == (422, "key-reused"), a
    undisturbed(site.gateways, act)


def test_one_key_at_two_gateways_at_once_is_one_job(new_site):
    site = new_site().open(gateways=2)
    delays(site, 300)
    keys = [f"8f14e45f-ceea-467f-a0e6-2d9c3f1b{i:04x}" for i in range(20)]
    products = [site.product() for _ in keys]
    load = Background(lambda i: (i // 2, site.post(products[i // 2], key=keys[i // 2],
                                                   address=site.gateways[i % 2].address())),
                      threads=8, count=40).join()
    assert not load.errors, load.errors
    ids = {}
    for n, a in load.results:
        assert a.status in (200, 202), a
        ids.setdefault(n, set()).add(a.json()["id"])
    assert all(len(x) == 1 for x in ids.values()), ids
    for x in ids.values():
        site.wait_final(x.pop())
    assert site.standin.calls() == 60


def test_a_key_holds_without_redis(new_site):
    site = new_site().open()
    site.stack.redis("FLUSHDB", db=site.redis_db)
    key, product = "8f14e45f-ceea-467f-a0e6-2d9c3f1b8a77", site.product()
    first = site.accept(product, key=key)
    site.wait_final(first)
    site.stack.redis("FLUSHDB", db=site.redis_db)
    again = site.post(product, key=key)
    assert again.json()["id"] == first, again
    job = site.wait_final(first)
    assert job["state"] == "succeeded"
    assert site.standin.calls() == 3, "the same job was not run twice"


def test_c03_three_workers_share_the_partitions(new_site):
    """Under the names that ship: other producers and consumers know them."""
    site = new_site(names_as_shipped=True).open(workers=3)
    assert (site.topic, site.group) == ("price-compare-requests", "price-compare-consumer-group")
    assert "with 3 partitions" in site.stack.kcat("-L", "-t", "price-compare-requests").decode()
    delays(site, 50)
    wait_for("each has its partition", lambda: [w.metric("offpath_partitions") for w in site.workers] == [2] * 3, 60)
    assert all("group=price-compare-consumer-group" in w.text() for w in site.workers)

    def all_worked():
        for _ in range(9):
            site.accept()
        return all((w.metric("offpath_claims_total") or 0) > 0 for w in site.workers)
    wait_for("every worker got a job", all_worked, 40)
    wait_for("all jobs are final", lambda: site.open_jobs() == 0, 40)
    assert set(site.state_counts()) == {10}


def test_c10_waiting_jobs_hold_no_thread(new_site):
    """A gateway of 16 threads, of which 13 may serve; 60 jobs wait for shops that hang. Were a thread
    held by any of them, hits, misses and polls would be refused or wait. Its threads are all made at
    the start, so that they are no more proves nothing of it; the worker's count does."""
    site = new_site(edit={"deadline: 12s": "deadline: 3m", "timeout: 8s": "timeout: 90s"},
                    env={"OFFPATH_THREADS": "16"}).open()
    worker, cached = site.workers[0], site.product()
    site.run(cached)
    wait_for("the result is cached", lambda: site.post(cached).status == 200)
    for shop in SHOPS:
        site.standin.script(shop, {"hang": True, "repeat": -1})
    before = worker.threads()
    ids = [site.accept() for _ in range(60)]
    wait_for("all calls are in flight", lambda: site.standin.in_flight() == 180, 30)
    assert worker.threads() <= before
    hits = [site.post(cached) for _ in range(30)]
    misses = [site.post() for _ in range(30)]
    polls = [request(site.address, "GET", f"/v1/jobs/{id}") for id in ids]
    assert [a.status for a in hits] == [200] * 30
    assert [a.status for a in misses] == [202] * 30
    assert {(a.status, a.json()["state"]) for a in polls} == {(200, "running")}
    assert max(a.took for a in hits + misses + polls) < 30, "they waited for a shop"
    wait_for("all calls are in flight", lambda: site.standin.in_flight() == 270, 30)
    assert worker.threads() <= before
    worker.kill()  # it would wait for the shops


def test_a_poll_of_an_unchanged_job_is_not_modified(site):
    id = site.accept()
    site.wait_final(id)
    a = request(site.address, "GET", f"/v1/jobs/{id}")
    b = request(site.address, "GET", f"/v1/jobs/{id}", headers={"If-None-Match": a.headers["etag"]})
    assert (b.status, b.body) == (304, b""), b


def test_a_job_nobody_has_is_not_found(site):
    a = request(site.address, "GET", "/v1/jobs/01990c5e-0000-7000-8000-00003f9a2c41")
    assert (a.status, a.json()["code"]) == (404, "no-job"), a
    assert request(site.address, "GET", "/v1/jobs/not-an-id").status == 404


def test_finished_calls_are_in_the_ledger_once(site):
    id = site.accept()
    site.wait_final(id)
    rows = site.sql(f"SELECT name, outcome, attempts, seq FROM op_call WHERE job = x'{hexid(id)}' ORDER BY name")
    assert [r[:3] for r in rows] == [[s, "1", "1"] for s in SHOPS]
    assert sorted(r[3] for r in rows) == ["1", "2", "3"]


def test_every_answer_names_its_request(site):
    assert site.post(headers={"Request-Id": "from-the-caller-1"}).headers["request-id"] == "from-the-caller-1"
    ids = {request(site.address, "GET", "/v1/nowhere").headers["request-id"] for _ in range(3)}
    assert len(ids) == 3


def test_results_are_published_as_they_come(site):
    """The channel of a job carries each call as it finishes, then the end: what live streams read."""
    hold_all(site)
    got, product, listens = [], site.product(), threading.Event()
    listener = threading.Thread(target=listen, args=(site, got, listens), daemon=True)
    listener.start()
    assert listens.wait(30)
    id = site.accept(product)
    for n, shop in enumerate(SHOPS, 1):
        site.standin.let_go(shop)
        wait_for(f"the answer of {shop}", lambda: sum(
            c == f"op:j:{id}" and json.loads(d)["event"] == "call" and json.loads(d)["seq"] == n for c, d in got), 7)
    site.wait_final(id)
    mine = wait_for("the end is published",
                    lambda: (m := [json.loads(d) for c, d in got if c == f"op:j:{id}"]) and m[-1]["event"] == "done" and m)
    calls = [m for m in mine if m["event"] == "call" and m["seq"] > 0]
    assert [m["data"]["name"] for m in calls] == ["a-mart", "b-shop", "c-store"]
    assert [m["seq"] for m in calls] == [1, 2, 3] and mine[-1]["seq"] == 4


def listen(site, got, listens):
    import socket
    import urllib.parse
    from harness import read_resp
    u = urllib.parse.urlsplit(site.stack.env["OFFPATH_REDIS"])
    # a minute without a message: its test is over
    with contextlib.suppress(TimeoutError), socket.create_connection((u.hostname, u.port), timeout=60) as s:
        f = s.makefile("rwb")
        f.write(b"PSUBSCRIBE op:j:*\r\n")
        f.flush()
        while message := read_resp(f):  # nothing: Redis is stopped
            listens.set()  # the first is that it listens
            if message[0] == b"pmessage":
                got.append((message[2].decode(), message[3].decode()))
