"""Prepared statements are those of one session, whatever server runs them.  Each script runs on
PostgreSQL itself and through the proxy, and the replies are compared."""

import pytest

import wire
from wire import bind, close, describe, execute, flush, parse, query, sync, wait_until

pytestmark = pytest.mark.proxy

SCHEMA = """
DROP SCHEMA IF EXISTS n CASCADE; DROP SCHEMA IF EXISTS n2 CASCADE;
CREATE SCHEMA n; CREATE SCHEMA n2;
CREATE TABLE n.t (a int, b int); INSERT INTO n.t VALUES (1, 2);
CREATE TABLE n2.t (b int, a int); INSERT INTO n2.t VALUES (20, 10);
CREATE TABLE n.w (a int);
GRANT ALL ON SCHEMA n, n2 TO app; GRANT ALL ON ALL TABLES IN SCHEMA n, n2 TO app;
"""
SWAP = "ALTER TABLE n.t DROP COLUMN a; ALTER TABLE n.t ADD COLUMN a int DEFAULT 1"
RUN = bind("", "s") + execute() + sync()
READ = "SELECT * FROM n.t"


@pytest.fixture(autouse=True)
def objects(primary, replica):
    primary.su(SCHEMA)
    primary.catch_up(replica)


class Outside:
    """A step that somebody else does, with no proxy in between."""

    def __init__(self, *sql):
        self.sql = sql


class Lost:
    """The session's connections to PostgreSQL break, if there is a proxy that can have others."""


def columns(body):
    """Names and types of a RowDescription: the number of a table that is made for each run is not
    comparable."""
    out, at = [], 2
    while at < len(body):
        end = body.index(0, at)
        out.append((body[at:end], body[end + 7:end + 19]))
        at = end + 19
    return out


def told(m):
    """What counts of a message: of an error its code, text and routine."""
    if m.type in "EN":
        return m.type, [m.fields.get(k) for k in "CMR"]
    return m.type, columns(m.body) if m.type == "T" else m.body


def ours(node):
    return node.su("SELECT pid FROM pg_stat_activity WHERE usename = 'app'"
                   " AND backend_type = 'client backend'")


def lose(w, primary, replica):
    """Between two statements and not before: what a statement's code may have left behind is asked
    for on its own connection, and a session that lost that one before the answer ends."""
    w.query("/*NO LOAD BALANCE*/ SELECT 1")
    def gone(node):         # a question of the proxy's own goes on with another connection
        node.su("SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE usename = 'app' AND backend_type = 'client backend'")
        return not ours(node)

    for node in (primary, replica):
        wait_until(lambda n=node: gone(n), "its servers have gone")


def play(target, steps, primary, replica, direct):
    out = []
    with target.raw(user="app") as w:
        for step in steps:
            if isinstance(step, Outside):
                for sql in step.sql:
                    primary.su(sql)
                primary.catch_up(replica)
            elif isinstance(step, Lost):
                if not direct:
                    lose(w, primary, replica)
            else:
                out += [told(m) for m in w.ask(step if isinstance(step, bytes) else query(step))
                        if m.type != "S"]
    return out


WRITE = "INSERT INTO n.w VALUES (1)"
PREPARED = parse("s", READ) + describe("S", "s") + sync()

