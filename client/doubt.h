/* client/doubt.h - what a session has that no statement says.
 *
 * A function, a trigger or a DO may set a parameter, make a temporary table, take a lock.  After
 * one that may have, the session is in doubt (CODE_ in route/bodies.h says about what), and one
 * question to its server on the primary tells.  It goes right behind the request, in the same
 * write, so nobody waits for it; or later, if it is not known yet what code there is.  Until it is
 * answered, reads stay on the primary.  After plain writes, whose triggers may have done something,
 * it goes behind the next read.
 *
 * It is asked outside of transactions only: within one, what is local to it could not be told
 * apart, and the question would take a snapshot.
 *
 * The answer becomes lines of the script, pins, and names of temporary tables.
 */
#ifndef CLIENT_DOUBT_H
#define CLIENT_DOUBT_H

#include "client/query.h"

/* Something ran that may have left these (CODE_). */
void doubt_add(struct client *c, unsigned code);

/* Some of the session's settings were not kept: doubt_ask() is to ask for them. */
void doubt_ask_soon(struct client *c);

/* May settings be others than the script says? */
static inline bool doubt_settings(const struct client *c)
{
	return (c->doubt | c->asking) & CODE_SETTINGS;
}

/* Must reads stay at home?  A replica could overtake notifications. */
static inline bool doubt_reads(const struct client *c)
{
	return c->unheard || ((c->doubt | c->asking) & (CODE_SETTINGS | CODE_LISTEN));
}

/* Has the catalog told by now of a view that the session has read?  If it sets custom parameters
 * that nobody knew when they were asked for, there is doubt again. */
void doubt_hear(struct client *c);

/* The last request in flight on this server leaves the session outside of a transaction, or nothing
 * is in flight: asks, if there is doubt and no question under way. */
void doubt_ask(struct client *c, struct server *s);

/* What code can do has been told, which the question waited for. */
void doubt_told(struct client *c);

/* The client leaves: what its server may still have of it is marked there. */
void doubt_leave(struct client *c);

/* The server is the client's no longer: a question on it tells only what that server has. */
void doubt_detach(struct client *c, struct server *s);

/* DISCARD ALL: whatever it was is gone, but for the names of custom parameters. */
void doubt_forget(struct client *c);

#endif
