#include "client/tell.h"

#include "client/portal.h"
#include "client/privilege.h"
#include "client/reply.h"
#include "client/trace.h"
#include "client/unnamed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	NAMES_MAX = 256,                        /* of a session's statements, and of its portals */
	TEXT_OID = 25,
};

/* --- refusals ------------------------------------------------------------ */

__attribute__((format(printf, 3, 4)))
static enum told fail(struct client *c, const char *sqlstate, const char *format, ...)
{
	struct own *o = c->own;
	va_list args;

	va_start(args, format);
	vsnprintf(o->message, sizeof o->message, format, args);
	va_end(args);
	wire_mask(o->message);
	o->why = (struct report){ "ERROR", sqlstate, o->message, NULL, NULL };
	return TOLD_NOT;
}

/* --- one statement ------------------------------------------------------- */

static enum told unknown(struct client *c, const struct sql_own *says)
{
	return fail(c, "42704", "config variable \"%s\" not found", says->name);
}

/* Who comes from PgBouncer finds it here; the error is PostgreSQL's. */
static enum told name_ours(struct client *c, const struct sql_own *says)
{
	static const struct { const char *theirs, *hint; } names[] = {
		{ "clients", "SHOW POOL_PROCESSES shows the proxy's clients." },
		{ "servers", "SHOW POOL_POOLS shows the proxy's connections to PostgreSQL." },
		{ "pools", "SHOW POOL_POOLS shows the proxy's pools." },
		{ "stats", "SHOW POOL_BACKEND_STATS shows the proxy's statistics." },
		{ "config", "PGPOOL SHOW ALL shows the proxy's configuration." },
		{ "databases", "SHOW POOL_NODES shows the proxy's nodes." },
	};

	fail(c, "42704", "unrecognized configuration parameter \"%s\"", says->name);
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(says->name, names[i].theirs))
			c->own->why.hint = names[i].hint;
	return TOLD_NOT;
}

static enum told may_set(struct client *c, const struct sql_own *says)
{
	enum conf_setting may = says->all ? SETTING_SESSION : conf_setting(says->name);

	if (may == SETTING_UNKNOWN)
		return unknown(c, says);
	if (may == SETTING_FIXED)
		return fail(c, "55P02", "invalid Context, value for parameter \"%s\" cannot be"
		            " changed", says->name);
	return TOLD;
}

/* Finds what the statement shows, if it is no DEALLOCATE, SET or RESET. */
static enum told understand(struct client *c, const char *text, const struct sql_facts *f,
                            struct sql_own *says, const struct admin_table **table)
{
	*table = NULL;
	if (f->kind == SQL_DEALLOCATE) {
		*says = (struct sql_own){ .kind = SQL_DEALLOCATE };
		sql_name(says->name, text, f->name);
		return TOLD;
	}
	if (!sql_own(says, text, f))
		return fail(c, "42601", *says->value ? "syntax error at or near \"%.100s\""
		            : "syntax error at end of input", says->value);
	if (says->kind == SQL_SET || says->kind == SQL_RESET)
		return may_set(c, says);
	*table = c->all->own->find(c->all->own_ctx, says);
	if (*table)
		return TOLD;
	return says->kind == SQL_SHOW_POOL ? name_ours(c, says) : unknown(c, says);
}

static void put_columns(const struct client *c, struct put *o, const struct admin_table *t,
                        const struct sql_own *says, uint32_t binary)
{
	const struct own_ops *ops = c->all->own;
	size_t n = ops->columns(t);

	put_begin(o, 'T');
	put_u16(o, (uint16_t)n);
	for (size_t i = 0; i < n; i++) {
		const char *name = ops->column(t, i);
		put_text(o, name ? name : says->name);
		put_u32(o, 0);                  /* no table, */
		put_u16(o, 0);                  /* no column of it */
		put_u32(o, TEXT_OID);
		put_u16(o, (uint16_t)-1);
		put_u32(o, (uint32_t)-1);
		put_u16(o, binary >> i & 1);
	}
	put_end(o);
}

