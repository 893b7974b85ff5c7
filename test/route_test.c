/* route_test.c - what may be balanced after what, and which node takes it. */
#include "sql/lex.c"
#include "sql/body.c"
#include "sql.c"

/* The configuration's scanner and the classifier use some of the same words. */
#undef WORDS
#define scan conf_scan
#define token conf_token
#define number conf_number
#define letter conf_letter
#define string conf_string
#define digits conf_digits
#define word conf_word_
#include "conf/scan.c"
#include "conf/value.c"
#include "conf.c"
#undef scan
#undef token
#undef number
#undef letter
#undef string
#undef digits
#undef word

#include "node.c"
#include "route/written.c"
#include "route.c"

#include "t.h"

static struct base shared;
static struct nodes *nodes;
static struct route rt;
static struct written written;
static int64_t now = 1;

/* The loop and the log below the nodes: nobody waits here. */
int64_t loop_now(const struct loop *l) { (void)l; return now; }
int timer_set(struct loop *l, struct timer *t, int64_t ms) { (void)l; t->at = ms; return 0; }
void timer_stop(struct loop *l, struct timer *t) { (void)l; t->at = 0; }
int loop_job(struct loop *l, enum lane lane,
    struct job *j) { (void)l; (void)lane; (void)j; return -1; }

void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
{
	(void)l, (void)who, (void)v, (void)place, (void)detail, (void)hint, (void)fmt;
}

static void shout(void *ctx, enum level v, const char *file, int line, int column,
	const char *text)
{
	(void)ctx;
	if (v >= LEVEL_WARNING)
		printf("# %s:%d:%d: %s\n", file ? file : "-", line, column, text);
}

static void on_change(void *ctx, struct node *n)
{
	(void)ctx;
	(void)n;
}

/* Three nodes, 1 the primary, of weights 1, 2 and 1; and these lines. */
static void begin(const char *lines)
{
	static const char base[] = "backend_port0 = 5432\nbackend_weight0 = 1\n"
		"backend_port1 = 5433\nbackend_weight1 = 2\nbackend_flag1 = 'ALWAYS_PRIMARY'\n"
		"backend_port2 = 5434\nbackend_weight2 = 1\n";
	const struct conf_messages messages = { shout, NULL };
	char path[] = "/tmp/route_test.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fd < 0 ? NULL : fdopen(fd, "w");

	if (!f || fprintf(f, "%s%s\n", base, lines) < 0 || fclose(f))
		exit(1);
	const struct conf *conf = conf_load(path, NULL, &messages);
	unlink(path);
	shared.conf = conf;
	nodes = conf ? nodes_new(&shared) : NULL;
	if (!nodes || route_init(&rt, conf, nodes, &written) < 0)
		exit(1);
	nodes->changed = on_change;
	nodes->random = 88172645463325252;
}

static void end(void)
{
	route_free(&rt);
	conf_free((struct conf *)(uintptr_t)rt.conf);
	nodes_free(nodes);
}

static bool gate(const char *text)
{
	struct sql_facts f;

	sql_classify(&f, text, strlen(text), &rt.rules);
	return route_gate(&rt, &f);
}

static bool reads(const struct session *s, const char *text)
{
	return route_reads(&rt, s, "db", text, strlen(text));
}

static void wrote(struct session *s, const char *text)
{
	struct sql_facts f;

	sql_classify(&f, text, strlen(text), &rt.rules);
	session_wrote(s, &rt, &f, text, strlen(text));
}

/* --- the gate --- */

