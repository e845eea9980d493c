#!/usr/bin/python3
"""check_flow_schema - holds proto/flow.schema.json and proto/upstreams.schema.json against the same
files as the loader's tests: deploy and tests/filled are taken, of tests/flows-bad and
tests/upstreams-bad those with a wrong key or kind are refused, and those whose mistake no schema can
see are taken. Then docs/flow-file.md against the schemas: each key has its row, with its default.
Prints what is wrong, else nothing.
usage: tests/check_flow_schema.py [ROOT]    exit 0: well; 1: not"""
import json
import pathlib
import re
import sys

import jsonschema
import yaml

# what the schema must refuse: unknown key, key missing, wrong kind, value not allowed, no name
SEES = {"F010", "F011", "F012", "F013", "F014", "F015"}
# what it cannot read (no YAML, or YAML that is refused), so that it says nothing
UNREADABLE = {"F002", "F003", "F004", "F005", "F006"}
# keys and values that only the loader can judge
BLIND = {"name-of-file", "value-header", "ledger-never", "ledger-post", "never-behind-unrecorded",
         "token-scope-guests", "after-twice", "pool-ttl", "limit-key", "wait-long", "emit-key", "path-blank",
         "path-fragment", "path-letter", "header-line", "header-ours"}
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?$")
wrong = []


class Loader(yaml.BaseLoader):
    """All text; what common/yaml.h types is typed below."""


def scalar(loader, node):
    if node.style is None and node.value in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[node.value]
    if node.style is None and NUMBER.match(node.value):
        number = float(node.value)
        return int(number) if number == int(number) else number
    return node.value


Loader.add_constructor("tag:yaml.org,2002:str", scalar)


def read(path):
    return yaml.load(path.read_text(), Loader)


def problems(validator, value):
    return ["/".join(map(str, e.absolute_path)) + ": " + e.message[:100] for e in validator.iter_errors(value)]


def undescribed(node, at):
    if not isinstance(node, dict):
        return
    for name, value in node.get("properties", {}).items():
        if not value.get("description"):
            wrong.append(f"{at}/{name} lacks its description")
    for name, value in node.items():
        undescribed(value, f"{at}/{name}")


def check_bad(validator, path):
    code = re.match(r"# expect: [0-9]+:[0-9]+ (F[0-9]+)", path.read_text().splitlines()[0])
    code = code[1] if code else ""
    if code in UNREADABLE:
        return
    found = problems(validator, read(path))
    if code in SEES and path.stem not in BLIND:
        if not found:
            wrong.append(f"{path}: {code}, but the schema takes it")
    elif found:
        wrong.append(f"{path}: {code or 'good'}, but the schema refuses it: {found[0]}")


def schema_of(root, name):
    schema = json.loads((root / "proto" / name).read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    undescribed(schema, f"proto/{name}: ")
    return schema, jsonschema.Draft7Validator(schema)


def check_files(validator, good, bad, bad_min):
    if not good or len(bad) < bad_min:
        wrong.append("too few files to hold a schema against")
    for path in sorted(good):
        wrong.extend(f"{path}: the schema refuses {p}" for p in problems(validator, read(path)))
    for path in sorted(bad):
        check_bad(validator, path)


# ---- docs/flow-file.md: a table for each map, a row for each key

HEADING = re.compile(r"^#{2,4} (.*)$")
ROW = re.compile(r"^\| `([a-z_]+)` \| ([a-z, ]+) \| (.*?) \| .* ?\|$")
MAPS = {"Top level": "", "topic": "topic", "request": "request", "cache": "cache", "limits": "limits[]",
        "load": "load.NAME", "check": "check[]", "pool": "pool", "pool.refill": "pool.refill", "calls": "calls.NAME",
        "calls.request": "calls.NAME.request", "calls.retry": "calls.NAME.retry", "save": "save[]", "emit": "emit[]",
        "notify": "notify"}
UPSTREAMS = {"upstreams": "upstreams.NAME", "upstreams.breaker": "upstreams.NAME.breaker",
             "upstreams.sign": "upstreams.NAME.sign", "upstreams.tls": "upstreams.NAME.tls", "databases": "databases.NAME"}


def documented(path):
    """{heading: {key: default}}"""
    found, at = {}, ""
    for line in path.read_text().splitlines():
        if m := HEADING.match(line):
            at = m[1]
        elif m := ROW.match(line):
            found.setdefault(at, {})[m[1]] = m[3]
    return found


def resolved(schema, node):
    while "$ref" in node or "allOf" in node or "anyOf" in node and "properties" not in node:
        other = node.get("allOf", node.get("anyOf", []))
        maps = [x for x in other if "properties" in x or "$ref" in x]
        target = {"$ref": node["$ref"]} if "$ref" in node else maps[0] if maps else {}
        if "$ref" in target:
            target = schema["definitions"][target["$ref"].split("/")[-1]]
        if "properties" not in target and "$ref" not in target and "allOf" not in target:
            return node
        node = target
    return node


def at_path(schema, path):
    node = schema
    for part in re.findall(r"[a-z_]+|NAME|\[\]", path):
        node = resolved(schema, node)
        node = (node["additionalProperties"] if part == "NAME" else node["items"] if part == "[]"
                else node["properties"][part])
    return resolved(schema, node)


def written(value):
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if not isinstance(value, list) else "[" + ", ".join(map(str, value)) + "]"


def check_tables(tables, schema, maps):
    for heading, path in maps.items():
        properties, rows = at_path(schema, path)["properties"], tables.get(heading, {})
        for key in sorted(properties.keys() ^ rows.keys()):
            wrong.append(f"docs/flow-file.md: {heading}: `{key}` is only in {'the schema' if key in properties else 'the table'}")
        for key in properties.keys() & rows.keys():
            default = properties[key].get("default")
            if not isinstance(default, (dict, type(None))) and rows[key] != f"`{written(default)}`":
                wrong.append(f"docs/flow-file.md: {heading}: `{key}` has the default {written(default)}, not {rows[key]}")


def check_document(root, schema, validator, upstreams):
    document = root / "docs/flow-file.md"
    tables = documented(document)
    check_tables(tables, schema, MAPS)
    check_tables(tables, upstreams, UPSTREAMS)
    blocks = re.findall(r"```yaml\n(.*?)```", document.read_text(), re.S)
    for block in blocks:
        wrong.extend(f"docs/flow-file.md: example: {p}" for p in problems(validator, yaml.load(block, Loader)))
    if not blocks:
        wrong.append("docs/flow-file.md holds no example")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1])
    schema, validator = schema_of(root, "flow.schema.json")
    good = [p for folder in ("deploy", "tests/filled", "tests/shops") for p in (root / folder).glob("flows/*.yaml")
            if ".test." not in p.name]
    check_files(validator, good, list(root.glob("tests/flows-bad/*.yaml")), 60)
    upstreams, upstreams_validator = schema_of(root, "upstreams.schema.json")
    good = [root / folder / "upstreams.yaml" for folder in ("deploy", "tests", "tests/filled", "tests/shops")]
    check_files(upstreams_validator, good, list(root.glob("tests/upstreams-bad/*.yaml")), 20)
    check_document(root, schema, validator, upstreams)
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


sys.exit(main())
