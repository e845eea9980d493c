"""deploy/stack and tests/run: what they take from their caller, and what they leave alone."""
import contextlib
import http.server
import os
import pathlib
import shutil
import signal
import socket
import socketserver
import subprocess
import sys
import tempfile
import threading

import pytest

from conftest import closing
from harness import ROOT, Answer, Background, NotInTime, Program, Stack, request, undisturbed, wait_for
from test_quickstart import is_alive


def program(folder, name, text):
    """A program of this name that is first in the PATH that is returned."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(f"#!/bin/bash\n{text}\n")
    (folder / name).chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@contextlib.contextmanager
def repository():
    """A Maven repository that has nothing: its address, and the paths it was asked for."""
    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", asked
    server.shutdown()
    server.server_close()


def test_the_jars_come_by_the_callers_maven_settings_into_the_cache_alone(tmp_path):
    home, cache = tmp_path / "home", tmp_path / "cache"
    (home / ".m2").mkdir(parents=True)
    with repository() as (address, asked):
        (home / ".m2/settings.xml").write_text(f"""<settings><mirrors><mirror><id>m</id><mirrorOf>*</mirrorOf>
            <url>{address}/mirror</url></mirror></mirrors></settings>""")
        done = subprocess.run([ROOT / "deploy/stack", "fetch"], capture_output=True, text=True, timeout=120,
                              env={"PATH": os.environ["PATH"], "OFFPATH_CACHE": str(cache), "HOME": str(home),
                                   "MAVEN_OPTS": f"-Duser.home={home}"})
    assert done.returncode == 3 and done.stderr.endswith(
        "stack: the broker's jars did not come (Maven Central); see above\n"), done
    assert asked and all(path.startswith("/mirror/") for path in asked), asked
    assert [p.name for p in (home / ".m2").iterdir()] == ["settings.xml"]
    assert [p.name for p in cache.iterdir()] == ["kafka.lock"]


def fetch(tmp_path, **more):
    path = program(tmp_path / "bin", "mvn", """for w; do case $w in -DoutputDirectory=*) libs=${w#*=} ;; esac; done
        mkdir -p "$libs" && touch "$libs/kafka_2.13-4.2.0.jar\"""")
    return subprocess.run([ROOT / "deploy/stack", "fetch"], capture_output=True, text=True, env={"PATH": path, **more})


def test_a_kafka_of_yours_where_the_jars_belong_stays(tmp_path):
    yours = tmp_path / "opt/kafka-4.2.0/bin"
    yours.mkdir(parents=True)
    done = fetch(tmp_path, OFFPATH_CACHE=str(tmp_path / "opt"))
    assert done.returncode == 3 and "Directory not empty" in done.stderr and yours.exists(), done
    assert sorted(p.name for p in (tmp_path / "opt").iterdir()) == ["kafka-4.2.0", "kafka.lock"]


def test_what_a_killed_download_left_goes_with_the_next(tmp_path):
    cache = tmp_path / ".cache/offpath"
    (cache / ".offpath-fetch/libs").mkdir(parents=True)
    assert fetch(tmp_path, HOME=str(tmp_path)).returncode == 0
    assert sorted(p.name for p in cache.iterdir()) == ["kafka-4.2.0", "kafka.lock"]
    assert sorted(p.name for p in (cache / "kafka-4.2.0").iterdir()) == ["complete", "libs"]


def test_without_a_home_no_jars_are_taken_from_where_anybody_can_put_them(tmp_path):
    done = fetch(tmp_path)
    assert done.returncode == 3 and done.stderr == \
        "stack: neither HOME nor OFFPATH_CACHE says where the broker's jars are kept\n", done


