/* client/privilege.h - who may see what other users' sessions do.
 *
 * As with PostgreSQL's pg_stat_activity: superusers, and members of pg_read_all_stats; also the
 * users that stats_users lists.  PostgreSQL is asked when the first session of a user wants to see
 * them, and again after a minute.  While it cannot be asked, its last answer counts; without one
 * nobody may.
 */
#ifndef CLIENT_PRIVILEGE_H
#define CLIENT_PRIVILEGE_H

#include "client.h"

struct privileges;

struct privileges *privileges_new(struct clients *all);         /* NULL without memory */
void privileges_free(struct privileges *p);                     /* NULL is fine */

/* Is it known?  Else it is asked for, and the client resumed when there is an answer. */
bool privilege_known(struct client *c);

/* May the session see them, as far as is known? */
bool privilege_stats(const struct client *c);

#endif
