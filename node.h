/* node.h - the PostgreSQL endpoints: their addresses, their state, which of them take reads.
 *
 * A node is up until something says otherwise: a connection that could not be made, or that
 * PostgreSQL refused because it is starting or stopping, puts it down (node_failed).  While it is
 * down nobody is sent there, and a probe tries it in the background until it answers (node_worked).
 * So an unreachable node costs at most the one client that noticed.  An administrator can drain a
 * node: then reads go elsewhere, and nothing else changes.
 *
 * A helper thread resolves host names, and does so again after NODE_FRESH; until there is an
 * answer, the last good one serves.
 *
 * Causal reads: a session that has written reads from a replica only when that has all of it.  The
 * primary's position is sampled again and again, and samples are numbered when they are asked for;
 * a replica that has replayed up to the position of a sample has all that was acknowledged before.
 * So a session remembers one number, that of the first sample behind its last write.  Numbers wrap
 * around: sample_reached() compares them.  check/sample.h asks.
 */
#ifndef NODE_H
#define NODE_H

#include "conf.h"
#include "loop.h"
#include "sql.h"

#include <sys/socket.h>
#include <time.h>

enum {
	NODE_ADDRESSES = 8,                     /* per name; more are not used */
	NODE_FRESH = 15000,                     /* ms that a look-up is believed */
};

#define NODE_GONE INT64_MAX             /* the lag of a standby that is reported down */

enum node_state { NODE_WAITING, NODE_UP, NODE_DOWN };   /* waiting: never connected to yet */
enum node_role { ROLE_UNKNOWN, ROLE_PRIMARY, ROLE_STANDBY };

/* Why a request of a client went to its node.  R(name, the word for it) */
#define NODE_REASONS(R) \
	R(BALANCED, "balanced")         /* a read, to the node that was drawn for it */ \
	R(WRITE, "write")               /* it is no read */ \
	R(FUNCTION, "function")         /* it calls one that may write */ \
	R(CATALOG, "catalog")           /* it reads what is the primary's own */ \
	R(TEMPORARY, "temporary")       /* ... a temporary table */ \
	R(UNLOGGED, "unlogged") \
	R(UNKNOWN, "unknown")           /* ... what the catalog has not told of */ \
	R(COLD, "cold_start")           /* track_table_mutation_cold_start_duration */ \
	R(WRITTEN, "recent_write")      /* what was written lately */ \
	R(TRANSACTION, "transaction")   /* of its transaction's writes, or its level */ \
	R(STATE, "session")             /* replicas cannot follow the session */ \
	R(PLACE, "place")               /* its transaction, snapshot or portal is there */ \
	R(BEHIND, "pipeline")           /* other requests are in flight there */ \
	R(LONG, "long")                 /* it is too long to run again */ \
	R(RETRY, "retry")               /* a replica could not answer it */ \
	R(DELAY, "delay")               /* the replica is too far behind */ \
	R(STALE, "stale")               /* ... or may lack what it must show */ \
	R(DOWN, "down")                 /* ... or down */ \
	R(ALONE, "no_replica")          /* nothing is balanced */

enum node_reason {
#define R(name, word) REASON_##name,
	NODE_REASONS(R)
#undef R
	REASONS
};

struct nodes;
struct waiter;

struct node {
	struct nodes *all;
	int id;
	enum node_state state;
	enum node_role role;                    /* it says: in_hot_standby, pg_is_in_recovery() */
	unsigned led;                           /* which promotion made it the primary, from 1 */
	bool drained;                           /* an administrator wants no new reads there */
	int64_t down_since;                     /* loop_now() */
	int64_t changed_at;                     /* loop_now() when it went up or down; 0: never */
	char why[160];                          /* it is down */
	bool unsafe;                            /* it is down for its TLS or its certificate */
	bool plain;                             /* TLS was preferred, but not available */

	struct address {
		socklen_t len;
		struct sockaddr_storage at;
	} address[NODE_ADDRESSES];
	int naddresses, next_address;
	int64_t resolved;                       /* loop_now() of the last good answer, 0 = none */
	struct look_up *look_up;                /* under way */
	bool nameless;                          /* its look-up has just failed: waiters fail */

