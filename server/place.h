/* server/place.h - a number for each connection, for those who look at them.
 *
 * It is the connection's for its life, and the lowest that is free, so that tables of all places
 * stay short.
 */
#ifndef SERVER_PLACE_H
#define SERVER_PLACE_H

#include <stdint.h>

struct server;

struct places {
	struct server **of;                     /* NULL: free */
	uint32_t n, room;                       /* in use so far; allocated */
	uint32_t first;                         /* none below it is free */
};

/* Sets s->place.  -1 without memory. */
int place_take(struct places *p, struct server *s);
void place_leave(struct places *p, struct server *s);

void places_free(struct places *p);

#endif
