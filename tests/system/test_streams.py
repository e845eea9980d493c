"""Live results as a client of HTTP sees them: each as it comes, resumed without gap or repeat."""
from harness import SHOPS
from streams import check_series, events_of, names


def test_each_result_comes_as_it_is_there(site):
    for shop, ms in zip(SHOPS, (900, 100, 500)):
        site.standin.script(shop, {"delay_ms": ms, "repeat": -1})
    id = site.accept()
    s = events_of(site, id)
    assert s.head["content-type"] == "text/event-stream" and s.head["cache-control"] == "no-store"
    events = s.all()
    check_series(events)
    assert events[0].name == "state"
    calls = [e for e in events if e.name == "call"]
    assert [e.data["name"] for e in calls] == ["b-shop", "c-store", "a-mart"]
    assert [e.id for e in calls] == [1, 2, 3]
    assert calls[1].at - calls[0].at > 0.2 and calls[2].at - calls[1].at > 0.2, "they came together"
    job = site.job(id)
    done = events[-1].data
    assert done == {k: job[k] for k in ("id", "state", "reason", "message", "result")}
    by_name = {c["name"]: c for c in job["calls"]}
    assert [e.data for e in calls] == [by_name[e.data["name"]] for e in calls]
