/* script_test.c - what stays of a session's settings, and what goes with its transaction. */
#include "client/script.c"
#include "sql.c"
#include "sql/body.c"
#include "sql/lex.c"
#include "sql/setting.c"
#include "wire.c"

#include <stdio.h>

#include "t.h"

static int add(struct script *s, enum sql_kind kind, uint32_t flags, const char *name,
               const char *text)
{
	struct sql_facts f = { .kind = (uint8_t)kind, .inner = (uint8_t)kind, .flags = flags };

	return script_add(s, &f, name, text, strlen(text));
}

/* The lines' texts, joined by "; ". */
static const char *texts(const struct script *s)
{
	static char out[4096];
	size_t n = 0;

	*out = 0;
	for (uint32_t i = 0; i < s->n && n < sizeof out; i++)
		n += (size_t)snprintf(out + n, sizeof out - n, "%s%s", i ? "; " : "",
		    s->line[i].text);
	return out;
}

#define IS(s, want) say(!strcmp(texts(s), want), "\"%s\" is \"%s\"", texts(s), want)

static void test_add(void)
{
	struct script s = { 0 };
	struct sql_facts f = { .kind = SQL_SET, .flags = SQL_LOCAL };

	script_commit(&s);
	script_rollback(&s);
	say(s.n == 0 && !s.full && !script_begin(&s), "an empty script has nothing");
	say(script_add(&s, &f, "a", "SET LOCAL a = 1; more", 15) == 0, "added");
	IS(&s, "SET LOCAL a = 1");
	say(s.line[0].serial == 1 && s.serial == 1 && !strcmp(s.line[0].name, "a"),
	    "its serial and name");
	say(s.line[0].kind == SQL_SET && s.line[0].flags == SQL_LOCAL, "its kind and flags");
	add(&s, SQL_SET, 0, "b", "SET b = 1");
	say(s.line[1].serial == 2, "serials rise");
	script_rollback(&s);
	add(&s, SQL_SET, 0, "b", "SET b = 2");
	say(s.n == 1 && s.line[0].serial == 3, "and are never given out again");
	script_free(&s);
	say(!s.line && !s.n && !s.serial, "freed");
}

static void test_commit(void)
{
	struct script s = { 0 };

	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	add(&s, SQL_SET, 0, "a", "SET a = 1");
	add(&s, SQL_SET, SQL_LOCAL, "b", "SET LOCAL b = 1");
	add(&s, SQL_SAVEPOINT, 0, "p", "SAVEPOINT p");
	add(&s, SQL_SET_TRANSACTION, 0, "", "SET TRANSACTION READ ONLY");
	add(&s, SQL_SET, 0, "c", "SET c = 1");
	add(&s, SQL_RESET, 0, "d", "RESET d");
	script_commit(&s);
	IS(&s, "SET a = 1; SET c = 1; RESET d");
	say(s.transaction == s.n && !script_begin(&s), "no transaction is open");
	say(s.line[0].serial == 2 && s.line[2].serial == 7 && s.serial == 7, "serials stay");
	script_rollback(&s);
	IS(&s, "SET a = 1; SET c = 1; RESET d");
	script_free(&s);
}

static void test_rollback(void)
{
	struct script s = { 0 };

	add(&s, SQL_SET, 0, "a", "SET a = 1");
	script_commit(&s);
	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	add(&s, SQL_SET, 0, "a", "SET a = 2");
	add(&s, SQL_RESET, SQL_ALL, "", "RESET ALL");
	script_rollback(&s);
	IS(&s, "SET a = 1");
	say(s.transaction == 1, "older than any transaction to come");
	script_free(&s);
}

