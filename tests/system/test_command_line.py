"""The verbs of offpath-gateway that speak to a gateway as a user: what they print where, how they end."""
import contextlib
import json
import os
import pty
import re
import signal
import subprocess

import pytest

from conftest import closing
from harness import undisturbed, wait_for
from test_signed_in import flow, make_site, token

FAILING = flow("failing", "access: guests\n").replace("a-mart", "b-shop")


@pytest.fixture(scope="module")
def online(stack, work_folder, binaries):
    site = make_site(stack, work_folder, binaries)
    (site.folder / "flows/failing.yaml").write_text(FAILING.replace("MARK", site.mark))
    site.open()
    site.env["OFFPATH_URL"] = f"http://{site.address}"
    yield site
    closing([site])


@pytest.fixture
def site(online):
    online.standin.mend()
    return online


def run(site, *words, sub="alice", env=None, **kw):
    """The verb as this user; None: a guest."""
    return site.verb("offpath-gateway", *words, env={**({"OFFPATH_TOKEN": token(sub)} if sub else {}), **(env or {})},
                     **kw)


def good(done, code=0):
    assert done.returncode == code, done
    return done


def start(site, *words, sub="alice"):
    return good(run(site, "send", "mine", '{"n": 1}', "--no-wait", *words, sub=sub)).stdout.strip()


# ---- send

def test_send_prints_the_result_and_how_it_came(site):
    done = good(run(site, "send", "mine", '{"n": 1}'))
    assert json.loads(done.stdout) == {"user": "alice", "price": 18900}
    lines = done.stderr.splitlines()
    assert re.fullmatch(r"accepted +[\d,]+ ms  job [-0-9a-f]{36}", lines[0]), lines
    assert re.fullmatch(r"ask +[\d,]+ ms  succeeded", lines[1]), lines
    assert re.fullmatch(r"succeeded +[\d,]+ ms  1 of 1 calls", lines[2]), lines
    assert "\033" not in done.stdout + done.stderr


def test_send_takes_the_request_from_a_file_and_from_its_input(site, tmp_path):
    (tmp_path / "r.json").write_text('{"n": 5}')
    done = good(run(site, "send", "mine", f"@{tmp_path}/r.json", "--json"))
    assert json.loads(done.stdout)["state"] == "succeeded" and done.stderr == ""
    piped = subprocess.run([site.binaries / "offpath-gateway", "send", "open", "-"], input='{"n": 6}', text=True,
                           capture_output=True, env=site.env, timeout=60)
    assert json.loads(good(piped).stdout)["price"] == 18900
    good(run(site, "send", "mine", f"@{tmp_path}/none.json"), 2)


def test_a_key_gives_the_same_job_and_the_cache_gives_none(site):
    first = start(site, "--key", "k1")
    assert start(site, "--key", "k1") == first

    def reused(n):
        start(site, "--key", f"k2-{n}")
        clash = run(site, "send", "mine", '{"n": 2}', "--key", f"k2-{n}")
        assert clash.returncode == 5 and "(key-reused)" in clash.stderr, clash
    undisturbed(site.gateways, reused)
    asked = json.dumps({"productId": site.product()})
    good(run(site, "send", "price-compare", asked))
    hit = good(run(site, "send", "price-compare", asked))
    assert hit.stderr.startswith("from cache") and len(json.loads(hit.stdout)["offers"]) == 3


def test_send_ends_as_the_job_ends(site):
    site.standin.script("b-shop", {"status": 404, "repeat": -1})
    done = good(run(site, "send", "failing", '{"n": 1}'), 11)
    assert done.stdout == "" and "failed  http-4xx: The service refused the request." in done.stderr
    partial = good(run(site, "send", "price-compare", json.dumps({"productId": site.product()})), 10)
    assert "2 of 3 calls" in partial.stderr and json.loads(partial.stdout)["missing"]
    site.standin.script("a-mart", {"hang": True, "repeat": -1})
    with subprocess.Popen([site.binaries / "offpath-gateway", "send", "open", '{"n": 1}'], env=site.env,
                          stderr=subprocess.PIPE, text=True) as p:
        id = p.stderr.readline().split()[-1]
        wait_for("it runs", lambda: site.standin.in_flight())
        good(run(site, "jobs", "cancel", id, sub=None))
        assert p.wait(30) == 13, p.stderr.read()
    late = good(run(site, "send", "open", '{"n": 1}', "--timeout", "3s", sub=None), 3)
    good(run(site, "jobs", "cancel", re.search(r"jobs watch (\S+)`", late.stderr)[1], sub=None))
    wait_for("nothing runs", lambda: not site.standin.in_flight())


