"""What the system tests stand on: private servers (deploy/stack), the real programs, the stand-in
upstream, and small clients for HTTP, Redis, MySQL and Kafka. Standard library only; MySQL and Kafka
are spoken to with the command line clients mariadb and kcat.

A Site is one installation of its own: flow files, topics, database, Redis database, stand-in,
gateways and workers. Sites share the servers and nothing else, so tests do not meet each other.
Nothing here sleeps to let something happen: wait_for looks again until it is true or too late."""
import atexit
import contextlib
import http.client
import itertools
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import threading
import time
import urllib.parse
import uuid

ROOT = pathlib.Path(__file__).resolve().parents[2]
# to be left out of price-compare where a job must not be another's, or its reply another thread's
CACHE_OF_THE_FLOW = re.search(r"cache:\n(?:  .*\n)+", (ROOT / "deploy/flows/price-compare.yaml").read_text())[0]
SHOPS = ("a-mart", "b-shop", "c-store")
FINAL = ("succeeded", "partial", "failed", "cancelled", "expired")
SANITIZER = re.compile(r"(ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer)")


CRASHES = [-getattr(signal, name) for name in ("SIGABRT", "SIGBUS", "SIGFPE", "SIGILL", "SIGSEGV", "SIGSYS")]


class NotInTime(AssertionError):
    """What was waited for did not happen."""


class NoAnswer(NotInTime, TimeoutError):
    """A request was not answered in time: wait_for asks again, as after other errors of a connection."""


def wait_for(what, look, timeout=30.0, every=0.02):
    """Calls look() until it gives something true, and returns that."""
    end = time.monotonic() + timeout
    seen = None
    while True:
        try:
            seen = look()
            if seen:
                return seen
        except (OSError, http.client.HTTPException, Unreadable) as e:
            seen = e
        if time.monotonic() > end:
            raise NotInTime(f"not within {timeout} s: {what}; last seen: {seen!r}")
        time.sleep(every)


def wait_held(what, look, seconds, timeout):
    """Until look() was true for so many seconds on end, however often it is asked."""
    since = time.monotonic()

    def held():
        nonlocal since
        if not look():
            since = time.monotonic()
        return time.monotonic() - since > seconds
    wait_for(f"{what}, for {seconds} s", held, timeout, every=0.1)


def undisturbed(gateways, act, times=3):
    """What act(n) gives, where Redis alone can decide it: done anew when it failed and a gateway took Redis for
    away meanwhile, as it does after 50 ms without an answer. Each n needs a user, key or product of its own."""
    def away():
        return [g.text().count(" cache-away ") for g in gateways]
    for n in range(times):
        wait_for("they have Redis", lambda: not any("redis" in str(g.get("/readyz").json().get("degraded")) for g in gateways))
        before = away()
        try:
            return act(n)
        except AssertionError:
            if n == times - 1 or away() == before:
                raise


class Unreadable(Exception):
    """An answer that is no JSON where JSON is due."""


# ---- servers

