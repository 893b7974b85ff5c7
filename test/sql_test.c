/* sql_test.c - every statement kind, every flag, and what must not set them. */
#include "sql/lex.c"
#include "sql/body.c"
#include "sql.c"
#include "sql/setting.c"
#include "wire.c"

#include <stdlib.h>

#include "t.h"

#define K(kind) SQL_##kind
#define C(t, k, ...) { .text = t, .kind = SQL_##k, .flags = __VA_ARGS__ }
#define LEN(a) (sizeof (a) / sizeof *(a))

/* Flags that hang on the text's first characters have their own table. */
enum { FIRST_FLAGS = SQL_FIRST | SQL_BLANK | SQL_NAMES };

struct facts {
	const char *text;
	int kind;
	uint32_t flags;
	const char *name;       /* as sql_name() gives it; NULL = none */
	int inner;              /* 0 = kind */
};

/* The same bytes where reading one more is a crash under ASan. */
static char *exact(const char *text, size_t len)
{
	char *copy = malloc(len ? len : 1);

	if (!copy)
		abort();
	memcpy(copy, text, len);
	if (!len) {
		free(copy);
		copy = malloc(0);
	}
	return copy;
}

static bool is_sane(const struct sql_facts *f, size_t len)
{
	return f->next <= len && f->end <= len && f->start <= f->end && f->end <= f->next
		&& (len == 0 || f->next > 0)
		&& f->kind < SQL_KIND_COUNT && f->inner < SQL_KIND_COUNT
		&& (size_t)f->name.at + f->name.len <= len;
}

static void ignore_name(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	(void)ctx, (void)use, (void)schema, (void)name;
}

static bool is_not(void *ctx, const char *name, bool called)
{
	(void)ctx, (void)name, (void)called;
	return false;
}

/* Nothing is read past any cut of the text, and the facts stay within it. */
static bool survives_cuts(const char *text)
{
	bool ok = true;

	for (size_t len = 0; len <= strlen(text); len++) {
		char *copy = exact(text, len);
		struct sql_facts f;
		sql_classify(&f, copy, len, NULL);
		ok = ok && is_sane(&f, len);
		sql_names(copy, len, ignore_name, NULL);
		sql_mentions(copy, len, is_not, NULL);
		char parameter[128];
		sql_parameter(parameter, copy, &f);
		free(copy);
	}
	return ok;
}

