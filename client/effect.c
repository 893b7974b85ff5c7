#include "client/effect.h"

#include "client/code.h"
#include "client/doubt.h"
#include "client/facts.h"
#include "client/last.h"
#include "client/own.h"
#include "client/parameter.h"
#include "client/portal.h"
#include "client/remake.h"
#include "client/renew.h"
#include "client/trace.h"
#include "client/transact.h"
#include "client/unnamed.h"
#include "client/unread.h"

#include <stdlib.h>
#include <string.h>

struct effect {
	struct effect *next, *before;
	uint32_t command;                       /* the statement's CommandComplete is the nth */
	uint32_t expects;                       /* Parses and Closes of its request before it */
	struct names forgotten;                 /* what it took from the client's names */
	struct sql_facts facts;
	bool known;                             /* the text tells what it sets */
	bool keeps;                             /* it calls a function of that kind */
	uint8_t *bind;                          /* the Bind's body, of a set_config(); or NULL */
	uint32_t bind_len;
	uint32_t len;
	char text[];                            /* the statement, zero-terminated */
};

/* --- noted --------------------------------------------------------------- */

static void count(struct query *q, enum sql_class class, uint32_t n)
{
	q->request.server->node->tally.statements[class] += n;
}

/* The text is copied: when the answer comes, the request is no longer in the scratch block. */
static int note_effect(struct query *q, const struct sql_facts *f, const char *text, size_t len)
{
	struct effect *e = malloc(sizeof *e + len + 1);

	if (!e)
		return -1;
	*e = (struct effect){ .before = q->last_effect, .command = q->executes,
		.expects = q->request.nexpect, .facts = *f, .len = (uint32_t)len };
	memcpy(e->text, text, len);
	e->text[len] = 0;
	*(q->last_effect ? &q->last_effect->next : &q->effects) = e;
	q->last_effect = e;
	if (!q->next_effect)
		q->next_effect = e;
	return 0;
}

void effects_free(struct query *q)
{
	while (q->effects) {
		struct effect *e = q->effects;
		q->effects = e->next;
		names_clear(q->request.server->all->stmts, &e->forgotten);
		free(e->bind);
		free(e);
	}
}

/* DEALLOCATE, like Close, counts from when it is sent: what follows in the request may use the
 * name anew, and forgetting it at the answer would forget that. */
static int forget_names(struct client *c, struct effect *e)
{
	struct stmts *stmts = c->all->servers->stmts;
	char name[64];

	if (!facts_forgets(&e->facts))
		return 0;
	if (e->facts.flags & SQL_ALL) {
		e->forgotten = c->prepared;
		c->prepared = (struct names){ 0 };
	} else {
		sql_name(name, e->text, e->facts.name);
		struct stmt *st = names_find(&c->prepared, name);
		if (st && names_set(stmts, &e->forgotten, name, st) < 0)
			return -1;
		names_remove(stmts, &c->prepared, name);
	}
	return 0;
}

/* An EXECUTE writes what its statement does: that one's text has the names of the tables. */
static void note_write(struct client *c, const struct sql_facts *f, const char *text, size_t len)
{
	struct stmt *s = facts_executed(c, f, text);

	session_wrote(&c->session, c->all->route, f, s ? s->text : text, s ? s->query_len : len);
}

/* The prepared statement that an EXECUTE or EXPLAIN EXECUTE runs; else NULL. */
static struct stmt *run_statement(const struct client *c, const struct sql_facts *f,
                                  const char *text)
{
	struct sql_facts execute = *f;

	if (f->kind == SQL_EXPLAIN)
		execute.kind = f->inner;
	return facts_executed(c, &execute, text);
}

/* The facts of the text, completed by the catalog.  EXECUTE does what its statement does. */
static struct sql_facts all_facts(struct client *c, const struct sql_facts *said,
                                  struct finding *v, const char *text, size_t len)
{
	struct stmt *s = run_statement(c, said, text);
	struct sql_facts f = *said;

	if (s)
		f.flags |= facts_of_stmt(c, s).flags & (SQL_FUNCTION | SQL_FOREIGN | SQL_ADVISORY
		                                | SQL_SETS | SQL_SET_CONFIG);
	else
		facts_look_up(c, &f, v, text, len);
	return f;
}

