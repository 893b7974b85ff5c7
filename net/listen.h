/* net/listen.h - the sockets for clients and for the tools of PCP.
 *
 * TCP (IPv4 and IPv6) and Unix sockets.  Addresses are bound in order; one that cannot be bound is
 * a failure unless it came out of "*" or "localhost", which stand for all that this host has.  When
 * descriptors run out, clients are told so: one is kept in reserve for that.  Without it, or
 * without memory, nothing is accepted for a moment, instead of endless retries.
 */
#ifndef NET_LISTEN_H
#define NET_LISTEN_H

#include "conf.h"
#include "loop.h"

#include <sys/socket.h>

struct listener;

struct listeners {
	struct base *base;
	/* How many may be accepted now; the others wait for a later turn. */
	unsigned (*room)(void *ctx);
	/* Descriptors have run out: will one be given up in this turn? */
	bool (*yield)(void *ctx);
	/* Takes over the descriptor. */
	void (*accepted)(void *ctx, int fd, const struct sockaddr_storage *peer);
	void *ctx;
	bool may_lack_directories;              /* a socket directory that is not there, or is
	                                         * read-only, is a warning: the caller's to set */

	struct listener *first;                 /* NULL: nobody can connect */
	int reserve;                            /* an open descriptor to give up */
	struct timer pause;                     /* nothing is accepted until then */
};

/* Where to listen: host names and directories, one port for all, and the owner of Unix sockets. */
struct addresses {
	const struct conf_list *hosts, *directories;
	int port, backlog;
	const char *group;                      /* name or number; "" is the process's */
	unsigned permissions;
};

/* Opens all of them; -1 after saying why in the log. */
int listeners_open(struct listeners *all, const struct addresses *at);

/* Closes them and removes the Unix sockets' files.  Nothing to do for a zeroed struct. */
void listeners_close(struct listeners *all);

#endif
