"""What a session has set - by its statements or by code behind them - holds wherever its reads run.
Each program runs on PostgreSQL itself and through the proxy; once reads go to the replica again, both
must say the same."""

import psycopg
import pytest

from wire import bind, execute, parse, query, sync, wait_until
import pg
import wire

pytestmark = pytest.mark.proxy

OBJECTS = """
CREATE TABLE t (a int);
INSERT INTO t VALUES (1);
CREATE TABLE log (v text);
CREATE SCHEMA other;
CREATE TABLE other.t (a int);
INSERT INTO other.t VALUES (2);
GRANT ALL ON SCHEMA public, other TO app;
GRANT ALL ON ALL TABLES IN SCHEMA public, other TO app;
CREATE FUNCTION tenant(x text) RETURNS void LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('app.tenant', x, false); END $$;
CREATE FUNCTION to_other() RETURNS int LANGUAGE sql AS
    $$ SELECT set_config('search_path', 'other, "A b"', false); SELECT 1 $$;
CREATE FUNCTION role() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET ROLE lender; END $$;
CREATE PROCEDURE no_index() LANGUAGE plpgsql AS $$ BEGIN SET enable_indexscan = off; END $$;
CREATE FUNCTION logged() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('app.logged', new.v, false); RETURN new; END $$;
CREATE TRIGGER logged BEFORE INSERT ON log FOR EACH ROW EXECUTE FUNCTION logged();
"""


def fresh(primary, replica, name, objects):
    primary.su(f"DROP DATABASE IF EXISTS {name}")
    primary.su(f"CREATE DATABASE {name} TEMPLATE template0 OWNER app")
    primary.su(objects, dbname=name)
    primary.catch_up(replica)
    return name


@pytest.fixture(scope="module")
def database(primary, replica):
    """One whose code sets a few things."""
    primary.su("DROP ROLE IF EXISTS lender; CREATE ROLE lender; GRANT lender TO app")
    yield fresh(primary, replica, "settings", OBJECTS)
    primary.expel()
    primary.su("DROP DATABASE settings")
    primary.su("DROP ROLE lender")


@pytest.fixture(scope="module")
def plain(primary, replica):
    """One whose code sets nothing."""
    yield fresh(primary, replica, "plain", """
        CREATE TABLE t (a int);
        GRANT ALL ON t TO app;
        CREATE FUNCTION reads() RETURNS bigint LANGUAGE plpgsql AS
            $$ BEGIN RETURN (SELECT count(*) FROM t); END $$;
        CREATE PROCEDURE nothing() LANGUAGE plpgsql AS $$ BEGIN PERFORM 1; END $$;
        CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN UPDATE t SET a = 1 WHERE false; RETURN new; END $$;
        CREATE TRIGGER stamp BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION stamp();""")
    primary.expel()
    primary.su("DROP DATABASE plain")


def attempt(c, sql):
    try:
        return c.execute(sql)
    except psycopg.Error:
        return None


def port(c):
    return c.execute("SHOW port").fetchone()[0]


def reads_on(c, node):
    wait_until(lambda: port(c) == str(node.port), "reads on that node")


def answer(address, database, program, question, replica=None):
    """What the question answers behind the program; with a replica, there."""
    with address.connect(dbname=database) as c:
        for sql in program:
            attempt(c, sql)
        if replica:
            reads_on(c, replica)
        return c.execute(question).fetchone()[0]


# ---- by statements ------------------------------------------------------------------------------

