"""Causal reads: a session never misses its own writes, and still reads on replicas."""

import contextlib
import signal
import time

import pytest

import causal

from test_show import names
from causal import WAYS, reading
from wire import bind, cancel_now, execute, flush, parse, query, sync, wait_until

pytestmark = pytest.mark.proxy


@pytest.fixture(scope="module", autouse=True)
def table(primary, replica):
    causal.provide(primary, [replica], 64)
    yield
    primary.su("DROP SCHEMA causal CASCADE")


@pytest.fixture
def front(proxy):
    """front(...): a proxy with the scope "session", unless it is told otherwise."""
    def make(nodes=None, **how):
        return proxy(nodes, **{"load_balance_consistency": "session", **how})
    return make


@contextlib.contextmanager
def paused(*replicas):
    for r in replicas:
        r.su("SELECT pg_wal_replay_pause()")
    try:
        yield
    finally:
        for r in replicas:
            r.su("SELECT pg_wal_replay_resume()")


def read(w, row=1):
    """(value, port)"""
    value, port = causal.ask(w, query(reading(row)))[0]
    return int(value), int(port)


def settle(w, node, row=1):
    """It reads there, after a while."""
    wait_until(lambda: read(w, row)[1] == node.port, "reads there")


def settle_somewhere(w, *nodes):
    """The one where it reads, after a while."""
    ports = {node.port: node for node in nodes}
    wait_until(lambda: read(w)[1] in ports, "reads there")
    return ports[read(w)[1]]


def put(w, value, row=1):
    causal.simple(w, row, value)


values = iter(range(1, 1 << 30))


@pytest.mark.parametrize("way", WAYS, ids=lambda f: f.__name__)
def test_what_was_written_is_read(front, primary, replica, way):
    p = front()
    with p.raw(user="postgres") as w, p.raw() as other:
        settle(other, replica)
        settle(w, replica)
        v = next(values)
        with paused(replica):
            way(w, 1, v)
            for _ in range(3):
                assert read(w) == (v, primary.port)
            settle(other, replica)              # DDL may have been in between
            assert read(other)[0] < v
        settle(w, replica)
        assert read(w) == (v, replica.port)


def test_without_it_reads_are_stale(front, primary, replica):
    p = front(load_balance_consistency="off")
    with p.raw() as w:
        settle(w, replica)
        v = next(values)
        with paused(replica):
            put(w, v)
            assert read(w)[0] < v


@pytest.mark.parametrize("what", [
    "BEGIN; UPDATE causal.t SET n = n + 1000 WHERE id = 1; ROLLBACK", "SELECT 1", "SHOW work_mem", "SET work_mem = 100",
    "SELECT set_config('work_mem', '100', false)", "SELECT pg_advisory_xact_lock(1)",
    "SELECT count(*) FROM pg_class"])
def test_what_writes_nothing_keeps_no_read_away(front, primary, replica, what):
    p = front()
    with p.raw(user="postgres") as w:
        w.query(what.split("; ")[0] if "BEGIN" not in what else "SELECT 1")      # its names are known
        settle(w, replica)
        with paused(replica):
            primary.su("SELECT pg_logical_emit_message(true, '', 'x')")
            for sql in what.split("; "):
                w.query(sql)
            settle(w, replica)


def test_extended_rollbacks_are_none_either(front, replica):
    p = front()
    with p.raw(user="postgres") as w:
        settle(w, replica)
        with paused(replica):
            for sql in "BEGIN", causal.update(1, 1 << 40), "ROLLBACK":
                w.ask(parse("", sql) + bind() + execute() + sync())
            assert read(w)[1] == replica.port


def test_global_is_all_that_any_session_has_written(front, primary, replica):
    p = front(load_balance_consistency="global")
    with p.raw() as w, p.raw() as other, p.raw(database="postgres", user="postgres") as elsewhere:
        settle(other, replica)
        v = next(values)
        with paused(replica):
            put(w, v)
            assert read(other) == (v, primary.port)
            with p.raw() as late:
                assert read(late) == (v, primary.port)
            assert causal.ask(elsewhere, query("SELECT current_setting('port')")) == [[str(replica.port)]]
            p.reload(client_idle_limit=1000)
            assert read(other) == (v, primary.port)
        settle(other, replica)


