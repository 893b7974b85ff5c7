"""What a session has on a server - a transaction, a snapshot, a pin - stays there, or ends with
PostgreSQL's own error."""

import os
import signal
import socket

import pytest

import wire
from wire import bind, describe, execute, extended, parse, query, sync, wait_until

pytestmark = pytest.mark.proxy

PORT = "SELECT current_setting('port')"
LONG = "SELECT count(*), current_setting('port') FROM generate_series(1, 1000000000)"
CHECK = dict(sr_check_period=1, sr_check_user="postgres", node_probe_period=100)
BY_ROLE = dict(backend_flag0="DISALLOW_TO_FAILOVER", **CHECK)
SNAPSHOT = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"


@pytest.fixture(scope="module", autouse=True)
def objects(primary, replica):
    primary.su("DROP SCHEMA IF EXISTS tx CASCADE; CREATE SCHEMA tx AUTHORIZATION app;"
               " CREATE TABLE tx.t (a int); ALTER TABLE tx.t OWNER TO app;"
               " CREATE UNLOGGED TABLE tx.unlogged (a int); GRANT ALL ON tx.unlogged TO PUBLIC")
    primary.catch_up(replica)


def done(out):
    assert wire.errors(out) == [], out
    return out


def value(w, sql):
    """The first column of the first row."""
    return wire.rows(done(w.query(sql)))[0][0].decode()


def where(w):
    return int(value(w, PORT))


def end(node, p):
    """Ends the session's server on this node; back when the proxy has heard of it."""
    ((pid,),) = node.su("SELECT pid FROM pg_stat_activity WHERE backend_type = 'client backend'"
                        " AND usename = 'app' AND state <> 'idle'")
    node.su("SELECT pg_terminate_backend(%s)", (pid,))
    p.wait_log(f"connection {pid} of .* closed")


def runs(node, text):
    wait_until(lambda: node.su("SELECT 1 FROM pg_stat_activity WHERE state = 'active' AND"
                               " pid <> pg_backend_pid() AND query LIKE %s", (text + "%",)), text)


def promoted(proxy, own_pair, **how):
    """A proxy, and what makes its other node the primary while the old one lives."""
    replica = own_pair[1]
    p = proxy(nodes=own_pair, **{**BY_ROLE, **how})
    p.wait_log("find_primary_node: standby node is 1")
    own_pair[0].su("CREATE TABLE t (a int); ALTER TABLE t OWNER TO app")
    own_pair[0].catch_up(replica)

    def promote():
        replica.su("SELECT pg_promote()")
        p.wait_log("find_primary_node: primary node is 1")
    return p, promote


# ---- one transaction, one primary -------------------------------------------------------------

def test_a_transaction_is_not_split_by_a_promotion(proxy, own_pair):
    primary, replica = own_pair
    p, promote = promoted(proxy, own_pair)
    w = p.raw()
    done(w.query("BEGIN"))
    done(w.query("INSERT INTO t VALUES (1)"))
    promote()
    done(w.query("INSERT INTO t VALUES (2)"))
    assert value(w, "SELECT count(*) FROM t") == "2"
    done(w.query("SAVEPOINT s"))
    done(w.query("ROLLBACK TO s"))
    assert w.query("COMMIT")[0].tag == "COMMIT"
    assert primary.su("SELECT count(*) FROM t") == [(2,)]
    wait_until(lambda: where(w) == replica.port, "an answer to what the code behind INSERT has left")
    done(w.query("INSERT INTO t VALUES (3)"))                   # the next is the new primary's
    assert replica.su("SELECT a FROM t") == [(3,)]
    assert primary.su("SELECT count(*) FROM t") == [(2,)]


PINS = {
    "temporary": ("CREATE TEMP TABLE x AS SELECT 1 AS a", "UPDATE x SET a = 2"),
    "lock": ("SELECT pg_advisory_lock(7)", "SELECT pg_advisory_lock(8)"),
    "listen": ("LISTEN x", "NOTIFY x"),
    "cursor": ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "FETCH c"),
    "code": ("SELECT setseed(0)", "DISCARD PLANS"),
}


