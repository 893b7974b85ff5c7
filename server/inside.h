/* server/inside.h - what server.c and the files of its room have for each other. */
#ifndef SERVER_INSIDE_H
#define SERVER_INSIDE_H

#include "server.h"

/* --- server.c: phases and the pool --------------------------------------- */

/* The one writer of the phase.  Idle servers are in the lists of their account and their node. */
void server_enter(struct server *s, enum server_phase to);

/* How a login ended: the server goes to the borrower that waited for it, or to the pool; or is
 * closed. */
void server_ready(struct server *s);
void server_refused(struct server *s, const struct refusal *r);
void server_tried(struct server *s, enum verdict v, const char *why);   /* of a trial */

void server_role_gone(struct server *s);        /* its user's role is another one, or none */
void server_told_news(struct server *s);        /* its login reports other values than before */
void server_emptied(struct server *s);          /* its FIFO ran empty */
void server_canceled(struct server *s);         /* one of its cancel requests has been delivered */

/* A new one, not connected yet.  It counts as one of its node's from now on, so that the limit
 * holds while it connects.  NULL without memory. */
struct server *server_open(struct servers *all, struct node *n, struct profile *p);

/* Nothing is left on it that the borrower would not find on a new connection. */
bool server_knows_residue(const struct server *s, const struct borrower *b);

/* Has the server this profile, or can it be given it? */
bool server_suits(const struct server *s, const struct profile *p);

/* The last used idle server of the borrower's profile, or else the last used one that fits. */
struct server *server_find_idle(struct borrower *b, struct node *n);

/* Hands it over, with the borrower's application_name.  false: without memory. */
bool server_lend(struct server *s, struct borrower *b);

/* --- queue.c: who waits -------------------------------------------------- */

/* Starts connections for waiting borrowers, as far as there is room. */
void queue_serve(struct servers *all, struct node *n);

/* No primary has been found yet, and the borrower waits for one. */
bool queue_searches(const struct borrower *b, const struct node *n);

void queue_refuse(struct borrower *b, const struct refusal *r);

/* It is about to be served. */
void queue_count_wait(const struct borrower *b);

/* This one was not let in, as PostgreSQL has all the connections that it may have, with those of
 * others: SQLSTATE 53300, and its words.  Closes it.  The borrower that waited for it, if any, goes
 * on waiting. */
void queue_full(struct server *s, struct borrower *b, const char *why);

/* A login has succeeded: there may be room for one more. */
void queue_let_in(struct node *n);

/* A look has an answer: all that wait for it go on. */
void queue_tell_lookers(struct node *n, const struct demanded *d);

/* The node went up or down, or has addresses now: its borrowers' patience is another.  ctx: the
 * struct servers. */
void queue_node_changed(void *ctx, struct node *n);

/* --- request.c: the FIFO and the replies --------------------------------- */

/* The connection's events, from ReadyForQuery of the login on. */
void server_readable(struct watch *w, short revents);

/* The next bytes of its replies: those that were kept, and more. */
void server_replies(struct server *s, uint8_t *p, size_t n);

/* --- backend_log.c ------------------------------------------------------- */

/* log_backend_messages, to be called only if that is on: a message came; or those of which
 * server_replies() will take at least the beginning from p[0..n). */
__attribute__((cold))
void server_log_message(struct server *s, char type);
__attribute__((cold))
void server_log_messages(struct server *s, const uint8_t *p, size_t n);

/* log_per_node_statement: the server has something to say about a statement. */
__attribute__((cold))
void server_log_complaint(const struct server *s, const struct request *r, const uint8_t *body,
                          size_t len);

/* --- dial.c: from an address to a login ---------------------------------- */

/* Connects and logs in; ends in server_ready(), server_refused() or server_tried().  b: the
 * borrower that waits for it, NULL for a trial. */
void dial_start(struct server *s, const struct borrower *b);
void dial_free(struct server *s);
void dial_resume(struct node *n);               /* the node has addresses now, or will have none */

#endif
