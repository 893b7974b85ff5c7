#include "client/remake.h"

#include "client/agree.h"
#include "client/facts.h"
#include "client/unnamed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define CHANGED "cached plan must not change result type"
#define IN_FAILED "current transaction is aborted, commands ignored until end of transaction block"

/* --- the settings of a Parse --------------------------------------------- */

/* A RESET counts only if there is something before it that it takes back. */
static bool counts(const struct script_line *l, bool first)
{
	return (l->kind == SQL_SET || (l->kind == SQL_RESET && !first)) && l->parsing;
}

/* The settings of now, as statements one behind the other; NULL: none that matters here. */
static struct stmt *settings_of_now(struct client *c)
{
	static const struct sql_facts none;
	size_t size = 0, at = 0;

	for (uint32_t i = 0; i < c->script.n; i++)
		if (counts(&c->script.line[i], !size))
			size += strlen(c->script.line[i].text) + 1;
	char *text = size ? malloc(size) : NULL;
	if (!text)
		return NULL;
	for (uint32_t i = 0; i < c->script.n; i++)
		if (counts(&c->script.line[i], !at)) {
			strcpy(text + at, c->script.line[i].text);
			at += strlen(text + at) + 1;
		}
	struct stmt *st = stmt_get(c->all->servers->stmts, true, text, size, &none);
	free(text);
	return st;
}

/* Of one that was never described they are not known: most likely those of now. */
static bool settings_differ(struct client *c, const struct stmt *st)
{
	struct stmt *now = settings_of_now(c);

	stmt_drop(c->all->servers->stmts, now);
	return st->shape && now != st->settings;
}

/* --- sending ------------------------------------------------------------- */

static void put_describe(struct put *o, const char *name)
{
	put_begin(o, 'D');
	put_byte(o, 'S');
	put_text(o, name);
	put_end(o);
}

static void put_close(struct put *o, char what, const char *name)
{
	put_begin(o, 'C');
	put_byte(o, (uint8_t)what);
	put_text(o, name);
	put_end(o);
}

static void put_parse(struct put *o, const char *name, const void *body, size_t len)
{
	put_begin(o, 'P');
	put_text(o, name);
	put_bytes(o, body, len);
	put_end(o);
}

/* An EXECUTE has the columns of whatever has that name when it runs, and to ask for them fails if
 * there is nothing. */
static bool has_columns(const struct stmt *st)
{
	return st->facts.kind != SQL_EXECUTE;
}

/* A block for messages of this much text and some names. */
static struct put room(size_t text)
{
	size_t size = text + 1024;
	uint8_t *base = malloc(size);

	return (struct put){ .base = base, .cap = base ? size : 0 };
}

/* Sends what was put, unless something did not fit. */
static int put_away(struct server *s, struct put *o, int bad)
{
	if (!bad && !o->full) {
		conn_put(s->all->base->net, &s->conn, o->base, o->len);
		net_flush(s->all->base->net);
	}
	bool full = o->full;
	free(o->base);
	return bad || full ? -1 : 0;
}

static void keep_refusal(struct server *s, const uint8_t *body, size_t len)
{
	free(s->refusal);
	s->refusal = malloc(len);
	s->refusal_len = s->refusal ? (uint32_t)len : 0;
	if (s->refusal)
		memcpy(s->refusal, body, len);
}

static bool own_message(struct request *r, char type, const uint8_t *body, size_t len)
{
	r->failed |= type == 'E';
	if (type == 'E' && r->nexpect)
		keep_refusal(r->server, body, len);
	else if (r->server->phase == LENT)
		remake_answered(OWNER(r->server->borrower, struct client, borrower), r, type,
			body, len);
	return false;
}

/* The client goes on when the server's FIFO is empty.  One that must end well closes the server
 * otherwise. */
static void own_done(struct request *r, char status)
{
	(void)status;
	if (r->then)
		r->then(r, !r->failed);
}

static void own_lost(struct request *r)
{
	(void)r;
}

static const struct request_ops own_ops = { NULL, own_message, own_done, own_lost };

static struct request *own_request(struct server *s, void (*then)(struct request *, bool))
{
	struct request *r = server_own_request(s, then, NULL);

