"""What reading the program found: each of these went wrong once."""

import socket
import struct

import pytest

import pg
import wire
from wire import (LoginError, bind, close, describe, execute, extended, flush, parse, sync,
                  wait_until)

pytestmark = pytest.mark.proxy

FAILS_LATE = "SELECT 10 / (3 - g) FROM generate_series(1, 4) g"
FAILS = "SELECT 1 / (count(*) - count(*)) FROM generate_series(1, 10)"
ON_PRIMARY = "/*primary*/ "


@pytest.mark.parametrize("mode", ["transaction", "dml_adaptive"])
def test_a_transaction_that_failed_on_the_replica_is_failed(proxy, mode):
    p = proxy(disable_load_balance_on_write=mode)
    w = p.raw()
    w.query("CREATE TEMP TABLE t (a int)")
    w.query("BEGIN")
    assert w.query(FAILS_LATE)[-1].body == b"E"
    assert wire.errors(w.query("INSERT INTO t VALUES (1)")) == ["25P02"]
    out = w.query("COMMIT")
    assert out[0].body == b"ROLLBACK\0" and out[-1].body == b"I"
    assert wire.value(w.query("SELECT count(*) FROM t")) == "0"


def test_long_settings_reach_the_replica(proxy):
    w = proxy().raw()
    for i in range(6):
        assert wire.errors(w.query(f"SET my.v{i} = '{'x' * 120000}'")) == []
    assert wire.value(w.query("SELECT length(current_setting('my.v5'))")) == "120000"
    assert wire.value(w.query("SELECT 'y'")) == "y"


def test_statement_of_the_replica_in_an_open_request(proxy):
    w = proxy().raw()
    w.ask(parse("s2", "SELECT 2") + sync())
    w.send(parse("s1", "SELECT 1") + describe("S", "s1") + flush())
    w.until("Tn")
    out = w.ask(bind("", "s2") + execute() + sync())
    assert wire.types(out) == "2DCZ" or wire.types(out) == ["2", "D", "C", "Z"]
    assert wire.value(w.query("SELECT 5")) == "5"


def test_names_are_undone_in_order(proxy):
    w = proxy().raw()
    out = w.ask(parse("s1", FAILS) + bind("", "s1") + execute() + close("S", "s1") + sync())
    assert wire.errors(out) == ["22012"]


def test_a_session_that_ends_itself_harms_no_other(proxy):
    p = proxy()
    other = p.raw()
    w = p.raw()
    w.send(wire.query("SELECT pg_terminate_backend(pg_backend_pid())"))
    assert wire.errors(w.eof()) == ["57P01"]
    assert wire.value(other.query(ON_PRIMARY + "SELECT 1")) == "1"
    assert not any("is down" in line for line in p.log)


def test_settings_that_cannot_be_replayed_end_with_their_server(proxy, primary):
    """Nobody can ask for a custom parameter whose name was computed."""
    w = proxy().raw(application_name="tenant")
    w.ask(extended("SELECT set_config('app.' || $1, '7', false)", ["tenant"]) + sync())
    pid = wire.value(w.query(ON_PRIMARY + "SELECT pg_backend_pid()"))
    primary.su(f"SELECT pg_terminate_backend({pid})")
    assert wire.errors(w.eof()) == ["57P01"]


def test_a_bad_startup_value_is_refused_from_the_pool_too(proxy):
    p = proxy()
    w = p.raw()
    w.query(ON_PRIMARY + "SELECT 1")
    w.bye()
    with pytest.raises(LoginError) as e:
        p.raw(DateStyle="German", work_mem="bogus")
    assert e.value.code == "22023"
    assert wire.value(p.raw().query("SELECT 1")) == "1"


def test_reset_goes_back_to_the_sessions_values_on_every_node(proxy, primary, replica):
    p = proxy(num_init_children=1, max_pool=1)
    w = p.raw(DateStyle="German")
    w.query("SELECT 1")
    w.query("CREATE TEMP TABLE z (a int)")
    w.bye()
    w = p.raw(DateStyle="SQL, DMY", timeout=10)
    date = "SELECT '2024-12-31'::date"
    assert wire.value(w.query(date)) == "31/12/2024"
    w.query("RESET ALL")
    assert wire.value(w.query(date)) == "31/12/2024"
    assert wire.value(w.query(ON_PRIMARY + date)) == "31/12/2024"


def test_encryption_is_asked_for_once(proxy):
    w = proxy().raw(login=False)
    w.send(struct.pack("!II", 8, 80877103) * 3)
    assert w.take(2) == b"NN"
    assert wire.errors(w.eof()) == ["0A000"]


def test_a_client_that_does_not_read_its_syncs_costs_little(proxy):
    p = proxy()
    before = p.rss()
    w = p.raw()
    w.sock.setblocking(False)
    try:
        for _ in range(4000):
            w.sock.send(sync() * 2000)
    except BlockingIOError:
        pass
    assert p.rss() - before < 8 << 20
    assert wire.value(p.raw().query("SELECT 1")) == "1"


def test_what_only_the_replica_has_is_not_asked_elsewhere(proxy):
    w = proxy().raw()
    w.ask(extended("SELECT g FROM generate_series(1, 5) g WHERE g = $1", [3]) + sync())
    assert wire.errors(w.ask(bind("", "", ["x"]) + sync())) == ["22P02"]
    assert wire.value(w.ask(bind("", "", ["2"]) + execute() + sync())) == "2"


