/* client/plan.c - reading a request without side effects: what is in it, and where it may go. */
#include "client/query.h"

#include <stdio.h>
#include <string.h>

enum {
	RECENT_TEXT = 16 * 1024,                /* the facts of longer ones are not remembered */
};

/* --- facts --------------------------------------------------------------- */

static struct account *account_of(const struct client *c)
{
	return c->borrower.profile->account;
}

const char *database_of(const struct client *c)
{
	return account_of(c)->database;
}

/* What the catalog says of the names in a text: see catalog.h. */
void look_up(const struct client *c, struct sql_facts *f, struct finding *v, const char *text,
             size_t len)
{
	f->flags = catalog_flags(c->all->catalog, account_of(c), f, text, len, c->session.doubt, v);
}

static bool known_writer(const struct clients *all, uint64_t key)
{
	for (unsigned i = 0; i < all->nwriters; i++)
		if (all->writers[i] == key)
			return true;
	return false;
}

/* What is known about a text goes by its database and its shape, or else by itself. */
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

void find_facts(struct client *c, const char *text, size_t len, struct sql_facts *f)
{
	struct clients *all = c->all;
	struct sql_span literals;
	uint64_t key = key_of(c, text, len, &literals);
	struct recent *slot = &all->recent[key % RECENT_STATEMENTS];

	if (key && slot->key == key) {
		*f = slot->facts;
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
	look_up(c, f, slot ? &slot->finding : NULL, text, len);
}

/* A replica refused it because it writes: next time it goes to the primary at once. */
void learn_writer(struct client *c, const char *text, size_t len)
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
	all->recent[key % RECENT_STATEMENTS].key = 0;
}

/* Kinds that change what the session is. */
bool has_effect(const struct sql_facts *f)
{
	switch (f->kind) {
	case SQL_BEGIN: case SQL_COMMIT: case SQL_ROLLBACK: case SQL_SAVEPOINT: case SQL_ROLLBACK_TO:
	case SQL_SET: case SQL_SET_TRANSACTION: case SQL_RESET: case SQL_DISCARD:
	case SQL_PREPARE: case SQL_DEALLOCATE: case SQL_LISTEN: case SQL_UNLISTEN:
	case SQL_LOAD: case SQL_DO: case SQL_CALL: case SQL_OTHER: case SQL_DDL:
	case SQL_COMMIT_PREPARED:
		return true;
	}
	return f->flags & (SQL_HOLD | SQL_TEMP | SQL_FUNCTION | SQL_FOREIGN | SQL_SET_CONFIG | SQL_ADVISORY);
}

/* --- planning ------------------------------------------------------------ */

/* What the messages of the request have said so far. */
struct bound {
	bool unnamed, portal;           /* the unnamed ones were made in this request */
	const char *parsed[8];          /* names of statements made in it */
	unsigned nparsed;
};

bool touches_name(const struct sql_facts *f)
{
	return f->kind == SQL_PREPARE || f->kind == SQL_EXECUTE || f->kind == SQL_DEALLOCATE
	       || (f->kind == SQL_EXPLAIN && f->inner == SQL_EXECUTE);
}

/* Drivers ask so whether they are connected to a primary: they are. */
static bool asks_for_role(const char *text, const struct sql_facts *f)
{
	char name[128];

	sql_parameter(name, text, f);
	return !strcmp(name, "transaction_read_only") || !strcmp(name, "in_hot_standby");
}

struct stmt *executed_statement(const struct client *c, const struct sql_facts *f, const char *text)
{
	char name[64];

	if (f->kind != SQL_EXECUTE)
		return NULL;
	sql_name(name, text, f->name);
	return names_find(&c->prepared, name);
}

struct sql_facts facts_of(const struct client *c, struct stmt *s)
{
	struct sql_facts f = s->facts;

	look_up(c, &f, &s->finding, s->text, s->query_len);
	return f;
}

bool is_write(const struct client *c, const struct sql_facts *f, const char *text)
{
	struct stmt *s = executed_statement(c, f, text);

	if (s) {
		struct sql_facts inner = facts_of(c, s);
		return !route_gate(c->all->route, &inner);
	}
	return !route_gate(c->all->route, f) && route_writes(f);
}