static void test_gate(void)
{
	begin("write_function_list = 'w.*'\nprimary_routing_query_pattern_list = '.*secret.*'");
	say(gate("SELECT 1") && gate("(VALUES (1))") && gate("SHOW a") && gate(""), "reads");
	say(!gate("INSERT INTO t VALUES (1)") && !gate("VALUES (1)") && !gate("SELECT 1 FOR UPDATE")
	    && !gate("BEGIN"), "not reads");
	say(gate("SELECT f()") && !gate("SELECT wipe()"), "functions that write");
	say(!gate("SELECT * FROM Secrets"), "patterns");
	say(!gate("/* x */ SELECT 1") && gate("/* x */ SHOW a"), "a comment in front of a SELECT");
	say(gate("  SELECT 1"), "blanks in front");
	end();
	begin("allow_sql_comments = on\nread_only_function_list = 'f'");
	say(gate("/* x */ SELECT 1"), "comments allowed");
	say(gate("SELECT f()") && !gate("SELECT g()"), "functions that only read");
	end();
	begin("ignore_leading_white_space = off");
	say(!gate(" SELECT 1") && gate("SELECT 1") && gate(" SHOW a"), "blanks not allowed");
	end();
}

static void test_writes(void)
{
	static const char *const yes[] = { "INSERT INTO t VALUES (1)", "CREATE TABLE t ()",
		"SELECT f() FOR UPDATE", "EXPLAIN ANALYZE DELETE FROM t", "gibberish" };
	static const char *const no[] = { "BEGIN", "COMMIT", "ROLLBACK", "EXECUTE p",
	    "DEALLOCATE p", "",
		"EXPLAIN SELECT 1", "EXPLAIN DELETE FROM t", "SET TRANSACTION READ ONLY",
		"SET a = 1", "RESET a", "SET TRANSACTION READ WRITE" };
	struct sql_facts f;

	for (size_t i = 0; i < sizeof yes / sizeof *yes; i++) {
		sql_classify(&f, yes[i], strlen(yes[i]), NULL);
		say(route_writes(&f), "a write: %s", yes[i]);
	}
	for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
		sql_classify(&f, no[i], strlen(no[i]), NULL);
		say(!route_writes(&f), "no write: %s", no[i]);
	}
}

/* --- reads after a write --- */

/* May each be balanced: "SELECT * FROM t" in the transaction after UPDATE t,
 * "SELECT * FROM u" there;
 * outside afterwards; in the next transaction? */
static void test_modes(void)
{
	static const struct { const char *mode, *want; } modes[] = {
		{ "off", "yyyy" },
		{ "transaction", "nnyy" },
		{ "trans_transaction", "nnyn" },
		{ "always", "nnnn" },
		{ "dml_adaptive", "nyyy" },
	};

	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		struct session s = { .in_transaction = true, .level = LEVEL_READ_COMMITTED };
		char lines[80], got[5] = "";

		snprintf(lines, sizeof lines, "disable_load_balance_on_write = '%s'",
		    modes[i].mode);
		begin(lines);
		say(reads(&s, "SELECT * FROM t"), "%s: before it", modes[i].mode);
		wrote(&s, "UPDATE t SET a = 1");
		got[0] = "ny"[reads(&s, "SELECT * FROM t")];
		got[1] = "ny"[reads(&s, "SELECT * FROM u")];
		session_ended_transaction(&s);
		session_forget_written(&s);
		got[2] = "ny"[reads(&s, "SELECT * FROM t")];
		s.in_transaction = true;
		s.level = LEVEL_READ_COMMITTED;
		got[3] = "ny"[reads(&s, "SELECT * FROM t")];
		say(!strcmp(got, modes[i].want), "%s: %s", modes[i].mode, got);
		session_free(&s);
		end();
	}
}

static void test_relations(void)
{
	struct session s = { .in_transaction = true, .level = LEVEL_READ_COMMITTED };

	begin("disable_load_balance_on_write = 'dml_adaptive'\n"
	      "dml_adaptive_object_relationship_list = 't:v,f():w,t:g()'");
	wrote(&s, "INSERT INTO T VALUES (1)");
	say(!reads(&s, "SELECT * FROM v") && !reads(&s, "SELECT g()"), "what hangs on the table");
	say(reads(&s, "SELECT g FROM x") && reads(&s, "SELECT * FROM w"), "and no more");
	wrote(&s, "SELECT f()");
	say(!reads(&s, "SELECT * FROM w"), "what hangs on a function");
	say(!reads(&s, "SELECT 'open"), "what cannot be read may be anything");
	unsigned n = s.written->n;
	wrote(&s, "INSERT INTO t VALUES (1)");
	say(s.written->n == n, "each is noted once");
	session_ended_transaction(&s);
	session_forget_written(&s);
	say(!s.written && reads(&s, "SELECT * FROM v"), "forgotten with the transaction");
	end();
}

