/* client/tell.h - answers to statements of the proxy's own: see own.h.
 *
 * A message is answered when all in front of it has been.  All columns are text, so their binary
 * form is the same.
 */
#ifndef CLIENT_TELL_H
#define CLIENT_TELL_H

#include "client/own.h"

/* Answers a message that is whole.  TELLS_MORE: not to its end, the rest is for another turn;
 * TELLS_LATER: the client is resumed for it.  TOLD_NOT: *why says why, and the caller tells
 * that. */
enum told { TOLD, TELLS_MORE, TELLS_LATER, TOLD_NOT };
enum told tell_message(struct client *c, struct msg m, const struct report **why);

#endif
