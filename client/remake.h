/* client/remake.h - a session's prepared statements, made again on a server that lacks them.
 *
 * What the client prepared on one server is a statement of its session, and has to be the same
 * wherever a request uses it: with the settings under which it was parsed, and with the columns
 * that it had.  So PostgreSQL is asked to describe each statement when it is prepared, and again
 * when it is made on another server, and the request waits for that answer.  If it is another, or
 * there is none, the client gets the error that PostgreSQL gives for a statement whose result has
 * changed (0A000), or PostgreSQL's own for the statement; of a replica, which may be behind, it
 * goes to the primary instead.  In a failed transaction nothing can be made but what ends it, and
 * the error is that of any other use (25P02).
 *
 *     the client's Parse       Parse, hidden Describe
 *     another server           SAVEPOINT, settings, Close, Parse, Describe, ROLLBACK TO: of these
 *                              what is needed, as requests of the proxy's own
 *     it cannot be the same    a hidden message that fails, in front of the one that uses it
 *
 * Where only the name counts (a Parse that PostgreSQL has to refuse, DEALLOCATE), an empty
 * statement does.
 */
#ifndef CLIENT_REMAKE_H
#define CLIENT_REMAKE_H

#include "client/plan.h"
#include "client/query.h"

/* What a server needs before a request goes there.  AWAITED: nothing of the request may be sent
 * yet.  The client goes on when the server's answers have come; then the same call decides. */
enum remade { REMADE_NO_MEMORY = -1, REMADE, AWAITED, REFUSED };

/* REFUSED: the message at this place uses a statement that cannot be made the same here. */
struct refused {
	size_t at;
	char type;
	struct stmt *stmt;              /* the client's; not counted */
	char name[64];
	bool exists;                    /* as another one; else it could not be made at all */
	bool failed;                    /* nor be used, for the transaction has failed */
	const char *text;               /* a Query: what stands in front of the statement in it */
	size_t text_len;
};

/* The statements that a request of these bytes uses.  Those that it makes itself are right from
 * then on.  q: the open request that the messages are appended to, or NULL before a new one. */
enum remade remake_names(struct client *c, struct server *s, struct query *q, const uint8_t *p,
                         const struct plan *pl, struct refused *no);

/* The same for a plan without notes, which has at most one name: most often the server knows it. */
enum remade remake_name(struct client *c, struct server *s, const uint8_t *p,
                        const struct plan *pl, struct refused *no);

/* Ends the unnamed portal that a message to another server has ended for the session: portal_past.
 * -1 without memory. */
int remake_drop_portal(struct server *s);

/* In place of the message, or in front of it: PostgreSQL answers with the error that is due, and
 * ignores the rest.  -1 without memory. */
int remake_refuse(struct query *q, const struct refused *no);

/* Has this error come from there, for what remake_refuse() has sent?  Then the client is told. */
bool remake_refused(struct client *c, const struct query *q, const uint8_t *body, size_t len);

/* Behind the Parse that was noted last: asks for its description.  -1 without memory. */
int remake_describe(struct query *q);

/* Behind a request that has PREPAREd a statement of this name.  -1 without memory. */
int remake_describe_sql(struct server *s, const char *name);

/* A statement of ours in the extended protocol, as a Query would end the unnamed statement; `then`
 * (may be NULL) hears how it went.  -1 without memory. */
int remake_run(struct server *s, const char *sql, void (*then)(struct request *r, bool ok));

/* Its bytes alone, up to the Sync, for a request that is in the FIFO. */
int remake_put(struct server *s, const char *sql);

/* The answer to such a Parse or Describe has come: ParseComplete, RowDescription or NoData.  Others
 * say nothing here. */
void remake_answered(struct client *c, struct request *r, char type, const uint8_t *body,
                     size_t len);

#endif
