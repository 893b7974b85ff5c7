"""Pooled connections that are no longer good: of a database that somebody needs for itself, of roles
and databases that were altered, of a role that is another one now; and what no reset takes away."""

import psycopg
import pytest

import wire
from wire import (LoginError, Wire, bind, execute, extended, parse, query, sync,
                  wait_until)

pytestmark = pytest.mark.proxy

PID = "/*NO LOAD BALANCE*/ SELECT pg_backend_pid()"


def pid_of(p, **kw):
    """The server that a session gets, after its first statements."""
    with p.connect(**kw) as c:
        return c.execute(PID).fetchone()[0]


@pytest.fixture
def admin(primary):
    """As superuser, directly; what it made is gone afterwards."""
    with primary.connect(user="postgres", dbname="postgres") as c:
        yield c
        for name in ("renew_a", "renew_b", "renew_c"):
            c.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        for name in ("renew_r", "renew_s"):
            if c.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchall():
                c.execute(f"DROP OWNED BY {name}")
                c.execute(f"DROP ROLE {name}")


def used(p, database):
    """The pool has connections to both nodes, one of them the proxy's own."""
    with p.connect(user="postgres", dbname=database) as c:
        c.execute("CREATE TABLE IF NOT EXISTS t (a int)")
        for _ in range(2):
            c.execute("SELECT * FROM t")


# ---- databases --------------------------------------------------------------------------------

@pytest.mark.parametrize("extended_protocol", [False, True])
def test_a_database_without_clients_can_be_dropped_renamed_and_copied(
        proxy, primary, replica, admin, extended_protocol):
    p = proxy()
    ask = extended if extended_protocol else query
    admin.execute("CREATE DATABASE renew_a")
    primary.catch_up(replica)
    with p.raw(user="postgres", database="postgres") as w:
        for sql, database in [("CREATE DATABASE renew_b TEMPLATE renew_a", "renew_a"),
                              ("CREATE DATABASE renew_c TEMPLATE = 'renew_a'", "renew_a"),
                              ("ALTER DATABASE renew_a SET TABLESPACE pg_default", "renew_a"),
                              ("DROP DATABASE renew_b", "renew_b"),
                              ("ALTER DATABASE renew_a RENAME TO renew_b", "renew_a"),
                              ('DROP DATABASE IF EXISTS "renew_b"', "renew_b")]:
            primary.catch_up(replica)
            used(p, database)
            w.send(ask(sql) + (sync() if extended_protocol else b""))
            assert wire.errors(w.reply()) == [], sql


@pytest.mark.parametrize("sql", ["DROP DATABASE renew_a", "ALTER DATABASE renew_a RENAME TO renew_b"])
def test_who_leaves_while_a_database_is_taken_leaves_no_connection(
        proxy, primary, replica, admin, sql):
    """PostgreSQL waits for others to leave.  It has not begun when this one comes and goes."""
    p = proxy()
    admin.execute("CREATE DATABASE renew_a")
    primary.catch_up(replica)
    with p.raw(user="postgres", database="postgres") as w, primary.connect(user="postgres") as held:
        held.execute("BEGIN")
        held.execute("LOCK TABLE pg_database IN SHARE MODE")        # logins do not wait for it
        w.send(query(sql))
        wait_until(lambda: admin.execute(
            "SELECT FROM pg_stat_activity WHERE query = %s AND wait_event_type = 'Lock'",
            (sql,)).fetchall(), "the statement waits")
        used(p, "renew_a")
        held.execute("COMMIT")
        assert wire.errors(w.reply()) == [], sql
        wait_until(lambda: pid_of(p) == pid_of(p), "others' connections are kept")


def test_a_database_is_dropped_behind_another_request(proxy, primary, replica, admin):
    p = proxy()
    admin.execute("CREATE DATABASE renew_a")
    primary.catch_up(replica)
    with p.raw(user="postgres", database="postgres") as w:
        used(p, "renew_a")
        wait_until(lambda: pid_of(p, user="postgres", dbname="renew_a")
                   == pid_of(p, user="postgres", dbname="renew_a"), "a connection is pooled")
        w.send(query("/*NO LOAD BALANCE*/ SELECT 1") + query("DROP DATABASE renew_a"))
        assert wire.errors(w.reply(2)) == []


@pytest.mark.parametrize("sql", ["ALTER ROLE ALL SET work_mem = '4MB'", "DROP OWNED BY current_user",
                                 "DROP DATABASE app", "ALTER DATABASE app RENAME TO x"])
