/* stmt_test.c - texts that are shared and counted, names that come and go, the hash. */
#include "server/stmt.c"

#include <stdio.h>

#include "t.h"

enum { MANY = 5000 };

static const struct sql_facts facts = { .kind = SQL_SELECT, .inner = SQL_SELECT };

static struct stmt *get(struct stmts *all, const char *text)
{
	return stmt_get(all, false, text, strlen(text), &facts);
}

/* --- texts --- */

static void test_sharing(void)
{
	struct stmts *all = stmts_new();
	struct stmt *a = get(all, "SELECT 1"), *b = get(all, "SELECT 1"), *c = get(all, "SELECT 2");

	say(a && a == b && a != c, "equal texts are one object");
	say(a->refs == 2 && c->refs == 1 && all->count == 2, "counted for each who asked");
	say(a->len == 8 && !strcmp(a->text, "SELECT 1") && a->facts.kind == SQL_SELECT,
	    "what it holds");
	say(stmt_hold(c) == c && c->refs == 2, "held");
	struct stmt *d = stmt_get(all, true, "SELECT 1", 8, &facts);
	say(d != a && d->sql && !a->sql, "a PREPARE and a Parse of one text are two");
	struct stmt *e = stmt_get(all, false, "SELECT 1\0\0\0", 11, &facts);
	struct stmt *f = stmt_get(all, false, "SELECT 1\0\0\1", 11, &facts);
	say(e != a && e != f, "what is behind the query counts");
	struct stmt *g = stmt_get(all, false, "", 0, &facts);
	say(g && g->len == 0 && !*g->text && all->count == 6, "an empty one");
	stmt_drop(all, a);
	say(get(all, "SELECT 1") == a, "one of two drops leaves it");
	stmt_drop(all, NULL);
	stmt_drop(all, a);
	stmt_drop(all, b);
	say(all->count == 5, "the last one does not");
	stmts_free(all);
	stmts_free(NULL);
}

/* What PostgreSQL fixed at a Parse makes it another statement. */
static void test_described(void)
{
	static const char types[] = "\0\1\0\0\0\27";
	struct stmts *all = stmts_new();
	struct stmt *a = stmt_get(all, false, "SELECT $1\0\0", 12, &facts);
	struct stmt *settings = get(all, "SET a = 1");

	struct stmt *b = stmt_described(all, a, NULL, 7, types, 6);
	say(b != a && b->shape == 7 && b->len == 16 && !memcmp(b->text + 10, types, 6),
	    "the types that it was given");
	say(stmt_described(all, a, NULL, 7, types, 6) == b, "equal ones are one object");
	say(stmt_described(all, a, NULL, 8, types, 6) != b, "another shape");
	struct stmt *c = stmt_described(all, a, settings, 7, types, 6);
	say(c != b && c->settings == settings && settings->refs == 2, "other settings");
	struct stmt *d = stmt_described(all, c, c->settings, 0, NULL, 0);
	say(!d->shape && d->settings == settings && d->len == 16, "bare again");
	stmt_drop(all, c);
	stmt_drop(all, d);
	say(settings->refs == 1, "its settings go with it");
	struct stmt *p = stmt_get(all, true, "PREPARE p AS SELECT $1", 22, &facts);
	struct stmt *q = stmt_described(all, p, NULL, 7, types, 6);
	say(q->len == 22 && q->sql && !strcmp(q->text, p->text), "the text of a PREPARE stays");
	stmts_free(all);
}

/* A RowDescription with these fields of its only column. */
static uint64_t shape(const struct stmts *all, const char *name, int table, int type, int format)
{
	uint8_t body[64] = { 0, 1 };
	size_t n = strlen(name) + 1;

	memcpy(body + 2, name, n);
	body[2 + n + 3] = (uint8_t)table;
	body[2 + n + 9] = (uint8_t)type;
	body[2 + n + 17] = (uint8_t)format;
	return stmt_shape(all, 'T', body, 2 + n + 18);
}

static void test_shapes(void)
{
	struct stmts *all = stmts_new();
	uint64_t s = shape(all, "a", 1, 23, 0);

	say(s && s == shape(all, "a", 1, 23, 0), "of one description");
	say(s == shape(all, "a", 2, 23, 1), "not of its table, nor of its format");
	say(s != shape(all, "b", 1, 23, 0) && s != shape(all, "a", 1, 25, 0), "of name and type");
	say(stmt_shape(all, 'n', "", 0) && stmt_shape(all, 'n', "", 0) != s, "NoData is one, too");
	for (size_t n = 0; n < 24; n++)
		stmt_shape(all, 'T', "\0\2a\0......1234567890..bc", n);
	stmts_free(all);
}

