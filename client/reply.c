/* client/reply.c - replies on their way to the client, and what they change in its session. */
#include "client/query.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_MAX = 1 << 20 };                    /* bytes of a reply before its first row */

/* --- replies ------------------------------------------------------------- */

static void pause_servers(struct client *c)
{
	c->paused = true;
	for (struct server *s = c->lent; s; s = s->next_lent)
		conn_reading(c->all->base->net, &s->conn, false);
}

static void hold(struct request *r, const uint8_t *p, size_t n)
{
	bool endless = r->held_len + n > HELD_MAX;
	uint8_t *more = endless ? NULL : realloc(r->held, r->held_len + n);

	if (!more) {
		server_close(r->server, endless ? "its reply goes on without a row" : "out of memory");
		return;
	}
	memcpy(more + r->held_len, p, n);
	r->held = more;
	r->held_len += (uint32_t)n;
}

/* From a replica nothing is told before it is clear that it will not be an error. */
static void on_bytes(struct request *r, const uint8_t *p, size_t n)
{
	struct client *c = r->owner;

	if (r->retry && !r->progress) {
		hold(r, p, n);
		return;
	}
	if (r->held) {
		conn_put(c->all->base->net, &c->conn, r->held, r->held_len);
		net_flush(c->all->base->net);
		free(r->held);
		r->held = NULL;
		r->held_len = 0;
	}
	conn_put(c->all->base->net, &c->conn, p, n);
	if (conn_pending(&c->conn))
		pause_servers(c);
}

/* NULL: of all servers. */
static void forget_portals(struct client *c, const struct server *s)
{
	struct stmts *stmts = c->all->servers->stmts;

	if (!s || c->portal_on == s) {
		stmt_drop(stmts, c->bound);
		c->bound = NULL;
	}
	for (struct portal **at = &c->portals; *at; ) {
		struct portal *p = *at;
		if (s && p->server != s) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		stmt_drop(stmts, p->stmt);
		free(p);
	}
}

void remove_lent(struct client *c, struct server *s)
{
	struct server **at = &c->lent;

	while (*at && *at != s)
		at = &(*at)->next_lent;
	if (*at)
		*at = s->next_lent;
	if (c->unnamed_on == s)
		c->unnamed_on = NULL;
	forget_portals(c, s);
	if (c->portal_on == s)
		c->portal_on = NULL;
}

/* What the client's map took for granted when the request was sent, and what did not happen. */
static void undo_names(struct client *c, struct request *r, uint32_t from)
{
	struct stmts *stmts = c->all->servers->stmts;

	for (uint32_t i = r->nexpect; i-- > from; ) {
		const struct expect *e = &r->expect[i];
		if (e->type == '1' && e->fresh)
			names_remove(stmts, &c->prepared, e->name);
		else if (e->type == '3' && e->stmt)
			names_set(stmts, &c->prepared, e->name, e->stmt);
	}
}

static void took_back(struct client *c, struct request *r)
{
	undo_names(c, r, 0);
	if (conn_unread(&c->conn, c->force, r->copy, r->copy_len) < 0) {
		client_out_of_memory(c);
		return;
	}
	c->force += r->copy_len;
	c->inflight--;
	c->last = NULL;
}

/* A replica refused the statement because it writes: every text of the request is remembered. */
static void learn_from(struct client *c, const struct request *r)
{
	struct msg m;

	for (size_t at = 0; at < r->copy_len; ) {
		long len = wire_next(&m, r->copy + at, r->copy_len - at, MESSAGE_MAX);
		if (len <= 0)
			break;
		at += (size_t)len;
		if (m.type == 'P')
			get_text(&m);
		if (m.type == 'P' || m.type == 'Q') {
			const char *text = get_text(&m);
			learn_writer(c, text, strlen(text));
		}
	}
}

/* An error on a replica that the client has seen nothing of yet: its requests go back into the
 * input, marked for the primary.  In a transaction the replica leaves it. */
