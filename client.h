/* client.h - one frontend connection and its session.
 *
 *     AT_HELLO --startup--> AT_LOGIN --ok--> AT_READY --X, EOF, client_fail()--> AT_GONE
 *
 * client.c has its life: accepting, phases and deadlines, the one way out.  client/hello.c reads
 * its first bytes, client/login.c takes it from its startup packet to ReadyForQuery.  From then on
 * its bytes are requests: client/query.h says how they reach servers and what comes back.
 *
 * A client at rest owns this struct and no buffer.  It holds no server before its first request;
 * then it keeps the servers that it has used until it leaves.
 */
#ifndef CLIENT_H
#define CLIENT_H

#include "auth.h"
#include "conf.h"
#include "log.h"
#include "net.h"
#include "route.h"
#include "client/script.h"
#include "server.h"

struct client;

/* Tables of the proxy's state, for SHOW POOL_... and PGPOOL SHOW; admin.c hands this down. */
struct admin_table;

enum { OWN_ROW_MAX = 32 * 1024 };               /* bytes of a DataRow */

struct own_ops {
	/* The table that the statement shows; NULL: it names nothing that there is. */
	const struct admin_table *(*find)(void *ctx, const struct sql_own *says);
	size_t (*columns)(const struct admin_table *t);
	/* Does it tell of other sessions what not everybody may see? */
	bool (*is_private)(const struct admin_table *t);
	/* Does it tell a position that has to be asked for? */
	bool (*is_position)(const struct admin_table *t);
	/* NULL: it is called as what was asked for. */
	const char *(*column)(const struct admin_table *t, size_t i);
	/* Puts the values of a row, each behind its length, as a DataRow has them.  false: there
	 * is no such row. */
	bool (*put_row)(void *ctx, const struct admin_table *t, size_t at,
	                const struct sql_own *says, const struct client *asks, struct put *o);
};


/* Everything of this level; one per loop. */
struct clients {
	struct servers *servers;
	struct route *route;
	struct catalog *catalog;
	struct bodies *bodies;
	struct base *base;
	struct verifiers *verifiers;
	struct auth_query *auth_query;
	struct privileges *privileges;

	struct crowd strangers;                 /* clients that owe us a message of their login */
	struct crowd others;
	unsigned files;                         /* that the process may have open */
	struct client **slot;                   /* by process id; cancel requests name them */
	uint32_t *served;                       /* by slot: sessions so far */
	uint32_t nslots, used, next_slot;
	uint32_t open;                          /* structs, those that say goodbye included */
	uint8_t mock[32];                       /* the salts of unknown users are made from it */
	bool draining;                          /* no new sessions */
	bool awaited;                           /* the catalog, by some of them */
	struct recent *recent;                  /* RECENT_STATEMENTS of them */
	struct last *last;                      /* LAST_STATEMENTS of them */
	uint64_t writers[64];                   /* keys of statements that replicas refused */
	unsigned nwriters;
	unsigned naming;                        /* look-ups of peers' names under way */
	const struct own_ops *own;              /* what the proxy tells of itself */
	void *own_ctx;
	struct codes errors;                    /* that clients were told, by class */
	struct codes retries;                   /* for which requests ran again on the primary */
};

enum client_phase {
	AT_HELLO,       /* a startup packet, SSLRequest or CancelRequest is awaited */
	AT_LOGIN,       /* a password or SASL message, or PostgreSQL's word */
	AT_READY,       /* logged in */
	AT_GONE,        /* the last words are being sent, then it is freed */
};

/* Why the session cannot simply go on with another server: state that nobody can carry over. */
enum {
	PIN_TEMPORARY = 1,                      /* a temporary table */
	PIN_LISTEN = 2,
	PIN_CURSOR = 4,                         /* WITH HOLD */
	PIN_FUNCTION = 8,                       /* a function that keeps something */
	PIN_OTHER = 16,                         /* LOAD, and statements we do not understand */
	PIN_LOCK = 32,                          /* an advisory one of the session */
	PIN_DOUBT = 64,                         /* code may have left anything: client/doubt.h */
};

