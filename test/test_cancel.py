"""Cancel requests reach the one server that runs the request, and nothing else."""

import os
import signal
import struct
import subprocess
import threading

import psycopg
import pytest

import wire
from fake import READY, row
from pg import tool
from wire import (Wire, bind, cancel_now, execute, extended, message, parse, query, sync,
                  wait_until)

SLEEP = "SELECT pg_sleep(60)"


def sleeping(primary, n=1):
    wait_until(lambda: len(primary.backends("wait_event = 'PgSleep'")) == n, f"{n} sleepers")


def test_cancel_ends_a_statement(proxy, primary):
    p = proxy()
    w = p.raw()
    w.send(query(SLEEP))
    sleeping(primary)
    cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]
    assert wire.value(w.query("SELECT 1")) == "1"


def test_cancel_ends_an_extended_statement(proxy, primary):
    p = proxy()
    w = p.raw()
    w.send(extended(SLEEP) + extended("SELECT 1") + sync())
    sleeping(primary)
    cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]
    assert wire.value(w.query("SELECT 1")) == "1"


def test_cancel_of_a_read_on_the_replica(proxy, primary, replica, direct):
    """pg_sleep goes to the primary; a long join is read on the replica."""
    p = proxy()
    w = p.raw()
    w.send(query("SELECT count(*) FROM generate_series(1, 100000) a,"
                 " generate_series(1, 100000) b /* long read */"))
    node = primary if direct else replica
    wait_until(lambda: node.backends("query LIKE '%long read%' AND state = 'active'"), "the read")
    cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]
    assert wire.value(w.query("SELECT 1")) == "1"


def test_cancel_in_a_transaction_fails_it(proxy, primary):
    p = proxy()
    w = p.raw()
    w.query("BEGIN")
    w.send(query(SLEEP))
    sleeping(primary)
    cancel_now(p.address, w.pid, w.key)
    out = w.reply()
    assert wire.errors(out) == ["57014"] and out[-1].body == b"E"
    assert w.query("ROLLBACK")[-1].body == b"I"


def test_cancel_hits_one_of_two_clients(proxy, primary):
    p = proxy()
    a, b = p.raw(), p.raw()
    a.send(query("SELECT pg_sleep(60)"))
    b.send(query("SELECT pg_sleep(0.8)"))
    sleeping(primary, 2)
    cancel_now(p.address, a.pid, a.key)
    assert wire.errors(a.reply()) == ["57014"]
    assert wire.errors(b.reply()) == []


def test_cancel_never_hits_a_later_statement(proxy):
    """The statement may end by itself while its cancel is on the way.  What the session sends
    after that is not canceled: the client has seen the cancel connection's end, and the answer."""
    p = proxy()
    w = p.raw()
    hits = 0
    for i in range(60):
        w.send(query(f"SELECT pg_sleep({i % 6 * 0.001})"))
        cancel_now(p.address, w.pid, w.key)
        assert wire.errors(w.reply()) in ([], ["57014"])
        hits += bool(wire.errors(w.query("SELECT 1")))
        hits += bool(wire.errors(w.query("SELECT pg_sleep(0.02)")))
    assert hits == 0


@pytest.mark.proxy
@pytest.mark.parametrize("follows", [query("SELECT 'next'"), message("X")],
                         ids=["request", "terminate"])
def test_nothing_follows_a_cancel_before_it_is_delivered(proxy, fake, follows):
    """Its connection stays open, and neither a request nor a reset goes to the server."""
    began, asked, delivered = (threading.Event() for _ in range(3))
    behind = []     # what the server got behind the statement

    def node(t):
        if t.packet()[:4] == struct.pack("!I", wire.CANCEL):
            asked.set()
            delivered.wait(10)
            t.sock.close()
            return
        t.sock.sendall(READY)
        slow = False
        while True:
            type_, body = t.message()
            if slow:
                behind.append(body)
            elif b"slow" in body:
                slow = True
                began.set()
                asked.wait(10)
            if type_ == b"Q":
                t.sock.sendall(row(1))

    p = proxy(nodes=[fake(node)], primary_wait_timeout=0)
    w = p.raw()
    w.send(query("SELECT 'slow'"))
    assert began.wait(10)
    with Wire(p.address) as c:
        c.send(wire.cancel(w.pid, w.key))
        assert wire.errors(w.reply()) == [] and asked.is_set()
        w.send(follows)
        c.silent(0.2)
        assert behind == []
        delivered.set()
        assert c.eof() == []
    wait_until(lambda: behind, "what comes next")


def test_cancel_with_a_wrong_key_does_nothing(proxy, primary):
    p = proxy()
    w = p.raw()
    w.send(query("SELECT pg_sleep(0.5)"))
    sleeping(primary)
    wrong = bytes([w.key[0] ^ 1]) + w.key[1:]
    for pid, key in [(w.pid, wrong), (w.pid + 1, w.key), (0, w.key), (w.pid, b"\0" * len(w.key)),
                     (w.pid, w.key[:-1]), (w.pid, w.key + b"x"), (w.pid, b"")]:
        with Wire(p.address) as c:
            c.send(wire.cancel(pid, key))
            c.eof()
    assert wire.errors(w.reply()) == []


def test_cancel_of_an_idle_session_does_nothing(proxy):
    p = proxy()
    w = p.raw()
    w.query("SELECT 1")
    cancel_now(p.address, w.pid, w.key)
    for _ in range(20):
        assert wire.errors(w.query("SELECT 1")) == []


@pytest.mark.proxy
def test_cancel_of_an_idle_session_does_not_hit_the_next_user_of_its_server(proxy, primary):
    p = proxy(num_init_children=1, max_pool=1)
    a = p.raw()
    a.query("SELECT 1")
    a.bye()
    b = p.raw()
    b.send(query("SELECT pg_sleep(0.3)"))
    sleeping(primary)
    cancel_now(p.address, a.pid, a.key)
    assert wire.errors(b.reply()) == []


