/* loop/histogram.h - how long things take: their number by length, in the buckets that Prometheus
 * calls classic. */
#ifndef LOOP_HISTOGRAM_H
#define LOOP_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 17 };                /* the last one has no bound */

struct histogram {
	uint64_t n[HISTOGRAM_BUCKETS];          /* of each bucket alone */
	uint64_t sum;                           /* us */
};

/* The longest that belongs to the bucket, in us; of the last one 0. */
uint32_t histogram_bound(unsigned bucket);

void histogram_add(struct histogram *h, int64_t us);

#endif
