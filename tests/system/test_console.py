"""The console in a real browser: start, watch, refresh, find again, sign in, by keyboard, on a phone, in
the dark; and that what upstreams send stays text."""
import pytest

from conftest import closing
from harness import wait_for
from test_signed_in import make_site, token

SLOW = 3000


@pytest.fixture(scope="module")
def signed(stack, work_folder, release):
    site = make_site(stack, work_folder, release).open()
    yield site
    closing([site])


@pytest.fixture
def site(signed):
    signed.standin.mend()
    signed.base = f"http://{signed.address}"
    return signed


def open_flow(site, browser, product=None, flow="price-compare"):
    browser.go(f"{site.base}/f/{flow}")
    browser.one("#field-2").send_keys(product or site.product())
    return browser


def begin(site, browser, product=None):
    """A job started in the form: its id."""
    open_flow(site, browser, product).click("Start")
    wait_for("the job's page", lambda: "/j/" in browser.d.current_url, 15)
    return browser.d.current_url.rsplit("/", 1)[1]


def sign_in(site, browser, user):
    browser.go(f"{site.base}/")
    browser.click("Sign in")
    browser.one("#token").send_keys(token(user))
    browser.button("Sign in", "dialog button").click()
    browser.sees(user, "header")


def test_a_job_is_started_watched_and_shown_in_parts(site, browser):
    site.standin.script("b-shop", {"status": 503, "repeat": -1})
    site.standin.script("c-store", {"delay_ms": SLOW})
    id = begin(site, browser)
    browser.sees("Request complete. You can close this page.")
    browser.sees("1. a-mart")  # the first result while the others are on their way
    assert "running" in browser.text()
    browser.sees("2 of 3 worked.", timeout=40)
    browser.sees("b-shop: The service failed. (3 attempts")
    assert browser.text().index("1. a-mart") < browser.text().index("2. c-store")
    assert "17,450" in browser.text(".final")
    assert browser.js("return document.title") == "Compare prices - partial - Offpath"
    # each attempt and each pause of the call that failed is in the picture
    bar = browser.one('[id="call=b-shop"] svg')
    assert len(bar.find_elements("css selector", "rect.bad")) == 3
    assert len(bar.find_elements("css selector", "rect.pause")) == 2
    browser.go(f"{site.base}/j/{id}#call=b-shop")
    browser.one('.marked[id="call=b-shop"]')
    browser.sees("2 of 3 worked.")


def test_a_refresh_in_the_middle_loses_nothing(site, browser):
    """A10: a refresh or a change of page never loses the form or the request."""
    open_flow(site, browser, "4711")
    browser.go(f"{site.base}/me")
    browser.sees("My jobs")
    browser.go(f"{site.base}/f/price-compare")
    assert browser.one("#field-2").get_attribute("value") == "4711"
    site.standin.script("c-store", {"delay_ms": SLOW})
    id = begin(site, browser)
    browser.sees("1. a-mart")
    browser.d.refresh()
    browser.sees("1. a-mart")
    browser.sees("running")
    browser.sees("All 3 worked.", timeout=40)
    assert site.job(id)["state"] == "succeeded"
    browser.click("My jobs")
    browser.sees("Started from this device")
    assert browser.find(f'[data-id="{id}"] .state.succeeded')


def test_a_wrong_field_is_named_and_led_to(site, browser):
    open_flow(site, browser, "no number").click("Start")
    browser.sees("Please mend this first")
    assert "problem" in browser.js("return document.activeElement.className")
    browser.one(".problem a").click()
    field = browser.one("#field-2")
    assert browser.js("return document.activeElement.id") == "field-2"
    assert field.get_attribute("aria-invalid") == "true"
    assert browser.text("#field-2-error") and "field-2-error" in field.get_attribute("aria-describedby")


def test_a_member_finds_her_jobs_again(site, browser):
    """A9: the member finds the answer on the my page afterwards, also after a refresh or in another browser."""
    sign_in(site, browser, "alice")
    browser.click("Flow mine")
    browser.one("#field-2").send_keys("7")
    browser.click("Start")
    browser.sees("only you can read it")
    browser.sees("succeeded", "h1")
    id = browser.d.current_url.rsplit("/", 1)[1]
    browser.js("localStorage.removeItem('offpath.links')")  # as if from another browser
    browser.go(f"{site.base}/me?state=succeeded")
    row = f'.list [data-id="{id}"] a'
    browser.one(row)
    browser.d.refresh()
    assert id in browser.one(row).get_attribute("href")
    browser.js("document.querySelector(arguments[0]).click()", row)
    browser.sees("succeeded", "h1")
    browser.click("alice · Sign out")
    browser.sees("Not found, or not yours")