def test_nobody_keeps_the_pool_empty(proxy, primary, sql):
    """Only while PostgreSQL works on a statement that may take a database, and on nothing else."""
    p = proxy()
    with p.raw() as w:
        w.send(query(f"SELECT pg_sleep(300); {sql}"))
        wait_until(lambda: primary.backends("query LIKE 'SELECT pg_sleep(300)%'"), "it runs")
        wait_until(lambda: pid_of(p) == pid_of(p), "connections are pooled")
        wire.cancel_now(p.address, w.pid, w.key)
        assert wire.errors(w.reply()) == ["57014"]
        w.send(parse("", "SELECT pg_sleep(300)") + bind() + execute() + extended(sql) + sync())
        wait_until(lambda: primary.backends("query LIKE 'SELECT pg_sleep(300)'"), "it runs again")
        wait_until(lambda: pid_of(p) == pid_of(p), "connections are pooled")
        wire.cancel_now(p.address, w.pid, w.key)
        assert wire.errors(w.reply()) == ["57014"]


def test_a_database_with_a_client_is_in_use(proxy, primary, replica, admin):
    p = proxy()
    admin.execute("CREATE DATABASE renew_a")
    primary.catch_up(replica)
    with p.connect(user="postgres", dbname="renew_a") as c:
        c.execute("CREATE TABLE t (a int)")
        with p.connect(user="postgres", dbname="postgres") as other, \
                pytest.raises(psycopg.errors.ObjectInUse):
            other.execute("DROP DATABASE renew_a")
        assert c.execute(PID).fetchone()


@pytest.mark.parametrize("extended_protocol", [False, True])
@pytest.mark.parametrize("sql", ["DROP DATABASE renew_a", "DROP DATABASE IF EXISTS renew_a",
                                 "ALTER DATABASE renew_a RENAME TO renew_b",
                                 "CREATE DATABASE renew_b OWNER = app TEMPLATE = renew_a"])
@pytest.mark.parametrize("does", [None, "SELECT 1"])
def test_a_client_is_in_the_way_whatever_it_has_done(proxy, primary, replica, admin, does, sql,
                                                     extended_protocol):
    """PostgreSQL does not know of a session that has used no connection of the primary."""
    p = proxy()
    ask = extended if extended_protocol else query
    admin.execute("CREATE DATABASE renew_a")
    primary.catch_up(replica)
    with p.raw(user="postgres", database="postgres") as w:
        idle = p.raw(user="postgres", database="renew_a")
        if does:
            assert wire.errors(idle.query(does)) == []
        out = w.ask(ask(sql) + (sync() if extended_protocol else b""))
        e, = [m for m in out if m.type == "E"]
        assert e.fields["C"] == "55006" and "1 other session" in e.fields["D"], e
        assert e.fields["M"].endswith('database "renew_a" is being accessed by other users')
        assert out[-1].body == b"I"
        assert wire.types(idle.query("SELECT 1")) == "TDCZ"
        idle.send(wire.terminate())         # at the same moment
        idle.shut()
        assert wire.errors(w.ask(ask(sql) + (sync() if extended_protocol else b""))) == []


@pytest.mark.parametrize("name", ["Upper", 'with "quote', "x" * 63, "if", "template"])
def test_names_of_databases_are_read_as_postgresql_does(proxy, primary, replica, admin, name):
    p, quoted = proxy(), '"' + name.replace('"', '""') + '"'
    longer = quoted[:-1] + '7"' if len(name) == 63 else quoted
    admin.execute(f"CREATE DATABASE {quoted}")
    primary.catch_up(replica)
    try:
        with p.raw(user="postgres", database="postgres") as w:
            with p.raw(user="postgres", database=name):
                for sql in ("DROP /* it */ DATABASE {}", "-- it\nDROP DATABASE IF EXISTS {};",
                            "ALTER DATABASE {} RENAME TO renew_a", "CREATE DATABASE renew_a TEMPLATE {}"):
                    e, = [m for m in w.query(sql.format(longer)) if m.type == "E"]
                    assert e.fields["M"].endswith(f'database "{name}" is being accessed by other users')
            assert wire.errors(w.query(f"DROP DATABASE {longer}")) == []
    finally:
        admin.execute(f"DROP DATABASE IF EXISTS {quoted} WITH (FORCE)")


