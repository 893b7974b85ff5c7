"""Servers outlive their clients, carry nothing from one to the next, and are never too many."""

import contextlib
import socket
import struct
import threading
import time

import psycopg
import pytest

import pg
import wire
from pg import alive
from wire import (LoginError, bind, copy_data, copy_done, describe, execute, extended, flush,
                  message, parse, query, sync, terminate, wait_until)

pytestmark = pytest.mark.proxy

# One server per node, and none for the proxy's own questions: reuse is certain.
ONE = dict(num_init_children=1, max_pool=1, check_temp_table="none", check_unlogged_table=False)
PID = "/* primary */ SELECT pg_backend_pid()"
READER = "SELECT inet_client_port()"      # another one for each connection


def pid(w, sql=PID):
    return int(wire.value(w.query(sql)))


def used_once(p, sql=PID, **login):
    """The server that a session of its own gets."""
    w = p.raw(**login)
    got = pid(w, sql)
    w.bye()
    return got


# ---- reuse ------------------------------------------------------------------------------------

@pytest.mark.parametrize("sql", [PID, READER], ids=["primary", "replica"])
def test_a_server_is_used_again(proxy, sql):
    p = proxy(**ONE)
    assert len({used_once(p, sql) for _ in range(5)}) == 1


def test_another_application_name_uses_the_same_server(proxy):
    p = proxy(**ONE)
    for more in dict(), dict(DateStyle="German", options="-c work_mem=9MB -c application_name=own"):
        logins = [more, more | dict(application_name="a"), more | dict(application_name="b"), more]
        assert len({used_once(p, **login) for login in logins}) == 1


def test_other_startup_parameters_do_not(proxy):
    """Code that says RESET would bring back those of another session."""
    p = proxy()
    logins = [dict(), dict(DateStyle="German"), dict(DateStyle="SQL"), dict(search_path="public"),
              dict(search_path="public", DateStyle="German"), dict(options="-c DateStyle=German")]
    used = [set() for _ in logins]
    for name in "abc":
        for pids, login in zip(used, logins):
            pids.add(used_once(p, **login, application_name=name))
    assert len(set.union(*used)) == sum(map(len, used)) < 3 * len(logins)


def test_other_users_and_databases_do_not(proxy, primary):
    p = proxy()
    assert len({used_once(p), used_once(p, user="postgres"), used_once(p, database="postgres"),
                used_once(p, user="postgres", database="postgres")}) == 4


@pytest.mark.parametrize("other", [dict(user="postgres"), dict(DateStyle="German")], ids=str)
def test_a_full_pool_makes_room_for_another(proxy, other):
    p = proxy(**ONE)
    for _ in range(3):
        used_once(p)
        used_once(p, **other)


@pytest.mark.parametrize("other", [dict(user="postgres"), dict(DateStyle="German")], ids=str)
def test_who_needs_a_connection_of_his_own_is_not_passed_over_for_ever(proxy, other):
    p = proxy(**ONE)
    used_once(p, **other)                               # his login needs no server any more
    busy = p.raw()
    pid(busy)
    late = p.raw(**other)
    late.send(query(PID))
    assert late.silent(0.2)
    crowd = [p.raw() for _ in range(20)]
    for w in crowd:
        w.send(query(PID))
    served = 0
    while late.silent(0):
        busy.bye()
        served += 1
        wait_until(lambda: not all(w.silent(0) for w in (late, *crowd)), "one who is served")
        busy = next((w for w in crowd if not w.silent(0)), None)
        if busy:
            crowd.remove(busy)
    assert 1 < served < 15
    assert wire.errors(late.reply()) == []


def test_another_profile_s_connections_are_not_in_the_way(proxy):
    """Of a marked connection; and of one that is kept for the next login."""
    p = proxy()
    with p.raw() as w:
        w.query("SET app.tenant = 1")
        marked = pid(w)
        w.bye()
    used_once(p, DateStyle="German")
    with p.raw() as w:
        w.query("SET app.tenant = 1")
        assert pid(w) == marked
        w.bye()


def test_without_connection_cache_each_session_has_its_own(proxy, primary):
    p = proxy(connection_cache=False)
    seen = [used_once(p) for _ in range(4)]
    assert len(set(seen)) == 4
    wait_until(lambda: not primary.backends("usename = 'app'"), "servers to be closed")


def test_the_most_recently_used_server_comes_first(proxy, primary):
    p = proxy()
    a, b = p.raw(), p.raw()
    seen = [pid(a), pid(b)]
    for w, number in zip((a, b), seen):
        w.bye()
        wait_until(lambda n=number: primary.backends(
            f"pid = {n} AND state = 'idle' AND query NOT LIKE '%pg_backend_pid%'"), "its cleaning")
    assert seen[0] != seen[1]
    assert used_once(p) == seen[1]


def test_a_session_that_only_writes_opens_nothing_on_the_replica(proxy, replica):
    p = proxy()
    w = p.raw(application_name="writer")
    w.query("CREATE TEMP TABLE t (a int)")
    assert not replica.backends("application_name = 'writer'")


def test_reads_and_writes_of_two_sessions_do_not_wait_for_each_other(proxy):
    """A session holds servers of the nodes it needed, of no others."""
    p = proxy(**ONE)
    reader, writer = p.raw(timeout=5), p.raw(timeout=5)
    reader.query(READER)
    assert wire.errors(writer.query("CREATE TEMP TABLE t (a int)")) == []


# ---- nothing is left behind -------------------------------------------------------------------

