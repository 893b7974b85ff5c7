/* plan_test.c - where a request ends, and what is said of it. */
#include "client/plan.c"

#include "session.h"
#include "t.h"

/* The plan of the request that these messages begin with; the bytes are in a block of just their size. */
static uint8_t *planned;

static int plan_bytes(struct plan *pl, const uint8_t *p, size_t n)
{
	free(planned);
	planned = malloc(n);
	memcpy(planned, p, n);
	return plan_request(client, pl, planned, n);
}

static int plan(struct plan *pl, const char *list)
{
	const uint8_t *p;
	size_t n = messages(list, &p);

	return plan_bytes(pl, p, n);
}

static size_t length(const char *list)
{
	const uint8_t *p;

	return messages(list, &p);
}

/* All that a plan says but its length. */
static const char *said(const struct plan *pl)
{
	static struct words w;
	const struct { bool is; const char *word; } flags[] = {
		{ pl->whole, "whole" }, { pl->simple, "simple" },
		{ pl->only_sync, "sync" }, { pl->reads, "reads" }, { pl->other, "other" },
		{ pl->writes, "writes" }, { pl->unknown, "unknown" },
		{ pl->executes, "executes" }, { pl->ends, "ends" },
		{ pl->notes, "notes" }, { pl->barrier, "barrier" }, { pl->rolls_back_to, "to" },
		{ pl->unnamed, "unnamed" }, { pl->portal, "portal" },
	};

	w.n = 0;
	*w.text = 0;
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (flags[i].is)
			add_words(&w, "%s", flags[i].word);
	if (pl->extended)
		add_words(&w, "%u", pl->extended);
	if (pl->name)
		add_words(&w, "%s%s", pl->name, pl->named ? "" : "?");
	if (pl->must)
		add_words(&w, "on-%s", server_is_primary(pl->must) ? "primary" : "replica");
	return w.text;
}

static void check(const char *list, const char *want)
{
	struct plan pl;
	int end = plan(&pl, list);

	say(end > 0 && !strcmp(said(&pl), want), "%s: %s, not %s", list, want, said(&pl));
}

/* --- where it ends --- */

/* The first messages of a list are the request, up to the bar in front of the rest. */
static void test_end(void)
{
	static const struct { const char *request, *rest, *want; } rows[] = {
		{ "Q SELECT 1", "Q SELECT 2", "whole simple reads" },
		{ "F", "S", "whole simple other writes notes" },
		{ "S", "S", "whole sync" },
		{ "P =SELECT 1 | B = | E | S", "Q DELETE FROM t",
		  "whole reads executes unnamed portal 3" },
		{ "P =SELECT 1 | Q SELECT 2", "S", "whole simple reads other notes barrier unnamed 1" },
		{ "P =SELECT 1 | F", "S", "whole simple reads other writes notes barrier unnamed 1" },
		{ "P =SELECT 1 | H", "S", "reads notes unnamed 1" },
		{ "P =SELECT 1 | d abc", "c", "reads notes unnamed 1" },
		{ "P =SELECT 1 | c", "S", "reads notes unnamed 1" },
		{ "P =SELECT 1 | f no", "S", "reads notes unnamed 1" },
		{ "P =SELECT 1", "X", "reads notes unnamed 1" },
		{ "P =SELECT 1", "? what", "reads notes unnamed 1" },
	};
	char list[256];
	struct plan pl;

	session_begin();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		snprintf(list, sizeof list, "%s | %s", rows[i].request, rows[i].rest);
		int end = plan(&pl, list);
		say(end > 0 && pl.len == length(rows[i].request), "%s ends before %s",
			rows[i].request, rows[i].rest);
		say(!strcmp(said(&pl), rows[i].want), "and is %s, not %s", rows[i].want, said(&pl));
	}
	say(plan(&pl, "? what") < 0 && !strcmp(refused, "08P01 invalid frontend message type"),
		"nothing begins with a message that there is not");
	session_end();
}

