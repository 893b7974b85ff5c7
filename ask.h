/* ask.h - what the proxy itself asks PostgreSQL: passwords, roles and positions, the catalog.
 *
 * A struct ask is a place to ask from: one question at a time, of any node, as any user.  Its
 * connection comes from the pool and goes back when the answer has been heard; who asks the same
 * node as the same user again from within answered() goes on with it.
 *
 * A question never blocks, and never waits behind clients: it is the first in the queue, and a
 * node takes some connections of this kind beyond num_init_children * max_pool.  A connection that
 * breaks under it, as one of the pool may, costs one more try on another one.  What takes longer
 * than the time given is canceled.
 *
 * For all questions search_path is "pg_catalog, pg_temp": other names need their schema.
 */
#ifndef ASK_H
#define ASK_H

#include "server.h"

/* As whom.  application_name NULL: nobody in particular, like most clients.  password is what a
 * parameter gives (see ask_profile); NULL or "": the user's entry in pool_passwd, or what a login
 * of a client has proved.  With a password of its own the connection is never lent to clients. */
struct identity {
	const char *user, *database, *password, *application_name;
};

/* The answer: rows, or why there are none.  Good until answered() returns. */
struct answer {
	const char *why;                        /* NULL: all went well */
	const char *sqlstate;                   /* of PostgreSQL's error, else "" */
	bool no_server;                         /* there was no connection to ask over */
	uint8_t *at, *end;                      /* answer_row()'s */
};

struct ask {
	/* The caller's, set before the first question.  answered() is called from the loop, not
	 * from within ask_node(); it may ask again, and must not free the struct. */
	struct servers *servers;
	void (*answered)(struct ask *a, struct answer *r);

	/* ask.c's own. */
	struct borrower borrower;
	struct server *server;
	struct node *node;                      /* that is asked, or was asked last */
	struct timer deadline;
	uint8_t *question, *reply;
	size_t question_len, reply_len;
	bool waits;                             /* for an answer */
	bool again;                             /* this is the second try */
	bool no_server;
	char why[256], sqlstate[6];
};

/* Asks.  With a parameter sql is one statement with that text as $1; without, it may be several,
 * of which the answer has all rows.  ms is the time for all of it.  A node that is down is only
 * waited for if it is the primary, for primary_wait_timeout. */
void ask_node(struct ask *a, struct node *n, const struct identity *as, const char *sql,
	const char *parameter, int64_t ms);

static inline bool ask_waits(const struct ask *a) { return a->waits; }

/* Nobody wants the answer any more; may be called when there is no question. */
void ask_stop(struct ask *a);

/* The next row: puts its first `max` values into field, zero-terminated, NULL for null (and for
 * what the row does not have).  Returns how many the row has, 0 behind the last row. */
int answer_row(struct answer *r, const char *field[], int max);

/* The profile of such a connection, counted; NULL without memory.  A password is text as a
 * line of pool_passwd has it: clear, TEXT..., md5...; one that begins with AES is of no use. */
struct profile *ask_profile(struct servers *all, const struct identity *as);

#endif
