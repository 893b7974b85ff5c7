"""SHOW POOL_... and PGPOOL SHOW: the proxy's own statements, by both protocols and anywhere."""
import contextlib
import os
import re
import signal
import threading

import pytest

import bench
import pg
from wire import (SERVER_PID, LoginError, bind, close, describe, execute, flush, message, parse,
                  query, sync, value, wait_until)

pytestmark = pytest.mark.proxy

COLUMNS = {
    "pool_nodes": "node_id hostname port status pg_status lb_weight role pg_role select_cnt"
                  " load_balance_node replication_delay replication_state replication_sync_state"
                  " last_status_change",
    "pool_processes": "pool_pid start_time client_connection_count database username"
                      " backend_connection_time pool_counter status",
    "pool_pools": "pool_pid start_time client_connection_count pool_id backend_id database username"
                  " backend_connection_time client_connection_time client_disconnection_time"
                  " client_idle_duration majorversion minorversion pool_counter pool_backendpid"
                  " pool_connected status load_balance_node client_host client_port statement",
    "pool_version": "pool_version",
    "pool_cache": "num_cache_hits num_selects cache_hit_ratio num_hash_entries used_hash_entries"
                  " num_cache_entries used_cache_entries_size free_cache_entries_size"
                  " fragment_cache_entries_size",
    "pool_backend_stats": "node_id hostname port status role select_cnt insert_cnt update_cnt"
                          " delete_cnt ddl_cnt other_cnt panic_cnt fatal_cnt error_cnt",
    "pool_health_check_stats": "node_id hostname port status role last_status_change total_count"
                               " success_count fail_count skip_count retry_count"
                               " average_retry_count max_retry_count max_duration min_duration"
                               " average_duration last_health_check last_successful_health_check"
                               " last_skip_health_check last_failed_health_check",
    "pool_consistency": "node_id hostname port role position caught_up missing_for reads_moved samples",
    "pool_status": "item value description",
}


def names(m):
    """The columns of a RowDescription: each is a name and 18 bytes."""
    out, at = [], 2
    while at < len(m.body):
        end = m.body.index(0, at)
        out.append(m.body[at:end].decode())
        at = end + 19
    return out


def types(messages):
    return "".join(m.type for m in messages)


@pytest.mark.parametrize("table", COLUMNS)
def test_columns_are_those_of_pgpool(proxy, table):
    p = proxy()
    with p.raw() as w:
        out = w.query(f"SHOW {table.upper()}")
        assert names(out[0]) == COLUMNS[table].split()
        rows = [m for m in out if m.type == "D"]
        assert types(out) == "T" + "D" * len(rows) + "CZ"
        assert out[-2].tag == f"SELECT {len(rows)}" and out[-1].status == "I"
        assert all(len(m.row) == len(COLUMNS[table].split()) and None not in m.row for m in rows)


@pytest.mark.parametrize("text", ["show pool_version", " SHOW  /* us */ Pool_Version ; ",
                                  "-- a remark\nSHOW \"pool_version\"", "SHOW pool_version;;"])
def test_words_are_taken_as_postgresql_takes_them(proxy, text):
    with proxy().raw() as w:
        out = w.query(text)
        assert re.match(rb"\d+\.\d+\.\d+ \(", out[1].row[0])


def test_what_is_not_ours_is_postgresql_s(proxy):
    with proxy().raw() as w:
        for text, code in [("SHOW pool_noodles", "42704"), ("SHOW pool_nodes, x", "42601"),
                           ("SHOW pool_nodes.x", "42704"), ("SHOW", "42601")]:
            assert w.query(text)[0].code == code, text
        w.query("SET pool_nodes.x = 'theirs'")
        assert w.query("SHOW pool_nodes.x")[1].row == [b"theirs"]


@pytest.mark.skipif(pg.VERSION < 14, reason="a login does not tell the role")
def test_nodes_say_what_they_are(proxy, primary, replica):
    p = proxy(backend_weight0=1, backend_weight1=3)

    wait_until(lambda: p.ask("SELECT 1") and p.ask("SHOW POOL_NODES")[1][3] == "up", "both")
    rows = p.ask("SHOW POOL_NODES")
    where = [(str(i), n.host, str(n.port)) for i, n in enumerate((primary, replica))]
    assert [r[:8] for r in rows] == [
        (*where[0], "up", "up", "0.250000", "primary", "primary"),
        (*where[1], "up", "up", "0.750000", "standby", "standby")]


def test_several_in_one_query(proxy):
    with proxy().raw() as w:
        out = w.query("SHOW POOL_VERSION; SHOW POOL_CACHE")
        assert types(out) == "TDCTDCZ"
        out = w.query("SELECT 1; SHOW POOL_CACHE")
        assert types(out) == "EZ" and out[0].code == "0A000"
        out = w.query("SHOW POOL_CACHE; SELECT 1")
        assert types(out) == "EZ" and out[0].code == "0A000"