static void say_columns(struct client *c, const struct admin_table *t, const struct sql_own *says,
                        uint32_t binary)
{
	struct put o = net_build(c->all->base->net, 4096);

	if (t)
		put_columns(c, &o, t, says, binary);
	else
		put_message(&o, 'n', NULL, 0);
	client_say(c, &o);
}

__attribute__((format(printf, 2, 3)))
static void put_tag(struct put *o, const char *format, ...)
{
	char tag[32];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(tag, sizeof tag, format, args);
	va_end(args);
	put_message(o, 'C', tag, (size_t)n + 1);
}

static void note_bad(void *ctx, enum level severity, const char *file, int line, int column,
                     const char *text)
{
	struct client *c = ctx;

	(void)severity, (void)file, (void)line, (void)column;
	fail(c, "22023", "%s", text);
}

static enum told set(struct client *c, const struct sql_own *says)
{
	const char *value = says->kind == SQL_SET ? says->value : NULL;

	fail(c, "53200", "out of memory");      /* if nothing worse comes */
	if (!own_set(c, says->all ? NULL : says->name, value,
	             &(struct conf_messages){ note_bad, c }))
		return TOLD_NOT;
	client_enter(c, c->phase);              /* its idle limit may be another one */
	return TOLD;
}

static enum told deallocate(struct client *c, const struct sql_own *says)
{
	if (!own_find(c, says->name))
		return fail(c, "26000", "prepared statement \"%s\" does not exist", says->name);
	own_drop(c, says->name);
	return TOLD;
}

/* A statement that shows nothing. */
static enum told run_command(struct client *c, const struct sql_own *says)
{
	struct put o = net_build(c->all->base->net, 64);
	enum told told = says->kind == SQL_DEALLOCATE ? deallocate(c, says) : set(c, says);

	if (told != TOLD)
		return told;
	put_tag(&o, "%s", says->kind == SQL_DEALLOCATE ? "DEALLOCATE"
		: says->all ? "RESET" : "SET");
	client_say(c, &o);
	return TOLD;
}

enum { POSITION_WAIT = 1000 };                  /* ms, at least */

/* The answer to the sample behind the session's last write is there. */
static bool position_is_known(struct client *c)
{
	struct nodes *nodes = c->all->servers->nodes;

	if (sample_reached(nodes->answered, c->session.floor))
		return true;
	nodes->position_wanted = c->session.floor;
	nodes->sample(nodes->samples);
	c->awaits = c->all->awaited = true;
	return false;
}

/* Is there somebody who can ask for it, and has it not been waited for too long? */
static bool position_may_come(const struct client *c)
{
	const struct base *base = c->all->base;
	int64_t limit = base->conf->primary_wait_timeout * 1000;

	return c->all->servers->nodes->sampling
	       && loop_now(base->loop) - c->active <= (limit ? limit : POSITION_WAIT);
}

/* Sends up to `limit` rows (0: all), as many as go into a block.  The end is told with them. */
static enum told run(struct client *c, struct shown *s, uint32_t limit)
{
	const struct own_ops *ops = c->all->own;
	bool more = true;

	if (!s->table)
		return run_command(c, &s->says);
	if (ops->is_private(s->table) && !privilege_known(c))
		return TELLS_LATER;
	if (ops->is_position(s->table) && !position_may_come(c))
		return fail(c, "55000", "the position of the primary is not known");
	if (ops->is_position(s->table) && !position_is_known(c))
		return TELLS_LATER;
	struct put o = net_build(c->all->base->net, NET_BUILD);
	while (more && (!limit || s->sent < limit) && o.cap - o.len >= OWN_ROW_MAX) {
		struct put before = o;
		put_begin(&o, 'D');
		put_u16(&o, (uint16_t)ops->columns(s->table));
		more = ops->put_row(c->all->own_ctx, s->table, s->at, &s->says, c, &o);
		put_end(&o);
		if (!more)
			o = before;
		s->at += more;
		s->sent += more;
	}
	bool pauses = more && limit && s->sent == limit;
	if (pauses)
		put_message(&o, 's', NULL, 0);
	else if (!more)
		put_tag(&o, "SELECT %u", s->sent);
	client_say(c, &o);
	return more && !pauses ? TELLS_MORE : TOLD;
}