	if (r) {
		r->ops = &own_ops;
	}
	return r;
}

/* A statement of the proxy's own, by this name for its statement and its portal. */
static void put_own(struct put *o, const char *name, const char *sql)
{
	static const uint8_t no_types[2], no_values[6], no_limit[4];

	put_begin(o, 'P');
	put_text(o, name);
	put_text(o, sql);
	put_bytes(o, no_types, sizeof no_types);
	put_end(o);
	put_begin(o, 'B');
	put_text(o, name);
	put_text(o, name);
	put_bytes(o, no_values, sizeof no_values);
	put_end(o);
	put_begin(o, 'E');
	put_text(o, name);
	put_bytes(o, no_limit, sizeof no_limit);
	put_end(o);
}

/* One that failed has left its name. */
int remake_put(struct server *s, const char *sql)
{
	static const char name[] = "pgpool statement";
	struct put o = room(strlen(sql));

	put_close(&o, 'P', name);
	put_close(&o, 'S', name);
	put_own(&o, name, sql);
	put_close(&o, 'P', name);
	put_close(&o, 'S', name);
	put_message(&o, 'S', NULL, 0);
	return put_away(s, &o, 0);
}

int remake_run(struct server *s, const char *sql, void (*then)(struct request *r, bool ok))
{
	return own_request(s, then) ? remake_put(s, sql) : -1;
}

static int expect(struct request *r, char type, const char *name, struct stmt *st)
{
	return r ? request_expect(r, (struct expect){ type, false, true, false, 0,
		name && *name ? (char *)(uintptr_t)name : type == 'T' ? "" : NULL, st }) : -1;
}

/* --- making again -------------------------------------------------------- */

static struct stmt *bare(struct stmts *all, const struct stmt *st)
{
	return stmt_described(all, st, st->settings, 0, NULL, 0);
}

/* The messages that make it, into a request of our own or, without a Sync, the open one. */
static int put_statement(struct put *o, struct request *r, const char *name, struct stmt *st,
                         const struct stmt *its)
{
	struct stmt *new = bare(r->server->all->stmts, st);
	int bad = new ? 0 : -1;

	if (its) {
		put_close(o, 'S', name);
		bad |= expect(r, '3', name, NULL);
	}
	put_parse(o, name, st->text, st->len);
	bad = bad || expect(r, '1', name, new) < 0 ? -1 : 0;
	if (has_columns(st)) {
		put_describe(o, name);
		bad = bad || expect(r, 'T', name, new) < 0 ? -1 : 0;
	}
	stmt_drop(r->server->all->stmts, new);
	return bad;
}

/* The statement of a PREPARE is made by that.  Only the answer to the Describe tells whether it is
 * there. */
static int send_prepare(struct server *s, const char *name, struct stmt *st,
                        const struct stmt *its)
{
	struct stmts *stmts = s->all->stmts;
	struct stmt *new = bare(stmts, st);
	struct put o = room(0);
	struct request *r = its ? own_request(s, NULL) : NULL;

	if (its) {
		put_close(&o, 'S', name);
		put_message(&o, 'S', NULL, 0);
	}
	int bad = !new || (its && expect(r, '3', name, NULL) < 0) ? -1 : 0;
	bad |= put_away(s, &o, bad);
	if (!bad)
		bad = remake_run(s, st->text, NULL);
	o = room(0);
	r = bad ? NULL : own_request(s, NULL);
	bad = bad || expect(r, 'T', name, new) < 0 ? -1 : 0;
	put_describe(&o, name);
	put_message(&o, 'S', NULL, 0);
	stmt_drop(stmts, new);
	return put_away(s, &o, bad);
}

static int send_statement(struct server *s, const char *name, struct stmt *st,
                          const struct stmt *its)
{
	if (st->sql)
		return send_prepare(s, name, st, its);
	struct put o = room(st->len);
	struct request *r = own_request(s, NULL);
	int bad = r ? put_statement(&o, r, name, st, its) : -1;
	put_message(&o, 'S', NULL, 0);
	return put_away(s, &o, bad);
}