@pytest.mark.parametrize("begin", ["BEGIN", "BEGIN; SELECT 1", "BEGIN ISOLATION LEVEL READ COMMITTED"])
def test_in_a_transaction(proxy, begin):
    with proxy().raw() as w:
        w.query(begin)
        assert w.query("SHOW POOL_VERSION")[-1].status == "T"
        out = w.query("PGPOOL SHOW nothing_of_that_name")
        assert out[0].code == "42704" and out[-1].status == "E"
        assert w.query("SELECT 1")[0].code == "25P02"
        out = w.query("SHOW POOL_VERSION")
        assert out[0].code == "25P02" and out[-1].status == "E"
        assert w.query("ROLLBACK")[-1].status == "I"
        assert types(w.query("SHOW POOL_VERSION")) == "TDCZ"


def test_a_failure_of_ours_fails_the_transaction_in_postgresql(proxy):
    with proxy().raw() as w:
        w.query("CREATE TEMP TABLE ours (i int)")
        w.query("BEGIN; INSERT INTO ours VALUES (1)")
        assert w.query("PGPOOL SHOW nothing")[-1].status == "E"
        assert w.query("COMMIT")[0].tag == "ROLLBACK"
        assert w.query("SELECT count(*) FROM ours")[1].row == [b"0"]


def test_extended_protocol(proxy):
    with proxy().raw() as w:
        out = w.ask(parse("s", "SHOW POOL_NODES") + describe("S", "s") + sync())
        assert types(out) == "1tTZ" and names(out[2]) == COLUMNS["pool_nodes"].split()
        out = w.ask(bind("p", "s") + describe("P", "p") + execute("p", 1) + execute("p", 1)
                    + execute("p") + execute("p") + close("P", "p") + sync())
        assert types(out) == "2TDsDsCC3Z", out
        assert [m.tag for m in out if m.type == "C"] == ["SELECT 0", "SELECT 0"]
        assert w.ask(execute("p") + sync())[0].code == "34000"
        out = w.ask(close("S", "s") + sync())
        assert types(out) == "3Z"
        assert w.ask(bind("", "s") + sync())[0].code == "26000"


def test_the_unnamed_ones_end_as_postgresql_s_do(proxy):
    with proxy().raw() as w:
        w.ask(parse("", "SHOW POOL_VERSION") + sync())
        assert types(w.ask(bind() + execute() + sync())) == "2DCZ"
        w.query("SELECT 1")
        assert w.ask(bind() + sync())[0].code == "26000"
        w.ask(parse("", "SELECT 'theirs'") + sync())
        w.ask(parse("", "SHOW POOL_VERSION") + sync())
        assert w.ask(bind() + execute() + sync())[1].row[0] != b"theirs"
        w.ask(parse("", "SELECT 'theirs'") + sync())
        assert w.ask(bind() + execute() + sync())[1].row[0] == b"theirs"
        w.ask(parse("", "SHOW POOL_VERSION") + sync())
        w.query("SHOW POOL_CACHE")
        assert w.ask(bind() + sync())[0].code == "26000"


def test_a_name_is_one_statement_s(proxy):
    with proxy().raw() as w:
        w.ask(parse("ours", "SHOW POOL_VERSION") + parse("theirs", "SELECT 1") + sync())
        for name, text in [("ours", "SELECT 1"), ("ours", "SHOW POOL_CACHE"),
                           ("theirs", "SHOW POOL_CACHE")]:
            out = w.ask(parse(name, text) + sync())
            assert types(out) == "EZ" and out[0].code == "42P05", (name, text)
        assert w.query("DEALLOCATE ours")[0].tag == "DEALLOCATE"
        assert w.query("DEALLOCATE ours")[0].code == "26000"
        w.ask(parse("ours", "SHOW POOL_VERSION") + sync())
        w.query("DEALLOCATE ALL")
        assert w.ask(bind("", "ours") + sync())[0].code == "26000"


@pytest.mark.parametrize("text, code", [
    ("PGPOOL SHOW", "42601"), ("PGPOOL SHOW a b", "42601"), ("PGPOOL SHOW nothing", "42704"),
    ("PGPOOL SHOW port; SELECT 1", "42601")])
def test_what_cannot_be_parsed(proxy, text, code):
    with proxy().raw() as w:
        out = w.ask(parse("s", text) + bind("", "s") + execute() + sync())
        assert types(out) == "EZ" and out[0].code == code
        assert w.ask(bind("", "s") + sync())[0].code == "26000"


