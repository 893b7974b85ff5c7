/* client/auth_query.h - asks PostgreSQL for the passwords of users that pool_passwd does not have.
 *
 * auth_user asks the primary.  The answer is one row: the user's name, its password as PostgreSQL
 * stores it, and, if there is a third column, until when that is good, in seconds since 1970
 * (numeric; NULL or Infinity: for ever).  No row, or no password: there is no such user.
 * auth/entry.h says what becomes of the answer, and how long it counts.
 */
#ifndef CLIENT_AUTH_QUERY_H
#define CLIENT_AUTH_QUERY_H

#include "server.h"

struct auth_query;

/* Asks for all->entries from now on.  NULL without memory. */
struct auth_query *auth_query_new(struct servers *all);
void auth_query_free(struct auth_query *q);             /* NULL is fine */

#endif
