"""The console's pages one by one: addresses, what a shared device keeps and shows to whom, what moves."""
import datetime
import json

from browser import Keys
from console import before_pages, begin, field, open_flow, sign_in, signed, site
from harness import wait_for
from test_signed_in import accept, ask, wait_state

__all__ = ["before_pages", "signed", "site"]  # fixtures

KEPT = "return JSON.stringify(localStorage)"


# ---- addresses

def test_back_and_forward_lead_to_the_page_of_the_address(site, browser):
    id = begin(site, browser)
    browser.sees("All 3 worked.", timeout=40)
    browser.js("document.querySelector('[id=\"call=a-mart\"] a').click()")
    browser.one('.marked[id="call=a-mart"]')
    browser.click("My jobs")
    browser.sees("My jobs", "h1")
    browser.d.back()
    browser.sees("All 3 worked.")
    browser.one('.marked[id="call=a-mart"]')
    browser.js("document.querySelector('h1').same = true")
    browser.d.back()  # the same page without its mark
    wait_for("the address", lambda: browser.d.current_url == f"{site.base}/j/{id}", 10)
    assert browser.js("return document.querySelector('h1').same")
    browser.d.forward()
    browser.d.forward()
    browser.sees("My jobs", "h1")


def test_a_mistyped_address_leads_home(site, browser):
    for path in ("/nope", "/me/", "/errors/nope"):
        browser.go(site.base + path)
        browser.sees("no such address")
        browser.click("Offpath")
        browser.sees("Start", "h1")
    assert browser.d.current_url == f"{site.base}/"


def test_a_mark_that_cannot_be_read_marks_nothing(site, browser):
    id = site.run()["id"]
    browser.go(f"{site.base}/j/{id}#call=%")
    browser.sees("All 3 worked.")
    assert not browser.find(".marked")


# ---- who sees what

def test_a_shared_device_keeps_a_members_results_for_nobody(site, browser):
    sign_in(site, browser, "alice")
    browser.click("Flow mine")
    browser.one("#field-2").send_keys("7")
    browser.click("Start")
    browser.sees("succeeded", "h1")
    id = browser.d.current_url.rsplit("/", 1)[1]
    guests = site.run()["id"]
    browser.go(f"{site.base}/me?state=failed")  # not where the server lists it
    browser.sees("No job fits these filters.")
    assert not browser.find(f'[data-id="{id}"]')
    assert "18900" not in browser.js(KEPT)
    kept = json.loads(browser.js("return localStorage.getItem('offpath.links')"))
    browser.js("localStorage.setItem('offpath.links', arguments[0])", json.dumps([*kept, {"id": guests, "flow": "price-compare", "user": ""}]))
    browser.cdp("Network.clearBrowserCookies")  # her session ends, and somebody else comes
    browser.js("localStorage.removeItem('offpath.me')")
    browser.go(f"{site.base}/me")
    browser.one(f'[data-id="{guests}"]')
    assert not browser.find(f'[data-id="{id}"]')
    sign_in(site, browser, "bob")
    browser.sees("Last jobs")
    assert id not in browser.js(KEPT)


def test_who_signs_out_leaves_neither_links_nor_input(site, browser):
    sign_in(site, browser, "alice")
    browser.click("Flow mine")
    browser.one("#field-2").send_keys("7341")
    browser.click("Start")
    browser.sees("succeeded", "h1")
    id = browser.d.current_url.rsplit("/", 1)[1]
    assert id in browser.js(KEPT) and "7341" in browser.js(KEPT)
    browser.click("alice · Sign out")
    browser.sees("Not found, or not yours")
    assert id not in browser.js(KEPT) and "7341" not in browser.js(KEPT)


def test_a_job_says_who_can_read_it(site, browser):
    """Also one that this browser did not start."""
    guests, own = accept(site, "open"), accept(site, "mine", "carol")
    sign_in(site, browser, "carol")
    browser.go(f"{site.base}/j/{own}")
    browser.sees("only you can read it")
    browser.go(f"{site.base}/j/{guests}")
    browser.sees("anyone with the link can read it")
    assert "only you" not in browser.text()