static void test_overrule(void)
{
	struct script s = { 0 };

	add(&s, SQL_SET, 0, "a", "SET a = 1");
	add(&s, SQL_SET, 0, "b", "SET b = 1");
	add(&s, SQL_SET, 0, "a", "SET a = 2");
	script_commit(&s);
	IS(&s, "SET b = 1; SET a = 2");
	add(&s, SQL_RESET, 0, "b", "RESET b");
	script_commit(&s);
	IS(&s, "SET a = 2; RESET b");
	add(&s, SQL_SET, SQL_LOCAL, "a", "SET LOCAL a = 3");
	script_commit(&s);
	IS(&s, "SET a = 2; RESET b");
	add(&s, SQL_SET, 0, "", "SET something");
	add(&s, SQL_SET, 0, "", "SET otherwise");
	script_commit(&s);
	IS(&s, "SET a = 2; RESET b; SET something; SET otherwise");
	add(&s, SQL_DISCARD, 0, "plans", "DISCARD PLANS");
	script_commit(&s);
	say(s.n == 5, "DISCARD of something else overrules nothing");
	add(&s, SQL_DISCARD, SQL_ALL, "all", "DISCARD ALL");
	add(&s, SQL_SET, 0, "c", "SET c = 1");
	script_commit(&s);
	IS(&s, "DISCARD ALL; SET c = 1");
	script_free(&s);
}

/* Two settings of one parameter in a transaction stay apart until it is committed: a savepoint
 * between them may bring the first one back. */
static void test_rollback_to(void)
{
	struct script s = { 0 };

	say(script_rollback_to(&s, "p") == 0, "no savepoint in nothing");
	add(&s, SQL_SAVEPOINT, 0, "p", "SAVEPOINT old");
	s.transaction = s.n;
	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	say(script_rollback_to(&s, "p") == 2 && s.n == 2, "none of before the transaction");
	add(&s, SQL_SET, 0, "a", "SET a = 1");
	add(&s, SQL_SAVEPOINT, 0, "p", "SAVEPOINT p");
	add(&s, SQL_SET, 0, "a", "SET a = 2");
	add(&s, SQL_SAVEPOINT, 0, "q", "SAVEPOINT q");
	add(&s, SQL_SAVEPOINT, 0, "p", "SAVEPOINT p");
	add(&s, SQL_SET, 0, "a", "SET a = 3");
	say(script_rollback_to(&s, "x") == 8 && s.n == 8, "a savepoint that is not there");
	say(script_rollback_to(&s, "p") == 7 && s.n == 7, "the newest of that name");
	say(script_rollback_to(&s, "p") == 7 && s.n == 7, "stays, for the next time");
	say(script_rollback_to(&s, "q") == 6 && s.n == 6,
	    "an older one takes the newer ones along");
	say(script_rollback_to(&s, "p") == 4 && s.n == 4, "so that the name means an older one");
	say(s.serial == 8, "serials go on");
	script_commit(&s);
	IS(&s, "SET a = 1");
	script_free(&s);
}

static void test_begin(void)
{
	struct script s = { 0 };

	add(&s, SQL_SET, 0, "a", "SET a = 1");
	script_commit(&s);
	say(!script_begin(&s), "no BEGIN outside a transaction");
	add(&s, SQL_BEGIN, SQL_READ_ONLY, "", "BEGIN READ ONLY");
	add(&s, SQL_SET, SQL_LOCAL, "b", "SET LOCAL b = 1");
	char *begin = script_begin(&s);
	say(begin && !strcmp(begin, "BEGIN READ ONLY"), "the BEGIN of an open one");
	script_rollback(&s);
	say(begin && !strcmp(begin, "BEGIN READ ONLY") && !script_begin(&s),
	    "is the caller's copy");
	free(begin);
	script_free(&s);
}