def test_keys_of_sessions_differ(proxy):
    p = proxy()
    all_ = [p.raw() for _ in range(20)]
    assert len({(w.pid, w.key) for w in all_}) == 20
    assert len({w.key for w in all_}) == 20


@pytest.mark.proxy
def test_cancel_with_a_long_key_of_version_3_2(proxy, primary):
    p = proxy()
    w = p.raw(version=wire.V3_2)
    w.send(query(SLEEP))
    sleeping(primary)
    cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]


def test_cancel_through_ssl_request(proxy, primary):
    """libpq 17 may ask for encryption first."""
    p = proxy()
    w = p.raw()
    w.send(query(SLEEP))
    sleeping(primary)
    with Wire(p.address) as c:
        c.send(wire.packet(wire.SSL_REQUEST))
        assert c.take(1) == b"N"
        c.send(wire.cancel(w.pid, w.key))
        assert c.eof() == []
    assert wire.errors(w.reply()) == ["57014"]


def test_cancel_in_the_middle_of_a_result(proxy):
    p = proxy()
    w = p.raw()
    w.send(query("SELECT repeat('x', 1000) FROM generate_series(1, 20000000)"))
    for _ in range(100):
        w.read()
    cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]
    assert wire.value(w.query("SELECT 1")) == "1"


def test_cancel_of_a_prepared_statement(proxy, primary):
    p = proxy()
    w = p.raw()
    w.ask(parse("s", "SELECT pg_sleep($1::int)") + sync())
    for _ in range(2):
        w.send(bind("", "s", [60]) + execute() + sync())
        sleeping(primary)
        cancel_now(p.address, w.pid, w.key)
        assert wire.errors(w.reply()) == ["57014"]


def test_cancel_behind_a_statement_of_the_proxy(proxy, primary):
    """The proxy is making the prepared statement anew, and waits for a lock: what the client asked
    has not begun, and never will."""
    p = proxy()
    p.psql("CREATE TABLE locked (a int)")
    w = p.raw()
    w.ask(parse("s", "SELECT pg_sleep(60), count(*) FROM locked") + sync())
    primary.expel()
    with primary.connect() as lock, lock.transaction():
        lock.execute("LOCK TABLE locked")
        w.send(bind("", "s") + execute() + sync())
        wait_until(lambda: primary.backends("wait_event_type = 'Lock'"), "the proxy's Parse")
        cancel_now(p.address, w.pid, w.key)
        assert wire.errors(w.reply()) == ["57014"]
    assert wire.value(w.query("SELECT 1")) == "1"
    w.send(bind("", "s") + execute() + sync())
    sleeping(primary)
    cancel_now(p.address, w.pid, w.key)
    assert wire.errors(w.reply()) == ["57014"]
    p.psql("DROP TABLE locked")


def test_ctrl_c_in_psql(proxy, primary):
    p = proxy()
    out = subprocess.Popen([tool("psql"), "-XAt", "-c", SLEEP], env=p.env(), text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    sleeping(primary)
    os.kill(out.pid, signal.SIGINT)
    assert "canceling statement due to user request" in out.communicate(timeout=20)[0]


def test_cancel_of_psycopg(proxy, primary):
    with proxy().connect() as c:
        t = threading.Thread(target=lambda: (sleeping(primary), c.cancel()))
        t.start()
        with pytest.raises(psycopg.errors.QueryCanceled):
            c.execute(SLEEP)
        t.join()
        assert c.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.proxy
def test_cancel_in_a_transaction_of_a_request_that_is_blocked(proxy, primary):
    """The transaction fails, though its server has not seen the statement."""
    p = proxy()
    p.psql("CREATE TABLE locked (a int); CREATE TABLE kept (a int)")
    w = p.raw()
    w.ask(parse("s", "SELECT count(*) FROM locked") + sync())
    primary.expel()
    with primary.connect() as lock, lock.transaction():
        w.query("BEGIN")
        w.query("INSERT INTO kept VALUES (1)")
        w.query("SAVEPOINT here")
        lock.execute("LOCK TABLE locked")
        w.send(bind("", "s") + execute() + sync())
        wait_until(lambda: primary.backends("wait_event_type = 'Lock'"), "the proxy's Parse")
        cancel_now(p.address, w.pid, w.key)
        out = w.reply()
        assert wire.errors(out) == ["57014"] and out[-1].body == b"E"
    assert wire.errors(w.query("ROLLBACK TO here")) == []
    assert wire.value(w.query("SELECT count(*) FROM kept")) == "1"
    assert wire.errors(w.query("SELECT 1 / 0")) == ["22012"]
    assert w.query("COMMIT")[0].body == b"ROLLBACK\0"
    assert wire.value(w.query("SELECT count(*) FROM kept")) == "0"
    p.psql("DROP TABLE locked, kept")


@pytest.mark.proxy
def test_cancel_of_a_request_that_waits_for_a_server(proxy, primary):
    """It has not begun anywhere: the client gets the answer at once."""
    p = proxy(num_init_children=1, max_pool=1)
    holder, waiter = p.raw(), p.raw()
    holder.query("BEGIN")
    holder.query("LOCK TABLE pg_class IN ACCESS SHARE MODE")
    waiter.send(query("CREATE TEMP TABLE waits (a int)"))
    waiter.silent(0.2)
    cancel_now(p.address, waiter.pid, waiter.key)
    assert wire.errors(waiter.reply()) == ["57014"]
    assert wire.errors(holder.query("COMMIT")) == []
    holder.bye()
    assert wire.errors(waiter.query("CREATE TEMP TABLE waits (a int)")) == []