static int keep_bind(struct effect *e, const struct binding *b)
{
	e->bind = malloc(b->len + 1);
	if (!e->bind)
		return -1;
	memcpy(e->bind, b->at, b->len);
	e->bind_len = (uint32_t)b->len;
	return 0;
}

/* A prepared statement of which we do not know: of code, or of a PREPARE in flight.  It may do
 * anything. */
static void note_unknown(struct client *c, struct query *q)
{
	session_wrote(&c->session, c->all->route, NULL, "", 0);
	if (client_home(c, q->request.server))
		code_note_any(c);
}

static bool takes_name_back(const struct sql_facts *f, const char *text)
{
	char name[128] = "";

	if (facts_takes_back(f) && !(f->flags & SQL_ALL))
		sql_parameter(name, text, f);
	return facts_takes_back(f) && (!*name || !strcmp(name, "application_name"));
}

/* A statement is being executed.  Each is counted, also those without effects: answers say which
 * statement they belong to only by their order. */
static int note_statement(struct client *c, struct query *q, const struct sql_facts *said,
                          struct finding *v, const char *text, size_t len, struct binding *b)
{
	/* The protocol prepares also what SQL's PREPARE does not: an EXECUTE of a SET is a SET. */
	struct stmt *same = said->kind == SQL_EXECUTE ? facts_executed(c, said, text) : NULL;
	if (same && (facts_takes_back(&same->facts) || facts_forgets(&same->facts))) {
		said = &same->facts;
		text = same->text;
		len = same->query_len;
	}
	struct sql_facts all = all_facts(c, said, v, text, len), *f = &all;
	struct stmt *run = run_statement(c, said, text);

	q->executes++;
	q->copies += f->kind == SQL_COPY_FROM;
	q->barrier |= f->kind == SQL_COPY_FROM || facts_forgets(f)
	              || (server_is_renamed(q->request.server) && takes_name_back(f, text));
	bool writes = facts_write(c, f, text);
	if (writes)
		note_write(c, f, text, len);
	/* An EXECUTE does what the text of its statement says. */
	last_note(c, text, len);
	const char *does = run ? run->text : text;
	size_t does_len = run ? run->query_len : len;
	if (client_home(c, q->request.server))
		code_note(c, f, writes && facts_hooks(f), does, does_len);
	if (f->kind == SQL_EXECUTE && !run)
		note_unknown(c, q);
	code_note_end(c, f);
	bool known = parameter_note(c, f, does, does_len, b);
	if (f->kind == SQL_DDL
	    && renew_before(c, q, text + f->start, f->end - f->start) < 0)
		return -1;
	if (!facts_effect(f))
		return 0;
	if (note_effect(q, f, text, len) < 0)
		return -1;
	q->last_effect->known = known;
	q->last_effect->keeps = (f->flags & SQL_FUNCTION) && code_keeps(does, does_len);
	if (known && b->at && keep_bind(q->last_effect, b) < 0)
		return -1;
	return forget_names(c, q->last_effect);
}

/* The text of a Query: one statement after the other. */
static int note_query(struct client *c, struct query *q, const char *text)
{
	size_t len = strlen(text), at = 0;
	struct binding none = { .at = NULL };
	struct sql_facts f;

	trace_query(c, text);
	trace_sent(c, q, "", text, len);
	do {
		sql_classify(&f, text + at, len - at, &c->all->route->rules);
		trace_unparsed(c, &f, text + at);
		if (!at)                /* a Query counts once, as with Pgpool-II */
			count(q, sql_kind_class[f.kind], 1);
		if (note_statement(c, q, &f, NULL, text + at,
		                   f.next < len - at ? f.next : len - at, &none) < 0)
			return -1;
		at += f.next ? f.next : len - at;
	} while (at < len);
	return 0;
}

/* The whole body behind the name is kept, types of parameters included, so that another server can
 * be given the same statement.  A name that is taken already is not given again: PostgreSQL will
 * refuse it, and the first statement stays. */