def test_secrets_are_kept_nowhere_however_the_schema_says_so(site, browser):
    request = {"plain": "kept-1", "direct": "s3cret-1", "far": "s3cret-2", "mixed": {"code": "s3cret-3", "note": "kept-3"},
               "list": ["s3cret-4"], "pair": ["kept-5", "s3cret-5"], "either": "s3cret-6", "more-a": "s3cret-7",
               "tree": {"left": {"pin": "s3cret-8", "name": "kept-8"}}, "later": "s3cret-9"}

    def keeps():
        kept = browser.js(KEPT)
        return "s3cret" not in kept and all(word in kept for word in ("kept-1", "kept-3", "kept-5", "kept-8"))
    browser.go(f"{site.base}/f/secrets")
    browser.sees("Check only")
    browser.click("JSON")
    browser.js("const a = document.querySelector('textarea.code'); a.value = arguments[0]; a.dispatchEvent(new Event('input'))",
               json.dumps(request))
    browser.sees("Draft kept")
    assert keeps(), browser.js(KEPT)
    browser.click("Start")
    browser.sees("succeeded", "h1")
    assert keeps(), browser.js(KEPT)  # what was sent, for "Run again"


# ---- lists

def test_new_jobs_are_counted_once_each(site, browser):
    sign_in(site, browser, "erin")
    browser.go(f"{site.base}/me")
    browser.sees("No jobs yet")
    for n in (1, 2):
        id = accept(site, "told", "erin")
        browser.one(f'#toasts a[href$="/j/{id}"]', 40)  # it began and it ended
        browser.sees(f"{n} new - show")
    browser.click("2 new - show")
    assert browser.counts(".job-row", 2)
    browser.go(f"{site.base}/me?flow=mine")
    browser.sees("No job fits these filters.")
    id = accept(site, "told", "erin")
    browser.one(f'#toasts a[href$="/j/{id}"]', 40)
    assert "new - show" not in browser.text()


def test_nothing_moves_where_a_listed_job_ends(site, browser):
    """Its row says so in its place; the page is not drawn anew and the focus stays."""
    sign_in(site, browser, "fred")
    site.standin.hold("a-mart")
    id = accept(site, "told", "fred")
    wait_state(site, id, "fred", ("running",))
    for path in ("/", "/me"):
        browser.go(site.base + path)
        browser.one(f'[data-id="{id}"] .state.running')
    browser.go(f"{site.base}/")
    browser.one(f'[data-id="{id}"] .state.running')
    browser.js("document.querySelector('h1').same = true; const a = document.querySelector(arguments[0]); a.same = true; a.focus()",
               f'[data-id="{id}"] a')
    site.standin.let_go("a-mart")
    browser.one(f'[data-id="{id}"] .state.succeeded', 40)
    browser.sees("18900", f'[data-id="{id}"]')
    assert browser.js("return document.querySelector('h1').same && document.activeElement.same")


def test_jobs_of_this_device_keep_their_place(site, browser):
    site.standin.hold("a-mart")
    older = begin(site, browser)
    browser.sees("running", "h1")
    newer = begin(site, browser)
    browser.sees("All 3 worked.", timeout=40)
    site.standin.let_go("a-mart")
    browser.go(f"{site.base}/j/{older}")
    browser.sees("All 3 worked.", timeout=40)  # which is news to its link
    browser.go(f"{site.base}/me")
    browser.counts(".job-row .succeeded", 2)
    assert browser.js("return [...document.querySelectorAll('.job-row')].map((r) => r.dataset.id)") == [newer, older]


def test_load_older_goes_on_where_the_rows_begin(site, browser):
    sign_in(site, browser, "olga")
    ids = [accept(site, "told", "olga") for _ in range(22)]
    site.wait_registered(ids)
    browser.go(f"{site.base}/me")
    browser.counts(".job-row", 20)
    browser.click("Load older")
    browser.counts(".job-row", 22)
    wait_for("the focus on the first new row", lambda: ids[1] in browser.js("return document.activeElement.href || ''"))