/* Every prefix waits for the rest, as long as it is short; that changes nothing. */
static void test_prefixes(void)
{
	static const char *const lists[] = { "Q SELECT 1", "F", "S",
		"P s=INSERT INTO t VALUES (1) | D Ss | B p=s | D Pp | E p | C Pp | C Ss | S",
		"P =SELECT 1 | B = | E | H", "B = | E | c", "P =x | Q x" };
	const uint8_t *p;
	struct plan pl;

	session_begin();
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
		size_t n = messages(lists[i], &p), waits = 1;
		while (waits < n && plan_bytes(&pl, p, waits) == MORE)
			waits++;
		say(waits == n && plan_bytes(&pl, p, n) > 0 && pl.len == n, "%s, to its end", lists[i]);
	}
	say(!*refused && !client->prepared.used && !client->unnamed.stmt, "nothing was changed by it");
	session_end();
}

/* What does not end in REQUEST_KEEP bytes is sent as far as it is there: whole messages. */
static void test_long(void)
{
	static uint8_t block[REQUEST_KEEP + 64];
	struct plan pl;

	session_begin();
	memset(block, 'a', sizeof block);
	memcpy(block, "S\0\0\0\4", 5);
	say(plan_bytes(&pl, block, 5) > 0, "a Sync in front is a request");
	memcpy(block, "Q\0\1\0\40", 5);
	say(plan_bytes(&pl, block, REQUEST_KEEP) == MORE, "a long one is waited for");
	say(plan_bytes(&pl, block, REQUEST_KEEP + 1) > 0 && pl.len == 0 && !pl.whole && pl.writes,
		"and not for ever");
	block[REQUEST_KEEP + 32] = 0;
	say(plan_bytes(&pl, block, REQUEST_KEEP + 33) > 0 && pl.len == REQUEST_KEEP + 33 && pl.whole,
		"unless it is there by then");
	memcpy(block, "P\0\0\0\17s\0SELECT 1\0\0\0", 16);
	memcpy(block + 16, "P\0\1\0\40", 5);
	say(plan_bytes(&pl, block, REQUEST_KEEP) == MORE && pl.len == 16, "a second message");
	say(plan_bytes(&pl, block, REQUEST_KEEP + 1) > 0 && pl.len == 16 && !pl.whole
	    && !strcmp(said(&pl), "reads writes notes 1"), "the first one goes alone");
	session_end();
}

static void test_lengths(void)
{
	static const struct { const char *bytes; const char *what; int want; } rows[] = {
		{ "Q\0\0\0\0", "of nothing", BLOCKED }, { "Q\0\0\0\3", "too short for itself", BLOCKED },
		{ "Q\0\0\0\4", "of no text", 1 }, { "Q\x40\0\0\0", "above a gigabyte", BLOCKED },
		{ "Q\x3f\xff\xff\xff", "above PostgreSQL's limit", BLOCKED },
		{ "Q\x3f\xff\xff\xfe", "at PostgreSQL's limit", MORE },
		{ "Q\xff\xff\xff\xff", "below zero", BLOCKED },
	};
	struct plan pl;

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		session_begin();
		int end = plan_bytes(&pl, (const uint8_t *)rows[i].bytes, 5);
		say(end == rows[i].want && !*refused == (end >= 0), "a length %s", rows[i].what);
		session_end();
	}
	session_begin();
	say(plan_bytes(&pl, (const uint8_t *)"P\0\0\0\10\0\0\0\0Q\0\0\0\1", 14) < 0
	    && !strcmp(refused, "08P01 invalid message length"), "the second message's counts");
	session_end();
}

