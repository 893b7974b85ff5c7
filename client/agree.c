#include "client/agree.h"

#include "client/facts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- settings and the transaction ---------------------------------------- */

/* A server that failed to run a line of the past would answer the client as another session: wrong
 * settings, or no transaction. */
void agree_or_close(struct request *r, bool ok)
{
	if (!ok)
		server_close(r->server, "it could not be brought to the state of its session");
}

/* READ WRITE is refused by a standby, so a leg does without; the rest of the line counts. */
static const char *leg_text(const struct script_line *l)
{
	static const char *const begin[] = { "BEGIN",
		"BEGIN ISOLATION LEVEL READ UNCOMMITTED", "BEGIN ISOLATION LEVEL READ COMMITTED",
		"BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE" };
	static const char *const set[] = { NULL,
		"SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
		"SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
		"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE" };

	if (!(l->flags & SQL_READ_WRITE))
		return l->text;
	if (l->kind == SQL_BEGIN)
		return begin[l->level];
	if (l->kind == SQL_SET_TRANSACTION)
		return set[l->level];
	return strcmp(l->name, "transaction_read_only") ? l->text : NULL;
}

/* A statement of the session's past, for this server.  Savepoints are marks, never run. */
static int run_line(struct client *c, struct server *s, const struct script_line *l)
{
	const char *text = client_home(c, s) ? l->text : leg_text(l);

	if (l->kind == SQL_SAVEPOINT || !text)
		return 0;
	return server_own(s, text, agree_or_close, NULL);
}

bool agree_lacks_values(struct server *s, bool (*back)(const void *ctx, const char *name),
                        const void *ctx, char sql[static PROFILE_SQL_MAX])
{
	if (s->start == s->profile)
		return false;
	if (profile_difference(s->start, s->profile, back, ctx, sql, PROFILE_SQL_MAX))
		return *sql;
	server_close(s, "its session's settings cannot be set again");
	return false;
}

static bool line_took_back(const void *ctx, const char *name)
{
	const struct script_line *l = ctx;
	const struct sql_facts f = { .kind = l->kind, .flags = l->flags };

	return script_takes_back(false, &f, l->name, name);
}

int agree_on_script(struct client *c, struct server *s)
{
	char sql[PROFILE_SQL_MAX];

	for (uint32_t i = 0; i < c->script.n; i++) {
		const struct script_line *l = &c->script.line[i];
		if (l->serial <= s->script)
			continue;
		if (run_line(c, s, l) < 0)
			return -1;
		if (l->kind == SQL_DISCARD && s->tail)
			s->tail->deallocates = true;
		if (agree_lacks_values(s, line_took_back, l, sql)
		    && server_own(s, sql, agree_or_close, NULL) < 0)
			return -1;
		if (s->phase == GONE)
			return 0;
	}
	/* Before the answers: the next request of a pipeline must not send the lines again.  One
	 * that fails closes the server. */
	s->script = c->script.serial;
	return 0;
}

static void quote(char *out, size_t size, const char *prefix, const char *name)
{
	size_t at = (size_t)snprintf(out, size, "%s\"", prefix);

	for (; *name && at + 3 < size; name++) {
		if (*name == '"')
			out[at++] = '"';
		out[at++] = *name;
	}
	out[at++] = '"';
	out[at] = 0;
}

/* --- names --------------------------------------------------------------- */

/* Statements are re-created by a request of our own in front of the client's: Parse, Sync.  An open
 * request has no place in front any more: there the Parse goes in between the client's messages,
 * and its answer is hidden.  A Sync there would end the client's request. */
static int send_parse(struct server *s, struct query *q, const char *name, struct stmt *st)
{
	struct expect e = { '1', false, q != NULL, *name ? (char *)(uintptr_t)name : NULL, st };
	struct net *net = s->all->base->net;
	size_t size = strlen(name) + 1 + st->len + WIRE_HEADER * 2;
	uint8_t *block = malloc(size);
	struct put o = { .base = block, .cap = size };

	struct request *to = q ? &q->request : block ? server_own_request(s, NULL, NULL) : NULL;
	if (!block || !to || request_expect(to, e) < 0) {
		free(block);
		return -1;
	}
	put_begin(&o, 'P');
	put_text(&o, name);
	put_bytes(&o, st->text, st->len);
	put_end(&o);
	if (q)
		q->extended++;
	else
		put_message(&o, 'S', NULL, 0);
	conn_put(net, &s->conn, o.base, o.len);
	net_flush(net);
	free(block);
	return 0;
}

/* DEALLOCATE for an open request, which has no place for a Query. */
static int send_close(struct server *s, struct query *q, const char *name)
{
	struct expect e = { '3', false, true, (char *)(uintptr_t)name, NULL };
	struct put o = net_build(s->all->base->net, strlen(name) + 8);

	put_begin(&o, 'C');
	put_byte(&o, 'S');
	put_text(&o, name);
	put_end(&o);
	if (o.full || request_expect(&q->request, e) < 0)
		return -1;
	q->extended++;
	conn_put(s->all->base->net, &s->conn, o.base, o.len);
	return 0;
}