static int note_parse(struct client *c, struct query *q, struct msg *m)
{
	const char *name = msg_text(m), *body = (const char *)m->at, *text = msg_text(m);
	size_t len = strlen(text);
	size_t body_len = m->broken ? 0 : (size_t)(m->end - (const uint8_t *)body);
	struct stmts *stmts = c->all->servers->stmts;
	bool fresh = *name && !names_find(&c->prepared, name);
	struct sql_facts f;

	trace_sent(c, q, "Parse: ", text, len);
	facts_find(c, text, len, &f);
	f.flags |= m->broken ? SQL_UNPARSED : 0;        /* only its beginning is here */
	trace_unparsed(c, &f, text);
	struct stmt *st = stmt_get(stmts, false, body, body_len, &f);
	if (!st)
		return -1;
	if (fresh)
		names_set(stmts, &c->prepared, name, st);
	if (!*name)
		unnamed_note(c, q, q->extended, st);
	int bad = request_expect(&q->request, (struct expect){ '1', fresh, false, q->fallible,
	                         q->extended, *name ? (char *)(uintptr_t)name : NULL, st });
	stmt_drop(stmts, st);
	if (!bad && m->broken && client_home(c, q->request.server)) {   /* maybe a DO */
		const uint8_t *p = (const uint8_t *)body;
		bad = unread_begin(c, q, p, (size_t)(m->end - p));
	}
	return bad;
}

/* The portal keeps its statement: a later Execute runs that one, even if its name has been given to
 * another meanwhile. */
static int note_bind(struct client *c, struct query *q, struct msg *m)
{
	const uint8_t *body = m->at;
	const char *portal = msg_text(m), *name = msg_text(m);
	struct stmt *st = *name ? names_find(&c->prepared, name) : c->unnamed.stmt;

	free(q->bind);
	q->bind_len = (uint32_t)(m->end - body);
	q->bind = st && (st->facts.flags & SQL_SET_CONFIG) && !m->broken
	          ? malloc(q->bind_len) : NULL;
	if (q->bind)
		memcpy(q->bind, body, q->bind_len);

	trace_sent(c, q, "Bind: ", st ? st->text : "", st ? st->query_len : 0);
	if (*name && !st)
		note_unknown(c, q);
	return portal_set(c, portal, q->request.server, st);
}

/* A portal may be executed in another request than it was bound in, or again, to go on.  Unknown
 * ones are cursors, or were not worth noting: they have no effect. */
static int note_execute(struct client *c, struct query *q, struct msg *m)
{
	const char *name = msg_text(m);
	const struct portal *p = *name ? portal_find(c, name) : NULL;
	struct stmt *st = *name ? p ? p->stmt : NULL : c->bound;

	trace_sent(c, q, "Execute: ", st ? st->text : "", st ? st->query_len : 0);
	count(q, !st ? CLASS_OTHER : sql_kind_class[st->sql ? SQL_EXECUTE : st->facts.kind], 1);
	if (!st) {
		q->executes++;
		return 0;
	}
	/* A Bind may name a statement of SQL's PREPARE.  Executing that is an EXECUTE, not
	 * another PREPARE. */
	const struct sql_facts execute = { .kind = SQL_EXECUTE, .inner = SQL_EXECUTE,
		.name = st->facts.name, .end = st->query_len, .next = st->query_len };
	/* Its values are known if its Bind is in the same request. */
	struct binding b = { .stmt = st };
	if (q->bind && wire_same_name((const char *)q->bind, name))
		b = (struct binding){ q->bind, q->bind_len, st };
	return note_statement(c, q, st->sql ? &execute : &st->facts, st->sql ? NULL : &st->finding,
		st->text, st->query_len, &b);
}

/* A statement's description is worth remembering; a portal's answer has no ParameterDescription,
 * which tells the two apart. */
static int note_describe(struct client *c, struct query *q, struct msg *m)
{
	bool statement = m->at < m->end && *m->at++ == 'S';
	const char *name = msg_text(m);
	struct expect e = { .type = 'T', .fresh = true, .name = (char *)(uintptr_t)name,
		.stmt = *name ? NULL : c->unnamed.stmt };

	trace_sent(c, q, "D message", "", 0);
	return statement && !m->broken ? request_expect(&q->request, e) : 0;
}

/* The statement goes with the expectation, so that the name can be given back if PostgreSQL does
 * not come to close it. */
