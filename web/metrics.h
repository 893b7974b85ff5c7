/* web/metrics.h - what /metrics tells: in Prometheus' text format, or as OpenMetrics.
 *
 * The families of pgpool2_exporter, and our own, whose names begin with pgpool_.
 * No label comes from a client but the names of users and databases of sessions that are there, at
 * most GROUPS_MAX of them.
 */
#ifndef WEB_METRICS_H
#define WEB_METRICS_H

#include "admin.h"
#include "web/text.h"

/* open: as OpenMetrics. */
void metrics_write(struct text *t, const struct admin *a, bool open);

#endif
