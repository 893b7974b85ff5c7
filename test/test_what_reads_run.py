"""What a read runs or tells without saying so: code behind views, policies, operators and the like;
cursors; the time; the node.  And which names are tables, and which of them are temporary."""

import os
import re

import pytest

import make_functions
import pg
import wire
from test_catalog import P, R, Session
from wire import bind, execute, parse, query, sync, wait_until

pytestmark = pytest.mark.proxy

OBJECTS = """
DROP SCHEMA IF EXISTS c CASCADE;
CREATE SCHEMA c;
GRANT ALL ON SCHEMA c TO app;
SET search_path = c;
CREATE TABLE t (a int, b timestamptz DEFAULT now());
CREATE TABLE u (a int);
CREATE TABLE known (a int);
INSERT INTO t VALUES (1);
INSERT INTO u VALUES (1);
CREATE SEQUENCE s;
CREATE SEQUENCE "größe";
CREATE TABLE "maß" (a int);
CREATE TABLE "Quoted" (a int);
CREATE TABLE serial (id serial);
CREATE UNLOGGED TABLE unlogged (a int);
CREATE FUNCTION vol() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION wraps() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION writes() RETURNS int LANGUAGE plpgsql AS
    'BEGIN INSERT INTO c.u VALUES (2); RETURN 1; END';
CREATE VIEW last AS SELECT last_value FROM s;
CREATE VIEW nested AS SELECT * FROM last;
CREATE VIEW locks AS SELECT pg_try_advisory_xact_lock(5) AS a;
CREATE VIEW pg_locks_v AS SELECT pid FROM pg_locks;
CREATE VIEW activity AS SELECT pid FROM pg_stat_activity;
CREATE VIEW cursors AS SELECT name FROM pg_cursors;
CREATE VIEW prepared AS SELECT name FROM pg_prepared_statements;
CREATE VIEW channels AS SELECT * FROM pg_listening_channels();
CREATE VIEW senders AS SELECT pid FROM pg_stat_replication;
CREATE VIEW xid AS SELECT txid_current_if_assigned();
CREATE VIEW recovery AS SELECT pg_is_in_recovery();
CREATE VIEW hot AS SELECT current_setting('in_hot_standby');
CREATE VIEW parameters AS SELECT name FROM pg_settings;
CREATE VIEW writing AS SELECT writes() AS a;
CREATE VIEW in_where AS SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE vol() = u.a);
CREATE TABLE secret (a int);
ALTER TABLE secret ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON secret USING (a = vol());
CREATE VIEW invoker AS SELECT a FROM secret;
CREATE TABLE open (a int);
ALTER TABLE open ENABLE ROW LEVEL SECURITY;
CREATE POLICY p ON open FOR SELECT USING (a = wraps());
CREATE POLICY q ON open FOR INSERT WITH CHECK (a = vol());
CREATE FUNCTION op(int, int) RETURNS bool LANGUAGE plpgsql AS 'BEGIN RETURN true; END';
CREATE OPERATOR ### (LEFTARG = int, RIGHTARG = int, FUNCTION = op);
CREATE OPERATOR public.### (LEFTARG = int, RIGHTARG = int, FUNCTION = op);
CREATE VIEW operators AS SELECT 1 ### 2 AS a;
CREATE DOMAIN public.checked AS int CHECK (value > vol());
CREATE DOMAIN public.twice AS public.checked;
CREATE DOMAIN public.plain AS int CHECK (value > 0);
CREATE VIEW domains AS SELECT 5::public.twice AS a;
CREATE FUNCTION step(int, int) RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE AGGREGATE agg(int) (SFUNC = step, STYPE = int);
CREATE AGGREGATE adds(int) (SFUNC = int4pl, STYPE = int);
CREATE FUNCTION defaults(int DEFAULT vol()) RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION parsed() RETURNS int LANGUAGE sql STABLE {0} SELECT c.vol(){1};
CREATE FUNCTION next() RETURNS int LANGUAGE plpgsql STABLE AS
    'BEGIN IF false THEN RETURN nextval(''c.s''); END IF; RETURN 1; END';
CREATE FUNCTION standby() RETURNS bool LANGUAGE sql STABLE AS 'SELECT pg_is_in_recovery()';
CREATE FUNCTION cur() RETURNS refcursor LANGUAGE plpgsql STABLE AS
    'DECLARE x refcursor := ''cc''; BEGIN OPEN x FOR SELECT generate_series(1, 3); RETURN x; END';
CREATE FUNCTION cur_out(OUT n int, OUT x refcursor) LANGUAGE plpgsql STABLE AS
    'BEGIN n := 1; x := ''cc''; OPEN x FOR SELECT generate_series(1, 3); END';
CREATE FUNCTION cur_in(x refcursor) RETURNS int LANGUAGE plpgsql STABLE AS
    'BEGIN OPEN x FOR SELECT generate_series(1, 3); RETURN 1; END';
CREATE FUNCTION cur_set() RETURNS SETOF refcursor LANGUAGE plpgsql STABLE AS
    'DECLARE x refcursor := ''cc''; BEGIN OPEN x FOR SELECT generate_series(1, 3); RETURN NEXT x; END';
CREATE TABLE parent (a int);
CREATE UNLOGGED TABLE child () INHERITS (parent);
CREATE MATERIALIZED VIEW materialized AS SELECT vol() AS a;
CREATE VIEW over_materialized AS SELECT a FROM materialized;
CREATE VIEW classes AS SELECT relname FROM pg_class;
CREATE VIEW who AS SELECT current_user, current_setting('app.x', true) AS x;
CREATE VIEW young AS SELECT a FROM t WHERE b <= now();
CREATE VIEW today AS SELECT current_date AS a;
CREATE FUNCTION moment() RETURNS timestamptz LANGUAGE sql STABLE AS 'SELECT now()';
GRANT ALL ON ALL TABLES IN SCHEMA c TO app;
ALTER TABLE u OWNER TO app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA c TO app;
"""


