/* pcp.h - PCP, Pgpool-II's control protocol: what pcp_node_info,
 * pcp_stop_pgpool and the like speak.
 *
 * It listens on pcp_listen_addresses, pcp_port and pcp_socket_dir.  Messages look like
 * PostgreSQL's: a type, a length that counts itself, zero-terminated strings; requests have
 * capitals, replies small letters.  It is spoken as Pgpool-II 4.7 and 4.8 speak it (13
 * strings of a node, 21 of a pool); their tools of other versions print some columns of
 * these two under other names.
 *
 * Who connects is a caller:
 *
 *     CALLER_LOGIN --R--> CALLER_READY <--> CALLER_BUSY       any --X, error, end--> CALLER_GONE
 *
 * Users are those of pcp.conf; a wrong password and an unknown user cannot be told apart.  A caller
 * gets one reply at a time: the next request is read when the last reply has been taken, so
 * that a slow one costs no more than one reply, and long tables are made as they are taken.  There
 * are at most CALLERS_MAX.  When they are all there, one that has not logged in goes for a new one:
 * the oldest of the address that has the most of those.
 *
 * What PostgreSQL's own operators have to do is refused: promoting, recovery.  Detaching drains a
 * node of reads, until it is attached or the program ends; the primary goes on serving.
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

/* What the program does when it is asked. */
struct pcp_ops {
	void (*stop)(void *ctx, int signal_number);
	/* Reads all files again.  -1: nothing has changed, and why says what is wrong with them.  0
	 * with a why: only the rules of access are what they were. */
	int (*reload)(void *ctx, char why[static PCP_WHY]);
};

struct caller;

struct pcp {
	struct admin admin;                     /* who answers */
	struct nodes *nodes;
	struct base *base;
	const struct passwd *users;             /* of pcp.conf; exchanged by a reload */
	const struct pcp_ops *ops;
	void *ctx;

	struct listeners listeners;
	struct caller *first;
	unsigned open;                          /* those that say goodbye left out */
	struct crowd strangers;                 /* in CALLER_LOGIN */
};

/* Listens; what stands above the listeners is set.  -1 after saying why in the log. */
int pcp_open(struct pcp *p);

/* Cuts everybody off. */
void pcp_close(struct pcp *p);

#endif