/* The level that the settings give to transactions, and what is older than the open one. */
static void test_level(void)
{
	static const char name[] = "default_transaction_isolation";
	struct sql_setting level = { .name = "default_transaction_isolation", .n = 1,
		.len = sizeof "Repeatable Read", .values = "Repeatable Read" };
	struct sql_setting next = { .name = "default_transaction_isolation", .n = 1,
		.len = sizeof "serializable", .values = "serializable" };
	struct script s = { 0 };

	say(!script_default_level(&s) && !script_settled(&s), "none");
	script_set(&s, &level);
	script_commit(&s);
	say(script_default_level(&s) == LEVEL_REPEATABLE_READ && script_settled(&s) == 1, "set");
	add(&s, SQL_SET, 0, "default_transaction_deferrable", "b");
	say(script_default_level(&s) == LEVEL_REPEATABLE_READ, "another characteristic leaves it");
	script_set(&s, &next);
	say(script_default_level(&s) == LEVEL_SERIALIZABLE && script_settled(&s) == 1, "in a transaction");
	say(script_settle(&s, &(struct sql_setting){ .name = "a.b", .reset = true }) == 0
	    && script_settled(&s) == 1, "what is told later comes again");
	script_rollback(&s);
	say(script_default_level(&s) == LEVEL_REPEATABLE_READ, "that is undone");
	add(&s, SQL_RESET, SQL_ALL, "", "d");
	say(!script_default_level(&s), "RESET ALL");
	script_rollback(&s);
	add(&s, SQL_SET, SQL_DEFAULT, name, "e");
	say(!script_default_level(&s), "TO DEFAULT");
	script_free(&s);
}

static void test_full(void)
{
	struct script s = { 0 };
	int failed = 0;
	char name[32];

	for (int i = 0; i < SCRIPT_LINES; i++) {
		snprintf(name, sizeof name, "a%d", i);
		failed += add(&s, SQL_SET, 0, name, "SET it") != 0;
	}
	say(failed == 0 && s.n == SCRIPT_LINES && !s.full, "%d lines fit", SCRIPT_LINES);
	script_commit(&s);
	say(add(&s, SQL_SET, 0, "b", "SET it") == -1 && s.full && s.n == SCRIPT_LINES,
	    "one more is too many");
	say(s.serial == SCRIPT_LINES, "and gets no serial");
	script_commit(&s);
	say(s.n == SCRIPT_LINES && s.full, "a commit does not make room if all lines count");
	script_free(&s);
	say(!s.full, "freed");

	for (int i = 0; i < 10000; i++) {
		failed += add(&s, SQL_SET, 0, "a", i % 2 ? "SET a = 1" : "SET a = 2") != 0;
		script_commit(&s);
	}
	say(failed == 0 && s.n == 1 && s.serial == 10000, "one parameter can be set for ever");
	IS(&s, "SET a = 1");
	script_free(&s);
}

/* A transaction of many lines. */
static void test_spilt(void)
{
	struct script s = { 0 };
	int failed = 0;
	char name[16];

	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	for (int i = 0; i < 10000; i++) {
		failed += add(&s, SQL_SET, 0, "a", i % 2 ? "SET a = 1" : "SET a = 2") != 0;
		failed += add(&s, SQL_SET, SQL_LOCAL, "a", "SET LOCAL a = 3") != 0;
		failed += add(&s, SQL_SET_TRANSACTION, 0, "",
			i % 2 ? "SET TRANSACTION READ ONLY" : "SET TRANSACTION READ WRITE") != 0;
	}
	say(!failed && script_is_whole(&s), "one parameter can be set for ever");
	for (int i = 0; i < 10000; i++)
		failed += add(&s, SQL_SAVEPOINT, 0, "x", "SAVEPOINT x") != 0;
	say(!failed && script_is_whole(&s), "and a savepoint");
	script_rollback_to(&s, "x");
	add(&s, SQL_SET, 0, "b", "SET b = 1");
	add(&s, SQL_SAVEPOINT, 0, "y", "SAVEPOINT y");
	for (int i = 0; i < 9999; i++)
		script_release(&s, "x");
	add(&s, SQL_SET, 0, "b", "SET b = 2");
	say(s.line[s.n - 2].kind == SQL_SET, "y has gone with x");
	script_rollback_to(&s, "x");
	say(s.line[s.n - 1].kind == SQL_SAVEPOINT, "one x is left");
	script_release(&s, "x");
	script_commit(&s);
	IS(&s, s.line[0].text);
	say(s.n == 1 && !strcmp(s.line[0].name, "a"), "the last a counts, b is undone");

	for (int i = 0; i < SCRIPT_LINES + 1; i++) {
		snprintf(name, sizeof name, "a%d", i);
		add(&s, SQL_SET, 0, name, "SET a = 1");
	}
	say(!script_is_whole(&s) && s.spilt && !s.full, "too many different ones");
	script_commit(&s);
	say(s.spilt, "which a COMMIT does not make good");
	script_renew(&s);
	say(script_is_whole(&s) && s.n == 0, "but an answer does");
	for (int i = 0; i < SCRIPT_LINES + 1; i++) {
		struct sql_setting set = { .n = 1, .len = 2, .values = "1" };
		snprintf(set.name, sizeof set.name, "a%d", i);
		script_settle(&s, &set);
	}
	say(s.full && !s.spilt, "unless that is too much");
	script_renew(&s);
	say(s.full, "for ever");
	script_free(&s);
}

