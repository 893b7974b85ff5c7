/* client/portal.h - portals are on one server, until the transaction's end.
 *
 * Requests that use one go to the server that is known to have it.  The statement that it runs,
 * when that is known, decides what they change.
 */
#ifndef CLIENT_PORTAL_H
#define CLIENT_PORTAL_H

#include "client/query.h"

struct portal {
	struct portal *next;    /* in its bucket */
	uint32_t hash;
	struct server *server;
	struct stmt *stmt;      /* it runs this one; counted; NULL: not known */
	char name[];
};

/* NULL: there is none of this name. */
struct portal *portal_find(const struct client *c, const char *name);

/* The portal, named or unnamed, is on this server from now on and runs this statement, or an
 * unknown one (NULL).  -1 without memory. */
int portal_set(struct client *c, const char *name, struct server *s, struct stmt *st);

/* The request's Query ends the unnamed portal.  Where that is on another server, it is the past's
 * from now on: server.h, portal_past.  One that fails, or is taken back, leaves a portal. */
void portal_end(struct client *c, struct query *q);
void portal_undo(struct client *c, const struct query *q);

/* No server hears of the message that has ended the unnamed portal. */
void portal_drop(struct client *c);

/* The portals on this server, or all portals (NULL), are gone. */
void portals_forget(struct client *c, const struct server *s);

#endif