# Bodies that are parsed came with PostgreSQL 14.
PARSED = ("BEGIN ATOMIC", "; END") if pg.VERSION >= 14 else ("AS $$", "$$")


@pytest.fixture(scope="module", autouse=True)
def objects(primary, replica):
    primary.su(OBJECTS.replace("{0}", PARSED[0]).replace("{1}", PARSED[1]))
    primary.catch_up(replica)
    yield
    primary.su("DROP SCHEMA c CASCADE; DROP DOMAIN public.twice, public.checked, public.plain")


@pytest.fixture
def session(proxy):
    """session(way, *names): a session of a new proxy that the catalog has told of these names."""
    def make(way="simple", *names, **params):
        path = "-c search_path=c,public"
        p = proxy(notice_per_node_statement=True, **params).learn("c.known", *names, options=path)

        def other(way="simple"):
            s = Session(p, way, options=path)
            s.other = other
            return s
        return other(way)
    return make


TELLING = [f"SELECT count(*) FROM {name}" for name in (
    "s", "serial_id_seq", '"größe"', "last", "nested", "locks", "pg_locks_v", "activity", "cursors",
    "prepared", "channels", "senders", "xid", "recovery", "hot", "parameters", "in_where", "secret",
    "invoker", "operators", "domains", "parent")] + [
    "SELECT agg(a) FROM t", "SELECT defaults()", "SELECT next()",
    "SELECT standby()", "SELECT * FROM cur()", "SELECT * FROM cur_out()", "SELECT cur_in('cc')",
    "SELECT * FROM cur_set()"] + ["SELECT parsed()"] * (pg.VERSION >= 14)

PLAIN = [f"SELECT count(*) FROM {name}" for name in (
    "t", '"maß"', "materialized", "over_materialized", "classes", "who", "young", "today", "open",
    "information_schema.columns")] + [
    "SELECT adds(a) FROM t", "SELECT wraps()", "SELECT moment()", "SELECT 1::plain FROM t"]


@pytest.mark.parametrize("sql", TELLING)
def test_it_never_goes_to_a_replica(session, sql):
    s = session()
    assert s.nodes(sql) == P
    s.settles("SELECT a FROM u", R)             # asked for later, so this is known, too
    for way in ("simple", "unnamed", "named"):
        s = s.other(way)
        assert s.nodes(sql) == P


@pytest.mark.parametrize("sql", PLAIN)
def test_it_goes_to_a_replica_once_it_is_known(session, sql):
    s = session()
    s.nodes(sql)                # the primary's, unless the answer was faster than a new connection
    s.other().settles(sql, R)   # this one may doubt what is known: it called what it did not know


@pytest.mark.parametrize("sql", ["SELECT 1 ### 2", "SELECT 1 OPERATOR(c.###) 2", "SELECT 5::checked",
                                 "SELECT CAST(5 AS twice)", "SELECT checked '5'"])
def test_code_that_nothing_calls(session, sql):
    s = session()
    assert s.nodes(sql) == P


def test_two_sessions_try_one_lock(session):
    a = session()
    b = a.other()
    a.script("BEGIN")
    b.script("BEGIN")
    assert a.value("SELECT a FROM locks") == "t"
    assert b.value("SELECT pg_try_advisory_xact_lock(5)") == "f"


@pytest.mark.parametrize("call", ["SELECT cur()", "SELECT x FROM cur_out()", "SELECT cur_in('cc')",
                                  "SELECT * FROM cur_set()"])
def test_a_cursor_is_fetched_where_it_was_opened(session, call):
    s = session()
    for _ in range(3):
        s.script("BEGIN", call)
        assert s.value("FETCH cc") == "1"
        s.script("ROLLBACK")
        s.other().settles("SELECT a FROM u", R)


