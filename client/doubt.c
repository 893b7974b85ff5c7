#include "client/doubt.h"

#include "ask.h"
#include "client/facts.h"
#include "client/leaves.h"
#include "client/portal.h"
#include "client/transact.h"
#include "client/unnamed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { ANSWER_MAX = 64 * 1024 };

/* A question in flight.  Its request has no owner: nobody cancels it. */
struct question {
	struct request request;
	struct client *client;                  /* NULL: it has left */
	struct bodies *bodies;
	unsigned asked;
	bool canceled;
	uint8_t *reply;
	size_t len;
};

_Static_assert(offsetof(struct question, request) == 0, "request_give() takes a block");

static const struct { unsigned code; uint8_t pin; } pins[] = {
	{ CODE_TEMPORARY, PIN_TEMPORARY }, { CODE_CURSOR, PIN_CURSOR },
	{ CODE_LISTEN, PIN_LISTEN }, { CODE_LOCK, PIN_LOCK },
};

void doubt_add(struct client *c, unsigned code)
{
	c->doubt |= code & CODE_ANYTHING;
	if (code & CODE_TEMPORARY)
		c->session.doubt = DOUBT_ALL;
}

void doubt_ask_soon(struct client *c)
{
	doubt_add(c, CODE_SETTINGS);
	c->ask_soon = true;
}

void doubt_forget(struct client *c)
{
	c->doubt = (c->doubt | c->asking) & CODE_SETTINGS;
	c->ask_soon = false;
	c->session.doubt = c->asking & CODE_TEMPORARY ? DOUBT_ALL : 0;
	c->pins = 0;
}

/* --- the question -------------------------------------------------------- */

/* Each names its operators and types with their schema: search_path may lead anywhere.  Texts come
 * as hexadecimal bytes in the server's encoding, since client_encoding may lack some of them.
 *
 * The first line: with a default of SERIALIZABLE, DEFERRABLE the question would wait for
 * others. */
#define HEX(value) "pg_catalog.encode(pg_catalog.convert_to(" value \
	", pg_catalog.getdatabaseencoding()), 'hex')"

static const char isolation[] = "SET TRANSACTION ISOLATION LEVEL READ COMMITTED;";

static const struct { unsigned code; const char *sql; } parts[] = {
	{ CODE_SETTINGS,
	  " UNION ALL SELECT s.context, pg_catalog.lower(s.name COLLATE \"C\"), " HEX("s.setting")
	  " FROM pg_catalog.pg_show_all_settings() s"
	  " WHERE s.source OPERATOR(pg_catalog.=) 'session'"
	  " AND s.name OPERATOR(pg_catalog.!~~) 'transaction%'"
	  " UNION ALL SELECT 'user', 'session_authorization', " HEX("session_user::pg_catalog.text")
	  " UNION ALL SELECT 'user', 'role', " HEX("pg_catalog.current_setting('role')")
	  " WHERE pg_catalog.current_setting('role') OPERATOR(pg_catalog.<>) 'none' OR EXISTS ("
	  "SELECT FROM pg_catalog.pg_db_role_setting r WHERE"
	  " pg_catalog.array_to_string(r.setconfig, ' ') OPERATOR(pg_catalog.~) '(^| )role=')" },
	{ CODE_TEMPORARY,
	  " UNION ALL SELECT 'temp', c.relname::pg_catalog.text, NULL FROM pg_catalog.pg_depend d"
	  " LEFT JOIN pg_catalog.pg_class c ON c.oid OPERATOR(pg_catalog.=) d.objid"
	  " AND d.classid OPERATOR(pg_catalog.=) 1259::pg_catalog.oid"
	  " WHERE d.refclassid OPERATOR(pg_catalog.=) 2615::pg_catalog.oid"
	  " AND d.refobjid OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema()" },
	{ CODE_CURSOR,
	  " UNION ALL SELECT 'hold', NULL, NULL FROM pg_catalog.pg_cursor() c"
	  " WHERE c.is_holdable" },
	{ CODE_LISTEN,
	  " UNION ALL SELECT 'listen', l.l, NULL FROM pg_catalog.pg_listening_channels() l(l)" },
	{ CODE_LOCK,
	  " UNION ALL SELECT 'lock', NULL, NULL"
	  " WHERE EXISTS (SELECT FROM pg_catalog.pg_lock_status() l"
	  " WHERE l.locktype OPERATOR(pg_catalog.=) 'advisory'"
	  " AND l.pid OPERATOR(pg_catalog.=) pg_catalog.pg_backend_pid())" },
};

/* It has letters, digits, _, $ and dots: see add_name() in bodies.c. */
static void put_custom(void *ctx, const char *name)
{
	struct put *o = ctx;
	bool first = o->len && o->base[o->len - 1] == '{';

	put_bytes(o, ",", !first);
	put_bytes(o, name, strlen(name));
}

