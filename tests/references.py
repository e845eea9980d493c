#!/usr/bin/python3
"""references - the parts of docs/*.md that the code decides, between `<!-- made by tests/references.py -->` and
`<!-- end -->`. Prints what differs, nothing if all is well.
usage: tests/references.py [--write] [--programs DIR]    --write: mend it; --programs: the command lines, too
exit 0: well; 1: not"""
import argparse
import json
import os
import pathlib
import re
import subprocess
import sys

import yaml

ROOT = pathlib.Path(__file__).parents[1]
BLOCK = re.compile(r"(<!-- made by tests/references\.py: (\w+) -->\n)(.*?)(<!-- end -->)", re.S)
TEXT = r'"((?:[^"\\]|\\.)*)"'
wrong = []


def table(head, rows):
    return "\n".join([f"| {' | '.join(head)} |", "|" + "---|" * len(head),
                      *(f"| {' | '.join(str(c).replace('|', chr(92) + '|') for c in row)} |" for row in rows)]) + "\n"


# ---- settings: the tables in C

def options(path, name):
    """[(name, kind, default, placeholder, help)] of those that are shown."""
    source = (ROOT / path).read_text()
    body = re.search(rf"config_option {name}\[\] = {{\n(.*?)\n}};", source, re.S)[1]
    rows = re.findall(rf'{{{TEXT},\s*CONFIG_(\w+),\s*(NULL|{TEXT}),\s*(NULL|{TEXT}),\s*(NULL|{TEXT}(?:\s*{TEXT})*)}},', body)
    assert len(rows) == body.count("CONFIG_"), f"{path}: {len(rows)} of {body.count('CONFIG_')} settings understood"
    return {r[0]: (r[1], r[3] if r[2] != "NULL" else None, r[5], "".join(re.findall(TEXT, r[6])))
            for r in rows if r[6] != "NULL"}


def of_single_verbs():
    text = "".join((ROOT / f).read_text() for f in ("gateway/verbs.c", "worker/verbs.c"))
    listed = re.findall(r'\.flags = ((?:"[^"]*"|\s|[A-Z]+)+),', text) + re.findall(r'#define ASKING (".*")', text)
    return {word for text in listed for part in re.findall(r'"([^"]*)"', text) for word in part.split()}


def settings():
    gateway, worker = options("gateway/options.c", "options_table"), options("worker/settings.c", "settings_table")
    single = of_single_verbs()
    rows = []
    for name in [*gateway, *(n for n in worker if n not in gateway)]:
        if name in single:
            continue
        for programs, of in (("both", (gateway, worker)), ("gateway", (gateway,)), ("worker", (worker,))):
            said = [t[name] for t in of if name in t]
            if programs == "both" and (len(said) < 2 or said[0] != said[1]) or not said:
                continue
            kind, default, what, text = said[0]
            rows.append((f"`--{name} {what}`" if what else f"`--{name}`", programs, f"`{default}`" if default else "", text))
            if programs == "both":
                break
    return table(("setting", "of", "default", "meaning"), rows)


# ---- codes: proto/codes.json, which a unit test holds against the C tables

def codes():
    return json.loads((ROOT / "proto/codes.json").read_text())


def errors():
    return table(("code", "status", "again after", "what happened", "what to do"),
                 [(f"`{c}`", e["status"], f"{e['retry_after']} s" if e["retry_after"] is not None else "", e["title"],
                   e["help"]) for c, e in codes()["errors"].items()])


def reasons():
    return table(("code", "the user reads", "for operators"),
                 [(f"`{c}`", e["user"], e["operator"]) for c, e in codes()["job_reasons"].items()])


def calls():
    return table(("code", "the user reads", "for operators"),
                 [(f"`{c}`", e["user"], e["operator"]) for c, e in codes()["call_codes"].items()])


# ---- the HTTP API: proto/openapi.yaml, and the routes in C

def operations():
    document = yaml.safe_load((ROOT / "proto/openapi.yaml").read_text())
    return {(m.upper(), path): o for path, item in document["paths"].items() for m, o in item.items()
            if m in ("get", "post", "put", "delete")}


def answers():
    rows = []
    for (method, path), o in operations().items():
        good = [s for s in o["responses"] if s < "400"]
        bad = [s for s in o["responses"] if s >= "400"]
        rows.append((f"`{method} {path}`", o["summary"], ", ".join(good), " ".join(bad)))
    return table(("call", "what it does", "answers", "errors"), rows)


