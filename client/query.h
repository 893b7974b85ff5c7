/* client/query.h - a client's request, from its bytes to the server that it is sent to.
 *
 *     query.c   cuts the input, finds a server for each request, and sends the request as it lies
 *               in the scratch block
 *     plan.h    what is in a request, and where it may go
 *     facts.h   what the texts of its statements mean
 *     agree.h   what the chosen server lacks, sent ahead
 *     effect.h  what its statements change in the session: noted, applied, undone
 *     portal.h  where portals and the unnamed statement are
 *     reply.h   the reply: forwarded, held back, or dropped to run the request on the primary
 *     trace.h   what the log says of all this
 *
 * A request may have to be sent before it is there to its end: it is longer than REQUEST_KEEP, or
 * has a Flush in it.  It goes to the primary and is open (INPUT_OPEN): later messages are appended
 * to it one by one until its Sync.
 */
#ifndef CLIENT_QUERY_H
#define CLIENT_QUERY_H

#include "client.h"

struct effect;

/* A client's request in flight.
 *
 * Its flags: barrier goes with each of the others.  A request that may be retried has a copy, is
 * whole, runs on a replica, and has shown the client nothing yet.  That ends with request.progress,
 * which is for good: the copy is useless from then on.  A request that resets may have a hidden
 * end: then the SETs that follow it in the FIFO show theirs.
 */
struct query {
	struct request request;                 /* owner is the client; NULL once it has gone */
	struct clients *all;

	struct effect *effects, *last_effect;   /* in the order of its statements */
	uint32_t executes;                      /* statements, each with one CommandComplete */
	uint32_t extended;                      /* extended messages before its Query or so far:
	                                         * each has one answer */
	uint32_t copy_ends, late_ends;          /* CopyDone and CopyFail sent before they were
	                                         * asked for: in the request, behind its end */
	uint8_t *copy, *held;                   /* the request itself; the reply so far */
	uint32_t copy_len, held_len;

	bool simple;                            /* a Query or FunctionCall ends it, not a Sync */
	bool barrier;                           /* nothing is sent behind it before its end: COPY
	                                         * FROM, or a Query that PostgreSQL may not hear */
	bool retry;                             /* may be run again on the primary */
	bool resets;                            /* takes settings back: see agree_after_reset() */
	bool hidden_end;                        /* its ReadyForQuery is not the client's */
};

static inline struct query *query_of(struct request *r)
{
	return OWNER(r, struct query, request);
}

/* One for the FIFO of this server, with nothing in it but what the FIFO needs; it is the client's
 * last now.  NULL without memory. */
struct query *query_new(struct client *c, struct server *s, const struct request_ops *ops);
void queries_free_spare(struct clients *all);

/* One of the client's requests is in flight no longer: it was answered, taken back or lost. */
void query_left(struct client *c);

/* Extended messages of it that have not been answered. */
static inline uint32_t query_unanswered(const struct query *q)
{
	const struct server *s = q->request.server;
	uint32_t answers = s->head == &q->request ? s->scanner.answers : 0;

	return q->extended > answers ? q->extended - answers : 0;
}

#endif
