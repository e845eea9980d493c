#!/usr/bin/python3
"""check_flow_schema - holds proto/flow.schema.json against the same flow files as the loader's tests:
deploy/flows are taken, of tests/flows-bad those with a wrong key or kind are
refused, and those whose mistake no schema can see are taken. Prints what is wrong, else nothing.
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
         "token-scope-guests", "after-twice", "pool-ttl", "limit-key", "wait-long", "emit-key"}
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


def undescribed(node, at=""):
    if not isinstance(node, dict):
        return
    for name, value in node.get("properties", {}).items():
        if not value.get("description"):
            wrong.append(f"proto/flow.schema.json: {at}/{name} lacks its description")
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
            wrong.append(f"{path.name}: {code}, but the schema takes it")
    elif found:
        wrong.append(f"{path.name}: {code or 'good'}, but the schema refuses it: {found[0]}")


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1])
    schema = json.loads((root / "proto/flow.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    validator = jsonschema.Draft7Validator(schema)
    undescribed(schema)
    good = [p for p in root.glob("deploy/flows/*.yaml") if ".test." not in p.name]
    bad = list(root.glob("tests/flows-bad/*.yaml"))
    if not good or len(bad) < 60:
        wrong.append("too few flow files to hold the schema against")
    for path in sorted(good):
        wrong.extend(f"{path.name}: the schema refuses {p}" for p in problems(validator, read(path)))
    for path in sorted(bad):
        check_bad(validator, path)
    print("\n".join(wrong), end="\n" if wrong else "")
    return 1 if wrong else 0


sys.exit(main())
