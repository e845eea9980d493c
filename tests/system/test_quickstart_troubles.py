"""What the quick start says when something is missing or taken: the exact words, the exit code, and
that nothing it started stays. The machine it meets is made of stubs: programs, memory, system."""
import contextlib
import fcntl
import json
import os
import pathlib
import pty
import re
import shutil
import socket
import subprocess
import tempfile

import pytest

from harness import ROOT, wait_for
from test_quickstart import QuickStart

USUAL = {"etc/os-release": 'NAME="Debian GNU/Linux"\nVERSION_ID="12"\n',
         "proc/meminfo": "MemTotal: 4194304 kB\nMemAvailable: 3984588 kB\n"}


class Machine(QuickStart):
    """A quick start that finds all tools of this machine but sudo; stub() replaces one, absent() a package."""

    def __init__(self, folder):
        super().__init__(folder / "run", folder / "no-build")
        self.bin, self.files = folder / "bin", folder / "machine"
        self.bin.mkdir()
        for tool in pathlib.Path("/usr/bin").iterdir():
            if tool.name != "sudo":
                (self.bin / tool.name).symlink_to(tool)
        for name, text in USUAL.items():
            self.write(name, text)
        self.env |= {"PATH": str(self.bin), "QUICKSTART_MACHINE": str(self.files), "CALLS": str(folder / "calls"),
                     "OFFPATH_CACHE": str(folder / "cache")}
        self.stub("df", "echo Filesystem; echo /dev/vda 99 9 11534336 1% /")
        self.stub("nproc", "echo 2")
        self.absent()
        self.user(0)

    def write(self, name, text):
        (self.files / name).parent.mkdir(parents=True, exist_ok=True)
        (self.files / name).write_text(text)

    def stub(self, name, text):
        (self.bin / name).unlink(missing_ok=True)
        (self.bin / name).write_text(f"#!/bin/bash\necho {name} \"$*\" >> \"$CALLS\"\n{text}\n")
        (self.bin / name).chmod(0o755)

    def user(self, uid):
        self.stub("id", f"echo {uid}")

    def absent(self, *packages):
        """Until apt-get has installed them."""
        self.stub("dpkg-query", f"""[ -e "$CALLS.installed" ] || absent=" {' '.join(packages)} "
            for p; do case $p in -*|*Status*) ;; *) [[ $absent == *" $p "* ]] || echo "installed $p" ;; esac; done""")

    def mirror(self):
        """apt as it is on a bare image: no lists until they are fetched."""
        self.stub("apt-cache", '[ -e "$CALLS.lists" ] && shift && for p; do echo "$p:"; echo "  Candidate: 1.0"; done')
        self.stub("apt-get", """case $* in
            update*) touch "$CALLS.lists" ;;
            *--print-uris*) [ -e "$CALLS.lists" ] && echo "'http://x/a.deb' a.deb 1500000 x" && echo "'http://x/b.deb' b.deb 600000 x" ;;
            install*) touch "$CALLS.installed" ;;
            esac""")

    def no_mirror(self):
        self.stub("apt-cache", "")
        self.stub("apt-get", "echo \"Temporary failure resolving 'mirror.example'\" >&2; exit 100")

    def calls(self, name):
        lines = pathlib.Path(self.env["CALLS"]).read_text().splitlines()
        return [line[len(name) + 1:] for line in lines if line.split(" ", 1)[0] == name]


def left(folder):
    """Processes that work in the folder, or know it by their environment."""
    found = []
    for p in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if f"QUICKSTART_DIR={folder}\0".encode() in (p / "environ").read_bytes() or \
                    str((p / "cwd").readlink()).startswith(f"{folder}/"):
                found.append((p.name, (p / "cmdline").read_bytes().replace(b"\0", b" ")))
        except OSError:
            pass  # gone, or another's
    return found


def refused(q, status, line, *words):
    """The run ends with this status, these words and no more on standard error, and leaves nothing."""
    done = q.call(*words)
    assert (done.returncode, done.stderr) == (status, line + "\n"), done
    assert not left(q.folder) and not list(q.folder.glob("*.p*"))
    return done.stdout.splitlines()[1:]


