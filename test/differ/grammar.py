"""What programs are made of.

RULES has the statements: {name} is replaced by an alternative of that rule ("3* text" counts
thrice).  Rules in CAST are nouns: each program uses only a few of their alternatives, so that its
statements meet.  SCENES has steps that are interesting together: A, B, C are sessions, ~ is a
statement sent in any way (simple, extended, prepared, with others).  A program is some scenes woven
into each other, with some steps lost, doubled or changed, and perhaps some harm for the replica.
"""

import random
import re

from .program import INJECT, UNASKED, Program, Step

CAST = dict(table=2, seq=1, setting=2, name=1, chan=1, lock=1, cursor=1, func=3, view=2, value=2,
            role=1, other=1)

RULES = {
    # nouns
    "table": ["3* t", "t", "a.t", "b.t", "u", "w", "ul", "secret", "pg_temp.t", "tt", "public.t"],
    "view": ["vt", "vs", "vl", "vx", "vn", "va", "vk",
             "(SELECT relkind, relpersistence FROM pg_class WHERE relname = 't' ORDER BY 1, 2) x",
             "(SELECT name, from_sql FROM pg_prepared_statements ORDER BY 1) x",
             "(SELECT name FROM pg_cursors ORDER BY 1) x",
             "(SELECT mode FROM pg_locks WHERE locktype = 'advisory' ORDER BY 1) x"],
    "seq": ["sq", "sc", "w_id_seq"],
    "name": ["s1", "s2"],
    "chan": ["ch", "news"],
    "lock": ["7", "8"],
    "cursor": ["c1", "cc"],
    "role": ["reader", "writer"],
    "other": ["CREATE ROLE nobody", "DROP ROLE nobody", "ALTER ROLE app SET work_mem = '7MB'",
              "ALTER ROLE app RESET ALL", "GRANT SELECT ON t TO nobody"],
    "database": ["3* DROP DATABASE extra", "ALTER DATABASE extra SET work_mem = '9MB'",
                 "ALTER DATABASE extra RENAME TO extra2", "DROP DATABASE IF EXISTS extra2",
                 "CREATE DATABASE extra2 TEMPLATE extra", "CREATE DATABASE extra",
                 "ALTER DATABASE extra RESET work_mem"],
    "outside": ["SELECT 1", "SHOW work_mem", "CREATE TABLE o AS SELECT 1 AS i", "SELECT * FROM o",
                "SELECT current_database()", "BEGIN", "COMMIT", "CREATE TEMP TABLE o (i int)"],
    "int": ["1", "2", "3", "9"],
    "value": ["x", "y", "it is true", "set me", "reader"],

    # settings
    "setting": ["2* my.x", "my.x", "my.y", "work_mem", "enable_hashjoin", "2* search_path",
                "2* datestyle", "timezone", "extra_float_digits", "bytea_output",
                "statement_timeout", "default_transaction_isolation",
                "default_transaction_read_only", "intervalstyle"],
    "my.x": ["'{value}'", "'y'", "'z'"],
    "my.y": ["'1'", "'true'"],
    "work_mem": ["'1MB'", "2048"],
    "enable_hashjoin": ["off", "on"],
    "search_path": ["a, public", "b", "b, public", "'a'", "pg_catalog, public, a",
                    "public, pg_temp", "\"$user\", public"],
    "datestyle": ["'SQL, DMY'", "'ISO'", "'German'", "'MDY'", "'ISO, DMY'", "'Postgres'"],
    "timezone": ["'UTC'", "'Europe/Berlin'", "3"],
    "extra_float_digits": ["0", "-5"],
    "bytea_output": ["'escape'", "'hex'"],
    "statement_timeout": ["'20s'", "0"],
    "default_transaction_isolation": ["'repeatable read'", "'serializable'", "'read committed'"],
    "default_transaction_read_only": ["on", "off"],
    "intervalstyle": ["'iso_8601'", "'postgres'"],
    "set": ["6* SET {setting@=}", "2* SET SESSION {setting@=}", "SET LOCAL {setting@=}",
            "SET {setting} TO DEFAULT", "RESET {setting}", "RESET ALL",
            "SET TIME ZONE 'Asia/Tokyo'",
            "SET TIME ZONE INTERVAL '+02:00' HOUR TO MINUTE", "SET {setting} FROM CURRENT",
            "SET ROLE {role}", "SET ROLE NONE", "RESET ROLE", "SET SESSION AUTHORIZATION other",
            "RESET SESSION AUTHORIZATION", "DISCARD ALL", "SET NAMES 'LATIN1'",
            "SET SCHEMA 'a'", "SET SESSION CHARACTERISTICS AS TRANSACTION {mode}",
            "SET TRANSACTION {mode}", "SELECT set_config('my.x', 'a', false), 1 = 1 AND true AS ok",
            "SELECT set_config('my.x', '{value}', false)",
            "SELECT set_config('my.x', '{value}', true)",
            "SELECT set_config('my.x', '{value}', false) WHERE true",
            "SELECT set_config('my.x', current_user, false)",
            "SELECT set_config('my.' || 'x', 'b', false)",
            "SELECT set_config('search_path', 'a, public', false)",
            "SELECT set_config(v, 'c', false) FROM (VALUES ('my.x')) x (v)",
            "SELECT f_set('my.x', '{value}')", "SELECT f_set('search_path', 'b, public')",
            "SELECT f_set('role', 'reader')", "SELECT f_local('my.x', 'l')", "SELECT f_liar('y')",
            "CALL p_set('my.x', '{value}')", "CALL p_set('enable_hashjoin', 'off')",
            "DO $$BEGIN PERFORM set_config('my.x', 'y', false); END$$",
            "DO $$BEGIN SET search_path = a, public; END$$",
            "INSERT INTO w (v) VALUES ('set z')", "INSERT INTO w (v) VALUES ('path a')",
            "UPDATE pg_settings SET setting = 'off' WHERE name = 'enable_hashjoin'",
            "UPDATE pg_settings SET setting = '2MB' WHERE name = 'work_mem'"],
    "depends": ["SHOW {setting}", "SHOW {setting}", "SELECT current_setting('{setting}', true)",
                "SELECT * FROM t ORDER BY 1", "SELECT * FROM secret ORDER BY i",
                "SELECT current_user, session_user", "SELECT date '2024-12-31'",
                "SELECT '01/02/2020'::date - '2020-01-01'::date", "SELECT current_schemas(true)",
                "SELECT timestamptz '2024-01-01 00:00Z'", "SELECT 0.1::float8 + 0.2",
                "SELECT '\\x4142'::bytea", "SELECT x FROM vx", "SELECT interval '1 day 2 hours'",
                "SELECT v FROM t WHERE v = current_setting('my.x', true) ORDER BY 1",
                "SHOW transaction_isolation", "SHOW transaction_read_only", "SHOW role",
                "SELECT count(*) FROM pg_settings WHERE name = 'work_mem' AND source = 'session'"],

    # statements
    "read": ["4* SELECT * FROM {table} ORDER BY 1", "3* SELECT count(*) FROM {table}",
             "SELECT * FROM {table} WHERE i = {int}", "TABLE {table} ORDER BY 1",
             "SELECT * FROM {table} x JOIN t USING (i) ORDER BY 1", "SELECT 1",
             "SELECT * FROM {view}", "SELECT * FROM {view}", "SELECT {func}",
             "SELECT {func} FROM t ORDER BY 1",
             "WITH x AS (SELECT * FROM {table}) SELECT count(*) FROM x",
             "SELECT * FROM {table} ORDER BY 1 FOR UPDATE", "VALUES (1, 'a'), (2, NULL)",
             "SELECT last_value FROM {seq}", "SELECT currval('{seq}')", "SELECT lastval()",
             "EXPLAIN (COSTS off) SELECT * FROM {table}", "COPY (SELECT * FROM {table}) TO STDOUT",
             "COPY (SELECT {func}) TO STDOUT",
             "COPY (SELECT * FROM {view}) TO STDOUT", "SELECT pg_backend_pid() = pg_backend_pid()",
             "SELECT pid = pg_backend_pid() FROM pg_stat_activity WHERE pid = pg_backend_pid()",
             "SELECT now() = transaction_timestamp()",
             "SELECT now()", "SELECT 'pid ' || pg_backend_pid()", "SELECT pg_is_in_recovery()",
             "SHOW in_hot_standby", "SELECT current_setting('in_hot_standby')",
             "SELECT count(*) FROM pg_replication_slots", "SELECT pg_my_temp_schema() = 0",
             "SELECT i, repeat('x', 99) FROM generate_series(1, 200) i"],
    "func": ["f_stable()", "f_sql()", "f_imm({int})", "f_vol()", "f_temp()", "f_lock({lock})",
             "f_next()", "f_write('{value}')", "f_notify('{value}')", "f_raise('{value}')",
             "f_notice()", "nextval('{seq}')", "pg_advisory_lock({lock})", "setseed(0.5)",
             "pg_try_advisory_lock({lock})", "pg_advisory_unlock({lock})", "f_liar('{value}')",
             "f_run('EXECUTE {name}')", "f_run('SELECT count(*) FROM t')",
             "pg_notify('{chan}', 'x')",
             "set_config('my.x', '{value}', false)", "pg_advisory_xact_lock({lock})",
             "setval('{seq}', 5)", "lo_get(1)", "txid_current() > 0"],
    "write": ["3* INSERT INTO t VALUES ({int}, '{value}', 1)",
              "INSERT INTO w (v) VALUES ('{value}')",
              "INSERT INTO w (v) VALUES ('{value}') RETURNING *",
              "2* UPDATE t SET n = n + 1 WHERE i = {int}", "UPDATE {table} SET v = '{value}'",
              "DELETE FROM {table} WHERE i = {int}",
              "DELETE FROM {table} WHERE i = {int} RETURNING *",
              "INSERT INTO t SELECT i + 5, v, n FROM t ON CONFLICT DO NOTHING",
              "INSERT INTO u VALUES ({int}, {int}) ON CONFLICT (i) DO UPDATE SET r = excluded.r",
              "WITH x AS (DELETE FROM u RETURNING *) SELECT count(*) FROM x", "TRUNCATE u",
              "MERGE INTO t USING (VALUES ({int})) x (i) ON t.i = x.i WHEN MATCHED THEN DELETE",
              "SELECT f_write('{value}')", "SELECT nextval('{seq}')", "CALL p_commit('{value}')",
              "DO $$BEGIN INSERT INTO w (v) VALUES ('do'); END$$", "SELECT n FROM vn",
              "EXPLAIN (ANALYZE, COSTS off, TIMING off, BUFFERS off, SUMMARY off) DELETE FROM u",
              "UPDATE t SET v = v || '!' WHERE i = {int} RETURNING i, v", "LOCK TABLE {table}",
              "INSERT INTO ul VALUES (2, '{value}')", "INSERT INTO {table} (i) VALUES ({int})"],
    "ddl": ["ALTER TABLE {table} ADD COLUMN x int DEFAULT 5", "ALTER TABLE {table} DROP COLUMN v",
            "ALTER TABLE t ALTER n TYPE text", "ALTER TABLE {table} RENAME TO tt",
            "ALTER TABLE t DROP COLUMN n, ADD COLUMN n int DEFAULT 6",
            "CREATE TABLE tt (i int, v text)", "DROP TABLE tt", "CREATE TABLE IF NOT EXISTS tt ()",
            "CREATE OR REPLACE VIEW vt AS SELECT i, v FROM t WHERE n > 10",
            "CREATE UNLOGGED TABLE tt AS SELECT * FROM t", "CREATE TABLE b.u AS SELECT 5 AS i",
            "CREATE OR REPLACE FUNCTION f_imm(int) RETURNS int LANGUAGE sql AS 'SELECT $1 + 2'",
            "CREATE INDEX ON t (v)", "DROP VIEW vt", "ALTER SEQUENCE {seq} RESTART 50",
            "CREATE SCHEMA c", "ALTER TABLE {table} SET UNLOGGED", "DROP TABLE IF EXISTS u",
            "CREATE VIEW vz AS SELECT last_value FROM {seq}", "SELECT * INTO tt FROM t",
            "CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM t", "REFRESH MATERIALIZED VIEW mv",
            "ALTER TABLE t SET SCHEMA b", "ALTER TABLE a.t RENAME COLUMN v TO vv", "ANALYZE t",
            "COMMENT ON TABLE t IS 'x'", "GRANT SELECT ON t TO other", "{other}",
            "CREATE TYPE color AS ENUM ('red')", "DROP SEQUENCE sc", "VACUUM t",
            "CREATE TABLE tt AS EXECUTE {name}"],
    "temp": ["3* CREATE TEMP TABLE t (i int, v text, n int)",
             "CREATE TEMP TABLE t AS SELECT 8 AS i, 'temp' AS v",
             "CREATE TEMP TABLE tt (i int) ON COMMIT DROP",
             "CREATE TEMP TABLE t (i int, v text) ON COMMIT DELETE ROWS", "SELECT f_temp()",
             "CREATE TEMP VIEW tt AS SELECT * FROM t", "CREATE TEMP SEQUENCE sq", "DROP TABLE t",
             "DROP TABLE IF EXISTS pg_temp.t", "SELECT 5 AS i INTO TEMP tt", "DISCARD TEMP",
             "DO $$BEGIN CREATE TEMP TABLE t AS SELECT 6 AS i; END$$",
             "INSERT INTO t VALUES (4, 'four')",
             "SET search_path = pg_temp, public; CREATE TABLE t (i int)",
             "CREATE TEMP TABLE tt AS EXECUTE {name}", "ALTER TABLE pg_temp.t RENAME TO u"],
    "prepared": ["PREPARE {name} AS SELECT * FROM {table} ORDER BY 1",
                 "PREPARE {name} AS SELECT 42 AS a",
                 "PREPARE {name} (int) AS SELECT v FROM t WHERE i = $1",
                 "PREPARE {name} AS {write}", "4* EXECUTE {name}", "2* EXECUTE {name} ({int})",
                 "DEALLOCATE {name}", "DEALLOCATE ALL", "EXPLAIN (COSTS off) EXECUTE {name}",
                 "SELECT 1; EXECUTE {name}", "BEGIN; EXECUTE {name}; COMMIT",
                 "SELECT f_run('EXECUTE {name}')", "SET my.y = 1; DEALLOCATE {name}",
                 "SELECT name, from_sql FROM pg_prepared_statements ORDER BY 1",
                 "DO $$BEGIN EXECUTE 'EXECUTE {name}'; END$$", "DISCARD PLANS", "DISCARD ALL",
                 "SELECT f_run('PREPARE {name} AS SELECT 43')"],
    "cursors": ["DECLARE {cursor} {kind} CURSOR FOR SELECT * FROM {table} ORDER BY 1",
                "DECLARE {cursor} CURSOR WITH HOLD FOR SELECT i FROM {table} ORDER BY 1",
                "3* FETCH 2 FROM {cursor}", "FETCH ALL {cursor}", "MOVE 1 IN {cursor}",
                "FETCH BACKWARD 1 FROM {cursor}", "CLOSE {cursor}", "CLOSE ALL", "SELECT f_cur()",
                "SELECT * FROM f_out()", "SELECT name FROM pg_cursors ORDER BY 1",
                "UPDATE t SET v = 'cur' WHERE CURRENT OF {cursor}"],
    "kind": ["", "SCROLL", "NO SCROLL", "INSENSITIVE", "BINARY"],
    "mode": ["ISOLATION LEVEL REPEATABLE READ", "ISOLATION LEVEL SERIALIZABLE", "READ ONLY",
             "READ WRITE", "ISOLATION LEVEL REPEATABLE READ READ WRITE",
             "READ WRITE, ISOLATION LEVEL SERIALIZABLE",
             "ISOLATION LEVEL REPEATABLE READ, READ ONLY",
             "ISOLATION LEVEL SERIALIZABLE, READ ONLY, DEFERRABLE",
             "ISOLATION LEVEL READ COMMITTED"],
    "begin": ["4* BEGIN", "START TRANSACTION", "3* BEGIN {mode}", "START TRANSACTION {mode}"],
    "end": ["4* COMMIT", "2* ROLLBACK", "END", "COMMIT AND CHAIN", "ROLLBACK AND CHAIN", "ABORT",
            "PREPARE TRANSACTION 'gid'"],
    "transaction": ["SAVEPOINT sp", "ROLLBACK TO sp", "RELEASE sp", "SET TRANSACTION {mode}",
                    "COMMIT PREPARED 'gid'", "ROLLBACK PREPARED 'gid'",
                    "SHOW transaction_isolation",
                    "SHOW transaction_read_only", "SET CONSTRAINTS ALL DEFERRED", "{begin}",
                    "{end}"],
    "error": ["2* SELECT 1/0", "SELECT 1/(i - 2) FROM t ORDER BY i", "SELEC",
              "SELECT * FROM nowhere",
              "SELECT f_raise('{value}')", "INSERT INTO t VALUES (1)", "SELECT nothing FROM t",
              "INSERT INTO w (v) VALUES ('raise')",
              "SELECT 10/(3 - g) FROM generate_series(1, 4) g",
              "SELECT 1/(200 - g), repeat('x', 60) FROM generate_series(1, 300) g"],
    "async": ["LISTEN {chan}", "2* NOTIFY {chan}, '{value}'", "UNLISTEN {chan}", "UNLISTEN *",
              "SELECT pg_notify('{chan}', '{value}')", "SELECT f_notify('{value}')",
              "SELECT pg_listening_channels()"],
    "lockish": ["SELECT pg_try_advisory_lock({lock})", "SELECT got FROM vl", "SELECT was FROM vc",
                "SELECT f_lock({lock})",
                "SELECT pg_advisory_unlock({lock})", "SELECT pg_advisory_unlock_all()",
                "SELECT pg_try_advisory_xact_lock({lock})", "SELECT count(*) FROM vk",
                "SELECT pg_advisory_lock_shared({lock})", "SELECT pg_advisory_lock({lock})"],
    "code": ["DO $$BEGIN PERFORM {func}; END$$", "SELECT {func}", "CALL p_commit('{value}')",
             "CALL p_set('my.x', '{value}')", "DO $$BEGIN RAISE NOTICE 'n'; END$$",
             "DO $$BEGIN INSERT INTO w (v) VALUES ('a'); ROLLBACK; END$$", "SELECT {func}, {func}"],
    # parts of one write, behind what has failed or is about to
    "reported": ["TIME ZONE 'Asia/Tokyo'", "NAMES 'LATIN1'", "datestyle = 'German'",
                 "application_name = 'x'", "intervalstyle = 'iso_8601'"],
    "part": ["P {name}={read} | B ={name} | E | S", "P ={read} | B = | D P | E | S", "B ={name} | E | S",
             "B =back | E | S", "P =ROLLBACK TO sp | B = | E | B ={name} | E | S", "C S {name} | S",
             "P {name}={error} | S", "P {name}=SELECT 4 | S", "D S {name} | S", "Q {error}", "E | S",
             "P ={error} | B = | E | S", "Q ROLLBACK TO sp", "Q DEALLOCATE {name}", "D P  | S",
             "P =ROLLBACK | B = | E | B ={name} | E | S", "Q SELECT 3"],
    "parts": ["{part}", "{part} | {part}", "{part} | {part} | {part}"],
    "any": ["5* {read}", "3* {write}", "{ddl}", "{temp}", "2* {set}", "2* {depends}", "{prepared}",
            "{cursors}", "{transaction}", "{error}", "{async}", "{lockish}", "{code}"],
}

