"""The fixtures of the end-to-end tests.

    pytest test                     all, against ./pgpool (PGPOOL_BINARY names another one)
    pytest test --direct            the protocol tests against PostgreSQL itself: that proves that
                                    what they expect is right; tests marked "proxy" are skipped

primary, replica   one pair of clusters for the whole run; tests must not stop them
proxy              factory: proxy(parameter=value, ...) starts one in front of that pair
own_pair           a pair of clusters of this test alone, which may be stopped and killed
"""

import itertools
import os
import signal
import struct
import sys
import threading

import pytest

sys.dont_write_bytecode = True
import pg                                                       # noqa: E402
from fake import FakeNode, Talk                                 # noqa: E402


def pytest_addoption(parser):
    parser.addoption("--direct", action="store_true",
                     help="no proxy: run the tests of protocol behaviour against PostgreSQL")


def pytest_configure(config):
    # A script that starts us in the background has these ignored, and all that we start inherits it: a
    # signal that is ignored is lost until the program blocks it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)
    config.addinivalue_line("markers", "proxy: needs the proxy itself (skipped with --direct)")


def pytest_collection_modifyitems(config, items):
    skip = pytest.mark.skip(reason="needs the proxy")
    if config.getoption("--direct"):
        for item in items:
            if item.get_closest_marker("proxy"):
                item.add_marker(skip)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.failed:
        item.bad = True


@pytest.fixture(scope="session")
def shop():
    w = pg.Workshop()
    yield w
    w.close()


@pytest.fixture(scope="session")
def pair(shop):
    return shop.pair()


@pytest.fixture(scope="session")
def primary(pair):
    return pair[0]


@pytest.fixture(scope="session")
def replica(pair):
    return pair[1]


@pytest.fixture(scope="session")
def direct(request):
    return request.config.getoption("--direct")


@pytest.fixture
def own_pair(shop):
    """primary, replica: to be stopped and killed at will."""
    pair = shop.pair()
    yield pair
    for cluster in reversed(pair):
        cluster.remove()


@pytest.fixture
def fake():
    """fake(treat): a node that gives each connection to treat(Talk), in a thread of its own."""
    made = []

    def make(treat):
        def one(s):
            try:
                treat(Talk(s))
            except (OSError, ValueError, struct.error):
                s.close()
        made.append(FakeNode(lambda s: threading.Thread(target=one, args=(s,), daemon=True).start()))
        return made[-1]
    yield make
    for node in made:
        node.close()


@pytest.fixture
def proxy(request, shop, direct):
    """proxy(nodes=[...], launch=False, **parameters): see pg.Proxy."""
    made = []

    def make(nodes=None, start=True, **how):
        if nodes is None:
            nodes = request.getfixturevalue("pair")
        if direct:
            return nodes[0]
        made.append(shop.proxy(nodes, **how))
        return made[-1].start() if start else made[-1]

    yield make
    try:
        for p in made:
            if p.process:
                p.check()
    finally:
        if made and getattr(request.node, "bad", False):    # what it left must not fail others
            for node in request.getfixturevalue("pair"):
                node.expel()


_marks = itertools.count(1)


@pytest.fixture
def mark():
    """mark() makes a word that no other statement of this run holds."""
    return lambda: f"mark{os.getpid()}x{next(_marks)}"
