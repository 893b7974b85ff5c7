/* client/unread.h - a text that is too long to be held while it is sent.
 *
 * The statements of such a Query are not told apart, nor is it known whether such a Parse is a DO.
 * But its words are looked at as they pass, like those of a DO: they say what it may set, make and
 * change.  Then PostgreSQL is asked what it did (doubt.h).
 */
#ifndef CLIENT_UNREAD_H
#define CLIENT_UNREAD_H

#include "client/query.h"

/* The text of this request, sent home, begins with this; more of it follows.  -1 without memory. */
int unread_begin(struct client *c, struct query *q, const uint8_t *p, size_t n);

/* More of the message that is being sent, whatever it is. */
void unread_more(struct client *c, struct query *q, const uint8_t *p, size_t n);

#endif