PATH, ZONE, STYLE = "SHOW search_path", "SHOW timezone", "SHOW datestyle"
X = "SELECT current_setting('app.x', true)"
SETS = [
    (["SET datestyle = 'SQL, DMY'", "SET datestyle = 'ISO'"], STYLE),
    (["SET datestyle = 'SQL, DMY'", "SET datestyle = ymd"], STYLE),
    (["SET datestyle = 'German'"], STYLE), (["SET datestyle = 'SQL', 'DMY'"], STYLE),
    (["SET datestyle = 'SQL, DMY'", "SELECT set_config('DateStyle', 'ISO', false)"], STYLE),
    (["SET TIME ZONE INTERVAL '-08:00' HOUR TO MINUTE"], ZONE), (["SET TIME ZONE -7"], ZONE),
    (["SET TIME ZONE '<-07:30>+07:30'"], ZONE), (["SET TIME ZONE 'Asia/Tokyo'", "SET TIME ZONE LOCAL"], ZONE),
    (["SET search_path = \"A b\", 'c,d', public"], PATH), (["SET search_path = ''"], PATH),
    (["SELECT set_config('search_path', '', false)"], PATH), (["SET SCHEMA 'other'"], PATH),
    (["SELECT set_config('search_path', 'A, \"B c\",d', false)"], PATH),
    (["SELECT set_config('search_path', 'other, \"B c\"', false)"], PATH),
    (["SET seq_page_cost = 1.23456789"], "SHOW seq_page_cost"), (["SET app.x = -1"], X),
    (["SET app.x = 'a''b'"], X), (["SET app.\"user\" = 1"], "SELECT current_setting('app.user')"),
    (["SET app.x = $$a\\b$$"], X), (["SET app.x = E'a\\tb'"], X), (["SET app.x = 'äöü'"], X),
    (["SET standard_conforming_strings = off", "SET app.x = 'a\\\\b'",
      "SET standard_conforming_strings = on"], X),
    (["SET work_mem = '5MB'", "SET work_mem FROM CURRENT"], "SHOW work_mem"),
    (["SET default_transaction_read_only = on", "SHOW work_mem", "SET default_transaction_read_only = off"],
     "SHOW default_transaction_read_only"),
    (["SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY, DEFERRABLE"],
     "SHOW default_transaction_deferrable"),
    (["SET transaction_read_only = on"], "SHOW transaction_read_only"),
    # what a transaction leaves
    (["BEGIN", "SET LOCAL app.x = '1'", "COMMIT"], X), (["BEGIN", "SET app.x = '1'", "ROLLBACK"], X),
    (["SET app.x = '1'", "BEGIN", "SET app.x = '2'", "ROLLBACK"], X),
    (["SET app.x = '1'", "BEGIN", "SET LOCAL app.x = '2'", "COMMIT"], X),
    (["SELECT set_config('app.x', '1', true)"], X), (["SET app.x = '1'; SELECT 1 / 0"], X),
    (["SET app.x = '1'; COMMIT; SELECT 1 / 0"], X),
    (["BEGIN", "SAVEPOINT a", "SET work_mem = '5MB'", "SAVEPOINT a", "SET work_mem = '6MB'", "RELEASE a",
      "ROLLBACK TO a", "COMMIT"], "SHOW work_mem"),
    # set_config() in many ways
    (["SELECT set_config('app.x', '1', false), true"], X),
    (["SELECT set_config('app.x', 'a', false) WHERE false"], X),
    (["SELECT set_config('app.x', 'a', not true)"], X), (["SELECT set_config('app.x', 'a', 'no')"], X),
    (["SELECT pg_catalog.set_config('app.x', 'a'::text, false) AS x, set_config('app.y', 'b', true)"], X),
    (["SELECT set_config('app.x', a::text, false) FROM t"], X),
    (["SELECT set_config('app.x', current_user, false)"], X),
    (["PREPARE p AS SELECT set_config('app.x', $1, false)", "EXECUTE p('it')"], X),
    # who one is
    (["SET ROLE lender"], "SELECT current_user::text"), (["SET ROLE lender", "SET ROLE NONE"], "SHOW role"),
    (["SELECT set_config('role', 'lender', false)"], "SELECT current_user::text"),
]


@pytest.mark.parametrize("program,question", SETS, ids=lambda x: x[-1][:60] if isinstance(x, list) else None)
def test_what_statements_set(proxy, primary, replica, database, program, question):
    p = proxy()
    assert answer(p, database, program, question, replica) == answer(primary, database, program, question)


