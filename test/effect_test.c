/* effect_test.c - what each kind of statement leaves in its session, and what is undone. */
#include "client/effect.c"

#include "client/reply.h"
#include "session.h"
#include "t.h"

/* These messages go to a node as one request. */
static struct query *ask(int node, const char *list)
{
	const uint8_t *p;
	size_t n = messages(list, &p), at = 0;
	struct msg m;

	if (on[node].phase != LENT)
		lend(node);
	struct query *q = query_new(client, &on[node], &reply_ops);
	while (at < n) {
		at += (size_t)wire_next(&m, p + at, n - at, MESSAGE_MAX);
		q->extended += plan_is_extended(m.type);
		if (effect_note(client, q, &m, true) < 0)
			exit(1);
	}
	return q;
}

/* If there is doubt, a question follows, whose answer has nothing to tell. */
static void run(const char *list, const char *replies)
{
	ask(0, list);
	answer(0, replies);
	if (client->asking)
		answer(0, "C SELECT 0 | Z I");
}

/* A statement that succeeds, and the state that it leaves. */
static void query(const char *text, char status)
{
	char list[256], replies[64];

	snprintf(list, sizeof list, "Q %s", text);
	snprintf(replies, sizeof replies, "C OK | Z %c", status);
	run(list, replies);
}

static void begin(const char *text)
{
	query(text, 'T');
}

static bool begun;              /* the transaction that is open, and its BEGIN, go without saying */

/* What a session is beside a new one. */
static const char *became(void)
{
	static const char *const pins[] = { "temporary", "listen", "cursor", "function", "other",
		"lock", "doubt" };
	static struct words w;
	const struct session *s = &client->session;
	const struct script *script = &client->script;

	w.n = 0;
	*w.text = 0;
	for (unsigned i = 0; i < sizeof pins / sizeof *pins; i++)
		if (client->pins & 1u << i)
			add_words(&w, "pin-%s", pins[i]);
	for (uint32_t i = begun; i < script->n; i++)
		add_words(&w, "[%s%s%s]", script->line[i].text, *script->line[i].name ? ":" : "",
			script->line[i].name);
	if (script->full)
		add_words(&w, "full");
	if (client->doubt | client->asking)
		add_words(&w, "asks-%u", client->doubt | client->asking);
	for (unsigned i = 0; s->temporary && i < s->temporary->n; i++)
		add_words(&w, "temporary-%s", s->temporary->at[i].name);
	const struct { bool is; const char *word; } flags[] = { { s->doubt == DOUBT_ALL, "doubt" },
		{ s->changed, "changed" }, { s->altered, "altered" },
		{ s->level == LEVEL_SERIALIZABLE, "serializable" },
		{ s->default_level == LEVEL_SERIALIZABLE, "always" },
		{ s->no_replica, "primary" }, { s->in_transaction && !begun, "transaction" },
		{ names_find(&client->prepared, "p") != NULL, "p" },
		{ names_find(&on[0].names, "p") != NULL, "its-p" },
	};
	for (size_t i = 0; i < sizeof flags / sizeof *flags; i++)
		if (flags[i].is)
			add_words(&w, "%s", flags[i].word);
	return w.text;
}

#define IS(want, what) say(!strcmp(became(), want), "%s: \"%s\", not \"%s\"", what, want, became())

/* --- every kind --- */

/* `idle` is what it leaves outside a transaction before ReadyForQuery; `open` what it adds in one, or
 * NULL if it ends it. */
