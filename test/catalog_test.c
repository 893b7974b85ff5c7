/* catalog_test.c - what follows from the catalog's answers, and when it is asked again.  The node
 * that answers is this file. */
/* stmt.h has a struct name of its own. */
#define name query_name
#include "sql/lex.c"
#include "sql/body.c"
#include "sql.c"
#undef name

#include "route/catalog.c"

#include "t.h"

/* --- what is below --- */

static int64_t now = 1000;
static struct timer *due[8];
static bool balances = true;
static struct conf conf;
static struct base base = { .conf = &conf };
static struct servers servers = { .base = &base };
static struct account account = { .database = "db", .user = "" };

int64_t loop_now(const struct loop *l) { (void)l; return now; }

int timer_set(struct loop *l, struct timer *t, int64_t ms)
{
	size_t i = 0;

	(void)l;
	t->at = now + ms;
	while (due[i] && due[i] != t)
		i++;
	due[i] = t;
	return 0;
}

void timer_stop(struct loop *l, struct timer *t) { (void)l; t->at = INT64_MAX; }
bool nodes_balance(const struct nodes *all) { (void)all; return balances; }
struct node *nodes_draw(struct nodes *all, bool standbys) { return standbys ? &all->node[1] : NULL; }
void account_drop(struct account *a) { a->refs--; }
void ask_stop(struct ask *a) { (void)a; }

uint64_t stmt_hash(const struct stmts *all, const void *p, size_t n)
{
	uint64_t h = 1;

	(void)all;
	for (size_t i = 0; i < n; i++)
		h = (h ^ ((const uint8_t *)p)[i]) * 1099511628211u;
	return h;
}

static char custom[256];
static bool computes;

bool bodies_name(struct bodies *b, struct account *a, const char *name)
{
	(void)b, (void)a;
	strcat(strcat(custom, name), " ");
	return true;
}

void bodies_compute(struct bodies *b, struct account *a) { (void)b, (void)a, computes = true; }
bool route_names_has(const struct name_list *l, const char *name) { return (void)l, (void)name, false; }
void bodies_call(struct bodies *b, struct account *a) { (void)b, (void)a; }

static char told[256];

void log_record(struct log *l, struct log_who *who, enum level v, const char *place,
	const char *detail, const char *hint, const char *fmt, ...)
{
	(void)l, (void)who, (void)v, (void)place, (void)hint, (void)fmt;
	snprintf(told, sizeof told, "%s", detail);
}

/* --- the node --- */

static struct ask *asked;
static char names[16384], as_user[64];
static int questions;
static struct node *asked_node;
static const char *rows[300];

void ask_node(struct ask *a, struct node *n, const struct identity *as, const char *sql,
	const char *parameter, int64_t ms)
{
	const char *from = strstr(sql, "E'{") + 3;

	(void)parameter, (void)ms;
	asked = a;
	asked_node = n;
	a->waits = true;
	questions++;
	snprintf(as_user, sizeof as_user, "%s", as->user);
	snprintf(names, sizeof names, "%.*s", (int)(strstr(from, "}'::text[]") - from), from);
}

/* The rows are "index bits". */
int answer_row(struct answer *r, const char *field[], int max)
{
	static char text[2][16];
	int n = (int)(r->end - r->at);

	if (!rows[n] || max != 2)
		return 0;
	sscanf(rows[n], "%15s %15s", text[0], text[1]);
	field[0] = text[0];
	field[1] = text[1];
	r->end++;
	return 2;
}

static void answer(const char *why, bool no_server)
{
	static uint8_t byte;
	struct answer r = { .why = why, .no_server = no_server, .at = &byte, .end = &byte };

	asked->waits = false;
	asked->answered(asked, &r);
	memset(rows, 0, sizeof rows);
}

static void tick(int64_t ms)
{
	now += ms;
	for (size_t i = 0; i < sizeof due / sizeof *due && due[i]; i++)
		if (due[i]->at <= now) {
			due[i]->at = INT64_MAX;
			due[i]->fire(due[i]);
		}
}