CASES = {
    # the result changes
    "columns swapped": [PREPARED, RUN, Outside(SWAP), RUN, RUN],
    "never described": [parse("s", READ) + sync(), RUN, Outside(SWAP), RUN],
    "described by its portal": [parse("s", READ) + bind("", "s") + describe("P") + execute()
                                + sync(), Outside(SWAP), RUN],
    "in a transaction that wrote": [PREPARED, Outside(SWAP), "BEGIN", WRITE, RUN, "SELECT 1",
                                    "ROLLBACK", RUN],
    "described again": [PREPARED, Outside(SWAP), describe("S", "s") + sync()],
    "among other messages": [
        PREPARED, Outside(SWAP), "BEGIN", WRITE,
        parse("", "SELECT 1") + bind() + execute() + bind("", "s") + execute() + parse("x", "SELECT 2")
        + sync(), bind("", "x") + sync(), "ROLLBACK"],
    "another type": [parse("s", "SELECT a FROM n.t") + sync(),
                     bind("", "s", results=[1]) + execute() + sync(),
                     Outside("ALTER TABLE n.t ALTER a TYPE real USING 1.5"),
                     bind("", "s", results=[1]) + execute() + sync()],
    "changed back": [PREPARED, Outside("ALTER TABLE n.t ADD COLUMN c int"), RUN, "BEGIN", WRITE,
                     RUN, "ROLLBACK", Outside("ALTER TABLE n.t DROP COLUMN c"), RUN, "BEGIN", WRITE,
                     RUN, "ROLLBACK"],
    "made anew with the same columns": [
        PREPARED, Outside("DROP TABLE n.t", "CREATE TABLE n.t (a int, b int)",
                          "GRANT ALL ON n.t TO app"), RUN, "BEGIN", WRITE, RUN, "ROLLBACK"],
    "gone": [PREPARED, Outside("DROP TABLE n.t"), RUN, "BEGIN", WRITE, RUN, "SELECT 1", "ROLLBACK"],
    "gone, on a new connection": [PREPARED, Outside("DROP TABLE n.t"), Lost(), RUN],
    "swapped, on a new connection": [PREPARED, RUN, Outside(SWAP), Lost(), RUN, "SELECT 1"],
    "prepared again after an error": [
        PREPARED, Outside(SWAP), "BEGIN", WRITE, RUN, "ROLLBACK",
        close("S", "s") + parse("s", READ) + describe("S", "s") + sync(), RUN],
    "unnamed": [parse("", READ) + describe("S") + sync(), Outside(SWAP), bind() + execute() + sync()],
    "unnamed, used in a transaction": [
        "BEGIN", parse("w", WRITE) + sync(), parse("", READ) + describe("S") + sync(),
        bind("", "w") + execute() + sync(), bind() + execute() + sync(), "ROLLBACK"],
    "by search_path": ["SET search_path = n", parse("s", "SELECT * FROM t") + sync(), RUN,
                       "SET search_path = n2", RUN, "BEGIN", WRITE.replace("w", "n.w", 0), RUN,
                       "ROLLBACK", "SET search_path = n", RUN],
    "SQL: swapped": ["PREPARE s AS " + READ, "EXECUTE s", Outside(SWAP), "EXECUTE s", "EXECUTE s"],
    "SQL: swapped, on a new connection": ["PREPARE s AS " + READ, "EXECUTE s", Outside(SWAP), Lost(),
                                          "EXECUTE s", "BEGIN", "EXECUTE s", "SELECT 1",
                                          "ROLLBACK"],
    "SQL: gone, on a new connection": ["PREPARE s AS " + READ, Outside("DROP TABLE n.t"), Lost(),
                                       "EXECUTE s", "BEGIN", "EXECUTE s", "SELECT 1", "ROLLBACK"],
    "types of parameters": [
        parse("s", "SELECT b FROM n.t WHERE a = $1") + describe("S", "s") + sync(),
        bind("", "s", [1]) + execute() + sync(),
        Outside("ALTER TABLE n.t ALTER a TYPE bigint"),
        "BEGIN", WRITE, bind("", "s", [b"\0\0\0\1"], formats=[1]) + execute() + sync(), "ROLLBACK",
        Outside("ALTER TABLE n.t ALTER a TYPE text"),
        "BEGIN", WRITE, bind("", "s", [1]) + execute() + sync(), "ROLLBACK",
        bind("", "s", [1]) + execute() + sync()],

    # the settings of its Parse
    "literal read by DateStyle": [
        "SET datestyle = 'ISO, DMY'", parse("s", "SELECT '01/02/2020'::date") + sync(), RUN,
        "SET datestyle = 'ISO, MDY'", RUN, "BEGIN", WRITE, RUN, "COMMIT", Lost(), RUN, "SHOW datestyle"],
    "parsed in a transaction, read later": [
        "SET datestyle = 'ISO, DMY'", "BEGIN", WRITE, parse("s", "SELECT '01/02/2020'::date") + sync(),
        "COMMIT", "SET datestyle = 'ISO, MDY'", RUN, RUN, "RESET datestyle", RUN],
    "under SET LOCAL": [
        "BEGIN", "SET LOCAL datestyle = 'ISO, DMY'", parse("s", "SELECT '01/02/2020'::date") + sync(),
        "COMMIT", RUN, "BEGIN", WRITE, RUN, "COMMIT"],
    "time zone": ["SET timezone = 'Asia/Tokyo'",
                  parse("s", "SELECT '2020-01-01 00:00'::timestamptz = '2019-12-31 15:00Z'") + sync(),
                  "SET timezone = 'UTC'", RUN, "BEGIN", WRITE, RUN, "COMMIT"],
    "strings": ["SET standard_conforming_strings = off", "SET escape_string_warning = off",
                parse("s", r"SELECT 'a\\b'") + sync(), "SET standard_conforming_strings = on", RUN,
                "BEGIN", WRITE, RUN, "COMMIT"],
    "set in the same request": [
        parse("", "SET datestyle = 'ISO, DMY'") + bind() + execute()
        + parse("s", "SELECT '01/02/2020'::date") + sync(), "SET datestyle = 'ISO, MDY'",
        RUN, "BEGIN", WRITE, RUN, "COMMIT"],
    "a setting that does not matter": [parse("s", READ) + sync(), "SET work_mem = '1MB'", RUN,
                                       "BEGIN", WRITE, RUN, "COMMIT"],
    "a role": ["BEGIN", "SET LOCAL ROLE app", parse("s", "SELECT current_user") + sync(), "COMMIT",
               RUN, "BEGIN", WRITE, RUN, "COMMIT"],

    # names in texts and in code
    "behind another statement": ["PREPARE p AS SELECT 42", "SELECT 1; EXECUTE p",
                                 "BEGIN; EXECUTE p; COMMIT"],
    "CREATE TABLE AS": ["PREPARE p(int) AS SELECT $1 AS a", "CREATE TEMP TABLE x AS EXECUTE p(5)",
                        "SELECT * FROM x", "EXPLAIN (COSTS OFF) EXECUTE p(1)",
                        "EXPLAIN (COSTS OFF) CREATE TABLE y AS EXECUTE p(1)"],
    "in code": ["PREPARE p AS SELECT 42", parse("s", "SELECT 43") + sync(),
                "DO $$ DECLARE r int; BEGIN EXECUTE 'EXECUTE p' INTO r; EXECUTE 'EXECUTE s' INTO r;"
                " EXECUTE 'DEALLOCATE p'; RAISE NOTICE '%', r; END $$"],
    "in code, on a new connection": [
        "PREPARE p AS SELECT 42", parse("s", "SELECT 43") + sync(), Lost(),
        "DO $$ BEGIN EXECUTE 'EXECUTE p'; EXECUTE 'EXECUTE s'; END $$"],
    "the list": ["PREPARE p AS SELECT 42", parse("s", "SELECT 43", [23]) + sync(), parse("t", WRITE)
                 + sync(), "SELECT name, statement, from_sql, parameter_types, pg_typeof(prepare_time)"
                 " FROM pg_prepared_statements ORDER BY name", "DEALLOCATE s",
                 "SELECT name FROM pg_prepared_statements ORDER BY name",
                 "DEALLOCATE ALL", "SELECT name FROM pg_prepared_statements ORDER BY name"],
    "the list, by its function": [
        parse("s", "SELECT 43") + sync(), RUN, "SELECT name FROM pg_prepared_statement()"],
    "the list in a transaction": [
        "BEGIN", parse("s", "SELECT 43") + sync(), RUN, parse("gone", READ) + sync(), WRITE,
        "SELECT name FROM pg_prepared_statements ORDER BY name", RUN, "COMMIT"],
    "the list with one that cannot be made": [
        parse("s", READ) + sync(), parse("r", "SELECT 1") + sync(), Outside("DROP TABLE n.t"), "BEGIN",
        WRITE, "SELECT 'r' IN (SELECT name FROM pg_prepared_statements)", "SELECT 1", "COMMIT"],
    "DEALLOCATE behind something": ["PREPARE p AS SELECT 1", "SET x.y = 1; DEALLOCATE p", "EXECUTE p"],
    "SQL's and the protocol's": [
        "PREPARE p(int) AS SELECT $1 + 1", bind("", "p", [5]) + describe("P") + execute() + sync(),
        describe("S", "p") + sync(), parse("s", "SELECT 7") + sync(), "EXECUTE s",
        "SELECT 1; EXECUTE s", "DEALLOCATE s", RUN, close("S", "p") + sync(), "EXECUTE p(1)"],
    "EXECUTE by the protocol": [
        "PREPARE p AS SELECT 42", parse("s", "EXECUTE p") + describe("S", "s") + sync(), RUN, RUN,
        "DEALLOCATE p", RUN],

    # their lengths
    **{f"a name of {n} bytes": [
        parse("x" * n, "SELECT 1") + sync(), bind("", "x" * 63) + execute() + sync(),
        bind("", "x" * 66) + execute() + sync(), "EXECUTE " + "x" * 64, "BEGIN", WRITE,
        bind("", "x" * 70) + execute() + sync(), "COMMIT", parse("x" * 65, "SELECT 2") + sync(),
        close("S", "x" * 64) + sync(), bind("", "x" * n) + sync()] for n in (62, 63, 64, 70)},
    "a letter over byte 63": [
        parse("x" * 62 + "é", "SELECT 1") + sync(), f'EXECUTE "{"x" * 62}é"',
        f'PREPARE "{"x" * 62}é" AS SELECT 2', f'EXECUTE "{"x" * 62}"',
        bind("", "x" * 62) + execute() + sync()],

    # names that are taken, or nobody has
    "Parse of a name in use": [parse("s", "SELECT 1") + sync(), parse("s", WRITE) + sync(),
                               "BEGIN", parse("s", WRITE) + sync(), "ROLLBACK", RUN],
    "Parse of a name of SQL": ["PREPARE s AS SELECT 1", parse("s", "SELECT 2") + sync(), RUN,
                               "EXECUTE s"],
    "Parse of a name of SQL, refused": ["PREPARE s AS SELECT 1", parse("s", "SELECT 2") + sync(),
                                        parse("r", WRITE) + sync(), parse("s", "SELECT 3") + sync(),
                                        parse("s", WRITE) + sync(), "EXECUTE s"],
    "unnamed, behind a failure": [
        parse("", "SET datestyle = 'ISO, DMY'") + bind() + execute() + sync(),
        parse("", "SELECT '03/02/2020'::date") + bind("", "nobody") + execute() + sync(),
        bind() + execute() + sync()],
    "PREPARE of a name in use": [parse("s", "SELECT 1") + sync(), "PREPARE s AS SELECT 2", RUN,
                                 "EXECUTE s", "PREPARE s AS " + WRITE],
    "PREPARE of a name in use elsewhere, wrong": [parse("s", "SELECT 1") + sync(),
                                                  "PREPARE s AS SELECT nothing", RUN],
    "nobody has": [RUN, describe("S", "s") + sync(), close("S", "s") + sync(), "DEALLOCATE s",
                   "EXECUTE s", "BEGIN", RUN, close("S", "s") + sync(), "ROLLBACK"],
    "DEALLOCATE of the protocol's": [parse("s", "SELECT 1") + sync(), "DEALLOCATE s", RUN,
                                     parse("s", "SELECT 2") + sync(), RUN, "BEGIN", WRITE, RUN,
                                     "DEALLOCATE s", RUN, "ROLLBACK", RUN],
    "Close and Parse in one": [parse("s", "SELECT 1") + sync(), "BEGIN", WRITE,
                               close("S", "s") + parse("s", "SELECT 'two'") + bind("", "s") + execute()
                               + sync(), "COMMIT", RUN, RUN],
    "too few values": [parse("s", "SELECT $1::int") + sync(), RUN, "BEGIN", WRITE, RUN, "ROLLBACK"],
    "in a failed transaction": ["BEGIN", "SELECT 1/0", parse("s", "SELECT 1") + sync(), RUN,
                                parse("c", "ROLLBACK") + sync(), "PREPARE p AS SELECT 1", close("S", "s")
                                + sync(), bind("", "c") + execute() + sync(), RUN],
    "PREPARE rolled back": ["BEGIN", "PREPARE p AS SELECT 1", parse("s", "SELECT 2") + sync(), "ROLLBACK",
                            "EXECUTE p", RUN, "BEGIN", WRITE, "EXECUTE p", RUN, "ROLLBACK",
                            "PREPARE q AS SELECT 3; SELECT 1/0", "EXECUTE q"],
    "rolled back to a savepoint": ["BEGIN", "SAVEPOINT a", parse("s", "SELECT 2") + sync(), WRITE,
                                   "ROLLBACK TO a", RUN, "COMMIT", RUN],
    "DISCARD ALL and DEALLOCATE ALL": [
        parse("s", "SELECT 1") + sync(), RUN, "DISCARD ALL", RUN, parse("s", "SELECT 2") + sync(), RUN,
        "DEALLOCATE ALL", RUN, "PREPARE s AS SELECT 3", "EXECUTE s", "DISCARD ALL", "EXECUTE s"],
    "with Flush": [
        parse("s", READ) + describe("S", "s") + flush() + bind("", "s") + execute() + sync(), RUN,
        parse("r", "SELECT 5") + sync(), parse("", WRITE) + flush() + bind("", "r") + execute() + flush()
        + describe("S", "r") + sync()],
    "with Flush, swapped": [
        PREPARED, Outside(SWAP), parse("", WRITE) + bind() + execute() + flush() + bind("", "s")
        + execute() + flush() + sync(), "SELECT count(*) FROM n.w"],
    "the unnamed one stays": [
        "BEGIN", parse("s", READ) + sync(), RUN, parse("", WRITE) + bind() + execute() + sync(), RUN,
        bind() + execute() + sync(), "ROLLBACK"],
}


