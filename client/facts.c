#include "client/facts.h"

#include <string.h>

enum { RECENT_TEXT = 16 * 1024 };               /* longer texts are not remembered */

static struct account *account_of(const struct client *c)
{
	return c->borrower.profile->account;
}

static uint32_t doubt_of(const struct client *c)
{
	const struct session *s = &c->session;

	return s->unknown ? catalog_doubt(c->all->catalog, account_of(c), s->unknown, s->doubt)
	                  : s->doubt;
}

void facts_look_up(const struct client *c, struct sql_facts *f, struct finding *v, const char *text,
                   size_t len)
{
	f->flags = catalog_flags(c->all->catalog, account_of(c), f, text, len, doubt_of(c),
		c->session.made_code ? NULL : c->session.temporary, v);
}

bool facts_known(const struct client *c, const struct sql_facts *f, const char *text, size_t len)
{
	struct finding v = { 0 };

	catalog_flags(c->all->catalog, account_of(c), f, text, len, 0, NULL, &v);
	return v.generation != 0;
}

bool facts_awaited(const struct client *c, const struct sql_facts *f, const char *text, size_t len)
{
	return catalog_owes(c->all->catalog, account_of(c), f, text, len);
}

/* It may be a view that writes: what follows in its transaction is to see that.  Or it made a
 * temporary table. */
void facts_read_unknown(struct client *c)
{
	uint32_t doubt = doubt_of(c);

	if (doubt != DOUBT_ALL)
		c->session.doubt = doubt;
	if (doubt != DOUBT_ALL || !c->session.unknown)
		c->session.unknown = catalog_now(c->all->catalog);
	c->session.no_replica = true;
}

bool facts_heard(const struct client *c)
{
	uint32_t since = c->session.unknown;

	return !since || catalog_doubt(c->all->catalog, account_of(c), since, 0) != DOUBT_ALL;
}

bool facts_surprised(const struct client *c)
{
	uint32_t since = c->session.unknown;

	return since && catalog_doubt(c->all->catalog, account_of(c), since, 0);
}

/* Has a replica refused this text, or another of its shape? */
static bool known_writer(const struct clients *all, uint64_t key)
{
	for (unsigned i = 0; i < all->nwriters; i++)
		if (all->writers[i] == key)
			return true;
	return false;
}

/* What is known about a text is found by its database and its shape, or else by the whole text: a
 * shape leaves the literals out, and primary_patterns may look at those.  The database counts
 * because names mean other things in another one.  0: the text is not remembered. */
static uint64_t key_of(const struct client *c, const char *text, size_t len,
                       struct sql_span *literals)
{
	const struct clients *all = c->all;
	uint64_t database = (uintptr_t)account_of(c)->known * UINT64_C(0x9e3779b97f4a7c15);
	char shape[RECENT_TEXT];
	size_t n = len > RECENT_TEXT || all->route->rules.npatterns
	           ? 0 : sql_shape(shape, text, len, literals);

	if (n)
		return stmt_hash(all->servers->stmts, shape, n) ^ database;
	literals->len = 0;
	return len > RECENT_TEXT ? 0 : (stmt_hash(all->servers->stmts, text, len) + 1) ^ database;
}

/* The classifier runs for new shapes only.  The catalog's part is never taken from the slot without
 * a look at its age: that is facts_look_up()'s. */
void facts_find(struct client *c, const char *text, size_t len, struct sql_facts *f)
{
	struct clients *all = c->all;
	struct sql_span literals;
	uint64_t key = key_of(c, text, len, &literals);
	struct recent *slot = &all->recent[key % RECENT_STATEMENTS];

	if (key && slot->key == key) {
		*f = slot->facts;
		/* Other literals may be longer or shorter; the two keep their distance from
		 * the end: sql_same_facts(). */
		if (literals.len) {
			f->end += len - f->next;
			f->next = len;
		}
	} else {
		sql_classify(f, text, len, &all->route->rules);
		if (key && known_writer(all, key))
			f->flags |= SQL_MODIFIES;
		if (key && sql_same_facts(f, len, literals))
			*slot = (struct recent){ .key = key, .facts = *f };
		else
			slot = NULL;
	}
	facts_look_up(c, f, slot ? &slot->finding : NULL, text, len);
}

/* When the list is full, one is forgotten: a replica will refuse it again. */
__attribute__((cold))
void facts_learn_writer(struct client *c, const char *text, size_t len)
{
	struct clients *all = c->all;
	struct sql_span literals;
	uint64_t key = key_of(c, text, len, &literals);
	const unsigned room = sizeof all->writers / sizeof all->writers[0];

	if (!key || known_writer(all, key))
		return;
	if (all->nwriters < room)
		all->writers[all->nwriters++] = key;
	else
		all->writers[key % room] = key;
	all->recent[key % RECENT_STATEMENTS].key = 0;   /* its facts say that it reads */
}

bool facts_effect(const struct sql_facts *f)
{
	return (sql_kind_does[f->kind] & KIND_EFFECTS)
	       || (f->flags & (SQL_HOLD | SQL_TEMP | SQL_FUNCTION | SQL_FOREIGN | SQL_SET_CONFIG
	                       | SQL_ADVISORY));
}

bool facts_name_stmt(const struct sql_facts *f)
{
	return (sql_kind_does[f->kind] & (KIND_NAMES | KIND_USES_NAME))
	       || (f->kind == SQL_EXPLAIN && f->inner == SQL_EXECUTE);
}

bool facts_takes_back(const struct sql_facts *f)
{
	return f->kind == SQL_RESET || (f->kind == SQL_DISCARD && (f->flags & SQL_ALL))
	       || (f->kind == SQL_SET && (f->flags & SQL_DEFAULT));
}

bool facts_forgets(const struct sql_facts *f)
{
	return f->kind == SQL_DEALLOCATE || (f->kind == SQL_DISCARD && (f->flags & SQL_ALL));
}

struct stmt *facts_executed(const struct client *c, const struct sql_facts *f, const char *text)
{
	char name[64];

	if (f->kind != SQL_EXECUTE)
		return NULL;
	sql_name(name, text, f->name);
	return names_find(&c->prepared, name);
}

/* Every time anew: DDL may have changed the answers since the statement was prepared. */
struct sql_facts facts_of_stmt(const struct client *c, struct stmt *s)
{
	struct sql_facts f = s->facts;

	facts_look_up(c, &f, &s->finding, s->text, s->query_len);
	return f;
}

bool facts_hooks(const struct sql_facts *f)
{
	switch (f->kind) {
	case SQL_INSERT: case SQL_UPDATE: case SQL_DELETE: case SQL_MERGE: case SQL_TRUNCATE:
	case SQL_COPY_FROM: case SQL_DDL: case SQL_EXECUTE: case SQL_OTHER:
		return true;
	}
	return f->flags & (SQL_MODIFIES | SQL_INTO);
}

/* An EXECUTE does not say what it does, so it counts as its statement does.  One of an unknown name
 * may do anything.  A read that is the primary's for what it reads is a read all the same. */
bool facts_write(const struct client *c, const struct sql_facts *f, const char *text)
{
	struct stmt *s = facts_executed(c, f, text);
	struct sql_facts does = s ? facts_of_stmt(c, s) : *f;

	does.flags &= ~(uint32_t)(SQL_HELD | SQL_UNKNOWN);
	return !route_gate(c->all->route, &does)
	       && (s || f->kind == SQL_EXECUTE || route_writes(&does));
}
