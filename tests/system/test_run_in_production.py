"""docs/how-to/run-in-production.md: its rights are enough, and all that is needed but for what it names; its statements run."""
import json
import re
import urllib.parse

import pytest

from blocks import block_of
from harness import CACHE_OF_THE_FLOW, SHOPS, request, wait_for

PAGE = "docs/how-to/run-in-production.md"
SAVER = r"""
flow: saver
title: Saves in a database of its own account
access: guests
topic: {name: saver-MARK, group: saver-MARK, partitions: 1}
result: $request.n
save:
  - {database: shop, sql: 'INSERT INTO saved VALUES (\($job.id), \($result))'}
"""


@pytest.fixture
def limited(new_site, stack):
    """A site whose accounts at MySQL and Redis are made by the page, word by word but for their names."""
    site = new_site(extra_flows={"saver": SAVER}, database=False)
    own, shop = f"own_{site.mark}", f"shop_{site.mark}"
    grants = block_of(PAGE, "CREATE DATABASE").replace("PASSWORD", "pa55")
    grants = re.sub(r"\boffpath\b(?!\.\*)", own, grants).replace("offpath.*", f"{site.database}.*")
    grants = grants.replace(f"DATABASE {own}", f"DATABASE {site.database}").replace("shop", shop)
    stack.sql(f"CREATE DATABASE {shop}; CREATE TABLE {shop}.saved (job CHAR(36) PRIMARY KEY, n INT); {grants}")
    rule = block_of(PAGE, "ACL SETUSER").split()
    stack.redis(*[w.replace("PASSWORD", "pa55") if w.startswith(">") else own if w == "offpath" else w for w in rule])
    u, r = (urllib.parse.urlsplit(stack.env[f"OFFPATH_{n}"]) for n in ("MYSQL", "REDIS"))
    site.env["OFFPATH_MYSQL"] = f"mysql://{own}:pa55@{u.hostname}:{u.port}/{site.database}"
    site.env["OFFPATH_REDIS"] = f"redis://{own}:pa55@{r.hostname}:{r.port}/{site.redis_db}"
    path = site.folder / "upstreams.yaml"
    path.write_text(path.read_text() + f"  shop: {{host: {u.hostname}, port: {u.port}, name: {shop}, user: {shop}, "
                                       "password: '${file:mysql_shop}'}\n")
    (site.folder / "secrets/mysql_shop").write_text("pa55")
    yield site
    for p in site.programs:
        p.stop()
    stack.redis("ACL", "DELUSER", own)
    stack.sql(f"DROP USER '{own}'@'%', '{shop}'@'%'; DROP DATABASE {shop}")


def post(site, flow, body):
    a = request(site.address, "POST", f"/v1/flows/{flow}/jobs", json.dumps(body), {"Content-Type": "application/json"})
    assert a.status == 202, a
    return a.json()["id"]


def test_the_rights_of_the_page_are_enough(limited, stack):
    """CREATE goes before the programs run; another server's offpath_applied may come from what `migrate plan` prints."""
    site, shop, own = limited, f"shop_{limited.mark}", f"own_{limited.mark}"
    stack.sql(f"REVOKE CREATE ON {shop}.* FROM {shop}")
    plan = site.verb("offpath-worker", "migrate", "plan")
    made, of_shop = plan.stdout.split(f"-- database shop: {shop} ")
    assert "CREATE TABLE op_job" in made and site.verb("offpath-worker", "migrate", "status").returncode == 1
    stack.sql(of_shop.split("\n", 1)[1], shop)

    names = {"flows": "FLOWS", "upstreams": "UPSTREAMS", "secrets": "SECRETS", "kafka": "KAFKA", "redis": "REDIS", "mysql": "MYSQL"}
    (site.folder / "offpath.yaml").write_text("".join(f"{k}: {json.dumps(site.env[f'OFFPATH_{v}'])}\n" for k, v in names.items()))
    for command in block_of(PAGE, "offpath-worker check").splitlines():
        words = [str(site.folder / w) if w == "offpath.yaml" else w for w in command.split()]
        done = site.verb(*words)
        # before the tables are there, `check` says so
        assert done.returncode == (3 if words[1] == "check" else 0), done
    stack.sql(f"REVOKE CREATE ON {site.database}.* FROM {own}")
    site.address = site.gateway().address()
    worker = site.worker()

    assert site.run()["state"] == "succeeded"
    saved = post(site, "saver", {"n": 7})
    assert site.wait_final(saved)["state"] == "succeeded"
    assert stack.sql("SELECT * FROM saved", shop) == [[saved, "7"]]
    assert stack.sql("SELECT COUNT(*) FROM offpath_applied", shop) == [["1"]]
    for shop in SHOPS:
        site.standin.hold(shop, repeat=-1)
    held = site.accept()
    wait_for("it is called", lambda: site.standin.in_flight() == len(SHOPS))
    assert request(site.address, "DELETE", f"/v1/jobs/{held}").status == 403  # a shared job: nobody's to cancel
    site.standin.mend()
    assert site.wait_final(held)["state"] == "succeeded"
    site.sql("UPDATE op_job SET sweep_at=NOW(6)-INTERVAL 1 SECOND")  # the sweep empties, and deletes rows of calls
    wait_for("the sweep was here", lambda: worker.metric("offpath_swept_total", what="emptied") == 3)
    for p in site.programs[1:]:
        wait_for("it has all", lambda: p.get("/readyz").json()["degraded"] == [])
        assert not re.search(r"NOPERM|WRONGPASS|denied", p.text()), p.tail()


def test_its_statements_show_dead_letters_and_discard_them(new_site):
    site = new_site(edit={CACHE_OF_THE_FLOW: ""}).open()
    for shop in SHOPS:
        site.standin.script(shop, {"status": 404, "repeat": -1})
    job = site.run("4711")
    assert job["state"] == "failed" and job["reason"] == "need-not-met", job
    count, show, discard = block_of(PAGE, "SELECT flow").replace("NAME", "price-compare").splitlines()
    [[flow, reason, _, n, *_]] = site.sql(count)
    assert (flow, reason, n) == ("price-compare", "need-not-met", "1")
    [[id, _, topic, _, _, value]] = site.sql(show)
    assert id == job["id"].replace("-", "") and topic == site.topic and json.loads(value) == {"productId": "4711"}
    site.sql("UPDATE op_job SET sweep_at=NOW(6)-INTERVAL 1 SECOND")
    emptied = lambda: site.programs[-1].metric("offpath_swept_total", what="emptied")
    wait_for("the sweep keeps it for another day", lambda: site.sql("SELECT sweep_at > NOW(6) FROM op_job") == [["1"]])
    assert emptied() == 0
    site.sql(discard + "UPDATE op_job SET sweep_at=NOW(6)-INTERVAL 1 SECOND")
    wait_for("now it goes", lambda: emptied() == 1)
    assert site.sql(count) == []
