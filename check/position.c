#include "check/position.h"

#include <stdlib.h>
#include <stdio.h>
#include <string.h>

enum { HEADER_MAX = 40 };                       /* bytes of a page's */

uint32_t position_timeline(const char *file)
{
	char digits[9];

	snprintf(digits, sizeof digits, "%s", file);
	return (uint32_t)strtoul(digits, NULL, 16);
}

uint64_t position_reachable(uint64_t lsn, uint32_t block)
{
	return block && lsn % block <= HEADER_MAX ? lsn - lsn % block : lsn;
}

/* Makes room for one.  The older samples are, the farther apart they may be: what a replica misses
 * by that is a part of what it is behind anyway. */
static void thin_out(struct points *p)
{
	const uint32_t newest = p->at[p->n - 1].sample;
	double least = 0;
	unsigned which = 0;

	for (unsigned i = 1; i + 1 < p->n; i++) {
		double apart = (double)(p->at[i + 1].sample - p->at[i - 1].sample)
		               / (newest - p->at[i].sample);
		if (!which || apart < least) {
			which = i;
			least = apart;
		}
	}
	p->n--;
	memmove(p->at + which, p->at + which + 1, (p->n - which) * sizeof *p->at);
}

void points_add(struct points *p, uint32_t sample, uint64_t lsn, int64_t ms)
{
	while (p->n && p->at[p->n - 1].lsn >= lsn)
		p->n--;                 /* whoever reaches this one has those as well */
	if (p->n == POINTS)
		thin_out(p);
	p->at[p->n++] = (struct point){ sample, lsn, ms };
}

uint32_t points_reached(const struct points *p, uint64_t replayed, int64_t *ms)
{
	for (unsigned i = p->n; i > 0; i--)
		if (p->at[i - 1].lsn <= replayed) {
			*ms = p->at[i - 1].ms;
			return p->at[i - 1].sample;
		}
	*ms = p->n ? p->at[0].ms : 0;
	return 0;
}