/* Its settings: all others are taken back first. */
static int send_settings(struct server *s, const struct stmt *settings)
{
	if (remake_run(s, "RESET SESSION AUTHORIZATION", NULL) < 0
	    || remake_run(s, "RESET ALL", NULL) < 0)
		return -1;
	for (uint32_t at = 0; settings && at < settings->len; ) {
		const char *line = settings->text + at;
		if (remake_run(s, line, NULL) < 0)
			return -1;
		at += (uint32_t)strlen(line) + 1;
	}
	return 0;
}

/* In a transaction a failure must not be the transaction's, so a savepoint stands before it.  The
 * settings of a Parse are those of a transaction or savepoint that is rolled back: that takes back
 * settings, but no statements.  now: it is parsed under those that are. */
static int remake(struct client *c, struct server *s, const char *name, struct stmt *st,
                  const struct stmt *its, bool now)
{
	bool within = s->status == 'T';
	bool differs = !now && s->status != 'E' && settings_differ(c, st);
	int bad = 0;

	if (within || differs)
		bad = remake_run(s, within ? "SAVEPOINT pgpool" : "BEGIN", agree_or_close);
	if (!bad && differs)
		bad = send_settings(s, st->settings);
	bad = bad ? bad : send_statement(s, name, st, its);
	if (!bad && within)
		bad = remake_run(s, "ROLLBACK TO SAVEPOINT pgpool", agree_or_close) < 0
		      || remake_run(s, "RELEASE SAVEPOINT pgpool", agree_or_close) < 0 ? -1 : 0;
	else if (!bad && differs)
		bad = remake_run(s, "ROLLBACK", agree_or_close);
	return bad;
}

/* The same in an open request, which has no place for requests of ours.  A Flush brings the
 * answers. */
static int remake_open(struct query *q, const char *name, struct stmt *st, const struct stmt *its)
{
	struct server *s = q->request.server;
	struct put o = room(st->len);
	int bad = put_statement(&o, &q->request, name, st, its);

	q->extended += 1u + has_columns(st) + (its != NULL);
	put_message(&o, 'H', NULL, 0);
	return put_away(s, &o, bad);
}

int remake_drop_portal(struct server *s)
{
	struct put o = room(0);
	struct request *r = own_request(s, agree_or_close);

	s->portal_past = false;
	put_close(&o, 'P', "");
	put_message(&o, 'S', NULL, 0);
	return put_away(s, &o, expect(r, '3', NULL, NULL));
}

/* The name means nothing to the client, but this server has a statement of that name. */
static int send_close(struct server *s, struct query *q, const char *name)
{
	struct put o = room(0);
	struct request *r = q ? &q->request : own_request(s, agree_or_close);

	put_close(&o, 'S', name);
	if (q)
		q->extended++;
	else
		put_message(&o, 'S', NULL, 0);
	return put_away(s, &o, expect(r, '3', name, NULL));
}

/* A name that is taken is as good. */
static void name_given(struct request *r, bool ok)
{
	const struct server *s = r->server;
	const char *code = s->refusal ? wire_field(s->refusal, s->refusal_len, 'C') : NULL;

	agree_or_close(r, ok || (code && !strcmp(code, "42P05")));
}

/* Something of that name. */
static int send_empty(struct server *s, struct query *q, const char *name)
{
	static const char body[3];
	static const struct sql_facts none;
	struct put o = room(0);
	struct request *r = q ? &q->request : own_request(s, name_given);
	struct stmt *st = stmt_get(s->all->stmts, false, body, sizeof body, &none);

	put_parse(&o, name, body, sizeof body);
	if (q)
		q->extended++;
	else
		put_message(&o, 'S', NULL, 0);
	int bad = put_away(s, &o, st ? expect(r, '1', name, st) : -1);
	stmt_drop(s->all->stmts, st);
	return bad;
}

/* --- agreeing ------------------------------------------------------------ */

/* A Parse of a name that the client has already fails.  A PREPARE of ours has no answer but that
 * of its Describe. */
static bool decides(const struct expect *e, const char *name)
{
	return e->name && wire_same_name(e->name, name)
	       && (e->type == '3' || (e->type == '1' && (e->fresh || e->hidden))
	           || (e->type == 'T' && e->hidden && !e->fresh));
}

/* The last message on its way that gives or takes the name, and so decides what it means; or NULL.
 * The server's map knows only requests that have been answered. */
