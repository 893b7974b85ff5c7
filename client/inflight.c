/* client/inflight.c - a client's requests in flight: made, and answered. */
#include "client/query.h"

#include "client/effect.h"
#include "client/unnamed.h"

#include <stdlib.h>

/* It goes to the spare ones, so that a small query allocates nothing. */
static void release(struct request *r)
{
	struct query *q = query_of(r);

	free(q->bind);
	free(q->unread);
	free(q->copy);
	free(q->held);
	stmt_drop(r->server->all->stmts, q->refused);
	unnamed_drop(r->server->all->stmts, &q->unnamed);
	effects_free(q);
	request_give(&r->server->all->queries, r);
}

struct query *query_new(struct client *c, struct server *s, const struct request_ops *ops)
{
	struct request *r = request_take(&s->all->queries, sizeof(struct query));

	if (!r)
		return NULL;
	struct query *q = query_of(r);
	*q = (struct query){ .before = c->last, .came_at = c->active,
		.sent_at = loop_now_us(c->all->base->loop),
		.stalled_at = c->paused ? loop_now_us(c->all->base->loop) : 0,
		.request = { .ops = ops, .release = release, .owner = c } };
	server_send(s, &q->request);
	c->inflight++;
	c->last = q;
	return q;
}

bool query_half_told(const struct query *q)
{
	const struct request *r = &q->request;
	const struct scanner *x = &r->server->scanner;

	return x->left && x->passes && r->started && (r->progress || !q->retry);
}

void query_stalls(struct client *c, bool stalls)
{
	int64_t now = loop_now_us(c->all->base->loop);
	struct request *r = c->inflight ? query_server(c)->head : NULL;

	for (; r; r = r->next) {
		if (r->owner != c)
			continue;
		struct query *q = query_of(r);
		q->stalled += stalls || !q->stalled_at ? 0 : now - q->stalled_at;
		q->stalled_at = stalls ? now : 0;
	}
}

/* Without a request in flight, the next message can only begin one. */
void query_left(struct client *c)
{
	if (--c->inflight)
		return;
	c->last = NULL;
	c->input = INPUT_REQUEST;
}

size_t query_retry_bytes(const struct client *c)
{
	size_t n = 0;

	if (c->inflight)
		for (struct request *r = query_server(c)->head; r; r = r->next)
			n += r->owner == c ? query_of(r)->copy_len : 0;
	return n;
}
