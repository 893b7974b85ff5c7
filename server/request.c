/* server/request.c - the FIFO of requests on a server, and the scanning of their replies. */
#include "server/inside.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	SPARE_REQUESTS = 256,                   /* of each kind */
	ORPHANED_MAX = 1 << 20,                 /* bytes of a lost client's replies worth reading */
	EXPECT_FIRST = 8,                       /* places for expected answers */
};

static void farewell(struct server *s, const uint8_t *body, size_t len);
static const struct request_ops own_ops, hand_over_ops, orphan_ops;

/* --- requests ------------------------------------------------------------ */

struct request *request_take(struct spares *from, size_t size)
{
	struct request *r = from->first;

	if (!r)
		return malloc(size);
	from->first = r->next;
	from->n--;
	return r;
}

int request_renews(struct request *r, const char *database)
{
	struct servers *all = r->server->all;
	struct renewal *w = r->renews ? NULL : malloc(sizeof *w);

	if (!w)
		return r->renews ? 0 : -1;
	w->by = r;
	w->next = all->renewals;
	snprintf(w->database, sizeof w->database, "%s", database);
	all->renewals = w;
	r->renews = true;
	return 0;
}

static void end_renewal(struct request *r)
{
	struct renewal **at = &r->server->all->renewals, *w;

	while ((w = *at)->by != r)
		at = &w->next;
	*at = w->next;
	free(w);
}

void request_give(struct spares *to, struct request *r)
{
	if (r->renews)
		end_renewal(r);
	for (uint32_t i = 0; i < r->nexpect; i++) {
		free(r->expect[i].name);
		stmt_drop(r->server->all->stmts, r->expect[i].stmt);
	}
	free(r->expect);
	free(r->types);
	free(r->text);
	if (to->n >= SPARE_REQUESTS) {
		free(r);
		return;
	}
	r->next = to->first;
	to->first = r;
	to->n++;
}

static void release_own(struct request *r)
{
	request_give(&r->server->all->own_requests, r);
}

/* PostgreSQL answers in order, so a list is enough: the next answer is for the first expectation
 * that has none. */
int request_expect(struct request *r, struct expect e)
{
	if (r->nexpect == r->expect_cap) {
		uint32_t cap = r->expect_cap ? r->expect_cap * 2 : EXPECT_FIRST;
		struct expect *more = realloc(r->expect, cap * sizeof *more);
		if (!more)
			return -1;
		r->expect = more;
		r->expect_cap = cap;
	}
	if (e.name && !(e.name = strdup(e.name)))
		return -1;
	if (e.stmt)
		stmt_hold(e.stmt);
	r->expect[r->nexpect++] = e;
	r->describes |= e.type == 'T';
	return 0;
}

/* From now on it has to be reset before another session gets it (used). */
void server_send(struct server *s, struct request *r)
{
	r->server = s;
	r->next = NULL;
	if (s->tail)
		s->tail->next = r;
	else
		s->head = r;
	s->tail = r;
	s->used = true;
}

struct request *server_own_request(struct server *s, void (*then)(struct request *, bool),
                                   void *owner)
{
	struct request *r = request_take(&s->all->own_requests, sizeof *r);

	if (!r)
		return NULL;
	*r = (struct request){ .ops = &own_ops, .release = release_own, .owner = owner,
		.then = then, .quiet = true };
	server_send(s, r);
	return r;
}

/* Without memory for its bytes the request is in the FIFO, but PostgreSQL will never answer it: all
 * later replies would be taken for those of the request before.  So the connection counts as
 * broken. */
int server_own(struct server *s, const char *sql, void (*then)(struct request *, bool),
               void *owner)
{
	if (!server_own_request(s, then, owner))
		return -1;
	if (conn_put_message(s->all->base->net, &s->conn, 'Q', sql, strlen(sql) + 1) < 0)
		s->conn.broken = true;
	return s->conn.broken ? -1 : 0;
}