@pytest.mark.parametrize("pin", PINS)
def test_a_pinned_session_stays_where_it_is(proxy, own_pair, pin):
    primary, _ = own_pair
    p, promote = promoted(proxy, own_pair)
    make, use = PINS[pin]
    w = p.raw()
    done(w.query(make))
    promote()
    done(w.query(use))
    done(w.query("INSERT INTO t VALUES (1)"))
    assert primary.su("SELECT count(*) FROM t") == [(1,)]
    assert where(w) == primary.port
    primary.stop()
    out = w.eof()
    assert [out[-1].type, out[-1].fields["S"], out[-1].code] == ["E", "FATAL", "57P01"], out


def test_a_pinned_server_that_crashes(proxy, own_pair):
    primary, _ = own_pair
    p, promote = promoted(proxy, own_pair, primary_wait_timeout=0)
    w = p.raw()
    done(w.query("LISTEN x"))
    promote()
    pid = primary.su("SELECT pid FROM pg_stat_activity WHERE query = 'LISTEN x'")[0][0]
    primary.shop.run("/bin/kill", "-9", str(pid))
    out = w.eof()
    assert out[-1].code in ("57P01", "57P02"), out


def test_a_transaction_that_began_on_a_standby(proxy, own_pair):
    """There it is read-only, also after the promotion: the write's own begins on the primary."""
    replica = own_pair[1]
    p, promote = promoted(proxy, own_pair)
    w = p.raw()
    done(w.query("SET work_mem = '5MB'"))
    for sql in ("BEGIN", "COMMIT", "BEGIN"):    # from the second on only readers know of it
        done(w.query(sql))
    assert where(w) == replica.port
    promote()
    done(w.query("INSERT INTO t VALUES (1)"))
    assert value(w, "SHOW work_mem") == "5MB"
    assert w.query("COMMIT")[0].tag == "COMMIT"
    assert replica.su("SELECT count(*) FROM t") == [(1,)]


def test_a_snapshot_of_a_standby_that_is_promoted(proxy, own_pair):
    replica = own_pair[1]
    p, promote = promoted(proxy, own_pair)
    p.learn("t")
    w = p.raw()
    done(w.query(SNAPSHOT))
    assert where(w) == replica.port             # the table is not known yet: it would choose home
    assert value(w, "SELECT count(*) FROM t") == "0"
    promote()
    replica.su("INSERT INTO t VALUES (1)")
    assert value(w, "SELECT count(*) FROM t") == "0" and where(w) == replica.port
    assert wire.errors(w.query("INSERT INTO t VALUES (2)")) == ["25006"]
    assert w.query("COMMIT")[0].tag == "ROLLBACK"


# ---- a failed transaction stays failed --------------------------------------------------------

FAILS = "SELECT 1 / (5000 - g), repeat('x', 10) FROM generate_series(1, 10000) g"


@pytest.mark.parametrize("behind, code", [
    ("SELECT 2", "25P02"), ("SELEC 2", "42601"), ("INSERT INTO tx.t VALUES (1)", "25P02"),
    ("SELECT * FROM tx.t", "25P02")])
def test_what_follows_an_error_on_the_replica_fails_as_well(proxy, primary, behind, code):
    w = proxy().raw()
    done(w.query("BEGIN"))
    assert where(w) != primary.port
    w.send(query(FAILS) + query(behind) + query("SELECT 3"))
    assert wire.errors(w.reply(3)) == ["22012", code, "25P02"]
    assert wire.errors(w.query("INSERT INTO tx.t VALUES (1)")) == ["25P02"]
    assert w.query("COMMIT")[0].tag == "ROLLBACK"
    assert value(w, "SELECT count(*) FROM tx.t") == "0"


def test_the_same_in_the_extended_protocol(proxy, primary):
    w = proxy().raw()
    done(w.query("BEGIN"))
    assert where(w) != primary.port
    w.send(extended(FAILS) + sync() + extended("SELECT 2") + sync() + extended("COMMIT") + sync())
    out = w.reply(3)
    assert wire.errors(out) == ["22012", "25P02"]
    assert [m.tag for m in out if m.type == "C"] == ["ROLLBACK"]
    done(w.query("SELECT 1"))


