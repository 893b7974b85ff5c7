/* client/trace.h - log lines about a client's requests: log_statement, log_per_node_statement,
 * notice_per_node_statement, log_client_messages.
 */
#ifndef CLIENT_TRACE_H
#define CLIENT_TRACE_H

#include "client/own.h"
#include "client/plan.h"
#include "client/query.h"

/* Is anything wanted that needs a walk over the messages of requests that are sent? */
bool trace_on(const struct client *c);

/* A text of the simple protocol, which came from the client. */
void trace_query(struct client *c, const char *text);

/* A statement that is sent in this request; `what` is the log's word in front of it. */
void trace_sent(struct client *c, struct query *q, const char *what, const char *text, size_t len);

/* log_min_duration_statement: the request is answered. */
__attribute__((cold))
void trace_slow(struct client *c, const struct query *q);

static inline void trace_done(struct client *c, const struct query *q)
{
	if (own_conf(c)->log_min_duration_statement >= 0)
		trace_slow(c, q);
}

/* A statement that the proxy answers itself. */
void trace_local(struct client *c, const struct plan *pl);

/* A statement, told only if it was not understood. */
void trace_unparsed(struct client *c, const struct sql_facts *f, const char *text);

__attribute__((cold))
void trace_client_message(struct client *c, struct msg m);

/* log_client_messages: a message that came; of a long one maybe only the beginning. */
static inline void trace_message(struct client *c, struct msg m)
{
	if (own_conf(c)->log_client_messages)
		trace_client_message(c, m);
}

#endif
