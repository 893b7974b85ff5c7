#include "client/unnamed.h"

void unnamed_set(struct client *c, struct server *s, struct stmt *st)
{
	struct stmt *old = c->unnamed;

	c->unnamed = st ? stmt_hold(st) : NULL;
	c->unnamed_on = s;
	stmt_drop(c->all->servers->stmts, old);
}

/* The first change keeps what it was. */
static void note(struct client *c, struct query *q, uint32_t nth, struct server *s,
                 struct stmt *st)
{
	if (!q->unnamed_nth) {
		q->unnamed_nth = nth;
		q->unnamed = c->unnamed;
		q->unnamed_on = c->unnamed_on;
		c->unnamed = NULL;
	}
	q->unnamed_late |= nth > 1;
	unnamed_set(c, s, st);
}

void unnamed_note(struct client *c, struct query *q, uint32_t nth, struct stmt *st)
{
	note(c, q, nth, q->request.server, st);
}

void unnamed_note_end(struct client *c, struct query *q, uint32_t nth)
{
	note(c, q, nth, NULL, NULL);
}

void unnamed_ends_on(struct client *c, const struct server *s)
{
	struct query *q = c->last;

	if (c->unnamed_on == s)
		c->unnamed_on = NULL;
	for (uint32_t i = 0; i < c->inflight; i++, q = q->before) {
		if (q->unnamed_on == s)
			q->unnamed_on = NULL;
		q->unnamed_ended |= q->request.server == s;
	}
}

bool unnamed_must_live(const struct client *c, const struct server *s)
{
	const struct query *q = c->last;
	bool lives = c->unnamed_on == s && !c->unnamed;

	for (uint32_t i = 0; i < c->inflight && !lives; i++, q = q->before)
		lives = q->unnamed_late && q->unnamed_on == s && !q->unnamed;
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

/* Without notes the server is asked that has it.  If a later request has changed it since, that one
 * has found this. */
void unnamed_undo(struct client *c, struct query *q, uint32_t failed)
{
	const struct expect *last = failed > q->unnamed_nth ? last_change(q) : NULL;
	struct query *next = next_change(c, q);
	struct stmt *st = NULL;
	struct server *on = NULL;

	if (!q->unnamed_nth)
		return;
	if (failed < q->unnamed_nth) {
		st = q->unnamed;
		on = still_there(c, q->unnamed_on);
	} else if (failed > q->unnamed_nth && !(last && ends(last))) {
		st = last ? last->stmt : NULL;
		on = q->unnamed_ended ? NULL : q->request.server;
	}
	q->unnamed_nth = 0;
	if (!next) {
		unnamed_set(c, on, st);
		return;
	}
	struct stmt *old = next->unnamed;
	next->unnamed = st ? stmt_hold(st) : NULL;
	next->unnamed_on = on;
	stmt_drop(c->all->servers->stmts, old);
}