# ---- names that become known ------------------------------------------------------------------

def test_ddl_costs_next_to_no_read(session):
    """Names in use are asked for at once, not when the next read comes."""
    s = session("simple", "c.t")
    for i in range(5):
        s.settles("SELECT a FROM c.t", R)
        s.other().script(f"CREATE TABLE c.new{i} (a int)")
        s.other().settles("SELECT a FROM c.known", R)
        assert s.nodes("SELECT a FROM c.t") == R
    for i in range(5):
        s.other().script(f"DROP TABLE c.new{i}")


def test_a_table_becomes_a_view_over_a_sequence(session, primary, replica):
    s = session("simple", "c.u")
    o = s.other()
    assert s.nodes("SELECT count(*) FROM c.u") == R
    o.script("ALTER TABLE c.u RENAME TO u_old", "CREATE VIEW c.u AS SELECT last_value AS a FROM c.s")
    primary.catch_up(replica)
    for _ in range(3):
        assert s.nodes("SELECT count(*) FROM c.u") == P
        o.settles("SELECT a FROM c.known", R)
    o.script("DROP VIEW c.u", "ALTER TABLE c.u_old RENAME TO u")


def test_what_an_unknown_view_wrote_is_seen(session):
    s = session("simple", "c.u")
    before = s.value("SELECT count(*) FROM c.u")
    s.script("BEGIN")
    assert s.nodes("SELECT a FROM writing") == P
    assert s.value("SELECT count(*) FROM c.u") == str(int(before) + 1)
    s.script("ROLLBACK")
    s.settles("SELECT count(*) FROM c.u", R)


def test_an_unknown_table_is_no_write_of_the_session(session):
    for mode in ("always", "trans_transaction"):
        s = session("simple", disable_load_balance_on_write=mode)
        s.script("BEGIN")
        s.script("SELECT a FROM t", "COMMIT")
        s.settles("SELECT a FROM t", R)
        assert [s.nodes(x) for x in ("BEGIN", "SELECT a FROM t", "COMMIT")][1] == R


@pytest.mark.parametrize("sql", [
    "WITH t AS (SELECT 1 AS a) SELECT * FROM t", "WITH t AS (SELECT 1 AS a) SELECT (TABLE t)",
    "WITH RECURSIVE t(a) AS (SELECT 1 UNION SELECT a + 1 FROM t WHERE a < 3) SELECT * FROM t"])
def test_a_name_from_with_is_no_table(session, sql):
    assert session().nodes(sql) == R


# ---- what is no write -------------------------------------------------------------------------

HELD = ["SELECT count(*) FROM pg_class", "SELECT a FROM unlogged", "SELECT count(*) FROM last",
        "SELECT a FROM mine", "SELECT now()", "TABLE unlogged",
        "COPY unlogged TO STDOUT"] + ["SHOW in_hot_standby"] * (pg.VERSION >= 14)


@pytest.mark.parametrize("way", ["simple", "unnamed", "named"])
@pytest.mark.parametrize("sql", HELD)
def test_a_read_of_the_primary_s_is_no_write(session, sql, way):
    s = session(way, "c.t", disable_load_balance_on_write="trans_transaction")
    s.other().run("SELECT 1 FROM unlogged, last")
    s.other().settles("SELECT a FROM u", R)
    s.other().script("BEGIN", "SELECT a FROM unlogged", "COMMIT")       # asks for the level
    s.script("CREATE TEMP TABLE mine (a int)", "BEGIN")
    assert s.nodes(sql) == P
    assert s.nodes("SELECT a FROM c.t") == R
    s.script("COMMIT", "BEGIN")
    assert s.nodes("SELECT a FROM c.t") == R
    s.script("COMMIT")


def test_functions_that_only_read_are_rated_so_by_this_postgresql(primary):
    """What a version rates otherwise is no read; a name that it does not have is somebody's own."""
    with open(os.path.join(os.path.dirname(pg.HERE), "sql", "func.h")) as f:
        names = re.findall(r"\\\d{3}([a-z0-9_]+)", f.read())
    rated = {name for name, in primary.su(make_functions.WRITES)}
    assert len(names) > 600
    assert set(names) & rated <= make_functions.MISTAKEN


# ---- the time ---------------------------------------------------------------------------------

TIMES = ["SELECT now()", "SELECT current_timestamp", "SELECT transaction_timestamp()",
         "SELECT localtimestamp", "SELECT current_time", "SELECT localtime", "SELECT 'now'::timestamptz",
         "SELECT moment()", "SELECT max(now()) FROM young"]