def test_a_call_that_was_tried_again_says_how_often_of_how_many(site):
    for words in (["--no-wait"], []):  # looked at when it is over, and heard while it runs
        site.standin.script("b-shop", {"status": 503})
        done = good(run(site, "send", "price-compare", json.dumps({"productId": site.product()}), *words))
        said = good(run(site, "jobs", "watch", done.stdout.strip())).stderr if words else done.stderr
        assert re.search(r"^b-shop +[\d,]+ ms  succeeded  2 of 3 attempts$", said, re.M), said
        assert re.search(r"^a-mart +[\d,]+ ms  succeeded$", said, re.M), said


def test_an_interrupt_leaves_the_job(site):
    site.standin.script("a-mart", {"hang": True, "repeat": -1})
    with subprocess.Popen([site.binaries / "offpath-gateway", "send", "open", '{"n": 1}'], env=site.env,
                          stderr=subprocess.PIPE, text=True) as p:
        id = p.stderr.readline().split()[-1]
        wait_for("it runs", lambda: site.standin.in_flight())
        p.send_signal(signal.SIGINT)
        assert p.wait(20) == 130 and "the job goes on" in p.stderr.read()
    assert site.job(id)["state"] == "running"
    good(run(site, "jobs", "cancel", id, sub=None))


def test_what_the_gateway_refuses_is_told_with_what_to_do(site):
    done = good(run(site, "send", "mine", '{"n": "x"}'), 1)
    assert done.stderr.splitlines() == ["offpath-gateway: the request does not fit its schema (schema)",
                                        "  /n: must be a whole number"]
    problem = json.loads(good(run(site, "send", "mine", '{"n": "x"}', "--json"), 1).stderr)
    assert (problem["code"], problem["errors"][0]["pointer"]) == ("schema", "/n")
    assert "OFFPATH_TOKEN" in good(run(site, "send", "mine", "{}", sub=None), 4).stderr
    assert "scope write" in good(run(site, "send", "scoped", '{"n": 1}'), 4).stderr
    assert "(no-flow)" in good(run(site, "send", "nothing", "{}"), 1).stderr
    away = good(run(site, "flows", "--url", "http://127.0.0.1:1"), 3)
    assert "is the gateway running?" in away.stderr
    assert json.loads(good(run(site, "flows", "--json", "--url", "http://127.0.0.1:1"), 3).stderr)["title"] == "no answer"
    for words, says in ((["send"], "send FLOW"), (["send", "Mine"], "no name of a flow"), (["sned"], "`send`"),
                        (["jobs", "lits"], "`jobs list`"), (["jobs", "show"], "say which job"),
                        (["flows", "--key", "x"], "knows no --key"), (["flows", "--token", "x"], "token"),
                        (["send", "mine", "{}", "--color", "red"], "auto, always or never")):
        assert says in good(run(site, *words), 2).stderr, words