static const struct facts table[] = {
	/* nothing */
	C("", EMPTY, 0),
	C(";", EMPTY, 0),
	C(" ;; \n;", EMPTY, 0),
	C("-- nothing", EMPTY, 0),
	C("/* a /* nested */ comment */", EMPTY, 0),

	/* 7.3: reads */
	C("SELECT 1", SELECT, 0),
	C("select a, b from t where c = 1 order by d limit 5;", SELECT, 0),
	C("TABLE t", SELECT, 0),
	C("(SELECT 1)", SELECT, 0),
	C("((select 1) union (select 2)) order by 1", SELECT, 0),
	C("(select 1) union all select 2", SELECT, 0),
	C("WITH x AS (SELECT 1) SELECT * FROM x", SELECT, 0),
	C("WITH RECURSIVE x(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM x WHERE n < 5) SELECT * "
	  "FROM x",
	  SELECT, 0),
	C("WITH x AS MATERIALIZED (SELECT 1), y(a, b) AS NOT MATERIALIZED (VALUES (1, 2)) TABLE y",
	  SELECT, 0),
	C("with x as (select 1) (select * from x)", SELECT, 0),
	C("WITH x AS (SELECT 1) SEARCH DEPTH FIRST BY a, b SET c CYCLE a SET d USING e SELECT * "
	  "FROM x",
	  SELECT, 0),
	C("WITH update AS (SELECT 1), delete(insert) AS (SELECT 2) SELECT * FROM update",
	  SELECT, 0),
	C("WITH recursive AS (SELECT 1) SELECT 1", SELECT, 0),
	C("VALUES (1, 2), (3, 4)", VALUES, 0),
	C("WITH x AS (SELECT 1) VALUES (1)", VALUES, 0),
	C("SHOW work_mem", SHOW, 0, "work_mem"),
	C("SHOW ALL", SHOW, SQL_ALL | SQL_CATALOG),
	C("SHOW in_hot_standby", SHOW, SQL_CATALOG, "in_hot_standby"),
	C("SHOW \"transaction_read_only\"", SHOW, SQL_CATALOG, "transaction_read_only"),
	C("RESET transaction_read_only", RESET, 0, "transaction_read_only"),
	C("SHOW TIME ZONE", SHOW, 0, "time zone"),
	C("show transaction isolation level", SHOW, 0, "transaction isolation level"),
	C("SHOW SESSION AUTHORIZATION", SHOW, 0, "session authorization"),
	C("SHOW app.\"User\"", SHOW, 0, "app.\"user\""),
	C("COPY t TO STDOUT", COPY_TO, 0),
	C("copy s.t (a, b) to stdout with (format csv, force_quote (a), header true)", COPY_TO, 0),
	C("COPY t (update, delete) TO STDOUT", COPY_TO, 0),
	C("COPY (SELECT a FROM t) TO STDOUT", COPY_TO, 0, NULL, K(SELECT)),
	C("COPY (WITH x AS (SELECT 1) TABLE x) TO STDOUT", COPY_TO, 0, NULL, K(SELECT)),
	C("COPY (VALUES (1)) TO STDOUT (FORMAT json)", COPY_TO, 0, NULL, K(VALUES)),
	C("COPY t TO STDIN", COPY_TO, 0),
	C("PREPARE p AS SELECT $1", PREPARE, 0, "p", K(SELECT)),
	C("PREPARE p (int, numeric(10,2)) AS SELECT $1, $2", PREPARE, 0, "p", K(SELECT)),
	C("PREPARE \"P x\" AS VALUES ($1)", PREPARE, 0, "P x", K(VALUES)),
	C("prepare p as with x as (select 1) select * from x", PREPARE, 0, "p", K(SELECT)),

	/* 7.3: COPY and PREPARE that write */
	C("COPY t FROM STDIN", COPY_FROM, 0),
	C("COPY t (a, b) FROM '/tmp/x' WITH (FORMAT csv)", COPY_FROM, 0),
	C("copy t from program 'cat'", COPY_FROM, 0),
	C("COPY t TO '/tmp/x'", COPY_TO, SQL_MODIFIES),
	C("COPY t TO PROGRAM 'cat'", COPY_TO, SQL_MODIFIES),
	C("COPY (INSERT INTO t VALUES (1) RETURNING a) TO STDOUT",
	  COPY_TO, SQL_MODIFIES, NULL, K(INSERT)),
	C("COPY (DELETE FROM t RETURNING a) TO STDOUT", COPY_TO, SQL_MODIFIES, NULL, K(DELETE)),
	C("COPY (WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x) TO STDOUT", COPY_TO,
	  SQL_MODIFIES, NULL, K(SELECT)),
	C("COPY (SELECT nextval('s')) TO STDOUT", COPY_TO, SQL_FUNCTION, NULL, K(SELECT)),
	C("COPY pg_class TO STDOUT", COPY_TO, SQL_CATALOG),
	C("PREPARE p AS INSERT INTO t VALUES ($1)", PREPARE, SQL_MODIFIES, "p", K(INSERT)),
	C("PREPARE p (text) AS UPDATE t SET a = $1", PREPARE, SQL_MODIFIES, "p", K(UPDATE)),
	C("PREPARE p AS WITH x AS (DELETE FROM t RETURNING 1) SELECT * FROM x",
	  PREPARE, SQL_MODIFIES,
	  "p", K(SELECT)),
	C("PREPARE p AS SELECT nextval('s')", PREPARE, SQL_FUNCTION, "p", K(SELECT)),
	C("PREPARE p AS SELECT 1 FOR UPDATE", PREPARE, SQL_LOCKS, "p", K(SELECT)),
	C("PREPARE p", PREPARE, 0, "p"),
	C("PREPARE p AS", PREPARE, 0, "p"),

	/* 7.3: EXPLAIN */
	C("EXPLAIN SELECT 1", EXPLAIN, 0, NULL, K(SELECT)),
	C("EXPLAIN ANALYZE SELECT 1", EXPLAIN, SQL_ANALYZED, NULL, K(SELECT)),
	C("EXPLAIN VERBOSE UPDATE t SET a = 1", EXPLAIN, 0, NULL, K(UPDATE)),
	C("EXPLAIN ANALYZE VERBOSE DELETE FROM t",
	  EXPLAIN, SQL_ANALYZED | SQL_MODIFIES, NULL, K(DELETE)),
	C("EXPLAIN (ANALYZE, BUFFERS) INSERT INTO t VALUES (1)",
	  EXPLAIN, SQL_ANALYZED | SQL_MODIFIES,
	  NULL, K(INSERT)),
	C("EXPLAIN (FORMAT json, ANALYZE) SELECT 1", EXPLAIN, SQL_ANALYZED, NULL, K(SELECT)),
	C("EXPLAIN (ANALYZE off, VERBOSE) DELETE FROM t", EXPLAIN, 0, NULL, K(DELETE)),
	C("EXPLAIN (ANALYZE 'false') DELETE FROM t", EXPLAIN, 0, NULL, K(DELETE)),
	C("EXPLAIN (ANALYZE true) DELETE FROM t",
	  EXPLAIN, SQL_ANALYZED | SQL_MODIFIES, NULL, K(DELETE)),
	C("EXPLAIN (COSTS off) WITH x AS (DELETE FROM t RETURNING 1) TABLE x",
	  EXPLAIN, 0, NULL, K(SELECT)),
	C("EXPLAIN ANALYSE WITH x AS (DELETE FROM t RETURNING 1) TABLE x", EXPLAIN,
	  SQL_ANALYZED | SQL_MODIFIES, NULL, K(SELECT)),
	C("EXPLAIN (SELECT 1)", EXPLAIN, 0, NULL, K(SELECT)),
	C("EXPLAIN ((SELECT 1) UNION (SELECT 2))", EXPLAIN, 0, NULL, K(SELECT)),
	C("EXPLAIN ANALYZE EXECUTE p(1)", EXPLAIN, SQL_ANALYZED | SQL_MODIFIES, "p", K(EXECUTE)),
	C("EXPLAIN EXECUTE p", EXPLAIN, 0, "p", K(EXECUTE)),
	C("EXPLAIN CREATE TABLE x AS SELECT 1", EXPLAIN, 0, NULL, K(DDL)),
	C("EXPLAIN DECLARE c CURSOR FOR SELECT 1", EXPLAIN, 0, "c", K(SELECT)),

	/* 7.3: locks, INTO, DML in WITH */
	C("SELECT * FROM t FOR UPDATE", SELECT, SQL_LOCKS),
	C("select * from t for no key update of t nowait", SELECT, SQL_LOCKS),
	C("SELECT * FROM t FOR SHARE SKIP LOCKED", SELECT, SQL_LOCKS),
	C("SELECT * FROM t FOR KEY SHARE", SELECT, SQL_LOCKS),
	C("SELECT * FROM (SELECT * FROM t FOR UPDATE) x", SELECT, SQL_LOCKS),
	C("SELECT 1 WHERE EXISTS (SELECT 1 FROM t FOR SHARE)", SELECT, SQL_LOCKS),
	C("(SELECT * FROM t) FOR UPDATE", SELECT, SQL_LOCKS),
	C("WITH x AS (SELECT * FROM t FOR UPDATE) SELECT * FROM x", SELECT, SQL_LOCKS),
	C("SELECT * FROM t FOR/**/UPDATE", SELECT, SQL_LOCKS),
	C("SELECT * FROM t WHERE id = 1for update", SELECT, SQL_LOCKS),
	C("SELECT 1 INTO t", SELECT, SQL_INTO),
	C("SELECT a, b INTO TABLE t2 FROM t", SELECT, SQL_INTO),
	C("SELECT insert INTO t2 FROM t", SELECT, SQL_INTO),
	C("SELECT 1 INTO UNLOGGED t2", SELECT, SQL_INTO),
	C("SELECT 1 INTO TEMP tt FROM t", SELECT, SQL_INTO | SQL_TEMP, "tt"),
	C("SELECT 1 INTO LOCAL TEMPORARY TABLE \"T T\"", SELECT, SQL_INTO | SQL_TEMP, "T T"),
	C("SELECT 1 INTO pg_temp.tt", SELECT, SQL_INTO | SQL_TEMP, "tt"),
	C("WITH x AS (INSERT INTO t VALUES (1) RETURNING 1) SELECT * FROM x", SELECT, SQL_MODIFIES),
	C("WITH x AS MATERIALIZED (UPDATE t SET a = 1 RETURNING 1) SELECT * FROM x",
	  SELECT, SQL_MODIFIES),
	C("WITH x AS NOT MATERIALIZED (DELETE FROM t RETURNING 1) SELECT 1", SELECT, SQL_MODIFIES),
	C("WITH a AS (SELECT 1), b(c) AS (MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE) "
	  "SELECT 1",
	  SELECT, SQL_MODIFIES),
	C("WITH recursive AS (DELETE FROM t RETURNING 1) SELECT 1", SELECT, SQL_MODIFIES),
	C("WITH recursive(a) AS (DELETE FROM t RETURNING 1) SELECT 1", SELECT, SQL_MODIFIES),
	C("WITH \"x\" AS (DELETE FROM t RETURNING 1) SELECT 1", SELECT, SQL_MODIFIES),
	C("WITH x AS (WITH y AS (SELECT 1) DELETE FROM t RETURNING 1) SELECT 1",
	  SELECT, SQL_MODIFIES),
	C("SELECT * FROM (WITH x AS (DELETE FROM t RETURNING 1) TABLE x) y", SELECT, SQL_MODIFIES),
	C("WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x", INSERT, 0),
	C("WITH x AS (SELECT 1) UPDATE t SET a = 1", UPDATE, 0),
	C("WITH x AS (SELECT 1) DELETE FROM t", DELETE, 0),
	C("WITH x AS (DELETE FROM t RETURNING 1) INSERT INTO u TABLE x", INSERT, SQL_MODIFIES),

	/* 7.3: writes */
	C("INSERT INTO t VALUES (1)", INSERT, 0),
	C("insert into t (a, b) select a, b from u on conflict (a) do update set b = 1", INSERT, 0),
	C("INSERT INTO t (a) VALUES (1) ON CONFLICT (a) DO SELECT FOR UPDATE RETURNING *",
	  INSERT, SQL_LOCKS),
	C("UPDATE t SET (a, b) = (1, 2)", UPDATE, 0),
	C("UPDATE pg_settings SET setting = 'off'", UPDATE, SQL_SETS),
	C("UPDATE ONLY pg_catalog.\"pg_settings\" SET setting = 'off'", UPDATE, SQL_SETS),
	C("UPDATE t SET a = 1 FROM pg_settings", UPDATE, SQL_CATALOG),
	C("WITH x AS (UPDATE pg_settings SET setting = 'off' RETURNING 1) SELECT * FROM x", SELECT,
	  SQL_MODIFIES | SQL_SETS),
	C("PREPARE p AS UPDATE pg_settings SET setting = $1", PREPARE, SQL_MODIFIES | SQL_SETS,
	  "p", K(UPDATE)),
	C("UPDATE t FOR PORTION OF d FROM '1' TO '2' SET a = 1", UPDATE, 0),
	C("DELETE FROM t USING u WHERE t.a = u.a", DELETE, 0),
	C("MERGE INTO t USING u ON t.a = u.a WHEN NOT MATCHED THEN INSERT (a) VALUES (1)",
	  MERGE, 0),
	C("TRUNCATE a, b", TRUNCATE, 0),
	C("CALL p(1)", CALL, 0),
	C("DO $$ begin; perform 1; end $$", DO, 0),
	C("DO LANGUAGE plpgsql $x$ a $$ b; $x$", DO, 0),

	/* 7.3: cursors */
	C("DECLARE c CURSOR FOR SELECT 1", DECLARE, 0, "c", K(SELECT)),
	C("DECLARE c BINARY INSENSITIVE NO SCROLL CURSOR WITH HOLD FOR SELECT 1", DECLARE, SQL_HOLD,
	  "c", K(SELECT)),
	C("DECLARE c CURSOR WITHOUT HOLD FOR SELECT 1 FOR UPDATE",
	  DECLARE, SQL_LOCKS, "c", K(SELECT)),
	C("FETCH c", FETCH, 0, "c"),
	C("FETCH FORWARD 5 FROM c", FETCH, 0, "c"),
	C("FETCH ALL IN \"C\"", FETCH, 0, "C"),
	C("MOVE ABSOLUTE -1 c", MOVE, 0, "c"),
	C("CLOSE c", CLOSE, 0, "c"),
	C("CLOSE ALL", CLOSE, SQL_ALL),

	/* 7.3: the rest */
	C("LISTEN ch", LISTEN, 0, "ch"),
	C("UNLISTEN ch", UNLISTEN, 0, "ch"),
	C("UNLISTEN *", UNLISTEN, SQL_ALL),
	C("NOTIFY \"Ch\", 'payload'", NOTIFY, 0, "Ch"),
	C("VACUUM FULL t", VACUUM, 0),
	C("ANALYZE t", ANALYZE, 0),
	C("ANALYSE", ANALYZE, 0),
	C("CHECKPOINT", CHECKPOINT, 0),
	C("LOAD 'x'", LOAD, 0),
	C("REINDEX TABLE t", DDL, 0),
	C("REPACK t", DDL, 0),
	C("WAIT FOR LSN '0/1'", OTHER, 0),
	C("IDENTIFY_SYSTEM", OTHER, 0),
	C("nonsense", OTHER, 0),
	C("\"select\" 1", OTHER, 0),
	C("1", OTHER, 0),
	C("'x'", OTHER, 0),
	C("PREPARE TRANSACTION 'gid'", PREPARE_TRANSACTION, 0, "'gid'"),
	C("COMMIT PREPARED 'gid'", COMMIT_PREPARED, 0, "'gid'"),
	C("ROLLBACK PREPARED 'gid'", ROLLBACK_PREPARED, 0, "'gid'"),
	C("LOCK TABLE t", LOCK, 0),
	C("LOCK t IN ACCESS SHARE MODE", LOCK, SQL_WEAK),
	C("LOCK TABLE ONLY a, b IN ROW SHARE MODE NOWAIT", LOCK, SQL_WEAK),
	C("LOCK TABLE t IN ROW EXCLUSIVE MODE", LOCK, 0),
	C("LOCK TABLE t IN SHARE MODE", LOCK, 0),
	C("LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE", LOCK, 0),
	C("LOCK TABLE t IN SHARE ROW EXCLUSIVE MODE", LOCK, 0),
	C("LOCK TABLE t IN ACCESS EXCLUSIVE MODE", LOCK, 0),
	C("CREATE TABLE t (a int default nextval('s'))", DDL, 0),
	C("ALTER TABLE t ADD COLUMN a int", DDL, 0),
	C("DROP TABLE t", DDL, SQL_DROPS),
	C("DROP SEQUENCE IF EXISTS a.b, c", DDL, SQL_DROPS),
	C("DROP FUNCTION f(int)", DDL, 0),
	C("GRANT SELECT ON t TO u", DDL, 0),
	C("REVOKE ALL ON t FROM u", DDL, 0),
	C("COMMENT ON TABLE t IS 'x'", DDL, 0),
	C("CLUSTER t", DDL, 0),
	C("SECURITY LABEL ON TABLE t IS 'x'", DDL, 0),
	C("REASSIGN OWNED BY a TO b", DDL, 0),
	C("IMPORT FOREIGN SCHEMA s FROM SERVER x INTO y", DDL, 0),
	C("REFRESH MATERIALIZED VIEW v", DDL, 0),
	C("CREATE PROPERTY GRAPH g VERTEX TABLES (a)", DDL, 0),

	/* 7.3: transactions */
	C("BEGIN", BEGIN, 0),
	C("begin work", BEGIN, 0),
	C("START TRANSACTION READ ONLY", BEGIN, SQL_READ_ONLY),
	C("START_REPLICATION SLOT x", OTHER, 0),
	C("START x", OTHER, 0),
	C("BEGIN ISOLATION LEVEL SERIALIZABLE, READ WRITE",
	  BEGIN, SQL_READ_WRITE),
	C("BEGIN TRANSACTION ISOLATION LEVEL READ COMMITTED", BEGIN, 0),
	C("BEGIN READ WRITE", BEGIN, SQL_READ_WRITE),
	C("BEGIN ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE",
	  BEGIN, SQL_READ_ONLY),
	C("COMMIT", COMMIT, 0),
	C("END WORK", COMMIT, 0),
	C("COMMIT AND CHAIN", COMMIT, SQL_CHAIN),
	C("COMMIT TRANSACTION AND NO CHAIN", COMMIT, 0),
	C("ROLLBACK", ROLLBACK, 0),
	C("ABORT", ROLLBACK, 0),
	C("ROLLBACK WORK AND CHAIN", ROLLBACK, SQL_CHAIN),
	C("SAVEPOINT s", SAVEPOINT, 0, "s"),
	C("SAVEPOINT \"S \"\" 1\"", SAVEPOINT, 0, "S \" 1"),
	C("RELEASE s", RELEASE, 0, "s"),
	C("RELEASE SAVEPOINT S", RELEASE, 0, "s"),
	C("ROLLBACK TO s", ROLLBACK_TO, 0, "s"),
	C("ROLLBACK TRANSACTION TO SAVEPOINT s", ROLLBACK_TO, 0, "s"),

	/* 7.3: SET and friends */
	C("SET work_mem = '1MB'", SET, 0, "work_mem"),
	C("SET SESSION work_mem TO 1", SET, 0, "work_mem"),
	C("SET LOCAL work_mem TO DEFAULT", SET, SQL_LOCAL | SQL_DEFAULT, "work_mem"),
	C("SET search_path TO a, b, \"$user\"", SET, 0, "search_path"),
	C("SET app.user_id = 5", SET, 0, "app.user_id"),
	C("SET TIME ZONE 'UTC'", SET, 0, "time zone"),
	C("SET TIME ZONE LOCAL", SET, SQL_DEFAULT, "time zone"),
	C("SET LOCAL TIME  ZONE DEFAULT", SET, SQL_LOCAL | SQL_DEFAULT, "time  zone"),
	C("SET synchronous_commit = local", SET, 0, "synchronous_commit"),
	C("SET synchronous_commit TO local", SET, 0, "synchronous_commit"),
	C("SET NAMES 'utf8'", SET, 0, "names"),
	C("SET NAMES", SET, SQL_DEFAULT, "names"),
	C("SET SCHEMA 's'", SET, 0, "schema"),
	C("SET ROLE r", SET, 0, "role"),
	C("SET SESSION AUTHORIZATION DEFAULT", SET, SQL_DEFAULT, "session authorization"),
	C("SET XML OPTION DOCUMENT", SET, 0, "xml option"),
	C("SET transaction_read_only = off", SET, SQL_READ_WRITE, "transaction_read_only"),
	C("SET transaction_read_only = 0", SET, SQL_READ_WRITE, "transaction_read_only"),
	C("SET transaction_read_only TO 'false'", SET, SQL_READ_WRITE, "transaction_read_only"),
	C("SET transaction_read_only TO No", SET, SQL_READ_WRITE, "transaction_read_only"),
	C("SET transaction_read_only TO f", SET, SQL_READ_WRITE, "transaction_read_only"),
	C("SET transaction_read_only = 1", SET, SQL_READ_ONLY, "transaction_read_only"),
	C("SET transaction_read_only TO on", SET, SQL_READ_ONLY, "transaction_read_only"),
	C("SET SESSION default_transaction_read_only = 'off'", SET, SQL_READ_WRITE,
	  "default_transaction_read_only"),
	C("SET default_transaction_read_only = true",
	  SET, SQL_READ_ONLY, "default_transaction_read_only"),
	C("SET transaction_read_only = o", SET, 0, "transaction_read_only"),
	C("SET default_transaction_isolation = 'serializable'", SET, 0,
	  "default_transaction_isolation"),
	C("SET transaction_isolation TO SERIALIZABLE",
	  SET, 0, "transaction_isolation"),
	C("SET transaction_isolation TO 'repeatable read'", SET, 0, "transaction_isolation"),
	C("SET x = 'serializable'", SET, 0, "x"),
	C("SET TRANSACTION READ WRITE", SET_TRANSACTION, SQL_READ_WRITE),
	C("SET TRANSACTION ISOLATION LEVEL SERIALIZABLE READ ONLY", SET_TRANSACTION,
	  SQL_READ_ONLY),
	C("SET LOCAL TRANSACTION READ ONLY", SET_TRANSACTION, SQL_LOCAL | SQL_READ_ONLY),
	C("SET TRANSACTION SNAPSHOT '1'", SET_TRANSACTION, 0),
	C("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", SET, SQL_READ_ONLY,
	  "session characteristics"),
	C("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE READ WRITE", SET,
	  SQL_READ_WRITE, "session characteristics"),
	C("SET CONSTRAINTS ALL DEFERRED", SET_CONSTRAINTS, 0),
	C("RESET work_mem", RESET, 0, "work_mem"),
	C("RESET pool_x", RESET, 0, "pool_x"),
	C("RESET ALL", RESET, SQL_ALL),
	C("RESET SESSION AUTHORIZATION", RESET, 0, "session authorization"),
	C("RESET TIME ZONE", RESET, 0, "time zone"),
	C("DISCARD ALL", DISCARD, SQL_ALL, "all"),
	C("DISCARD PLANS", DISCARD, 0, "plans"),
	C("DISCARD TEMP", DISCARD, 0, "temp"),
	C("EXECUTE p", EXECUTE, 0, "p"),
	C("EXECUTE p (nextval('s'), 1)", EXECUTE, 0, "p"),
	C("DEALLOCATE p", DEALLOCATE, 0, "p"),
	C("DEALLOCATE PREPARE \"P\"", DEALLOCATE, 0, "P"),
	C("DEALLOCATE ALL", DEALLOCATE, SQL_ALL),
	C("DEALLOCATE PREPARE ALL", DEALLOCATE, SQL_ALL),
	C("DEALLOCATE \"all\"", DEALLOCATE, 0, "all"),

	/* ours */
	C("SHOW POOL_NODES", SHOW_POOL, 0, "pool_nodes"),
	C("show pool_status;", SHOW_POOL, 0, "pool_status"),
	C("SHOW \"Pool_nodes\"", SHOW_POOL, 0, "Pool_nodes"),
	C("SHOW pool_nodes.x", SHOW, 0, "pool_nodes.x"),
	C("SHOW poolx", SHOW, 0, "poolx"),
	C("PGPOOL SHOW ALL", PGPOOL, SQL_ALL, NULL, K(SHOW)),
	C("PGPOOL SHOW backend", PGPOOL, 0, "backend", K(SHOW)),
	C("pgpool set log_statement = on", PGPOOL, 0, "log_statement", K(SET)),
	C("PGPOOL RESET client_idle_limit", PGPOOL, 0, "client_idle_limit", K(RESET)),
	C("PGPOOL dance", OTHER, 0),

	/* 7.4: functions */
	C("SELECT now(), version(), current_timestamp, current_timestamp(3), current_user",
	  SELECT, SQL_TIME),
	C("SELECT current_user, statement_timestamp(), t.current_date, a AS localtime, 'know'",
	  SELECT, 0),
	C("SELECT transaction_timestamp()", SELECT, SQL_TIME),
	C("SELECT CURRENT_DATE", SELECT, SQL_TIME),
	C("SELECT a FROM t WHERE b > localtimestamp(0)", SELECT, SQL_TIME),
	C("SELECT localtime", SELECT, SQL_TIME),
	C("SELECT current_time", SELECT, SQL_TIME),
	C("SELECT age(b) FROM t", SELECT, SQL_TIME),
	C("SELECT ' Today'::date", SELECT, SQL_TIME),
	C("SELECT date $$yesterday$$", SELECT, SQL_TIME),
	C("SELECT E'tomorrow 10:00'::timestamp", SELECT, SQL_TIME),
	C("INSERT INTO t VALUES (now())", INSERT, SQL_TIME),
	C("SELECT current_setting('app.x'), current_setting('port', true)", SELECT, 0),
	C("SELECT current_setting('in_hot_standby')", SELECT, SQL_CATALOG),
	C("SELECT pg_catalog.current_setting(E'In_Hot_Standby')", SELECT, SQL_CATALOG),
	C("SELECT current_setting($1)", SELECT, SQL_CATALOG),
	C("SELECT current_setting(name) FROM t", SELECT, SQL_CATALOG),
	C("WITH pg_x AS (SELECT 1) SELECT * FROM pg_x", SELECT, 0),
	C("SELECT count(*), count(DISTINCT a), sum(b), string_agg(c, ',' ORDER BY c), max(d) FROM "
	  "t", SELECT, 0),
	C("select count(*) filter (where a > 1) over (partition by b order by c rows 1 preceding) "
	  "from t",
	  SELECT, 0),
	C("SELECT rank() OVER w, lag(a) IGNORE NULLS OVER w FROM t WINDOW w AS (PARTITION BY b)",
	  SELECT, 0),
	C("SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FROM t", SELECT, 0),
	C("SELECT pg_catalog.lower('A')", SELECT, 0),
	C("SELECT \"lower\"('A'), \"pg_catalog\".\"upper\"('a'), LOWER ('x'), lower/**/('x')",
	  SELECT, 0),
	C("SELECT coalesce(a, 1), nullif(a, 2), greatest(a, 3), least(a, 4) FROM t", SELECT, 0),
	C("SELECT extract(year FROM d), substring(x from 1 for 2), trim(both ' ' from x), "
	  "position('a' in b), "
	  "overlay(x placing 'y' from 2 for 3), cast(a as numeric(10,2)) FROM t", SELECT, 0),
	C("SELECT a::numeric(10,2), b::varchar(10), c::character varying(5), "
	  "d::pg_catalog.bpchar(3), "
	  "e::\"my type\"(1), f::timestamp(3) with time zone, g::geometry(point) FROM t",
	  SELECT, 0),
	C("SELECT interval(3) '1 s', interval '1' second(3), interval '1' day to second(2), "
	  "bit(3) '101'",
	  SELECT, 0),
	C("SELECT a IN (1, 2), b NOT IN (3), c = ANY (ARRAY[1]), d > ALL (SELECT 1), e = SOME "
	  "(VALUES (1))",
	  SELECT, 0),
	C("SELECT EXISTS (SELECT 1), ROW(1, 2), ARRAY(SELECT 1), (1, 2) OVERLAPS (3, 4)",
	  SELECT, 0),
	C("SELECT 1 WHERE a AND (b OR (NOT (c))) AND d BETWEEN (1) AND (2) AND e LIKE (f) AND g "
	  "NOT ILIKE (h) "
	  "AND i SIMILAR TO ('x') AND j IS DISTINCT FROM (k) AND l AT TIME ZONE (m) > n",
	  SELECT, 0),
	C("SELECT CASE WHEN (a) THEN (b) ELSE (c) END, NOT (d), - (e)", SELECT, 0),
	C("SELECT * FROM a JOIN b USING (id) JOIN c ON (a.x = c.x) CROSS JOIN LATERAL (SELECT 1) "
	  "d(e)", SELECT, 0),
	C("SELECT a FROM t GROUP BY GROUPING SETS ((a), ROLLUP (b), CUBE (c)) HAVING (count(*) > "
	  "1)", SELECT, 0),
	C("SELECT grouping(a) FROM t GROUP BY (a)", SELECT, 0),
	C("SELECT a FROM t GROUP BY ALL", SELECT, 0),
	C("SELECT * FROM t AS alias(col, b)", SELECT, 0),
	C("SELECT * FROM t alias (col, b), (SELECT 1) x(a), generate_series(1,10) g(i), unnest(a) "
	  "AS u (v)",
	  SELECT, 0),
	C("SELECT * FROM unnest(ARRAY[1]) WITH ORDINALITY t(x, n)", SELECT, 0),
	C("SELECT * FROM generate_series(1,10) AS g(i)", SELECT, 0),
	C("SELECT * FROM ROWS FROM (generate_series(1,3), json_to_recordset('[]') AS (a int, b "
	  "varchar(3))) AS x(a, b)",
	  SELECT, 0),
	C("SELECT * FROM json_to_recordset('[]') AS x(a int, b numeric(3,1), c mytype(3))",
	  SELECT, 0),
	C("SELECT * FROM t TABLESAMPLE system (10) REPEATABLE (5)", SELECT, 0),
	C("SELECT * FROM t ORDER BY x FETCH FIRST (5) ROWS ONLY", SELECT, 0),
	C("SELECT * FROM t ORDER BY x OFFSET (1) FETCH NEXT 5 ROWS WITH TIES", SELECT, 0),
	C("SELECT * FROM GRAPH_TABLE (g MATCH (a IS person)-[e IS knows]->(b) COLUMNS (a.name AS "
	  "x)) AS gt",
	  SELECT, 0),
	C("SELECT * FROM JSON_TABLE(j, '$' COLUMNS (id int PATH '$.id', NESTED PATH '$.x' COLUMNS "
	  "(y int))) jt",
	  SELECT, 0),
	C("SELECT * FROM XMLTABLE(XMLNAMESPACES('x' AS y), '/a' PASSING d COLUMNS n numeric(5,1) "
	  "PATH 'b') xt",
	  SELECT, 0),
	C("SELECT xmlelement(name a, xmlattributes(b as c), lower(d)), json_object('a': 1), "
	  "json_array(1, 2)",
	  SELECT, 0),
	C("SELECT DISTINCT ON (a) lower(b) FROM t", SELECT, 0),
	C("SELECT x OPERATOR(pg_catalog.=) lower(y)", SELECT, 0),
	C("SELECT to_char(now() - interval '1 day', 'YYYY'), date_trunc('day', now()), left('a', "
	  "1)", SELECT, SQL_TIME),
	C("SELECT jsonb_build_object('a', b), c->>'d', jsonb_path_query(e, '$')", SELECT, 0),
	C("SELECT any_value(a), erf(b), to_hex(c), uuid_extract_version(d), casefold(e)",
	  SELECT, 0),
	C("SELECT jsonb('{}'), regtype('int4'), date('2020-01-01'), float8(1)", SELECT, 0),
	C("SELECT inet_server_addr(), current_setting('x'), current_schema()", SELECT, 0),
	C("SELECT random()", SELECT, SQL_FUNCTION),
	C("SELECT random(1, 2)", SELECT, SQL_FUNCTION),
	C("SELECT pg_sleep(1)", SELECT, SQL_FUNCTION),
	C("SELECT NEXTVAL('s')", SELECT, SQL_FUNCTION),
	C("SELECT setval('s', 1)", SELECT, SQL_FUNCTION),
	C("SELECT set_config('a.b', 'c', false)", SELECT, SQL_FUNCTION | SQL_SET_CONFIG),
	C("SELECT pg_is_in_recovery()", SELECT, SQL_FUNCTION),
	C("SELECT lo_create(1)", SELECT, SQL_FUNCTION),
	C("SELECT lo_import('x'), loread(1, 2)", SELECT, SQL_FUNCTION),
	C("SELECT pg_advisory_lock(1)", SELECT, SQL_FUNCTION | SQL_ADVISORY),
	C("SELECT pg_try_advisory_lock_shared(1)", SELECT, SQL_FUNCTION | SQL_ADVISORY),
	C("SELECT pg_advisory_xact_lock(1)", SELECT, SQL_FUNCTION),
	C("SELECT pg_advisory_unlock_all()", SELECT, SQL_FUNCTION),
	C("SELECT clock_timestamp()", SELECT, SQL_FUNCTION),
	C("SELECT txid_current()", SELECT, SQL_FUNCTION),
	C("SELECT pg_current_xact_id()", SELECT, SQL_FUNCTION),
	C("SELECT pg_backend_pid()", SELECT, SQL_CATALOG),
	C("SELECT pg_notify('a', 'b')", SELECT, SQL_FUNCTION),
	C("SELECT * FROM dblink('x', 'y') AS t(a int)", SELECT, SQL_FUNCTION),
	C("SELECT currval('s')", SELECT, SQL_FUNCTION | SQL_SEQUENCE),
	C("SELECT lastval()", SELECT, SQL_FUNCTION | SQL_SEQUENCE),
	C("SELECT gen_random_uuid()", SELECT, SQL_FUNCTION),
	C("SELECT uuidv7()", SELECT, SQL_FUNCTION),
	C("SELECT query_to_xml('delete from t', true, false, '')", SELECT, SQL_FUNCTION),
	C("SELECT my_function(1)", SELECT, SQL_FUNCTION),
	C("SELECT public.lower('A')", SELECT, SQL_FUNCTION),
	C("SELECT db.pg_catalog.lower('A')", SELECT, SQL_FUNCTION),
	C("SELECT pg_catalog.nextval('s')", SELECT, SQL_FUNCTION),
	C("SELECT \"Lower\"('A')", SELECT, SQL_FUNCTION),
	C("SELECT \"count(\"(1)", SELECT, SQL_FUNCTION),
	C("SELECT f (1)", SELECT, SQL_FUNCTION),
	C("SELECT f /* x */ -- y\n (1)", SELECT, SQL_FUNCTION),
	C("SELECT 1 WHERE a = f(1)", SELECT, SQL_FUNCTION),
	C("SELECT lower(f(1))", SELECT, SQL_FUNCTION),
	C("SELECT * FROM f(1)", SELECT, SQL_FUNCTION),
	C("SELECT * FROM t, LATERAL f(1) x(a)", SELECT, SQL_FUNCTION),
	C("SELECT * FROM ROWS FROM (f(1), generate_series(1, 2))", SELECT, SQL_FUNCTION),
	C("SELECT a FROM t ORDER BY f(a)", SELECT, SQL_FUNCTION),
	C("SELECT a FROM t GROUP BY f(a)", SELECT, SQL_FUNCTION),
	C("SELECT CASE f(1) WHEN g(2) THEN 3 END", SELECT, SQL_FUNCTION),
	C("SELECT DISTINCT ON (a) f(b) FROM t", SELECT, SQL_FUNCTION),
	C("SELECT x OPERATOR(pg_catalog.=) f(y)", SELECT, SQL_FUNCTION),
	C("SELECT a AT TIME ZONE f(b)", SELECT, SQL_FUNCTION),
	C("SELECT a LIKE b ESCAPE f(c)", SELECT, SQL_FUNCTION),
	C("SELECT sum(a) OVER (ORDER BY b ROWS f(1) PRECEDING) FROM t", SELECT, SQL_FUNCTION),
	C("SELECT xmlroot(a, version f(1))", SELECT, SQL_FUNCTION),
	C("SELECT * FROM XMLTABLE('/a' PASSING f(d) COLUMNS n int PATH 'b') xt",
	  SELECT, SQL_FUNCTION),
	C("SELECT ARRAY[f(1)]", SELECT, SQL_FUNCTION),
	C("SELECT (f(1)).a", SELECT, SQL_FUNCTION),
	C("SELECT a.b.c(1)", SELECT, SQL_FUNCTION),
	C("SELECT (a).f(1)", SELECT, SQL_FUNCTION),
	C("VALUES (nextval('s'))", VALUES, SQL_FUNCTION),
	C("WITH x AS (SELECT f(1)) SELECT 1", SELECT, SQL_FUNCTION),
	C("SELECT 1 LIMIT f(1)", SELECT, SQL_FUNCTION),
	C("SELECT 'random()', \"random\", random, nextval FROM t -- random()", SELECT, 0),
	C("SELECT pg_terminate_backend(123)", SELECT, SQL_FUNCTION | SQL_TERMINATE, "123"),
	C("SELECT pg_catalog.pg_terminate_backend( 42, 5)",
	  SELECT, SQL_FUNCTION | SQL_TERMINATE, "42"),
	C("SELECT pg_terminate_backend(pid) FROM t", SELECT, SQL_FUNCTION),

	/* 7.4: catalogs */
	C("SELECT * FROM pg_catalog.pg_class", SELECT, SQL_CATALOG),
	C("SELECT relname FROM pg_class WHERE oid = 1", SELECT, SQL_CATALOG),
	C("SELECT 1 FROM t, PG_TYPE", SELECT, SQL_CATALOG),
	C("SELECT 1 FROM t LEFT JOIN pg_type p ON true", SELECT, SQL_CATALOG),
	C("SELECT 1 FROM \"pg_type\"", SELECT, SQL_CATALOG),
	C("SELECT 1 FROM (t CROSS JOIN pg_type)", SELECT, SQL_CATALOG),
	C("SELECT 1 FROM (pg_type CROSS JOIN t)", SELECT, SQL_CATALOG),
	C("SELECT 1 FROM ONLY pg_type", SELECT, SQL_CATALOG),
	C("SELECT 1 WHERE EXISTS (SELECT FROM pg_type)", SELECT, SQL_CATALOG),
	C("TABLE pg_stat_activity", SELECT, SQL_CATALOG),
	C("SELECT 1 UNION TABLE pg_class", SELECT, SQL_CATALOG),
	C("SELECT * FROM (TABLE pg_class) x", SELECT, SQL_CATALOG),
	C("WITH x AS (SELECT * FROM pg_class) SELECT * FROM x", SELECT, SQL_CATALOG),
	C("SELECT * FROM pg_toast.pg_toast_1", SELECT, SQL_CATALOG),
	C("SELECT * FROM pg_temp.t", SELECT, SQL_CATALOG),
	C("SELECT * FROM information_schema.tables", SELECT, 0),
	C("SELECT pg_size FROM t WHERE pg_x = 1 ORDER BY a, pg_y", SELECT, 0),
	C("SELECT a AS pg_class, 'pg_class'::regclass FROM t AS pg_x", SELECT, 0),
	C("SELECT extract(year FROM pg_class), a IS DISTINCT FROM pg_b FROM t", SELECT, 0),
	C("SELECT pg_catalog.count(*) FROM t", SELECT, 0),
	C("SELECT * FROM pgbench_accounts WHERE aid = 1", SELECT, 0),

	/* names that look like something else */
	C("SELECT a FROM t WHERE note = 'for update'", SELECT, 0),
	C("SELECT update, delete, insert, name, share, key, temp FROM t", SELECT, 0),
	C("SELECT (update), (delete) FROM t WHERE (insert) = 1", SELECT, 0),
	C("SELECT t.update, update.t, t.into, t.for, t.from FROM update", SELECT, 0),
	C("SELECT a AS into, b AS for, c AS update, d AS select FROM t", SELECT, 0),
	C("SELECT \"into\", \"for update\", \"for\" \"update\" FROM t", SELECT, 0),
	C("SELECT substring(x for share) FROM t", SELECT, 0),
	C("SELECT $1, $2::text, :a FROM t WHERE b = $3", SELECT, 0),
	C("SELECT 1.5, .5, 1e10, 1.e-5, 0x1F, 1_000, 1.2.3", SELECT, 0),
	C("SELECT 'it''s; a', E'\\';', U&'\\0041', B'01', X'1F', N'n', $$;'$$, $a$;$$ $b$ $a$",
	  SELECT, 0),
	C("SELECT E'a\\'' -- x;\n '\\'; still', 1", SELECT, 0),
	C("SELECT a$b, \"x;\"\"y\", U&\"\\0041;\", \xc3\xa4\xc3\xb6 FROM t", SELECT, 0),
	C("SELECT 1 /* ; /* ; */ ' */ + 2 -- ; '\n + 3", SELECT, 0),
	C("SELECT a @> b, c #>> '{d}', e ? 'f', g ~* 'h', i <-> j, k !~~ l, -m, |/ n", SELECT, 0),
	C("SELECT a[1], b[1:2], c[:], (d).e, f.* FROM t f", SELECT, 0),

	/* temporary objects */
	C("CREATE TEMP TABLE tt (a int)", DDL, SQL_TEMP, "tt"),
	C("CREATE LOCAL TEMPORARY TABLE IF NOT EXISTS \"T t\" (a int)", DDL, SQL_TEMP, "T t"),
	C("CREATE GLOBAL TEMP TABLE tt AS SELECT 1", DDL, SQL_TEMP, "tt"),
	C("CREATE TEMP TABLE tt ON COMMIT DROP AS SELECT 1", DDL, SQL_TEMP | SQL_DROPS, "tt"),
	C("CREATE TEMP TABLE pg_temp.tt (a int)", DDL, SQL_TEMP, "tt"),
	C("CREATE TABLE pg_temp.tt (a int) ON COMMIT DELETE ROWS", DDL, SQL_TEMP, "tt"),
	C("CREATE OR REPLACE TEMP VIEW v AS SELECT 1", DDL, SQL_TEMP, "v"),
	C("CREATE TEMP RECURSIVE VIEW v (a) AS SELECT 1", DDL, SQL_TEMP, "v"),
	C("CREATE TEMPORARY SEQUENCE s START 1", DDL, SQL_TEMP, "s"),
	C("CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'select 1'", DDL, SQL_TEMP, "f"),
	C("CREATE TABLE temp (temp int)", DDL, 0),
	C("CREATE UNLOGGED TABLE u (a int)", DDL, 0),
	C("CREATE TABLE s.tt (a int)", DDL, 0),
	C("CREATE VIEW v AS SELECT * FROM pg_temp.x", DDL, 0),

	/* broken */
	C("SELECT 'abc", SELECT, SQL_UNPARSED),
	C("SELECT \"abc", SELECT, SQL_UNPARSED),
	C("SELECT $$abc", SELECT, SQL_UNPARSED),
	C("SELECT $a$abc$b$", SELECT, SQL_UNPARSED),
	C("SELECT E'abc\\'", SELECT, SQL_UNPARSED),
	C("SELECT 1 /* x", SELECT, SQL_UNPARSED),
	C("/* x", OTHER, SQL_UNPARSED),
	C("SELECT (1", SELECT, SQL_UNPARSED),
	C("SELECT 1)", SELECT, SQL_UNPARSED),
	C("SELECT 1 \\ 2", SELECT, SQL_UNPARSED),
	C("SELECT {1}", SELECT, SQL_UNPARSED),
	C("SELECT $ 1", SELECT, SQL_UNPARSED),
	C("\x01", OTHER, SQL_UNPARSED),
	C("INSERT INTO t VALUES (1", INSERT, SQL_UNPARSED),
	C("SET x = 'a", SET, SQL_UNPARSED, "x"),
	C("PREPARE p (int AS SELECT 1", PREPARE, SQL_UNPARSED, "p"),
};

