"""Requests that are wrong: the right status and code, and the next request works."""
import contextlib
import json
import re
import select
import socket
import time

import pytest

from harness import raw_exchange, request, wait_for

PATH = "/v1/flows/price-compare/jobs"


def problem(a, status, code):
    assert a.status == status, a
    body = a.json()
    assert a.headers["content-type"].startswith("application/problem+json"), a.headers
    assert body["code"] == code and body["status"] == status, body
    assert body["type"].endswith(f"/errors/{code}") and body["title"] and body["request_id"], body
    return body


@pytest.fixture(autouse=True)
def next_request_works(site):
    yield
    assert site.run()["state"] == "succeeded"


@pytest.mark.parametrize("body", [
    b"", b"{", b"productId", b'{"productId": "1"} x', b"\xef\xbb\xbf{\"productId\": \"1\"}",
    b'{"productId": "\xff"}', b'{"productId": "\\ud800"}', b'{"productId": "1", "productId": "2"}',
    b"{'productId': '1'}", b'{"productId": 01}', b'{"productId": "1",}', b"[" * 65 + b"]" * 65,
    b'{"productId": NaN}', b'{"productId": "\\u0000"}',
], ids=["empty", "cut", "word", "tail", "bom", "utf8", "surrogate", "duplicate", "quotes", "zero", "comma",
        "deep", "nan", "nul"])
def test_a_body_that_is_no_json(site, body):
    problem(site.post(body=body), 400, "not-json")


@pytest.mark.parametrize("body, pointer", [
    ({}, "/productId"), ({"productId": 42}, "/productId"), ({"productId": "x"}, "/productId"),
    ({"productId": ""}, "/productId"), ({"productId": "1" * 20}, "/productId"),
    ({"productId": "1", "more": 1}, "/more"), ([], ""), (None, ""), ("text", ""),
])
def test_a_body_that_does_not_fit_the_schema(site, body, pointer):
    p = problem(site.post(body=json.dumps(body)), 422, "schema")
    assert p["errors"], p
    assert any(e["pointer"] in (pointer, "") for e in p["errors"]), p["errors"]
    assert all(e["detail"] for e in p["errors"])


@pytest.mark.parametrize("number", ["9007199254740993", "1e400", "-9007199254740993", "1e-400", "0." + "1" * 62])
def test_a_number_too_big_to_keep(site, number):
    problem(site.post(body='{"productId": %s}' % number), 422, "big-number")


def test_a_body_over_the_limit(site):
    problem(site.post(body='{"productId": "%s"}' % ("1" * 70000)), 413, "too-large")


def test_a_body_over_the_limit_that_is_not_sent_whole(site):
    text = raw_exchange(site.address, (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                       "Content-Length: 5000000000\r\n\r\n{").encode())
    assert text.startswith(b"HTTP/1.1 413 "), text[:200]


def test_an_unknown_flow(site):
    problem(request(site.address, "POST", "/v1/flows/nothing/jobs", "{}", {"Content-Type": "application/json"}),
            404, "no-flow")


def test_an_unknown_address(site):
    problem(request(site.address, "GET", "/v1/nothing"), 404, "no-route")


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_a_method_that_is_not_for_this_address(site, method):
    a = request(site.address, method, PATH, "{}", {"Content-Type": "application/json"})
    assert a.status in (404, 405), a


def test_a_guests_key_must_be_a_uuid(site):
    problem(site.post(key="my-order-1"), 422, "guest-key")


def test_both_lengths_are_refused(site):
    """Transfer-Encoding with Content-Length: the smuggled request must not be answered."""
    smuggled = "GET /v1/flows HTTP/1.1\r\nHost: x\r\n\r\n"
    text = raw_exchange(site.address, (
        f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 4\r\n"
        f"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{smuggled}").encode())
    assert text.startswith(b"HTTP/1.1 400 "), text[:200]
    assert text.count(b"HTTP/1.1 ") == 1, text
    assert b'"bad-request"' in text


@pytest.mark.parametrize("heads", [
    "Content-Length: 5\r\nContent-Length: 6\r\n", "Content-Length: +5\r\n", "Content-Length: 5abc\r\n",
    "Content-Length: -1\r\n",
])
def test_an_unclear_length_is_refused(site, heads):
    text = raw_exchange(site.address, (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                                       f"{heads}\r\n{{}}   GET / HTTP/1.1\r\n\r\n").encode())
    assert text[:12] in (b"HTTP/1.1 400", b""), text[:200]
    assert text.count(b"HTTP/1.1 ") <= 1, text