# Weight, and steps; ~ is a statement sent in any way.
SCENES = [
    (4, ["A ~ {write}", "A ~ {read}", "B ~ {read}"]),
    (5, ["A ~ {set}", "A ~ {depends}", "A ~ {depends}"]),
    (2, ["A ~ {set}", "A ~ {set}", "A ~ {depends}", "A ~ {read}"]),
    (2, ["A ~ BEGIN", "A ~ {set}", "A ~ {depends}", "A ~ {end}", "A ~ {depends}"]),
    (4, ["A ~ {begin}", "A ~ {any}", "A ~ {read}", "A ~ {write}", "A ~ {read}", "A ~ {end}"]),
    (3, ["A ~ {begin}", "A ~ {read}", "B ~ {write}", "A ~ {read}", "A ~ {write}", "A ~ {end}"]),
    (2, ["A ~ {begin}", "A ~ {read}", "A ~ {ddl}", "A ~ {end}", "A ~ {read}"]),
    (1, ["A ~ BEGIN", "A ~ SELECT * FROM {table} ORDER BY 1", "A ~ LOCK TABLE {table}",
         "A ~ {write}", "A ~ {end}"]),
    (2, ["A ~ BEGIN {mode}", "A ~ {read}", "A ~ SHOW transaction_isolation",
         "B ~ UPDATE t SET n = n + 7 WHERE i = 1", "A ~ UPDATE t SET n = n * 2 WHERE i = 1",
         "A ~ SELECT n FROM t WHERE i = 1", "A ~ COMMIT"]),
    (2, ["A ~ BEGIN", "A ~ SAVEPOINT sp", "A ~ {any}", "A ~ {error}", "A ~ ROLLBACK TO sp",
         "A ~ {read}", "A ~ {end}"]),
    (3, ["A ~ {temp}", "A ~ {read}", "A ~ SELECT * FROM t ORDER BY 1", "A ~ {temp}",
         "A ~ SELECT count(*) FROM t"]),
    (3, ["A ~ {prepared}", "A ~ {any}", "A ~ EXECUTE {name}", "A ~ {prepared}"]),
    (3, ["A P {name}=SELECT * FROM {table} | S", "A B ={name} | E | S", "B ~ {ddl}",
         "A B ={name} | D P | E | S", "A D S {name} | S"]),
    (2, ["A P {name}=SELECT * FROM t WHERE i = $1 | D S {name} | S", "A b ={name} 1 | E | S",
         "A ~ {set}", "A b ={name} 2 | E | S", "A B ={name} 1 | E | S", "A C S {name} | S"]),
    (2, ["A ~ BEGIN", "A ~ {write}", "A P {name}={depends} | S", "A ~ COMMIT", "A ~ {set}",
         "A B ={name} | D P | E | S"]),
    (2, ["A P {name}={read} | S", "A ~ EXECUTE {name}", "A ~ SELECT 1; EXECUTE {name}",
         "A ~ DEALLOCATE {name}", "A B ={name} | E | S"]),
    (2, ["A P ={any} | S", "A ~ {any}", "A B = | E | S", "A P ={read} | B = | E | S", "A ~ {read}",
         "A B = | D P | E | S"]),
    (1, ["A P ={read} | S", "A P bad=SELECT nothing | P ={any} | S", "A B = | D P | E | S",
         "A D S  | S", "A C S  | S", "A B = | E | S"]),
    (2, ["A ~ PREPARE {name} AS {read}", "A B ={name} | D P | E | S", "A C S {name} | S",
         "A ~ EXECUTE {name}"]),
    (2, ["A ~ BEGIN", "A P ={read} | B p1= | E p1:1 | S", "A ~ {any}", "A E p1:1 | E p1:5 | S",
         "A C P p1 | S", "A ~ COMMIT"]),
    (1, ["A ~ BEGIN", "A P =SELECT * FROM t ORDER BY 1 | B p1= | E p1:1 | S", "A ~ FETCH 1 FROM p1",
         "A ~ MOVE 1 IN p1", "A E p1 | S", "A ~ COMMIT"]),
    (1, ["A P =SELECT * FROM t ORDER BY 1 | B = | E :1 | E :1 | E | S"]),
    (1, ["A ~ BEGIN", "A P =SELECT generate_series(1, 5) | B = | E :2 | S", "A E :2 | S",
         "A ~ {any}", "A E | S", "A ~ COMMIT"]),
    (3, ["A ~ BEGIN", "A ~ {cursors}", "A ~ {cursors}", "A ~ FETCH 1 FROM {cursor}",
         "A ~ {cursors}", "A ~ {end}", "A ~ FETCH 1 FROM {cursor}"]),
    (2, ["A ~ BEGIN", "A ~ SELECT f_cur()", "A ~ FETCH ALL cc", "A ~ {end}"]),
    (3, ["A ~ LISTEN {chan}", "B ~ {async}", "A ~ {read}", "B ~ {async}", "A ~ {any}"]),
    (3, ["A ~ {lockish}", "B ~ {lockish}", "A ~ {lockish}", "A ~ {read}"]),
    (2, ["A ~ SELECT nextval('{seq}')", "A ~ SELECT last_value FROM {seq}", "A ~ SELECT lastval()",
         "B ~ SELECT nextval('{seq}')", "A ~ SELECT currval('{seq}')"]),
    (2, ["A ~ SET ROLE {role}", "A ~ SELECT * FROM secret ORDER BY 1", "A ~ {write}", "A ~ {read}",
         "A ~ RESET ROLE", "A ~ SELECT * FROM secret ORDER BY 1"]),
    (2, ["A ~ {ddl}", "A ~ {read}", "A ~ {ddl}", "B ~ {read}"]),
    (2, ["A ~ {code}", "A ~ {read}", "A ~ {depends}", "A ~ {code}"]),
    (1, ["A ~ BEGIN", "A ~ {lockish}", "A ~ PREPARE TRANSACTION 'gid'", "A ~ {read}",
         "B ~ COMMIT PREPARED 'gid'"]),
    (1, ["A Q COPY w (v) FROM STDIN", "A d one\\ntwo\\n | c", "A ~ SELECT count(*) FROM w"]),
    (1, ["A Q COPY t FROM STDIN | d 7\\tseven\\t7\\n | c", "A ~ SELECT * FROM t ORDER BY 1"]),
    (1, ["A P =COPY w (v) FROM STDIN | B = | E | H", "A d set y\\n | c | S",
         "A ~ SELECT x FROM vx"]),
    (1, ["A Q COPY t FROM STDIN | d x\\ty\\n | f no", "A ~ {read}"]),
    (1, ["A+ Q SELECT pg_sleep(1)", "A K", "A ~ {read}", "A ~ SELECT pg_sleep(0.02)"]),
    (1, ["A+ ~ {error}", "A+ ~ {write}", "A ~ {read}"]),
    (2, ["A ~ BEGIN", "A ~ {read}", "A+ Q {error}", "A+ Q SELECT 2", "A ~ {write}", "A ~ COMMIT"]),
    (3, ["A P back=ROLLBACK TO sp | P s1=SELECT 2 | S", "A Q {begin}", "A ~ SELECT 1",
         "A ~ SET LOCAL {reported}", "A ~ SAVEPOINT sp", "A ~ {read}", "A {parts}", "A {parts}",
         "A Q ROLLBACK TO sp", "A {parts}", "A Q {end}", "A B ={name} | E | S", "A ~ {depends}"]),
    (1, ["A P {name}={read} | H", "A B ={name} | E | H", "A S"]),
    (1, ["A P {name}={read} | D S {name} | H", "A B ={name} | E | S", "A B ={name} | E | S"]),
    (1, ["A P ={error} | B = | E | H", "A S", "A ~ {read}"]),
    (1, ["A P =SELEC", "A S"]),
    (1, ["A ~ {any}", "A X", "A ~ {depends}", "A ~ {read}"]),
    (1, ["A ~ {other}", "A X", "A ~ SHOW work_mem", "A ~ {other}"]),
    (1, ["A L user=boss", "A ~ {set}", "A ~ {depends}", "A ~ {any}"]),
    (1, ["A L options='-c work_mem=3MB -c my.x=z'", "A ~ {set}", "A ~ RESET {setting}",
         "A ~ {depends}"]),
    (1, ["A ~ SET datestyle = 'SQL, DMY'", "A ~ SET {setting@=}", "A ~ SET datestyle = 'ISO'",
         "A ~ {depends}", "A ~ SELECT date '01/02/2020'"]),
    (1, ["A L application_name=one", "A ~ {any}", "A L application_name=other", "A ~ {set}",
         "A ~ RESET ALL", "A ~ {any}", "A ~ SELECT current_setting('application_name')"]),
    (1, ["A L datestyle=German my.x=y", "A ~ {depends}", "A ~ {set}", "A ~ RESET ALL",
         "A ~ {depends}"]),
    (1, ["A F 1397 -5", "A ~ {any}"]),
    # PostgreSQL waits 5 s for the sessions in the way
    (.2, ["B L user=boss", "B Q CREATE DATABASE extra", "A L database=extra", "A ~ {outside}",
         "B Q {database}", "A ~ {outside}", "A X", "B Q {database}", "A L database=extra",
         "A ~ {outside}", "A X", "B Q {database}"]),
    (1, ["A ~ BEGIN", "A ~ SELECT now()", "A ~ INSERT INTO w (v) VALUES ('x') RETURNING now()",
         "A ~ SELECT now()", "A ~ COMMIT"]),
    (1, ["A ~ SELECT 'pid ' || pg_backend_pid()",
         "A ~ INSERT INTO w (v) VALUES ('x') RETURNING 'pid ' || pg_backend_pid()",
         "A ~ SELECT 'pid ' || pid FROM pg_stat_activity WHERE pid = pg_backend_pid()"]),
    (6, ["A ~ {any}"]),
    (4, ["A ~ {any}", "A ~ {any}", "A ~ {any}"]),
]
HARM = [(3, "cut"), (2, "cut-reply"), (3, "40001"), (2, "57P01"), (1, "down"), (1, "up")]
LEISURE = ("cold", "rest", "rest")      # see program.py