@pytest.mark.parametrize("sql", TIMES)
def test_a_transaction_has_one_time(session, sql):
    s = session("simple", "c.t")
    s.other().run("SELECT moment() FROM young")
    s.other().settles(sql, R)
    s.script("BEGIN")
    assert s.nodes("SELECT a FROM c.t") == R
    first = s.value(sql)
    assert s.nodes("SELECT a FROM c.t") == R
    assert s.value(sql) == first
    s.script("INSERT INTO c.t VALUES (1)")
    assert s.value(sql) == first
    s.script("ROLLBACK")
    assert s.nodes(sql) == R


def test_what_is_written_has_the_time_that_was_told(session):
    s = session("simple", "c.t")
    s.script("BEGIN")
    s.nodes("SELECT a FROM c.t")
    first = s.value("SELECT now()")
    assert s.value("INSERT INTO c.t VALUES (1) RETURNING b") == first
    s.script("ROLLBACK")


@pytest.mark.parametrize("begin, where", [
    ("BEGIN READ ONLY", P),
    ("START TRANSACTION READ ONLY, ISOLATION LEVEL READ COMMITTED", P),
    ("BEGIN READ ONLY, ISOLATION LEVEL REPEATABLE READ", R),
])
def test_a_transaction_that_only_reads_has_one_time(session, begin, where):
    """Whatever it reads may come to run on the primary, but where one snapshot holds it."""
    s = session("simple", "c.t")
    s.script(begin)
    first = s.value("SELECT now()")
    assert s.nodes("SELECT a FROM c.t") == R
    assert s.nodes("SELECT now()") == where and wire.value(s.out) == first
    s.script("COMMIT")


# ---- temporary tables that are gone -----------------------------------------------------------

@pytest.mark.parametrize("steps, where", [
    (["DROP TABLE t"], R),
    (["DROP TABLE IF EXISTS t CASCADE"], R),
    (["DROP TABLE pg_temp.t"], R),
    (['DROP TABLE "t"'], R),
    (["BEGIN", "DROP TABLE t", "COMMIT"], R),
    (["BEGIN", "DROP TABLE t", "ROLLBACK"], P),
    (["BEGIN", "SAVEPOINT x", "DROP TABLE t", "ROLLBACK TO x", "COMMIT"], P),
    (["DROP TABLE t; CREATE TEMP TABLE t (a int)"], P),
    (["BEGIN", "DROP TABLE t", "CREATE TEMP TABLE t (a int)", "COMMIT"], P),
    (["BEGIN", "DROP TABLE t", "CREATE TEMP TABLE t (a int)", "ROLLBACK"], P),
    (["DROP TABLE public.t"], P),
    (["DROP FUNCTION IF EXISTS t()"], P),
    (["DISCARD ALL", "SET search_path = c, public"], R),
    (["DISCARD TEMP"], R),
    (["DISCARD TEMPORARY"], R),
], ids=lambda x: "-".join(x) if isinstance(x, list) else "".join(x))
def test_a_temporary_table_that_is_dropped(session, primary, steps, where):
    primary.su("CREATE TABLE IF NOT EXISTS public.t (a int); GRANT ALL ON public.t TO app;"
               "ALTER TABLE public.t OWNER TO app")
    s = session("simple", "c.t", check_temp_table="trace")
    s.script("CREATE TEMP TABLE t (a int)")
    assert s.nodes("SELECT count(*) FROM t") == P
    s.script(*steps)
    if where == R:
        s.settles("SELECT count(*) FROM t", R)
    else:
        s.other().settles("SELECT a FROM c.t", R)
        assert s.nodes("SELECT count(*) FROM t") == P


@pytest.mark.parametrize("steps", [
    ["BEGIN", "CREATE TEMP TABLE t (a int)", "ROLLBACK"],
    ["BEGIN", "CREATE TEMP TABLE t (a int) ON COMMIT DROP", "COMMIT"],
    ["BEGIN", "CREATE TEMP VIEW t AS SELECT 1 AS a", "DROP VIEW t", "COMMIT"],
    ["CREATE TEMP TABLE t (a int) ON COMMIT DROP"],
    ["CREATE TEMP SEQUENCE t", "DROP SEQUENCE t"],
    ["CREATE TEMP TABLE t (a int); CREATE TEMP TABLE \"T\" (a int); DROP TABLE \"T\", t"],
], ids="-".join)
def test_a_temporary_table_that_is_not_there(session, steps):
    s = session("simple", "c.t", check_temp_table="trace")
    s.script(*steps)
    s.settles("SELECT a FROM t", R)


def test_a_temporary_table_that_a_failed_text_made(session):
    s = session("simple", "c.t", check_temp_table="trace")
    s.run("CREATE TEMP TABLE t (a int); SELECT 1 / 0")
    s.settles("SELECT a FROM t", R)
    s.script("CREATE TEMP TABLE t (a int)")
    s.run("DROP TABLE t; SELECT 1 / 0")
    assert s.nodes("SELECT count(*) FROM t") == P


