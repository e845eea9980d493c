"""`send` and `jobs watch` hear a job's events as they come, go on after a cut, and look at the job now and
then where no stream is offered."""
import json
import subprocess

import pytest

from conftest import closing
from harness import SHOPS, Site, wait_for
from streams import MESSAGES, wait_open

NAMES = ["b-shop", "c-store", "a-mart"]


@pytest.fixture(scope="module")
def patient(stack, work_folder, binaries):
    site = Site(stack, work_folder, binaries, edit={"deadline: 12s": "deadline: 3m", "timeout: 8s": "timeout: 60s"}).open()
    yield site
    closing([site])


@pytest.fixture
def site(patient):
    """Three shops that answer when they are let go."""
    for shop in SHOPS:
        patient.standin.hold(shop)
    wait_open(patient.gateways[0], 0)
    return patient


def let_go(site, shop):
    """Once it was asked."""
    wait_for(f"{shop} is asked", lambda: site.standin.stats()[shop]["in_flight"] == 1)
    site.standin.let_go(shop)


class Verb:
    def __init__(self, site, *words, gateway=None):
        url = {"OFFPATH_URL": f"http://{(gateway or site.gateways[0]).address()}"}
        self.process = subprocess.Popen([site.binaries / "offpath-gateway", *words], env={**site.env, **url}, text=True,
                                        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def events(self):
        """JSON Lines as they come."""
        for line in self.process.stdout:
            yield json.loads(line)

    def end(self):
        out, err = self.process.communicate(timeout=40)
        return self.process.returncode, out, err


def calls(events):
    return [e["name"] for e in events if e["event"] == "call"]


def check_end(site, id, events):
    """`done` comes last and says what the job says; a call is told the same way whether it was heard or looked at."""
    job = site.job(id)
    members = set(MESSAGES["call"]["payload"]["required"])
    assert {frozenset(e) - {"event"} for e in events if e["event"] == "call"} == {frozenset(members)}, events
    assert [e["event"] for e in events].count("done") == 1 and events[-1]["event"] == "done", events
    assert {k: job[k] for k in ("id", "state", "reason", "message", "result")} == {
        k: v for k, v in events[-1].items() if k != "event"}


def test_watch_prints_events_as_they_come_from_one_stream(site):
    id = site.accept()
    asked = site.gateways[0].metric("offpath_http_requests_total")
    watch = Verb(site, "jobs", "watch", id, "--json")
    events = []
    let_go(site, "b-shop")
    for e in watch.events():
        events.append(e)
        if calls([e]) == ["b-shop"]:  # perhaps seen by the look before the stream
            wait_open(site.gateways[0], 1)
            let_go(site, "c-store")
        elif calls([e]) == ["c-store"]:
            let_go(site, "a-mart")
    assert watch.end()[0] == 0
    assert calls(events) == NAMES
    check_end(site, id, events)
    assert site.gateways[0].metric("offpath_http_requests_total") - asked <= 4


def test_send_prints_a_line_as_each_call_ends(site):
    send = Verb(site, "send", "price-compare", json.dumps({"productId": site.product()}))
    assert send.process.stderr.readline().startswith("accepted ")
    let_go(site, "b-shop")
    assert send.process.stderr.readline().split()[0] == "b-shop"
    wait_open(site.gateways[0], 1)
    let_go(site, "c-store")
    assert send.process.stderr.readline().split()[0] == "c-store"
    let_go(site, "a-mart")
    code, out, err = send.end()
    assert code == 0 and len(json.loads(out)["offers"]) == 3, err
    assert [line.split()[0] for line in err.splitlines()] == ["a-mart", "succeeded"]
    assert err.splitlines()[-1].endswith("3 of 3 calls")


def test_without_streams_the_job_is_looked_at(site):
    gateway = site.gateway(OFFPATH_STREAMS="0")
    id = site.accept()
    watch = Verb(site, "jobs", "watch", id, "--json", gateway=gateway)
    events, order = [], ["c-store", "a-mart"]
    let_go(site, "b-shop")
    for e in watch.events():
        events.append(e)
        if calls([e]) and order:
            let_go(site, order.pop(0))
    assert watch.end()[0] == 0
    assert calls(events) == NAMES
    check_end(site, id, events)
    assert gateway.metric("offpath_streams_refused_total") == 1, "it asks for a stream once"


def test_a_watch_goes_on_when_its_gateway_is_killed_and_comes_back(site):
    gateway = site.gateway()
    id = site.accept()
    watch = Verb(site, "jobs", "watch", id, "--json", gateway=gateway)
    events = []
    let_go(site, "b-shop")
    for e in watch.events():
        events.append(e)
        if calls([e]) == ["b-shop"]:
            gateway.kill()
            site.launch("gateway", OFFPATH_LISTEN=gateway.address()).wait_ready()
            let_go(site, "c-store")
        elif calls([e]) == ["c-store"]:
            let_go(site, "a-mart")
    code, _, err = watch.end()
    assert code == 0, err
    assert calls(events) == NAMES and err == ""
    check_end(site, id, events)