class Maker:
    """One program's nouns, and its way to send statements."""

    def __init__(self, rng):
        self.rng = rng
        self.cast = {noun: [self.pick(RULES[noun]) for _ in range(size)]
                     for noun, size in CAST.items()}
        self.pipelines = rng.random() < 0.15
        self.simple = rng.random() < 0.4        # a program of simple queries is easiest to read

    def pick(self, alternatives):
        weights = [int(m[1]) if (m := re.match(r"(\d+)\* ", a)) else 1 for a in alternatives]
        return re.sub(r"^\d+\* ", "", self.rng.choices(alternatives, weights)[0])

    def expand(self, text):
        def one(m):
            name, equals = m[1], m[2]
            chosen = (self.rng.choice(self.cast[name]) if name in self.cast
                      else self.pick(RULES[name]))
            if equals:                          # a setting and one of its values
                sign = self.rng.choice((" = ", " TO "))
                chosen += sign + self.pick(RULES[chosen])
            return self.expand(chosen)
        return re.sub(r"\{([\w.]+)(@=)?\}", one, text)

    def sent(self, sql):
        """A statement as messages."""
        rng, way = self.rng, self.rng.random()
        if self.simple or way < 0.5:
            return (f"Q {sql}",)
        if way < 0.55:
            return (f"Q {sql}; {self.expand('{any}')}",)
        if way < 0.6:
            return (f"Q {self.expand('{any}')}; {sql}",)
        literal = re.search(r"\b(i = |VALUES \()(\d+)\b", sql)
        params = ""
        if literal and rng.random() < 0.5 and not sql.startswith(("PREPARE", "DECLARE", "MERGE")):
            sql = sql[:literal.start(2)] + "$1" + sql[literal.end(2):]
            params = " " + literal[2]
        if way < 0.8:
            describe = ("D P ",) if rng.random() < 0.5 else ()
            return (f"P ={sql}", f"B ={params}", *describe, "E ", "S ")
        if sql.startswith(("FETCH", "MOVE")):   # see program.UNASKED
            return (f"C S {UNASKED}", f"P {UNASKED}={sql}", f"B ={UNASKED}", "E ", "S ")
        name = rng.choice(("s1", "s2", "s3"))
        if way < 0.9:
            return (f"C S {name}", f"P {name}={sql}", f"B ={name}{params}", "E ", "S ")
        return (f"P {name}={sql}", f"D S {name}", "S ")

    def step(self, line, sessions):
        who, rest = line.split(" ", 1)
        held = who.endswith("+")
        session = sessions[who.rstrip("+")]
        if rest.startswith("~ "):
            messages = self.sent(self.expand(rest[2:]))
        else:
            messages = tuple(self.expand(rest).split(" | "))
        held = held or self.pipelines and messages[0][0] not in "LXK" and self.rng.random() < 0.4
        return Step(session, messages, held)

    def scene(self):
        rng = self.rng
        lines = rng.choices([s for _, s in SCENES], [w for w, _ in SCENES])[0]
        numbers = rng.choice(((1, 2, 3), (1, 2, 3), (2, 1, 3), (1, 1, 1)))
        sessions = dict(zip("ABC", numbers))
        return [self.step(line, sessions) for line in lines]


