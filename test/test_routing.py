"""Where statements run.  The witnesses are PostgreSQL's own logs: sessions of user route have
log_statement = all, and each statement carries a word (a mark) that is looked for in them."""

import re
import time

import pytest

import wire
from wire import bind, close, copy_done, describe, execute, parse, query, sync

pytestmark = pytest.mark.proxy

P, R, BOTH = {0}, {1}, {0, 1}
ANY = None
WAYS = ["simple", "unnamed", "named"]

OBJECTS = """
DROP SCHEMA IF EXISTS r CASCADE;
CREATE SCHEMA r;
CREATE TABLE r.t (a int PRIMARY KEY, b text);
CREATE TABLE r.u (a int);
CREATE TABLE r.w (a int);
CREATE UNLOGGED TABLE r.unlogged (a int);
CREATE VIEW r.v AS SELECT * FROM r.t;
CREATE VIEW r.unlogged_view AS SELECT * FROM r.unlogged;
CREATE SEQUENCE r.s;
CREATE VIEW r.writing_view AS SELECT nextval('r.s') AS n;
CREATE MATERIALIZED VIEW r.m AS SELECT 1 AS a;
CREATE TYPE r.pair AS (x int, y int);
CREATE PROCEDURE r.proc() LANGUAGE sql AS 'SELECT 1';
CREATE OR REPLACE FUNCTION f_volatile() RETURNS int LANGUAGE sql VOLATILE AS 'SELECT 1';
CREATE OR REPLACE FUNCTION f_stable() RETURNS int LANGUAGE sql STABLE AS 'SELECT 1';
CREATE OR REPLACE FUNCTION f_hidden() RETURNS bigint LANGUAGE sql STABLE
    AS 'SELECT n FROM r.writing_view';
INSERT INTO r.t SELECT i, 'text' FROM generate_series(1, 10) i;
INSERT INTO r.u SELECT generate_series(1, 10);
"""


@pytest.fixture(scope="module", autouse=True)
def objects(primary, replica):
    primary.su("DO $$ BEGIN CREATE ROLE route LOGIN SUPERUSER; EXCEPTION WHEN duplicate_object"
               " THEN NULL; END $$")
    primary.su("ALTER ROLE route SET log_statement = 'all'")
    primary.su(OBJECTS)
    primary.catch_up(replica)


class Witness:
    """Says on which nodes a marked statement was executed (or failed) since we began."""

    def __init__(self, nodes):
        self.nodes = [(node, node.log_size()) for node in nodes]

    def saw(self, mark):
        text = r"(?:LOG:  (?:statement|execute [^:]*): |STATEMENT:  )[^\n]*(?:\n\t[^\n]*)*?" + mark
        return {i for i, (node, at) in enumerate(self.nodes) if re.search(text, node.log_since(at))}


class Session:
    """A raw session that runs marked statements in one of three ways."""

    def __init__(self, proxy, witness, mark, way="simple", **login):
        self.wire = proxy.raw(user="route", **login)
        self.witness, self.mark, self.way, self.names, self.proxy = witness, mark, way, 0, proxy

    def run(self, sql, way=None):
        """(replies, nodes that it ran on)"""
        word = self.mark()
        way = way or self.way
        text = f"{sql} /* {word} */"
        if way == "simple":
            self.wire.send(query(text))
        else:
            self.names += 1
            name = f"n{self.names}" if way == "named" else ""
            if name:
                self.wire.ask(parse(name, text) + sync())
            self.wire.send((b"" if name else parse("", text)) + bind("", name) + describe("P")
                           + execute() + sync())
        out = self.wire.until("GZ")
        if out[-1].type == "G":
            self.wire.send(copy_done() + (b"" if way == "simple" else sync()))
            out += self.wire.reply()
        return out, self.witness.saw(word)

    def value(self, sql, way=None):
        out, _ = self.run(sql, way)
        assert wire.errors(out) == [], out
        return wire.value(out)

    def know_bodies(self):
        """Until the proxy knows what the functions of the database may do, a read behind a write or a call
        goes to the primary, lest that has set something.  Some modes keep such reads there for ever."""
        known, end = False, time.monotonic() + 1
        with self.proxy.raw(user="route") as w:
            while not known and time.monotonic() < end:
                word = self.mark()
                w.ask(query("UPDATE r.w SET a = a WHERE false"))
                w.ask(query(f"SELECT 1 /* {word} */"))
                known = self.witness.saw(word) == R

    def script(self, steps):
        """Each step: (statement, where it has to run); ANY: it does not matter here."""
        if any(where == R for _, where in steps[1:]):
            self.know_bodies()
        for i, (sql, where) in enumerate(steps):
            out, nodes = self.run(sql)
            assert wire.errors(out) == [], f"step {i}, {sql}: {out}"
            assert where is ANY or nodes == where, f"step {i}, {sql}: ran on {nodes}, not {where}"


@pytest.fixture
def session(proxy, primary, replica, mark):
    """session(way, **parameters of the proxy): a session of user route."""
    witness = Witness((primary, replica))

    def make(way="simple", login=None, **params):
        p = proxy(**params).learn("r.t", "r.u", "r.w", "r.v", "t", "information_schema.tables",
                                  user="route", options="-c search_path=r")
        s = Session(p, witness, mark, way, **(login or {}))
        return s
    return make


def ids(cases):
    return [re.sub(r"\W+", "-", c[0].strip())[:50].strip("-") or "empty" for c in cases]


# ---- by kind of statement (Pgpool-II's rules, one row each) -----------------------------------