/* At READ COMMITTED: a default of SERIALIZABLE, DEFERRABLE would make a SELECT wait for others. */
int server_hand_over(struct server *s, const char *sql, void (*then)(struct request *, bool))
{
	static const char begin[] = "BEGIN ISOLATION LEVEL READ COMMITTED NOT DEFERRABLE; ";
	size_t size = strlen(sql) + sizeof begin + sizeof "; COMMIT";
	char *text = malloc(size);

	if (!text)
		return -1;
	stpcpy(stpcpy(stpcpy(text, begin), sql), "; COMMIT");
	int bad = server_own(s, text, then, NULL);
	if (!bad)
		s->tail->ops = &hand_over_ops;
	free(text);
	return bad;
}

/* It stays in the FIFO: PostgreSQL will answer it, and the replies behind it must be told apart. */
void request_orphan(struct request *r)
{
	r->ops = &orphan_ops;
	r->owner = NULL;
}

/* The client's request that runs, or the first that will run.  The proxy's own requests in front of
 * it are not canceled: the client did not send them, and the session needs them. */
bool request_cancel(struct server *s, const void *owner, struct borrower *by)
{
	struct request *r = s->head;

	while (r && r->owner != owner)
		r = r->next;
	if (r && r == s->head)
		return server_cancel(s, by);
	if (r)
		r->canceled = true;
	return false;
}

/* The reply of a request of the proxy's own: of interest is only whether it failed, and why. */
static bool note_failure(struct request *r, char type, const uint8_t *body, size_t len)
{
	if (type == 'E') {
		const char *text = wire_field(body, len, 'M');
		r->failed = true;
		free(r->text);
		r->text = text ? strdup(text) : NULL;
		log_write(r->server->all->base->log, NULL, LEVEL_DEBUG1, text, NULL,
			"a statement of the proxy's own failed on node %d", r->server->node->id);
	}
	return false;
}

/* The error is kept as the farewell: the client is told why it cannot go on here. */
static bool note_refusal(struct request *r, char type, const uint8_t *body, size_t len)
{
	if (type == 'E')
		farewell(r->server, body, len);
	return note_failure(r, type, body, len);
}

static void own_done(struct request *r, char status)
{
	(void)status;
	if (r->then)
		r->then(r, !r->failed);
}

static void own_lost(struct request *r)
{
	(void)r;
}

/* A reply that nobody reads is worth reading to its end only if that is near.  A long one costs
 * more than a new connection. */
static void drop_bytes(struct request *r, const uint8_t *p, size_t n)
{
	struct server *s = r->server;

	(void)p;
	s->orphaned += n < ORPHANED_MAX ? (uint32_t)n : ORPHANED_MAX;
	if (s->orphaned > ORPHANED_MAX)
		server_close(s, "its client is gone and the result is long");
}

/* PostgreSQL waits for COPY data that nobody will send. */
static bool drop_message(struct request *r, char type, const uint8_t *body, size_t len)
{
	(void)body, (void)len;
	if (type == 'G' || type == 'W')
		server_close(r->server, "its client is gone in the middle of COPY");
	return false;
}

static const struct request_ops own_ops = { NULL, note_failure, own_done, own_lost };
static const struct request_ops hand_over_ops = { NULL, note_refusal, own_done, own_lost };
static const struct request_ops orphan_ops = { drop_bytes, drop_message, own_done, own_lost };

/* --- whole messages ------------------------------------------------------ */

/* PostgreSQL's last words, before it closes the connection: the client hears them as they are,
 * rather than that its server is gone. */
static void farewell(struct server *s, const uint8_t *body, size_t len)
{
	free(s->farewell);
	s->farewell = malloc(len + 1);
	s->farewell_len = s->farewell ? (uint32_t)len : 0;
	if (s->farewell)
		memcpy(s->farewell, body, len);
}