/* The end of a PREPARE of our own.  If it failed, the server does not have the statement that
 * send_prepare() has noted: the client's EXECUTE gets PostgreSQL's error. */
static void prepared(struct request *r, bool ok)
{
	if (!ok && r->nexpect)
		names_remove(r->server->all->stmts, &r->server->names, r->expect[0].name);
}

/* A statement is made again in the way in which the client made it, by PREPARE or by Parse. */
static int send_prepare(struct server *s, struct query *q, const char *name, struct stmt *st)
{
	struct expect e = { 'Q', false, true, (char *)(uintptr_t)name, st };

	if (!st->sql)
		return send_parse(s, q, name, st);
	if (q)
		return 0;       /* no place for a Query: PostgreSQL says that it is missing */
	if (server_own(s, st->text, prepared, NULL) < 0 || request_expect(s->tail, e) < 0)
		return -1;
	return names_set(s->all->stmts, &s->names, name, st);
}

/* Will a request that is on its way decide the meaning of the name?  The server's map knows only
 * requests that have been answered, and so is behind. */
static bool under_way(const struct server *s, const char *name)
{
	for (const struct request *r = s->head; r; r = r->next)
		for (uint32_t i = r->answered; i < r->nexpect; i++)
			if (r->expect[i].type != 'Q' && r->expect[i].name
			    && wire_same_name(r->expect[i].name, name))
				return true;
	return false;
}

/* Makes the server's idea of a name that of the client.  PostgreSQL does not replace a statement:
 * if the name means another one there, that has to go first.  In a failed transaction PostgreSQL
 * would refuse all of this, as it will refuse the client's request. */
static int agree_on(struct client *c, struct server *s, struct query *q, const char *name)
{
	struct stmt *ours = names_find(&c->prepared, name), *its = names_find(&s->names, name);
	char sql[256];

	if (ours == its || s->status == 'E' || under_way(s, name))
		return 0;
	if (its && q) {
		if (send_close(s, q, name) < 0)
			return -1;
	} else if (its) {
		quote(sql, sizeof sql, "DEALLOCATE ", name);
		if (server_own(s, sql, NULL, NULL) < 0)
			return -1;
		names_remove(s->all->stmts, &s->names, name);
	}
	return ours ? send_prepare(s, q, name, ours) : 0;
}

/* The unnamed statement is replaced by any Parse without a name, so nothing has to go first. */
static int agree_on_unnamed(struct client *c, struct server *s, struct query *q)
{
	if (!c->unnamed || c->unnamed_on == s)
		return 0;
	c->unnamed_on = s;
	return send_parse(s, q, "", c->unnamed);
}

/* PREPARE, EXECUTE, DEALLOCATE: the name in the text.  SQL and the protocol share a name space. */
static bool sql_names_statement(struct client *c, const char *text, char name[static 64])
{
	struct sql_facts f;

	facts_find(c, text, strlen(text), &f);
	if (!facts_name_stmt(&f))
		return false;
	sql_name(name, text, f.name);
	return *name != 0;
}

/* Names that are made are agreed on, too: a Parse of a name that the server has from before, and
 * the client has not, would fail there. */
int agree_on_names(struct client *c, struct server *s, struct query *q, const uint8_t *p,
                   const struct plan *pl)
{
	bool parsed = false;    /* the request has made an unnamed statement of its own */
	struct msg m;
	int bad = 0;

	for (size_t at = 0; at < pl->len && !bad; ) {
		at += (size_t)wire_next(&m, p + at, pl->len - at, MESSAGE_MAX);
		const char *name = NULL;
		char sql[64];
		if (m.type == 'P') {
			name = msg_text(&m);
			parsed |= !*name;
			if (sql_names_statement(c, msg_text(&m), sql))
				bad = agree_on(c, s, q, sql);
		} else if (m.type == 'B') {
			msg_text(&m);
			name = msg_text(&m);
		} else if ((m.type == 'D' || m.type == 'C') && m.at < m.end && *m.at++ == 'S') {
			name = msg_text(&m);
		} else if (m.type == 'Q' && pl->text && sql_names_statement(c, pl->text, sql)) {
			name = sql;
		}
		if (name && *name && !bad)
			bad = agree_on(c, s, q, name);
		else if (name && !parsed && m.type != 'C')
			bad = agree_on_unnamed(c, s, q);
	}
	return bad;
}

int agree_on_name(struct client *c, struct server *s, const struct plan *pl)
{
	if (!pl->name || names_find(&s->names, pl->name) == pl->named)
		return 0;
	return agree_on(c, s, NULL, pl->name);
}