class Stack:
    """Kafka, Redis and MariaDB of this run."""

    def __init__(self, folder, mine):
        self.folder, self.mine = str(folder), mine
        self.env = {}

    def call(self, *words, check=True):
        done = subprocess.run([ROOT / "deploy/stack", *words], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=240)
        if check and done.returncode:
            raise RuntimeError(f"deploy/stack {' '.join(words)}: {done.stderr}")
        return done.stdout

    def start(self, only="kafka,redis,mysql"):
        self.call("start", self.folder, "--only", only)
        for line in self.call("env", self.folder).splitlines():
            name, value = re.match(r"export (\w+)='(.*)'", line).groups()
            self.env[name] = value

    def stop(self):
        self.call("stop", self.folder, check=False)
        if self.mine:
            shutil.rmtree(self.folder, ignore_errors=True)

    @contextlib.contextmanager
    def frozen(self, server):
        """The server does not answer, its connections stay open (a hang, a partition)."""
        self.call("freeze", self.folder, server)
        try:
            yield
        finally:
            self.call("thaw", self.folder, server)

    @contextlib.contextmanager
    def dead(self, server):
        """The server was killed; its port refuses. It is there again afterwards."""
        self.call("kill", self.folder, server)
        try:
            yield
        finally:
            self.start(server)

    @contextlib.contextmanager
    def refusing(self, how):
        """Redis is there and answers, but what writes is an error: as a "replica", or "no memory" is left."""
        on, off = {"replica": (("REPLICAOF", "127.0.0.1", "1"), ("REPLICAOF", "NO", "ONE")),
                   "no memory": (("CONFIG", "SET", "maxmemory", "1"), ("CONFIG", "SET", "maxmemory", "0"))}[how]
        self.redis(*on)
        try:
            yield
        finally:
            self.redis(*off)

    def kafka(self):
        return self.env["OFFPATH_KAFKA"]

    def sql(self, text, database="offpath"):
        """Rows as lists of texts; NULL is the text NULL."""
        u = urllib.parse.urlsplit(self.env["OFFPATH_MYSQL"])
        done = subprocess.run(
            ["mariadb", "--no-defaults", "--protocol=tcp", "-h", u.hostname, "-P", str(u.port), "-u",
             u.username, "--batch", "--raw", "-N", "-e", text, database],
            env={**os.environ, "MYSQL_PWD": u.password}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, errors="replace", timeout=60)
        if done.returncode:
            raise RuntimeError(f"{text}: {done.stderr}")
        return [line.split("\t") for line in done.stdout.splitlines()]

    def redis(self, *words, db=0):
        u = urllib.parse.urlsplit(self.env["OFFPATH_REDIS"])
        with socket.create_connection((u.hostname, u.port), timeout=5) as s:
            f = s.makefile("rwb")
            for command in (("SELECT", str(db)), words):
                f.write(b"*%d\r\n" % len(command))
                for w in command:
                    w = w if isinstance(w, bytes) else str(w).encode()
                    f.write(b"$%d\r\n%s\r\n" % (len(w), w))
                f.flush()
                answer = read_resp(f)
            return answer

    def kcat(self, *words, data=None, timeout=60):
        done = subprocess.run(["kcat", "-b", self.kafka(), *words], input=data, capture_output=True,
                              timeout=timeout, **({} if data is not None else {"stdin": subprocess.DEVNULL}))
        if done.returncode:
            raise RuntimeError(f"kcat {words}: {done.stderr.decode(errors='replace')}")
        return done.stdout

    def produce(self, topic, value, key=None, headers=(), partition=None):
        """One record; value: bytes, or None for a tombstone."""
        words = ["-P", "-t", topic, "-X", "acks=all"]
        if partition is not None:
            words += ["-p", str(partition)]
        for name, text in dict(headers).items():
            words += ["-H", f"{name}={text}"]
        if not value:  # kcat takes an empty value from a line with a key only
            empty = ["-Z"] if value is None else []
            self.kcat(*words, *empty, "-K", "\t", data=(key or "none").encode() + b"\t\n")
            return
        words += ["-D", "\x1d\x1e"]
        if key is not None:
            words += ["-k", key]
        self.kcat(*words, data=value)

    def produce_lines(self, topic, lines):
        """Many records, each "key<TAB>value"."""
        self.kcat("-P", "-t", topic, "-X", "acks=all", "-K", "\t", data="\n".join(lines).encode() + b"\n")

    def records(self, topic):
        """All records of a topic: dicts with partition, offset, key, value (text), headers."""
        fmt = "%p\x1f%o\x1f%k\x1f%s\x1f%h\x1e"
        out = self.kcat("-C", "-t", topic, "-e", "-q", "-o", "beginning", "-f", fmt)
        rows = []
        for row in out.decode("utf-8", "replace").split("\x1e"):
            if row:
                p, o, k, v, h = row.split("\x1f")
                heads = dict(x.split("=", 1) for x in h.split(",") if "=" in x)
                rows.append({"partition": int(p), "offset": int(o), "key": k, "value": v, "headers": heads})
        return sorted(rows, key=lambda r: (r["partition"], r["offset"]))

    def java(self, verb, *words, stdin=None):
        """What another program does, with Kafka's own client (KafkaPlain.java): its output."""
        cache = os.environ.get("OFFPATH_CACHE") or pathlib.Path.home() / ".cache/offpath"
        jars = max(pathlib.Path(cache).glob("kafka-*"))
        java = pathlib.Path("/usr/lib/jvm/default-java/bin/java")  # Debian's, whatever else is first in PATH
        done = subprocess.run([java if java.exists() else "java", "-cp", f"{jars}/libs/*", ROOT / "tests/system/KafkaPlain.java", verb,
                               self.kafka(), *words], input=stdin, capture_output=True, text=True, timeout=90)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def left_for_group(self, topic, group):
        """What a new member of the group would get: records behind the committed offsets. The
        members of the programs under test must have left before."""
        out = self.kcat("-G", group, "-e", "-q", "-X", "enable.auto.commit=false", "-X",
                        "auto.offset.reset=earliest", "-f", "%p:%o\n", topic)
        return out.decode().split()


