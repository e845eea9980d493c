"""A worker or a gateway that dies, or stalls, exactly at each crash point: the job ends once, and no
call is repeated but those that were in flight (protocols: crash points). The stops are compiled in by
-DFAILPOINTS=ON. A worker's points run beside each other: each waits for the same lease to run out."""
import contextlib
import http.client
import json
import re
import threading
import time
import urllib.parse

import pytest

from conftest import closing
from harness import CACHE_OF_THE_FLOW, ROOT, SHOPS, Site, call_of, hexid, request, wait_for
from test_other_programs import AGAIN, GIVER, TAKER, finals, start
from test_pool import Pool

pytestmark = pytest.mark.crash

LONG = {"deadline: 12s": "deadline: 3m", "timeout: 8s": "timeout: 60s"}

# where the worker dies -> how often each shop may be asked in all, at least and at most
POINTS = {
    "claimed": {"a-mart": (1, 1), "b-shop": (1, 1), "c-store": (1, 1)},
    "before-ledger": {"a-mart": (2, 2), "b-shop": (1, 2), "c-store": (1, 2)},
    "after-ledger": {"a-mart": (1, 1), "b-shop": (1, 2), "c-store": (1, 2)},
    "before-finish": {"a-mart": (1, 1), "b-shop": (1, 1), "c-store": (1, 1)},
    "after-finish": {"a-mart": (1, 1), "b-shop": (1, 1), "c-store": (1, 1)},
    "before-settle": {"a-mart": (1, 1), "b-shop": (1, 1), "c-store": (1, 1)},
    "before-commit:2": {"a-mart": (1, 1), "b-shop": (1, 1), "c-store": (1, 1)},
}
ENDED = ("after-finish", "before-settle", "before-commit:2")  # its job was final: nobody takes it over

# where the gateway dies -> the records in Kafka then, and the answers its client may have
GATEWAY_POINTS = {
    "before-publish": ((0,), {None}),
    "after-publish": ((0, 1), {None}),  # into a Kafka that is frozen: what was sent is there when it thaws
    "after-ack": ((1,), {None}),
    "before-register": ((1,), {None, 202}),  # T2 is not waited for: the answer may have left
}

# where the worker dies at a call with `repeat: never` -> how often it is made, and its end
NEVER_POINTS = {
    "before-mark": (1, None),
    "after-mark": (0, "unknown"),
}

# where the worker dies at a pool -> items that wait when it starts
POOL_POINTS = {
    "before-take": 1,  # Redis gave the item, the record does not know
    "after-take": 1,   # the item is the job's, the job is not saved
    "after-put": 0,    # a refill's item is in the pool, the next refill is not asked for
}

# where the worker dies while it saves in two databases, one not on the record's server by its name
SAVE_POINTS = {
    "before-save": 0,
    "after-save": 0,
    "after-applied": 1,
}
SAVER = r"""
flow: saver
title: Saves in two databases
access: guests
topic: {name: saver-MARK, group: saver-MARK, partitions: 1}
deadline: 3m
result: $request.n
notify: {done: 'Saved: \($result)'}
save:
  - {database: own, sql: 'INSERT INTO saved VALUES (\($job.id), \($result))'}
  - {database: far, sql: 'INSERT INTO saved VALUES (\($job.id), \($result))'}
"""


def shops(site):
    """a-mart is first by far, so a stop at "the first call" is a stop at its call."""
    site.standin.script("a-mart", {"delay_ms": 50, "repeat": -1})
    site.standin.script("b-shop", {"delay_ms": 1500, "repeat": -1})
    site.standin.script("c-store", {"delay_ms": 1500, "repeat": -1})


def crash_at(site, point, out):
    """One job, its worker dies at the point, a second one finds it."""
    try:
        site.prepare()
        shops(site)
        if point in ("before-ledger", "after-ledger"):  # of the first call: no other has an answer
            for shop in ("b-shop", "c-store"):
                site.standin.hold(shop, repeat=-1)
        if point == "before-commit:2":  # the first commit, a second after the claim, is of the beginning
            site.standin.script("c-store", {"delay_ms": 8000, "repeat": -1})
        site.address = site.gateway().address()
        first = site.worker(OFFPATH_FAILPOINT=point)
        id = site.accept()
        status = first.wait_exit(120)
        site.standin.mend()
        second = site.worker()
        job = site.wait_final(id, 120)
        if point not in ENDED:
            wait_for("the dead worker is declared dead",
                     lambda: ["9"] in site.sql("SELECT state FROM op_worker"), 60)
        wait_for("its record is settled", lambda: site.uncommitted() == [], 60)
        stopped = second.stop()
        out.update(status=status, job=job, stopped=stopped, left=site.uncommitted(),
                   calls={s: site.standin.log_of(s) for s in SHOPS},
                   row=site.sql(f"SELECT state, crashes FROM op_job WHERE id = x'{hexid(id)}'"),
                   ledger=site.sql("SELECT name, outcome FROM op_call ORDER BY name"))
    except BaseException as e:  # noqa: the test of this point tells it
        out["error"] = e