LEFTOVERS = [
    ("SET work_mem = '9MB'", "SHOW work_mem", "4MB"),
    ("SET search_path = pg_catalog", "SHOW search_path", '"$user", public'),
    ("SET ROLE pg_monitor", "SELECT current_user", "postgres"),
    ("SET SESSION AUTHORIZATION app", "SELECT session_user", "postgres"),
    ("SET default_transaction_read_only = on", "SHOW default_transaction_read_only", "off"),
    ("SET DateStyle = 'German'", "SHOW DateStyle", "ISO, MDY"),
    ("CREATE TEMP TABLE remains (a int)", "SELECT coalesce(to_regclass('remains')::text, 'none')",
     "none"),
    ("PREPARE remains AS SELECT 1", "SELECT count(*) FROM pg_prepared_statements", "0"),
    ("DECLARE remains CURSOR WITH HOLD FOR SELECT 1", "SELECT count(*) FROM pg_cursors", "0"),
    ("LISTEN remains", "SELECT count(*) FROM pg_listening_channels()", "0"),
    ("/* p */ SELECT pg_advisory_lock(4711)", "SELECT count(*) FROM pg_locks WHERE locktype ="
     " 'advisory' AND pid = pg_backend_pid()", "0"),
    ("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
     "SHOW transaction_isolation", "read committed"),
    ("BEGIN; CREATE TABLE pg_temp.remains (a int)", "SELECT count(*) FROM pg_cursors", "0"),
]


def leave(w, politely):
    if politely:
        w.bye()
    else:
        w.shut()


@pytest.mark.parametrize("politely", [True, False], ids=["terminate", "hang-up"])
@pytest.mark.parametrize("leftover, look, clean", LEFTOVERS, ids=[c[0][:30] for c in LEFTOVERS])
def test_nothing_is_left_for_the_next_session(proxy, leftover, look, clean, politely):
    p = proxy(sr_check_user="app", **ONE)       # as whom the catalog is asked, not with a's account
    a = p.knows_code(user="postgres").raw(user="postgres")
    assert wire.errors(a.query(leftover)) == []
    old = pid(a)
    leave(a, politely)
    b = p.raw(user="postgres")
    if politely:
        assert pid(b) == old
    for where in ("/* primary */ ", ""):
        out = b.query(where + look)
        assert wire.errors(out) == [] and wire.value(out) == clean
    assert b.query("SELECT 1")[-1].body == b"I"


def test_settings_of_the_replica_s_server_are_not_left(proxy):
    p = proxy(**ONE)
    a = p.raw()
    a.query("SET work_mem = '9MB'")
    assert wire.value(a.query("SHOW work_mem")) == "9MB"
    old = pid(a, READER)
    a.bye()
    b = p.raw()
    assert pid(b, READER) == old
    assert wire.value(b.query("SHOW work_mem")) == "4MB"


def test_prepared_statements_of_the_protocol_are_not_left(proxy):
    p = proxy(**ONE)
    for _ in range(3):
        w = p.raw()
        out = w.ask(parse("same", f"SELECT {_}") + bind("", "same") + execute() + sync())
        assert wire.errors(out) == [] and wire.value(out) == str(_)
        w.bye()
    w = p.raw()
    assert wire.errors(w.ask(bind("", "same") + execute() + sync())) == ["26000"]
    assert wire.errors(w.ask(describe("S") + sync())) == ["26000"]


def test_an_open_transaction_is_rolled_back(proxy, primary):
    primary.ask("DROP TABLE IF EXISTS left_open; CREATE TABLE left_open (a int)")
    for politely in (True, False):
        p = proxy(**ONE)
        w = p.raw()
        w.query("BEGIN")
        w.query("INSERT INTO left_open VALUES (1)")
        leave(w, politely)
        assert wire.value(p.raw().query("/* p */ SELECT count(*) FROM left_open")) == "0"


def test_a_session_that_leaves_while_its_statement_runs(proxy, primary):
    p = proxy(**ONE)
    w = p.raw()
    w.send(query("SELECT pg_sleep(0.3)"))
    wait_until(lambda: primary.backends("wait_event = 'PgSleep'"), "sleep")
    w.shut()
    assert wire.value(p.raw().query(PID)) != ""


def test_reset_query_list_is_run(proxy, primary):
    with primary.connect() as listener:
        listener.execute("LISTEN was_reset")
        p = proxy(reset_query_list="ABORT;DISCARD ALL;NOTIFY was_reset")
        used_once(p)
        n = next(listener.notifies())
        assert n.channel == "was_reset"


def test_a_failing_reset_query_ends_the_server_not_the_proxy(proxy):
    p = proxy(reset_query_list="ABORT;SELECT no_such_function()", **ONE)
    assert len({used_once(p) for _ in range(3)}) == 3


# ---- each session has its own startup values --------------------------------------------------

def test_application_name_is_the_session_s_own(proxy, primary):
    p = proxy(**ONE)
    for name in ("one", "two", ""):
        w = p.raw(application_name=name)
        assert w.parameters["application_name"] == name
        for where in ("", "/* primary */ "):
            assert wire.value(w.query(where + "SELECT current_setting('application_name')")) == name
        assert primary.backends(f"pid = {pid(w)} AND application_name = '{name}'")
        w.bye()


OPTIONS = dict(application_name="mine", options="-c work_mem=9MB -c my.own=1",
               DateStyle="German", TimeZone="Asia/Tokyo", extra_float_digits="3")