@pytest.mark.parametrize("case", CASES.values(), ids=[k.replace(" ", "-") for k in CASES])
def test_statements_are_those_of_postgresql(proxy, primary, replica, case):
    expected = play(primary, case, primary, replica, True)
    primary.su(SCHEMA)
    primary.catch_up(replica)
    assert play(proxy().knows_code(), case, primary, replica, False) == expected


@pytest.mark.parametrize("case", CASES.values(), ids=[k.replace(" ", "-") for k in CASES])
def test_in_one_write(proxy, primary, replica, case):
    """The same without waiting for answers in between."""
    parts, part = [], b""
    for step in case:
        if isinstance(step, (Outside, Lost)):
            parts += [part, step]
            part = b""
        else:
            part += step if isinstance(step, bytes) else query(step)
    parts.append(part)

    def replies(target, direct):
        out = []
        with target.raw(user="app") as w:
            for part in parts:
                if isinstance(part, Lost) and not direct:
                    lose(w, primary, replica)
                elif not isinstance(part, bytes):
                    play(target, [part], primary, replica, direct)
                elif part:
                    # a query of our own ends the part
                    w.send(part + query("SELECT 'end of a part'"))
                    while not out or out[-1] != ("D", b"\0\1\0\0\0\rend of a part"):
                        out.append(told(w.read()))
                    w.reply()
        return [m for m in out if m[0] != "S"]

    expected = replies(primary, True)
    primary.su(SCHEMA)
    primary.catch_up(replica)
    assert replies(proxy().knows_code(), False) == expected