/* Messages whose fields are not there: PostgreSQL says what it thinks of them. */
static void test_broken(void)
{
	static const struct { const char *bytes; size_t n; const char *want; } rows[] = {
		{ "Q\0\0\0\4", 5, "whole simple other" },
		{ "Q\0\0\0\6xy", 7, "whole simple other" },
		{ "P\0\0\0\4S\0\0\0\4", 10, "whole 1" },
		{ "P\0\0\0\6s\0S\0\0\0\4", 12, "whole 1" },
		{ "P\0\0\0\10s\0abS\0\0\0\4", 14, "whole 1" },
		{ "B\0\0\0\4S\0\0\0\4", 10, "whole other notes portal 1" },
		{ "D\0\0\0\4S\0\0\0\4", 10, "whole other 1" },
		{ "D\0\0\0\5SS\0\0\0\4", 11, "whole other notes 1" },
		{ "C\0\0\0\4S\0\0\0\4", 10, "whole other notes 1" },
		{ "C\0\0\0\5SS\0\0\0\4", 11, "whole notes 1" },
		{ "E\0\0\0\4S\0\0\0\4", 10, "whole other executes 1" },
		{ "E\0\0\0\5pS\0\0\0\4", 11, "whole other executes 1" },
		{ "S\0\0\0\6xy", 7, "whole sync" },
	};
	struct plan pl;

	session_begin();
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		int end = plan_bytes(&pl, (const uint8_t *)rows[i].bytes, rows[i].n);
		say(end > 0 && pl.len == rows[i].n && !strcmp(said(&pl), rows[i].want),
			"%c of %zu bytes: %s, not %s", *rows[i].bytes, rows[i].n, rows[i].want, said(&pl));
	}
	session_end();
}

/* --- texts --- */