def test_who_is_in_the_way_is_told_in_its_place(proxy, primary, replica, admin):
    """In a pipeline, behind what is in flight; in a transaction PostgreSQL says what is wrong."""
    p = proxy()
    admin.execute("CREATE DATABASE renew_a")
    primary.catch_up(replica)
    with p.raw(user="postgres", database="postgres") as w, \
            p.raw(user="postgres", database="renew_a"):
        out = w.ask(query("SELECT 1, pg_sleep(0.1)") + query("DROP DATABASE renew_a")
                    + query("SELECT 2"), 3)
        assert wire.types(out) == "TDCZEZTDCZ" and wire.errors(out) == ["55006"]
        out = w.ask(query("BEGIN") + query("DROP DATABASE renew_a") + query("ROLLBACK"), 3)
        assert wire.errors(out) == ["25001"]
        assert [m.body for m in out if m.type == "Z"] == [b"T", b"E", b"I"]
        out = w.ask(wire.parse("", "DROP DATABASE renew_a") + wire.bind() + wire.execute() + sync()
                    + query("SELECT 3"), 2)
        assert wire.types(out) == "EZTDCZ" and wire.errors(out) == ["55006"]


def test_a_session_keeps_the_values_that_it_began_with(proxy, primary, replica):
    """It takes no new connection that would begin with others, but keeps those that it has."""
    p = proxy()
    with p.raw() as w, p.raw() as both:
        w.query("SELECT 1; SELECT 2")       # it is on the primary only
        both.query("SELECT 1; SELECT 2")
        wait_until(lambda: wire.value(both.query("SELECT current_setting('port')"))
                   == str(replica.port), "a read on the replica")
        before = wire.value(w.query("SHOW work_mem"))
        try:
            p.psql("ALTER ROLE app SET work_mem = '7MB'", user="postgres")
            primary.catch_up(replica)
            for s in (w, both):
                assert wire.value(s.query("SHOW work_mem")) == before
            assert wire.value(both.query("SELECT current_setting('port')")) == str(replica.port)
            with p.raw() as fresh:
                assert wire.value(fresh.query("SHOW work_mem")) == "7MB"
        finally:
            primary.su("ALTER ROLE app RESET work_mem")


def test_other_databases_keep_their_connections(proxy, admin):
    p = proxy()
    admin.execute("CREATE DATABASE renew_a")
    pid = pid_of(p)
    p.psql("DROP DATABASE renew_a", user="postgres", dbname="postgres")
    assert pid_of(p) == pid


# ---- defaults ---------------------------------------------------------------------------------

def value(p, name, **kw):
    """What a new session has, by its reports and by SHOW on either node."""
    with p.raw(**kw) as w:
        told = [m.parameter[1] for m in w.greeting if m.type == "S" and m.parameter[0] == name]
        shown = [wire.value(w.query(f"{hint}SHOW {name}")) for hint in ("", "/*NO LOAD BALANCE*/ ")]
        return {*told, *shown}


@pytest.mark.parametrize("where", ["ROLE app", "DATABASE app", "ROLE app IN DATABASE app", "ROLE ALL",
                                   "ROLE ALL IN DATABASE app"])
def test_new_sessions_begin_with_what_was_altered(proxy, primary, replica, where):
    p = proxy()
    assert value(p, "datestyle") == value(p, "datestyle") != {"SQL, DMY"}
    before = value(p, "work_mem"), value(p, "DateStyle")
    with p.connect(user="postgres", dbname="postgres") as c:
        c.execute(f"ALTER {where} SET work_mem = '7MB'")
        c.execute(f"ALTER {where} SET datestyle = 'SQL, DMY'")
        primary.catch_up(replica)
        try:
            assert value(p, "work_mem") == {"7MB"} and value(p, "DateStyle") == {"SQL, DMY"}
        finally:
            c.execute(f"ALTER {where} RESET work_mem")
            c.execute(f"ALTER {where} RESET datestyle")
        primary.catch_up(replica)
        assert (value(p, "work_mem"), value(p, "DateStyle")) == before


def test_what_a_transaction_altered_counts_from_its_commit(proxy, primary, replica):
    p = proxy()
    before = value(p, "work_mem")
    with p.connect(user="postgres", dbname="postgres") as c:
        try:
            with c.transaction():
                c.execute("ALTER ROLE app SET work_mem = '7MB'")
                assert value(p, "work_mem") == before
            primary.catch_up(replica)
            assert value(p, "work_mem") == {"7MB"}
        finally:
            c.execute("ALTER ROLE app RESET work_mem")