static void run_on_primary(struct client *c, struct request *r, const char *code)
{
	struct server *s = r->server;

	if (code && !strcmp(code, "25006")) {
		learn_from(c, r);
		c->session.doubt = DOUBT_ALL;   /* what does it write? */
	}
	for (; r && c->phase == AT_READY; r = r->next)
		if (r->owner == c) {
			took_back(c, r);
			request_orphan(r);
		}
	if (c->session.in_transaction) {
		c->session.no_replica = true;
		remove_lent(c, s);
		server_return(s);
	}
	client_resume(c);
}

/* Whatever a replica says instead of an answer may be its own trouble; but not that the statement
 * was canceled or took too long. */
static bool may_run_again(const struct request *r, const uint8_t *body, size_t len)
{
	const char *code = wire_field(body, len, 'C');

	return r->retry && !r->progress && !(code && !strcmp(code, "57014"));
}

static void on_error(struct client *c, struct request *r, const uint8_t *body, size_t len)
{
	const char *severity = wire_field(body, len, 'V');

	r->progress = true;
	if (conn_kept(&c->conn))
		client_resume(c);
	if (severity && !strcmp(severity, "FATAL"))
		c->told_fatal = true;
	undo_names(c, r, r->answered);
	c->copying = false;
	if (r->effects)
		c->session.doubt = DOUBT_ALL;   /* a procedure may have committed something before */
}

/* PostgreSQL did not hear the end of the request - a Sync while it reads COPY data, a Query after
 * an error in the extended protocol - and goes on to the next Sync: what will be sent is part
 * of this request.  Nothing was sent behind it, since it is `alone`. */
static void reopen(struct client *c, struct request *r)
{
	if (c->last != r)
		return;
	r->open = true;
	r->simple = false;
	client_resume(c);
}

/* G: data is awaited, unless it was sent already. */
static bool on_copy_in(struct client *c, struct request *r)
{
	if (r->copy_ends) {
		r->copy_ends--;
		return true;
	}
	if (!r->simple && !r->open)
		reopen(c, r);
	if (r->late_ends)
		r->late_ends--;
	else
		c->copying = true;
	client_resume(c);
	return true;
}

static void on_command(struct client *c, struct request *r, const uint8_t *body, size_t len);

static bool on_message(struct request *r, char type, const uint8_t *body, size_t len)
{
	struct client *c = r->owner;

	switch (type) {
	case 'E':
		if (may_run_again(r, body, len)) {
			run_on_primary(c, r, wire_field(body, len, 'C'));
			return false;
		}
		on_error(c, r, body, len);
		r->deaf = !r->simple || r->owed;
		if (r->deaf && r->simple)
			reopen(c, r);
		return true;
	case 'C': case 's':             /* what has begun counts, if it is never resumed */
		if (r->effects)
			on_command(c, r, body, len);
		return true;
	case 'S':
		return is_primary(r->server);
	case 'G':
		return on_copy_in(c, r);
	case 'W':
		c->copying = true;
		client_resume(c);
		return true;
	case '1': case '3':
		if (r->open && conn_kept(&c->conn))
			client_resume(c);       /* too many were owed */
		return true;
	case 'Z':
		r->progress = true;
		return !r->hidden_end;
	}
	return true;
}

/* --- effects ------------------------------------------------------------- */

static void script_note(struct client *c, struct server *s, const struct effect *e,
                        const struct sql_facts *f, const char *name)
{
	bool was_level = s->script == c->script.serial;

	if (c->script.full)
		return;
	const char *text = e->text + e->facts.start;
	if (script_add(&c->script, f, name, text, f->end - f->start) == 0 && was_level)
		s->script = c->script.serial;
}

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