/* In words, but for doubt, which is only a question to be asked; the last one is NULL. */
extern const struct client_pin { uint8_t pin; const char *words; } client_pins[];

/* A request whose end does not come is sent as far as it is there: PostgreSQL tells an error in it
 * at once. */
enum { REQUEST_PAUSE = 20 };                    /* ms without more input */

/* The facts of recent statements, by database and the hash of their shape. */
enum { RECENT_STATEMENTS = 512 };

struct recent {
	uint64_t key;
	struct sql_facts facts;
	struct finding finding;
};

/* Process ids that clients are told: beyond the largest of Linux, which is 4,194,304, so that they
 * are nobody's on a node; of ten digits; and the low bits name the session.  Bits 20 to 29 are
 * free. */
enum { SESSION_PID = 1 << 30, SESSIONS_MAX = 1 << 20 };
enum { SERVER_PID = SESSION_PID + SESSIONS_MAX };       /* of connections, in tables of them */

/* Bytes of BackendKeyData's secret in protocol 3.0 and 3.2. */
enum { KEY_3_0 = 4, KEY_3_2 = 32 };

/* What the next message of a client is.  All but REQUEST and SKIPPED are about the last request,
 * which is in flight then.  (COPY that was not seen coming may be an earlier one's.)
 *
 *     REQUEST --Parse, Bind ... Flush--> OPEN --Sync, Query--> REQUEST
 *     REQUEST, OPEN --CopyInResponse--> COPY --CopyDone, CopyFail--> REQUEST, OPEN
 *     OPEN, COPY --an error, or a message without data--> IGNORED --Sync--> REQUEST
 *     REQUEST --our own error--> SKIPPED --Sync--> REQUEST
 */
enum input {
	INPUT_REQUEST,          /* it begins a request, or comes too late for COPY */
	INPUT_OPEN,             /* it is part of the last request, which has no end yet */
	INPUT_IGNORED,          /* it is part of that, but PostgreSQL ignores it up to the Sync */
	INPUT_COPY,             /* data for COPY FROM STDIN */
	INPUT_SKIPPED,          /* nothing: it is dropped up to the Sync */
};

struct login;
struct query;
struct own;

/* Statements of a transaction that alter roles or databases, see client/renew.h. */
struct altered {
	struct altered *next;
	char text[];
};

/* The unnamed statement. */
struct unnamed {
	struct stmt *stmt;                      /* counted; NULL: not known */
	struct server *on;                      /* has it; or NULL */
	uint8_t *from;                          /* the request that made it, while it is not */
	uint32_t from_len;                      /* known; or NULL */
	uint32_t settings;                      /* script_parsing() at its Parse, of that */
};

/* One client.  What is always true:
 *
 *   - phase is written by client_enter() alone.
 *   - Its requests are answered in their order.  Those in flight are all on one server, that of
 *     `last`; inflight counts them.  The next one may follow there at once, or waits until all are
 *     answered.
 *   - Bytes that wait are kept in conn; nothing is received then.  The first for_primary of them
 *     were on a replica already, and go to the primary.
 *   - It has at most one server of a node (`borrowed`), and waits for at most one (`waiting`: that
 *     of node `wanted`), with nothing in flight.
 *   - session, prepared, script and pins are the session as PostgreSQL would have it, had it run
 *     everything on one server.  What a server lacks of it is sent before the next request
 *     (agree.h).
 *   - status is what the last ReadyForQuery told the client.  A BEGIN may have been answered here:
 *     then it is T while all servers are at I.
 *   - The unnamed statement is known, or in a request that was kept, or a server has it, or more of
 *     these.  The unnamed portal: bound is the statement it runs, portal_on the server that has it,
 *     or either alone.
 */
