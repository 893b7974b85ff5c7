/* client/agree.h - brings a server to the state of its session: settings and the transaction.
 *
 * The statements that it lacks are sent in front of the client's request, in the same write, as
 * requests of the proxy's own.
 */
#ifndef CLIENT_AGREE_H
#define CLIENT_AGREE_H

#include "client/query.h"

/* The lines of the script that it has not run.  -1 without memory. */
int agree_on_script(struct client *c, struct server *s);

/* Must a request wait until such lines have been answered?  One that ends a transaction would end
 * that of the lines, if they failed, and what stands behind it would run. */
bool agree_under_way(const struct server *s);

/* Has a RESET brought back the application_name of the session with which the server began? */
bool agree_lacks_name(const struct client *c, const struct server *s);

/* The end of such a request, on a server that must not differ from the session: if it failed, the
 * server goes. */
void agree_or_close(struct request *r, bool ok);

#endif