	struct timer probe;
	bool outdated;                          /* by a reload: its servers no longer match */

	/* Kept by check.c. */
	uint32_t timeline;                      /* of a primary's WAL; 0: not known */
	bool mute;                              /* it lets nobody in who would ask for its role */
	bool late;                              /* too far behind the primary: reads go elsewhere */
	struct replication {
		uint64_t lsn;                   /* its position at the last check; 0: not known */
		uint64_t behind;                /* the primary's, in bytes */
		int64_t lag;                    /* the same in us; -1: unknown; NODE_GONE */
		int64_t missing;                /* loop_now() since it is unknown there */
		char state[16], sync_state[12]; /* of pg_stat_replication; "": not known */
	} replication;

	/* Kept by check/sample.c. */
	uint32_t caught_up;                     /* the newest sample that it has; 0: unknown */
	uint32_t measured;                      /* how often it has answered */
	uint64_t replayed;                      /* its position then; 0: not known, or another
	                                         * timeline's */
	bool unmeasured;                        /* since a connection to it was made that reads
	                                         * wait for */
	uint64_t moved;                         /* reads that went elsewhere for want of a sample */
	int64_t lacks_since;                    /* loop_now() since it has not been known to have
	                                         * all that was written; 0: it is */

	/* Kept by health.c; times of the clock, 0: never. */
	struct health {
		uint64_t total, success, fail, skip, retry;     /* checks; tries
		                                                 * beyond their first */
		uint64_t duration;              /* ms of all that were not skipped ... */
		uint32_t max_duration, min_duration, max_retry;
		time_t last, last_success, last_skip, last_fail;
	} health;

	/* Statements of clients that were sent there, and error responses, since the start; kept
	 * by client/.  As Pgpool-II counts them: see sql_class. */
	struct tally { uint64_t statements[SQL_CLASSES], error, fatal, panic; } tally;
	uint64_t requests[REASONS];             /* of clients */
	struct histogram answers;               /* from a request's sending to its end */

	/* Kept by server.c. */
	unsigned servers;                       /* connections in any phase */
	unsigned cleaning;                      /* of these, given back and soon free */
	bool full;                              /* it lets in no more than `cap`, and is */
	unsigned cap;                           /* asked again when `more` fires */
	struct timer more;
	int64_t full_told;                      /* loop_now() when the log was told; 0: never */
	char full_why[80];                      /* its words */
	bool serving;                           /* its queue, right now */
	struct histogram waits, logins;         /* of clients for a connection of others, or a new
	                                         * one; of connections, from their start */
	struct server *unresolved;              /* connections that wait for an address */
	struct borrower *queue, **queue_tail;   /* waiters for one, oldest first */
	struct server *idle;                    /* all idle servers of the node, last used first */
	struct server *idle_last;
};

struct nodes {
	struct base *base;
	int count;
	int primary;                            /* id */
	unsigned promotions;                    /* see node_is() */
	int64_t began;                          /* loop_now() at the start */
	bool worked;                            /* one of them has, since then */
	uint64_t random;                        /* state of the draw */
	void *ctx;
	void (*probe)(void *ctx, struct node *n);       /* tries it; ends in
	                                                 * node_failed or _worked */
	void (*changed)(void *ctx, struct node *n);     /* went up or down, or has addresses now */
	void *checks;
	void (*ask)(void *checks, struct node *n);      /* for its role, at once */
	uint32_t sampled;                       /* the newest sample that was asked for; 0: none */
	uint32_t wanted;                        /* the newest that somebody will read by */
	int64_t missed;                         /* loop_now() when a read last went elsewhere for
	                                         * want of one; 0: never */
	uint32_t answered;                      /* the newest that was answered, */
	uint64_t position;                      /* by this */
	uint32_t position_wanted;               /* the newest that somebody asks for the position
	                                         * of */
	bool sampling;                          /* there is somebody who can ask */
	void *samples;
	void (*sample)(void *samples);          /* there is something to ask for */
	void *hearer;
	void (*sampled_more)(void *hearer);     /* who waits for a sample may look again */
	struct node node[];
};

struct nodes *nodes_new(struct base *base);
void nodes_free(struct nodes *all);
void nodes_reload(struct nodes *all, const struct conf *old);   /* the configuration
                                                                 * was exchanged */

