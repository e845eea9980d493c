"""The console while things happen: tabs that are hidden, that change their user, that lose the gateway or
the record, and pages that are left before they are there."""
import time

import pytest

from console import HOLD_AN_ANSWER, NOTIFICATION, before_pages, begin, field, hide, holds, sign_in, signed, site, watch_own
from harness import FINAL, wait_for, wait_held
from streams import wait_open
from test_signed_in import accept, wait_state

__all__ = ["before_pages", "signed", "site"]  # fixtures

# A hidden tab gives its stream back after 15 s: here after 0.3 s.
HURRY = """
const timer = window.setTimeout;
window.setTimeout = (f, ms, ...more) => timer(f, ms === 15000 ? 300 : ms, ...more);
"""
# window.since: the Last-Event-ID of each stream of all my jobs; window.heard: what came on them.
LISTEN = """
window.since = []; window.heard = "";
const plain = window.fetch;
window.fetch = async (url, options) => {
  if (!String(url).endsWith("/v1/events")) return plain(url, options);
  since.push(options.headers["Last-Event-ID"] || "");
  const answer = await plain(url, options);
  const [ours, theirs] = answer.body.pipeThrough(new TextDecoderStream()).tee();
  (async () => { for await (const part of ours) heard += part; })().catch(() => 0);
  return new Response(theirs.pipeThrough(new TextEncoderStream()), answer);
};
"""
LATER = """
const Right = Date, ask = window.fetch;
window.later = 0; window.asked = 0;
window.Date = class extends Right {
  constructor(...words) { if (words.length) super(...words); else super(Right.now() + later); }
  static now() { return Right.now() + later; }
};
window.fetch = (...words) => { asked += 1; return ask(...words); };
"""  # window.later: so many ms pass at once; window.asked: how often something was asked
READY = "Your answer is ready."


def told(browser):
    return wait_for("the notification", lambda: browser.js("return told"), 40)


def titled(browser, title):
    wait_for(title, lambda: browser.js("return document.title") == title, 10)


def test_who_asked_to_be_told_is_told_however_long_the_tab_was_hidden(site, browser, before_pages):
    before_pages(HURRY + NOTIFICATION.replace("PERMISSION", "default"))
    wait_open(site.gateways[0], 0)
    site.standin.hold("c-store")
    id = begin(site, browser)
    browser.click("Tell me when done")
    browser.sees("Will tell you")
    wait_open(site.gateways[0], 1)
    hide(browser)
    wait_held("it listens", lambda: site.gateways[0].metric("offpath_streams") == 1, 1, 5)
    site.standin.let_go("c-store")
    assert told(browser) == [["Compare prices: succeeded", id]]
    titled(browser, "(1) Compare prices - succeeded - Offpath")


def test_a_member_is_told_by_a_page_that_sleeps(site, browser, before_pages):
    before_pages(HURRY + LATER + NOTIFICATION.replace("PERMISSION", "granted"))
    sign_in(site, browser, "gina")
    site.standin.hold("a-mart")
    id = accept(site, "told", "gina")
    browser.go(f"{site.base}/j/{id}")
    browser.sees("Request complete")
    wait_open(site.gateways[0], 2)  # the job's and the user's
    hide(browser)
    wait_open(site.gateways[0], 1)
    site.standin.let_go("a-mart")
    assert told(browser) == [[READY, id]]
    assert browser.js("return document.title").startswith("(1) Told - ")
    browser.js("later = 1500")
    hide(browser, False)
    browser.sees("succeeded", "h1")
    titled(browser, "Told - succeeded - Offpath")
    assert len(told(browser)) == 1
    assert browser.text("#toasts").count(READY) == 1


def test_a_page_left_while_it_loads_leaves_no_stream(site, browser, before_pages):
    before_pages(HOLD_AN_ANSWER)
    site.standin.hold("a-mart")
    id = begin(site, browser)
    browser.sees("running", "h1")
    browser.click("My jobs")
    browser.sees("Started from this device")
    wait_open(site.gateways[0], 0)
    browser.js("window.holdNext = 'include=attempts'")
    browser.js("document.querySelector(arguments[0]).click()", f'[data-id="{id}"] a')
    holds(browser)
    browser.click("My jobs")
    browser.sees("Started from this device")
    browser.js("window.letGo()")
    wait_held("no stream is open", lambda: site.gateways[0].metric("offpath_streams") == 0, 1.5, 8)


def test_a_page_that_the_browser_keeps_for_back_holds_nothing(site, browser, before_pages):
    """Its stream and its slot are for others; it goes on when it is there again."""
    before_pages("addEventListener('pageshow', (e) => { window.kept = e.persisted; });")
    wait_open(site.gateways[0], 0)
    site.standin.hold("a-mart")
    begin(site, browser)
    browser.sees("running", "h1")
    wait_open(site.gateways[0], 1)
    browser.go(f"{site.base}/errors/http-5xx")
    browser.sees("For operators")
    wait_open(site.gateways[0], 0)
    browser.d.back()
    browser.sees("running", "h1")
    assert browser.js("return window.kept")
    wait_open(site.gateways[0], 1)
    site.standin.let_go("a-mart")
    browser.sees("All 3 worked.", timeout=40)