def test_a_temporary_table_gets_the_name_of_a_permanent_one(session):
    s = session("simple", "c.t")
    s.script("CREATE TEMP TABLE other AS SELECT 7 AS a", "ALTER TABLE other RENAME TO t")
    for _ in range(3):
        assert s.value("SELECT a FROM t") == "7"
        s.other().settles("SELECT a FROM c.known", R)


def test_quoted_names_of_temporary_tables(session):
    s = session("simple", '"Quoted"')
    s.script('CREATE TEMP TABLE "Quoted" AS SELECT 7 AS a')
    assert s.value('SELECT a FROM "Quoted"') == "7" and s.value('TABLE pg_temp."Quoted"') == "7"
    s.script('DROP TABLE "Quoted"')
    s.settles('SELECT a FROM "Quoted"', R)


def test_pipelined_drops(session):
    """Each counts when it has been answered."""
    s = session("simple", "c.t", check_temp_table="trace")
    s.wire.ask(query("CREATE TEMP TABLE t (a int)") + query("DROP TABLE t")
               + parse("", "CREATE TEMP TABLE t (a int)") + bind() + execute()
               + parse("", "DROP TABLE t") + bind() + execute() + sync(), 3)
    s.settles("SELECT a FROM t", R)


def test_many_names_that_are_gone_cost_nothing(session):
    s = session("simple", "c.t")
    for i in range(20):
        s.script("; ".join(f"CREATE TEMP TABLE gone{i}_{j} (a int)" for j in range(20)),
                 "; ".join(f"DROP TABLE gone{i}_{j}" for j in range(20)))
    wait_until(lambda: s.nodes("SELECT a FROM c.t") == R, "they are forgotten")


# A database without any code of its own, as most are: there nothing but the views themselves says
# what they do.
CALM = """
CREATE TABLE t (a int);
INSERT INTO t VALUES (1);
CREATE TABLE u (a text);
CREATE VIEW zone AS SELECT set_config('timezone', 'Asia/Tokyo', false) AS a;
CREATE VIEW named AS SELECT set_config('my.y', 'b', false) AS a;
CREATE VIEW nested AS SELECT a FROM named;
CREATE VIEW computed AS SELECT set_config('my.' || 'y', 'b', false) AS a;
GRANT ALL ON ALL TABLES IN SCHEMA public TO app;
GRANT ALL ON SCHEMA public TO app;
"""


@pytest.fixture(scope="module")
def calm(primary, replica):
    primary.su("CREATE DATABASE calm OWNER app", dbname="postgres")
    primary.su(CALM, dbname="calm")
    primary.catch_up(replica)
    yield
    wait_until(lambda: not primary.backends("datname = 'calm'"), "no session there")
    primary.su("DROP DATABASE calm WITH (FORCE)", dbname="postgres")


@pytest.fixture
def calm_session(proxy, calm):
    p = proxy(notice_per_node_statement=True, connection_cache=False)
    opened = []

    def make():
        opened.append(Session(p, database="calm"))
        return opened[-1]
    yield make
    for s in opened:
        s.wire.bye()
    p.stop()


def has_set(s, name, value, where):
    read = f"SELECT current_setting('{name}', true) FROM t"
    for _ in range(5):
        assert s.value(read) == value
    if where == R:
        s.settles(read, R)
        assert s.value(read) == value
    else:
        assert s.nodes(read) == P


@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("view, name, value, where", [
    ("zone", "timezone", "Asia/Tokyo", R), ("named", "my.y", "b", R), ("nested", "my.y", "b", R),
    ("computed", "my.y", "b", P)])
@pytest.mark.parametrize("sql", [
    "SELECT a FROM {}", "INSERT INTO u SELECT a FROM {}", "CREATE TEMP TABLE v AS SELECT a FROM {}",
    "EXPLAIN ANALYZE SELECT a FROM {}", "DECLARE x CURSOR WITH HOLD FOR SELECT a FROM {}"])
def test_what_a_view_sets_is_set_on_replicas(calm_session, known, view, name, value, where, sql):
    if known:
        first = calm_session()
        first.script(f"SELECT a FROM {view}")
        wait_until(lambda: calm_session().nodes("SELECT a FROM t") == R, "an answer")
    s = calm_session()
    s.settles("SELECT a FROM t", R)
    s.script(sql.format(view))
    has_set(s, name, value, where)