@pytest.fixture(scope="module")
def crashed(stack, work_folder, binaries):
    sites = {p: Site(stack, work_folder, binaries, edit=LONG) for p in POINTS}
    outs = {p: {} for p in POINTS}
    threads = [threading.Thread(target=crash_at, args=(sites[p], p, outs[p])) for p in POINTS]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    yield outs
    closing(sites.values())


@pytest.mark.parametrize("point", POINTS)
def test_a_worker_killed_there_repeats_at_most_what_was_in_flight(crashed, point):
    out = crashed[point]
    if "error" in out:
        raise out["error"]
    assert out["status"] == -9, "the stop was reached"
    assert out["job"]["state"] == "succeeded", out["job"]
    for shop, (least, most) in POINTS[point].items():
        calls = out["calls"][shop]
        assert least <= len(calls) <= most, f"{shop} was asked {len(calls)} times"
        assert len({c["key"] for c in calls}) == 1, "a repeated call carries the same key"
    assert out["ledger"] == [[s, "1"] for s in SHOPS]
    assert len(out["row"]) == 1 and out["row"][0][0] == "10"


@pytest.mark.parametrize("point", POINTS)
def test_its_record_is_settled_afterwards(crashed, point):
    out = crashed[point]
    if "error" in out:
        raise out["error"]
    assert out["stopped"] == 0 and out["left"] == []


def test_a_worker_stalled_past_its_lease_changes_nothing_any_more(new_site):
    """Stopped after its calls, before it saves; woken after another finished the job."""
    site = new_site(edit=LONG).prepare()
    shops(site)
    site.address = site.gateway().address()
    stalled = site.worker(OFFPATH_FAILPOINT="before-finish:1:stop")
    id = site.accept()
    wait_for("it stands", lambda: is_stopped(stalled), 60)
    site.worker()
    job = site.wait_final(id, 120)
    assert job["state"] == "succeeded"
    before = site.sql("SELECT HEX(id), state, seq, worker, finished FROM op_job")
    stalled.thaw()
    wait_for("it registered anew", lambda: int(site.sql("SELECT COUNT(*) FROM op_worker")[0][0]) >= 3, 60)
    again = site.run()
    assert again["state"] == "succeeded"
    assert [r for r in site.sql("SELECT HEX(id), state, seq, worker, finished FROM op_job")
            if r[0] == hexid(id)] == before
    assert site.standin.calls() == 6, "its finished calls were in the ledger"


def is_stopped(program):
    with open(f"/proc/{program.pid}/stat") as f:
        return f.read().rsplit(")", 1)[1].split()[0] == "T"


def test_a_worker_frozen_for_longer_than_its_lease(new_site):
    """SIGSTOP in the middle of calls: only its open calls run beside the new owner's."""
    site = new_site(edit=LONG).prepare()
    shops(site)
    site.address = site.gateway().address()
    first = site.worker()
    ids = [site.accept() for _ in range(5)]
    wait_for("a-mart's answers are in the ledger", lambda: int(
        site.sql("SELECT COUNT(*) FROM op_call WHERE name = 'a-mart'")[0][0]) == 5, 60)
    first.freeze()
    site.worker()
    jobs = [site.wait_final(id, 120) for id in ids]
    first.thaw()
    assert {j["state"] for j in jobs} == {"succeeded"}
    assert site.run()["state"] == "succeeded"
    assert site.standin.calls("a-mart") == 6, "what was in the ledger was not repeated"
    assert all(site.standin.calls(s) <= 11 for s in ("b-shop", "c-store"))
    wait_for("it came back as a new one", lambda: first.get("/readyz").status == 200, 60)


def answer_of_the_dying(site, gateway, product, key, kept):
    """The answer as the client has it: None if the connection ended without one."""
    try:
        return site.post(product, key=key, address=gateway.address(), kept=kept)
    except (OSError, http.client.HTTPException):
        return None