static void put_all(struct put *o, const char *text)
{
	put_bytes(o, text, strlen(text));
}

static void put_customs(struct client *c, struct put *o)
{
	put_all(o, " UNION ALL SELECT 'custom', n.n, "
		HEX("pg_catalog.current_setting(n.n, true)") " FROM pg_catalog.unnest('{");
	bodies_names(c->all->bodies, c->borrower.profile->account, put_custom, o);
	put_all(o, "}'::pg_catalog.text[]) n(n)");
}

static void put_question(struct client *c, struct put *o, unsigned asked)
{
	put_all(o, isolation);
	put_all(o, "SELECT 'end'::pg_catalog.text, NULL::pg_catalog.text, NULL::pg_catalog.text");
	if (asked & CODE_SETTINGS)
		put_customs(c, o);
	for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
		put_all(o, asked & parts[i].code ? parts[i].sql : "");
	put_byte(o, 0);
}

static const struct request_ops question_ops;

static void release(struct request *r)
{
	struct question *q = OWNER(r, struct question, request);

	free(q->reply);
	free(r->text);
	free(q);
}

/* It is a simple query, which destroys the unnamed statement. */
static bool send_question(struct client *c, struct server *s, unsigned asked)
{
	struct account *a = c->borrower.profile->account;
	char sql[32 * 1024];                    /* 200 names of 127 bytes, and the rest */
	struct put o = { .base = (uint8_t *)sql, .cap = sizeof sql };
	struct question *q = malloc(sizeof *q);

	put_question(c, &o, asked);
	if (!q || o.full) {
		free(q);
		return false;
	}
	*q = (struct question){ .client = c, .bodies = c->all->bodies, .asked = asked,
		.request = { .ops = &question_ops, .release = release } };
	c->asked_names = bodies_count(c->all->bodies, a);
	server_send(s, &q->request);
	if (conn_put_message(s->all->base->net, &s->conn, 'Q', sql, o.len) < 0)
		s->conn.broken = true;
	unnamed_ends_on(c, s);
	return true;
}

void doubt_ask(struct client *c, struct server *s)
{
	unsigned asked = c->doubt;

	if (!asked || c->asking || !client_home(c, s) || s->phase != LENT || s->within
	    || !nodes_balance(s->all->nodes) || c->borrower.profile->replication
	    || unnamed_must_live(c, s))
		return;
	if (c->foreign && bodies_ask(c->all->bodies, c->borrower.profile->account,
	                             c->foreign - 1)) {
		c->asks_later = c->all->awaited = true;
		return;                 /* not before it is known what the code can have done */
	}
	c->doubt = 0;
	c->asking = (uint8_t)asked;
	c->ask_soon = false;
	if (!send_question(c, s, asked)) {
		c->asking = 0;
		c->script.full = true;
	}
}

void doubt_told(struct client *c)
{
	struct server *s = c->home;

	c->asks_later = false;
	if (c->doubt && c->ask_soon && !c->inflight && s && s->status == 'I' && !s->head)
		doubt_ask(c, s);
	if (conn_kept(&c->conn))
		client_resume(c);
}

static void mark_name(void *ctx, const char *name)
{
	leaves_note_parameter(ctx, name);
}

/* All parameters may be there whose names are known. */
static void leave_in_doubt(struct client *c)
{
	struct account *a = c->borrower.profile->account;

	if (bodies_can(c->all->bodies, a) & (CODE_UNKNOWN | CODE_NAMES))
		c->borrower.residue |= RESIDUE_UNKNOWN;
	else
		bodies_names(c->all->bodies, a, mark_name, c);
}

void doubt_detach(struct client *c, struct server *s)
{
	for (struct request *r = c->asking ? s->head : NULL; r; r = r->next) {
		struct question *q = OWNER(r, struct question, request);
		if (r->ops != &question_ops || !q->client)
			continue;
		q->client = NULL;
		c->asking = 0;
		doubt_add(c, q->asked);
	}
}

/* --- the answer: settings ------------------------------------------------ */

/* Settings that the script has are compared with the answer; what it has beyond that is gone. */
struct told {
	struct client *client;
	struct server *server;
	unsigned n, cap;
	char **name;                            /* of all that are set */
};

static void add_line(struct told *t, const struct sql_setting *set)
{
	struct client *c = t->client;
	bool was_level = t->server->script == c->script.serial;

	if (script_settle(&c->script, set) == 0 && was_level)
		t->server->script = c->script.serial;
}

/* A number with a fraction shows six digits of it: then the text knows better. */
static bool same_value(const char *said, const char *told)
{
	char six[64], *end;
	double value = strtod(said, &end);

	if (!strcmp(said, told))
		return true;
	snprintf(six, sizeof six, "%g", value);
	return !*end && end > said && !strcmp(six, told);
}