def bind_with(values=(), formats=()):
    """A Bind of the unnamed statement."""
    body = b"\0\0" + b"\0\0" + len(values).to_bytes(2, "big")
    body += b"".join(len(v).to_bytes(4, "big") + v for v in values)
    body += len(formats).to_bytes(2, "big") + b"".join(f.to_bytes(2, "big") for f in formats)
    return message("B", body)


def test_binds_that_do_not_fit(proxy):
    with proxy().raw() as w:
        w.ask(parse("", "SHOW POOL_VERSION") + sync())
        for b, code in [(bind_with(values=[b"1"]), "08P01"), (bind_with(formats=[2]), "22023"),
                        (bind_with(formats=[0, 1]), "08P01"), (message("B", b"\0\0\0"), "08P01")]:
            out = w.ask(b + execute() + sync())
            assert types(out) == "EZ" and out[0].code == code
        out = w.ask(bind_with(formats=[1]) + describe("P") + execute() + sync())
        assert types(out) == "2TDCZ" and out[1].body[-2:] == b"\0\1"


def test_in_a_pipeline_in_its_place(proxy):
    """One implicit transaction goes on around it."""
    ours = parse("", "SHOW POOL_VERSION") + bind() + execute()

    def theirs(text):
        return parse("", text) + bind() + execute()

    with proxy().raw() as w:
        w.query("CREATE TEMP TABLE one (i int)")
        out = w.ask(theirs("INSERT INTO one VALUES (1)") + ours + theirs("SELECT i FROM one") + ours
                    + sync())
        assert types(out) == "12C" + "12DC" + "12DC" + "12DC" + "Z"
        assert out[9].row == [b"1"]
        out = w.ask(ours + theirs("INSERT INTO one VALUES (2)") + ours + theirs("SELECT 1/0")
                    + ours + sync())
        assert types(out) == "12DC" + "12C" + "12DC" + "1E" + "Z"
        assert w.query("SELECT count(*) FROM one")[1].row == [b"1"]
        out = w.ask(theirs("SELECT 1/0") + ours + sync())
        assert types(out) == "1EZ"
        out = w.ask(theirs("SELECT 1") + parse("", "PGPOOL SHOW nothing") + bind() + sync())
        assert types(out) == "12DCEZ"
        w.send(query("SELECT 1") + query("SHOW POOL_VERSION") + query("SELECT 2") + ours + sync())
        assert types(w.reply(4)) == "TDCZTDCZTDCZ12DCZ"


def test_a_query_of_ours_behind_messages_without_a_sync(proxy):
    """It ends their transaction, as any Query does."""
    with proxy().raw() as w:
        w.query("CREATE TEMP TABLE one (i int)")
        put = parse("", "INSERT INTO one VALUES (1)") + bind() + execute()
        assert types(w.ask(put + query("SHOW POOL_VERSION"))) == "12CTDCZ"
        assert types(w.ask(parse("", "SELECT 1/0") + bind() + execute() + sync())) == "1EZ"
        assert w.query("SELECT count(*) FROM one")[1].row == [b"1"]
        w.send(parse("", "nonsense") + query("SHOW POOL_VERSION") + sync())
        assert types(w.reply()) == "EZ"


def test_a_flush_brings_what_is_there(proxy):
    with proxy().raw() as w:
        w.send(parse("s", "SHOW POOL_VERSION") + describe("S", "s") + flush())
        assert [w.read().type for _ in range(3)] == ["1", "t", "T"]
        w.send(bind("", "s") + execute() + flush())
        assert [w.read().type for _ in range(3)] == ["2", "D", "C"]
        assert types(w.ask(sync())) == "Z"


def test_drivers_prepare_it(proxy):
    with proxy().connect() as c:
        for _ in range(3):
            rows = c.execute("SHOW POOL_NODES", prepare=True).fetchall()
            assert len(rows) == 2
        c.prepared_max = 0
        assert c.execute("SHOW POOL_VERSION", binary=True).fetchone()


def test_a_long_table_comes_in_parts(proxy):
    p = proxy(num_init_children=2000, max_pool=8)
    with p.raw(timeout=60) as w:
        out = w.query("SHOW POOL_POOLS")
        pids = [int(m.row[0]) for m in out if m.type == "D"]
        assert types(out) == "T" + "D" * len(pids) + "CZ" and out[-2].tag == f"SELECT {len(pids)}"
        assert sum(pid < SERVER_PID for pid in pids) == 2000 * 8 * 2
        assert types(w.query("SELECT 1")) == "TDCZ"


