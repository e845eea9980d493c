"""The form of the console: what is sent, how often and as what; what is kept of it, and for whom."""
import json
import subprocess

from browser import Keys
from console import POSTS, before_pages, field, holds, open_flow, sign_in, sign_in_here, signed, site, write_json
from harness import wait_for
from test_signed_in import token

__all__ = ["before_pages", "signed", "site"]  # fixtures

DRAFTS = "return Object.entries(localStorage).filter(([k]) => k.startsWith('offpath.draft')).map((e) => e.join(' ')).join(' ')"


def open_form(site, browser, must=None, query=""):
    browser.go(f"{site.base}/f/form{query}")
    browser.sees("Check only")
    if must:
        field(browser, "must").send_keys(must)


def posts(browser, n):
    wait_for(f"{n} starts", lambda: browser.js("return posts.length") >= n)
    return browser.js("return posts")


def result(site, browser):
    """Of the job that has been started."""
    wait_for("the job's page", lambda: "/j/" in browser.d.current_url)
    return site.wait_final(browser.d.current_url.rsplit("/", 1)[1])["result"]


# ---- once is once

def test_a_broken_start_is_repeated_as_it_was(site, browser, before_pages):
    before_pages(POSTS + "plan.push({reaches: true});")
    open_form(site, browser, "once")
    browser.press(Keys.CONTROL, Keys.ENTER)
    browser.sees("No answer from the server")
    browser.sees("with the same key")
    first, second = posts(browser, 2)
    assert first == second
    assert result(site, browser)["must"] == "once"


def test_a_form_edited_meanwhile_is_not_sent_by_itself(site, browser, before_pages):
    """Two jobs from one click: the first may have been accepted."""
    before_pages(POSTS + "plan.push({wait: true, reaches: true});")
    open_form(site, browser, "first")
    browser.click("Start")
    holds(browser)
    field(browser, "must").send_keys(" edited")
    browser.js("letGo()")
    browser.sees("No answer from the server")
    assert "with the same key" not in browser.text()
    assert browser.js("return document.activeElement.value") == "first edited"  # who types is left there
    browser.click("Start")
    first, second = posts(browser, 2)
    assert first[0] != second[0]
    assert result(site, browser)["must"] == "first edited"


def test_an_edit_stops_the_repeat_and_its_line(site, browser, before_pages):
    before_pages(POSTS + "plan.push({status: 503, code: 'not-durable', after: '60'});")
    open_form(site, browser, "x")
    browser.click("Start")
    browser.sees("Asking again in")
    field(browser, "must").send_keys("y")
    wait_for("the line is gone", lambda: "Asking again" not in browser.text())
    assert "Not accepted, nothing was started" in browser.text()


def test_other_tabs_do_not_change_the_key(site, browser, before_pages):
    before_pages(POSTS + "plan.push({status: 503, code: 'not-durable', after: '2'});")
    open_form(site, browser, "of the first tab")
    first = browser.d.current_window_handle
    browser.d.switch_to.new_window("tab")
    open_form(site, browser, " and of the second")
    second = browser.d.current_window_handle
    browser.d.switch_to.window(first)
    browser.click("Start")
    browser.sees("Asking again in")
    browser.d.switch_to.window(second)
    field(browser, "must").send_keys("!")
    browser.d.switch_to.window(first)
    one, two = posts(browser, 2)
    assert one == two
    assert result(site, browser)["must"] == "of the first tab"


def test_a_repeat_moves_nothing(site, browser, before_pages):
    before_pages(POSTS + "plan.push(...Array(2).fill({status: 503, code: 'not-durable', after: '1'}));")
    open_form(site, browser, "x")
    browser.click("Start")
    browser.sees("Asking again in")
    browser.js("document.querySelector('.problem').same = true; arguments[0].focus()", field(browser, "n"))
    posts(browser, 2)
    assert browser.js("return document.querySelector('.problem')?.same ?? location.pathname.startsWith('/j/')")
    assert len(posts(browser, 3)) == 3
    assert result(site, browser)["must"] == "x"


