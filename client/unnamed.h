/* client/unnamed.h - the unnamed statement, which is on one server.
 *
 * PostgreSQL keeps it until another one is parsed, a simple query comes or it is closed.  Like a
 * name it counts from when that is sent, and is undone when PostgreSQL did not come to it: the
 * struct query keeps what it was.
 */
#ifndef CLIENT_UNNAMED_H
#define CLIENT_UNNAMED_H

#include "client/query.h"

/* It is this one, on this server; NULL: not worth remembering, or none. */
void unnamed_set(struct client *c, struct server *s, struct stmt *st);
void unnamed_drop(struct stmts *stmts, struct unnamed *u);

/* The request's message with this number, from 1, makes it this one on the request's server, or
 * ends it. */
void unnamed_note(struct client *c, struct query *q, uint32_t nth, struct stmt *st);
void unnamed_note_end(struct client *c, struct query *q, uint32_t nth);

/* The request is answered.  If it made the statement and has a copy, that is kept in case that the
 * statement is used again, instead of freed. */
void unnamed_keep(struct client *c, struct query *q);

/* Of one that is not known, but in a request that was kept, the text is looked up there. */
void unnamed_recall(struct client *c);

/* A Query of ours goes to the server, behind all that is in flight: it will have none. */
void unnamed_ends_on(struct client *c, const struct server *s);

/* The server has one that nobody could make again, or will have if a request in flight fails in
 * front of the message that changes it: no Query of ours may go there. */
bool unnamed_must_live(const struct client *c, const struct server *s);

/* A request in flight, other than this open one, may not come to the message that changes it. */
bool unnamed_is_unsure(const struct client *c, const struct query *open);

/* The message with this number has failed, so those behind it did not happen; 0: none of the
 * request did. */
void unnamed_undo(struct client *c, struct query *q, uint32_t failed);

#endif