# What runs when somebody writes, or calls, and is no code in a language: a way to have an expression
# evaluated there, and the statement that does it.
HOOKS = {
    "rule": ("CREATE RULE r AS ON INSERT TO x DO ALSO SELECT {}", "INSERT INTO x VALUES ('a')"),
    "condition": ("CREATE RULE r AS ON INSERT TO x WHERE {} IS NOT NULL DO INSTEAD NOTHING",
                  "INSERT INTO x VALUES ('a')"),
    "default": ("ALTER TABLE x ADD b text DEFAULT {}", "INSERT INTO x VALUES ('a')"),
    "check": ("ALTER TABLE x ADD CHECK ({} IS NOT NULL)", "INSERT INTO x VALUES ('a')"),
    "domain": ("CREATE DOMAIN d AS text CHECK ({} IS NOT NULL); ALTER TABLE x ADD b d",
               "INSERT INTO x VALUES ('a', 'b')"),
    "domain's default": ("ALTER TABLE x ADD b text; CREATE DOMAIN d AS text DEFAULT {};"
                         "ALTER TABLE x ALTER b TYPE d", "INSERT INTO x VALUES ('a')"),
    "policy": ("ALTER TABLE x ENABLE ROW LEVEL SECURITY;"
               "CREATE POLICY p ON x WITH CHECK ({} IS NOT NULL)", "INSERT INTO x VALUES ('a')"),
    "trigger": ("CREATE TRIGGER g BEFORE UPDATE ON x FOR EACH ROW WHEN ({} IS NOT NULL)"
                " EXECUTE FUNCTION suppress_redundant_updates_trigger()", "UPDATE x SET a = 'b'"),
    "argument": ("CREATE FUNCTION f(text DEFAULT {}) RETURNS text LANGUAGE sql AS 'SELECT $1'",
                 "SELECT f()"),
    "returning": ("CREATE VIEW v AS SELECT a, {} AS b FROM x", "UPDATE v SET a = 'b' RETURNING b"),
    "body": ("CREATE VIEW v AS SELECT {} AS b;"
             "CREATE FUNCTION f() RETURNS text LANGUAGE sql AS 'SELECT b FROM v'", "SELECT f()"),
    "parsed body": ("CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC SELECT {}::text; END",
                    "SELECT f()"),
    "parsed body's write": ("CREATE FUNCTION f() RETURNS text LANGUAGE sql BEGIN ATOMIC"
                           " INSERT INTO x VALUES ({}) RETURNING a; END", "SELECT f()"),
    "rule's view": ("CREATE VIEW v AS SELECT {} AS b;"
                    "CREATE RULE r AS ON INSERT TO x DO ALSO SELECT b FROM v",
                    "INSERT INTO x VALUES ('a')"),
    "operator": ("CREATE FUNCTION f(text, text) RETURNS boolean LANGUAGE sql AS"
                 " $$ SELECT {} IS NOT NULL $$;"
                 "CREATE OPERATOR ### (LEFTARG = text, RIGHTARG = text, FUNCTION = f);"
                 "ALTER TABLE x ADD CHECK (a ### 'b')", "INSERT INTO x VALUES ('a')"),
    "index": ("CREATE FUNCTION f(text) RETURNS text IMMUTABLE LANGUAGE plpgsql AS"
              " $$ BEGIN PERFORM {}; RETURN $1; END $$; CREATE INDEX ON x (f(a))",
              "INSERT INTO x VALUES ('a')"),
}


if pg.VERSION < 14:
    HOOKS = {name: hook for name, hook in HOOKS.items() if "parsed" not in name}


@pytest.fixture(scope="module")
def quiet(primary):
    primary.su("CREATE DATABASE quiet OWNER app", dbname="postgres")
    primary.su("CREATE TABLE t (a int); INSERT INTO t VALUES (1); GRANT ALL ON t TO app",
               dbname="quiet")
    yield
    wait_until(lambda: not primary.backends("datname = 'quiet'"), "no session there")
    primary.su("DROP DATABASE quiet WITH (FORCE)", dbname="postgres")


@pytest.fixture
def quiet_session(proxy, quiet, primary, replica):
    """quiet_session(ddl): a session of a database that has, but for a table x, only this."""
    p = proxy(notice_per_node_statement=True, connection_cache=False)
    opened = []

    def make(ddl=""):
        primary.su("CREATE SCHEMA h; SET search_path = h, public; CREATE TABLE x (a text);"
                   f"INSERT INTO x VALUES ('a'); {ddl}; GRANT ALL ON SCHEMA h TO app;"
                   "GRANT ALL ON ALL TABLES IN SCHEMA h TO app", dbname="quiet")
        primary.catch_up(replica)
        return other()

    def other():
        opened.append(Session(p, database="quiet", options="-c search_path=h,public"))
        return opened[-1]
    make.other = other
    yield make
    for s in opened:
        s.wire.bye()
    p.stop()
    primary.su("DROP SCHEMA IF EXISTS h CASCADE", dbname="quiet")


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name, written, value, where", [
    ("timezone", "'timezone'", "Asia/Tokyo", R), ("my.y", "'my.y'", "b", R),
    ("my.y", "'my.' || 'y'", "b", P)])
def test_what_an_expression_sets_is_set_on_replicas(quiet_session, hook, name, written, value,
                                                    where):
    ddl, sql = HOOKS[hook]
    quiet_session(ddl.format(f"set_config({written}, '{value}', false)"))
    wait_until(lambda: quiet_session.other().nodes("SELECT a FROM t") == R, "an answer")
    s = quiet_session.other()
    s.settles("SELECT a FROM t", R)
    s.script(sql)
    has_set(s, name, value, where)


