/* server.h - connections to PostgreSQL, and the requests on them.
 *
 * A server is one connection, logged in as one account.  It is idle in the pool, or lent to a
 * borrower (a client) until that gives it back, when it is reset and idle again.
 *
 *     RESOLVE -> CONNECT -> LOGIN -> LENT <-> IDLE
 *                                     |         ^
 *                                     '-> RESET-'        any -> GONE
 *
 * Requests.  A request that was sent to a server stands in its FIFO until its ReadyForQuery, and
 * says by its ops what to do with its reply.  The proxy's own requests (SET, DISCARD ALL, BEGIN on
 * a second node) stand in the same FIFO, and their replies go nowhere.  So a caller that needs a
 * statement run first just sends it first, in the same write.
 *
 * A reply is scanned by message headers; runs of messages go to ops->bytes as they were
 * received.  Only messages that mean something to the proxy are collected whole and shown to
 * ops->message, which says whether they go on.
 *
 * Nothing is freed under a caller: a server that breaks is GONE, and freed at the end of the turn.
 */
#ifndef SERVER_H
#define SERVER_H

#include "auth.h"
#include "conf.h"
#include "net.h"
#include "node.h"
#include "server/account.h"
#include "server/scanner.h"
#include "server/stmt.h"
#include "server/place.h"
#include "server/residue.h"

#include <string.h>

struct server;
struct request;
struct borrower;

enum server_phase {
	RESOLVE,        /* waits for its node's address */
	CONNECT,        /* connect() is under way */
	LOGIN,          /* startup packet sent */
	IDLE,           /* in the pool; this and the next two are logged in */
	LENT,           /* a borrower has it */
	RESET,          /* given back; finishing and cleaning up */
	GONE,           /* to be freed */
};

/* Blocks of requests that are over, for the next ones. */
struct spares {
	struct request *first;
	unsigned n;
};

/* Why no server could be had. */
enum refusal_kind {
	REFUSED_NODE,           /* the node cannot be reached, or is starting or stopping */
	REFUSED_UNSAFE,         /* its TLS or its certificate is not as backend_sslmode asks */
	REFUSED_FULL,           /* no connection became free in time */
	REFUSED_BACKEND,        /* PostgreSQL refused the login: raw is its ErrorResponse body */
	REFUSED_SECRET,         /* PostgreSQL wants a password and none is known */
	REFUSED_OTHER_PRIMARY,  /* it waited for the primary, which is another node now */
	REFUSED_ASKED,          /* it only looked for PostgreSQL's demand, which is known now */
	REFUSED_TRUSTED,        /* it is let in without a question, so the secret is not proved */
	REFUSALS
};

/* Everything of this level; one per loop. */
struct servers {
	struct base *base;
	struct nodes *nodes;
	struct accounts *accounts;
	struct stmts *stmts;
	struct entries *entries;                /* of pool_passwd and of auth_query */
	struct healths *healths;                /* of the nodes */
	struct cancel *cancels;                 /* on their way */
	struct residues residues;
	struct spares own_requests, queries;    /* the proxy's own; those of clients */
	struct renewal *renewals;               /* under way */
	struct server *first;                   /* all servers */
	struct places places;
	int64_t reset_told;                     /* loop_now() when a failing reset was last told */
	uint64_t refusals[REFUSALS];            /* of clients */
	uint64_t names, bodies;                 /* that the catalog was asked for; how often for
	                                         * the bodies of code */
	bool draining;                          /* the program is ending: keep nothing */
};

void servers_init(struct servers *all);         /* after the pointers are set */
void servers_free(struct servers *all);         /* closes all, too */
void servers_reload(struct servers *all);       /* base was exchanged */
void servers_close_idle(struct servers *all);

/* How many connections to all nodes the limits allow. */
int64_t servers_descriptors(const struct servers *all);

/* Roles have been altered: all knowledge about passwords has to be asked for again. */
void servers_doubt(struct servers *all);

/* --- borrowing ----------------------------------------------------------- */

struct refusal {
	enum refusal_kind kind;
	struct report report;
	const uint8_t *raw;
	size_t raw_len;
};

/* What a borrower is told.  All are called from the loop, never from within server_borrow(). */
struct borrower_ops {
	void (*lent)(struct borrower *b, struct server *s);
	void (*refused)(struct borrower *b, const struct refusal *r);
	/* One of its servers broke; its requests have heard of that before.  farewell is the
	 * ErrorResponse body of PostgreSQL's last words outside a request, or NULL. */
	void (*lost)(struct borrower *b, struct server *s, const uint8_t *farewell, size_t len);
	/* Whole messages that belong to no request: NotificationResponse, notices,
	 * ParameterStatus. */
	void (*async)(struct borrower *b, struct server *s, const uint8_t *p, size_t n);
	/* The process id that its client knows: notifications name it instead of the server's. */
	uint32_t (*pid)(struct borrower *b);
	/* The server took all that was put, its FIFO ran empty, or a cancel was delivered. */
	void (*eased)(struct borrower *b);
};

