#include "client/portal.h"

#include <stdlib.h>
#include <string.h>

struct portal *portal_find(const struct client *c, const char *name)
{
	struct portal *p = c->portals;

	while (p && !wire_same_name(p->name, name))
		p = p->next;
	return p;
}

static struct portal *add(struct client *c, const char *name)
{
	struct portal *p = calloc(1, sizeof *p + strlen(name) + 1);

	if (!p)
		return NULL;
	strcpy(p->name, name);
	p->next = c->portals;
	c->portals = p;
	return p;
}

static void replace(struct client *c, struct stmt **runs, struct stmt *st)
{
	struct stmt *old = *runs;

	*runs = st ? stmt_hold(st) : NULL;
	stmt_drop(c->all->servers->stmts, old);
}

/* The unnamed portal goes with a message to this server, of which others do not hear. */
static void end_unnamed(struct client *c, const struct server *by)
{
	if (c->portal_on && c->portal_on != by)
		c->portal_on->portal_past = true;
	c->portal_on = NULL;
}

int portal_set(struct client *c, const char *name, struct server *s, struct stmt *st)
{
	struct portal *p = *name ? portal_find(c, name) : NULL;

	if (*name && !p && !(p = add(c, name)))
		return -1;
	if (!p) {
		end_unnamed(c, s);
		s->portal_past = false;
	}
	*(p ? &p->server : &c->portal_on) = s;
	replace(c, p ? &p->stmt : &c->bound, st);
	return 0;
}

void portal_end(struct client *c, struct query *q)
{
	q->portal_was = c->portal_on;
	end_unnamed(c, q->request.server);
	replace(c, &c->bound, NULL);
}

void portal_undo(struct client *c, const struct query *q)
{
	for (struct server *s = c->borrowed; s && q->portal_was; s = s->next_borrowed)
		if (s == q->portal_was && !c->portal_on) {
			c->portal_on = s;
			s->portal_past = false;
		}
}

void portals_forget(struct client *c, const struct server *s)
{
	struct stmts *stmts = c->all->servers->stmts;

	if (!s || c->portal_on == s) {
		stmt_drop(stmts, c->bound);
		c->bound = NULL;
		c->portal_on = NULL;
	}
	for (struct server *on = s ? NULL : c->borrowed; on; on = on->next_borrowed)
		on->portal_past = false;
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