def test_who_one_is_with_more_rights(proxy, primary, replica, database):
    program = ["SET ROLE lender", "SET SESSION AUTHORIZATION app", "SET ROLE lender", "SET log_statement = 'all'"]
    p = proxy()
    for question in ("SELECT session_user::text", "SELECT current_user::text"):
        with p.connect(dbname=database, user="postgres") as c:
            for sql in program[:3]:
                c.execute(sql)
            reads_on(c, replica)
            assert c.execute(question).fetchone()[0] == ("app" if "session" in question else "lender")


@pytest.mark.parametrize("binary", [False, True])
def test_values_of_a_bind(proxy, replica, database, binary):
    w = proxy().raw(database=database)
    params, formats = (b"app.bound", b"it's", b"\0" if binary else b"no"), (1,) if binary else ()
    w.ask(parse("", "SELECT set_config($1, $2, $3)") + bind(params=params, formats=formats) + execute() + sync())
    wait_until(lambda: wire.value(w.ask(query("SHOW port"))) == str(replica.port), "reads on the replica")
    assert wire.value(w.ask(query("SELECT current_setting('app.bound', true)"))) == "it's"


# ---- by code ------------------------------------------------------------------------------------

TENANT, A = "SELECT current_setting('app.tenant', true)", "SELECT a FROM t"
CODE = [
    (["SELECT tenant('a')"], TENANT), (["SELECT tenant('a')", "SELECT tenant('b')"], TENANT),
    (["SELECT to_other()"], A), (["SELECT to_other()"], PATH), (["SELECT to_other()", "RESET search_path"], A),
    (["BEGIN", "SELECT to_other()", "ROLLBACK"], A), (["BEGIN", "SELECT to_other()", "COMMIT"], A),
    (["SELECT role()"], "SELECT current_user::text"), (["SELECT role()", "RESET ROLE"], "SHOW role"),
    (["CALL no_index()"], "SHOW enable_indexscan"), (["CALL no_index()", "RESET ALL"], "SHOW enable_indexscan"),
    (["DO $$ BEGIN PERFORM set_config('app.tenant', 'c', false); END $$"], TENANT),
    (["DO $$ BEGIN SET app.done = 'd'; END $$"], "SELECT current_setting('app.done', true)"),
    (["DO $$ BEGIN SET work_mem = '9MB'; COMMIT; RAISE 'no'; END $$"], "SHOW work_mem"),
    (["DO $$ BEGIN SET work_mem = '9MB'; RAISE 'no'; END $$"], "SHOW work_mem"),
    (["INSERT INTO log VALUES ('e')"], "SELECT current_setting('app.logged', true)"),
    (["BEGIN", "INSERT INTO log VALUES ('f')", "COMMIT"], "SELECT current_setting('app.logged', true)"),
    (["UPDATE pg_settings SET setting = 'off' WHERE name = 'enable_hashjoin'"], "SHOW enable_hashjoin"),
    (["SET seq_page_cost = 1.23456789", "SELECT tenant('a')"], "SHOW seq_page_cost"),
]


@pytest.mark.parametrize("program,question", CODE, ids=lambda x: x[-1][:60] if isinstance(x, list) else None)
def test_what_code_sets(proxy, primary, replica, database, program, question):
    p = proxy()
    assert answer(p, database, program, question, replica) == answer(primary, database, program, question)


def test_until_it_is_known_reads_are_right(proxy, database):
    """None of them may go to the replica before it knows."""
    with proxy().connect(dbname=database) as c:
        for n in range(30):
            c.execute(f"SELECT tenant('{n}')")
            assert c.execute(TENANT).fetchone()[0] == str(n)