static int note_close(struct client *c, struct query *q, struct msg *m)
{
	char what = m->at < m->end ? (char)*m->at++ : 0;
	const char *name = msg_text(m);
	bool statement = what == 'S' && !m->broken;
	struct stmt *st = statement ? names_find(&c->prepared, name) : NULL;

	trace_sent(c, q, "C message", "", 0);
	if (statement && !*name)
		unnamed_note_end(c, q, q->extended);
	if (request_expect(&q->request, (struct expect){ '3', false, false, q->fallible, 0,
	                   statement ? (char *)(uintptr_t)name : NULL, st }) < 0)
		return -1;
	if (st)
		names_remove(c->all->servers->stmts, &c->prepared, name);
	return 0;
}

static int note_message(struct client *c, struct query *q, struct msg *m, bool whole)
{
	const char *text = m->type == 'Q' && whole && m->end > m->at && !m->end[-1]
	                   ? (const char *)m->at : NULL;

	switch (m->type) {
	case 'Q':
		q->simple = true;
		portal_end(c, q);
		unnamed_note_end(c, q, q->extended + 1);
		if (text)
			return note_query(c, q, text);
		/* Too long to be read: it may write anything, and be a COPY. */
		q->barrier = true;
		q->copies++;
		session_wrote(&c->session, c->all->route, NULL, "", 0);
		if (whole || !client_home(c, q->request.server))
			return 0;
		code_note_any(c);
		return unread_begin(c, q, m->at, (size_t)(m->end - m->at));
	case 'P':
		return note_parse(c, q, m);
	case 'B':
		return note_bind(c, q, m);
	case 'E':
		return note_execute(c, q, m);
	case 'C':
		return note_close(c, q, m);
	case 'D':
		return note_describe(c, q, m);
	case 'S':
		trace_sent(c, q, "Sync", "", 0);
		return 0;
	case 'F':
		q->simple = true;
		session_wrote(&c->session, c->all->route, NULL, "", 0);
		code_note_any(c);
		return 0;
	case 'c': case 'f':
		if (q->copies) {
			q->copies--;
			q->copy_ends++;
		}
		return 0;
	}
	return 0;
}

int effect_note(struct client *c, struct query *q, struct msg *m, bool whole)
{
	int bad = note_message(c, q, m, whole);

	q->fallible |= m->type != 'C';
	return bad;
}

/* Nothing may stand behind a barrier.  If that is a DEALLOCATE, the statement may be gone: a
 * Describe of it would fail, and the transaction with it. */
int effect_describe(struct query *q)
{
	char name[64];

	for (const struct effect *e = q->barrier ? NULL : q->effects; e; e = e->next) {
		if (e->facts.kind != SQL_PREPARE)
			continue;
		sql_name(name, e->text, e->facts.name);
		if (remake_describe_sql(q->request.server, name) < 0)
			return -1;
	}
	return 0;
}

/* Texts are not kept here, or every Parse would be copied.  A later request that uses the unnamed
 * statement or portal goes to the server that has it; but see unnamed_keep(). */
void effect_note_plain(struct client *c, const struct plan *pl, struct query *q)
{
	static const struct sql_facts none;     /* of tables: those are noted where that matters */

	count(q, pl->class, pl->simple ? 1 : pl->executes);
	if (pl->writes) {
		session_wrote(&c->session, c->all->route, &none, "", 0);
		if (pl->hooks)
			code_note_hooks(c);
	}
	if (pl->unknown)
		code_note_unknown(c);
	if (pl->text)
		code_note_end(c, &pl->facts);
	if (pl->simple)
		portal_end(c, q);
	else if (pl->portal)
		portal_set(c, "", q->request.server, NULL);
	if (pl->unnamed)
		unnamed_note(c, q, pl->unnamed, NULL);
	if (pl->simple)
		unnamed_note_end(c, q, pl->extended + 1);
}

/* --- applied ------------------------------------------------------------- */

/* A line for the script.  The server that has just run the statement must not run it again, so it
 * stays level if it was; one that was behind will run this line as well. */
static void script_note(struct client *c, struct server *s, const struct effect *e,
                        const struct sql_facts *f, const char *name)
{
	bool was_level = s->script == c->script.serial;

	if (!script_is_whole(&c->script))
		return;
	const char *text = e->text + e->facts.start;
	if (script_add(&c->script, f, name, text, f->end - f->start) == 0 && was_level)
		s->script = c->script.serial;
}

