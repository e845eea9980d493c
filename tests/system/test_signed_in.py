"""Signed-in users: whose job it is, who sees it, who may call it off; keys from a secret, a file and a
URL. Tokens are signed by tokens.py, so that nothing of the gateway's own proves itself right."""
import contextlib
import http.server
import json
import threading
import time
import urllib.parse

import pytest

import tokens
from conftest import closing
from harness import FINAL, Site, request, wait_for
from streams import Stream

SECRET = b"a secret of more than 32 bytes, for tests"
ISSUER = "https://id.example"
LEEWAY_S = 60  # clocks differ; common/token.h
CALL = r"""
topic: {name: NAME-MARK, group: NAME-MARK}
request:
  schema:
    type: object
    required: [n]
    properties: {n: {type: integer}}
    examples: [{n: 1}]
calls:
  ask:
    upstream: a-mart
    request: {path: '/products/\($request.n)/price'}
    retry: {attempts: 1}
    result: $body.price
result: '{user: $user.id, price: $calls.ask.result}'
"""


def flow(name, head=""):
    return f"flow: {name}\ntitle: Flow {name}\n{head}" + CALL.replace("NAME", name)


FLOWS = {"mine": flow("mine"), "open": flow("open", "access: guests\n"),
         "inner": flow("inner", "access: internal\n"), "scoped": flow("scoped", "token_scope: write\n")}


def make_site(stack, folder, binaries, **env):
    site = Site(stack, folder, binaries, extra_flows=FLOWS)
    secret = site.folder / "jwt.secret"
    secret.write_bytes(SECRET + b"\n")
    site.env.update({"OFFPATH_JWT_HS256_FILE": str(secret), "OFFPATH_JWT_ISSUER": ISSUER,
                     "OFFPATH_JWT_AUDIENCE": "offpath", **env})
    return site


@pytest.fixture(scope="module")
def signed(stack, work_folder, binaries):
    site = make_site(stack, work_folder, binaries).open()
    yield site
    closing([site])


@pytest.fixture
def site(signed):
    signed.standin.mend()
    return signed


def token(sub, ttl=600, **more):
    return tokens.hs256(SECRET, sub, ttl, **{"iss": ISSUER, "aud": "offpath", **more})


def ask(site, method, path, sub=None, body=None, raw=None, address=None, **headers):
    """As this user (raw: with this very token), else as a guest."""
    raw = raw or (token(sub) if sub else None)
    if raw:
        headers["Authorization"] = f"Bearer {raw}"
    if body is not None:
        headers["Content-Type"] = "application/json"
    return request(address or site.address, method, path, json.dumps(body) if body is not None else None,
                   headers)


def start(site, flow, sub=None, n=1, **kw):
    return ask(site, "POST", f"/v1/flows/{flow}/jobs", sub, {"n": n}, **kw)


def accept(site, flow, sub=None, **kw):
    a = start(site, flow, sub, **kw)
    assert a.status == 202, a
    return a.json()["id"]


def wait_state(site, id, sub, states, timeout=40, **kw):
    def look():
        a = ask(site, "GET", f"/v1/jobs/{id}", sub, **kw)
        assert a.status == 200, a
        return a.json() if a.json()["state"] in states else None
    return wait_for(f"job {id} is {states}", look, timeout)


# ---- whose job

def test_a_job_is_its_users_own(site):
    id = accept(site, "mine", "alice")
    job = wait_state(site, id, "alice", FINAL)
    assert job["state"] == "succeeded" and job["result"] == {"user": "alice", "price": 18900}, job
    for other in ("bob", None):
        a = ask(site, "GET", f"/v1/jobs/{id}", other)
        assert (a.status, a.json()["code"]) == (404, "no-job"), a
    record = next(r for r in site.stack.records(f"mine-{site.mark}") if r["headers"]["offpath-job"] == id)
    owner, sub = record["headers"]["offpath-user"].split(" ")
    assert sub == "alice" and len(owner) == 32
    assert site.sql(f"SELECT HEX(owner) FROM op_job WHERE id=UNHEX('{id.replace('-', '')}')") == [[owner.upper()]]


