#include "client/unnamed.h"

#include "client/facts.h"
#include "client/own.h"

#include <stdlib.h>
#include <string.h>

enum { KEPT_MAX = 4096 };                       /* bytes of a request that may be kept */

void unnamed_drop(struct stmts *stmts, struct unnamed *u)
{
	stmt_drop(stmts, u->stmt);
	free(u->from);
	*u = (struct unnamed){ .stmt = NULL };
}

static void replace(struct client *c, struct unnamed *at, struct unnamed by)
{
	struct unnamed old = *at;

	*at = by;
	unnamed_drop(c->all->servers->stmts, &old);
}

void unnamed_set(struct client *c, struct server *s, struct stmt *st)
{
	own_unnamed_gone(c);
	replace(c, &c->unnamed, (struct unnamed){ .stmt = st ? stmt_hold(st) : NULL, .on = s });
}

/* The first change keeps what it was. */
static void note(struct client *c, struct query *q, uint32_t nth, struct server *s,
                 struct stmt *st)
{
	if (!q->unnamed_nth) {
		q->unnamed_nth = nth;
		q->unnamed = c->unnamed;
		c->unnamed = (struct unnamed){ .stmt = NULL };
	}
	q->unnamed_late |= nth > 1;
	unnamed_set(c, s, st);
}

void unnamed_note(struct client *c, struct query *q, uint32_t nth, struct stmt *st)
{
	note(c, q, nth, q->request.server, st);
	q->unnamed_inside = !st;
	c->unnamed.settings = script_parsing(&c->script);
}

void unnamed_note_end(struct client *c, struct query *q, uint32_t nth)
{
	note(c, q, nth, NULL, NULL);
	q->unnamed_inside = false;
}

void unnamed_ends_on(struct client *c, const struct server *s)
{
	struct query *q = c->last;

	if (c->unnamed.on == s)
		c->unnamed.on = NULL;
	for (uint32_t i = 0; i < c->inflight; i++, q = q->before) {
		if (q->unnamed.on == s)
			q->unnamed.on = NULL;
		q->unnamed_ended |= q->request.server == s;
	}
}

static bool only_there(const struct unnamed *u, const struct server *s)
{
	return u->on == s && !u->stmt && !u->from;
}

bool unnamed_must_live(const struct client *c, const struct server *s)
{
	const struct query *q = c->last;
	bool lives = only_there(&c->unnamed, s);

	for (uint32_t i = 0; i < c->inflight && !lives; i++, q = q->before)
		lives = q->unnamed_late && only_there(&q->unnamed, s);
	return lives;
}

static bool makes(const struct expect *e)
{
	return e->type == '1' && !e->name && !e->hidden;
}

static bool ends(const struct expect *e)
{
	return e->type == '3' && e->name && !*e->name && !e->hidden;
}

/* What PostgreSQL has made or closed last in this request.  NULL: it has no notes of that. */
static const struct expect *last_change(const struct query *q)
{
	for (uint32_t i = q->request.answered; i-- > 0; )
		if (makes(&q->request.expect[i]) || ends(&q->request.expect[i]))
			return &q->request.expect[i];
	return NULL;
}

/* The next request in flight that changes it, too. */
static struct query *next_change(const struct client *c, const struct query *q)
{
	struct query *next = NULL;

	for (struct query *at = c->last; at && at != q; at = at->before)
		if (at->unnamed_nth)
			next = at;
	return next;
}

bool unnamed_is_unsure(const struct client *c, const struct query *open)
{
	const struct query *q = c->last;

	for (uint32_t i = 0; i < c->inflight; i++, q = q->before)
		if (q != open && q->unnamed_late)
			return true;
	return false;
}

static struct server *still_there(const struct client *c, const struct server *which)
{
	struct server *s = c->borrowed;

	while (s && s != which)
		s = s->next_borrowed;
	return s;
}

/* As the client knows it; or, if a later request has changed it since, as that one found it. */
static struct unnamed *behind(struct client *c, const struct query *q)
{
	struct query *next = next_change(c, q);

	return next ? &next->unnamed : &c->unnamed;
}

/* PostgreSQL drops the one before when it begins to parse. */
static bool is_parse(const struct query *q, uint32_t failed)
{
	const struct request *r = &q->request;

	for (uint32_t i = r->nexpect; i-- > 0; )
		if (r->expect[i].nth == failed)
			return makes(&r->expect[i]);
	return false;
}

/* Without notes the server is asked that has it. */
void unnamed_undo(struct client *c, struct query *q, uint32_t failed)
{
	const struct expect *last = failed > q->unnamed_nth ? last_change(q) : NULL;
	struct unnamed is = { .stmt = NULL };

	if (!q->unnamed_nth)
		return;
	if (failed < q->unnamed_nth) {
		is = q->unnamed;
		is.on = still_there(c, is.on);
		q->unnamed = (struct unnamed){ .stmt = NULL };
	} else if (failed > q->unnamed_nth && !(last && ends(last)) && !is_parse(q, failed)) {
		is.stmt = last && last->stmt ? stmt_hold(last->stmt) : NULL;
		is.on = q->unnamed_ended ? NULL : q->request.server;
		is.settings = behind(c, q)->settings;
	}
	replace(c, behind(c, q), is);
	q->unnamed_inside &= failed > q->unnamed_nth;
	if (failed <= q->unnamed_nth)
		q->unnamed_nth = 0;
}

/* --- the request that made it -------------------------------------------- */

/* The last Parse of it there.  Returns how many there are. */
static unsigned find_parse(const uint8_t *p, size_t n, struct msg *parse)
{
	unsigned found = 0;
	struct msg m;
	long len;

	for (size_t at = 0; at < n && (len = wire_next(&m, p + at, n - at, KEPT_MAX)) > 0;
	     at += (size_t)len)
		if (m.type == 'P' && !*msg_text(&m)) {
			*parse = m;
			found++;
		}
	return found;
}

/* Of several in a request that has failed, it is not known to which one PostgreSQL came. */
void unnamed_keep(struct client *c, struct query *q)
{
	struct msg m;

	if (!q->unnamed_nth || !q->unnamed_inside || !q->copy || q->copy_len > KEPT_MAX
	    || (q->request.failed && find_parse(q->copy, q->copy_len, &m) != 1))
		return;
	struct unnamed *is = behind(c, q);
	if (is->stmt || is->from)
		return;
	is->from = q->copy;
	is->from_len = q->copy_len;
	q->copy = NULL;
}

void unnamed_recall(struct client *c)
{
	struct unnamed *u = &c->unnamed;
	struct sql_facts f;
	struct msg m;

	if (!u->from)
		return;
	/* Under other settings the text may mean something else. */
	if (u->settings == script_parsing(&c->script) && find_parse(u->from, u->from_len, &m)) {
		const char *body = (const char *)m.at, *text = msg_text(&m);
		facts_find(c, text, strlen(text), &f);
		u->stmt = stmt_get(c->all->servers->stmts, false, body,
			(size_t)(m.end - (const uint8_t *)body), &f);
	}
	free(u->from);
	u->from = NULL;
}