def on_terminal(q, *words):
    """The lines of standard output as a terminal ends up showing them."""
    mine, its = pty.openpty()
    subprocess.run([ROOT / "deploy/quickstart", *words], env=q.env, stdin=subprocess.DEVNULL, stdout=its,
                   stderr=subprocess.DEVNULL, timeout=60)
    os.close(its)
    text = os.read(mine, 65536).decode()
    os.close(mine)
    return [line.rsplit("\r\033[K", 1)[-1] for line in text.split("\r\n")]


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


CHECKED = r"1/6 check      Debian 12, 2 cores, 3.8 GB memory, 11.0 GB disk    ok  "


def test_little_memory(machine):
    machine.write("proc/meminfo", "MemAvailable: 629145 kB\n")
    assert refused(machine, 1, "1/6 check      FAILED  0.6 GB memory free, 1.5 needed. Close something, "
                   "or use your servers: --kafka --redis --mysql") == []


def test_little_memory_is_enough_without_a_broker(machine):
    machine.write("proc/meminfo", "MemAvailable: 900000 kB\n")
    machine.absent("ninja-build")
    refused(machine, 1, "2/6 packages   FAILED  these packages are missing: ninja-build\n  try: run it once without --offline",
            "--offline", "--kafka", "127.0.0.1:1")


def test_little_disk(machine):
    machine.stub("df", "echo Filesystem; echo /dev/vda 99 9 1258291 1% /")
    assert refused(machine, 1, "1/6 check      FAILED  1.2 GB disk free here, 2.0 needed") == []


def test_another_system(machine):
    machine.write("etc/os-release", 'NAME="Fedora Linux"\nVERSION_ID=41\n')
    assert refused(machine, 1, "1/6 check      FAILED  this is Fedora 41; the quick start installs on Debian 12 and 13 only\n"
                   "  try: install what 'deploy/packages list build run' names, then deploy/quickstart --offline") == []


def test_another_system_offline_goes_on(machine):
    machine.write("etc/os-release", 'NAME="Fedora Linux"\nVERSION_ID=41\n')
    out = refused(machine, 1, "3/6 broker     FAILED  the broker's jars are not here\n  try: run it once without --offline",
                  "--offline")
    assert out[0].startswith("1/6 check      Fedora 41, 2 cores") and out[1].startswith("2/6 packages   all there    ok  ")


def test_a_long_line_does_not_wrap_on_a_terminal(machine):
    machine.write("etc/os-release", f'NAME="{"L" * 13}"\nVERSION_ID=41\n')
    lines = on_terminal(machine, "--offline")
    check = next(line for line in lines if line.startswith("1/6"))
    assert re.search(r" 11\.0 GB disk  ok  \d\.\d s$", check) and len(check) <= 80, lines


def test_neither_root_nor_sudo(machine):
    machine.user(1000)
    machine.absent("ninja-build", "kcat")
    machine.mirror()
    out = refused(machine, 4, "2/6 packages   FAILED  these packages are missing: ninja-build kcat. "
                  "Install them as root, then run this again")
    assert len(out) == 1 and out[0].startswith(CHECKED)
    assert machine.calls("apt-get") == []


def test_a_sudo_that_refuses_is_no_dead_mirror(machine):
    machine.user(1000)
    machine.absent("ninja-build", "kcat")
    machine.mirror()
    machine.stub("sudo", "echo 'u is not in the sudoers file.' >&2; exit 1")
    out = refused(machine, 4, "2/6 packages   FAILED  these packages are missing: ninja-build kcat. "
                  "Install them as root, then run this again")
    assert out[1:] == ["2/6 packages   sudo is asked for, for the packages only"]
    assert machine.calls("sudo") == ["-v"] and machine.calls("apt-get") == []


def test_sudo_is_for_apt_alone_and_hands_the_proxy_on(machine):
    machine.user(1000)
    machine.absent("ninja-build")
    machine.mirror()
    machine.env["http_proxy"] = "http://proxy.example:3128"
    machine.stub("sudo", '[ "$1" = -v ] || { shift; "$@"; }')
    machine.stub("mvn", "exit 1")
    out = machine.call().stdout.splitlines()
    assert out[3].startswith("2/6 packages   2 packages, 2 MB    ok  "), out
    calls = machine.calls("sudo")
    assert {"-v"} == {c for c in calls if not c.startswith("-- env http_proxy=http://proxy.example:3128 ")}
    assert {c.split()[3] for c in calls if c != "-v"} == {"apt-get", "env"}


