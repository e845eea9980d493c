"""The sign-up chain as it ships: the sentences E2 to E18. That it starts as three workers, each with its
own database (E1, E11), is in test_quickstart.py; other programs' records (E16) in test_other_programs.py."""
import ctypes
import itertools
import json
import os
import time
import uuid

import pytest

from conftest import closing
from harness import Background, hexid, request, wait_for
from systems import Systems

numbers = itertools.count(1)
PASSWORD = "correct horse battery"
GUESTS = {"sign-up": {"count: 5, window: 1m": "count: 100000, window: 1m"}}  # all of them come from here


@pytest.fixture(scope="module")
def chain(stack, work_folder, binaries):
    site = Systems(stack, work_folder, binaries, change=GUESTS).open()
    yield site
    closing([site])


def person(**more):
    n = next(numbers)
    return {"email": f"p{n}@example.com", "password": PASSWORD, "name": "Kim", "phone": "010-1234-5678",
            "birth": "1999-01-31", "gender": "F", "role": "PARTNER", "nickname": f"kim{n}", "favoriteStyles": [3, 8], **more}


def sign_up(site, body=None):
    """Over, whether within the wait or after it: the job."""
    a = site.start("sign-up", body or person())
    assert a.status in (200, 202), a
    return site.ended(a.json()["id"])


def records(site, topic, uuid_):
    return [r for r in site.stack.records(site.own(topic)) if uuid_ in r["value"]]


def stored(site, id):
    """How many rows each service has of this member: member, profiles, styles, summary."""
    one = site.rows("auth", f"SELECT COUNT(*) FROM member WHERE uuid = '{id}'")[0][0]
    return (int(one), *(int(x) for x in site.rows("member", f"""SELECT
        (SELECT COUNT(*) FROM user_profile WHERE uuid = '{id}') + (SELECT COUNT(*) FROM partner_profile WHERE uuid = '{id}'),
        (SELECT COUNT(*) FROM favorite_style WHERE uuid = '{id}')""")[0]),
            int(site.rows("batch", f"SELECT COUNT(*) FROM partner_summary WHERE partner_id = '{id}'")[0][0]))


def test_e02_e03_the_answer_is_the_uuid_and_the_profile_is_told(chain):
    body = person()
    job = sign_up(chain, body)
    id = job["result"]["uuid"]
    assert job["state"] == "succeeded" and str(uuid.UUID(id)) == id
    told = wait_for("it is told", lambda: records(chain, "profile-insert", id), 30)
    assert [json.loads(r["value"]) for r in told] == [
        {"uuid": id, "role": "PARTNER", "nickname": body["nickname"], "favoriteStyles": [3, 8]}]


@pytest.mark.parametrize("role, table, summary", [("USER", "user_profile", 0), ("PARTNER", "partner_profile", 1)])
def test_e04_e05_e06_each_role_has_its_profile_its_styles_and_a_partner_a_summary(chain, role, table, summary):
    body = person(role=role, favoriteStyles=[1, 2, 5])
    id = sign_up(chain, body)["result"]["uuid"]
    wait_for("all is stored", lambda: stored(chain, id) == (1, 1, 3, summary), 30)
    assert chain.rows("member", f"SELECT nickname FROM {table} WHERE uuid = '{id}'") == [[body["nickname"]]]
    assert len(records(chain, "partner-create", id)) == summary


def test_e07_another_role_is_refused_by_name(chain):
    body = person(role="ADMIN")
    a = chain.start("sign-up", body)
    assert a.status == 422 and [e["pointer"] for e in a.json()["errors"]] == ["/role"], a
    assert chain.rows("auth", f"SELECT COUNT(*) FROM member WHERE email = '{body['email']}'") == [["0"]]


@pytest.mark.parametrize("wrong", [{"email": ""}, {"email": "kim"}, {"email": "kim @example.com"}, {"birth": ""},
                                   {"birth": "1999-13-01"}, {"birth": "31.01.1999"}, {"birth": "1999-01-31 "}])
def test_what_is_no_address_and_no_day_is_refused_by_name(chain, wrong):
    a = chain.start("sign-up", person(**wrong))
    assert a.status == 422 and [e["pointer"] for e in a.json()["errors"]] == [f"/{k}" for k in wrong], a


def test_e08_another_role_in_a_record_is_a_dead_letter(chain):
    id = str(uuid.uuid4())
    chain.stack.produce(chain.own("profile-insert"), json.dumps(
        {"uuid": id, "role": "ADMIN", "nickname": "x", "favoriteStyles": [1]}).encode(), key=id)
    wait_for("it is there", lambda: chain.sql(
        f"SELECT reason FROM op_dead WHERE mkey = '{id}'") == [["bad-event"]], 30)
    assert stored(chain, id) == (0, 0, 0, 0) and records(chain, "partner-create", id) == []


def test_e09_a_failing_style_leaves_no_profile(chain):
    id, conflicts = str(uuid.uuid4()), "SELECT COUNT(*) FROM op_job WHERE flow = 'profile-insert' AND reason = 'conflict'"
    before = int(chain.sql(conflicts)[0][0])
    chain.stack.produce(chain.own("profile-insert"), json.dumps(
        {"uuid": id, "role": "PARTNER", "nickname": "x", "favoriteStyles": [1, 1]}).encode(), key=id)
    wait_for("it is over", lambda: int(chain.sql(conflicts)[0][0]) == before + 1, 30)
    assert stored(chain, id) == (0, 0, 0, 0) and records(chain, "partner-create", id) == []