def test_is_superuser_is_told_anew(proxy, primary, admin):
    p = proxy()
    admin.execute("CREATE ROLE renew_r LOGIN")
    assert value(p, "is_superuser", user="renew_r") == {"off"}
    p.psql("ALTER ROLE renew_r SUPERUSER", user="postgres", dbname="postgres")
    with p.raw(user="renew_r") as w:
        assert [m.parameter[1] for m in w.greeting if m.type == "S"
                and m.parameter[0] == "is_superuser"] == ["on"]


def test_new_sessions_begin_with_what_a_reload_has_changed(proxy, own_pair):
    """A session learns it from its server.  The first login to PostgreSQL tells it to all others."""
    p = proxy(nodes=own_pair)
    before = value(p, "DateStyle")
    assert value(p, "DateStyle", user="postgres") == before != {"SQL, DMY"}
    with p.raw() as a, p.raw() as b:
        a.query(PID)
        for node in own_pair:
            node.su("ALTER SYSTEM SET datestyle = 'SQL, DMY'")
            node.reload()
        b.query(PID)
        for user in ("app", "postgres"):
            assert value(p, "DateStyle", user=user) == {"SQL, DMY"}
        assert ("DateStyle", "SQL, DMY") in [m.parameter for m in a.query(PID) if m.type == "S"]


def test_new_sessions_begin_with_what_was_altered_directly(proxy, primary):
    """As soon as a new connection is made."""
    p = proxy()
    before = value(p, "DateStyle")
    with p.raw() as a, p.raw() as b:
        a.query(PID)
        primary.su("ALTER ROLE app SET datestyle = 'SQL, DMY'")
        try:
            b.query(PID)
            with p.raw() as w:
                assert [m.parameter[1] for m in w.greeting if m.type == "S"
                        and m.parameter[0] == "DateStyle"] == ["SQL, DMY"] != before
        finally:
            primary.su("ALTER ROLE app RESET datestyle")


# ---- roles ------------------------------------------------------------------------------------

def role_pid(p):
    return pid_of(p, user="renew_r")


@pytest.mark.parametrize("by_proxy", [True, False])
def test_a_role_made_anew_is_another_one(proxy, primary, replica, admin, by_proxy):
    """Direct DDL is known from the first error that says so: one session may see it."""
    p = proxy()
    admin.execute("CREATE ROLE renew_r LOGIN")
    primary.catch_up(replica)
    old = role_pid(p)
    ddl = p.connect(user="postgres", dbname="postgres") if by_proxy else primary.connect(
        user="postgres", dbname="postgres")
    with ddl as c:
        c.execute("DROP ROLE renew_r")
        c.execute("CREATE ROLE renew_r LOGIN")
    primary.catch_up(replica)
    if not by_proxy:
        with p.connect(user="renew_r") as c, pytest.raises(psycopg.errors.UndefinedObject):
            c.execute("/*NO LOAD BALANCE*/ SELECT current_user")
    with p.connect(user="renew_r") as c:
        assert c.execute("/*NO LOAD BALANCE*/ SELECT current_user::text").fetchone() == ("renew_r",)
    assert role_pid(p) != old


def test_permission_denied_may_mean_that_the_role_is_another_one(proxy, primary, admin):
    """Its connection is not used again."""
    p = proxy()
    admin.execute("CREATE ROLE renew_r LOGIN")
    old = role_pid(p)
    admin.execute("DROP ROLE renew_r")
    admin.execute("CREATE ROLE renew_r LOGIN")
    with p.connect(user="renew_r") as c, pytest.raises(psycopg.errors.InsufficientPrivilege):
        c.execute("CREATE TABLE pg_catalog.mine (a int)")
    assert role_pid(p) != old


def test_a_role_that_was_dropped_is_not_let_in(proxy, primary, admin):
    p = proxy()
    admin.execute("CREATE ROLE renew_r LOGIN")
    role_pid(p)
    p.psql("DROP ROLE renew_r", user="postgres", dbname="postgres")
    with pytest.raises(LoginError) as e:
        p.raw(user="renew_r")
    assert e.value.code == "28000"


def test_a_renamed_role_is_not_let_in_by_its_old_name(proxy, primary, admin):
    p = proxy()
    admin.execute("CREATE ROLE renew_r LOGIN")
    role_pid(p)
    p.psql("ALTER ROLE renew_r RENAME TO renew_s", user="postgres", dbname="postgres")
    assert p.one("SELECT current_user::text", user="renew_s") == "renew_s"
    with pytest.raises(LoginError):
        p.raw(user="renew_r")


# ---- what is left behind a reset --------------------------------------------------------------