def test_sudo_is_announced_on_a_terminal_once_and_asks_on_a_line_of_its_own(machine):
    machine.user(1000)
    machine.absent("ninja-build")
    machine.mirror()
    machine.stub("sudo", '[ "$1" = -v ] && echo "a lecture" || { shift; "$@"; }')
    machine.stub("mvn", "exit 1")
    lines = on_terminal(machine)
    assert lines[2:4] == ["2/6 packages   sudo is asked for, for the packages only", "2/6 packages   2 packages, 2 MB"]
    assert lines[4].startswith("2/6 packages   2 packages, 2 MB    ok  "), lines


def test_a_bare_image_gets_its_lists_before_the_size_is_told(machine):
    machine.absent("ninja-build", "kcat")
    machine.mirror()
    machine.stub("mvn", "exit 1")
    out = machine.call().stdout.splitlines()
    assert out[2].startswith("2/6 packages   2 packages, 2 MB    ok  "), out


def test_no_package_mirror(machine):
    machine.absent("ninja-build")
    machine.no_mirror()
    out = refused(machine, 3, "2/6 packages   FAILED  the package mirror did not answer (name not found). "
                  "Proxy: http_proxy=... https_proxy=... Already installed: --offline")
    assert len(out) == 1 and out[0].startswith(CHECKED)


def test_what_you_have_is_not_removed(machine):
    machine.absent("ninja-build")
    machine.mirror()
    machine.stub("apt-get", """case $* in
        *--print-uris*) echo "'http://x/a.deb' a.deb 1500000 x" ;;
        "-s install "*) echo "Remv mysql-community-server [8.0]"; echo "Remv mysql-common [8.0]" ;;
        install*--no-remove*) echo 'E: Packages need to be removed but remove is disabled.' >&2; exit 100 ;;
        install*) touch "$CALLS.installed" ;;
        esac""")
    machine.stub("mvn", "exit 1")
    refused(machine, 1, "2/6 packages   FAILED  apt would remove what you have: mysql-community-server mysql-common. "
            "Remove it yourself if you can do without, or use another machine or a container")


def test_another_apt_that_has_the_lists_is_waited_for(machine):
    machine.absent("ninja-build")
    machine.mirror()
    machine.stub("sleep", "")
    machine.stub("apt-get", """case $* in
        update*) [ -e "$CALLS.once" ] && touch "$CALLS.lists" && exit
            touch "$CALLS.once"; echo 'E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)' >&2; exit 100 ;;
        *--print-uris*) [ -e "$CALLS.lists" ] && echo "'http://x/a.deb' a.deb 1500000 x" ;;
        install*) touch "$CALLS.installed" ;;
        esac""")
    machine.stub("mvn", "exit 1")
    assert machine.call().stdout.splitlines()[2].startswith("2/6 packages   1 package, 2 MB    ok  ")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can leave behind what belongs to root")
@pytest.mark.parametrize("words", [[], ["stop"]])
def test_what_root_left_behind_belongs_to_root(words):
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        q = QuickStart(pathlib.Path(folder) / "run", pathlib.Path(folder) / "no-build")
        q.folder.mkdir()
        (q.folder / "lock").touch()
        done = subprocess.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", ROOT / "deploy/quickstart", *words],
                              env=q.env, capture_output=True, text=True, timeout=60)
        assert (done.returncode, done.stdout) == (1, ""), done
        assert done.stderr == f"""quick start: FAILED  {q.folder} belongs to root
  try: run this as root, or, when it is stopped, sudo rm -r {q.folder} {folder}/no-build
"""


@contextlib.contextmanager
def a_stranger():
    """A program that is none of ours, and must go on."""
    other = subprocess.Popen(["sleep", "60"])
    try:
        yield other
        assert other.poll() is None
    finally:
        other.kill()
        other.wait()


def test_a_program_that_has_the_number_of_one_of_ours_is_left_alone(tmp_path):
    """The build folder is gone, and what a killed quick start wrote down is another program's now."""
    q = QuickStart(tmp_path / "run", tmp_path / "gone/quickstart")
    q.folder.mkdir()
    with a_stranger() as other:
        (q.folder / "gateway.pid").write_text(f"{other.pid}\n")
        assert q.call("stop").stdout == "nothing runs\n"