@pytest.mark.skipif(pg.VERSION < 14, reason="PostgreSQL 13 reads on")
def test_the_end_of_a_client_in_the_middle_of_copy(proxy, primary):
    def told(target):
        w = target.raw()
        w.query("CREATE TEMP TABLE c (a int)")
        w.send(wire.query("COPY c FROM STDIN"))
        w.until("G")
        w.send(wire.terminate())
        return wire.errors(w.eof())
    assert told(proxy()) == told(primary) == ["08P01", "08P01"]


@pytest.mark.proxy
@pytest.mark.parametrize("leaves", [True, False])
def test_copy_that_was_not_seen_coming(proxy, primary, leaves):
    """Of a Query longer than what is read of it only the beginning is known, and a request follows it at
    once.  The COPY ends with its client, and goes on if the client does."""
    p = proxy()
    p.psql("CREATE TABLE unseen (a int)")
    w = p.raw()
    w.send(wire.query("SELECT '" + "x" * 300000 + "'; COPY unseen FROM STDIN") + sync())
    w.until("G")
    if leaves:
        w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        w.shut()
        wait_until(lambda: not primary.backends("query LIKE 'SELECT ''xxx%' AND state = 'active'"),
                   "the end of COPY")
    else:
        w.send(wire.copy_data(b"1\n") + wire.copy_done())
        assert wire.errors(w.reply()) == []
        w.shut()
    assert p.psql("SELECT count(*) FROM unseen").strip() == ("0" if leaves else "1")
    p.psql("DROP TABLE unseen")


def test_copy_goes_on_where_it_is(proxy, primary, replica):
    """The primary is another node by now; the data are still this server's."""
    p = proxy()
    p.psql("CREATE TABLE moved (a int)")
    w = p.raw()
    w.send(wire.query("COPY moved FROM STDIN"))
    w.until("G")
    p.reload(backend_flag0="DISALLOW_TO_FAILOVER", backend_flag1="ALWAYS_PRIMARY|DISALLOW_TO_FAILOVER")
    w.send(wire.copy_data(b"1\n") + wire.copy_done())
    assert wire.types(w.reply()) == "CZ"
    assert primary.su("SELECT count(*) FROM moved") == [(1,)]
    primary.su("DROP TABLE moved")


def test_a_query_that_postgresql_did_not_hear_holds_no_server(proxy):
    """Behind an error PostgreSQL waits for a Sync, and its client has gone."""
    p = proxy(num_init_children=1, max_pool=1)
    w = p.raw()
    w.query(ON_PRIMARY + "SELECT 1")
    w.send(wire.query(ON_PRIMARY + "SELECT pg_sleep(0.2)") + bind("", "nobody") + wire.query("SELECT 1"))
    w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    w.shut()
    assert wire.value(p.raw(timeout=10).query(ON_PRIMARY + "SELECT 1")) == "1"


@pytest.mark.parametrize("how", ["simple", "extended", "COPY"])
def test_half_a_message_is_not_completed(proxy, primary, how):
    """Its client leaves two bytes before the end of a message: a Terminate behind it would be taken
    for the rest."""
    p = proxy()
    p.psql("CREATE TABLE half (a text)")
    w, other = p.raw(), p.raw()
    got = int(wire.value(w.query(ON_PRIMARY + "SELECT pg_backend_pid()")))
    if how == "COPY":
        w.send(wire.query("COPY half FROM STDIN"))
        w.until("G")
        w.send(wire.copy_data(b"x" * 300000 + b"\n")[:-2])
    elif how == "simple":
        w.send(wire.query(f"INSERT INTO half SELECT 'x' -- {'x' * 300000} xx")[:-2])
    else:
        w.send(parse("", "INSERT INTO half VALUES ($1)") + bind("", "", ["x" * 300000])[:-2])
    for _ in range(20):                         # the proxy has read all of that
        wire.value(other.query(ON_PRIMARY + "SELECT 1"))
    w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    w.shut()
    wait_until(lambda: not primary.backends(f"pid = {got}"), "the end of the server")
    assert p.psql("SELECT count(*) FROM half").strip() == "0"
    p.psql("DROP TABLE half")


def test_discard_all_ends_what_was_too_much_to_repeat(proxy, replica):
    w = proxy().raw()
    port = "SELECT current_setting('port')"
    w.send(b"".join(wire.query(f"SET my.v{i} = 1") for i in range(300)))
    for _ in range(300):
        assert wire.errors(w.reply()) == []
    assert wire.value(w.query(port)) != str(replica.port)
    w.query("DISCARD ALL")
    assert wire.value(w.query(port)) == str(replica.port)
    assert wire.value(w.query("SELECT coalesce(current_setting('my.v7', true), '')")) == ""


def test_a_replica_that_trusts_changes_nothing_for_clients(proxy, own_pair):
    primary, replica = own_pair
    primary.su("ALTER ROLE app PASSWORD 'secret'")
    primary.rules("local all all trust\nhost all postgres 127.0.0.1/32 trust\n"
                  "host replication all 127.0.0.1/32 trust\n"
                  "host all all 127.0.0.1/32 scram-sha-256\n")
    primary.reload()
    p = proxy(nodes=own_pair, passwd="app:TEXTsecret\n")
    w = p.raw(password="secret")
    p.reload()
    assert wire.value(w.query("SELECT 1")) == "1"
    with pytest.raises(LoginError) as e:
        p.raw(password="wrong")
    assert e.value.code == "28P01"