struct borrower {
	const struct borrower_ops *ops;
	struct profile *profile;                /* the session's; counted by the owner */
	const char *secret;                     /* a clear password to be proved by a login of its
	                                         * own, for which PostgreSQL has to ask; or NULL */
	struct log_who *who;                    /* in the log, messages of its servers are its */
	uint64_t residue;                        /* that it leaves, see server/residue.h */
	bool look : 1;                          /* only learns PostgreSQL's demand on the account:
	                                         * no secret is sent; lent() comes if PostgreSQL
	                                         * asks for nothing */
	bool leaves : 1;                        /* its client sends no more: if the connection that
	                                         * is being opened for it fails, it is refused */

	bool brief : 1;                         /* it waits for seconds only: see queue.c */

	/* server.c's own, while it waits: */
	bool patient : 1;
	bool own : 1;                           /* of the proxy itself (ask.h): goes before
	                                         * clients, and may exceed their number */
	bool searching : 1;                     /* no primary is known */
	uint8_t passed;                         /* how often another one behind it was served */
	uint16_t vain;                          /* tries to open one for it, while PostgreSQL was
	                                         * full */
	uint32_t since;                         /* it waits: loop_now(), its low bits */
	struct borrower *next;
	struct node *node;                      /* NULL: does not wait */
	struct server *opening;                 /* a connection that was started for it */
	struct timer deadline;
	struct servers *servers;
};

/* A server of this node for the borrower: an idle one at once, which fits or is made to fit; else
 * NULL, and later one of lent() and refused().  A patient borrower waits as the parameters
 * query_wait_timeout and primary_wait_timeout say; an impatient one hears refused() as soon as it
 * is clear that there will be none within a moment.  The proxy's own borrowers wait while the node
 * is up. */
struct server *server_borrow(struct servers *all, struct borrower *b, struct node *n, bool patient);
void server_unborrow(struct borrower *b);       /* no longer waits */

/* No connection that exists now goes back to the pool of its node. */
void servers_renew(struct servers *all, struct node *n, const char *why);

/* All connections to the node end; requests that may run elsewhere do. */
void servers_end(struct servers *all, struct node *n, const char *why);

/* Connections of these accounts that exist now are not lent again, and what a login would tell is
 * asked anew.  altered: they keep the values they began with. */
void servers_renew_accounts(struct servers *all,
	bool (*which)(const void *ctx, const struct account *a), const void *ctx, bool altered,
	const char *why);

/* A statement that needs the connections to a database gone: while its request runs none goes back
 * to the pool.  One for each request; -1 without memory. */
struct renewal {
	struct renewal *next;
	const struct request *by;
	char database[WIRE_NAME_MAX + 1];
};

int request_renews(struct request *r, const char *database);
bool servers_renew_database(const struct servers *all, const char *database);   /* is one? */

/* --- trials -------------------------------------------------------------- */

/* A connection beside the pool that asks a node whether it works, whatever is known of the node. */
enum verdict {
	TRIAL_WORKS,
	TRIAL_REFUSED,          /* it answers, but does not let this user in */
	TRIAL_UNSAFE,           /* its TLS is not as backend_sslmode asks */
	TRIAL_FAILED,           /* it cannot be reached, or is starting or stopping */
};

struct trial {
	bool login;                             /* to the end; else its first answer is enough */
	void (*ended)(struct trial *t, enum verdict v, const char *why);
	struct server *server;                  /* server.c's own; NULL: none is under way */
};

/* ended() may come at once.  -1 without memory. */
int trial_start(struct servers *all, struct node *n, struct profile *p, struct trial *t);

/* Ends the trial if one is under way; ended() does not come. */
void trial_stop(struct trial *t, const char *why);

/* Gives it back.  Requests still in its FIFO are finished, their replies dropped. */
void server_return(struct server *s);

/* --- requests ------------------------------------------------------------ */

struct request_ops {
	/* Part of the reply, in order; need not be whole messages. */
	void (*bytes)(struct request *r, const uint8_t *p, size_t n);
	/* A whole message (E C 1 3 S G H W, T or n that end an expected description, and Z before
	 * done): true = it goes on to bytes(). */
	bool (*message)(struct request *r, char type, const uint8_t *body, size_t len);
	/* ReadyForQuery came; the request has left the FIFO and is freed after this. */
	void (*done)(struct request *r, char status);
	/* The server broke first.  Freed after this, too. */
	void (*lost)(struct request *r);
};

