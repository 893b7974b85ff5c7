/* client/portal.h - what hangs on one server: portals, and the unnamed statement.
 *
 * PostgreSQL keeps them until the transaction's end (portals), or until another unnamed statement
 * or a simple query comes.  Where one is known to be decides where requests go that use it; what it runs,
 * when that is known, decides what they change.
 */
#ifndef CLIENT_PORTAL_H
#define CLIENT_PORTAL_H

#include "client.h"

struct portal {
	struct portal *next;
	struct server *server;
	struct stmt *stmt;      /* that it runs; counted; NULL: not known */
	char name[];
};

/* NULL: there is none of this name. */
struct portal *portal_find(const struct client *c, const char *name);

/* The portal, named or unnamed, is on this server from now on and runs this statement, or what is not
 * known (NULL).  -1 without memory. */
int portal_set(struct client *c, const char *name, struct server *s, struct stmt *st);

/* The unnamed statement is this one, on this server; NULL: not worth remembering, or none. */
void portal_set_unnamed(struct client *c, struct server *s, struct stmt *st);

/* Those on this server, or all of them (NULL), are gone. */
void portals_forget(struct client *c, const struct server *s);

#endif
