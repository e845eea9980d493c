"""Calls that wait for others and calls with items, with the real programs: order.yaml."""
import json

import pytest

from harness import ROOT, call_of, hexid, request, wait_for

ORDER = (ROOT / "tests/system/order.yaml").read_text()


@pytest.fixture
def order_site(new_site):
    return new_site(extra_flows={"order": ORDER})


def order(site, items):
    a = request(site.address, "POST", "/v1/flows/order/jobs", json.dumps({"items": items}),
                {"Content-Type": "application/json"})
    assert a.status == 202, a
    return a.json()["id"]


def test_items_then_the_call_after_them(order_site):
    site = order_site.open()
    site.standin.script("a-mart", {"status": 404, "match": "/products/c/", "repeat": -1},
                        {"delay_ms": 100, "repeat": -1})
    items = ["a", "b", "c", "d", "b"]
    job = site.wait_final(order(site, items))
    assert job["state"] == "partial", job
    assert job["result"] == {"prices": ["a", "b", "d", "b"], "pay": "succeeded"}
    assert [(c["name"], c["item"], c["state"]) for c in job["calls"]] == [
        ("price", 0, "succeeded"), ("price", 1, "succeeded"), ("price", 2, "failed"),
        ("price", 3, "succeeded"), ("price", 4, "succeeded"), ("pay", None, "succeeded")]
    assert [c["result"] and c["result"]["of"] for c in job["calls"][:5]] == ["a", "b", None, "d", "b"]
    assert call_of(job, "price")["result"] == {"of": "a", "price": 18900}
    assert site.standin.stats()["a-mart"]["in_flight_max"] == 2
    asked = site.standin.log_of("a-mart")
    assert sorted(c["path"].split("/")[3] for c in asked) == sorted(items)
    assert len({c["key"] for c in asked}) == 5, "equal requests are calls of their own"
    assert json.loads(site.standin.log_of("c-store")[0]["body"]) == {"sku": "all", "quantity": 4}


@pytest.mark.crash
def test_a_worker_killed_in_the_middle_of_items_repeats_those_in_flight(order_site):
    site = order_site.prepare()
    site.address = site.gateway().address()
    first = site.worker()
    site.standin.script("a-mart", {"delay_ms": 60000, "match": "/products/d/"},
                        {"delay_ms": 20, "repeat": -1})
    id = order(site, ["a", "b", "c", "d", "e"])
    wait_for("all but one are in the ledger", lambda: int(
        site.sql(f"SELECT COUNT(*) FROM op_call WHERE job = x'{hexid(id)}'")[0][0]) == 4, 30)
    seen = site.job(id)["calls"]
    assert [(c["name"], c["item"], c["state"]) for c in seen] == [
        ("price", 0, "succeeded"), ("price", 1, "succeeded"), ("price", 2, "succeeded"),
        ("price", 4, "succeeded"), ("pay", None, "running")]
    first.kill()
    site.worker()
    job = site.wait_final(id, 90)
    assert job["state"] == "succeeded", job
    assert job["result"]["prices"] == ["a", "b", "c", "d", "e"]
    calls = [c["path"].split("/")[3] for c in site.standin.log_of("a-mart")]
    assert sorted(calls) == ["a", "b", "c", "d", "d", "e"]
    assert site.standin.calls("c-store") == 1


@pytest.mark.crash
def test_a_worker_killed_in_a_call_that_must_not_be_repeated(order_site):
    site = order_site.prepare()
    site.address = site.gateway().address()
    first = site.worker()
    site.standin.script("c-store", {"hang": True, "repeat": -1})
    id = order(site, ["a", "b"])
    wait_for("it is under way", lambda: site.standin.stats()["c-store"]["in_flight"] == 1, 30)
    rows = site.sql(f"SELECT name, outcome, seq FROM op_call WHERE job = x'{hexid(id)}' ORDER BY seq")
    assert rows[0] == ["pay", "0", "0"] and len(rows) == 3, "it is in the ledger before it is over"
    first.kill()
    site.standin.mend()
    site.worker()
    job = site.wait_final(id, 90)
    assert job["state"] == "partial", "need is 2, and both prices are there"
    assert job["result"] == {"prices": ["a", "b"], "pay": "failed"}
    assert call_of(job, "pay")["error"]["code"] == "unknown"
    assert site.standin.calls("c-store") == 1, "never again"
    assert site.standin.calls("a-mart") == 2
    assert site.sql(f"SELECT outcome, reason FROM op_call WHERE job = x'{hexid(id)}' AND name = 'pay'") == [
        ["4", "unknown"]]