/* The Parse, Close or Describe of a statement that a '1', '3' or 'T' of a reply answers, in order.
 * ('T' or 'n': both with a 't' before it.) */
struct expect {
	char type;                              /* '1' ParseComplete, '3' CloseComplete, 'T' */
	bool fresh;                             /* the client made it: it did not have the name
	                                         * before; 'T': under the settings of now */
	bool hidden;                            /* we sent the message */
	bool late;                              /* behind others of its request that may fail */
	uint32_t nth;                           /* the client's message in it, from 1; else 0 */
	char *name;                             /* of the statement; NULL: unnamed or a portal */
	struct stmt *stmt;                      /* is parsed, or was closed; may be NULL */
};

/* A request in a server's FIFO.  The sender embeds it in whatever else it remembers of it. */
struct request {
	struct request *next;
	const struct request_ops *ops;
	void (*release)(struct request *r);             /* frees it; it has left the FIFO */
	struct server *server;
	void *owner;
	void (*then)(struct request *r, bool ok);       /* of the proxy's own requests, or NULL */

	struct expect *expect;                  /* every Parse and Close of it; or none */
	uint32_t nexpect, expect_cap, answered;
	uint8_t *types;                         /* the last ParameterDescription's body; or NULL */
	uint32_t types_len;
	uint32_t commands;                      /* CommandCompletes so far */
	char *text;                             /* for log lines about errors; or NULL */

	bool started;                           /* a byte of the reply came */
	bool progress;                          /* its client may have seen some: no way back */
	bool failed;                            /* an ErrorResponse came */
	bool canceled;                          /* to be canceled as soon as it runs */
	bool quiet;                             /* nobody is told of its notices */
	bool reports;                           /* the proxy's own: its borrower hears reports */
	bool deallocates;                       /* at its end all statements are gone */
	bool describes, describing;             /* it expects a 'T'; that is answered now */
	bool renews;                            /* there is a renewal by it */
};

/* A block of this size, which begins with a request; all blocks of one struct spares have one size.
 * NULL without memory. */
struct request *request_take(struct spares *from, size_t size);

/* For release(): frees what the request refers to, and keeps its block. */
void request_give(struct spares *to, struct request *r);

/* Appends to the list of expected answers; name is copied, stmt counted.  -1 without memory. */
int request_expect(struct request *r, struct expect e);

/* Puts the request into the FIFO: ops, release and owner are set, the rest is zero.  Its bytes
 * follow with conn_put(&s->conn). */
void server_send(struct server *s, struct request *r);

/* A request of the proxy's own, in the FIFO; its bytes follow.  NULL: no memory. */
struct request *server_own_request(struct server *s, void (*then)(struct request *, bool),
                                   void *owner);

/* Sends a statement of the proxy's own; `then` (may be NULL) hears how it went.  -1: no memory. */
int server_own(struct server *s, const char *sql, void (*then)(struct request *, bool),
               void *owner);

/* The same for statements that make a server its session's, as one transaction.  If one of them
 * fails, PostgreSQL refuses all that was sent behind them, unless that begins with the end of a
 * transaction: nothing of the client runs with the settings of somebody else. */
int server_hand_over(struct server *s, const char *sql, void (*then)(struct request *, bool));

/* Writes the SET, or SET LOCAL, of its session's application_name. */
enum { SERVER_NAME_SQL = APPLICATION_NAME_SIZE * 2 + 64 };
void server_put_name(const struct server *s, bool local, char sql[static SERVER_NAME_SQL]);

/* Cancels the owner's request that runs on this server, or will run next.  true: the cancel request
 * is on its way, and `by` hears eased() when PostgreSQL has delivered it. */
bool request_cancel(struct server *s, const void *owner, struct borrower *by);

/* From now on nobody wants the replies of this request. */
void request_orphan(struct request *r);

/* --- a server ------------------------------------------------------------ */

/* One connection.  What is always true:
 *
 *   - phase is written by server_enter() alone.  LENT is the phase in which there is a borrower,
 *     which has it in its list; before that, the borrower waits for this very connection.  IDLE is
 *     the phase in which it is in the lists of its account and its node.
 *   - Every byte it sends belongs to the request at head, to none (news), or to the login.  When
 *     the FIFO is empty and status is I it is at rest: `used` says whether anything may be left in
 *     it.
 *   - RESET brings back start, not profile: application_name may be another session's (name_lost).
 *   - script and names say what it knows of a session.  Both are its own: they are true whatever
 *     the client believes, and are brought up to date before the client's next request.
 *   - It is not lent, and gets no request, while a cancel request for it is under way (cancels).
 *   - dial exists until it is logged in; after GONE only things are left that its burial frees.
 */