static unsigned times_told;

static void heard(void *ctx) { (void)ctx; times_told++; }

/* --- the statement --- */

static struct catalog *cat;
static struct finding finding;

static uint32_t look_doubting(const char *text, uint32_t doubt)
{
	static char last[128];
	struct sql_facts f;

	if (strcmp(last, text))         /* a finding is one text's */
		finding = (struct finding){ 0 };
	snprintf(last, sizeof last, "%s", text);
	sql_classify(&f, text, strlen(text), NULL);
	return catalog_flags(cat, &account, &f, text, strlen(text), doubt, NULL, &finding)
	       & (SQL_FUNCTION | SQL_UNLOGGED | SQL_TEMPORARY | SQL_FOREIGN | SQL_CALLS
	          | SQL_UNKNOWN | SQL_CATALOG | SQL_TIME | SQL_ADVISORY | SQL_SETS);
}

static uint32_t look(const char *text)
{
	return look_doubting(text, 0);
}

static bool owes(const char *text)
{
	struct sql_facts f;

	sql_classify(&f, text, strlen(text), NULL);
	return catalog_owes(cat, &account, &f, text, strlen(text));
}

static void begin(void)
{
	static char checker[] = "checker";
	struct nodes *nodes = calloc(1, sizeof *nodes + 2 * sizeof nodes->node[0]);

	conf = (struct conf){ .relcache_size = 256, .check_unlogged_table = true,
		.check_temp_table = CHECK_TEMP_CATALOG, .sr_check_user = checker };
	servers.nodes = nodes;
	cat = catalog_new(&servers, NULL, heard, NULL);
	finding = (struct finding){ 0 };
	questions = times_told = 0;
}

static void end(void)
{
	catalog_free(cat);
	memset(due, 0, sizeof due);
	account.known = NULL;
	free(servers.nodes);
}

/* --- tests --- */

#define NOTHING_KNOWN (SQL_FUNCTION | SQL_FOREIGN | SQL_UNKNOWN)

static void test_answers(void)
{
	begin();
	say(look("SELECT f(1), s.g() FROM t, s.v") == NOTHING_KNOWN, "nothing known");
	say(questions == 0, "asked at the end of the turn");
	tick(0);
	say(questions == 1 && !strcmp(as_user, "checker"), "once");
	say(!strcmp(names, "{f,\"\",\"f\"},{f,\"s\",\"g\"},{r,\"\",\"t\"},{r,\"s\",\"v\"}"), "%s", names);
	say(look("SELECT f(1), s.g() FROM t, s.v") == NOTHING_KNOWN, "nobody waits");
	say(owes("SELECT f(1) FROM t") && times_told == 0, "who would, waits for this");
	tick(0);
	say(questions == 1, "nor asks again");
	rows[0] = "1 1", rows[1] = "2 1", rows[2] = "3 1", rows[3] = "4 1";
	answer(NULL, false);
	say(look("SELECT f(1), s.g() FROM t, s.v") == 0, "all read");
	say(!owes("SELECT f(1), s.g() FROM t, s.v") && times_told == 1, "and who waited is told");
	say(!owes("SELECT 1"), "nothing is asked of this");
	say(finding.generation == account.known->generation, "which is remembered");
	balances = false;
	say(look("SELECT f(1), s.g() FROM t, s.v") == 0, "and costs no look");
	balances = true;
	say(look("SELECT f(1) FROM v") == SQL_UNKNOWN && look("SELECT f(1) FROM s2.v") == SQL_UNKNOWN,
		"other names");
	tick(0);
	say(!strcmp(names, "{r,\"\",\"v\"},{r,\"s2\",\"v\"}"), "are asked for: %s", names);
	end();
}

