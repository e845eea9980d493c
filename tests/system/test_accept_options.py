"""What a flow may ask of its gateways: wait for the end, limit, set and hash. Several gateways count
together; a plain password stays nowhere."""
import ctypes
import json
import re
import uuid

import pytest

from conftest import closing
from harness import FINAL, Background, Site, request, undisturbed, wait_for

PLAIN = "Pl41n-Passw0rd-xyzzy"
CALLS = r"""
topic: {name: NAME-MARK, group: NAME-MARK}
calls:
  ask: {upstream: UP, request: {path: /products/1/price}, retry: {attempts: 1}, result: $body.price}
result: $calls.ask.result
"""


def flow(name, head, up="a-mart"):
    return f"flow: {name}\ntitle: Flow {name}\naccess: guests\n{head}" + CALLS.replace("NAME", name).replace("UP", up)


NUMBER = "request: {schema: {type: object, properties: {n: {type: integer}}, examples: [{n: 1}]}}\n"
FLOWS = {
    "plain": flow("plain", NUMBER),
    "waits": flow("waits", "wait: 5s\n" + NUMBER),
    "few": flow("few", "limits: [{per: user, count: 6, window: 1h}]\n" + NUMBER),
    "one": flow("one", "limits: [{per: user, count: 1, window: 1h}]\n" + NUMBER),
    "sign": flow("sign", """request:
  schema:
    type: object
    required: [name, password]
    properties: {name: {type: string}, password: {type: string, minLength: 8}, role: {type: string}}
    examples: [{name: a, password: secret-secret}]
  set: {role: '"guest"'}
  hash: {password: bcrypt}
""", up="b-shop"),
}


@pytest.fixture(scope="module")
def opened(stack, work_folder, binaries):
    site = Site(stack, work_folder, binaries, extra_flows=FLOWS, env={"OFFPATH_GATEWAYS": "2"})
    yield site.open(gateways=2)
    closing([site])


@pytest.fixture
def site(opened):
    opened.standin.mend()
    return opened


def post(site, flow, body, gateway=0, query="", **headers):
    return request(site.gateways[gateway].address(), "POST", f"/v1/flows/{flow}/jobs{query}", json.dumps(body),
                   {"Content-Type": "application/json", **headers})


# ---- wait

def test_a_flow_that_waits_answers_with_the_job(site):
    a = post(site, "waits", {"n": 1})
    assert a.status == 200 and a.json()["state"] == "succeeded" and a.json()["result"] == 18900, a
    assert "preference-applied" not in a.headers


def test_a_client_may_wait_longer_or_not_at_all(site):
    a = post(site, "plain", {"n": 1}, gateway=1, Prefer="respond-async, wait=20")
    assert a.status == 200 and a.json()["state"] == "succeeded", a
    assert a.headers["preference-applied"] == "wait=20"
    a = post(site, "waits", {"n": 1}, Prefer="wait=0")
    assert a.status == 202 and a.json()["state"] == "queued", a
    site.wait_final(a.json()["id"])


def test_a_wait_that_is_over_is_a_202(site):
    site.standin.script("a-mart", {"delay_ms": 2500, "repeat": -1})
    a = post(site, "plain", {"n": 1}, Prefer="wait=1")
    assert (a.status, a.headers["preference-applied"]) == (202, "wait=1"), a
    assert a.json()["state"] == "running"
    assert site.wait_final(a.json()["id"])["state"] == "succeeded"


def test_a_repeated_key_waits_for_the_same_job(site):
    site.standin.script("a-mart", {"delay_ms": 2500, "repeat": -1})
    key = {"Idempotency-Key": str(uuid.uuid4())}
    first = post(site, "plain", {"n": 1}, **key)
    again = post(site, "plain", {"n": 1}, gateway=1, Prefer="wait=1", **key)
    assert (again.status, again.json()["state"], again.headers["preference-applied"]) == (202, "running", "wait=1"), again
    end = post(site, "plain", {"n": 1}, gateway=1, Prefer="wait=20", **key)
    assert (first.status, end.status, end.json()["state"]) == (202, 200, "succeeded"), end
    assert first.json()["id"] == again.json()["id"] == end.json()["id"]
    assert end.headers["idempotent-replayed"] == "true" and end.headers["preference-applied"] == "wait=20"


# ---- limits

def test_gateways_count_a_limit_together(site):
    def act(_):
        site.stack.redis("FLUSHDB", db=site.redis_db)  # guests are one user here
        load = Background(lambda i: post(site, "few", {"n": i}, gateway=i % 2), threads=8, count=24).join()
        assert not load.errors, load.errors
        good = [a for a in load.results if a.status == 202]
        bad = [a for a in load.results if a.status == 429]
        assert (len(good), len(bad)) == (6, 18), load.results
        for a in bad:
            assert a.json()["code"] == "rate-limited" and 1 <= int(a.headers["retry-after"]) <= 600, a
            assert re.search(r'"user-0";r=0;t=\d+', a.headers["ratelimit"]), a.headers
        return good
    for a in undisturbed(site.gateways, act):
        site.wait_final(a.json()["id"])