def check_routes():
    """What the gateway routes, but for its pages, is what the document describes, and each has its chapter."""
    source = (ROOT / "gateway/route.c").read_text()
    routed = set()
    for route, method, before, after in re.findall(r'{ROUTE_(\w+), "(\w+)", "[^"]*", "([^"]*)", (NULL|"[^"]*")}', source):
        if route not in ("PAGE", "ASSET"):
            routed.add((method, before + ("" if after == "NULL" else "*" + after.strip('"'))))
    described = {(m, re.sub(r"{\w+}", "*", p)) for m, p in operations()}
    for method, path in sorted(routed ^ described):
        wrong.append(f"{method} {path}: stands in only one of gateway/route.c and proto/openapi.yaml")
    text = (ROOT / "docs/http-api.md").read_text()
    for method, path in operations():
        if f"\n## `{method} {path}`" not in text:
            wrong.append(f"docs/http-api.md: no chapter \"## `{method} {path}`\"")
    for method, path in re.findall(r"^## `([A-Z]+) (\S+?)`", text, re.M):
        if (method, path) not in operations():
            wrong.append(f"docs/http-api.md: {method} {path} is no call of proto/openapi.yaml")


# ---- metrics: each name in the sources has a row, and each row a name

def check_metrics():
    names = {n for folder in ("common", "gateway", "worker") for p in (ROOT / folder).glob("*.c")
             for n in re.findall(r'"(offpath_\w+?)"', p.read_text())} - {"offpath_applied", "offpath_gateway", "offpath_worker"}
    rows = set(re.findall(r"^\| `(offpath_\w+)", (ROOT / "docs/metrics.md").read_text(), re.M))
    for name in sorted(names - rows):
        wrong.append(f"docs/metrics.md: no row for {name}")
    for name in sorted(rows - names):
        wrong.append(f"docs/metrics.md: nobody counts {name}")
    for path in [*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"]:
        for name in sorted(set(re.findall(r"\b(offpath_\w+?)(?:_bucket|_sum|_count)?\b", path.read_text())) - names - {"offpath_applied"}):
            wrong.append(f"{path.relative_to(ROOT)}: nobody counts {name}")


# ---- events: proto/asyncapi.yaml, proto/events.schema.json and proto/golden, which tests/unit/test_event.c holds against
# common/event.c, and tests/system/test_streams.py against the streams

def asyncapi():
    return yaml.safe_load((ROOT / "proto/asyncapi.yaml").read_text())


def named(reference):
    return reference["$ref"].rsplit("/", 1)[1]


def topics():
    document = asyncapi()
    rows = []
    for name, channel in document["channels"].items():
        if "x-key" in channel:
            told = [o["summary"] for o in document["operations"].values() if named(o["channel"]) == name]
            address = "" if channel["address"] == "{topic}" else f"`{channel['address'].format(topic='NAME')}`: "
            rows.append((address + channel["title"], channel["x-key"], channel["x-partitions"], " ".join(told)))
    return table(("topic", "key", "partitions", "who"), rows)


def schema_of_headers():
    return json.loads((ROOT / "proto/events.schema.json").read_text())


def headers():
    schema = schema_of_headers()
    rows = []
    for name, rule in schema["properties"].items():
        more = schema["$defs"].get(rule.get("$ref", "").rsplit("/", 1)[-1], {})
        value = f"`{rule['const']}`" if "const" in rule else " or ".join(f"`{v}`" for v in rule.get("enum", ())) or {
            "#/$defs/time": "RFC 3339", "#/$defs/uuid": "UUID"}.get(rule.get("$ref")) or (
            f"`{rule['pattern']}`" if "pattern" in rule else "text")
        most = rule.get("maxLength", more.get("maxLength"))
        value += f", at most {most} bytes" if most and "$ref" not in rule else ""
        rows.append((f"`{name}`", value, rule.get("description", "")))
    return table(("header", "value", "meaning"), rows)


def records():
    """Each golden record: what it is, its headers and value, what becomes of it."""
    parts = []
    for path in sorted((ROOT / "proto/golden").glob("*.json"), key=lambda p: (not golden(p)["encodes"], p.name)):
        record = golden(path)
        lines = [*(f"{name}: {value}" for name, value in record["headers"]), "",
                 json.dumps(record["value"], ensure_ascii=False, separators=(",", ":"))]
        lines += ["", f"-> bad-event: {record['error']}"] if "error" in record else []
        parts.append(f"### {path.stem}\n\n{record['about']}\n\n```\n" + "\n".join(lines) + "\n```\n")
    return "\n".join(parts)


def golden(path):
    return json.loads(path.read_text())


def live():
    document = asyncapi()
    rows = []
    for channel in document["channels"].values():
        for reference in channel["messages"].values() if channel["address"].startswith("/v1/") else ():
            message = document["components"]["messages"][named(reference)]
            data = ", ".join(message["payload"].get("required", []))
            rows.append((f"`GET {channel['address']}`", f"`{named(reference)}`", f"`{{{data}}}`", message["title"]))
    return table(("stream", "event", "data", "says"), rows)


def check_events():
    """The headers and events that the sources name are those of the documents."""
    text = (ROOT / "common/event.c").read_text()
    in_code, told = set(re.findall(r'"((?:ce_|offpath-)\w+|content-type|traceparent)"', text)), set(schema_of_headers()["properties"])
    for name in sorted(in_code ^ told):
        wrong.append(f"{name}: stands in only one of common/event.c and proto/events.schema.json")
    text = "".join((ROOT / f"gateway/{f}.c").read_text() for f in ("merge", "feed"))
    sent = set(re.findall(r'sse_event\([^"]*"(\w+)"', text))
    told = {named(r) for c in asyncapi()["channels"].values() if c["address"].startswith("/v1/") for r in c["messages"].values()}
    for name in sorted(sent ^ told):
        wrong.append(f"{name}: stands in only one of gateway/merge.c, feed.c and proto/asyncapi.yaml")


def check_beat():
    """How often a silent stream says that it lives."""
    beat = int(re.search(r"STREAMS_BEAT_MS = (\d+)", (ROOT / "gateway/streams.h").read_text())[1]) // 1000
    for name in "http-api", "events":
        if f"comment each {beat} s" not in (ROOT / f"docs/{name}.md").read_text().replace("\n", " "):
            wrong.append(f"docs/{name}.md: a silent stream sends a comment each {beat} s")


# ---- command lines: what the programs say

def command_line(folder, program):
    def said(*words):
        env = {"PATH": os.environ["PATH"]}
        return subprocess.run([folder / program, *words], env=env, capture_output=True, text=True, check=True).stdout
    text = said("--help")
    text = re.sub(r"\nsettings \(.*?\n\n", "\n", text, flags=re.S)
    out = f"```\n{text.strip()}\n```\n"
    for verb in re.findall(r"^  (\w+)  +\w", text.split("verbs:")[1].split("examples:")[0], re.M):
        shown = said(verb, "--help")
        if "\nsettings (" in shown:  # those of all verbs stand in configuration.md
            own = [x for x in re.findall(r"^  --.*(?:\n {4,}.*)*", shown, re.M) if x.split()[0][2:] in of_single_verbs()]
            flags = "\nflags:\n" + "\n".join(own) + "\n" if own else ""
            shown = re.sub(r"\nsettings \(.*?\n\n", flags + "\n", shown, flags=re.S)
        out += f"\n### {program} {verb}\n\n```\n{shown.strip()}\n```\n"
    return out


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--programs", type=pathlib.Path)
    given = parser.parse_args()
    made = {"settings": settings, "errors": errors, "reasons": reasons, "calls": calls, "answers": answers,
            "topics": topics, "headers": headers, "records": records, "live": live}
    for program in ("gateway", "worker") if given.programs else ():
        made[program] = lambda p=program: command_line(given.programs, f"offpath-{p}")
    found = set()
    for path in sorted((ROOT / "docs").glob("*.md")):
        text = path.read_text()
        found |= {m[1] for m in BLOCK.findall(text)}
        new = BLOCK.sub(lambda m: m[1] + made[m[2]]() + m[4] if m[2] in made else m[0], text)
        if new == text:
            continue
        if given.write:
            path.write_text(new)
        else:
            wrong.append(f"{path.relative_to(ROOT)} differs from the code: tests/references.py --write"
                         f"{' --programs DIR' if given.programs else ''}")
    for name in sorted(set(made) - found):
        wrong.append(f"no document has the part {name}")
    check_routes()
    check_metrics()
    check_events()
    check_beat()
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


sys.exit(main())