def test_a_guests_job_is_of_whoever_holds_its_id(site):
    id = accept(site, "open")
    assert wait_state(site, id, None, FINAL)["result"] == {"user": None, "price": 18900}
    assert ask(site, "GET", f"/v1/jobs/{id}", "bob").status == 200


def test_short_keys_of_two_users_do_not_meet(site):
    first = accept(site, "mine", "alice", **{"Idempotency-Key": "1"})
    other = accept(site, "mine", "bob", **{"Idempotency-Key": "1"})
    assert first != other
    wait_state(site, first, "alice", FINAL)
    again = start(site, "mine", "alice", **{"Idempotency-Key": "1"})
    assert (again.status, again.json()["id"]) == (200, first), again
    guest = start(site, "open", **{"Idempotency-Key": "1"})
    assert (guest.status, guest.json()["code"]) == (422, "guest-key"), guest


def test_users_flows_ask_for_a_token_and_its_scope(site):
    a = start(site, "mine")
    assert (a.status, a.json()["code"], a.headers["www-authenticate"]) == (401, "signed-out", "Bearer"), a
    a = start(site, "scoped", "alice")
    assert (a.status, a.json()["code"]) == (403, "not-allowed"), a
    assert 'scope="write"' in a.headers["www-authenticate"]
    assert start(site, "scoped", raw=token("alice", scope="read write")).status == 202
    assert start(site, "scoped", raw=token("alice", scp=["write"])).status == 202


def test_e18_an_internal_flow_is_not_there_over_http(site):
    for who in ("alice", None):
        a = start(site, "inner", who)
        assert (a.status, a.json()["code"]) == (404, "no-flow"), a
    assert "inner" not in [f["flow"] for f in ask(site, "GET", "/v1/flows", "alice").json()["items"]]
    site.stack.produce(f"inner-{site.mark}", b'{"n": 7}')  # a record is its way in
    wait_for("the record's job ends", lambda: site.sql("SELECT HEX(id) FROM op_job WHERE flow='inner' AND state=10"))


def test_a_bad_token_is_401_everywhere_and_never_logged(site):
    good = token("alice")
    head, claims, signature = good.split(".")
    forged = tokens.unsigned({"alg": "HS256"}, tokens.claims_of("root", iss=ISSUER, aud="offpath"))
    bad = {
        "expired": token("alice", ttl=-61), "not yet": token("alice", nbf=int(time.time()) + 120),
        "issuer": token("alice", iss="https://else.example"), "audience": token("alice", aud="else"),
        "forged": f"{forged}.{signature}", "none": tokens.unsigned({"alg": "none"}, {"sub": "root"}) + ".",
        "other secret": tokens.hs256(b"x" * 40, "alice", iss=ISSUER, aud="offpath"), "garbage": "x.y.z",
        "huge": token("alice", more="x" * 9000),
    }
    for what, raw in bad.items():
        for method, path, body in (("POST", "/v1/flows/open/jobs", {"n": 1}), ("GET", "/v1/jobs", None),
                                   ("GET", "/v1/flows", None), ("DELETE", f"/v1/jobs/{'0' * 8}", None)):
            a = ask(site, method, path, raw=raw, body=body)
            assert (a.status, a.json()["code"]) == (401, "signed-out"), f"{what}: {method} {path}: {a}"
            assert 'error="invalid_token"' in a.headers["www-authenticate"]
            assert raw not in a.body.decode()
    assert start(site, "open", raw=token("alice", ttl=-50)).status == 202, "a minute of leeway"
    log = site.gateways[0].text()
    assert not [what for what, raw in {**bad, "good": good}.items()
                if raw in log or (what != "garbage" and raw.split(".")[1] in log)]


def test_the_token_verb_makes_a_token_for_the_local_secret(site):
    done = site.verb("offpath-gateway", "token", "--user", "carol", "--scope", "write", "--ttl", "5m")
    assert done.returncode == 0 and done.stderr == "", done
    raw = done.stdout.strip()
    assert start(site, "scoped", raw=raw).status == 202
    assert ask(site, "GET", "/v1/jobs", raw=raw).status == 200
    for words in ([], ["--user", ""], ["--user", "x", "--ttl", "31d"]):
        assert site.verb("offpath-gateway", "token", *words).returncode == 2
    done = site.verb("offpath-gateway", "token", "--user", "x", env={"OFFPATH_JWT_HS256_FILE": ""})
    assert done.returncode == 2 and "jwt-hs256-file" in done.stderr, done


