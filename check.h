/* check.h - which node is the primary, and how far behind it the others are: sr_check_*.
 *
 * Every sr_check_period seconds each node that is not down is asked, on its own: one that cannot be
 * reached or does not answer stops no other.  One question has all: is it in recovery, its
 * position, and on the primary what pg_stat_replication says of the standbys, who are told apart
 * by backend_application_nameN.
 *
 * What follows from the answers stands in struct node.  The role: without an ALWAYS_PRIMARY flag it
 * decides who is the primary.  A flagged node that is in recovery means that its name leads
 * elsewhere now, or will soon: its connections are renewed until it is a primary.  The delay: as
 * bytes, and as time from replay_lag or from replication_delay_source_cmd; a standby beyond
 * delay_threshold or delay_threshold_by_time is late, and gets no reads.
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

/* Begins, or goes on as another configuration says; the first round comes at once. */
void checks_start(struct checks *c);

/* The program is ending: no rounds any more. */
void checks_stop(struct checks *c);

/* A child of the program has ended. */
void checks_reaped(struct checks *c, pid_t pid, int status);

#endif
