"""A flow that is so far behind that a new job could not end before its deadline answers 503 (decision 63)."""
from harness import SHOPS, wait_for


def slow_shops(site, delay_ms):
    for shop in SHOPS:
        site.standin.script(shop, {"delay_ms": delay_ms, "repeat": -1})


def refused(answer):
    assert answer.status in (202, 503), answer
    return answer.status == 503 and answer


def test_jobs_that_would_end_waiting_for_their_upstream_are_refused(new_site):
    """Of ten jobs a second the shops take two: the others come to their deadline in line, or soon after their turn has
    come, and Kafka holds none for longer. That they do, workers tell."""
    site = new_site(edit={"deadline: 12s": "deadline: 4s"}, concurrency=2, env={"OFFPATH_OVERLOAD_FLOOR": "10"}).open()
    slow_shops(site, 1000)
    answer = wait_for("it is refused", lambda: refused(site.post()), 90, every=0.1)
    assert answer.json()["code"] == "overloaded" and int(answer.headers["retry-after"]) > 0, answer
    gateway = site.gateways[0]
    assert gateway.metric("offpath_flow_shedding", flow="price-compare") == 1
    slow_shops(site, 1)
    wait_for("it is accepted again", lambda: site.post().status == 202, 60, every=0.1)
    wait_for("none is open", lambda: site.open_jobs() == 0, 30)