static void spell(char dst[64], const char *text, const struct sql_facts *f)
{
	dst[0] = 0;
	if (f->name.len)
		sql_name(dst, text, f->name);
}

static void test_table(void)
{
	for (size_t i = 0; i < LEN(table); i++) {
		const struct facts *c = &table[i];
		size_t len = strlen(c->text);
		char *copy = exact(c->text, len), name[64];
		struct sql_facts f;

		sql_classify(&f, copy, len, NULL);
		uint32_t flags = f.flags & ~(uint32_t)FIRST_FLAGS;
		spell(name, copy, &f);
		int inner = c->inner ? c->inner : c->kind;
		bool ok = f.kind == c->kind && f.inner == inner && flags == c->flags
			&& f.next == len && strcmp(name, c->name ? c->name : "") == 0;
		if (!ok)
			printf("# kind %s inner %s flags %x, not %x; name \"%s\" next %zu of %zu\n",
				sql_kind_name(f.kind), sql_kind_name(f.inner), flags, c->flags,
				name, f.next, len);
		say(ok, "facts: %.90s", c->text);
		say(survives_cuts(c->text), "cuts");
		free(copy);
	}
}

static void test_levels(void)
{
	static const struct { const char *text; enum sql_level level; } cases[] = {
		{ "BEGIN", LEVEL_UNSAID },
		{ "BEGIN READ WRITE", LEVEL_UNSAID },
		{ "BEGIN ISOLATION LEVEL READ COMMITTED", LEVEL_READ_COMMITTED },
		{ "BEGIN ISOLATION LEVEL READ UNCOMMITTED READ ONLY", LEVEL_READ_UNCOMMITTED },
		{ "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE", LEVEL_REPEATABLE_READ },
		{ "start transaction read write, isolation level repeatable read",
		  LEVEL_REPEATABLE_READ },
		{ "BEGIN READ ONLY DEFERRABLE ISOLATION LEVEL SERIALIZABLE", LEVEL_SERIALIZABLE },
		{ "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY",
		  LEVEL_REPEATABLE_READ },
		{ "SET LOCAL TRANSACTION ISOLATION LEVEL READ COMMITTED", LEVEL_READ_COMMITTED },
		{ "SET SESSION CHARACTERISTICS AS TRANSACTION READ WRITE ISOLATION LEVEL"
		  " REPEATABLE READ", LEVEL_REPEATABLE_READ },
		{ "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", LEVEL_UNSAID },
		{ "SET default_transaction_isolation = 'Repeatable Read'", LEVEL_REPEATABLE_READ },
		{ "SET LOCAL transaction_isolation TO \"read committed\"", LEVEL_SERIALIZABLE },
		{ "SET transaction_isolation TO E'read committed'", LEVEL_SERIALIZABLE },
		{ "SET transaction_isolation TO 'read committed'", LEVEL_READ_COMMITTED },
		{ "SET transaction_isolation TO serializable", LEVEL_SERIALIZABLE },
		{ "SET default_transaction_isolation TO DEFAULT", LEVEL_UNSAID },
		{ "SET default_transaction_isolation TO", LEVEL_SERIALIZABLE },
		{ "RESET default_transaction_isolation", LEVEL_UNSAID },
		{ "SET x = 'serializable'", LEVEL_UNSAID },
		{ "SELECT 'isolation level repeatable read'", LEVEL_UNSAID },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		struct sql_facts f;
		sql_classify(&f, cases[i].text, strlen(cases[i].text), NULL);
		say(f.level == cases[i].level, "level: %s", cases[i].text);
	}
	say(sql_level_named("REPEATABLE READ", 15) == LEVEL_REPEATABLE_READ
	    && !sql_level_named("repeatable", 10) && !sql_level_named("", 0), "named");
}

