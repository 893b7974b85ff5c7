/* pcp.h - PCP, Pgpool-II's control protocol, spoken by pcp_node_info, pcp_stop_pgpool and the like.
 *
 * It listens on pcp_listen_addresses, pcp_port and pcp_socket_dir.  Messages look like
 * PostgreSQL's: a type, a length that counts itself, zero-terminated strings; requests have
 * capitals, replies small letters.  The dialect is that of Pgpool-II 4.7 and 4.8 (13 strings for a
 * node, 21 for a pool); tools of other versions print some columns of these two under other names.
 *
 * A connection is a caller:
 *
 *     CALLER_LOGIN --R--> CALLER_READY <--> CALLER_BUSY       any --X, error, end--> CALLER_GONE
 *
 * Users are those of pcp.conf; a wrong password and an unknown user cannot be told apart.  A caller
 * gets one reply at a time: the next request is read when the last reply has been taken.  So a slow
 * caller costs no more than one reply, and long tables are made as they are taken.  There are at
 * most CALLERS_MAX.  At that limit, a caller that has not logged in is dropped for a new one: the
 * oldest of the address with the most of those.
 *
 * Promotion and recovery are refused: they are the job of whatever runs PostgreSQL.  Detaching
 * drains a node of reads until it is attached or the program ends; the primary keeps serving.
 */
#ifndef PCP_H
#define PCP_H

#include "admin.h"
#include "net.h"

enum {
	CALLERS_MAX = 32,
	PCP_REQUEST_MAX = 260,                  /* bytes of a request, type and
	                                         * all, as in Pgpool-II */
	PCP_WHY = 1024,
};

/* What the program does on request. */
struct pcp_ops {
	void (*stop)(void *ctx, int signal_number);
	/* Reads all files again.  -1: nothing has changed, and why says what is wrong with them.  0
	 * with a why: only the rules of access are what they were. */
	int (*reload)(void *ctx, char why[static PCP_WHY]);
};

struct caller;

struct pcp {
	struct admin admin;                     /* the answers */
	struct nodes *nodes;
	struct base *base;
	const struct passwd *users;             /* of pcp.conf; exchanged by a reload */
	const struct pcp_ops *ops;
	void *ctx;

	struct listeners listeners;
	struct caller *first;
	unsigned open;                          /* without those in CALLER_GONE */
	struct crowd strangers;                 /* in CALLER_LOGIN */
};

/* Listens; the members above the listeners are set.  -1 after saying why in the log. */
int pcp_open(struct pcp *p);

/* Disconnects everybody. */
void pcp_close(struct pcp *p);

#endif
