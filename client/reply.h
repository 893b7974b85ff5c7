/* client/reply.h - replies on their way to the client.
 *
 * The client sees nothing of a replica's reply before it is clear that it will not be an error.
 * Until then the reply is held back, and an error puts the request back into the client's input,
 * marked for the primary.
 */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

#include "client/query.h"

/* Of a client's requests. */
extern const struct request_ops reply_ops;

/* ReadyForQuery, behind an error that is not of home.  If home is in the transaction it fails
 * there first: home reports what settings that takes back, and lets go of its locks. */
void reply_ready(struct client *c);

#endif
