"""The quick start's switch between a guest, Alice and Bob: in a gateway that was started for it, and in no other."""
import pytest

from conftest import closing
from harness import request
from test_signed_in import make_site


@pytest.fixture(scope="module")
def demo(stack, work_folder, release):
    site = make_site(stack, work_folder, release, OFFPATH_DEMO_USERS="alice=7,bob=8").open()
    site.base = f"http://{site.address}"
    yield site
    closing([site])


def become(browser, name):
    browser.click(name)
    place = ("Alice", "Bob", "Guest").index(name) + 1
    browser.one(f"header .switch [aria-pressed=true]:nth-child({place})")
    assert [e.text for e in browser.find("header .switch [aria-pressed=true]")] == [name]


def test_a_click_is_a_user(demo, browser):
    browser.go(f"{demo.base}/me")
    browser.sees("Sign in to see your jobs")
    for name in ("Bob", "Guest", "Alice"):
        become(browser, name)
    browser.go(f"{demo.base}/f/mine")  # which guests may not start
    browser.click("Fill in an example")
    browser.click("Start")
    browser.sees("only you can read it")
    id = browser.d.current_url.rsplit("/", 1)[1]
    demo_job = f'[data-id="{id}"]'
    become(browser, "Bob")
    browser.sees("Not found, or not yours")
    browser.go(f"{demo.base}/me")
    browser.sees("My jobs", "h1")
    become(browser, "Alice")
    browser.one(demo_job)
    become(browser, "Guest")
    browser.sees("Sign in to see your jobs")
    assert browser.axe() == []


def test_no_other_gateway_has_them(demo, new_site):
    plain = new_site().open()
    headers = {"Sec-Fetch-Site": "same-origin"}
    assert b"data-demo" in request(demo.address, "GET", "/").body
    assert b"data-demo" not in request(plain.address, "GET", "/").body
    assert request(demo.address, "POST", "/v1/login?demo=alice", None, headers).status == 200
    assert request(plain.address, "POST", "/v1/login?demo=alice", None, headers).status == 401