/* A standby that is promoted tells its sessions (PostgreSQL 14 and later), before any check would
 * notice.  A stale server's word may be about the place where the node was before a reload. */
static void note_role(struct server *s, const char *value)
{
	if (!s->stale)
		node_claims(s->node, !strcmp(value, "on") ? ROLE_STANDBY : ROLE_PRIMARY);
}

static void note_report(struct server *s, const uint8_t *body, size_t len)
{
	struct msg m = { .at = body, .end = body + len };
	const char *name = msg_text(&m), *value = msg_text(&m);

	if (m.broken)
		return;
	if (!strcmp(name, "in_hot_standby"))
		note_role(s, value);
	if (!strcmp(name, "application_name"))
		s->name_lost = !strcmp(value, s->began) && strcmp(value, s->named);
}

/* No client's request is running.  PostgreSQL says goodbye, or tells news: a notification, or a
 * parameter that a reload of its configuration has changed. */
static void unasked(struct server *s, const uint8_t *p, size_t size)
{
	s->proven = true;
	if (*p == 'S')
		note_report(s, p + WIRE_HEADER, size - WIRE_HEADER);
	if (*p == 'E') {
		farewell(s, p + WIRE_HEADER, size - WIRE_HEADER);
		server_close(s, "it said goodbye");             /* its end is a moment away */
	} else if (s->borrower && !s->scanner.left) {           /* it is whole */
		s->borrower->ops->async(s->borrower, s, p, size);
	}
}

/* ParseComplete and CloseComplete: the server's statements change now, not when the message was
 * sent, since it might have failed.  A server whose map cannot be kept true is not used again. */
static bool answered(struct server *s, struct request *r, char type)
{
	if (r->answered >= r->nexpect || r->expect[r->answered].type != type)
		return true;
	const struct expect *e = &r->expect[r->answered++];
	if (e->name && type == '3')
		names_remove(s->all->stmts, &s->names, e->name);
	else if (e->name && e->stmt && names_set(s->all->stmts, &s->names, e->name, e->stmt) < 0)
		s->stale = true;
	return !e->hidden;
}

/* ParameterDescription, and RowDescription or NoData behind it: a Describe of a statement.  The
 * types are kept until then.  Without a ParameterDescription they are a portal's, or a query's. */
static bool described(struct request *r, char type, const uint8_t *body, size_t len, bool *shown)
{
	bool expected = r->answered < r->nexpect && r->expect[r->answered].type == 'T';

	*shown = !(expected && (type == 't' || r->describing) && r->expect[r->answered].hidden);
	if (type == 't') {
		free(r->types);
		r->types = expected ? malloc(len) : NULL;
		r->types_len = r->types ? (uint32_t)len : 0;
		if (r->types)
			memcpy(r->types, body, len);
		r->describing = expected;
		return false;
	}
	bool is = r->describing && expected;
	r->describing = false;
	r->answered += is;
	return is;
}

/* ReadyForQuery.  The request leaves the FIFO before done() is told, which may send the next one.
 * A cancel that came while an earlier request ran is sent now that its own request does. */
static void finished(struct server *s, struct request *r, char status)
{
	s->status = status;
	s->proven = true;
	s->head = r->next;
	if (!s->head)
		s->tail = NULL;
	if (r->deallocates && !r->failed)
		names_clear(s->all->stmts, &s->names);
	r->ops->done(r, status);
	r->release(r);
	if (s->phase == GONE)
		return;
	s->answered_us = loop_now_us(s->all->base->loop);
	if (s->head && s->head->canceled)
		server_cancel(s, NULL);
	if (s->head)
		return;
	s->rests = loop_now(s->all->base->loop);
	server_emptied(s);
}

/* A role was dropped, and maybe made anew, by somebody who does not come through the proxy: its
 * connections have no rights, and some statements say that they know no such role.  A permission
 * that is missing may mean the same. */