READS = [
    "SELECT 1", "select a from r.t", "SELECT * FROM r.t WHERE a = 1;", "  \n\tSELECT 1",
    "(SELECT 1)", "((SELECT 1) UNION (SELECT 2))", "SELECT 1 UNION ALL SELECT 2", "TABLE r.t",
    "WITH x AS (SELECT 1 AS a) SELECT * FROM x",
    "WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 5) SELECT * FROM x",
    "SHOW work_mem", "SHOW TIME ZONE", "SHOW TRANSACTION ISOLATION LEVEL",
    "COPY r.t TO STDOUT", "COPY r.t (a) TO STDOUT (FORMAT csv)", "COPY (SELECT 1) TO STDOUT",
    ";", "SELECT", "SELECT ALL 1", "SELECT DISTINCT a FROM r.t",
    # words that look like more than they are
    "SELECT a FROM r.t WHERE b = 'for update'", "SELECT $$insert into x$$", "SELECT E'\\'; DELETE'",
    'SELECT a AS "into" FROM r.t', "SELECT a AS update FROM r.t",
    "SELECT substring('abc' from 1 for 2)", "SELECT extract(year from now())",
    "SELECT trim(both ' ' from ' x ')", "SELECT position('a' in 'ba')",
    "SELECT overlay('abcd' placing 'x' from 2 for 1)",
    "SELECT a FROM r.t ORDER BY a FETCH FIRST 3 ROWS ONLY", "SELECT a FROM r.t LIMIT 3 OFFSET 1",
    "SELECT 1 -- ; DELETE FROM r.t\n", "SELECT /* inner /* nested */ comment */ 1",
    "SELECT count(*) FILTER (WHERE a > 1) FROM r.t", "SELECT sum(a) OVER (PARTITION BY b) FROM r.t",
    "SELECT * FROM r.t a JOIN r.u b USING (a) LEFT JOIN r.w c ON (c.a = b.a)",
    "SELECT * FROM r.v", "SELECT (SELECT max(a) FROM r.u)", "SELECT EXISTS (SELECT 1 FROM r.t)",
    "SELECT a FROM r.t WHERE a IN (SELECT a FROM r.u) AND a = ANY (ARRAY[1, 2])",
    "SELECT CASE WHEN a > 1 THEN 'x' ELSE 'y' END FROM r.t", "SELECT ROW(1, 2), ARRAY[1], NULL",
    "SELECT '2020-01-01'::date, CAST(1 AS text), 1::numeric(10, 2)", "SELECT -1 + 2 * (3)",
    "SELECT * FROM generate_series(1, 3) AS g(i)", "SELECT * FROM (VALUES (1), (2)) AS x(a)",
    "SELECT * FROM unnest(ARRAY[1, 2]) WITH ORDINALITY",
    "SELECT * FROM r.t TABLESAMPLE SYSTEM (50)",
    "SELECT grouping(a), count(*) FROM r.u GROUP BY GROUPING SETS ((a), ())",
    "SELECT * FROM r.t, LATERAL (SELECT t.a + 1) AS x",
    "SELECT * FROM ROWS FROM (generate_series(1, 2), generate_series(1, 3))",
    "SELECT string_agg(b, ',' ORDER BY a) FROM r.t",
    "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM r.t",
    # functions that do not write
    "SELECT now()", "SELECT version()", "SELECT current_timestamp",
    "SELECT lower('A'), length('b')",
    "SELECT pg_catalog.lower('A')", "SELECT current_setting('port')", "SELECT inet_server_port()",
    "SELECT current_database(), current_user, session_user", "SELECT coalesce(NULL, 1)",
    "SELECT to_char(now(), 'YYYY')", "SELECT json_build_object('a', 1)",
    "SELECT count(*), max(a), array_agg(a) FROM r.t", "SELECT row_number() OVER () FROM r.t",
    # information_schema is balanced
    "SELECT count(*) FROM information_schema.tables",
]

WRITES = [
    "SELECT pg_backend_pid()", "EXPLAIN SELECT 1", "EXPLAIN ANALYZE SELECT 1", "EXPLAIN (COSTS OFF) DELETE FROM r.t",
    "VALUES (1), (2)",
    "SELECT * FROM r.t FOR UPDATE", "SELECT * FROM r.t FOR SHARE", "SELECT * FROM r.t FOR NO KEY"
    " UPDATE", "SELECT * FROM r.t FOR KEY SHARE OF t NOWAIT", "SELECT * FROM (SELECT * FROM r.t FOR"
    " UPDATE) x", "select a from r.t where a = 1 for update skip locked",
    "SELECT 1 AS a INTO TEMP into_t", "SELECT 1 AS a INTO TEMP TABLE into_u FROM r.t",
    "WITH x AS (INSERT INTO r.w VALUES (1) RETURNING a) SELECT * FROM x",
    "WITH x AS (DELETE FROM r.w RETURNING a) SELECT count(*) FROM x",
    "WITH x AS (UPDATE r.w SET a = 1 RETURNING a) TABLE x",
    "WITH x AS (SELECT 1 AS a) INSERT INTO r.w SELECT a FROM x",
    "INSERT INTO r.w VALUES (1)", "INSERT INTO r.w SELECT a FROM r.u RETURNING a",
    "UPDATE r.w SET a = a + 1", "DELETE FROM r.w", "TRUNCATE r.w", "TRUNCATE TABLE r.w, r.w",
    "MERGE INTO r.w USING r.u ON r.w.a = r.u.a WHEN NOT MATCHED THEN DO NOTHING",
    "CREATE TABLE IF NOT EXISTS r.t (a int)", "CREATE TEMP TABLE tt (a int)",
    "CREATE TABLE IF NOT EXISTS r.as_t AS SELECT 1", "CREATE OR REPLACE VIEW r.v2 AS SELECT 1 AS a",
    "CREATE INDEX IF NOT EXISTS i ON r.t (b)", "CREATE SCHEMA IF NOT EXISTS r",
    "CREATE OR REPLACE FUNCTION r.g() RETURNS int LANGUAGE sql BEGIN ATOMIC SELECT 1; END",
    "ALTER TABLE r.w ALTER a SET NOT NULL", "ALTER ROLE route SET log_statement = 'all'",
    "DROP TABLE IF EXISTS r.nothing", "COMMENT ON TABLE r.t IS 'x'", "GRANT SELECT ON r.t TO app",
    "REVOKE SELECT ON r.t FROM app", "SECURITY LABEL ON TABLE r.t IS 'x'",
    "REINDEX TABLE r.t", "CLUSTER r.t", "REFRESH MATERIALIZED VIEW r.m",
    "REASSIGN OWNED BY app TO app", "IMPORT FOREIGN SCHEMA x FROM SERVER y INTO z",
    "COPY r.w FROM STDIN", "COPY (DELETE FROM r.w RETURNING a) TO STDOUT",
    "COPY (WITH x AS (DELETE FROM r.w RETURNING a) SELECT a FROM x) TO STDOUT",
    "CALL r.proc()", "DO $$ BEGIN NULL; END $$",
    "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "DECLARE c CURSOR FOR SELECT 1", "FETCH c", "MOVE c",
    "CLOSE ALL",
    "LISTEN ch", "NOTIFY ch", "NOTIFY ch, 'payload'", "UNLISTEN *", "VACUUM r.w", "ANALYZE r.w",
    "VACUUM (ANALYZE) r.w", "CHECKPOINT", "LOAD 'plpgsql'",
    "PREPARE TRANSACTION 'g'", "COMMIT PREPARED 'g'", "ROLLBACK PREPARED 'g'",
    "LOCK TABLE r.t", "LOCK r.t IN EXCLUSIVE MODE", "LOCK r.t IN ROW EXCLUSIVE MODE",
    "PREPARE p AS SELECT 1", "PREPARE p (int) AS SELECT $1",
    "PREPARE p AS INSERT INTO r.w VALUES (1)", "PREPARE p AS SELECT * FROM r.t FOR UPDATE",
    "PREPARE p AS SELECT random()", "EXECUTE unknown_name", "DEALLOCATE unknown_name",
    # functions that write, or may
    "SELECT random()", "SELECT pg_sleep(0)", "SELECT nextval('r.s')", "SELECT setval('r.s', 5)",
    "SELECT currval('r.s')", "SELECT set_config('work_mem', '4MB', false)",
    "SELECT pg_is_in_recovery()", "SELECT lo_create(0)", "SELECT pg_advisory_lock_shared(1)",
    "SELECT pg_try_advisory_xact_lock(1)", "SELECT pg_advisory_unlock_all()",
    "SELECT clock_timestamp()", "SELECT txid_current()", "SELECT gen_random_uuid()",
    "SELECT timeofday()", "SELECT pg_notify('a', 'b')", "SELECT f_volatile()",
    "SELECT public.f_volatile()", "SELECT * FROM f_volatile()", "SELECT a FROM r.t WHERE a ="
    " f_volatile()", "SELECT unknown_function()", "SELECT (SELECT random())",
    "SELECT lower(nextval('r.s')::text)", "SELECT pg_catalog.nextval('r.s')",
    "WITH x AS (SELECT random() AS a) SELECT * FROM x", "COPY (SELECT random()) TO STDOUT",
    'SELECT "nextval"(\'r.s\')',
    # system catalogs
    "SELECT count(*) FROM pg_class", "SELECT count(*) FROM pg_catalog.pg_type",
    "SELECT count(*) FROM r.t JOIN pg_namespace ON true", "SELECT * FROM pg_stat_activity",
    "SELECT count(*) FROM r.t, pg_type", "SELECT (SELECT count(*) FROM pg_roles)",
    "SHOW ALL", "SHOW in_hot_standby", "SHOW transaction_read_only",
    "SELECT current_setting('in_hot_standby')", "SELECT current_setting('In_hot_standby', true)",
    "SELECT current_setting(name) FROM (SELECT 'port') x(name)",
    'SELECT count(*) FROM "pg_class"', "TABLE pg_database",
    # comments in front (Hibernate, SQLAlchemy and /*NO LOAD BALANCE*/ rely on it)
    "/*NO LOAD BALANCE*/ SELECT 1", "/* x */ SELECT 1", "-- x\nSELECT 1", "  /* x */ SELECT 1",
    "/* only a comment */", "/* a */ /* b */ SELECT 1",
    # texts that are not understood
    "SELEC 1", "SELECT (1", "SELECT 'x", "FOO BAR", "SELECT 1)", "1", "'", "$$",
    "GRANT",
]