NO_OPTIONS = {k: v for k, v in OPTIONS.items() if k != "options"}
LOOK = ["SHOW work_mem", "SHOW application_name", "SHOW DateStyle", "SHOW TimeZone",
        "SHOW extra_float_digits", "SELECT coalesce(current_setting('my.own', true), '')", "SHOW client_encoding"]
CHANGES = [
    [], ["SET work_mem = '1MB'", "RESET work_mem"], ["SET work_mem = '1MB'", "RESET ALL"],
    ["SET work_mem = '1MB'", "SET work_mem TO DEFAULT"],
    ["SET work_mem = '1MB'", "SET DateStyle = 'ISO'", "SET my.own = 2", "DISCARD ALL"],
    ["SET work_mem = '1MB'", "SET SESSION work_mem = DEFAULT"],
    ["SET application_name = 'x'", "RESET application_name"],
    ["SET DateStyle = 'ISO'", "RESET DateStyle"], ["SET TIME ZONE 'UTC'", "SET TIME ZONE DEFAULT"],
    ["SET TIME ZONE 'UTC'", "SET TIME ZONE LOCAL"],
    ["SET extra_float_digits = 0", "RESET ALL"], ["SET my.own = 2", "RESET my.own"],
    ["BEGIN", "SET LOCAL work_mem TO DEFAULT", "COMMIT"],
    ["BEGIN", "SET work_mem = '1MB'", "RESET work_mem", "ROLLBACK"],
    ["BEGIN", "RESET ALL", "COMMIT"], ["SET client_encoding = 'LATIN1'", "RESET ALL"],
    ["SET work_mem = '1MB'; RESET work_mem"], ["RESET ALL; SET work_mem = '1MB'"],
    ["SET application_name = 'x'", "RESET work_mem"], ["RESET ALL; SET APPLICATION_NAME = 'x'"],
    ["RESET ALL", "SET application_name = 'x'"], ["SET DateStyle = 'ISO'", "SET TimeZone TO DEFAULT"],
    ["SET application_name = 'x'", "BEGIN; RESET application_name; ROLLBACK"],
    ["SET application_name = 'x'", "RESET application_name; SELECT 1 / 0"],
    ["SET application_name = 'x'", "BEGIN", "SELECT 1 / 0", "RESET application_name", "ROLLBACK"],
    ["SET application_name = 'x'", "BEGIN", "DISCARD ALL", "ROLLBACK"],
    ["SET application_name = 'x'", "BEGIN", "RESET ALL", "SET DateStyle = 'ISO'", "COMMIT"],
]


ODD = {
    "parts of one parameter": dict(DateStyle="German", datestyle="MDY"),
    "the same in another order": dict(DateStyle="MDY", datestyle="German"),
    "an alias": dict(work_mem="2MB", sort_mem="1MB"),
    "the alias first": dict(sort_mem="1MB", work_mem="2MB"),
    "a name that is cut": dict(application_name="n" * 80),
    "a name that is cleaned": dict(application_name="caf\u00e9"),
    "the name in options, too": dict(options="-c application_name=a", application_name="b"),
}


@pytest.mark.parametrize("how", ODD)
def test_startup_parameters_mean_what_they_mean_to_postgresql(proxy, primary, how):
    p = proxy(**ONE)
    for first in (dict(application_name="other"), ODD[how] | dict(application_name="other")):
        used_once(p, **first)
        assert changed(p, ["RESET ALL", "DISCARD ALL"], "", ODD[how]) == changed(
            primary, ["RESET ALL", "DISCARD ALL"], "", ODD[how])


OWN = {
    "by code": ("DO $$ BEGIN PERFORM set_config('application_name', 'other', false); END $$", "other"),
    "computed": ("SELECT set_config('application_name', 'oth' || 'er', false)", "other"),
    "by an UPDATE": ("UPDATE pg_settings SET setting = 'other' WHERE name = 'application_name'", "other"),
    "cut": (f"SET application_name = '{'o' * 70}'", "o" * 63),
    "cleaned": ("SET application_name = 'caf\u00e9'", "caf??" if pg.VERSION < 16 else r"caf\xc3\xa9"),
}


@pytest.mark.parametrize("how", OWN)
def test_a_session_may_take_the_name_with_which_its_connection_began(proxy, primary, how):
    sql, name = OWN[how]
    p = proxy(**ONE)
    used = used_once(p, application_name="caf\u00e9" if how == "cleaned" else name)
    w = p.raw(application_name="mine")
    w.query(sql)
    assert wire.value(w.query("/* primary */ SELECT current_setting('application_name')")) == name
    assert pid(w) == used
    w.bye()


def test_a_role_s_name_stays_what_it_was_when_the_session_began(proxy, primary):
    p = proxy()
    primary.su("ALTER ROLE app SET application_name = 'old'")
    try:
        used = used_once(p, application_name="other")
        first = p.raw()                                 # whose connection tells what it is
        assert pid(first) != used
        w = p.raw()
        assert pid(w) == used
        with p.raw(user="postgres") as by:
            by.query("ALTER ROLE app SET application_name = 'new'")
        for sql in ("RESET application_name", "SET application_name = 'x'; RESET ALL", "SELECT 1"):
            w.query(sql)
            assert wire.value(w.query("SELECT current_setting('application_name')")) == "old"
        assert pid(w) == used
        for c in (first, w):
            c.bye()
    finally:
        primary.su("ALTER ROLE app RESET application_name")


def changed(target, steps, where, options):
    """What a session with startup values of its own sees after these statements, and what was
    answered to each of them, and is known from reports behind it."""
    w = target.raw(**options)
    said, known = [], dict(w.parameters)
    for sql in steps:
        out = w.query(sql)
        known.update(m.parameter for m in out if m.type == "S")
        said.append(([m.type for m in out if m.type != "S"], dict(known)))
    seen = [wire.value(w.query(where + sql)) for sql in LOOK]
    w.bye()
    return w.parameters, said, seen