static void test_bits(void)
{
	static const struct { const char *text, *row; uint32_t flags; } cases[] = {
		{ "SELECT f()", "1 9", SQL_FUNCTION },
		{ "SELECT f()", "1 25", SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS },
		{ "SELECT f()", "1 17", SQL_CALLS },
		{ "SELECT 1 FROM t", "1 17", SQL_CALLS },
		{ "EXPLAIN ANALYZE SELECT 1 FROM t", "1 27", SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS },
		{ "INSERT INTO u SELECT 1 FROM t", "1 25", SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS },
		{ "SELECT 1 FROM t FOR UPDATE", "1 7", 0 },
		{ "SELECT f()", NULL, SQL_FUNCTION | SQL_FOREIGN },
		{ "SELECT 1 FROM t", "1 3", SQL_TEMPORARY },
		{ "SELECT 1 FROM s.t", "1 3", 0 },
		{ "SELECT 1 FROM t", "1 5", SQL_UNLOGGED },
		{ "SELECT 1 FROM t", "1 9", SQL_FUNCTION },
		{ "SELECT 1 FROM t", "1 25", SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS },
		{ "SELECT 1 FROM t", NULL, SQL_UNKNOWN },
		{ "SELECT 1 FROM t", "1 33", 0 },       /* FAILED is our own */
		{ "SELECT 1 FROM t", "1 65", SQL_CATALOG },
		{ "SELECT 1 FROM t", "1 129", SQL_TIME },
		{ "SELECT 1 FROM t", "1 265", SQL_FUNCTION | SQL_ADVISORY },
		{ "SELECT 1 FROM t", "1 521", SQL_FUNCTION | SQL_SETS },
		{ "SELECT f()", "1 81", SQL_CALLS | SQL_CATALOG },
		{ "INSERT INTO u SELECT 1 FROM t", NULL, SQL_UNKNOWN },
		{ "CREATE TABLE u AS SELECT 1 FROM t", "1 521", SQL_FUNCTION | SQL_SETS },
		{ "COPY t TO STDOUT", "1 5", SQL_UNLOGGED },
		{ "INSERT INTO t SELECT f() FROM u", "1 9", SQL_FUNCTION | SQL_UNKNOWN },
		{ "SELECT 1 FROM t", "7 5", SQL_UNKNOWN },      /* no such line */
	};

	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		begin();
		look(cases[i].text);
		tick(0);
		rows[0] = cases[i].row;
		answer(NULL, false);
		say(look(cases[i].text) == cases[i].flags, "%s: %s", cases[i].text,
			cases[i].row ? cases[i].row : "nothing");
		end();
	}
	begin();
	look("SELECT 1 FROM t");
	tick(0);
	rows[0] = "-1 my.x";
	rows[1] = "1 521";
	rows[2] = "-1 my.y";
	answer(NULL, false);
	say(!strcmp(custom, "my.x my.y ") && !computes, "what a view sets");
	look("SELECT 1 FROM u");
	tick(0);
	rows[0] = "-2 -";
	answer(NULL, false);
	say(computes, "under a name that it computes");
	end();
	begin();
	conf.check_unlogged_table = false;
	conf.check_temp_table = CHECK_TEMP_TRACE;
	look("SELECT 1 FROM t");
	look("UPDATE t SET a = 1");
	look("INSERT INTO u SELECT 1 FROM t");
	tick(0);
	say(questions == 1, "a table may be a view or a sequence");
	answer(NULL, false);
	look("SELECT \"gr\xf6\xdf e\"()");
	tick(0);
	say(questions == 1, "what nobody can write is not asked");
	balances = false;
	look("SELECT f()");
	tick(0);
	say(questions == 1, "nor where there is one node");
	balances = true;
	end();
}