SIMPLE_ONLY = [
    ("SELECT 1; SELECT 2", P), ("SELECT 1; INSERT INTO r.w VALUES (1)", P), ("SELECT 1;", R),
    ("SELECT 1; ; ;", R), ("SELECT 1; -- end", R), (";;SELECT 1", R), ("; SELECT 1; SELECT 2", P),
    ("SHOW work_mem; SHOW port", P),
]

KINDS = [(s, R) for s in READS] + [(s, P) for s in WRITES]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql, where", KINDS, ids=ids(KINDS))
def test_kind_of_statement(session, sql, where, way):
    out, nodes = session(way).run(sql)
    if "I" in wire.types(out) and way != "simple":
        return                              # an empty statement is executed without a trace
    assert nodes == where, out


@pytest.mark.parametrize("sql, where", SIMPLE_ONLY, ids=ids(SIMPLE_ONLY))
def test_several_statements_in_one_text(session, sql, where):
    assert session().run(sql)[1] == where


@pytest.mark.parametrize("way", WAYS)
def test_load_balancing_off_sends_all_to_the_primary(session, way):
    session(way, load_balance_mode=False).script([
        ("SELECT 1", P), ("SHOW work_mem", P), ("BEGIN", P), ("SELECT a FROM r.t", P),
        ("COMMIT", P), ("SET work_mem = '1MB'", P), ("SELECT 1", P)])


def test_function_call_message_goes_to_the_primary(session, primary):
    w = session().wire
    oid, = primary.su("SELECT oid FROM pg_proc WHERE proname = 'inet_server_port'")[0]
    w.send(wire.function_call(oid, []))
    out = w.reply()
    assert wire.types(out) == "VZ" and out[0].body[4:] == str(primary.port).encode()


def test_no_catalog_look_ups_disturb_the_session(session):
    """psql's pg_stat_activity shows the client's own statement, nothing of the proxy's."""
    s = session()
    s.run("SELECT a FROM r.t")
    text = s.value("SELECT query FROM pg_stat_activity WHERE pid = pg_backend_pid()")
    assert "pg_stat_activity" in text


# ---- parameters that change the rules ---------------------------------------------------------