def test_without_redis_a_gateway_counts_its_part(site):
    alone = site.gateway(OFFPATH_REDIS="redis://127.0.0.1:1")
    states = [request(alone.address(), "POST", "/v1/flows/few/jobs", "{}", {"Content-Type": "application/json"}).status
              for _ in range(6)]
    assert states == [202] * 3 + [429] * 3, states
    assert alone.stop() == 0


def test_guests_behind_a_trusted_ingress_are_counted_each(site):
    """What the client wrote into X-Forwarded-For itself stands left, and does not count."""
    def states(gateway, *clients):
        return [request(gateway.address(), "POST", "/v1/flows/one/jobs", "{}", {
            "Content-Type": "application/json", "X-Forwarded-For": c}).status for c in clients]
    trusting = site.gateway(OFFPATH_TRUSTED_PROXIES="127.0.0.0/8")
    assert states(trusting, "203.0.113.1", "203.0.113.2", "198.51.100.9, 203.0.113.2") == [202, 202, 429]
    assert states(trusting, "2001:db8::1", "[2001:db8::2]:443", "2001:db8:0:1::1") == [202, 429, 202]
    assert trusting.stop() == 0
    # the others trust nobody: all are this machine
    assert states(site.gateways[0], "203.0.113.3", "203.0.113.4") == [202, 429]


# ---- set and hash

def holds(site, text):
    """Tables of the record in which the text stands."""
    columns = site.sql("SELECT table_name, column_name FROM information_schema.columns "
                       f"WHERE table_schema = '{site.database}'")
    return [f"{t}.{c}" for t, c in columns
            if site.sql(f"SELECT COUNT(*) FROM `{t}` WHERE LOCATE('{text}', CAST(`{c}` AS BINARY)) > 0") != [["0"]]]


def redis_holds(site, text):
    keys = site.stack.redis("KEYS", "*", db=site.redis_db)
    return [k for k in keys if text in str(site.stack.redis("DUMP", k, db=site.redis_db))]


def test_a_password_is_hashed_and_stays_nowhere_e15(site):
    """E15: no topic, log, job row or dead letter holds the password; the hash verifies."""
    site.standin.script("b-shop", {"status": 500, "repeat": -1})  # so that it is a dead letter, too
    key = "8f14e45f-ceea-467f-a0e6-2d9c3f1baa15"
    a = post(site, "sign", {"name": "eve", "password": PLAIN, "role": "admin"}, **{"Idempotency-Key": key})
    assert a.status == 202, a
    assert site.wait_final(a.json()["id"])["state"] == "failed"
    wait_for("the dead letter", lambda: site.sql("SELECT COUNT(*) FROM op_dead WHERE flow = 'sign'") == [["1"]])

    records = [r for r in site.stack.records(f"sign-{site.mark}") if r["headers"].get("offpath-job") == a.json()["id"]]
    value = json.loads(records[0]["value"])
    assert (value["name"], value["role"]) == ("eve", "guest"), "what the client sent for a field of `set` counts"
    assert value["password"].startswith("$2b$10$")
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    hashed = value["password"].encode()
    assert crypt(PLAIN.encode(), hashed) == hashed
    assert crypt(f"{PLAIN}x".encode(), hashed) != hashed

    answers = [post(site, "sign", {"name": "eve", "password": PLAIN}, query="?dry_run=true"),
               post(site, "sign", {"name": "eve", "password": PLAIN * 4}),  # more than 72 bytes
               post(site, "sign", {"name": 7, "password": PLAIN}),
               request(site.address, "POST", "/v1/flows/sign/jobs", '{"password": "%s", ' % PLAIN,
                       {"Content-Type": "application/json"}),
               post(site, "sign", {"name": "eve", "password": PLAIN}, **{"Idempotency-Key": key})]
    assert [x.status for x in answers] == [200, 422, 422, 400, 422], answers
    assert '"password":"***"' in answers[0].body.decode(), answers[0]

    told = [x for x in [a, *answers] if PLAIN in repr(x) or PLAIN in x.body.decode()]
    topics = [t for t in ("sign", "sign.retry") for r in site.stack.records(t.replace("sign", f"sign-{site.mark}"))
              if PLAIN in str(r)]
    logs = [p.name for p in site.gateways + site.workers if PLAIN in p.text()]
    assert (told, topics, logs, holds(site, PLAIN), redis_holds(site, PLAIN)) == ([], [], [], [], [])
    assert holds(site, "sign"), "the search finds what is there"
