/* check/position.h - positions in the WAL, and samples of the primary's.
 *
 * A sample is taken by asking the primary where it would write next (the insert position).  All
 * that was acknowledged before the question was sent is in front of that: a replica that has
 * replayed up to it has the sample.  Samples are numbered when they are asked for, from 1; numbers
 * wrap around (see sample_reached() in node.h), and none is 0.
 *
 * A position behind a page's header is taken for that page's beginning, which is what a replica
 * says when a record has ended at the end of a page.  A header has 24 bytes, the first one of a
 * segment 40; a record that begins behind one ends behind byte 48, one that goes on there began
 * before.
 *
 * Positions of different timelines do not compare.
 */
#ifndef CHECK_POSITION_H
#define CHECK_POSITION_H

#include <stdint.h>

enum { POINTS = 64 };

struct points {
	unsigned n;
	struct point {                          /* all of them rise */
		uint32_t sample;
		uint64_t lsn;
		int64_t ms;                     /* of the answer */
	} at[POINTS];
};

/* The timeline of a WAL file, "000000020000001600000003": its first eight digits. */
uint32_t position_timeline(const char *file);

/* The position, or the beginning of the page behind whose header it is. */
uint64_t position_reachable(uint64_t lsn, uint32_t block);

/* A sample was answered with this, at ms. */
void points_add(struct points *p, uint32_t sample, uint64_t lsn, int64_t ms);

/* The newest sample that is reached at this position; 0: none.  Its answer came at *ms, or if it is
 * none that of the oldest. */
uint32_t points_reached(const struct points *p, uint64_t replayed, int64_t *ms);

#endif
