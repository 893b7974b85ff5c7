#include "client/plan.h"

#include "client/code.h"
#include "client/facts.h"
#include "client/leaves.h"
#include "client/own.h"
#include "client/portal.h"
#include "client/query.h"
#include "client/renew.h"
#include "client/transact.h"
#include "client/unnamed.h"

#include <stdio.h>
#include <string.h>

/* --- planning ------------------------------------------------------------ */

enum { PARSED_MAX = 8 };

/* What the messages of the request have said so far.  Nothing of the session is changed by a plan,
 * so the names that the request itself makes have to be known apart. */
struct bound {
	bool portal;                    /* the unnamed one was made in this request */
	const char *parsed[PARSED_MAX]; /* names of statements made in it, the first of them */
	unsigned nparsed;
};

/* A request that has to wait is planned, and logged, again. */
__attribute__((cold))
static void log_why(struct client *c, const char *why, const char *text, size_t len)
{
	char detail[LOG_TEXT_MAX];

	snprintf(detail, sizeof detail, "destination = %d for query= \"%.*s\"",
		nodes_primary(c->all->servers->nodes)->id,
		(int)(len < LOG_TEXT_MAX ? len : LOG_TEXT_MAX), text);
	log_write(c->all->base->log, &c->who, LEVEL_DEBUG1, detail, NULL,
		"could not load balance because %s", why);
}

/* May it be balanced, as the session stands?  A function that may read anything may read a
 * temporary table of the session, which is on the primary only.  The transaction begins on each
 * node at another time, but may tell one time only; one of one snapshot is on one node. */
static bool may_read(struct client *c, const struct sql_facts *f, const char *text, size_t len,
                     uint8_t *reason)
{
	char why[ROUTE_WORDS];
	const struct route *rt = c->all->route;
	bool reads = route_gate(rt, f)
	             && route_reads(rt, &c->session, client_database(c), text, len)
	             && !((f->flags & SQL_CALLS) && c->session.temporary)
	             && !((f->flags & SQL_TIME) && c->session.in_transaction
	                  && c->session.level != LEVEL_REPEATABLE_READ);

	if (reads)
		return true;
	*reason = (uint8_t)route_why(rt, &c->session, client_database(c), f, text, len, why);
	if (*why && log_wants(c->all->base->log, LEVEL_DEBUG1))
		log_why(c, why, text, len);
	return false;
}

/* Would a replica do it for itself, or refuse it although a READ ONLY transaction may do it? */
static bool is_home_only(const struct client *c, const struct sql_facts *f, const char *text,
                         size_t len)
{
	return (sql_kind_does[f->kind] & KIND_LISTENS) || f->kind == SQL_NOTIFY
	       || f->kind == SQL_LOCK || (f->flags & (SQL_ADVISORY | SQL_UNLOGGED))
	       || (c->session.temporary && session_has_temporary(&c->session, text, len));
}

/* Does what comes next follow on a replica, which has the snapshot? */
static bool is_away(const struct client *c)
{
	const struct server *s = transact_owner(c);

	if (!s && c->inflight)
		s = query_server(c);
	return s && s != c->home;
}

/* There all goes to that replica, whatever it does.  What only home may do ends that, so nothing is
 * guessed: see dispatch(). */
__attribute__((cold))
static void plan_away(struct client *c, struct plan *pl, const struct sql_facts *f,
                      const char *text, size_t len)
{
	pl->awaits |= facts_awaited(c, f, text, len) || code_awaited(c, f);
	pl->home_only |= code_is_homes(c, f, text, len);
}

static bool sees_statements(void *ctx, const char *name, bool called)
{
	(void)ctx, (void)called;
	return !strcmp(name, "execute") || !strncmp(name, "pg_prepared_statement", 21);
}

static bool spells(const char *word, const char *text, const char *end)
{
	const char *p = strcasestr(text, word);

	return p && p < end;
}