/* --- the simple protocol ------------------------------------------------- */

static enum told begin_query(struct client *c, const char *text, size_t len)
{
	trace_query(c, text);
	unnamed_set(c, NULL, NULL);
	portal_drop(c);
	c->own->query_at = 0;
	c->own->within = false;
	if (own_text(c, text, len) == OWN_BESIDE)
		return fail(c, "0A000", "what the proxy answers itself cannot stand in one query"
		            " with other statements");
	return TOLD;
}

/* The one at query_at. */
static enum told begin_statement(struct client *c, const char *text, size_t len)
{
	struct own *o = c->own;
	struct sql_facts f;

	sql_classify(&f, text + o->query_at, len - o->query_at, NULL);
	o->query = (struct shown){ .next = NULL };
	enum told told = understand(c, text + o->query_at, &f, &o->query.says, &o->query.table);
	if (o->query.table)
		say_columns(c, o->query.table, &o->query.says, 0);
	o->within = true;
	o->query_at += f.next;
	return told;
}

/* Goes on with it, turn by turn. */
static enum told answer_query(struct client *c, struct msg *m)
{
	const char *text = msg_text(m);
	size_t len = strlen(text);
	struct own *o = c->own;
	enum told told = o->going ? TOLD : begin_query(c, text, len);

	if (told == TOLD && !o->within)
		told = begin_statement(c, text, len);
	if (told == TOLD)
		told = run(c, &o->query, 0);
	if (told != TOLD)
		return told;
	o->within = false;
	if (o->query_at < len)
		return TELLS_MORE;
	reply_ready(c);
	return TOLD;
}

/* --- the extended protocol ----------------------------------------------- */

static void say_empty(struct client *c, char type)
{
	struct put o = net_build(c->all->base->net, 8);

	put_message(&o, type, NULL, 0);
	client_say(c, &o);
}

static void set_name(char to[static WIRE_NAME_MAX + 1], const char *name)
{
	snprintf(to, WIRE_NAME_MAX + 1, "%s", name);
}

static enum told answer_parse(struct client *c, struct msg *m)
{
	const char *name = msg_text(m), *text = msg_text(m);
	size_t len = strlen(text);
	struct sql_facts f;
	unsigned n = 0;

	if (*name && (own_find(c, name) || names_find(&c->prepared, name)))
		return fail(c, "42P05", "prepared statement \"%.63s\" already exists", name);
	sql_classify(&f, text, len, NULL);
	if (f.next < len)
		return fail(c, "42601",
			"cannot insert multiple commands into a prepared statement");
	for (struct shows *s = c->own->statements; s; s = s->next)
		n++;
	struct shows *s = n < NAMES_MAX ? calloc(1, sizeof *s) : NULL;
	if (!s)
		return fail(c, "53000", "too many prepared statements of this kind");
	set_name(s->name, name);
	enum told told = understand(c, text, &f, &s->says, &s->table);
	if (told != TOLD) {
		free(s);
		return told;
	}
	if (!*name)
		unnamed_set(c, NULL, NULL);     /* ours goes, too */
	s->next = c->own->statements;
	c->own->statements = s;
	say_empty(c, '1');
	return TOLD;
}

/* The formats of the result: one for all columns, or one for each. */
static enum told read_formats(struct client *c, struct msg *m, size_t columns, uint32_t *binary)
{
	unsigned n = msg_u16(m);