def test_pgpool_show(proxy):
    with proxy(client_idle_limit="5min", backend_weight1=3).raw() as w:
        for name, value in [("client_idle_limit", b"5min"), ("BACKEND_WEIGHT1", b"3"),
                            ("sr_check_password", b"*****"), ("log_statement", b"off")]:
            out = w.query(f"PGPOOL SHOW {name}")
            assert names(out[0]) == [name.lower()] and out[1].row == [value]
        rows = [m.row for m in w.query("pgpool show all") if m.type == "D"]
        assert [b"client_idle_limit", b"5min"] in [r[:2] for r in rows] and len(rows) > 150


def test_without_any_node(proxy, own_pair):
    """Who is connected is answered."""
    p = proxy(list(own_pair), primary_wait_timeout=1)
    with p.raw() as w:
        w.query("SELECT 1")
        for cluster in reversed(own_pair):
            cluster.stop()
        assert w.query("SELECT 1")[0].code == "08006"
        rows = [m.row for m in w.query("SHOW POOL_NODES") if m.type == "D"]
        assert [r[4] for r in rows][0] == b"down" and len(rows) == 2
        out = w.ask(parse("", "SHOW POOL_VERSION") + bind() + execute() + sync())
        assert types(out) == "12DCZ"


def test_statements_are_counted_where_they_ran(proxy, replica):
    with proxy().raw() as w:
        def tally():
            rows = [m.row for m in w.query("SHOW POOL_BACKEND_STATS") if m.type == "D"]
            return [[int(v) for v in r[5:]] for r in rows]

        def said(run):
            before = tally()
            run()
            return [[b - a for a, b in zip(*both)] for both in zip(before, tally())]

        def extended():
            w.ask(parse("", "INSERT INTO one VALUES ($1)") + bind(params=["1"]) + execute()
                  + bind(params=["2"]) + execute() + sync())

        zero = [0] * 9
        w.query("CREATE TEMP TABLE one (i int)")
        #                         select insert update delete ddl other panic fatal error
        for run, primary, standby in [
                (lambda: w.query("INSERT INTO one VALUES (1)"), [0, 1] + [0] * 7, zero),
                (extended, [0, 2] + [0] * 7, zero),
                (lambda: w.query("UPDATE one SET i = 2"), [0, 0, 1] + [0] * 6, zero),
                (lambda: w.query("DELETE FROM one"), [0, 0, 0, 1] + [0] * 5, zero),
                (lambda: w.query("CREATE INDEX ON one (i)"), [0] * 4 + [1] + [0] * 4, zero),
                (lambda: w.query("SET work_mem = '1MB'"), [0] * 5 + [1, 0, 0, 0], zero),
                (lambda: w.query("SELECT 1/(i - i) FROM generate_series(1, 2) i FOR UPDATE"),
                 [1] + [0] * 7 + [1], zero)]:
            assert said(run) == [primary, standby]
        replica.su("SELECT 1")
        assert said(lambda: w.query("SELECT 1")) in ([zero, [1] + [0] * 8], [[1] + [0] * 8, zero])


def test_pgpool_set_is_the_session_s(proxy):
    p = proxy(log_per_node_statement=False)
    with p.raw() as w, p.raw() as other:
        assert types(w.query("PGPOOL SET log_statement = on")) == "CZ"
        out = w.query("PGPOOL SET client_idle_limit TO '5min'")
        assert out[0].tag == "SET"
        assert w.query("PGPOOL SHOW client_idle_limit")[1].row == [b"5min"]
        assert other.query("PGPOOL SHOW client_idle_limit")[1].row == [b"0"]
        since = len(p.log)
        w.query("SELECT 'mine'")
        other.query("SELECT 'another one''s'")
        p.wait_log("statement: SELECT 'mine'", since)
        assert "another one" not in p.log_text()
        p.reload(client_min_messages="error")
        wait_until(lambda: other.query("PGPOOL SHOW client_min_messages")[1].row == [b"error"],
                   "the reload")
        assert w.query("PGPOOL SHOW client_idle_limit")[1].row == [b"5min"]
        assert w.query("PGPOOL SHOW client_min_messages")[1].row == [b"error"]
        assert w.query("PGPOOL RESET client_idle_limit")[0].tag == "SET"
        assert w.query("PGPOOL SHOW client_idle_limit")[1].row == [b"0"]
        assert w.query("PGPOOL SHOW log_statement")[1].row == [b"on"]
        assert w.query("PGPOOL RESET ALL")[0].tag == "RESET"
        assert w.query("PGPOOL SHOW log_statement")[1].row == [b"off"]
        out = w.ask(parse("", "PGPOOL SET log_statement = on") + describe("S") + bind() + describe("P")
                    + execute() + sync())
        assert types(out) == "1tn2nCZ"
        assert w.query("PGPOOL SHOW log_statement")[1].row == [b"on"]
        w.query("PGPOOL SET log_statement TO DEFAULT")
        assert w.query("PGPOOL SHOW log_statement")[1].row == [b"off"]


