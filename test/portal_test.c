/* portal_test.c - where portals and the unnamed statement are, and what they run. */
#include "client/portal.c"

#include "session.h"
#include "t.h"

static struct stmt *get(const char *text)
{
	const struct sql_facts f = { .kind = SQL_SELECT };

	return stmt_get(servers.stmts, false, text, strlen(text), &f);
}

static struct server *where(const char *name)
{
	const struct portal *p = portal_find(client, name);

	return p ? p->server : NULL;
}

static void test_named(void)
{
	session_begin();
	struct stmt *a = get("SELECT 1"), *b = get("SELECT 2");

	say(!portal_find(client, "p") && !portal_find(client, ""), "none");
	say(portal_set(client, "p", &on[0], a) == 0 && portal_set(client, "q", &on[1], NULL) == 0,
		"two");
	say(where("p") == &on[0] && portal_find(client, "p")->stmt == a && a->refs == 2, "the first");
	say(where("q") == &on[1] && !portal_find(client, "q")->stmt, "the second, of what is not known");
	say(!portal_find(client, "P") && !portal_find(client, ""), "no others");
	portal_set(client, "p", &on[1], b);
	say(where("p") == &on[1] && portal_find(client, "p")->stmt == b, "the first, made anew");
	say(a->refs == 1 && b->refs == 2, "what it ran is dropped");
	portal_set(client, "p", &on[1], b);
	say(b->refs == 2, "the same once more");
	say(client->portals->n == 2, "there are two");
	say(!client->portal_on && !client->bound, "the unnamed one is another");
	stmt_drop(servers.stmts, a);
	stmt_drop(servers.stmts, b);
	session_end();
}

/* PostgreSQL cuts names at 63 bytes. */
static void test_long_name(void)
{
	char name[100];

	session_begin();
	memset(name, 'n', sizeof name - 1);
	name[sizeof name - 1] = 0;
	portal_set(client, name, &on[0], NULL);
	name[WIRE_NAME_MAX] = 0;
	say(where(name) == &on[0], "what is beyond does not count");
	name[WIRE_NAME_MAX - 1] = 0;
	say(!where(name), "what is not does");
	session_end();
}

static void test_many(void)
{
	char name[16];
	unsigned found = 0, left = 0;

	session_begin();
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "p%d", i);
		portal_set(client, name, &on[i % 2], NULL);
	}
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "p%d", i);
		found += where(name) == &on[i % 2];
	}
	say(found == 5000 && client->portals->n == 5000, "all are found");
	say(client->portals->nbuckets >= 5000 / 4, "without long chains");
	portals_forget(client, &on[0]);
	for (int i = 0; i < 5000; i++) {
		snprintf(name, sizeof name, "p%d", i);
		left += where(name) == &on[1];
	}
	say(left == 2500 && client->portals->n == 2500, "those of one server are");
	portals_forget(client, &on[1]);
	say(!client->portals, "none is left");
	session_end();
}

static void test_unnamed(void)
{
	session_begin();
	struct stmt *a = get("SELECT 1"), *b = get("SELECT 2");

	portal_set(client, "", &on[0], a);
	say(client->portal_on == &on[0] && client->bound == a && !client->portals, "the unnamed portal");
	portal_set(client, "", &on[1], NULL);
	say(client->portal_on == &on[1] && !client->bound && a->refs == 1, "of what is not known");
	unnamed_set(client, &on[0], b);
	say(client->unnamed.on == &on[0] && client->unnamed.stmt == b, "the unnamed statement");
	unnamed_set(client, &on[1], b);
	say(client->unnamed.on == &on[1] && b->refs == 2, "elsewhere");
	unnamed_set(client, NULL, NULL);
	say(!client->unnamed.on && !client->unnamed.stmt && b->refs == 1, "none");
	say(client->portal_on == &on[1], "the portal stays");
	stmt_drop(servers.stmts, a);
	stmt_drop(servers.stmts, b);
	session_end();
}

static void test_forget(void)
{
	session_begin();
	struct stmt *a = get("SELECT 1");

	portal_set(client, "p", &on[0], a);
	portal_set(client, "q", &on[1], a);
	portal_set(client, "r", &on[0], a);
	portal_set(client, "", &on[1], a);
	unnamed_set(client, &on[0], a);
	say(a->refs == 6, "five use it");
	portals_forget(client, &on[0]);
	say(!where("p") && where("q") == &on[1] && !where("r"), "those of a server");
	say(client->portal_on == &on[1] && client->bound == a && client->unnamed.stmt == a && a->refs == 4,
		"not those of another");
	portal_set(client, "p", &on[0], a);
	portals_forget(client, &on[1]);
	say(where("p") == &on[0] && !where("q") && !client->portal_on && !client->bound && a->refs == 3,
		"those of the other");
	portal_set(client, "", &on[1], a);
	portals_forget(client, NULL);
	say(!client->portals && !client->portal_on && !client->bound && client->unnamed.stmt == a
	    && a->refs == 2, "all");
	portals_forget(client, NULL);
	say(!client->portals, "none");
	stmt_drop(servers.stmts, a);
	session_end();
}

int main(void)
{
	configure("");
	test_named();
	test_long_name();
	test_many();
	test_unnamed();
	test_forget();
	unconfigure();
	return done();
}
