/* client/choice.h - which server a request goes to. */
#ifndef CLIENT_CHOICE_H
#define CLIENT_CHOICE_H

#include "client/plan.h"

/* The server for a planned request: the one that alone can serve it, or one on the node that was
 * chosen, which the session has or borrows; the plan's reason is why then.  NULL: it has to
 * wait. */
struct server *choice_server(struct client *c, struct plan *pl);

#endif