	*binary = 0;
	for (unsigned i = 0; i < n && !m->broken; i++) {
		uint16_t format = msg_u16(m);
		if (format > 1)
			return fail(c, "22023", "unsupported format code: %u", format);
		if (format && i < 32)
			*binary |= n == 1 ? UINT32_MAX : 1u << i;
	}
	if (m->broken)
		return fail(c, "08P01", "insufficient data left in message");
	if (n > 1 && n != columns)
		return fail(c, "08P01", "bind message has %u result formats but query has %zu"
		            " columns", n, columns);
	return TOLD;
}

static enum told answer_bind(struct client *c, struct msg *m)
{
	const char *portal = msg_text(m), *name = msg_text(m);
	const struct shows *s = own_find(c, name);
	unsigned n = 0, formats = msg_u16(m);

	for (unsigned i = 0; i < formats; i++)
		msg_u16(m);
	unsigned values = msg_u16(m);
	if (values)
		return fail(c, "08P01", "bind message supplies %u parameters, but prepared"
		            " statement \"%.63s\" requires 0", values, name);
	if (*portal && (own_portal(c, portal) || portal_find(c, portal)))
		return fail(c, "42P03", "cursor \"%.63s\" already exists", portal);
	for (struct shown *p = c->own->portals; p; p = p->next)
		n++;
	struct shown *p = n < NAMES_MAX ? calloc(1, sizeof *p) : NULL;
	if (!p)
		return fail(c, "53000", "too many portals of this kind");
	p->says = s->says;
	p->table = s->table;
	set_name(p->name, portal);
	enum told told = read_formats(c, m, s->table ? c->all->own->columns(s->table) : 0,
		&p->binary);
	if (told != TOLD) {
		free(p);
		return told;
	}
	if (!*portal)
		portal_drop(c);
	p->next = c->own->portals;
	c->own->portals = p;
	say_empty(c, '2');
	return TOLD;
}

static enum told answer_describe(struct client *c, struct msg *m)
{
	char what = (char)*m->at++;
	const char *name = msg_text(m);

	if (what == 'S') {
		const struct shows *s = own_find(c, name);
		struct put o = net_build(c->all->base->net, 16);
		put_message(&o, 't', "\0", 2);          /* no parameters */
		client_say(c, &o);
		say_columns(c, s->table, &s->says, 0);
	} else {
		const struct shown *p = own_portal(c, name);
		say_columns(c, p->table, &p->says, p->binary);
	}
	return TOLD;
}

static enum told answer_execute(struct client *c, struct msg *m)
{
	struct shown *p = own_portal(c, msg_text(m));
	uint32_t limit = msg_u32(m);

	p->sent = c->own->going ? p->sent : 0;
	return run(c, p, limit > INT32_MAX ? 0 : limit);
}

static enum told answer_close(struct client *c, struct msg *m)
{
	char what = (char)*m->at++;

	(what == 'S' ? own_drop : own_drop_portal)(c, msg_text(m));
	say_empty(c, '3');
	return TOLD;
}

enum told tell_message(struct client *c, struct msg m, const struct report **why)
{
	static const struct report no_memory = { "ERROR", "53200", "out of memory", NULL, NULL };
	static const struct {
		char type;
		enum told (*answer)(struct client *c, struct msg *m);
	} answers[] = {
		{ 'Q', answer_query }, { 'P', answer_parse }, { 'B', answer_bind },
		{ 'D', answer_describe }, { 'E', answer_execute }, { 'C', answer_close },
	};
	enum told told = TOLD_NOT;

	c->own = c->own ? c->own : calloc(1, sizeof *c->own);
	*why = c->own ? &c->own->why : &no_memory;
	if (!c->own)
		return TOLD_NOT;
	if (!c->own->going)
		trace_message(c, m);
	if (c->status == 'E' && m.type != 'C')
		return fail(c, "25P02", "current transaction is aborted, commands ignored until"
		            " end of transaction block");
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		if (answers[i].type == m.type)
			told = answers[i].answer(c, &m);
	c->own->going = told == TELLS_MORE || told == TELLS_LATER;
	c->own->yields = told == TOLD && (m.type == 'Q' || m.type == 'E');
	return told;
}