class Clone:
    """A folder with tests/run, to whose stages the rest is what a test puts there."""

    def __init__(self, folder):
        self.folder, self.bin = folder, folder / "bin"
        for name in ("tests/system", "deploy"):
            (folder / name).mkdir(parents=True)
        shutil.copy(ROOT / "tests/run", folder / "tests/run")
        self.put("deploy/stack", 'echo "$1" >> calls')
        for name in ("cmake", "ninja"):
            self.put(f"bin/{name}", "")

    def put(self, name, text):
        program((self.folder / name).parent, pathlib.Path(name).name, text)

    def system(self, text, seconds=60):
        (self.folder / "tests/system/harness.py").write_text("class NotInTime(AssertionError):\n    pass\n")
        (self.folder / "tests/system/test_it.py").write_text(text)
        return self.run("--stage", "system", PYTEST_S=str(seconds))

    def start(self, *words, **more):
        return subprocess.Popen([self.folder / "tests/run", *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                env={"PATH": f"{self.bin}:{os.environ['PATH']}", **more})

    def run(self, *words, **more):
        run = self.start(*words, **more)
        run.out, run.err = run.communicate(timeout=60)
        return run


@pytest.fixture
def clone(tmp_path):
    return Clone(tmp_path)


def test_the_callers_settings_do_not_reach_the_tests(clone):
    clone.put("tests/lint", "echo ok seen; env | grep -E '^(OFFPATH|PY)' | sort; echo 1 passed")
    done = clone.run("--stage", "lint", OFFPATH_CACHE="/c", OFFPATH_CONFIG="/nowhere", OFFPATH_KAFKA_FILE="/nowhere",
                     OFFPATH_TEST_KAFKA="127.0.0.1:1", OFFPATH_TEST_SEED="7", PYTHONPATH="/p", PYTEST_ADDOPTS="-x")
    assert done.returncode == 0 and done.out.endswith("1 passed, 0 failed\n"), done.out
    assert (clone.folder / "build/test/lint.log").read_text().splitlines() == [
        "ok seen", "OFFPATH_CACHE=/c", "OFFPATH_TEST_SEED=7", "PYTHONDONTWRITEBYTECODE=1", "PYTHONNOUSERSITE=1", "1 passed"]


def test_a_list_of_stages_leaves_the_servers_of_a_run_alone(clone):
    (clone.folder / "build/test-stack").mkdir(parents=True)
    done = clone.run("--list")
    assert done.returncode == 0 and "system" in done.out.split(), done.out
    assert (clone.folder / "build/test-stack").exists()


def test_a_second_run_leaves_the_first_alone_and_what_outlives_a_run_is_none(clone):
    clone.put("tests/lint", "setsid sleep 20 > /dev/null 2>&1 & touch began; until [ -e go ]; do sleep 0.02; done; echo ok it")
    first = clone.start("--stage", "lint")
    try:
        wait_for("it has begun", lambda: (clone.folder / "began").exists(), 20)
        second = clone.run("--stage", "lint")
    finally:
        (clone.folder / "go").touch()
    assert (second.returncode, second.out, second.err) == (2, "", "another tests/run goes on here\n")
    assert first.communicate(timeout=20)[0].endswith("1 passed, 0 failed\n")
    assert clone.run("--stage", "lint").returncode == 0


def test_lint_looks_at_files_or_says_that_there_are_none(clone):
    shutil.copy(ROOT / "tests/lint", clone.folder / "tests/lint")
    done = clone.run("--stage", "lint", GIT_CEILING_DIRECTORIES=str(clone.folder.parent))
    assert done.returncode == 1 and "  lint: git names no file here" in done.out, done.out
    assert done.out.endswith("0 passed, 1 failed\n"), done.out


def test_a_container_that_refuses_setarch_has_thread_sanitizer_too(clone):
    clone.put("bin/setarch", "echo 'setarch: failed to set personality' >&2; exit 1")
    for name in "ab":
        clone.put(f"build/tsan/tests/unit_test_{name}", "echo '[ RUN      ] x'; echo '[       OK ] x'")
    done = clone.run("--stage", "tsan", PARALLEL="many")
    assert done.returncode == 0 and done.out.endswith("\n2 passed, 0 failed\n"), done.out


def test_a_program_without_a_result_is_a_failure(clone):
    clone.put("bin/basename", '[[ $1 != *_b ]] || { kill $PPID; exit; }; exec /usr/bin/basename "$1"')
    for name in "ab":
        clone.put(f"build/asan/tests/unit_test_{name}", "echo '[ RUN      ] x'; echo '[       OK ] x'")
    done = clone.run("--stage", "asan", JOBS="1")
    assert done.out.endswith("\n1 passed, 1 failed\n"), done.out


def test_a_stage_whose_time_is_up_takes_down_what_it_made(clone):
    (clone.folder / "build/test-stack").mkdir(parents=True)
    done = clone.system("""import pathlib, pytest, threading
@pytest.fixture
def server():
    yield
    pathlib.Path("taken-down").touch()
def test_it(server):
    assert threading.Event().wait(60)
""", 15)
    assert (clone.folder / "taken-down").exists(), done.out
    assert done.out.endswith(" failed\n") and done.returncode == 1 and "pytest ended with 124" in done.out, done.out
    assert (clone.folder / "calls").read_text().split()[:2] == ["stop", "start"], "a killed run's servers"


def test_a_stage_that_breaks_off_is_no_pass(clone):
    """As an interrupt whose clean-up fails, too: pytest has counted what it ran, and ends as if a test had failed."""
    done = clone.system("import atexit, os\natexit.register(os._exit, 1)\ndef test_it():\n    pass\n")
    assert "pytest ended with 1" in done.out and done.out.endswith("\n1 passed, 1 failed\n") and done.returncode == 1, done.out


def test_a_second_look_that_skips_is_no_pass(clone):
    done = clone.system("""import pathlib, pytest
from harness import NotInTime
def test_it():
    if pathlib.Path("seen").exists():
        pytest.skip("not again")
    pathlib.Path("seen").touch()
    raise NotInTime("late")
""")
    assert (clone.folder / "seen").exists() and done.out.endswith("\n0 passed, 1 failed\n"), done.out


@pytest.mark.parametrize("error, verdict", [("NotInTime", "2 passed, 0 failed"), ("ValueError", "0 passed, 2 failed")])
def test_what_a_test_stands_on_may_be_late_too(clone, error, verdict):
    """Only late: another error of a fixture stays one."""
    done = clone.system(f"""import pathlib, pytest
from harness import NotInTime
def once(name):
    if not pathlib.Path(name).exists():
        pathlib.Path(name).touch()
        raise {error}("late")
@pytest.fixture
def site():
    once("begun")
@pytest.fixture
def shared(site):
    yield
def test_it(shared):
    pass
def test_that(closes):
    once("tried")
@pytest.fixture
def closes():
    yield
    once("ended")
""")
    assert done.out.endswith(f"\n{verdict}\n"), done.out
    assert done.out.count("failed at first, passed alone") == (2 if error == "NotInTime" else 0), done.out


def test_a_database_that_starts_deletes_nothing_in_everybodys_folder(tmp_path):
    """MariaDB removes #sql files from its folder for temporary files: in /tmp they may be another server's, in use."""
    others = pathlib.Path(tempfile.gettempdir()) / f"#sql-temptable-{os.getpid()}-1-0.MAI"
    others.touch()
    server = Stack(tmp_path / "stack", mine=True)
    try:
        server.start(only="mysql")
        assert others.exists()
    finally:
        server.stop()
        others.unlink(missing_ok=True)


def test_the_servers_start_and_start_again_in_any_folder(tmp_path, monkeypatch):
    """A blank splits a word in mariadb-install-db, a comma Kafka's list of folders, and Kafka reads its file as Latin-1.
    A Java of yours that is first in PATH may be too old."""
    monkeypatch.setenv("PATH", program(tmp_path / "bin", "java", "exit 1"))
    folder = tmp_path / "my jürg,s stack"
    server = Stack(folder, mine=True)
    try:
        for _ in range(2):
            server.start()
            assert server.sql("SELECT 1") == [["1"]] and b" 1 brokers:" in server.kcat("-L")
            server.call("stop", server.folder)
        assert {p.name for p in tmp_path.iterdir()} == {"bin", folder.name}
        assert {"kafka", "mysql", "redis"} <= {p.name for p in folder.iterdir()} and (folder / "kafka/data").exists()
    finally:
        server.stop()


def test_a_server_of_another_on_our_port_is_not_taken_for_ours(tmp_path):
    class Pong(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(64)
            self.request.sendall(b"+PONG\r\n")

    ours = Stack(tmp_path / "stack", mine=True)
    (tmp_path / "stack").mkdir()
    (tmp_path / "stack/.offpath-stack").touch()
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Pong) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        (tmp_path / "stack/redis.port").write_text(str(other.server_address[1]))
        try:
            ours.start("redis")
            assert ours.redis("INFO", "server") and not ours.env["OFFPATH_REDIS"].endswith(f":{other.server_address[1]}")
        finally:
            ours.stop()
            other.shutdown()


def test_a_start_that_is_interrupted_does_not_keep_the_next_one_waiting(tmp_path):
    folder = tmp_path / "stack"
    env = {**os.environ, "PATH": program(tmp_path / "bin", "redis-server", "exec sleep 300")}
    start = subprocess.Popen([ROOT / "deploy/stack", "start", folder, "--only", "redis"], env=env, start_new_session=True,
                             stderr=subprocess.DEVNULL)
    wait_for("it waits for the server", lambda: (folder / "redis.pid").read_text(), 20)
    os.killpg(start.pid, signal.SIGINT)
    assert start.wait(10) == 130
    subprocess.run([ROOT / "deploy/stack", "stop", folder], check=True)
    wait_for("its lock is free", lambda: subprocess.run(["flock", "-n", folder / "lock", "true"]).returncode == 0, 20)


def test_a_server_that_there_is_not_is_not_stopped(tmp_path):
    done = subprocess.run([ROOT / "deploy/stack", "stop", tmp_path, "--only", "mysq"], capture_output=True, text=True)
    assert done.returncode == 2 and "usage" in done.stderr, done


def test_a_folder_by_another_name_is_the_same(tmp_path):
    server = Stack(tmp_path / "stack", mine=True)
    (tmp_path / "link").symlink_to("stack")
    try:
        server.call("start", tmp_path / "link", "--only", "redis")
        assert "redis runs, pid " in server.call("status", tmp_path / "link", "--only", "redis")
    finally:
        server.stop()


def test_a_program_of_the_tests_ends_with_its_run(tmp_path):
    text = "import pathlib; from harness import Program; print(Program('it', pathlib.Path('.'), ['sleep', '60'], {}).pid); 1 / 0"
    done = subprocess.run([sys.executable, "-c", text], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT / "tests/system")},
                          capture_output=True, text=True, timeout=60)
    assert "ZeroDivisionError" in done.stderr
    wait_for("it has ended", lambda: not is_alive(int(done.stdout)), 10)