def test_code_that_somebody_else_has_made(proxy, primary, plain):
    with proxy().connect(dbname=plain) as c:
        c.execute("SELECT reads()")
        assert c.execute("SHOW work_mem").fetchone()[0] == "4MB"
        primary.su("CREATE FUNCTION later() RETURNS void LANGUAGE plpgsql AS $$ BEGIN SET work_mem = '9MB'; END $$",
                   dbname=plain)
        primary.su("SELECT pg_sleep(0.3)")      # what is younger than that is believed
        try:
            c.execute("SELECT later()")
            for _ in range(20):
                assert c.execute("SHOW work_mem").fetchone()[0] == "9MB"
        finally:
            primary.su("DROP FUNCTION later", dbname=plain)


def test_what_an_unknown_view_sets(proxy, primary, replica, database):
    """And a read that follows at once."""
    primary.su("CREATE VIEW sets AS SELECT tenant('v')::text; GRANT ALL ON sets TO app", dbname=database)
    primary.catch_up(replica)
    try:
        with proxy().connect(dbname=database) as c:
            c.execute("SELECT * FROM sets")
            for _ in range(20):
                assert c.execute(TENANT).fetchone()[0] == "v"
    finally:
        primary.su("DROP VIEW sets", dbname=database)


def test_the_level_that_code_sets(proxy, primary, database):
    primary.su("CREATE FUNCTION strict() RETURNS void LANGUAGE plpgsql AS"
               " $$ BEGIN SET default_transaction_isolation = 'serializable'; END $$", dbname=database)
    try:
        with proxy().connect(dbname=database) as c:
            c.execute("SELECT strict()")
            for _ in range(5):
                c.execute("BEGIN")
                assert port(c) == str(primary.port)
                assert c.execute("SHOW transaction_isolation").fetchone()[0] == "serializable"
                c.execute("COMMIT")
    finally:
        primary.su("DROP FUNCTION strict", dbname=database)


def test_under_names_that_are_computed(proxy, primary, database):
    """Nobody can ask for these: the session's reads stay where they are."""
    primary.su("CREATE OR REPLACE FUNCTION sets(n text, x text) RETURNS void LANGUAGE plpgsql AS"
               " $$ BEGIN PERFORM set_config(n, x, false); END $$", dbname=database)
    try:
        with proxy().connect(dbname=database) as c:
            c.execute("SELECT sets('app.computed', 'x')")
            for _ in range(20):
                assert c.execute("SELECT current_setting('app.computed', true)").fetchone()[0] == "x"
            assert port(c) == str(primary.port)
    finally:
        primary.su("DROP FUNCTION sets", dbname=database)


@pytest.mark.parametrize("sql", ["CALL nothing()", "DO $$ BEGIN PERFORM count(*) FROM t; END $$",
                                 "SELECT reads()", "INSERT INTO t VALUES (1)"])
def test_reads_behind_code_that_leaves_nothing(proxy, replica, plain, sql):
    with proxy().connect(dbname=plain) as c:
        c.execute(sql)
        reads_on(c, replica)                    # now it is known what the database's code can do
        for _ in range(30):
            c.execute(sql)
            assert port(c) == str(replica.port)


def test_a_set_in_a_transaction_leaves_reads_alone(proxy, replica, plain):
    with proxy().connect(dbname=plain) as c:
        for sql in ("SET work_mem = '5MB'", "SET LOCAL work_mem = '6MB'", "RESET work_mem"):
            c.execute("BEGIN")
            c.execute(sql)
            assert port(c) == str(replica.port)
            c.execute("ROLLBACK")


LONG = "x" * 600_000
EDGE = 256              # of what is kept of a piece


def asked(w, sql):
    return wire.value(w.query(sql))