RULES = [
    (dict(allow_sql_comments=True), [
        ("/*NO LOAD BALANCE*/ SELECT 1", R), ("/* x */ SELECT 1", R), ("-- x\nSELECT 1", R),
        ("VALUES (1)", R), ("/* x */ INSERT INTO r.w VALUES (1)", P), ("SELECT random()", P)]),
    (dict(ignore_leading_white_space=False), [
        (" SELECT 1", P), ("\nSELECT 1", P), ("SELECT 1", R)]),
    (dict(write_function_list="f_vol.*,nextval"), [
        ("SELECT f_stable()", R), ("SELECT random()", R), ("SELECT now()", R),
        ("SELECT f_volatile()", P), ("SELECT F_VOLATILE()", P), ("SELECT nextval('r.s')", P)]),
    (dict(read_only_function_list="f_stable,low.*"), [
        ("SELECT f_stable()", R), ("SELECT lower('A')", R), ("SELECT 1", R), ("SELECT now()", P),
        ("SELECT f_volatile()", P)]),
    (dict(read_only_function_list="f_.*", write_function_list="f_volatile"), [
        ("SELECT f_volatile()", R), ("SELECT random()", P)]),
    (dict(white_function_list="f_stable"), [("SELECT f_stable()", R), ("SELECT now()", P)]),
    (dict(black_function_list="f_stable"), [("SELECT random()", R), ("SELECT f_stable()", P)]),
    (dict(primary_routing_query_pattern_list=".*special.*;SELECT 4[23].*"), [
        ("SELECT 'special'", P), ("SELECT 'SPECIAL'", P), ("SELECT 42", P), ("select 43", P),
        ("SELECT 44", R), ('SELECT 1 AS "special"', P), ('SELECT 1 AS "spec""ial"', ANY)]),
    (dict(database_redirect_preference_list="other:1,app:primary"), [("SELECT 1", P)]),
    (dict(database_redirect_preference_list="ap.*:0"), [("SELECT 1", P)]),
    (dict(database_redirect_preference_list="pp:primary"), [("SELECT 1", R)]),
    (dict(database_redirect_preference_list="app:standby", backend_weight0=1), [("SELECT 1", R)]),
    (dict(database_redirect_preference_list="app:1", backend_weight0=1), [("SELECT 1", R)]),
    (dict(database_redirect_preference_list="app:primary(0.0)"), [("SELECT 1", R)]),
    (dict(database_redirect_preference_list="app:primary(1.0)"), [("SELECT 1", P)]),
    (dict(user_redirect_preference_list="route:primary"), [("SELECT 1", P)]),
    (dict(user_redirect_preference_list="route:primary",
          database_redirect_preference_list="app:standby"), [("SELECT 1", R)]),
    (dict(app_name_redirect_preference_list="mine:primary"), [("SELECT 1", R)]),
    (dict(backend_weight1=0), [("SELECT 1", P), ("SHOW port", P)]),
    (dict(backend_weight0=1, backend_weight1=0), [("SELECT 1", P)]),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("params, steps", RULES, ids=[",".join(p) + f"-{i}" for i, (p, _) in
                                                      enumerate(RULES)])
def test_parameter_changes_the_rules(session, params, steps, way):
    session(way, **params).script(steps)


def test_redirect_by_application_name_wins_over_the_database(session):
    s = session(login=dict(application_name="mine"),
                database_redirect_preference_list="app:standby",
                app_name_redirect_preference_list="mi.*:primary,psql:1")
    s.script([("SELECT 1", P), ("SET application_name = 'psql'", ANY), ("SELECT 2", P)])


def test_redirect_to_a_node_that_is_not_there_falls_back(session):
    session(database_redirect_preference_list="app:7").script([("SELECT 1", R)])


def test_lists_are_replaced_by_a_reload(session):
    s = session(primary_routing_query_pattern_list="SELECT 5.*")
    s.script([("SELECT 5", P), ("SELECT 6", R)])
    s.proxy.reload(primary_routing_query_pattern_list="SELECT 6.*")
    s.script([("SELECT 5", R), ("SELECT 6", P)])


# ---- weights ----------------------------------------------------------------------------------

def shares(session, count):
    return sum(session.value("SHOW port") == session.ports[1] for _ in range(count)) / count


def with_ports(s, primary, replica):
    s.ports = [str(primary.port), str(replica.port)]
    return s


def test_a_session_keeps_its_node(session, primary, replica):
    s = with_ports(session(backend_weight0=1), primary, replica)
    assert shares(s, 50) in (0.0, 1.0)


def test_sessions_are_spread_by_weight(session, primary, replica):
    """64 sessions at 1:1; the bounds are eight standard deviations wide."""
    p = session(backend_weight0=1).proxy
    seen = [p.one("SELECT current_setting('port')") for _ in range(64)]
    assert 0 < seen.count(str(replica.port)) < 64


@pytest.mark.parametrize("weights, low, high", [((1, 1), 0.3, 0.7), ((1, 3), 0.55, 0.95),
                                                ((9, 1), 0.01, 0.3), ((0, 1), 1, 1)])
def test_statements_are_spread_by_weight(session, primary, replica, weights, low, high):
    s = with_ports(session(statement_level_load_balance=True, backend_weight0=weights[0],
                           backend_weight1=weights[1]), primary, replica)
    assert low <= shares(s, 400) <= high


# ---- transactions: disable_load_balance_on_write ----------------------------------------------

W = ("INSERT INTO r.w VALUES (1)", P)
READ = "SELECT count(*) FROM r.t"

TRANSACTIONS = [
    ("a lone write changes nothing", ["off", "transaction", "trans_transaction", "dml_adaptive"],
     [(READ, R), W, (READ, R)]),
    ("reads before a write", ["off", "transaction", "trans_transaction", "dml_adaptive", "always"],
     [("BEGIN", ANY), (READ, R), ("SHOW work_mem", R), (READ, R), ("COMMIT", ANY), (READ, R)]),
    ("reads after a write, off", ["off"],
     [("BEGIN", ANY), W, (READ, R), ("COMMIT", ANY), (READ, R)]),
    ("reads after a write", ["transaction"],
     [("BEGIN", ANY), (READ, R), W, (READ, P), ("SELECT 1", P), ("COMMIT", ANY), (READ, R),
      ("BEGIN", ANY), (READ, R), ("ROLLBACK", ANY)]),
    ("after rollback", ["transaction"],
     [("BEGIN", ANY), W, ("ROLLBACK", ANY), (READ, R)]),
    ("later transactions", ["trans_transaction"],
     [("BEGIN", ANY), (READ, R), W, (READ, P), ("COMMIT", ANY), (READ, R), ("BEGIN", ANY),
      (READ, P), ("COMMIT", ANY), (READ, R)]),
    ("rest of the session", ["always"], [(READ, R), W, (READ, P), ("SELECT 1", P), (READ, P)]),
    ("rest of the session from a transaction", ["always"],
     [("BEGIN", ANY), (READ, R), W, ("ROLLBACK", ANY), (READ, P)]),
    ("rollback to savepoint keeps the write", ["transaction", "always"],
     [("BEGIN", ANY), W, ("SAVEPOINT s", ANY), W, ("ROLLBACK TO s", ANY), (READ, P),
      ("ROLLBACK", ANY)]),
    ("rollback to savepoint before the write", ["transaction"],
     [("BEGIN", ANY), ("SAVEPOINT s", ANY), W, ("ROLLBACK TO SAVEPOINT s", ANY), (READ, P),
      ("COMMIT", ANY), (READ, R)]),
    ("redundant begin keeps the write", ["transaction"],
     [("BEGIN", ANY), W, ("BEGIN", ANY), (READ, P), ("COMMIT", ANY)]),
    ("chained transactions", ["transaction"],
     [("BEGIN", ANY), W, (READ, P), ("COMMIT AND CHAIN", ANY), (READ, R), W, (READ, P),
      ("ROLLBACK", ANY), (READ, R)]),
    ("serializable", ["off", "transaction", "always", "dml_adaptive"],
     [("BEGIN ISOLATION LEVEL SERIALIZABLE", ANY), (READ, P), ("COMMIT", ANY), (READ, R)]),
    ("serializable by set", ["transaction"],
     [("BEGIN", ANY), ("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", P), (READ, P),
      ("COMMIT", ANY), (READ, R)]),
    ("serializable by default", ["transaction"],
     [("SET default_transaction_isolation = serializable", P), ("BEGIN", ANY), (READ, P),
      ("COMMIT", ANY)]),
    ("repeatable read", ["off", "transaction", "always", "dml_adaptive"],
     [("BEGIN ISOLATION LEVEL REPEATABLE READ", ANY), (READ, P), ("COMMIT", ANY), (READ, R)]),
    ("serializable, read only", ["transaction"],
     [("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY", ANY), (READ, P), ("COMMIT", ANY)]),
    ("repeatable read by set", ["transaction"],
     [("BEGIN", ANY), ("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ", P), (READ, P),
      ("COMMIT AND CHAIN", P), (READ, P), ("COMMIT", ANY), (READ, R)]),
    ("repeatable read by parameter", ["transaction"],
     [("BEGIN", ANY), ("SET LOCAL transaction_isolation = 'repeatable read'", P), (READ, P),
      ("COMMIT", ANY), (READ, R)]),
    ("repeatable read by set_config", ["transaction"],
     [("SELECT set_config('default_transaction_isolation', 'repeatable read', false)", P),
      (READ, R), ("BEGIN", ANY), (READ, P), ("COMMIT", ANY)]),
    ("repeatable read by default", ["transaction"],
     [("SET default_transaction_isolation = 'repeatable read'", P), (READ, R), ("BEGIN", ANY),
      (READ, P), ("COMMIT", ANY), ("BEGIN ISOLATION LEVEL READ COMMITTED", ANY), (READ, R),
      ("COMMIT", ANY), ("RESET default_transaction_isolation", P), ("BEGIN", ANY), (READ, R),
      ("COMMIT", ANY)]),
    ("repeatable read by characteristics", ["transaction"],
     [("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ READ WRITE", P),
      ("BEGIN", ANY), (READ, P), ("COMMIT", ANY)]),
    ("a level that is rolled back", ["transaction"],
     [("BEGIN", ANY), ("SET default_transaction_isolation = 'repeatable read'", P),
      ("ROLLBACK", ANY), ("BEGIN", ANY), (READ, R), ("COMMIT", ANY)]),
    ("settings", ["transaction", "trans_transaction", "always"],
     [("SET work_mem = '5MB'", P), (READ, R), ("BEGIN", ANY), ("SET work_mem = '6MB'", P),
      (READ, R), ("SET LOCAL work_mem = '7MB'", P), (READ, R),
      ("RESET work_mem", P), (READ, R), ("COMMIT", ANY), ("BEGIN", ANY), (READ, R),
      ("COMMIT", ANY)]),
    ("settings, adaptive", ["dml_adaptive"],
     [("BEGIN", ANY), ("SET work_mem = '6MB'", P), (READ, R), W, (READ, R), ("COMMIT", ANY)]),
    ("no listener in the end", ["transaction"],
     [("BEGIN", ANY), ("LISTEN x", P), (READ, P), ("ROLLBACK", ANY), (READ, R)]),
    ("a listener", ["transaction"],
     [("LISTEN x", P), (READ, P), ("BEGIN", ANY), (READ, P), ("COMMIT", ANY), ("UNLISTEN *", P),
      (READ, ANY)]),            # PostgreSQL is asked whether that was all
    ("read only", ["transaction"],
     [("START TRANSACTION READ ONLY", ANY), (READ, R), ("COMMIT", ANY), (READ, R)]),
    ("read write", ["transaction"],
     [("BEGIN READ WRITE", ANY), (READ, R), W, (READ, P), ("END", ANY), (READ, R)]),
    ("other tables", ["dml_adaptive"],
     [("BEGIN", ANY), ("SELECT * FROM r.w", R), W, (READ, R), ("SELECT * FROM r.w", P),
      ("SELECT * FROM R.W", P), ("SELECT 1 FROM r.t JOIN r.w ON true", P),
      ('SELECT * FROM "r"."w"', P), ("SELECT (SELECT max(a) FROM r.w)", P), (READ, R),
      ("COMMIT", ANY), ("SELECT * FROM r.w", R)]),
    ("other writes", ["dml_adaptive"],
     [("BEGIN", ANY), ("DELETE FROM ONLY r.w", P), ("SELECT * FROM r.w", P), ("SELECT * FROM r.u",
      R), ("UPDATE r.u SET a = a", P), ("SELECT * FROM r.u", P), (READ, R), ("TRUNCATE r.t", P),
      (READ, P), ("ROLLBACK", ANY), (READ, R)]),
    ("rollback to savepoint, adaptive", ["dml_adaptive"],
     [("BEGIN", ANY), W, ("SAVEPOINT s", ANY), ("ROLLBACK TO s", ANY), ("SELECT * FROM r.w", P),
      ("COMMIT", ANY)]),
    ("outside transactions", ["dml_adaptive"], [W, ("SELECT * FROM r.w", R)]),
]

CASES = [(name, mode, steps) for name, modes, steps in TRANSACTIONS for mode in modes]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name, mode, steps", CASES,
                         ids=[f"{n.replace(' ', '-')}-{m}" for n, m, _ in CASES])