static const struct expect *under_way(const struct server *s, const char *name)
{
	const struct expect *last = NULL;

	for (const struct request *r = s->head; r; r = r->next)
		for (uint32_t i = r->answered; i < r->nexpect; i++)
			if (decides(&r->expect[i], name))
				last = &r->expect[i];
	return last;
}

static bool is_of(const struct expect *e, const struct query *q)
{
	const struct request *r = q ? &q->request : NULL;

	return r && r->nexpect && e >= r->expect && e < r->expect + r->nexpect;
}

/* An earlier request may fail in front of the message that decides. */
static bool is_unsure(const struct client *c, const struct server *s, const struct query *open,
                      const char *name)
{
	const struct expect *e = *name ? under_way(s, name) : NULL;

	if (!*name)
		return unnamed_is_unsure(c, open);
	return e && e->late && !is_of(e, open);
}

/* One that PostgreSQL has not described to us is known by its text alone. */
static bool same_statement(const struct stmt *ours, const struct stmt *its)
{
	return ours == its || (ours && its && !ours->shape && ours->sql == its->sql
	                       && !strcmp(ours->text, its->text));
}

/* The walk over a request. */
struct walk {
	struct client *c;
	struct server *s;
	struct query *q;
	const uint8_t *p;
	size_t at;                      /* the message that is looked at */
	struct refused *no;
	bool busy;                      /* requests are in flight, so nothing can be made yet */
	bool awaited, sent;
	bool nested;                    /* it is at the text of a statement that is executed */
	bool parsed;                    /* the request has made an unnamed statement of its own */
	bool inside;                    /* a name is looked for within a text */
};

/* Does the request make or close a statement of this name in front of this message? */
static bool made_before(const struct walk *w, const char *name)
{
	struct msg m;

	for (size_t at = 0; at < w->at; ) {
		at += (size_t)wire_next(&m, w->p + at, w->at - at, MESSAGE_MAX);
		bool makes = m.type == 'P'
		             || (m.type == 'C' && m.at < m.end && *m.at++ == 'S');
		if (makes && wire_same_name(msg_text(&m), name))
			return true;
	}
	return false;
}

static bool agreed(const struct walk *w, const char *name, struct stmt *ours, struct stmt *its)
{
	const struct expect *e = under_way(w->s, name);

	return (e ? !e->hidden : same_statement(ours, its)) || made_before(w, name);
}

/* May it be made, and run, in a failed transaction? */
static bool exits(const struct stmt *st)
{
	enum sql_kind kind = st->facts.kind;

	return kind == SQL_COMMIT || kind == SQL_ROLLBACK || kind == SQL_ROLLBACK_TO
	       || kind == SQL_PREPARE_TRANSACTION;
}

/* It was asked for, and is not the same. */
static enum remade refuse(struct walk *w, const char *name, struct stmt *ours,
                          const struct stmt *its)
{
	*w->no = (struct refused){ .at = w->at, .stmt = ours, .exists = its != NULL,
		.failed = w->s->status == 'E', .type = (char)w->p[w->at] };
	snprintf(w->no->name, sizeof w->no->name, "%s", name);
	return REFUSED;
}

/* What the text of a statement names is looked for when that runs: its Parse and its Bind succeed.
 * The Execute behind them fails. */
static void refuse_execute(struct walk *w, size_t len)
{
	struct msg m;

	for (size_t at = w->no->at; at < len; ) {
		size_t begin = at;
		at += (size_t)wire_next(&m, w->p + at, len - at, MESSAGE_MAX);
		if (m.type == 'E') {
			w->no->at = begin;
			w->no->type = 'E';
			return;
		}
	}
}

/* An open request has no place for settings, either. */
static enum remade make_open(struct walk *w, const char *name, struct stmt *ours,
                             struct stmt *its)
{
	if (w->s->status != 'E' && settings_differ(w->c, ours))
		return refuse(w, name, ours, its);
	w->awaited = w->sent = true;
	return remake_open(w->q, name, ours, its) < 0 ? REMADE_NO_MEMORY : REMADE;
}