/* What others see of a session's writes. */
static void test_global(void)
{
	struct session s = { 0 }, other = { 0 };
	char why[ROUTE_WORDS];
	struct sql_facts f = { .kind = SQL_SELECT };

	begin("disable_load_balance_on_write = 'dml_adaptive_global'\n"
	      "dml_adaptive_object_relationship_list = 't:v,t:g()'\n"
	      "track_table_mutation_table_size = 128");
	say(!reads(&s, "SELECT 1"), "all reads are the primary's at first");
	say(route_why(&rt, &s, "db", &f, "SELECT 1", 8, why) == REASON_COLD && !strcmp(why, "of track table mutation cold start"), "%s", why);
	now += 1999;
	say(!reads(&s, "SELECT 1"), "for two seconds");
	now++;
	say(reads(&s, "SELECT 1") && reads(&other, "SELECT * FROM t"), "and then no more");
	wrote(&s, "WITH x AS (DELETE FROM u) UPDATE T SET a = 1");
	say(reads(&other, "SELECT * FROM t"), "not before it has committed");
	session_committed(&s, &rt, "db");
	session_forget_written(&s);
	say(!reads(&other, "SELECT * FROM t") && !reads(&s, "SELECT * FROM s.\"t\""), "written");
	say(!reads(&other, "SELECT * FROM U") && !reads(&other, "SELECT * FROM v")
	    && !reads(&other, "SELECT g()") && reads(&other, "SELECT g FROM w"),
	    "all of them, and what hangs on them");
	say(route_why(&rt, &other, "db", &f, "SELECT * FROM u", 15, why) == REASON_WRITTEN
	    && !strcmp(why, "table \"u\" was recently written"), "%s", why);
	say(route_reads(&rt, &other, "db2", "SELECT * FROM t", 15), "of this database");
	now += 999;
	say(!reads(&other, "SELECT * FROM t"), "for a second when nobody measures");
	now++;
	say(reads(&other, "SELECT * FROM t"), "and no longer");
	wrote(&s, "DELETE FROM t");
	session_forget_written(&s);
	session_committed(&s, &rt, "db");
	say(reads(&other, "SELECT * FROM t"), "what was rolled back was not written");
	wrote(&s, "CREATE TEMP TABLE t2 (a int)");
	session_committed(&s, &rt, "db");
	say(reads(&other, "SELECT * FROM t"), "a temporary table is nobody else's");
	wrote(&s, "DROP TABLE w");
	session_committed(&s, &rt, "db");
	session_forget_written(&s);
	say(!reads(&other, "SELECT * FROM t"), "DDL may concern all");
	session_free(&s);
	written_free(&written);
	end();
	begin("");
	say(!written.since, "nobody watches");
	end();
}

static void test_session(void)
{
	struct session s = { .in_transaction = true, .level = LEVEL_SERIALIZABLE };

	begin("");
	say(!reads(&s, "SELECT 1"), "a serializable transaction");
	s.level = LEVEL_UNSAID;
	say(!reads(&s, "SELECT 1"), "one of unknown level");
	s.level = LEVEL_REPEATABLE_READ;
	say(!reads(&s, "SELECT 1"), "one with a single snapshot");
	s.read_only = true;
	say(reads(&s, "SELECT 1"), "but not a READ ONLY one");
	s.level = LEVEL_SERIALIZABLE;
	say(!reads(&s, "SELECT 1"), "unless it is serializable");
	s = (struct session){ .in_transaction = true, .level = LEVEL_READ_COMMITTED };
	say(reads(&s, "SELECT 1"), "nor one with a snapshot for each statement");
	s.no_replica = true;
	say(!reads(&s, "SELECT 1"), "one that the replica left");
	session_ended_transaction(&s);
	say(reads(&s, "SELECT 1"), "until its end");
	s = (struct session){ .default_level = LEVEL_SERIALIZABLE };
	say(!reads(&s, "SELECT 1"), "serializable by default");
	s = (struct session){ 0 };
	session_made_temporary(&s, "tmp", false);
	session_made_temporary(&s, "tmp", false);
	say(s.temporary->n == 1 && !reads(&s, "SELECT * FROM Tmp"), "a temporary table");
	session_ended_transaction(&s);
	say(!reads(&s, "SELECT * FROM tmp") && reads(&s, "SELECT * FROM t"), "for the session");
	session_free(&s);
	end();
}

