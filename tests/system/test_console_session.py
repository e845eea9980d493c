"""Who the console goes on as: a session that ends, a cookie that is refused, a clock that is wrong, a browser
that keeps nothing more."""
from console import before_pages, begin, field, sign_in, sign_in_here, signed, site, watch_own
from harness import wait_for
from test_signed_in import accept, ask, token, wait_state

__all__ = ["before_pages", "signed", "site"]  # fixtures

ASKED = "return performance.getEntriesByType('resource').filter(e => e.name.includes('/v1/')).map(e => e.name)"
# Two hours ahead, in every page of this tab.
AHEAD = """
const Right = Date;
window.Date = class extends Right {
  constructor(...words) { if (words.length) super(...words); else super(Right.now() + 7200000); }
  static now() { return Right.now() + 7200000; }
};
"""
LOGIN = """
const real = window.fetch;
window.fetch = async (url, options) => {
  const answer = await real(url, options);
  if (String(url).endsWith("/login")) window.login = await answer.clone().json();
  return answer;
};
"""  # window.login: what the gateway has said to it


def jobs(site, flow):
    return int(site.sql(f"SELECT COUNT(*) FROM op_job WHERE flow='{flow}'")[0][0])


def test_a_session_that_ends_makes_nobody_a_guest(site, browser):
    """Not of the form, though guests may start it: the job would be nobody's."""
    browser.go(f"{site.base}/f/open")
    field(browser, "n").send_keys("7")
    before = jobs(site, "open")
    sign_in_here(browser, "alice", ttl=8)
    browser.sees("Sign in again; your form is kept", "#toasts")
    browser.button("Sign in", "header button")
    browser.button("alice · Sign out")
    browser.click("Start")
    browser.sees("Sign in again; your form is kept")
    assert jobs(site, "open") == before and field(browser, "n").get_attribute("value") == "7"
    browser.button("Sign in", ".problem button").click()
    browser.one("#token").send_keys(token("alice"))
    browser.button("Sign in", "dialog button").click()
    browser.sees("only you can read it")  # it repeats what was clicked
    id = browser.d.current_url.rsplit("/", 1)[1]
    assert wait_state(site, id, "alice", ("succeeded",))["result"] == {"user": "alice", "price": 18900}
    assert ask(site, "GET", f"/v1/jobs/{id}").status == 404


def test_behind_its_end_nothing_is_asked_as_a_guest(site, browser):
    id = accept(site, "mine", "alice")
    browser.go(f"{site.base}/f/open")
    field(browser, "n")
    sign_in_here(browser, "alice", ttl=8)
    browser.sees("Sign in again; your form is kept", "#toasts")
    for path in (f"/j/{id}", "/me", "/", "/f/mine"):
        browser.go(site.base + path)
        browser.sees("Sign in again; your form is kept", "main")
        assert browser.js(ASKED) == [], path
    browser.go(f"{site.base}/j/{id}")
    sign_in_here(browser, "alice")
    browser.sees("succeeded", "h1")


def test_a_stream_does_not_go_on_as_a_guests(site, browser):
    watch_own(site, browser, ttl=8)
    browser.sees("Sign in again; your form is kept", "#toasts")
    assert "Sign in again" not in browser.text("main")  # what is there can be read on
    browser.offline(True)  # its stream breaks, and is to go on
    browser.sees("Sign in again; your form is kept", ".problem")
    assert "Not found" not in browser.text()
    browser.js("addEventListener('hashchange', () => { window.moved = true; }); location.hash = 'call=ask'")
    wait_for("another address", lambda: browser.js("return window.moved"))
    assert "Sign in again; your form is kept" in browser.text(".problem")


def test_who_signs_out_of_a_session_that_ended_is_a_guest(site, browser):
    browser.go(f"{site.base}/f/open")
    hers = field(browser, "n")
    sign_in_here(browser, "alice", ttl=8)
    browser.sees("Sign in again; your form is kept", "#toasts")
    browser.click("alice · Sign out")
    wait_for("a form of nobody's", lambda: field(browser, "n") != hers)
    assert "alice" not in browser.text("header")
    field(browser, "n").send_keys("7")
    browser.click("Start")
    browser.sees("anyone with the link can read it")


def test_a_cookie_that_is_refused_locks_nobody_out(site, browser):
    browser.go(f"{site.base}/console/icon.svg")
    browser.cdp("Network.setCookie", name="offpath", value="x.y.z", url=site.base, httpOnly=True, sameSite="Strict")
    browser.go(f"{site.base}/")
    browser.sees("Sign in again")
    browser.click("Try again")
    browser.sees("Flow open")
    assert "Sign in again" not in browser.text()


def test_a_refused_user_stays_signed_out_until_he_says_so(site, browser):
    """The gateway no longer takes his token: his next request is not a guest's."""
    sign_in(site, browser, "alice")
    browser.sees("Last jobs")
    browser.cdp("Network.setCookie", name="offpath", value="x.y.z", url=site.base, httpOnly=True, sameSite="Strict")
    browser.click("My jobs")
    browser.sees("Sign in again")
    browser.click("Try again")
    browser.button("alice · Sign out")
    browser.sees("Sign in again")
    sign_in_here(browser, "alice")
    browser.sees("My jobs", "h1")
    assert browser.one(".filters")


def test_a_clock_that_is_wrong_changes_nothing(site, browser, before_pages):
    before_pages(AHEAD)
    sign_in(site, browser, "alice")
    browser.button("alice · Sign out")
    site.standin.hold("a-mart")
    begin(site, browser)
    browser.sees("2 of 3 done", ".eta")
    browser.sees("so far", ".eta")
    assert "min" not in browser.text(".eta") and " h " not in browser.text(".eta"), browser.text(".eta")
    seen = browser.text(".facts")
    assert "now" in seen or "ago" in seen, seen
    site.standin.let_go("a-mart")
    browser.sees("All 3 worked.", timeout=40)
    browser.go(f"{site.base}/me")
    browser.button("alice · Sign out")


def test_a_clock_that_is_a_little_behind_ends_a_session_no_later(site, browser, before_pages):
    """Its difference is too small to be told from the way of an answer."""
    before_pages(AHEAD.replace("7200000", "-1200") + LOGIN)
    sign_in(site, browser, "alice")
    kept, true = browser.js("return [JSON.parse(localStorage['offpath.me']).expires, login.expires].map(Date.parse)")
    assert kept + 1200 < true


def test_a_full_browser_still_signs_in(site, browser, before_pages):
    before_pages("Storage.prototype.setItem = () => { throw new DOMException('full', 'QuotaExceededError'); };")
    sign_in(site, browser, "alice")
    browser.click("Flow mine")
    field(browser, "n").send_keys("7")
    browser.click("Start")
    browser.sees("succeeded", "h1")
    assert "alice" in browser.text("header")