static void test_quoting(void)
{
	begin();
	look("SELECT \"a'b\"\"c\\d{,}\"()");
	tick(0);
	say(!strcmp(names, "{f,\"\",\"a''b\\\\\"c\\\\\\\\d{,}\"}"), "%s", names);
	answer(NULL, false);
	look("SELECT 1 FROM a.\xc3\xb6");
	tick(0);
	say(!strcmp(names, "{R,\"61\",\"c3b6\"}"), "%s", names);
	end();
}

static void test_utf8(void)
{
	static const char *const good[] = { "", "a", "\x7f", "\xc2\x80", ("\xdf\xbf" "a"), "\xe0\xa0\x80",
		"\xed\x9f\xbf", "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf" };
	static const char *const bad[] = { "\x80", "\xc1\x80", "\xc2", ("\xc2" "a"), "\xe0\x9f\xbf",
		"\xed\xa0\x80", "\xe1\x80", "\xf0\x8f\x80\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xff", "a\xf1\x80\x80" };

	for (size_t i = 0; i < sizeof good / sizeof *good; i++)
		say(is_utf8(good[i]), "a text: %zu", i);
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		say(!is_utf8(bad[i]), "no text: %zu", i);
}

/* Operators and types that run volatile code. */
static void test_hidden(void)
{
	begin();
	say(look("SELECT 1 ### 2") == 0, "nothing is known");
	look("SELECT f()");
	tick(0);
	rows[0] = "0 ###", rows[1] = "1 1", rows[2] = "0 dom";
	answer(NULL, false);
	const uint32_t runs = SQL_FUNCTION | SQL_FOREIGN | SQL_CALLS;
	say(look("SELECT 1 ### 2") == runs && look("SELECT 1 ## 2") == 0, "an operator");
	say(look("SELECT 1::dom") == runs && look("SELECT CAST(1 AS s.DOM)") == runs
	    && look("SELECT dom '1'") == runs && look("SELECT '1'::s.\"dom\"[]") == runs, "a type");
	say(look("SELECT dom, 'dom', \"Dom\" FROM generate_series(1, 2) x(dom)") == 0, "a column");
	say(look("SELECT 1::int dom") == 0 && look("SELECT a::s.t.dom.x") == runs, "nothing else");
	catalog_changed(cat, &account);
	tick(0);
	say(look("SELECT 1 ### 2") == runs, "they hold until others are known");
	answer(NULL, false);
	say(look("SELECT 1 ### 2") == 0, "and no longer");
	end();
}

static void test_time(void)
{
	begin();
	conf.relcache_expire = 60;
	look("SELECT 1 FROM t");
	tick(0);
	rows[0] = "1 5";
	answer(NULL, false);
	tick(59999);
	say(look("SELECT 1 FROM t") == SQL_UNLOGGED, "good for a minute");
	tick(1);
	say(look("SELECT 1 FROM t") == SQL_UNLOGGED, "and a moment longer, since it is used");
	tick(0);
	say(questions == 2, "asked again");
	answer(NULL, false);
	say(look("SELECT 1 FROM t") == SQL_UNKNOWN, "there is none");
	tick(SHORT - 1);
	look("SELECT 1 FROM t");
	tick(0);
	say(questions == 2, "that there is none is believed");
	tick(1);
	look("SELECT 1 FROM t");
	tick(0);
	say(questions == 3, "for a moment");
	answer(NULL, false);
	tick(SHORT);
	tick(SHORT);
	say(questions == 3 && cat->n == 0, "what nobody uses is forgotten");
	end();
}