/* The transaction has failed, unless what is in flight ends it. */
static enum remade use_in_failed(struct walk *w, const char *name, struct stmt *ours,
                                 const struct stmt *its)
{
	w->awaited |= w->q ? w->s->head != &w->q->request : w->busy;
	return w->awaited ? REMADE : refuse(w, name, ours, its);
}

/* Makes the server's idea of a statement that of the client, which waits for the answer.  Requests
 * of ours wait until nothing is in flight: only then it is known whether there is a transaction. */
static enum remade make(struct walk *w, const char *name, struct stmt *ours, struct stmt *its)
{
	if ((ours->sql && w->q) || !ours->len)
		return REMADE;          /* the primary's, or too long to be kept: PostgreSQL says
		                         * that it is gone */
	if (w->s->status == 'E' && !exits(ours))
		return use_in_failed(w, name, ours, its);
	/* If it is not the same, what it names has changed since: PostgreSQL has parsed it again,
	 * under the settings of now. */
	bool now = w->c->asked == w->s;
	if (now && (w->c->asked_again || w->q || w->s->status == 'E'
	            || !settings_differ(w->c, ours)))
		return refuse(w, name, ours, its);
	if (w->q)
		return make_open(w, name, ours, its);
	w->awaited = true;
	if (w->busy)
		return REMADE;
	w->sent = true;
	return remake(w->c, w->s, name, ours, its, now) < 0 ? REMADE_NO_MEMORY : REMADE;
}

static struct stmt *ours_of(const struct walk *w, const char *name)
{
	if (!*name)
		unnamed_recall(w->c);
	return *name ? names_find(&w->c->prepared, name) : w->c->unnamed.stmt;
}

static struct stmt *its_of(const struct walk *w, const char *name)
{
	return *name ? names_find(&w->s->names, name)
	       : w->c->unnamed.on == w->s ? w->c->unnamed.stmt : NULL;
}

/* A name is used: a Bind, a Describe, an EXECUTE. */
static enum remade use_name(struct walk *w, const char *name)
{
	struct stmt *ours = ours_of(w, name), *its = its_of(w, name);
	bool past = !*name && !ours && w->c->unnamed.on != w->s;

	if (is_unsure(w->c, w->s, w->q, name)) {
		w->awaited = true;
		return REMADE;
	}
	/* A server does not hear what ends the unnamed statement elsewhere. */
	if (!past && agreed(w, name, ours, its))
		return REMADE;
	if (ours && under_way(w->s, name)) {
		w->awaited = true;      /* for a message of ours */
		return REMADE;
	}
	if (ours)
		return make(w, name, ours, its);
	return send_close(w->s, w->q, name) < 0 ? REMADE_NO_MEMORY : REMADE;
}

/* A name is given or taken: all that counts is whether there is something of that name. */
static enum remade take_name(struct walk *w, const char *name)
{
	struct stmt *ours = ours_of(w, name), *its = its_of(w, name);

	if (!*name || !ours == !its || under_way(w->s, name) || agreed(w, name, ours, its))
		return REMADE;
	return (ours ? send_empty : send_close)(w->s, w->q, name) < 0 ? REMADE_NO_MEMORY : REMADE;
}

/* Does the text itself give or take the name, in front of this place? */
static bool named_before(const struct walk *w, const char *text, size_t upto, const char *name)
{
	struct sql_facts f;
	char other[64];

	for (size_t at = 0; at < upto; at += f.next) {
		sql_classify(&f, text + at, upto - at, &w->c->all->route->rules);
		sql_name(other, text + at, f.name);
		if ((sql_kind_does[f.kind] & KIND_NAMES) && !strcmp(other, name))
			return true;
	}
	return false;
}

static enum remade look_at_text(struct walk *w, const char *text);

/* It is executed.  One that the protocol has prepared may be an EXECUTE or DEALLOCATE itself. */
static enum remade look_into(struct walk *w, const struct stmt *st)
{
	if (!st || st->sql || w->nested || !facts_name_stmt(&st->facts))
		return REMADE;
	w->nested = true;
	enum remade made = look_at_text(w, st->text);
	w->nested = false;
	return made;
}

static enum remade look_at_name(struct walk *w, const struct sql_facts *f, const char *name)
{
	if (sql_kind_does[f->kind] & KIND_NAMES)
		return take_name(w, name);
	enum remade made = use_name(w, name);
	return made == REMADE && f->kind == SQL_EXECUTE ? look_into(w, ours_of(w, name)) : made;
}