__attribute__((cold))
static void note_role_error(struct server *s, const uint8_t *body, size_t len)
{
	const char *code = wire_field(body, len, 'C'), *source = wire_field(body, len, 'R');

	s->stale |= code && !strcmp(code, "42501");
	bool gone = code && source && !strcmp(code, "42704");
	if (gone && (!strcmp(source, "GetUserNameFromId")
	             || !strcmp(source, "shdepLockAndCheckObject")))
		server_role_gone(s);
}

/* A whole message of the head request's reply; true: it is passed on.
 *
 * Every statement ends with one of C, I and s (CommandComplete, EmptyQueryResponse,
 * PortalSuspended), so these are counted.  COPY FROM is progress: its data cannot be sent twice.
 * After an error PostgreSQL answers no more Parse or Close up to the Sync, so none is expected;
 * message() has to see first which ones those are. */
static bool whole(struct server *s, struct request *r, char type, const uint8_t *body, size_t len)
{
	if (type == '1' || type == '3') {
		bool shown = answered(s, r, type);
		return r->ops->message(r, type, body, len) && shown;
	}
	if (type == 't' || type == 'T' || type == 'n') {
		bool shown;
		if (described(r, type, body, len, &shown))
			r->ops->message(r, type, body, len);
		return shown;
	}
	if (type == 'S')
		note_report(s, body, len);
	if (type == 'S' && r->reports && s->borrower)
		s->borrower->ops->async(s->borrower, s, body - WIRE_HEADER, len + WIRE_HEADER);
	if (type == 'E') {
		r->failed = true;
		server_log_complaint(s, r, body, len);
		note_role_error(s, body, len);
	}
	if (type == 'C' || type == 'I' || type == 's')
		r->commands++;
	r->progress |= type == 'G' || type == 'W';
	bool on = r->ops->message(r, type, body, len);
	if (type == 'E' && s->phase != GONE)
		r->answered = r->nexpect;
	return on;
}

/* --- scanning ------------------------------------------------------------ */

static void pass(struct request *r, const struct scan_event *e)
{
	if (e->run_len && r && r->ops->bytes)
		r->ops->bytes(r, e->run, e->run_len);
}

/* NotificationResponse names the process that notified.  If that is one of ours, its client knows
 * itself by another number: clients compare it with their own to skip what they sent themselves. */
__attribute__((cold))
static void translate_pid(const struct server *s, uint8_t *p)
{
	uint32_t pid = wire_u32(p);

	for (const struct server *other = s->all->first; other; other = other->next_all)
		if (other->pid == pid && other->node == s->node && other->phase == LENT
		    && other->borrower) {
			struct put o = { .base = p, .cap = 4 };
			put_u32(&o, other->borrower->ops->pid(other->borrower));
			return;
		}
}

/* Is it the warning that a backend sends on an immediate shutdown, or after a crash of another one?
 * It comes behind the part of the reply that the backend had ready. */
static bool goes_down(const uint8_t *body, size_t len)
{
	const char *code = wire_field(body, len, 'C');

	return code && (!strcmp(code, "57P01") || !strcmp(code, "57P02"));
}

/* A request without bytes() wants only the messages that mean something. */
static enum asked asked(const struct request *r)
{
	return !r ? ASKED_NOTHING : r->ops->bytes ? ASKED : ASKED_SILENTLY;
}

/* A statement that is done is progress: its answer can be shown.  Not if a notice follows: that may
 * be the warning of a crash, and a replica's request has to run again then. */
static void take_message(struct server *s, struct request *r, const struct scan_event *e)
{
	bool done = e->type == 'C' || e->type == 'I' || e->type == 's';

	r->progress |= done && !e->notice_follows;
	pass(r, e);
	if (s->phase != GONE && !whole(s, r, e->type, e->p + WIRE_HEADER, e->n - WIRE_HEADER))
		scanner_drop(&s->scanner);
}

/* News within a client's reply are part of the run and go on with it.  Without a request, or within
 * a reply to the proxy's own, they go to the borrower: also a notification in a reply that the
 * proxy reads as a whole. */