# ---- my jobs

def test_my_jobs_come_newest_first_in_pages_and_filtered(site):
    ids = [accept(site, "mine" if i % 2 else "open", "dora", n=i) for i in range(7)]
    accept(site, "mine", "eve")
    accept(site, "open")
    for id in ids:
        wait_state(site, id, "dora", FINAL)
    seen, cursor = [], None
    while True:
        query = {"limit": 3, **({"cursor": cursor} if cursor else {})}
        page = ask(site, "GET", f"/v1/jobs?{urllib.parse.urlencode(query)}", "dora").json()
        assert 1 <= len(page["items"]) <= 3
        seen += page["items"]
        cursor = page["next"]
        if not cursor:
            break
    assert sorted(j["id"] for j in seen) == sorted(ids) and len(seen) == 7
    created = [j["created"] for j in seen]
    assert created == sorted(created, reverse=True)
    assert all("calls" not in j and "eta" not in j and j["result"]["user"] == "dora" for j in seen)

    def count(**query):
        return len(ask(site, "GET", f"/v1/jobs?{urllib.parse.urlencode(query)}", "dora").json()["items"])
    assert (count(flow="mine"), count(flow="open"), count(flow="nope")) == (3, 4, 0)
    assert (count(state="succeeded"), count(state="queued")) == (7, 0)
    assert count(since=created[2]) == 3
    for query, code in ("state=nonsense", "bad-parameter"), ("limit=none", "bad-parameter"), ("cursor=nonsense", "bad-cursor"):
        a = ask(site, "GET", f"/v1/jobs?{query}", "dora")
        assert (a.status, a.json()["code"]) == (400, code), a
    assert ask(site, "GET", "/v1/jobs").status == 401


def test_a_user_sees_the_flows_he_may_start(site):
    names = lambda **kw: {f["flow"]: f for f in ask(site, "GET", "/v1/flows", **kw).json()["items"]}
    assert set(names()) == {"open", "price-compare"}
    assert set(names(sub="alice")) == {"open", "price-compare", "mine"}
    all_of_them = names(raw=token("alice", scope="write"))
    assert set(all_of_them) == {"open", "price-compare", "mine", "scoped"}
    assert all_of_them["mine"]["title"] == "Flow mine" and all_of_them["mine"]["examples"] == [{"n": 1}]
    assert all_of_them["mine"]["schema"]["required"] == ["n"]


# ---- cancel

def cancel(site, id, sub=None):
    a = ask(site, "DELETE", f"/v1/jobs/{id}", sub)
    return a.status, a.json().get("code") or a.json()["state"]


def test_a_running_job_is_cancelled_with_its_calls_in_flight(site):
    site.standin.script("a-mart", {"hang": True, "repeat": -1})
    id = accept(site, "mine", "alice")
    wait_for("its call is in flight", lambda: site.standin.in_flight() == 1)
    assert cancel(site, id, "bob") == (404, "no-job")
    assert cancel(site, id) == (404, "no-job")
    began = time.monotonic()
    assert cancel(site, id, "alice") == (202, "running")
    job = wait_state(site, id, "alice", FINAL, 10)
    assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    assert [c["state"] for c in job["calls"]] == ["cancelled"], job
    wait_for("the call was cut", lambda: site.standin.in_flight() == 0, 10)
    assert time.monotonic() - began < 25, "waited for the call"
    assert cancel(site, id, "alice") == (409, "final")


def test_a_cancel_is_found_without_redis(stack, work_folder, binaries):
    site = make_site(stack, work_folder, binaries)
    try:
        site.open()
        site.standin.script("a-mart", {"hang": True, "repeat": -1})
        id = accept(site, "mine", "alice")
        wait_for("its call is in flight", lambda: site.standin.in_flight() == 1)
        with stack.frozen("redis"):
            assert cancel(site, id, "alice") == (202, "running")
            assert wait_state(site, id, "alice", FINAL, 20)["state"] == "cancelled"
    finally:
        closing([site])