static const struct row {
	enum sql_kind kind;
	const char *text, *idle, *open;
} rows[] = {
	{ SQL_EMPTY, "/* */", "", "" },
	{ SQL_SELECT, "SELECT 1", "", "" },
	{ SQL_SELECT, "SELECT f()", "", "" },
	{ SQL_SELECT, "SELECT nextval('s')", "pin-function", "pin-function" },
	{ SQL_SELECT, "SELECT pg_advisory_lock(1)", "pin-doubt asks-16", "pin-doubt asks-16" },
	{ SQL_SELECT, "SELECT set_config('a', '1', false)", "[SET \"a\" = E'1':a]",
	  "[SET \"a\" = E'1':a]" },
	{ SQL_SELECT, "SELECT set_config('a', '1', true)", "", "[SET LOCAL \"a\" = E'1':a]" },
	{ SQL_SELECT, "SELECT set_config('a', b, true) FROM t", "asks-1", "asks-1" },
	{ SQL_SELECT, "SELECT set_config('a', b, false) FROM t", "asks-1", "asks-1" },
	{ SQL_SELECT, "SELECT set_config('a', lower('b'), false)", "asks-1", "asks-1" },
	{ SQL_SELECT, "SELECT set_config('a', $1, false)", "asks-1", "asks-1" },
	{ SQL_SELECT, "SELECT 1 INTO TEMP t", "pin-temporary temporary-t", "pin-temporary temporary-t" },
	{ SQL_VALUES, "VALUES (1)", "", "" },
	{ SQL_SHOW, "SHOW a", "", "" },
	{ SQL_EXPLAIN, "EXPLAIN SELECT 1", "", "" },
	{ SQL_COPY_TO, "COPY t TO STDOUT", "", "" },
	{ SQL_COPY_FROM, "COPY t FROM STDIN", "", "" },
	{ SQL_INSERT, "INSERT INTO t VALUES (1)", "", "" },
	{ SQL_INSERT, "INSERT INTO t VALUES (f())", "", "" },
	{ SQL_INSERT, "INSERT INTO t SELECT set_config('a', '1', false)", "asks-1", "asks-1" },
	{ SQL_UPDATE, "UPDATE t SET a = 1", "", "" },
	{ SQL_DELETE, "DELETE FROM t", "", "" },
	{ SQL_MERGE, "MERGE INTO t USING u ON true WHEN MATCHED THEN DELETE", "", "" },
	{ SQL_TRUNCATE, "TRUNCATE t", "", "" },
	{ SQL_BEGIN, "BEGIN", "[BEGIN] transaction", "[BEGIN]" },
	{ SQL_BEGIN, " start transaction isolation level serializable ;",
	  "[start transaction isolation level serializable] serializable transaction",
	  "[start transaction isolation level serializable] serializable" },
	{ SQL_COMMIT, "COMMIT", "", NULL },
	{ SQL_ROLLBACK, "ROLLBACK", "", NULL },
	{ SQL_SAVEPOINT, "SAVEPOINT A", "[SAVEPOINT A:a]", "[SAVEPOINT A:a]" },
	{ SQL_RELEASE, "RELEASE a", "", "" },
	{ SQL_ROLLBACK_TO, "ROLLBACK TO a", "", "" },
	{ SQL_PREPARE_TRANSACTION, "PREPARE TRANSACTION 'a'", "", "" },
	{ SQL_COMMIT_PREPARED, "COMMIT PREPARED 'a'", "changed altered", "changed altered" },
	{ SQL_ROLLBACK_PREPARED, "ROLLBACK PREPARED 'a'", "", "" },
	{ SQL_SET, "SET a = 1", "[SET \"a\" = E'1':a]", "[SET \"a\" = E'1':a]" },
	{ SQL_SET, "SET a FROM CURRENT", "asks-1", "asks-1" },
	{ SQL_SET, "SET DateStyle = 'ISO'", "asks-1", "asks-1" },
	{ SQL_SET, "SET LOCAL a = 1", "", "[SET LOCAL \"a\" = E'1':a]" },
	{ SQL_SET, "SET default_transaction_isolation = serializable",
	  "[SET \"default_transaction_isolation\" = E'serializable':default_transaction_isolation] always",
	  "[SET \"default_transaction_isolation\" = E'serializable':default_transaction_isolation] always" },
	{ SQL_SET, "SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE",
	  "[SET \"default_transaction_isolation\" = E'serializable':default_transaction_isolation] always",
	  "[SET \"default_transaction_isolation\" = E'serializable':default_transaction_isolation] always" },
	{ SQL_SET, "SET transaction_isolation = 'serializable'", "",
	  "[SET \"transaction_isolation\" = E'serializable'] serializable" },
	{ SQL_SET_TRANSACTION, "SET TRANSACTION READ ONLY", "[SET TRANSACTION READ ONLY]",
	  "[SET TRANSACTION READ ONLY]" },
	{ SQL_SET_TRANSACTION, "SET TRANSACTION ISOLATION LEVEL SERIALIZABLE",
	  "[SET TRANSACTION ISOLATION LEVEL SERIALIZABLE]",
	  "[SET TRANSACTION ISOLATION LEVEL SERIALIZABLE] serializable" },
	{ SQL_SET_CONSTRAINTS, "SET CONSTRAINTS ALL DEFERRED", "", "" },
	{ SQL_RESET, "RESET a", "[RESET \"a\":a]", "[RESET \"a\":a]" },
	{ SQL_RESET, "RESET ALL", "[RESET ALL]", "[RESET ALL]" },
	{ SQL_DISCARD, "DISCARD PLANS", "", "" },
	{ SQL_PREPARE, "PREPARE p AS SELECT 1", "p its-p", "p its-p" },
	{ SQL_EXECUTE, "EXECUTE p", "pin-doubt asks-17", "pin-doubt asks-17" },
	{ SQL_DEALLOCATE, "DEALLOCATE p", "", "" },
	{ SQL_DECLARE, "DECLARE c CURSOR FOR SELECT 1", "", "" },
	{ SQL_DECLARE, "DECLARE c CURSOR WITH HOLD FOR SELECT 1", "pin-cursor", "pin-cursor" },
	{ SQL_DECLARE, "DECLARE c CURSOR FOR SELECT f()", "", "" },
	{ SQL_FETCH, "FETCH c", "", "" },
	{ SQL_MOVE, "MOVE c", "", "" },
	{ SQL_CLOSE, "CLOSE c", "", "" },
	{ SQL_LISTEN, "LISTEN a", "pin-listen", "pin-listen" },
	{ SQL_UNLISTEN, "UNLISTEN a", "", "" },
	{ SQL_NOTIFY, "NOTIFY a", "", "" },
	{ SQL_LOCK, "LOCK t", "", "" },
	{ SQL_VACUUM, "VACUUM", "", "" },
	{ SQL_ANALYZE, "ANALYZE", "", "" },
	{ SQL_CHECKPOINT, "CHECKPOINT", "", "" },
	{ SQL_LOAD, "LOAD 'a'", "pin-other full", "pin-other full" },
	{ SQL_CALL, "CALL f()", "pin-doubt asks-1", "pin-doubt asks-1" },
	{ SQL_DO, "DO 'temp'", "pin-doubt asks-3 doubt", "pin-doubt asks-3 doubt" },
	{ SQL_DDL, "CREATE TABLE t ()", "asks-2 doubt changed", "asks-2 doubt changed" },
	{ SQL_DDL, "CREATE TEMP TABLE t ()", "pin-temporary temporary-t", "pin-temporary temporary-t" },
	{ SQL_DDL, "ALTER ROLE a PASSWORD 'b'", "asks-2 doubt changed altered",
	  "asks-2 doubt changed altered" },
	{ SQL_DDL, "CREATE USER a", "asks-2 doubt changed altered",
	  "asks-2 doubt changed altered" },
	{ SQL_DDL, "drop group a", "asks-2 doubt changed altered",
	  "asks-2 doubt changed altered" },
	{ SQL_DDL, "ALTER TABLE role ADD user int", "asks-2 doubt changed", "asks-2 doubt changed" },
	{ SQL_SHOW_POOL, "SHOW POOL_NODES", "", "" },
	{ SQL_PGPOOL, "PGPOOL SHOW a", "", "" },
	{ SQL_OTHER, "gibberish", "pin-other pin-doubt asks-31 doubt changed",
	  "pin-other pin-doubt asks-31 doubt changed" },
};

/* What of this counts from when the statement is sent: only doubt. */
static const char *doubtful(const char *left)
{
	static struct words w;
	char copy[256];

	w.n = 0;
	*w.text = 0;
	snprintf(copy, sizeof copy, "%s", left);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		if (!strcmp(word, "pin-doubt") || !strcmp(word, "doubt") || !strncmp(word, "asks-", 5))
			add_words(&w, "%s", word);
	return w.text;
}

