"""What the stand-in is to the flows of the five systems: an LLM (`v1`) and a bucket (`builder`), which
answer by themselves, by script, and keep what they were asked."""
import json
import time

import pytest

from harness import Background, StandIn, request, wait_for

KEY = {"Authorization": "Bearer k", "Idempotency-Key": "job.call"}
SIGNED = {"Authorization": "AWS4-HMAC-SHA256 Credential=a/b, Signature=c", "X-Amz-Copy-Source": "/builder/a%20b"}


@pytest.fixture(scope="module")
def standin(work_folder, binaries):
    folder = work_folder / "stand-in-alone"
    folder.mkdir()
    s = StandIn(folder, binaries / "tests/standin/offpath-standin")
    yield s
    s.stop()


@pytest.fixture(autouse=True)
def afresh(standin):
    standin.mend()
    standin.call("DELETE", "/_log")


def ask(standin, prompt, headers=KEY):
    return request(standin.address(), "POST", "/v1/chat/completions",
                   json.dumps({"messages": [{"role": "system", "content": prompt}]}), headers)


def content(answer):
    return json.loads(answer.json()["choices"][0]["message"]["content"])


def copy(standin, name="1", headers=SIGNED):
    return request(standin.address(), "PUT", f"/builder/designs/x/{name}", None, headers)


def test_the_llm_answers_what_the_prompt_asks_for(standin):
    advice = content(ask(standin, "a JSON object: improvements (array of strings) and advice (string)"))
    assert advice["advice"] and len(advice["improvements"]) == 2
    questions = content(ask(standin, "a JSON object holding questions (array of strings)"))["questions"]
    assert questions and all(isinstance(q, str) for q in questions)
    pairs = content(ask(standin, "questions, an array of objects with question and answer"))["questions"]
    assert pairs and all(set(p) == {"question", "answer"} for p in pairs)
    assert content(ask(standin, "anything")) == {"text": "The stand-in has read it."}
    assert ask(standin, "anything", {}).status == 401
    assert request(standin.address(), "POST", "/v1/models", "{}", KEY).status == 404


def test_a_delay_is_kept_and_the_log_says_what_the_answer_took(standin):
    standin.script("a-mart", {"delay_ms": 20})
    began = time.monotonic()
    assert request(standin.address(), "GET", "/a-mart/products/1/price").status == 200
    entry, = wait_for("it is logged as ended", lambda: [x for x in standin.log_of("a-mart") if x["status"] == 200])
    assert 20000 <= entry["took_us"] <= (time.monotonic() - began) * 1e6  # not of the answer: it may be read sooner


def test_the_llm_is_scripted_and_remembers(standin):
    standin.script("v1", standin.chat({"improvements": []}), standin.chat("no JSON"),
                   {"status": 429, "retry_after": 1}, {"delay_ms": 300})
    assert content(ask(standin, "advice")) == {"improvements": []}
    assert ask(standin, "advice").json()["choices"][0]["message"]["content"] == "no JSON"
    busy = ask(standin, "advice")
    assert (busy.status, busy.headers.get("retry-after")) == (429, "1")
    slow = ask(standin, "improvements")
    assert slow.took >= 0.3 and content(slow)["advice"]
    log = standin.log_of("v1")
    assert [e["status"] for e in log] == [200, 200, 429, 200]
    assert {e["key"] for e in log} == {"job.call"}
    assert {e["headers"]["Authorization"] for e in log} == {"Bearer k"}


def test_the_bucket_copies_what_is_signed(standin):
    done = copy(standin)
    assert done.status == 200 and b"<CopyObjectResult" in done.body
    assert done.headers["content-type"] == "application/xml"
    denied = copy(standin, headers={"X-Amz-Copy-Source": "/builder/a"})
    assert denied.status == 403 and b"<Code>AccessDenied</Code>" in denied.body
    assert copy(standin, headers={"Authorization": SIGNED["Authorization"]}).body == b""
    asked = standin.log_of("builder")[0]
    assert (asked["method"], asked["path"]) == ("PUT", "/builder/designs/x/1")
    assert asked["headers"]["X-Amz-Copy-Source"] == "/builder/a%20b"
    assert asked["headers"]["Authorization"].startswith("AWS4-HMAC-SHA256 ")


def test_the_bucket_fails_as_s3_does(standin):
    standin.script("builder", standin.s3_error(match="/2"),
                   standin.s3_error("ServiceUnavailable", status=503, match="/3"))
    inside = copy(standin, "2")
    assert inside.status == 200 and b"<Code>SlowDown</Code>" in inside.body and b"CopyObject" not in inside.body
    assert copy(standin, "3").status == 503
    assert b"<CopyObjectResult" in copy(standin, "2").body, "each was said once"


def test_an_answer_is_held_until_it_is_let_go(standin):
    standin.hold("a-mart", body={"price": 7})
    asked = Background(lambda i: request(standin.address(), "GET", "/a-mart/products/1/price"), 1, count=1)
    wait_for("the request is there", lambda: standin.in_flight() == 1)
    standin.script("b-shop", {"status": 500})  # another shop's
    assert request(standin.address(), "GET", "/a-mart/products/1/price").json()["price"] != 7, "one is held"
    assert standin.in_flight() == 1
    standin.let_go("a-mart")
    assert asked.join().results[0].json() == {"price": 7}


def test_a_long_body_is_logged_as_far_as_whole_characters_go(standin):
    body = "x" * 2047 + "\u00e9 and more"
    assert request(standin.address(), "POST", "/c-store/quote", body.encode()).status == 400
    entry, = standin.log_of("c-store")
    assert entry["body"] == "x" * 2047


def test_a_script_of_a_shop_there_is_no_room_for_is_refused_and_changes_no_other(work_folder, binaries):
    folder = work_folder / "stand-in-full"
    folder.mkdir()
    s = StandIn(folder, binaries / "tests/standin/offpath-standin")
    try:
        s.script("a-mart", {"status": 503, "repeat": -1})
        for n in range(40):
            request(s.address(), "PUT", f"/_script/shop-{n}", "[]")
        assert request(s.address(), "DELETE", "/_script/another").status == 400
        assert request(s.address(), "GET", "/a-mart/products/1/price").status == 503
        s.mend()
        assert request(s.address(), "GET", "/a-mart/products/1/price").status == 200
    finally:
        s.stop()