struct server {
	struct conn conn;
	struct servers *all;
	struct node *node;
	struct account *account;
	struct profile *start;                  /* as it logged in: DISCARD ALL goes back to it */
	struct profile *profile;                /* as it is now: application_name may differ */
	char began[APPLICATION_NAME_SIZE];      /* application_name as reported at its login, */
	char named[APPLICATION_NAME_SIZE];      /* and its session's */
	bool reports_name;                      /* the former is known */
	bool name_lost;                         /* a RESET has brought it back */
	enum server_phase phase;
	char status;                            /* of the last ReadyForQuery: I T E */
	enum demand demand;                     /* PostgreSQL's, at its login */

	struct borrower *borrower;
	struct server *next_borrowed;           /* the borrower's list */
	uint32_t script;                        /* serial of the last line that it has run */
	unsigned agreeing;                      /* requests that make it its session's, under way */
	struct names names;                     /* statements that it holds */
	uint64_t residue;                        /* of all its sessions */
	uint32_t measured;                      /* its node's, when it had logged in */

	struct request *head, *tail;            /* the FIFO */
	struct scanner scanner;                 /* of the reply to head */
	bool used;                              /* something ran since the last reset */
	bool within;                            /* of a message to it more is to come */
	bool portal_past;                       /* its unnamed portal may be one that is gone */
	bool strays;                            /* it may answer what no request stands for */
	bool proven;                            /* it has answered a request */
	bool dying;                             /* it said that it goes down, in a reply */
	bool stale;                             /* to be closed instead of pooled */
	bool altered;                           /* for new ones may begin with other values */
	bool stirs;                             /* its borrower waits until that is heard */
	uint8_t *refusal;                       /* the error of the last statement that it would not
	                                         * make again: see remake.h; or NULL */
	uint32_t refusal_len;

	struct {                                /* how it was reached: cancels go the same way */
		enum sslmode mode;              /* its certificate's check; AUTO: plain text */
		struct tls_context *tls;        /* that checked it, and the name; or NULL */
		char *host;
		bool direct;                    /* without asking for TLS first */
	} secured;
	uint32_t pid;                           /* as BackendKeyData said */
	uint32_t place;                         /* server/place.h */
	uint8_t key[256];
	uint16_t key_len;

	struct trial *trial;                    /* it only asks whether the node works; or NULL */
	unsigned reset_left, sessions, cancels;
	int64_t since_us;                       /* loop_now_us() when it was opened, */
	int64_t since;                          /* and loop_now(), */
	int64_t rests;                          /* and when its FIFO ran empty last */
	int64_t answered_us;                    /* loop_now_us() of the last ReadyForQuery */
	uint32_t orphaned;                      /* bytes of replies dropped */
	char logged;                            /* type of the message that was logged last, and */
	uint32_t repeated;                      /* how many of that type followed */

	struct server *next_idle, *prev_idle;           /* of the account */
	struct server *next_rest, *prev_rest;           /* of the node */
	struct server *next_all, *prev_all;
	struct server *next_waiting;            /* for an address, or for keys */
	struct timer timer;
	struct task bury;

	struct dial *dial;                      /* until it is logged in */
	uint8_t *farewell;                      /* the ErrorResponse body of its last words; NULL */
	uint32_t farewell_len;
};

/* Would a RESET bring back another session's application_name? */
static inline bool server_is_renamed(const struct server *s)
{
	return strcmp(s->began, s->named) != 0;
}

/* Closes it at once. */
__attribute__((cold))
void server_close(struct server *s, const char *why);

/* Has it said anything, or ended, since its last reply?  That is to be heard first, and then its
 * borrower hears eased(), or lost(): a request that is sent to a server which has ended is lost
 * with it.  Costs a system call, so a server that has replied just now is not asked. */
bool server_stirs(struct server *s);

/* Asks PostgreSQL to cancel the statement that it runs.  Nothing is sent to the server before that
 * has been delivered, so that it cannot hit another statement.  by: hears eased() then, or NULL.
 * false: it cannot be sent. */
bool server_cancel(struct server *s, struct borrower *by);
void cancels_forget(struct servers *all, const struct borrower *by);    /* does not want to hear */
void cancels_end(struct servers *all);          /* forgets those that are on their way */

static inline bool server_is_primary(const struct server *s)
{
	return s->node == nodes_primary(s->all->nodes);
}

/* Whether more may be sent to it now.  A cancel under way would hit that instead. */
static inline bool server_takes(const struct server *s)
{
	return !conn_pending(&s->conn) && !s->cancels;
}

#endif