struct client {
	struct conn conn;
	struct clients *all;
	struct member place;                    /* among the strangers or the others */
	struct borrower borrower;               /* profile is the session's */
	enum client_phase phase;
	char status;                            /* as the client was last told: I T E */
	bool guessed;                           /* the welcome that it was told */

	uint32_t pid;                           /* told by BackendKeyData: SESSION_PID + its slot */
	uint8_t key[KEY_3_2];
	uint8_t key_len;
	uint8_t hellos;                         /* SSLRequest and GSSENCRequest packets so far */
	uint8_t pins;
	uint8_t doubt, asking;                  /* CODE_: to be asked for; in the question */
	bool ask_soon;                          /* at the end of the transaction */
	bool asks_later;                        /* it waits to hear what code can do */
	uint32_t foreign;                       /* somebody's code has run since the last answer:
	                                         * bodies_told() that says what it can, and 1 */
	unsigned unheard;                       /* it has read what may be a view that sets some:
	                                         * 1 + bodies_computed() before; else 0 */
	unsigned asked_names;                   /* bodies_count() at the last question */
	bool stranger;
	bool ended;                             /* it will send no more, but wants its answers */
	bool paused;                            /* its servers are not read: it is slow */
	bool waiting;                           /* for a server */
	bool blocked;                           /* its next request waits: for a server, or until
	                                         * one has answered what the proxy asked */
	bool awaits;                            /* what the catalog says: clients_told() */
	uint8_t awaited;                        /* how often, for the next request */
	bool canceled;                          /* while it was blocked */
	bool asked_again;                       /* asked, for the second time, about the same */
	bool primary_once;                      /* the next request goes to the primary */
	bool partial;                           /* a request began, and its end is awaited: */
	bool hurried;                           /* no longer, what is there goes on */
	bool lost_request;                      /* a request was lost that cannot run again */
	bool half_told;                         /* ... within a message that was forwarded */
	bool told_fatal;                        /* PostgreSQL's own FATAL was forwarded */
	bool terminated;                        /* by pg_terminate_backend(), or maybe */

	enum input input;
	uint32_t left;                          /* bytes of a message whose beginning was used, */
	struct server *left_to;                 /* and sent there; NULL: dropped */
	uint32_t for_primary;
	unsigned inflight;
	struct query *last;                     /* the newest in flight; NULL: there is none */
	struct node *wanted;
	struct server *borrowed;
	struct server *home;                    /* see client/transact.h; NULL: none yet */

	struct session session;
	struct script script;
	struct names prepared;
	struct server *asked;                   /* has answered what it makes of statements that
	                                         * the next request uses: see remake.h */
	struct unnamed unnamed;
	struct stmt *bound;
	struct server *portal_on;
	struct portals *portals;                /* named ones; NULL: none */
	struct own *own;                        /* statements of the proxy's own; NULL: none */
	struct altered *altered;

	struct timer timer;
	struct task task;                       /* goes on with kept bytes, or buries */
	int64_t since, active;                  /* accepted; last heard of */
	struct login *login;
	struct log_who who;
	struct arrival *arrival;                /* log_hostname: its name is looked up, */
	char *host;                             /* or known; or NULL */
	uint8_t address[16];                    /* of the peer */
	uint16_t port, family;
	uint32_t copied;                        /* CopyData messages, for log_client_messages */
};

int clients_init(struct clients *all);          /* -1 without memory */
void clients_reload(struct clients *all);       /* base was exchanged */
void clients_free(struct clients *all);         /* cuts off the clients that are left */

/* The catalog has told something: who waits for it goes on. */
void clients_told(void *ctx);

/* How many connections may be accepted now.  At the limit, max_unauthenticated_clients, a stranger
 * that keeps us waiting is dropped for a new one; 0: all of them wait for us. */
unsigned clients_room(struct clients *all);

/* A descriptor is needed: drops a stranger, if one keeps us waiting.  false: there are no
 * strangers, so no descriptor will be free soon. */
bool clients_yield(struct clients *all);