static void test_first(void)
{
	static const struct { const char *text; uint32_t flags; } cases[] = {
		{ "", SQL_FIRST },
		{ " \t\r\n\f\v", SQL_FIRST | SQL_BLANK },
		{ "SELECT 1", SQL_FIRST },
		{ "select 1", SQL_FIRST },
		{ " select 1", SQL_FIRST | SQL_BLANK },
		{ "(select 1)", SQL_FIRST },
		{ "With x as (select 1) select 1", SQL_FIRST },
		{ "with x as (select 1) select 1", SQL_FIRST },
		{ "TABLE t", SQL_FIRST },
		{ "table t", SQL_FIRST },
		{ ";", SQL_FIRST },
		{ "VALUES (1)", 0 },
		{ "values (1)", 0 },
		{ "/*NO LOAD BALANCE*/ SELECT 1", 0 },
		{ " /* x */ SELECT 1", SQL_BLANK },
		{ "-- x\nSELECT 1", 0 },
		{ "- 1", 0 },
		{ "/", 0 },
		{ "INSERT INTO t VALUES (1)", 0 },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		struct sql_facts f;
		sql_classify(&f, cases[i].text, strlen(cases[i].text), NULL);
		say((f.flags & FIRST_FLAGS & ~(uint32_t)SQL_NAMES) == cases[i].flags, "first characters: %s",
			cases[i].text);
	}
	struct sql_facts f;
	sql_classify(&f, "\0select", 7, NULL);
	say(!(f.flags & SQL_FIRST) && (f.flags & SQL_UNPARSED), "a text that begins with NUL");
	sql_classify(&f, "select 1\0, 2", 12, NULL);
	say(f.flags & SQL_UNPARSED, "a text with NUL in it");
}