static void take_setting(struct told *t, const char *context, const char *name, const char *hex)
{
	struct client *c = t->client;
	const struct script_line *l = script_find(&c->script, name);
	struct sql_setting set = { .n = 1 };
	size_t len = strlen(hex);

	if (strlen(name) >= sizeof set.name || len / 2 >= sizeof set.values) {
		c->script.full = true;
		return;
	}
	leaves_note_parameter(c, name);
	strcpy(set.name, name);
	for (set.len = 0; set.len < len / 2; set.len++)
		sscanf(hex + 2 * set.len, "%2hhx", (unsigned char *)&set.values[set.len]);
	set.values[set.len++] = 0;
	if (l && l->value && same_value(l->value, set.values))
		return;
	if (!l && !strcmp(name, "session_authorization")
	    && !strcmp(set.values, c->borrower.profile->account->user))
		return;
	if ((!l || l->kind != SQL_SET) && !strcmp(name, "application_name")
	    && !strcmp(set.values, t->server->named))
		return;                 /* it came with the session */
	/* Only code with the rights of somebody else may have set it. */
	c->script.full |= strcmp(context, "user") && strcmp(context, "custom") && !l;
	add_line(t, &set);
}

static void keep_name(struct told *t, const char *name)
{
	if (t->n == t->cap) {
		unsigned cap = t->cap ? t->cap * 2 : 16;
		char **more = realloc(t->name, cap * sizeof *more);
		if (!more)
			return;
		t->name = more;
		t->cap = cap;
	}
	if ((t->name[t->n] = strdup(name)))
		t->n++;
}

static bool is_told(const struct told *t, const char *name)
{
	for (unsigned i = 0; i < t->n; i++)
		if (!strcmp(t->name[i], name))
			return true;
	return false;
}

/* What the script sets and PostgreSQL does not.  Custom parameters that exist have a value. */
static void take_resets(struct told *t)
{
	struct script *script = &t->client->script;

	for (uint32_t i = 0, n = script->transaction; i < n; i++) {
		struct sql_setting set = { .reset = true };
		const char *name = script->line[i].name;
		if (script->line[i].kind != SQL_SET || strchr(name, '.') || is_told(t, name)
		    || script_find(script, name) != &script->line[i])
			continue;
		strcpy(set.name, name);
		add_line(t, &set);
	}
}

/* --- the answer: all of it ----------------------------------------------- */

static void take_row(struct told *t, const char *field[3], unsigned *found)
{
	static const struct { const char *word; unsigned code; } words[] = {
		{ "temp", CODE_TEMPORARY }, { "hold", CODE_CURSOR }, { "listen", CODE_LISTEN },
		{ "lock", CODE_LOCK },
	};

	struct client *c = t->client;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (!strcmp(field[0], words[i].word)) {
			*found |= words[i].code;
			if (words[i].code == CODE_TEMPORARY && field[1])
				session_made_temporary(&c->session, field[1], false);
			return;
		}
	if (field[1] && field[2]) {
		keep_name(t, field[1]);
		take_setting(t, field[0], field[1], field[2]);
	}
}

static void take_pins(struct client *c, unsigned asked, unsigned found)
{
	for (size_t i = 0; i < sizeof pins / sizeof *pins; i++)
		if (asked & pins[i].code)
			c->pins = (uint8_t)((c->pins & ~pins[i].pin)
			                    | (found & pins[i].code ? pins[i].pin : 0));
	if (!c->doubt)
		c->pins &= (uint8_t)~PIN_DOUBT;
}

/* What comes is all that is set.  Servers that have been told of what was lost since go. */
static void begin_anew(struct client *c, struct server *home)
{
	for (struct server *s = c->borrowed, *next; s; s = next) {
		next = s->next_borrowed;
		if (s == home || s->head || c->portal_on == s || unnamed_must_live(c, s))
			continue;
		client_detach(c, s);
		server_return(s);
	}
	script_renew(&c->script);
	home->script = c->script.serial;
}

/* Statements behind the question may have added doubt since. */
static void take_answer(struct client *c, struct question *q)
{
	struct answer r = { .at = q->reply, .end = q->reply ? q->reply + q->len : NULL };
	struct told t = { .client = c, .server = q->request.server };
	unsigned found = 0;
	const char *field[3];

	if (q->asked & CODE_TEMPORARY)
		session_forget_temporary(&c->session);
	bool renews = c->script.spilt && (q->asked & CODE_SETTINGS);
	if (renews && c->session.in_transaction)
		doubt_add(c, CODE_SETTINGS);
	else if (renews)
		begin_anew(c, q->request.server);
	while (answer_row(&r, field, 3) == 3)
		if (field[0])
			take_row(&t, field, &found);
	if (q->asked & CODE_TEMPORARY)
		session_settle_temporary(&c->session, true);
	if (q->asked & CODE_SETTINGS)
		take_resets(&t);
	if (!c->session.in_transaction)
		script_commit(&c->script);
	transact_defaults(c);
	for (unsigned i = 0; i < t.n; i++)
		free(t.name[i]);
	free(t.name);
	take_pins(c, q->asked, found);
	if (!((c->doubt | c->asking) & CODE_TEMPORARY))
		c->session.doubt = 0;
}

