"""Redis killed in the middle of the systems' jobs: each ends as it would, is stored once, and is read by its
user. Price comparison has C10 (test_dependencies_away.py), templates have the pool's (test_pool.py)."""
from harness import wait_for
from test_interview import body as interview, questions
from test_resume import RESUME, predictions
from test_sign_up import GUESTS, sign_up, stored

MEMBER = "900"


def test_jobs_end_and_are_stored_once_though_redis_is_gone(new_systems):
    site = new_systems(change=GUESTS).open()
    site.standin.hold("v1", repeat=-1)
    advice = site.started("resume-advice", RESUME, MEMBER)
    asked = site.started("interview-questions", interview(), MEMBER)
    before = sign_up(site)["result"]["uuid"]
    wait_for("calls of both are in flight", lambda: site.standin.in_flight() >= 4, 30)
    with site.stack.dead("redis"):
        site.standin.mend()
        for id in (advice, asked):
            assert site.ended(id, MEMBER)["state"] == "succeeded"
        assert len(predictions(site, advice)) == 1
        numbers = wait_for("its questions are stored", lambda: [r[0] for r in questions(site, asked)], 30)
        assert numbers == ["1", "2", "3", "4", "5", "6"], "two of each call"
        during = sign_up(site)["result"]["uuid"]
        wait_for("the chain went on", lambda: {stored(site, i) for i in (before, during)} == {(1, 1, 2, 1)}, 60)
        assert {j["id"] for j in site.mine(MEMBER)} == {advice, asked}
    keys = [e["key"] for e in site.standin.log_of()]
    assert len(keys) == len(set(keys)), "each call was made once"
    assert site.sql("SELECT COUNT(*) FROM op_dead") == [["0"]]