@pytest.mark.parametrize("text, code", [
    ("PGPOOL SET port = 1", "55P02"), ("PGPOOL SET nothing = 1", "42704"),
    ("PGPOOL SET log_statement = perhaps", "22023"), ("PGPOOL SET client_idle_limit = -1", "22023"),
    ("PGPOOL RESET nothing", "42704"), ("PGPOOL RESET port", "55P02"), ("PGPOOL SET x", "42601"),
    ("PGPOOL SET log_statement = '" + 1100 * "x" + "'", "42601")])
def test_what_cannot_be_set(proxy, text, code):
    with proxy().raw() as w:
        assert w.query(text)[0].code == code
        w.query("BEGIN; SELECT 1")
        assert w.query(text)[-1].status == "E"


def test_an_idle_limit_of_the_session_s_own(proxy):
    with proxy().raw() as w:
        w.query("PGPOOL SET client_idle_limit = 1")
        assert w.read().code == "57000"
        assert w.eof() == []


def peers(w):
    """{user: whether its address is shown} of the sessions in SHOW POOL_POOLS."""
    rows = [m.row for m in w.query("SHOW POOL_POOLS") if m.type == "D"]
    return {r[6].decode(): r[18] != b"" for r in rows
            if r[6] and r[4] == b"0" and int(r[0]) < SERVER_PID}


def test_others_are_shown_to_those_who_may_see_them(proxy, primary):
    primary.su("DROP ROLE IF EXISTS auditor; DROP ROLE IF EXISTS listed")
    primary.su("CREATE ROLE auditor LOGIN; CREATE ROLE listed LOGIN; GRANT pg_read_all_stats TO auditor")
    p = proxy(stats_users="listed, nobody")
    with p.raw() as app, p.raw(user="postgres") as super_, p.raw(user="auditor") as auditor, \
            p.raw(user="listed") as listed:
        all_ = {u: True for u in ("app", "postgres", "auditor", "listed")}
        assert peers(app) == {**dict.fromkeys(all_, False), "app": True}
        assert peers(super_) == peers(auditor) == peers(listed) == all_
        out = app.ask(parse("", "SHOW POOL_POOLS") + bind() + execute() + sync())
        assert out[-2].tag == f"SELECT {sum(m.type == 'D' for m in out)}"
    primary.su("DROP ROLE auditor; DROP ROLE listed")


@pytest.mark.parametrize("sql", ["SET ROLE app", "SET SESSION AUTHORIZATION app",
                                 "SELECT set_config('role', 'app', false)"])
def test_who_acts_as_another_role_does_not_see_others(proxy, sql):
    p = proxy()
    with p.raw(user="app"), p.raw(user="postgres") as w:
        assert peers(w) == {"postgres": True, "app": True}
        w.query(sql)
        assert peers(w) == {"postgres": True, "app": False}
        w.query("RESET ROLE; RESET SESSION AUTHORIZATION")
        assert peers(w) == {"postgres": True, "app": True}


@pytest.mark.parametrize("asked", [query("SHOW POOL_POOLS"), query("SHOW POOL_STATUS") * 40000],
                         ids=["a long table", "many tables"])
def test_who_shows_much_holds_up_nobody(proxy, asked):
    """Though he takes rows as fast as they come.  Both last for minutes."""
    p = proxy(num_init_children=65536, max_pool=64, log_per_node_statement=False)
    with p.raw() as w, p.raw() as much:
        much.send(asked)
        end, taken, asks = threading.Event(), 0, 0

        def take():
            nonlocal taken
            with contextlib.suppress(OSError):
                while not end.is_set() and (data := much.sock.recv(1 << 20)):
                    taken += len(data)
        taker = threading.Thread(target=take)
        taker.start()
        while taken < 20 << 20:
            assert w.query("SELECT 1")[1].row == [b"1"]
            asks += 1
        assert taker.is_alive() and asks >= 20, f"{asks} requests beside 20 MB"
        end.set()
        taker.join()
        much.sock.close()
        assert w.query("SELECT 1")[1].row == [b"1"]


def test_errors_are_text_in_any_encoding(proxy):
    p = proxy()
    with p.raw() as w:
        for sql in b'PGPOOL SHOW "x\xe9y"', b"PGPOOL SET log_statement TO '\xe9\xff'":
            w.send(message("Q", sql + b"\0"))
            assert w.reply()[0].body.decode("utf-8")


def test_privileges_are_not_waited_for_for_ever(proxy, own_pair):
    p = proxy(list(own_pair), primary_wait_timeout=60)
    with p.raw(user="postgres") as w, p.raw(user="app"):
        for cluster in reversed(own_pair):
            cluster.stop()
        assert peers(w) == {"postgres": True, "app": False}