static void take_news(struct server *s, struct request *r, const struct scan_event *e)
{
	if (e->type == 'A' && e->n > WIRE_HEADER + 4)
		translate_pid(s, e->p + WIRE_HEADER);
	if (e->type == 'N')
		s->dying |= goes_down(e->p + WIRE_HEADER, e->n - WIRE_HEADER);
	if (e->type == 'N' && r && r->quiet)
		return;
	if (asked(r) != ASKED || (e->type == 'A' && !r->owner))
		unasked(s, e->p, e->n);
	else if (e->type == 'N')
		server_log_complaint(s, r, e->p + WIRE_HEADER, e->n - WIRE_HEADER);
}

/* All bytes that have come are looked at.  PostgreSQL sends a short reply, or its first 8 KB, at
 * once: if there is an error or the warning of a crash in it, that was seen before any row was
 * shown.  So rows are progress only here, at the end of what has come. */
static void take_rest(struct server *s, struct request *r, const struct scan_event *e)
{
	if (r && !s->dying)
		r->progress |= s->scanner.rows;
	pass(r, e);
	if (s->phase != GONE && e->n && conn_keep(&s->conn, e->p, e->n) < 0)
		server_close(s, "out of memory");
}

/* The other side ended it.  If it never answered anything, that is no accident of one connection,
 * and the next would break as well: the node counts as down. */
static void broke(struct server *s, const char *why)
{
	if (!s->proven && s->phase == LENT)
		node_failed(s->node, why);
	server_close(s, why);
}

/* The client has the beginning of the run, maybe of a message: it gets the end of that as well. */
static void take_garbage(struct server *s, struct request *r, const struct scan_event *e)
{
	pass(r, e);
	broke(s, "it sent a message that has no place here");
}

/* Each event may end the server, and with it the request: after pass() and all else that tells
 * somebody, the phase is looked at again. */
void server_replies(struct server *s, uint8_t *p, size_t n)
{
	struct scan_event e;
	enum scanned what;

	if (s->all->base->conf->log_backend_messages)
		server_log_messages(s, p, n);
	scanner_feed(&s->scanner, p, n);
	do {
		struct request *r = s->head;
		s->scanner.describes = r && r->describes;
		what = scanner_next(&s->scanner, asked(r), &e);
		if (r && (e.run_len || e.n >= WIRE_HEADER))
			r->started = s->proven = true;
		if (what == SCAN_MESSAGE)
			take_message(s, r, &e);
		else if (what == SCAN_NEWS)
			take_news(s, r, &e);
		else if (what == SCAN_MORE)
			take_rest(s, r, &e);
		else if (what == SCAN_BAD)
			take_garbage(s, r, &e);
		else if (pass(r, &e), s->phase != GONE)
			finished(s, r, (char)e.p[-1]);
	} while (what != SCAN_MORE && s->phase != GONE);
}

/* --- events -------------------------------------------------------------- */

static void eased(struct server *s)
{
	if (s->borrower && s->phase == LENT)
		s->borrower->ops->eased(s->borrower);
}

void server_readable(struct watch *w, short revents)
{
	struct server *s = OWNER(w, struct server, conn.watch);
	struct net *net = s->all->base->net;
	uint8_t *p;
	bool awaited = s->stirs;

	s->stirs = false;
	if ((revents & POLLOUT) && conn_drain(net, &s->conn) == 0)
		eased(s);
	if ((revents & (POLLIN | POLLHUP | POLLERR)) && s->phase != GONE) {
		long n = conn_fill(net, &s->conn, &p);
		if (n > 0)
			server_replies(s, p, (size_t)n);
		const char *why = n < 0 ? conn_error(&s->conn) : NULL;
		if (n < 0)
			broke(s, why ? why : "it closed the connection");
	}
	if (awaited)
		eased(s);
	net_flush(net);
}
