/* server/inside.h - functions that server.c, request.c, dial.c and cancel.c have for each other. */
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

/* --- request.c: the FIFO and the replies --------------------------------- */

/* The connection's events, from ReadyForQuery of the login on. */
void server_readable(struct watch *w, short revents);

/* The next bytes of its replies: those that were kept, and more. */
void server_replies(struct server *s, uint8_t *p, size_t n);

/* Settings that make the session another profile's: their reports become its welcome. */
int server_take_profile(struct server *s, const char *sql, void (*then)(struct request *, bool));
bool request_is_own(const struct request *r);

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
