/* client/peer.h - the name of a client's host, looked up by a helper thread.
 *
 * Only when a rule of pool_hba.conf or log_hostname wants it; no other client waits for it.
 */
#ifndef CLIENT_PEER_H
#define CLIENT_PEER_H

#include "loop.h"

#include <stdbool.h>
#include <sys/socket.h>

struct peer_name;

/* Looks up the name of an address, and whether that name has this address in turn (PostgreSQL
 * wants that before it trusts a name).  told() is called from the loop; name is "" when there is
 * none.  NULL without memory or a thread. */
struct peer_name *peer_look_up(struct loop *l, const struct sockaddr_storage *peer,
	void (*told)(void *ctx, const char *name, bool confirmed), void *ctx);

/* told() is not to be called any more; NULL is fine. */
void peer_forget(struct peer_name *p);

#endif