def test_transactions(session, primary, replica, name, mode, steps, way):
    session(way, disable_load_balance_on_write=mode).script(steps)


def test_a_snapshot_on_a_replica_serves_all_of_its_transaction(session):
    session().script(
        [("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY", ANY), (READ, R), ("SAVEPOINT s", R),
         ("SET LOCAL work_mem = '5MB'", R), ("DECLARE c CURSOR FOR SELECT 1", R), ("FETCH c", R),
         ("ROLLBACK TO s", R), (READ, R), ("COMMIT AND CHAIN", R), (READ, R), ("COMMIT", R),
         (READ, R)])


COUNTS_AS_WRITE = [
    "INSERT INTO r.w VALUES (1)", "CREATE TEMP TABLE x (a int)", "SAVEPOINT s", "VALUES (1)",
    "LOCK TABLE r.w", "/* x */ SELECT 1", "SELECT random()", "DECLARE c CURSOR FOR SELECT 1",
    "SELECT * FROM r.t FOR UPDATE", "DO $$ BEGIN NULL; END $$", "TRUNCATE r.w",
]
COUNTS_NOT = ["EXPLAIN SELECT 1", "SELECT 1", "SHOW port", "SET TRANSACTION READ ONLY", "SHOW ALL",
              "SELECT count(*) FROM pg_class", "SELECT * FROM pg_catalog.pg_type, r.t",
              "SELECT current_setting('transaction_read_only')", "COPY (TABLE pg_class) TO STDOUT",
              "SELECT now()", "SET work_mem = '5MB'", "RESET work_mem"]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql", COUNTS_AS_WRITE, ids=ids([(s,) for s in COUNTS_AS_WRITE]))
def test_what_counts_as_a_write(session, sql, way):
    session(way).script([("BEGIN", ANY), (READ, R), (sql, ANY), (READ, P), ("ROLLBACK", ANY),
                         (READ, R)])


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql", COUNTS_NOT, ids=ids([(s,) for s in COUNTS_NOT]))
def test_what_does_not_count_as_a_write(session, sql, way):
    session(way).script([("BEGIN", ANY), (sql, ANY), (READ, R), ("ROLLBACK", ANY)])


def test_a_write_in_a_text_with_begin_counts(session):
    session().script([("BEGIN; UPDATE r.w SET a = 2", P), (READ, P), ("COMMIT", ANY), (READ, R)])


def test_begin_in_a_text_with_reads(session):
    s = session()
    s.run("BEGIN; SELECT 1")
    assert s.run("SELECT 1")[0][-1].body == b"T"
    s.script([("COMMIT", ANY), (READ, R)])


def test_relations_of_dml_adaptive(session):
    params = dict(disable_load_balance_on_write="dml_adaptive",
                  dml_adaptive_object_relationship_list="w:t,f_volatile():u")
    session(**params).script([
        ("BEGIN", ANY), (READ, R), W, (READ, P), ("SELECT * FROM r.u", R),
        ("SELECT f_volatile()", P), ("SELECT * FROM r.u", P), ("COMMIT", ANY),
        (READ, R), ("SELECT * FROM r.u", R)])


