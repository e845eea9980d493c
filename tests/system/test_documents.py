"""The tutorial and the how-tos, word by word: their files are written as they say, their commands run and show what
they show."""
import json
import os
import re
import subprocess

import pytest

from blocks import block_of
from harness import ROOT, Background, wait_for


def parts(path):
    """Its files and its commands, each with the lines it shows."""
    text = path.read_text()
    return (re.findall(r"```yaml\n# (\S+)\n(.*?)```", text, re.S),
            re.findall(r"^    \$ (.*)\n((?:    (?!\$).*\n)*)", text, re.M))


FILES, COMMANDS = parts(ROOT / "docs/first-flow.md")
HOW_TOS = sorted((ROOT / "docs/how-to").glob("*.md"))


def write(folder, files):
    for name, text in files:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)


def run_and_see(folder, binaries, command, shown):
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("OFFPATH_")},
           "PATH": f"{binaries}:{os.environ['PATH']}"}
    done = subprocess.run(["bash", "-c", command], cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    for line in shown.splitlines():
        assert line.strip() in [x.strip() for x in done.stdout.splitlines()], done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first-flow")
    write(folder, FILES)
    return folder


@pytest.mark.parametrize("path", HOW_TOS, ids=[p.stem for p in HOW_TOS])
def test_a_how_to_does_what_it_says(tmp_path, binaries, path):
    """Each has a goal and stands in the README; each command of `$` is run in its files."""
    assert "\n**Goal**: " in path.read_text() and f"](docs/how-to/{path.name})" in (ROOT / "README.md").read_text()
    files, commands = parts(path)
    assert bool(commands) == (path.stem not in ("when-x-is-down", "run-in-production"))
    write(tmp_path, files)
    for command, shown in commands:
        run_and_see(tmp_path, binaries, command, shown)


def test_it_has_files_and_commands():
    assert [n for n, _ in FILES] == ["upstreams.yaml", "flows/digest.yaml", "flows/digest.test.yaml"]
    assert [c.split()[1] for c, _ in COMMANDS] == ["check", "eval", "test"]


@pytest.mark.parametrize("command, shown", COMMANDS, ids=[c.split()[1] for c, _ in COMMANDS])
def test_a_command_shows_what_the_tutorial_shows(folder, binaries, command, shown):
    run_and_see(folder, binaries, command, shown)


def test_the_flow_runs(new_site):
    site = new_site(extra_flows={"digest": dict(FILES)["flows/digest.yaml"] + "topic: {name: digest-MARK, group: digest-MARK}\n"})
    path = site.folder / "upstreams.yaml"
    path.write_text(path.read_text().replace("  s3:\n", "  llm-b: {url: '${env:LLM_URL}', allow_private: true}\n  s3:\n"))
    site.open()
    site.standin.script("v1", site.standin.chat("A digest."), site.standin.chat("Three short words"))
    curl = block_of("docs/first-flow.md", "curl ").replace("127.0.0.1:8480", site.address)
    done = subprocess.run(["bash", "-c", curl.replace("curl", "curl -sS -w '%{stderr}%{http_code}'", 1)], capture_output=True, text=True, timeout=60)
    assert done.stderr == "202", done
    job = site.wait_final(json.loads(done.stdout)["id"])
    assert job["state"] == "succeeded" and job["result"] == {"digest": "A digest.", "title": "Three short words"}
    assert [c["state"] for c in job["calls"]] == ["succeeded", "skipped", "succeeded"]



def test_what_scaling_takes_is_what_the_how_to_says(new_site, stack, release):
    """Connections to MySQL of a worker with several shards and of a gateway; a topic with more partitions."""
    page = (ROOT / "docs/how-to/scale.md").read_text()
    worker_most, gateway_most = (int(re.search(rf"^\| {who} \| (\d+) \|$", page, re.M)[1])
                                 for who in ("a worker, however many shards", "a gateway"))
    site = new_site(release).prepare()

    def connections():
        return int(stack.sql(f"SELECT COUNT(*) FROM information_schema.PROCESSLIST WHERE DB = '{site.database}'")[0][0])
    worker = site.worker(OFFPATH_SHARDS="3")
    wait_for("the worker has all of its", lambda: connections() == worker_most)
    site.address = site.gateway().address()
    most, load = 0, Background(lambda i: site.run(timeout=60), threads=16, count=100)
    while any(t.is_alive() for t in load.threads):
        most = max(most, connections())
    assert not load.errors and worker_most < most <= worker_most + gateway_most, (most, load.errors[:2])

    stack.java("raise", "7", site.topic, f"{site.topic}.retry")
    flow = site.folder / "flows/price-compare.yaml"
    text = flow.read_text()
    assert "partitions: 3\n" in text
    flow.write_text(text.replace("partitions: 3\n", "partitions: 7\n"))
    wait_for("it has them all", lambda: worker.metric("offpath_partitions") == 14, 60)
    assert site.verb("offpath-worker", "topics", "plan").stderr == ""