static const struct { const char *text, *want; } texts[] = {
	{ "SELECT 1", "reads" },
	{ "", "reads" },
	{ ";", "reads" },
	{ "/* nothing */", "other" },
	{ "TABLE t", "reads" },
	{ "VALUES (1)", "other writes" },
	{ "SHOW work_mem", "reads" },
	{ "SHOW transaction_read_only", "other" },
	{ "show IN_HOT_STANDBY", "other" },
	{ "COPY t TO STDOUT", "reads" },
	{ "COPY t FROM STDIN", "other writes notes barrier" },
	{ "COPY (DELETE FROM t RETURNING a) TO STDOUT", "other writes" },
	{ "SELECT 1 FOR UPDATE", "other writes" },
	{ "SELECT a INTO b FROM t", "other writes" },
	{ "SELECT f()", "other writes notes" },
	{ "SELECT * FROM pg_class", "other" },
	{ "WITH x AS (INSERT INTO t VALUES (1) RETURNING a) TABLE x", "other writes" },
	{ "EXPLAIN SELECT 1", "other" },
	{ "EXPLAIN ANALYZE DELETE FROM t", "other writes" },
	{ "INSERT INTO t VALUES (1)", "other writes" },
	{ "UPDATE t SET a = 1", "other writes" },
	{ "DELETE FROM t", "other writes" },
	{ "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", "other writes" },
	{ "TRUNCATE t", "other writes" },
	{ "CREATE TABLE t ()", "other writes notes" },
	{ "CREATE TEMP TABLE t ()", "other writes notes" },
	{ "BEGIN", "notes" },
	{ "START TRANSACTION ISOLATION LEVEL READ COMMITTED", "notes" },
	{ "START TRANSACTION ISOLATION LEVEL REPEATABLE READ", "other notes" },
	{ "BEGIN READ ONLY ISOLATION LEVEL REPEATABLE READ", "notes" },
	{ "BEGIN READ ONLY", "notes" },
	{ "BEGIN READ WRITE", "other notes" },
	{ "BEGIN ISOLATION LEVEL SERIALIZABLE", "other notes" },
	{ "COMMIT", "ends notes" },
	{ "END AND CHAIN", "ends notes" },
	{ "ROLLBACK", "ends notes" },
	{ "ABORT", "ends notes" },
	{ "SAVEPOINT a", "other writes notes" },
	{ "RELEASE a", "other writes notes" },
	{ "ROLLBACK TO a", "other writes notes to" },
	{ "PREPARE TRANSACTION 'a'", "other writes notes" },
	{ "COMMIT PREPARED 'a'", "other writes notes" },
	{ "SET a = 1", "other notes" },
	{ "SET LOCAL a = 1", "other notes" },
	{ "SET TRANSACTION READ ONLY", "other notes" },
	{ "SET TRANSACTION READ WRITE", "other notes" },
	{ "RESET ALL", "other notes" },
	{ "DISCARD ALL", "other writes notes barrier" },
	{ "DISCARD PLANS", "other writes notes" },
	{ "PREPARE p AS SELECT 1", "other notes" },
	{ "PREPARE p AS DELETE FROM t", "other writes notes" },
	{ "EXECUTE unknown", "other writes notes" },
	{ "EXECUTE r", "reads notes" },
	{ "EXECUTE w", "other writes notes" },
	{ "EXECUTE \"r\"(1)", "reads notes" },
	{ "EXPLAIN EXECUTE r", "other notes" },
	{ "DEALLOCATE r", "other notes barrier" },
	{ "DEALLOCATE ALL", "other notes barrier" },
	{ "DECLARE c CURSOR FOR SELECT 1", "other writes" },
	{ "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "other writes notes" },
	{ "FETCH c", "other writes" },
	{ "LISTEN a", "other writes notes" },
	{ "NOTIFY a", "other writes" },
	{ "LOCK t", "other writes" },
	{ "VACUUM", "other writes" },
	{ "LOAD 'a'", "other writes notes" },
	{ "CALL f()", "other writes notes" },
	{ "DO 'x'", "other writes notes" },
	{ "gibberish", "other writes notes" },
	{ "SELECT 'open", "other writes notes" },
	{ "SELECT 1; SELECT 2", "reads other" },
	{ "SELECT 1; DELETE FROM t", "reads other writes" },
	{ "SELECT 1; SET a = 1", "reads other notes" },
	{ "SELECT 1;;", "reads" },
	{ "BEGIN; SELECT 1", "reads other notes" },
	{ "BEGIN; COMMIT", "other ends notes" },
	{ "SELECT 1; COPY t FROM STDIN", "reads other writes notes barrier" },
	{ "SELECT 1; ROLLBACK TO a", "reads other writes notes to" },
	{ "SELECT 1; SELECT 'open", "reads other writes notes" },
};

/* Prepared here: r reads, w writes. */
static void begin_prepared(void)
{
	static const char *const of[][2] = { { "r", "SELECT $1" }, { "w", "DELETE FROM t" },
		{ "set", "SET a = 1" } };

	session_begin();
	for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
		struct sql_facts f;
		const char *text = of[i][1];
		sql_classify(&f, text, strlen(text), NULL);
		struct stmt *st = stmt_get(servers.stmts, false, text, strlen(text), &f);
		names_set(servers.stmts, &client->prepared, of[i][0], st);
		stmt_drop(servers.stmts, st);
	}
}

/* Each by Query, and by Parse with its Bind and Execute: then the unnamed ones are made as well. */
static void test_texts(void)
{
	begin_prepared();
	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		const char *text = texts[i].text;
		char list[256], want[128];
		struct plan pl;

		snprintf(list, sizeof list, "Q %s", text);
		snprintf(want, sizeof want, "whole simple %s", texts[i].want);
		int end = plan(&pl, list);
		say(end > 0 && !strcmp(said(&pl), want), "%s: %s, not %s", list, want, said(&pl));
		say(pl.text_len == strlen(text) && !strcmp(pl.text, text), "its text");
		if (pl.facts.next < pl.text_len)
			continue;       /* Parse takes one statement */
		snprintf(list, sizeof list, "P =%s | B = | S", text);
		plan(&pl, list);
		say(pl.notes && !pl.text && pl.unnamed && pl.portal && pl.whole && pl.extended == 2,
			"%s: bound, and executed later: noted", text);
		snprintf(list, sizeof list, "P =%s | B = | E | S", text);
		plan(&pl, list);
		struct words flags = { .n = 0 };
		add_words(&flags, "%s%s%s%s%s%s%s", pl.reads ? "reads " : "", pl.other ? "other " : "",
			pl.writes ? "writes " : "", pl.ends ? "ends " : "", pl.notes ? "notes " : "",
			pl.barrier ? "barrier " : "", pl.rolls_back_to ? "to " : "");
		flags.text[flags.n - 1] = 0;
		say(pl.executes && !strcmp(flags.text, texts[i].want), "%s in the extended protocol: %s",
			text, flags.text);
	}
	session_end();
}

