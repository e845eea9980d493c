"""deploy/quickstart as a newcomer meets it; its servers are its own."""
import atexit
import contextlib
import os
import random
import re
import shutil
import signal
import socket
import subprocess

import pytest

from harness import ROOT, request, wait_for


class QuickStart:
    def __init__(self, folder, release):
        self.folder, self.shown = folder, str(folder).removeprefix(f"{ROOT}/")
        self.env = {**{k: v for k, v in os.environ.items() if not k.startswith("OFFPATH_")},
                    "QUICKSTART_DIR": str(folder), "QUICKSTART_BUILD": str(release)}
        if "OFFPATH_CACHE" in os.environ:
            self.env["OFFPATH_CACHE"] = os.environ["OFFPATH_CACHE"]
        self.out = folder.parent / f"{folder.name}.out"

    def call(self, *words, timeout=180):
        return subprocess.run([ROOT / "deploy/quickstart", *words], env=self.env, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)

    def start(self, *words):
        self.process = subprocess.Popen([ROOT / "deploy/quickstart", "--offline", *words], env=self.env,
                                        stdin=subprocess.DEVNULL, stdout=open(self.out, "w"),
                                        stderr=subprocess.STDOUT, start_new_session=True)
        atexit.register(self.process.terminate)  # whatever becomes of its test

        def look():
            assert self.process.poll() is None, self.out.read_text()
            return "Next" in self.out.read_text()
        wait_for("the quick start stands", look, 180)
        return self.out.read_text()


def free_port():
    """Below where deploy/stack looks for its own, and so below the range of outgoing connections: the port
    after it must be free as well."""
    while True:
        port = random.randrange(10000, 14990, 2)
        with socket.socket() as s, socket.socket() as after, contextlib.suppress(OSError):
            s.bind(("127.0.0.1", port))
            after.bind(("127.0.0.1", port + 1))
            return port


def is_alive(pid):
    """A dead process that nobody waited for yet is dead."""
    try:
        with open(f"/proc/{pid}/stat") as f:
            return f.read().rsplit(")", 1)[1].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


@pytest.fixture(scope="module")
def running(work_folder, release):
    q = QuickStart(work_folder / "quickstart", release)
    q.port = free_port()
    q.text = q.start("--port", str(q.port))
    yield q
    q.call("stop")
    shutil.rmtree(q.folder, ignore_errors=True)


def test_it_shows_the_first_job_and_the_second_from_the_cache(running):
    t = running.text
    for n, name in enumerate(("check", "packages", "broker", "build", "start", "first job"), 1):
        assert re.search(rf"^{n}/6 {name} ", t, re.M), t
    assert "  8 flows checked  " in t
    assert re.search(r"accepted +[\d,]+ ms +job \.\.[0-9a-f]{8}, Kafka has it", t)
    assert re.search(r"a-mart +[\d,]+ ms +18,900", t)
    assert re.search(r"c-store +[\d,]+ ms +17,450", t)
    assert re.search(r"b-shop +[\d,]+ ms +19,200 +attempt 2 \(attempt 1: http-5xx\)", t)
    assert re.search(r"succeeded +[\d,]+ ms +3 of 3, saved", t)
    assert re.search(r"again +[\d,]+ ms +from the cache", t)


def test_the_addresses_it_ends_with_answer(running):
    for url in re.findall(r"http://(127\.0\.0\.1:\d+)(/\S*)", running.text):
        assert request(url[0], "GET", url[1]).status == 200, url


def test_a_broken_shop_is_named_and_mended(running):
    assert running.call("break", "b-shop").stdout == ("b-shop answers 503 now\nSee it    deploy/quickstart send 43\n"
                                                      "Back      deploy/quickstart mend b-shop\n")
    done = running.call("send", "43")
    assert done.returncode == 0 and re.search(r"b-shop .*http-5xx", done.stdout), done
    assert re.search(r"partial .*2 of 3, saved", done.stdout)
    assert running.call("mend", "b-shop").returncode == 0
    done = running.call("send", "44")
    assert re.search(r"succeeded .*3 of 3, saved", done.stdout), done


def test_the_callers_curlrc_is_not_read(running, tmp_path, monkeypatch):
    (tmp_path / ".curlrc").write_text("output = /dev/null\n")
    monkeypatch.setitem(running.env, "HOME", str(tmp_path))
    done = running.call("send", "45")
    assert done.returncode == 0 and re.search(r"succeeded .*3 of 3, saved", done.stdout), done


def test_the_systems_are_named(running):
    assert running.call("try").stdout.split() == ["price-compare", "resume-advice", "template-design",
                                                  "interview-questions", "sign-up"]


