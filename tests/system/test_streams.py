"""Live results as a client of HTTP sees them: each as it comes, resumed without gap or repeat. Numbers
in names are those of the behaviours."""
import contextlib
import signal
import uuid

from harness import SHOPS, wait_for
from streams import Stream, check_series, events_of, names


def held(site, shops=SHOPS):
    """A job whose calls to these shops are answered when the shop is let go."""
    for shop in shops:
        site.standin.hold(shop)
    id = site.accept()
    wait_for("all shops were asked", lambda: site.standin.calls() >= len(SHOPS))
    return id


# the time that a shop may be held is that of its call
LONG = {"deadline: 12s": "deadline: 3m", "timeout: 8s": "timeout: 60s"}


def said(events):
    """What must come once: number and name of each call, and the end."""
    return [(e.id, e.data.get("name")) for e in events if e.name in ("call", "done")]


def test_d02_each_result_comes_as_it_is_there(site):
    id = held(site)
    s = events_of(site, id)
    assert s.head["content-type"] == "text/event-stream" and s.head["cache-control"] == "no-store"
    events = []
    for shop in ("b-shop", "c-store", "a-mart"):
        site.standin.let_go(shop)
        events += s.until("call")  # while the others are held
    events += s.all()
    check_series(events)
    assert events[0].name == "state"
    calls = [e for e in events if e.name == "call"]
    assert [e.data["name"] for e in calls] == ["b-shop", "c-store", "a-mart"]
    assert [e.id for e in calls] == [1, 2, 3]
    job = site.job(id)
    done = events[-1].data
    assert done == {k: job[k] for k in ("id", "state", "reason", "message", "result")}
    by_name = {c["name"]: c for c in job["calls"]}
    assert [c.pop("max_attempts") for c in job["calls"]] == [3, 3, 3]  # the flow's, not the event's
    assert [e.data for e in calls] == [by_name[e.data["name"]] for e in calls]


def test_d14_a_broken_stream_goes_on_where_it_stopped(site):
    id = held(site)
    first = events_of(site, id)
    site.standin.let_go("b-shop")
    seen = first.until("call")
    first.close()
    second = events_of(site, id, last=first.last)
    rest = []
    for shop in ("c-store", "a-mart"):
        site.standin.let_go(shop)
        rest += second.until("call")
    rest += second.all()
    assert said(seen + rest) == [(1, "b-shop"), (2, "c-store"), (3, "a-mart"), (4, None)]


def test_d14_every_place_to_resume_from_gives_the_rest(site):
    job = site.run()
    whole = events_of(site, job["id"]).all()
    check_series(whole)
    for last in range(5):
        rest = events_of(site, job["id"], last=last).all()
        assert said(rest) == [x for x in said(whole) if x[0] > last or x[1] is None], last


def test_a_last_event_id_that_is_none_starts_from_the_beginning(site):
    job = site.run()
    whole = said(events_of(site, job["id"]).all())
    for last in ("nonsense", "-1", "77", "4294967296", "99999999999999999999", job["id"], "1e1", ""):
        assert said(events_of(site, job["id"], last=last).all()) == whole, last


def test_strangers_get_no_stream(site):
    for id in (str(uuid.uuid4()), "x", "0199"):
        s = events_of(site, id)
        assert (s.status, s.problem["code"]) == (404, "no-job"), id
    s = Stream(site.address, "/v1/events")
    assert (s.status, s.problem["code"]) == (401, "signed-out")


def test_d14_the_other_gateway_goes_on_when_one_is_killed(new_site):
    site = new_site(edit=LONG).open(gateways=2)
    id = held(site, ("a-mart", "c-store"))
    first = events_of(site, id)
    seen = first.until("call")
    site.gateways[0].kill()
    with contextlib.suppress(StopIteration, ConnectionError):
        first.next()
    site.standin.mend()
    rest = events_of(site, id, last=first.last, address=site.gateways[1].address()).all()
    assert [e.id for e in seen + rest if e.name == "call"] == [1, 2, 3]
    assert rest[-1].name == "done"


def test_streams_go_on_without_redis(new_site, stack):
    site = new_site(edit=LONG).open()
    id = held(site, ("c-store",))
    s = events_of(site, id)
    s.until("call")
    with stack.dead("redis"):
        site.standin.mend()
        events = s.events + s.all()
    check_series(s.events)
    assert names(events)[-1] == "done"


def test_a_record_that_does_not_answer_is_told_as_a_gap_once(new_site, stack):
    site = new_site(edit=LONG).open()
    id = held(site, ("c-store",))
    s = events_of(site, id)
    last = (s.until("call") + s.until("call"))[-1]
    with stack.frozen("mysql"):
        stack.redis("CLIENT", "KILL", "TYPE", "pubsub")  # something may have been missed: the record is asked
        gap = s.until("gap")[-1]
    site.standin.mend()
    s.all()
    assert (gap.id, gap.data) == (last.id, {}), "it stands under the last number, so nothing is skipped on the way back"
    assert names(s.events).count("gap") == 1
    check_series(s.events)


def test_a_gateway_that_stops_tells_its_readers_to_come_back(new_site):
    site = new_site(edit=LONG).open(gateways=2)
    id = held(site, ("a-mart", "c-store"))
    s = events_of(site, id)
    s.until("call")
    site.gateways[0].signal(signal.SIGTERM)
    assert "done" not in names(s.all()) and s.retry is not None
    site.standin.mend()
    rest = events_of(site, id, last=s.last, address=site.gateways[1].address()).all()
    assert [e.id for e in rest if e.name == "call"] == [2, 3]
    assert site.gateways[0].wait_exit() == 0


def test_one_address_does_not_get_all_streams(new_site):
    """A connection that is a stream was handed over: the server no longer counts it for its address."""
    site = new_site(env={"OFFPATH_STREAMS": "40", "OFFPATH_TRUSTED_PROXIES": "127.0.0.1"}).open(workers=0)
    id = site.accept()

    def stream(client):
        return Stream(site.address, f"/v1/jobs/{id}/events", headers=[f"X-Forwarded-For: {client}"])
    of_one = [stream("192.0.2.1") for _ in range(16)]
    assert {s.status for s in of_one} == {200}
    more = stream("192.0.2.1")
    assert (more.status, more.problem["code"]) == (503, "overloaded") and int(more.head["retry-after"]) > 0
    assert stream("192.0.2.2").status == 200
    of_one.pop().close()
    wait_for("its room is free again", lambda: stream("192.0.2.1").status == 200)