@pytest.mark.parametrize("pad", [*range(0, 40, 7), EDGE - 9, EDGE - 1, EDGE, EDGE + 3, len(LONG)])
def test_what_a_query_sets_that_is_too_long_to_be_held(proxy, plain, pad):
    """Its words pass in pieces, and one may be cut anywhere."""
    w = proxy().raw(database=plain)
    w.query("SELECT 1")
    text = f"SELECT length('{LONG[:1 << 19]}{'x' * pad}'); "
    w.query(text + f"SET work_mem = '3MB'; SET my.long = 'a'; CREATE TEMP TABLE t AS SELECT {pad} AS a; {text}")
    assert asked(w, "SELECT current_setting('work_mem')") == "3MB"
    assert asked(w, "SELECT current_setting('my.long')") == "a"
    assert asked(w, "SELECT a FROM t") == str(pad)
    w.bye()


def test_what_a_do_sets_that_is_too_long_to_be_held(proxy, plain):
    w = proxy().raw(database=plain)
    w.query("SELECT 1")
    w.ask(parse("", f"DO $$BEGIN PERFORM length('{LONG}'); SET work_mem = '3MB'; END$$") + bind("", "")
          + execute() + sync())
    assert asked(w, "SELECT current_setting('work_mem')") == "3MB"
    w.bye()


# ---- pins ---------------------------------------------------------------------------------------

NOTHING = "SET work_mem = 4096"


def end_backend(primary, p, c, database):
    """Ends the session's own server, and waits until the proxy knows."""
    where = f"datname = '{database}' AND usename = 'app' AND query = '{NOTHING}'"
    found = wait_until(lambda: c.execute(NOTHING) and primary.backends(where + " AND state = 'idle'"), NOTHING)
    primary.su(f"SELECT pg_terminate_backend({found[0][0]})")
    p.wait_log(f"connection {found[0][0]} of app/{database} closed")


@pytest.mark.parametrize("program,pinned", [
    (["SELECT pg_advisory_lock(7)"], True), (["SELECT pg_advisory_lock(7)", "SELECT pg_advisory_unlock(7)"], False),
    (["SELECT pg_advisory_xact_lock(7)"], False), (["LISTEN a"], True), (["LISTEN a", "UNLISTEN a"], False),
    (["LISTEN a", "LISTEN b", "UNLISTEN a"], True), (["BEGIN", "LISTEN a", "ROLLBACK"], False),
    (["CREATE TEMP TABLE x (a int)"], True), (["CREATE TEMP TABLE x (a int)", "DROP TABLE x"], False),
    (["BEGIN", "CREATE TEMP TABLE x (a int) ON COMMIT DROP", "COMMIT"], False),
    (["DECLARE c CURSOR WITH HOLD FOR SELECT 1"], True),
    (["DECLARE c CURSOR WITH HOLD FOR SELECT 1", "CLOSE c"], False), (["CALL nothing()"], False),
    (["SELECT reads()"], False),
])
def test_what_only_one_server_has(proxy, primary, replica, plain, program, pinned):
    p = proxy(log_min_messages="debug1")
    with p.connect(dbname=plain) as c:
        for sql in program:
            c.execute(sql)
        if program[0] != "LISTEN a" or not pinned:
            reads_on(c, replica)                # notifications are not overtaken by reads
        end_backend(primary, p, c, plain)
        if pinned:
            with pytest.raises(psycopg.OperationalError):
                c.execute("INSERT INTO t VALUES (2)")
        else:
            c.execute("INSERT INTO t VALUES (2)")


def test_a_dropped_temporary_table_s_name_is_forgotten(proxy, primary, replica, plain):
    with proxy().connect(dbname=plain) as c:
        c.execute("CREATE TEMP TABLE t (a int)")
        read = "SELECT count(*), current_setting('port') FROM t"
        assert c.execute(read).fetchone()[1] == str(primary.port)
        c.execute("DROP TABLE pg_temp.t")
        wait_until(lambda: c.execute(read).fetchone()[1] == str(replica.port), "reads of the other t")