LEFT = {
    "LOAD": "LOAD 'auto_explain'",
    "setseed": "SELECT setseed(0.5)",
    "temporary slot": "SELECT pg_create_physical_replication_slot('renew', false, true)",
    "computed name": "SELECT set_config('app.' || 'x', '1', false)",
    "parameter": "SELECT set_config(%s, '1', false)",
}


@pytest.mark.parametrize("what", LEFT)
def test_a_connection_that_cannot_be_reset_is_closed(proxy, what):
    p = proxy(num_init_children=1, max_pool=1)
    kw = dict(user="postgres")
    with p.connect(**kw) as c:
        pid = c.execute(PID).fetchone()[0]
        c.execute(LEFT[what], ("app.x",) if "%s" in LEFT[what] else None)
    assert pid_of(p, **kw) != pid


READ = "/*NO LOAD BALANCE*/ SELECT current_setting('app.tenant', true)"


@pytest.mark.parametrize("sets", ["SET app.tenant = 'x'", "BEGIN; SET LOCAL app.tenant = 'x'; COMMIT",
                                  "BEGIN; SET app.tenant = 'x'; ROLLBACK",
                                  "SELECT set_config('app.tenant', 'x', false)",
                                  "SELECT 1, pg_catalog.set_config ( 'App.Tenant', 'x', true)"])
def test_a_custom_parameter_is_unknown_to_sessions_that_have_not_set_it(proxy, sets):
    """'' where a new session has NULL: row security that casts it to a number fails."""
    p = proxy(num_init_children=1, max_pool=1)
    with p.connect() as c:
        c.execute(sets)
    with p.connect() as c:
        assert c.execute(READ).fetchone() == (None,)


def tenant_pid(p, number, *first, **options):
    """The server of a session that sets its parameter behind these statements."""
    with p.raw(user="postgres", **options) as w:
        for sql in first:
            w.query(sql)
        assert wire.value(w.query(READ)) == str(number)
        pid = wire.value(w.query(PID))
        w.query("ROLLBACK")
        w.bye()
        return pid


def test_sessions_that_set_the_same_custom_parameters_share_connections(proxy):
    """As most applications do, in their first statements.  (A BEGIN reaches no server once the proxy
    knows the default isolation level.)"""
    p = proxy(sr_check_user="app", num_init_children=1, max_pool=1)     # who asks the catalog
    assert len({tenant_pid(p, i, f"SET app.tenant = {i}") for i in range(4)}) == 1

    def begun(i):
        return tenant_pid(p, i, "BEGIN", f"SET LOCAL app.tenant = {i}")
    wait_until(lambda: begun(1) == begun(2), "a shared server")
    assert begun(3) == tenant_pid(p, 4, "SET app.tenant = 4")
    assert len({tenant_pid(p, 5, **{"app.tenant": "5"}) for _ in range(3)}) == 1


def test_sessions_that_set_custom_parameters_late_do_not_fill_the_pool(proxy, primary):
    """One that is still being cleaned may be a second one."""
    p = proxy()
    for i in range(10):
        with p.raw() as w:
            w.query("SELECT 1")
            w.query("BEGIN; INSERT INTO nowhere VALUES (1)")
            w.query("ROLLBACK")                             # its server is the primary's
            w.query(f"SET app.late = {i}")
            w.bye()
    count = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'app'"
    wait_until(lambda: primary.su(count)[0][0] <= 2, "an end of the others")


def test_a_custom_parameter_of_the_startup_packet(proxy):
    p = proxy(num_init_children=1, max_pool=1)
    pid_of(p)
    with p.raw(**{"app.tenant": "5"}) as w:
        assert wire.value(w.query(READ)) == "5"
    with p.connect() as c:
        assert c.execute(READ).fetchone() == (None,)


def test_a_failing_reset_is_told(proxy):
    p = proxy(reset_query_list="ABORT;DISCARD ALL;SET lock_timeout TO bogus")
    assert pid_of(p) != pid_of(p)
    p.wait_log("reset_query_list failed on node 0")
    assert "bogus" in p.log_text()


# ---- hellos that are none ---------------------------------------------------------------------

@pytest.mark.parametrize("sent", [b"", b"\0\0\0", wire.message("X"), b"\0\0\0\x08", b"GET / HTTP/1.0\r\n\r\n",
                                  wire.startup(user="app")[:-3]])
def test_what_is_no_startup_packet_gets_no_answer(proxy, sent):
    with Wire(proxy().address) as w:
        w.send(sent)
        w.sock.shutdown(1)
        assert w.eof() == []
