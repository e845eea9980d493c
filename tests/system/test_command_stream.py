"""`send` and `jobs watch` hear a job's events as they come, go on after a cut, and look at the job now and
then where no stream is offered."""
import json
import subprocess

import pytest

from harness import SHOPS
from streams import wait_open

NAMES = ["b-shop", "c-store", "a-mart"]


@pytest.fixture
def site(shared):
    """Three shops that answer one after the other."""
    shared.standin.mend()
    for shop, delay in zip(SHOPS, (4500, 200, 1500)):
        shared.standin.script(shop, {"delay_ms": delay, "repeat": -1})
    wait_open(shared.gateways[0], 0)
    return shared


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
    """`done` comes last and says what the job says."""
    job = site.job(id)
    assert [e["event"] for e in events].count("done") == 1 and events[-1]["event"] == "done", events
    assert {k: job[k] for k in ("id", "state", "reason", "message", "result")} == {
        k: v for k, v in events[-1].items() if k != "event"}


def test_watch_prints_events_as_they_come_from_one_stream(site):
    id = site.accept()
    asked = site.gateways[0].metric("offpath_http_requests_total")
    watch = Verb(site, "jobs", "watch", id, "--json")
    events = []
    for e in watch.events():
        events.append(e)
        if calls([e]) == ["b-shop"]:  # perhaps seen by the look before the stream
            wait_open(site.gateways[0], 1)
        elif calls([e]) == ["c-store"]:
            assert site.standin.in_flight() == 1, "the last is not over yet"
    assert watch.end()[0] == 0
    assert calls(events) == NAMES
    check_end(site, id, events)
    assert site.gateways[0].metric("offpath_http_requests_total") - asked <= 4


def test_send_prints_a_line_as_each_call_ends(site):
    send = Verb(site, "send", "price-compare", json.dumps({"productId": site.product()}))
    assert send.process.stderr.readline().startswith("accepted ")
    assert send.process.stderr.readline().split()[0] == "b-shop"
    wait_open(site.gateways[0], 1)
    assert send.process.stderr.readline().split()[0] == "c-store"
    assert site.standin.in_flight() == 1, "the last is not over yet"
    code, out, err = send.end()
    assert code == 0 and len(json.loads(out)["offers"]) == 3, err
    assert [line.split()[0] for line in err.splitlines()] == ["a-mart", "succeeded"]
    assert err.splitlines()[-1].endswith("3 of 3 calls")


def test_without_streams_the_job_is_looked_at(site):
    gateway = site.gateway(OFFPATH_STREAMS="0")
    id = site.accept()
    watch = Verb(site, "jobs", "watch", id, "--json", gateway=gateway)
    events = list(watch.events())
    assert watch.end()[0] == 0
    assert calls(events) == NAMES
    check_end(site, id, events)
    assert gateway.metric("offpath_streams_refused_total") == 1, "it asks for a stream once"


def test_a_watch_goes_on_when_its_gateway_is_killed_and_comes_back(site):
    gateway = site.gateway()
    id = site.accept()
    watch = Verb(site, "jobs", "watch", id, "--json", gateway=gateway)
    events = []
    for e in watch.events():
        events.append(e)
        if calls([e]) == ["b-shop"]:
            gateway.kill()
            site.launch("gateway", OFFPATH_LISTEN=gateway.address()).wait_ready()
    code, _, err = watch.end()
    assert code == 0, err
    assert calls(events) == NAMES and err == ""
    check_end(site, id, events)