/* ctx: "" up to the word EXECUTE, and the name behind it then. */
static bool names_executed(void *ctx, const char *name, bool called)
{
	char *executed = ctx;

	(void)called;
	if (*executed)
		snprintf(executed, 64, "%s", name);
	else if (!strcmp(name, "execute"))
		*executed = ' ';
	return *executed && *executed != ' ';
}

/* The name in CREATE TABLE AS EXECUTE, or "". */
static void name_of_table_as(const struct walk *w, const struct sql_facts *f, const char *text,
                             char name[64])
{
	char found[64] = "";

	if (f->kind == SQL_DDL && w->c->prepared.used)
		sql_mentions(text + f->start, f->end - f->start, names_executed, found);
	snprintf(name, 64, "%s", *found == ' ' ? "" : found);
}

/* PREPARE, EXECUTE, DEALLOCATE: the names in a text.  SQL and the protocol share a name space.
 * In a failed transaction none of them runs. */
static enum remade look_at_text(struct walk *w, const char *text)
{
	size_t len = strlen(text), at = 0;
	enum remade made = REMADE;
	struct sql_facts f;
	char name[64];

	if (w->s->status == 'E')
		return REMADE;
	w->inside = true;
	do {
		if (!at)
			facts_find(w->c, text, len, &f);
		else
			sql_classify(&f, text + at, len - at, &w->c->all->route->rules);
		if (facts_name_stmt(&f)) {
			sql_name(name, text + at, f.name);
			if (*name && !named_before(w, text, at, name))
				made = look_at_name(w, &f, name);
		}
		name_of_table_as(w, &f, text + at, name);
		if (made == REMADE && *name && ours_of(w, name) && !named_before(w, text, at, name))
			made = use_name(w, name);
		if (made == REFUSED && w->p[w->at] == 'Q') {
			w->no->text = text;
			w->no->text_len = at;
		}
		at += f.next ? f.next : len - at;
	} while (at < len && made == REMADE);
	return made;
}

static enum remade look_at_bound(struct walk *w, const char *name)
{
	struct stmt *st = ours_of(w, name);

	if (!*name && w->parsed)
		return REMADE;
	enum remade made = use_name(w, name);
	return made == REMADE ? look_into(w, st) : made;
}

static enum remade look_at(struct walk *w, struct msg *m)
{
	const char *name;
	enum remade made;

	w->inside = false;
	switch (m->type) {
	case 'P':
		name = msg_text(m);
		w->parsed |= !*name;
		made = take_name(w, name);
		return made == REMADE ? look_at_text(w, msg_text(m)) : made;
	case 'B':
		msg_text(m);
		return look_at_bound(w, msg_text(m));
	case 'D':
		return m->at < m->end && *m->at++ == 'S' ? look_at_bound(w, msg_text(m)) : REMADE;
	case 'Q':
		return m->end > m->at && !m->end[-1] ? look_at_text(w, (const char *)m->at)
		                                     : REMADE;
	}
	return REMADE;
}

/* Code may use any name, or the list of them all.  One that cannot be made is nobody's concern
 * here. */
static enum remade look_at_all(struct walk *w, enum sees sees)
{
	const struct names *m = &w->c->prepared;
	enum remade made = REMADE;

	for (uint32_t i = 0; i < m->cap && made == REMADE && w->c->asked != w->s; i++) {
		const struct stmt_name *n = &m->slot[i];
		if (n->stmt && (n->stmt->sql || sees == SEES_ALL))
			made = use_name(w, n->name);
	}
	return made;
}

enum remade remake_names(struct client *c, struct server *s, struct query *q, const uint8_t *p,
                         const struct plan *pl, struct refused *no)
{
	struct walk w = { .c = c, .s = s, .q = q, .p = p, .no = no, .busy = !q && s->head };
	enum remade made = pl->sees && s->status != 'E' ? look_at_all(&w, pl->sees) : REMADE;
	struct msg m;

	for (size_t at = 0; at < pl->len && made == REMADE; ) {
		w.at = at;
		at += (size_t)wire_next(&m, p + at, pl->len - at, MESSAGE_MAX);
		made = look_at(&w, &m);
		if (made == REFUSED && w.inside && m.type != 'Q')
			refuse_execute(&w, pl->len);
	}
	if (made != REMADE || !w.awaited)
		return made;
	if (w.sent) {
		c->asked_again = c->asked == s;
		c->asked = s;
	}
	return AWAITED;
}