RULES = "host all all 127.0.0.1/32 trust\n"


def test_who_logs_in_while_no_node_is_there_is_answered(proxy, own_pair):
    p = proxy(list(own_pair), primary_wait_timeout=1, enable_pool_hba=True, hba=RULES)
    for cluster in reversed(own_pair):
        cluster.stop()
    with pytest.raises(LoginError, match="08006"):      # nothing is known yet
        p.raw(user="postgres", application_name="new")
    for cluster in own_pair:
        cluster.start()
    with p.raw() as w:
        assert w.query("SELECT 1")[1].row == [b"1"]
    for cluster in reversed(own_pair):
        cluster.stop()
    with p.raw(user="postgres", application_name="new", datestyle="German, DMY") as w:
        assert w.parameters["application_name"] == "new"
        assert w.parameters["DateStyle"] == "German, DMY"
        assert w.parameters["session_authorization"] == "postgres"
        assert w.parameters["is_superuser"] == "off" and w.parameters["server_version"]
        assert w.query("SHOW POOL_NODES")[1].row[4] == b"down"
        assert w.query("SELECT 1")[0].code == "08006"
        for cluster in own_pair:
            cluster.start()
        heard = []
        wait_until(lambda: heard.extend(w.query("SELECT 1")) or heard[-2].type == "C", "the primary")
        assert ("is_superuser", "on") in [m.parameter for m in heard if m.type == "S"]
    with p.raw(user="postgres", application_name="new", datestyle="German, DMY") as w:
        assert w.parameters["is_superuser"] == "on"


def test_who_logs_in_while_all_connections_are_in_use_is_answered(proxy):
    p = proxy(num_init_children=1, max_pool=1, enable_pool_hba=True, hba=RULES)
    with p.raw() as busy:
        busy.query("BEGIN; SELECT 1")
        with p.raw(user="postgres", application_name="new", datestyle="German, DMY") as w:
            assert w.parameters["DateStyle"] == "German, DMY" and w.parameters["is_superuser"] == "off"
            assert w.query("SHOW POOL_VERSION")[1].type == "D"
            w.send(query("/*NO LOAD BALANCE*/ SELECT 1"))
            busy.bye()
            heard = w.reply()
            assert ("is_superuser", "on") in [m.parameter for m in heard if m.type == "S"]


def test_a_client_that_has_not_proved_itself_is_not_let_in_by_an_outage(proxy, own_pair):
    """Without pool_hba.conf, PostgreSQL's trust is not the proxy's."""
    p = proxy(list(own_pair), primary_wait_timeout=1)
    p.ask("SELECT 1")
    for cluster in reversed(own_pair):
        cluster.stop()
    with pytest.raises(LoginError, match="08006"):
        p.raw(user="postgres", application_name="new")


def shown(w, name):
    out = w.query(f"SHOW {name};")
    columns = names(out[0])
    return [dict(zip(columns, (v.decode() for v in m.row))) for m in out if m.type == "D"]


def pooled(w):
    """The places of connections in SHOW POOL_POOLS."""
    return [r for r in shown(w, "POOL_POOLS") if int(r["pool_pid"]) >= SERVER_PID]


def sessions(w):
    return {int(r["pool_pid"]): r for r in shown(w, "POOL_POOLS")
            if int(r["pool_pid"]) < SERVER_PID and r["pool_id"] == r["backend_id"] == "0"}


def test_who_has_a_connection_and_who_has_none(proxy, replica):
    p = proxy()
    with p.raw(user="postgres") as w, p.raw(database="postgres") as other:
        pid = value(other.query("/*NO LOAD BALANCE*/ SELECT pg_backend_pid()"))
        assert pid not in [r["pool_backendpid"] for r in pooled(w)]
        assert sessions(w)[other.pid]["pool_backendpid"] == pid
        other.bye()
        wait_until(lambda: pid in [r["pool_backendpid"] for r in pooled(w)], "it is in the pool")
        row, = [r for r in pooled(w) if r["pool_backendpid"] == pid]
        assert (row["backend_id"], row["pool_id"], row["pool_connected"]) == ("0", "0", "0")
        assert (row["database"], row["username"], row["majorversion"]) == ("postgres", "app", "3")
        assert row["status"] == "Wait for connection" and row["statement"] == row["client_host"] == ""
        assert all(re.match(r"\d{4}-", row[c]) for c in ("backend_connection_time",
                                                         "client_disconnection_time"))
        with p.raw(database="postgres") as again:
            assert value(again.query("/*NO LOAD BALANCE*/ SELECT pg_backend_pid()")) == pid
            same, = [r for r in pooled(w) if r["pool_pid"] == row["pool_pid"]]
            assert same["username"] == same["client_disconnection_time"] == ""
            assert sessions(w)[again.pid]["pool_backendpid"] == pid