static void test_reads(void)
{
	static const char *const yes[] = {
		"", "select 1", "table t", "values (1)", "show x", "copy t to stdout",
		"prepare p as select 1", "-- x", "copy (select 1) to stdout",
	};
	static const char *const no[] = {
		"select 1 for update", "select 1 into t",
		"with x as (delete from t returning 1) table x", "select random()",
		"select * from pg_class", "select 'x", "insert into t values (1)",
		"copy t from stdin", "copy (delete from t returning 1) to stdout",
		"explain select 1", "prepare p as delete from t", "prepare p", "show pool_nodes",
		"pgpool show all", "begin", "set x = 1", "execute p",
		"declare c cursor for select 1", "nonsense", "create table t (a int)",
	};
	struct sql_facts f;

	for (size_t i = 0; i < LEN(yes); i++) {
		sql_classify(&f, yes[i], strlen(yes[i]), NULL);
		say(sql_reads(&f), "a read: %s", yes[i]);
	}
	for (size_t i = 0; i < LEN(no); i++) {
		sql_classify(&f, no[i], strlen(no[i]), NULL);
		say(!sql_reads(&f), "not a read: %s", no[i]);
	}
}

static void test_split(void)
{
	static const struct { const char *text, *parts; } cases[] = {
		{ "select 1; select 2", "select 1|select 2" },
		{ "select 1;", "select 1" },
		{ "select 1 ; ; -- bye\n", "select 1" },
		{ ";; select 1 ;; \n delete from t /* ; */ ;", "select 1|delete from t" },
		{ "select ';'; select $$;$$; select \";\"",
		  "select ';'|select $$;$$|select \";\"" },
		{ "begin; update t set a = 1; commit", "begin|update t set a = 1|commit" },
		{ "create rule r as on insert to t do (select 1; select 2); select 3",
		  "create rule r as on insert to t do (select 1; select 2)|select 3" },
		{ "create function f() returns int begin atomic select 1; select case when true "
		  "then 2 end; end; "
		  "select 3",
		  "create function f() returns int begin atomic select 1; select case when true "
		  "then 2 end; end"
		  "|select 3" },
		{ "create or replace procedure p() begin atomic insert into t values (1); end; "
		  "select 1",
		  "create or replace procedure p() begin atomic insert into t values (1); "
		  "end|select 1" },
		{ "create table t (a int); begin; select 1",
		  "create table t (a int)|begin|select 1" },
		{ "set x = 1; show y; listen z", "set x = 1|show y|listen z" },
		{ "prepare p as ; select 1", "prepare p as|select 1" },
		{ "copy t from stdin; select 1", "copy t from stdin|select 1" },
		{ "copy t to stdout; select 1", "copy t to stdout|select 1" },
		{ "explain; select 1", "explain|select 1" },
		{ "set; reset; show; fetch; commit prepared; pgpool show; create; prepare",
		  "set|reset|show|fetch|commit prepared|pgpool show|create|prepare" },
		{ "select 1; select 'x", "select 1|select 'x" },
		{ "select (1; select 2", "select (1; select 2" },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		const char *text = cases[i].text;
		size_t len = strlen(text), n = 0;
		char got[300];

		got[0] = 0;
		for (size_t at = 0; at < len; ) {
			struct sql_facts f;
			sql_classify(&f, text + at, len - at, NULL);
			n += (size_t)snprintf(got + n, sizeof got - n, "%s%.*s", at ? "|" : "",
				(int)(f.end - f.start), text + at + f.start);
			at += f.next;
		}
		say(strcmp(got, cases[i].parts) == 0, "split: %s", text);
		if (strcmp(got, cases[i].parts) != 0)
			printf("# got %s\n", got);
		say(survives_cuts(text), "cuts");
	}
}