/* Its client has left: the next one finds the custom parameters that it has. */
static void take_residue(struct question *q)
{
	struct answer r = { .at = q->reply, .end = q->reply ? q->reply + q->len : NULL };
	struct server *s = q->request.server;
	const char *field[3];

	s->residue |= q->request.failed ? RESIDUE_UNKNOWN : 0;
	while (answer_row(&r, field, 3) == 3) {
		if (field[0] && field[1] && field[2] && !strcmp(field[0], "custom"))
			s->residue |= residue_of(&s->all->residues, field[1]);
	}
	if (bodies_can(q->bodies, s->account) & (CODE_UNKNOWN | CODE_NAMES))
		s->residue |= RESIDUE_UNKNOWN;
}

/* Nobody can tell what they are. */
static void forget_settings(struct client *c)
{
	c->script.full = true;
	c->borrower.residue |= RESIDUE_UNKNOWN;
}

/* Code that sets parameters under names that it computes: they cannot be asked for.  After DDL
 * we do not know any more what the code could do: the next answer will tell. */
static void judge_names(struct client *c)
{
	struct account *a = c->borrower.profile->account;
	unsigned can = bodies_can(c->all->bodies, a);

	if (!c->foreign)
		return;
	if ((can & CODE_UNKNOWN) || bodies_told(c->all->bodies, a) + 1 < c->foreign) {
		doubt_add(c, CODE_SETTINGS);
		return;
	}
	if ((can & CODE_NAMES) && (can & CODE_SETTINGS))
		forget_settings(c);
	c->foreign = 0;
}

void doubt_hear(struct client *c)
{
	if (!c->unheard || doubt_settings(c) || !facts_heard(c))
		return;         /* one that never logged in is here, too */
	struct account *a = c->borrower.profile->account;
	if (bodies_can(c->all->bodies, a) & CODE_UNKNOWN) {
		bodies_ask(c->all->bodies, a, 0);
		return;
	}
	if (bodies_computed(c->all->bodies, a) >= c->unheard)
		forget_settings(c);
	else if (bodies_count(c->all->bodies, a) > c->asked_names)
		doubt_ask_soon(c);
	c->unheard = 0;
}

void doubt_leave(struct client *c)
{
	doubt_hear(c);
	if (c->unheard)
		c->borrower.residue |= RESIDUE_UNKNOWN;
	if (c->doubt & CODE_SETTINGS)
		leave_in_doubt(c);
}

static void done(struct request *r, char status)
{
	struct question *q = OWNER(r, struct question, request);
	struct client *c = q->client;

	(void)status;
	if (!c) {
		take_residue(q);
		return;
	}
	c->asking = 0;
	if (!r->failed) {
		take_answer(c, q);
		judge_names(c);
	} else if (q->canceled) {
		doubt_add(c, q->asked);
	} else {
		forget_settings(c);             /* it may have anything */
		c->pins |= PIN_OTHER;
	}
	if (conn_kept(&c->conn))
		client_resume(c);
}

static void keep_bytes(struct request *r, const uint8_t *p, size_t n)
{
	struct question *q = OWNER(r, struct question, request);
	uint8_t *more = q->len + n > ANSWER_MAX ? NULL : realloc(q->reply, q->len + n);

	r->failed |= !more;
	if (!more)
		return;
	memcpy(more + q->len, p, n);
	q->reply = more;
	q->len += n;
}

/* News of a reload come with it, too. */
static bool note(struct request *r, char type, const uint8_t *body, size_t len)
{
	struct question *q = OWNER(r, struct question, request);
	struct client *c = q->client;
	const char *code = type == 'E' ? wire_field(body, len, 'C') : NULL;

	q->canceled |= code && !strcmp(code, "57014");
	if (type == 'S' && c)
		conn_put(c->all->base->net, &c->conn, body - WIRE_HEADER, len + WIRE_HEADER);
	return false;
}

static void lost(struct request *r)
{
	struct question *q = OWNER(r, struct question, request);

	if (!q->client)
		return;
	q->client->asking = 0;
	doubt_add(q->client, q->asked);
}

static const struct request_ops question_ops = { keep_bytes, note, done, lost };