static void test_many_texts(void)
{
	struct stmts *all = stmts_new();
	static struct stmt *held[MANY];
	bool ok = true;

	for (int i = 0; i < MANY; i++) {
		char text[32];
		snprintf(text, sizeof text, "SELECT %d", i);
		held[i] = get(all, text);
	}
	say(all->count == MANY && all->nbuckets >= MANY / 4, "%u texts, %u buckets", all->count,
	    all->nbuckets);
	uint32_t longest = 0;
	for (uint32_t i = 0; i < all->nbuckets; i++) {
		uint32_t n = 0;
		for (struct stmt *s = all->bucket[i]; s; s = s->chain)
			n++;
		longest = n > longest ? n : longest;
	}
	say(longest < 16, "the longest chain is %u", longest);
	for (int i = 0; i < MANY; i++) {
		char text[32];
		snprintf(text, sizeof text, "SELECT %d", i);
		ok &= get(all, text) == held[i] && held[i]->refs == 2;
	}
	say(ok, "all are found again");
	for (int i = 0; i < MANY; i++) {
		stmt_drop(all, held[i]);
		if (i % 2)
			stmt_drop(all, held[i]);
	}
	say(all->count == MANY / 2, "dropped ones are gone");
	stmts_free(all);
}

/* --- the hash --- */

/* All bits of a text matter, at any length; and so does the length. */
static void test_hash(void)
{
	struct stmts *all = stmts_new(), *other = stmts_new();
	uint8_t text[80];
	uint64_t seen[81];
	int same = 0, close = 0;

	memset(text, 0, sizeof text);
	for (size_t n = 0; n <= sizeof text; n++) {
		uint64_t h = seen[n] = stmt_hash(all, text, n);
		for (size_t k = 0; k < n; k++)
			same += seen[k] == h;
		for (size_t bit = 0; bit < n * 8; bit++) {
			text[bit / 8] ^= (uint8_t)(1 << bit % 8);
			uint64_t x = stmt_hash(all, text, n) ^ h;
			text[bit / 8] ^= (uint8_t)(1 << bit % 8);
			same += x == 0;
			close += __builtin_popcountll(x) < 8;
		}
	}
	say(same == 0, "no two hashes of zeros with one bit are alike");
	say(close < 10, "%d of them differ in a few bits only", close);
	say(stmt_hash(all, "abc", 3) == stmt_hash(all, "abcd", 3), "it is a function");
	say(stmt_hash(all, "abc", 3) != stmt_hash(other, "abc", 3), "each process has its own");

	uint8_t *exact = malloc(37);
	memset(exact, 'x', 37);
	for (size_t n = 0; n <= 37; n++)
		say(stmt_hash(all, exact + 37 - n, n) == stmt_hash(all, exact, n),
		    "%zu bytes, no more", n);
	free(exact);
	stmts_free(all);
	stmts_free(other);
}

/* --- names --- */

static void test_names(void)
{
	struct stmts *all = stmts_new();
	struct names m = { 0 };
	struct stmt *a = get(all, "a"), *b = get(all, "b");

	say(!names_find(&m, "x") && !names_remove(all, &m, "x"), "an empty map");
	names_clear(all, &m);
	say(names_set(all, &m, "x", a) == 0 && names_find(&m, "x") == a && a->refs == 2, "set");
	say(names_set(all, &m, "x", a) == 0 && m.used == 1 && a->refs == 2,
	    "set again to the same");
	say(names_set(all, &m, "x", b) == 0 && names_find(&m, "x") == b && m.used == 1,
	    "set to another");
	say(a->refs == 1 && b->refs == 2, "which takes it from the first");
	say(names_set(all, &m, "y", b) == 0 && b->refs == 3, "two names for one");
	say(!names_find(&m, "X") && !names_find(&m, "xx"), "names are exact");
	say(names_set(all, &m, "", a) == 0 && names_find(&m, "") == a, "the empty name is one");
	say(names_remove(all, &m, "") && !names_find(&m, "") && a->refs == 1, "and can be removed");
	say(!names_remove(all, &m, ""), "once");
	say(names_remove(all, &m, "x") && names_find(&m, "y") == b, "the others stay");
	stmt_drop(all, a);
	stmt_drop(all, b);
	say(all->count == 1, "a name alone keeps its statement");
	names_clear(all, &m);
	say(all->count == 0 && !m.slot && !m.cap && !m.used && !m.marks, "cleared");
	stmts_free(all);
}

/* The one reference that a map has goes to the new statement only after that was counted. */
static void test_last_reference(void)
{
	struct stmts *all = stmts_new();
	struct names m = { 0 };
	struct stmt *a = get(all, "a");

	names_set(all, &m, "x", a);
	stmt_drop(all, a);
	say(names_set(all, &m, "x", a) == 0 && names_find(&m, "x")->refs == 1, "given to itself");
	names_clear(all, &m);
	stmts_free(all);
}