def read_resp(f):
    line = f.readline()
    kind, rest = line[:1], line[1:-2]
    if kind == b"-":
        raise RuntimeError(rest.decode())
    if kind == b":":
        return int(rest)
    if kind == b"$":
        return None if rest == b"-1" else f.read(int(rest) + 2)[:-2]
    if kind == b"*":
        return [read_resp(f) for _ in range(int(rest))]
    return rest.decode()


# ---- HTTP

class Answer:
    def __init__(self, status, headers, body, took):
        self.status, self.headers, self.body, self.took = status, headers, body, took

    def json(self):
        try:
            return json.loads(self.body)
        except ValueError as e:
            raise Unreadable(f"{self.status}: {self.body[:200]!r}") from e

    def __repr__(self):
        return f"<{self.status} {self.body[:300]!r} {self.took * 1000:.0f} ms>"


def request(address, method, path, body=None, headers=None, timeout=20, kept=False):
    """kept: on a connection that had a request before, whose replies other threads may make."""
    host, port = address.rsplit(":", 1)
    c = http.client.HTTPConnection(host, int(port), timeout=timeout)
    began = time.monotonic()
    try:
        if kept:
            c.request("GET", "/v1/flows")
            c.getresponse().read()
        c.request(method, path, body=body, headers=headers or {})
        r = c.getresponse()
        return Answer(r.status, {k.lower(): v for k, v in r.getheaders()}, r.read(), time.monotonic() - began)
    except TimeoutError:
        raise NoAnswer(f"not within {timeout} s: the answer of {address} to {method} {path}") from None
    finally:
        c.close()


def raw_exchange(address, text, timeout=15):
    """Sends bytes as they are and reads until the other side ends or nothing comes any more."""
    host, port = address.rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=timeout) as s:
        s.sendall(text)
        got = b""
        with contextlib.suppress(TimeoutError, ConnectionResetError):
            while True:
                part = s.recv(65536)
                if not part:
                    break
                got += part
                s.settimeout(1.0)
        return got


# ---- programs

class Program:
    """One process of ours, with its log and its ports."""

    def __init__(self, name, folder, command, env, ports=True):
        self.name = name
        self.log_path = folder / f"{name}.log"
        self.ports_path = folder / f"{name}.ports"
        self.ports = None
        with contextlib.suppress(FileNotFoundError):
            self.ports_path.unlink()
        if ports and "OFFPATH_PORTS_FILE" in env:
            env = {**env, "OFFPATH_PORTS_FILE": str(self.ports_path)}
        self.log = open(self.log_path, "ab")
        self.process = subprocess.Popen([str(w) for w in command], env=env, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, start_new_session=True)
        atexit.register(self.process.kill)  # whatever becomes of its test
        self.pid = self.process.pid

    def wait_ready(self, timeout=60):
        def look():
            if self.process.poll() is not None:
                raise AssertionError(f"{self.name} ended with {self.process.returncode}:\n{self.tail()}")
            return self.ports_path.exists() and self.ports_path.read_text()
        self.ports = json.loads(wait_for(f"{self.name} is ready", look, timeout))
        return self

    def address(self, which="listen"):
        return self.ports[which]

    def get(self, path, which="admin", **kw):
        return request(self.address(which), "GET", path, **kw)

    def metric(self, name, **labels):
        """Sum of the samples of a metric; None if it is not there."""
        total = None
        for line in self.get("/metrics").body.decode().splitlines():
            m = re.match(rf"{name}(\{{[^}}]*\}})? ([-+0-9.eE]+|NaN|\+Inf)$", line)
            if m and all(f'{k}="{v}"' in (m.group(1) or "") for k, v in labels.items()):
                total = (total or 0) + float(m.group(2))
        return total

    def running(self):
        return self.process.poll() is None

    def signal(self, number):
        if self.running():
            self.process.send_signal(number)

    def kill(self):
        self.signal(signal.SIGKILL)
        self.process.wait(20)

    def freeze(self):
        self.signal(signal.SIGSTOP)

    def thaw(self):
        self.signal(signal.SIGCONT)

    def stop(self, timeout=60):
        """SIGTERM; the exit status."""
        self.thaw()
        self.signal(signal.SIGTERM)
        try:
            return self.wait_exit(timeout)
        except NotInTime:
            self.kill()
            raise

    def wait_exit(self, timeout=60):
        try:
            return self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise NotInTime(f"{self.name} did not end within {timeout} s:\n{self.tail()}") from None

    def text(self):
        return self.log_path.read_text(errors="replace")

    def tail(self, lines=25):
        return "\n".join(self.text().splitlines()[-lines:])

    def memory_kb(self):
        for line in pathlib.Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def cpu_s(self):
        words = pathlib.Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")

    def threads(self):
        return len(os.listdir(f"/proc/{self.pid}/task"))