def test_a_final_and_a_shared_job_are_not_cancelled(site):
    id = accept(site, "mine", "alice")
    wait_state(site, id, "alice", FINAL)
    assert cancel(site, id, "alice") == (409, "final")
    site.standin.hold("a-mart")
    a = ask(site, "POST", "/v1/flows/price-compare/jobs", "alice", {"productId": site.product()})
    shared = a.json()["id"]
    wait_for("it is registered", lambda: ask(site, "GET", f"/v1/jobs/{shared}").json()["flow"])
    assert cancel(site, shared, "alice") == (403, "not-allowed")
    site.standin.let_go("a-mart")
    assert wait_state(site, shared, None, FINAL)["state"] == "succeeded"


def test_a_queued_job_is_cancelled_and_never_runs(stack, work_folder, binaries):
    site = make_site(stack, work_folder, binaries)
    try:
        site.open(workers=0)
        mine, guests = accept(site, "mine", "alice"), accept(site, "open")
        kept = accept(site, "mine", "alice")
        for id, sub in ((mine, "alice"), (guests, None)):
            wait_for("registered", lambda: ask(site, "GET", f"/v1/jobs/{id}", sub).json()["flow"])
            assert cancel(site, id, sub) == (202, "cancelled")
            assert cancel(site, id, sub) == (409, "final")
        site.worker()
        assert wait_state(site, kept, "alice", FINAL)["state"] == "succeeded"
        wait_for("all records are settled", lambda: not site.open_jobs())
        assert site.standin.calls("a-mart") == 1, "a cancelled job made a call"
        job = ask(site, "GET", f"/v1/jobs/{mine}", "alice").json()
        assert (job["state"], job["reason"]) == ("cancelled", "cancelled"), job
    finally:
        closing([site])


# ---- keys

NONE_OF_ONE = dict.fromkeys(("OFFPATH_JWT_HS256_FILE", "OFFPATH_JWT_ISSUER", "OFFPATH_JWT_AUDIENCE"), "")


class KeyServer:
    """Serves a key set; None: 503."""

    def __init__(self, text):
        self.text, self.asked = text, 0
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked += 1
                body = (outer.text or "").encode()
                self.send_response(200 if outer.text else 503)
                self.send_header("Cache-Control", "max-age=3600")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/keys"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()


def lists(site, gateway, key, **more):
    raw = key.token("alice", **{"iss": ISSUER, "aud": "offpath", **more})
    return ask(site, "GET", "/v1/jobs", raw=raw, address=gateway.address()).status


def test_keys_of_a_file_rs256_and_es256(site):
    folder = site.folder
    rsa, ec, unknown = (tokens.Key(folder, *k) for k in (("r1", "RS256"), ("e1", "ES256"), ("x1", "ES256")))
    path = folder / "keys.json"
    path.write_text(tokens.jwks(rsa, ec))
    gateway = site.gateway(OFFPATH_JWT_HS256_FILE="", OFFPATH_JWKS=str(path))
    assert (lists(site, gateway, rsa), lists(site, gateway, ec)) == (200, 200)
    assert lists(site, gateway, unknown) == 401
    assert lists(site, gateway, rsa, aud="else") == 401
    public = json.dumps(rsa.jwk()).encode()
    for secret in (SECRET, public, rsa.jwk()["n"].encode()):  # HS256 never counts beside public keys
        raw = tokens.hs256(secret, "alice", head={"kid": "r1"}, iss=ISSUER, aud="offpath")
        assert ask(site, "GET", "/v1/jobs", raw=raw, address=gateway.address()).status == 401
    assert gateway.stop() == 0
    only = site.gateway(OFFPATH_JWT_HS256_FILE="", OFFPATH_JWKS=str(path), OFFPATH_JWT_ALGORITHMS="ES256")
    assert (lists(site, only, rsa), lists(site, only, ec)) == (401, 200)
    assert only.stop() == 0