/* A request that has to wait is planned, and told, again. */
__attribute__((cold))
static void log_why(struct client *c, const struct sql_facts *f, const char *text, size_t len)
{
	char why[128], detail[LOG_TEXT_MAX];

	if (!route_why(c->all->route, &c->session, database_of(c), f, text, len, why, sizeof why))
		return;
	snprintf(detail, sizeof detail, "destination = %d for query= \"%.*s\"",
		nodes_primary(c->all->servers->nodes)->id,
		(int)(len < LOG_TEXT_MAX ? len : LOG_TEXT_MAX), text);
	log_write(c->all->base->log, &c->who, LEVEL_DEBUG1, detail, NULL,
		"could not load balance because %s", why);
}

/* May it be balanced, as the session stands? */
static bool may_read(struct client *c, const struct sql_facts *f, const char *text, size_t len)
{
	const struct route *rt = c->all->route;
	bool reads = route_gate(rt, f) && route_reads(rt, &c->session, database_of(c), text, len)
	             && !((f->flags & SQL_CALLS) && c->session.temporary)
	             && !(f->kind == SQL_SHOW && asks_for_role(text, f));

	if (!reads && log_wants(c->all->base->log, LEVEL_DEBUG1))
		log_why(c, f, text, len);
	return reads;
}

static bool may_execute(struct client *c, struct stmt *s)
{
	struct sql_facts f = facts_of(c, s);

	return may_read(c, &f, s->text, s->query_len);
}

/* What one statement asks of the request's place. */
static void plan_statement(struct client *c, struct plan *pl, const struct sql_facts *f,
                           const char *text, size_t len)
{
	struct stmt *executed = executed_statement(c, f, text);
	bool reads = executed ? may_execute(c, executed) : may_read(c, f, text, len);

	pl->notes |= has_effect(f) || touches_name(f) || (f->flags & SQL_UNPARSED);
	pl->alone |= f->kind == SQL_COPY_FROM;
	pl->rolls_back_to |= f->kind == SQL_ROLLBACK_TO;
	if (f->kind == SQL_BEGIN && !(f->flags & (SQL_READ_WRITE | SQL_SERIALIZABLE)))
		return;
	if (f->kind == SQL_COMMIT || f->kind == SQL_ROLLBACK) {
		pl->ends = true;
		return;
	}
	*(reads ? &pl->reads : &pl->other) = true;
	if (is_write(c, f, text)) {
		pl->writes = true;
		pl->notes |= c->all->base->conf->disable_load_balance_on_write >= DLBOW_DML_ADAPTIVE;
	}
}

static void plan_query(struct client *c, struct plan *pl, const char *text, size_t len)
{
	struct sql_facts f;

	pl->text = text;
	pl->text_len = len;
	find_facts(c, text, len, &pl->facts);
	plan_statement(c, pl, &pl->facts, text, len);
	/* Several statements: the primary's, and what is among them counts. */
	for (size_t at = pl->facts.next; at < len; at += f.next) {
		pl->other = true;
		sql_classify(&f, text + at, len - at, &c->all->route->rules);
		look_up(c, &f, NULL, text + at, len - at);
		plan_statement(c, pl, &f, text + at, len - at);
		if (!f.next)
			break;
	}
}

static void plan_parse(struct client *c, struct plan *pl, struct msg *m, struct bound *b)
{
	const char *name = get_text(m), *text = get_text(m);
	size_t len = strlen(text);
	struct sql_facts f;

	if (m->broken)
		return;         /* PostgreSQL says what it thinks of it */
	find_facts(c, text, len, &f);
	plan_statement(c, pl, &f, text, len);
	if (!*name) {
		b->unnamed = true;
		return;
	}
	pl->notes = true;
	if (b->nparsed < sizeof b->parsed / sizeof *b->parsed)
		b->parsed[b->nparsed++] = name;
}

static bool parsed_here(const struct bound *b, const char *name)
{
	for (unsigned i = 0; i < b->nparsed; i++)
		if (wire_same_name(b->parsed[i], name))
			return true;
	return false;
}