static void test_kinds(void)
{
	bool seen[SQL_KIND_COUNT] = { false };

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		const struct row *row = &rows[i];
		char list[256];
		struct sql_facts f;

		sql_classify(&f, row->text, strlen(row->text), NULL);
		say(f.kind == row->kind, "%s is %s", row->text, sql_kind_name(row->kind));
		seen[row->kind] = true;
		bool ends = f.kind == SQL_COMMIT || f.kind == SQL_ROLLBACK, own = own_effect[f.kind];
		say(!*row->idle || facts_effect(&f) || f.kind == SQL_EXECUTE, "it has effects");
		say(facts_effect(&f) || (!own && !ends) || f.kind == SQL_DECLARE, "or is in no table");

		session_begin();
		bodies_say = CODE_SETTINGS;
		snprintf(list, sizeof list, "Q %s", row->text);
		struct query *q = ask(0, list);
		say(!q->effects == !facts_effect(&f), "and is noted for them");
		IS(doubtful(row->idle), "nothing but doubt counts before it is answered");
		answer(0, "C OK");
		IS(row->idle, row->text);
		say(*row->idle == '[' || client->script.n == 0 ? on[0].script == client->script.serial : true,
			"the server has run it");
		answer(0, "Z I");
		session_end();

		session_begin();
		bodies_say = CODE_SETTINGS;
		begin("BEGIN");
		ask(0, list);
		answer(0, "C OK");
		begun = row->open != NULL;
		IS(row->open ? row->open : "", "in a transaction");
		say(client->session.in_transaction == begun, "which goes on: %d", begun);
		answer(0, begun ? "Z T" : "Z I");
		begun = false;
		session_end();
	}
	for (int k = 0; k < SQL_KIND_COUNT; k++)
		say(seen[k], "%s has a row", sql_kind_name((enum sql_kind)k));
}

/* The kinds' table, written a second time: S sets, B takes back, T transacts, N names, U uses a name,
 * L listens, K keeps, C changes, H hides; w is a write in itself. */
static void test_table(void)
{
	static const struct { enum sql_kind kind; const char *does; } table[] = {
		{ SQL_SELECT, "w" }, { SQL_VALUES, "w" }, { SQL_SHOW, "w" }, { SQL_COPY_TO, "w" },
		{ SQL_COPY_FROM, "w" }, { SQL_INSERT, "w" }, { SQL_UPDATE, "w" }, { SQL_DELETE, "w" },
		{ SQL_MERGE, "w" }, { SQL_TRUNCATE, "w" },
		{ SQL_BEGIN, "T" }, { SQL_COMMIT, "T" }, { SQL_ROLLBACK, "T" }, { SQL_SAVEPOINT, "Tw" },
		{ SQL_RELEASE, "Tw" }, { SQL_ROLLBACK_TO, "Tw" }, { SQL_PREPARE_TRANSACTION, "Tw" },
		{ SQL_COMMIT_PREPARED, "Cw" }, { SQL_ROLLBACK_PREPARED, "w" },
		{ SQL_SET, "S" }, { SQL_SET_TRANSACTION, "S" }, { SQL_SET_CONSTRAINTS, "w" },
		{ SQL_RESET, "SB" }, { SQL_DISCARD, "Bw" }, { SQL_PREPARE, "Nw" }, { SQL_EXECUTE, "U" },
		{ SQL_DEALLOCATE, "N" }, { SQL_DECLARE, "w" }, { SQL_FETCH, "w" }, { SQL_MOVE, "w" },
		{ SQL_CLOSE, "w" }, { SQL_LISTEN, "Lw" }, { SQL_UNLISTEN, "Lw" }, { SQL_NOTIFY, "w" },
		{ SQL_LOCK, "w" }, { SQL_VACUUM, "w" }, { SQL_ANALYZE, "w" }, { SQL_CHECKPOINT, "w" },
		{ SQL_LOAD, "Kw" }, { SQL_CALL, "KHw" }, { SQL_DO, "KCHw" }, { SQL_DDL, "CHw" },
		{ SQL_SHOW_POOL, "w" }, { SQL_PGPOOL, "w" }, { SQL_OTHER, "KCHw" },
	};
	static const struct { char letter; uint16_t does; } letters[] = { { 'S', KIND_SETS },
		{ 'B', KIND_TAKES_BACK }, { 'T', KIND_TRANSACTS }, { 'N', KIND_NAMES },
		{ 'U', KIND_USES_NAME }, { 'L', KIND_LISTENS }, { 'K', KIND_KEEPS },
		{ 'C', KIND_CHANGES }, { 'H', KIND_HIDES } };
	const char *all[SQL_KIND_COUNT] = { NULL };

	for (size_t i = 0; i < sizeof table / sizeof *table; i++)
		all[table[i].kind] = table[i].does;
	for (int k = 0; k < SQL_KIND_COUNT; k++) {
		const char *want = all[k] ? all[k] : "", *word = sql_kind_name((enum sql_kind)k);
		const struct sql_facts plain = { .kind = (uint8_t)k }, inner = { .kind = (uint8_t)k, .flags = SQL_MODIFIES };
		uint16_t does = sql_kind_does[k];
		bool ok = true, writes = strchr(want, 'w');

		for (size_t i = 0; i < sizeof letters / sizeof *letters; i++)
			ok &= !(does & letters[i].does) == !strchr(want, letters[i].letter);
		say(ok, "%s does what it does", word);
		say(route_writes(&plain) == writes, "%s writes: %d", word, writes);
		say(route_writes(&inner) == (writes || k == SQL_EXPLAIN), "or of something else");
		say(facts_effect(&plain) == (strcspn(want, "SBTNLKC") < strlen(want)), "effects");
		say(!(does & KIND_READS) || !facts_effect(&plain), "a read has none");
		say(!(does & KIND_HIDES) || facts_effect(&plain), "what hides something does something");
		say(facts_name_stmt(&plain) == (strcspn(want, "NU") < strlen(want)), "names");
	}
}

static void test_flags(void)
{
	static const uint32_t with[] = { SQL_HOLD, SQL_TEMP, SQL_FUNCTION, SQL_FOREIGN, SQL_SET_CONFIG,
		SQL_ADVISORY };
	uint32_t all = 0;

	for (size_t i = 0; i < sizeof with / sizeof *with; i++) {
		say(facts_effect(&(struct sql_facts){ .kind = SQL_SELECT, .flags = with[i] }), "%x", with[i]);
		all |= with[i];
	}
	say(!facts_effect(&(struct sql_facts){ .kind = SQL_SELECT, .flags = ~all }), "no other flag");
}

/* What the catalog says of somebody's code. */
static void test_catalog(void)
{
	session_begin();
	bodies_say = CODE_TEMPORARY;
	catalog_adds = SQL_FOREIGN;
	run("Q SELECT 1", "C SELECT 1 | Z T");
	IS("pin-doubt asks-2 doubt transaction", "foreign code on the primary");
	session_end();
	session_begin();
	catalog_adds = SQL_UNKNOWN;
	run("Q SELECT 1", "C SELECT 1 | Z T");
	IS("pin-doubt asks-17 transaction", "a view that nobody knows sets and locks");
	session_end();
	session_begin();
	bodies_say = CODE_TEMPORARY;
	catalog_adds = SQL_FOREIGN;
	ask(1, "Q SELECT 1");
	answer(1, "C SELECT 1");
	IS("", "foreign code on a replica");
	answer(1, "Z I");
	catalog_adds = 0;
	catalog_takes = SQL_FUNCTION;
	query("SELECT f()", 'I');
	IS("", "a function that only reads");
	query("SELECT pg_advisory_lock(1)", 'I');
	IS("", "one that took no lock, as the answer says");
	session_end();
}

