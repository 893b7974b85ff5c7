/* client/here.h - requests that are answered here: they need no server. */
#ifndef CLIENT_HERE_H
#define CLIENT_HERE_H

#include "client/plan.h"

/* ReadyForQuery. */
void here_ready(struct client *c);

/* Answers a lone Sync, a BEGIN and its end.  Only with nothing in flight, or the answer would
 * overtake others.  false: the request needs a server. */
bool here_answer(struct client *c, const struct plan *pl);

#endif