@pytest.mark.parametrize("sql, why", [
    ("SELECT 1", ""), ("CREATE TEMP TABLE t (a int)", "temporary table"), ("LISTEN x", "listen"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT 1", "cursor with hold")])
def test_why_a_connection_is_held(proxy, sql, why):
    p = proxy()
    with p.raw(user="postgres") as w, p.raw() as other:
        other.query(sql)
        assert sessions(w)[other.pid]["status"] == (f"Idle ({why})" if why else "Idle")


def test_nothing_of_others_is_shown_in_any_row(proxy, primary):
    """Not in those of empty pools, either, nor of a session that has not logged in."""
    p = proxy(enable_pool_hba=True, passwd="app:secret\n",
              hba="host all postgres all trust\nhost all app all scram-sha-256\nhost all curious all trust\n")
    primary.su("DROP ROLE IF EXISTS curious; CREATE ROLE curious LOGIN")
    with p.raw(user="postgres") as w, p.raw(user="curious") as curious, p.raw(login=False) as half:
        w.query("SELECT 'a secret'")
        half.startup(user="app").until("R")
        for r in shown(curious, "POOL_POOLS"):
            if r["pool_pid"] != str(curious.pid):
                assert (r["client_host"], r["client_port"], r["statement"]) == ("", "", ""), r
        assert any(r["statement"] == "SELECT 'a secret'" for r in shown(w, "POOL_POOLS"))
    primary.su("DROP ROLE curious")


def test_a_statement_in_another_encoding_breaks_nobody_s_table(proxy):
    p = proxy()
    with p.raw(client_encoding="LATIN1") as w:
        w.ask(message("Q", b"SELECT 'caf\xe9'\0"))
        with p.connect(user="postgres") as c:
            rows = c.execute("SHOW POOL_POOLS").fetchall()
    assert any("SELECT 'caf?'" in row for row in rows)


def last(w, other):
    return sessions(w)[other.pid]["statement"]


def test_the_last_statement_is_shown(proxy, primary):
    p = proxy(log_per_node_statement=False)
    with p.raw(user="postgres") as w, p.raw() as other, p.raw() as third:
        assert last(w, other) == ""
        for sql in ("SELECT 1", "BEGIN", "COMMIT", "SELECT 1; SELECT 2", "SELEC", "SET x.y = 1"):
            other.query(sql)
            assert last(w, other) == sql
        other.ask(parse("s", "SELECT 'named'") + sync())
        other.query("SELECT 3")
        other.ask(parse("", "SELECT 'parsed'") + sync())
        assert last(w, other) == "SELECT 'parsed'"
        other.ask(bind(statement="s") + execute() + sync())
        assert last(w, other) == "SELECT 'named'"
        other.ask(query("BEGIN"))
        for sql in ("SELECT 'open'", "SELECT 'appended'"):
            other.send(parse("", sql) + bind() + execute() + flush())
            while other.read().type != "C":
                pass
            assert last(w, other) == sql
        other.ask(sync() + query("COMMIT"), 2)
        other.query("SELECT '" + 300 * "\u00e4" + "'")
        assert last(w, other) == "SELECT '" + 121 * "\u00e4"
        assert last(third, other) != "" and last(third, w) == ""     # of the same user; of another
        wait = p.raw()
        primary.su("DROP TABLE IF EXISTS last_of_all; CREATE TABLE last_of_all (a int);"
                   "GRANT ALL ON last_of_all TO app")
        with primary.connect() as lock, lock.transaction():
            lock.execute("LOCK TABLE last_of_all")
            wait.send(query("INSERT INTO last_of_all VALUES (1)"))
            wait_until(lambda: last(w, wait).startswith("INSERT"), "it runs")
            assert sessions(w)[wait.pid]["status"] == "Execute command"
        wait.reply()
        wait.bye()
        wait_until(lambda: last(w, wait) == "", "nobody is there")
    primary.su("DROP TABLE last_of_all")


def exporter_scrape(w):
    """The queries of pgpool2_exporter 1.2.2, and what it makes of their rows: {metric: {labels: value}}.

    Labels are hostname, port, role; "up", "true" and "waiting" are 1; what is no number is lost."""
    version = shown(w, "pool_version")[0]["pool_version"]
    assert tuple(map(int, re.match(r"(\d+)\.(\d+)", version).groups())) >= (4, 2)
    metrics = {}
    for name in ("pool_nodes", "pool_backend_stats", "pool_health_check_stats", "pool_cache"):
        for row in shown(w, name):
            labels = tuple(row.pop(k) for k in ("hostname", "port", "role") if k in row)
            for column, text in row.items():
                if column == "status":
                    text = str(int(text in ("true", "up", "waiting")))
                with contextlib.suppress(ValueError):
                    values = metrics.setdefault(f"{name}_{column}", {})
                    assert labels not in values
                    values[labels] = float(text)
    processes, pools = shown(w, "pool_processes"), shown(w, "pool_pools")
    used = [p for p in processes if p["database"] and p["username"]]
    metrics["frontend"] = {"total": len(processes), "used": len(used)}
    metrics["backend"] = {"total": len(pools), "used": sum(p["username"] != "" for p in pools)}
    return metrics


def test_the_exporter_s_numbers(proxy, primary, replica):
    p = proxy(num_init_children=8, max_pool=2, health_check_period=1, health_check_user="postgres",
              sr_check_period=1, sr_check_user="postgres")
    with p.raw() as w:
        w.query("SELECT 1")
        nodes = {("127.0.0.1", str(primary.port), "primary"), ("127.0.0.1", str(replica.port), "standby")}
        wait_until(lambda: exporter_scrape(w)["pool_health_check_stats_success_count"].keys() == nodes,
                   "both roles")
        got = exporter_scrape(w)
        for name in ("pool_nodes_status", "pool_nodes_replication_delay", "pool_nodes_select_cnt",
                     "pool_backend_stats_select_cnt", "pool_backend_stats_ddl_cnt",
                     "pool_health_check_stats_average_duration"):
            assert got[name].keys() == nodes, name
        assert set(got["pool_nodes_status"].values()) == {1}
        assert sum(got["pool_nodes_select_cnt"].values()) == 1
        assert got["pool_cache_cache_hit_ratio"] == {(): 0}
        assert got["frontend"] == {"total": 8, "used": 1}
        places = pooled(w)
        assert got["backend"]["total"] == 8 * 2 * 2 + len(places)
        assert got["backend"]["used"] == 2 + sum(r["username"] != "" for r in places)


@pytest.mark.skipif(not os.access("/usr/sbin/pgpool", os.X_OK), reason="pgpool2 is not installed")
def test_beside_pgpool(proxy, shop, primary, replica):
    """Debian's Pgpool-II on the same cluster: column by column, and what does not count or run."""
    theirs = bench.start_pgpool2(shop, "theirs", [primary, replica], False)
    p = proxy(num_init_children=bench.SERVERS, max_pool=1, backend_weight0=1, backend_weight1=1)
    same = {
        "pool_nodes": "node_id hostname port status lb_weight role",
        "pool_processes": "client_connection_count database username",
        "pool_pools": "client_connection_count pool_id backend_id database username majorversion"
                      " minorversion",
        "pool_backend_stats": "node_id hostname port status role insert_cnt update_cnt delete_cnt",
        "pool_health_check_stats": "node_id hostname port status role total_count skip_count",
        "pool_version": "", "pool_cache": None, "pool_status": None,
    }
    try:
        with p.raw(user="postgres") as ours, theirs.raw(user="postgres") as w:
            w.query("SELECT 1")
            wait_until(lambda: p.one("SELECT 1", user="postgres") and {r["status"] for r in shown(ours, "pool_nodes")} == {"up"},
                       "both are used")
            for table, columns in same.items():
                a, b = ours.query(f"SHOW {table}"), w.query(f"SHOW {table}")
                if columns is None:         # theirs is without a cache; parameters are compared elsewhere
                    assert names(a[0]) == COLUMNS[table].split()
                    continue
                ours_, theirs_ = names(a[0]), names(b[0])
                assert [c for c in ours_ if c in theirs_] == theirs_, table     # further ones are newer
                for c in columns.split():
                    left, right = ([m.row[n.index(c)] for m in out if m.type == "D"]
                                   for out, n in ((a, ours_), (b, theirs_)))
                    assert set(left) == set(right), (table, c)
    finally:
        theirs.process.send_signal(signal.SIGINT)       # TERM would wait for its own connections
        theirs.process.wait(20)


@pytest.mark.parametrize("name, ours", [("clients", "POOL_PROCESSES"), ("SERVERS", "POOL_POOLS"),
                                        ("config", "PGPOOL SHOW ALL")])
def test_who_comes_from_pgbouncer_is_told_our_names(proxy, name, ours):
    with proxy().raw() as w:
        error = w.query(f"SHOW {name}")[0]
        assert error.code == "42704" and ours in error.fields["H"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "OPTIONS"])
def test_http_is_told_what_this_port_is(proxy, method):
    with proxy().raw(login=False) as w:
        w.send(f"{method} /metrics HTTP/1.1\r\nHost: here\r\n\r\n".encode())
        said = b""
        while got := w.sock.recv(4096):
            said += got
        head, _, body = said.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 400 ") and b"PostgreSQL" in body
        assert b"Content-Length: %d" % len(body) in head