static bool all_there(const struct names *m, int from, int to, const struct stmt *s)
{
	for (int i = from; i < to; i++) {
		char name[32];
		snprintf(name, sizeof name, "S_%d", i);
		if (names_find(m, name) != s)
			return false;
	}
	return true;
}

static void test_many_names(void)
{
	struct stmts *all = stmts_new();
	struct names m = { 0 };
	struct stmt *a = get(all, "a");
	char name[32];
	bool room = true;

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "S_%d", i);
		names_set(all, &m, name, a);
		room &= (m.used + m.marks) * 4 <= m.cap * 3;
	}
	say(m.used == MANY && a->refs == MANY + 1 && room, "%u names in %u slots", m.used, m.cap);
	say(all_there(&m, 0, MANY, a), "each is found");
	for (int i = 0; i < MANY / 2; i++) {
		snprintf(name, sizeof name, "S_%d", i);
		room &= names_remove(all, &m, name);
	}
	say(room && m.used == MANY / 2 && m.marks == MANY / 2, "half of them removed");
	say(all_there(&m, 0, MANY / 2, NULL) && all_there(&m, MANY / 2, MANY, a), "this half");
	names_clear(all, &m);
	say(a->refs == 1, "cleared");
	stmt_drop(all, a);
	stmts_free(all);
}

static void test_add(void)
{
	struct stmts *all = stmts_new();
	struct names m = { 0 }, other = { 0 };
	struct stmt *a = get(all, "SELECT 1"), *b = get(all, "SELECT 2");

	say(names_add(all, &m, &other) == 0 && !m.cap, "none to none");
	names_set(all, &other, "p", a);
	names_set(all, &other, "q", a);
	names_set(all, &other, "r", a);
	names_remove(all, &other, "r");
	names_set(all, &m, "p", b);
	say(names_add(all, &m, &other) == 0 && m.used == 2, "one of two");
	say(names_find(&m, "p") == b && names_find(&m, "q") == a, "the other name stays what it is");
	names_clear(all, &other);
	say(names_find(&m, "q") == a && a->refs == 2, "and does not hang on where it came from");
	names_clear(all, &m);
	stmt_drop(all, a);
	stmt_drop(all, b);
	say(all->count == 0, "all dropped");
	stmts_free(all);
}

/* Names that come and go, like a driver's, must not fill the map with marks. */
static void test_marks(void)
{
	struct stmts *all = stmts_new();
	struct names m = { 0 };
	struct stmt *a = get(all, "a");
	char name[32];
	bool ok = true;

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof name, "S_%d", i);
		ok &= names_set(all, &m, name, a) == 0 && names_find(&m, name) == a;
		ok &= i < 4 || all_there(&m, i - 3, i + 1, a);
		snprintf(name, sizeof name, "S_%d", i - 3);
		ok &= names_remove(all, &m, name) == (i >= 3);
		ok &= m.used + m.marks < m.cap;
	}
	say(ok && m.used == 3, "three of %d names are left", MANY);
	say(m.cap <= 16, "in %u slots", m.cap);
	names_clear(all, &m);
	stmt_drop(all, a);
	say(all->count == 0, "nothing is left");
	stmts_free(all);
}

/* PostgreSQL looks at 63 bytes of a name. */
static void test_long_names(void)
{
	struct stmts *all = stmts_new();
	struct names m = { 0 };
	struct stmt *one = get(all, "one"), *two = get(all, "two");
	char a[80], b[80], c[80];

	memset(a, 'n', sizeof a);
	memcpy(b, a, sizeof b);
	memcpy(c, a, sizeof c);
	a[70] = b[65] = c[62] = 0;
	a[63] = 'x';
	names_set(all, &m, a, one);
	say(names_find(&m, b) == one && !names_find(&m, c), "found by its first 63 bytes");
	names_set(all, &m, b, two);
	say(names_find(&m, a) == two && m.used == 1 && strlen(m.slot[find(&m, b, name_hash(&m, b)) - m.slot].name)
	    == WIRE_NAME_MAX, "set anew, and kept so long");
	say(names_remove(all, &m, a) && !names_find(&m, b), "removed");
	names_clear(all, &m);
	stmt_drop(all, one);
	stmt_drop(all, two);
	stmts_free(all);
}

int main(void)
{
	test_sharing();
	test_described();
	test_shapes();
	test_many_texts();
	test_hash();
	test_names();
	test_last_reference();
	test_many_names();
	test_add();
	test_marks();
	test_long_names();
	return done();
}