def test_a_limit_counts_down_on_the_button(site, browser, before_pages):
    """Neither an edit nor a check opens it before its time."""
    before_pages(POSTS + "plan.push({status: 429, code: 'rate-limited', after: '15'});")
    open_form(site, browser, "x")
    browser.click("Start")
    browser.sees("Too many requests just now")
    browser.sees("Start (", ".primary")
    field(browser, "must").send_keys("y")
    browser.click("Check only")
    browser.sees("This request is valid")
    assert "Start (" in browser.text(".primary")
    browser.press(Keys.CONTROL, Keys.ENTER)
    assert len(browser.js("return posts")) == 1
    browser.click("Start")
    assert result(site, browser)["must"] == "xy"


def test_a_key_of_another_request_is_changed_at_a_click(site, browser, before_pages):
    before_pages(POSTS + "plan.push({status: 422, code: 'key-reused'});")
    open_form(site, browser, "x")
    browser.click("Start")
    browser.sees("This key belongs to another request")
    browser.click("Start with a new key")
    first, second = posts(browser, 2)
    assert first[0] != second[0] and first[1] == second[1]
    assert result(site, browser)["must"] == "x"


def test_an_answer_from_the_cache_is_shown_where_it_was_asked(site, browser):
    product = site.product()
    site.run(product)
    wait_for("it is cached", lambda: site.post(product).status == 200)
    jobs = site.sql("SELECT COUNT(*) FROM op_job")
    open_flow(site, browser, product).click("Check only")
    browser.sees("The answer is in the cache")
    browser.click("Start")
    browser.sees("from cache")
    browser.focuses("H2")
    assert "/f/price-compare" in browser.d.current_url and "a-mart" in browser.text(".ok")
    assert site.sql("SELECT COUNT(*) FROM op_job") == jobs


# ---- what is copied

COPIED = "window.copied = []; navigator.clipboard.writeText = async (text) => { copied.push(text); };"


def copied(browser):
    return wait_for("something is copied", lambda: browser.js("return copied.pop()"))


def run_curl(command, **env):
    done = subprocess.run(["sh", "-c", command], env={"PATH": "/usr/bin:/bin", **env}, capture_output=True, text=True, timeout=30)
    return json.loads(done.stdout)


def test_what_is_copied_as_curl_does_the_same(site, browser):
    open_form(site, browser, "it's \"$HOME\" `x` \\ 'é'")
    browser.js(COPIED)
    browser.click("Copy as curl")
    command = copied(browser)
    browser.sees("Copied", ".toast")
    id = run_curl(command)["id"]
    assert site.wait_final(id)["result"]["must"] == "it's \"$HOME\" `x` \\ 'é'"
    browser.go(f"{site.base}/j/{id}")
    browser.sees("succeeded", "h1")
    browser.js(COPIED)
    browser.click("Copy as curl")
    assert run_curl(copied(browser))["id"] == id
    browser.press("c")
    assert copied(browser) == f"{site.base}/j/{id}"


def test_a_members_curl_says_where_her_token_goes(site, browser):
    sign_in(site, browser, "alice")
    open_form(site, browser, "hers")
    browser.js(COPIED)
    browser.click("Copy as curl")
    command = copied(browser)
    assert '"Authorization: Bearer $OFFPATH_TOKEN"' in command
    browser.go(f"{site.base}/j/{run_curl(command, OFFPATH_TOKEN=token('alice'))['id']}")
    browser.sees("succeeded", "h1")


def test_without_a_clipboard_the_text_is_there_to_take(site, browser):
    open_form(site, browser, "x")
    browser.js("navigator.clipboard.writeText = () => Promise.reject(new Error('not allowed'))")
    browser.click("Copy as curl")
    browser.sees("Copy this", "dialog")
    assert browser.js("return getSelection().toString() || document.activeElement.value").startswith("curl -X POST")


# ---- what is sent

def test_a_box_can_say_no(site, browser):
    """Also where its default says yes; a box that nobody touched says nothing."""
    open_form(site, browser, "a")
    assert field(browser, "on").is_selected()
    field(browser, "on").click()
    browser.click("JSON")
    assert json.loads(browser.one("textarea.code").get_attribute("value")) == {"must": "a", "on": False}
    browser.click("Form")
    browser.click("Start")
    assert result(site, browser) == {"must": "a", "on": False}
    browser.sees("succeeded", "h1")
    browser.click("Run again")
    browser.sees("Check only")
    field(browser, "maybe").click()
    field(browser, "maybe").click()
    browser.click("Start")
    wait_for("another job", lambda: "/j/" in browser.d.current_url)
    assert result(site, browser) == {"must": "a", "on": False, "maybe": False}


