/* client/effect.h - what statements change in their session.
 *
 * An effect is noted when its statement is sent, and applied when PostgreSQL has answered it with
 * CommandComplete.  Names of prepared statements are the exception: they count from when they are sent,
 * since the next request may use them already, and are undone when PostgreSQL says otherwise.  What the kinds of
 * statements do is a table: KIND_ in sql.h.
 */
#ifndef CLIENT_EFFECT_H
#define CLIENT_EFFECT_H

#include "client/plan.h"
#include "client/query.h"

/* One message of a request that is being sent; of a long one maybe only the beginning.  -1 without
 * memory. */
int effect_note(struct client *c, struct query *q, struct msg *m, bool whole);

/* A request without notes leaves nothing but the unnamed statement and portal. */
void effect_note_plain(struct client *c, const struct plan *pl, struct server *s);

/* CommandComplete, or PortalSuspended: what has begun counts, if it is never resumed. */
void effect_complete(struct client *c, struct query *q, const uint8_t *body, size_t len);

/* ParseComplete or CloseComplete: PostgreSQL has the last word on what a name is.  What was noted behind a
 * request that failed may have been wrong. */
void effect_name_answered(struct client *c, struct query *q, char type);

/* What the client's names took for granted when the request was sent, and what did not happen: its
 * Parses and Closes from this one on, and its DEALLOCATEs that were not answered. */
void effect_undo_names(struct client *c, const struct query *q, uint32_t from);

/* ReadyForQuery: the session is in this state now. */
void effect_status(struct client *c, char status, bool failed);

/* The transaction is over: its other servers end it in the same way. */
void effect_end_transaction(struct client *c, bool committed);

/* Frees what was noted. */
void effects_free(struct query *q);

#endif