def test_jobs_since_a_day_are_those_of_the_day_and_later(site, browser):
    """Yesterday and tomorrow: the test may run over midnight."""
    sign_in(site, browser, "alice")
    id = accept(site, "told", "alice")
    for days, there in ((1, True), (-1, False), (0, True)):
        day = datetime.date.today() - datetime.timedelta(days) if days else ""
        browser.go(f"{site.base}/me")
        browser.js("const [i, day] = arguments; i.value = day; i.form.requestSubmit()", browser.one("#f-since"), str(day))
        wait_for("the address says it", lambda: (f"since={day}" in browser.d.current_url) == bool(day))
        if there:
            browser.one(f"a[href='/j/{id}']")
        else:
            browser.sees("No job fits these filters")
            assert not browser.find(f"a[href='/j/{id}']")


def test_a_filter_whose_pages_are_empty_is_not_at_its_end(site, browser, before_pages):
    """What has few jobs that fit may have pages without one, and others behind them."""
    before_pages("""window.pages = 0; const real = fetch;
        window.fetch = (url, how) => (String(url).startsWith("/v1/jobs?") && ++pages < 9 ?
          Promise.resolve(new Response('{"items": [], "next": "x"}', {headers: {"content-type": "application/json"}})) : real(url, how));""")
    sign_in(site, browser, "nora")
    browser.go(f"{site.base}/me?state=failed")
    browser.sees("Load older")
    assert "No job fits" not in browser.text()


def test_a_filter_that_nothing_fits_says_so_to_a_guest_too(site, browser):
    begin(site, browser)
    browser.sees("All 3 worked.", timeout=40)
    browser.go(f"{site.base}/me?state=expired")
    browser.sees("No job fits these filters")
    assert "No jobs yet" not in browser.text() and not browser.find(".cards")


def test_a_job_that_was_redriven_is_asked_for_again(site, browser):
    id = site.run()["id"]
    browser.go(f"{site.base}/me")
    browser.js("localStorage.setItem('offpath.links', arguments[0])", json.dumps(
        [{"id": id, "flow": "price-compare", "user": "", "state": "failed", "job": {"state": "failed"}}]))
    browser.d.refresh()
    assert browser.one(f'[data-id="{id}"] .state.succeeded')


def test_without_the_record_a_member_can_still_start(site, browser):
    """Only the list says that it cannot be read; nothing else moves, and it comes when it can."""
    sign_in(site, browser, "mia")
    browser.sees("Last jobs")
    for path in ("/", "/me"):
        with site.stack.dead("mysql"):
            browser.go(site.base + path)
            browser.sees("Cannot be read now", timeout=40)
            browser.js("document.querySelector('h1').same = true")
            assert browser.find('a[href="/f/mine"], .filters'), browser.text()
            assert not browser.find("[aria-busy]")
        browser.sees("No jobs yet", timeout=60)
        assert browser.js("return document.querySelector('h1').same")
        assert "Cannot be read now" not in browser.text()


def test_a_control_keeps_the_focus_when_it_changes(site, browser):
    site.standin.hold("a-mart")
    id = begin(site, browser)
    browser.sees("2 of 3 done", ".eta")
    for old, new in (("Colours: Auto", "Colours: Light"), ("Tell me when done", "Will tell you")):
        browser.js("arguments[0].focus()", browser.button(old))
        browser.press(Keys.ENTER)
        browser.focuses("BUTTON  " + new)
    browser.js("arguments[0].focus()", browser.one('[id="call=a-mart"] a'))
    site.standin.let_go("a-mart")
    browser.sees("succeeded", '[id="call=a-mart"]', timeout=40)
    browser.focuses("A  a-mart")
    assert id in browser.d.current_url


# ---- a job that was cancelled

def test_a_cancelled_job_says_who_cancelled_it(site, browser):
    sign_in(site, browser, "gus")
    site.standin.hold("a-mart")
    browser.go(f"{site.base}/j/{accept(site, 'told', 'gus')}")
    browser.sees("running", "h1")
    browser.click("Cancel")
    browser.click("Cancel the job")
    browser.sees("by you", ".note")
    site.standin.hold("a-mart")
    others = accept(site, "told", "gus")
    browser.go(f"{site.base}/j/{others}")
    browser.sees("running", "h1")
    assert ask(site, "DELETE", f"/v1/jobs/{others}", "gus").status in (200, 202)
    browser.sees("by its owner or an operator", ".note")
    browser.d.refresh()
    browser.sees("by its owner or an operator", ".note")
    assert "It was cancelled." not in browser.text(".note")  # said already