@pytest.mark.parametrize("name, shows", [
    ("price-compare", [r"answered +[\d,]+ ms +from the cache", '"productId": "42"']),
    ("resume-advice", [r"advice +[\d,]+ ms +{", r"succeeded .*1 of 1, saved", '"improvements": \\[']),
    ("template-design", [r"succeeded .*30 of 30, saved", '"name": "Spring sale"', "      [.]{3}"]),
    ("interview-questions", [r"questions\[1\] +[\d,]+ ms +", r"succeeded .*2 of 2, saved", '"answers": \\[']),
    ("sign-up", [r"no call, saved", '"uuid": "', "auth +1 row +in member", "member +1 row +in partner_profile",
                 "member +2 rows in favorite_style", "batch +1 row +in partner_summary"]),
])
def test_each_system_is_tried_with_one_command(running, name, shows):
    """F1: each starts against the local stand-in, and shows what came of its example."""
    done = running.call("try", name)
    assert done.returncode == 0, done
    for text in shows:
        assert re.search(text, done.stdout), f"no {text} in:\n{done.stdout}"
    assert max(map(len, done.stdout.splitlines())) <= 80, done.stdout


def test_the_sign_up_chain_is_three_workers_with_a_database_each(running):
    """E1, E11: who runs a service enters its database and no other."""
    for name in ("auth", "member", "batch"):
        assert is_alive(int((running.folder / f"{name}.pid").read_text()))
        words = ["mariadb", "--no-defaults", "--protocol=tcp", "-h", "127.0.0.1", "-P",
                 (running.folder / "stack/mysql.port").read_text().strip(), "-u", name, "-N", "-e", "SHOW DATABASES"]
        done = subprocess.run(words, env={**os.environ, "MYSQL_PWD": (running.folder / f"secrets/mysql_{name}").read_text()},
                              capture_output=True, text=True, timeout=30)
        assert set(done.stdout.split()) == {"information_schema", name}, done


def test_a_second_one_shows_the_addresses_of_the_first(running):
    done = running.call("--offline")
    assert done.returncode == 0 and "already running" in done.stdout
    assert f"127.0.0.1:{running.port}" in done.stdout


@pytest.mark.parametrize("words", [["--port"], ["--port", "x"], ["--port", "08080"], ["--port", "65535"], ["--nothing"], ["break"], ["break", "x-mart"], ["try", "x"]])
def test_wrong_words_show_the_usage(running, words):
    done = running.call(*words)
    assert done.returncode == 2 and "usage" in done.stderr, done


def test_a_taken_port_is_named_with_its_owner(work_folder, release):
    q = QuickStart(work_folder / "quickstart-port", release)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = q.call("--offline", "--once", "--port", str(port))
    assert done.returncode == 5, done
    assert f"port {port} is used by" in done.stderr and f"(pid {os.getpid()})" in done.stderr, done.stderr


def test_it_does_not_send_when_it_does_not_run(work_folder, release):
    q = QuickStart(work_folder / "quickstart-none", release)
    done = q.call("send")
    assert done.returncode == 3 and "deploy/quickstart" in done.stderr
    assert q.call("stop").returncode == 0


def test_ctrl_c_stops_everything(work_folder, release):
    q = QuickStart(work_folder / "quickstart-stop", release)
    q.start("--port", str(free_port()))
    pids = [int(p.read_text()) for p in q.folder.rglob("*.pid") if p.read_text().strip().isdigit()]
    assert len(pids) >= 9, "three servers and six programs"
    q.process.send_signal(signal.SIGINT)
    assert q.process.wait(60) == 130
    assert [pid for pid in pids if is_alive(pid)] == []
    shutil.rmtree(q.folder, ignore_errors=True)


def test_what_a_killed_one_left_running_is_stopped(work_folder, release):
    q = QuickStart(work_folder / "quickstart-killed", release)
    q.start("--port", str(free_port()))
    pids = [int(p.read_text()) for p in q.folder.rglob("*.pid") if p.name != "pid"]
    q.process.kill()
    q.process.wait(10)
    assert [pid for pid in pids if is_alive(pid)] == pids
    assert re.search(r"accepted .*job .*This job +http://[0-9.:]+/j/[0-9a-f-]{36}\n", q.start("--port", str(free_port())), re.S)
    assert [pid for pid in pids if is_alive(pid)] == []
    pids = [int(p.read_text()) for p in q.folder.rglob("*.pid") if p.name != "pid"]
    q.process.kill()
    q.process.wait(10)
    done = q.call("stop")
    assert done.returncode == 0 and done.stdout.startswith("stopped what a killed quick start had left: "), done
    assert set(done.stdout.split(":")[1].split()) == {"kafka", "redis", "mysql", "gateway", "worker", "auth", "member",
                                                      "batch", "stand-in"}
    assert [pid for pid in pids if is_alive(pid)] == []
    assert q.call("stop").stdout == "nothing runs\n"
    shutil.rmtree(q.folder, ignore_errors=True)


def test_a_program_that_ends_is_told_and_stops_the_rest(work_folder, release):
    q = QuickStart(work_folder / "quickstart-dead", release)
    q.start("--port", str(free_port()))
    os.kill(int((q.folder / "worker.pid").read_text()), signal.SIGKILL)
    assert q.process.wait(60) == 1
    assert "worker ended" in q.out.read_text()
    assert not list(q.folder.glob("*.ports"))
    shutil.rmtree(q.folder, ignore_errors=True)