/* Of one's own temporary tables nobody has to be told. */
static void test_temporary(void)
{
	session_begin();
	query("CREATE TEMP TABLE Mine ()", 'I');
	query("CREATE TEMP TABLE pg_temp.\"Yours\" ()", 'I');
	IS("pin-temporary temporary-Yours temporary-mine", "two tables");
	query("DROP TABLE mine", 'T');
	say(!client->session.changed && client->session.doubt, "the catalog was not changed");
	query("DROP TABLE other", 'T');
	say(client->session.changed, "now it was");
	client->session.changed = false;
	query("gibberish mine", 'T');
	say(client->session.changed, "or may have been");
	session_end();
}

static void test_pins(void)
{
	session_begin();
	query("LISTEN a", 'I');
	ask(0, "Q UNLISTEN a");
	answer(0, "C UNLISTEN | Z I");
	IS("pin-listen asks-8", "there may be others");
	answer(0, "C SELECT 0 | Z I");
	IS("", "none, as the answer says");
	query("LISTEN a", 'I');
	begin("BEGIN");
	query("UNLISTEN *", 'T');
	ask(0, "Q ROLLBACK");
	answer(0, "C ROLLBACK | Z I");
	IS("pin-listen asks-8", "UNLISTEN is rolled back");
	answer(0, "C SELECT 0 | Z I");
	query("LOAD 'a'", 'I');
	query("SET default_transaction_isolation = 'serializable'", 'I');
	query("PREPARE p AS SELECT 1", 'I');
	IS("pin-other [SET \"default_transaction_isolation\" = E'serializable':"
	   "default_transaction_isolation] full always p its-p", "a lot");
	query("DISCARD ALL", 'I');
	IS("[DISCARD ALL]", "all discarded");
	session_end();
}

static void test_function_call(void)
{
	session_begin();
	struct query *q = ask(0, "F");
	IS("pin-doubt asks-16", "FunctionCall counts at once");
	say(q->simple && !q->effects, "it has an end of its own");
	session_end();
}

/* A request is a barrier, has the end of its COPY in it.  The server began with another session's
 * application_name. */
static void test_request(void)
{
	static const struct { const char *list; bool barrier; uint32_t copy_ends; } cases[] = {
		{ "Q SELECT 1", false, 0 }, { "Q COPY t FROM STDIN", true, 0 },
		{ "Q SELECT 1; COPY t FROM STDIN", true, 0 }, { "Q SET a = 1", false, 0 },
		{ "Q SET application_name TO DEFAULT", true, 0 }, { "Q RESET Application_Name", true, 0 },
		{ "Q SET a TO DEFAULT", false, 0 }, { "Q RESET a", false, 0 }, { "Q RESET ALL", true, 0 },
		{ "Q DISCARD ALL", true, 0 }, { "Q DISCARD PLANS", false, 0 },
		{ "Q DEALLOCATE a", true, 0 }, { "Q SELECT a TO DEFAULT", false, 0 },
		{ "P =COPY t FROM STDIN | B = | E | S", true, 0 },
		{ "P =COPY t FROM STDIN | B = | E | d 1 | c | S", true, 1 },
		{ "P =COPY t FROM STDIN | B = | E | f no | S", true, 1 },
		{ "P =SELECT 1 | B = | E | c | S", false, 0 },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		session_begin();
		strcpy(on[0].began, "another");
		const struct query *q = ask(0, cases[i].list);
		say(q->barrier == cases[i].barrier && q->copy_ends == cases[i].copy_ends,
		    "%s: barrier %d, copy ends %u", cases[i].list, q->barrier, q->copy_ends);
		session_end();
	}
}

/* Of a Query that is only there in part it is not known what it writes. */
static void test_part(void)
{
	unconfigure();
	configure("disable_load_balance_on_write = 'dml_adaptive'");
	session_begin();
	struct query *q = ask(0, "S");
	struct msg m = { .type = 'Q', .at = (const uint8_t *)"SELECT", .end = NULL };
	m.end = m.at + 7;
	effect_note(client, q, &m, true);
	say(!client->session.wrote && !client->session.wrote_all, "a read");
	effect_note(client, q, &m, false);
	say(client->session.wrote && client->session.wrote_all, "the beginning of one");
	session_end();
	unconfigure();
	configure("");
}

static void test_wrote(void)
{
	session_begin();
	query("DELETE FROM t", 'I');
	say(!client->session.wrote && !client->session.wrote_before && client->session.wrote_ever,
		"outside a transaction a write is over with its request");
	begin("BEGIN");
	say(!client->session.wrote_before, "begun");
	query("DELETE FROM t", 'T');
	say(client->session.wrote && client->session.wrote_before, "in one it is not");
	run("Q COMMIT", "C COMMIT | Z I");
	say(!client->session.wrote && client->session.wrote_before, "committed");
	session_end();
	session_begin();
	run("Q BEGIN; DELETE FROM t", "C BEGIN | C DELETE 1 | Z T");
	say(client->session.wrote_before, "behind its BEGIN");
	session_end();
}

/* --- the script --- */

/* A session with settings that cannot be run again needs no lines. */
static void test_full(void)
{
	session_begin();
	client->script.full = true;
	query("SAVEPOINT a", 'I');
	IS("full", "no lines");
	query("DISCARD ALL", 'I');
	IS("[DISCARD ALL]", "everything is known again");
	begin("BEGIN");
	query("SELECT set_config('a', '1', true)", 'T');
	run("Q COMMIT", "C COMMIT | Z I");
	IS("[DISCARD ALL]", "set_config() of a transaction goes with it");
	session_end();
}

/* A server that has not run all lines before is not taken to have run this one. */
static void test_level(void)
{
	session_begin();
	query("SET a = 1", 'I');
	say(on[0].script == 1, "level");
	on[0].script = 0;
	query("SET b = 1", 'I');
	say(on[0].script == 0 && client->script.serial == 2, "it lacks a line, so it is not");
	session_end();
}

