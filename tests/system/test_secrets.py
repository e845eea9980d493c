"""`${file:}` of upstreams.yaml is read again while the programs run."""
import pytest

from harness import wait_for


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