@pytest.mark.parametrize("kept", (False, True), ids=("own-thread", "passage"))
@pytest.mark.parametrize("point", GATEWAY_POINTS)
def test_a_gateway_killed_there_starts_the_job_once(new_site, point, kept):
    """What Kafka has runs without its gateway and is listed from its claim; the same key finds it.
    The flow has no cache here, so that the key alone leads to the job."""
    records, answers = GATEWAY_POINTS[point]
    site = new_site(edit={**LONG, CACHE_OF_THE_FLOW: ""}).prepare()
    key, product = "8f14e45f-ceea-467f-a0e6-2d9c3f1b8a31", site.product()
    dying = site.gateway(OFFPATH_FAILPOINT=point)
    with site.stack.frozen("kafka") if point == "after-publish" else contextlib.nullcontext():
        answer = answer_of_the_dying(site, dying, product, key, kept)
        assert dying.wait_exit(20) == -9, "the stop was reached"
    assert (answer.status if answer else None) in answers, answer
    there = len(site.records())
    assert there in records
    assert site.sql("SELECT COUNT(*) FROM op_job") == [["0"]], "nobody registered it"
    worker = site.worker()
    if there:
        wait_for("it runs, listed from its claim", lambda: site.state_counts() == {10: 1}, 60)
    site.address = site.gateway().address()
    again = site.post(product, key=key)
    assert again.status in (200, 202), again
    job = site.wait_final(again.json()["id"])
    assert job["state"] == "succeeded"
    assert not answer or answer.json()["id"] == job["id"]
    site.wait_settled(worker, len(site.records()))
    assert site.sql("SELECT HEX(id), state FROM op_job") == [[hexid(job["id"]), "10"]]
    assert {s: site.standin.calls(s) for s in SHOPS} == dict.fromkeys(SHOPS, 1)
    assert worker.stop() == 0 and site.uncommitted() == []


def test_a_gateway_killed_between_ack_and_answer_loses_nothing(new_site):
    """Killed under load: what Kafka has runs once, and is found by its key at another gateway."""
    from harness import Background
    site = new_site(edit=LONG).open(gateways=2)
    shops(site)
    first, second = site.gateways
    keys = {i: f"8f14e45f-ceea-467f-a0e6-{i:012x}" for i in range(100_000)}
    load = Background(lambda i: (i, site.post(str(500_000 + i), key=keys[i], address=first.address())), threads=16)
    wait_for("the load runs", lambda: len(load.results) >= 100, 30)
    first.kill()
    wait_for("the load ended", lambda: len(load.errors) >= 16, 30)
    load.stop()
    site.address = second.address()
    answered = {i: a.json()["id"] for i, a in load.results}
    asked = max(answered) + 16
    wait_for("all jobs are final", lambda: site.open_jobs() == 0, 120)
    for i in range(max(0, asked - 40), asked + 1):
        a = site.post(str(500_000 + i), key=keys[i])
        assert a.status in (200, 202), a
        if "cached_at" in a.json():  # its key was not acknowledged in Redis yet, its result is
            continue
        assert i not in answered or a.json()["id"] == answered[i]
        site.wait_final(a.json()["id"])
    wait_for("all jobs are final", lambda: site.open_jobs() == 0, 120)
    assert set(site.state_counts()) == {10}
    made = [e["key"] for e in site.standin.log_of()]
    assert len(made) == len(set(made)), "each call was made once"


def test_a_record_that_kills_its_worker_is_given_up(new_site):
    """Five deaths with one job, and it is failed by name; its neighbours end well. The lease is
    short here: five times its end would take minutes."""
    site = new_site(edit=LONG, env={"OFFPATH_LEASE": "3s"}).prepare()
    shops(site)
    site.address = site.gateway().address()
    id = site.accept()
    end = time.monotonic() + 300
    while not (site.sql(f"SELECT state FROM op_job WHERE id = x'{hexid(id)}' AND state >= 10")):
        assert time.monotonic() < end, site.sql("SELECT state, crashes FROM op_job")
        w = site.worker(wait=False, OFFPATH_FAILPOINT="claimed")
        wait_for("it died or the job is over", lambda: not w.running() or site.sql(
            f"SELECT state FROM op_job WHERE id = x'{hexid(id)}' AND state >= 10"), 120)
    for p in site.programs:
        if p.name.startswith("worker"):
            p.kill()
    site.worker()
    job = site.job(id)
    assert (job["state"], job["reason"]) == ("failed", "crashed-worker"), job
    assert site.sql("SELECT reason FROM op_dead") == [["crashed-worker"]]
    assert site.run()["state"] == "succeeded"
    assert all(c["state"] in ("failed", "cancelled", "skipped") for c in [call_of(job, "a-mart")])


