"""What the catalog says of the names in statements, and what other sessions wrote.  The witness is
notice_per_node_statement: a statement that a replica could not answer was sent to two nodes."""

import re
import threading
import time

import pytest

import pg
import wire
from wire import (bind, copy_data, copy_done, describe, execute, flush, parse, query, sync,
                  wait_until)

pytestmark = pytest.mark.proxy

P, R = ["0"], ["1"]
WAYS = ["simple", "unnamed", "named"]

# Requests that execute what an earlier one, or an earlier part of the same one, bound or prepared:
# each a list of what is sent before an answer is awaited.
APART = {
    "parse H": lambda sql: [parse("", sql) + describe("S") + flush(), bind() + execute() + sync()],
    "parse name H": lambda sql: [parse("x", sql) + describe("S", "x") + flush(),
                                 bind("", "x") + execute() + sync()],
    "bind H": lambda sql: [parse("", sql) + bind() + flush(), execute() + sync()],
    "bind portal H": lambda sql: [parse("", sql) + bind("p") + flush(), execute("p") + sync()],
    "two portals H": lambda sql: [parse("", sql) + bind("p") + parse("", "SELECT 1") + bind("q")
                                  + flush(), execute("p") + execute("q") + sync()],
    "two portals": lambda sql: [parse("", sql) + bind("p") + parse("", "SELECT 1") + bind("q")
                                + execute("p") + execute("q") + sync()],
    "long": lambda sql: [parse("", sql) + bind() + parse("z", f"SELECT '{'x' * 200000}'") + execute()
                         + sync()],
    "behind another": lambda sql: [parse("y", "SELECT pg_sleep(0.2)") + bind("", "y") + execute() + sync()
                                   + parse("", sql) + bind("p") + flush(), execute("p") + sync()],
}

OBJECTS = """
DROP SCHEMA IF EXISTS k CASCADE;
DROP SCHEMA IF EXISTS k2 CASCADE;
CREATE SCHEMA k;
CREATE SCHEMA k2;
GRANT ALL ON SCHEMA k, k2 TO app;
CREATE TABLE k.t (a int);
CREATE TABLE k.u (a int);
CREATE TABLE k.big (a text);
INSERT INTO k.t VALUES (1);
INSERT INTO k.u VALUES (1);
CREATE UNLOGGED TABLE k.unlogged (a int);
CREATE VIEW k.over_unlogged AS SELECT a FROM k.unlogged;
CREATE VIEW k.over_view AS SELECT t.a FROM k.t JOIN k.over_unlogged o ON o.a = t.a;
CREATE VIEW k.over_tables AS SELECT t.a FROM k.t JOIN k.u USING (a);
CREATE TABLE k.parts (a int) PARTITION BY RANGE (a);
CREATE TABLE k.part1 PARTITION OF k.parts FOR VALUES FROM (0) TO (10);
CREATE UNLOGGED TABLE k.part2 PARTITION OF k.parts FOR VALUES FROM (10) TO (20);
CREATE SEQUENCE k.s;
CREATE FUNCTION k.stable(int) RETURNS int LANGUAGE sql STABLE AS 'SELECT $1';
CREATE FUNCTION k.immutable() RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT 1';
CREATE FUNCTION k.volatile() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION k.mixed() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE FUNCTION k.mixed(int) RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION k2.volatile_here() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE FUNCTION k.volatile_here() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE VIEW k.over_volatile AS SELECT k.volatile() AS a;
CREATE VIEW k.over_sequence AS SELECT nextval('k.s') AS a;
CREATE TABLE k.maß AS SELECT 1 AS a;
CREATE FUNCTION k.read_t() RETURNS int LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN (SELECT a FROM t); END $$;
CREATE VIEW k.over_read_t AS SELECT k.read_t() AS a;
CREATE VIEW k.over_stable AS SELECT k.stable(1) AS a;
CREATE FUNCTION k.hide(name text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE format('CREATE TEMP TABLE %I AS SELECT 7 AS a', name); RETURN 1; END $$;
CREATE FUNCTION k.show(name text) RETURNS int LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE format('DROP TABLE pg_temp.%I', name); RETURN 1; END $$;
CREATE VIEW k.hider AS SELECT k.hide('t') AS a;
CREATE PROCEDURE k.hide_it(name text) LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE format('CREATE TEMP TABLE %I AS SELECT 7 AS a', name); END $$;
GRANT ALL ON ALL TABLES IN SCHEMA k TO app;
GRANT ALL ON ALL SEQUENCES IN SCHEMA k TO app;
DO $$ BEGIN FOR i IN 1 .. 150 LOOP
    EXECUTE format('CREATE FUNCTION k.many%s() RETURNS int LANGUAGE sql STABLE AS ''SELECT 1''', i);
    EXECUTE format('CREATE TABLE k.table%s (a int)', i);
    EXECUTE format('ALTER TABLE k.table%s OWNER TO app', i);
END LOOP; END $$;
ALTER ROLE app SET search_path = k, public;
"""

GONE = "DROP SCHEMA k CASCADE; DROP SCHEMA k2 CASCADE; ALTER ROLE app RESET search_path"


@pytest.fixture(scope="module", autouse=True)
def objects(primary, replica):
    primary.su(OBJECTS)
    primary.catch_up(replica)
    yield
    primary.su(GONE)


