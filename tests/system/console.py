"""What the tests of the console stand on: a site with users and flows for it, and the ways of a reader."""
import pytest

from conftest import closing
from harness import wait_for
from test_signed_in import accept, make_site, token

TEXT = r"""
flow: text
title: Text of others
access: guests
topic: {name: text-MARK, group: text-MARK}
calls:
  ask:
    upstream: a-mart
    request: {path: /products/1/price}
    max_response: 2MB
    result: $body
result: $calls.ask.result
"""
NOTIFY = r"""
flow: told
title: Told
topic: {name: told-MARK, group: told-MARK}
request: {schema: {type: object, properties: {n: {type: integer}}}}
calls:
  ask:
    upstream: a-mart
    request: {path: /products/1/price}
    result: $body.price
result: $calls.ask.result
notify: {done: Your answer is ready.}
"""
SECRETS = r"""
flow: secrets
title: Secrets
access: guests
topic: {name: secrets-MARK, group: secrets-MARK}
request:
  schema:
    type: object
    properties:
      plain: {type: string}
      direct: {type: string, writeOnly: true}
      far: {$ref: '#/$defs/pin'}
      mixed: {allOf: [{type: object, properties: {code: {type: string, format: password}}}]}
      list: {type: array, items: {$ref: '#/$defs/pin'}}
      pair: {type: array, prefixItems: [{type: string}, {$ref: '#/$defs/pin'}]}
      either: {anyOf: [{type: string, format: password}, {type: integer}]}
      tree: {$ref: '#/$defs/tree'}
    patternProperties: {'^more-': {type: string, writeOnly: true}}
    if: {required: [later]}
    then: {properties: {later: {type: string, format: password}}}
    $defs:
      pin: {type: string, writeOnly: true}
      tree: {type: object, properties: {left: {$ref: '#/$defs/tree'}, name: {type: string}, pin: {$ref: '#/$defs/pin'}}}
calls:
  ask:
    upstream: a-mart
    request: {path: /products/1/price}
    result: $body.price
result: $calls.ask.result
"""
MANY = r"""
flow: many
title: Many
access: guests
topic: {name: many-MARK, group: many-MARK}
request: {schema: {type: object, required: [n], properties: {n: {type: integer}}}}
deadline: 3m
calls:
  each:
    for_each: '[range($request.n)]'
    max_items: 1000
    parallel: PARALLEL
    upstream: a-mart
    request: {path: /products/1/price}
    timeout: 2m
    result: $body.price
result: $calls.each | length
"""
FORM = r"""
flow: form
title: Form
access: guests
topic: {name: form-MARK, group: form-MARK}
request:
  schema:
    type: object
    required: [must]
    properties:
      must: {type: string}
      n: {type: integer}
      on: {type: boolean, default: true}
      maybe: {type: boolean}
      more: {type: object, required: [word, any], properties: {word: {type: string}, any: {}}}
      tags: {type: array, items: {type: string}}
calls:
  ask:
    upstream: a-mart
    request: {path: /products/1/price}
    result: $body.price
result: $request
"""


@pytest.fixture(scope="module")
def signed(stack, work_folder, release):
    site = make_site(stack, work_folder, release)
    for name, text in (("text", TEXT), ("told", NOTIFY), ("secrets", SECRETS), ("form", FORM),
                       ("many", MANY.replace("PARALLEL", "50")),
                       ("few", MANY.replace("PARALLEL", "1").replace("many", "few").replace("Many", "Few"))):
        (site.folder / f"flows/{name}.yaml").write_text(text.replace("MARK", site.mark))
    flow = site.folder / "flows/price-compare.yaml"  # what a shop holds back is waited for, however slow the browser is
    flow.write_text(flow.read_text().replace("deadline: 12s", "deadline: 3m").replace("timeout: 8s", "timeout: 2m"))
    site.open()
    yield site
    site.standin.mend()  # what a test has left waiting is let go
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
    wait_for("the job's page", lambda: "/j/" in browser.d.current_url)
    return browser.d.current_url.rsplit("/", 1)[1]


