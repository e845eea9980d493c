"""docs/*.md, as far as the programs decide what they say: command lines, metrics, and the commands of how-tos."""
import re
import subprocess

from harness import ROOT, wait_for

METRICS = re.findall(r"^\| `(offpath_\w+)` \| (\w+) \|([\w, ]*)\|", (ROOT / "docs/metrics.md").read_text(), re.M)


def test_the_references_say_what_the_programs_say(release):
    done = subprocess.run(["/usr/bin/python3", ROOT / "tests/references.py", "--programs", release], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", ""), done


def test_metrics_have_the_kind_and_the_labels_that_the_reference_tells(site):
    site.run()
    kinds, labels = {}, {}
    for program, name in (site.gateways[0], "offpath_http_requests_total"), (site.workers[0], "offpath_call_attempts_total"):
        wait_for("it has counted", lambda: program.metric(name), 20)
        for line in program.get("/metrics").body.decode().splitlines():
            if line.startswith("# TYPE "):
                kinds[line.split()[2]] = line.split()[3]
            elif not line.startswith("#"):
                name = re.match(r"\w+", line)[0]
                name = name if name in kinds else re.sub(r"_(bucket|sum|count)$", "", name)
                labels.setdefault(name, set()).update(set(re.findall(r'(\w+)="', line)) - {"le"})
    told = {name: (kind, set(re.findall(r"\w+", words))) for name, kind, words in METRICS}
    seen = {name: (kind, labels.get(name, set())) for name, kind in kinds.items()}
    assert len(seen) > 30 and {n: told[n] for n in seen} == seen


def test_the_calls_of_the_http_reference_work(site):
    text = (ROOT / "docs/http-api.md").read_text()
    commands = re.findall(r"^    (curl .*)$", text, re.M)
    assert len(commands) == 3
    job = None
    for command in commands:
        done = subprocess.run(["bash", "-c", command.replace("localhost:8480", site.address).replace("curl", "curl -sS --max-time 20", 1)],
                              env={"PATH": "/usr/bin:/bin", "ID": job or ""}, capture_output=True, text=True)
        assert done.returncode == 0, done
        job = job or re.search(r'"id":"([-0-9a-f]{36})"', done.stdout)[1]
        assert job in done.stdout and '"code"' not in done.stdout.replace('"error":{"code"', ""), done
    assert re.search(r"^event: done$", done.stdout, re.M), done
