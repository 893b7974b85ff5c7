/* client/signal.h - pg_terminate_backend() and pg_cancel_backend() of a session.
 *
 * A session's process id (client.h) is nobody's on a node.  In a call of these functions it stands
 * for the server that the session has.  So PostgreSQL gets the number of that, in the same place
 * and of the same length, and decides whether the caller may do this.  The request goes to that
 * server's node.  A session without a server is nobody's process: PostgreSQL says so.
 */
#ifndef CLIENT_SIGNAL_H
#define CLIENT_SIGNAL_H

#include "client.h"

/* The node where the first session that the request names has a server; NULL: there is none. */
struct node *signal_node(struct client *c, const uint8_t *p, size_t n);

/* The request goes to this node: puts the servers' process ids in the place of the sessions'.
 * ends: by pg_terminate_backend(), after which a session must not go on with another server. */
void signal_translate(struct client *c, const struct node *to, bool ends, uint8_t *p, size_t n);

#endif