static void test_changes(void)
{
	begin();
	look("SELECT f()");
	tick(0);
	rows[0] = "1 1";
	answer(NULL, false);
	say(look("SELECT f()") == 0, "reads");
	catalog_changed(cat, &account);
	tick(0);
	say(questions == 2, "what was used is asked for at once after DDL");
	say(look("SELECT f()") != 0, "nothing is known then");
	tick(0);
	catalog_changed(cat, &account);
	rows[0] = "1 1";
	answer(NULL, false);
	say(look("SELECT f()") != 0 && questions == 3, "an answer from before is not believed");
	rows[0] = "1 9";
	answer(NULL, false);
	say(look("SELECT f()") == SQL_FUNCTION, "but the next");
	catalog_reload(cat);
	say(look("SELECT f()") == (SQL_FUNCTION | SQL_FOREIGN), "a reload forgets");
	tick(0);
	rows[0] = "1 1";
	answer(NULL, false);
	int before = questions;
	say(look("SELECT f()") == 0, "it reads after all");
	catalog_changed(cat, &account);
	tick(0);
	answer(NULL, false);
	catalog_changed(cat, &account);
	tick(0);
	say(questions == before + 1 && cat->n == 0, "what is used no longer is not asked for again");
	end();
}

static void test_doubt(void)
{
	begin();
	look("SELECT 1 FROM t");
	tick(0);
	rows[0] = "1 1";
	answer(NULL, false);
	uint32_t doubt = catalog_now(cat);
	say(look("SELECT 1 FROM t") == 0, "a table");
	say(look_doubting("SELECT 1 FROM t", doubt) == SQL_TEMPORARY, "who doubts does not believe it");
	say(look_doubting("SELECT 1 FROM s.t", doubt) == SQL_UNKNOWN, "which is not known");
	say(look_doubting("SELECT 1 FROM u", doubt) == SQL_UNKNOWN, "nor what is not known");
	say(look("SELECT 1 FROM t") == 0, "others do");
	tick(REFRESH);
	questions = 0;
	rows[0] = "1 1";
	answer(NULL, false);
	say(look_doubting("SELECT 1 FROM s.t", doubt) == 0, "a schema leaves no doubt");
	look_doubting("SELECT 1 FROM t", doubt);
	tick(0);
	say(questions == 1 && strstr(names, "\"t\""), "it is asked for again");
	say(look("SELECT 1 FROM t") == 0, "and known to others meanwhile");
	say(look_doubting("SELECT 1 FROM t", DOUBT_ALL) == SQL_TEMPORARY, "in a transaction");
	rows[0] = "1 1";
	answer(NULL, false);
	say(look_doubting("SELECT 1 FROM t", doubt) == 0, "a younger answer is believed");
	say(look_doubting("SELECT 1 FROM t", doubt) == 0 && finding.serial > doubt, "and remembered");
	say(look_doubting("SELECT 1 FROM t", catalog_now(cat)) == SQL_TEMPORARY, "until the next doubt");
	end();
}

/* A session that has read an unknown view, which may have made a table. */
static void test_doubt_of_the_unknown(void)
{
	for (int makes = 0; makes < 2; makes++) {
		begin();
		look("SELECT 1 FROM t");
		tick(0);
		look("SELECT 1 FROM v");
		uint32_t now_ = catalog_now(cat);
		say(catalog_doubt(cat, &account, now_, 0) == DOUBT_ALL, "nothing is believed");
		rows[0] = "1 1";
		answer(NULL, false);
		say(catalog_doubt(cat, &account, now_, 0) == DOUBT_ALL, "until all is known");
		rows[0] = makes ? "1 25" : "1 9";
		answer(NULL, false);
		say(catalog_doubt(cat, &account, now_, 0) == (makes ? catalog_now(cat) : 0), "makes: %d",
			makes);
		say(catalog_doubt(cat, &account, now_, 99) == 99, "never less than before");
		say(catalog_doubt(cat, &account, catalog_now(cat) + 1, 3) == 3, "who read it later knows");
		end();
	}
	begin();
	say(catalog_doubt(cat, &account, 1, 5) == 5, "where nothing was asked");
	end();
}

static void test_names_that_cannot_be_asked_for(void)
{
	begin();
	say(look("SELECT 1 FROM gr\xf6") == SQL_UNKNOWN, "nobody knows it");
	say(finding.generation == account.known->generation, "which is remembered");
	say(look("SELECT gr\xf6()") == (SQL_FUNCTION | SQL_FOREIGN), "a function may do anything");
	end();
}

