/* net/crowd.h - connections in the order in which they joined, and how
 * many of them each address has.
 *
 * For clients that have not logged in yet: they are limited, and a flood of them must not shut out
 * those that will log in.  So if there are too many, the oldest of the address with the most must
 * go.  A flood from one address only drops its own connections.
 *
 * Addresses are counted by hash (IPv6 by its first 64 bits; all Unix sockets are one), so two of
 * them may look like one: then the oldest of both goes.
 *
 * The zero value is an empty crowd.
 */
#ifndef NET_CROWD_H
#define NET_CROWD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

enum {
	CROWD_ADDRESSES = 256,
	CROWD_QUIET = 60000,                    /* ms between two lines of the log */
};

struct member {
	struct member *next, *previous;
	uint8_t address;                        /* its hash */
};

struct crowd {
	struct member *first, *last;            /* oldest first */
	unsigned n, of[CROWD_ADDRESSES];
	uint64_t dropped;                       /* for newer ones, so far */
	int64_t told;                           /* when the log was told so; 0: never */
};

uint8_t crowd_address(const struct sockaddr_storage *peer);

/* As the youngest; its address is set. */
void crowd_join(struct crowd *c, struct member *m);
void crowd_leave(struct crowd *c, struct member *m);

/* The oldest of the address with the most; NULL: there are none. */
struct member *crowd_pick(const struct crowd *c);

/* One of them is dropped: counts it.  True if it is time to say so in the
 * log: a burst is one line. */
bool crowd_dropped(struct crowd *c, int64_t now);

#endif