/* The one writer of the phase; does everything that follows from it. */
void client_enter(struct client *c, enum client_phase to);

/* Its list of servers is linked here alone. */
void client_attach(struct client *c, struct server *s);
void client_detach(struct client *c, struct server *s);

/* A connection was accepted; takes over the descriptor. */
void client_accept(struct clients *all, int fd, const struct sockaddr_storage *peer);

/* Whether its login waits for its next message: then it is a stranger.  While it waits for
 * PostgreSQL or a helper thread it is not, so that a flood of others cannot drop it. */
void client_owes(struct client *c, bool owes);

/* Counts it as a session, from its startup packet on; -1: there are too many. */
int client_admit(struct client *c);

/* The session with this process id, or NULL. */
struct client *client_find(const struct clients *all, uint32_t pid);

/* Cancels the request that the client with this key runs, if there is one.  true: `by`, whose
 * connection brought the cancel request, has to stay until that has been delivered, when it hears
 * eased(). */
bool client_cancel(struct client *by, uint32_t pid, const uint8_t *key, size_t len);

/* Ends all sessions with this message; or only those that are at rest, outside of transactions. */
void clients_end(struct clients *all, const char *sqlstate, const char *message);
void clients_end_resting(struct clients *all, const char *sqlstate, const char *message);

/* The one way out: logs the report, tells the client once, and closes when that has been sent.
 * Servers go back.  Returns -1 for the caller to return. */
__attribute__((cold))
int client_fail(struct client *c, const struct report *r);
__attribute__((cold))
int client_refuse(struct client *c, const char *sqlstate, const char *message, const char *detail,
                  const char *hint);
__attribute__((cold))
int client_out_of_memory(struct client *c);

/* The same, but `why` goes to the log alone: the client may be guessing names and passwords. */
__attribute__((cold))
int client_deny(struct client *c, const char *sqlstate, const char *message, const char *why);

/* The same with PostgreSQL's own words: the body of an ErrorResponse. */
int client_relay(struct client *c, const uint8_t *body, size_t len);
int client_refused(struct client *c, const struct refusal *r);
void client_leave(struct client *c);

/* Sends built bytes. */
void client_say(struct client *c, const struct put *o);

/* Tells it to the log, and to the client unless client_min_messages forbids that.  The arguments
 * after detail, which may be NULL, are printf's. */
#define client_log(c, level, detail, ...) \
	(log_write((c)->all->base->log, &(c)->who, level, detail, NULL, __VA_ARGS__), \
	 client_hear(c, level, detail, __VA_ARGS__))
#define client_notice(c, message) client_log(c, LEVEL_NOTICE, NULL, "%s", message)

/* The client's part of it: a NOTICE or a LOG. */
void client_hear(struct client *c, enum level level, const char *detail, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

/* The position that has all its writes, once the sample that tells it is answered; 0: it has not
 * written. */
uint64_t client_position(const struct client *c);

/* Goes on with kept bytes at the end of this turn. */
void client_resume(struct client *c);

/* May its user see what the sessions of others do, as far as is known? */
bool client_sees_others(const struct client *c);

/* The configuration with what it has set by PGPOOL SET, nodes and peers left out. */
const struct conf *client_conf(const struct client *c);

/* The beginning of the statement that it runs or has run last; "" if none is known. */
const char *client_last_statement(const struct client *c);

/* The state for which it needs the servers that it has, in words: PIN_.  "" if none is known; there
 * may be some in doubt. */
const char *client_pin(const struct client *c);

/* "127.0.0.1" and "5432"; "[local]" and "" for a Unix socket. */
void client_peer(const struct client *c, char *host, size_t size, char *port, size_t port_size);

/* Does the server stand for the primary to this session? */
static inline bool client_home(const struct client *c, const struct server *s)
{
	return c->home ? c->home == s : server_is_primary(s);
}

static inline const char *client_database(const struct client *c)
{
	return c->borrower.profile->account->database;
}

#endif
