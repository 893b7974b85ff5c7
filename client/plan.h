/* client/plan.h - reading a request: its contents, and where it may go.
 *
 * A plan changes nothing in the session, so a request that has to wait is simply planned again.
 */
#ifndef CLIENT_PLAN_H
#define CLIENT_PLAN_H

#include "client.h"

enum {
	REQUEST_KEEP = 64 * 1024,               /* a longer one streams, and cannot be run again */
	MESSAGE_MAX = 0x3fffffff,               /* PostgreSQL's own limit: 1 GB */
};

/* What became of some input: the number of bytes that were used, or one of these. */
enum { BLOCKED = -1, MORE = 0 };

/* Whose prepared statements may a request see that does not name them? */
enum sees { SEES_NONE, SEES_SQL, SEES_ALL };

/* The findings of a walk over the messages of a request. */
struct plan {
	size_t len;             /* of those messages that are whole */
	bool whole;             /* they end with Query, FunctionCall or Sync */
	bool simple;            /* they end with Query or FunctionCall */
	bool only_sync;
	bool own;               /* the message behind them is the proxy's to answer */
	bool reads, other;      /* has statements that may be balanced; that may not */
	bool writes;            /* the session is to know */
	bool hooks;             /* triggers and the like may run */
	bool unknown;           /* reads what the catalog has not told of yet */
	bool awaits;            /* the catalog, before it may go on on a replica */
	uint32_t executes;      /* Executes */
	uint8_t class;          /* enum sql_class of what it runs */
	uint8_t reason;         /* enum node_reason of what is no read in it; in the end, of the
	                         * request */
	uint32_t extended;      /* extended messages: each has one answer */
	bool begins;            /* BEGIN */
	bool sets_modes;        /* of the open transaction */
	bool home_only;         /* has a meaning at home only: LISTEN, a lock of the session */
	bool ends;              /* COMMIT or ROLLBACK: goes where the transaction is */
	bool ends_first;        /* nothing in front of it needs the transaction */
	bool may_begin;         /* may begin a transaction without it */
	bool looks;             /* has a statement that is no plain write */
	bool queries;           /* reads with a snapshot: all that reads but SHOW */
	bool peeks;             /* sees what replicas may lack; writes do, too */
	bool revives;           /* has a statement that ends even a failed transaction */
	bool follows;           /* and behind that one for which the same server may not do */
	enum sees sees;
	bool notes;             /* needs the second walk: effect_note() */
	bool barrier;           /* see struct query */
	bool forgets;           /* takes names of statements: nothing else is in flight with it */
	bool rolls_back_to;     /* ROLLBACK TO: only the primary knows the savepoint */
	uint32_t unnamed;       /* this message of it, from 1, makes the unnamed statement */
	bool portal;            /* it makes the unnamed portal */
	bool no_portal;         /* it uses an unnamed portal that the session does not have */
	const char *name;       /* a prepared statement that it uses; without notes the only one */
	const struct stmt *named;       /* the client's statement of that name; NULL: unknown */
	unsigned does;          /* LEAVES_ */
	const char *takes;      /* a statement that takes a database away: renew_disturbs() */
	size_t takes_len;
	struct node *signals;   /* it signals a process there; or NULL */
	struct server *must;    /* has the portal or the unnamed statement; maybe no longer ours */
	bool must_stay;         /* the unnamed one, which nobody could make again */
	struct sql_facts facts; /* of a simple query; text is NULL for any other request */
	const char *text;
	size_t text_len;
	const char *last;       /* the last statement of any other request; or NULL */
	size_t last_len;
};

/* Plans the request that begins at p.  More than 0: there is something to send; MORE: the rest of
 * the request may still be waited for; BLOCKED after client_fail(). */
int plan_request(struct client *c, struct plan *pl, const uint8_t *p, size_t n);

/* Adds a message of an open request to its plan; of types that say nothing, nothing. */
void plan_appended(struct client *c, struct plan *pl, struct msg m);

/* Messages that PostgreSQL gives one answer each. */
static inline bool plan_is_extended(char type)
{
	return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

#endif
