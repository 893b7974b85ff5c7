/* check/health.h - do the nodes work?  health_check_*, and the probes of nodes that are down.
 *
 * Both are trials: a connection beside the pool.  With health_check_period each node is tried so
 * often, by a login as health_check_user (or sr_check_user) that has health_check_timeout; when
 * it fails, health_check_max_retries more times, health_check_retry_delay apart; then the node is
 * down.  Without, and in between, nodes fail when they are used.
 *
 * A node that is down is not checked (that counts as skipped) but probed, every
 * node_probe_period: by the same login, or without health checks by a startup packet, which any
 * answer but "starting up" or "shutting down" proves right.
 *
 * A node that answers and lets the user not in works: the check has failed and is told, but it is
 * the configuration that is wrong, and the clients' logins are other logins.
 */
#ifndef CHECK_HEALTH_H
#define CHECK_HEALTH_H

#include "server.h"

struct healths;

struct healths *healths_new(struct servers *all);       /* NULL without memory */
void healths_free(struct healths *h);                   /* NULL is fine */

/* Begins, or goes on as another configuration says. */
void healths_start(struct healths *h);

/* The program is ending: no checks any more. */
void healths_stop(struct healths *h);

#endif