class StandIn(Program):
    def __init__(self, folder, binary, name="stand-in", delay_ms=5, port=0):
        ports = folder / f"{name}.ports"
        super().__init__(name, folder, [binary, "--ports-file", ports, "--delay-ms", delay_ms, "--port", port],
                         dict(os.environ), ports=False)
        self.wait_ready()

    def call(self, method, path, body=None):
        a = request(self.address(), method, path, json.dumps(body) if body is not None else None)
        assert a.status == 200, a
        return a.json()

    def script(self, shop, *replies):
        self.call("PUT", f"/_script/{shop}", list(replies))

    def hold(self, shop, *replies, **reply):
        """The shop's next answer waits until let_go; replies come before it."""
        self.script(shop, *replies, {**reply, "hold": True})

    def let_go(self, shop):
        self.mend(shop)

    @staticmethod
    def chat(content, **reply):
        """A reply of the LLM (shop `v1`) with this content: a text, or what is its JSON."""
        text = content if isinstance(content, str) else json.dumps(content)
        return {"body": {"choices": [{"index": 0, "message": {"role": "assistant", "content": text},
                                      "finish_reason": "stop"}]}, **reply}

    @staticmethod
    def s3_error(code="SlowDown", **reply):
        """A reply of the bucket (shop `builder`): S3's error, inside a 200 unless a status says more."""
        return {"status": 200, "body": '<?xml version="1.0" encoding="UTF-8"?>\n'
                f"<Error><Code>{code}</Code><Message>no</Message></Error>", **reply}

    def mend(self, shop=None):
        self.call("DELETE", f"/_script/{shop}" if shop else "/_script")

    def log_of(self, shop=None):
        return self.call("GET", f"/_log?shop={shop}" if shop else "/_log")

    def stats(self):
        return self.call("GET", "/_stats")

    def calls(self, shop=None):
        s = self.stats()
        return s[shop]["requests"] if shop else sum(x["requests"] for x in s.values())

    def in_flight(self):
        return sum(x["in_flight"] for x in self.stats().values())


# ---- a site