@pytest.mark.parametrize("where", ["", "/* primary */ "], ids=["replica", "primary"])
@pytest.mark.parametrize("steps", CHANGES, ids=["; ".join(s) or "nothing" for s in CHANGES])
def test_default_means_the_session_s_startup_values(proxy, primary, steps, where):
    p = proxy(**ONE)
    for options in (OPTIONS, OPTIONS, NO_OPTIONS):
        w = p.raw(**options | dict(application_name="another"))  # whose server the next one gets
        w.query(where + "SELECT 1")
        w.bye()
        assert changed(p, steps, where, options) == changed(primary, steps, where, options)


RESETS = {
    "unheard": (message("B") + query("RESET ALL"), sync()),
    "unheard, and more": (message("B") + query("DISCARD ALL") + query("SELECT 1"), sync()),
    "not alone": (query("RESET ALL") + query("SELECT current_setting('application_name')"),),
    "flushed": (parse("", "RESET ALL") + bind("", "") + execute() + flush(), sync()),
    "before a COPY": (query("RESET ALL; COPY pg_temp.w FROM STDIN"), copy_data(b"1\n") + copy_done()),
    "behind a COPY": (query("COPY pg_temp.w FROM STDIN; RESET ALL"), copy_data(b"1\n") + copy_done()),
    "fails": (query("RESET ALL; SELECT 1 / 0"),),
    "committed, then fails": (query("BEGIN; RESET ALL; COMMIT; SELECT 1 / 0"),),
    "committed, then fails, extended": (b"".join(map(extended, ("BEGIN", "RESET ALL", "COMMIT",
                                                                "SELECT 1 / 0"))) + sync(),),
    "committed, then rolled back": (query("BEGIN; RESET ALL; COMMIT; BEGIN; ROLLBACK"),),
    "rolled back to": (query("BEGIN"), query("SAVEPOINT a; RESET ALL; SELECT 1 / 0"),
                       query("ROLLBACK TO a"), query("COMMIT")),
    "not rolled back to": (query("BEGIN"), query("RESET ALL; SAVEPOINT a; SELECT 1 / 0"),
                           query("ROLLBACK TO a"), query("COMMIT")),
    "names": (query("SET NAMES LATIN1"), query("SET NAMES")),
}


def around(target, messages, pinned):
    """What is answered to these messages, and what the session is afterwards."""
    w = target.raw(timeout=10, **NO_OPTIONS)
    w.query("SET application_name = 'x'" if not pinned else
            "CREATE TEMP TABLE w (a int); SET application_name = 'x'")
    w.send(b"".join(messages) + query("SELECT 'the end'"))
    answered, end = [], False
    while not end or answered[-1] != "Z":
        m = w.read()
        end |= m.type == "D" and m.row == [b"the end"]
        answered += [] if m.type == "S" else [m.type]
    seen = [wire.value(w.query("/* primary */ " + sql)) for sql in LOOK]
    w.bye()
    return answered, seen


@pytest.mark.parametrize("pinned", [True, False])
@pytest.mark.parametrize("how", RESETS)
def test_reset_in_any_place(proxy, primary, how, pinned):
    """On a server that started with another session's name."""
    p = proxy(**ONE)
    used_once(p, **NO_OPTIONS | dict(application_name="another"))
    assert around(p, RESETS[how], pinned) == around(primary, RESETS[how], pinned)


def test_what_stands_behind_a_reset_has_the_session_s_values(proxy, primary):
    """Another tenant's table is not written."""
    for tenant in "ab":
        primary.su(f"CREATE SCHEMA tenant_{tenant}; CREATE TABLE tenant_{tenant}.w (n int);"
                   f" GRANT ALL ON SCHEMA tenant_{tenant} TO app; GRANT ALL ON tenant_{tenant}.w TO app")
    p = proxy(**ONE)
    try:
        used_once(p, search_path="tenant_a")
        w = p.raw(search_path="tenant_b")
        w.query("INSERT INTO w VALUES (1)")
        w.query("RESET ALL; INSERT INTO w VALUES (2)")
        w.ask(extended("RESET ALL") + extended("INSERT INTO w VALUES (3)") + sync())
        w.query("BEGIN; DISCARD PLANS; RESET ALL; INSERT INTO w VALUES (4); COMMIT; SELECT 1 / 0")
        w.query("INSERT INTO w VALUES (5)")
        w.bye()
        assert primary.su("SELECT count(*) FROM tenant_a.w") == [(0,)]
        assert primary.su("SELECT array_agg(n ORDER BY n) FROM tenant_b.w") == [([1, 2, 3, 4, 5],)]
    finally:
        primary.su("DROP SCHEMA tenant_a, tenant_b CASCADE")


@pytest.mark.parametrize("ends", [terminate(), None], ids=["Terminate", "half"])
def test_the_answer_of_a_reset_comes_though_its_client_ends(proxy, ends):
    p = proxy(**ONE)
    used_once(p, **NO_OPTIONS | dict(application_name="another"))
    w = p.raw(**NO_OPTIONS)
    w.query("CREATE TEMP TABLE w (a int)")
    w.send(query("RESET ALL") + (ends or b""))
    if not ends:
        w.sock.shutdown(socket.SHUT_WR)
    assert wire.types(m for m in w.eof() if m.type != "S") == "CZ"