def test_a_page_kept_for_back_says_that_the_session_ended_meanwhile(site, browser, before_pages):
    before_pages("addEventListener('pageshow', (e) => { window.kept = e.persisted; });")
    watch_own(site, browser, ttl=10)
    browser.go(f"{site.base}/errors/http-5xx")
    browser.sees("For operators")
    wait_for("its end", lambda: browser.js("return Date.parse(JSON.parse(localStorage['offpath.me']).expires) < Date.now()"))
    browser.d.back()
    browser.sees("Sign in again", ".problem")
    assert browser.js("return window.kept")


def test_what_is_seen_offline_is_as_old_as_it_came(site, browser, before_pages):
    """Drawing it anew makes it no younger."""
    before_pages(LATER)
    site.standin.hold("a-mart")
    begin(site, browser)
    browser.sees("2 of 3 done", ".eta")
    browser.offline(True)
    browser.sees("as of", ".connection")
    seen = browser.text(".connection")
    browser.js("later = 1000000; location.hash = 'call=a-mart'")
    browser.one(".marked")
    asked = browser.js("dispatchEvent(new Event('online')); return asked")
    wait_for("another try", lambda: browser.js("return asked") > asked)
    time_now = "return new Intl.DateTimeFormat(navigator.language, {timeStyle: 'medium'}).format(new Date())"
    assert browser.js(time_now) not in seen
    wait_held("as old", lambda: browser.text(".connection") == seen, 0.5, 5)


def test_a_page_that_comes_late_does_not_write_over_the_next(site, browser, before_pages):
    before_pages("window.holdNext = '/v1/flows';" + HOLD_AN_ANSWER)
    id = site.run()["id"]
    browser.go(f"{site.base}/")
    holds(browser)
    browser.js("history.pushState(null, '', arguments[0]); dispatchEvent(new PopStateEvent('popstate'))", f"/j/{id}")
    browser.sees("All 3 worked.")
    browser.js("window.letGo()")
    browser.sees("Compare prices", "h1")  # the job's page has the flows, too
    assert browser.find("main .job") and not browser.find("main .cards"), browser.text()


def test_tabs_follow_the_user_of_the_browser(site, browser):
    sign_in(site, browser, "alice")
    wait_open(site.gateways[0], 1)
    first = browser.d.current_window_handle
    browser.d.switch_to.new_window("tab")
    browser.go(f"{site.base}/me")
    browser.click("alice · Sign out")
    sign_in(site, browser, "bob")
    of_alice = accept(site, "told", "alice")
    wait_state(site, of_alice, "alice", FINAL)
    of_bob = accept(site, "told", "bob")
    browser.one(f'#toasts a[href$="/j/{of_bob}"]', 40)
    browser.d.switch_to.window(first)
    browser.one(f'#toasts a[href$="/j/{of_bob}"]', 40)
    for tab in browser.d.window_handles:
        browser.d.switch_to.window(tab)
        browser.sees("bob", "header")
        assert not browser.find(f'a[href$="/j/{of_alice}"]'), browser.text("body")


def test_what_ended_while_the_gateway_was_away_is_told(site, browser, before_pages):
    """A stream sends its number with no event, too: what came behind it is told when the stream is there again."""
    before_pages(LISTEN)
    other = site.gateway()
    sign_in(site, browser, "hana")
    wait_for("a number", lambda: "id: " in browser.js("return heard"))
    first = site.gateways[0]
    first.stop()
    id = accept(site, "told", "hana", address=other.address())
    wait_state(site, id, "hana", FINAL, address=other.address())
    site.gateways[0] = site.launch("gateway", OFFPATH_LISTEN=site.address).wait_ready()
    browser.one(f'#toasts a[href$="/j/{id}"]', 40)
    other.stop()
    assert all(n.isdigit() for n in browser.js("return since.slice(1)"))


def test_the_next_tab_goes_on_where_the_one_before_it_was(site, browser, before_pages):
    sign_in(site, browser, "ivan")
    wait_open(site.gateways[0], 1)
    first = browser.d.current_window_handle
    browser.d.switch_to.new_window("tab")
    browser.cdp("Page.enable")
    browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=LISTEN)
    browser.go(f"{site.base}/me")
    id = accept(site, "told", "ivan")
    browser.one(f'#toasts a[href$="/j/{id}"]', 40)
    assert browser.js("return since") == []  # the first tab listens for both
    second = browser.d.current_window_handle
    browser.d.switch_to.window(first)
    browser.d.close()
    browser.d.switch_to.window(second)
    since = wait_for("the second listens", lambda: browser.js("return since"))
    assert since[0].isdigit(), since


@pytest.mark.parametrize("way", ["dead", "frozen"])
def test_a_job_that_cannot_be_read_is_no_empty_page(site, browser, way):
    id = site.run()["id"]
    with getattr(site.stack, way)("mysql"):
        browser.go(f"{site.base}/j/{id}")
        browser.sees("Cannot be read now; your job goes on", timeout=40)
        assert "Live updates are off" not in browser.text()
    browser.sees("All 3 worked.", timeout=60)
    assert "Cannot be read now" not in browser.text()