/* What stands behind a role needs its rights. */
static void test_spilt_roles(void)
{
	struct script s = { 0 };

	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	add(&s, SQL_SET, 0, "role", "SET ROLE a");
	add(&s, SQL_SET, 0, "b", "SET b = 1");
	add(&s, SQL_SET, 0, "role", "SET ROLE c");
	add(&s, SQL_SET, 0, "role", "SET ROLE d");
	for (int i = 0; i < SCRIPT_LINES; i++)
		add(&s, SQL_SET, 0, "e", "SET e = 1");
	say(script_is_whole(&s) && s.n < SCRIPT_LINES, "squeezed");
	say(!strcmp(s.line[1].text, "SET ROLE a") && !strcmp(s.line[2].text, "SET b = 1")
	    && !strcmp(s.line[3].text, "SET ROLE d"), "a role stays in front of what it may set");
	script_free(&s);
}

static void test_forget(void)
{
	struct script s = { 0 };

	for (int i = 0; i < SCRIPT_LINES + 1; i++) {
		char name[16];
		snprintf(name, sizeof name, "a%d", i);
		add(&s, SQL_SET, 0, name, "SET a = 1");
	}
	uint32_t serial = s.serial;
	say(!script_is_whole(&s), "too much");
	s.full = true;
	script_forget(&s);
	say(script_is_whole(&s) && s.n == 0 && s.serial == serial, "forgotten");
	add(&s, SQL_DISCARD, 0, "", "DISCARD ALL");
	say(s.n == 1 && s.line[0].serial > serial, "serials rise");
	script_free(&s);
	add(&s, SQL_SET, 0, "a.b", "SET a.b = 1");
	s.full = true;
	script_forget(&s);
	say(!s.full, "what nobody knows is forgotten");
	IS(&s, "RESET \"a\".\"b\"");
	script_free(&s);
}

static void set(struct script *s, const char *name, const char *value, bool local)
{
	struct sql_setting set = { .n = 1, .local = local };

	snprintf(set.name, sizeof set.name, "%s", name);
	set.len = (size_t)snprintf(set.values, sizeof set.values, "%s", value) + 1;
	say(script_set(s, &set) == 0, "set %s", name);
}

/* An answer tells the role, though nobody has set one: that is no reason to parse anew. */
static void test_parsing(void)
{
	struct script s = { 0 };
	uint32_t mark = script_parsing(&s);

	set(&s, "role", "none", false);
	set(&s, "work_mem", "1MB", false);
	say(script_parsing(&s) == mark, "as before");
	set(&s, "role", "a", false);
	say(script_parsing(&s) != mark, "a role");
	set(&s, "role", "none", false);
	say(script_parsing(&s) != mark, "maybe there was one at the start");
	script_commit(&s);
	mark = script_parsing(&s);
	set(&s, "search_path", "a", false);
	say(script_parsing(&s) != mark, "a path");
	script_free(&s);
}