/* A finding is no older than the answers that it was made of. */
static void test_refreshed(void)
{
	begin();
	look("SELECT 1 FROM t");
	tick(0);
	rows[0] = "1 5";
	answer(NULL, false);
	say(look("SELECT 1 FROM t") == SQL_UNLOGGED, "an unlogged table");
	struct finding kept = finding;
	tick(REFRESH);
	look_doubting("SELECT 1 FROM t", catalog_now(cat));
	tick(0);
	rows[0] = "1 5";
	answer(NULL, false);
	say(kept.generation == account.known->generation, "that it still is changes nothing");
	tick(REFRESH);
	look_doubting("SELECT 1 FROM t", catalog_now(cat));
	tick(0);
	rows[0] = "1 1";
	answer(NULL, false);
	say(questions == 3 && kept.generation != account.known->generation, "that it is not, does");
	say(look("SELECT 1 FROM t") == 0, "and is seen");
	end();
}

/* Whoever drops it does not say so to the catalog. */
static void test_temporary_table_is_dropped(void)
{
	begin();
	look("SELECT 1 FROM t");
	tick(0);
	rows[0] = "1 3";
	answer(NULL, false);
	questions = 0;
	say(look("SELECT 1 FROM t") == SQL_TEMPORARY, "there is one");
	tick(0);
	say(!questions && !finding.generation, "which was asked just now, and is not remembered");
	tick(REFRESH);
	say(look("SELECT 1 FROM t") == SQL_TEMPORARY, "still");
	tick(0);
	rows[0] = "1 1";
	answer(NULL, false);
	say(questions == 1 && look("SELECT 1 FROM t") == 0, "who reads it soon learns that it is gone");
	end();
}

static void test_failures(void)
{
	begin();
	look("SELECT f() FROM t");
	tick(0);
	answer("no login", true);
	say(questions == 2 && !strcmp(as_user, account.user) && !*told, "the session's user is next");
	answer("no login either", true);
	say(!strcmp(told, "no login either"), "told");
	*told = '\0';
	say(look("SELECT f() FROM t") == NOTHING_KNOWN, "nothing is known");
	say(finding.generation == account.known->generation, "which is remembered");
	say(look_doubting("SELECT 1 FROM t", 5) == SQL_UNKNOWN, "nor by whoever doubts");
	tick(0);
	say(questions == 2, "for a moment");
	tick(SHORT);
	look("SELECT f() FROM t");
	tick(0);
	say(questions == 3, "then it is tried again");
	answer("still not", true);
	say(!*told, "and not told again");
	end();
	begin();
	look("SELECT 1 FROM t");
	tick(0);
	rows[0] = "1 5";
	answer(NULL, false);
	tick(REFRESH);
	look_doubting("SELECT 1 FROM t", catalog_now(cat));
	tick(0);
	answer("canceled", false);
	say(look("SELECT 1 FROM t") == SQL_UNLOGGED, "an old answer is better than none");
	end();
	begin();
	look("SELECT 1 FROM t");
	tick(0);
	rows[0] = "1 3";
	answer(NULL, false);
	tick(SHORT - 1);
	look_doubting("SELECT 1 FROM t", catalog_now(cat));
	tick(0);
	tick(1);
	answer("canceled", false);
	tick(0);
	say(look("SELECT 1 FROM t") == SQL_UNKNOWN, "but not one that is over");
	end();
	begin();
	conf.relcache_expire = 0;
	look("SELECT f()");
	tick(0);
	rows[0] = "1 1";
	answer(NULL, false);
	struct known *e = cat->newest;
	want(e);
	tick(0);
	catalog_changed(cat, &account);
	answer(NULL, false);            /* which is from before */
	answer("canceled", false);
	say(look("SELECT f()") == (SQL_FUNCTION | SQL_FOREIGN), "nor one from before DDL");
	tick(SHORT);
	say(look("SELECT f()") && (tick(0), questions == 4), "and asked again soon");
	end();
}

