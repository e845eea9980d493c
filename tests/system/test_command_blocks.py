"""Every block of README, docs and how-tos that somebody may type is run by a test, or stands here with the reason why not. A
block that nobody knows fails."""
import json
import os
import re
import subprocess

import pytest

from blocks import PAGES, block_of, blocks_of, fences_of
from conftest import closing
from harness import ROOT, Site, request

# by page and first words: who runs it, or why nobody does
KNOWN = {
    ("README.md", "deploy/quickstart "): "test_quickstart.py runs the first; the second is what runs this",
    ("README.md", "openssl rand"): "test_the_readme_signs_a_user_in",
    ("docs/architecture.md", "^"): "a drawing",
    ("docs/configuration.md", "OFFPATH_MYSQL_FILE"): "test_the_file_of_settings_is_good",
    ("docs/contributing.md", "tests/run "): "whole runs of all tests, and a build: what CI does",
    ("docs/first-flow.md", "curl "): "test_documents.py, test_the_flow_runs",
    ("docs/flow-file.md", "offpath-worker check"): "test_the_commands_of_the_flow_reference_work",
    ("docs/flow-file.md", "tests:"): "no command: a file that test_the_tests_of_the_flow_reference_are_read reads",
    ("docs/http-api.md", "curl "): "test_references.py",
    ("docs/http-api.md", "{id, flow,"): "no command: the members of a job",
    ("docs/how-to/run-in-production.md", "CREATE DATABASE"): "test_run_in_production.py",
    ("docs/how-to/run-in-production.md", "offpath-worker check"): "test_run_in_production.py",
    ("docs/how-to/run-in-production.md", "ACL SETUSER"): "test_run_in_production.py",
    ("docs/how-to/run-in-production.md", "SELECT flow"): "test_run_in_production.py",
    ("docs/how-to/scale.md", "kafka-topics.sh"): "Kafka's own tool, and not ours to install; test_documents.py raises the same topics by its API",
    ("docs/how-to/sign-in.md", "OFFPATH_JWKS="): "test_the_settings_of_sign_in_are_taken",
    ("docs/how-to/sign-in.md", "export "): "test_sign_in_lists_ones_jobs",
    ("docs/how-to/when-x-is-down.md", "offpath-worker check"): "test_the_look_at_every_server_has_a_line_for_each",
}
# pages whose blocks of `$` test_documents.py runs and compares
OF_DOLLARS = {"docs/first-flow.md", *(p for p in PAGES if p.startswith("docs/how-to/"))}
# what a fence may hold: files, answers, sources of others; without a word drawings, records, and what --help says
FENCES = {"yaml", "json", "java"}
PLAIN = {"docs/architecture.md", "docs/command-line.md", "docs/events.md"}


def test_every_block_is_known():
    met = set()
    for page in PAGES:
        for block in blocks_of(page):
            if page in OF_DOLLARS and block.startswith("$ "):
                continue
            keys = [k for k in KNOWN if k[0] == page and block.startswith(k[1])]
            assert len(keys) == 1, f"{page}: nobody runs this block, and {__name__} has no reason for it:\n{block}"
            met.add(keys[0])
        for word, text in fences_of(page):
            assert word in FENCES or (word == "" and page in PLAIN), f"{page}: a fence of {word or 'nothing'}:\n{text[:300]}"
            assert word == "" or not re.search(r"^(\$ |offpath-|curl )", text, re.M), f"{page}: a command in a file:\n{text[:300]}"
    assert met | {("docs/architecture.md", "^")} == set(KNOWN), set(KNOWN) - met
    tests = "".join((ROOT / f"tests/system/{p}").read_text() for p in ("test_command_blocks.py", "test_documents.py"))
    for reason in KNOWN.values():
        for name in re.findall(r"test_\w+(?!\w*\.py)\b", reason):
            assert f"def {name}(" in tests or (ROOT / f"tests/system/{name}.py").exists(), name


def run(script, folder, binaries, env=()):
    """A block as a shell takes it, on the first failure over; OFFPATH_ of nobody else."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith("OFFPATH_")}
    return subprocess.run(["bash", "-ec", script], cwd=folder, capture_output=True, text=True, timeout=60,
                          env={**clean, "PATH": f"{binaries}:{os.environ['PATH']}", **dict(env)})


def good(done):
    assert done.returncode == 0, done
    return done.stdout


# ---- with servers

@pytest.fixture(scope="module")
def site(stack, work_folder, binaries):
    """A gateway with the secret that the documents make, and a flow for users that wants nothing."""
    site = Site(stack, work_folder, binaries, extra_flows={"nothing": NOTHING})
    subprocess.run(["bash", "-ec", block_of("README.md", "openssl").splitlines()[0]], cwd=site.folder, check=True)
    site.env["OFFPATH_JWT_HS256_FILE"] = str(site.folder / "jwt.secret")
    site.open()
    yield site
    closing([site])


NOTHING = """flow: nothing
title: Nothing to say
topic: {name: nothing-MARK, group: nothing-MARK}
calls:
  ask:
    upstream: a-mart
    request: {path: /products/1/price}
    result: $body.price