def test_one_result_is_not_said_like_many(site, browser):
    site.standin.hold("a-mart", {"body": {"price": 1}})
    browser.go(f"{site.base}/f/few")
    field(browser, "n").send_keys("2")
    browser.click("Start")
    browser.sees("1 done", ".eta")
    browser.click("Cancel")
    browser.click("Cancel the job")
    assert browser.sees("by you. 1 result kept", ".note")


def test_the_list_says_at_each_visit_why_a_job_has_no_result(site, browser):
    site.standin.hold("a-mart")
    open_flow(site, browser, "1", "few").click("Start")
    browser.sees("running", "h1")
    browser.click("Cancel")
    browser.click("Cancel the job")
    browser.sees("by you", ".note")
    for _ in range(2):  # asked for once, then from what this device keeps
        browser.go(f"{site.base}/me")
        assert browser.sees("It was cancelled.", ".job-row")


def test_a_cancel_that_cannot_be_sent_says_why(site, browser):
    sign_in(site, browser, "hugo")
    site.standin.hold("a-mart")
    browser.go(f"{site.base}/j/{accept(site, 'told', 'hugo')}")
    browser.sees("running", "h1")
    browser.offline(True)
    browser.click("Cancel")
    browser.click("Cancel the job")
    assert browser.sees("No answer from the server", "#toasts")


# ---- an answer that does not come, keys that are off

def test_an_answer_that_does_not_come_is_none(site, browser, before_pages):
    """After 30 s (here 0.3 s) it is asked for again."""
    before_pages("""
        const timeout = AbortSignal.timeout, real = fetch; let hangs = true;
        AbortSignal.timeout = (ms) => timeout.call(AbortSignal, ms === 30000 ? 300 : ms);
        window.fetch = (url, how) => {
          if (!hangs || url !== "/v1/flows") return real(url, how);
          hangs = false;
          return new Promise((_, no) => how.signal?.addEventListener("abort", () => no(how.signal.reason)));
        };""")
    browser.go(f"{site.base}/")
    browser.sees("No answer from the server")
    browser.sees("Flow open")
    assert "No answer" not in browser.text()


def test_keys_that_are_off_do_nothing(site, browser):
    browser.go(f"{site.base}/me")
    browser.sees("Started from this device")
    browser.press("?")
    browser.one("dialog[open] kbd")
    browser.press("g")
    browser.press("f")  # the page behind the question stays
    browser.click("Switch them off")
    wait_for("it is closed", lambda: not browser.find("dialog[open]"), 10)
    browser.press("?")
    browser.press("g")
    browser.press("f")
    assert not browser.find("dialog[open]") and browser.d.current_url == f"{site.base}/me"


# ---- what moves

STEPS = """
const done = arguments[0];
let steps = 0;
const watch = new MutationObserver(() => { steps += 1; });
watch.observe(document.querySelector("[id='call=b-shop'] .track"), { childList: true });
const row = document.createElement("li");
row.className = "row new";
document.querySelector(".results").append(row);
const moving = () => document.getAnimations().length;
requestAnimationFrame(() => { const began = moving(); setTimeout(() => { watch.disconnect(); row.remove(); done([steps, began]); }, 2500); });
"""


def test_who_wants_no_motion_sees_none(site, browser):
    """Bars step once a second, and a result that comes is there at once."""
    site.standin.hold("b-shop")
    id = begin(site, browser)
    for how, few, moving in (({}, False, 1), ({"prefers_reduced_motion": "reduce"}, True, 0)):
        browser.prefer(**how)
        browser.go(f"{site.base}/j/{id}")
        browser.sees("2 of 3 done", ".eta")
        browser.d.set_script_timeout(20)
        steps, began = browser.d.execute_async_script(STEPS)
        assert (steps < 6) == few and began == moving, (how, steps, began)
    site.standin.let_go("b-shop")