def test_another_session_s_temporary_table_holds_reads_as_long_as_it_lives(proxy, primary, replica,
                                                                           plain):
    p = proxy(log_min_messages="debug1")
    read = "SELECT count(*), current_setting('port') FROM t"
    with p.connect(dbname=plain) as owner, p.connect(dbname=plain) as other:
        owner.execute("CREATE TEMP TABLE t (a int)")
        other.execute(read)
        wait_until(lambda: other.execute(read) and "temporary tables are used" in p.log_text(),
                   "the catalog knows of it")
        owner.execute("DROP TABLE pg_temp.t")
        wait_until(lambda: other.execute(read).fetchone()[1] == str(replica.port), "its end", 5)


# ---- fail closed --------------------------------------------------------------------------------

@pytest.mark.parametrize("sql", ["INSERT INTO t VALUES (99)", "COMMIT; INSERT INTO t VALUES (99)",
                                 "ROLLBACK; INSERT INTO t VALUES (99)"])
def test_nothing_runs_as_somebody_else(proxy, primary, database, sql):
    """A new connection cannot take the role of the old one."""
    p = proxy(log_min_messages="debug1")
    with p.connect(dbname=database) as c:
        c.execute("INSERT INTO t SELECT 1 WHERE false")
        c.execute("SET ROLE lender")
        primary.su("REVOKE lender FROM app")
        try:
            end_backend(primary, p, c, database)
            with pytest.raises(psycopg.Error):
                c.execute(sql)
        finally:
            primary.su("GRANT lender TO app")
    assert primary.one("SELECT count(*) FROM t WHERE a = 99", dbname=database) == 0


def test_a_replica_that_refuses_settings_is_left_alone(proxy, primary, replica, database):
    with proxy().connect(dbname=database) as c:
        c.execute("SELECT 1")
        c.execute("SET ROLE lender")
        primary.su("REVOKE lender FROM app")
        primary.catch_up(replica)
        try:
            for _ in range(3):
                assert c.execute("SELECT current_user::text").fetchone()[0] == "lender"
        finally:
            primary.su("GRANT lender TO app")
            primary.catch_up(replica)


@pytest.mark.parametrize("path", [None, "other, public"])
def test_reset_takes_no_snapshot(proxy, primary, database, path):
    """Its session's startup values are set again behind it, on a server that began with others."""
    p = proxy(nodes=[primary], num_init_children=1, max_pool=1)
    with p.connect(dbname=database) as c:
        c.execute("SELECT 1")
    with p.raw(database=database, DateStyle="German", **({"search_path": path} if path else {})) as w:
        w.ask(query("BEGIN ISOLATION LEVEL REPEATABLE READ"))
        w.ask(query("RESET ALL"))
        primary.su("INSERT INTO other.t VALUES (50)", dbname=database)
        try:
            assert wire.value(w.ask(query("SELECT count(*) FROM other.t WHERE a = 50"))) == "1"
            assert wire.value(w.ask(query("SHOW datestyle"))) == "German, DMY"
            assert wire.value(w.ask(query("SHOW search_path"))) == (path or '"$user", public')
        finally:
            w.ask(query("ROLLBACK"))
            primary.su("DELETE FROM other.t WHERE a = 50", dbname=database)


def test_a_partial_date_style_at_the_start(proxy, primary, database):
    """The missing part is the default's, not that of the server's last session."""
    p = proxy(nodes=[primary], num_init_children=1, max_pool=1)
    for _ in range(2):
        for style, want in ((None, "ISO, MDY"), ("German", "German, DMY"), ("ISO", "ISO, MDY")):
            with p.raw(database=database, **({"DateStyle": style} if style else {})) as w:
                assert wire.value(w.ask(query("SHOW datestyle"))) == want


# ---- many of them -----------------------------------------------------------------------------

def ports(w):
    return wire.value(w.query("SELECT inet_server_port()"))