/* The role comes last: what else is set may need the rights of the login. */
static void test_order(void)
{
	struct script s = { 0 };

	set(&s, "role", "a", false);
	set(&s, "session_authorization", "b", false);
	set(&s, "log_statement", "all", false);
	script_commit(&s);
	IS(&s, "SET \"log_statement\" = E'all'; SET \"session_authorization\" = E'b'");
	set(&s, "role", "c", false);
	set(&s, "work_mem", "1MB", false);
	script_commit(&s);
	IS(&s, "SET \"log_statement\" = E'all'; SET \"work_mem\" = E'1MB';"
	       " SET \"session_authorization\" = E'b'; SET \"role\" = E'c'");
	script_free(&s);
}

/* What the answer says is from before the open transaction. */
static void test_settle(void)
{
	struct script s = { 0 };
	struct sql_setting told = { .name = "a", .n = 1, .len = 2, .values = "2" };

	set(&s, "a", "1", false);
	script_commit(&s);
	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	set(&s, "a", "3", false);
	say(!strcmp(script_find(&s, "a")->value, "1") && !script_find(&s, "b"), "before the transaction");
	say(script_settle(&s, &told) == 0, "told");
	IS(&s, "SET \"a\" = E'1'; SET \"a\" = E'2'; BEGIN; SET \"a\" = E'3'");
	say(!strcmp(script_find(&s, "a")->value, "2"), "the new one");
	script_rollback(&s);
	script_commit(&s);
	IS(&s, "SET \"a\" = E'2'");
	add(&s, SQL_RESET, SQL_ALL, "", "RESET ALL");
	script_commit(&s);
	say(script_find(&s, "a")->kind == SQL_RESET, "or all were reset");
	script_free(&s);
}

/* A custom name that was there once reads '' and not NULL. */
static void test_custom(void)
{
	struct script s = { 0 };

	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	set(&s, "a.b", "1", true);
	set(&s, "a.c", "1", true);
	set(&s, "a.c", "2", false);
	set(&s, "plain", "1", true);
	script_commit(&s);
	IS(&s, "RESET \"a\".\"b\"; SET \"a\".\"c\" = E'2'");
	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	set(&s, "a.c", "3", false);
	set(&s, "a.d", "3", false);
	script_rollback(&s);
	IS(&s, "RESET \"a\".\"b\"; SET \"a\".\"c\" = E'2'; RESET \"a\".\"d\"");
	script_touch(&s, "a.d");
	script_touch(&s, "a.e");
	script_touch(&s, "plain");
	script_commit(&s);
	IS(&s, "RESET \"a\".\"b\"; SET \"a\".\"c\" = E'2'; RESET \"a\".\"d\"; RESET \"a\".\"e\"");
	script_free(&s);
}

/* After RELEASE the name means an older savepoint. */
static void test_release(void)
{
	struct script s = { 0 };

	add(&s, SQL_BEGIN, 0, "", "BEGIN");
	add(&s, SQL_SAVEPOINT, 0, "a", "SAVEPOINT a");
	set(&s, "x", "1", false);
	add(&s, SQL_SAVEPOINT, 0, "a", "SAVEPOINT a");
	add(&s, SQL_SAVEPOINT, 0, "b", "SAVEPOINT b");
	set(&s, "x", "2", false);
	script_release(&s, "nothing");
	say(s.n == 6, "no such savepoint");
	script_release(&s, "a");
	IS(&s, "BEGIN; SAVEPOINT a; SET \"x\" = E'1'; SET \"x\" = E'2'");
	say(script_rollback_to(&s, "a") == 2 && s.n == 2, "to the older one");
	script_free(&s);
}

int main(void)
{
	test_add();
	test_commit();
	test_rollback();
	test_overrule();
	test_rollback_to();
	test_level();
	test_begin();
	test_full();
	test_spilt();
	test_spilt_roles();
	test_forget();
	test_parsing();
	test_order();
	test_settle();
	test_custom();
	test_release();
	return done();
}
