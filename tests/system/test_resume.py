"""Resume advice and questions as they ship: the sentences A1 to A14."""
import itertools
import json
import uuid

import pytest

from harness import hexid, request, wait_for

members = itertools.count(700)
RESUME = {"job": "Backend developer", "career": "3 years",
          "resumeRequests": [{"question": "Why us?", "answer": "I like Kafka and quiet nights."}]}


@pytest.fixture
def member():
    """A member nobody was before: two requests within 2 s are a double click."""
    return str(next(members))


def predictions(site, id):
    return site.rows("resume", f"SELECT member_id, job, career, advice, improvements FROM prediction WHERE job_id = '{id}'")


def of_job(site, topic, id):
    return [r for r in site.stack.records(site.own(topic)) if r["headers"].get("offpath-job") == id]


def test_a01_submitting_answers_at_once_while_the_llm_thinks(systems, member):
    systems.standin.hold("v1")
    a = systems.start("resume-advice", RESUME, member)
    assert a.status == 202, a
    id = a.json()["id"]
    wait_for("the LLM is asked", lambda: systems.standin.in_flight() == 1, 30)
    assert systems.look(id, member)["state"] == "running"
    systems.standin.let_go("v1")
    assert systems.ended(id, member)["state"] == "succeeded"


def test_a02_a04_the_record_is_the_request_of_the_signed_in_member(systems, member):
    for flow, topic in (("resume-advice", "advice-request"), ("resume-questions", "question-request")):
        id = systems.started(flow, {**RESUME, "memberId": 1}, member)
        record = of_job(systems, topic, id)[0]
        assert record["key"] == member
        assert json.loads(record["value"]) == {**RESUME, "memberId": int(member)}
        systems.ended(id, member)


def test_a03_the_group_begins_with_the_oldest_record(new_systems):
    site = new_systems().prepare()
    topics = [site.own(t) for t in ("advice-request", "question-request")]
    for topic in topics:
        site.stack.produce(topic, json.dumps(RESUME).encode())
    worker = site.worker()
    wait_for("both are over", lambda: site.state_counts() == {10: 2}, 60)
    assert worker.stop() == 0
    assert [site.stack.left_for_group(topic, site.own("gptgroup")) for topic in topics] == [[], []]


def test_a05_the_llm_gets_job_career_and_resume(systems, member):
    job = systems.run_flow("resume-advice", RESUME, member)
    sent = systems.standin.log_of("v1")
    assert len(sent) == 1 and sent[0]["path"] == "/v1/chat/completions"
    text = json.loads(sent[0]["body"])["messages"][1]["content"]
    assert "Backend developer" in text and "3 years" in text and "I like Kafka" in text
    assert isinstance(job["result"]["advice"], str) and isinstance(job["result"]["improvements"], list)


def test_a06_a_member_has_one_prediction_row(systems, member):
    job = systems.run_flow("resume-advice", RESUME, member)
    rows = predictions(systems, job["id"])
    assert len(rows) == 1
    assert rows[0][:4] == [member, "Backend developer", "3 years", job["result"]["advice"]]
    assert json.loads(rows[0][4]) == job["result"]["improvements"]


def test_a07_for_a_guest_nothing_is_stored_and_the_result_is_read_by_its_id(systems):
    job = systems.run_flow("resume-advice", RESUME)
    assert job["state"] == "succeeded" and job["result"]["advice"]
    assert predictions(systems, job["id"]) == []


def test_a09_the_member_finds_it_afterwards_and_nobody_else_does(systems, member):
    job = systems.run_flow("resume-advice", RESUME, member)
    assert [j["id"] for j in systems.mine(member)] == [job["id"]]
    assert systems.mine(member)[0]["result"] == job["result"]
    assert systems.mine(str(next(members))) == []
    a = request(systems.address, "GET", f"/v1/jobs/{job['id']}", headers=systems.headers(str(next(members))))
    assert a.status == 404, a


def test_a11_the_log_has_the_job_and_not_the_resume(systems, member):
    job = systems.run_flow("resume-advice", RESUME, member)
    systems.standin.script("v1", systems.standin.chat("no JSON at all, but quiet nights", repeat=-1))
    other = str(next(members))
    bad = systems.started("resume-advice", RESUME, other)
    wait_for("it waits for another round", lambda: systems.sql(
        f"SELECT round FROM op_job WHERE id = x'{hexid(bad)}'") == [["1"]], 30)
    logs = "".join(p.text() for p in systems.programs if p.name != "stand-in")
    assert job["id"] in logs and bad in logs
    assert "quiet nights" not in logs
    # its next round would take what a later test has scripted
    request(systems.address, "DELETE", f"/v1/jobs/{bad}", headers=systems.headers(other))
    assert systems.ended(bad, other)["state"] == "cancelled"


def test_a12_a_plain_record_runs_for_the_member_it_names(systems, member):
    before = int(systems.sql("SELECT COUNT(*) FROM op_job")[0][0])
    systems.stack.produce(systems.own("advice-request"), json.dumps({**RESUME, "memberId": int(member)}).encode())
    wait_for("it is there", lambda: int(systems.sql("SELECT COUNT(*) FROM op_job")[0][0]) == before + 1, 30)
    job = wait_for("it is theirs, and over", lambda: [
        j for j in systems.mine(member) if j["state"] == "succeeded"], 30)[0]
    assert [r[0] for r in predictions(systems, job["id"])] == [member]


def test_a13_what_fails_has_a_name_and_the_next_goes_on(systems, member):
    dead = "SELECT COUNT(*) FROM op_dead WHERE reason = '{}'"
    counts = {r: int(systems.sql(dead.format(r))[0][0]) for r in ("invalid", "bad-event", "need-not-met")}
    systems.standin.script("v1", {"status": 400})
    failed = systems.run_flow("resume-advice", RESUME, member)
    assert (failed["state"], failed["reason"]) == ("failed", "need-not-met")
    assert failed["calls"][0]["error"]["code"] == "http-4xx"
    assert [j["state"] for j in systems.mine(member)] == ["failed"], "the member sees it"
    wait_for("it is a dead letter", lambda: int(
        systems.sql(dead.format("need-not-met"))[0][0]) == counts["need-not-met"] + 1, 30)
    everything = "SELECT COUNT(*) FROM op_dead"
    n = int(systems.sql(everything)[0][0])
    systems.stack.produce(systems.own("advice-request"), b"{not JSON", key=member)
    wait_for("so is this", lambda: int(systems.sql(everything)[0][0]) == n + 1, 30)
    assert systems.run_flow("resume-advice", RESUME, str(next(members)))["state"] == "succeeded"


def test_a14_an_answer_without_advice_is_asked_for_once_more_and_never_stored(systems, member):
    for content in ({"improvements": []}, "Sure! Here is your advice: be bold."):
        systems.standin.script("v1", systems.standin.chat(content))
        user = str(next(members))
        job = systems.run_flow("resume-advice", RESUME, user)
        assert job["state"] == "succeeded" and job["calls"][0]["attempts"] == 2
        assert len(predictions(systems, job["id"])) == 1
    systems.standin.script("v1", systems.standin.chat({"advice": 5}, repeat=-1))
    id = systems.started("resume-advice", RESUME, member)
    wait_for("it waits for another round", lambda: systems.sql(
        f"SELECT round FROM op_job WHERE id = x'{hexid(id)}'") == [["1"]], 30)
    assert predictions(systems, id) == []
    assert uuid.UUID(id)
