/* check.h - which node is the primary, and how far behind it the others are: sr_check_*.
 *
 * Every sr_check_period seconds each node that is not down is asked separately: one that cannot be
 * reached or does not answer delays no other.  One question covers all: is it in recovery, its
 * position, and on the primary the rows of pg_stat_replication.  backend_application_nameN tells
 * standbys apart.
 *
 * The results are kept in struct node.  Without an ALWAYS_PRIMARY flag the role decides which node
 * is the primary.  If a flagged node is in recovery, its name leads elsewhere now, or will soon:
 * its connections are renewed until it is a primary.  The delay is kept as bytes, and as time from
 * replay_lag or from replication_delay_source_cmd.  A standby beyond delay_threshold or
 * delay_threshold_by_time is late, and gets no reads.
 *
 * Until a primary has been found for the first time, the nodes are asked every second.
 */
#ifndef CHECK_H
#define CHECK_H

#include "check/health.h"
#include "server.h"

#include <sys/types.h>

struct checks;

struct checks *checks_new(struct servers *all);         /* NULL without memory */
void checks_free(struct checks *c);                     /* NULL is fine */

/* Begins, or continues with a new configuration; the first round comes at once. */
void checks_start(struct checks *c);

/* The program is ending: no more rounds. */
void checks_stop(struct checks *c);

/* A child of the program has ended. */
void checks_reaped(struct checks *c, pid_t pid, int status);

#endif