# The first look at a job finds it as it was when it was accepted, the second one waits for window.letGo().
EARLY = """
const real = window.fetch;
let looks = 0;
window.fetch = async (url, options) => {
  const answer = await real(url, options);
  if (!String(url).includes("include=attempts")) return answer;
  looks += 1;
  if (looks === 1) return Response.json({ ...await answer.json(), state: "queued", calls: [] });
  if (looks === 2) await new Promise((go) => { window.letGo = go; });
  return answer;
};
"""


def test_calls_stand_in_the_flows_order_whatever_came_first(site, browser, before_pages):
    before_pages(EARLY)
    for shop in ("a-mart", "b-shop"):
        site.standin.hold(shop)
    begin(site, browser)
    browser.one('[id="call=c-store"] .state.succeeded')  # its event is all the page knows of calls
    assert holds(browser) and len(browser.find(".call")) == 1
    browser.js("letGo()")
    browser.counts(".call", 3)
    assert browser.js("return [...document.querySelectorAll('.call')].map((e) => e.id)") == [
        "call=a-mart", "call=b-shop", "call=c-store"]


# ---- a call for each of many

def begin_each(site, browser, flow, n):
    browser.go(f"{site.base}/f/{flow}")
    field(browser, "n").send_keys(str(n))
    browser.click("Start")
    browser.sees("Calls")


def test_how_many_calls_will_come_is_not_guessed(site, browser):
    """The call itself stands for those that come: it is none of them."""
    site.standin.hold("a-mart")
    begin_each(site, browser, "few", 7)
    browser.one('[id="call=each"]')
    wait_for("it is asked", lambda: site.standin.in_flight() == 1)
    site.standin.hold("a-mart", *[{"body": {"price": 1}}] * 4)  # the first is let go, and the sixth waits
    browser.sees("5 done", ".eta")
    browser.d.refresh()
    browser.sees("5 done", ".eta")
    browser.sees("more may come")
    assert "5 done" in browser.text(".eta")
    site.standin.let_go("a-mart")
    browser.sees("All 7 worked.", timeout=40)


RENDERS = """
window.drawn = 0;
new MutationObserver((all) => { drawn += all.some((m) => m.target.className?.startsWith?.("note")) ? 1 : 0; })
  .observe(document.documentElement, { childList: true, subtree: true });
"""  # how often the page was drawn anew


def test_a_job_of_a_thousand_calls(site, browser, before_pages):
    """None vanishes without a word, an address of one leads to it, and events are not drawn one by one."""
    before_pages(f"document.addEventListener('DOMContentLoaded', () => {{ {RENDERS} }});")
    begun = time.monotonic()
    begin_each(site, browser, "many", 1000)
    browser.sees("All 1000 worked.", timeout=60)
    assert browser.js("return drawn") < (time.monotonic() - begun) / 0.08 + 20
    browser.sees("200 of 1,000 shown")
    id = browser.d.current_url.rsplit("/", 1)[1]
    browser.go(f"{site.base}/j/{id}#call=each%5B777%5D")
    browser.one('.marked[id="call=each[777]"]')
    browser.counts(".call", 200)
    browser.js("location.hash = '#call=each%5B888%5D'")
    browser.one('.marked[id="call=each[888]"]')
    browser.sees("200 of 1,000 shown")
    browser.click("Show more")
    browser.sees("400 of 1,000 shown")
    browser.counts(".call", 400)
    browser.focuses("LI call=each[")


# Each call of a stream says that it was tried twice; window.loads: how often the record was asked for.
TWICE = """
const real = window.fetch;
window.loads = 0;
window.fetch = async (url, options) => {
  loads += String(url).includes("include=attempts") ? 1 : 0;
  const answer = await real(url, options);
  if (!/jobs.*events$/.test(url)) return answer;
  const twice = new TransformStream({ transform: (text, to) => to.enqueue(text.replace(/"attempts":1/g, '"attempts":2')) });
  return new Response(answer.body.pipeThrough(new TextDecoderStream()).pipeThrough(twice).pipeThrough(new TextEncoderStream()), answer);
};
"""


def test_a_long_job_is_not_read_again_for_each_call(site, browser, before_pages):
    before_pages(TWICE)
    site.standin.hold("a-mart", repeat=-1)
    begin_each(site, browser, "many", 1000)
    wait_for("50 calls wait", lambda: site.standin.in_flight() == 50)
    site.standin.hold("a-mart", {"body": {"price": 1}, "repeat": 250}, repeat=-1)
    browser.sees("300 done", ".eta", timeout=40)
    browser.js("loads = 0")
    begun = time.monotonic()
    site.standin.script("a-mart", {"body": {"price": 1}, "delay_ms": 300, "repeat": -1})
    browser.sees("All 1000 worked.", timeout=60)
    wait_for("a last look", lambda: browser.js("return loads"))
    assert browser.js("return loads") <= (time.monotonic() - begun) / 2 + 2
