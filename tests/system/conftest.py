"""Fixtures: servers once per run; a site per module for tests that leave it whole, a site per test
for those that break something. Programs come from OFFPATH_TEST_BIN (with stops and AddressSanitizer,
build/asan) and OFFPATH_TEST_RELEASE (as they ship, build/strict-gcc)."""
import os
import pathlib
import random

import pytest

from harness import ROOT, NotInTime, Site, Stack
from systems import Systems


def pytest_configure(config):
    config.addinivalue_line("markers", "crash: kills and stops programs; a stage of its own")


@pytest.fixture
def seed():
    """Of a random test. It is shown when the test fails; OFFPATH_TEST_SEED repeats it."""
    number = int(os.environ.get("OFFPATH_TEST_SEED", random.randrange(10**6)))
    print(f"OFFPATH_TEST_SEED={number}")
    return number


@pytest.fixture(scope="session")
def binaries():
    folder = pathlib.Path(os.environ.get("OFFPATH_TEST_BIN", ROOT / "build/asan"))
    assert (folder / "offpath-worker").exists(), f"no programs in {folder}: run tests/run"
    return folder


@pytest.fixture(scope="session")
def release():
    folder = pathlib.Path(os.environ.get("OFFPATH_TEST_RELEASE", ROOT / "build/strict-gcc"))
    assert (folder / "offpath-worker").exists(), f"no programs in {folder}: run tests/run"
    return folder


@pytest.fixture(scope="session")
def stack():
    given = os.environ.get("OFFPATH_TEST_STACK")
    for old in (ROOT / "build").glob("system-stack-*"):
        if not pathlib.Path(f"/proc/{old.name.rsplit('-', 1)[1]}").exists():  # its run was killed
            Stack(old, mine=True).stop()
    s = Stack(given or ROOT / f"build/system-stack-{os.getpid()}", mine=not given)
    try:
        s.start()
        yield s
    finally:
        if not given:
            s.stop()


@pytest.fixture(scope="session")
def work_folder(tmp_path_factory):
    return tmp_path_factory.mktemp("offpath")


def closing(sites):
    reports = [r for site in sites for r in site.close()]
    if reports:
        only_late = all(isinstance(r, NotInTime) for r in reports)
        raise (NotInTime if only_late else AssertionError)("\n".join(map(str, reports)))


@pytest.fixture
def new_site(stack, work_folder, binaries):
    """Makes sites: new_site(edit=..., env=...). Stopped after the test; a sanitizer report fails it."""
    sites = []

    def make(binaries_folder=None, **kw):
        sites.append(Site(stack, work_folder, binaries_folder or binaries, **kw))
        return sites[-1]

    yield make
    closing(sites)


@pytest.fixture(scope="module")
def shared(stack, work_folder, binaries):
    """One gateway, one worker, one stand-in for all tests of a module."""
    site = Site(stack, work_folder, binaries)
    try:
        yield site.open()
    finally:
        closing([site])


@pytest.fixture
def site(shared):
    """The module's site, its stand-in unscripted and its log empty."""
    shared.standin.mend()
    shared.standin.call("DELETE", "/_log")
    return shared


@pytest.fixture(scope="session")
def chromium(work_folder):
    from browser import Browser
    b = Browser(work_folder / "chromium")
    yield b
    b.close()


@pytest.fixture
def browser(chromium):
    """A browser that knows nobody; what a page complains about, policy refusals too, fails the test."""
    chromium.fresh()
    yield chromium
    complaints = chromium.complaints()
    assert not complaints, "\n".join(complaints)


@pytest.fixture(scope="module")
def all_flows(stack, work_folder, binaries):
    """The eight flows with one gateway and one worker, for all tests of a module."""
    site = Systems(stack, work_folder, binaries)
    try:
        yield site.open()
    finally:
        closing([site])


@pytest.fixture
def systems(all_flows):
    return all_flows.quiet()


@pytest.fixture
def new_systems(stack, work_folder, binaries):
    """Makes sites of the eight flows: new_systems(change=...), stopped after the test."""
    sites = []

    def make(binaries_folder=None, **kw):
        sites.append(Systems(stack, work_folder, binaries_folder or binaries, **kw))
        return sites[-1]

    yield make
    closing(sites)