static void test_room(void)
{
	char text[64];
	bool ok = true;

	begin();
	conf.relcache_size = 10;
	for (int i = 0; i < 50; i++) {
		snprintf(text, sizeof text, "SELECT f%d()", i);
		look(text);
		tick(0);
		rows[0] = "1 1";
		answer(NULL, false);
		ok &= look(text) == 0;
	}
	say(ok && cat->n == 10, "10 of 50 names are remembered");
	int before = questions;
	look("SELECT f45(), f49()");
	tick(0);
	say(questions == before, "the last ones");
	look("SELECT f3()");
	tick(0);
	say(questions == before + 1, "not the first");
	end();
	begin();
	for (int i = 0; i < 250; i++) {
		snprintf(text, sizeof text, "SELECT f%d()", i);
		look(text);
	}
	tick(0);
	say(questions == 1, "many names");
	answer(NULL, false);
	for (int i = 0; i < 250; i++) {
		snprintf(text, sizeof text, "SELECT f%d()", i);
		look(text);
	}
	tick(0);
	answer(NULL, false);
	look("SELECT f249()");
	tick(0);
	answer(NULL, false);
	say(questions == 3 && cat->n == 250, "100 at a time");
	end();
}

static void look_at_100(int from)
{
	char text[64];

	for (int i = from; i < from + BATCH; i++) {
		snprintf(text, sizeof text, "SELECT f%d()", i);
		look(text);
	}
}

/* Names that have to be asked for again wait with new ones, and more do not come. */
static void test_bound(void)
{
	begin();
	look_at_100(0);
	struct database *db = OWNER(account.known, struct database, seen);
	take_batch(db);
	look_at_100(100);
	take_back(db);          /* without memory for the question */
	look_at_100(200);
	say(db->nwanted == 2 * BATCH, "two batches wait, not %u names", db->nwanted);
	end();
}

static void test_forgotten_in_time(void)
{
	begin();
	conf.relcache_size = 1;
	look("SELECT 1 FROM t");
	tick(0);
	answer(NULL, false);
	say(look("SELECT 1 FROM t") == SQL_UNKNOWN, "short-lived");
	struct finding kept = finding;
	look("SELECT 1 FROM u");
	tick(SHORT);
	say(kept.generation != account.known->generation,
		"a finding does not outlive an answer that had to make room");
	end();
}

static void test_standby(void)
{
	begin();
	conf.relcache_query_target = RELCACHE_BALANCED;
	look("SELECT f() FROM t");
	tick(0);
	say(asked_node == &servers.nodes->node[1], "a standby is asked");
	rows[0] = "1 1", rows[1] = "2 1";
	answer(NULL, false);
	say(look("SELECT f() FROM t") == 0, "and believed");
	say(look_doubting("SELECT f() FROM t", 1) == SQL_TEMPORARY, "but not by who doubts");
	tick(SHORT);
	say(look("SELECT f() FROM t") == 0, "reads go on");
	look("SELECT f() FROM t");
	tick(0);
	say(questions == 2, "for a moment");
	end();
	begin();
	servers.nodes->node[0].state = NODE_DOWN;
	look("SELECT f() FROM t");
	tick(0);
	say(asked_node == &servers.nodes->node[1], "nobody waits for a primary that is down");
	servers.nodes->node[0].state = NODE_UP;
	end();
}

int main(void)
{
	test_answers();
	test_bits();
	test_quoting();
	test_time();
	test_changes();
	test_doubt();
	test_doubt_of_the_unknown();
	test_names_that_cannot_be_asked_for();
	test_utf8();
	test_hidden();
	test_refreshed();
	test_temporary_table_is_dropped();
	test_failures();
	test_room();
	test_bound();
	test_forgotten_in_time();
	test_standby();
	return done();
}