static void apply_deallocate(struct server *s, const struct effect *e)
{
	struct stmts *stmts = s->all->stmts;
	char name[64];

	/* The client's map was changed when it was sent: a later message may use the name anew. */
	if (e->facts.flags & SQL_ALL) {
		names_clear(stmts, &s->names);
		return;
	}
	sql_name(name, e->text, e->facts.name);
	names_remove(stmts, &s->names, name);
}

static void apply_discard(struct client *c, struct server *s, const struct effect *e)
{
	struct effect all = *e;

	script_forget(&c->script);
	script_note(c, s, e, &e->facts, "");
	all.facts.flags |= SQL_ALL;
	apply_deallocate(s, &all);
	c->pins = 0;
}

/* Servers that ran what the authority has taken back cannot follow: they go. */
static void forget_beyond(struct client *c, const struct server *authority, uint32_t serial)
{
	for (struct server *s = c->lent, *next; s; s = next) {
		next = s->next_lent;
		if (s == authority || (s->script <= serial && s->status != 'E') || s->status == 'I')
			continue;
		remove_lent(c, s);
		server_return(s);
	}
}

/* AND CHAIN: the next transaction begins at once, as the last one was begun. */
static void chain_transaction(struct client *c, struct server *authority, bool committed)
{
	struct sql_facts begin = { .kind = SQL_BEGIN };
	char *text = script_begin(&c->script);

	authority->status = 'I';        /* of the old one; its ReadyForQuery tells of the new */
	end_transaction(c, committed);
	c->session.in_transaction = true;
	if (script_add(&c->script, &begin, "", text ? text : "BEGIN", text ? strlen(text) : 5) == 0)
		authority->script = c->script.serial;
	free(text);
}

/* set_config() with literal arguments can be run again like a SET.  With others, or beside
 * other writes, it cannot, and the session's reads stay on the primary. */
static void apply_set_config(struct client *c, struct server *s, const struct effect *e)
{
	struct effect set = *e;
	const char *at = strcasestr(e->text, "true");
	bool local = at && at > e->text && (at[-1] == ',' || at[-1] == ' ') && strchr(") ", at[4]);

	if (local && !c->session.in_transaction)
		return;
	set.facts.kind = SQL_SET;
	set.facts.flags |= local ? SQL_LOCAL : 0;
	/* Arguments that are no literals may give another value elsewhere. */
	const char *call = strchr(e->text, '(');
	bool literal = call && !strchr(call + 1, '(') && !strchr(e->text, '$')
	               && !strcasestr(e->text, " from ");
	if (e->facts.kind == SQL_SELECT && literal)
		script_note(c, s, e, &set.facts, "");
	else if (local)
		c->session.no_replica = true;
	else
		c->script.full = true;
}

static void apply_set(struct client *c, struct server *s, const struct effect *e)
{
	char name[128];

	sql_parameter(name, e->text, &e->facts);
	if (e->facts.flags & SQL_LOCAL && !c->session.in_transaction)
		return;
	if ((e->facts.flags & SQL_ALL) || !strcmp(name, "default_transaction_isolation"))
		c->session.serializable_always = (e->facts.flags & SQL_SERIALIZABLE) != 0;
	else if (!strcmp(name, "session characteristics"))
		c->session.serializable_always |= (e->facts.flags & SQL_SERIALIZABLE) != 0;
	if (!strcmp(name, "transaction_isolation"))
		c->session.serializable |= (e->facts.flags & SQL_SERIALIZABLE) != 0;
	script_note(c, s, e, &e->facts, name);
}

/* What concerns the session's own temporary tables is nobody else's business. */
static bool changes_catalog(const struct session *s, const struct effect *e)
{
	return !(e->facts.flags & SQL_TEMP) && !session_has_temporary(s, e->text, e->facts.end);
}

static bool is_role(void *ctx, const char *name, bool called)
{
	int *nth = ctx;

	(void)called;
	return ++*nth == 2
	       && (!strcmp(name, "role") || !strcmp(name, "user") || !strcmp(name, "group"));
}

