/* web/exporter.h - the families of pgpool2_exporter, by its names and types, made of the tables of
 * SHOW POOL_...: so its dashboards go on without it. */
#ifndef WEB_EXPORTER_H
#define WEB_EXPORTER_H

#include "web/family.h"

enum {
	EXPORTER_PROCESSES = 100,               /* with more, no process is told of by itself */
};

/* seconds: what was made until now took. */
void exporter_write(struct writer *w, double seconds, uint64_t scrapes);

#endif