static void add_target(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	char *list = ctx;

	(void)schema;
	if (use != SQL_WRITTEN)
		return;
	if (*list)
		strcat(list, " ");
	strcat(list, name);
}

static void test_targets(void)
{
	static const struct { const char *text, *targets; } cases[] = {
		{ "INSERT INTO t VALUES (1)", "t" },
		{ "INSERT INTO s.T(a) SELECT * FROM u", "t" },
		{ "INSERT INTO \"S\".\"T t\" AS x DEFAULT VALUES", "T t" },
		{ "UPDATE t SET a = 1 FROM u", "t" },
		{ "UPDATE ONLY db.s.t AS x SET a = 1", "t" },
		{ "DELETE FROM t WHERE a IS DISTINCT FROM b", "t" },
		{ "DELETE FROM ONLY (t) USING u", "t" },
		{ "TRUNCATE ONLY (t), u", "t u" },
		{ "DELETE FROM t USING (SELECT 1 FROM v) w", "t" },
		{ "MERGE INTO t USING u ON true WHEN MATCHED THEN UPDATE SET a = 1 WHEN NOT "
		  "MATCHED THEN INSERT VALUES (1)",
		  "t" },
		{ "TRUNCATE t", "t" },
		{ "TRUNCATE TABLE ONLY a, s.b *, \"C\" RESTART IDENTITY CASCADE", "a b C" },
		{ "COPY t FROM STDIN", "t" },
		{ "COPY s.t (a, b) FROM STDIN WITH (FORMAT csv)", "t" },
		{ "COPY t TO STDOUT", "" },
		{ "COPY (DELETE FROM t RETURNING 1) TO STDOUT", "t" },
		{ "WITH x AS (DELETE FROM a RETURNING 1), y AS (UPDATE b SET c = 1 RETURNING 1) "
		  "INSERT INTO d TABLE x",
		  "a b d" },
		{ "INSERT INTO t WITH x AS (DELETE FROM u RETURNING 1) SELECT * FROM x", "t u" },
		{ "INSERT INTO t (a) WITH x AS (DELETE FROM u RETURNING 1) SELECT * FROM x",
		  "t u" },
		{ "INSERT INTO t VALUES (1) ON CONFLICT (a) DO UPDATE SET a = 1", "t" },
		{ "PREPARE p AS UPDATE t SET a = 1", "t" },
		{ "EXPLAIN DELETE FROM t", "" },
		{ "EXPLAIN ANALYZE DELETE FROM t", "t" },
		{ "EXPLAIN (ANALYZE) WITH x AS (DELETE FROM t RETURNING 1) TABLE x", "t" },
		{ "SELECT * FROM t FOR UPDATE", "" },
		{ "SELECT 1; DELETE FROM t", "" },
		{ "UPDATE t", "t" },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		char list[200] = "";
		char *copy = exact(cases[i].text, strlen(cases[i].text));

		sql_names(copy, strlen(cases[i].text), add_target, list);
		say(strcmp(list, cases[i].targets) == 0, "targets: %s", cases[i].text);
		if (strcmp(list, cases[i].targets) != 0)
			printf("# got %s\n", list);
		say(survives_cuts(cases[i].text), "cuts");
		free(copy);
	}
}

/* r:relation, c:function, each with its schema. */
static void add_use(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	char *list = ctx;

	if (use == SQL_WRITTEN)
		return;
	sprintf(list + strlen(list), "%s%c:%s%s%s", *list ? " " : "", use == SQL_DROPPED ? 'd' : use == SQL_READ ? 'r' : 'c',
		schema, *schema ? "." : "", name);
}

static void test_uses(void)
{
	static const struct { const char *text, *uses; } cases[] = {
		{ "SELECT 1", "" },
		{ "SELECT a, b.c FROM t AS b", "r:t" },
		{ "SELECT * FROM T, \"S s\".\"U\" x, db.s.v", "r:t r:S s.U r:s.v" },
		{ "SELECT lower(a), max(b) FROM t", "r:t" },
		{ "SELECT f(a), s.g(1), pg_catalog.lower(b), s.lower(b) FROM t",
		  "c:f c:s.g c:s.lower r:t" },
		{ "SELECT * FROM f(1) x, t, now()", "c:f r:t" },
		{ "WITH x AS (SELECT h(1) FROM t) SELECT * FROM x JOIN u USING (a)", "c:h r:t r:u" },
		{ "WITH x AS (SELECT * FROM x), y AS (SELECT * FROM x) SELECT * FROM x, y, s.x",
		  "r:x r:s.x" },
		{ "WITH RECURSIVE x AS (SELECT 1 UNION SELECT a FROM x) SELECT * FROM \"x\", \"X\"",
		  "r:X" },
		{ "SELECT * FROM (WITH x (a) AS (SELECT 1) TABLE x) y, x", "r:x" },
		{ "(WITH x AS (SELECT 1) SELECT * FROM x) UNION SELECT * FROM x", "r:x" },
		{ "WITH x AS MATERIALIZED (SELECT 1) SELECT (SELECT max(a) FROM X) FROM t", "r:t" },
		{ "WITH x AS (WITH y AS (SELECT 1) SELECT * FROM y) SELECT * FROM x, y", "r:y" },
		{ "WITH recursive AS (SELECT 1) SELECT * FROM recursive", "" },
		{ "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x, u", "r:u" },
		{ "DROP TABLE IF EXISTS a, pg_temp.\"B\", c CASCADE", "d:a d:pg_temp.B d:c d:cascade" },
		{ "DROP FUNCTION a", "" },
		{ "CREATE TABLE x AS SELECT f(1) FROM t", "c:f r:t" },
		{ "CREATE TABLE x (a, b) USING heap WITH (fillfactor = 70) AS (TABLE t)", "r:t" },
		{ "CREATE TEMP TABLE IF NOT EXISTS x ON COMMIT DROP AS WITH y AS (SELECT 1 FROM t)"
		  " SELECT * FROM y", "r:t" },
		{ "CREATE UNLOGGED TABLE x AS VALUES (f()) WITH NO DATA", "c:f" },
		{ "CREATE MATERIALIZED VIEW x AS SELECT 1 FROM t", "r:t" },
		{ "CREATE TABLE x (a int, b int GENERATED ALWAYS AS (f(a)) STORED)", "" },
		{ "CREATE VIEW x AS SELECT 1 FROM t", "" },
		{ "CREATE TRIGGER x AFTER INSERT ON t REFERENCING NEW TABLE AS n FOR EACH ROW"
		  " EXECUTE FUNCTION f()", "" },
		{ "CREATE FUNCTION f() RETURNS int AS 'SELECT 1 FROM t' LANGUAGE sql", "" },
		{ "EXPLAIN ANALYZE CREATE TABLE x AS SELECT 1 FROM t", "r:t" },
		{ "SELECT * FROM ROWS FROM (f(1), lower('a')) x, rows", "c:f r:rows" },
		{ "SELECT (SELECT max(a) FROM t) UNION TABLE u", "r:t r:u" },
		{ "COPY s.t (a) TO STDOUT", "r:s.t" },
		{ "COPY (SELECT f() FROM t) TO STDOUT", "c:f r:t" },
		{ "PREPARE p (int) AS SELECT f($1) FROM t", "c:f r:t" },
		{ "INSERT INTO t SELECT nextval('s') FROM u", "c:nextval r:u" },
		{ "SELECT extract(year FROM d) FROM t WHERE a IN (1) AND exists(SELECT 1 FROM u)",
		  "r:t r:u" },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		char list[200] = "";

		sql_names(cases[i].text, strlen(cases[i].text), add_use, list);
		say(strcmp(list, cases[i].uses) == 0, "uses: %s", cases[i].text);
		if (strcmp(list, cases[i].uses) != 0)
			printf("# got %s\n", list);
	}
}

