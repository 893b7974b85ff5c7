/* web/metrics.h - what /metrics tells: in Prometheus' text format, or as OpenMetrics.
 *
 * Two tables.  The families of pgpool2_exporter, by its names and types, made of the tables of
 * SHOW POOL_...: so its dashboards go on without it.  And our own, whose names begin with pgpool_.
 * No label comes from a client but the names of users and databases of sessions that are there, at
 * most GROUPS_MAX of them.
 */
#ifndef WEB_METRICS_H
#define WEB_METRICS_H

#include "admin.h"
#include "web/text.h"

enum {
	METRICS_PROCESSES = 100,                /* with more, no process is told of by itself */
};

/* open: as OpenMetrics. */
void metrics_write(struct text *t, const struct admin *a, bool open);

#endif
