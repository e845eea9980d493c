"""Who holds connections and asks nothing leaves room for who asks."""
import contextlib
import socket
import threading

import pytest

from harness import request, wait_for

THREADS, EACH = 16, 6
SOON_S = 20  # long before the 60 s that a silent connection is left alone
ASK = b"GET /v1/flows HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture
def small(new_site):
    """A gateway with few threads; a client who asks nothing may keep its connection for long."""
    site = new_site().prepare()
    site.small = site.gateway(OFFPATH_THREADS=str(THREADS), OFFPATH_CONNECTIONS_PER_ADDRESS=str(EACH),
                              OFFPATH_HEADER_DEADLINE="60s")
    site.address = site.small.address()
    return site


@pytest.fixture
def dial():
    """Connections that end with the test."""
    with contextlib.ExitStack() as open_ones:
        def connect(address, source="127.0.0.1"):
            host, port = address.rsplit(":", 1)
            return open_ones.enter_context(
                socket.create_connection((host, int(port)), timeout=10, source_address=(source, 0)))
        yield connect


def answer(s):
    """One whole answer of a connection that goes on, or b"" if it was closed before."""
    got = b""
    while b"\r\n\r\n" not in got:
        part = s.recv(65536)
        if not part:
            assert not got, got
            return got
        got += part
    head, _, body = got.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        part = s.recv(65536)
        assert part, "cut in the middle of an answer"
        body += part
    return head + b"\r\n\r\n" + body


def is_closed(s):
    s.setblocking(False)
    try:
        while s.recv(65536):
            continue
        return True
    except ConnectionResetError:
        return True
    except BlockingIOError:
        return False


@pytest.mark.parametrize("first", [b"", b"GET /v1/fl"], ids=["nothing", "a-part"])
def test_silence_of_one_address_leaves_room_for_others(small, dial, first):
    silent = [dial(small.address, "127.0.0.2") for _ in range(3 * THREADS)]
    for s in silent:
        s.sendall(first)
    a = request(small.address, "GET", "/v1/flows", timeout=SOON_S)
    assert a.status == 200, a
    wait_for("all beyond the limit are closed",
             lambda: sum(is_closed(s) for s in silent) >= len(silent) - EACH, 10)
    crowded = small.small.metric("offpath_http_crowded_total")
    # on a slow machine some of those within the limit make room for the queue, too
    assert crowded and crowded + small.small.metric("offpath_http_gave_way_total") >= len(silent) - EACH
    assert small.post(timeout=SOON_S).status == 202


def test_idle_connections_give_way(small, dial):
    """Each of them within the limit of its address, and all threads are theirs."""
    idle = [dial(small.address, f"127.0.0.{2 + i % 4}") for i in range(THREADS)]
    for s in idle:
        s.sendall(ASK)
        assert answer(s).startswith(b"HTTP/1.1 200 ")
    a = small.post(timeout=SOON_S)
    assert a.status == 202, a
    assert small.small.metric("offpath_http_gave_way_total") == 1
    assert sum(is_closed(s) for s in idle) == 1  # no more than were needed


def test_silent_connections_of_many_addresses_give_way(small, dial):
    for i in range(2 * THREADS):
        dial(small.address, f"127.0.0.{2 + i % 12}")
    a = small.post(timeout=SOON_S)
    assert a.status == 202, a


def test_who_is_being_answered_loses_nothing(small, dial):
    """More busy connections than threads: all are served, none is cut, whoever is to go is told so in a whole answer."""
    done, stop, failures = [0] * (2 * THREADS), threading.Event(), []

    def keep_asking(i):
        s = None
        while not stop.is_set():
            s = s or dial(small.address, f"127.0.0.{2 + i % 8}")
            s.sendall(ASK)
            text = answer(s)
            if not text.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 503 ")):
                failures.append(text)
                return
            done[i] += text.startswith(b"HTTP/1.1 200 ")
            if b"\r\nConnection: close\r\n" in text:
                s.close()
                s = None

    def run(i):
        try:
            keep_asking(i)
        except Exception as e:  # noqa: told below
            failures.append(e)

    threads = [threading.Thread(target=run, args=(i,), daemon=True) for i in range(len(done))]
    for t in threads:
        t.start()
    with contextlib.suppress(AssertionError):
        wait_for("each is served", lambda: all(done) or failures, 20)
    stop.set()
    for t in threads:
        t.join(15)
    assert not failures, failures[:3]
    assert all(done), done


def test_a_probe_gets_through_a_crowd_at_the_admin_port(small, dial):
    admin = small.small.address("admin")
    for _ in range(40):
        dial(admin)
    a = request(admin, "GET", "/readyz", timeout=SOON_S)
    assert a.status == 200, a