struct wanted { const char *name; bool called; };

static bool is_wanted(void *ctx, const char *name, bool called)
{
	const struct wanted *w = ctx;

	return !strcmp(name, w->name) && (called || !w->called);
}

static void test_mentions(void)
{
	static const struct { const char *text; struct wanted name; bool yes; } cases[] = {
		{ "select * from t", { "t", false }, true },
		{ "select * from T", { "t", false }, true },
		{ "select * from \"T\"", { "t", false }, false },
		{ "select * from \"T\"", { "T", false }, true },
		{ "select * from s.t", { "t", false }, true },
		{ "select 't', $$t$$ /* t */ -- t", { "t", false }, false },
		{ "select 1; delete from t", { "t", false }, true },
		{ "select tt, t1 from x", { "t", false }, false },
		{ "select f(1)", { "f", true }, true },
		{ "select f (1)", { "f", true }, true },
		{ "select f from x", { "f", true }, false },
		{ "select f(1)", { "f", false }, true },
		{ "select ff(1)", { "f", true }, false },
		{ "", { "t", false }, false },
		{ "select 'open", { "t", false }, true },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		struct wanted w = cases[i].name;
		size_t len = strlen(cases[i].text);
		char *copy = exact(cases[i].text, len);
		say(sql_mentions(copy, len, is_wanted, &w) == cases[i].yes, "mentions %s: %s",
			w.name, cases[i].text);
		free(copy);
	}
}

/* Shapes, "" = none, and whether facts may be taken from one text to another. */
static void test_shapes(void)
{
	static const struct { const char *text, *shape; bool same; } cases[] = {
		{ "select 12 + 3.45", "select 0 + 0.0", true },
		{ "select 'it''s', N'x' from t;", "select \'\', N\' from t;", true },
		{ "select a1, $1, t.\"b 7\" from f2(5)", "select a1, $1, t.\"b 7\" from f2(0)", true },
		{ "select 0x1F, 1e5, 1_000", "select 0x1F, 1e5, 1_000", true },
		{ "insert into t values (1, 'a')", "insert into t values (0, ')", true },
		{ "execute p1(5)", "execute p1(0)", true },
		{ "select f1()", "select f1()", true },
		{ "select \"it's 5\"", "select \"it's 5\"", true },
		{ "select 1; select 2", "select 0; select 0", false },
		{ "set transaction_read_only = 1", "set transaction_read_only = 0", false },
		{ "select pg_terminate_backend(7)", "select pg_terminate_backend(0)", false },
		{ "explain (analyze 0) select 1", "explain (analyze 0) select 0", false },
		{ "deallocate all", "deallocate all", true },
		{ "select E'\\'' , 1", "", false },
		{ "select $a$ ' $a$", "", false },
		{ "select $$ ' $$", "", false },
		{ "select 1 -- don't", "", false },
		{ "select /* ' */ 1", "", false },
		{ "select 'open", "", false },
		{ "select \"open", "", false },
		{ "select 'now'::date", "", false },            /* other strings tell no time */
		{ "select current_setting('In_hot_standby')", "", false },
		{ "select 'unknown'", "select '", true },
		{ "", "", true },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		size_t len = strlen(cases[i].text), n;
		char *copy = exact(cases[i].text, len), *shape = exact(cases[i].text, len);
		struct sql_span literals = { 0, 0 };
		struct sql_facts f;

		sql_classify(&f, copy, len, NULL);
		n = sql_shape(shape, copy, len, &literals);
		say(n == strlen(cases[i].shape) && !memcmp(shape, cases[i].shape, n), "shape of %s",
			cases[i].text);
		if (n)
			say(sql_same_facts(&f, len, literals) == cases[i].same, "facts of %s", cases[i].text);
		free(copy);
		free(shape);
	}
}

static void test_names(void)
{
#define A63 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A62 "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
	static const struct { const char *text, *name; } cases[] = {
		{ "", "" },
		{ "a", "a" },
		{ "AbC_1$", "abc_1$" },
		{ "\"AbC\"", "AbC" },
		{ "\"a\"\"b\"", "a\"b" },
		{ "\"\"\"\"", "\"" },
		{ "\"\"", "" },
		{ "U&\"A\\0041\"", "A\\0041" },
		{ "u&\"x\"", "x" },
		{ "\xc3\x84" "A", "\xc3\x84" "a" },
		{ A63, A63 },
		{ A63 "b", A63 },
		{ "\"" A63 "b\"", A63 },
		{ A62 "\xc3\xa4", A62 },
		{ A62 "b\xc3\xa4", A62 "b" },
		{ "\"" A62 "\"\"\"", A62 "\"" },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		size_t len = strlen(cases[i].text);
		char *copy = exact(cases[i].text, len), name[64];
		sql_name(name, copy, (struct sql_span){ 0, (uint32_t)len });
		say(strcmp(name, cases[i].name) == 0, "name: %s -> %s", cases[i].text, name);
		free(copy);
	}
}

static void test_parameters(void)
{
	static const struct { const char *text, *name; } cases[] = {
		{ "set Work_Mem = 1", "work_mem" },
		{ "set local \"Work_Mem\" = 1", "work_mem" },
		{ "set time /* x */ zone 'utc'", "timezone" },
		{ "set timezone = 'utc'", "timezone" },
		{ "set names 'utf8'", "client_encoding" },
		{ "set schema 'x'", "search_path" },
		{ "set role x", "role" },
		{ "set session authorization x", "session_authorization" },
		{ "reset session authorization", "session_authorization" },
		{ "set session characteristics as transaction read only",
		  "session characteristics" },
		{ "set xml option content", "xmloption" },
		{ "show transaction isolation level", "transaction_isolation" },
		{ "set App . \"User\" = 1", "app.user" },
		{ "show all", "" },
		{ "set", "" },
	};

	for (size_t i = 0; i < LEN(cases); i++) {
		char name[128];
		struct sql_facts f;
		sql_classify(&f, cases[i].text, strlen(cases[i].text), NULL);
		sql_parameter(name, cases[i].text, &f);
		say(strcmp(name, cases[i].name) == 0, "parameter: %s -> %s", cases[i].text, name);
	}
}

static void test_rules(void)
{
	regex_t reads[2], writes[2], pattern[1];
	struct sql_rules none = { .nwrite = 0 };
	struct sql_rules ro = { .read_only_functions = reads, .nread_only = 2 };
	struct sql_rules wr = { .write_functions = writes, .nwrite = 2 };
	struct sql_rules both = { reads, 2, writes, 2, NULL, 0 };
	struct sql_rules pat = { .primary_patterns = pattern, .npatterns = 1 };
	const int how = REG_EXTENDED | REG_ICASE | REG_NOSUB;
	const struct {
		const char *text;
		const struct sql_rules *rules;
		uint32_t flags;
	} cases[] = {
		{ "select now()", &none, SQL_TIME },
		{ "select f(1)", &none, SQL_FUNCTION },
		{ "select get_x(1)", &ro, 0 },
		{ "select GET_X(1)", &ro, 0 },
		{ "select now()", &ro, SQL_FUNCTION | SQL_TIME },
		{ "select s.f(1)", &ro, 0 },
		{ "select x.f(1)", &ro, SQL_FUNCTION },
		{ "select pg_catalog.get_x(1)", &ro, 0 },
		{ "select coalesce(1, 2), x in (3) from (select 1) a(x)", &ro, 0 },
		{ "select set_config('a', 'b', true)", &wr, SQL_SET_CONFIG },
		{ "select f(1), now()", &wr, SQL_TIME },
		{ "select put_x(1)", &wr, SQL_FUNCTION },
		{ "select s.put_x(1)", &wr, SQL_FUNCTION },
		{ "select nextval('x')", &wr, SQL_FUNCTION },
		{ "select random()", &wr, 0 },
		{ "select put_x(1)", &both, SQL_FUNCTION },
		{ "select get_x(1)", &both, 0 },
		{ "select f(1)", &both, SQL_FUNCTION },
		{ "select * from \"secret\" where a = 1", &pat, SQL_PATTERN },
		{ "SELECT * FROM secret;", &pat, SQL_PATTERN },
		{ "select * from open", &pat, 0 },
	};

	regcomp(&reads[0], "^get_.*$", how);
	regcomp(&reads[1], "^s\\.f$", how);
	regcomp(&writes[0], "^put_.*$", how);
	regcomp(&writes[1], "^nextval$", how);
	regcomp(&pattern[0], "^.*from secret.*$", how);
	for (size_t i = 0; i < LEN(cases); i++) {
		struct sql_facts f;
		char *copy = exact(cases[i].text, strlen(cases[i].text));
		sql_classify(&f, copy, strlen(cases[i].text), cases[i].rules);
		say((f.flags & ~(uint32_t)FIRST_FLAGS) == cases[i].flags, "rules: %s",
			cases[i].text);
		free(copy);
	}

	char *big = malloc(20000);
	if (!big)
		abort();
	struct sql_facts f;
	memset(big, ' ', 20000);
	memcpy(big, "select 1", 8);
	sql_classify(&f, big, 16383, &pat);
	say(!(f.flags & SQL_PATTERN), "a text of 16383 bytes is tried");
	sql_classify(&f, big, 16384, &pat);
	say(f.flags & SQL_PATTERN, "a longer one is taken to match");
	free(big);
	for (int i = 0; i < 2; i++)
		regfree(&reads[i]), regfree(&writes[i]);
	regfree(&pattern[0]);
}

