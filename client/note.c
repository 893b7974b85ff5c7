/* client/note.c - what a request needs before it, and what it will change: statements, settings, logs. */
#include "client/query.h"

#include <netinet/in.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* --- logging ------------------------------------------------------------- */

enum { COMPLAINT_TEXT = LOG_TEXT_MAX / 2 };     /* leaves room for what is wrong with it */

/* The statements of a request, once each: an error may be about any of a pipeline's. */
static void keep_text(struct request *r, const char *text, size_t len)
{
	size_t have = r->text ? strlen(r->text) : 0;

	if (len > COMPLAINT_TEXT)
		len = COMPLAINT_TEXT;
	if (have >= len && !memcmp(r->text + have - len, text, len))
		return;
	char *more = have + len > COMPLAINT_TEXT ? NULL : realloc(r->text, have + 2 + len + 1);
	if (!more)
		return;
	r->text = more;
	snprintf(more + have, 2 + len + 1, "%s%.*s", have ? "; " : "", (int)len, text);
}

static void log_to(struct client *c, struct request *r, const char *what, const char *text,
                   size_t len)
{
	const struct conf *conf = c->all->base->conf;
	const struct server *s = r->server;

	if (conf->log_per_node_statement) {
		if (len)
			keep_text(r, text, len);
		log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL,
			"DB node id: %d backend pid: %u statement: %s%.*s", s->node->id, s->pid, what,
			(int)(len > LOG_TEXT_MAX ? LOG_TEXT_MAX : len), text);
	}
	if (conf->notice_per_node_statement) {
		char notice[1024];
		snprintf(notice, sizeof notice, "DB node id: %d statement: %s%.*s", s->node->id, what,
			(int)(len > 900 ? 900 : len), text);
		client_notice(c, notice);
	}
}

bool logs(const struct client *c)
{
	const struct conf *conf = c->all->base->conf;

	return conf->log_per_node_statement || conf->notice_per_node_statement || conf->log_statement
	       || conf->log_client_messages;
}

/* What a replica could not answer and the primary is asked again is not told again. */
static void log_statement(struct client *c, const char *text)
{
	if (c->all->base->conf->log_statement && !c->force)
		log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL, "statement: %s", text);
}

/* A statement that the proxy answers itself. */
void log_local(struct client *c, const struct plan *pl)
{
	size_t len = strlen(pl->text);

	log_message(c, (struct msg){ 'Q', (const uint8_t *)pl->text,
		(const uint8_t *)pl->text + len, false });
	log_statement(c, pl->text);
}

static void log_unparsed(struct client *c, const struct sql_facts *f, const char *text)
{
	char host[INET6_ADDRSTRLEN], port[8];

	if ((f->kind != SQL_OTHER && !(f->flags & SQL_UNPARSED)) || c->force)
		return;
	client_peer(c, host, sizeof host, port, sizeof port);
	if (*port)
		log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL,
			"Unable to parse the query: \"%.*s\" from client %s(%s)", COMPLAINT_TEXT,
			text, host, port);
	else
		log_write(c->all->base->log, &c->who, LEVEL_LOG, NULL, NULL,
			"Unable to parse the query: \"%.*s\" from local client", COMPLAINT_TEXT,
			text);
}

/* Takes a text that may not be there to its end, and prints what it is called and what it says. */
static void put_field(char *out, size_t size, size_t *at, const char *name, struct msg *m)
{
	size_t n = m->at < m->end ? strnlen((const char *)m->at, (size_t)(m->end - m->at)) : 0;
	int shown = n < LOG_TEXT_MAX ? (int)n : LOG_TEXT_MAX;

	*at += (size_t)snprintf(out + *at, size - *at, "%s%s: \"%.*s\"", *at ? ", " : "", name,
		shown, shown ? (const char *)m->at : "");
	*at = *at < size ? *at : size - 1;
	m->at += n + (m->at + n < m->end);
}

static const struct wording {
	char type;
	const char *name, *first, *second;      /* of the message and its fields */
} wordings[] = {
	{ 'Q', "Query", "query", NULL }, { 'P', "Parse", "statement", "query" },
	{ 'B', "Bind", "portal", "statement" }, { 'D', "Describe", "portal", NULL },
	{ 'E', "Execute", "portal", NULL }, { 'C', "Close", "portal", NULL },
	{ 'S', "Sync", NULL, NULL }, { 'H', "Flush", NULL, NULL },
	{ 'F', "FunctionCall", NULL, NULL }, { 'X', "Terminate", NULL, NULL },
	{ 'c', "CopyDone", NULL, NULL }, { 'f', "CopyFail", NULL, NULL },
	{ 0, NULL, NULL, NULL }
};

