"""A worker's host that freezes in the middle of a transaction (protocols: crash points, "in a call, or
before T5"): no server hears of it, and what the transaction locked must not keep its jobs from others."""
import subprocess
import urllib.parse

from harness import SHOPS, hexid, wait_for

LONG = {"deadline: 12s": "deadline: 3m", "timeout: 8s": "timeout: 60s"}
TAKEN_S = 35  # 20 for the lease, seen out twice; the rest for machines that are busy
PARTITIONS = 3  # of the flow's topic
EVERY_S = 0.3  # who asks InnoDB for its transactions more often than 10 times a second hears nothing new


class Lock:
    """Another client of MySQL that holds a row until let_go."""

    def __init__(self, site, sql):
        u = urllib.parse.urlsplit(site.env["OFFPATH_MYSQL"])
        self.client = subprocess.Popen(
            ["mariadb", "--no-defaults", "--protocol=tcp", "-h", u.hostname, "-P", str(u.port), "-u", u.username,
             f"-p{u.password}", "--batch", "-N", "--unbuffered", u.path[1:]],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.client.stdin.write(f"BEGIN; {sql}; SELECT 'locked';\n")
        self.client.stdin.flush()
        for line in self.client.stdout:
            if line.strip() == "locked":
                return
        raise AssertionError("the row was not locked")

    def let_go(self):
        self.client.communicate("ROLLBACK;\n", timeout=20)


def transactions(site, state):
    """Those of this site that have locked rows and are in this state."""
    return site.sql("SELECT t.trx_id FROM information_schema.innodb_trx t JOIN information_schema.processlist p"
                    f" ON p.id=t.trx_mysql_thread_id WHERE p.db=DATABASE() AND t.trx_state='{state}'"
                    " AND t.trx_rows_locked>0")


def frozen_in_a_transaction(site, id):
    """The first worker, which stands still once it holds the lock of its own row and waits for the
    job's; then it gets that, too."""
    lock = Lock(site, f"SELECT state FROM op_job WHERE id=x'{hexid(id)}' FOR UPDATE")
    for shop in SHOPS:
        site.standin.let_go(shop)
    wait_for("the worker waits for the job's row", lambda: transactions(site, "LOCK WAIT"), every=EVERY_S)
    site.workers[0].freeze()
    lock.let_go()
    wait_for("its transaction stands still", lambda: transactions(site, "RUNNING")
             and not transactions(site, "LOCK WAIT"), every=EVERY_S)


def in_every_partition(site):
    """Accepted jobs, at least six, with a record in each partition, whichever a second worker is given."""
    ids = [site.accept() for _ in range(6)]
    while len({r["partition"] for r in site.records()}) < PARTITIONS:
        assert len(ids) < 100, "their products all have one partition"
        ids.append(site.accept())
    return ids


def test_what_a_frozen_worker_locked_is_taken_over_in_time(new_site):
    site = new_site(edit=LONG).open(workers=2)
    site.workers[1].stop()
    for shop in SHOPS:
        site.standin.hold(shop, repeat=-1)
    ids = in_every_partition(site)
    wait_for("all are in their calls", lambda: site.standin.in_flight() == 3 * len(ids))
    site.workers[1] = site.worker()
    wait_for("the second worker follows some", lambda: site.workers[1].metric("offpath_records_total"), 60)
    frozen_in_a_transaction(site, ids[0])
    for id in ids:
        assert site.wait_final(id, TAKEN_S)["state"] == "succeeded"
    assert site.sql("SELECT COUNT(*) FROM op_worker WHERE state=9") == [["1"]]
    site.workers[0].thaw()
    wait_for("nothing is open", lambda: site.open_jobs() == 0)
    assert set(site.state_counts()) == {10}