def test_a_post_without_length_is_refused(site):
    text = raw_exchange(site.address, f"POST {PATH} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert text.startswith(b"HTTP/1.1 411 "), text[:200]


def test_the_64th_header_is_refused(site):
    for fillers, status in ((60, "422"), (61, "431"), (62, "431")):
        many = "".join(f"X-H{i}: {i}\r\n" for i in range(fillers))
        text = raw_exchange(site.address, (f"POST {PATH} HTTP/1.1\r\nHost: x\r\n{many}Content-Type: application/json\r\n"
                                           "Content-Length: 2\r\n\r\n{}").encode())
        assert text.startswith(f"HTTP/1.1 {status} ".encode()), (fillers, text[:200])
        assert text.count(b"HTTP/1.1 ") == 1 and (status == "422" or b"at most 63 header fields" in text), text


def test_a_method_that_is_none_is_told(site):
    text = raw_exchange(site.address, b"FOO /v1/flows HTTP/1.1\r\nHost: x\r\n\r\n")
    assert text.startswith(b"HTTP/1.1 400 ") and b"its method, first line or a header cannot be read" in text, text[:400]


@pytest.mark.parametrize("target", ["GET http://shop.test/v1/flows", "OPTIONS *"])
def test_what_is_not_for_a_path_is_told(site, target):
    """A proxy's clients write the whole address: `curl -x http://GATEWAY http://shop.test/v1/flows`."""
    text = raw_exchange(site.address, f"{target} HTTP/1.1\r\nHost: shop.test\r\n\r\n".encode())
    assert text.startswith(b"HTTP/1.1 400 ") and b'"bad-request"' in text and b"write the path alone" in text, text


def test_headers_that_are_too_large_are_refused(site):
    text = raw_exchange(site.address, (f"POST {PATH} HTTP/1.1\r\nHost: x\r\nX-Big: {'x' * 70000}\r\n"
                                       "Content-Length: 2\r\n\r\n{}").encode())
    assert text[:12] in (b"HTTP/1.1 431", b"HTTP/1.1 400", b"HTTP/1.1 413"), text[:200]


def whole_answer(s):
    text = b""
    while b"\r\n\r\n" not in text:
        text += s.recv(4096)
    head, _, body = text.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 "), text
    left = int(re.search(rb"Content-Length: (\d+)", head)[1]) - len(body)
    while left:
        left -= len(s.recv(left))


def cut_off(address, first, drip, before=b""):
    """What who sends `first`, then `drip` again and again is answered until the other side ends the connection. `before`: a request
    on the same connection that is answered first."""
    host, port = address.rsplit(":", 1)
    answer, until = b"", time.monotonic() + 30
    with socket.create_connection((host, int(port)), timeout=30) as s:
        if before:
            s.sendall(before)
            whole_answer(s)
        s.sendall(first)
        s.settimeout(0.2)
        while time.monotonic() < until:
            try:
                part = s.recv(4096)
                if not part:
                    return answer
                answer += part
            except TimeoutError:
                if not answer:
                    with contextlib.suppress(OSError):
                        s.sendall(drip)
    raise AssertionError(f"still open after 30 s: {answer}")


@pytest.fixture(scope="module")
def hasty(shared):
    return shared.gateway(OFFPATH_HEADER_DEADLINE="2s", OFFPATH_BODY_DEADLINE="5s").address()


def too_slow(answer, code):
    assert answer.startswith(b"HTTP/1.1 408 ") and answer.count(b"HTTP/1.1 ") == 1, answer
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == code, answer


@pytest.mark.parametrize("before", [b"", b"GET /errors/slow-header HTTP/1.1\r\nHost: x\r\n\r\n"], ids=["first", "later"])
@pytest.mark.parametrize("drip", [b"X-A: b\r\n", b""], ids=["drip", "silence"])
def test_slow_headers_are_cut_off(hasty, site, before, drip):
    too_slow(cut_off(hasty, f"POST {PATH} HTTP/1.1\r\nHost: x\r\n".encode(), drip, before), "slow-header")


@pytest.mark.parametrize("drip", [b" ", b""], ids=["drip", "silence"])
def test_a_slow_body_is_cut_off(hasty, site, drip):
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{{"
    too_slow(cut_off(hasty, head.encode(), drip), "slow-body")


def test_slow_bodies_of_one_address_leave_room_for_others(new_site):
    slow = new_site().prepare()
    gateway = slow.gateway(OFFPATH_THREADS="16", OFFPATH_CONNECTIONS_PER_ADDRESS="6")
    host, port = gateway.address().rsplit(":", 1)
    head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
    with contextlib.ExitStack() as open_ones:
        refused = []
        for _ in range(10):
            s = open_ones.enter_context(
                socket.create_connection((host, int(port)), timeout=10, source_address=("127.0.0.2", 0)))
            s.sendall(head.encode())
            refused.append(s)
        answers = wait_for("all beyond the limit are answered",
                           lambda: len(ready := select.select(refused, [], [], 1)[0]) == 4 and ready, 10)
        for s in answers:
            text = s.recv(4096).decode()
            assert text.startswith("HTTP/1.1 503 ") and "too many connections from your address" in text, text
        a = slow.post(address=gateway.address())
        assert a.status == 202, a
    assert gateway.metric("offpath_http_crowded_total") == 4


def test_a_client_that_goes_away_in_the_body_harms_nobody(site):
    host, port = site.address.rsplit(":", 1)
    for _ in range(30):
        with socket.create_connection((host, int(port)), timeout=5) as s:
            s.sendall(f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                      "Content-Length: 40\r\n\r\n{\"productId\":".encode())
    before = len(site.records())
    site.run()
    assert len(site.records()) == before + 1


def test_errors_are_counted_and_told_in_words(site):
    gateway = site.gateways[0]
    count = lambda: gateway.metric("offpath_http_requests_total", status="422") or 0  # noqa: E731
    before = count()
    site.post(body="{}")
    wait_for("the request is counted", lambda: count() == before + 1, 5)