enum remade remake_name(struct client *c, struct server *s, const uint8_t *p,
                        const struct plan *pl, struct refused *no)
{
	if (!pl->name || names_find(&s->names, pl->name) == pl->named)
		return REMADE;
	return remake_names(c, s, NULL, p, pl, no);
}

/* --- refusing ------------------------------------------------------------ */

/* What stands in front of the statement runs.  A PREPARE fails again, as the EXECUTE would
 * have. */
static int refuse_query(struct server *s, const struct refused *no)
{
	static const char raise[] = "DO $pgpool$BEGIN RAISE '" CHANGED "'"
		" USING ERRCODE = '0A000'; END$pgpool$";
	bool again = !no->exists && no->stmt->sql;
	struct put o = room(no->text_len + (again ? no->stmt->len : 0) + sizeof raise);

	put_begin(&o, 'Q');
	if (no->text)
		put_bytes(&o, no->text, no->text_len);
	if (again) {
		put_bytes(&o, no->stmt->text, no->stmt->len);
		put_bytes(&o, "\n; ", 3);
	}
	put_text(&o, raise);
	put_end(&o);
	return put_away(s, &o, 0);
}

int remake_refuse(struct query *q, const struct refused *no)
{
	static const char wrong[] = "pgpool: " CHANGED "\0\0";
	struct put o = room(no->stmt->len);

	q->refused = stmt_hold(no->stmt);
	q->refused_type = no->type;
	q->refused_failed = no->failed;
	q->refused_anew = !no->exists && !no->stmt->sql && !no->failed;
	if (q->simple) {
		free(o.base);
		return refuse_query(q->request.server, no);
	}
	if (q->refused_anew) {
		struct stmts *all = q->request.server->all->stmts;
		struct stmt *st = bare(all, no->stmt);
		put_parse(&o, no->name, no->stmt->text, no->stmt->len);
		q->extended++;
		if (!st || expect(&q->request, '1', no->name, st) < 0)
			o.full = true;
		stmt_drop(all, st);
	}
	put_parse(&o, no->name, wrong, sizeof wrong);
	q->refused_at = ++q->extended;
	return put_away(q->request.server, &o, 0);
}

static void put_field(struct put *o, char code, const char *text)
{
	put_byte(o, (uint8_t)code);
	put_text(o, text);
}

/* A Describe fails behind its ParameterDescription, whose types are in the statement. */
static void put_types(struct put *o, const struct query *q)
{
	const struct stmt *st = q->refused;
	size_t at = st->query_len + 1;

	if (q->refused_type == 'D' && !q->refused_failed && !st->sql && st->shape && at < st->len)
		put_message(o, 't', st->text + at, st->len - at);
}

/* Drivers know the error by its code and by the routine. */
static void put_refusal(struct put *o, const struct query *q)
{
	bool failed = q->refused_failed;

	put_begin(o, 'E');
	put_field(o, 'S', "ERROR");
	put_field(o, 'V', "ERROR");
	put_field(o, 'C', failed ? "25P02" : "0A000");
	put_field(o, 'M', failed ? IN_FAILED : CHANGED);
	put_field(o, 'F', failed ? "postgres.c" : "plancache.c");
	put_field(o, 'R', !failed ? "RevalidateCachedQuery" : q->refused_type == 'B'
	                  ? "exec_bind_message" : q->refused_type == 'E'
	                  ? "exec_execute_message" : "exec_describe_statement_message");
	put_byte(o, 0);
	put_end(o);
}