def test_a_missed_deadline_is_not_in_time_and_no_other_error(tmp_path):
    program, go_on = Program("it", tmp_path, ["sleep", "60"], {}), threading.Event()
    load = Background(lambda _: go_on.wait(60), 1, count=1)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        for wait in (lambda: program.wait_exit(0.1), lambda: load.join(0.1), lambda: request(address, "GET", "/", timeout=0.1)):
            with pytest.raises(NotInTime):
                wait()
        with pytest.raises(NotInTime, match="last seen: NoAnswer"):
            wait_for("it asks again", lambda: request(address, "GET", "/", timeout=0.1), 0.1)
    go_on.set()
    program.kill()


@pytest.mark.parametrize("away, tries", [((), 1), ((0,), 2), ((0, 1), 3), ((0, 1, 2, 3), 3)])
def test_what_redis_decides_is_tried_anew_only_while_it_was_away(away, tries):
    class Gateway:
        log = ""

        def text(self):
            return self.log

        def get(self, _):
            return Answer(200, {}, b'{"degraded": []}', 0)
    gateway, tried = Gateway(), []

    def act(n):
        tried.append(n)
        gateway.log += "warn  offpath cache-away why=late\n" * (n in away)
        assert n > 3, "never good"
    with pytest.raises(AssertionError, match="never good"):
        undisturbed([gateway], act)
    assert len(tried) == tries
    assert undisturbed([gateway], str) == "0"


@pytest.mark.parametrize("late", [True, False])
def test_a_site_that_does_not_stop_is_late_and_one_that_crashes_is_not(late):
    class OfReports:
        def close(self):
            return [NotInTime("it did not end")] if late else [NotInTime("it did not end"), "it crashed"]
    with pytest.raises(AssertionError, match="it did not end") as e:
        closing([OfReports()])
    assert isinstance(e.value, NotInTime) == late


def test_a_site_that_does_not_open_is_closed(new_site):
    site = new_site(edit={"need: 1": "nead: 1"})
    with pytest.raises(AssertionError, match="topics apply"):
        site.open()
    assert not site.standin.running()
    assert site.stack.sql(f"SHOW DATABASES LIKE '{site.database}'") == []


def test_a_taken_port_is_seen_without_ipv6():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        look = f"port_is_taken {s.getsockname()[1]} && port_sockets {s.getsockname()[1]}"
        done = subprocess.run(["bash", "-c", f'set -o pipefail; cat() {{ command cat "${{@/tcp6/none}}"; }}; . deploy/lib.sh; {look}'],
                              cwd=ROOT, capture_output=True, text=True)
        assert done.stdout.strip() == os.readlink(f"/proc/self/fd/{s.fileno()}"), done
