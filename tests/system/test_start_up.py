"""What is wrong at start-up: the exit status and one line that says what to do."""
import json
import pathlib
import re
import socket

import pytest

from harness import ROOT, Program
from streams import events_of


def last_line(done):
    lines = [x for x in (done.stderr + done.stdout).splitlines() if x.strip()]
    return lines[-1] if lines else ""


@pytest.fixture(params=["worker", "gateway"])
def program(request):
    return f"offpath-{request.param}"


def test_missing_topics_are_named(new_site, program):
    site = new_site()
    done = site.verb("offpath-worker", "migrate", "apply", "--yes")
    assert done.returncode == 0, done
    done = site.verb(program, "run", env={"OFFPATH_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 3, done
    assert site.topic in done.stderr and "topics apply" in done.stderr, done.stderr


@pytest.mark.parametrize("suffix", ["", ".retry"])
def test_a_topic_that_takes_less_than_its_flow_is_named(new_site, suffix):
    """As after raising the limit of the one and not of the other."""
    site = new_site().prepare()
    site.stack.java("set", "max.message.bytes", "100000", f"{site.topic}{suffix}")
    done = site.verb("offpath-worker", "run")
    assert done.returncode == 3, done
    assert f"topic {site.topic}{suffix} takes messages of 100000 bytes" in done.stderr, done.stderr


def test_missing_tables_are_named(new_site, program):
    site = new_site()
    assert site.verb("offpath-worker", "topics", "apply", "--yes").returncode == 0
    done = site.verb(program, "run", env={"OFFPATH_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 3, done
    assert "migrate apply" in done.stderr, done.stderr


@pytest.mark.parametrize("broken, named", [("DROP TABLE op_call", "op_call"), ("ALTER TABLE op_outbox DROP COLUMN tag", "op_outbox.tag")])
def test_a_table_or_column_that_is_gone_is_named_by_whoever_looks(new_site, broken, named):
    """As after a restore of some tables; the version alone is right."""
    site = new_site().prepare()
    site.sql(broken)
    for words in (["offpath-gateway", "run"], ["offpath-worker", "run"], ["offpath-worker", "migrate", "status"], ["offpath-worker", "migrate", "apply", "--yes"]):
        done = site.verb(*words, env={"OFFPATH_LISTEN": "127.0.0.1:0"})
        assert done.returncode == 3, done
        assert f": {named}; restore or grant it, or make it as in deploy/sql/001-record.sql" in last_line(done), done
    done = site.verb("offpath-worker", "check")
    assert done.returncode == 3 and f": {named}; " in done.stdout, done


def test_an_older_schema_is_named(new_site, program):
    site = new_site().prepare()
    site.sql("UPDATE op_schema SET version = version - 1")
    done = site.verb(program, "run", env={"OFFPATH_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 3 and "migrate apply" in done.stderr, done


def test_a_much_newer_schema_is_named(new_site, program):
    site = new_site().prepare()
    site.sql("UPDATE op_schema SET version = version + 2")
    done = site.verb(program, "run", env={"OFFPATH_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 3 and "newer program" in done.stderr, done


@pytest.mark.parametrize("hard, warns", [(300, True), (600, False)])
def test_the_gateway_uses_all_descriptors_it_may_and_refuses_streams_if_they_are_few(new_site, hard, warns):
    site = new_site().prepare()
    start = f"ulimit -Sn 200; ulimit -Hn {hard}; exec {site.binaries}/offpath-gateway run"
    gateway = Program("gateway-few", site.folder, ["bash", "-c", start], {**site.env, "OFFPATH_LISTEN": "127.0.0.1:0", "OFFPATH_STREAMS": "16"})
    site.programs.append(gateway)
    gateway.wait_ready()
    limits = pathlib.Path(f"/proc/{gateway.pid}/limits").read_text()
    assert re.search(rf"Max open files +{hard} +{hard} ", limits), limits
    assert ("few-descriptors" in gateway.text()) == warns, gateway.tail()
    site.address = gateway.address()
    s = events_of(site, site.accept())
    assert s.status == (503 if warns else 200), "a stream for which there is no descriptor would end at once"


def test_an_unknown_flag_names_the_nearest(new_site, program):
    done = new_site(database=False).verb(program, "run", "--kafak", "x")
    assert done.returncode == 2 and "--kafka" in done.stderr, done


@pytest.mark.parametrize("setting, value", [
    ("OFFPATH_LEASE", "soon"), ("OFFPATH_LISTEN", "nowhere"), ("OFFPATH_REDIS", "127.0.0.1"),
    ("OFFPATH_MYSQL", "mysql:/x"), ("OFFPATH_SHARDS", "-3"), ("OFFPATH_ADMIN", "1.2.3.4.5:x"), ("OFFPATH_ADMIN", "127.0.0.1:99999"),
    ("OFFPATH_FLOWS", "/does/not/exist"), ("OFFPATH_ID_SECRET_FILE", "/does/not/exist"),
])
def test_a_wrong_setting_is_named(new_site, setting, value):
    program = "offpath-gateway" if setting in ("OFFPATH_LISTEN", "OFFPATH_ID_SECRET_FILE") else "offpath-worker"
    site = new_site(database=False)
    env = {"OFFPATH_LISTEN": "127.0.0.1:0", setting: value}
    done = site.verb(program, "run", env=env)
    assert done.returncode in (1, 2), done
    name = setting.removeprefix("OFFPATH_").lower()
    assert name.removesuffix("_file").replace("_", "-") in done.stderr.lower().replace("_", "-") or \
        value in done.stderr, done.stderr


@pytest.mark.parametrize("edit, says", [
    (("redis://[^/]*.*", "redis://h/x"), "--redis (OFFPATH_REDIS): after the host there may only be"),
    (("redis://", "rediss://"), "--redis (OFFPATH_REDIS): this program was built without TLS"),
    (("mysql://", "mysql:/"), "--mysql (OFFPATH_MYSQL): the MySQL address"),
    ((":[^:@]*@", ":wrong@"), "1045 Access denied"), (("$", "_no"), "1049 Unknown database")])
def test_what_is_wrong_with_a_servers_address_is_told_with_its_setting(new_site, program, edit, says):
    site = new_site().prepare()
    name = "OFFPATH_REDIS" if "redis" in edit[0] else "OFFPATH_MYSQL"
    url = re.sub(*edit, site.env[name], count=1)
    done = site.verb(program, "run", env={"OFFPATH_LISTEN": "127.0.0.1:0", name: url})
    assert done.returncode == (2 if says.startswith("--") else 3), done
    assert says in last_line(done) and (f"({name})" in last_line(done) or "or mend --mysql" in last_line(done)), done
    assert "wrong" not in done.stderr and site.env[name].split("@")[0] not in done.stderr, done


@pytest.mark.parametrize("name, says", [("none/ports.json", "No such file or directory"), ("flows", "Is a directory")])
def test_a_ports_file_that_cannot_be_written_is_named_before_anybody_hears_of_it(new_site, program, name, says):
    site = new_site().prepare()
    path = site.folder / name
    done = site.verb(program, "run", "--ports-file", path, env={"OFFPATH_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 2, done
    assert last_line(done) == f"{program}: --ports-file (OFFPATH_PORTS_FILE) {path} cannot be written: {says}", done
    assert not any(word in done.stderr for word in (" ready", " started", " lease-held")), done


def test_a_taken_port_is_named(new_site):
    site = new_site().prepare()
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        s.listen()
        port = s.getsockname()[1]
        done = site.verb("offpath-gateway", "run", env={"OFFPATH_LISTEN": f"127.0.0.1:{port}"})
        assert done.returncode == 5 and str(port) in done.stderr, done
        done = site.verb("offpath-worker", "run", env={"OFFPATH_ADMIN": f"127.0.0.1:{port}"})
        assert done.returncode == 5 and str(port) in done.stderr, done


BAD_FLOWS = [
    ("result: |\n", "result: $calls.nothing.result\nold: |\n", "nothing"),
    ("deadline: 12s", "deadline: twelve", "deadline"),
    ("need: 1", "ned: 1", "need"),
    ("upstream: a-mart", "upstream: a-smart", "a-mart"),
    ("need: 1", "need: 1\npool: {key: $request.productId}", "refill"),
]


@pytest.mark.parametrize("old, new, says", BAD_FLOWS, ids=[b[2] for b in BAD_FLOWS])
def test_a_wrong_flow_file_is_refused_with_its_line(new_site, program, old, new, says):
    site = new_site(edit={old: new}, database=False)
    done = site.verb(program, "run", env={"OFFPATH_LISTEN": "127.0.0.1:0"})
    assert done.returncode == 1, done
    lines = [x for x in done.stderr.splitlines() if "price-compare.yaml:" in x and "error" in x]
    assert lines and any(says in x for x in lines), done.stderr
    number = int(lines[0].split("price-compare.yaml:")[1].split(":")[0])
    text = (site.folder / "flows/price-compare.yaml").read_text().splitlines()
    assert text[number - 1].strip() in new, f"line {number}"


def test_all_findings_come_in_one_run(new_site):
    site = new_site(edit={"need: 1": "ned: 1", "deadline: 12s": "deadline: twelve"}, database=False)
    done = site.verb("offpath-worker", "check", site.folder / "flows", "--offline")
    assert done.returncode == 1
    text = done.stdout + done.stderr
    assert "deadline" in text and "ned" in text, text


def test_the_flows_that_ship_are_clean(new_site):
    site = new_site(database=False)
    done = site.verb("offpath-worker", "check", ROOT / "deploy/flows", "--offline", "--deny-warnings")
    assert done.returncode == 0, done


def test_findings_of_both_programs_are_json_lines_for_an_editor(new_site, program):
    site = new_site(edit={"need: 1": "ned: 1"}, database=False)
    offline = ["--offline"] if program == "offpath-worker" else []
    done = site.verb(program, "check", "--json", *offline)
    (finding,) = [json.loads(line) for line in done.stdout.splitlines()]
    assert (done.returncode, done.stderr) == (1, "") and "ned" in finding["message"] and finding["severity"] == "error", done
    text = (site.folder / "flows/price-compare.yaml").read_text().splitlines()
    assert finding["file"].endswith("price-compare.yaml") and "ned: 1" in text[finding["line"] - 1], finding


def test_what_is_wrong_with_a_setting_of_the_gateway_is_a_problem_in_json(new_site):
    site = new_site(database=False)
    done = site.verb("offpath-gateway", "check", "--show", "--json", "--threads", "1")
    shown = [json.loads(line) for line in done.stdout.splitlines()]
    assert {"setting": "threads", "value": "1", "origin": "flag"} in shown and done.returncode == 2, done
    assert "--threads" in json.loads(done.stderr)["detail"], done
    good = site.verb("offpath-gateway", "check", "--json")
    assert (good.returncode, good.stdout, good.stderr) == (0, "", ""), good


def test_what_check_says_in_json_is_json(new_site):
    site = new_site().prepare()
    for words in (["--show"], ["--show", "--mysql", "mysql://nobody:x@127.0.0.1:1/none"]):
        done = site.verb("offpath-worker", "check", site.folder / "flows", "--json", *words)
        said = [json.loads(line) for line in done.stdout.splitlines()]
        servers = {s["server"]: s for s in said if "server" in s}
        good = len(words) == 1
        assert (done.returncode, done.stderr) == (0 if good else 3, ""), done
        assert servers["kafka"] == {"server": "kafka", "ok": True} and servers["redis"]["ok"] and servers["mysql"]["ok"] == good
        assert good or "MySQL" in servers["mysql"]["why"]
        assert {"setting": "kafka", "value": site.env["OFFPATH_KAFKA"], "origin": "OFFPATH_KAFKA"} in said
    none = site.verb("offpath-worker", "check", "--json", env={"OFFPATH_FLOWS": ""})
    assert none.returncode == 2 and "needs a folder" in json.loads(none.stderr)["detail"], none


EMITS = """
flow: teller
title: Tells others
access: guests
topic: {name: teller-MARK, group: teller-MARK, partitions: 1}
deadline: 3m
request: {schema: {type: object, properties: {}}}
result: 1
emit:
  - {topic: others-MARK, value: {n: 1}}
"""


def test_check_looks_at_topics_as_run_does(new_site):
    site = new_site(extra_flows={"teller": EMITS})
    site.verb("offpath-worker", "migrate", "apply", "--yes").check_returncode()

    def check():
        done = site.verb("offpath-worker", "check", site.folder / "flows")
        line = next(x for x in done.stdout.splitlines() if x.startswith("topics"))
        return done.returncode, line
    code, line = check()
    assert code == 3 and "run `offpath-worker topics apply`" in line, line
    done = site.verb("offpath-worker", "topics", "apply", "--yes")
    assert done.returncode == 0 and f"others-{site.mark} is missing" in done.stderr, done
    code, line = check()
    assert code == 3 and f"others-{site.mark} is missing" in line, line
    worker = site.worker(wait=False)
    assert worker.wait_exit(30) == 3 and line.split(None, 1)[1] in worker.text(), worker.text()
    plan = site.verb("offpath-worker", "topics", "plan")
    assert plan.stdout == "nothing to do: all topics of the flows exist\n", plan
    site.stack.java("create", f"others-{site.mark}")
    assert check() == (0, "topics ok")
    plan = site.verb("offpath-worker", "topics", "plan")
    assert (plan.stdout, plan.stderr) == ("nothing to do: all topics exist\n", ""), plan


def test_topics_and_tables_are_planned_before_they_are_made(new_site):
    site = new_site()
    for what in ("topics", "migrate"):
        plan = site.verb("offpath-worker", what, "plan")
        assert plan.returncode == 0 and plan.stdout.strip(), plan
        unconfirmed = site.verb("offpath-worker", what, "apply")
        assert unconfirmed.returncode == 5, f"without a terminal and --yes nothing is done: {unconfirmed}"
    assert site.topic not in site.stack.kcat("-L").decode()
    site.prepare()
    again = site.verb("offpath-worker", "topics", "apply", "--yes")
    assert again.returncode == 0
    text = site.stack.kcat("-L", "-t", site.topic).decode()
    assert "with 3 partitions" in text
    assert "with 3 partitions" in site.stack.kcat("-L", "-t", f"{site.topic}.retry").decode()


def test_migrations_are_safe_to_run_at_once(new_site):
    from harness import Background
    site = new_site()
    load = Background(lambda i: site.verb("offpath-worker", "migrate", "apply", "--yes").returncode,
                      threads=4, count=4).join()
    assert load.results == [0] * 4


def test_help_and_settings_are_shown(new_site, program):
    site = new_site(database=False)
    done = site.verb(program, "--help")
    assert done.returncode == 0 and "usage" in done.stdout.lower() and "OFFPATH_" in done.stdout, done
    shown = site.verb(program, "check", "--show", *(["--offline"] if program == "offpath-worker" else []))
    assert shown.returncode == 0, shown
    password = site.env["OFFPATH_MYSQL"].split(":")[2].split("@")[0]
    assert password not in shown.stdout + shown.stderr
    assert "OFFPATH_KAFKA" in shown.stdout


def test_help_has_examples_that_are_no_dreams(new_site, program):
    """Each verb of the list has its help; each example's verb and flags are taken."""
    site = new_site(database=False)
    listed = site.verb(program, "--help").stdout
    verbs = re.findall(r"^  (\w+)  +\w", listed.split("verbs:")[1].split("examples:")[0], re.M)
    assert verbs == {"offpath-gateway": ["run", "check", "send", "jobs", "flows", "openapi", "errors", "token"],
                     "offpath-worker": ["run", "check", "eval", "test", "explain", "topics", "migrate"]}[program]
    for verb in verbs:
        text = site.verb(program, verb, "--help").stdout
        examples = re.findall(program + r" (\w+)(.*)", text.split("examples:")[1].split("\n\n")[0])
        assert len(examples) >= 3 and all(v == verb for v, _ in examples), text
        for flag in {f for _, rest in examples for f in re.findall(r" (--[a-z-]+)", rest)}:
            assert flag in text.split("examples:")[1].split("\n\n", 1)[1], (verb, flag)
        assert "exit:" in text


def test_both_programs_take_one_settings_file(new_site, program):
    """Each setting that one of them shows is known to the other, too."""
    site = new_site(database=False)
    shown = {}
    for other in "offpath-gateway", "offpath-worker":
        text = site.verb(other, "--help").stdout
        shown |= dict(re.findall(r"^  --([a-z0-9-]+) (\S+)", text.split("settings (")[1], re.M))
    assert {"streams", "shards", "kafka"} <= set(shown) and shown.pop("config") == "FILE"
    value = {"N": "1", "BYTES": "1", "TIME": "1s"}
    text = "".join(f"{name}: {value.get(kind, 'x')}\n" for name, kind in shown.items())
    for last in "", "no-such-setting: 1\n":
        (site.folder / "both.yaml").write_text(text + last)
        said = site.verb(program, "check", "--config", site.folder / "both.yaml").stderr
        assert ("both.yaml" in said) == ("unknown setting" in said) == bool(last), said


def test_settings_are_shown_also_if_one_is_missing(new_site, program):
    site = new_site(database=False)
    offline = ["--offline"] if program == "offpath-worker" else []
    shown = site.verb(program, "check", "--show", *offline, env={"OFFPATH_KAFKA": ""})
    lines = {x.split()[0]: x.split()[1:] for x in shown.stdout.splitlines() if len(x.split()) > 2}
    assert lines["kafka"] == ["(unset)", "default"], shown
    assert lines["redis"][1] == "OFFPATH_REDIS" and lines["log-level"] == ["info", "default"], shown
    if program == "offpath-gateway":
        assert shown.returncode == 2 and "--kafka (OFFPATH_KAFKA) is not set" in shown.stderr, shown


def test_no_arguments_show_the_usage(new_site, program):
    done = new_site(database=False).verb(program)
    text = (done.stdout + done.stderr).lower()
    assert done.returncode == 2 and ("usage" in text or "--help" in text), done


def test_a_typo_in_the_verb_is_helped(new_site, program):
    done = new_site(database=False).verb(program, "rum")
    assert done.returncode == 2 and "run" in done.stderr, done