def sign_ups(site, least=5):
    """While something is away: at least so many; with OFFPATH_TEST_AWAY_S, as many as fit in that time."""
    end = time.monotonic() + float(os.environ.get("OFFPATH_TEST_AWAY_S", "0"))
    ids = []
    while len(ids) < least or time.monotonic() < end:
        ids.append(sign_up(site)["result"]["uuid"])
    return ids


def test_e10_who_was_away_applies_what_it_missed_each_once(new_systems):
    """member and batch: first their workers, then their databases. By hand with OFFPATH_TEST_AWAY_S=60."""
    site = new_systems(change=GUESTS).prepare()
    site.address = site.gateway().address()
    site.worker(OFFPATH_ONLY="sign-up")
    member = site.worker(OFFPATH_ONLY="profile-insert")
    batch = site.worker(OFFPATH_ONLY="partner-summary")
    ids = [sign_up(site)["result"]["uuid"]]
    assert (member.stop(), batch.stop()) == (0, 0)
    ids += sign_ups(site)
    site.worker(OFFPATH_ONLY="profile-insert"), site.worker(OFFPATH_ONLY="partner-summary")
    wait_for("what came meanwhile is stored", lambda: {stored(site, i) for i in ids} == {(1, 1, 2, 1)}, 60)
    accounts = [f"'{s}_{site.mark}'@'127.0.0.1'" for s in ("member", "batch")]
    site.stack.sql("".join(f"ALTER USER {a} ACCOUNT LOCK; KILL USER {a};" for a in accounts))
    more = sign_ups(site)
    assert {stored(site, i) for i in more} == {(1, 0, 0, 0)}, "sign-up works without them"
    site.stack.sql("".join(f"ALTER USER {a} ACCOUNT UNLOCK;" for a in accounts))
    wait_for("all is stored", lambda: {stored(site, i) for i in ids + more} == {(1, 1, 2, 1)}, 90)
    assert site.sql("SELECT COUNT(*) FROM op_dead") == [["0"]]
    print(f"sign-ups while the workers were away: {len(ids) - 1}, while the databases were: {len(more)}")


def test_e12_e13_a_redelivered_sign_up_is_neither_refused_nor_applied_again(chain):
    job = sign_up(chain)
    id = job["result"]["uuid"]
    wait_for("all is stored", lambda: stored(chain, id) == (1, 1, 2, 1), 30)
    record = [r for r in chain.stack.records(chain.own("sign-up")) if r["headers"].get("offpath-job") == job["id"]][0]
    chain.stack.produce(chain.own("sign-up"), record["value"].encode(), key=record["key"], headers=record["headers"])
    behind = sign_up(chain)["result"]["uuid"]  # its answer comes behind that of the record before it, or beside it
    wait_for("that is stored, too", lambda: stored(chain, behind) == (1, 1, 2, 1), 30)
    assert chain.look(job["id"])["state"] == "succeeded"
    assert stored(chain, id) == (1, 1, 2, 1) and len(records(chain, "profile-insert", id)) == 1


def test_e14_an_email_is_registered_once(chain):
    body = person()
    assert sign_up(chain, body)["state"] == "succeeded"
    again = sign_up(chain, body)
    assert (again["state"], again["reason"], again["message"]) == (
        "failed", "refused", "this e-mail address is already registered")
    dead = int(chain.sql("SELECT COUNT(*) FROM op_dead")[0][0])
    body = person()
    both = Background(lambda i: sign_up(chain, body), threads=2, count=2).join()
    assert both.errors == []
    states = sorted((j["state"], j["reason"]) for j in both.results)
    assert states[1] == ("succeeded", None) and states[0] in (("failed", "refused"), ("failed", "conflict")), states
    assert int(chain.sql("SELECT COUNT(*) FROM op_dead")[0][0]) == dead
    assert chain.rows("auth", f"SELECT COUNT(*) FROM member WHERE email = '{body['email']}'") == [["1"]]


def test_e15_the_password_is_nowhere_and_its_hash_is_right(chain):
    id = sign_up(chain)["result"]["uuid"]
    hashed = chain.rows("auth", f"SELECT password FROM member WHERE uuid = '{id}'")[0][0]
    crypt = ctypes.CDLL("libcrypt.so.1").crypt
    crypt.restype = ctypes.c_char_p
    assert hashed.startswith("$2b$") and crypt(PASSWORD.encode(), hashed.encode()).decode() == hashed
    places = [r["value"] for t in ("sign-up", "profile-insert", "partner-create") for r in chain.stack.records(chain.own(t))]
    places += [p.text() for p in chain.programs]
    for table in chain.sql("SHOW TABLES"):
        places += [cell for row in chain.sql(f"SELECT * FROM {table[0]}") for cell in row]
    assert hexid(id) and not [p for p in places if PASSWORD in p]


def test_e17_another_group_reads_the_profiles_as_well(chain):
    id = sign_up(chain)["result"]["uuid"]
    wait_for("it is told", lambda: records(chain, "profile-insert", id), 30)
    other = chain.stack.kcat("-G", chain.own("another"), "-e", "-q", "-X", "auto.offset.reset=earliest", chain.own("profile-insert"))
    assert id in other.decode()


@pytest.mark.parametrize("flow", ["profile-insert", "partner-summary"])
def test_e18_internal_flows_are_not_started_over_http(chain, flow):
    a = chain.start(flow, {"uuid": str(uuid.uuid4()), "role": "USER", "nickname": "x", "favoriteStyles": []})
    assert a.status == 404, a
    listed = request(chain.address, "GET", "/v1/flows").json()["items"]
    assert flow not in [f["flow"] for f in listed]