def woven(rng, scenes):
    """Their steps in one list; a scene's own order is kept."""
    scenes, out = [list(s) for s in scenes], []
    if rng.random() < 0.5:
        return [step for s in scenes for step in s]
    while any(scenes):
        scene = rng.choice([s for s in scenes if s])
        out.append(scene.pop(0))
    return out


def program(rng):
    maker = Maker(rng)
    steps = woven(rng, [maker.scene() for _ in range(rng.choice((1, 1, 2, 2, 3)))])
    for _ in range(rng.choice((0, 0, 1, 2))):
        at = rng.randrange(len(steps))
        what = rng.random()
        if what < 0.4 and len(steps) > 1:
            del steps[at]
        elif what < 0.6:
            steps.insert(rng.randrange(len(steps) + 1), steps[at])
        else:
            steps.insert(at, maker.step("A ~ {any}", {"A": steps[at].session}))
    if rng.random() < 0.12:
        harm = rng.choices([h for _, h in HARM], [w for w, _ in HARM])[0]
        count = "" if harm == "up" else f" {rng.choice((1, 1, 1, 2, 3, 5))}"
        steps.insert(rng.randrange(len(steps)), Step(INJECT, (harm + count,)))
    for _ in range(rng.choice((0, 0, 0, 0, 0, 1, 2))):
        steps.insert(rng.randrange(len(steps)), Step(INJECT, (rng.choice(LEISURE),)))
    return Program(tidy(steps))


def of_seed(seed, number):
    return program(random.Random(f"{seed}.{number}"))


def tidy(steps):
    """Messages as they are printed: without blanks at the end."""
    return [s._replace(messages=tuple(m.rstrip() for m in s.messages)) for s in steps]
