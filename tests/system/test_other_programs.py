"""Kafka beside the gateway: records of other programs, records for them, records of one flow for another,
and the record that brings a job back. Other programs are Kafka's own Java client."""
import hashlib
import json
import re

import pytest

from harness import ROOT, hexid, request, wait_for
from streams import MESSAGES

# the flow of the how-to, with topics and a group of its own
HOW_TO = (ROOT / "docs/how-to/spring-interop.md").read_text()
PROFILE = re.sub(r"(member\.profiles|offpath\.profiles|member\.greetings)", r"\1-MARK",
                 re.search(r"```yaml\n# flows/profile\.yaml\n(.*?)```", HOW_TO, re.S)[1])
GIVER = r"""
flow: giver
title: Gives on
access: guests
topic: {name: giver-MARK, group: giver-MARK, partitions: 1}
request:
  schema: {type: object, properties: {list: {type: array, maxItems: 9}}}
result: $request.list
emit:
  - for_each: $result
    flow: taker
    value: {n: \($item), by: \($job.id)}
"""
TAKER = r"""
flow: taker
title: Takes
access: internal
topic: {name: taker-MARK, group: giver-MARK, partitions: 1}
deadline: none
request: {key: $request.n, schema: {type: object, required: [n], properties: {n: {type: integer}}}}
result: $request.n
"""
AGAIN = r"""
flow: again
title: Tries again
access: guests
topic: {name: again-MARK, group: again-MARK, partitions: 1}
deadline: 3m
calls:
  a:
    upstream: a-mart
    request: {path: /products/1/price}
    timeout: 30s
    retry: {attempts: 1, on: [5xx]}
    result: $body.price
result: $calls.a.result
requeue: [1s, 1s]
"""


def start(site, flow, body):
    a = request(site.address, "POST", f"/v1/flows/{flow}/jobs", json.dumps(body),
                {"Content-Type": "application/json"})
    assert a.status == 202, a
    return a.json()["id"]


def finals(site, flow):
    return site.sql(f"SELECT HEX(owner), state, reason, result FROM op_job WHERE flow = '{flow}' AND state >= 10")


@pytest.fixture(scope="module")
def other_site(stack, work_folder, binaries):
    from conftest import closing
    from harness import Site
    site = Site(stack, work_folder, binaries, env={"OFFPATH_JWT_ISSUER": "https://issuer.example"},
                extra_flows={"profile": PROFILE, "giver": GIVER, "taker": TAKER, "again": AGAIN})
    site.prepare()
    site.stack.java("create", f"member.greetings-{site.mark}")
    site.workers = [site.worker()]
    site.address = site.gateway(OFFPATH_JWT_ISSUER="").address()
    yield site
    closing([site])


def test_e16_a12_records_of_a_plain_java_producer_run(other_site):
    """E16, A12, and the how-to: no key, no headers but Spring's; the member is the one the value names. One sent
    twice is one job; what is no JSON or breaks the schema is a dead letter, and the next goes on. What is emitted
    has the headers that the page names."""
    site = other_site
    site.stack.java("produce", f"member.profiles-{site.mark}", stdin="".join(f"{line}\n" for line in (
        '-\t{"uuid":"u1","memberId":42,"nickname":"kim"}',
        '__TypeId__=com.example.Profile\t{"uuid":"u2","memberId":null,"nickname":"lee"}',
        '-\t{"uuid":"u1","memberId":42,"nickname":"kim"}',
        '-\tno JSON',
        '-\t{"memberId":7}',
        '-\t{"uuid":"u3","memberId":99,"nickname":"cho"}')))
    rows = wait_for("all are final", lambda: len(finals(site, "profile")) == 5 and finals(site, "profile"), 60)

    def owner(sub):
        return hashlib.sha256(b"https://issuer.example\0" + sub.encode()).hexdigest()[:32].upper()
    nobody = "0" * 32
    assert sorted(rows) == sorted([
        [owner("42"), "10", "", '{"greeting":"Hello kim"}'], [nobody, "10", "", '{"greeting":"Hello lee"}'],
        [nobody, "12", "bad-event", "NULL"], [owner("7"), "12", "bad-event", "NULL"],
        [owner("99"), "10", "", '{"greeting":"Hello cho"}']]), rows
    assert site.sql("SELECT COUNT(*) FROM op_dead WHERE flow = 'profile' AND reason = 'bad-event'") == [["2"]]
    wait_for("what was emitted is in Kafka", lambda: site.sql("SELECT COUNT(*) FROM op_outbox") == [["0"]], 60)
    told = site.stack.records(f"member.greetings-{site.mark}")
    assert sorted((r["key"], json.loads(r["value"])["greeting"]) for r in told) == [
        ("u1", "Hello kim"), ("u2", "Hello lee"), ("u3", "Hello cho")]
    for record in told:
        assert set(record["headers"]) == set(MESSAGES["emitted"]["headers"]["required"]), record


def test_e16_a12_a_plain_java_consumer_reads_our_records(other_site):
    """E16, A12: key and value are text, headers may be ignored; another group reads the topic as well (E17)."""
    site = other_site
    id = start(site, "giver", {"list": [5, 6]})
    site.wait_final(id)
    wait_for("both children ended", lambda: len(finals(site, "taker")) == 2, 60)
    out = site.stack.java("consume", f"taker-{site.mark}", f"others-{site.mark}", "2").splitlines()
    got = sorted((key, json.loads(value)) for key, value in (line.split("\t") for line in out))
    assert got == [("5", {"n": 5, "by": id}), ("6", {"n": 6, "by": id})]
    headers = site.stack.records(f"taker-{site.mark}")[0]["headers"]
    assert "offpath-deadline" not in headers, "deadline: none"
    assert wait_for("the outbox is empty", lambda: site.sql("SELECT COUNT(*) FROM op_outbox") == [["0"]], 10)


def test_a_job_runs_again_later(other_site):
    site = other_site
    site.standin.script("a-mart", {"status": 503, "repeat": 2})
    id = start(site, "again", {})
    seen = wait_for("it waits for its second round", lambda: site.job(id).get("retry_at") and site.job(id), 30)
    assert seen["state"] == "running" and seen["finished"] is None, seen
    job = site.wait_final(id, 60)
    site.standin.mend()
    assert job["state"] == "succeeded" and job["result"] == 18900, job
    assert site.sql(f"SELECT round, seq FROM op_job WHERE id = x'{hexid(id)}'") == [["2", "4"]]
    records = site.stack.records(f"again-{site.mark}.retry")
    assert [r["headers"]["ce_id"] for r in records] == [f"{id}.1", f"{id}.2"]
    assert len({c["key"] for c in site.standin.log_of("a-mart")}) == 1


def test_a_record_with_many_headers_of_others_runs_again_with_them(new_site):
    """More than its producer's own: they come back, and no row of the outbox waits for ever."""
    site = new_site(extra_flows={"again": AGAIN}).open()
    site.standin.script("a-mart", {"status": 503})
    others = {f"h{i}": str(i) for i in range(60)}
    site.stack.produce(f"again-{site.mark}", b"{}", headers=others)
    wait_for("its second round ended", lambda: site.sql("SELECT state, round FROM op_job") == [["10", "1"]], 60)
    record, = site.stack.records(f"again-{site.mark}.retry")
    assert others.items() <= record["headers"].items(), record
    assert wait_for("the outbox is empty", lambda: site.sql("SELECT COUNT(*) FROM op_outbox") == [["0"]], 10)