/* What the catalog says counts, and what the session has done. */
static void test_session(void)
{
	begin_prepared();
	catalog_takes = SQL_FUNCTION;
	check("Q SELECT f()", "whole simple reads");
	check("Q SELECT 1; SELECT f()", "whole simple reads other");
	catalog_takes = 0;
	catalog_adds = SQL_UNLOGGED;
	check("Q SELECT * FROM t", "whole simple other");
	check("B =r | E | S", "whole other executes portal 2 r");
	check("Q EXECUTE r", "whole simple other notes");
	catalog_adds = SQL_UNKNOWN;
	check("Q SELECT * FROM t", "whole simple other unknown");
	check("Q EXECUTE r", "whole simple other unknown notes");
	catalog_adds = SQL_TIME;
	check("Q SELECT * FROM t", "whole simple reads");
	client->session.in_transaction = true;
	client->session.level = LEVEL_READ_COMMITTED;
	check("Q SELECT * FROM t", "whole simple other");
	check("Q EXECUTE r", "whole simple other notes");
	client->session.read_only = true;
	check("Q SELECT * FROM t", "whole simple other");
	client->session.level = LEVEL_REPEATABLE_READ;
	check("Q SELECT * FROM t", "whole simple reads");
	client->session.in_transaction = client->session.read_only = false;
	catalog_adds = SQL_CALLS;
	check("Q SELECT * FROM t", "whole simple reads");
	session_made_temporary(&client->session, "mine", false);
	check("Q SELECT * FROM t", "whole simple other");
	catalog_adds = SQL_FOREIGN;
	check("Q SELECT * FROM t", "whole simple reads notes");
	check("Q SELECT * FROM mine", "whole simple other notes");
	catalog_adds = 0;
	client->session.in_transaction = true;
	client->session.level = LEVEL_SERIALIZABLE;
	check("Q SELECT * FROM t", "whole simple other");
	check("B =r | E | S", "whole other executes portal 2 r");
	check("Q EXECUTE r", "whole simple other notes");
	session_end();
}

/* After a replica refused it. */
static void test_writers(void)
{
	session_begin();
	check("Q SELECT a(1) FROM t", "whole simple other writes notes");
	check("Q SELECT 1 FROM v", "whole simple reads");
	facts_learn_writer(client, "SELECT 2 FROM v", 15);
	check("Q SELECT 1 FROM v", "whole simple other writes");
	check("Q SELECT 1 FROM w", "whole simple reads");
	session_end();
	unconfigure();
	configure("");
}

static void test_adaptive(void)
{
	unconfigure();
	configure("disable_load_balance_on_write = 'dml_adaptive'");
	begin_prepared();
	check("Q DELETE FROM t", "whole simple other writes notes");
	check("B =w | E | S", "whole other writes executes notes portal 2 w");
	check("Q SELECT 1", "whole simple reads");
	session_end();
	unconfigure();
	configure("");
}

/* --- statements and portals --- */