def test_what_fails_on_the_replica_fails_at_home_before_the_client_hears_of_it(proxy, primary, replica):
    """Its locks are gone, and its values are told."""
    p = proxy()
    w = p.raw(application_name=p.name)
    done(w.query("BEGIN"))
    out = done(w.query("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
    assert [m.parameter for m in out if m.type == "S"] == [("TimeZone", "Asia/Tokyo")]
    assert where(w) == replica.port
    out = w.query(FAILS)
    assert [m.type for m in out if m.type != "D"] == ["T", "E", "S", "Z"]
    assert primary.su("SELECT state FROM pg_stat_activity WHERE application_name = %s", (p.name,)
                      ) == [("idle in transaction (aborted)",)]
    assert wire.errors(w.query("ROLLBACK TO s")) == ["3B001"]
    out = done(w.query("ROLLBACK"))
    assert [m.type for m in out] == ["C", "Z"]


@pytest.mark.parametrize("how", ["half", "terminate", "half later", "terminate later"])
def test_who_sends_no_more_hears_all_of_what_fails(proxy, how):
    w = proxy().raw()
    done(w.query("BEGIN"))
    done(w.query("SET LOCAL TIME ZONE 'Asia/Tokyo'"))
    w.send(query(FAILS))
    if "later" in how:
        w.until("E")
    if "half" in how:
        w.sock.shutdown(socket.SHUT_WR)
    else:
        w.send(wire.terminate())
    assert [m.type for m in w.eof() if m.type not in "TDE"] == ["S", "Z"]


def test_home_ends_while_it_is_told_that_the_transaction_has_failed(proxy, primary):
    p = proxy()
    w = p.raw(application_name=p.name)
    done(w.query("BEGIN"))
    done(w.query("SET LOCAL my.x = 'a'"))
    ((pid,),) = primary.su("SELECT pid FROM pg_stat_activity WHERE application_name = %s", (p.name,))
    os.kill(pid, signal.SIGSTOP)
    try:
        w.send(query(FAILS))
        w.until("E")
        w.send(query("ROLLBACK"))
        primary.su("SELECT pg_terminate_backend(%s)", (pid,))
    finally:
        os.kill(pid, signal.SIGCONT)
    (end,) = w.eof()
    assert (end.code, end.fields["M"]) == ("57P01", "terminating connection due to administrator command")


def test_the_server_of_a_failed_transaction_is_lost(proxy, primary, replica):
    """A transaction can be failed anywhere."""
    p = proxy(log_min_messages="debug1").knows_code()
    w = p.raw()
    for begin in "BEGIN ISOLATION LEVEL READ COMMITTED", SNAPSHOT:
        done(w.query(begin))
        assert where(w) == replica.port
        assert wire.errors(w.query(FAILS)) == ["22012"]
        end(replica, p)
        assert wire.errors(w.query("SELECT 1")) == ["25P02"]
        assert done(w.query("COMMIT"))[0].tag == "ROLLBACK"
        done(w.query("INSERT INTO tx.t VALUES (1)"))
        done(w.query("DISCARD ALL"))


def test_a_former_primary_that_lives_gets_no_reads(proxy, own_pair):
    """Nothing updates it any more."""
    p, promote = promoted(proxy, own_pair, backend_weight0=1)
    p.learn("t")
    kept = [p.raw() for _ in range(12)]         # some have drawn it for their reads
    assert len({where(w) for w in kept}) == 2
    promote()
    for i, w in enumerate([*kept, *(p.raw() for _ in range(12))]):
        if i % 2:
            done(w.query("BEGIN"))
        assert where(w) == own_pair[1].port
        w.bye()


# ---- one snapshot -----------------------------------------------------------------------------

def lost_snapshot(out):
    (error,) = [m for m in out if m.type == "E"]
    assert [error.fields["S"], error.code, out[-1].status] == ["ERROR", "40001", "E"]


def test_the_replica_with_the_snapshot_is_lost_in_idleness(proxy, replica):
    p = proxy(log_min_messages="debug1")
    w = p.raw()
    for i in range(2):
        done(w.query(SNAPSHOT))
        assert where(w) == replica.port
        end(replica, p)
        if i:
            out = w.ask(extended("SELECT 1") + extended("SELECT 2") + sync())
        else:
            out = w.query("SELECT 1")
        lost_snapshot(out)
        assert wire.errors(w.query("SELECT 1")) == ["25P02"]
        assert w.query("COMMIT")[0].tag == "ROLLBACK"
    done(w.query("SELECT 1"))


@pytest.mark.parametrize("word", ["COMMIT", "ROLLBACK", "END WORK"])
def test_the_lost_snapshot_is_not_needed_any_more(proxy, replica, word):
    p = proxy(log_min_messages="debug1")
    w = p.raw()
    done(w.query(SNAPSHOT))
    assert where(w) == replica.port
    end(replica, p)
    assert done(w.query(word))[-1].status == "I"
    done(w.query("INSERT INTO tx.t VALUES (1)"))
    done(w.query("DELETE FROM tx.t"))


def test_values_of_a_lost_snapshot_are_taken_back(proxy, replica):
    p = proxy(log_min_messages="debug1")
    w = p.raw()
    zone = value(w, "SHOW TimeZone")
    done(w.query(SNAPSHOT))
    assert where(w) == replica.port
    out = done(w.query("SET TIME ZONE 'Asia/Tokyo'"))
    assert [m.parameter for m in out if m.type == "S"] == [("TimeZone", "Asia/Tokyo")]
    end(replica, p)
    lost_snapshot(w.query("SELECT 1"))
    out = done(w.query("ROLLBACK"))
    assert [m.parameter for m in out if m.type == "S"] == [("TimeZone", zone)]
    assert value(w, "SHOW TimeZone") == zone


def test_the_replica_with_the_snapshot_is_lost_in_use(proxy, replica):
    p = proxy(log_min_messages="debug1")
    w = p.raw()
    done(w.query(SNAPSHOT))
    assert where(w) == replica.port
    w.send(query(LONG) + query("SELECT 2") + extended("SELECT 3") + sync())
    runs(replica, LONG)
    end(replica, p)
    lost_snapshot(w.reply())
    assert wire.errors(w.reply(2)) == ["25P02", "25P02"]
    assert w.query("ROLLBACK")[0].tag == "ROLLBACK"
    done(w.query(SNAPSHOT))
    done(w.query("SELECT 1"))


def test_the_replica_with_the_snapshot_is_lost_in_the_middle_of_a_result(proxy, replica):
    w = proxy().raw()
    done(w.query(SNAPSHOT))
    assert where(w) == replica.port
    sql = "SELECT repeat('x', 100) FROM generate_series(1, 50000) UNION ALL SELECT 'end' FROM" \
          " generate_series(1, 200000000) g WHERE g < 0"
    w.send(query(sql) + query("SELECT 2"))
    w.until("D")
    replica.su("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE %s",
               (sql[:40] + "%",))
    lost_snapshot(w.reply())
    assert wire.errors(w.reply()) == ["25P02"]
    done(w.query("ROLLBACK"))


def test_an_unnamed_begin_is_prepared_and_then_run(proxy, primary, replica):
    """What is asked in front of it would end the unnamed statement."""
    primary.su("DROP ROLE IF EXISTS tx_new")
    primary.su("CREATE ROLE tx_new LOGIN SUPERUSER")
    primary.catch_up(replica)
    p = proxy()
    w = p.raw(user="tx_new", database="app")
    done(w.ask(parse("", "BEGIN") + sync() + bind() + execute() + sync(), 2))
    assert where(w) == replica.port
    done(w.query("COMMIT"))
    w.bye()
    p.stop()
    primary.su("DROP ROLE tx_new")


def test_before_its_first_answer_the_snapshot_may_be_another_one(proxy, primary, replica):
    p = proxy(log_min_messages="debug1")
    w = p.raw()
    slow = "SELECT count(*), current_setting('port') FROM generate_series(1, 4000000)"
    done(w.query(SNAPSHOT))
    w.send(query(slow))
    runs(replica, slow)
    end(replica, p)
    assert wire.rows(done(w.reply()))[0][1] == str(primary.port).encode()
    assert where(w) == primary.port
    done(w.query("COMMIT"))


@pytest.mark.parametrize("sql", ["LISTEN x", "SELECT pg_advisory_lock(1)", "NOTIFY x",
                                 "LOCK TABLE tx.t IN SHARE MODE", "TABLE tx.unlogged",
                                 "EXECUTE unlogged"])
def test_what_a_replica_cannot_do_for_the_session(proxy, primary, replica, sql):
    """A READ ONLY transaction may do it; the second try does."""
    p = proxy(log_min_messages="debug1").knows_code()
    w = p.raw()
    done(w.query("PREPARE unlogged AS TABLE tx.unlogged"))
    wait_until(lambda: done(w.query("TABLE tx.unlogged"))
               and "unlogged tables are used" in p.log_text(), "the catalog's answer")
    done(w.query(SNAPSHOT))
    assert where(w) == replica.port
    lost_snapshot(w.query(sql))
    done(w.query("ROLLBACK"))
    done(w.query(SNAPSHOT))
    assert where(w) == primary.port
    done(w.query(sql))
    done(w.query("COMMIT"))
    done(w.query(SNAPSHOT))
    done(w.query(sql))
    done(w.query("COMMIT"))


FAIL = "SELECT 1/(200 - g), repeat('x', 6000) FROM generate_series(1, 300) g"      # behind rows
HOW = {"query": lambda *sql: query("; ".join(sql)),
       "pipeline": lambda *sql: b"".join(map(extended, sql)) + sync(),
       "with Flush": lambda *sql: b"".join(extended(s) + wire.flush() for s in sql) + sync()}


@pytest.mark.parametrize("what", ["INSERT INTO tx.t VALUES (1)", "SELECT pg_try_advisory_lock(7)",
                                  "CREATE TEMP TABLE x (a int)", "LISTEN x"])
@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("state", ["failed", "snapshot", "failed snapshot", "nowhere", "read"])
def test_what_stands_behind_an_end_is_homes(proxy, primary, replica, state, how, what):
    with proxy().knows_code().raw() as w:
        for word in ("COMMIT", "ROLLBACK"):
            done(w.query(SNAPSHOT if "snapshot" in state else "BEGIN"))
            if state != "nowhere":
                assert where(w) == replica.port
            if "failed" in state:
                assert wire.errors(w.query(FAIL)) == ["22012"]
            assert done(w.ask(HOW[how](word, what)))[-1].status == "I"
            if "lock" in what:
                assert primary.su("SELECT count(*) FROM pg_locks"
                                  " WHERE locktype = 'advisory'") == [(1,)]
            done(w.query("DISCARD ALL"))


@pytest.mark.parametrize("how", HOW)
@pytest.mark.parametrize("begin", ["BEGIN", SNAPSHOT])
def test_the_same_behind_what_is_in_flight(proxy, primary, replica, begin, how):
    with proxy().knows_code().raw() as w:
        for requests in [("COMMIT",), ("INSERT INTO tx.t VALUES (1)",)], [
                ("SELECT 1",), ("COMMIT", "INSERT INTO tx.t VALUES (1)")]:
            done(w.query(begin))
            assert where(w) == replica.port
            out = done(w.ask(b"".join(HOW[how](*sql) for sql in requests), len(requests)))
            assert out[-1].status == "I"
            done(w.query("DISCARD ALL"))


@pytest.mark.parametrize("how", HOW)
def test_what_stands_before_an_end_has_the_snapshot(proxy, primary, replica, how):
    with proxy().raw() as w:
        for behind in (), ("SELECT 2",), (SNAPSHOT, "SELECT 2", "COMMIT"):
            done(w.query(SNAPSHOT))
            assert where(w) == replica.port
            assert wire.rows(done(w.ask(HOW[how](PORT, "COMMIT", *behind))))[0] == [
                str(replica.port).encode()]
        for restart in range(2 * (how != "with Flush")):    # there nobody knows yet what comes
            done(w.query(SNAPSHOT))
            assert where(w) == (primary if restart else replica).port
            out = w.ask(HOW[how]("SELECT 1", "COMMIT", "LISTEN x"))
            assert wire.errors(out) == ([] if restart else ["40001"])
            assert w.query("ROLLBACK")[-1].status == "I"


def test_a_late_replica_with_the_snapshot_knows_another_statement(proxy, primary, replica):
    """It is not the one to say that columns have changed; and home has another snapshot."""
    w = proxy().raw()
    primary.su("CREATE TABLE tx.late (a int); GRANT ALL ON tx.late TO PUBLIC")
    primary.catch_up(replica)
    replica.su("SELECT pg_wal_replay_pause()")
    try:
        primary.su("ALTER TABLE tx.late ADD b int")
        done(w.ask(parse("s", "/*NO LOAD BALANCE*/ SELECT * FROM tx.late") + describe("S", "s")
                   + sync()))
        run = bind("", "s") + execute() + sync()
        done(w.query(SNAPSHOT))
        assert where(w) == replica.port
        lost_snapshot(w.ask(run))
        done(w.query("ROLLBACK"))
        done(w.query(SNAPSHOT))
        assert where(w) == primary.port
        done(w.ask(run))
        done(w.query("COMMIT"))
    finally:
        replica.su("SELECT pg_wal_replay_resume()")
        w.shut()
        primary.su("DROP TABLE tx.late")
        primary.catch_up(replica)


def test_settings_of_a_snapshot_on_a_replica_are_reported(proxy, replica):
    w = proxy().raw()
    done(w.query(SNAPSHOT))
    assert where(w) == replica.port
    out = done(w.query("SET application_name = 'here'"))
    assert [m.parameter for m in out if m.type == "S"] == [("application_name", "here")]
    done(w.query("COMMIT"))
    assert value(w, "/* p */ SHOW application_name") == "here"


DEFAULTS = {
    "role": ("ALTER ROLE tx_rr SET default_transaction_isolation = 'repeatable read'", {}),
    "database": ("ALTER DATABASE tx_db SET default_transaction_isolation = 'repeatable read'", {}),
    "options": (None, dict(options=r"-c default_transaction_isolation=repeatable\ read")),
    "parameter": (None, dict(default_transaction_isolation="repeatable read")),
}


@pytest.mark.parametrize("begin", ["simple", "extended", "together"])
@pytest.mark.parametrize("how", DEFAULTS)
def test_the_default_level_is_asked_for(proxy, primary, replica, how, begin):
    """What says it is not in any statement of the session."""
    alter, options = DEFAULTS[how]
    primary.su("DROP DATABASE IF EXISTS tx_db")
    primary.su("DROP ROLE IF EXISTS tx_rr")
    primary.su("CREATE ROLE tx_rr LOGIN SUPERUSER")
    primary.su("CREATE DATABASE tx_db OWNER tx_rr")
    if alter:
        primary.su(alter)
    primary.catch_up(replica)
    p = proxy()
    for _ in range(2):
        w = p.raw(user="tx_rr", database="tx_db", **options)
        assert where(w) == replica.port
        if begin == "together":
            out = done(w.ask(extended("BEGIN") + extended(PORT) + sync()))
            assert wire.value(out) == str(primary.port)
        else:
            done(w.query("BEGIN") if begin == "simple" else w.ask(extended("BEGIN") + sync()))
        assert where(w) == primary.port
        assert value(w, "SHOW transaction_isolation") == "repeatable read"
        done(w.query("COMMIT"))
        done(w.query("BEGIN ISOLATION LEVEL READ COMMITTED"))
        assert where(w) == replica.port
        done(w.query("COMMIT"))
        w.bye()
    p.stop()
    primary.su("DROP DATABASE tx_db")
    primary.su("DROP ROLE tx_rr")


def test_a_default_that_is_altered(proxy, primary, replica):
    """New sessions have it, on new servers."""
    primary.su("DROP ROLE IF EXISTS tx_rr")
    primary.su("CREATE ROLE tx_rr LOGIN SUPERUSER")
    primary.catch_up(replica)
    p = proxy(connection_cache=False)
    w = p.raw(user="tx_rr")
    done(w.query("BEGIN"))
    assert where(w) == replica.port
    done(w.query("COMMIT"))
    done(w.query("ALTER ROLE tx_rr SET default_transaction_isolation = 'serializable'"))
    w.bye()
    w = p.raw(user="tx_rr")
    done(w.query("BEGIN"))
    assert where(w) == primary.port
    done(w.query("COMMIT"))
    w.bye()
    primary.su("DROP ROLE tx_rr")


@pytest.mark.parametrize("begin", [
    "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE", "BEGIN READ WRITE ISOLATION LEVEL READ COMMITTED",
    "START TRANSACTION READ WRITE, ISOLATION LEVEL READ COMMITTED",
    "BEGIN ISOLATION LEVEL READ COMMITTED"])
def test_a_level_beside_read_write(proxy, replica, begin):
    w = proxy().raw()
    done(w.query("SET default_transaction_isolation = 'repeatable read'"))
    done(w.query(begin))
    assert where(w) == replica.port
    assert value(w, "SELECT current_setting('transaction_isolation')") == "read committed"
    done(w.query("COMMIT"))


def test_characteristics_beside_read_write(proxy, replica):
    w = proxy().raw()
    done(w.query("SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE, ISOLATION LEVEL"
                 " REPEATABLE READ"))
    assert where(w) == replica.port
    assert value(w, "SELECT current_setting('default_transaction_isolation')") == "repeatable read"


def test_modes_behind_a_query_are_refused(proxy, replica):
    """The primary has seen no query of the transaction yet, but the session has."""
    w = proxy().raw()
    done(w.query("BEGIN"))
    assert where(w) == replica.port
    out = w.query("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
    assert wire.errors(out) == ["25001"]
    done(w.query("ROLLBACK"))


# ---- locks of legs ----------------------------------------------------------------------------

@pytest.fixture(scope="module")
def strict_pair(shop):
    """A commit waits until the replica has replayed it, and replay until its readers are gone."""
    primary, replica = shop.pair()
    replica.configure(max_standby_streaming_delay="-1")
    replica.restart()
    primary.configure(synchronous_standby_names="*", synchronous_commit="remote_apply")
    primary.reload()
    primary.su("CREATE TABLE t (a int); ALTER TABLE t OWNER TO app")
    yield primary, replica
    replica.remove()
    primary.remove()


@pytest.mark.parametrize("mode", ["off", "transaction", "dml_adaptive"])
@pytest.mark.parametrize("change, end", [
    ("TRUNCATE t", "COMMIT"), ("ALTER TABLE t ALTER a SET DEFAULT 1", "END"),
    ("LOCK TABLE t", "COMMIT AND CHAIN"), ("TRUNCATE t", "PREPARE TRANSACTION 'tx'")])
def test_a_commit_does_not_wait_for_the_transactions_own_read(proxy, strict_pair, mode, change, end):
    replica = strict_pair[1]
    w = proxy(nodes=strict_pair, disable_load_balance_on_write=mode).learn("t").raw()
    done(w.query("BEGIN"))
    assert where(w) == replica.port
    done(w.query("SELECT * FROM t"))
    done(w.query(change))
    done(w.query(end))
    if end.startswith("PREPARE"):
        done(w.query("COMMIT PREPARED 'tx'"))
    done(w.query("ROLLBACK"))
    assert where(w) == replica.port


def test_a_leg_that_returns_has_the_transactions_settings(proxy, replica):
    w = proxy(disable_load_balance_on_write="dml_adaptive").learn("tx.t").raw()
    done(w.query("BEGIN"))
    for size in ("5MB", "6MB"):
        done(w.query(f"SET work_mem = '{size}'"))
        assert where(w) == replica.port and value(w, "SHOW work_mem") == size
        done(w.query("INSERT INTO tx.t VALUES (1)"))
    assert where(w) == replica.port and value(w, "SHOW work_mem") == "6MB"
    done(w.query("ROLLBACK"))
    assert where(w) == replica.port and value(w, "SHOW work_mem") == "4MB"


# ---- COPY, and portals ------------------------------------------------------------------------

def test_copy_to_stdout_of_what_the_replica_refuses(proxy, primary, replica):
    primary.su("CREATE OR REPLACE FUNCTION tx.inner() RETURNS int LANGUAGE plpgsql VOLATILE AS"
               " 'BEGIN INSERT INTO tx.t VALUES (1); RETURN 1; END';"
               " CREATE OR REPLACE FUNCTION tx.hides() RETURNS int LANGUAGE plpgsql STABLE AS"
               " 'BEGIN RETURN tx.inner(); END'; GRANT ALL ON tx.t TO app")
    primary.catch_up(replica)
    known = PORT + ", CASE WHEN 1 = 2 THEN tx.hides() END"      # never called
    for ask in (lambda w, sql: w.query(sql), lambda w, sql: w.ask(extended(sql) + sync())):
        w = proxy().raw()
        wait_until(lambda: value(w, known) == str(replica.port), "the catalog")
        for _ in range(2):
            out = ask(w, "COPY (SELECT tx.hides(), repeat('x', 3)) TO STDOUT")
            assert wire.errors(out) == []
            assert [m.body for m in out if m.type == "d"] == [b"1\txxx\n"]
    primary.su("DELETE FROM tx.t")


PIECES = {
    "unnamed": [parse("", PORT) + bind() + execute("", 1) + sync()],
    "named": [parse("", PORT) + bind("p") + execute("p") + sync()],
    "bound first": [parse("", PORT) + bind() + sync(), execute() + sync()],
    "described first": [parse("", PORT) + bind() + describe("P") + sync(), execute("", 1) + sync()],
}


@pytest.mark.parametrize("how", PIECES)
def test_a_portal_in_pieces_is_the_primarys(proxy, primary, replica, how):
    w = proxy().raw()
    done(w.query("BEGIN"))
    assert where(w) == replica.port
    out = []
    for request in PIECES[how]:
        out += done(w.ask(request))
    assert wire.value(out) == str(primary.port)
    done(w.query("COMMIT"))


def test_a_limit_alone_costs_no_read(proxy, replica):
    """JDBC's setMaxRows: outside a transaction no portal outlives its request."""
    w = proxy().raw()
    assert wire.value(done(w.ask(PIECES["unnamed"][0]))) == str(replica.port)
    assert wire.value(done(w.ask(PIECES["named"][0]))) == str(replica.port)
    done(w.query("BEGIN"))
    assert wire.value(done(w.ask(extended(PORT) + sync()))) == str(replica.port)
    done(w.query("COMMIT"))


def test_sql_moves_a_portal_of_the_protocol(proxy):
    """As asyncpg's Cursor.forward does."""
    w = proxy().raw()
    done(w.query("BEGIN"))
    done(w.query("SELECT 1"))
    numbers = "SELECT g FROM generate_series(1, 10) g"
    out = done(w.ask(parse("", numbers) + bind("p") + execute("p", 2) + sync()))
    assert [r[0] for r in wire.rows(out)] == [b"1", b"2"]
    assert done(w.query("MOVE 3 FROM p"))[0].tag == "MOVE 3"
    assert wire.value(done(w.query("FETCH p"))) == "6"
    assert [r[0] for r in wire.rows(done(w.ask(execute("p", 1) + sync())))] == [b"7"]
    done(w.query("COMMIT"))


def test_what_is_behind_a_failed_part_of_an_open_request_is_ignored(proxy, replica):
    """The replica's part ends in front of a write, which is not sent before its answer."""
    slow = "SELECT 1 / (100 - g), count(*) FROM generate_series(1, 101) g, generate_series(1, 20000)" \
           " GROUP BY g ORDER BY g"
    w = proxy().raw()
    done(w.query("BEGIN"))
    done(w.ask(extended("SELECT 1") + sync()))
    w.send(execute() + wire.flush())
    w.until("C")
    w.send(extended(slow) + wire.flush())
    runs(replica, slow[:40])
    w.send(extended("INSERT INTO tx.t VALUES (1)") + sync())
    assert wire.errors(w.reply()) == ["22012"]
    assert wire.errors(w.query("SELECT 1")) == ["25P02"]


@pytest.mark.parametrize("kind", [b"\0", b"~"])
def test_what_is_appended_where_the_snapshot_is_may_be_anything(proxy, replica, kind):
    """No type of message: the client is refused, and nobody else notices."""
    p = proxy()
    w = p.raw()
    done(w.query(SNAPSHOT))
    assert where(w) == replica.port
    w.send(extended("SELECT 1") + wire.flush())
    w.until("C")
    w.send(kind + b"\0\0\0\x08abcd")
    out = w.eof()
    assert wire.errors(out) == ["08P01"]
    done(p.raw().query("SELECT 1"))