def test_monotonic_never_goes_back(front, primary, replica):
    p = front(load_balance_consistency="monotonic", statement_level_load_balance=True)
    with p.raw() as w, p.raw() as other:
        settle(w, replica)
        v = next(values)
        with paused(replica):
            put(other, v)
            assert read(w)[0] < v and read(w)[1] == replica.port
            assert causal.ask(w, query("/*NO LOAD BALANCE*/ " + reading(1))) == [[str(v), str(primary.port)]]
            assert read(w) == (v, primary.port)
        settle(w, replica)


def test_monotonic_another_connection_may_show_less(front, primary, replica):
    p = front(load_balance_consistency="monotonic", statement_level_load_balance=True)
    with p.raw() as w:
        settle(w, replica)
        replica.su("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app' AND usename = 'app'")
        assert read(w)[1] == primary.port
        settle(w, replica)


def test_monotonic_stays_with_what_it_has_seen(front, three):
    """The session's own replica comes back later than the one that has served it meanwhile."""
    primary, one, two = three
    p = front(three, load_balance_consistency="monotonic")
    with p.raw() as w, p.raw() as other:
        its = settle_somewhere(w, one, two)
        serves = two if its is one else one
        with paused(its):
            put(w, next(values))
            settle(w, serves)
            lsn = primary.one("SELECT pg_current_wal_lsn()")
            with paused(serves):        # the next one may not run ahead of what is noted here
                put(other, v := next(values), row=2)
            wait_until(lambda: read(w, 2) == (v, serves.port), "it has seen the other's")
            its.su(f"ALTER SYSTEM SET recovery_min_apply_delay = '1h'")
            its.reload()
            its.su("SELECT pg_wal_replay_resume()")
            for _ in range(300):
                assert read(w, 2)[0] == v
            its.su("ALTER SYSTEM RESET recovery_min_apply_delay")
            its.reload()
        assert lsn
        for _ in range(300):
            assert read(w, 2)[0] == v


@pytest.mark.parametrize("mode", ["dml_adaptive", "dml_adaptive_global"])
def test_code_s_writes_are_seen_in_its_transaction(front, primary, replica, mode):
    p = front(disable_load_balance_on_write=mode, track_table_mutation_cold_start_duration=0)
    with p.raw(user="postgres") as w:
        causal.by_function(w, 1, next(values))
        causal.by_do(w, 1, next(values))
        for way in causal.by_function, causal.by_do:
            settle(w, replica)
            with paused(replica):
                w.query("BEGIN")
                way(w, 1, v := next(values))
                assert read(w) == (v, primary.port)
                w.query("COMMIT")
            settle(w, replica)


def test_a_procedure_s_commit_counts_before_its_sync(front, primary, replica):
    p = front(load_balance_consistency="global")
    with p.raw(user="postgres") as w, p.raw() as other:
        settle(other, replica)
        with paused(replica):
            w.send(parse("", f"CALL causal.put(1, {(v := next(values))})") + bind() + execute() + flush())
            w.until("C")
            assert read(other) == (v, primary.port)
            w.ask(sync())


def test_who_waits_is_answered_when_the_program_ends(front, primary, replica):
    p = front(causal_wait=60000)
    with p.raw() as w:
        settle(w, replica)
        with paused(replica):
            put(w, v := next(values))
            w.send(query(reading(1)))
            wait_until(lambda: int(shown(p)[1]["samples"]) > 1, "it waits")
            p.send_signal(signal.SIGTERM)
            assert [m.row for m in w.reply() if m.type == "D"] == [[str(v).encode(), str(primary.port).encode()]]
    assert p.wait() == 0


