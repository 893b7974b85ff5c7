/* client/query.h - from a client's bytes to requests on servers, and their replies back.
 *
 *     plan.c    walks over the messages of a request and says where it may go; changes nothing,
 *               so a request that has to wait is simply planned again
 *     query.c   cuts the input, finds each request a server, and sends it as it lies in the
 *               scratch block
 *     note.c    sends ahead what that server lacks; for requests that touch named statements or
 *               the session's state, remembers what their replies will mean
 *     reply.c   forwards replies, holds those of a replica back until they cannot fail, and
 *               changes the session when a statement is complete
 *
 * A request that is not there to its end when it must be sent - longer than REQUEST_KEEP, or with
 * a Flush in it - goes to the primary and is open: what follows is appended to it message by
 * message until its Sync.
 */
#ifndef CLIENT_QUERY_H
#define CLIENT_QUERY_H

#include "client.h"

enum {
	REQUEST_KEEP = 64 * 1024,               /* a longer one streams, and cannot be run again */
	MESSAGE_MAX = 0x3fffffff,               /* PostgreSQL's own limit: 1 GB */
};

/* What was made of some input: so many bytes used, or one of these. */
enum { BLOCKED = -1, MORE = 0 };

struct portal {
	struct portal *next;
	struct server *server;
	struct stmt *stmt;      /* that it runs; counted; NULL: not known */
	char name[];
};

/* What a walk over the messages of a request found. */
struct plan {
	size_t len;             /* of those messages that are whole */
	bool whole;             /* ... which end with Query, FunctionCall or Sync */
	bool flush;
	bool simple;
	bool only_sync;
	bool reads, other;      /* has statements that may be balanced; that may not */
	bool writes;            /* the session is to know */
	bool executes;
	uint32_t owed;          /* extended messages: each has one answer */
	bool ends;              /* COMMIT or ROLLBACK: goes where the transaction is */
	bool notes;             /* needs the second walk */
	bool alone;             /* see struct request */
	bool rolls_back_to;     /* ROLLBACK TO: only the primary knows the savepoint */
	bool unnamed, portal;   /* it makes the unnamed statement, the unnamed portal */
	const char *name;       /* of a prepared statement that it uses, the only one without notes ... */
	const struct stmt *named;       /* ... and what that is; NULL: unknown */
	struct server *must;    /* has the portal or the unnamed statement; maybe no longer ours */
	struct sql_facts facts; /* of a simple query; text is NULL for any other request */
	const char *text;
	size_t text_len;
};

static inline bool is_primary(const struct server *s)
{
	return s->node == nodes_primary(s->all->nodes);
}

/* Messages that PostgreSQL gives one answer each. */
static inline bool is_extended(char type)
{
	return type == 'P' || type == 'B' || type == 'D' || type == 'E' || type == 'C';
}

/* plan.c: more than 0; MORE when the request may still be waited for; BLOCKED after
 * client_fail(). */
int plan_request(struct client *c, struct plan *pl, const uint8_t *p, size_t n);
void find_facts(struct client *c, const char *text, size_t len, struct sql_facts *f);
void look_up(const struct client *c, struct sql_facts *f, struct finding *v, const char *text,
             size_t len);
void learn_writer(struct client *c, const char *text, size_t len);
bool has_effect(const struct sql_facts *f);

/* Does it count as a write for the rest of the session? */
bool is_write(const struct client *c, const struct sql_facts *f, const char *text);
bool touches_name(const struct sql_facts *f);
const char *database_of(const struct client *c);

/* The prepared statement that an EXECUTE means; NULL for other statements and unknown names. */
struct stmt *executed_statement(const struct client *c, const struct sql_facts *f, const char *text);

/* The facts of a prepared statement, as the catalog completes them now. */
struct sql_facts facts_of(const struct client *c, struct stmt *s);

/* query.c */
extern const struct request_ops request_ops;    /* reply.c */
void remove_lent(struct client *c, struct server *s);

/* note.c: -1 without memory. */
int catch_up(struct client *c, struct server *s);

/* A RESET brings back what the server started with.  Is that not what its session started with?
 * Then sql is what makes it so. */
bool lacks_values(const struct server *s, char *sql, size_t size);

/* r: the open request that the messages are appended to, or NULL before a new one. */
int agree_on_names(struct client *c, struct server *s, struct request *r, const uint8_t *p,
                   const struct plan *pl);
int agree_on_name(struct client *c, struct server *s, const struct plan *pl);
int note_message(struct client *c, struct request *r, struct msg *m, bool whole);
void must_work(struct request *r, bool ok);
bool logs(const struct client *c);
__attribute__((cold))
void log_client_message(struct client *c, struct msg m);
void log_local(struct client *c, const struct plan *pl);

/* log_client_messages: a message that came; of a long one maybe only the beginning. */
static inline void log_message(struct client *c, struct msg m)
{
	if (c->all->base->conf->log_client_messages)
		log_client_message(c, m);
}

/* reply.c */
int reapply(struct client *c, struct server *s);
void end_transaction(struct client *c, bool committed);

#endif