/* Unlike the name of a Parse, this one counts from its answer. */
static void apply_prepare(struct client *c, struct server *s, const struct effect *e)
{
	struct stmts *stmts = c->all->servers->stmts;
	char name[64];

	sql_name(name, e->text, e->facts.name);
	struct stmt *st = stmt_get(stmts, true, e->text, e->facts.end, &e->facts);
	if (!st)
		return;
	names_set(stmts, &c->prepared, name, st);
	names_set(stmts, &s->names, name, st);
	stmt_drop(stmts, st);
}

static void apply_deallocate(struct client *c, struct server *s, const struct effect *e)
{
	struct stmts *stmts = s->all->stmts;
	char name[64];

	if (e->facts.flags & SQL_ALL) {
		names_clear(stmts, &s->names);
		names_clear(stmts, &c->prepared);
		own_statements_gone(c);
		return;
	}
	sql_name(name, e->text, e->facts.name);
	names_remove(stmts, &s->names, name);
	names_remove(stmts, &c->prepared, name);        /* its Parse may have been answered since */
}

/* After DISCARD ALL nothing of the past counts.  It is a line of the script itself, since other
 * servers of the session have to forget the same. */
static void apply_discard(struct client *c, struct server *s, const struct effect *e)
{
	char word[64];

	sql_name(word, e->text, e->facts.name);
	if ((e->facts.flags & SQL_ALL) || !strncmp(word, "temp", 4))
		session_dropped(&c->session, NULL);
	if (!(e->facts.flags & SQL_ALL))
		return;
	script_forget(&c->script);
	script_note(c, s, e, &e->facts, "");
	apply_deallocate(c, s, e);
	transact_defaults(c);
	doubt_forget(c);
}

/* ROLLBACK TO has taken lines back on the authority, the server that ran it.  Servers in the
 * transaction that ran these lines have no savepoint to go back to: they leave the session. */
static void forget_beyond(struct client *c, const struct server *authority, uint32_t serial)
{
	for (struct server *s = c->borrowed, *next; s; s = next) {
		next = s->next_borrowed;
		if (s == authority || (s->script <= serial && s->status != 'E') || s->status == 'I')
			continue;
		client_detach(c, s);
		server_return(s);
	}
}

/* SET and RESET, and set_config().  What the text does not tell will be asked for. */
static void apply_set(struct client *c, struct server *s, const struct effect *e)
{
	if (e->facts.flags & SQL_ALL)
		script_note(c, s, e, &e->facts, "");
	else if (e->known)
		parameter_apply(c, s, &e->facts, e->text,
			&(struct binding){ e->bind, e->bind_len, NULL });
	else if (c->session.in_transaction && strcasestr(e->text, "transaction_isolation"))
		c->session.level = LEVEL_UNSAID;        /* the question will not tell */
	transact_defaults(c);
}

/* DDL for the session's own temporary tables changes nothing for others, so the catalog's answers
 * stay; but it may make code. */
static bool changes_catalog(struct client *c, const struct effect *e)
{
	struct session *s = &c->session;

	if (e->facts.kind == SQL_DO)
		return bodies_text(c->all->bodies, c->borrower.profile->account, e->text, e->len)
		       & CODE_DDL;
	if (e->facts.kind != SQL_DDL)
		return true;
	if (!(e->facts.flags & SQL_TEMP) && !session_has_temporary(s, e->text, e->facts.end))
		return true;
	bool makes = code_is_made(e->text, e->facts.end);
	s->made_code |= makes;
	return makes;
}

/* Into the script: a node that reads later in this transaction begins it in the same way.  What
 * follows it in the request stands in the transaction. */
static void apply_begin(struct client *c, struct server *s, const struct effect *e)
{
	transact_begun(c, &e->facts);
	script_note(c, s, e, &e->facts, "");
}

static void apply_set_transaction(struct client *c, struct server *s, const struct effect *e)
{
	if (c->session.in_transaction)
		apply_begin(c, s, e);
	else
		script_note(c, s, e, &e->facts, "");
}

/* A mark in the script, for ROLLBACK TO. */
static void apply_savepoint(struct client *c, struct server *s, const struct effect *e)
{
	char name[64];

	sql_name(name, e->text, e->facts.name);
	script_note(c, s, e, &e->facts, name);
}

