"""/openapi.json: valid to others' tools, complete, and each of its examples runs."""
import contextlib
import json
import subprocess

import jsonschema
import pytest

from conftest import closing
from harness import ROOT, raw_exchange, wait_for
from test_signed_in import CALL, ask, make_site, token

VENV = ROOT / "build/venv/bin"  # tests/run makes it
SHARED = CALL.replace("NAME", "shared").replace(
    "properties: {n: {type: integer}}", "properties: {n: {$ref: '#/$defs/number'}}\n"
    "    $defs: {number: {type: integer, enum: [1, 2], $comment: '$ref is no reference here'}}")

KEYWORDS = CALL.replace("NAME", "keywords").replace("properties: {n: {type: integer}}", """properties:
      n: {type: integer}
      default: {$ref: '#/$defs/enum'}
      properties: {properties: {const: {$ref: '#/$defs/const'}}}
    patternProperties: {'^example': {$ref: '#/$defs/enum'}}
    dependentSchemas: {default: {properties: {enum: {$ref: '#/$defs/enum'}}}}
    $defs: {enum: {type: integer}, const: {$ref: '#/$defs/enum'}}""")

LIMITED = CALL.replace("NAME", "limited").replace("calls:", "limits: [{per: user, count: 2, window: 1h}]\ncalls:", 1)


@pytest.fixture(scope="module")
def site(stack, work_folder, binaries):
    site = make_site(stack, work_folder, binaries)
    for name, rest in (("shared", SHARED), ("keywords", KEYWORDS), ("limited", LIMITED)):
        (site.folder / f"flows/{name}.yaml").write_text(
            f"flow: {name}\ntitle: Flow {name}\naccess: guests\n{rest}".replace("MARK", site.mark))
    site.open()
    yield site
    closing([site])


@pytest.fixture(scope="module")
def tools():
    assert (VENV / "schemathesis").exists(), "no build/venv: tests/run --stage packages makes it"
    return VENV


def document(site, **kw):
    a = ask(site, "GET", "/openapi.json", **kw)
    assert a.status == 200 and a.headers["content-type"] == "application/json", a
    return a.json()


def starts(document):
    return {path.split("/")[3]: item["post"] for path, item in document["paths"].items() if path.endswith("/jobs") and
            "flows" in path}


def check(document, schema, value):
    jsonschema.validators.Draft202012Validator(
        schema, resolver=jsonschema.RefResolver("", document)).validate(value)


