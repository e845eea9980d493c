"""`send` and a gateway that answers badly, late or never: what it says of a job that may have been started."""
import contextlib
import http.server
import json
import os
import re
import socket
import subprocess
import threading
import time

ID = "01990c5e-8d4f-7a7b-9a61-20cd3f9a2c41"


def problem(code, **more):
    return 503, {"type": f"http://x/errors/{code}", "title": f"the title of {code}", "status": 503, "code": code, **more}


@contextlib.contextmanager
def gateway(*answers, retry="1"):
    """Gives these (status, body) one after the other, None: says nothing and hangs up late. Lends (url, keys it was sent)."""
    keys, left = [], list(answers)
    over = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):
            keys.append(self.headers["Idempotency-Key"])
            self.rfile.read(int(self.headers["Content-Length"]))
            answer = left.pop(0) if left else None
            if not answer:
                over.wait(20)
                self.close_connection = True
                return
            body = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            self.send_header("Content-Type", "application/problem+json")
            self.send_header("Content-Length", str(len(body)))
            if answer[0] == 503:
                self.send_header("Retry-After", retry)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", keys
        finally:
            over.set()
            server.shutdown()


def send(binaries, url, *words):
    began = time.monotonic()
    done = subprocess.run([binaries / "offpath-gateway", "send", "open", "{}", "--url", url, *words], text=True, timeout=60,
                          capture_output=True, env={"PATH": os.environ["PATH"]})
    done.took = time.monotonic() - began
    return done


def test_no_answer_to_what_was_sent_may_be_a_job(binaries):
    with gateway() as (url, keys):
        done = send(binaries, url, "--timeout", "300ms")
        assert (done.returncode, done.stdout) == (5, ""), done
        assert re.fullmatch(rf"offpath-gateway: no answer from {url} \(.+\): perhaps accepted; the same command with "
                            rf"`--key {keys[0]}` is safe\n", done.stderr), done
        done = send(binaries, url, "--timeout", "300ms", "--json", "--key", "k 1")
        said = json.loads(done.stderr)
        assert (done.returncode, said["title"], said["key"]) == (5, "not confirmed", "k 1"), done
        assert "perhaps accepted" in said["detail"]


def test_the_password_of_a_url_is_in_no_message(binaries):
    with gateway((404, ["no", "problem"])) as (url, _):
        there = url.replace("http://", "http://me:hidden@")
        silent = send(binaries, there, "--timeout", "300ms"), send(binaries, there, "--timeout", "300ms", "--json")
        for done in (send(binaries, there), *silent, send(binaries, "ftp://me:hidden@host")):
            assert done.returncode and "://me:***@" in done.stderr and "hidden" not in done.stdout + done.stderr, done


def test_no_answer_to_what_was_never_sent_is_none(binaries):
    with socket.socket() as s:  # bound, so nobody else's, and not listening
        s.bind(("127.0.0.1", 0))
        done = send(binaries, "http://127.0.0.1:%d" % s.getsockname()[1])
    assert done.returncode == 3 and "is the gateway running?" in done.stderr and "perhaps" not in done.stderr


def test_an_unknown_outcome_names_the_job_and_the_key(binaries):
    for words in ([], ["--json"]):
        with gateway(problem("outcome-unknown", id=ID)) as (url, keys):
            done = send(binaries, url, "--timeout", "900ms", *words)
        assert (done.returncode, done.stdout, len(keys)) == (5, "", 1), done
        if words:
            said = json.loads(done.stderr)
            assert (said["code"], said["id"], said["key"]) == ("outcome-unknown", ID, keys[0]), said
        else:
            assert done.stderr == (f"offpath-gateway: perhaps accepted as job {ID}; the same command with `--key {keys[0]}` is safe "
                                   "(outcome-unknown)\n")


def test_an_unknown_outcome_stays_so_whatever_follows(binaries):
    for then, words in ((None, "no answer from"), (problem("overloaded"), "(overloaded)"),
                        ((429, problem("rate-limited")[1]), "(rate-limited)")):
        with gateway(problem("outcome-unknown", id=ID), then) as (url, keys):
            done = send(binaries, url, "--timeout", "1900ms")
        assert done.returncode == 5 and len(keys) == 2 and keys[0] == keys[1], done
        last = done.stderr.splitlines()[-1]
        assert words in last and f"as job {ID}" in last and f"--key {keys[0]}" in last, done


def test_an_answer_of_a_proxy_says_nothing_of_the_job(binaries):
    for status, code, says in ((504, 5, "answered 504, and not as a gateway does: perhaps accepted; "), (502, 5, "perhaps accepted; "),
                               (500, 3, "answered 500, and not as a gateway does; see --url")):
        for words in ([], ["--json"]):
            with gateway((status, ["no", "problem"])) as (url, keys):
                done = send(binaries, url, *words)
            said = json.loads(done.stderr)["detail"] if words else done.stderr
            assert done.returncode == code and says in said and (f"`--key {keys[0]}`" in said) == (code == 5), done


def test_no_request_goes_out_without_time_for_its_answer(binaries):
    with gateway(problem("overloaded"), retry="5") as (url, keys):
        done = send(binaries, url, "--timeout", "700ms")
    assert (done.returncode, len(keys)) == (3, 1), done
    assert done.stderr == "offpath-gateway: the title of overloaded (overloaded)\n" and done.took < 5