def test_no_number_is_rounded_on_its_way(site, browser, before_pages):
    before_pages(POSTS)
    big = "9007199254740993"
    open_form(site, browser, "big")
    field(browser, "n").send_keys(big)
    browser.click("Start")
    browser.sees("Please mend this first")
    field(browser, "n").clear()
    text = '{"must": "big", "n": %s}' % big
    write_json(browser, text)
    browser.click("Form")
    browser.sees(big, ".problem")  # it would be another one there
    browser.click("Start")
    browser.sees("a number beyond 2^53", ".problem")
    assert [body for _, body in posts(browser, 2)][1] == text
    assert '"n":"9007199254740993"' in posts(browser, 1)[0][1]


def test_what_must_be_filled_in_is_said_to_be(site, browser):
    open_form(site, browser)
    assert field(browser, "must").get_attribute("aria-required") == "true"
    assert field(browser, "n").get_attribute("aria-required") is None


def error(browser, label):
    return browser.text(f"#{field(browser, label).get_attribute('id')}-error")


def test_an_empty_text_that_was_given_stays_one(site, browser, before_pages):
    """As of a job that is run again; once somebody writes there, empty is left out."""
    before_pages(POSTS)
    open_form(site, browser)
    write_json(browser, '{"must": ""}')
    browser.click("Form")
    field(browser, "must")
    browser.click("Start")
    assert json.loads(posts(browser, 1)[0][1])["must"] == ""


def test_what_is_left_empty_is_not_sent(site, browser, before_pages):
    """So the server asks for what must be there, at its field; who means an empty text writes it as JSON."""
    before_pages(POSTS)
    open_form(site, browser, "x")
    field(browser, "must").clear()
    browser.click("Start")
    browser.sees("must: is required", ".problem")
    assert error(browser, "must") == "is required" and not error(browser, "word")
    assert json.loads(posts(browser, 1)[0][1]) == {"on": True}  # nor what holds nothing but that
    field(browser, "word").send_keys("y")
    browser.click("Add")
    browser.click("Start")
    browser.sees("more/any: is required", ".problem")
    assert error(browser, "any") == "is required" and error(browser, "tags 1")
    assert json.loads(posts(browser, 2)[1][1]) == {"on": True, "more": {"word": "y"}, "tags": [None]}
    write_json(browser, '{"must": "", "more": {"word": "", "any": null}}')
    browser.click("Start")
    assert result(site, browser) == {"must": "", "more": {"word": "", "any": None}}


# ---- whose it is

def test_run_again_fills_the_form_with_what_was_sent(site, browser):
    open_form(site, browser, "again")
    browser.click("Start")
    browser.sees("succeeded", "h1")
    browser.click("Run again")
    wait_for("the input", lambda: field(browser, "must").get_attribute("value") == "again")
    field(browser, "must").send_keys(" and again")
    browser.sees("Draft kept")
    browser.go(f"{site.base}/f/form?again={'0' * 8}-0000-7000-8000-{'0' * 12}")  # an input that was not kept here
    wait_for("the draft", lambda: field(browser, "must").get_attribute("value") == "again and again")


def test_a_form_is_not_another_users(site, browser, before_pages):
    sign_in(site, browser, "alice")
    open_form(site, browser, "of alice")
    browser.sees("Draft kept")
    first = browser.d.current_window_handle
    browser.d.switch_to.new_window("tab")
    browser.go(f"{site.base}/me")
    browser.click("alice · Sign out")
    browser.sees("Sign in to see your jobs")
    sign_in_here(browser, "bob")
    browser.d.switch_to.window(first)
    browser.sees("bob", "header")
    wait_for("an empty form", lambda: field(browser, "must").get_attribute("value") == "")
    field(browser, "must").send_keys("of bob")
    browser.sees("Draft kept")
    drafts = browser.js(DRAFTS)
    assert "form.alice" in drafts and "of alice" in drafts and "form.bob" in drafts and "of bob" in drafts, drafts


def test_who_signs_in_keeps_what_he_has_written(site, browser):
    open_form(site, browser, "of a guest")
    sign_in_here(browser, "alice")
    assert field(browser, "must").get_attribute("value") == "of a guest"
    field(browser, "must").send_keys(", now alice")
    wait_for("her draft", lambda: "now alice" in browser.js("return localStorage.getItem('offpath.draft.form.alice') || ''"))