static void test_characteristics(void)
{
	session_begin();
	query("SET SESSION CHARACTERISTICS AS TRANSACTION ISOLATION LEVEL SERIALIZABLE", 'I');
	query("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY", 'I');
	say(client->session.default_level == LEVEL_SERIALIZABLE, "another characteristic leaves the level");
	query("SET default_transaction_isolation = 'read committed'", 'I');
	say(client->session.default_level != LEVEL_SERIALIZABLE, "until it is set");
	query("SET default_transaction_isolation TO serializable", 'I');
	query("RESET ALL", 'I');
	say(client->session.default_level != LEVEL_SERIALIZABLE, "or everything is reset");
	session_end();
}

/* --- statements of a request --- */

/* Each counts when its own CommandComplete comes. */
static void test_order(void)
{
	session_begin();
	ask(0, "Q LISTEN a; SELECT 1; LOAD 'b'; SET c = 1");
	answer(0, "C LISTEN");
	IS("pin-listen", "the first");
	answer(0, "C SELECT 1");
	IS("pin-listen", "the second has none");
	answer(0, "C LOAD | E 22012 | Z I");
	IS("pin-other full", "the third, and not the fourth; the first is undone");
	session_end();
	session_begin();
	ask(0, "P =LISTEN a | B = | E | P =SELECT 1 | B = | E | P =LOAD 'b' | B = | E | S");
	answer(0, "1 | 2 | C LISTEN | 1 | 2 | I");
	IS("pin-listen", "the same in the extended protocol");
	answer(0, "1 | 2 | C LOAD");
	IS("pin-listen pin-other full", "the last one");
	answer(0, "Z I");
	session_end();
}

/* What has been bound, in this request or before, says what is executed. */
static void test_bound(void)
{
	session_begin();
	run("P s=LISTEN a | S", "1 | Z I");
	IS("", "prepared");
	run("B =s | S", "2 | Z T");
	run("E | S", "C LISTEN | Z T");
	IS("pin-listen transaction", "unnamed portal, executed later");
	client->pins = 0;
	run("B x=s | S", "2 | Z T");
	run("E x | S", "s | Z T");
	IS("pin-listen transaction", "named portal, suspended");
	client->pins = 0;
	ask(0, "E y | P =LISTEN a | B = | E | S");
	answer(0, "C SELECT 1");
	IS("transaction", "a cursor's");
	answer(0, "1 | 2 | C LISTEN | Z T");
	IS("pin-listen transaction", "what is behind it");
	client->pins = 0;
	run("E y | S", "E 34000 | Z E");
	IS("transaction", "one that is not there");
	session_end();
	session_begin();
	run("Q PREPARE p AS SELECT nextval(1)", "C PREPARE | Z I");
	run("B =p | E | S", "2 | C SELECT 1 | Z I");
	IS("pin-function p its-p", "what a PREPARE has prepared");
	client->pins = 0;
	run("Q EXECUTE p", "C SELECT 1 | Z I");
	IS("pin-function p its-p", "EXECUTE");
	client->pins = 0;
	run("Q EXPLAIN ANALYZE EXECUTE p", "C SELECT 1 | Z I");
	IS("pin-function p its-p", "EXPLAIN EXECUTE");
	session_end();
}

/* A view that nobody knew has been read, and its question answered: what the catalog tells then. */
static void test_views(void)
{
	static const struct { bool asks; unsigned views, known; bool doubt, full, leaves; } cases[] = {
		{ true, 0, 0, false, false, true },
		{ false, 0, 0, false, false, false },
		{ false, 0, 1, true, false, false },
		{ false, 1, 1, false, true, true },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		session_begin();
		catalog_adds = SQL_UNKNOWN;
		run("Q SELECT 1", "C SELECT 1 | Z T");
		catalog_adds = 0;
		say(doubt_settings(client) && doubt_reads(client), "it may have set something");
		client->doubt = 0;
		client->session.unknown = 1;
		catalog_asks = cases[i].asks;
		bodies_views = cases[i].views;
		bodies_known = cases[i].known;
		doubt_hear(client);
		say(doubt_reads(client) == (cases[i].asks || cases[i].doubt), "reads, case %zu", i);
		say(doubt_settings(client) == cases[i].doubt, "doubt, case %zu", i);
		say(client->script.full == cases[i].full, "settings are lost, case %zu", i);
		client->doubt = 0;
		doubt_leave(client);
		say(!!(client->borrower.residue & RESIDUE_UNKNOWN) == cases[i].leaves, "case %zu", i);
		session_end();
	}
}

/* A failed one may have done something; what is not awaited has no effect. */
static void test_failed(void)
{
	session_begin();
	bodies_say = CODE_TEMPORARY;
	run("Q CALL f()", "E 22012 | Z T");
	IS("pin-doubt asks-2 doubt transaction", "a CALL that failed");
	session_end();
	session_begin();
	run("Q SELECT 1", "E 22012 | Z I");
	IS("", "a SELECT that failed");
	session_end();
}

/* --- names --- */

/* A pipeline of Parses and Closes: "a" to "d", Close of x, y and z, which there are before.  An error at
 * each place leaves what PostgreSQL would. */
static const char *named(void)
{
	static char out[16];
	size_t n = 0;

	for (const char *at = "abcdxyz"; *at; at++) {
		char name[2] = { *at, 0 };
		if (names_find(&client->prepared, name))
			out[n++] = *at;
	}
	out[n] = 0;
	return out;
}

static void test_undo(void)
{
	static const char pipeline[] = "P a=SELECT 1 | C Sx | P b=SELECT 2 | P x=SELECT 3 | C Sa"
		" | P a=SELECT 4 | C Sb | P c=SELECT 5 | C Sy | S";
	static const char *const replies[] = { "1", "3", "1", "1", "3", "1", "3", "1", "3" };
	static const char *const left[] = { "xyz", "axyz", "ayz", "abyz", "abxyz", "bxyz", "abxyz", "axyz",
		"acxyz", "acxz" };
	const size_t all = sizeof replies / sizeof *replies;

	for (size_t fails = 0; fails <= all; fails++) {
		struct stmt *x, *a;

		session_begin();
		run("P x=SELECT 10 | P y=SELECT 11 | P z=SELECT 12 | S", "1 | 1 | 1 | Z I");
		x = names_find(&client->prepared, "x");
		ask(0, pipeline);
		say(!strcmp(named(), "acxz"), "all count at once: %s", named());
		a = names_find(&client->prepared, "a");
		for (size_t i = 0; i < fails; i++)
			answer(0, replies[i]);
		answer(0, fails < all ? "E 42601 | Z I" : "Z I");
		say(!strcmp(named(), left[fails]), "an error behind %zu: %s, not %s", fails, left[fails],
			named());
		say((names_find(&client->prepared, "x") == x) == (fails < 2), "x is the old one: %d",
			fails < 2);
		say((names_find(&client->prepared, "a") == a) == (fails > 5), "a is the second one: %d",
			fails > 5);
		bool same = true;
		for (const char *at = "abcdxyz"; *at; at++) {
			char name[2] = { *at, 0 };
			same &= names_find(&client->prepared, name) == names_find(&on[0].names, name);
		}
		say(same, "and the server has the same");
		session_end();
	}
}

