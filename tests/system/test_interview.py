"""Interview questions as they ship: the sentences D1 to D13 that need no live stream. D5, what exists
after 35 s is the result, is in deploy/flows/interview-questions.test.yaml: virtual time."""
import itertools

import pytest

from harness import Background, request, undisturbed, wait_for

members = itertools.count(4000)
TOPICS = [{"kind": "project", "text": "Kafka."}, {"kind": "strength", "text": "I finish things."},
          {"kind": "hobby", "text": "Chess."}]


# the second click comes in time, however slow the machine is
ONCE_AN_HOUR = {"interview-questions": {"count: 1, window: 2s": "count: 1, window: 1h"}}


@pytest.fixture
def member():
    return str(next(members))


def body(n=3):
    return {"job": "Backend developer", "career": "Junior", "topics": (TOPICS * 2)[:n]}


def kinds(job):
    return [a["kind"] for a in job["result"]["answers"]]


def questions(site, id):
    return site.rows("resume", f"SELECT number, kind, question FROM interview_question WHERE job_id = '{id}' ORDER BY number")


def test_d01_one_to_three_topics_are_asked_at_once_and_a_fourth_is_refused(systems, member):
    systems.standin.hold("v1", repeat=-1)
    id = systems.started("interview-questions", body(), member)
    wait_for("three are asked at once", lambda: systems.standin.in_flight() == 3)
    systems.standin.let_go("v1")
    job = systems.ended(id, member)
    assert job["state"] == "succeeded" and kinds(job) == ["project", "strength", "hobby"]
    assert systems.standin.stats()["v1"]["in_flight_max"] == 3
    a = systems.start("interview-questions", body(4), str(next(members)))
    assert a.status == 422 and a.json()["errors"][0]["pointer"] == "/topics", a
    a = systems.start("interview-questions", body(0), str(next(members)))
    assert a.status == 422, a


@pytest.mark.parametrize("failing, left", [(["hobby"], ["project", "strength"]),
                                           (["project", "hobby"], ["strength"])], ids=["one", "two"])
def test_d03_what_fails_leaves_the_others(systems, member, failing, left):
    systems.standin.script("v1", *({"status": 500, "match": k} for k in failing))
    job = systems.run_flow("interview-questions", body(), member)
    assert job["state"] == "partial" and kinds(job) == left
    wait_for("their questions are stored", lambda: {q[1] for q in questions(systems, job["id"])} == set(left), 30)


def test_d04_all_failing_ends_with_a_reason(systems, member):
    systems.standin.script("v1", {"status": 500, "repeat": 3})
    job = systems.run_flow("interview-questions", body(), member)
    assert (job["state"], job["reason"]) == ("failed", "need-not-met") and job["message"]
    assert questions(systems, job["id"]) == []


def test_d06_a_double_click_is_one_job(new_systems):
    site = new_systems(change=ONCE_AN_HOUR).open()

    def act(_):
        user, calls = str(next(members)), site.standin.calls("v1")
        clicks = [site.start("interview-questions", body(), user) for _ in range(2)]
        ids = [site.ended(a.json()["id"], user)["id"] for a in clicks if a.status == 202]
        assert [a.status for a in clicks] == [202, 429] and int(clicks[1].headers["retry-after"]) >= 1, clicks
        assert [j["id"] for j in site.mine(user)] == ids
        assert site.standin.calls("v1") == calls + 3, "no tokens are paid twice"
    undisturbed(site.gateways, act)


def test_d07_another_member_and_another_function_are_not_touched(new_systems):
    site = new_systems(change=ONCE_AN_HOUR).prepare()
    gateway = site.gateway()
    site.address = gateway.address()

    def act(_):
        user, other = str(next(members)), str(next(members))
        assert [site.start("interview-questions", body(), u).status for u in (user, user, other)] == [202, 429, 202]
        resume = {"job": "x", "career": "y", "resumeRequests": [{"question": "q", "answer": "a"}]}
        assert site.start("resume-advice", resume, user).status == 202
        assert [k for k in site.stack.redis("KEYS", "op:*", db=site.redis_db) if b"interview" in k], "the counters are in Redis"
    undisturbed([gateway], act)


def test_d08_the_limit_is_a_line_of_the_flow_file(new_systems):
    site = new_systems(change={"interview-questions": {"count: 1, window: 2s": "count: 2, window: 1h"}}).prepare()
    gateway = site.gateway()
    site.address = gateway.address()

    def act(_):
        user = str(next(members))
        assert [site.start("interview-questions", body(), user).status for _ in range(3)] == [202, 202, 429]
    undisturbed([gateway], act)


def test_d09_d10_the_member_sees_the_result_when_a_side_effect_fails(systems, member):
    systems.rows("resume", "RENAME TABLE user_log TO user_log_away")
    failed = systems.workers[0].metric("offpath_optional_saves_failed_total", flow="interview-questions") or 0
    try:
        job = systems.run_flow("interview-questions", body(), member)
        assert job["state"] == "succeeded" and len(kinds(job)) == 3
        wait_for("the other side effect happens", lambda: len(questions(systems, job["id"])) >= 3, 30)
        wait_for("the failure is counted", lambda: systems.workers[0].metric(
            "offpath_optional_saves_failed_total", flow="interview-questions") == failed + 1, 30)
        assert f"job={job['id']}" in "".join(
            line for line in systems.workers[0].text().splitlines() if "optional-save-failed" in line)
    finally:
        systems.rows("resume", "RENAME TABLE user_log_away TO user_log")


def test_d11_no_transaction_is_open_during_the_calls(systems, member):
    systems.standin.hold("v1", repeat=-1)
    id = systems.started("interview-questions", body(), member)
    wait_for("the LLM is asked", lambda: systems.standin.in_flight() == 3, 30)
    user = f"resume_{systems.mark}"
    assert systems.stack.sql("SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p"
                             f" ON p.id = t.trx_mysql_thread_id WHERE p.user = '{user}'") == [["0"]]
    assert systems.standin.in_flight() == 3
    systems.standin.let_go("v1")
    assert systems.ended(id, member)["state"] == "succeeded"


def test_d12_each_question_is_there_once(systems, member):
    job = systems.run_flow("interview-questions", body(), member)
    told = [(a["kind"], q["question"]) for a in job["result"]["answers"] for q in a["questions"]]
    wait_for("all are stored", lambda: [(k, q) for _, k, q in questions(systems, job["id"])] == told, 30)
    assert [j["id"] for j in systems.mine(member, flow="interview-questions")] == [job["id"]]


def test_d13_a_thousand_jobs_are_in_flight_in_one_worker(new_systems, release):
    """At once, and no thread waits for any of them."""
    site = new_systems(binaries_folder=release).open()
    before = site.workers[0].threads()
    site.standin.script("v1", {"delay_ms": 15000, "repeat": -1})
    load = Background(lambda i: site.started("interview-questions", body(1), f"m{i}"), threads=8, count=1000)
    load.join(60)
    assert load.errors == []
    wait_for("1,000 jobs are in flight", lambda: site.standin.in_flight() == 1000, 60)
    assert site.workers[0].threads() == before
    a = request(site.workers[0].address("admin"), "GET", "/healthz", timeout=10)
    assert a.status == 200, a
    site.standin.mend()
    wait_for("all are over", lambda: site.state_counts() == {10: 1000}, 60)