/* Some names, in this order. */
static bool names_are(const struct session *s, const char *want)
{
	char is[128] = "";

	for (unsigned i = 0; s->temporary && i < s->temporary->n; i++)
		snprintf(is + strlen(is), sizeof is - strlen(is), "%s ", s->temporary->at[i].name);
	return !strcmp(is, want);
}

static void test_temporary_names(void)
{
	struct session s = { 0 };
	char name[16], read[64];
	unsigned there = 0;

	begin("");
	for (const char *made = "dbfaec"; *made; made++)
		session_made_temporary(&s, (char[]){ *made, 0 }, *made == 'f');
	say(names_are(&s, "a b c d e f "), "in order");
	session_settle_temporary(&s, true);
	say(names_are(&s, "a b c d e ") && !s.temporary->unsettled, "one is gone with the commit");
	session_made_temporary(&s, "f", false);
	session_dropped(&s, "b");
	session_dropped(&s, "x");
	session_settle_temporary(&s, false);
	say(names_are(&s, "a b c d e "), "as before a rollback");
	session_dropped(&s, "b");
	session_rolled_back_to(&s);
	session_dropped(&s, "d");
	session_settle_temporary(&s, true);
	say(names_are(&s, "a b c e "), "one is dropped");
	session_dropped(&s, NULL);
	session_settle_temporary(&s, true);
	say(!s.temporary, "all are");
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof name, "t%d", i * 7 % 3000);
		session_made_temporary(&s, name, false);
	}
	for (int i = 0; i < 6000; i++) {
		snprintf(read, sizeof read, "SELECT * FROM t%d", i);
		there += !reads(&s, read);
	}
	say(s.temporary->n == 3000 && there == 3000, "thousands");
	session_free(&s);
	end();
}

/* --- which node? --- */

/* Out of 1000 new sessions, how many hundreds go to each node. */
static const char *shares(const char *user, const char *database, const char *application)
{
	static char out[32];
	int n[3] = { 0 };

	for (int i = 0; i < 1000; i++) {
		struct session s = { 0 };
		n[route_node(&rt, &s, user, database, application)->id]++;
	}
	snprintf(out, sizeof out, "%d %d %d", (n[0] + 50) / 100, (n[1] + 50) / 100,
	    (n[2] + 50) / 100);
	return out;
}

#define GOES(u, d, a, ...) do { const char *is_ = shares(u, d, a); bool ok_is = false; \
	const char *const want_[] = { __VA_ARGS__ }; \
	for (size_t i_ = 0; i_ < sizeof want_ / sizeof *want_; i_++) \
		ok_is |= !strcmp(is_, want_[i_]); \
	say(ok_is, "%s, %s, %s: %s", u, d, a, is_); } while (0)

static void test_weights(void)
{
	begin("");
	GOES("u", "d", "a", "2 5 3", "3 5 2", "3 5 3", "2 5 2");
	node_failed(&nodes->node[1], "test");
	GOES("u", "d", "a", "5 0 5");
	node_failed(&nodes->node[2], "test");
	GOES("u", "d", "a", "10 0 0");
	node_failed(&nodes->node[0], "test");
	GOES("u", "d", "a", "0 10 0");          /* the primary, if there is nothing better */
	node_worked(&nodes->node[2]);
	GOES("u", "d", "a", "0 0 10");
	say(nodes_draw(nodes, true) == &nodes->node[2] && nodes_balance(nodes), "a standby");
	end();
}