def hold_all_but_a_mart(site):
    """Until standin.mend(): so that a-mart is the first, however busy the machine is."""
    for shop in ("b-shop", "c-store"):
        site.standin.hold(shop)


def sign_in(site, browser, user):
    browser.go(f"{site.base}/")
    sign_in_here(browser, user)


def sign_in_here(browser, user, ttl=600):
    """On the page that is shown, by its first "Sign in"."""
    browser.js("arguments[0].focus()", browser.button("Sign in"))
    browser.click("Sign in")
    browser.one("#token").send_keys(token(user, ttl))
    browser.button("Sign in", "dialog button").click()
    browser.sees(user, "header")


def watch_own(site, browser, ttl):
    """Alice's job, which runs until the test lets a-mart go: its page, seen in a session of so many seconds."""
    site.standin.hold("a-mart")
    id = accept(site, "told", "alice")
    browser.go(f"{site.base}/j/{id}")
    browser.sees("Not found, or not yours")
    sign_in_here(browser, "alice", ttl)
    browser.sees("running", "h1")
    return id


def field(browser, label):
    """The field of this label, by the place it says."""
    return wait_for(f"the field {label}", lambda: browser.js(
        "return [...document.querySelectorAll('main label')].find((l) => l.textContent.trim().startsWith(arguments[0]))?.control", label))


def write_json(browser, text):
    browser.click("JSON")
    browser.js("const a = document.querySelector('textarea.code'); a.value = arguments[0]; a.dispatchEvent(new Event('input'))", text)


def hide(browser, yes=True):
    """As if another tab stood before this one."""
    browser.js("Object.defineProperty(document, 'hidden', {configurable: true, get: () => arguments[0]});"
               "document.dispatchEvent(new Event('visibilitychange'))".replace("arguments[0]", str(yes).lower()))


@pytest.fixture
def before_pages(browser):
    """before_pages(script): it runs before the script of each page that this tab opens in this test."""
    scripts = []
    browser.cdp("Page.enable")

    def add(source):
        scripts.append(browser.cdp("Page.addScriptToEvaluateOnNewDocument", source=source)["identifier"])
    yield add
    for script in scripts:
        browser.cdp("Page.removeScriptToEvaluateOnNewDocument", identifier=script)


HOLD_AN_ANSWER = """
const real = window.fetch;
window.fetch = async (url, options) => {
  const answer = await real(url, options);
  if (window.holdNext && String(url).includes(window.holdNext)) {
    window.holdNext = "";
    await new Promise((go) => { window.letGo = go; });
  }
  return answer;
};
"""  # the next answer to an address with window.holdNext in it waits for window.letGo()


# window.posts: key and body of each start; window.plan: what comes of the next ones. {wait}: not before
# window.letGo(); {reaches}: the gateway has it; {status, code}: this problem; none: the connection breaks.
POSTS = """
window.posts = []; window.plan = [];
const ask = window.fetch;
window.fetch = async (url, options) => {
  if (options?.method !== "POST" || !String(url).endsWith("/jobs")) return ask(url, options);
  posts.push([options.headers["Idempotency-Key"], options.body]);
  const next = plan.shift();
  if (!next) return ask(url, options);
  if (next.wait) await new Promise((go) => { window.letGo = go; });
  if (next.reaches) await ask(url, options);
  if (!next.status) throw new TypeError("cut");
  return new Response(JSON.stringify({ code: next.code, title: next.code }),
    { status: next.status, headers: { "content-type": "application/problem+json", "retry-after": next.after || "1" } });
};
"""


def holds(browser):
    return wait_for("an answer is held", lambda: browser.js("return !!window.letGo"))


# What the browser calls a notification, written down, and allowed; window.told: text and tag of each.
NOTIFICATION = """
window.told = []; window.askedFor = 0;
window.Notification = class {
  constructor(text, how) { told.push([text, how.tag]); }
  static permission = "PERMISSION";
  static requestPermission() { askedFor += 1; this.permission = "granted"; return Promise.resolve("granted"); }
};
"""