def test_written_rows_are_seen_in_their_transaction(session):
    s = session("unnamed")
    s.run("BEGIN")
    assert s.value("SELECT count(*) FROM r.w WHERE a = 77") == "0"
    s.run("INSERT INTO r.w VALUES (77)")
    assert s.value("SELECT count(*) FROM r.w WHERE a = 77") == "1"
    s.run("SAVEPOINT x")
    s.run("DELETE FROM r.w WHERE a = 77")
    assert s.value("SELECT count(*) FROM r.w WHERE a = 77") == "0"
    s.run("ROLLBACK TO x")
    assert s.value("SELECT count(*) FROM r.w WHERE a = 77") == "1"
    s.run("ROLLBACK")


def test_the_unnamed_statement_writes_again_in_a_transaction(proxy, primary):
    """Nothing was noted when it ran first; a BEGIN in the extended protocol lets it live."""
    p = proxy(disable_load_balance_on_write="transaction", log_per_node_statement=False)
    w = p.raw(user="route")
    w.ask(parse("b", "BEGIN") + sync())
    w.ask(parse("", "INSERT INTO r.w VALUES (1)") + bind() + execute() + sync())
    for portal, name in [("", "b"), ("", "")]:
        w.ask(bind(portal, name) + execute(portal) + sync())
    assert wire.value(w.query("SELECT inet_server_port() FROM r.w LIMIT 1")) == str(primary.port)
    w.query("ROLLBACK")
    w.query("DELETE FROM r.w")


def test_temporary_tables_are_read_on_the_primary(session):
    s = session()
    s.proxy.knows_code()
    s.script([("CREATE TEMP TABLE mine (a int)", P), ("INSERT INTO mine VALUES (3)", P),
              ("SELECT * FROM mine", P), ("SELECT * FROM r.t JOIN mine USING (a)", P), (READ, R),
              ("DROP TABLE mine", P), (READ, R)])


TEMP = ["CREATE TEMPORARY TABLE mine (a int)", "CREATE LOCAL TEMP TABLE mine AS SELECT 1 AS a",
        "SELECT 1 AS a INTO TEMP mine", "CREATE TABLE pg_temp.mine (a int)",
        'CREATE TEMP TABLE "mine" (a int)', "CREATE TEMP VIEW mine AS SELECT 1 AS a",
        "CREATE TEMP SEQUENCE mine"]


@pytest.mark.parametrize("sql", TEMP)
@pytest.mark.parametrize("way", WAYS)
def test_temporary_objects_of_all_kinds(session, sql, way):
    session(way).script([(sql, P), ("SELECT * FROM mine", P), ("SELECT * FROM MINE x", P)])


def test_a_temporary_table_hides_a_permanent_one(session, primary, replica):
    s = session()
    assert s.value("SELECT count(*) FROM r.u") == "10"
    s.run("SET search_path = pg_temp, r, public")
    s.run("CREATE TEMP TABLE u (a int)")
    assert s.value("SELECT count(*) FROM u") == "0"
    s.run("DROP TABLE u")
    assert s.value("SELECT count(*) FROM u") == "10"


# ---- reads that a replica cannot answer -------------------------------------------------------

@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("sql, value", [
    ("SELECT count(*) FROM r.unlogged", "0"), ("SELECT count(*) FROM r.unlogged_view", "0"),
    ("SELECT n > 0 FROM r.writing_view", "t")])
def test_reads_that_only_the_primary_can_answer(session, sql, value, way):
    """A replica never makes a read fail: it runs again on the primary."""
    s = session(way)
    for _ in range(3):
        assert s.value(sql) == value
    s.run("BEGIN")
    assert s.value(READ) == "10"
    assert s.value(sql) == value
    assert s.value(READ) == "10"
    assert s.run("COMMIT")[0][-1].body == b"I"


def test_a_statement_that_turned_out_to_write_is_remembered(session):
    s = session()
    for _ in range(2):
        out = s.wire.query("SELECT n > 0 FROM r.writing_view /* remembered */")
        assert wire.errors(out) == []
    s.witness = Witness([node for node, _ in s.witness.nodes])
    s.wire.query("SELECT n > 0 FROM r.writing_view /* remembered */")
    assert s.witness.saw("remembered") == P


@pytest.mark.parametrize("way", WAYS)
def test_an_error_on_the_replica_is_the_primary_s_error(session, way):
    s = session(way)
    out, _ = s.run("SELECT 1 / (a - a) FROM r.t")
    assert wire.errors(out) == ["22012"]
    s.run("BEGIN")
    out, _ = s.run("SELECT 1 / (a - a) FROM r.t")
    assert wire.errors(out) == ["22012"] and out[-1].body == b"E"
    out, _ = s.run("SELECT 1")
    assert wire.errors(out) == (["25P02"] if way != "named" else wire.errors(out))
    out, _ = s.run("ROLLBACK", "simple")
    assert out[-1].body == b"I"
    assert s.value(READ) == "10"


def test_an_error_after_rows_is_the_replica_s_error(session):
    """Rows have been sent, so it cannot run again; the session goes on."""
    s = session()
    out, _ = s.run("SELECT 1 / (50000 - i) FROM generate_series(1, 50001) i")
    assert wire.errors(out) == ["22012"] and len(wire.rows(out)) == 49999
    assert s.value(READ) == "10"


def test_a_failed_transaction_stays_failed_on_all_nodes(session):
    s = session()
    s.know_bodies()
    s.run("BEGIN")
    s.run(READ)
    out, _ = s.run("SELECT no_such_column FROM r.t")
    assert wire.errors(out) == ["42703"] and out[-1].body == b"E"
    for sql in (READ, "INSERT INTO r.w VALUES (1)", "SHOW port", "SET work_mem = '1MB'"):
        out, _ = s.run(sql)
        assert wire.errors(out) == ["25P02"] and out[-1].body == b"E"
    out, _ = s.run("COMMIT")
    assert [m.tag for m in out if m.type == "C"] == ["ROLLBACK"]
    s.script([(READ, R)])


def test_savepoints_with_reads_on_both_nodes(session):
    s = session(disable_load_balance_on_write="off")
    s.know_bodies()
    s.run("BEGIN")
    s.run(READ)
    s.run("SAVEPOINT a")
    out, _ = s.run("SELECT no_such FROM r.t")
    assert out[-1].body == b"E"
    assert s.run("ROLLBACK TO a")[0][-1].body == b"T"
    assert s.value(READ) == "10"
    s.run("INSERT INTO r.w VALUES (5)")
    s.run("SAVEPOINT a")
    assert s.value(READ) == "10"
    s.run("RELEASE a")
    assert s.value(READ) == "10"
    assert s.run("COMMIT")[0][-1].body == b"I"
    s.script([(READ, R)])


# ---- session state is the same on all nodes ---------------------------------------------------