def test_a_bad_startup_option_on_a_pooled_server(proxy):
    p = proxy(**ONE)
    used_once(p)
    with pytest.raises(LoginError) as e:
        p.raw(options="-c work_mem=nonsense")
    assert e.value.code == "22023" and e.value.fields["S"] == "FATAL"
    used_once(p)


# ---- how many ---------------------------------------------------------------------------------

def test_connections_per_node_never_exceed_the_product(proxy, primary):
    p = proxy(num_init_children=2, max_pool=2).knows_code()
    seen, stop = [], threading.Event()

    def watch():
        while not stop.is_set():
            seen.append(len(primary.backends("usename = 'app'")))

    def work():
        for _ in range(5):
            with p.connect() as c:
                c.execute("CREATE TEMP TABLE t (a int)")
                c.execute("SELECT pg_sleep(0.01)")

    threads = [threading.Thread(target=work) for _ in range(12)]
    watcher = threading.Thread(target=watch)
    watcher.start()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    stop.set()
    watcher.join()
    assert 1 <= max(seen) <= 4 + 1              # that one asks the catalog what pg_sleep is


def test_a_client_beyond_the_cap_waits_for_a_server(proxy):
    p = proxy(num_init_children=2, max_pool=1)
    holders = [p.raw(), p.raw()]
    for w in holders:
        pid(w)
    late = p.raw()
    late.send(query(PID))
    assert late.silent(0.2)
    freed = pid(holders[0])
    holders[0].bye()
    assert int(wire.value(late.reply())) == freed


def test_all_of_the_proxy_s_own_connections_make_room(proxy, primary):
    """Two that were opened beyond the limit, while a session had the only one and both were in use."""
    p = proxy(query_wait_timeout=5, sr_check_user="postgres", auth_user="postgres",
              auth_query="SELECT rolname, rolpassword FROM pg_advisory_xact_lock_shared(4712)"
                         " LEFT JOIN pg_authid ON rolname = $1",
              passwd="app:TEXTx\n", enable_pool_hba=True,
              hba="host all app all trust\nhost all all all scram-sha-256\n", **ONE)
    own = lambda name, state: len(primary.backends(
        f"application_name = 'pgpool {name}' AND {state}"))
    resting = "state = 'idle' AND query LIKE 'DISCARD%'"
    holder = p.raw()
    holder.query(PID)
    with primary.connect(user="postgres", dbname="postgres") as lock:
        lock.execute("SELECT pg_advisory_lock(4712)")
        stranger = p.raw(login=False).startup(user="stranger")
        wait_until(lambda: own("auth_query", "wait_event_type = 'Lock'"), "auth_query")
        holder.query("SELECT unknown_to_the_catalog()")
        wait_until(lambda: own("catalog", resting), "the catalog's connection")
    assert stranger.read().type == "R"
    wait_until(lambda: own("auth_query", resting), "auth_query's connection")
    assert own("catalog", resting)
    late = p.raw(login=False).startup(database="postgres")
    assert late.silent(0.1)
    holder.bye()
    assert late.until("EZ")[-1].type == "Z"
    assert wire.errors(late.query(PID)) == []


def test_query_wait_timeout(proxy):
    p = proxy(query_wait_timeout=1, **ONE)
    holder, late = p.raw(), p.raw()
    pid(holder)
    begin = time.monotonic()
    late.send(query(PID))
    e = late.read()
    assert e.type == "E" and e.code == "53300"
    assert 0.9 < time.monotonic() - begin < 3
    holder.bye()
    used_once(p)


def test_no_query_wait_timeout(proxy):
    p = proxy(query_wait_timeout=0, **ONE)
    holder, late = p.raw(), p.raw()
    pid(holder)
    late.send(query(PID))
    assert late.silent(0.05)
    holder.bye()
    assert int(wire.value(late.reply()))


def test_idle_clients_need_no_server(proxy, primary, replica):
    p = proxy(num_init_children=2, max_pool=2)
    idle = [p.raw() for _ in range(50)]
    assert len(primary.backends("usename = 'app'")) <= 4
    assert len(replica.backends("usename = 'app'")) <= 4
    for _ in range(4):
        used_once(p)
    assert all(w.silent(0) for w in idle)


def test_reserved_connections_refuse_at_once(proxy):
    p = proxy(num_init_children=3, reserved_connections=1)
    a, b = p.raw(), p.raw()
    with pytest.raises(LoginError) as e:
        p.raw()
    assert e.value.code == "53300" and e.value.fields["S"] == "FATAL"
    assert e.value.fields["M"] == "Sorry, too many clients already"
    with pytest.raises(psycopg.OperationalError, match="too many clients|error response"):
        p.connect()
    assert wire.value(a.query("SELECT 1")) == "1"
    b.bye()
    wait_until(lambda: connects(p), "a free place")


def connects(p):
    try:
        p.raw().bye()
        return True
    except LoginError:
        return False


def test_the_backend_s_own_limit_is_relayed(proxy, primary):
    primary.su("CREATE DATABASE narrow CONNECTION LIMIT 1")
    try:
        primary.su("GRANT ALL ON DATABASE narrow TO app")
        p = proxy(load_balance_mode=False)
        a = p.raw(database="narrow")
        pid(a)
        try:
            b = p.raw(database="narrow")
            b.send(query(PID))
            assert b.until("EZ")[-1].code == "53300"
        except LoginError as e:
            assert e.code == "53300"
    finally:
        p.stop()
        primary.su("DROP DATABASE narrow WITH (FORCE)")


# ---- PostgreSQL is full -----------------------------------------------------------------------