def test_stop_signals_nobody_but_a_quick_start(tmp_path):
    """It runs where its number is another's: in a container with the same clone."""
    q = QuickStart(tmp_path / "run", tmp_path / "no-build")
    q.folder.mkdir()
    with a_stranger() as other:
        (q.folder / "pid").write_text(f"{other.pid}\n")
        with open(q.folder / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = q.call("stop")
        assert (done.returncode, done.stderr) == (1, "it cannot be reached\n")


def test_no_maven_central(machine):
    machine.stub("mvn", "echo 'Unknown host repo.example' >&2; exit 1")
    done = machine.call()
    lines = done.stderr.splitlines()
    assert done.returncode == 3 and not left(machine.folder)
    assert lines[0] == "3/6 broker     FAILED  Apache Kafka did not come from Maven Central (name not found)"
    assert "  | Unknown host repo.example" in lines
    assert lines[-1] == "  try: a proxy: ~/.m2/settings.xml; or your own: --kafka host:port"


def test_a_build_that_breaks_in_a_folder_that_no_preset_has(machine):
    del machine.env["QUICKSTART_BUILD"]
    building(machine, "echo boom; exit 1")
    done = machine.call()
    lines = done.stderr.splitlines()
    assert (done.returncode, lines[0]) == (1, "4/6 build      FAILED  the build broke"), done
    assert lines[-2:] == ["  | boom", "  try: rm -r build/quickstart, then this again"]
    assert machine.calls("ninja") == ["-C build/quickstart offpath-gateway offpath-worker offpath-standin "
                                      "command-line-offpath-gateway command-line-offpath-worker"]
    presets = json.loads((ROOT / "CMakePresets.json").read_text())["configurePresets"]
    assert "quickstart" not in {p["name"] for p in presets}


def building(machine, ninja):
    (machine.folder.parent / "cache/kafka-4.2.0").mkdir(parents=True)
    (machine.folder.parent / "cache/kafka-4.2.0/complete").touch()
    machine.stub("cmake", "")
    machine.stub("ninja", ninja)


def test_stop_does_not_wait_for_a_build(machine):
    building(machine, "exec sleep 300")
    start = subprocess.Popen([ROOT / "deploy/quickstart"], env=machine.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for("it builds", lambda: machine.calls("ninja"), 20)
    done = machine.call("stop")
    assert (done.returncode, done.stdout) == (0, "stopped\n"), done
    assert b"FAILED" not in start.communicate(timeout=20)[1] and start.returncode == 130


def test_what_a_build_leaves_running_is_no_quick_start(machine):
    building(machine, "setsid sleep 20 > /dev/null 2>&1 & exit 1")
    for _ in range(2):
        assert machine.call().returncode == 1
    assert len(machine.calls("ninja")) == 2


def test_a_copied_clone_is_built_from_its_own_sources(machine):
    building(machine, "exit 1")
    folder = pathlib.Path(machine.env["QUICKSTART_BUILD"])
    folder.mkdir()
    (folder / "build.ninja").touch()
    for home, configured in ((ROOT, 0), ("/somewhere/else", 1)):
        (folder / "CMakeCache.txt").write_text(f"CMAKE_HOME_DIRECTORY:INTERNAL={home}\n")
        machine.call()
        assert len(machine.calls("cmake")) == configured


def test_what_it_started_stops_when_a_server_of_yours_does_not_answer(work_folder, release):
    q = QuickStart(work_folder / "quickstart-away", release)
    with socket.socket() as s:  # bound, so nobody else's, and not listening
        s.bind(("127.0.0.1", 0))
        kafka = "127.0.0.1:%d" % s.getsockname()[1]
        done = q.call("--offline", "--once", "--kafka", kafka)
    assert done.returncode == 3, done
    lines = done.stderr.splitlines()
    assert lines[0] == "5/6 start      FAILED  offpath-worker topics apply --yes said no"
    assert lines[-1] == f"  try: is that your server? see {q.shown}/quickstart.log"
    assert (q.folder / "stack/mysql").exists() and not (q.folder / "stack/kafka").exists()
    assert not left(q.folder) and not list(q.folder.rglob("*.pid")) and not list(q.folder.glob("*.ports"))
    shutil.rmtree(q.folder)


# ---- your own servers, the usual port taken, an environment full of settings

def exports(text):
    return {line.split()[1].split("=", 1)[0].lower()[8:]: line.split("=", 1)[1].strip("'") for line in text.splitlines()}


def is_taken(port):
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False


@pytest.fixture(scope="module")
def own(work_folder, release):
    """One run with servers of its caller; port 8480 is taken (by us, unless somebody has it) while Kafka keeps it waiting."""
    def stack(*words):
        return subprocess.run([ROOT / "deploy/stack", words[0], folder, *words[1:]], check=True, capture_output=True, text=True)

    folder, nowhere = work_folder / "own-servers", "/nowhere/at-all"
    q = QuickStart(work_folder / "quickstart-own", release)
    q.env |= {"OFFPATH_CONFIG": nowhere, "OFFPATH_ONLY": "no-such-flow", "OFFPATH_KAFKA": "127.0.0.1:1",
              "OFFPATH_KAFKA_FILE": nowhere, "OFFPATH_KAFKA_PROPERTIES": nowhere, "OFFPATH_SECRETS": nowhere,
              "http_proxy": "http://127.0.0.1:1"}
    try:
        stack("start")
        q.servers = exports(stack("env").stdout)
        stack("freeze", "kafka")
        words = ["--offline", "--once", *(w for k, v in q.servers.items() for w in (f"--{k}", v))]
        run = subprocess.Popen([ROOT / "deploy/quickstart", *words], env=q.env, stdin=subprocess.DEVNULL,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        wait_for("it asks Kafka", lambda: "topics apply" in (q.folder / "quickstart.log").read_text(), 60)
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            q.owner = None
            with contextlib.suppress(OSError):
                s.bind(("127.0.0.1", 8480))
                s.listen()
                q.owner = f"{pathlib.Path('/proc/self/comm').read_text().strip()} (pid {os.getpid()})"
            q.gateway = next(p for p in range(8482, 9000, 2) if not is_taken(p))
            stack("thaw", "kafka")
            q.done = subprocess.CompletedProcess(words, None, *run.communicate(timeout=180))
            q.done.returncode = run.returncode
        q.status = stack("status").stdout
        yield q
    finally:
        stack("stop")
        shutil.rmtree(folder)
        shutil.rmtree(q.folder, ignore_errors=True)


def test_your_servers_are_used_and_stay(own):
    assert own.done.returncode == 0, own.done
    out = own.done.stdout
    port = {k: v.rsplit(":", 1)[1].split("/")[0] for k, v in own.servers.items()}
    assert f"3/6 broker     yours, {own.servers['kafka']}    ok  " in out
    assert f"5/6 start      Kafka :{port['kafka']}  Redis :{port['redis']}  MySQL :{port['mysql']}  1 flow checked    ok  " in out
    assert "3 of 3, saved" in out and "from the cache" in out
    assert not (own.folder / "stack").exists() and not left(own.folder)
    assert own.status.count(" runs, pid ") == 3, own.status


def test_a_second_time_with_your_redis_it_is_a_new_job(own):
    """It remembers the first answer for 5 minutes."""
    done = own.call(*own.done.args)
    assert done.returncode == 0, done
    assert re.search(r"accepted +[\d,]+ ms", done.stdout) and re.search(r"again +[\d,]+ ms +from the cache", done.stdout), done


def test_a_taken_usual_port_is_named_and_the_next_used(own):
    lines = own.done.stderr.splitlines()
    assert len(lines) == 1, lines
    if own.owner:
        assert lines[0] == f"port 8480 is used by {own.owner}; using {own.gateway} (--port fixes it)"
    else:
        assert lines[0].startswith("port 8480 is used by ") and lines[0].endswith(f"; using {own.gateway} (--port fixes it)")


def test_settings_of_the_caller_reach_neither_programs_nor_servers(own):
    """own.env names a config file that is not there, no flow, another Kafka and a proxy."""
    assert own.done.returncode == 0 and "3 of 3, saved" in own.done.stdout, own.done