bool remake_refused(struct client *c, const struct query *q, const uint8_t *body, size_t len)
{
	const char *code = wire_field(body, len, 'C');
	uint32_t answers = q->request.server->scanner.answers + 1;
	bool is = q->simple ? code && !strcmp(code, "0A000") : answers == q->refused_at;
	bool anew = !q->simple && q->refused_anew && answers + 1 == q->refused_at;
	const struct server *s = q->request.server;
	const uint8_t *own = q->simple && q->refused_anew && s->refusal_len < NET_BUILD / 2
	                     ? s->refusal : NULL;
	struct put o = net_build(c->all->base->net, NET_BUILD);

	if (!q->refused || (!is && !anew))
		return false;
	put_types(&o, q);
	if (is && own)
		put_message(&o, 'E', own, s->refusal_len);
	else if (is)
		put_refusal(&o, q);
	client_say(c, &o);
	return is;
}

/* --- describing ---------------------------------------------------------- */

int remake_describe(struct query *q)
{
	struct request *r = &q->request;
	const struct expect *parsed = &r->expect[r->nexpect - 1];
	const char *name = parsed->name ? parsed->name : "";
	struct put o = net_build(r->server->all->base->net, strlen(name) + 16);

	if (!has_columns(parsed->stmt))
		return 0;
	put_describe(&o, name);
	if (o.full || request_expect(r, (struct expect){ 'T', true, true, false, 0,
	                             (char *)(uintptr_t)name, parsed->stmt }) < 0)
		return -1;
	q->extended++;
	conn_put(r->server->all->base->net, &r->server->conn, o.base, o.len);
	return 0;
}

int remake_describe_sql(struct server *s, const char *name)
{
	struct put o = room(0);
	struct request *r = own_request(s, NULL);
	struct expect e = { .type = 'T', .fresh = true, .hidden = true,
		.name = (char *)(uintptr_t)name };

	put_describe(&o, name);
	put_message(&o, 'S', NULL, 0);
	return put_away(s, &o, r ? request_expect(r, e) : -1);
}

/* What the client prepared gets its description, on this server and for the session; what was made
 * again for it is the session's only if it is the same.  A question behind the client's own may
 * have ended the unnamed one since. */
static void learn(struct client *c, struct server *s, const struct expect *e, struct stmt *base,
                  struct stmt *st)
{
	const char *name = e->name;
	struct stmts *stmts = s->all->stmts;
	struct stmt *ours = *name ? names_find(&c->prepared, name) : c->unnamed.stmt;
	bool same = ours && same_statement(ours, st);

	if (!*name && same) {
		unnamed_set(c, e->fresh ? c->unnamed.on : s, st);
		return;
	}
	if ((base->sql || names_find(&s->names, name) == base)  /* a PREPARE of ours: not yet */
	    && names_set(stmts, &s->names, name, st) < 0)
		s->stale = true;
	if (same)
		names_set(stmts, &c->prepared, name, st);
}

static void described(struct client *c, struct request *r, char type, const uint8_t *body,
                      size_t len)
{
	struct stmts *stmts = r->server->all->stmts;
	const struct expect *e = &r->expect[r->answered - 1];
	struct stmt *base = e->stmt ? e->stmt : names_find(&r->server->names, e->name);
	uint64_t shape = stmt_shape(stmts, type, body, len);

	if (!base || base->shape || !has_columns(base))
		return;
	if (base->sql && r->types)              /* of a Parse they are in the text */
		shape = (shape ^ stmt_hash(stmts, r->types, r->types_len)) | 1;
	struct stmt *settings = e->fresh ? settings_of_now(c) : NULL;
	struct stmt *st = stmt_described(stmts, base, e->fresh ? settings : base->settings, shape,
		r->types, r->types_len);
	if (st)
		learn(c, r->server, e, base, st);
	stmt_drop(stmts, st);
	stmt_drop(stmts, settings);
}

/* An unnamed EXECUTE has no description that would tell that it is there. */
static void parsed(struct client *c, const struct request *r)
{
	const struct expect *e = r->answered ? &r->expect[r->answered - 1] : NULL;

	if (e && e->type == '1' && e->hidden && !e->name && e->stmt && !has_columns(e->stmt)
	    && c->unnamed.stmt && same_statement(c->unnamed.stmt, e->stmt))
		c->unnamed.on = r->server;
}

void remake_answered(struct client *c, struct request *r, char type, const uint8_t *body,
                     size_t len)
{
	if (type == 'T' || type == 'n')
		described(c, r, type, body, len);
	else if (type == '1')
		parsed(c, r);
}