PLACES = 7              # that a max_connections of 10 leaves to those that are no superusers


@pytest.fixture(scope="module")
def narrow(shop):
    """primary, replica with few places."""
    few = dict(max_connections=PLACES + 3)
    primary = shop.cluster(shop.fresh("p"), **few).start()
    primary.provide()
    replica = primary.standby(shop.fresh("r"), **few).start()
    yield primary, replica
    replica.remove()
    primary.remove()


@pytest.fixture
def others():
    """others(node, n): connections of others; the first n places are taken."""
    with contextlib.ExitStack() as stack:
        yield lambda node, n: [stack.enter_context(node.connect(user="app", dbname="app"))
                               for _ in range(n)]


def place(p):
    """A session that has its server on the primary."""
    w = p.raw()
    assert int(wire.value(w.query("/*NO LOAD BALANCE*/ " + PID)))
    return w


def test_clients_wait_while_postgresql_is_full(proxy, narrow, others):
    strangers = others(narrow[0], PLACES - 2)
    p = proxy(nodes=narrow[:1], query_wait_timeout=60)
    first, second = place(p), place(p)
    late = [p.raw() for _ in range(3)]
    for w in late:
        w.send(query(PID))
    told = p.wait_log("WARNING:  no more than 2 connections to node 0 can be had")
    mark = narrow[0].log_size()
    wait_until(lambda: narrow[0].log_since(mark).count("connection slots") >= 2, "two more tries")
    assert sum("can be had: clients wait" in line for line in p.log) == 1
    assert "connection slots" in p.log[p.log.index(told) + 1]
    assert all(w.silent(0) for w in late)
    strangers[0].close()                        # one of another's
    wait_until(lambda: sum(not w.silent(0) for w in late) == 1, "its place")
    first.bye()                                 # one of ours
    wait_until(lambda: sum(not w.silent(0) for w in late) == 2, "its place")
    for s in strangers[1:]:
        s.close()
    assert all(int(wire.value(w.reply())) for w in late)
    second.bye()


def test_nobody_waits_for_ever_while_postgresql_is_full(proxy, narrow, others):
    others(narrow[0], PLACES - 1)
    p = proxy(nodes=narrow[:1], query_wait_timeout=1)
    holder, late = place(p), p.raw()
    late.send(query(PID))
    e = late.read()
    assert e.code == "53300" and "No more than 1 connections to node 0 can be had" in e.fields["D"]
    holder.bye()


def test_a_login_waits_while_postgresql_is_full(proxy, narrow, others):
    strangers = others(narrow[0], PLACES)
    p = proxy(nodes=narrow[:1])
    w = p.raw(login=False).startup()
    p.wait_log("no more than 0 connections to node 0 can be had")
    assert w.silent(0.6)
    strangers[0].close()
    w.until("Z")


def test_a_full_postgresql_may_let_another_one_in(proxy, narrow, others):
    """A superuser has places that an ordinary user has not: each is tried in its turn."""
    others(narrow[0], PLACES)
    p = proxy(nodes=narrow[:1], query_wait_timeout=60)
    ordinary = p.raw(login=False).startup()
    p.wait_log("no more than 0 connections to node 0 can be had")
    p.raw(login=False).startup(user="postgres", database="postgres").until("Z")
    assert ordinary.silent(0)


def test_an_idle_connection_makes_room_in_a_full_postgresql(proxy, narrow, others):
    narrow[0].su("CREATE ROLE second LOGIN; CREATE ROLE third LOGIN")
    try:
        others(narrow[0], PLACES - 1)
        p = proxy(nodes=narrow[:1], query_wait_timeout=60)
        w = p.raw(user="second")
        pid(w)
        w.bye()
        assert pid(p.raw(user="third"))
    finally:
        p.stop()
        narrow[0].su("DROP ROLE second; DROP ROLE third")


def test_a_lack_of_walsenders_is_theirs(proxy, shop):
    primary = shop.cluster(shop.fresh("p"), max_wal_senders=0).start()
    try:
        primary.provide()
        p = proxy(nodes=[primary], query_wait_timeout=60)
        holder = place(p)
        w = p.raw(login=False)
        w.send(wire.startup(user="postgres", database="app", replication="database"))
        assert w.until("EZ")[-1].code == "53300"
        late = p.raw()
        assert pid(late) != pid(holder)
    finally:
        primary.remove()


@pytest.mark.parametrize("user", ["postgres", "nobody"])
def test_the_wait_ends_whatever_the_checks_find(proxy, narrow, user):
    p = proxy(nodes=narrow, query_wait_timeout=2, sr_check_period=1, sr_check_user=user,
              sr_check_database="postgres", **ONE)
    holder, late = place(p), p.raw()
    late.send(query(PID))
    assert late.read().code == "53300"
    holder.bye()


FULL = message("E", b"SFATAL\0VFATAL\0C53300\0Msorry, too many clients already\0\0")


def test_one_that_is_let_in_opens_no_second_connection(proxy, fake):
    logins = []

    def treat(t):
        t.packet()
        logins.append(t)
        if len(logins) == 2:
            t.sock.sendall(FULL)
            t.sock.close()
        else:
            t.serve()

    p = proxy(nodes=[fake(treat)])
    first, second = p.raw(), p.raw()
    first.query("SELECT 1")
    first.send(parse("", "SELECT 1") + flush())         # keeps its server
    second.query("SELECT 1")                            # refused, then let in
    second.send(parse("", "SELECT 1") + flush())
    p.raw(user="other").query("SELECT 1")               # no connection of app's would do
    assert len(logins) == 4