static void apply_rollback_to(struct client *c, struct server *s, const struct effect *e)
{
	char name[64];

	sql_name(name, e->text, e->facts.name);
	forget_beyond(c, s, script_rollback_to(&c->script, name));
	session_rolled_back_to(&c->session);
	transact_defaults(c);
}

static void apply_release(struct client *c, struct server *s, const struct effect *e)
{
	char name[64];

	(void)s;
	sql_name(name, e->text, e->facts.name);
	script_release(&c->script, name);
}

static void apply_listen(struct client *c, struct server *s, const struct effect *e)
{
	(void)s, (void)e;
	c->session.listened |= !(c->pins & PIN_LISTEN);
	c->pins |= PIN_LISTEN;
}

/* The effects of a statement's flags, of whatever kind it is. */
static void apply_flags(struct client *c, struct server *s, const struct effect *e)
{
	char name[64];

	if (e->facts.flags & SQL_TEMP) {
		sql_name(name, e->text, e->facts.name);
		session_made_temporary(&c->session, name, e->facts.flags & SQL_DROPS);
		c->pins |= PIN_TEMPORARY;
	}
	if (e->known || (e->facts.flags & SQL_SET_CONFIG))
		apply_set(c, s, e);
	if (!e->known && e->keeps)
		c->pins |= PIN_FUNCTION;
}

/* The cursor's functions are called by FETCH, which does not name them, but in this transaction. */
static void apply_declare(struct client *c, struct server *s, const struct effect *e)
{
	c->pins |= e->facts.flags & SQL_HOLD ? PIN_CURSOR : 0;
	apply_flags(c, s, e);
}

/* Statements that may leave anything in the session. */
static void apply_keep(struct client *c, struct server *s, const struct effect *e)
{
	(void)s, (void)e;
	c->pins |= PIN_OTHER;
}

/* A library may change what any statement does: no replica can follow. */
static void apply_load(struct client *c, struct server *s, const struct effect *e)
{
	apply_keep(c, s, e);
	c->script.full = true;
}

/* Another session may have altered roles in it. */
static void apply_commit_prepared(struct client *c, struct server *s, const struct effect *e)
{
	(void)s, (void)e;
	c->session.altered = true;
}

static void note_dropped(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	struct client *c = ctx;

	if (use == SQL_DROPPED && (!*schema || !strncmp(schema, "pg_temp", 7)))
		session_dropped(&c->session, name);
}

static void apply_ddl(struct client *c, struct server *s, const struct effect *e)
{
	const struct sql_facts *f = &e->facts;

	c->session.altered |= renew_note(c, e->text + f->start, f->end - f->start);
	if (c->session.temporary && (f->flags & (SQL_DROPS | SQL_TEMP)) == SQL_DROPS)
		sql_names(e->text + f->start, f->end - f->start, note_dropped, c);
	apply_flags(c, s, e);
}

/* The kinds that have effects of their own; all others have those of their flags. */
static void (*const own_effect[SQL_KIND_COUNT])(struct client *c, struct server *s,
                                                const struct effect *e) = {
	[SQL_BEGIN] = apply_begin,
	[SQL_SAVEPOINT] = apply_savepoint,
	[SQL_ROLLBACK_TO] = apply_rollback_to,
	[SQL_COMMIT_PREPARED] = apply_commit_prepared,
	[SQL_SET] = apply_set,
	[SQL_RESET] = apply_set,
	[SQL_SET_TRANSACTION] = apply_set_transaction,
	[SQL_DISCARD] = apply_discard,
	[SQL_PREPARE] = apply_prepare,
	[SQL_DEALLOCATE] = apply_deallocate,
	[SQL_DECLARE] = apply_declare,
	[SQL_LISTEN] = apply_listen,
	[SQL_RELEASE] = apply_release,
	[SQL_LOAD] = apply_load,
	[SQL_DDL] = apply_ddl,
	[SQL_OTHER] = apply_keep,
};

static void apply(struct client *c, struct server *s, const struct effect *e)
{
	uint16_t does = sql_kind_does[e->facts.kind];

	if (does & KIND_CHANGES)
		c->session.changed |= changes_catalog(c, e);
	(own_effect[e->facts.kind] ? own_effect[e->facts.kind] : apply_flags)(c, s, e);
}