/* CREATE, ALTER or DROP ROLE and its other names. */
static bool alters_role(const struct effect *e)
{
	int nth = 0;

	return sql_mentions(e->text + e->facts.start, e->facts.end - e->facts.start, is_role, &nth);
}

static void apply(struct client *c, struct server *s, const struct effect *e)
{
	char name[128];

	switch (e->facts.kind) {
	case SQL_BEGIN:
		c->session.serializable |= (e->facts.flags & SQL_SERIALIZABLE) != 0;
		script_note(c, s, e, &e->facts, "");
		return;
	case SQL_SAVEPOINT:
		sql_name(name, e->text, e->facts.name);
		script_note(c, s, e, &e->facts, name);
		return;
	case SQL_ROLLBACK_TO:
		sql_name(name, e->text, e->facts.name);
		forget_beyond(c, s, script_rollback_to(&c->script, name));
		return;
	case SQL_SET: case SQL_RESET:
		apply_set(c, s, e);
		return;
	case SQL_SET_TRANSACTION:
		c->session.serializable |= c->session.in_transaction
		                           && (e->facts.flags & SQL_SERIALIZABLE);
		script_note(c, s, e, &e->facts, "");
		return;
	case SQL_DISCARD:
		if (e->facts.flags & SQL_ALL)
			apply_discard(c, s, e);
		return;
	case SQL_PREPARE:
		apply_prepare(c, s, e);
		return;
	case SQL_DEALLOCATE:
		apply_deallocate(s, e);
		return;
	case SQL_LISTEN:
		c->pins |= PIN_LISTEN;
		return;
	case SQL_UNLISTEN:
		if (e->facts.flags & SQL_ALL)
			c->pins &= (uint8_t)~PIN_LISTEN;
		return;
	case SQL_DECLARE:
		c->pins |= e->facts.flags & SQL_HOLD ? PIN_CURSOR : 0;
		break;          /* what it calls is called by FETCH, but in this transaction */
	case SQL_DO: case SQL_OTHER:
		c->session.changed = true;
		/* fall through */
	case SQL_CALL:
		c->session.doubt = DOUBT_ALL;
		/* fall through */
	case SQL_LOAD:
		c->pins |= PIN_OTHER;
		return;
	case SQL_COMMIT_PREPARED:
		c->session.changed = c->session.altered = true;         /* maybe */
		return;
	case SQL_DDL:
		c->session.changed |= changes_catalog(&c->session, e);
		c->session.altered |= alters_role(e);
		/* ALTER may give a temporary table another name, and search_path begin with pg_temp. */
		if (!(e->facts.flags & SQL_TEMP))
			c->session.doubt = DOUBT_ALL;
	}
	if ((e->facts.flags & SQL_FOREIGN) && is_primary(s))    /* a replica makes no tables */
		c->session.doubt = DOUBT_ALL;
	if (e->facts.flags & SQL_TEMP) {
		sql_name(name, e->text, e->facts.name);
		session_made_temporary(&c->session, name);
		c->pins |= PIN_TEMPORARY;
	}
	if (e->facts.flags & SQL_SET_CONFIG)
		apply_set_config(c, s, e);
	else if (e->facts.flags & (SQL_FUNCTION | SQL_ADVISORY))
		c->pins |= PIN_FUNCTION;
}

static void on_command(struct client *c, struct request *r, const uint8_t *body, size_t len)
{
	for (struct effect *e = r->effects; e; e = e->next) {
		if (e->command == r->commands) {
			/* COMMIT of a failed transaction says ROLLBACK. */
			bool undone = len >= 8 && !memcmp(body, "ROLLBACK", 8);
			if (e->facts.kind != SQL_COMMIT && e->facts.kind != SQL_ROLLBACK)
				apply(c, r->server, e);
			else if (e->facts.flags & SQL_CHAIN)
				chain_transaction(c, r->server, !undone);
			else
				r->failed = undone;
			if (e->facts.kind == SQL_COMMIT && !undone)     /* whatever follows it */
				session_committed(&c->session, c->all->route, database_of(c));
		}
	}
}