static void test_redirects(void)
{
	begin("user_redirect_preference_list = 'ann:primary,bob:2,eve:standby,sue:0(0.5),joe:7'\n"
	      "database_redirect_preference_list = 'shop:0'\n"
	      "app_name_redirect_preference_list = 'psql:2,top:primary(0.0)'");
	GOES("ann", "d", "a", "0 10 0");
	GOES("bob", "d", "a", "0 0 10");
	GOES("eve", "d", "a", "5 0 5");
	GOES("joe", "d", "a", "2 5 3", "3 5 2", "3 5 3", "2 5 2");      /* there is no node 7 */
	GOES("bob", "shop", "a", "10 0 0");
	GOES("ann", "shop", "psql", "0 0 10");
	GOES("ann", "d", "top",
	    "5 0 5");                               /* never the primary, then */
	GOES("sue", "d", "a", "6 3 1", "6 2 1", "6 3 2", "7 2 1");
	node_failed(&nodes->node[2], "test");
	GOES("bob", "d", "a", "3 7 0");
	GOES("eve", "d", "a", "10 0 0");
	end();
}

static void test_sessions_node(void)
{
	struct session s = { 0 };
	bool same = true, others = false;

	begin("");
	struct node *n = route_node(&rt, &s, "u", "d", "a");
	for (int i = 0; i < 50; i++)
		same &= route_node(&rt, &s, "u", "d", "a") == n;
	say(same && s.node == n, "a session keeps its node");
	node_failed(n, "test");
	for (int i = 0; i < 50; i++)
		others |= route_node(&rt, &s, "u", "d", "a") == n;
	say(!others && s.node == n, "others serve while it is down");
	node_worked(n);
	say(route_node(&rt, &s, "u", "d", "a") == n, "and it again afterwards");
	end();
	begin("statement_level_load_balance = on");
	s.node = n = &nodes->node[0];
	for (int i = 0; i < 50; i++)
		others |= route_node(&rt, &s, "u", "d", "a") != n;
	say(others, "or each statement is drawn");
	end();
}

static void test_drained(void)
{
	struct session s = { 0 };
	bool others = false;

	begin("user_redirect_preference_list = 'bob:2,ann:primary'");
	nodes->node[2].drained = true;
	GOES("u", "d", "a", "3 7 0", "4 6 0");
	GOES("bob", "d", "a", "3 7 0", "4 6 0");         /* nor by its name */
	GOES("ann", "d", "a", "0 10 0");
	nodes->node[1].drained = true;          /* the primary */
	GOES("u", "d", "a", "10 0 0");
	GOES("ann", "d", "a", "10 0 0");
	nodes->node[0].drained = true;
	GOES("u", "d", "a", "0 10 0");          /* there is no other */
	nodes->node[0].drained = nodes->node[1].drained = nodes->node[2].drained = false;
	s.node = &nodes->node[0];
	s.in_transaction = s.node->drained = true;
	for (int i = 0; i < 50; i++)
		others |= route_node(&rt, &s, "u", "d", "a") != s.node;
	say(!others, "a transaction that is open stays on a node that is drained");
	s.in_transaction = false;
	for (int i = 0; i < 50; i++)
		others |= route_node(&rt, &s, "u", "d", "a") == &nodes->node[0];
	say(!others, "the next one goes elsewhere");
	s.in_transaction = true;
	s.node->drained = false;
	node_failed(s.node, "test");
	say(route_node(&rt, &s, "u", "d", "a") != s.node, "and no transaction stays on a dead one");
	end();
}

int main(void)
{
	test_gate();
	test_writes();
	test_modes();
	test_relations();
	test_global();
	test_session();
	test_temporary_names();
	test_weights();
	test_redirects();
	test_sessions_node();
	test_drained();
	return done();
}
