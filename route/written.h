/* route/written.h - tables that any session has written lately: dml_adaptive_global.
 *
 * A mark says until when the reads of a table go to the primary.  A table's key is made of its
 * database and its name, in any case and without its schema; the name "" stands for every table of
 * the database.  Two tables that share a key protect each other, no more.
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

struct written {
	int64_t since;                          /* when watching began; 0: nobody watches */
	int64_t until;                          /* the last mark ends */
	int64_t all_until;                      /* everything counts as written */
	size_t used, cap;
	struct written_mark {
		uint64_t key;                   /* 0 = free */
		int64_t first, until;           /* when the run of writes began, and
		                                 * its protection ends */
	} *mark;
};

struct written_limits {
	int64_t ttl;                            /* of a mark, from its last write */
	int64_t longest;                        /* and from the first one of a run; 0: any */
	size_t marks;
};

void written_free(struct written *w);

/* Extends a key: written_key(written_key(WRITTEN_KEY, database), table). */
#define WRITTEN_KEY UINT64_C(14695981039346656037)
uint64_t written_key(uint64_t key, const char *text);

void written_add(struct written *w, uint64_t key, int64_t now, const struct written_limits *l);
bool written_lately(const struct written *w, uint64_t key, int64_t now);

#endif