@pytest.mark.parametrize("lines", [
    [f"SET LOCAL work_mem = {64 + i % 7}; SET application_name = 'a{i}'" for i in range(300)],
    [f"SAVEPOINT s; SET my.x = '{i}'; RELEASE s" for i in range(300)],
    [f"SAVEPOINT s{i}" for i in range(300)] + ["SET my.x = 'b'"],
    [f"SELECT set_config('my.n{i % 100}', '{i}', false)" for i in range(600)],
    [f"SET my.n{i % 100} = '{i}'; SET my.x = '{i}'; SAVEPOINT s" for i in range(600)],
], ids=["local", "released", "savepoints", "set_config", "all"])
def test_a_transaction_of_many_settings(proxy, replica, plain, lines):
    """Behind it reads leave the primary again, and find what was set."""
    asks = ("SELECT coalesce(current_setting('my.x', true), '-') || current_setting('work_mem')"
            " || current_setting('application_name') || coalesce(current_setting('my.n7', true), '-')"
            " || inet_server_port()")
    p = proxy().learn("t", database="plain")
    with p.raw(database="plain") as w:
        w.query("SET my.x = 'before'; SET work_mem = '1MB'")
        wait_until(lambda: ports(w) == str(replica.port), "a read on the replica")
        w.query("BEGIN")
        for sql in lines:
            assert "E" not in wire.types(w.query(sql)), sql
        w.query("RESET work_mem")
        w.query("COMMIT")
        right = wire.value(w.query("/*NO LOAD BALANCE*/ " + asks))[:-5]
        wait_until(lambda: ports(w) == str(replica.port), "a read on the replica again")
        assert wire.value(w.query(asks)) == right + str(replica.port)


def test_a_session_of_too_many_settings_stays_at_home(proxy, primary, replica, plain):
    """Until DISCARD ALL, which keeps no more than it can."""
    p = proxy().learn("t", database="plain")
    with p.raw(database="plain") as w:
        for i in range(300):
            w.query(f"SET my.n{i} = '{i}'")
        assert {ports(w) for _ in range(10)} == {str(primary.port)}
        w.query("DISCARD ALL")
        wait_until(lambda: ports(w) == str(replica.port), "a read on the replica again")


# ---- what PostgreSQL reports ------------------------------------------------------------------

REPORTED = {        # a value that is not the default; the version that began to report it
    "DateStyle": ("German", 13), "IntervalStyle": ("iso_8601", 13), "TimeZone": ("Asia/Tokyo", 13),
    "client_encoding": ("LATIN1", 13), "standard_conforming_strings": ("off", 13),
    "application_name": ("other", 13), "default_transaction_read_only": ("on", 14),
    "scram_iterations": ("5000", 16), "search_path": ("pg_catalog", 18)}
NODES = "SELECT current_setting('port')"
CHANGES = {
    "session": ["SET {name} = '{value}'", NODES, "SELECT 1", "RESET {name}"],
    "transaction": ["BEGIN", NODES, "SET {name} = '{value}'", NODES, "ROLLBACK"],
    "local": ["BEGIN", "SET LOCAL {name} = '{value}'", NODES, "SELECT 1 / (3000 - g), repeat('x', 10)"
              " FROM generate_series(1, 4000) g", "COMMIT"],
    "snapshot": ["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", NODES, "SET {name} = '{value}'", NODES,
                 "COMMIT", "/* primary */ SELECT 1", "RESET {name}"],
    "code": ["DO $$ BEGIN PERFORM set_config('{name}', '{value}', false); END $$", NODES, "RESET ALL"],
}


def reports(w, statements):
    return [[m.parameter for m in w.query(s) if m.type == "S"] for s in statements]


@pytest.mark.parametrize("how", CHANGES)
@pytest.mark.parametrize("name", REPORTED)
def test_what_postgresql_reports_is_reported(proxy, primary, replica, name, how):
    value, since = REPORTED[name]
    if name == "scram_iterations" and pg.VERSION < since:
        pytest.skip("no such parameter")
    statements = [s.format(name=name, value=value) for s in CHANGES[how]]
    expected = reports(primary.raw(), statements)
    assert any(expected) == (pg.VERSION >= since)
    assert reports(proxy().raw(), statements) == expected