/* Its writes are known to be there, or not to be; with more of them under way it is not known which
 * those are. */
static void settle_writes(struct client *c, bool committed)
{
	if (committed)
		session_committed(&c->session, c->all->route, database_of(c));
	if (!c->inflight)
		session_forget_written(&c->session);
}

/* The other servers of the transaction end it the same way. */
void end_transaction(struct client *c, bool committed)
{
	for (struct server *s = c->lent, *next; s; s = next) {
		next = s->next_lent;
		if (s->status != 'I')
			server_own(s, committed ? "COMMIT" : "ROLLBACK", must_work, NULL);
	}
	if (committed)
		script_commit(&c->script);
	else
		script_rollback(&c->script);
	session_ended_transaction(&c->session);
	settle_writes(c, committed);
}

/* Outside a transaction all the world sees what was changed, and the catalog can tell. */
static void settle_catalog(struct client *c)
{
	struct catalog *cat = c->all->catalog;

	if (c->session.changed)
		catalog_changed(cat, c->borrower.profile->account);
	c->session.changed = false;
	if (c->session.altered)
		servers_doubt(c->all->servers);
	c->session.altered = false;
	if (c->session.doubt == DOUBT_ALL)
		c->session.doubt = catalog_now(cat);
}

static void on_done(struct request *r, char status)
{
	struct client *c = r->owner;
	bool was = c->session.in_transaction;

	c->inflight--;
	if (!c->inflight)
		c->last = NULL;
	c->status = status;
	if (status == 'I' && !c->inflight)      /* else some are of what follows */
		forget_portals(c, NULL);
	if (status == 'I' && (was || c->script.n > c->script.transaction)) {
		end_transaction(c, !r->failed);
	} else if (status == 'I') {
		c->session.wrote = false;
		settle_writes(c, !r->failed);
	} else {
		c->session.in_transaction = true;
		c->session.wrote_before |= c->session.wrote;
	}
	if (status == 'I')
		settle_catalog(c);
	if (conn_kept(&c->conn) || c->ended)
		client_resume(c);
}

static void on_lost(struct request *r)
{
	struct client *c = r->owner;

	bool follows = r->copy && !r->started && c->force;      /* one that was taken back */

	if ((r->retry && !r->progress) || follows) {
		took_back(c, r);
		client_resume(c);
		return;
	}
	session_committed(&c->session, c->all->route, database_of(c));  /* maybe */
	c->inflight--;
	if (!c->inflight)
		c->last = NULL;
	c->lost_request = true;
}

const struct request_ops request_ops = { on_bytes, on_message, on_done, on_lost };


/* --- after RESET --------------------------------------------------------- */

static bool after_message(struct request *r, char type, const uint8_t *body, size_t len)
{
	struct client *c = r->owner;

	if (type == 'S')
		conn_put(c->all->base->net, &c->conn, body - WIRE_HEADER, len + WIRE_HEADER);
	return false;
}

static void after_done(struct request *r, char status)
{
	struct client *c = r->owner;
	on_done(r, status);
	struct put o = net_build(c->all->base->net, 8);
	put_ready(&o, status);
	client_say(c, &o);
}

static const struct request_ops after_ops = { NULL, after_message, after_done, on_lost };

/* RESET goes back to what the server started with.  A session that started otherwise gets its own
 * values again, in the same write; the client sees the reports of both and one ReadyForQuery. */
int reapply(struct client *c, struct server *s)
{
	char sql[WIRE_STARTUP_MAX];

	if (!lacks_values(s, sql, sizeof sql))
		return 0;
	if (server_own(s, sql, NULL, NULL) < 0)
		return -1;
	c->last->hidden_end = true;
	c->last = s->tail;
	c->inflight++;
	s->tail->ops = &after_ops;
	s->tail->owner = c;
	return 0;
}
