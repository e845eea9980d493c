"""The tutorial, word by word: its files are written as it says, its commands run and show what it shows."""
import os
import re
import subprocess

import pytest

from harness import ROOT, request

TEXT = (ROOT / "docs/first-flow.md").read_text()
FILES = re.findall(r"```yaml\n# (\S+)\n(.*?)```", TEXT, re.S)
COMMANDS = re.findall(r"^    \$ (.*)\n((?:    (?!\$).*\n)*)", TEXT, re.M)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("first-flow")
    for name, text in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_it_has_files_and_commands():
    assert [n for n, _ in FILES] == ["upstreams.yaml", "flows/digest.yaml", "flows/digest.test.yaml"]
    assert [c.split()[1] for c, _ in COMMANDS] == ["check", "eval", "test"]


@pytest.mark.parametrize("command, shown", COMMANDS, ids=[c.split()[1] for c, _ in COMMANDS])
def test_a_command_shows_what_the_tutorial_shows(folder, binaries, command, shown):
    env = {**{k: v for k, v in os.environ.items() if not k.startswith("OFFPATH_")},
           "PATH": f"{binaries}:{os.environ['PATH']}"}
    done = subprocess.run(command.split(), cwd=folder, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done
    for line in shown.splitlines():
        assert line.strip() in [x.strip() for x in done.stdout.splitlines()], done.stdout


def test_the_flow_runs(new_site):
    site = new_site(extra_flows={"digest": dict(FILES)["flows/digest.yaml"] + "topic: {name: digest-MARK, group: digest-MARK}\n"})
    path = site.folder / "upstreams.yaml"
    path.write_text(path.read_text().replace("  s3:\n", "  llm-b: {url: '${env:LLM_URL}', allow_private: true}\n  s3:\n"))
    site.open()
    site.standin.script("v1", site.standin.chat("A digest."), site.standin.chat("Three short words"))
    a = request(site.address, "POST", "/v1/flows/digest/jobs", '{"text": "Kafka."}', {"Content-Type": "application/json"})
    assert a.status == 202, a
    job = site.wait_final(a.json()["id"])
    assert job["state"] == "succeeded" and job["result"] == {"digest": "A digest.", "title": "Three short words"}
    assert [c["state"] for c in job["calls"]] == ["succeeded", "skipped", "succeeded"]