class Session:
    """A session that says to which nodes each statement was sent, in order."""

    def __init__(self, proxy, way="simple", **login):
        self.wire, self.way, self.names = proxy.raw(**login), way, {}
        self.proxy = proxy

    def run(self, sql, way=None):
        way = way or self.way
        if way == "simple":
            self.wire.send(query(sql))
        elif way == "unnamed":
            self.wire.send(parse("", sql) + bind() + describe("P") + execute() + sync())
        else:
            if sql not in self.names:
                self.names[sql] = f"n{len(self.names)}"
                self.wire.ask(parse(self.names[sql], sql) + sync())
            self.wire.send(bind("", self.names[sql]) + describe("P") + execute() + sync())
        out = self.wire.until("GZ")
        if out[-1].type == "G":
            self.wire.send(copy_data(b"5\n") + copy_done() + (b"" if way == "simple" else sync()))
            out += self.wire.reply()
        self.out = out
        sent = [re.fullmatch(r"DB node id: (\d) statement: (Execute: )?(.*)", m.fields["M"], re.S)
                for m in out if m.type == "N"]
        return [m[1] for m in sent if m and m[3] == sql[:900] and bool(m[2]) == (way != "simple")]

    def apart(self, sql, how):
        """In one of the ways of APART."""
        *first, last = APART[how](sql)
        for part in first:
            self.wire.send(part)
            self.wire.until("C" if sync() in part else "nT2")
        out = self.wire.ask(last, last.count(sync()) + sum(x.count(sync()) for x in first))
        assert wire.errors(out) == [], out

    def nodes(self, sql, way=None):
        """Where it was sent; it must succeed."""
        nodes = self.run(sql, way)
        assert wire.errors(self.out) == [], self.out
        return nodes

    def value(self, sql):
        self.nodes(sql)
        return wire.value(self.out)

    def script(self, *statements):
        for sql in statements:
            self.nodes(sql)

    def settles(self, sql, nodes):
        """It goes there, if not at once, then as soon as the catalog has answered."""
        wait_until(lambda: self.nodes(sql) == nodes, f"{sql} on {nodes}")

    def stays(self, sql, nodes, after):
        """It goes there, also when a name that was asked for later is known."""
        assert self.nodes(sql) == nodes
        self.learned(after)
        assert self.nodes(sql) == nodes

    def knows_code(self):
        """It is known what the functions of the database may do: before, a read behind a write goes to the
        primary, lest a trigger has set something."""
        with Session(self.proxy).wire as w:
            w.ask(query("UPDATE k.u SET a = a WHERE false"))
            wait_until(lambda: "DB node id: 1" in str(w.ask(query("SELECT a FROM k.u"))), "an answer")

    def learned(self, n=1):
        """All names so far have been answered: one that was asked for later is known.  Another session
        asks, since an unknown function makes the session that calls it doubt what is known."""
        with Session(self.proxy).wire as w:
            text = query(f"SELECT k.many{n}()")
            wait_until(lambda: "DB node id: 1" in str(w.ask(text)), "an answer of the catalog")


KNOWN = ["t", "u", "k.t", "k.table1", "over_tables", "big", "k.big",
         *[f"table{i}" for i in (1, 2, 3, 4, 128, 129)]]


@pytest.fixture
def session(proxy):
    """session(way, **parameters): a session of a new proxy that knows these tables."""
    def make(way="simple", login=None, knows=KNOWN, **params):
        p = proxy(notice_per_node_statement=True, **params)
        if knows:
            p.learn(*knows)
        s = Session(p, way, **(login or {}))
        s.other = lambda way="simple", **kw: Session(p, way, **kw)
        return s
    return make


# ---- functions --------------------------------------------------------------------------------

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql", [
    "SELECT stable(1)", "SELECT k.stable(1)", "SELECT K.\"stable\"(1), immutable()",
    "SELECT lower('A'), immutable() FROM t", "SELECT * FROM stable(1) x", "SELECT k.volatile_here()",
    "PREPARE p AS SELECT immutable()", "COPY (SELECT immutable()) TO STDOUT",
])
def test_a_function_that_only_reads_is_balanced(session, way, sql):
    s = session(way)
    if sql.startswith("PREPARE"):
        s.run("DEALLOCATE ALL")
        s.run(sql)
        s.settles("EXECUTE p", R)
        return
    s.nodes(sql)                        # nobody waits for the answer
    s.settles(sql, R)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql", [
    "SELECT volatile()", "SELECT k.volatile()", "SELECT mixed()", "SELECT volatile_here()",
    "SELECT stable(1), volatile()", "SELECT nextval('s')", "SELECT random()", "SELECT pg_sleep(0)",
    "SELECT pg_listening_channels()", "SELECT pg_catalog.pg_is_in_recovery()",
])
def test_a_function_that_may_write_is_not(session, way, sql):
    session(way).stays(sql, P, after=1)


def test_a_function_that_nobody_knows(session):
    s = session()
    for _ in range(2):
        assert s.run("SELECT no_such_function()") == P and wire.errors(s.out) == ["42883"]
        s.settles("SELECT many1()", R)


def test_lists_of_functions_overrule_the_catalog(session):
    s = session(write_function_list="stable")
    s.stays("SELECT stable(1)", P, after=1)
    s.settles("SELECT volatile()", R)
    s = session(read_only_function_list="volatile,k.many.*")
    s.stays("SELECT stable(1)", P, after=1)
    s.settles("SELECT volatile()", R)


def test_names_of_all_kinds(session, primary):
    names = ['quote"d', "back\\slash", "b{r}a,c e", "it's", "x" * 63, "null", "$1", "a.b"]
    for name in names:
        primary.su(f"CREATE FUNCTION k.\"{name.replace(chr(34), chr(34) * 2)}\"() RETURNS int"
                   " LANGUAGE sql STABLE AS 'SELECT 1'")
    s = session()
    for name in names:
        s.settles(f"SELECT k.\"{name.replace(chr(34), chr(34) * 2)}\"()", R)
    primary.su("CREATE FUNCTION k.\"größe\"() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'")
    s.settles("SELECT k.größe()", R)


def test_more_names_than_one_question_takes(session):
    s = session()
    s.settles("SELECT " + ", ".join(f"k.many{i}()" for i in range(1, 151)), R)


def test_more_names_than_are_remembered(session):
    s = session(relcache_size=3)
    for _ in range(2):
        for i in range(1, 20):
            s.settles(f"SELECT many{i}()", R)
    s.settles("SELECT " + ", ".join(f"many{i}()" for i in range(1, 10)), R)


def test_databases_are_apart(session, primary, replica):
    primary.su("CREATE DATABASE other_names OWNER app", dbname="postgres")
    try:
        primary.su("CREATE FUNCTION same() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1'",
                   dbname="other_names")
        primary.su("CREATE FUNCTION k.same() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'")
        primary.catch_up(replica)
        s = session(connection_cache=False)
        there = s.other(database="other_names")
        s.settles("SELECT same()", R)
        for _ in range(3):
            assert there.nodes("SELECT same()") == P
            assert s.nodes("SELECT same()") == R
        there.wire.bye()
        s.wire.bye()
        s.proxy.stop()
    finally:
        primary.su("DROP FUNCTION k.same()")
        wait_until(lambda: not primary.backends("datname = 'other_names'"), "no session there")
        primary.su("DROP DATABASE other_names", dbname="postgres")