SETTINGS = [
    (["SET work_mem = '7MB'"], "current_setting('work_mem')", "7MB"),
    (["SET SESSION work_mem TO '7MB'"], "current_setting('work_mem')", "7MB"),
    (["SET work_mem = '7MB'", "RESET work_mem"], "current_setting('work_mem')", "4MB"),
    (["SET work_mem = '7MB'", "SET work_mem TO DEFAULT"], "current_setting('work_mem')", "4MB"),
    (["SET work_mem = '7MB'", "RESET ALL"], "current_setting('work_mem')", "4MB"),
    (["SET work_mem = '7MB'", "DISCARD ALL"], "current_setting('work_mem')", "4MB"),
    (["SET my.own = 'x;''y'"], "current_setting('my.own')", "x;'y"),
    (["SET search_path = r"], "(SELECT count(*) FROM t)", "10"),
    (["SET search_path = r, public"], "array_to_string(current_schemas(false), ',')", "r,public"),
    (["SET TIME ZONE 'Asia/Tokyo'"], "current_setting('TimeZone')", "Asia/Tokyo"),
    (["SET TIME ZONE LOCAL"], "current_setting('TimeZone')", "UTC"),
    (["SET NAMES 'LATIN1'"], "current_setting('client_encoding')", "LATIN1"),
    (["SET DateStyle = 'German'"], "'2020-12-31'::date", "31.12.2020"),
    (["SET ROLE app"], "current_user", "app"),
    (["SET ROLE app", "RESET ROLE"], "current_user", "route"),
    (["SET ROLE app", "SET ROLE NONE"], "current_user", "route"),
    (["SET SESSION AUTHORIZATION app"], "session_user", "app"),
    (["SET SESSION AUTHORIZATION app", "RESET SESSION AUTHORIZATION"], "session_user", "route"),
    (["SET application_name = 'other'"], "current_setting('application_name')", "other"),
    (["SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ"],
     "current_setting('transaction_isolation')", "repeatable read"),
    (["SET default_transaction_read_only = on"], "current_setting('transaction_read_only')", "on"),
    (["SET work_mem = '7MB'; SET my.own = 'a'"], "current_setting('work_mem')", "7MB"),
    (["BEGIN", "SET work_mem = '7MB'", "COMMIT"], "current_setting('work_mem')", "7MB"),
    (["BEGIN", "SET work_mem = '7MB'", "ROLLBACK"], "current_setting('work_mem')", "4MB"),
    (["BEGIN", "SET LOCAL work_mem = '7MB'", "COMMIT"], "current_setting('work_mem')", "4MB"),
    (["BEGIN", "SET work_mem = '7MB'", "SAVEPOINT s", "SET work_mem = '8MB'", "ROLLBACK TO s",
      "COMMIT"], "current_setting('work_mem')", "7MB"),
    (["SET work_mem = '6MB'", "BEGIN", "SAVEPOINT s", "SET work_mem = '7MB'", "RELEASE s",
      "COMMIT"], "current_setting('work_mem')", "7MB"),
    (["SELECT 1", "SET work_mem = '7MB'", "SELECT 1", "SET work_mem = '8MB'"],
     "current_setting('work_mem')", "8MB"),
    (["SELECT set_config('work_mem', '7MB', false)"], "current_setting('work_mem')", "7MB"),
]


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("steps, read, value", SETTINGS,
                         ids=ids([("; ".join(s),) for s, _, _ in SETTINGS]))
def test_settings_hold_in_reads(session, steps, read, value, way):
    s = session(way)
    s.run("SELECT 1", "simple")                     # the replica's server is there already
    play(s, steps)
    assert s.value(f"SELECT {read}") == value
    fresh = session(way)                            # and where it is not
    play(fresh, steps)
    assert fresh.value(f"SELECT {read}") == value


def play(session, steps):
    for sql in steps:
        out, _ = session.run(sql, "simple" if "; " in sql else None)
        assert wire.errors(out) == [], sql


def test_settings_do_not_keep_reads_from_the_replica(session):
    s = session()
    s.script([("SET work_mem = '7MB'", ANY), ("SELECT current_setting('work_mem')", R),
              ("SET search_path = r", ANY), ("SELECT count(*) FROM t", R)])


@pytest.mark.parametrize("sql, read, value", [
    ("BEGIN ISOLATION LEVEL REPEATABLE READ", "current_setting('transaction_isolation')",
     "repeatable read"),
    ("BEGIN READ ONLY", "current_setting('transaction_read_only')", "on"),
    ("BEGIN ISOLATION LEVEL SERIALIZABLE", "current_setting('transaction_isolation')",
     "serializable"),
    ("BEGIN READ WRITE, ISOLATION LEVEL READ COMMITTED", "current_setting('transaction_isolation')",
     "read committed")])
def test_characteristics_of_a_transaction_hold_in_reads(session, sql, read, value):
    s = session()
    s.run(sql)
    assert s.value(f"SELECT {read}") == value
    s.run("COMMIT")


@pytest.mark.parametrize("modes", ["", " READ ONLY"])
def test_repeatable_read_gives_one_snapshot(session, primary, replica, modes):
    s = session()
    s.run("BEGIN ISOLATION LEVEL REPEATABLE READ" + modes)
    before = s.value("SELECT count(*) FROM r.u")
    primary.su("INSERT INTO r.u VALUES (1000)")
    primary.catch_up(replica)
    assert s.value("SELECT count(*) FROM r.u") == before
    s.run("COMMIT")
    assert int(s.value("SELECT count(*) FROM r.u")) == int(before) + 1
    primary.su("DELETE FROM r.u WHERE a = 1000")


def test_set_transaction_read_only_off_writes(session):
    s = session()
    for sql in ("SET default_transaction_read_only = on", "BEGIN", "SET transaction_read_only = 0",
                "INSERT INTO r.w VALUES (1)", "COMMIT", "BEGIN READ WRITE",
                "INSERT INTO r.w VALUES (1)", "COMMIT"):
        assert wire.errors(s.run(sql)[0]) == [], sql
    assert wire.errors(s.run("INSERT INTO r.w VALUES (1)")[0]) == ["25006"]


# ---- prepared statements move with their session ----------------------------------------------

def test_execute_of_sql_follows_its_statement(session):
    session().script([
        ("PREPARE p (int) AS SELECT a FROM r.t WHERE a = $1", P), ("EXECUTE p(1)", R),
        ("EXECUTE p(2)", R), ("DEALLOCATE p", ANY), ("PREPARE p AS SELECT random()", P),
        ("EXECUTE p", P), ("DEALLOCATE ALL", ANY), ("PREPARE p AS SELECT 1", ANY),
        ("EXECUTE p", R)])


def test_execute_of_sql_after_a_write(session):
    s = session()
    s.run("PREPARE p AS SELECT count(*) FROM r.w WHERE a = 99")
    assert s.value("EXECUTE p") == "0"
    s.run("BEGIN")
    s.run("INSERT INTO r.w VALUES (99)")
    assert s.value("EXECUTE p") == "1"
    s.run("ROLLBACK")
    assert s.value("EXECUTE p") == "0"