result: $calls.ask.result
"""


def test_the_readme_signs_a_user_in(site, binaries):
    script = block_of("README.md", "openssl").split("\n", 1)[1]
    assert "/v1/flows/FLOW/jobs" in script
    said = good(run(script.replace("localhost:8480", site.address).replace("FLOW", "nothing"), site.folder, binaries))
    job = json.loads(said)
    assert job["state"] == "queued" and job["flow"] == "nothing", said
    assert request(site.address, "GET", f"/v1/jobs/{job['id']}").status == 404  # another's


def test_sign_in_lists_ones_jobs(site, binaries):
    made = [line[2:] for line in block_of("docs/how-to/sign-in.md", "$ openssl").splitlines() if "offpath-gateway" in line]
    for line in made:
        good(run(line, site.folder, binaries))
    site.verb("offpath-gateway", "send", "nothing", "{}", "--no-wait", "--url", f"http://{site.address}",
              env={"OFFPATH_TOKEN_FILE": str(site.folder / "alice.jwt")}).check_returncode()
    script = block_of("docs/how-to/sign-in.md", "export")
    lines = good(run(script, site.folder, binaries, {"OFFPATH_URL": f"http://{site.address}"})).splitlines()
    assert len(lines) > 1 and "nothing" in lines[1], lines


def test_the_look_at_every_server_has_a_line_for_each(site, binaries, tmp_path):
    names = "FLOWS", "UPSTREAMS", "SECRETS", "KAFKA", "REDIS", "MYSQL"
    (tmp_path / "offpath.yaml").write_text("".join(f"{n.lower()}: {json.dumps(site.env[f'OFFPATH_{n}'])}\n" for n in names))
    shops = {k: v for k, v in site.env.items() if k.endswith("_URL")}
    done = run(block_of("docs/how-to/when-x-is-down.md", "offpath-worker check"), tmp_path, binaries, shops)
    said = good(done) + done.stderr
    for server in "kafka", "redis", "mysql":
        assert re.search(rf"^{server} +ok$", said, re.M), said


# ---- without

def test_the_settings_of_sign_in_are_taken(site, binaries):
    """Checked with the keys of a file, since the address of the example is nobody's."""
    settings = block_of("docs/how-to/sign-in.md", "OFFPATH_JWKS").replace("https://login.example/jwks.json", "keys.json").split()
    (site.folder / "keys.json").write_text(KEYS)
    given = {k: v for k, v in site.env.items() if k not in ("OFFPATH_JWT_HS256_FILE", "PATH")}
    shown = good(run("offpath-gateway check --show", site.folder, binaries, {**given, **dict(s.split("=", 1) for s in settings)}))
    lines = {x.split()[0]: x.split()[1:] for x in shown.splitlines() if len(x.split()) > 2}
    for setting in settings:
        name, value = setting.split("=", 1)
        assert lines[name.removeprefix("OFFPATH_").lower().replace("_", "-")] == [value, name], shown


KEYS = json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "a", "alg": "ES256", "use": "sig",
                             "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]})


def test_the_file_of_settings_is_good(site, binaries, tmp_path):
    """As it stands, but for where its files lie."""
    [text] = [t.split("\n", 1)[1].removesuffix("```") for word, t in fences_of("docs/configuration.md") if "\n# offpath.yaml" in t]
    places = {"/etc/offpath/flows": site.env["OFFPATH_FLOWS"], "/run/secrets": str(tmp_path), "https://login.example/jwks.json": "keys.json"}
    command = block_of("docs/configuration.md", "OFFPATH_MYSQL_FILE")
    for old, new in places.items():
        assert old in text
        text, command = text.replace(old, new), command.replace(old, new)
    for name, content in {"offpath.yaml": text, "keys.json": KEYS, "id-secret": "5" * 40, "mysql": "mysql://u:pa55@h:1/d\n"}.items():
        (tmp_path / name).write_text(content)
    (tmp_path / "secrets").symlink_to(site.folder / "secrets")
    shops = {k: v for k, v in site.env.items() if k.endswith("_URL")}
    shown = good(run(command, tmp_path, binaries, {**shops, "OFFPATH_SECRETS": site.env["OFFPATH_SECRETS"]}))
    assert re.search(r"^kafka +k1:9092,k2:9092,k3:9092 +offpath.yaml:\d+$", shown, re.M), shown
    assert re.search(r"^mysql +.* OFFPATH_MYSQL_FILE$", shown, re.M) and "pa55" not in shown, shown


def test_the_commands_of_the_flow_reference_work(site, binaries, tmp_path):
    (tmp_path / "flows").symlink_to(ROOT / "deploy/flows")
    (tmp_path / "upstreams.yaml").symlink_to(ROOT / "deploy/upstreams.yaml")
    (tmp_path / "replies.json").write_text('{"a-mart": {"status": 200, "headers": {}, "body": {"price": 5, "currency": "KRW"}}}')
    commands = block_of("docs/flow-file.md", "offpath-worker check").splitlines()
    checked, explained, evaluated = (good(run(c, tmp_path, binaries)) for c in commands)
    assert "no findings" in checked and "F031" in explained and "calls.a-mart.result" in evaluated and '"price":5' in evaluated


def test_the_tests_of_the_flow_reference_are_read(binaries, tmp_path):
    """But for the two lines that are of flows with a `load` and with a pool."""
    (tmp_path / "flows").mkdir()
    (tmp_path / "flows/price-compare.yaml").write_text((ROOT / "deploy/flows/price-compare.yaml").read_text())
    (tmp_path / "upstreams.yaml").symlink_to(ROOT / "deploy/upstreams.yaml")
    text, n = re.subn(r"^ *(rows|pool): .*\n", "", block_of("docs/flow-file.md", "tests:"), flags=re.M)
    (tmp_path / "flows/price-compare.test.yaml").write_text(text)
    assert n == 2 and "1 test, 0 failed" in good(run("offpath-worker test flows", tmp_path, binaries))
