/* client/reply.h - replies on their way to the client.
 *
 * From a replica nothing is told before it is clear that it will not be an error: until then the reply is
 * held back, and an error puts the request back into the client's input, marked for the primary.
 */
#ifndef CLIENT_REPLY_H
#define CLIENT_REPLY_H

#include "client/query.h"

/* Of a client's requests; of the SETs that follow a RESET (agree.h), whose reports and ReadyForQuery
 * are the client's. */
extern const struct request_ops reply_ops, reply_after_reset_ops;

#endif