@pytest.mark.parametrize("hook", HOOKS)
def test_what_an_expression_locks_stays_locked(proxy, quiet_session, primary, hook):
    """Whatever would give the connection to the primary back."""
    ddl, sql = HOOKS[hook]
    p = proxy(num_init_children=1, notice_per_node_statement=True)
    quiet_session(ddl.format("pg_try_advisory_lock_shared(7)"))
    first = Session(p, database="quiet")
    wait_until(lambda: first.nodes("SELECT a FROM t") == R, "an answer")
    first.wire.bye()
    s = Session(p, database="quiet", search_path="h,public")
    s.script(sql, "RESET ALL")
    assert s.value("SELECT a FROM t") == "1"
    assert primary.su("SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 7")
    s.wire.bye()
    p.stop()


SETS = "set_config('timezone', 'Asia/Tokyo', false)"
CODE = ("CREATE FUNCTION f(text) RETURNS text LANGUAGE plpgsql AS"
        f" $$ BEGIN PERFORM {SETS}; RETURN $1; END $$")
TRIGGER = ("CREATE FUNCTION tg() RETURNS trigger LANGUAGE plpgsql AS"
           f" $$ BEGIN PERFORM {SETS}; RETURN NEW; END $$")


@pytest.mark.parametrize("ddl, sql", [
    ("", [f"CREATE TEMP TABLE z (a text, b text DEFAULT {SETS})", "INSERT INTO z VALUES ('a')"]),
    ("", [f"CREATE TEMP TABLE z (a text CHECK ({SETS} IS NOT NULL))", "INSERT INTO z VALUES ('a')"]),
    ("", ["CREATE TEMP TABLE z (a text)", f"ALTER TABLE z ADD b text DEFAULT {SETS}",
          "INSERT INTO z VALUES ('a')"]),
    ("", ["CREATE TEMP TABLE z (a text)", f"CREATE RULE g AS ON INSERT TO z DO ALSO SELECT {SETS}",
          "INSERT INTO z VALUES ('a')"]),
    ("", [f"CREATE TEMP VIEW z AS SELECT {SETS} AS a", "SELECT a FROM z"]),
    ("", [f"CREATE TEMP VIEW z AS SELECT {SETS} AS a", "SELECT a FROM z; SELECT a FROM t"]),
    ("", ["CREATE FUNCTION pg_temp.f() RETURNS text LANGUAGE plpgsql AS"
          f" $$ BEGIN RETURN {SETS}; END $$", "SELECT pg_temp.f()"]),
    (CODE, ["CREATE TEMP VIEW z AS SELECT f('a') AS a", "SELECT a FROM z"]),
    (CODE, ["CREATE TEMP TABLE z (a text, b text DEFAULT f('a'))", "INSERT INTO z VALUES ('a')"]),
    (TRIGGER, ["CREATE TEMP TABLE z (a text)", "CREATE TRIGGER g BEFORE INSERT ON z FOR EACH ROW"
               " EXECUTE FUNCTION tg()", "INSERT INTO z VALUES ('a')"]),
    ("", ["BEGIN", f"CREATE TEMP TABLE z (a text, b text DEFAULT {SETS}) ON COMMIT DROP",
          "INSERT INTO z VALUES ('a')", "COMMIT"]),
    (f"{CODE}; CREATE VIEW v AS SELECT a FROM x WHERE f(a) IS NOT NULL", ["UPDATE v SET a = 'b'"]),
    (f"{CODE}; CREATE VIEW v AS SELECT a FROM x WHERE f(a) IS NOT NULL", ["DELETE FROM v"]),
    (f"{CODE}; CREATE VIEW v AS SELECT a, f(a) AS b FROM x", ["UPDATE v SET a = 'b' RETURNING b"]),
    (f"{CODE}; CREATE VIEW v AS SELECT a FROM x WHERE f(a) > '' WITH CHECK OPTION; DELETE FROM x",
     ["INSERT INTO v VALUES ('b')"]),
    (f"CREATE VIEW v AS SELECT {SETS} AS a",
     ["DO $$BEGIN CREATE TEMP TABLE z AS SELECT 6 AS i; END$$", "SELECT a FROM v; SELECT i FROM z"]),
    ("", ["UPDATE U&\"pg_setting\\0073\" SET setting = 'Asia/Tokyo' WHERE name = 'TimeZone'"]),
], ids=lambda x: "; ".join(x) if isinstance(x, list) else "")
def test_what_temporary_objects_and_views_set_is_set_on_replicas(quiet_session, ddl, sql):
    quiet_session(ddl)
    wait_until(lambda: quiet_session.other().nodes("SELECT a FROM t") == R, "an answer")
    s = quiet_session.other()
    s.settles("SELECT a FROM t", R)
    s.script(*sql)
    has_set(s, "timezone", "Asia/Tokyo", R)