/* Its parameters; empty ones if a reload has removed it. */
extern const struct conf_node node_nobody;

static inline const struct conf_node *node_conf(const struct node *n)
{
	const struct conf_node *c = &n->all->base->conf->node[n->id];

	return c->used ? c : &node_nobody;
}

/* A primary, it says, but another one is ours: what it has is the past. */
static inline bool node_is_former(const struct node *n)
{
	return n->role == ROLE_PRIMARY && n->id != n->all->primary;
}

/* It may be given new reads. */
static inline bool node_takes_reads(const struct node *n)
{
	return n->state != NODE_DOWN && !n->drained && !node_is_former(n);
}

/* The next address to try.  NULL: none is known yet; `changed` is called when that may have
 * changed.  If the name cannot be resolved, the node goes down instead. */
const struct address *node_address(struct node *n);

/* Reports from a connection attempt or a server about its node. */
void node_failed(struct node *n, const char *why);
void node_unsafe(struct node *n, const char *why);      /* its TLS does not match backend_sslmode */
void node_worked(struct node *n);

/* The role that it has, as it says when it is asked.  Without an ALWAYS_PRIMARY the primary is the
 * node that was promoted last: its timeline is higher.  Where that is not known, a node that claims
 * it without having been a standby counts only if no other works. */
void node_is(struct node *n, enum node_role role);

/* The role that it claims unasked (in_hot_standby).  Where another works as the primary, and it can
 * be asked, it is. */
void node_claims(struct node *n, enum node_role role);

/* None has worked yet, as nobody has come: tries them. */
void nodes_try(struct nodes *all);

/* Its name is resolved anew for the next connections. */
void node_renew(struct node *n);

/* No node has said yet that it is the primary, none is flagged as primary, and sr_check asks them
 * and is let in: requests for the primary wait for this many more ms (INT64_MAX: forever).  Else 0:
 * the first one will do, and says at each login what it is. */
int64_t nodes_searching(const struct nodes *all);
bool nodes_checked(const struct conf *conf);    /* sr_check has a user and a period */

/* It let sr_check in, or did not. */
void node_lets_in(struct node *n, bool in);

/* What a read must not be older than: `sample`, and at or beyond this position; 0: anything will
 * do. */
struct freshness { uint32_t sample; uint64_t lsn; };

static inline bool sample_reached(uint32_t has, uint32_t wanted)
{
	return !wanted || (has && (int32_t)(has - wanted) >= 0);
}

/* The number of the next one that is asked for. */
static inline uint32_t nodes_next_sample(const struct nodes *all)
{
	return all->sampled + 1 ? all->sampled + 1 : 1;
}

/* What was told of another primary's positions tells nothing. */
void nodes_forget_samples(struct nodes *all);

/* For how many seconds it has not been known to have all that was written here. */
double node_missing(const struct node *n);

/* The first sample that has all that was acknowledged so far; it will be asked for. */
uint32_t nodes_wrote(struct nodes *all);

/* The newest sample that all replicas have which take reads; 0: none. */
uint32_t nodes_reached(const struct nodes *all);

/* Is all of it there, as far as is known?  The primary has everything. */
bool node_has(const struct node *n, struct freshness what);

/* One of the replicas that have it, drawn by weight; NULL: none.  A read goes elsewhere for want of
 * a sample, or waits for one: they are taken more often now. */
struct node *nodes_draw_fresh(struct nodes *all, struct freshness what);

/* The standby that is the least behind, among those that may take reads and are not late.  NULL:
 * none. */
struct node *nodes_nearest(struct nodes *all);

/* How far behind the farthest standby is, in ms; -1 when nothing measures it. */
int64_t nodes_delay_ms(const struct nodes *all);

static inline struct node *nodes_primary(struct nodes *all) { return &all->node[all->primary]; }

/* Draws a node for reads by weight among those that take them: any of them, or only
 * standbys.  NULL: none has a weight. */
struct node *nodes_draw(struct nodes *all, bool standbys_only);

/* Is there a node besides the primary that may take reads? */
bool nodes_balance(const struct nodes *all);

/* 0 <= x < 1. */
double nodes_random(struct nodes *all);

#endif