/* Deep, long and adversarial texts end in time and without recursion. */
static void test_size(void)
{
	static const struct { const char *head, *again, *tail; uint32_t flags; } cases[] = {
		{ "select ", "(", "", SQL_UNPARSED },
		{ "", "(", "select 1", SQL_UNPARSED },
		{ "select ", "f(", "", SQL_UNPARSED | SQL_FUNCTION },
		{ "", "/*", "", SQL_UNPARSED },
		{ "select $", "a$", "", 0 },
		{ "select $ab$ ", "$a", "", SQL_UNPARSED },
		{ "select 1", ", 1", "", 0 },
		{ "select ", "E'a' ", "", 0 },
		{ "", "explain ", "select 1", 0 },
		{ "", ";", "", 0 },
		{ "select ", "a.", "b", 0 },
		{ "select 1 ", "-- x\n", "", 0 },
		{ "set x = ", "a.", "b", 0 },
	};
	enum { TIMES = 200000 };

	for (size_t i = 0; i < LEN(cases); i++) {
		size_t a = strlen(cases[i].head), b = strlen(cases[i].again);
		size_t c = strlen(cases[i].tail);
		char *text = malloc(a + b * TIMES + c);
		if (!text)
			abort();
		memcpy(text, cases[i].head, a);
		for (int n = 0; n < TIMES; n++)
			memcpy(text + a + b * (size_t)n, cases[i].again, b);
		memcpy(text + a + b * TIMES, cases[i].tail, c);
		struct sql_facts f;
		sql_classify(&f, text, a + b * TIMES + c, NULL);
		say((f.flags & ~(uint32_t)FIRST_FLAGS) == cases[i].flags, "200000 times: %s %s %s",
			cases[i].head, cases[i].again, cases[i].tail);
		free(text);
	}

	char text[1200] = "select ";
	memset(text + 7, '(', 250);
	text[257] = '1';
	memset(text + 258, ')', 250);
	struct sql_facts f;
	sql_classify(&f, text, strlen(text), NULL);
	say(!(f.flags & SQL_UNPARSED), "250 parentheses");
}

static void test_words(void)
{
	bool sorted = true, fit = true;

	for (unsigned w = 1; w < WORD_COUNT; w++) {
		if (!words[w].len)
			continue;
		sorted = sorted && find_word(words[w].name, words[w].len) == w;
		fit = fit && words[w].len < sizeof words[w].name;
	}
	say(sorted, "each word is found");
	say(fit, "each word fits");
	say(find_word("\xe4", 1) == W_NONE && find_word("_", 1) == W_NONE, "other letters");
	for (int k = 0; k < SQL_KIND_COUNT; k++)
		say(strlen(sql_kind_name((enum sql_kind)k)) > 1, "kind %d is %s", k,
			sql_kind_name((enum sql_kind)k));
	size_t n = 0;
	for (const char *p = function_names; *p; p += 1 + *p)
		n++;
	say(n > 500, "%zu functions", n);
	bool found = true;
	for (const char *p = function_names; *p; p += 1 + *p) {
		char name[64];
		memcpy(name, p + 1, (size_t)*p);
		name[(size_t)*p] = 0;
		found = found && function_reads(name);
	}
	say(found, "each function is found");
}

/* --- settings --- */

static bool one_parameter(void *ctx, unsigned nth, bool boolean, const char **text, size_t *len)
{
	(void)ctx;
	*text = boolean ? "t" : "it's";
	*len = strlen(*text);
	return nth == 1;
}

static void write_setting(void *ctx, const struct sql_setting *set)
{
	struct put *o = ctx;

	put_bytes(o, "; ", o->len ? 2 : 0);
	sql_put_setting(o, set);
}

/* The statements that say the same; "?" if the text does not tell. */
static const char *said(const char *text)
{
	static char out[4096];
	struct put o = { .base = (uint8_t *)out, .cap = sizeof out - 1 };
	char *copy = exact(text, strlen(text));
	struct sql_facts f;

	sql_classify(&f, copy, strlen(text), NULL);
	bool ok = sql_settings(copy, &f, one_parameter, write_setting, &o);
	out[o.len] = 0;
	free(copy);
	return ok ? out : o.len ? "told, and yet not" : "?";
}

static void test_settings(void)
{
	static const struct { const char *text, *said; } cases[] = {
		{ "SET a = 1", "SET \"a\" = E'1'" }, { "set session A to 'B'", "SET \"a\" = E'B'" },
		{ "SET a = On;", "SET \"a\" = E'on'" }, { "SET a = \"On\"", "SET \"a\" = E'On'" },
		{ "SET LOCAL a.b = -1.5", "SET LOCAL \"a\".\"b\" = E'-1.5'" },
		{ "SET a = 'it''s'", "SET \"a\" = E'it''s'" }, { "SET a = $x$a\\b$x$", "SET \"a\" = E'a\\\\b'" },
		{ "SET a = x, 'Y z', \"W\"", "SET \"a\" = E'x', E'Y z', E'W'" },
		{ "SET a TO DEFAULT", "RESET \"a\"" }, { "SET LOCAL a = DEFAULT", "SET LOCAL \"a\" TO DEFAULT" },
		{ "RESET a.\"user\"", "RESET \"a\".\"user\"" }, { "RESET ROLE", "RESET \"role\"" },
		{ "SET TIME ZONE 'UTC'", "SET \"timezone\" = E'UTC'" }, { "SET TIME ZONE LOCAL", "RESET \"timezone\"" },
		{ "SET NAMES 'utf8'", "SET \"client_encoding\" = E'utf8'" },
		{ "SET SCHEMA 'a'", "SET \"search_path\" = E'a'" }, { "SET ROLE NONE", "SET \"role\" = E'none'" },
		{ "SET SESSION AUTHORIZATION x", "SET \"session_authorization\" = E'x'" },
		{ "SET XML OPTION CONTENT", "SET \"xmloption\" = E'content'" },
		{ "SET datestyle = 'SQL, DMY'", "SET \"datestyle\" = E'SQL, DMY'" },
		{ "SET datestyle = iso, ymd", "SET \"datestyle\" = E'iso', E'ymd'" },
		{ "SET datestyle = German", "SET \"datestyle\" = E'german'" }, { "RESET datestyle", "RESET \"datestyle\"" },
		{ "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY, NOT DEFERRABLE",
		  "SET \"default_transaction_isolation\" = E'repeatable read'; "
		  "SET \"default_transaction_read_only\" = E'on'; SET \"default_transaction_deferrable\" = E'off'" },
		{ "SELECT set_config('A.b', 'C', false)", "SET \"a\".\"b\" = E'C'" },
		{ "SELECT pg_catalog.set_config('a', 'x', 'yes') AS y, set_config('b', $1, $1) z",
		  "SET LOCAL \"a\" = E'x'; SET LOCAL \"b\" = E'it''s'" },
		{ "SELECT set_config('search_path', '\"$user\", b', false)", "SET \"search_path\" = E'$user', E'b'" },
		{ "SELECT set_config('search_path', '', true)",
		  "SELECT pg_catalog.set_config(E'search_path', E'', true) IS NULL" },
		{ "SELECT set_config('search_path', 'A,b', false)",
		  "SELECT pg_catalog.set_config(E'search_path', E'A,b', false) IS NULL" },
		/* what the text does not tell */
		{ "SET a = E'b'", "?" }, { "SET a = 'b\\c'", "?" }, { "SET a = 'b' 'c'", "?" }, { "SET a = '\303\244'", "?" },
		{ "SET a = 010", "?" }, { "SET a = 1_000", "?" }, { "SET a FROM CURRENT", "?" },
		{ "SET TIME ZONE INTERVAL '-8' HOUR", "?" }, { "SET datestyle = ISO", "?" }, { "SET datestyle = dmy", "?" },
		{ "SELECT set_config('datestyle', 'iso', false)", "?" }, { "SELECT set_config('a', 'b', not true)", "?" },
		{ "SELECT set_config('a', 'b', false) WHERE true", "?" }, { "SELECT set_config('a', 'b', false), true", "?" },
		{ "SELECT set_config('a', 'b', false) FROM t", "?" }, { "SELECT set_config('a', $2, false)", "?" },
		{ "SELECT set_config('a', lower('b'), false)", "?" }, { "SELECT set_config('a', '1'::int::text, false)", "?" },
		{ "SELECT set_config('a', 'x', false), set_config('b', now()::text, false)", "?" },
		{ "SELECT x.set_config('a', 'b', false)", "?" }, { "SELECT 1", "?" }, { "DELETE FROM t", "?" },
	};

	for (size_t i = 0; i < LEN(cases); i++)
		say(!strcmp(said(cases[i].text), cases[i].said), "%s: %s, not %s", cases[i].text, cases[i].said,
			said(cases[i].text));
}

static const char *own(const char *text)
{
	static char out[2048];
	struct sql_facts f;
	struct sql_own is;

	sql_classify(&f, text, strlen(text), NULL);
	bool whole = sql_own(&is, text, &f);
	snprintf(out, sizeof out, whole ? "%s %s%s%s" : "%s %s%s%s? %s",
		sql_kind_name((enum sql_kind)is.kind), is.all ? "*" : is.name,
		*is.value && whole ? " = " : "", whole ? is.value : "", is.value);
	return out;
}

static void test_own(void)
{
	static const struct { const char *text, *is; } cases[] = {
		{ "SHOW POOL_NODES", "show pool pool_nodes" }, { "show \"Pool_Nodes\" ;", "show pool pool_nodes" },
		{ "SHOW pool_nodes x", "show pool pool_nodes? x" }, { "/* */ SHOW -- x\npool_x", "show pool pool_x" },
		{ "PGPOOL SHOW ALL", "show *" }, { "PGPOOL SHOW Port", "show port" }, { "PGPOOL SHOW", "show ? " },
		{ "PGPOOL SHOW a b", "show a? b" }, { "PGPOOL SHOW a.b", "show a? ." }, { "PGPOOL SHOW 1", "show ? 1" },
		{ "PGPOOL SET a = 1", "set a = 1" }, { "PGPOOL SET a TO -1", "set a = -1" },
		{ "pgpool set A to 'it''s'", "set a = it's" }, { "PGPOOL SET a = On", "set a = On" },
		{ "PGPOOL SET a TO DEFAULT", "reset a" }, { "PGPOOL SET a", "set a? " }, { "PGPOOL SET a = ", "set a? " },
		{ "PGPOOL SET a = 1, 2", "set a? ," }, { "PGPOOL SET a + 1", "set a? +" }, { "PGPOOL SET ALL = 1", "set all = 1" },
		{ "PGPOOL RESET a", "reset a" }, { "PGPOOL RESET ALL", "reset *" }, { "PGPOOL RESET a = 1", "reset a? =" },
	};

	for (size_t i = 0; i < LEN(cases); i++)
		say(!strcmp(own(cases[i].text), cases[i].is), "%s: %s (%s)", cases[i].text, cases[i].is,
			own(cases[i].text));
}

int main(void)
{
	test_own();
	test_words();
	test_table();
	test_levels();
	test_first();
	test_reads();
	test_split();
	test_targets();
	test_uses();
	test_mentions();
	test_shapes();
	test_names();
	test_parameters();
	test_rules();
	test_size();
	test_settings();
	return done();
}