/* The unnamed statement, too, is what PostgreSQL has come to.  Numbers are those of the texts. */
static void test_undo_unnamed(void)
{
	static const struct { const char *list, *replies, *then; int is, on; } rows[] = {
		{ "P =SELECT 2 | S", "1 | Z I", NULL, 2, 0 },
		{ "P =SELECT 2 | S", "E 42601 | Z I", NULL, 0, -1 },
		{ "C Sz | P =SELECT 2 | S", "3 | E 42601 | Z I", NULL, 0, -1 },
		{ "C Sz | P =SELECT 2 | S", "E 42601 | Z I", NULL, 1, 1 },
		{ "P =SELECT 2 | C Sz | P =SELECT 3 | S", "1 | E 42601 | Z I", NULL, 2, 0 },
		{ "P =SELECT 2 | C S | C Sz | S", "1 | 3 | E 42601 | Z I", NULL, 0, -1 },
		{ "C Sz | C S | S", "E 42601 | Z I", NULL, 1, 1 },
		{ "C S | S", "3 | Z I", NULL, 0, -1 },
		{ "Q SELECT 2", "E 22012 | Z I", NULL, 0, -1 },
		{ "C Sz | Q SELECT 2", "E 42601 | Z I", NULL, 1, 1 },
		{ "C Sz | P =SELECT 2 | S", "E 42601 | Z I", "P =SELECT 4 | S", 4, 0 },
		{ "C Sz | P =SELECT 2 | S", "E 42601 | Z I", "C Sz | P =SELECT 4 | S", 1, 1 },
	};

	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		session_begin();
		ask(1, "P =SELECT 1 | S");
		answer(1, "1 | Z I");
		ask(0, rows[i].list);
		if (rows[i].then)
			ask(0, rows[i].then);
		answer(0, rows[i].replies);
		if (rows[i].then)
			answer(0, *rows[i].then == 'P' ? "1 | Z I" : "E 42601 | Z I");
		int is = client->unnamed.stmt ? atoi(client->unnamed.stmt->text + 7) : 0;
		int where = client->unnamed.on ? (int)(client->unnamed.on - on) : -1;
		say(is == rows[i].is && where == rows[i].on, "%s: %s: %d on %d", rows[i].list,
			rows[i].replies, is, where);
		session_end();
	}
}

/* A name that is taken: PostgreSQL says so, and it stays what it was. */
static void test_taken(void)
{
	session_begin();
	run("P a=SELECT 1 | S", "1 | Z I");
	struct stmt *a = names_find(&client->prepared, "a");
	run("P a=SELECT 2 | S", "E 42P05 | Z I");
	say(a && names_find(&client->prepared, "a") == a, "a name that is taken");
	run("C Snope | C P | C S | C Pa | C ?a | S", "3 | 3 | 3 | 3 | 3 | Z I");
	say(!strcmp(named(), "a"), "what is not there is not closed");
	run("C Sa | S", "3 | Z I");
	say(!*named() && !names_find(&on[0].names, "a"), "closed");
	session_end();
}

/* DEALLOCATE and DISCARD ALL count from when they are sent, and are undone like a Close. */
static void test_deallocate(void)
{
	static const struct { const char *list, *replies, *left; } cases[] = {
		{ "Q DEALLOCATE x", "C DEALLOCATE | Z I", "y" },
		{ "Q DEALLOCATE ALL", "C DEALLOCATE ALL | Z I", "" },
		{ "Q DISCARD ALL", "C DISCARD ALL | Z I", "" },
		{ "Q DISCARD PLANS", "C DISCARD PLANS | Z I", "xy" },
		{ "Q DISCARD ALL", "E 25001 | Z T", "xy" },
		{ "Q SELECT 1; DEALLOCATE x", "C SELECT 1 | C DEALLOCATE | Z I", "y" },
		{ "Q SELECT 1; DEALLOCATE x", "E 22012 | Z I", "xy" },
		{ "Q SELECT 1; DEALLOCATE ALL", "E 22012 | Z I", "xy" },
		{ "Q DEALLOCATE x; SELECT 1", "C DEALLOCATE | E 22012 | Z I", "y" },
		{ "Q DEALLOCATE x; DEALLOCATE y", "C DEALLOCATE | E 22012 | Z I", "y" },
		{ "Q DEALLOCATE x; DEALLOCATE ALL", "E 22012 | Z I", "xy" },
		{ "Q DEALLOCATE ALL; DEALLOCATE x", "E 22012 | Z I", "xy" },
		{ "P =DEALLOCATE x | B = | E | P x=SELECT 2 | S", "1 | 2 | E 22012 | Z I", "xy" },
		{ "P =DEALLOCATE x | B = | E | P x=SELECT 2 | S", "1 | 2 | C DEALLOCATE | 1 | Z I", "xy" },
		{ "P =DEALLOCATE x | B = | E | P x=SELECT 2 | S", "1 | 2 | C DEALLOCATE | E 22012 | Z I", "y" },
		{ "P a=SELECT 2 | P =DEALLOCATE a | B = | E | S", "E 22012 | Z I", "xy" },
		{ "P a=SELECT 2 | P =DEALLOCATE a | B = | E | S", "1 | 1 | 2 | E 22012 | Z I", "axy" },
		{ "C Sx | P =DEALLOCATE ALL | B = | E | P a=SELECT 1 | S", "3 | 1 | 2 | E 22012 | Z I", "y" },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		session_begin();
		run("P x=SELECT 10 | P y=SELECT 11 | S", "1 | 1 | Z I");
		struct stmt *y = names_find(&client->prepared, "y");
		run(cases[i].list, cases[i].replies);
		say(!strcmp(named(), cases[i].left), "%s, %s: %s, not %s", cases[i].list,
			cases[i].replies, cases[i].left, named());
		say(!strchr(named(), 'y') || names_find(&client->prepared, "y") == y, "y is what it was");
		session_end();
	}
}

