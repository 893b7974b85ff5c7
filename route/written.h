/* route/written.h - what any session has written lately: dml_adaptive_global, and the scope
 * "global" of load_balance_consistency.
 *
 * A mark says until when the reads of a table go to the primary: until all replicas have a sample
 * of the primary's position (see node.h), or if there are none for a time.  A table's key is made
 * of its database and its name, in any case and without its schema; the name "" stands for every
 * table of the database.  Two tables that share a key protect each other, no more.
 *
 * No mark is ever lost before its time: if the table is full, or there is no memory for one more,
 * everything counts as written for as long as that mark would have lasted.
 *
 * Pure: the caller gives the time, in milliseconds.  The zero value is an empty table.
 */
#ifndef ROUTE_WRITTEN_H
#define ROUTE_WRITTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WRITTEN_DATABASES = 256 };               /* more of them share their floors */

struct written {
	int64_t since;                          /* when watching began; 0: nobody watches */
	size_t used, cap;
	struct written_mark {
		uint64_t key;                   /* 0 = free */
		int64_t first, until;           /* when the run of writes began, and
		                                 * its protection ends */
		uint32_t sample;                /* which ends it; 0: time does */
	} last, all, *mark;                     /* the one that ends last; everything counts as
	                                         * written */
	uint32_t floor[WRITTEN_DATABASES];      /* the first sample with all that was written in
	                                         * such a database; 0: nothing was */
};

/* The time; are samples taken, and which is the newest that all replicas have?  0: none. */
struct written_now { int64_t ms; bool sampling; uint32_t reached; };

struct written_limits {
	int64_t ttl;                            /* of a mark, from its last write */
	int64_t longest;                        /* and from the first one of a run; 0: any */
	size_t marks;
};

void written_free(struct written *w);            /* but for floors */

/* Extends a key: written_key(written_key(WRITTEN_KEY, database), table). */
#define WRITTEN_KEY UINT64_C(14695981039346656037)
uint64_t written_key(uint64_t key, const char *text);

void written_add(struct written *w, uint64_t key, uint32_t sample, struct written_now now,
	const struct written_limits *l);
bool written_lately(const struct written *w, uint64_t key, struct written_now now);
bool written_any(const struct written *w, struct written_now now);

/* The floor of a database, by its key. */
static inline uint32_t *written_floor(struct written *w, uint64_t database)
{
	return &w->floor[database % WRITTEN_DATABASES];
}

#endif