def test_prepared_write_of_sql(session):
    session().script([("PREPARE p AS INSERT INTO r.w VALUES (1)", P), ("EXECUTE p", P), (READ, R),
                      ("BEGIN", ANY), ("EXECUTE p", P), (READ, P), ("COMMIT", ANY)])


def test_named_statement_moves_with_the_transaction(session, mark):
    s = session()
    s.know_bodies()
    w, word = s.wire, mark()

    def run():
        """Binds the statement; the nodes that ran it, and its value."""
        s.witness = Witness([node for node, _ in s.witness.nodes])
        out = w.ask(bind("", "s") + execute() + sync())
        assert wire.errors(out) == [], out
        return s.witness.saw(word), wire.value(out)

    w.ask(parse("s", f"SELECT count(*) FROM r.w WHERE a = 88 /* {word} */") + sync())
    assert run() == (R, "0")
    w.query("BEGIN")
    assert run() == (R, "0")
    w.query("INSERT INTO r.w VALUES (88)")
    assert run() == (P, "1")
    assert run() == (P, "1")
    w.query("ROLLBACK")
    assert run() == (R, "0")
    w.ask(close("S", "s") + sync())
    assert wire.errors(w.ask(bind("", "s") + execute() + sync())) == ["26000"]


def test_statement_parsed_in_a_write_transaction_is_read_on_the_replica_later(session):
    s = session()
    s.know_bodies()
    w = s.wire
    w.query("BEGIN")
    w.query("INSERT INTO r.w VALUES (1)")
    w.ask(parse("s", "SHOW port") + sync())
    first = wire.value(w.ask(bind("", "s") + execute() + sync()))
    w.query("ROLLBACK")
    second = wire.value(w.ask(bind("", "s") + execute() + sync()))
    assert first != second


def test_parse_and_bind_in_different_batches_with_a_write_between(session):
    """The statement was parsed for the replica and is bound after a write: the last unnamed
    statement is kept and made anew where it is needed."""
    s = session()
    w = s.wire
    w.query("BEGIN")
    w.ask(parse("r", "SELECT count(*) FROM r.w WHERE a = 66") + describe("S", "r") + sync())
    w.ask(parse("i", "INSERT INTO r.w VALUES (66)") + bind("", "i") + execute() + sync())
    out = w.ask(parse("", "SELECT count(*) + 0 FROM r.w WHERE a = 66") + describe("S") + sync())
    assert wire.types(out) == "1tTZ"
    assert wire.value(w.ask(bind("", "r") + execute() + sync())) == "1"
    w.ask(parse("", "SELECT count(*) + 0 FROM r.w WHERE a = 66") + sync())
    assert wire.value(w.ask(bind() + execute() + sync())) == "1"
    w.query("ROLLBACK")


def test_one_batch_with_reads_and_writes_sees_its_writes(session):
    w = session().wire
    out = w.ask(wire.extended("SELECT count(*) FROM r.w WHERE a = 55")
                + wire.extended("INSERT INTO r.w VALUES (55)")
                + wire.extended("SELECT count(*) FROM r.w WHERE a = 55")
                + wire.extended("DELETE FROM r.w WHERE a = 55") + sync())
    assert wire.errors(out) == []
    assert [r[0] for r in wire.rows(out)] == [b"0", b"1"]


def test_portal_of_a_read_on_the_replica(session):
    """A suspended portal keeps its node until it is done, even beyond a write."""
    w = session().wire
    w.query("BEGIN")
    out = w.ask(wire.extended("SELECT a FROM r.t ORDER BY a", portal="c", limit=2) + sync())
    assert wire.rows(out) == [[b"1"], [b"2"]]
    w.query("INSERT INTO r.w VALUES (1)")
    out = w.ask(execute("c", 3) + sync())
    assert wire.rows(out) == [[b"3"], [b"4"], [b"5"]]
    out = w.ask(execute("c") + sync())
    assert len(wire.rows(out)) == 5
    assert w.query("ROLLBACK")[-1].body == b"I"


# ---- what the proxy tells ---------------------------------------------------------------------

def test_log_per_node_statement(session, primary, replica):
    s = session(log_per_node_statement=True)
    port = s.value("SELECT inet_client_port() AS reader")
    reader, = replica.su("SELECT pid FROM pg_stat_activity WHERE client_port = %s", (port,))[0]
    s.proxy.wait_log(rf"LOG:  DB node id: 1 backend pid: {reader} statement: SELECT inet_client_port"
                     r"\(\) AS reader")
    s.run("INSERT INTO r.w VALUES (1)")
    s.proxy.wait_log(r"LOG:  DB node id: 0 backend pid: \d+ statement: INSERT INTO r\.w VALUES")


def test_log_per_node_statement_of_extended_messages(session):
    s = session("unnamed")
    s.run("SELECT 'logged'")
    for what in ("Parse", "Bind", "Execute"):
        s.proxy.wait_log(rf"DB node id: 1 backend pid: \d+ statement: {what}: SELECT 'logged'")


def test_log_per_node_statement_off(session):
    s = session(log_per_node_statement=False)
    s.run("SELECT 'quiet'")
    s.run("INSERT INTO r.w VALUES (1)")
    assert s.proxy.stop() == 0
    assert "DB node id" not in s.proxy.log_text()


def test_notice_per_node_statement(session):
    s = session(notice_per_node_statement=True)
    for sql, node in (("SELECT 'noticed'", 1), ("INSERT INTO r.w VALUES (1)", 0)):
        out, _ = s.run(sql)
        texts = [m.fields["M"] for m in out if m.type == "N"]
        assert any(t.startswith(f"DB node id: {node} statement: {sql}") for t in texts), texts


def test_log_statement(session):
    s = session(log_statement=True)
    s.run("SELECT 'client said'")
    s.proxy.wait_log(r"LOG:  statement: SELECT 'client said'")


def test_log_client_messages(session):
    s = session("named", log_client_messages=True)
    s.run("SELECT 'traced'")
    for what in ("Parse", "Bind", "Describe", "Execute", "Sync"):
        s.proxy.wait_log(f"LOG:  {what} message from frontend")


def test_no_replica_configured(session, primary, mark, proxy):
    p = proxy(nodes=[primary])
    s = Session(p, Witness([primary]), mark)
    s.script([("SELECT 1", P), ("INSERT INTO r.w VALUES (1)", P), ("BEGIN", P), (READ, P),
              ("COMMIT", P)])


def test_a_replica_that_lags_still_answers(session, primary, replica):
    """Session consistency is not promised by default; an answer is."""
    s = session()
    s.know_bodies()
    replica.su("SELECT pg_wal_replay_pause()")
    try:
        s.run("INSERT INTO r.w VALUES (12345)")
        s.script([("SELECT count(*) FROM r.w WHERE a = 12345", R)])
        assert s.value("SELECT count(*) FROM r.w WHERE a = 12345") == "0"
    finally:
        replica.su("SELECT pg_wal_replay_resume()")
        primary.catch_up(replica)
    assert s.value("SELECT count(*) FROM r.w WHERE a = 12345") == "1"
