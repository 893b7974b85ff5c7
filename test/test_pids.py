"""Process ids that clients are told: they name sessions, and no process of any node."""

import struct
import threading

import psycopg
import pytest

import wire
from wire import bind, execute, parse, query, sync, wait_until

PID = "SELECT pg_backend_pid()"
LINUX_LARGEST = 4194304
ON_PRIMARY = "CREATE TEMP TABLE IF NOT EXISTS here (a int)"


def binary_call(function, pid):
    return (parse("", f"SELECT {function}($1)", [23])
            + wire.message("B", b"\0\0" + struct.pack("!HHHiIH", 1, 1, 1, 4, pid, 0))
            + execute() + sync())


FORMS = {
    "text": lambda function, pid: query(f"SELECT {function}({pid})"),
    "string": lambda function, pid: query(f"select pg_catalog.{function} ( '{pid}' )"),
    "extended": lambda function, pid: parse("", f"SELECT {function}({pid})") + bind() + execute() + sync(),
    "parameter": lambda function, pid: parse("s", f"SELECT {function}($1)") + bind("", "s", [pid])
    + execute() + sync(),
    "binary": binary_call,
}


@pytest.mark.proxy
def test_they_are_nobodys_and_differ(proxy):
    p = proxy()
    pids = [p.raw().pid for _ in range(5)]
    assert len(set(pids)) == 5 and all(LINUX_LARGEST < pid < 1 << 31 for pid in pids)


def test_pg_backend_pid_is_that_of_the_sessions_writes(proxy, primary):
    with proxy().connect() as c:
        pid = c.execute(PID).fetchone()[0]
        assert c.execute("SELECT query FROM pg_stat_activity WHERE pid = %s", (pid,)).fetchone()
        assert c.execute("CREATE TEMP TABLE t AS SELECT pg_backend_pid() AS pid;"
                         " SELECT 1") and c.execute("SELECT pid FROM t").fetchone() == (pid,)
        assert primary.su("SELECT usename::text FROM pg_stat_activity WHERE pid = %s", (pid,)) == [("app",)]


@pytest.mark.proxy
def test_pg_backend_pid_does_not_pin(proxy, primary):
    """Pools and monitors ask for it at every login."""
    with proxy().connect() as c:
        old = c.execute(PID).fetchone()[0]
        primary.expel()
        assert c.execute(PID).fetchone()[0] != old


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("where", ["replica", "primary"])
def test_a_session_is_terminated_by_its_pid(proxy, form, where):
    p = proxy()
    victim, other, w = p.raw(), p.raw(), p.raw()
    for s in (victim, other):
        s.query("SELECT 1" if where == "replica" else ON_PRIMARY)
    w.send(FORMS[form]("pg_terminate_backend", victim.pid))
    out = w.reply()
    assert wire.errors(out) == [] and [m.row for m in out if m.type == "D"] == [[b"t"]]
    end = victim.eof()
    assert end[-1].code == "57P01" and end[-1].fields["S"] == "FATAL"
    assert wire.errors(other.query("SELECT 1")) == []
    assert wire.errors(w.query("SELECT 1")) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_statement_is_canceled_by_its_sessions_pid(proxy, primary, form):
    p = proxy()
    victim, w = p.raw(), p.raw()
    victim.send(query("SELECT pg_sleep(60)"))
    wait_until(lambda: len(primary.backends("wait_event = 'PgSleep'")) == 1, "the sleeper")
    w.send(FORMS[form]("pg_cancel_backend", victim.pid))
    assert wire.errors(w.reply()) == []
    assert wire.errors(victim.reply()) == ["57014"]
    assert wire.errors(victim.query("SELECT 1")) == []


def test_a_session_may_terminate_itself(proxy):
    w = proxy().raw()
    w.query(ON_PRIMARY)
    w.send(query(f"SELECT pg_terminate_backend({w.pid})"))
    assert w.eof()[-1].code == "57P01"


def test_postgresql_decides_who_may(proxy):
    p = proxy()
    victim, w = p.raw(user="postgres"), p.raw()
    victim.query(ON_PRIMARY)
    assert wire.errors(w.query(f"SELECT pg_terminate_backend({victim.pid})")) == ["42501"]
    assert wire.errors(victim.query("SELECT 1")) == []


@pytest.mark.proxy
def test_a_session_without_a_server_is_nobodys_process(proxy):
    """The same for numbers of sessions that are gone or never were."""
    p = proxy()
    victim, w = p.raw(), p.raw()
    for pid in (victim.pid, wire.SESSION_PID + 999, 2147483647):
        assert wire.value(w.query(f"SELECT pg_terminate_backend({pid})")) == "f"
    assert wire.errors(victim.query("SELECT 1")) == []


@pytest.mark.proxy
def test_in_a_transaction_and_beside_other_statements(proxy):
    p = proxy()
    victims = [p.raw() for _ in range(2)]
    for v in victims:
        v.query(ON_PRIMARY)
    w = p.raw()
    w.query("BEGIN")
    w.query("CREATE TEMP TABLE t (a int)")
    assert wire.value(w.query(f"SELECT pg_terminate_backend({victims[0].pid})")) == "t"
    assert victims[0].eof()[-1].code == "57P01"
    assert w.query("COMMIT")[-1].body == b"I"
    out = w.query(f"SELECT 1; SELECT pg_terminate_backend(pid) FROM (VALUES ({victims[1].pid})) v (pid)")
    assert wire.errors(out) == [] and [m.row for m in out if m.type == "D"] == [[b"1"], [b"t"]]
    assert victims[1].eof()[-1].code == "57P01"


def test_psycopg_terminates_by_its_own_number(proxy):
    """As dbt and others do: backend_pid of the one connection, pg_terminate_backend() on another."""
    p = proxy()
    with p.connect() as victim, p.connect() as c:
        victim.execute("SELECT 1")
        failed = []

        def wait():
            try:
                victim.execute("SELECT pg_sleep(60)")
            except psycopg.OperationalError as e:
                failed.append(e)
        t = threading.Thread(target=wait)
        t.start()
        wait_until(lambda: c.execute("SELECT count(*) FROM pg_stat_activity WHERE wait_event ="
                                     " 'PgSleep'").fetchone() == (1,), "the sleeper")
        assert c.execute("SELECT pg_terminate_backend(%s)", (victim.info.backend_pid,)).fetchone() == (True,)
        t.join()
        assert failed and victim.closed
