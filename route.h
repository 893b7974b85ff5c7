/* route.h - where a statement may run.
 *
 * There are two separate questions: may this statement be balanced, given its text and the
 * session's state (route_reads), and which node takes this session's reads (route_node).  Anything
 * not balanced goes to the primary.  Nothing here knows of connections.
 */
#ifndef ROUTE_H
#define ROUTE_H

#include "conf.h"
#include "node.h"
#include "route/bodies.h"
#include "route/catalog.h"
#include "route/names.h"
#include "route/written.h"
#include "sql.h"

/* What routing remembers of a session.  The zero value is a new one. */
struct session {
	bool in_transaction;                    /* an explicit one is open */
	bool wrote;                             /* a write was sent in it: then only the primary */
	bool wrote_before;                      /* the same in this or an earlier one */
	bool wrote_ever;                        /* anywhere in the session */
	uint8_t level;                          /* the transaction's; LEVEL_UNSAID: not known */
	uint8_t default_level;                  /* that the session has set; LEVEL_UNSAID: none */
	bool read_only;                         /* the transaction says that it is */
	bool chained;                           /* it began with its predecessor's modes */
	bool stays_home;                        /* READ ONLY ones, too: see transact_come_home() */
	bool seen;                              /* an answer from within the transaction was */
	bool lost;                              /* the replica that had its snapshot */
	bool begun_anew;                        /* at home, where it has failed: no savepoint */
	bool no_replica;                        /* the replica left this transaction */
	bool queried;                           /* a replica has had a query of it */
	bool wrote_all;                         /* in it, tables with unknown names */
	bool listened;                          /* its first LISTEN is in it */
	bool changed;                           /* the catalog was changed in it */
	bool altered;                           /* roles or databases were changed */
	bool made_code;                         /* temporary objects may be views, or call code */
	bool unseen : 1;                        /* it has sent what may write, and not heard that
	                                         * it was committed */
	bool unsure : 1;                        /* it has read what may be a view that writes */
	bool away : 1;                          /* it has read on a replica, and not on the primary
	                                         * since */
	uint32_t doubt;                         /* in answers of the catalog, up to this number */
	uint32_t unknown;                       /* the number when it last read unknown names; 0:
	                                         * never: see catalog_doubt() */
	uint32_t floor;                         /* the first sample with its writes, and all that
	                                         * it has to see: see node.h; 0: none */
	struct node *node;                      /* drawn for the session's reads; NULL: not yet */
	struct name_list *temporary, *written;  /* tables made here; tables written
	                                         * in the transaction */
};

struct route {
	const struct conf *conf;
	struct nodes *nodes;
	struct written *written;                /* by all sessions, for dml_adaptive_global */
	struct sql_rules rules;                 /* of conf; the arrays are this struct's */
};

/* Prepares the rules for sql_classify().  -1 without memory. */
int route_init(struct route *rt, const struct conf *conf, struct nodes *nodes,
               struct written *written);
void route_free(struct route *rt);

/* May the statement, by kind, content and the settings, run on a replica? */
bool route_gate(const struct route *rt, const struct sql_facts *f);

/* May a statement that passed the gate run there now, given the state of the session in this
 * database? */
bool route_reads(const struct route *rt, const struct session *s, const char *database,
                 const char *text, size_t len);

/* Why a statement may not.  Of a SELECT for whose reason Pgpool-II has words in its log, these go
 * to out, else "". */
enum { ROUTE_WORDS = 128 };
enum node_reason route_why(const struct route *rt, const struct session *s, const char *database,
	const struct sql_facts *f, const char *text, size_t len, char out[static ROUTE_WORDS]);

/* Does a statement that did not pass the gate count as a write for later statements? */
bool route_writes(const struct sql_facts *f);

/* Tells the session that such a statement is being sent.  f NULL: we do not know what it writes. */
void session_wrote(struct session *s, const struct route *rt, const struct sql_facts *f,
                   const char *text, size_t len);

/* Temporary tables: drops: at the transaction's end; name NULL: all of them. */
void session_made_temporary(struct session *s, const char *name, bool drops);
void session_dropped(struct session *s, const char *name);
void session_forget_temporary(struct session *s);
bool session_has_temporary(const struct session *s, const char *text, size_t len);

/* ROLLBACK TO, or the end of the transaction: what was dropped may be there again, and what was
 * made is not, or the other way round. */
void session_rolled_back_to(struct session *s);
void session_settle_temporary(struct session *s, bool committed);

void session_ended_transaction(struct session *s);

/* What it has to see, from now on, is what there is on the primary now: it has written, or with the
 * scope "monotonic" read.  With "global" all sessions of the database have to. */
void session_saw_all(struct session *s, const struct route *rt, const char *database);

/* The first sample with all that it has to see; 0: anything will do. */
uint32_t session_floor(const struct session *s, const struct route *rt, const char *database);

/* Its writes are visible to all, or may be. */
void session_committed(struct session *s, const struct route *rt, const char *database);
void session_forget_written(struct session *s);
void session_free(struct session *s);

/* The node for the session's reads: a redirect list's, or drawn by weight.  While it is down
 * another one is drawn each time, or the primary if there is nothing better.  A drained node keeps
 * open transactions. */
struct node *route_node(const struct route *rt, struct session *s, const char *user,
                        const char *database, const char *application);

#endif
