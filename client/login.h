/* client/login.h - from a client's startup packet to its first ReadyForQuery.
 *
 *     pool_hba.conf's method, or without it PostgreSQL's demand on this account (the first login of
 *       |           an account looks: PostgreSQL's first word is enough; then it is remembered)
 *     the exchange with the client: nothing, clear text, md5, SCRAM-SHA-256
 *       |
 *     the welcome: the profile's ParameterStatus messages (remembered, too, from a server's login)
 *
 * A clear text password of a user without an entry is proved by a new login to PostgreSQL with it.
 * PostgreSQL has to ask for it there.  A client that has not proved who it is learns nothing, and
 * no login is made for it, unless its own password is that proof.
 */
#ifndef CLIENT_LOGIN_H
#define CLIENT_LOGIN_H

#include "client.h"

/* Its profile is known now.  -1: it has been refused. */
int login_start(struct client *c);

/* Is a message of the client awaited?  Its bytes wait while PostgreSQL or a helper thread is
 * asked. */
bool login_awaits(const struct client *c);

/* One message, while it is awaited: returns its length, 0 for more, -1. */
long login_message(struct client *c, uint8_t *p, size_t n);

/* What its borrower hears. */
void login_lent(struct client *c, struct server *s);
void login_refused(struct client *c, const struct refusal *r);
void login_eased(struct client *c);

void login_free(struct client *c);

#endif