def test_reads_do_not_wait_for_a_full_replica(proxy, narrow, others):
    others(narrow[1], PLACES)
    p = proxy(nodes=narrow)
    w = p.raw()
    for _ in range(3):
        assert wire.value(w.query("SELECT current_setting('port')")) == str(narrow[0].port)
    p.wait_log("no more than 0 connections to node 1 can be had")


# ---- how long ---------------------------------------------------------------------------------

@pytest.mark.parametrize("parameter", ["child_life_time", "connection_life_time"])
def test_idle_servers_are_closed(proxy, primary, replica, parameter):
    p = proxy(**{parameter: 1})
    used_once(p, READER)
    holder = p.raw()
    held = pid(holder)
    holder.query("BEGIN")
    used_once(p)
    assert len(primary.backends("usename = 'app'")) >= 2
    wait_until(lambda: len(primary.backends("usename = 'app'")) == 1, "the primary's to be closed")
    wait_until(lambda: not replica.backends("usename = 'app'"), "the replica's to be closed")
    assert pid(holder) == held
    used_once(p)


def test_child_max_connections_renews_servers(proxy):
    p = proxy(child_max_connections=2, **ONE)
    seen = [used_once(p) for _ in range(8)]
    assert 2 <= len(set(seen)) <= 7


def test_client_idle_limit(proxy, primary):
    p = proxy(client_idle_limit=1)
    idle, within, busy = p.raw(), p.raw(), p.raw()
    within.query("BEGIN")
    within.query("CREATE TABLE never (a int)")
    busy.send(query("SELECT pg_sleep(1.6)"))
    for w in (idle, within):
        out = w.eof()
        assert [m.type for m in out] == ["E"] and out[0].code == "57000"
        assert "client_idle_limit" in out[0].fields["M"] + out[0].fields.get("D", "")
    assert wire.errors(busy.reply()) == []
    wait_until(lambda: not primary.backends("state LIKE 'idle in transaction%'"), "rollback")


# ---- servers that die -------------------------------------------------------------------------

def end_servers(*nodes):
    """Terminates all sessions of user app and waits until their processes are gone."""
    for node in nodes:
        for (number, *_) in node.backends("usename = 'app'"):
            node.su("SELECT pg_terminate_backend(%s)", (number,))
            wait_until(lambda n=number: not alive(n), "its end")


def test_a_server_that_died_in_the_pool_is_not_lent(proxy, primary, replica):
    p = proxy()
    for _ in range(5):
        old = used_once(p), used_once(p, READER)
        end_servers(primary, replica)
        assert used_once(p) != old[0]
        assert used_once(p, READER) != old[1]
        p.psql("CREATE TEMP TABLE t (a int)")


def test_a_replica_s_server_that_dies_under_an_idle_session(proxy, replica):
    w = proxy().raw()
    assert pid(w, READER)
    end_servers(replica)
    for _ in range(3):
        out = w.query("SELECT count(*) FROM generate_series(1, 3)")
        assert wire.errors(out) == [] and wire.value(out) == "3"


def test_a_replica_s_server_that_dies_during_a_read(proxy, replica):
    """No row has been forwarded, so the primary answers."""
    w = proxy().raw()
    w.send(query("SELECT count(*) FROM generate_series(1, 3000000) /* dies */"))
    wait_until(lambda: replica.backends("query LIKE '%dies%' AND state = 'active'"), "the read")
    replica.su("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%/* dies"
               " */' AND pid <> pg_backend_pid()")
    out = w.reply()
    assert wire.errors(out) == [] and wire.value(out) == "3000000"
    assert wire.errors(w.query("SELECT 1")) == []


def test_the_primary_s_server_that_dies_in_a_transaction(proxy, primary):
    """What ran is lost and the client is told; the next session works."""
    p = proxy()
    w = p.raw()
    w.query("BEGIN")
    number = pid(w)
    primary.su("SELECT pg_terminate_backend(%s)", (number,))
    wait_until(lambda: not alive(number), "its end")
    w.send(query("SELECT pg_backend_pid() /* in the transaction */"))
    out = w.until("EZ")
    assert out[-1].type == "E" and out[-1].code[:2] in ("57", "08")
    used_once(p)


def test_a_session_that_ends_its_own_server_harms_nobody(proxy):
    """PostgreSQL closed one connection with a reason; the node is well."""
    p = proxy(node_probe_period=60000, primary_wait_timeout=0)
    for _ in range(3):
        w = p.raw(user="postgres")
        w.send(query("SELECT pg_terminate_backend(pg_backend_pid())"))
        assert w.eof()[-1].code == "57P01"
        p.psql("CREATE TEMP TABLE t (a int); SELECT 1")
    assert not [line for line in p.log if "is down" in line]


def test_many_short_sessions_leak_nothing(proxy):
    p = proxy(num_init_children=4, max_pool=1)
    used_once(p)
    used_once(p, READER)
    before, memory = p.descriptors(), p.rss()
    for _ in range(300):
        used_once(p)
    assert p.descriptors() <= before + 8            # further servers while one is being cleaned
    assert p.sanitized or p.rss() < memory + 2_000_000


def test_pgbench_with_a_connection_per_transaction(proxy):
    p = proxy()
    script = f"{p.folder}/select.sql"
    with open(script, "w") as f:
        f.write("SELECT 1;\n")
    out = p.pgbench("-C", "-c", "4", "-t", "50", "-f", script)
    assert "number of transactions actually processed: 200/200" in out


# ---- clients that break off -------------------------------------------------------------------

