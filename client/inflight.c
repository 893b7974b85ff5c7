/* client/inflight.c - a client's requests in flight: made, answered, and kept for the next. */
#include "client/query.h"

#include "client/effect.h"

#include <stdlib.h>

enum { SPARE_QUERIES = 256 };

static void release(struct request *r)
{
	struct query *q = query_of(r);
	struct clients *all = q->all;

	request_clear(r);
	free(q->copy);
	free(q->held);
	effects_free(q);
	if (all->nspare >= SPARE_QUERIES) {
		free(q);
		return;
	}
	r->next = all->spare_queries;
	all->spare_queries = r;
	all->nspare++;
}

struct query *query_new(struct client *c, struct server *s, const struct request_ops *ops)
{
	struct clients *all = c->all;
	struct query *q = all->spare_queries ? query_of(all->spare_queries) : malloc(sizeof *q);

	if (!q)
		return NULL;
	if (all->spare_queries) {
		all->spare_queries = all->spare_queries->next;
		all->nspare--;
	}
	*q = (struct query){ .all = all, .request = { .ops = ops, .release = release, .owner = c } };
	server_send(s, &q->request);
	c->inflight++;
	c->last = q;
	return q;
}

void query_left(struct client *c)
{
	if (--c->inflight)
		return;
	c->last = NULL;
	c->input = INPUT_REQUEST;
}

void queries_free_spare(struct clients *all)
{
	while (all->spare_queries) {
		struct query *q = query_of(all->spare_queries);
		all->spare_queries = q->request.next;
		free(q);
	}
}