/* Of those that the catalog has not told of: PostgreSQL's own are called far more often. */
static bool is_somebodys(void *ctx, const char *name, bool called)
{
	static const char *const own[] = { "nextval", "setval", "currval", "lastval", "set_config",
		"random", "clock_timestamp", "gen_random_uuid" };

	(void)ctx;
	for (size_t i = 0; called && i < sizeof own / sizeof *own; i++)
		called = strcmp(name, own[i]) != 0;
	return called && strncmp(name, "pg_", 3);
}

/* May it make a temporary table?  What PostgreSQL has parsed before goes on without that; what the
 * primary is given behind it would find it. */
static bool may_hide_tables(const struct client *c, const struct sql_facts *f, const char *text)
{
	struct account *a = c->borrower.profile->account;

	return (f->flags & SQL_TEMP)
	       || ((f->flags & SQL_FOREIGN) && (bodies_can(c->all->bodies, a) & CODE_TEMPORARY)
	           && sql_mentions(text + f->start, f->end - f->start, is_somebodys, NULL));
}

/* Code may use any name; that of functions, we assume, only names of SQL's PREPARE, unless they are
 * given an EXECUTE or a PREPARE as a string. */
static enum sees what_it_sees(const struct client *c, const struct sql_facts *f, const char *text)
{
	bool maybe = f->kind == SQL_DDL || f->kind == SQL_OTHER
	             || (f->kind == SQL_EXPLAIN && f->inner != SQL_EXECUTE)
	             || (f->kind == SQL_SELECT && (f->flags & SQL_FUNCTION))
	             || (f->flags & SQL_CATALOG);

	if (!c->prepared.used)
		return SEES_NONE;
	if (f->kind == SQL_DO || f->kind == SQL_CALL || may_hide_tables(c, f, text)
	    || ((f->flags & SQL_FUNCTION)
	        && (spells("execute", text + f->start, text + f->end)
	            || spells("prepare", text + f->start, text + f->end)))
	    || (maybe && sql_mentions(text + f->start, f->end - f->start, sees_statements, NULL)))
		return SEES_ALL;
	return f->flags & SQL_FOREIGN ? SEES_SQL : SEES_NONE;
}

static void see_relation(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	bool *others = ctx;

	*others |= use != SQL_READ
		|| (*schema ? strcmp(schema, "pg_catalog") && strcmp(schema, "information_schema")
		            : strncmp(name, "pg_", 3) != 0);
}

/* Does it see what there is, so that a later statement must not see less?  Catalogs are always read
 * at home: of these alone none can. */
static bool peeks(const struct sql_facts *f, const char *text, size_t len)
{
	bool others = false;

	if (f->kind == SQL_SHOW || (sql_kind_does[f->kind] & KIND_NO_SNAPSHOT))
		return false;
	if (f->kind != SQL_SELECT || !(f->flags & SQL_CATALOG))
		return true;
	sql_names(text, len, see_relation, &others);
	return others;
}

static bool is_plain_write(unsigned kind)
{
	return kind == SQL_INSERT || kind == SQL_UPDATE || kind == SQL_DELETE || kind == SQL_MERGE
	       || kind == SQL_COPY_FROM || kind == SQL_TRUNCATE;
}

