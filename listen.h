/* listen.h - the sockets that clients connect to.
 *
 * listen_addresses (TCP, IPv4 and IPv6) and unix_socket_directories.  Addresses are bound in order;
 * one that cannot be bound is a failure unless it came out of "*" or "localhost", which stand for
 * whatever this host has.  When descriptors run out, clients are told so: one is kept in reserve
 * for that.
 */
#ifndef LISTEN_H
#define LISTEN_H

#include "client.h"

struct listener;

struct listeners {
	struct clients *clients;
	struct listener *first;
	int reserve;                            /* an open descriptor to give up */
	bool may_lack_directories;              /* a socket directory that is not there, or is
	                                         * read-only, is a warning: the caller's to set */
};

/* Opens all of them; -1 after saying why in the log. */
int listeners_open(struct listeners *all, const struct conf *conf);

/* Closes them and removes the Unix sockets' files. */
void listeners_close(struct listeners *all);

#endif
