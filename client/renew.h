/* client/renew.h - DDL that ends what pooled connections are good for.
 *
 * A connection keeps the role that it logged in as, and the defaults that ALTER ROLE and ALTER
 * DATABASE gave it.  While there is one to a database, that cannot be dropped, renamed, moved or
 * copied: those that are idle are closed before such a statement is sent, and none becomes idle
 * while it runs.  Those of all roles and databases that a statement has altered are closed when its
 * transaction has ended. */
#ifndef CLIENT_RENEW_H
#define CLIENT_RENEW_H

#include "client.h"

struct query;

struct disturbed { char name[WIRE_NAME_MAX + 1]; bool source; };   /* of a copy */

/* The number of other sessions in the database that the statement drops, renames or copies, if
 * PostgreSQL does not know of all: one that has used no connection of the primary is there all the
 * same.  0: PostgreSQL will see for itself. */
unsigned renew_disturbs(struct client *c, const char *text, size_t len, struct disturbed *what);

/* A statement of DDL is about to be sent, in this request.  -1 without memory. */
int renew_before(struct client *c, struct query *q, const char *text, size_t len);

/* It has been run, in a transaction that may go on.  true: it was one of those. */
bool renew_note(struct client *c, const char *text, size_t len);

/* The transaction has ended. */
void renew_after(struct client *c);

#endif
