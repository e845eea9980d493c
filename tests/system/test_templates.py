"""Templates that become designs, as they ship: the sentences B1 to B17 that a pool alone (test_pool.py)
does not answer."""
import itertools
import json
import time
import uuid

import pytest

from harness import Background, wait_for

members = itertools.count(9000)
templates = itertools.count(100)
COMPANY = 12


@pytest.fixture
def template(systems):
    """Makes templates: template(images) is its number."""
    systems.rows("builder", f"INSERT IGNORE INTO company (sn, max_designs) VALUES ({COMPANY}, 1000)")

    def make(images):
        sn = next(templates)
        values = ",".join(f"({sn * 10000 + i}, {sn}, 'images/{sn}/a b+{i}.png')" for i in range(images))
        systems.rows("builder", f"INSERT INTO template (sn, name) VALUES ({sn}, 'T{sn}')")
        if images:
            systems.rows("builder", f"INSERT INTO template_image (sn, template_sn, image_key) VALUES {values}")
        return sn
    return make


@pytest.fixture
def no_refills(systems):
    """Refills of a template are jobs of their own; where a test counts calls they would be in the way."""
    return lambda sn: [systems.stack.redis("RPUSH", f"op:{{p:template-design:{sn}}}:q", f"{int(time.time() * 1000) + 10**9}|"
                                           f"00000000-0000-4000-8000-{sn:012d}|" + json.dumps(
                                               {"templateSn": sn, "name": f"T{sn}", "images": [{"sn": 1, "key": f"ready/{sn}/{i}"}]}),
                                           db=systems.redis_db) for i in range(5)]


def body(sn, company=COMPANY):
    return {"templateSn": sn, "companySn": company}


def run(systems, sn, company=COMPANY):
    """Made, whether within the wait or after it: the job."""
    member = str(next(members))
    a = systems.start("template-design", body(sn, company), member)
    assert a.status in (200, 202), a
    return systems.ended(a.json()["id"], member)


def images(systems, job):
    return [r[0] for r in systems.rows("builder", f"SELECT image_key FROM design_image WHERE design_id = '{job['id']}'")]


def copies(systems, id):
    return [r for r in systems.standin.log_of("builder") if id in r["path"]]


def test_b01_b02_every_image_is_copied_in_parallel_to_a_place_of_its_own(systems, template):
    systems.standin.script("builder", {"delay_ms": 1000, "repeat": -1})
    sn = template(40)
    designs = [run(systems, sn) for _ in range(2)]
    assert [d["state"] for d in designs] == ["succeeded"] * 2
    assert systems.standin.stats()["builder"]["in_flight_max"] >= 20
    keys = [k for d in designs for k in images(systems, d)]
    assert len(keys) == 80 and len(set(keys)) == 80
    puts = copies(systems, designs[0]["id"])
    assert len(puts) in (0, 40) and all(r["method"] == "PUT" for r in puts)


@pytest.mark.parametrize("sn, company, why", [
    (999999, COMPANY, "template 999999 does not exist"),
    (None, 77, "company 77 does not exist"),
    (None, 13, "the company has 0 designs already, which is the most it may have"),
], ids=["template", "company", "most"])
def test_b03_what_may_not_be_made_costs_nothing(systems, template, no_refills, sn, company, why):
    systems.rows("builder", "INSERT IGNORE INTO company (sn, max_designs) VALUES (13, 0)")
    sn = sn or template(3)
    no_refills(sn)
    job = run(systems, sn, company)
    assert (job["state"], job["reason"], job["message"]) == ("failed", "refused", why)
    assert copies(systems, job["id"]) == [] and images(systems, job) == []
    assert systems.stack.redis("LLEN", f"op:{{p:template-design:{sn}}}:q", db=systems.redis_db) == 5, "nothing is popped"


def test_b11_a_refill_of_a_template_that_is_not_there_fails_and_copies_nothing(systems):
    systems.stack.produce(systems.own("builder.v1.template-cache-warm-up"), b'{"templateSn": 888888}', key="888888")
    id, reason = wait_for("it is refused", lambda: systems.sql(
        "SELECT LOWER(HEX(id)), reason FROM op_job WHERE detail = 'template 888888 does not exist'"), 30)[0]
    assert reason == "refused" and copies(systems, str(uuid.UUID(id))) == []


def test_b13_no_transaction_is_open_while_s3_works(systems, template):
    systems.standin.hold("builder", repeat=-1)
    member = str(next(members))
    load = Background(lambda i: systems.start("template-design", body(template(3)), member), threads=1, count=1)
    wait_for("S3 works", lambda: systems.standin.in_flight() >= 3, 30)
    assert systems.stack.sql("SELECT COUNT(*) FROM information_schema.innodb_trx t JOIN information_schema.processlist p"
                             f" ON p.id = t.trx_mysql_thread_id WHERE p.user = 'builder_{systems.mark}'") == [["0"]]
    assert systems.standin.in_flight() >= 3
    systems.standin.let_go("builder")
    load.join()


def test_b14_b15_with_a_ready_copy_the_design_is_the_answer(systems, template, no_refills):
    sn = template(3)
    no_refills(sn)
    systems.standin.script("builder", {"delay_ms": 10000, "repeat": -1})
    a = systems.start("template-design", body(sn), str(next(members)))
    assert a.status == 200 and a.took < 8, a
    job = a.json()
    assert job["state"] == "succeeded" and job["result"]["images"] == [{"sn": 1, "key": f"ready/{sn}/0"}]
    assert images(systems, job) == [f"ready/{sn}/0"]
    assert systems.rows("builder", f"SELECT COUNT(*) FROM design WHERE id = '{job['id']}'") == [["1"]]
    systems.standin.mend()


def test_b16_one_copy_failing_for_good_fails_the_job_with_a_reason(systems, template):
    sn = template(4)
    systems.standin.script("builder", {"status": 403, "match": f"{sn * 10000 + 2}", "repeat": -1})
    job = run(systems, sn)
    assert (job["state"], job["reason"]) == ("failed", "need-not-met")
    assert [c["state"] for c in job["calls"]] == ["succeeded", "succeeded", "failed", "succeeded"]
    assert job["calls"][2]["error"]["code"] == "http-4xx"
    assert systems.rows("builder", f"SELECT COUNT(*) FROM design WHERE id = '{job['id']}'") == [["0"]]


def test_b17_an_error_inside_a_200_is_made_again(systems, template):
    sn = template(2)
    systems.standin.script("builder", systems.standin.s3_error(match=f"{sn * 10000}"))
    job = run(systems, sn)
    assert job["state"] == "succeeded"
    assert [c["attempts"] for c in job["calls"]] == [2, 1]
    assert len(images(systems, job)) == 2
