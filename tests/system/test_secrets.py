"""`${file:}` of upstreams.yaml is read again while the programs run."""
import json
import re
import urllib.parse

import pytest

from harness import request, wait_for

SAVER = r"""
flow: saver
title: Saves in a database of its own
access: guests
topic: {name: saver-MARK, group: saver-MARK, partitions: 1}
deadline: 3m
request: {schema: {type: object, properties: {n: {type: integer}}}}
result: $request.n
save:
  - {database: far, sql: 'INSERT INTO saved VALUES (\($result))'}
"""


def keys_seen(site):
    """What b-shop's calls brought as X-Api-Key, in order."""
    return [x["headers"].get("X-Api-Key") for x in site.standin.log_of("b-shop")]


def test_a_new_key_is_used_without_a_restart(new_site):
    site = new_site().open()
    first = site.run()
    assert first["state"] == "succeeded", first
    old, file = keys_seen(site)[-1], site.folder / "secrets/b_shop_key"
    assert old and old == file.read_text().strip()
    (site.folder / "secrets/next").write_text("a-new-key-of-the-shop\n")
    (site.folder / "secrets/next").rename(file)
    wait_for("it is read", lambda: "secret-read-again" in site.workers[0].text(), 20)
    assert site.run()["state"] == "succeeded"
    assert keys_seen(site)[-1] == "a-new-key-of-the-shop"
    file.unlink()
    wait_for("it is missed", lambda: "secret-gone" in site.workers[0].text(), 20)
    assert site.run()["state"] == "succeeded"
    assert keys_seen(site)[-1] == "a-new-key-of-the-shop"
    assert "a-new-key-of-the-shop" not in site.workers[0].text()


@pytest.fixture
def far(new_site):
    """A site whose flow saves in a database by an account of its own, whose password is in a file."""
    site = new_site(extra_flows={"saver": SAVER})
    u = urllib.parse.urlsplit(site.stack.env["OFFPATH_MYSQL"])
    site.account, schema = f"'far_{site.mark}'@'%'", f"far_{site.mark}"
    for text in (f"CREATE DATABASE {schema}", f"CREATE TABLE {schema}.saved (n INT NOT NULL)",
                 f"CREATE USER {site.account} IDENTIFIED BY 'the-first-one'",
                 f"GRANT ALL ON {schema}.* TO {site.account}"):
        site.stack.sql(text)
    path = site.folder / "upstreams.yaml"
    path.write_text(re.sub(r"(?s)\ndatabases:.*", f"""
databases:
  far: {{host: {u.hostname}, port: {u.port}, user: far_{site.mark}, password: '${{file:far}}', name: {schema}}}
""", path.read_text()))
    (site.folder / "secrets/far").write_text("the-first-one\n")
    yield site
    site.stack.sql(f"DROP USER IF EXISTS {site.account}")
    site.stack.sql(f"DROP DATABASE IF EXISTS {schema}")


def save(site, n):
    a = request(site.address, "POST", "/v1/flows/saver/jobs", json.dumps({"n": n}), {"Content-Type": "application/json"})
    assert a.status == 202, a
    return a.json()["id"]


def test_a_new_password_of_a_database_is_used_by_jobs_that_wait(far):
    """First the server has it, then the file; connections are killed in between."""
    site = far.open()
    worker = site.workers[0]
    assert site.wait_final(save(site, 1))["state"] == "succeeded"
    site.stack.sql(f"ALTER USER {site.account} IDENTIFIED BY 'the-second-one'")
    site.stack.sql(f"KILL USER {site.account}")
    waiting = save(site, 2)
    wait_for("the true reason is in the log", lambda: re.search(r"database-away .*1045 ", worker.text()), 30)
    assert "database far" in str(worker.get("/readyz").json()["degraded"])
    assert worker.metric("offpath_database_away", database="far") == 1
    (site.folder / "secrets/next").write_text("the-second-one\n")
    (site.folder / "secrets/next").rename(site.folder / "secrets/far")
    assert site.wait_final(waiting, 60)["state"] == "succeeded"
    assert "secret-read-again" in worker.text() and "the-second-one" not in worker.text()
    assert worker.get("/readyz").json()["degraded"] == []
    assert worker.metric("offpath_database_away", database="far") == 0
    assert site.stack.sql("SELECT n FROM saved ORDER BY n", f"far_{site.mark}") == [["1"], ["2"]]


def test_a_gateway_needs_no_keys_of_upstreams(new_site):
    """It calls nobody, and is what strangers reach."""
    site = new_site().prepare()
    (site.folder / "secrets/b_shop_key").unlink()
    gateway = site.gateway()
    site.address = gateway.address()
    assert site.post(site.product()).status == 202
    worker = site.worker(wait=False)
    assert worker.wait_exit(20) == 1 and "b_shop_key" in worker.text()


@pytest.mark.parametrize("event, old, new", [
    ("call-expression", "    timeout: 8s\n    retry: &shop",
     "    when: if $request.productId == \"42\" then true else $request.productId + \"x\" | tonumber end\n"
     "    timeout: 8s\n    retry: &shop"),
    ("result-expression", "    productId: $request.productId,",
     "    productId: (if $request.productId == \"42\" then 1 else $request.productId | error end),"),
    ("refused", "calls:   ", "check:\n  - that: $request.productId == \"42\"\n"
     "    else: no prices of \\($request.productId)\ncalls:   ")], ids=["when", "result", "check"])
def test_no_log_line_quotes_what_a_user_sent(new_site, event, old, new):
    """jq does in its errors, and so may the text of a `check`."""
    site = new_site(edit={old: new}).open()
    site.run("17171717171")
    wait_for("it is in the log", lambda: f" {event} " in site.workers[0].text())
    assert "17171717171" not in site.workers[0].text()