def test_somebody_who_has_written_much_and_idles(front, primary, replica):
    """What is flushed of it ends within a record, which no replica reaches."""
    p = front()
    with p.raw() as w, primary.raw(user="postgres") as idles:
        settle(w, replica)
        idles.query("CREATE TABLE causal.big (t text); ALTER TABLE causal.big ALTER t SET STORAGE plain")
        for size in 3000, 7000, 7900:
            idles.query("BEGIN")
            idles.query(f"INSERT INTO causal.big SELECT repeat('x', {size}) FROM generate_series(1, 5)")
            put(w, next(values))
            idles.query(f"INSERT INTO causal.big SELECT repeat('x', {size})")
            settle(w, replica)
            idles.query("ROLLBACK")
        idles.query("DROP TABLE causal.big")


def test_the_first_read_of_a_transaction_decides(front, primary, replica):
    p = front()
    with p.raw() as w:
        w.query("SELECT count(*) FROM pg_class")
        settle(w, replica)
        w.query("BEGIN")
        assert read(w)[1] == read(w)[1] == replica.port
        w.query("SELECT count(*) FROM pg_class")            # are the primary's for all
        assert read(w)[1] == replica.port
        w.query("SELECT count(*) FROM pg_class, causal.t")
        assert read(w)[1] == read(w)[1] == primary.port     # and what was seen there is not unseen
        w.query("COMMIT")
        settle(w, replica)
        v = next(values)
        with paused(replica):
            put(w, v)
            w.query("BEGIN")
            assert read(w) == (v, primary.port)
            replica.su("SELECT pg_wal_replay_resume()")
            wait_until(lambda: lacking(p)[1] == "yes", "it has caught up")
            assert read(w) == (v, primary.port)
            w.query("COMMIT")
        settle(w, replica)


def shown(p, sql="SHOW POOL_CONSISTENCY"):
    with p.raw() as w:
        out = w.query(sql)
    heads = names(out[0])
    return [dict(zip(heads, [v.decode() for v in m.row])) for m in out if m.type == "D"]


def lacking(p):
    return [r["caught_up"] for r in shown(p)]


def test_it_is_shown(front, primary, replica):
    p = front()
    with p.raw() as w:
        settle(w, replica)
        put(w, next(values))
        settle(w, replica)
        wait_until(lambda: lacking(p) == ["yes", "yes"], "both have it")
        before = shown(p)
        assert [r["role"] for r in before] == ["primary", "standby"]
        with paused(replica):
            put(w, next(values))
            read(w)
            wait_until(lambda: float(shown(p)[1]["missing_for"]) > 0, "it lacks something")
            now = shown(p)
            assert now[1]["caught_up"] == "no" and now[0]["missing_for"] == "0.000"
            assert int(now[1]["reads_moved"]) > int(before[1]["reads_moved"])
            wait_until(lambda: int(shown(p)[1]["samples"]) > int(before[1]["samples"]), "it was asked")
        wait_until(lambda: lacking(p) == ["yes", "yes"], "both have it again")


@pytest.fixture
def three(shop):
    """primary, replica, replica: to be stopped and killed at will."""
    primary, one = shop.pair()
    two = primary.standby(shop.fresh("r")).start()
    causal.provide(primary, [one, two], 64)
    yield [primary, one, two]
    for cluster in two, one, primary:
        cluster.remove()


def test_another_replica_serves_meanwhile(front, three):
    primary, one, two = three
    p = front(three)
    with p.raw() as w:
        its = settle_somewhere(w, one, two)
        other = two if its is one else one
        with paused(its):
            put(w, v := next(values))
            settle(w, other)
            assert read(w) == (v, other.port)
        settle(w, its)


