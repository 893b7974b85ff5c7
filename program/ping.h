/* program/ping.h - asks a server of this host whether it serves, for exec probes.
 *
 * /readyz where there is an HTTP port, which says more; else whether somebody answers an SSLRequest
 * on the port for clients.  The statuses are those of pg_isready.
 */
#ifndef PROGRAM_PING_H
#define PROGRAM_PING_H

#include "conf.h"

enum { PING_READY, PING_NOT_READY, PING_NO_ANSWER, PING_NO_ATTEMPT };

/* Prints a line. */
int ping_run(const struct conf *c);

#endif