def test_send_asks_again_with_the_same_key_until_it_is_accepted(stack, work_folder, binaries):
    site = make_site(stack, work_folder, binaries, OFFPATH_PUBLISH_DEADLINE="1s")
    try:
        site.open()
        url = {"OFFPATH_URL": f"http://{site.address}"}
        with stack.frozen("kafka"):
            p = subprocess.Popen([binaries / "offpath-gateway", "send", "open", '{"n": 1}'], env={**site.env, **url},
                                 stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            said = p.stderr.readline()
        out, rest = p.communicate(timeout=60)
        assert "asks again" in said and p.returncode == 0 and json.loads(out)["price"] == 18900, (said, rest)
        assert stack.sql("SELECT COUNT(*) FROM op_job", site.database) == [["1"]]
    finally:
        closing([site])


def test_dry_run_and_curl_start_nothing(site):
    before = site.state_counts()
    plan = json.loads(good(run(site, "send", "mine", '{"n": 1}', "--dry-run")).stdout)
    assert plan["valid"] and [c["name"] for c in plan["calls"]] == ["ask"]
    done = good(run(site, "send", "open", '{"n": 1, "s": "it\'s"}', "--curl"))
    assert token("alice")[:20] not in done.stdout and "$OFFPATH_TOKEN" in done.stdout
    assert site.state_counts() == before
    shell = subprocess.run(["sh", "-c", done.stdout], capture_output=True, text=True, timeout=30,
                           env={**os.environ, "OFFPATH_TOKEN": token("alice")})
    assert json.loads(shell.stdout)["state"] == "queued", shell


# ---- jobs, flows

def test_jobs_are_listed_shown_watched_by_their_short_ids(site):
    id = start(site, sub="zoe")
    events = [json.loads(x) for x in good(run(site, "jobs", "watch", id[-8:], "--json", sub="zoe")).stdout.splitlines()]
    assert [e["event"] for e in events if e["event"] != "state"] == ["call", "done"]
    assert events[-1]["result"]["user"] == "zoe" and events[-2]["state"] == "succeeded"
    shown = good(run(site, "jobs", "show", id[-8:], sub="zoe")).stdout
    assert f"job        {id}" in shown and re.search(r"^  ask +succeeded +1 of 1 +[\d,]+ ms", shown, re.M), shown
    assert json.loads(good(run(site, "jobs", "show", id, "--json", sub="zoe")).stdout)["calls"][0]["tries"]
    site.wait_registered([start(site, sub="zoe"), start(site, sub="zoe")])
    rows = good(run(site, "jobs", "list", sub="zoe")).stdout.splitlines()
    assert len(rows) == 4 and rows[3].startswith(f"{id[-8:]}  succeeded  mine "), rows
    items = [json.loads(x) for x in good(run(site, "jobs", "--limit", "2", "--json", sub="zoe")).stdout.splitlines()]
    assert len(items) == 2 and items[0]["created"] > items[1]["created"]
    assert len(good(run(site, "jobs", "list", "--since", "1h", "--flow", "mine", sub="zoe")).stdout.splitlines()) == 4
    assert "no jobs" in good(run(site, "jobs", "list", "--state", "failed", sub="zoe")).stderr
    assert "none of your last jobs" in good(run(site, "jobs", "show", "00000000", sub="zoe"), 1).stderr
    assert "(no-job)" in good(run(site, "jobs", "show", id, sub="bob"), 1).stderr
    assert "(final)" in good(run(site, "jobs", "cancel", id, sub="zoe"), 5).stderr
    good(run(site, "jobs", "list", sub=None), 4)


def test_flows_lists_what_one_may_start(site):
    assert [x.split()[0] for x in good(run(site, "flows", sub=None)).stdout.splitlines()] == [
        "failing", "open", "price-compare"]
    items = [json.loads(x) for x in good(run(site, "flows", "--json")).stdout.splitlines()]
    assert {"mine", "open"} <= {f["flow"] for f in items} and items[0]["schema"]


# ---- without a gateway

def test_errors_tells_what_every_code_means(site):
    listed = good(run(site, "errors", sub=None)).stdout
    codes = json.loads((site.binaries / "../../proto/codes.json").resolve().read_text())
    for group in ("errors", "job_reasons", "call_codes"):
        for code in codes[group]:
            assert re.search(rf"^  {code} ", listed, re.M), code
    assert codes["errors"]["outcome-unknown"]["help"] in good(run(site, "errors", "outcome-unknown")).stdout
    assert "did you mean `outcome-unknown`" in good(run(site, "errors", "outcome-unknow"), 2).stderr
    assert json.loads(good(run(site, "errors", "schema", "--json")).stdout)["status"] == 422
    for code, near in (("F03", "did you mean `F0"), ("http-5x", "did you mean `http-5xx`?"), ("x", "lists them all")):
        done = good(site.verb("offpath-worker", "explain", code), 2)
        assert done.stderr.startswith(f"offpath-worker: `{code}` is no code; ") and near in done.stderr, done


@pytest.mark.parametrize("words, says", [
    ("errors nope --json", "is no code"), ("sned --json", "did you mean `send`"), ("--json", "say what to do"), ("send --json --nope", "unknown flag"),
    ("run --json", "knows no --json"), ("flows x --json", "does not know what \"x\" is"), ("jobs show --json", "say which job"), ("send --json", "send FLOW")])
def test_json_says_as_a_problem_what_was_not_understood(site, words, says):
    done = good(run(site, *words.split()), 2)
    problem = json.loads(done.stderr)  # one line
    assert problem["type"] == "about:blank" and problem["title"] == "not understood" and says in problem["detail"], done
    plain = good(run(site, *words.replace("--json", "").split()), 2).stderr if words not in ("run --json",) else problem["detail"]
    assert problem["detail"] in plain and done.stdout == ""


@pytest.mark.parametrize("program, words, verb", [
    ("gateway", "run x", "run"), ("gateway", "check x --show", "check"), ("gateway", "token x", "token"), ("gateway", "errors schema x", "errors"),
    ("gateway", "openapi x", "openapi"), ("gateway", "send open {} x", "send"), ("gateway", "jobs show 3f9a2c41 x", "jobs"),
    ("worker", "run x", "run"), ("worker", "topics plan x", "topics"), ("worker", "migrate plan x", "migrate"),
    ("worker", "explain F031 x", "explain"), ("worker", "eval price-compare x", "eval")])
def test_a_word_too_many_is_refused(site, program, words, verb):
    done = good(site.verb(f"offpath-{program}", *words.split()), 2)
    assert done.stderr == (f'offpath-{program}: `{verb}` does not know what "x" is; '
                           f"`offpath-{program} {verb} --help` shows what may follow\n")


def test_json_of_the_worker_does_so_too(site):
    for words in ("eval --json", "eval nope --json", "eval price-compare --json --request {", "eval price-compare --json --request @none",
                  "eval price-compare --json --replies {\"x\":1}", "test nowhere --json", "test /tmp/empty-of-tests --json", "tset --json"):
        done = good(site.verb("offpath-worker", *words.split()), 2)
        assert json.loads(done.stderr)["title"] == "not understood", (words, done)


def test_a_result_that_cannot_be_written_is_no_success(site):
    id = start(site)
    with open("/dev/full", "w") as full:
        for program, *words in (("gateway", "send", "mine", '{"n": 1}'), ("gateway", "jobs", "show", id), ("gateway", "errors"),
                                ("gateway", "--version"), ("gateway", "--help"), ("gateway", "--print", "man"),
                                ("worker", "explain", "F031"), ("worker", "check", "--offline", "--show")):
            done = subprocess.run([site.binaries / f"offpath-{program}", *words], stdout=full, stderr=subprocess.PIPE, text=True,
                                  env={**site.env, "OFFPATH_TOKEN": token("alice")}, timeout=60)
            said = done.stderr.splitlines()[-1]
            assert done.returncode == 3 and said.startswith(f"offpath-{program}: standard output cannot be written"), (words, done)
    assert json.loads(subprocess.run(["sh", "-c", f"{site.binaries}/offpath-gateway errors --json schema > /dev/full"], text=True,
                                     stderr=subprocess.PIPE).stderr)["detail"] == "standard output cannot be written: No space left on device"


def test_who_stops_reading_is_told_nothing(site):
    mine, its = os.pipe()
    os.close(mine)
    done = subprocess.run([site.binaries / "offpath-gateway", "flows"], stdout=its, stderr=subprocess.PIPE, text=True, env=site.env,
                          timeout=60)
    os.close(its)
    assert done.returncode != 0 and done.stderr == "", done


HOSTILE = "a\u009b31m\u202eb\u2066c\u061cd"


def test_results_of_others_move_no_cursor_and_mean_the_same(site):
    site.standin.script("a-mart", {"body": {"price": HOSTILE}, "repeat": -1})
    asked = json.dumps({"productId": site.product()})
    whole, code = on_terminal(site, "send", "open", '{"n": 1}')
    id = re.search(r"job (\S{36})", whole)[1]
    seen = [whole, on_terminal(site, "jobs", "show", id)[0], on_terminal(site, "jobs", "watch", id)[0],
            on_terminal(site, "jobs", "show", id, "--json")[0], on_terminal(site, "jobs", "watch", id, "--json")[0],
            *(on_terminal(site, "send", "price-compare", asked)[0] for _ in range(2))]  # the second from the cache
    for text in seen:
        assert not set(HOSTILE) & set(text) - set("a31mbcd"), text
        assert "a\\u009b31m\\u202eb\\u2066c\\u061cd" in text.replace("\r\n", ""), text
    for words in (["jobs", "show", id, "--json"], ["send", "open", '{"n": 1}']):
        assert HOSTILE in json.dumps(json.loads(good(run(site, *words)).stdout), ensure_ascii=False)


def on_terminal(site, *words, **env):
    """Runs it with a terminal of 80 columns for output: what was written there, and the exit status."""
    me, its = pty.openpty()
    subprocess.run(["stty", "cols", "80"], stdin=its, check=True)
    text = b""
    with subprocess.Popen([site.binaries / "offpath-gateway", *words], stdin=its, stdout=its, stderr=its,
                          env={**site.env, "TERM": "xterm", "OFFPATH_TOKEN": token("alice"), **env}) as p:
        os.close(its)
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(me, 4096):
                text += part
        code = p.wait(30)
    os.close(me)
    return text.decode(), code


def test_colour_and_a_line_that_renews_itself_are_for_terminals(site):
    text, code = on_terminal(site, "send", "mine", '{"n": 1}')
    assert code == 0 and "\033[32msucceeded\033[0m" in text
    assert "\033[3" not in on_terminal(site, "send", "mine", '{"n": 1}', NO_COLOR="1")[0]
    assert "\033[3" not in on_terminal(site, "send", "mine", '{"n": 1}', "--color", "never")[0]
    assert "\033[32m" in good(run(site, "send", "mine", '{"n": 1}', "--color", "always")).stderr
    site.standin.script("a-mart", {"delay_ms": 1600})
    assert "\r\033[Krunning 1" in on_terminal(site, "send", "mine", '{"n": 1}')[0]
    start(site)
    listed = on_terminal(site, "jobs", "list", NO_COLOR="1")[0].replace("\r", "")
    assert listed and max(map(len, listed.splitlines())) <= 80, listed
