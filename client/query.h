/* client/query.h - a client's request, from its bytes to the server that it is sent to.
 *
 *     query.c   cuts the input, and sends each request as it lies in the scratch block
 *     plan.h    what is in a request, and where it may go
 *     facts.h   what the texts of its statements mean
 *     here.h    what needs no server
 *     choice.h  the server for it
 *     transact.h  which servers have the transaction, and its isolation level
 *     agree.h   what settings the chosen server lacks, sent ahead
 *     remake.h  what statements it lacks, asked for and awaited
 *     doubt.h   what no statement says is asked for
 *     effect.h  what its statements change in the session: noted, applied, undone
 *     parameter.h  what they set
 *     code.h    what the code that they run may leave
 *     portal.h  where portals are
 *     unnamed.h  where the unnamed statement is
 *     reply.h   the reply: forwarded, held back, or dropped to run the request on the primary
 *     own.h     statements of the proxy's own; tell.h answers them
 *     unread.h  what the words of a text say that is too long to be held
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

/* A client's request in flight.  Its flags, and those that another may go with:
 *
 *                 simple  barrier  retry  progress
 *     barrier        x               x       x       on a replica only behind extended messages
 *     retry          x       x               x       progress ends it for good, though it stays set
 *
 * retry: it has a copy, is whole, and runs on a replica.  (progress is the struct request's: the
 * client may have seen something.)
 */
struct query {
	struct request request;                 /* owner is the client; NULL once it has gone */
	struct query *before;                   /* the client's last one when this was sent: good
	                                         * while that is in flight */
	int64_t came_at, sent_at;               /* loop_now(), loop_now_us() */
	int64_t stalled_at, stalled;            /* us: its client does not take the reply, since
	                                         * then (0: it does), and before */

	struct effect *effects, *last_effect;   /* in the order of its statements */
	struct effect *next_effect;             /* the first whose statement is not answered */
	uint32_t executes;                      /* statements, each with one CommandComplete */
	uint32_t extended;                      /* extended messages before its Query or so far:
	                                         * each has one answer */
	uint32_t refused_at;                    /* of these, ours: it fails */
	struct stmt *refused;                   /* for this one, which a message of this type */
	char refused_type;                      /* uses: see remake_refuse(); or NULL */
	bool refused_failed;                    /* for the transaction has failed */
	bool refused_anew;                      /* for its Parse fails, here one message before */
	uint32_t copies;                        /* COPY FROMs not asked for yet, nor ended ahead */
	uint32_t copy_ends, late_ends;          /* CopyDone and CopyFail sent before they were
	                                         * asked for: in the request, behind its end */
	uint8_t *bind;                          /* the last Bind's body, of a set_config() */
	uint32_t bind_len;
	uint32_t unnamed_nth;                   /* the first message, from 1, that changes the */
	struct unnamed unnamed;                 /* unnamed statement; what that was */
	struct server *portal_was;              /* had the unnamed portal before its Query */
	bool unnamed_late;                      /* behind other messages that may fail */
	bool unnamed_ended;                     /* since then, by a Query of ours */
	bool unnamed_inside;                    /* only the request itself tells what it is now */
	bool fallible;                          /* has messages, so far, that may fail */
	struct unread *unread;                  /* it has a text that is too long; or NULL */
	uint8_t *copy, *held;                   /* the request itself; the reply so far */
	uint32_t copy_len, held_len;

	bool simple;                            /* a Query or FunctionCall ends it, not a Sync */
	bool barrier;                           /* nothing is sent behind it before its end: a COPY
	                                         * FROM, a Query that PostgreSQL may not hear, a
	                                         * DEALLOCATE (which statements are left?), or a
	                                         * RESET of another session's application_name */
	bool retry;                             /* may be run again on the primary */
	bool undone;                            /* it was taken back, and its names with it */
	bool revives;                           /* it is open, and has ended a transaction */
	bool cut;                               /* a Sync of ours ends it: see cut_request() */
	bool erred;                             /* an error in it was shown */
	bool flushed;                           /* a Flush of ours is behind it: what follows it is
	                                         * the proxy's to answer */
	bool rolled_back;                       /* it is a ROLLBACK, or ended like one */
	bool had_all;                           /* its server had all of the transaction, which it
	                                         * may have ended */
};

_Static_assert(offsetof(struct query, request) == 0, "request_take() gives a block that begins so");

static inline struct query *query_of(struct request *r)
{
	return OWNER(r, struct query, request);
}

/* Uses what it can of a client's bytes; the rest is kept. */
void query_input(struct client *c, uint8_t *p, size_t n);

/* Its client takes replies, or does not. */
void query_stalls(struct client *c, bool stalls);

/* The request that is blocked has been canceled by its client. */
void query_canceled(struct client *c);

/* The server that it waited for cannot be had. */
void query_refused(struct client *c, const struct refusal *r);

/* The client has left: its servers go back, and its session is forgotten. */
void query_free(struct client *c);

/* --- inflight.c ---------------------------------------------------------- */

/* One for the FIFO of this server, with nothing in it but what the FIFO needs; it is the client's
 * last now.  NULL without memory. */
struct query *query_new(struct client *c, struct server *s, const struct request_ops *ops);

/* The server of the requests in flight: all of them are there. */
static inline struct server *query_server(const struct client *c)
{
	return c->last->request.server;
}

/* Bytes of their copies, all of which may have to go back into the input at once. */
size_t query_retry_bytes(const struct client *c);

/* One of the client's requests is in flight no longer: it was answered, taken back or lost. */
void query_left(struct client *c);

/* The client has the beginning of a message whose end has not come: in front of that nothing can be
 * said to it. */
bool query_half_told(const struct query *q);

/* When PostgreSQL could begin with it, in us: before that it was busy with those in front. */
static inline int64_t query_began(const struct query *q)
{
	int64_t free_at = q->request.server->answered_us;

	return free_at > q->sent_at ? free_at : q->sent_at;
}

/* Extended messages of it that have not been answered. */
static inline uint32_t query_unanswered(const struct query *q)
{
	const struct server *s = q->request.server;
	uint32_t answers = s->head == &q->request ? s->scanner.answers : 0;

	return q->extended > answers ? q->extended - answers : 0;
}

#endif