static void log_copied(struct client *c)
{
	char detail[32];

	if (!c->copied)
		return;
	snprintf(detail, sizeof detail, "count: %u", c->copied);
	c->copied = 0;
	log_write(c->all->base->log, &c->who, LEVEL_LOG, detail, NULL, "CopyData message from frontend.");
}

/* In Pgpool-II's words; CopyData messages are counted, and told when something else comes. */
void log_client_message(struct client *c, struct msg m)
{
	const struct wording *w = wordings;
	char detail[LOG_TEXT_MAX + 256];
	bool statement = false;
	size_t at = 0;

	if (c->force)
		return;
	c->copied += m.type == 'd';
	if (m.type != 'd')
		log_copied(c);
	while (w->type && w->type != m.type)
		w++;
	if (!w->type)
		return;
	if (m.type == 'D' || m.type == 'C')
		statement = m.at < m.end && *m.at++ == 'S';
	if (w->first)
		put_field(detail, sizeof detail, &at, statement ? "statement" : w->first, &m);
	if (w->second)
		put_field(detail, sizeof detail, &at, w->second, &m);
	if (m.type == 'F')
		at = (size_t)snprintf(detail, sizeof detail, "oid: \"%u\"", get_u32(&m));
	log_write(c->all->base->log, &c->who, LEVEL_LOG, at ? detail : NULL, NULL,
		"%s message from frontend.", w->name);
}

/* --- what a server lacks ------------------------------------------------- */

/* It failed on a server that must not differ from the session: away with it. */
void must_work(struct request *r, bool ok)
{
	if (!ok)
		server_close(r->server, "it could not be brought to the state of its session");
}

/* A statement of the session's past, for this server. */
static int run_line(struct server *s, const struct script_line *l)
{
	bool standby = !is_primary(s);

	if (l->kind == SQL_SAVEPOINT
	    || (standby && l->kind != SQL_BEGIN && (l->flags & SQL_READ_WRITE)))
		return 0;
	if (standby && l->kind == SQL_BEGIN && (l->flags & SQL_READ_WRITE))
		return server_own(s, "BEGIN", must_work, NULL);
	return server_own(s, l->text, must_work, NULL);
}

bool lacks_values(const struct server *s, char *sql, size_t size)
{
	return s->start != s->profile && profile_difference(s->start, s->profile, sql, size) && *sql;
}