def test_many_custom_parameters_of_long_names(quiet_session):
    s = quiet_session()
    for i in range(199):
        s.script(f"SET my.{'y' * 50}{i:03d} = 'a'")
    quiet_session.other().script("CREATE TABLE y (a int)")
    s = quiet_session.other()
    s.script("DO $$ BEGIN END $$")
    s.settles("SELECT a FROM t", R)


@pytest.mark.parametrize("name", ["mé.y", "my." + 80 * "y", 70 * "m" + ".y"])
@pytest.mark.parametrize("sql", ["SELECT set_config('{}', 'b', false)", "SET {} = 'b'", "INSERT INTO x"])
def test_a_custom_parameter_of_an_odd_name(quiet_session, name, sql):
    if pg.VERSION < 14 and "é" in name:
        pytest.skip("it allows no such names")
    s = quiet_session(f"ALTER TABLE x ADD b text DEFAULT set_config('{name}', 'b', false)")
    s.settles("SELECT a FROM t", R)
    s.script(sql.format(name) if "INSERT" not in sql else sql + " VALUES ('a')")
    cut = ".".join(part[:63] for part in name.split(".")) if "SET" in sql else name
    has_set(s, cut, "b", R if cut != name else P)


def test_a_custom_parameter_of_a_name_that_is_too_long(quiet_session):
    """Nobody's session suffers from a view that it does not read."""
    long = "y" * 20000
    s = quiet_session(f"CREATE VIEW v AS SELECT set_config('my.{long}', 'b', false) AS a")
    s.settles("SELECT a FROM t", R)
    s.script("SET enable_hashjoin = off")
    s.settles("SELECT a FROM t", R)


@pytest.mark.parametrize("ddl, sql", [
    ("CREATE VIEW v AS SELECT set_config('my.y', a, false) AS b FROM x", "EXPLAIN SELECT * FROM v"),
    pytest.param("CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC SELECT count(*) FROM x;"
                 " END; CREATE FUNCTION g() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END'",
                 "SELECT g()", marks=pytest.mark.skipif(pg.VERSION < 14, reason="parsed bodies")),
])
def test_a_lock_on_what_code_names_is_nobody_else_s(quiet_session, primary, ddl, sql):
    s = quiet_session(f"{ddl}; CREATE TABLE y (a int)")
    with primary.connect(user="postgres", dbname="quiet") as c:
        c.execute("BEGIN; LOCK TABLE h.x")
        if "EXPLAIN" in sql:
            s.wire.send(query(sql))         # it waits for the lock itself
            s = quiet_session.other()
            wait_until(lambda: s.nodes("SELECT a FROM y") == R, "an answer", 5)
        else:
            s.script(sql)
            s.settles("SELECT a FROM t", R)
        c.execute("ROLLBACK")


OFF = "UPDATE pg_settings SET setting = 'off' WHERE name = 'enable_hashjoin'"


@pytest.mark.parametrize("sql", [
    [OFF], [OFF.replace("pg_settings", "pg_catalog.pg_settings s")], [f"EXPLAIN ANALYZE {OFF}"],
    [OFF.replace("pg_settings", 'ONLY "pg_settings"')], [f"PREPARE p AS {OFF}", "EXECUTE p"],
    ["WITH x AS (SELECT 1) " + OFF], ["BEGIN", OFF, "COMMIT"], [f"SELECT 1; {OFF}"],
    ["INSERT INTO x VALUES ('a')"]])
def test_what_an_update_of_pg_settings_sets_is_set_on_replicas(quiet_session, sql):
    s = quiet_session(f"CREATE RULE r AS ON INSERT TO x DO ALSO {OFF}")
    s.settles("SELECT a FROM t", R)
    s.script(*sql)
    has_set(s, "enable_hashjoin", "off", R)


@pytest.mark.parametrize("sql, code", [("SELECT fresh()", None), ("SELECT nextval('missing')", "42P01"),
                                       ("SELECT nextval('s')", "25006"),
                                       ("SELECT pg_advisory_lock(6)", "40001")])
def test_what_is_called_where_the_snapshot_is(quiet_session, sql, code):
    """The bodies of code are asked for, if nobody has yet."""
    s = quiet_session("CREATE FUNCTION fresh() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';"
                      "CREATE SEQUENCE s; GRANT ALL ON s TO app")
    s.settles("SELECT a FROM t", R)
    s.script("BEGIN ISOLATION LEVEL REPEATABLE READ, READ ONLY")
    assert s.nodes("SELECT a FROM t") == R
    quiet_session.other().script("CREATE TABLE y (a int)", "DROP TABLE y")
    s.run(sql)
    assert wire.errors(s.out) == ([code] if code else [])
