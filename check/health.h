/* check/health.h - do the nodes work?  health_check_*, and the probes of nodes that are down.
 *
 * Both are trials: a connection outside the pool.  Every health_check_period each node is tried, by
 * a login as health_check_user (or sr_check_user) within health_check_timeout.  If it fails, it is
 * tried health_check_max_retries more times, health_check_retry_delay apart; then the node is down.
 * Without checks, and in between, nodes fail when they are used.
 *
 * A node that is down is not checked (that counts as skipped) but probed, every node_probe_period.
 * The probe is the same login, or without health checks a startup packet.  Any answer to that but
 * "starting up" or "shutting down" proves that the node works.
 *
 * A node that answers but refuses the user works.  The check has failed and this is reported, but
 * the configuration is at fault, and the clients' logins are separate.
 */
#ifndef CHECK_HEALTH_H
#define CHECK_HEALTH_H

#include "server.h"

struct healths;

struct healths *healths_new(struct servers *all);       /* NULL without memory */
void healths_free(struct healths *h);                   /* NULL is fine */

/* Begins, or continues with a new configuration. */
void healths_start(struct healths *h);

/* The program is ending: no more checks. */
void healths_stop(struct healths *h);

#endif
