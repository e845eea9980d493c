"""The topic of a flow is deleted and made anew while the worker reads it: its numbers begin again."""
from harness import SHOPS, wait_for

PARTITIONS = 3  # as many as before: no rebalance comes to its help


def test_a_topic_that_is_made_anew_loses_no_job_of_the_new_one(new_site):
    site = new_site(edit={"timeout: 8s": "timeout: 60s", "deadline: 12s": "deadline: 5m"}).open()
    site.stack.produce_lines(site.topic, [f"{i}\t{{\"productId\": \"{i}\"}}" for i in range(300)])  # more than are to come
    wait_for("all are final", lambda: site.state_counts() == {10: 300}, 60)
    for shop in SHOPS:
        site.standin.hold(shop, repeat=-1)
    flying = [site.accept() for _ in range(5)]
    wait_for("they are in flight", lambda: site.standin.in_flight() == 15)
    site.stack.java("remake", str(PARTITIONS), site.topic)
    again = [wait_for("it is accepted", lambda: (a := site.post()).status == 202 and a.json()["id"], 30) for _ in range(20)]
    site.stack.produce_lines(site.topic, [f"{i}\t{{\"productId\": \"{i}\"}}" for i in range(10)])
    wait_for("they are in flight, too", lambda: site.standin.in_flight() == 3 * (5 + 20 + 10), 60)
    site.standin.mend()
    assert {site.wait_final(id)["state"] for id in flying + again} == {"succeeded"}
    wait_for("all are final", lambda: site.open_jobs() == 0, 60)
    assert site.state_counts() == {10: 300 + 5 + 20 + 10}
    site.workers[0].stop()
    assert site.uncommitted() == []