def test_keys_of_a_url_are_rotated(site):
    old, new = tokens.Key(site.folder, "old", "RS256"), tokens.Key(site.folder, "new", "ES256")
    with contextlib.closing(KeyServer(tokens.jwks(old))) as keys:
        gateway = site.gateway(OFFPATH_JWT_HS256_FILE="", OFFPATH_JWKS=keys.url)
        assert (lists(site, gateway, old), keys.asked) == (200, 1)
        keys.text = tokens.jwks(new)
        assert (lists(site, gateway, new), keys.asked) == (200, 2), "its first token waits for the key"
        assert lists(site, gateway, old) == 401, "a key taken out of the set still counts"
        for _ in range(20):
            assert lists(site, gateway, old) == 401
        assert keys.asked == 2, "an unknown key is asked for once in 30 s"
        keys.text = None
        assert lists(site, gateway, new) == 200
        assert gateway.stop() == 0


def test_keys_that_cannot_be_read_yet_are_a_503(site):
    key = tokens.Key(site.folder, "late", "ES256")
    with contextlib.closing(KeyServer(None)) as keys:
        gateway = site.gateway(OFFPATH_JWT_HS256_FILE="", OFFPATH_JWKS=keys.url)
        raw = key.token("alice", iss=ISSUER, aud="offpath")
        a = ask(site, "GET", "/v1/jobs", raw=raw, address=gateway.address())
        assert (a.status, a.json()["code"]) == (503, "unavailable"), a
        assert start(site, "open", address=gateway.address()).status == 202, "guests need no keys"
        keys.text = tokens.jwks(key)
        wait_for("the keys are there", lambda: lists(site, gateway, key) == 200, 20)
        assert gateway.stop() == 0


def test_several_issuers_each_with_keys_of_its_own(site):
    one, two = tokens.Key(site.folder, "one", "ES256"), tokens.Key(site.folder, "two", "RS256")
    path = site.folder / "one.json"
    path.write_text(tokens.jwks(one))
    with contextlib.closing(KeyServer(tokens.jwks(two))) as keys:
        file = site.folder / "gateway.yaml"
        file.write_text(f"jwt-issuers: |\n  https://one.example jwks={path} audience=offpath\n"
                        f"  https://two.example jwks={keys.url} algorithms=RS256\n")
        gateway = site.gateway(OFFPATH_CONFIG=str(file), **NONE_OF_ONE)
        assert lists(site, gateway, one, iss="https://one.example") == 200
        assert lists(site, gateway, two, iss="https://two.example", aud="else") == 200
        assert lists(site, gateway, one, iss="https://one.example", aud="else") == 401
        assert lists(site, gateway, one, iss="https://two.example") == 401, "the other's key"
        assert lists(site, gateway, two, iss="https://three.example") == 401
        assert gateway.stop() == 0


@pytest.mark.parametrize("env, said", [
    ({"OFFPATH_JWKS": "/nowhere/keys.json", "OFFPATH_JWT_HS256_FILE": ""}, "cannot be read"),
    ({"OFFPATH_JWKS": "FOLDER/upstreams.yaml", "OFFPATH_JWT_HS256_FILE": ""}, "no JWK set"),
    ({"OFFPATH_JWKS": "FOLDER/upstreams.yaml"}, "both set"),
    ({"OFFPATH_JWT_HS256_FILE": "/nowhere"}, "cannot be read"),
    ({"OFFPATH_JWT_HS256_FILE": "FOLDER/short"}, "less than 32 bytes"),
    ({"OFFPATH_JWT_ALGORITHMS": "RS256"}, "only HS256 fits"),
    ({"OFFPATH_JWT_ALGORITHMS": "none"}, "write HS256, RS256 or ES256"),
    ({"OFFPATH_JWT_HS256_FILE": ""}, "need --jwks or"),
    ({"OFFPATH_JWKS": "http://127.0.0.1:1/x", "OFFPATH_JWT_HS256_FILE": "",
      "OFFPATH_JWT_ALGORITHMS": "HS256,RS256"}, "a key set is public"),
    ({"OFFPATH_JWT_HS256_FILE": "FOLDER/huge"}, "more than 4096 bytes"),
    ({"OFFPATH_JWKS": "FOLDER/small.json", "OFFPATH_JWT_HS256_FILE": ""}, "less than 2048 bits"),
    ({"OFFPATH_JWKS": "FOLDER/ec.json", "OFFPATH_JWT_HS256_FILE": "", "OFFPATH_JWT_ALGORITHMS": "RS256"},
     "holds no key for --jwt-algorithms"),
    ({"OFFPATH_JWKS": "https://", "OFFPATH_JWT_HS256_FILE": ""}, "write https://host/path"),
    ({"OFFPATH_JWT_ISSUERS": "https://a.example jwks=x"}, "unset --jwks"),
    ({"OFFPATH_JWT_ISSUERS": "https://a.example", **NONE_OF_ONE}, "line 1 names no jwks="),
    ({"OFFPATH_JWKS": "https://me:pass-word@id.example/keys", "OFFPATH_JWT_HS256_FILE": ""}, "without user"),
])
def test_settings_that_would_check_nothing_are_refused(site, env, said):
    (site.folder / "short").write_text("short\n")
    (site.folder / "huge").write_text("x" * 5000)
    (site.folder / "ec.json").write_text(tokens.jwks(tokens.Key(site.folder, "e9", "ES256")))
    (site.folder / "small.json").write_text(tokens.jwks(tokens.Key(site.folder, "s9", "RS256", bits=1024)))
    env = {k: v.replace("FOLDER", str(site.folder)) for k, v in env.items()}
    gateway = site.gateway(wait=False, **env)
    assert gateway.wait_exit(30) == 2, gateway.tail()
    assert said in gateway.tail(), gateway.tail()
    done = site.verb("offpath-gateway", "check", env=env)
    assert done.returncode == 2 and said in done.stderr, done
    assert "pass-word" not in gateway.text() + done.stderr