def test_a_read_may_wait_for_a_replica(front, primary, replica):
    p = front(causal_wait=20000)
    with p.raw() as w:
        settle(w, replica)
        with paused(replica):
            put(w, v := next(values))
            w.send(query(reading(1)))
            wait_until(lambda: replica.su("SELECT pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()")[0][0], "")
            with p.raw() as other:
                assert read(other)[1] == replica.port
            assert w.silent(0.1)
        out = w.reply()
        assert [m.row for m in out if m.type == "D"] == [[str(v).encode(), str(replica.port).encode()]]
        with paused(replica):
            put(w, next(values))
            w.send(query(reading(1)))
            cancel_now(p.address, w.pid, w.key)
            assert w.reply()[0].code == "57014"
    p.reload(causal_wait=50)
    with p.raw() as w, paused(replica):
        put(w, v := next(values))
        assert read(w) == (v, primary.port)


def test_a_position_from_outside(front, primary, replica):
    p = front()
    with p.raw() as w, p.raw() as other:
        other.query("SELECT set_config('pgpool.min_lsn', '', false)")   # it is known from now on
        settle(other, replica)
        assert causal.ask(w, query("SHOW pgpool.lsn")) == [["0/0"]]
        with paused(replica):
            put(w, v := next(values))
            [[lsn]] = causal.ask(w, query("SHOW pgpool.lsn"))
            assert primary.su("SELECT pg_current_wal_insert_lsn() >= %s::pg_lsn", (lsn,))[0][0]
            assert not replica.su("SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", (lsn,))[0][0]
            assert w.ask(parse("", "SHOW pgpool.lsn") + bind() + execute() + sync())[2].row == [lsn.encode()]
            for on, off in [(f"SET pgpool.min_lsn = '{lsn}'", "RESET pgpool.min_lsn"),
                            (f"SELECT set_config('pgpool.min_lsn', '{lsn}', false)", "SET pgpool.min_lsn = ''"),
                            ("SET pgpool.min_lsn = 'no position'", "SET pgpool.min_lsn TO DEFAULT")]:
                settle(other, replica)          # once it is known what code has set
                assert read(other)[0] < v
                other.query(on)
                assert read(other) == (v, primary.port)
                other.query(off)
            for how in ({"pgpool.min_lsn": lsn}, {"options": f"-c pgpool.min_lsn={lsn}"},
                        {"options": f"-c work_mem=100 --pgpool.min-lsn={lsn} -c geqo=off"},
                        {"options": f"-c\tpgpool.min_lsn={lsn}"}):
                with p.raw(**how) as third:
                    assert read(third) == (v, primary.port), how
        other.query(f"SET pgpool.min_lsn = '{lsn}'")
        settle(other, replica)
        assert read(other) == (v, replica.port)


def test_it_is_asked_as_somebody_who_is_there(front, primary, replica):
    p = front(sr_check_user="no such role")
    with p.raw() as w:
        settle(w, replica)
        put(w, v := next(values))
        settle(w, replica)
        assert read(w) == (v, replica.port)
    p.wait_log('positions of nodes are asked for as user "app" in database "app"')


def test_it_is_asked_as_one_of_them(front, primary, replica):
    p = front()
    with p.raw() as w, p.raw(user="postgres") as other:
        settle(w, replica)
        for _ in range(20):
            put(w, next(values))
            put(other, next(values), row=2)
            settle(w, replica)
            settle(other, replica)
    assert sum("positions of nodes are asked for as user" in line for line in p.log) == 1


def test_the_database_that_is_asked_in_can_be_dropped(front, primary, replica):
    p = front(log_per_node_statement=False)
    primary.su("DROP DATABASE IF EXISTS causal_gone")
    primary.su("CREATE DATABASE causal_gone")
    with p.raw(user="postgres") as w:
        with p.raw(user="postgres", database="causal_gone") as first:
            first.query("CREATE TABLE t AS SELECT 1")
            p.wait_log('in database "causal_gone"')
        with paused(replica):
            w.query("CREATE TABLE causal.u AS SELECT 1")        # the replica is asked again and again
            assert w.query("DROP DATABASE causal_gone")[0].tag == "DROP DATABASE"
        w.query("DROP TABLE causal.u")