static void test_deallocate_behind(void)
{
	session_begin();
	run("P x=SELECT 10 | S", "1 | Z I");
	run("Q BEGIN", "C BEGIN | Z T");
	run("Q nonsense", "E 42601 | Z E");
	run("Q DEALLOCATE x", "E 25P02 | Z E");
	say(!strcmp(named(), "x"), "nothing is deallocated in a failed transaction");
	run("Q ROLLBACK; DEALLOCATE x", "C ROLLBACK | C DEALLOCATE | Z I");
	say(!*named() && !on[0].names.used, "but behind it");
	session_end();
}

/* --- transactions --- */

static const char *ended(const char *list, const char *replies)
{
	session_begin();
	query("SET a = 1", 'I');
	begin("BEGIN");
	query("SET a = 2", 'T');
	lend(1);
	on[1].status = 'T';
	run(list, replies);
	static struct words w;
	w.n = 0;
	add_words(&w, "%s: %s", became(), on_tape(&to_server[1]));
	session_end();
	return w.text;
}

static void test_ends(void)
{
	static const struct { const char *list, *replies, *want; } cases[] = {
		{ "Q COMMIT", "C COMMIT | Z I", "[SET \"a\" = E'2':a]: Q COMMIT" },
		{ "Q ROLLBACK", "C ROLLBACK | Z I", "[SET \"a\" = E'1':a]: Q ROLLBACK" },
		{ "Q COMMIT", "C ROLLBACK | Z I", "[SET \"a\" = E'1':a]: Q ROLLBACK" },
		{ "Q END", "E 23503 | Z I", "[SET \"a\" = E'1':a]: Q ROLLBACK" },
		{ "Q COMMIT; SELECT 1", "C COMMIT | E 22012 | Z I", "[SET \"a\" = E'2':a]: Q COMMIT" },
		{ "Q ROLLBACK; SET b = 1", "C ROLLBACK | C SET | Z I",
		  "[SET \"a\" = E'1':a] [SET \"b\" = E'1':b]: Q ROLLBACK" },
		{ "Q COMMIT; SET b = 1; SELECT 1", "C COMMIT | C SET | E 22012 | Z I",
		  "[SET \"a\" = E'2':a]: Q COMMIT" },
		{ "Q COMMIT; BEGIN", "C COMMIT | C BEGIN | Z T", "[SET \"a\" = E'2':a] [BEGIN] transaction: Q COMMIT" },
		{ "Q COMMIT AND CHAIN", "C COMMIT | Z T", "[SET \"a\" = E'2':a] [BEGIN] transaction: Q COMMIT" },
		{ "Q ROLLBACK AND CHAIN", "C ROLLBACK | Z T",
		  "[SET \"a\" = E'1':a] [BEGIN] transaction: Q ROLLBACK" },
		{ "Q SELECT 1", "E 22012 | Z E", "[SET \"a\" = E'1':a] [BEGIN] [SET \"a\" = E'2':a] transaction: " },
		{ "Q SELECT 1", "C SELECT 1 | Z T", "[SET \"a\" = E'1':a] [BEGIN] [SET \"a\" = E'2':a] transaction: " },
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		const char *got = ended(cases[i].list, cases[i].replies);
		say(!strcmp(got, cases[i].want), "%s, %s: %s, not %s", cases[i].list, cases[i].replies,
			cases[i].want, got);
	}
}

static void test_chain(void)
{
	session_begin();
	begin("BEGIN ISOLATION LEVEL SERIALIZABLE");
	query("SAVEPOINT a", 'T');
	ask(0, "Q COMMIT AND CHAIN");
	answer(0, "C COMMIT");
	IS("[BEGIN ISOLATION LEVEL SERIALIZABLE] serializable transaction", "begun as the last one");
	answer(0, "Z T");
	say(on[0].script == client->script.serial && on[0].status == 'T', "by the server itself");
	session_end();
}

/* All in one request: what stands in it belongs to the transaction that is open then. */
static void test_within(void)
{
	session_begin();
	run("Q BEGIN; SET LOCAL a = 1", "C BEGIN | C SET | Z T");
	IS("[BEGIN] [SET LOCAL \"a\" = E'1':a] transaction", "SET LOCAL behind its BEGIN");
	session_end();
	session_begin();
	run("Q BEGIN; SET TRANSACTION ISOLATION LEVEL SERIALIZABLE", "C BEGIN | C SET | Z T");
	say(client->session.level == LEVEL_SERIALIZABLE, "SET TRANSACTION behind its BEGIN");
	session_end();
	session_begin();
	run("Q BEGIN ISOLATION LEVEL SERIALIZABLE; SELECT 1; COMMIT", "C BEGIN | C SELECT 1 | C COMMIT | Z I");
	IS("", "a whole transaction leaves nothing");
	run("Q BEGIN; SET a = 1; COMMIT; SELECT 1", "C BEGIN | C SET | C COMMIT | E 22012 | Z I");
	IS("[SET \"a\" = E'1':a]", "nor does what follows it take something");
	run("Q SET a = 2; SELECT 1", "C SET | E 22012 | Z I");
	IS("[SET \"a\" = E'1':a]", "without BEGIN they are one transaction");
	run("Q SET LOCAL a = 2", "C SET | Z I");
	IS("[SET \"a\" = E'1':a]", "and SET LOCAL is over with it");
	session_end();
}

static void test_savepoint(void)
{
	session_begin();
	begin("BEGIN");
	query("SAVEPOINT a", 'T');
	query("SET b = 1", 'T');
	lend(1);
	on[1].status = 'T';
	on[1].script = client->script.serial;
	run("Q ROLLBACK TO a", "C ROLLBACK | Z T");
	IS("[BEGIN] [SAVEPOINT a:a] transaction", "rolled back");
	say(on[1].phase == IDLE && client->borrowed == &on[0] && !on[0].next_borrowed,
		"the replica cannot follow: it goes");
	session_end();
	session_begin();
	begin("BEGIN");
	lend(1);
	on[1].status = 'T';
	on[1].script = client->script.serial;
	query("SAVEPOINT a", 'T');
	run("Q ROLLBACK TO a", "C ROLLBACK | Z T");
	say(on[1].phase == LENT, "one that ran nothing behind it stays");
	on[1].status = 'E';
	run("Q ROLLBACK TO a", "C ROLLBACK | Z T");
	say(on[1].phase == IDLE, "unless it has failed");
	session_end();
}