BROKEN = b"Q\0\0\0\1"          # a length that cannot be
BROKEN_OFF = {
    "bind-query-bad": bind("", "nope") + query("SELECT 1") + BROKEN,
    "bind-query": bind("", "nope") + query("SELECT 1"),
    "bad": BROKEN,
    "parse-flush": parse("", "SELECT 1") + flush(),
    "parse-flush-bad": parse("", "SELECT 1") + flush() + BROKEN,
    "bind-flush-query-bad": bind("", "nope") + flush() + query("SELECT 1") + BROKEN,
    "bind-flush-sync-bad": bind("", "nope") + flush() + sync() + BROKEN,
    "copy": query("COPY broken_off FROM STDIN"),
    "copy-bad": query("COPY broken_off FROM STDIN") + BROKEN,
    "copy-data": query("COPY broken_off FROM STDIN") + copy_data(b"a\n"),
    "copy-ext": parse("", "COPY broken_off FROM STDIN") + bind() + execute() + sync(),
    "copy-ext-bad": parse("", "COPY broken_off FROM STDIN") + bind() + execute() + flush() + BROKEN,
    "cut-query": query("SELECT 1")[:9],
    "cut-query-big": query("SELECT '" + "x" * 200000 + "'")[:150000],
    "cut-parse-big": parse("", "SELECT '" + "x" * 200000 + "'")[:150000],
    "q-bad": query("SELECT 1") + BROKEN,
    "begin-bad": query("BEGIN; UPDATE broken_off SET v = v") + BROKEN,
    "begin-fail-bad": query("BEGIN") + query("SELECT 1/0") + BROKEN,
    "many": query("SELECT repeat('x', 10000) FROM generate_series(1, 20000)"),
    "many-bad": query("SELECT repeat('x', 10000) FROM generate_series(1, 20000)") + BROKEN,
    "many-home-bad": query(PID + ", repeat('x', 10000) FROM generate_series(1, 20000)") + BROKEN,
    "bad-copydone": query("COPY broken_off FROM STDIN") + copy_data(b"a\n") + BROKEN,
    "fcall-cut": b"F\0\0\0\x20\0\0",
    "unknown-type": b"!\0\0\0\4",
    "parse-unknown": parse("", "SELECT 1") + b"!\0\0\0\4",
    "terminate-mid": parse("", "SELECT 1") + b"X\0\0\0\4",
    "bind-terminate": bind("", "nope") + b"X\0\0\0\4",
    "bind-query-terminate": bind("", "nope") + query("SELECT 1") + b"X\0\0\0\4",
}


@pytest.mark.parametrize("warm", [False, True], ids=["new", "used"])
@pytest.mark.parametrize("how", ["close", "reset"])
def test_a_client_that_breaks_off_gives_its_server_back(proxy, primary, how, warm):
    """The next one does not wait for what will never come."""
    primary.ask("CREATE TABLE IF NOT EXISTS broken_off (v text)")
    p = proxy(**ONE)
    for name, data in BROKEN_OFF.items():
        w = p.raw()
        if warm:
            w.query(PID)
            w.query(READER)
        w.send(data)
        if how == "reset":
            w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        w.sock.close()
        with p.raw(timeout=20) as v:
            assert v.query(PID) and v.query(READER), name       # or a timeout


@pytest.mark.parametrize("fails", ["closes", "is full"])
def test_a_client_that_left_while_a_connection_was_opened_is_dropped(proxy, fake, fails):
    """If that fails: else it may have closed its sending half only."""
    asked, go_on = threading.Event(), threading.Event()
    first = iter([True])

    def treat(node):
        node.packet()
        if next(first, False):
            node.serve()
        asked.set()
        go_on.wait(20)
        if fails == "is full":
            node.sock.sendall(wire.message("E", b"SFATAL\0VFATAL\0C53300\0Msorry\0\0"))
        node.sock.close()
    p = proxy([fake(treat)], sr_check_period=0, num_init_children=2, primary_wait_timeout=300,
              query_wait_timeout=300)
    with p.raw() as busy:
        busy.query("SELECT 1")
        before = p.descriptors()
        with p.raw() as leaves:
            leaves.send(query("SELECT 2"))
            assert asked.wait(10)
            leaves.sock.close()
        busy.query("SELECT 1")          # by its answer, the end of the other has been seen
        go_on.set()
        wait_until(lambda: p.descriptors() == before, "its end")
        busy.query("SELECT 3")


@pytest.mark.parametrize("how", ["close", "reset"])
def test_clients_that_left_while_they_waited_are_dropped(proxy, primary, how):
    """They keep no place, and nothing is written for them."""
    p = proxy(**ONE)
    primary.ask("DROP TABLE IF EXISTS heirs; CREATE TABLE heirs (who text)")
    with p.raw() as busy:
        busy.query("BEGIN")
        busy.query(PID)
        before = p.descriptors()
        gone = [p.raw() for _ in range(20)]
        for w in gone:
            w.send(query("INSERT INTO heirs VALUES ('left')") + query(PID))
        with p.raw() as stays:
            stays.send(query("INSERT INTO heirs VALUES ('stays')"))
            assert p.descriptors() == before + 21
            for w in gone:
                if how == "reset":
                    w.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                w.sock.close()
            wait_until(lambda: p.descriptors() == before + 1, "their end")
            busy.query("COMMIT")
            busy.bye()
            assert wire.types(stays.reply()) == "CZ"
    assert primary.ask("SELECT who FROM heirs") == [("stays",)]
    primary.ask("DROP TABLE heirs")