int catch_up(struct client *c, struct server *s)
{
	if (s->script == c->script.serial)
		return 0;
	char sql[WIRE_STARTUP_MAX];
	bool reset = false;
	for (uint32_t i = 0; i < c->script.n; i++) {
		const struct script_line *l = &c->script.line[i];
		if (l->serial <= s->script)
			continue;
		if (run_line(s, l) < 0)
			return -1;
		reset |= l->kind == SQL_RESET || l->kind == SQL_DISCARD || (l->flags & SQL_DEFAULT);
		if (l->kind == SQL_DISCARD && s->tail)
			s->tail->deallocates = true;
	}
	s->script = c->script.serial;
	return reset && lacks_values(s, sql, sizeof sql) ? server_own(s, sql, must_work, NULL) : 0;
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

static int note_effect(struct request *r, const struct sql_facts *f, const char *text, size_t len)
{
	struct effect *e = malloc(sizeof *e + len + 1), **at = &r->effects;

	if (!e)
		return -1;
	*e = (struct effect){ .command = r->executes, .facts = *f, .len = (uint32_t)len };
	memcpy(e->text, text, len);
	e->text[len] = 0;
	while (*at)
		at = &(*at)->next;
	*at = e;
	return 0;
}

/* Statements are re-created by a request of our own in front of the client's: Parse, Sync.  In an
 * open request they go in between, and the answer is hidden. */
static int send_parse(struct server *s, struct request *r, const char *name, struct stmt *st)
{
	struct expect e = { '1', false, r != NULL, *name ? (char *)(uintptr_t)name : NULL, st };
	struct net *net = s->all->base->net;
	size_t size = strlen(name) + 1 + st->len + WIRE_HEADER * 2;
	uint8_t *block = malloc(size);
	struct put o = { .base = block, .cap = size };

	struct request *to = r ? r : block ? server_own_request(s, NULL, NULL) : NULL;
	if (!block || !to || request_expect(s->all, to, e) < 0) {
		free(block);
		return -1;
	}
	put_begin(&o, 'P');
	put_text(&o, name);
	put_bytes(&o, st->text, st->len);
	put_end(&o);
	if (r)
		r->owed++;
	else
		put_message(&o, 'S', NULL, 0);
	conn_put(net, &s->conn, o.base, o.len);
	net_flush(net);
	free(block);
	return 0;
}

static int send_close(struct server *s, struct request *r, const char *name)
{
	struct expect e = { '3', false, true, (char *)(uintptr_t)name, NULL };
	struct put o = net_build(s->all->base->net, strlen(name) + 8);

	put_begin(&o, 'C');
	put_byte(&o, 'S');
	put_text(&o, name);
	put_end(&o);
	if (o.full || request_expect(s->all, r, e) < 0)
		return -1;
	r->owed++;
	conn_put(s->all->base->net, &s->conn, o.base, o.len);
	return 0;
}

static void prepared(struct request *r, bool ok)
{
	if (!ok && r->effects)
		names_remove(r->server->all->stmts, &r->server->names, r->effects->text);
}

static int send_prepare(struct server *s, struct request *r, const char *name, struct stmt *st)
{
	static const struct sql_facts none;

	if (!st->sql)
		return send_parse(s, r, name, st);
	if (r)
		return 0;       /* no place for a Query: PostgreSQL says that it does not exist */
	if (server_own(s, st->text, prepared, NULL) < 0
	    || note_effect(s->tail, &none, name, strlen(name)) < 0)
		return -1;
	return names_set(s->all->stmts, &s->names, name, st);
}

/* Will a request that is on its way settle what the name is? */
static bool under_way(const struct server *s, const char *name)
{
	for (const struct request *r = s->head; r; r = r->next)
		for (uint32_t i = r->answered; i < r->nexpect; i++)
			if (r->expect[i].name && wire_same_name(r->expect[i].name, name))
				return true;
	return false;
}

/* Makes the server's idea of a name that of the client. */
static int agree_on(struct client *c, struct server *s, struct request *r, const char *name)
{
	struct stmt *ours = names_find(&c->prepared, name), *its = names_find(&s->names, name);
	char sql[256];

	if (ours == its || s->status == 'E' || under_way(s, name))
		return 0;
	if (its && r) {
		if (send_close(s, r, name) < 0)
			return -1;
	} else if (its) {
		quote(sql, sizeof sql, "DEALLOCATE ", name);
		if (server_own(s, sql, NULL, NULL) < 0)
			return -1;
		names_remove(s->all->stmts, &s->names, name);
	}
	return ours ? send_prepare(s, r, name, ours) : 0;
}

static int agree_on_unnamed(struct client *c, struct server *s, struct request *r)
{
	if (!c->unnamed || c->unnamed_on == s)
		return 0;
	c->unnamed_on = s;
	return send_parse(s, r, "", c->unnamed);
}

/* PREPARE, EXECUTE, DEALLOCATE: the name in the text. */
static bool sql_names_statement(struct client *c, const char *text, char name[static 64])
{
	struct sql_facts f;

	find_facts(c, text, strlen(text), &f);
	if (!touches_name(&f))
		return false;
	sql_name(name, text, f.name);
	return *name != 0;
}

/* The names that a request uses, as the client means them.  Those that it defines itself are right
 * from then on. */
int agree_on_names(struct client *c, struct server *s, struct request *r, const uint8_t *p,
                   const struct plan *pl)
{
	bool parsed = false;
	struct msg m;
	int bad = 0;

	for (size_t at = 0; at < pl->len && !bad; ) {
		at += (size_t)wire_next(&m, p + at, pl->len - at, MESSAGE_MAX);
		const char *name = NULL;
		char sql[64];
		if (m.type == 'P') {
			name = get_text(&m);
			parsed |= !*name;
			if (sql_names_statement(c, get_text(&m), sql))
				bad = agree_on(c, s, r, sql);
		} else if (m.type == 'B') {
			get_text(&m);
			name = get_text(&m);
		} else if ((m.type == 'D' || m.type == 'C') && m.at < m.end && *m.at++ == 'S') {
			name = get_text(&m);
		} else if (m.type == 'Q' && pl->text && sql_names_statement(c, pl->text, sql)) {
			name = sql;
		}
		if (name && *name && !bad)
			bad = agree_on(c, s, r, name);
		else if (name && !parsed && m.type != 'C')
			bad = agree_on_unnamed(c, s, r);
	}
	return bad;
}

/* The one name that the request uses: most often the server has it. */
int agree_on_name(struct client *c, struct server *s, const struct plan *pl)
{
	if (!pl->name || names_find(&s->names, pl->name) == pl->named)
		return 0;
	return agree_on(c, s, NULL, pl->name);
}

/* --- noting what a request will change ----------------------------------- */

/* DEALLOCATE, like Close, counts from here: what follows in the pipeline may use the name anew. */
static void forget_names(struct client *c, const struct sql_facts *f, const char *text)
{
	struct stmts *stmts = c->all->servers->stmts;
	char name[64];

	if (f->kind != SQL_DEALLOCATE && f->kind != SQL_DISCARD)
		return;
	if (f->flags & SQL_ALL) {
		names_clear(stmts, &c->prepared);
	} else if (f->kind == SQL_DEALLOCATE) {
		sql_name(name, text, f->name);
		names_remove(stmts, &c->prepared, name);
	}
}

static void note_write(struct client *c, const struct sql_facts *f, const char *text, size_t len)
{
	struct stmt *s = executed_statement(c, f, text);

	session_wrote(&c->session, c->all->route, f, s ? s->text : text, s ? s->query_len : len);
}

/* The prepared statement that it runs, if it is one that runs one. */
static struct stmt *run_statement(const struct client *c, const struct sql_facts *f, const char *text)
{
	struct sql_facts execute = *f;

	if (f->kind == SQL_EXPLAIN)
		execute.kind = f->inner;
	return executed_statement(c, &execute, text);
}

/* What the text says of itself, and what the catalog does; EXECUTE does what its statement does. */
static struct sql_facts all_facts(struct client *c, const struct sql_facts *said,
                                  struct finding *v, const char *text, size_t len)
{
	struct stmt *s = run_statement(c, said, text);
	struct sql_facts f = *said;

	if (s)
		f.flags |= facts_of(c, s).flags & (SQL_FUNCTION | SQL_FOREIGN | SQL_ADVISORY);
	else
		look_up(c, &f, v, text, len);
	return f;
}

/* A statement is being executed. */
static int note_statement(struct client *c, struct request *r, const struct sql_facts *said,
                          struct finding *v, const char *text, size_t len)
{
	struct sql_facts all = all_facts(c, said, v, text, len), *f = &all;

	r->executes++;
	r->alone |= f->kind == SQL_COPY_FROM;
	r->resets |= f->kind == SQL_RESET || f->kind == SQL_DISCARD
	             || (f->kind == SQL_SET && (f->flags & SQL_DEFAULT));
	if (is_write(c, f, text))
		note_write(c, f, text, len);
	if (c->status != 'E')
		forget_names(c, f, text);
	return has_effect(f) ? note_effect(r, f, text, len) : 0;
}

static int note_query(struct client *c, struct request *r, const char *text)
{
	size_t len = strlen(text), at = 0;
	struct sql_facts f;

	log_statement(c, text);
	log_to(c, r, "", text, len);
	do {
		sql_classify(&f, text + at, len - at, &c->all->route->rules);
		log_unparsed(c, &f, text + at);
		if (note_statement(c, r, &f, NULL, text + at, f.next < len - at ? f.next : len - at) < 0)
			return -1;
		at += f.next ? f.next : len - at;
	} while (at < len);
	return 0;
}

static int note_parse(struct client *c, struct request *r, struct msg *m)
{
	const char *name = get_text(m), *body = (const char *)m->at, *text = get_text(m);
	size_t len = strlen(text), body_len = m->broken ? 0 : (size_t)(m->end - (const uint8_t *)body);
	struct stmts *stmts = c->all->servers->stmts;
	bool fresh = *name && !names_find(&c->prepared, name);
	struct sql_facts f;

	log_to(c, r, "Parse: ", text, len);
	find_facts(c, text, len, &f);
	f.flags |= m->broken ? SQL_UNPARSED : 0;        /* only its beginning is here */
	log_unparsed(c, &f, text);
	struct stmt *st = stmt_get(stmts, false, body, body_len, &f);
	if (!st)
		return -1;
	if (fresh)
		names_set(stmts, &c->prepared, name, st);
	if (!*name) {
		stmt_drop(stmts, c->unnamed);
		c->unnamed = stmt_hold(st);
		c->unnamed_on = r->server;
	}
	int bad = request_expect(c->all->servers, r, (struct expect){ '1', fresh, false,
	                         *name ? (char *)(uintptr_t)name : NULL, st });
	stmt_drop(stmts, st);
	return bad;
}

static struct portal *find_portal(const struct client *c, const char *name)
{
	struct portal *p = c->portals;

	while (p && !wire_same_name(p->name, name))
		p = p->next;
	return p;
}

static struct portal *add_portal(struct client *c, const char *name)
{
	struct portal *p = calloc(1, sizeof *p + strlen(name) + 1);

	if (!p)
		return NULL;
	strcpy(p->name, name);
	p->next = c->portals;
	c->portals = p;
	return p;
}

static int note_portal(struct client *c, const char *name, struct server *s, struct stmt *st)
{
	struct portal *p = *name ? find_portal(c, name) : NULL;

	if (*name && !p && !(p = add_portal(c, name)))
		return -1;
	struct stmt **runs = p ? &p->stmt : &c->bound, *old = *runs;
	*(p ? &p->server : &c->portal_on) = s;
	*runs = st ? stmt_hold(st) : NULL;
	stmt_drop(c->all->servers->stmts, old);
	return 0;
}

static int note_bind(struct client *c, struct request *r, struct msg *m)
{
	const char *portal = get_text(m), *name = get_text(m);
	struct stmt *st = *name ? names_find(&c->prepared, name) : c->unnamed;

	log_to(c, r, "Bind: ", st ? st->text : "", st ? st->query_len : 0);
	return note_portal(c, portal, r->server, st);
}

/* A portal may be executed in another request than it was bound in, or again, to go on.  What is not
 * known is a cursor's or was not worth noting: it has no effect. */
static int note_execute(struct client *c, struct request *r, struct msg *m)
{
	const char *name = get_text(m);
	const struct portal *p = *name ? find_portal(c, name) : NULL;
	struct stmt *st = *name ? p ? p->stmt : NULL : c->bound;

	log_to(c, r, "Execute: ", st ? st->text : "", st ? st->query_len : 0);
	if (!st) {
		r->executes++;
		return 0;
	}
	/* Of a PREPARE it runs what that has prepared. */
	const struct sql_facts execute = { .kind = SQL_EXECUTE, .inner = SQL_EXECUTE,
		.name = st->facts.name, .end = st->query_len, .next = st->query_len };
	return note_statement(c, r, st->sql ? &execute : &st->facts, st->sql ? NULL : &st->finding,
		st->text, st->query_len);
}

static int note_close(struct client *c, struct request *r, struct msg *m)
{
	char what = m->at < m->end ? (char)*m->at++ : 0;
	const char *name = get_text(m);
	bool statement = what == 'S' && *name && !m->broken;
	struct stmt *st = statement ? names_find(&c->prepared, name) : NULL;

	log_to(c, r, "C message", "", 0);
	if (request_expect(c->all->servers, r, (struct expect){ '3', false, false,
	                               statement ? (char *)(uintptr_t)name : NULL, st }) < 0)
		return -1;
	if (st)
		names_remove(c->all->servers->stmts, &c->prepared, name);
	return 0;
}

/* One message of a request that is being sent; of a long one maybe only the beginning. */
int note_message(struct client *c, struct request *r, struct msg *m, bool whole)
{
	const char *text = m->type == 'Q' && whole && m->end > m->at && !m->end[-1]
	                   ? (const char *)m->at : NULL;

	switch (m->type) {
	case 'Q':
		r->simple = true;
		if (text)
			return note_query(c, r, text);
		session_wrote(&c->session, c->all->route, NULL, "", 0);
		return 0;
	case 'P':
		return note_parse(c, r, m);
	case 'B':
		return note_bind(c, r, m);
	case 'E':
		return note_execute(c, r, m);
	case 'C':
		return note_close(c, r, m);
	case 'D':
		log_to(c, r, "D message", "", 0);
		return 0;
	case 'S':
		log_to(c, r, "Sync", "", 0);
		return 0;
	case 'F':
		r->simple = true;
		c->pins |= PIN_FUNCTION;
		c->session.doubt = DOUBT_ALL;
		return 0;
	case 'c': case 'f':
		if (c->copying)
			c->copying = false;
		else if (r->alone)
			r->copy_ends++;         /* of a COPY, before PostgreSQL asked for it */
		return 0;
	}
	return 0;
}