class Site:
    numbers = itertools.count(1)

    def __init__(self, stack, folder, binaries, edit=None, env=None, extra_flows=None, database=True,
                 limits=False, concurrency=20000, names_as_shipped=False):
        self.stack, self.binaries, self.limits = stack, binaries, limits
        self.number = next(Site.numbers)
        self.mark = f"{os.getpid()}x{self.number}"
        self.folder = pathlib.Path(folder) / f"site-{self.number}"
        own = "" if names_as_shipped else f"-{self.mark}"
        self.topic = f"price-compare-requests{own}"
        self.group = f"price-compare-consumer-group{own}"
        self.database = f"offpath_{self.mark}"
        self.redis_db = self.number % 16
        self.programs = []
        self.products = itertools.count(1)
        self.counters = {}
        (self.folder / "flows").mkdir(parents=True)
        self.concurrency = concurrency
        self.write_flows(edit, extra_flows or {})
        with self.closed_if_it_fails():
            self.standin = StandIn(self.folder, self.standin_binary())
            self.programs.append(self.standin)
            self.env = self.make_env()
            self.env.update(env or {})
            if database:
                stack.sql(f"CREATE DATABASE {self.database} CHARACTER SET utf8mb4")
            stack.redis("FLUSHDB", db=self.redis_db)

    def standin_binary(self):
        return self.binaries / "tests/standin/offpath-standin"

    def write_flows(self, edit, extra):
        """The flow as it ships, with topic and group of its own unless names_as_shipped; edit: {old: new}
        texts in it."""
        text = (ROOT / "deploy/flows/price-compare.yaml").read_text()
        changes = {"name: price-compare-requests": f"name: {self.topic}",
                   "group: price-compare-consumer-group": f"group: {self.group}", **(edit or {})}
        for old, new in changes.items():
            assert old in text, f"the flow file holds no {old!r}"
            text = text.replace(old, new)
        (self.folder / "flows/price-compare.yaml").write_text(text)
        for name, content in extra.items():
            (self.folder / f"flows/{name}.yaml").write_text(content.replace("MARK", self.mark))
        upstreams = (ROOT / "deploy/upstreams.yaml").read_text()
        if not self.limits:  # tests of other things do not wait for a shop's rate
            upstreams = re.sub(r"\n *rate: [^\n]*", "", upstreams)
            upstreams = re.sub(r"concurrency: \d+", f"concurrency: {self.concurrency}", upstreams)
        upstreams = upstreams.replace("  b-shop:\n", "  b-shop:\n    headers: {X-Api-Key: '${file:b_shop_key}'}\n")
        (self.folder / "upstreams.yaml").write_text(upstreams)
        secrets = self.folder / "secrets"
        secrets.mkdir()
        for name in {"id_secret", *re.findall(r"\$\{file:([a-z0-9_]+)\}", upstreams)}:
            (secrets / name).write_text(f"{name}-{'5' * 40}")

    def make_env(self):
        u = urllib.parse.urlsplit(self.stack.env["OFFPATH_MYSQL"])
        shops = f"http://{self.standin.address()}"
        keep = {k: v for k, v in os.environ.items()
                if not k.startswith("OFFPATH_")}
        return {
            **keep,
            "OFFPATH_KAFKA": self.stack.env["OFFPATH_KAFKA"],
            "OFFPATH_REDIS": f"{self.stack.env['OFFPATH_REDIS']}/{self.redis_db}",
            "OFFPATH_MYSQL": f"mysql://{u.username}:{u.password}@{u.hostname}:{u.port}/{self.database}",
            "OFFPATH_FLOWS": str(self.folder / "flows"),
            "OFFPATH_UPSTREAMS": str(self.folder / "upstreams.yaml"),
            "OFFPATH_SECRETS": str(self.folder / "secrets"),
            "OFFPATH_ID_SECRET_FILE": str(self.folder / "secrets/id_secret"),
            "OFFPATH_ADMIN": "127.0.0.1:0",
            "OFFPATH_PORTS_FILE": "set by the program's start",
            "OFFPATH_DRAIN_WAIT": "100ms",  # no load balancer looks here
            "A_MART_URL": f"{shops}/a-mart",
            "B_SHOP_URL": f"{shops}/b-shop",
            "C_STORE_URL": f"{shops}/c-store",
            "LLM_URL": f"{shops}/v1",
            "S3_URL": f"{shops}/builder",
        }

    # programs

    def verb(self, *words, env=None, timeout=60):
        """A program run to its end: CompletedProcess with stdout, stderr."""
        return subprocess.run([str(self.binaries / words[0]), *map(str, words[1:])],
                              env={**self.env, **(env or {})}, stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=timeout)

    def prepare(self):
        for what in ("topics", "migrate"):
            done = self.verb("offpath-worker", what, "apply", "--yes")
            assert done.returncode == 0, f"{what} apply: {done.returncode}\n{done.stdout}{done.stderr}"
        return self

    def launch(self, program, env=None, binaries=None, **more):
        n = self.counters[program] = self.counters.get(program, 0) + 1
        p = Program(f"{program}-{n}", self.folder, [(binaries or self.binaries) / f"offpath-{program}", "run"],
                    {**self.env, **(env or {}), **more})
        self.programs.append(p)
        return p

    def gateway(self, wait=True, **more):
        p = self.launch("gateway", OFFPATH_LISTEN="127.0.0.1:0", **more)
        return p.wait_ready() if wait else p

    def worker(self, wait=True, **more):
        p = self.launch("worker", **more)
        return p.wait_ready() if wait else p

    def open(self, gateways=1, workers=1):
        with self.closed_if_it_fails():
            self.prepare()
            self.gateways = [self.gateway(wait=False) for _ in range(gateways)]
            self.workers = [self.worker(wait=False) for _ in range(workers)]
            for p in self.gateways + self.workers:
                p.wait_ready()
        self.address = self.gateways[0].address()
        return self

    @contextlib.contextmanager
    def closed_if_it_fails(self):
        """A site that is not there is closed by no test."""
        try:
            yield
        except BaseException:
            self.close()
            raise

    def close(self):
        """Stops everything; what a sanitizer reports, and who ended otherwise than told or (NotInTime) not."""
        reports = []
        for p in reversed(self.programs):
            ran = p.running()
            try:
                status = p.stop(40)
                if status in CRASHES or ran and status > 0:
                    reports.append(f"{p.name} ended with {status}:\n{p.tail()}")
            except NotInTime as e:
                reports.append(e)
            p.log.close()
            text = p.text()
            if SANITIZER.search(text):
                reports.append(f"{p.name}:\n{text[SANITIZER.search(text).start():][:3000]}")
        with contextlib.suppress(RuntimeError):
            self.stack.sql(f"DROP DATABASE IF EXISTS {self.database}")
        return reports

    # requests

    def product(self):
        """A product nobody asked for before."""
        return str(next(self.products) + 1000 * self.number)

    def post(self, product=None, key=None, body=None, headers=None, address=None, query="", timeout=20, kept=False):
        body = json.dumps({"productId": product or self.product()}) if body is None else body
        head = {"Content-Type": "application/json", **(headers or {})}
        if key:
            head["Idempotency-Key"] = key
        return request(address or self.address, "POST", f"/v1/flows/price-compare/jobs{query}", body, head,
                       timeout, kept)

    def accept(self, product=None, **kw):
        """A request that must be accepted: its job id."""
        a = self.post(product, **kw)
        assert a.status == 202, a
        return a.json()["id"]

    def job(self, id, query="", address=None):
        a = request(address or self.address, "GET", f"/v1/jobs/{id}{query}")
        if a.status != 200:
            raise Unreadable(repr(a))
        return a.json()

    def wait_final(self, id, timeout=40):
        def look():
            job = self.job(id)
            return job if job["state"] in FINAL else None
        return wait_for(f"job {id} is final", look, timeout)

    def run(self, product=None, **kw):
        """Accepted and ended: the job."""
        return self.wait_final(self.accept(product, **kw))

    # the record

    def sql(self, text):
        return self.stack.sql(text, self.database)

    def state_counts(self):
        return {int(s): int(n) for s, n in self.sql("SELECT state, COUNT(*) FROM op_job GROUP BY state")}

    def open_jobs(self):
        return int(self.sql("SELECT COUNT(*) FROM op_job WHERE state < 10")[0][0])

    def wait_registered(self, ids):
        """Until the record has these jobs: an accepted one is written behind its answer."""
        mine = ", ".join(f"x'{hexid(id)}'" for id in ids)
        wait_for("the record has them", lambda: self.sql(
            f"SELECT COUNT(*) FROM op_job WHERE id IN ({mine})") == [[str(len(ids))]])

    def records(self):
        return self.stack.records(self.topic)

    def wait_settled(self, worker, records):
        """The worker took so many records and is done with each. Its gauges are made anew every second."""
        wait_held(f"{records} records are taken and done",
                  lambda: (worker.metric("offpath_records_total"), worker.metric("offpath_records_unfinished"))
                  == (records, 0), 1.5, 60)

    def uncommitted(self):
        return self.stack.left_for_group(self.topic, self.group)


def call_of(job, name):
    return next(c for c in job["calls"] if c["name"] == name)


def hexid(id):
    return uuid.UUID(id).hex.upper()


class Background:
    """Runs work(i) in threads and keeps what each gave; stop() ends a load without a count."""

    def __init__(self, work, threads, count=None):
        self.results, self.errors = [], []
        self.stopped = threading.Event()
        self.numbers = itertools.count()
        self.lock = threading.Lock()

        def go():
            while not self.stopped.is_set():
                with self.lock:
                    i = next(self.numbers)
                if count is not None and i >= count:
                    return
                try:
                    r = work(i)
                    with self.lock:
                        self.results.append(r)
                except Exception as e:  # noqa: the test looks at them
                    with self.lock:
                        self.errors.append(e)

        self.threads = [threading.Thread(target=go, daemon=True) for _ in range(threads)]
        for t in self.threads:
            t.start()

    def join(self, timeout=120):
        end = time.monotonic() + timeout
        for t in self.threads:
            t.join(max(0.1, end - time.monotonic()))
            if t.is_alive():
                raise NotInTime(f"the load did not end within {timeout} s")
        return self

    def stop(self, timeout=60):
        self.stopped.set()
        return self.join(timeout)
