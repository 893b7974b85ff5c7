#include "client/portal.h"

#include "client/own.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_BUCKETS = 8 };

struct portals {
	uint32_t n, nbuckets;
	struct portal *bucket[];
};

static uint32_t name_hash(const struct client *c, const char *name)
{
	return (uint32_t)stmt_hash(c->all->servers->stmts, name, strnlen(name, WIRE_NAME_MAX));
}

static struct portal **bucket_of(struct portals *all, uint32_t hash)
{
	return &all->bucket[hash & (all->nbuckets - 1)];
}

struct portal *portal_find(const struct client *c, const char *name)
{
	if (!c->portals)
		return NULL;
	struct portal *p = *bucket_of(c->portals, name_hash(c, name));
	while (p && !wire_same_name(p->name, name))
		p = p->next;
	return p;
}

/* NULL without memory. */
static struct portals *make_room(struct client *c)
{
	struct portals *all = c->portals, *more;
	uint32_t n = all ? all->nbuckets * 4 : FIRST_BUCKETS;

	if (all && all->n < all->nbuckets)
		return all;
	if (!(more = calloc(1, sizeof *more + n * sizeof *more->bucket)))
		return all;             /* longer chains, nothing worse */
	more->n = all ? all->n : 0;
	more->nbuckets = n;
	for (uint32_t i = 0; all && i < all->nbuckets; i++)
		for (struct portal *p = all->bucket[i], *next; p; p = next) {
			struct portal **at = bucket_of(more, p->hash);
			next = p->next;
			p->next = *at;
			*at = p;
		}
	free(all);
	return c->portals = more;
}

static struct portal *add(struct client *c, const char *name)
{
	struct portals *all = make_room(c);
	struct portal *p = all ? calloc(1, sizeof *p + strlen(name) + 1) : NULL;

	if (!p)
		return NULL;
	strcpy(p->name, name);
	p->hash = name_hash(c, name);
	struct portal **at = bucket_of(all, p->hash);
	p->next = *at;
	*at = p;
	all->n++;
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
	own_portal_gone(c);
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

void portal_drop(struct client *c)
{
	end_unnamed(c, NULL);
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

static void drop_from(struct client *c, struct portal **at, const struct server *s)
{
	while (*at) {
		struct portal *p = *at;
		if (s && p->server != s) {
			at = &p->next;
			continue;
		}
		*at = p->next;
		c->portals->n--;
		stmt_drop(c->all->servers->stmts, p->stmt);
		free(p);
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
	if (!s)
		own_portals_gone(c);
	for (uint32_t i = 0; c->portals && i < c->portals->nbuckets; i++)
		drop_from(c, &c->portals->bucket[i], s);
	if (c->portals && !c->portals->n) {
		free(c->portals);
		c->portals = NULL;
	}
}
