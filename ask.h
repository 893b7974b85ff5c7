/* ask.h - the proxy's own questions to PostgreSQL: passwords, roles and positions, the catalog.
 *
 * A struct ask is a place to ask from: one question at a time, of any node, as any user.  Its
 * connection comes from the pool and goes back after the answer.  A question to the same node as
 * the same user from within answered() keeps it.
 *
 * A question never blocks, and never waits behind clients: it is first in the queue, and a node
 * takes some connections of this kind beyond num_init_children * max_pool.  If its connection
 * breaks, as a pooled one may, there is one more try on another.  A question that takes longer than
 * its time is canceled.
 *
 * For all questions search_path is "pg_catalog, pg_temp": other names need their schema.
 */
#ifndef ASK_H
#define ASK_H

#include "server.h"

/* Who asks.  application_name NULL: nobody in particular, like most clients.  password comes from a
 * parameter (see ask_profile); NULL or "": the user's entry in pool_passwd, or one proved by a
 * client's login.  With a password of its own the connection is never lent to clients. */
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
	struct node *node;                      /* of this question, or the last one */
	struct timer deadline;
	uint8_t *question, *reply;
	size_t question_len, reply_len;
	bool waits;                             /* for an answer */
	bool again;                             /* this is the second try */
	bool no_server;
	char why[256], sqlstate[6];
};

/* Asks.  With a parameter, sql is one statement with that text as $1.  Without, it may be several,
 * and the answer has the rows of all.  ms is the time for all of it.  If the node is down, only the
 * primary is waited for, for primary_wait_timeout. */
void ask_node(struct ask *a, struct node *n, const struct identity *as, const char *sql,
	const char *parameter, int64_t ms);

/* The same of one statement that has no operator and no name without its schema: it needs no
 * search_path. */
void ask_plain(struct ask *a, struct node *n, const struct identity *as, const char *sql,
	int64_t ms);

static inline bool ask_waits(const struct ask *a) { return a->waits; }

/* Nobody wants the answer any more; may be called without a question. */
void ask_stop(struct ask *a);

/* The next row: puts its first `max` values into field, zero-terminated, NULL for null (and for
 * fields that the row lacks).  Returns how many the row has, 0 behind the last row. */
int answer_row(struct answer *r, const char *field[], int max);

/* The profile of such a connection, counted; NULL without memory.  A password is text as in a line
 * of pool_passwd: clear, TEXT..., md5...; one that begins with AES does not work. */
struct profile *ask_profile(struct servers *all, const struct identity *as);

#endif