def answer_schema(document, operation, status):
    response = operation["responses"][str(status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    return next(iter(response["content"].values()))["schema"]


def check_headers(document, operation, answer):
    """What an answer carries, but for what HTTP itself has, the document describes."""
    response = operation["responses"][str(answer.status)]
    if "$ref" in response:
        response = document["components"]["responses"][response["$ref"].rsplit("/", 1)[1]]
    said = {name.lower() for name in response.get("headers", {})}
    theirs = {"date", "connection", "content-type", "content-length", "transfer-encoding", "cache-control", "vary", "x-accel-buffering",
              "content-security-policy", "referrer-policy", "cross-origin-opener-policy", "x-content-type-options", "keep-alive"}
    assert set(answer.headers) - theirs <= said and "request-id" in answer.headers, (answer, said)


def validate(tools, folder, document, name):
    path = folder / f"{name}.json"
    path.write_text(json.dumps(document))
    done = subprocess.run([tools / "openapi-spec-validator", "--schema", "3.1.0", path], capture_output=True, text=True,
                          timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_document_is_valid_to_others(site, tools, tmp_path):
    validate(tools, tmp_path, document(site, sub="alice"), "served")
    broken = document(site)
    broken["paths"]["/v1/jobs"]["get"]["responses"] = 7
    with pytest.raises(AssertionError):
        validate(tools, tmp_path, broken, "broken")


def test_it_holds_the_flows_one_may_start(site):
    assert set(starts(document(site))) == {"keywords", "limited", "open", "price-compare", "shared"}
    mine = starts(document(site, raw=token("alice", scope="write")))
    assert set(mine) == {"keywords", "limited", "open", "price-compare", "shared", "mine", "scoped"}
    assert {} in mine["open"]["security"] and {} not in mine["mine"]["security"]
    assert ask(site, "GET", "/openapi.json", raw="x.y.z").status == 401


def test_names_of_the_callers_own_may_be_keywords(site):
    d = document(site)
    schema = starts(d)["keywords"]["requestBody"]["content"]["application/json"]["schema"]
    for more, good in (({}, True), ({"default": 2, "example": 3, "enum": 4}, True), ({"default": "x"}, False), ({"example": "x"}, False),
                       ({"default": 2, "enum": "x"}, False), ({"properties": {"const": 1}}, True), ({"properties": {"const": "x"}}, False)):
        assert ask(site, "POST", "/v1/flows/keywords/jobs?dry_run=true", body={"n": 1, **more}).status == (200 if good else 422), more
        with contextlib.nullcontext() if good else pytest.raises(jsonschema.ValidationError):
            check(d, schema, {"n": 1, **more})


def test_every_example_in_it_runs(site):
    d, ran = document(site, sub="alice"), 0
    for flow, post in starts(d).items():
        body = post["requestBody"]["content"]["application/json"]
        for example in body["examples"].values():
            check(d, body["schema"], example["value"])
            a = ask(site, "POST", f"/v1/flows/{flow}/jobs", "alice", example["value"])
            assert a.status in (200, 202), a
            check(d, answer_schema(d, post, a.status), a.json())
            ran += 1
        bad = ask(site, "POST", f"/v1/flows/{flow}/jobs", "alice", [])
        assert bad.status == 422
        check(d, answer_schema(d, post, 422), bad.json())
    assert ran == len(starts(d))
    for item in d["paths"].values():  # of answers: they must be what they are examples of
        for operation in item.values():
            for response in operation["responses"].values() if isinstance(operation, dict) else ():
                for content in response.get("content", {}).values():
                    for example in content.get("examples", {}).values():
                        check(d, content["schema"], example["value"])
    wrong = ask(site, "POST", "/v1/flows/shared/jobs", "alice", {"n": 3})
    with pytest.raises(jsonschema.ValidationError):
        check(d, starts(d)["shared"]["requestBody"]["content"]["application/json"]["schema"], {"n": 3})
    assert wrong.status == 422


def test_what_is_read_is_what_it_says(site):
    d = document(site, sub="alice")
    a = ask(site, "POST", "/v1/flows/open/jobs", "alice", {"n": 1})
    statuses = []
    limited, job = "/v1/flows/limited/jobs", f"/v1/jobs/{a.json()['id']}"
    end = wait_for("it ends", lambda: (r := ask(site, "GET", job, "alice")).json()["state"] == "succeeded" and r)
    for method, path, where, kw in (
            ("GET", f"/v1/jobs/{a.json()['id']}", "/v1/jobs/{id}", {"sub": "alice"}),
            ("GET", f"/v1/jobs/{a.json()['id']}?include=attempts", "/v1/jobs/{id}", {"sub": "alice"}),
            ("GET", f"/v1/jobs/{'0' * 8}-0000-7000-8000-{'0' * 12}", "/v1/jobs/{id}", {"sub": "alice"}),
            ("GET", "/v1/jobs?limit=3", "/v1/jobs", {"sub": "alice"}), ("GET", "/v1/jobs", "/v1/jobs", {}),
            ("GET", "/v1/jobs?limit=x", "/v1/jobs", {"sub": "alice"}), ("GET", "/v1/flows", "/v1/flows", {}),
            ("POST", "/v1/login", "/v1/login", {"sub": "alice"}), ("POST", "/v1/login", "/v1/login", {}),
            ("GET", job, "/v1/jobs/{id}", {"sub": "alice", "If-None-Match": end.headers["etag"]}),
            ("DELETE", job, "/v1/jobs/{id}", {"sub": "alice"}), ("GET", "/v1/jobs?limit=99999", "/v1/jobs", {"sub": "alice"}),
            ("GET", f"{job}/events", "/v1/jobs/{id}/events", {"sub": "alice"}), ("HEAD", "/v1/events", "/v1/events", {"sub": "alice"}),
            ("POST", "/v1/logout", "/v1/logout", {"body": {}}), ("POST", "/v1/logout", "/v1/logout", {"body": {}, "Sec-Fetch-Site": "same-origin"}),
            ("GET", "/errors/schema", "/errors/{code}", {}), ("GET", "/openapi.json", "/openapi.json", {}),
            ("POST", limited, limited, {"sub": "zoe", "body": {"n": 1}, "Prefer": "wait=0"}),
            ("POST", limited, limited, {"sub": "zoe", "body": {"n": 1}, "Prefer": "wait=20"}),
            ("POST", limited, limited, {"sub": "zoe", "body": {"n": 1}}),
            ("POST", "/v1/flows/scoped/jobs", limited, {"sub": "alice", "body": {"n": 1}}),
            ("POST", "/v1/flows/open/jobs?dry_run=true", "/v1/flows/open/jobs", {"sub": "alice", "body": {"n": 1}})):
        got = ask(site, method, path, **kw)
        operation = d["paths"][where]["get" if method == "HEAD" else method.lower()]
        check_headers(d, operation, got)
        statuses.append(got.status)
        if got.body and "json" in got.headers["content-type"]:
            check(d, answer_schema(d, operation, got.status), got.json())
    assert statuses[-5:] == [202, 200, 429, 403, 200] and {304, 204, 409} <= set(statuses), statuses
    assert ask(site, "GET", "/v1/jobs?limit=99999999999999999999", "alice").status == 200
    got = raw_exchange(site.address, b"POST /v1/logout HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert got.startswith(b"HTTP/1.1 411") and "411" in d["paths"]["/v1/logout"]["post"]["responses"], got


def test_the_verb_prints_the_shipped_flows(site, tools, tmp_path, binaries):
    done = site.verb("offpath-gateway", "openapi", "--public-url", "https://jobs.example",
                     env={"OFFPATH_FLOWS": str(ROOT / "deploy/flows"), "OFFPATH_UPSTREAMS": str(ROOT / "deploy/upstreams.yaml")})
    assert done.returncode == 0, done
    d = json.loads(done.stdout)
    validate(tools, tmp_path, d, "shipped")
    assert d["servers"] == [{"url": "https://jobs.example"}] and len(starts(d)) >= 5
    for flow, post in starts(d).items():
        body = post["requestBody"]["content"]["application/json"]
        assert body["examples"], flow
        for example in body["examples"].values():
            check(d, body["schema"], example["value"])
    assert site.verb("offpath-gateway", "openapi", env={"OFFPATH_FLOWS": str(ROOT / "tests/flows-bad")}).returncode == 1
    assert site.verb("offpath-gateway", "openapi", env={"OFFPATH_FLOWS": ""}).returncode == 2


def test_random_requests_of_the_document_find_no_way_around_it(site, tools, tmp_path):
    """schemathesis makes requests from the document, and looks at each answer. Same seed, same requests."""
    (tmp_path / "d.json").write_text(json.dumps(document(site)))
    before = site.gateways[0].metric("offpath_http_requests_total")
    done = subprocess.run(
        [tools / "schemathesis", "--config-file", "/dev/null", "run", tmp_path / "d.json", "--url", f"http://{site.address}",
         "--phases", "examples,fuzzing", "--max-examples", "8", "--seed", "1", "--workers", "1", "--no-color",
         "--generation-database", "none", "--suppress-health-check", "all",
         "--checks", "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance",
         ], cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-12000:] + done.stderr[-2000:]
    asked = site.gateways[0].metric("offpath_http_requests_total") - before
    assert asked > 50, f"{asked} requests\n{done.stdout}"
