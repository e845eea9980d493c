"""Pages of other origins (--cors-origins): those that are listed use the API with a bearer token, from a real browser; the
console's cookie is good for none of them. The page stands on another port of the same host, so it is the same site, and
a browser would send it the cookie."""
import http.server
import threading

import pytest

from conftest import closing
from harness import request
from streams import Stream
from test_signed_in import make_site, token

ASK = """
const [base, token, done] = arguments;
const auth = {Authorization: "Bearer " + token}, json = {"Content-Type": "application/json"};
const tried = (path, with_) => fetch(base + path, with_).then(async r => ({status: r.status, headers: [...r.headers.keys()],
  location: r.headers.get("Location"), tag: r.headers.get("ETag"), body: await r.text()}), e => ({refused: String(e)}));
(async () => {
  const key = crypto.randomUUID();
  const started = await tried("/v1/flows/mine/jobs", {method: "POST", body: '{"n": 1}',
    headers: {...auth, ...json, "Idempotency-Key": key, "Request-Id": "of-a-page"}});
  const id = started.refused ? "x" : JSON.parse(started.body).id;
  const stream = await tried(`/v1/jobs/${id}/events`, {headers: {...auth, "Last-Event-ID": "0"}});
  done({
    started, stream, read: await tried(`/v1/jobs/${id}`, {headers: auth}), openapi: await tried("/openapi.json", {}),
    wrong: await tried("/v1/flows/mine/jobs", {method: "POST", body: "{", headers: {...auth, ...json}}),
    nobody: await tried("/v1/jobs", {}),
    cancelled: await tried(`/v1/jobs/${id}`, {method: "DELETE", headers: auth}),
    cookie: await tried("/v1/jobs", {credentials: "include"}),
    cookie_post: await tried("/v1/flows/mine/jobs", {method: "POST", credentials: "include", body: '{"n": 1}', headers: json}),
    login: await tried("/v1/login", {method: "POST", headers: auth}),
    page: await tried("/", {}),
  });
})();
"""


class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<title>page</title>")

    def log_message(self, *words):
        pass


@pytest.fixture(scope="module")
def pages():
    """Two servers of pages: their origins."""
    servers = [http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) for _ in range(2)]
    for s in servers:
        threading.Thread(target=s.serve_forever, daemon=True).start()
    yield [f"http://127.0.0.1:{s.server_port}" for s in servers]
    for s in servers:
        s.shutdown()
        s.server_close()


@pytest.fixture(scope="module")
def site(stack, work_folder, release, pages):
    site = make_site(stack, work_folder, release, OFFPATH_CORS_ORIGINS=f"https://app.example, {pages[0]}").open()
    site.base = f"http://{site.address}"
    yield site
    closing([site])


def asked_from(site, browser, origin):
    """All that the page tries, by a browser that is signed in at the gateway."""
    browser.go(f"{site.base}/")
    assert browser.js("return fetch('/v1/login', {method: 'POST', headers: {Authorization: 'Bearer ' + arguments[0]}}).then(r => r.status)",
                      token("alice")) == 200
    browser.go(f"{origin}/")
    browser.d.set_script_timeout(30)
    seen = browser.d.execute_async_script(ASK, site.base, token("alice"))
    browser.complaints()  # each refusal is one, and meant
    return seen


def test_a_listed_page_uses_the_api_by_token_and_never_by_cookie(site, browser, pages):
    seen = asked_from(site, browser, pages[0])
    status = {name: a.get("status") for name, a in seen.items()}
    assert {k: v for k, v in status.items() if v} == {
        "started": 202, "read": 200, "openapi": 200, "wrong": 400, "stream": 200, "nobody": 401, "cancelled": 409}, seen
    assert seen["started"]["location"] and seen["read"]["tag"] and "request-id" in seen["wrong"]["headers"]
    assert "event: done" in seen["stream"]["body"] and '"code":"not-json"' in seen["wrong"]["body"]


def test_another_page_reads_nothing_and_starts_nothing(site, browser, pages):
    before = site.state_counts()
    seen = asked_from(site, browser, pages[1])
    assert all("refused" in a for a in seen.values()), seen
    assert site.state_counts() == before


def test_answers_say_what_a_listed_origin_may(site, pages):
    def told(method, path, origin, **kw):
        headers = {"Origin": origin, **kw.pop("headers", {})}
        a = request(site.address, method, path, kw.pop("body", None), headers, **kw)
        return a.status, {k: v for k, v in a.headers.items() if k.startswith("access-control") or k in ("vary", "content-length")}
    asks = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    status, said = told("OPTIONS", "/v1/flows/mine/jobs", pages[0], headers=asks)
    assert status == 204 and said["access-control-allow-origin"] == pages[0] and said["vary"] == "Origin"
    assert said["access-control-allow-methods"] == "POST" and "Authorization" in said["access-control-allow-headers"]
    assert said["access-control-max-age"] == "600" and "content-length" not in said
    job, json = '{"n": 1}', {"Content-Type": "application/json"}
    for kept in False, True:  # by the request's thread, and by another
        status, said = told("POST", "/v1/flows/open/jobs", "https://app.example", headers=json, body=job, kept=kept)
        assert status == 202 and said["access-control-allow-origin"] == "https://app.example"
        assert "Retry-After" in said["access-control-expose-headers"] and "access-control-allow-credentials" not in said
    for origin in pages[1], "null":
        assert told("OPTIONS", "/v1/flows/mine/jobs", origin, headers=asks)[0] == 405
        for path in "/v1/flows", "/v1/nothing":
            assert set(told("GET", path, origin)[1]) == {"vary", "content-length"}
    id = request(site.address, "POST", "/v1/flows/open/jobs", job, json).json()["id"]
    for path, code in (f"/v1/jobs/{id}/events", 200), ("/v1/events", 401):
        s = Stream(site.address, path, headers=[f"Origin: {pages[0]}"])
        assert s.status == code and s.head["access-control-allow-origin"] == pages[0]
        s.close()


def test_an_origin_that_is_none_is_named_at_the_start(new_site):
    site = new_site(database=False)
    for entry, says in ("*", "name the origins"), ("https://app.example/", "without a path"), ("app.example", "is no origin"):
        done = site.verb("offpath-gateway", "check", env={"OFFPATH_CORS_ORIGINS": f"https://app.example,{entry}"})
        assert done.returncode == 2 and f'"{entry}" ' in done.stderr and says in done.stderr, done