static void test_names(void)
{
	begin_prepared();
	check("B =r | E | S", "whole reads executes portal 2 r");
	check("B =w | E | S", "whole other writes executes portal 2 w");
	check("B =set | E | S", "whole other executes notes portal 2 set");
	check("B =nope | E | S", "whole other writes executes portal 2 nope?");
	check("B =r | S", "whole reads notes portal 1 r");
	check("B p=r | E p | S", "whole reads executes notes portal 2 r");
	check("D Sr | S", "whole reads 1 r");
	check("D Snope | S", "whole other 1 nope?");
	check("D Sr | D Sr | B =r | E | S", "whole reads executes portal 4 r");
	check("B =r | E | B =w | E | S", "whole reads other writes executes notes portal 4 w");
	check("C Sr | S", "whole notes 1");
	check("P r=DELETE FROM t | B =r | E | S", "whole other writes executes notes portal 3");
	check("P n=SELECT 1 | B =n | E | S", "whole reads executes notes portal 3");
	check("P n=SELECT 1 | B =w | E | S", "whole reads other writes executes notes portal 3 w");
	check("P n=SELECT 1 | D Sn | H", "reads notes 2");
	/* Behind so many that they are not all remembered, nothing is taken for a read. */
	check("P a=SELECT 1 | P b=SELECT 1 | P c=SELECT 1 | P d=SELECT 1 | P e=SELECT 1 | P f=SELECT 1"
	      " | P g=SELECT 1 | P h=SELECT 1 | B =h | S", "whole reads notes portal 9");
	check("P a=SELECT 1 | P b=SELECT 1 | P c=SELECT 1 | P d=SELECT 1 | P e=SELECT 1 | P f=SELECT 1"
	      " | P g=SELECT 1 | P h=SELECT 1 | P i=SELECT 1 | B =i | S",
	      "whole reads other notes portal 10 i?");
	session_end();
}

/* PostgreSQL cuts names at 63 bytes. */
static void test_long_names(void)
{
	char name[80], list[256];

	begin_prepared();
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	snprintf(list, sizeof list, "P %.63s=SELECT 1 | B =%s | E | S", name, name);
	check(list, "whole reads executes notes portal 3");
	snprintf(list, sizeof list, "P %.62s=SELECT 1 | B =%s | E | S", name, name);
	struct plan pl;
	plan(&pl, list);
	say(pl.other && pl.name, "another one");
	session_end();
}

static void test_unnamed(void)
{
	struct sql_facts f;

	begin_prepared();
	check("B = | E | S", "whole other executes notes portal 2");
	client->unnamed.on = &on[0];
	check("B = | E | S", "whole writes executes portal 2 on-primary");
	check("D S | S", "whole writes 1 on-primary");
	client->unnamed.on = &on[1];
	check("B = | E | S", "whole executes portal 2 on-replica");
	check("B =r | E | S", "whole reads executes portal 2 r");
	check("P =SELECT 1 | B = | E | S", "whole reads executes unnamed portal 3");
	sql_classify(&f, "SELECT 1", 8, NULL);
	struct stmt *st = stmt_get(servers.stmts, false, "SELECT 1", 8, &f);
	unnamed_set(client, &on[1], st);
	stmt_drop(servers.stmts, st);
	check("B = | E | S", "whole reads executes notes portal 2");
	check("B = | D P | E | S", "whole reads executes notes portal 3");
	session_end();
}

static void test_portals(void)
{
	begin_prepared();
	check("E | S", "whole other executes 1");
	check("E p | S", "whole other executes notes 1");
	check("D P | S", "whole other 1");
	check("C P | S", "whole other notes 1");
	client->portal_on = &on[1];
	check("E | S", "whole executes 1 on-replica");
	check("D P | S", "whole 1 on-replica");
	check("E p | S", "whole other executes notes 1");
	portal_set(client, "p", &on[0], NULL);
	check("E p | S", "whole executes notes 1 on-primary");
	check("C Pp | S", "whole notes 1 on-primary");
	check("B =r | E | S", "whole reads executes portal 2 r");
	portal_set(client, "", &on[1], names_find(&client->prepared, "set"));
	check("E | S", "whole executes notes 1 on-replica");
	session_end();
}

int main(void)
{
	configure("");
	test_end();
	test_prefixes();
	test_long();
	test_lengths();
	test_broken();
	test_texts();
	test_session();
	test_writers();
	test_adaptive();
	test_names();
	test_long_names();
	test_unnamed();
	test_portals();
	unconfigure();
	free(planned);
	return done();
}
