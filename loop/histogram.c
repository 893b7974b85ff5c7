#include "loop/histogram.h"

static const uint32_t bound[HISTOGRAM_BUCKETS - 1] = {
	100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000, 250000, 500000,
	1000000, 2500000, 5000000, 10000000,
};

uint32_t histogram_bound(unsigned bucket)
{
	return bucket < HISTOGRAM_BUCKETS - 1 ? bound[bucket] : 0;
}

void histogram_add(struct histogram *h, int64_t us)
{
	unsigned i = 0;

	us = us > 0 ? us : 0;
	while (i < HISTOGRAM_BUCKETS - 1 && us > bound[i])
		i++;
	h->n[i]++;
	h->sum += (uint64_t)us;
}