@pytest.mark.parametrize("point", NEVER_POINTS)
def test_a_worker_killed_beside_the_row_of_a_call_that_must_not_be_repeated(new_site, point):
    made, code = NEVER_POINTS[point]
    order = (ROOT / "tests/system/order.yaml").read_text()
    site = new_site(extra_flows={"order": order}).prepare()
    site.address = site.gateway().address()
    first = site.worker(OFFPATH_FAILPOINT=point)
    a = request(site.address, "POST", "/v1/flows/order/jobs", json.dumps({"items": ["a", "b"]}),
                {"Content-Type": "application/json"})
    assert a.status == 202 and first.wait_exit(60) == -9
    site.worker()
    pay = call_of(site.wait_final(a.json()["id"], 90), "pay")
    assert (pay["error"] or {"code": None})["code"] == code
    assert site.standin.calls("c-store") == made
    assert site.standin.calls("a-mart") == 2


def crash_at_pool(site, point, out):
    """A worker dies at the point with one job and, it may be, an item; a second one goes on."""
    try:
        site.prepare()
        pool = Pool(site)
        for i in range(POOL_POINTS[point]):
            pool.push(f"ready-{i}")
        site.address = site.gateway().address()
        first = site.worker(OFFPATH_FAILPOINT=point)
        ids = [pool.start()]
        assert first.wait_exit(60) == -9, "the stop was reached"
        site.worker()
        ids.append(pool.start())
        out["jobs"] = [site.wait_final(id, 90)["result"]["images"] for id in ids]
        wait_for("the pool is full", lambda: pool.length() == 4 and pool.refills_done(), 60)
        out["items"] = [json.loads(i.split(b"|", 2)[2])["images"]
                        for i in pool.redis("LRANGE", pool.key("q"), "0", "-1")]
    except BaseException as e:  # noqa: the test of this point tells it
        out["error"] = e


@pytest.fixture(scope="module")
def crashed_at_pool(stack, work_folder, binaries):
    flow = (ROOT / "tests/system/pool.yaml").read_text()
    sites = {p: Site(stack, work_folder, binaries, extra_flows={"design": flow}, env={"OFFPATH_LEASE": "3s"})
             for p in POOL_POINTS}
    outs = {p: {} for p in POOL_POINTS}
    threads = [threading.Thread(target=crash_at_pool, args=(sites[p], p, outs[p])) for p in POOL_POINTS]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    yield outs
    closing(sites.values())


@pytest.mark.parametrize("point", POOL_POINTS)
def test_a_worker_killed_beside_the_pool_gives_each_item_once_and_keeps_it_filled(crashed_at_pool, point):
    """B5: killed between take and save, the job gets the same item and no other does."""
    out = crashed_at_pool[point]
    if "error" in out:
        raise out["error"]
    first = out["jobs"][0]
    assert first == ["ready-0"] if POOL_POINTS[point] else len(first) == 3
    assert len({tuple(i) for i in out["jobs"] + out["items"]}) == 6, "each is somebody's alone"


# ---- saves on two servers: a host of another name is another one

def save_site(stack, work_folder, binaries):
    site = Site(stack, work_folder, binaries, edit=LONG, extra_flows={"saver": SAVER})
    u = urllib.parse.urlsplit(stack.env["OFFPATH_MYSQL"])
    for name in ("own", "far"):
        stack.sql(f"CREATE DATABASE {name}_{site.mark}")
        stack.sql("CREATE TABLE saved (job CHAR(36) NOT NULL, n INT NOT NULL)", f"{name}_{site.mark}")
    account = f"port: {u.port}, user: {u.username}, password: '{u.password}'"
    path = site.folder / "upstreams.yaml"
    path.write_text(re.sub(r"(?s)\ndatabases:.*", f"""
databases:
  own: {{host: {u.hostname}, {account}, name: own_{site.mark}}}
  far: {{host: localhost, {account}, name: far_{site.mark}}}
""", path.read_text()))
    return site


def saved(site, name):
    return site.stack.sql("SELECT job, n FROM saved", f"{name}_{site.mark}")


