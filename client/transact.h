/* client/transact.h - a session's transaction: which servers have it, at which isolation level.
 *
 * home is the server that stands for the primary to the session.  It runs all that writes, and all
 * that only one server can have.  While the session has something there - a transaction, a pin, a
 * setting that cannot be carried - it stays there, whatever node is the primary meanwhile.
 *
 * Under READ COMMITTED each statement has a snapshot of its own, so reads may leave: the other
 * servers in the transaction are its legs.  Under the higher levels all statements share one
 * snapshot, which one server has, the owner: home, or for a READ ONLY one maybe a replica.
 */
#ifndef CLIENT_TRANSACT_H
#define CLIENT_TRANSACT_H

#include "client.h"

/* The node of home: where it has to be if the session is bound to it, else the primary. */
struct node *transact_home(const struct client *c);

/* Home has something of the session that no other server can have. */
bool transact_bound(const struct client *c);

/* This server's part of the transaction cannot be done without: it is home, bound. */
bool transact_needs(const struct client *c, const struct server *s);

/* Do all statements of the open transaction share one snapshot, as far as is known? */
bool transact_has_snapshot(const struct client *c);

/* The server that has the snapshot of the open transaction; NULL: none yet, or READ COMMITTED. */
struct server *transact_owner(const struct client *c);

/* The server on which the transaction has failed; NULL: it has not. */
struct server *transact_failed(const struct client *c);

/* The level of the transaction that such a BEGIN begins; LEVEL_UNSAID: not known. */
enum sql_level transact_level(const struct client *c, const struct sql_facts *begin);

/* May a replica serve it? */
bool transact_leaves(const struct client *c, const struct sql_facts *begin);

/* BEGIN or SET TRANSACTION has been run. */
void transact_begun(struct client *c, const struct sql_facts *f);

/* The script has changed: what does the session's default_transaction_isolation say now? */
void transact_defaults(struct client *c);

/* The legs leave the transaction.  A leg's locks can hold up the replay of what the primary is
 * about to do, and with it the primary's COMMIT, so they go first. */
void transact_end_legs(struct client *c);

/* The session can do without this server's part of the transaction, and gives the server back. */
void transact_leave(struct client *c, struct server *s);

/* The snapshot is on a replica, but what comes next has a meaning at home only: the transaction is
 * given up there.  That has a cure: the session's next ones will be at home from the beginning. */
void transact_come_home(struct client *c);

/* Behind a BEGIN at home, in front of what sets the transaction's modes: there must have been a
 * query if a leg has had one, since PostgreSQL refuses new modes then.  -1 without memory. */
int transact_repeat_reads(struct client *c, struct server *s);

/* In front of a BEGIN that is sent to home: asks PostgreSQL for the default level of the session's
 * profile, if nobody has lately.  -1 without memory. */
int transact_ask_level(struct client *c, struct server *s);

/* What the client hears when the only server that had the transaction's snapshot is gone. */
extern const struct report transact_lost;

/* Is home still in the transaction, which is in this state elsewhere: has failed? */
bool transact_outlives(const struct client *c, char status);

/* Makes the transaction one that has failed on this server, too, by a statement that fails: the
 * bytes of this request, which is in the FIFO.  The client is told what values that takes back.  -1
 * without memory. */
int transact_put_doom(struct client *c, struct server *s, struct request *r);

/* The same in front of a request, if the transaction has failed, and no server knows. */
int transact_doom(struct client *c, struct server *s);

/* The transaction is over: its other servers end it in the same way. */
void transact_ended(struct client *c, bool committed);

/* The same with AND CHAIN, on the server that said so: the next one begins at once, with the last
 * one's modes. */
void transact_chained(struct client *c, struct server *authority, bool committed);

/* ReadyForQuery: the session is in this state now. */
void transact_status(struct client *c, char status, bool failed);

#endif