/* What one statement asks of the request's place.  An EXECUTE asks what its statement does. */
static void plan_statement(struct client *c, struct plan *pl, const struct sql_facts *f,
                           const char *text, size_t len)
{
	struct stmt *s = facts_executed(c, f, text);
	struct sql_facts does = s ? facts_of_stmt(c, s) : *f;
	bool reads = may_read(c, &does, s ? s->text : text, s ? s->query_len : len,
		&pl->reason);
	enum sees sees = what_it_sees(c, f, text);

	pl->class = sql_kind_class[f->kind];
	pl->last = text;
	pl->last_len = len;
	pl->does |= leaves_note(c, f, text, len);
	struct disturbed what;
	if (f->kind == SQL_DDL && c->status == 'I'
	    && renew_disturbs(c, text + f->start, f->end - f->start, &what)) {
		pl->takes = text + f->start;
		pl->takes_len = f->end - f->start;
	}
	bool copies = f->kind == SQL_COPY_FROM;         /* its Sync may be data: more may follow */

	pl->sees = sees > pl->sees ? sees : pl->sees;
	pl->notes |= sees || facts_effect(f) || facts_name_stmt(f) || copies
	             || (f->flags & (SQL_UNPARSED | SQL_SETS));
	pl->forgets |= facts_forgets(&does);
	pl->barrier |= copies || pl->forgets;
	pl->rolls_back_to |= f->kind == SQL_ROLLBACK_TO;
	pl->sets_modes |= f->level || f->kind == SQL_SET_TRANSACTION;
	pl->home_only |= is_home_only(c, &does, s ? s->text : text, s ? s->query_len : len);
	if (is_away(c))
		plan_away(c, pl, &does, s ? s->text : text, s ? s->query_len : len);
	pl->may_begin |= f->flags & (SQL_CHAIN | SQL_UNPARSED);
	pl->looks |= !is_plain_write(f->kind);
	bool behind = pl->revives;
	pl->revives |= f->kind == SQL_COMMIT || f->kind == SQL_ROLLBACK
	               || f->kind == SQL_PREPARE_TRANSACTION;
	/* A BEGIN asks for no place, the statements behind it decide, if a replica may serve them.
	 * A standby refuses READ WRITE. */
	if (f->kind == SQL_BEGIN) {
		bool stays = (f->flags & SQL_READ_WRITE) || !transact_leaves(c, f);
		pl->begins = true;
		pl->other |= stays;
		pl->follows |= behind && stays;
		return;
	}
	/* The end of the transaction goes where the transaction is: ending_node(). */
	if (f->kind == SQL_COMMIT || f->kind == SQL_ROLLBACK) {
		pl->ends_first |= !pl->ends && !pl->reads && !pl->other && !pl->begins;
		pl->ends = true;
		return;
	}
	/* PREPARE is the primary's, so that it has all statements that any SQL may name. */
	bool leaves = reads && f->kind != SQL_PREPARE;
	*(leaves ? &pl->reads : &pl->other) = true;
	pl->queries |= leaves && f->kind != SQL_SHOW;
	pl->peeks |= peeks(&does, text, len);
	pl->follows |= behind && !leaves;
	/* The catalog need not know the session's temporary tables. */
	pl->unknown |= (does.flags & SQL_UNKNOWN)
	               && !session_has_temporary(&c->session, s ? s->text : text,
	                                         s ? s->query_len : len);
	if (facts_write(c, f, text)) {
		pl->writes = true;
		pl->hooks |= facts_hooks(f);
		pl->notes |= c->all->base->conf->disable_load_balance_on_write
		             >= DLBOW_DML_ADAPTIVE;     /* its tables are noted by name */
	}
}

static void plan_query(struct client *c, struct plan *pl, const char *text, size_t len)
{
	struct sql_facts f;

	facts_find(c, text, len, &f);
	if (own_is(c, text, &f)) {
		pl->own = true;
		return;
	}
	pl->simple = true;
	pl->text = text;
	pl->text_len = len;
	pl->facts = f;
	plan_statement(c, pl, &pl->facts, text, len);
	/* A text of several statements is the primary's.  What each of them does still counts: an
	 * end of the transaction, a COPY, a write. */
	for (size_t at = pl->facts.next; at < len; at += f.next) {
		pl->other = true;
		sql_classify(&f, text + at, len - at, &c->all->route->rules);
		pl->own |= own_is(c, text + at, &f);
		facts_look_up(c, &f, NULL, text + at, len - at);
		plan_statement(c, pl, &f, text + at, len - at);
		if (!f.next)
			break;
	}
}

