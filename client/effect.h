/* client/effect.h - what statements change in their session.
 *
 * An effect is noted when its statement is sent, and applied when PostgreSQL has answered it with
 * CommandComplete.  Names of prepared statements are the exception: they count from when they are
 * sent, since the next request may use them already, and are undone when PostgreSQL says
 * otherwise.  A table tells what the kinds of statements do: KIND_ in sql.h.
 */
#ifndef CLIENT_EFFECT_H
#define CLIENT_EFFECT_H

#include "client/plan.h"
#include "client/query.h"

/* Notes one message of a request that is being sent; of a long one maybe only the beginning.  -1
 * without memory. */
int effect_note(struct client *c, struct query *q, struct msg *m, bool whole);

/* Behind a request that was sent: asks for the descriptions of what it PREPAREs.  -1 without
 * memory. */
int effect_describe(struct query *q);

/* A request without notes leaves nothing but the unnamed statement and portal. */
void effect_note_plain(struct client *c, const struct plan *pl, struct query *q);

/* CommandComplete, or PortalSuspended: a statement that has begun counts, though it may never be
 * resumed. */
void effect_complete(struct client *c, struct query *q, const uint8_t *body, size_t len);

/* ParseComplete or CloseComplete: PostgreSQL has the last word on what a name is.  What was noted
 * behind a request that failed may have been wrong. */
void effect_name_answered(struct client *c, struct query *q, char type);

/* The client's names took the request's Parses, Closes and DEALLOCATEs for granted when it was
 * sent.  Those that were not answered did not happen: an error has come, or all of it is taken
 * back. */
void effect_failed(struct client *c, struct query *q);
void effect_take_back(struct client *c, struct query *q);

/* Frees the notes. */
void effects_free(struct query *q);

#endif
