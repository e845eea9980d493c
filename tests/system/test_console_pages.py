"""The console's pages one by one: addresses, what a shared device keeps and shows to whom, what moves."""
import json

from console import begin, sign_in, signed, site
from harness import wait_for
from test_signed_in import accept, ask, wait_state

__all__ = ["signed", "site"]  # fixtures

KEPT = "return JSON.stringify(localStorage)"


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
