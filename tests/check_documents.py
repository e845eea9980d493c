#!/usr/bin/python3
"""check_documents - holds proto/openapi.yaml, proto/asyncapi.yaml and docs/*.md against proto/codes.json
(which tests/unit/test_codes.c holds against the C tables), and docs/architecture.md's walk against the sources. Prints what is wrong, nothing if all is well.
usage: tests/check_documents.py [ROOT]    exit 0: well; 1: not"""
import json
import pathlib
import re
import sys

import yaml

METHODS = {"get", "put", "post", "delete", "options", "head", "patch", "trace"}
# `words-with-hyphens` in the documents that are no codes, and not found in the sources either
NO_CODES = {"offpath-gateway", "offpath-worker"}
wrong = []


class Loader(yaml.SafeLoader):
    """YAML, where a key that stands twice is an error: the first would be lost in silence."""


def mapping(loader, node):
    keys = [k.value for k, _ in node.value]
    twice = {k for k in keys if keys.count(k) > 1}
    if twice:
        raise yaml.constructor.ConstructorError(None, None, f"twice: {sorted(twice)}", node.start_mark)
    loader.flatten_mapping(node)
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor("tag:yaml.org,2002:map", mapping)


def say(where, text):
    wrong.append(f"{where}: {text}")


def need(where, value, *keys):
    for k in keys:
        if k not in value:
            say(where, f"lacks {k}")


def references(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for x in value:
            yield from references(x)


def resolve(document, reference):
    """What `#/a/b` names; None if there is nothing."""
    at = document
    for part in reference[2:].split("/"):
        part = part.replace("~1", "/").replace("~0", "~")
        at = at.get(part) if isinstance(at, dict) else None
    return at


def load(path):
    """The document, its references followed; {} if it is none."""
    try:
        document = yaml.load(path.read_text(), Loader)
    except (OSError, yaml.YAMLError) as e:
        say(path.name, str(e).replace("\n", " "))
        return {}
    for r in references(document):
        if r.startswith("#/"):
            there = resolve(document, r) is not None
        else:
            there = (path.parent / r.split("#")[0]).is_file()
        if not there:
            say(path.name, f"{r} leads nowhere")
    return document


def check_answers(where, document, answers, errors):
    """Each status has its description; of an error's there is a code with that status."""
    statuses = {row["status"] for row in errors.values()}
    for status, answer in answers.items():
        if not isinstance(status, str) or not re.fullmatch(r"[1-5]\d\d", status):
            say(where, f"{status!r} is no status")
            continue
        answer = resolve(document, answer["$ref"]) or {} if "$ref" in answer else answer
        need(f"{where} {status}", answer, "description")
        if status < "400":
            continue
        if int(status) not in statuses:
            say(where, f"{status}: no code of codes.json has this status")
        if "application/problem+json" not in answer.get("content", {}):
            say(where, f"{status} is no problem+json")
        for code in re.findall(r"`([a-z-]+)`", answer.get("description", "")):
            if code in ("code", "id"):  # members of the answer
                continue
            if errors.get(code, {}).get("status") != int(status) and answer is not None:
                say(where, f"`{code}` is no code with status {status}")


def check_openapi(path, errors):
    document = load(path)
    need(path.name, document, "openapi", "info", "paths")
    if not str(document.get("openapi", "")).startswith("3.1."):
        say(path.name, "openapi is not 3.1")
    need(path.name, document.get("info", {}), "title", "version")
    ids = []
    for route, item in document.get("paths", {}).items():
        for method in METHODS & set(item):
            where, operation = f"{path.name}: {method} {route}", item[method]
            need(where, operation, "operationId", "responses")
            ids.append(operation.get("operationId"))
            given = item.get("parameters", []) + operation.get("parameters", [])
            given = [resolve(document, p["$ref"]) or {} if "$ref" in p else p for p in given]
            named = {p.get("name") for p in given if p.get("in") == "path" and p.get("required")}
            if named != set(re.findall(r"\{(\w+)\}", route)):
                say(where, f"its path parameters are declared as {sorted(named)}")
            check_answers(where, document, operation.get("responses", {}), errors)
    if len(ids) != len(set(ids)):
        say(path.name, "an operationId stands twice")
    if not ids:
        say(path.name, "no operations")


def check_asyncapi(path):
    document = load(path)
    need(path.name, document, "asyncapi", "info", "channels", "operations")
    if not str(document.get("asyncapi", "")).startswith("3."):
        say(path.name, "asyncapi is not 3")
    for name, channel in document.get("channels", {}).items():
        where = f"{path.name}: channel {name}"
        need(where, channel, "address", "messages")
        if set(re.findall(r"\{(\w+)\}", channel.get("address", ""))) != set(channel.get("parameters", {})):
            say(where, "its parameters are not those of its address")
    for name, operation in document.get("operations", {}).items():
        where = f"{path.name}: operation {name}"
        need(where, operation, "action", "channel")
        if operation.get("action") not in ("send", "receive"):
            say(where, "action is send or receive")
        if not operation.get("channel", {}).get("$ref", "").startswith("#/channels/"):
            say(where, "its channel is none of this file")


def check_codes_named(root, codes):
    """`words-with-hyphens` are codes, stops of the crash tests, headers of records, or stand in NO_CODES; what follows a
    status (503 `overloaded`) is an error of that status."""
    stops = {m for p in root.glob("*/*.c") for m in re.findall(r'FAILPOINT\("([^"]+)"\)', p.read_text())}
    headers = json.loads((root / "proto/events.schema.json").read_text())["properties"]
    known = NO_CODES.union(stops, headers, *codes.values())
    for path in [*sorted((root / "docs").rglob("*.md")), root / "README.md", root / "proto/openapi.yaml"]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            where = f"{path.relative_to(root)}:{number}"
            for word in re.findall(r"`([a-z0-9]+(?:-[a-z0-9]+)+)`", line):
                if word not in known:
                    say(where, f"`{word}` is not in codes.json")
            for status, code in re.findall(r"\b([45]\d\d)[: ]+`([a-z0-9-]+)`", line):
                if codes["errors"].get(code, {}).get("status") != int(status):
                    say(where, f"`{code}` is no error with status {status}")


def check_walk(root):
    """One request is followed in ten files at most; each has the function it is to be opened at, and all that is beside it is there."""
    where, text = "docs/architecture.md", (root / "docs/architecture.md").read_text()
    rows = re.findall(r"^\| (\d+) \| `(\S+/)(\w+\.c)` `(\w+)` \|.*\| (.*) \|$", text, re.M)
    if [int(r[0]) for r in rows] != list(range(1, len(rows) + 1)) or not 0 < len(rows) <= 10:
        say(where, f"{len(rows)} rows to follow one request, 1 to 10 in order are wanted")
    for _, folder, name, function, beside in rows:
        for file in [name, *re.findall(r"`([\w/]+\.c)`", beside)]:
            if not (root / (file if "/" in file else folder + file)).exists():
                say(where, f"there is no {folder}{file}")
        if not re.search(rf"^\w[^;\n]*\b{function}\(.*\n(?:.*\n)?{{", (root / folder / name).read_text(), re.M):
            say(where, f"{folder}{name} has no function {function}")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1])
    codes = json.loads((root / "proto/codes.json").read_text())
    codes = {k: v for k, v in codes.items() if isinstance(v, dict)}
    check_openapi(root / "proto/openapi.yaml", codes["errors"])
    check_asyncapi(root / "proto/asyncapi.yaml")
    check_codes_named(root, codes)
    check_walk(root)
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


sys.exit(main())