/* What was changed is told when the transaction is over. */
static void test_told(void)
{
	session_begin();
	begin("BEGIN");
	query("ALTER ROLE a PASSWORD 'b'", 'T');
	say(catalog_changes == 0 && doubts == 0 && client->session.doubt == DOUBT_ALL, "not yet");
	run("Q COMMIT", "C COMMIT | Z I");
	say(catalog_changes == 1 && doubts == 1 && client->session.doubt == DOUBT_ALL, "now");
	query("SELECT 1", 'I');
	say(catalog_changes == 1 && doubts == 1, "once");
	session_end();
}

/* Connections of a database, or of a role, are closed before and after a statement that needs it. */
static unsigned renewals_by(const char *sql)
{
	char message[200];

	renewals = 0;
	session_begin();
	snprintf(message, sizeof message, "Q %s", sql);
	run(message, "C DDL | Z I");
	session_end();
	return renewals;
}

static void test_renewed(void)
{
	static const char *const before[] = { "DROP DATABASE db", "drop database if exists \"db\"",
		"ALTER DATABASE db RENAME TO x", "ALTER DATABASE db SET TABLESPACE x",
		"CREATE DATABASE x TEMPLATE = db", "CREATE DATABASE x WITH OWNER y TEMPLATE 'db'",
		"CREATE DATABASE x Template='db' OWNER y" };
	static const char *const after[] = { "ALTER DATABASE db SET work_mem = 1", "DROP ROLE x, u", "DROP USER u", "ALTER ROLE u SET work_mem = 1", "ALTER ROLE ALL SET a = 1",
		"ALTER USER CURRENT_USER SET a = 1", "ALTER ROLE x RENAME TO u", "CREATE ROLE u",
		"REASSIGN OWNED BY u TO x", "ALTER ROLE u IN DATABASE x SET a = 1" };
	static const char *const no[] = { "DROP DATABASE x", "DROP TABLE db", "CREATE DATABASE x OWNER u",
		"DROP ROLE db", "ALTER ROLE x SET work_mem = 1", "CREATE TABLE u ()", "DROP SCHEMA db" };

	for (size_t i = 0; i < sizeof before / sizeof *before; i++)
		say(renewals_by(before[i]) == 2, "renewed, before and after: %s", before[i]);
	for (size_t i = 0; i < sizeof after / sizeof *after; i++)
		say(renewals_by(after[i]) == 1, "renewed, after: %s", after[i]);
	for (size_t i = 0; i < sizeof no / sizeof *no; i++)
		say(renewals_by(no[i]) == 0, "not renewed: %s", no[i]);
	renewals = 0;
	session_begin();
	begin("BEGIN");
	query("DROP ROLE u", 'T');
	say(renewals == 0, "not yet");
	query("DROP ROLE x", 'T');
	run("Q COMMIT", "C COMMIT | Z I");
	say(renewals == 1, "when its transaction has ended");
	session_end();
}

/* Pipelined: portals and writes of what follows are not over with this one. */
static void test_inflight(void)
{
	session_begin();
	run("P s=SELECT 1 | B x=s | S", "1 | 2 | Z I");
	say(!client->portals, "a portal ends with its transaction");
	ask(0, "B x=s | S");
	ask(0, "B y=s | S");
	answer(0, "2 | Z I");
	say(portal_find(client, "x") && portal_find(client, "y"), "of what follows some are");
	answer(0, "2 | Z I");
	say(!client->portals, "in the end there are none");
	session_end();
}

static void test_written(void)
{
	unconfigure();
	configure("disable_load_balance_on_write = 'dml_adaptive_global'\n"
		"track_table_mutation_cold_start_duration = 0");
	session_begin();
	begin("BEGIN");
	query("INSERT INTO t VALUES (1)", 'T');
	say(client->session.written && !route.written->used, "written, but not for all");
	run("Q ROLLBACK", "C ROLLBACK | Z I");
	say(!client->session.written && !route.written->used, "rolled back");
	begin("BEGIN");
	query("INSERT INTO t VALUES (1)", 'T');
	run("Q COMMIT", "C COMMIT | Z I");
	say(!client->session.written && route.written->used == 1, "committed");
	query("DELETE FROM u", 'I');
	say(route.written->used == 2, "without a transaction");
	run("Q DELETE FROM v", "E 22012 | Z I");
	say(route.written->used == 2, "that failed");
	run("Q BEGIN; DELETE FROM w; COMMIT; SELECT 1", "C BEGIN | C DELETE | C COMMIT | E 22012 | Z I");
	say(route.written->used == 3 && !client->session.written, "what follows fails");
	ask(0, "Q DELETE FROM x");
	ask(0, "Q DELETE FROM y");
	answer(0, "C DELETE 1 | Z I");
	say(client->session.written && client->session.written->n == 2, "the second is under way");
	answer(0, "E 22012 | Z I");
	say(!client->session.written, "it is over");
	session_end();
	unconfigure();
	configure("");
}

/* --- without notes --- */

static void test_plain(void)
{
	struct sql_facts f = { .kind = SQL_SELECT };
	const struct plan simple = { .simple = true }, bind = { .portal = true },
		parse = { .unnamed = 1 }, writes = { .writes = true };

	session_begin();
	struct stmt *st = stmt_get(servers.stmts, false, "SELECT 1", 8, &f);
	portal_set(client, "", &on[0], st);
	unnamed_set(client, &on[0], st);
	struct query *q = query_new(client, &on[1], &reply_ops);
	effect_note_plain(client, &bind, q);
	say(client->portal_on == &on[1] && !client->bound && client->unnamed.stmt == st, "Bind");
	effect_note_plain(client, &parse, q);
	say(client->unnamed.on == &on[1] && !client->unnamed.stmt, "Parse");
	portal_set(client, "", &on[0], st);
	effect_note_plain(client, &simple, q);
	say(!client->portal_on && !client->bound && !client->unnamed.on, "Query takes both");
	say(!client->session.wrote, "nothing was written");
	effect_note_plain(client, &writes, q);
	say(client->session.wrote, "now it was");
	stmt_drop(servers.stmts, st);
	session_end();
}

int main(void)
{
	configure("");
	test_kinds();
	test_table();
	test_flags();
	test_catalog();
	test_temporary();
	test_pins();
	test_function_call();
	test_request();
	test_part();
	test_wrote();
	test_full();
	test_level();
	test_characteristics();
	test_order();
	test_bound();
	test_views();
	test_failed();
	test_undo();
	test_undo_unnamed();
	test_taken();
	test_deallocate();
	test_deallocate_behind();
	test_ends();
	test_chain();
	test_within();
	test_savepoint();
	test_told();
	test_renewed();
	test_inflight();
	test_written();
	test_plain();
	unconfigure();
	return done();
}