/* The answer to a COMMIT in a failed transaction is ROLLBACK: only the tag tells them apart.
 * Whatever follows in the request, the transaction has ended. */
static void apply_end(struct client *c, struct query *q, const struct effect *e, bool undone)
{
	struct server *authority = q->request.server;

	authority->status = 'I';        /* ReadyForQuery may tell of the next transaction */
	if (e->facts.flags & SQL_CHAIN)
		transact_chained(c, authority, !undone);
	else
		transact_ended(c, !undone);
	q->request.failed = undone && !(e->facts.flags & SQL_CHAIN) && e->command == q->executes;
}

/* Applies only the effects of the statement that has been answered: those behind it may fail. */
void effect_complete(struct client *c, struct query *q, const uint8_t *body, size_t len)
{
	struct request *r = &q->request;

	for (const struct effect *e; (e = q->next_effect) && e->command <= r->commands; ) {
		q->next_effect = e->next;
		if (e->command < r->commands)
			continue;
		bool undone = len >= 8 && !memcmp(body, "ROLLBACK", 8);
		if (e->facts.kind == SQL_COMMIT || e->facts.kind == SQL_ROLLBACK
		    || (e->facts.kind == SQL_PREPARE_TRANSACTION && undone))
			apply_end(c, q, e, undone);
		else
			apply(c, r->server, e);
	}
}

/* --- names --------------------------------------------------------------- */

void effect_name_answered(struct client *c, struct query *q, char type)
{
	struct request *r = &q->request;
	struct expect *e = r->answered ? &r->expect[r->answered - 1] : NULL;

	if (!e || e->type != type || e->hidden || !e->name)
		return;
	if (type == '3') {
		names_remove(c->all->servers->stmts, &c->prepared, e->name);
	} else if (e->stmt && names_find(&c->prepared, e->name) != e->stmt) {
		names_set(c->all->servers->stmts, &c->prepared, e->name, e->stmt);
		e->fresh = true;
	}
}

/* What was taken from the names behind this request, and would come back if that fails. */
static void forget_taken(struct client *c, const struct query *q, const char *name)
{
	struct stmts *stmts = c->all->servers->stmts;

	for (struct query *at = c->last; at != q; at = at->before) {
		struct request *r = &at->request;
		for (uint32_t i = 0; i < r->nexpect; i++) {
			struct expect *e = &r->expect[i];
			if (e->type != '3' || !e->name || !wire_same_name(e->name, name))
				continue;
			stmt_drop(stmts, e->stmt);
			e->stmt = NULL;
		}
		for (struct effect *e = at->effects; e; e = e->next)
			names_remove(stmts, &e->forgotten, name);
	}
}

static void undo_expect(struct client *c, const struct query *q, const struct expect *e)
{
	struct stmts *stmts = c->all->servers->stmts;

	const struct stmt *is = e->name ? names_find(&c->prepared, e->name) : NULL;

	/* A PREPARE in front of it may have been answered since. */
	if (e->type == '1' && e->fresh && is && !is->sql)
		names_remove(stmts, &c->prepared, e->name);
	else if (e->type == '1' && e->fresh && !is)
		forget_taken(c, q, e->name);
	else if (e->type == '3' && e->stmt)
		names_set(stmts, &c->prepared, e->name, e->stmt);
}

/* The last one first, DEALLOCATEs in their places. */
static void undo_names(struct client *c, const struct query *q, uint32_t from)
{
	const struct request *r = &q->request;
	const struct effect *e = q->last_effect;

	for (uint32_t i = r->nexpect; ; i--) {
		for (; e && e->command > r->commands && e->expects >= i; e = e->before)
			names_add(c->all->servers->stmts, &c->prepared, &e->forgotten);
		if (i <= from)
			return;
		undo_expect(c, q, &r->expect[i - 1]);
	}
}

void effect_failed(struct client *c, struct query *q)
{
	undo_names(c, q, q->request.answered);
	unnamed_undo(c, q, q->request.server->scanner.answers + 1);
	if (!q->request.commands)
		portal_undo(c, q);
}

void effect_take_back(struct client *c, struct query *q)
{
	undo_names(c, q, 0);
	unnamed_undo(c, q, 0);
	portal_undo(c, q);
}