static void plan_parse(struct client *c, struct plan *pl, struct msg *m, struct bound *b)
{
	const char *name = msg_text(m), *text = msg_text(m);
	size_t len = strlen(text);
	struct sql_facts f;

	if (m->broken)
		return;         /* PostgreSQL answers it with an error */
	/* A Parse is planned as if it were executed: most often it is, in this request.  So the
	 * statement is parsed on the server that is to run it.  The columns of an EXECUTE are those
	 * that its statement had at the Parse: if it is kept, home keeps both, and describes it. */
	facts_find(c, text, len, &f);
	if (own_is(c, text, &f)) {
		pl->own = true;
		return;
	}
	plan_statement(c, pl, &f, text, len);
	if (!*name) {
		pl->notes |= pl->unnamed > 0;   /* which of them is it, if one fails? */
		pl->unnamed = pl->unnamed ? pl->unnamed : pl->extended;
		return;
	}
	pl->notes = true;       /* the name is the session's from now on */
	pl->other |= f.kind == SQL_EXECUTE;
	if (b->nparsed < PARSED_MAX)
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
static void plan_use(struct client *c, struct plan *pl, const char *name, const struct bound *b,
                     bool describes)
{
	if (*name ? parsed_here(b, name) : pl->unnamed > 0)
		return;
	if (!*name)
		unnamed_recall(c);
	struct stmt *s = *name ? names_find(&c->prepared, name) : c->unnamed.stmt;
	if (*name) {
		/* One name is most often all, and remake_name() compares it without a second
		 * walk.  Two are for remake_names(). */
		pl->notes |= pl->name && !wire_same_name(pl->name, name);
		pl->notes |= c->inflight > 0 && !s;     /* its end may not come: is_unsure() */
		pl->name = name;
		pl->named = s;
	}
	if (s) {
		struct sql_facts f = facts_of_stmt(c, s);
		pl->notes |= !*name;    /* the chosen server may lack it: remake_names() */
		pl->other |= describes && f.kind == SQL_EXECUTE;
		plan_statement(c, pl, &f, s->text, s->query_len);
	} else if (!*name && c->unnamed.on) {
		/* Its text was not remembered, so no other server can have it.  On the primary
		 * it may be a write. */
		pl->must = c->unnamed.on;
		pl->must_stay = true;
		pl->notes |= c->inflight > 0;   /* which may not come to it: remake_names() */
		pl->writes |= client_home(c, pl->must);
	} else {
		pl->other = true;       /* we do not know it; maybe the primary does */
		pl->writes |= *name && !describes && b->nparsed < PARSED_MAX;
		pl->notes |= !*name;    /* but for this one: a server may have one of the past */
	}
}

/* Is what the request makes gone at its end, as all portals are outside a transaction? */
static bool is_alone(const struct client *c, const struct plan *pl)
{
	return c->status == 'I' && !c->session.in_transaction && !pl->begins;
}

static void plan_bind(struct client *c, struct plan *pl, struct msg *m, struct bound *b)
{
	const char *portal = msg_text(m), *name = msg_text(m);

	pl->notes |= *portal != 0;
	/* A portal that outlives its request is not made again elsewhere, where another snapshot
	 * has other rows.  A named one is meant to. */
	pl->other |= *portal && !is_alone(c, pl);
	b->portal = true;
	plan_use(c, pl, name, b, false);
}

/* A portal of an earlier request goes on where it is, even if its statement would run elsewhere
 * now: PostgreSQL cannot move it.  One that we do not know may be a cursor of SQL's DECLARE, and
 * those are the primary's. */
static void plan_portal(struct client *c, struct plan *pl, const char *name, const struct bound *b)
{
	pl->notes |= *name != 0;
	if (b->portal)
		return;
	pl->notes |= c->bound != NULL;  /* we know what it runs, and so what that changes */
	pl->must = *name ? NULL : c->portal_on;
	pl->no_portal |= !*name && !c->portal_on;
	const struct portal *p = *name ? portal_find(c, name) : NULL;
	if (p)
		pl->must = p->server;
	pl->other |= !pl->must;
}

/* Describe or Close. */
static void plan_target(struct client *c, struct plan *pl, struct msg *m, const struct bound *b)
{
	char what = m->at < m->end ? (char)*m->at++ : 0;
	const char *name = msg_text(m);

	pl->notes |= m->type == 'C';
	if (what != 'S')
		plan_portal(c, pl, name, b);
	else if (m->type == 'D')
		plan_use(c, pl, name, b, true);
}

static void plan_text(struct client *c, struct plan *pl, const struct msg *m)
{
	if (m->end > m->at && m->end[-1] == 0)
		plan_query(c, pl, (const char *)m->at, strlen((const char *)m->at));
	else
		pl->simple = pl->other = true;  /* PostgreSQL answers it with an error */
}

/* One message, of len bytes.  MORE: the walk goes on. */
static int plan_kind(struct client *c, struct plan *pl, struct msg *m, struct bound *b, size_t len)
{
	pl->extended += plan_is_extended(m->type);
	switch (m->type) {
	case 'Q':
		plan_text(c, pl, m);
		return 1;
	case 'F':
		/* FunctionCall, which libpq uses for large objects.  It names its function by an
		 * OID, which tells us nothing: it may do anything. */
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
		plan_portal(c, pl, msg_text(m), b);
		pl->other |= msg_u32(m) && b->portal && !is_alone(c, pl);
		pl->executes++;
		return MORE;
	case 'H': case 'd': case 'c': case 'f':
		/* The client wants its answers before it sends more, so we must not wait for a
		 * Sync.  COPY data behind their Execute need no Flush. */
		return 1;
	case 'X':
		pl->len -= len;         /* messages before it have no Sync, but count */
		return 1;
	}
	/* An unknown type is refused when it is the first message; those before it are sent. */
	pl->len -= len;
	return pl->len ? 1 : client_refuse(c, "08P01", "invalid frontend message type", NULL, NULL);
}

/* One of the proxy's own ends the walk in front of it. */
static int plan_message(struct client *c, struct plan *pl, struct msg *m, struct bound *b,
                        size_t len)
{
	uint32_t before = pl->extended;
	int end = MORE;

	if (own_uses(c, m))
		pl->own = true;
	else
		end = plan_kind(c, pl, m, b, len);
	if (!pl->own)
		return end;
	pl->simple = false;
	pl->extended = before;
	pl->len -= len;
	return 1;
}

void plan_appended(struct client *c, struct plan *pl, struct msg m)
{
	struct bound b = { 0 };

	if (plan_is_extended(m.type) || m.type == 'Q' || m.type == 'F')
		plan_message(c, pl, &m, &b, 0);
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
	/* A statement that is prepared or bound now and executed later is worth remembering.  Of
	 * one that is executed at once, effect_note_plain() remembers only where it is. */
	pl->notes |= (pl->unnamed || b.portal) && !pl->executes;
	pl->other |= b.portal && !pl->executes && !is_alone(c, pl);
	/* A Query behind extended messages without a Sync: after an error in those, PostgreSQL
	 * ignores it like all else up to a Sync, and sends no ReadyForQuery. */
	if (pl->simple && pl->extended)
		pl->barrier = pl->other = true;
	pl->portal = b.portal;
	pl->whole = end > 0 && !pl->own && (m.type == 'Q' || m.type == 'F' || m.type == 'S');
	/* What is only parsed does nothing yet.  A portal may run where it is. */
	if (pl->whole && !pl->simple && !pl->executes && !b.portal)
		pl->home_only = pl->awaits = false;
	/* Too long to be waited for: it streams to the primary.  We cannot know what it does, so
	 * it counts as a write. */
	if (end == MORE && n > REQUEST_KEEP) {
		pl->writes = pl->hooks = true;
		return 1;
	}
	return end == MORE && c->hurried && pl->len ? 1 : end;
}
