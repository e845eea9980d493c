"""The line that renews itself while `jobs watch` waits: it tells no number that is not known."""
import contextlib
import http.server
import json
import os
import pty
import re
import select
import subprocess
import threading
import time

ID = "01990c5e-8d4f-7a7b-9a61-20cd3f9a2c41"


def call(name, state="running"):
    return {"name": name, "item": None, "state": state, "result": None, "error": None, "attempts": 1, "ms": 5}


class Gateway(http.server.ThreadingHTTPServer):
    """Has one job, and a stream of it that says what say() is given."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.job, self.asked, self.said, self.more, self.over = {"calls": []}, 0, [], threading.Condition(), False
        self.change("queued")

    def change(self, state, **members):
        self.job = {"id": ID, "flow": "x", "state": state, "reason": None, "message": None, "created": None, "finished": None,
                    "result": None, **self.job, **members, "state": state}

    def say(self, event, /, **data):
        with self.more:
            self.said.append(f"id: {len(self.said) + 1}\nevent: {event}\ndata: {json.dumps(data)}\n\n".encode())
            self.more.notify_all()


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        stream = self.path.endswith("/events")
        body = b"" if stream else json.dumps(self.server.job).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if stream else "application/json")
        if not stream:
            self.server.asked += 1
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        if stream:
            self.stream()

    def stream(self):
        at = 0
        while not self.server.over and b"event: done" not in b"".join(self.server.said[:at]):
            with self.server.more:
                self.server.more.wait_for(lambda: self.server.over or len(self.server.said) > at, 60)
                new, at = self.server.said[at:], len(self.server.said)
            with contextlib.suppress(ConnectionError):  # who heard the end hangs up
                self.wfile.write(b"".join(new))

    def log_message(self, *_):
        pass


class Watch:
    """`jobs watch` at a terminal."""

    def __init__(self, binaries, url):
        self.me, its = pty.openpty()
        subprocess.run(["stty", "cols", "80"], stdin=its, check=True)
        self.process = subprocess.Popen([binaries / "offpath-gateway", "jobs", "watch", ID, "--url", url], stdin=its, stdout=its,
                                        stderr=its, env={"PATH": os.environ["PATH"], "TERM": "dumb"})
        os.close(its)
        self.text = ""

    def until(self, pattern, most_s=30):
        """What it showed up to this, which is taken away."""
        late = time.monotonic() + most_s
        while not (found := re.search(pattern, self.text)):
            assert select.select([self.me], [], [], max(0, late - time.monotonic()))[0], f"no {pattern} in {self.text!r}"
            part = b""
            with contextlib.suppress(OSError):  # the end of a terminal
                part = os.read(self.me, 4096)
            assert part, f"ended without {pattern}: {self.text!r}"
            self.text += part.decode()
        before, self.text = self.text[:found.end()], self.text[found.end():]
        return before


@contextlib.contextmanager
def watching(binaries):
    with Gateway() as gateway:
        thread = threading.Thread(target=gateway.serve_forever)
        thread.start()
        watch = Watch(binaries, f"http://127.0.0.1:{gateway.server_port}")
        try:
            yield gateway, watch
        finally:
            watch.process.kill()
            watch.process.wait(20)
            os.close(watch.me)
            with gateway.more:
                gateway.over = True
                gateway.more.notify_all()
            gateway.shutdown()
            thread.join()


def test_calls_are_counted_once_the_job_names_them(binaries):
    with watching(binaries) as (gateway, watch):
        seen = watch.until(r"queued [^\r]*\r\x1b\[K")
        assert "calls" not in seen, seen
        gateway.change("running", calls=[call("a"), call("b"), call("c")])
        gateway.say("state", state="running")
        seen = watch.until(r"running [^\r]*\r\x1b\[K")
        assert re.search(r"running [\d,]+ ms, 0 of 3 calls done\r", seen), seen
        gateway.say("call", **call("b", "succeeded"))
        seen = watch.until(r"running [^\r]*, 1 [^\r]*\r\x1b\[K")
        assert re.search(r"running [\d,.]+ m?s, 1 of 3 calls done\r", seen), seen
        assert gateway.asked == 2, "once at first and once for its calls"


def test_a_call_that_ended_before_the_job_was_looked_at_is_counted_alone(binaries):
    with watching(binaries) as (gateway, watch):
        watch.until("queued ")
        gateway.say("state", state="running")  # and whoever looks sees no calls: the flow is not loaded here any more
        gateway.say("call", **call("a", "succeeded"))
        seen = watch.until(r"running [^\r]*, 1 [^\r]*\r\x1b\[K")
        assert re.search(r"running [\d,]+ ms, 1 call done\r", seen) and "of 0" not in seen, seen


def test_an_end_without_calls_counts_none(binaries):
    with watching(binaries) as (gateway, watch):
        watch.until("queued ")
        gateway.change("cancelled", reason="cancelled", message="It was cancelled.")
        gateway.say("done", id=ID, state="cancelled", reason="cancelled", message="It was cancelled.", result=None)
        seen = watch.until(r"It was cancelled\.")
        assert "of 0" not in seen and watch.process.wait(20) == 13, seen