def test_somebody_who_has_written_and_idles(front, primary, replica):
    p = front()
    with p.raw() as w, p.raw(user="postgres") as idles:
        settle(w, replica)
        put(w, next(values))
        idles.query("BEGIN; CREATE TABLE causal.idle (n int); INSERT INTO causal.idle SELECT generate_series(1, 10)")
        settle(w, replica)
        idles.query("INSERT INTO causal.idle SELECT 1")
        put(w, v := next(values))
        idles.query("INSERT INTO causal.idle SELECT 1")
        settle(w, replica)
        assert read(w) == (v, replica.port)
        idles.query("ROLLBACK")


def test_tables_that_any_session_has_written(front, primary, replica):
    p = front(disable_load_balance_on_write="dml_adaptive_global", track_table_mutation_cold_start_duration=0)
    with p.raw() as w, p.raw() as other:
        there = f"SELECT {causal.PORT} FROM causal.copied UNION ALL SELECT {causal.PORT} LIMIT 1"
        settle(other, replica)
        wait_until(lambda: causal.ask(other, query(there)) == [[str(replica.port)]], "the catalog knows it")
        with paused(replica):
            put(w, v := next(values))
            end = time.monotonic() + 1.5                        # longer than a guess would last
            while time.monotonic() < end:
                assert read(other) == (v, primary.port)
            assert causal.ask(other, query(there)) == [[str(replica.port)]]
        settle(other, replica)


def test_after_a_promotion(front, three):
    """Positions of another timeline count for nothing, though they are greater."""
    primary, one, two = three
    p = front(three, sr_check_period=1, sr_check_user="postgres", node_probe_period=100, backend_weight1=0,
              **{f"backend_flag{i}": "DISALLOW_TO_FAILOVER" for i in range(3)})
    with p.raw() as w:
        put(w, next(values))
        settle(w, two)
    two.su("SELECT pg_wal_replay_pause()")
    primary.stop()
    one.su("SELECT pg_promote()")
    wait_until(lambda: p.one("SELECT pg_is_in_recovery()::text") == "false"
               and p.one(f"/*NO LOAD BALANCE*/ SELECT {causal.PORT}") == str(one.port), "a new primary", 30)
    with p.raw() as w:
        put(w, v := next(values))
        for _ in range(20):
            assert read(w) == (v, one.port)     # the other one follows nobody
        two.su("SELECT pg_wal_replay_resume()")
        two.su(f"ALTER SYSTEM SET primary_conninfo = 'host={one.host} port={one.port} user=postgres'")
        two.reload()
        wait_until(lambda: read(w)[1] == two.port, "it follows the new primary", 60)
        put(w, v := next(values))
        settle(w, two)
        assert read(w) == (v, two.port)


@pytest.mark.parametrize("scope", ["session", "global", "monotonic"])
@pytest.mark.parametrize("trouble", ["none", "delay", "pause", "restart"])
def test_nothing_is_stale(front, three, scope, trouble):
    p = front(three, load_balance_consistency=scope, log_per_node_statement=False)
    with causal.TROUBLE[trouble](*([] if trouble == "none" else [three[0], three[1:]])):
        run = causal.Run(p, scope, pairs=600, clients=8)
        faults, reads, broken = run.all()
    assert not faults and (not broken or trouble == "restart"), (faults[:3], getattr(run, "why", ""))
    assert sum(reads.values()) > 500 and (trouble != "none" or scope == "global"
                                         or reads[three[0].port] < sum(reads.values()))


@pytest.mark.parametrize("scope", ["session", "global", "monotonic"])
def test_planted_staleness_is_found(front, three, scope):
    p = front(three, load_balance_consistency="off", log_per_node_statement=False,
              statement_level_load_balance=True, backend_weight0=1)
    with causal.TROUBLE["delay"](three[0], three[1:]):
        faults, _, _ = causal.Run(p, scope, pairs=1000, clients=4).all()
    word = {"session": "its own", "global": "another's", "monotonic": "back in time"}[scope]
    assert any(f.startswith(word) for f in faults)