@pytest.mark.parametrize("open_request", [False, True])
def test_a_failed_transaction_on_a_server_that_lacks_the_statement(proxy, primary, replica, open_request):
    """Only what ends the transaction is made there; any other use gets PostgreSQL's 25P02."""
    w = proxy().raw()
    w.ask(parse("exit", "ROLLBACK") + parse("other", "SELECT 1") + sync())
    primary.expel()
    replica.expel()
    w.query("BEGIN")
    assert wire.errors(w.query("INSERT INTO nowhere VALUES (1)")) == ["42P01"]
    for use in (bind("", "other"), describe("S", "other")):
        assert wire.errors(w.ask(use + sync())) == ["25P02"]
    assert wire.errors(w.ask(parse("other", "COMMIT") + sync())) == ["42P05"]
    if open_request:
        w.send(parse("", "ROLLBACK") + flush())
        w.until("1")
    out = w.ask(bind("", "exit") + execute() + sync())
    assert wire.errors(out) == [] and out[-1].body == b"I"
    assert wire.errors(w.ask(bind("", "other") + execute() + sync())) == []


def test_a_statement_that_is_too_long_to_be_made_again(proxy, primary):
    """It works where it is; when its server has gone, it has gone, too.  Its name is known anyway."""
    w = proxy().raw()
    w.ask(parse("s", f"SELECT length('{'x' * 140000}')") + sync())
    assert wire.value(w.ask(RUN)) == "140000"
    assert wire.errors(w.ask(parse("s", "SELECT 5") + sync())) == ["42P05"]
    assert wire.value(w.ask(RUN)) == "140000"
    primary.expel()
    assert wire.errors(w.ask(RUN)) == ["26000"]
    assert wire.value(w.query("SELECT 1")) == "1"