# ---- relations --------------------------------------------------------------------------------

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["unlogged", "k.unlogged", "over_unlogged", "k.over_view", "parts"])
def test_unlogged_tables_and_what_reads_them(session, way, name):
    s = session(way)
    sql = f"SELECT a FROM {name}"
    s.script("SELECT 1")
    s.stays(sql, P, after=1)


@pytest.mark.parametrize("name", ["over_volatile", "k.over_sequence"])
def test_views_that_write(session, name):
    s = session()
    s.settles(f"SELECT a FROM {name}", P)


@pytest.mark.parametrize("name", ["t", "over_tables", "over_stable", "information_schema.tables"])
def test_other_relations_are_balanced(session, name):
    s = session()
    s.settles(f"SELECT count(*) FROM {name}", R)
    s.learned()
    assert s.nodes(f"SELECT count(*) FROM {name}") == R


def test_check_unlogged_table_off(session):
    s = session(check_unlogged_table=False)
    s.settles("SELECT a FROM unlogged", ["1", "0"])


def test_with_names_are_no_tables(session):
    s = session()
    s.stays("WITH cte AS (SELECT a FROM t) SELECT * FROM cte", R, after=1)


# ---- temporary tables -------------------------------------------------------------------------

HIDING = ["SELECT k.hide('t')", "DO $$ BEGIN PERFORM k.hide('t'); END $$", "CALL k.hide_it('t')",
          "WITH x AS (SELECT k.hide('t') AS h) SELECT h FROM x", "SELECT 1; SELECT k.hide('t')",
          "SELECT a FROM k.hider"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql", HIDING)
def test_a_temporary_table_that_a_function_made(session, way, sql):
    """It hides the permanent one that the catalog told of before."""
    s = session(way)
    s.learned()
    assert s.nodes("SELECT a FROM t") == R and s.value("SELECT a FROM t") == "1"
    s.nodes(sql, "simple" if ";" in sql and "DO" not in sql else way)
    assert s.nodes("SELECT a FROM t") == P and s.value("SELECT a FROM t") == "7"
    s.settles("SELECT a FROM u", R)
    assert s.nodes("SELECT a FROM t") == P and s.value("SELECT a FROM t") == "7"
    assert s.nodes("SELECT a FROM k.t") == R or s.nodes("SELECT a FROM k.t") == R


def doubted(s, make):
    """It makes a temporary table t with a 7 in it, and is believed to."""
    s.learned()
    s.settles("SELECT a FROM t", R)
    assert s.value("SELECT a FROM t") == "1"
    s.learned(2)
    make()
    values = {s.value("SELECT a FROM t")}
    s.settles("SELECT a FROM u", R)             # names are looked up again
    values |= {s.value("SELECT a FROM t") for _ in range(3)}
    assert values == {"7"}


@pytest.mark.parametrize("how", APART)
def test_made_by_a_statement_that_was_bound_before(session, how):
    s = session()
    doubted(s, lambda: s.apart("SELECT k.hide('t')", how))


@pytest.mark.parametrize("how", APART)
def test_created_by_a_statement_that_was_bound_before(session, how):
    s = session()
    doubted(s, lambda: s.apart("CREATE TEMP TABLE t AS SELECT 7 AS a", how))


def test_made_by_a_portal_that_is_never_resumed(session):
    s = session()
    text = "SELECT k.hide('t') FROM generate_series(1, 2)"
    doubted(s, lambda: s.wire.ask(parse("", text) + bind() + execute(limit=1) + sync()))


@pytest.mark.parametrize("sql", ["EXPLAIN ANALYZE SELECT a FROM k.hider",
                                 "INSERT INTO k.table3 SELECT a FROM k.hider"])
def test_made_by_a_view_in_what_is_no_read(session, sql):
    s = session()
    s.nodes("EXPLAIN SELECT a FROM k.hider")            # now the view is asked for
    s.learned(3)
    doubted(s, lambda: s.nodes(sql))


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql", ["SELECT k.read_t()", "SELECT a FROM over_read_t"])
def test_read_by_a_function(session, way, sql):
    s = session(way, log_min_messages="debug1")
    s.settles(sql, R)
    assert s.value(sql) == "1"
    s.nodes("CREATE TEMP TABLE t AS SELECT 7 AS a")
    s.learned()
    for _ in range(3):
        assert s.nodes(sql) == P and s.value(sql) == "7"
    s.proxy.wait_log("could not load balance because temporary tables are used")
    assert s.nodes("SELECT lower('A')") == R
    assert s.other().value(sql) == "1"


@pytest.mark.parametrize("lists", [{"write_function_list": "nextval,setval"},
                                   {"read_only_function_list": ".*"}])
def test_made_by_a_function_that_a_list_trusts(session, lists):
    s = session(**lists)
    s.script("SELECT a FROM t", "SELECT a FROM u")
    assert s.nodes("SELECT k.hide('x')") == ["1", "0"]          # refused, and remembered
    s.settles("SELECT a FROM u", R)
    doubted(s, lambda: s.nodes("SELECT k.hide('t')"))


def test_what_ran_on_a_replica_made_nothing(session):
    s = session(write_function_list="nextval,setval")
    s.settles("SELECT a FROM t", R)
    for _ in range(3):
        assert s.nodes("SELECT volatile()") == R and s.nodes("SELECT a FROM t") == R


def test_made_under_a_name_beyond_ascii(session):
    s = session()
    s.settles("SELECT a FROM maß", R)
    s.nodes("SELECT k.hide('maß')")
    assert s.value("SELECT a FROM maß") == "7"
    s.settles("SELECT a FROM u", R)
    assert s.value("SELECT a FROM maß") == "7"
    assert s.other().value("SELECT a FROM maß") == "1"


def test_made_where_nobody_can_ask(session, primary):
    primary.su("CREATE ROLE alone LOGIN CONNECTION LIMIT 1; ALTER ROLE alone SET search_path = k")
    primary.su("GRANT USAGE ON SCHEMA k TO alone; GRANT SELECT ON k.t TO alone")
    try:
        s = session(login={"user": "alone"}, child_life_time=1, knows=[])
        s.nodes("/* no look-up */ SELECT 1")
        assert s.nodes("SELECT a FROM t") == P
        s.proxy.wait_log("could not look names up in the catalog of database")
        assert s.nodes("SELECT a FROM t") == P
        s.nodes("SELECT k.hide('t')")
        for _ in range(3):
            assert s.nodes("SELECT a FROM t") == P and s.value("SELECT a FROM t") == "7"
        s.wire.bye()
        s.proxy.stop()
    finally:
        wait_until(lambda: not primary.backends("usename = 'alone'"), "the end of its sessions")
        primary.su("DROP OWNED BY alone; DROP ROLE alone")


@pytest.mark.parametrize("make", [
    ("CREATE TEMP TABLE x AS SELECT 7 AS a", "ALTER TABLE x RENAME TO t"),
    ("SET search_path = pg_temp, k", "CREATE TABLE t AS SELECT 7 AS a"),
    ("CREATE TABLE k.made AS SELECT k.hide('t')", "DROP TABLE k.made"),
    ("BEGIN", "DECLARE c CURSOR FOR SELECT k.hide('t')", "FETCH c", "COMMIT"),
    ("DECLARE c CURSOR WITH HOLD FOR SELECT k.hide('t')", "FETCH c"),
    ("PREPARE p AS SELECT k.hide('t')", "EXPLAIN ANALYZE EXECUTE p"),
], ids=lambda x: x[1][:20])
def test_made_by_statements(session, make):
    s = session()
    doubted(s, lambda: s.script(*make))


def test_made_by_a_procedure_that_failed(session):
    s = session()
    text = "DO $$ BEGIN CREATE TEMP TABLE t AS SELECT 7 AS a; COMMIT; RAISE 'x'; END $$"
    doubted(s, lambda: s.run(text))


def test_made_by_a_prepare_that_a_bind_names(session):
    s = session()
    s.nodes("PREPARE make AS SELECT k.hide('t')")
    doubted(s, lambda: s.wire.ask(bind("", "make") + execute() + sync()))


@pytest.mark.parametrize("how", APART)
def test_set_by_a_statement_that_was_bound_before(session, how):
    s = session()
    s.nodes("SELECT 1")
    s.apart("SET datestyle TO german", how)
    assert s.nodes("SHOW datestyle") == R and wire.value(s.out).startswith("German")


def test_made_by_an_executed_statement(session):
    s = session()
    s.script("PREPARE make AS SELECT k.hide('t')", "SELECT a FROM t")
    s.learned()
    s.nodes("EXECUTE make")
    assert s.value("SELECT a FROM t") == "7"


@pytest.mark.parametrize("way", WAYS)
def test_made_in_a_transaction(session, way):
    """The catalog tells others of it only when it has been committed."""
    s = session(way, disable_load_balance_on_write="off")
    s.learned()
    assert s.nodes("SELECT a FROM t") == R
    s.script("BEGIN", "SELECT k.hide('t')")
    end = time.monotonic() + 1.2                # longer than answers are good for
    while time.monotonic() < end:
        assert s.nodes("SELECT a FROM t") == P and s.value("SELECT a FROM t") == "7"
    s.nodes("COMMIT")
    assert s.value("SELECT a FROM t") == "7"
    s.settles("SELECT a FROM u", R)
    assert s.nodes("SELECT a FROM t") == P and s.value("SELECT a FROM t") == "7"


def test_dropped_in_a_function(session):
    s = session()
    s.script("SELECT k.hide('t')")
    s.settles("SELECT a FROM u", R)
    assert s.value("SELECT a FROM t") == "7"
    s.script("SELECT k.show('t')")
    assert s.value("SELECT a FROM t") == "1"
    s.settles("SELECT a FROM t", R)


def test_another_session_s_temporary_table(session):
    s = session(knows=[])
    other = s.other()
    other.nodes("SELECT k.hide('u')")
    s.settles("SELECT a FROM u", P)
    assert s.value("SELECT a FROM u") == "1" and other.value("SELECT a FROM u") == "7"
    other.nodes("SELECT k.show('u')")
    wait_until(lambda: s.nodes("SELECT a FROM u") == R, "an answer that is short-lived", 20)


def test_functions_of_postgresql_make_no_tables(session):
    s = session()
    s.settles("SELECT many1()", R)
    s.stays("SELECT nextval('s')", P, after=2)
    assert s.nodes("SELECT a FROM t") in (P, R)
    s.settles("SELECT a FROM t", R)
    for _ in range(3):
        assert s.nodes("SELECT nextval('s')") == P
        assert s.nodes("SELECT a FROM t") == R


@pytest.mark.parametrize("how", ["trace", "none"])
def test_without_the_catalog_s_word_on_temporary_tables(session, how):
    s = session(check_temp_table=how, check_unlogged_table=False)
    s.script("SELECT a FROM t", "CREATE TEMP TABLE t AS SELECT 8 AS a")
    assert s.nodes("SELECT a FROM t") == P and s.value("SELECT a FROM t") == "8"
    assert s.nodes("SELECT a FROM u") == R


@pytest.mark.parametrize("way", WAYS)
def test_created_under_a_name_that_is_known(session, way):
    s = session(way)
    s.nodes("SELECT a FROM t")
    s.learned()
    s.nodes("CREATE TEMP TABLE t AS SELECT 8 AS a")
    assert s.nodes("SELECT a FROM t") == P and s.value("SELECT a FROM t") == "8"
    assert s.other().value("SELECT a FROM t") == "1"


# ---- what was known and is not true any more --------------------------------------------------

@pytest.mark.parametrize("way", WAYS)
def test_ddl_of_another_session(session, primary, replica, way):
    s = session(way)
    other = s.other()
    other.script("DROP TABLE IF EXISTS k.changing", "CREATE TABLE k.changing (a int)")
    primary.catch_up(replica)
    s.settles("SELECT a FROM changing", R)
    s.stays("SELECT a FROM changing", R, after=1)
    other.script("DROP TABLE k.changing", "CREATE UNLOGGED TABLE k.changing (a int)")
    s.settles("SELECT a FROM changing", P)
    other.script("ALTER TABLE k.changing SET LOGGED")
    primary.catch_up(replica)
    s.settles("SELECT a FROM changing", R)
    other.script("CREATE OR REPLACE FUNCTION k.changing() RETURNS int LANGUAGE sql STABLE AS"
                 " 'SELECT 1'")
    s.settles("SELECT k.changing()", R)
    other.script("ALTER FUNCTION k.changing VOLATILE")
    s.stays("SELECT k.changing()", P, after=2)


def test_ddl_counts_from_its_commit(session, primary, replica):
    s = session()
    other = s.other()
    other.script("CREATE OR REPLACE FUNCTION k.later() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'")
    primary.catch_up(replica)
    s.settles("SELECT k.later()", R)
    other.script("BEGIN", "ALTER FUNCTION k.later VOLATILE")
    s.stays("SELECT k.later()", R, after=1)
    other.script("COMMIT")
    s.stays("SELECT k.later()", P, after=2)
    other.script("BEGIN", "ALTER FUNCTION k.later STABLE", "ROLLBACK")
    s.stays("SELECT k.later()", P, after=3)
    other.script("BEGIN; ALTER FUNCTION k.later STABLE; COMMIT")
    s.settles("SELECT k.later()", R)
    other.nodes("ALTER FUNCTION k.later VOLATILE", "unnamed")
    s.stays("SELECT k.later()", P, after=4)
    other.script("DO $$ BEGIN ALTER FUNCTION k.later STABLE; END $$")
    s.settles("SELECT k.later()", R)
    other.script("BEGIN", "ALTER FUNCTION k.later VOLATILE", "PREPARE TRANSACTION 'later'")
    s.settles("SELECT k.later()", R)            # as long as nobody sees it
    other.script("COMMIT PREPARED 'later'")
    s.stays("SELECT k.later()", P, after=6)


@pytest.fixture
def asker(primary):
    """Its questions are in the log."""
    primary.su("CREATE ROLE asker LOGIN; ALTER ROLE asker SET log_statement = 'all'")
    yield "asker"
    wait_until(lambda: not primary.backends("usename = 'asker'"), "the end of its sessions")
    primary.su("DROP ROLE asker")


def test_ddl_that_ends_while_the_catalog_is_asked(session, primary, asker):
    """The answer may be from before, and is not believed."""
    s = session(sr_check_user=asker, connection_cache=False)
    other = s.other()
    mark = primary.log_size()

    def questions():
        return primary.log_since(mark).count("WITH RECURSIVE want")
    with primary.connect(user="postgres", autocommit=False) as lock:
        lock.execute("LOCK TABLE pg_catalog.pg_policy")
        s.nodes("SELECT k.many1()")
        wait_until(lambda: questions() == 1, "the question")
        other.nodes("COMMENT ON TABLE k.table1 IS 'x'")
        lock.rollback()
    s.settles("SELECT k.many1()", R)
    assert questions() == 2
    s.nodes("SELECT k.many2()")
    s.settles("SELECT k.many2()", R)
    assert questions() == 3
    s.proxy.stop()


def test_own_temporary_tables_invalidate_nothing(session, primary):
    s = session()
    other = s.other()
    s.settles("SELECT many1()", R)
    s.script("CREATE TEMP TABLE mine (a int)")
    assert other.nodes("SELECT many1()") == R
    s.script("CREATE INDEX ON mine (a)", "DROP TABLE mine")
    assert other.nodes("SELECT many1()") == R


def test_relcache_expire(session, primary, replica):
    primary.su("CREATE OR REPLACE FUNCTION k.expiring() RETURNS int LANGUAGE sql STABLE AS"
               " 'SELECT 1'")
    primary.catch_up(replica)
    s = session(relcache_expire=1)
    s.settles("SELECT k.expiring()", R)
    primary.su("ALTER FUNCTION k.expiring VOLATILE")
    wait_until(lambda: s.nodes("SELECT k.expiring()") == P, "the answer expires")
    s.stays("SELECT k.expiring()", P, after=1)


def test_a_new_function_that_the_proxy_did_not_see(session, primary, replica):
    """That there is no such function is not believed for long."""
    s = session()
    s.run("SELECT k.created_elsewhere()")
    s.learned()
    primary.su("CREATE FUNCTION k.created_elsewhere() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1'")
    primary.catch_up(replica)
    wait_until(lambda: s.nodes("SELECT k.created_elsewhere()") == R, "it is known", 20)
    primary.su("DROP FUNCTION k.created_elsewhere()")


def test_reload_forgets(session, primary, replica):
    primary.su("CREATE OR REPLACE FUNCTION k.reloaded() RETURNS int LANGUAGE sql STABLE AS"
               " 'SELECT 1'")
    primary.catch_up(replica)
    s = session("named")
    s.settles("SELECT k.reloaded()", R)
    primary.su("ALTER FUNCTION k.reloaded VOLATILE")
    assert s.nodes("SELECT k.reloaded()") == R
    s.proxy.reload()
    s.stays("SELECT k.reloaded()", P, after=1)


# ---- asking -----------------------------------------------------------------------------------

def test_nobody_waits_for_the_catalog(session, primary):
    s = session()
    other = s.other()
    with primary.connect(user="postgres", autocommit=False) as lock:
        lock.execute("LOCK TABLE pg_catalog.pg_policy")
        start = time.monotonic()
        for _ in range(5):
            assert s.nodes("SELECT many1()") == P
            assert other.nodes("SELECT a FROM t") == R
        wait_until(lambda: primary.backends("query LIKE '%WITH RECURSIVE want%'"
                                            " AND state = 'active'"), "the question")
        assert s.nodes("SELECT many2()") == P
        assert time.monotonic() - start < 5
        lock.rollback()
    s.settles("SELECT many1()", R)
    s.settles("SELECT many2()", R)


def test_a_question_takes_no_client_s_place(session, primary):
    s = session(num_init_children=2, max_pool=1)
    with primary.connect(user="postgres", autocommit=False) as lock:
        lock.execute("LOCK TABLE pg_catalog.pg_policy")
        assert s.nodes("SELECT many1()") == P
        wait_until(lambda: primary.backends("query LIKE '%WITH RECURSIVE want%'"
                                            " AND state = 'active'"), "the question")
        other = s.other()
        start = time.monotonic()
        other.nodes("/* primary */ SELECT 1")
        assert time.monotonic() - start < 5
        lock.rollback()
    s.settles("SELECT many1()", R)


def test_sr_check_user_asks(session, primary):
    s = session(sr_check_user="postgres")
    s.settles("SELECT many1()", R)
    assert primary.backends("usename = 'postgres' AND application_name = 'pgpool catalog'"
                            " AND datname = 'app'")


@pytest.mark.parametrize("user", ["", "nobody_of_this_name"])
def test_else_the_session_s_own_user_does(session, primary, user):
    s = session(sr_check_user=user, knows=[])
    s.settles("SELECT many1()", R)
    wait_until(lambda: len(primary.backends("usename = 'app'")) >= 2, "the session's, and that")


def test_when_nobody_can_ask(session, primary):
    """Reads of tables are the primary's, and the log says so once."""
    primary.su("CREATE ROLE alone LOGIN CONNECTION LIMIT 1")
    primary.su("GRANT USAGE ON SCHEMA k TO alone; GRANT SELECT ON k.t TO alone")
    try:
        s = session(login={"user": "alone"}, child_life_time=1, knows=[])
        assert s.nodes("SELECT 1") == R
        assert s.nodes("SELECT k.volatile()") == P
        s.proxy.wait_log("could not look names up in the catalog of database")
        for _ in range(3):
            assert s.nodes("SELECT k.many1()") == P
            assert s.nodes("SELECT a FROM k.t") == P
        text = [x for x in s.proxy.log if "could not look names up" in x]
        assert len(text) == 1
        s.wire.bye()
        s.proxy.stop()
    finally:
        wait_until(lambda: not primary.backends("usename = 'alone'"), "the end of its sessions")
        primary.su("DROP OWNED BY alone; DROP ROLE alone")


def test_relcache_query_target(session, primary, replica):
    s = session(relcache_query_target="load_balance_node", sr_check_user="postgres")
    s.settles("SELECT many1()", R)
    s.settles("SELECT a FROM unlogged", P)
    assert replica.backends("usename = 'postgres' AND application_name = 'pgpool catalog'")
    s.nodes("SELECT k.hide('t')")
    assert s.value("SELECT a FROM t") == "7"


def test_one_node_has_nothing_to_ask(session, primary, proxy):
    p = proxy(nodes=[primary], notice_per_node_statement=True)
    s = Session(p)
    s.script("SELECT many1()", "SELECT a FROM t", "SELECT many1()")
    wait_until(lambda: len(primary.backends("usename = 'app'")) == 1, "the session's alone")


def test_without_logging(proxy, primary, replica):
    """The common path, which nothing watches."""
    p = proxy(log_per_node_statement=False)
    w = p.raw()
    ask = query("SELECT stable(inet_server_port()) FROM t")
    assert wire.value(w.ask(ask)) == str(primary.port)
    wait_until(lambda: wire.value(w.ask(ask)) == str(replica.port), "the replica answers")
    text = "SELECT a, stable(inet_server_port()) FROM t"
    w.ask(parse("n", text) + sync())
    assert [wire.rows(w.ask(bind("", "n") + execute() + sync()))[0][1].decode()
            for _ in range(3)] == [str(replica.port)] * 3
    w.query("SELECT k.hide('t')")
    assert wire.rows(w.ask(bind("", "n") + execute() + sync()))[0] == [b"7", str(primary.port).encode()]


def test_an_owner_s_operators_are_not_used(session, primary):
    """sr_check_user may be a superuser, and anybody may own a database."""
    primary.su("CREATE FUNCTION k.trap(name, name) RETURNS bool LANGUAGE plpgsql AS"
               " $$ BEGIN RAISE EXCEPTION 'trapped'; END $$;"
               "CREATE OPERATOR k.= (LEFTARG = name, RIGHTARG = name, FUNCTION = k.trap);"
               "ALTER DATABASE app SET search_path = k, pg_catalog, public")
    try:
        s = session(sr_check_user="postgres")
        s.settles("SELECT k.many1()", R)
        assert not [x for x in s.proxy.log if "could not look" in x]
    finally:
        primary.su("ALTER DATABASE app RESET search_path")
        primary.su("DROP OPERATOR k.= (name, name); DROP FUNCTION k.trap")


def test_the_search_path_of_its_questions_reaches_nobody(session):
    s = session(reset_query_list="ABORT; DEALLOCATE ALL")
    s.settles("SELECT many1()", R)
    others = [s.other() for _ in range(3)]
    for o in others:
        o.nodes("/* primary */ SELECT current_setting('search_path')")
        assert wire.value(o.out) == "k, public"


def test_why_in_the_log(session):
    s = session(log_min_messages="debug1")
    for name, why in [("unlogged", "unlogged tables are used"),
                      ("over_volatile", "writing functions are used")]:
        assert s.nodes(f"SELECT a FROM {name}") == P
        s.proxy.wait_log("could not load balance because unknown tables are used")
        s.learned()
        assert s.nodes(f"SELECT a FROM {name}") == P
        s.proxy.wait_log(f"could not load balance because {why}")
    s.nodes("SELECT k.hide('t')")
    wait_until(lambda: s.nodes("SELECT a FROM t") == P and "because temporary tables are used"
               in s.proxy.log_text(), "temporary tables")


def test_many_sessions_at_once(session):
    s = session()
    failed = []

    def work(n):
        try:
            mine = s.other("unnamed" if n % 2 else "named")
            for i in range(30):
                mine.nodes(f"SELECT many{i + n}() FROM t")
                if i % 7 == 0:
                    mine.nodes(f"CREATE OR REPLACE VIEW k.of_{n} AS SELECT 1 AS a")
            mine.settles(f"SELECT many{n}() FROM t", R)
        except Exception as e:          # noqa: BLE001: told in the main thread
            failed.append(e)
    threads = [threading.Thread(target=work, args=(n,)) for n in range(1, 6)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert failed == []


# ---- dml_adaptive_global ----------------------------------------------------------------------

TTL = 1.0                       # seconds, where nobody measures the delay


@pytest.fixture
def pair_of_sessions(session, replica):
    """Sessions a and b of one proxy; what is written from now on does not reach the replica."""
    replica.su("SELECT pg_wal_replay_pause()")

    def make(way="simple", **params):
        a = session(way, disable_load_balance_on_write="dml_adaptive_global",
                    **{"track_table_mutation_cold_start_duration": 0, **params})
        return a, a.other(way)
    yield make
    replica.su("SELECT pg_wal_replay_resume()")


def soon(write, check):
    """check() has to hold within a mark's time, which a busy machine may miss."""
    for _ in range(20):
        start = time.monotonic()
        write()
        got = check()
        if time.monotonic() - start < TTL:
            return got
    raise AssertionError("this machine is too slow")


WRITES = [
    ("INSERT INTO k.table1 VALUES (1)",), ("UPDATE table1 SET a = 2",), ("DELETE FROM K.Table1",),
    ("TRUNCATE table1",), ("COPY table1 FROM STDIN",),
    *[("MERGE INTO table1 USING t ON true WHEN NOT MATCHED THEN INSERT VALUES (1)",)] * (pg.VERSION > 14),
    ("WITH x AS (INSERT INTO table1 VALUES (1) RETURNING a) SELECT * FROM x",),
    ("BEGIN", "INSERT INTO table1 VALUES (1)", "COMMIT"),
    ("BEGIN", "INSERT INTO table1 VALUES (1)", "SAVEPOINT s", "COMMIT AND CHAIN", "ROLLBACK"),
    ("PREPARE p AS INSERT INTO table1 VALUES (1)", "EXECUTE p", "DEALLOCATE p"),
    ("BEGIN", "INSERT INTO table1 VALUES (1)", "PREPARE TRANSACTION 'g'", "COMMIT PREPARED 'g'"),
    ("EXPLAIN ANALYZE INSERT INTO table1 VALUES (1)",),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("writes", WRITES, ids=lambda w: re.sub(r"\W+", "-", " ".join(w))[:40])
def test_what_one_session_wrote_another_does_not_read_from_a_replica(pair_of_sessions, way, writes):
    a, b = pair_of_sessions(way)
    all_of_them = "PREPARE TRANSACTION 'g'" in writes
    assert b.nodes("SELECT count(*) FROM table1") == R
    got = soon(lambda: a.script(*writes), lambda: (
        b.nodes("SELECT count(*) FROM table1"), b.nodes("SELECT 1 FROM t JOIN k.TABLE1 x USING (a)"),
        b.nodes("SELECT count(*) FROM table2") == R or all_of_them,
        [b.nodes(x) for x in ("BEGIN", "SELECT count(*) FROM table1", "COMMIT")][1]))
    assert got == (P, P, True, P)
    wait_until(lambda: b.nodes("SELECT count(*) FROM table1") == R, "its time is over")


@pytest.mark.parametrize("how", APART)
def test_a_write_that_was_bound_before(pair_of_sessions, how):
    a, b = pair_of_sessions()
    assert b.nodes("SELECT count(*) FROM table1") == R

    def write():
        a.apart("INSERT INTO table1 VALUES (1)", how)
        a.run("DEALLOCATE ALL")
    got = soon(write, lambda: [b.nodes(f"SELECT a FROM table{i}") for i in (1, 2)])
    assert got == [P, R]


@pytest.mark.parametrize("portal", ["", "p"])
def test_a_write_in_a_transaction_that_was_bound_before(session, portal):
    s = session(disable_load_balance_on_write="dml_adaptive")
    s.knows_code()
    s.script("BEGIN")
    s.wire.ask(parse("", "INSERT INTO table1 VALUES (1)") + bind(portal) + sync())
    s.wire.ask(execute(portal) + sync())
    assert s.nodes("SELECT count(*) FROM table1") == P
    assert s.nodes("SELECT count(*) FROM table2") == R
    s.script("ROLLBACK")


def test_a_portal_that_goes_on_writes_nothing(session):
    s = session(disable_load_balance_on_write="transaction")
    read = parse("", "SELECT 1 FROM generate_series(1, 4)") + bind() + execute(limit=1)
    for more in [execute(limit=1) + execute() + sync(), sync() + execute(limit=1) + sync()]:
        s.script("BEGIN", "SELECT a FROM t")
        s.wire.ask(read + more, more.count(sync()))
        assert s.nodes("SELECT a FROM u") == R
        s.script("COMMIT")


def test_many_statements_at_once(pair_of_sessions):
    a, b = pair_of_sessions()
    for text in ["INSERT INTO table1 VALUES (1); INSERT INTO table2 VALUES (1)",
                 "BEGIN; INSERT INTO table2 VALUES (1); INSERT INTO table1 VALUES (1); COMMIT",
                 "INSERT INTO table2 VALUES (1); INSERT INTO table1 VALUES (1); COMMIT; SELECT 1 / 0"]:
        got = soon(lambda: a.run(text), lambda: [b.nodes(f"SELECT a FROM table{i}") for i in (1, 2, 3)])
        assert got == [P, P, R]


def test_an_explained_execute(pair_of_sessions):
    a, b = pair_of_sessions()
    a.nodes("PREPARE p AS INSERT INTO table1 VALUES (1)")
    wait_until(lambda: b.nodes("SELECT a FROM table1") == R, "nothing is protected")
    got = soon(lambda: a.nodes("EXPLAIN ANALYZE EXECUTE p"), lambda: b.nodes("SELECT a FROM table1"))
    assert got == P
    wait_until(lambda: b.nodes("SELECT a FROM table1") == R, "its time is over")
    a.nodes("EXPLAIN EXECUTE p")
    assert b.nodes("SELECT a FROM table1") == R


def test_pipelined_writes(pair_of_sessions):
    a, b = pair_of_sessions()
    w = b"".join(parse("", f"INSERT INTO table{i} VALUES (1)") + bind() + execute() + sync()
                 for i in (1, 2, 3))
    got = soon(lambda: a.wire.ask(w, 3),
               lambda: [b.nodes(f"SELECT a FROM table{i}") for i in (1, 2, 3, 4)])
    assert got == [P, P, P, R]


def test_a_pipelined_write_that_ends_late(pair_of_sessions, primary):
    """Its mark is not that of the write before it."""
    a, b = pair_of_sessions()
    for _ in range(5):
        with primary.connect(user="postgres", autocommit=False) as lock:
            lock.execute("LOCK TABLE k.table2 IN SHARE MODE")       # others may read it
            a.wire.send(query("INSERT INTO table1 VALUES (1)") + query("INSERT INTO table2 VALUES (1)"))
            a.wire.reply()
            wait_until(lambda: b.nodes("SELECT a FROM table2") == R, "nothing is protected any more")
            start = time.monotonic()
            lock.rollback()
        a.wire.reply()
        got = b.nodes("SELECT a FROM table2")
        if time.monotonic() - start < TTL:
            assert got == P
            return
    raise AssertionError("this machine is too slow")


def test_a_long_write_counts_in_its_transaction(session):
    """Only its beginning is ever in one place."""
    s = session()
    s.script("BEGIN")
    s.wire.ask(query("INSERT INTO k.big VALUES ('" + "x" * 400000 + "')"))
    assert s.value("SELECT length(a) FROM k.big") == "400000"
    s.script("ROLLBACK")
    s.wire.ask(parse("long", "SELECT '" + "x" * 400000 + "'") + sync())
    for _ in range(2):
        assert len(wire.value(s.wire.ask(bind("", "long") + execute() + sync()))) == 400000


def test_a_write_too_long_to_be_known(pair_of_sessions):
    a, b = pair_of_sessions()
    text = "INSERT INTO big VALUES ('" + "x" * 400000 + "')"
    got = soon(lambda: a.wire.ask(query(text)), lambda: b.nodes("SELECT length(a) FROM big"))
    assert got == P


@pytest.mark.parametrize("way", WAYS)
def test_what_is_not_there_was_not_written(pair_of_sessions, way):
    a, b = pair_of_sessions(way)
    a.knows_code()
    read = "SELECT count(*) FROM table1"
    a.script("BEGIN", "INSERT INTO table1 VALUES (1)")
    assert b.nodes(read) == R and a.nodes(read) == P
    a.script("ROLLBACK")
    assert b.nodes(read) == R and a.nodes(read) == R
    a.run("INSERT INTO table1 VALUES (1 / 0)")
    assert wire.errors(a.out) == ["22012"] and b.nodes(read) == R
    a.script("BEGIN", "INSERT INTO table1 VALUES (1)")
    a.run("SELECT 1 / 0 FROM table1")
    a.script("COMMIT")                          # which rolls it back
    assert b.nodes(read) == R


def test_ddl_counts_as_writing_everything(pair_of_sessions):
    a, b = pair_of_sessions()
    got = soon(lambda: a.script("ALTER TABLE k.table1 ALTER a SET DEFAULT 1"),
               lambda: b.nodes("SELECT a FROM table2"))
    assert got == P


def test_temporary_tables_are_nobody_else_s(pair_of_sessions):
    a, b = pair_of_sessions()
    a.script("CREATE TEMP TABLE mine (a int)", "CREATE INDEX ON mine (a)", "DROP TABLE mine")
    assert b.nodes("SELECT a FROM table1") == R


def test_a_client_that_leaves_with_its_commit_under_way(pair_of_sessions, primary):
    a, b = pair_of_sessions()

    def write():
        gone = a.other()
        gone.script("BEGIN", "INSERT INTO table1 VALUES (1)")
        with primary.connect(user="postgres", autocommit=False) as lock:
            lock.execute("LOCK TABLE k.table2")
            gone.wire.send(query("INSERT INTO table2 VALUES (1); COMMIT"))
            wait_until(lambda: primary.backends("wait_event_type = 'Lock' AND usename = 'app'"),
                       "the write")
            gone.wire.shut()
            wait_until(lambda: b.nodes("SELECT a FROM table1") == P, "it counts as written")
            lock.rollback()
    write()


def test_other_databases(pair_of_sessions, session):
    a, b = pair_of_sessions()
    elsewhere = a.other(database="postgres", user="postgres")
    got = soon(lambda: a.script("INSERT INTO table1 VALUES (1)"),
               lambda: (elsewhere.nodes("SELECT 1 AS table1"), b.nodes("SELECT 1 AS table1")))
    assert got == (R, P)


def test_cold_start(pair_of_sessions):
    a, b = pair_of_sessions(track_table_mutation_cold_start_duration=60000,
                            log_min_messages="debug1")
    assert b.nodes("SELECT a FROM t") == P and b.nodes("SELECT a FROM t", "named") == P
    a.proxy.wait_log("could not load balance because of track table mutation cold start")
    a.proxy.reload(track_table_mutation_cold_start_duration=1)
    wait_until(lambda: b.nodes("SELECT a FROM t") == R, "its end")


def test_a_table_of_marks_that_is_full(pair_of_sessions):
    a, b = pair_of_sessions(track_table_mutation_table_size=128)
    assert b.nodes("SELECT a FROM t") == R
    some = "; ".join(f"INSERT INTO table{i} VALUES (1)" for i in range(1, 129))
    got = soon(lambda: a.wire.query(some), lambda: (
        b.nodes("SELECT a FROM t"), b.nodes("SELECT a FROM table128")))
    assert got == (R, P)
    got = soon(lambda: a.wire.query(some + "; INSERT INTO table129 VALUES (1)"), lambda: (
        b.nodes("SELECT a FROM t"), b.nodes("SELECT a FROM table129")))
    assert got == (P, P)
    wait_until(lambda: b.nodes("SELECT a FROM t") == R, "there is room again")


def test_relationships(pair_of_sessions):
    a, b = pair_of_sessions(dml_adaptive_object_relationship_list="table1:over_tables")
    got = soon(lambda: a.script("INSERT INTO table1 VALUES (1)"),
               lambda: b.nodes("SELECT a FROM over_tables"))
    assert got == P


def test_the_log_names_the_table(pair_of_sessions):
    a, b = pair_of_sessions(log_min_messages="debug1")
    soon(lambda: a.script("INSERT INTO table1 VALUES (1)"), lambda: b.nodes("SELECT a FROM table1"))
    b.proxy.wait_log('could not load balance because table "table1" was recently written')


def test_max_staleness(pair_of_sessions):
    a, b = pair_of_sessions(track_table_mutation_max_staleness=100)
    for _ in range(20):
        start = time.monotonic()
        a.script("INSERT INTO table1 VALUES (1)")
        wait_until(lambda: b.nodes("SELECT a FROM table1") == R, "the end of the run")
        if time.monotonic() - start < TTL:
            return
    raise AssertionError("a run of writes is protected for too long")


def test_sessions_of_dml_adaptive_are_not_protected_from_others(session, replica):
    s = session(disable_load_balance_on_write="dml_adaptive")
    s.script("INSERT INTO table1 VALUES (1)")
    assert s.other().nodes("SELECT a FROM table1") == R
    s.proxy.reload(disable_load_balance_on_write="dml_adaptive_global")     # which starts cold
    assert s.nodes("SELECT a FROM table1") == P


def test_a_snapshot_on_a_replica_waits_for_names_but_not_for_ever(proxy, primary, replica):
    """A request may have more names than are remembered at a time."""
    tables = [f"many_names_{i}" for i in range(300)]
    primary.su("; ".join(f"CREATE TABLE IF NOT EXISTS {t} (a int); GRANT SELECT ON {t} TO app"
                         for t in tables))
    primary.catch_up(replica)
    p = proxy()
    with p.raw(timeout=30) as w:
        for n in (1, 250, 300):
            w.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            w.query("SELECT 1")
            out = w.query("SELECT " + " + ".join(f"(SELECT count(*) FROM {t})" for t in tables[:n]))
            assert wire.errors(out) in ([], ["40001"]), n
            w.query("ROLLBACK")
    primary.su("DROP TABLE " + ", ".join(tables))
