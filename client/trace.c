#include "client/trace.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COMPLAINT_TEXT = LOG_TEXT_MAX / 2 };     /* leaves room for the complaint itself */

/* The statements of a request, once each: an error may be about any statement of a pipeline. */
static void keep_text(struct request *r, const char *text, size_t len)
{
	size_t have = r->text ? strlen(r->text) : 0;

	if (len > COMPLAINT_TEXT)
		len = COMPLAINT_TEXT;
	if (have >= len && !memcmp(r->text + have - len, text, len))
		return;
	char *more = have + len > COMPLAINT_TEXT ? NULL : realloc(r->text, have + 2 + len + 1);
	if (!more)
		return;
	r->text = more;
	snprintf(more + have, 2 + len + 1, "%s%.*s", have ? "; " : "", (int)len, text);
}

__attribute__((cold))
void trace_sent(struct client *c, struct query *q, const char *what, const char *text, size_t len)
{
	const struct conf *conf = own_conf(c);
	const struct server *s = q->request.server;

	if (len && (conf->log_per_node_statement || conf->log_min_duration_statement >= 0))
		keep_text(&q->request, text, len);
	if (conf->log_per_node_statement) {
		client_log(c, LEVEL_LOG, NULL,
			"DB node id: %d backend pid: %u statement: %s%.*s", s->node->id, s->pid,
			what, (int)wire_cut(text, len, LOG_TEXT_MAX), text);
	}
	if (conf->notice_per_node_statement) {
		char notice[1024];
		snprintf(notice, sizeof notice, "DB node id: %d statement: %s%.*s", s->node->id,
			what, (int)wire_cut(text, len, 900), text);
		client_notice(c, notice);
	}
}

bool trace_on(const struct client *c)
{
	const struct conf *conf = own_conf(c);

	return conf->log_per_node_statement || conf->notice_per_node_statement
	       || conf->log_statement || conf->log_client_messages
	       || conf->log_min_duration_statement >= 0;
}

/* It came some time in its millisecond. */
__attribute__((cold))
void trace_slow(struct client *c, const struct query *q)
{
	const struct server *s = q->request.server;
	int64_t now = loop_now_us(c->all->base->loop);
	double took = (double)(now - query_began(q)) / 1000;
	double waited = (double)(query_began(q) / 1000 - q->came_at);
	double stalled = (double)(q->stalled + (q->stalled_at ? now - q->stalled_at : 0)) / 1000;
	char detail[128];

	if (!q->request.text || waited + took < own_conf(c)->log_min_duration_statement)
		return;
	snprintf(detail, sizeof detail, "It waited %.0f ms, PostgreSQL took %.3f ms, and the client"
		" %.3f ms.", waited, took - stalled, stalled);
	client_log(c, LEVEL_LOG, detail, "duration: %.3f ms  DB node id: %d backend pid: %u"
		" statement: %s", waited + took, s->node->id, s->pid, q->request.text);
}

/* A request that runs again on the primary, after a replica could not answer it, is not logged
 * again. */
void trace_query(struct client *c, const char *text)
{
	if (own_conf(c)->log_statement && !c->for_primary)
		client_log(c, LEVEL_LOG, NULL, "statement: %s", text);
}

__attribute__((cold))
void trace_local(struct client *c, const struct plan *pl)
{
	size_t len = strlen(pl->text);

	trace_message(c, (struct msg){ 'Q', (const uint8_t *)pl->text,
		(const uint8_t *)pl->text + len, false });
	trace_query(c, pl->text);
}

__attribute__((cold))
void trace_unparsed(struct client *c, const struct sql_facts *f, const char *text)
{
	char host[INET6_ADDRSTRLEN], port[8];

	if ((f->kind != SQL_OTHER && !(f->flags & SQL_UNPARSED)) || c->for_primary)
		return;
	int shown = (int)wire_cut(text, strlen(text), COMPLAINT_TEXT);
	client_peer(c, host, sizeof host, port, sizeof port);
	if (*port)
		client_log(c, LEVEL_LOG, NULL,
			"Unable to parse the query: \"%.*s\" from client %s(%s)", shown, text,
			host, port);
	else
		client_log(c, LEVEL_LOG, NULL,
			"Unable to parse the query: \"%.*s\" from local client", shown, text);
}

/* Takes a text that may not be there to its end, and prints it behind its name. */
static void put_field(char *out, size_t size, size_t *at, const char *name, struct msg *m)
{
	size_t n = m->at < m->end ? strnlen((const char *)m->at, (size_t)(m->end - m->at)) : 0;
	int shown = (int)wire_cut((const char *)m->at, n, LOG_TEXT_MAX);

	*at += (size_t)snprintf(out + *at, size - *at, "%s%s: \"%.*s\"", *at ? ", " : "", name,
		shown, shown ? (const char *)m->at : "");
	*at = *at < size ? *at : size - 1;
	if (m->at < m->end)             /* without a body, at is NULL */
		m->at += n + (m->at + n < m->end);
}

static const struct wording {
	char type;
	const char *name, *first, *second;      /* of the message and its fields */
} wordings[] = {
	{ 'Q', "Query", "query", NULL }, { 'P', "Parse", "statement", "query" },
	{ 'B', "Bind", "portal", "statement" }, { 'D', "Describe", "portal", NULL },
	{ 'E', "Execute", "portal", NULL }, { 'C', "Close", "portal", NULL },
	{ 'S', "Sync", NULL, NULL }, { 'H', "Flush", NULL, NULL },
	{ 'F', "FunctionCall", NULL, NULL }, { 'X', "Terminate", NULL, NULL },
	{ 'c', "CopyDone", NULL, NULL }, { 'f', "CopyFail", NULL, NULL },
	{ 0, NULL, NULL, NULL }
};

static void log_copied(struct client *c)
{
	char detail[32];

	if (!c->copied)
		return;
	snprintf(detail, sizeof detail, "count: %u", c->copied);
	c->copied = 0;
	client_log(c, LEVEL_LOG, detail,
		"CopyData message from frontend.");
}

/* In Pgpool-II's words; CopyData messages are counted, and logged when another type comes. */
void trace_client_message(struct client *c, struct msg m)
{
	const struct wording *w = wordings;
	char detail[LOG_TEXT_MAX + 256];
	bool statement = false;
	size_t at = 0;

	if (c->for_primary)
		return;
	c->copied += m.type == 'd';
	if (m.type != 'd')
		log_copied(c);
	while (w->type && w->type != m.type)
		w++;
	if (!w->type)
		return;
	if (m.type == 'D' || m.type == 'C')
		statement = m.at < m.end && *m.at++ == 'S';
	if (w->first)
		put_field(detail, sizeof detail, &at, statement ? "statement" : w->first, &m);
	if (w->second)
		put_field(detail, sizeof detail, &at, w->second, &m);
	if (m.type == 'F')
		at = (size_t)snprintf(detail, sizeof detail, "oid: \"%u\"", msg_u32(&m));
	client_log(c, LEVEL_LOG, at ? detail : NULL,
		"%s message from frontend.", w->name);
}