/* A statement is used; one that this request made was planned at its Parse. */
static void plan_use(struct client *c, struct plan *pl, const char *name, const struct bound *b)
{
	if (*name ? parsed_here(b, name) : b->unnamed)
		return;
	struct stmt *s = *name ? names_find(&c->prepared, name) : c->unnamed;
	if (*name) {
		pl->notes |= pl->name && !wire_same_name(pl->name, name);
		pl->name = name;
		pl->named = s;
	}
	if (s) {
		struct sql_facts f = facts_of(c, s);
		pl->notes |= !*name;
		plan_statement(c, pl, &f, s->text, s->query_len);
	} else if (!*name && c->unnamed_on) {
		pl->must = c->unnamed_on;
		pl->writes |= is_primary(pl->must);     /* maybe: it was not worth remembering */
	} else {
		pl->other = true;
	}
}

static void plan_bind(struct client *c, struct plan *pl, struct msg *m, struct bound *b)
{
	const char *portal = get_text(m), *name = get_text(m);

	pl->notes |= *portal != 0;
	b->portal = true;
	plan_use(c, pl, name, b);
}

static void plan_portal(struct client *c, struct plan *pl, const char *name, const struct bound *b)
{
	pl->notes |= *name != 0;
	if (b->portal)
		return;
	pl->notes |= c->bound != NULL;
	pl->must = *name ? NULL : c->portal_on;
	for (const struct portal *p = *name ? c->portals : NULL; p; p = p->next)
		if (wire_same_name(p->name, name))
			pl->must = p->server;
	pl->other |= !pl->must;
}

/* Describe or Close. */
static void plan_target(struct client *c, struct plan *pl, struct msg *m, const struct bound *b)
{
	char what = m->at < m->end ? (char)*m->at++ : 0;
	const char *name = get_text(m);

	pl->notes |= m->type == 'C';
	if (what != 'S')
		plan_portal(c, pl, name, b);
	else if (m->type == 'D')
		plan_use(c, pl, name, b);
}

static void plan_text(struct client *c, struct plan *pl, const struct msg *m)
{
	if (m->end > m->at && m->end[-1] == 0)
		plan_query(c, pl, (const char *)m->at, strlen((const char *)m->at));
	else
		pl->other = true;       /* PostgreSQL says what it thinks of it */
}

/* One message.  MORE: the walk goes on. */
static int plan_message(struct client *c, struct plan *pl, struct msg *m, struct bound *b, size_t len)
{
	pl->owed += is_extended(m->type);
	switch (m->type) {
	case 'Q':
		pl->simple = true;
		plan_text(c, pl, m);
		return 1;
	case 'F':
		pl->simple = pl->other = pl->writes = pl->notes = true;
		return 1;
	case 'S':
		return 1;
	case 'P':
		plan_parse(c, pl, m, b);
		return MORE;
	case 'B':
		plan_bind(c, pl, m, b);
		return MORE;
	case 'D': case 'C':
		plan_target(c, pl, m, b);
		return MORE;
	case 'E':
		plan_portal(c, pl, get_text(m), b);
		pl->executes = true;
		return MORE;
	case 'H': case 'd': case 'c': case 'f':
		pl->flush = true;       /* COPY data behind its Execute need no Flush */
		return 1;
	case 'X':
		pl->len -= len;         /* what stands before it has no Sync, and counts all the same */
		return 1;
	}
	pl->len -= len;
	return pl->len ? 1 : client_refuse(c, "08P01", "invalid frontend message type", NULL, NULL);
}

int plan_request(struct client *c, struct plan *pl, const uint8_t *p, size_t n)
{
	struct bound b = { 0 };
	struct msg m;
	int end = MORE;

	*pl = (struct plan){ .only_sync = *p == 'S' };
	while (end == MORE && pl->len < n) {
		long len = wire_next(&m, p + pl->len, n - pl->len, MESSAGE_MAX);
		if (len == WIRE_BAD)
			return client_refuse(c, "08P01", "invalid message length", NULL, NULL);
		if (len == WIRE_MORE)
			break;
		pl->len += (size_t)len;
		end = plan_message(c, pl, &m, &b, (size_t)len);
	}
	/* What is prepared or bound now and executed later is worth remembering. */
	pl->notes |= (b.unnamed || b.portal) && !pl->executes;
	pl->alone |= pl->simple && pl->owed;
	pl->unnamed = b.unnamed;
	pl->portal = b.portal;
	pl->whole = end > 0 && (m.type == 'Q' || m.type == 'F' || m.type == 'S');
	if (end == MORE && n > REQUEST_KEEP) {
		pl->writes = true;      /* what it is cannot be known */
		return 1;
	}
	return end;
}