def save_crash_at(site, point, out):
    try:
        site.prepare()
        site.address = site.gateway().address()
        first = site.worker(OFFPATH_FAILPOINT=point)
        a = request(site.address, "POST", "/v1/flows/saver/jobs", json.dumps({"n": 7}),
                    {"Content-Type": "application/json"})
        assert a.status == 202, a
        id = a.json()["id"]
        status = first.wait_exit(60)
        between = saved(site, "far")
        site.worker()
        job = site.wait_final(id, 120)
        out.update(status=status, id=id, job=job, between=between, own=saved(site, "own"), far=saved(site, "far"))
    except BaseException as e:  # noqa: the test of this point tells it
        out["error"] = e


@pytest.fixture(scope="module")
def save_crashed(stack, work_folder, binaries):
    sites = {p: save_site(stack, work_folder, binaries) for p in SAVE_POINTS}
    outs = {p: {} for p in SAVE_POINTS}
    threads = [threading.Thread(target=save_crash_at, args=(sites[p], p, outs[p])) for p in SAVE_POINTS]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    yield outs
    for site in sites.values():
        for name in ("own", "far"):
            site.stack.sql(f"DROP DATABASE {name}_{site.mark}")
    closing(sites.values())


@pytest.mark.parametrize("point", SAVE_POINTS)
def test_a_worker_killed_while_it_saves_leaves_each_row_once(save_crashed, point):
    out = save_crashed[point]
    if "error" in out:
        raise out["error"]
    assert out["status"] == -9, "the stop was reached"
    assert len(out["between"]) == SAVE_POINTS[point]
    assert out["job"]["state"] == "succeeded" and out["job"]["result"] == 7, out["job"]
    assert out["job"]["message"] == "Saved: 7"
    assert out["own"] == out["far"] == [[out["id"], "7"]]


# ---- what a job sends on, and what brings it back

# where the worker dies -> how often the record stands in its topic then, at least and at most
SEND_POINTS = {
    "after-finish": (1, 1),          # before the emit: the outbox has it, 30 s later it goes out
    "before-outbox-delete": (1, 2),  # after the emit: it goes out again, as the same job
    "after-again": (1, 1),           # the job is queued again, its first record is not settled
}


def send_crash_at(site, point, out):
    try:
        site.prepare()
        site.address = site.gateway().address()
        flow, topic = ("again", f"again-{site.mark}.retry") if point == "after-again" else (
            "giver", f"taker-{site.mark}")
        site.standin.script("a-mart", {"status": 503})
        first = site.worker(OFFPATH_FAILPOINT=point)
        id = start(site, flow, {"list": [7]})
        status = first.wait_exit(60)
        site.worker()
        job = site.wait_final(id, 120)
        if flow == "giver":
            wait_for("what it started is final", lambda: finals(site, "taker"), 120)
        wait_for("the outbox is empty", lambda: site.sql("SELECT COUNT(*) FROM op_outbox") == [["0"]], 120)
        out.update(status=status, job=job, id=id, taken=finals(site, "taker"), records=site.stack.records(topic),
                   asked=site.standin.calls("a-mart"), jobs=site.sql("SELECT flow, state, round FROM op_job"))
    except BaseException as e:  # noqa: the test of this point tells it
        out["error"] = e


@pytest.fixture(scope="module")
def send_crashed(stack, work_folder, binaries):
    flows = {"giver": GIVER, "taker": TAKER, "again": AGAIN}
    sites = {p: Site(stack, work_folder, binaries, edit=LONG, extra_flows=flows) for p in SEND_POINTS}
    outs = {p: {} for p in SEND_POINTS}
    threads = [threading.Thread(target=send_crash_at, args=(sites[p], p, outs[p])) for p in SEND_POINTS]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    yield outs
    closing(sites.values())


@pytest.mark.parametrize("point", SEND_POINTS)
def test_e12_what_a_job_sends_is_neither_lost_nor_done_twice(send_crashed, point):
    """E12: killed after the store and before the emit, and before the outbox forgets it; and where a job
    that runs again is queued."""
    out = send_crashed[point]
    if "error" in out:
        raise out["error"]
    assert out["status"] == -9, "the stop was reached"
    assert out["job"]["state"] == "succeeded", out["job"]
    least, most = SEND_POINTS[point]
    assert least <= len(out["records"]) <= most, out["records"]
    assert len({r["headers"]["ce_id"] for r in out["records"]}) == 1
    if point == "after-again":
        assert out["jobs"] == [["again", "10", "1"]] and out["asked"] == 2
    else:
        assert sorted(out["jobs"]) == [["giver", "10", "0"], ["taker", "10", "0"]]
        assert [(row[1], row[3]) for row in out["taken"]] == [("10", "7")]
