"""Records that others wrote: plain ones run, broken ones fail by name, and the partition goes on."""
import json
import random
import uuid

import pytest

from harness import hexid, request, wait_for

OURS = {"ce_specversion": "1.0", "ce_type": "offpath.job.requested.v1", "content-type": "application/json",
        "ce_source": "/offpath/flows/price-compare", "offpath-flow": "price-compare"}


def ended(site, count):
    return wait_for(f"{count} jobs are final", lambda: (
        rows := site.sql("SELECT HEX(id), state, reason FROM op_job WHERE state >= 10")) and len(rows) >= count and rows)


@pytest.fixture
def fresh(new_site):
    return new_site().open()


@pytest.mark.parametrize("value", [
    b"garbage", b"", b"{", b"\xff\xfe\x00", b'{"productId": 42}', b'{"other": 1}', b"[]", b"null",
    random.Random(1).randbytes(2000), b'{"productId": "' + b"1" * 60000 + b'"}', b"[" * 5000,
], ids=["word", "empty", "cut", "binary", "type", "member", "array", "null", "random", "long", "deep"])
def test_a_record_without_headers_that_is_no_request(shared, value):
    """All on one partition: the good record behind it runs."""
    before = int(shared.sql("SELECT COUNT(*) FROM op_dead")[0][0])
    shared.stack.produce(shared.topic, value, key="poison", partition=0)
    good = shared.product()
    shared.stack.produce(shared.topic, json.dumps({"productId": good}).encode(), key=good, partition=0)
    wait_for("the dead letter is there", lambda: int(shared.sql("SELECT COUNT(*) FROM op_dead")[0][0]) == before + 1)
    rows = shared.sql("SELECT d.reason, j.state, j.reason, d.topic, d.part, HEX(d.value) FROM op_dead d "
                      "JOIN op_job j ON j.id = d.job ORDER BY d.at DESC LIMIT 1")
    reason, state, job_reason, topic, part, kept = rows[0]
    assert (reason, state, job_reason, topic, part) == ("bad-event", "12", "bad-event", shared.topic, "0")
    assert kept == value.hex().upper()
    wait_for("the next record runs", lambda: any(good in e["path"] for e in shared.standin.log_of("a-mart")))
    assert shared.workers[0].running()


def test_a_record_with_more_headers_than_can_be_kept(shared):
    """Behind it on its partition a good one, and one with as many as are kept."""
    before = int(shared.sql("SELECT COUNT(*) FROM op_dead")[0][0])
    good = [shared.product() for _ in range(2)]
    for number, product in ((300, shared.product()), (255, good[0]), (0, good[1])):
        shared.stack.produce(shared.topic, json.dumps({"productId": product}).encode(), key="many", partition=0,
                             headers={f"h{i}": i for i in range(number)})
    for product in good:
        wait_for("the next record runs", lambda: any(product in e["path"] for e in shared.standin.log_of("a-mart")))
    wait_for("the dead letter is there", lambda: int(shared.sql("SELECT COUNT(*) FROM op_dead")[0][0]) == before + 1)
    assert shared.sql("SELECT reason, LENGTH(headers), value LIKE '{%' FROM op_dead ORDER BY at DESC LIMIT 1") == [
        ["bad-event", "0", "1"]]
    assert shared.workers[0].running()


def test_a_key_longer_than_the_dead_letter_holds(fresh):
    """The key goes, the value and the reason stay."""
    fresh.stack.produce(fresh.topic, b"garbage", key="k" * 2000)
    assert [r[1:] for r in ended(fresh, 1)] == [["12", "bad-event"]]
    assert fresh.sql("SELECT reason, mkey, CAST(value AS CHAR) FROM op_dead") == [
        ["bad-event", "NULL", "garbage"]]


def test_a_tombstone_fails_by_name(fresh):
    fresh.stack.produce(fresh.topic, None, key="gone")
    assert [r[1:] for r in ended(fresh, 1)] == [["12", "bad-event"]]


def test_a_plain_record_of_another_producer_runs(fresh):
    """A KafkaTemplate without our headers, with and without a key."""
    for key in (None, "42"):
        fresh.stack.produce(fresh.topic, b'{"productId": "42"}', key=key)
    rows = ended(fresh, 2)
    assert {r[1] for r in rows} == {"10"}
    for flow, result in fresh.sql("SELECT flow, result FROM op_job"):
        assert json.loads(result)["offers"][0]["shop"] == "c-store"
        assert flow == "price-compare"


