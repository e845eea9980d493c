"""deploy/stack and tests/run: what they take from their caller, and what they leave alone."""
import contextlib
import http.server
import os
import pathlib
import shutil
import subprocess
import tempfile
import threading

from harness import ROOT, Stack


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


def test_the_callers_settings_do_not_reach_the_tests(tmp_path):
    (tmp_path / "tests").mkdir()
    shutil.copy(ROOT / "tests/run", tmp_path / "tests/run")
    (tmp_path / "tests/lint").write_text("#!/bin/bash\necho ok seen; env | grep ^OFFPATH_; echo 1 passed\n")
    (tmp_path / "tests/lint").chmod(0o755)
    done = subprocess.run([tmp_path / "tests/run", "--stage", "lint"], capture_output=True, text=True,
                          env={"PATH": os.environ["PATH"], "OFFPATH_CACHE": "/c", "OFFPATH_CONFIG": "/nowhere",
                               "OFFPATH_KAFKA_FILE": "/nowhere", "OFFPATH_TEST_KAFKA": "127.0.0.1:1"})
    assert done.returncode == 0 and done.stdout.endswith("1 passed, 0 failed\n"), done
    seen = (tmp_path / "build/test/lint.log").read_text().splitlines()
    assert seen == ["ok seen", "OFFPATH_CACHE=/c", "1 passed"]


def test_a_list_of_stages_leaves_the_servers_of_a_run_alone(tmp_path):
    (tmp_path / "tests").mkdir()
    (tmp_path / "build/test-stack").mkdir(parents=True)
    shutil.copy(ROOT / "tests/run", tmp_path / "tests/run")
    done = subprocess.run([tmp_path / "tests/run", "--list"], capture_output=True, text=True)
    assert done.returncode == 0 and "system" in done.stdout.split(), done
    assert (tmp_path / "build/test-stack").exists()


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


def test_the_servers_start_and_start_again_in_any_folder(tmp_path):
    """A blank splits a word in mariadb-install-db, a comma Kafka's list of folders, and Kafka reads its file as Latin-1."""
    folder = tmp_path / "my jürg,s stack"
    server = Stack(folder, mine=True)
    try:
        for _ in range(2):
            server.start()
            assert server.sql("SELECT 1") == [["1"]] and b" 1 brokers:" in server.kcat("-L")
            server.call("stop", server.folder)
        assert [p.name for p in tmp_path.iterdir()] == [folder.name]
        assert {"kafka", "mysql", "redis"} <= {p.name for p in folder.iterdir()} and (folder / "kafka/data").exists()
    finally:
        server.stop()