def test_check_takes_good_settings_without_asking_a_server(site):
    env = {"OFFPATH_KAFKA": "127.0.0.1:1", "OFFPATH_REDIS": "redis://127.0.0.1:1"}
    done = site.verb("offpath-gateway", "check", env=env)
    assert (done.returncode, done.stderr) == (0, "") and done.stdout.endswith(" flows, no findings\n"), done
    env.update(OFFPATH_JWT_HS256_FILE="", OFFPATH_JWKS="https://127.0.0.1:1/keys")
    assert site.verb("offpath-gateway", "check", env=env).returncode == 0
    done = site.verb("offpath-gateway", "check", env={**env, "OFFPATH_ID_SECRET_FILE": "/nowhere"})
    assert done.returncode == 2 and "--id-secret-file /nowhere cannot be read" in done.stderr, done


# ---- live

def next_job(stream, id, state):
    """The next event about this job in this state."""
    while True:
        e = stream.next()
        assert e.name == "job", e
        if (e.data["id"], e.data["state"]) == (id, state):
            return e


def test_a_user_hears_of_each_own_job_and_of_no_other(site):
    alice = Stream(site.address, "/v1/events", token=token("alice"))
    other = accept(site, "mine", "bob")
    id = accept(site, "mine", "alice")
    done = next_job(alice, id, "succeeded").data
    assert (done["flow"], done["title"]) == ("mine", "Flow mine") and done["finished"], done
    assert other not in {e.data["id"] for e in alice.events}
    foreign = Stream(site.address, f"/v1/jobs/{other}/events", token=token("alice"))
    assert (foreign.status, foreign.problem["code"]) == (404, "no-job")


def test_a_stream_ends_with_its_token_and_says_so_to_who_comes_back(site):
    late = token("alice", ttl=4 - LEEWAY_S)
    alice = Stream(site.address, "/v1/events", token=late)
    assert alice.status == 200
    alice.all()
    wait_for("its end is counted", lambda: (site.gateways[0].metric("offpath_streams_ended_total", why="expired") or 0) >= 1)
    again = Stream(site.address, "/v1/events", token=late, last=alice.last)
    assert (again.status, again.problem["code"]) == (401, "signed-out")


def test_a_user_who_was_away_hears_what_ended_meanwhile(site):
    alice = Stream(site.address, "/v1/events", token=token("alice"))
    wait_for("it has a number", lambda: next_job(alice, accept(site, "mine", "alice"), "succeeded"))
    alice.close()
    id = accept(site, "mine", "alice")
    wait_state(site, id, "alice", FINAL)
    back = Stream(site.address, "/v1/events", token=token("alice"), last=alice.last)
    assert next_job(back, id, "succeeded").data["finished"]