def test_a_record_of_nobody_is_read_by_nobody(fresh):
    """Its id is made from its place in the topic, which others can know: no gateway gave it away."""
    fresh.stack.produce(fresh.topic, b'{"productId": "42"}')
    id = str(uuid.UUID(ended(fresh, 1)[0][0]))
    answer = request(fresh.address, "GET", f"/v1/jobs/{id}")
    assert (answer.status, answer.json()["code"]) == (404, "no-job")


def test_a_newer_major_version_is_a_dead_letter(fresh):
    id = "01990c5e-0000-7000-8000-00003f9a2c41"
    fresh.stack.produce(fresh.topic, b'{"productId": "42"}', key="42", headers={
        **OURS, "ce_type": "offpath.job.requested.v2", "ce_id": id, "offpath-job": id})
    assert ended(fresh, 1) == [[hexid(id), "12", "bad-event"]]
    assert fresh.standin.calls() == 0


@pytest.mark.parametrize("broken", [
    {"offpath-job": "no-uuid"}, {"offpath-job": str(uuid.UUID(int=0))}, {"offpath-round": "x"}, {"offpath-deadline": "tomorrow"},
    {"offpath-mac": "zz"}, {"offpath-user": "zz zz"},
])
def test_a_broken_header_of_ours_fails_by_name(shared, broken):
    id = str(uuid.uuid4())
    before = int(shared.sql("SELECT COUNT(*) FROM op_dead WHERE reason = 'bad-event'")[0][0])
    shared.stack.produce(shared.topic, b'{"productId": "4243"}', key="4243",
                         headers={**OURS, "ce_id": id, "offpath-job": id, **broken})
    wait_for("the dead letter is there", lambda: int(
        shared.sql("SELECT COUNT(*) FROM op_dead WHERE reason = 'bad-event'")[0][0]) == before + 1)


def test_unknown_headers_are_ignored(fresh):
    fresh.stack.produce(fresh.topic, b'{"productId": "42"}', key="42", headers={"__TypeId__": "com.x.Y", "b3": "0"})
    assert [r[1] for r in ended(fresh, 1)] == ["10"]


def test_the_same_record_of_ours_twice_is_one_job(fresh):
    id = str(uuid.uuid4())
    for _ in range(3):
        fresh.stack.produce(fresh.topic, b'{"productId": "42"}', key="42",
                            headers={**OURS, "ce_id": id, "offpath-job": id, "ce_time": "2026-11-24T10:00:00Z"})
    assert ended(fresh, 1) == [[hexid(id), "10", ""]]
    fresh.wait_settled(fresh.workers[0], 3)
    assert fresh.sql("SELECT HEX(id), state FROM op_job") == [[hexid(id), "10"]]
    assert fresh.standin.calls() == 3


def test_an_expired_record_is_not_worked_on(fresh):
    id = str(uuid.uuid4())
    fresh.stack.produce(fresh.topic, b'{"productId": "42"}', key="42", headers={
        **OURS, "ce_id": id, "offpath-job": id, "ce_time": "2026-11-24T10:00:00Z",
        "offpath-deadline": "2026-11-24T10:00:12Z"})
    assert ended(fresh, 1) == [[hexid(id), "14", "deadline"]]
    assert fresh.standin.calls() == 0
    assert fresh.sql("SELECT reason, status FROM op_dead") == [["deadline", "0"]]


def test_a_hundred_poison_records_do_not_stop_the_rest(fresh):
    for i in range(3):
        lines = [f"k\tgarbage {i} {n}" for n in range(33)] + [f"{i}\t" + json.dumps({"productId": str(100 + i)})]
        fresh.stack.produce_lines(fresh.topic, lines)
    wait_for("good and bad are final", lambda: fresh.state_counts() == {10: 3, 12: 99}, 40)
    assert int(fresh.sql("SELECT COUNT(*) FROM op_dead")[0][0]) == 99
    assert fresh.workers[0].stop() == 0
    assert fresh.uncommitted() == []
