#include "client/reply.h"

#include "client/agree.h"
#include "client/doubt.h"
#include "client/effect.h"
#include "client/facts.h"
#include "client/here.h"
#include "client/plan.h"
#include "client/remake.h"
#include "client/trace.h"
#include "client/transact.h"
#include "client/unnamed.h"

#include <stdlib.h>
#include <string.h>

enum { HELD_MAX = 1 << 20 };                    /* bytes of a reply before its first row */

/* The client does not take its replies: PostgreSQL has to wait, or they would pile up here. */
static void pause_servers(struct client *c)
{
	if (!c->paused)
		query_stalls(c, true);
	c->paused = true;
	for (struct server *s = c->borrowed; s; s = s->next_borrowed)
		conn_reading(c->all->base->net, &s->conn, false);
}

/* A sane reply is held for a few messages only.  A node that sends on and on without a row must not
 * fill the memory. */
static void hold(struct query *q, const uint8_t *p, size_t n)
{
	bool endless = q->held_len + n > HELD_MAX;
	uint8_t *more = endless ? NULL : realloc(q->held, q->held_len + n);

	if (!more) {
		server_close(q->request.server,
			endless ? "its reply goes on without a row" : "out of memory");
		return;
	}
	memcpy(more + q->held_len, p, n);
	q->held = more;
	q->held_len += (uint32_t)n;
}

static void show_held(struct client *c, struct query *q)
{
	conn_put(c->all->base->net, &c->conn, q->held, q->held_len);
	net_flush(c->all->base->net);
	free(q->held);
	q->held = NULL;
	q->held_len = 0;
}

/* From a replica nothing is shown before it is clear that it will not be an error.  From then on
 * (progress), and from the primary always, bytes go on as they come. */
static void on_bytes(struct request *r, const uint8_t *p, size_t n)
{
	struct client *c = r->owner;
	struct query *q = query_of(r);

	if (q->retry && !r->progress) {
		hold(q, p, n);
		return;
	}
	if (q->held)
		show_held(c, q);
	conn_put(c->all->base->net, &c->conn, p, n);
	if (conn_pending(&c->conn))
		pause_servers(c);
	if (q->flushed && !query_unanswered(q))
		client_resume(c);
}

/* Of this request and those behind it, the last one first: what is taken back first goes with all
 * that was sent after it. */
static void undo_names(struct client *c, struct query *q)
{
	for (struct query *at = c->last; !q->undone; at = at->before) {
		effect_take_back(c, at);
		at->undone = true;
	}
}

/* The request goes back into the input, as if it had just been received: behind those that were
 * taken back before it, in front of all others.  Its names were taken for granted when it was
 * sent, and will be again. */
__attribute__((cold))
static void take_back(struct client *c, struct query *q)
{
	undo_names(c, q);
	if (!q->copy || conn_unread(&c->conn, c->for_primary, q->copy, q->copy_len) < 0) {
		client_out_of_memory(c);
		return;
	}
	c->for_primary += q->copy_len;
	query_left(c);
}

/* This request, and those that were sent behind it.  code: for this error they run again, or NULL.
 * true: one of them has changed the session. */
static bool take_all_back(struct client *c, struct request *r, const char *code)
{
	bool changed = false;

	for (; r && c->phase == AT_READY; r = r->next)
		if (r->owner == c) {
			if (code)
				codes_count(&c->all->retries, code, CODE_WHOLE);
			changed |= query_of(r)->effects != NULL;
			take_back(c, query_of(r));
			request_orphan(r);
		}
	return changed;
}

/* A replica refused the statement because it writes.  Which one of the request it was is not known,
 * so every text of it is remembered: a read among them loses speed, nothing else. */
static void learn_from(struct client *c, const struct query *q)
{
	struct msg m;

	for (size_t at = 0; at < q->copy_len; ) {
		long len = wire_next(&m, q->copy + at, q->copy_len - at, MESSAGE_MAX);
		if (len <= 0)
			break;
		at += (size_t)len;
		if (m.type == 'P')
			msg_text(&m);
		if (m.type == 'P' || m.type == 'Q') {
			const char *text = msg_text(&m);
			facts_learn_writer(c, text, strlen(text));
		}
	}
}

/* An error on a replica, of which the client has seen nothing yet: its requests go back into the
 * input, marked for the primary.  Those behind the failed one go, too, since replies keep their
 * order.  A transaction has failed on that replica, or was begun by one of them, so the replica
 * leaves it. */
__attribute__((cold))
static void run_on_primary(struct client *c, struct request *r, const char *code)
{
	struct server *s = r->server;
	bool begun = c->session.in_transaction;

	if (code && !strcmp(code, "25006")) {   /* read_only_sql_transaction */
		learn_from(c, query_of(r));
		c->session.unseen = true;
		doubt_add(c, bodies_can(c->all->bodies, c->borrower.profile->account));
	}
	begun |= take_all_back(c, r, code ? code : "08006");
	c->session.no_replica |= c->session.in_transaction;
	if (begun)
		transact_leave(c, s);
	client_resume(c);
}

/* A request of a replica, of which the client has seen nothing. */
static bool is_hidden(const struct query *q)
{
	return q->retry && !q->request.progress;
}

/* The replica has the snapshot that earlier answers came from: another server has none like it.
 * If the transaction has failed, all is over with it already. */
static bool has_snapshot(const struct client *c, const struct server *s)
{
	return c->session.seen && s->status == 'T' && s == transact_owner(c);
}

/* Any error of a replica may be its own trouble, such as a conflict with recovery.  Only 57014 is
 * the client's own: it has canceled the statement, or set a statement_timeout.  What follows in a
 * transaction that has failed there fails as well: elsewhere it would live again. */
static bool may_run_again(const struct client *c, const struct query *q, const uint8_t *body,
                          size_t len)
{
	const struct server *s = q->request.server;
	const char *code = wire_field(body, len, 'C');

	return is_hidden(q) && s->status != 'E' && !has_snapshot(c, s)
	       && !(code && !strcmp(code, "57014"));
}

/* V is the severity that is never translated. */
static bool is_severity(const uint8_t *body, size_t len, const char *severity)
{
	const char *v = wire_field(body, len, 'V');

	return v && !strcmp(v, severity);
}

/* The end of a server. */
static bool is_fatal(const uint8_t *body, size_t len)
{
	return is_severity(body, len, "FATAL");
}

static void count(struct node *n, const uint8_t *body, size_t len)
{
	n->tally.error += is_severity(body, len, "ERROR");
	n->tally.fatal += is_fatal(body, len);
	n->tally.panic += is_severity(body, len, "PANIC");
}

/* The server's end is not the session's: it had the snapshot only, or a transaction that can be
 * failed anywhere. */
static bool goes_on_without(const struct client *c, const struct query *q)
{
	const struct server *s = q->request.server;

	return q->copy && (has_snapshot(c, s) || (is_hidden(q) && s->status == 'E'));
}

/* PostgreSQL did not hear the end of the request - a Sync while it reads COPY data, a Query after
 * an error in the extended protocol - and goes on to the next Sync.  So later messages are part of
 * this request.  Nothing was sent behind it, since it is a barrier. */
static void reopen(struct client *c, struct query *q, enum input as)
{
	q->simple = false;
	c->input = as;
	client_resume(c);
}

/* After an error in the extended protocol, PostgreSQL ignores all messages up to a Sync. */
static void ignored_from_here(struct client *c, struct query *q)
{
	if (c->last != q) {
		c->input = c->input == INPUT_COPY ? INPUT_REQUEST : c->input;
		return;
	}
	if (q->simple && query_unanswered(q))
		reopen(c, q, INPUT_IGNORED);
	else if (q->simple)
		c->input = INPUT_REQUEST;
	else if (c->input != INPUT_REQUEST)
		c->input = INPUT_IGNORED;
}

/* An error that is the client's to see. */
static void on_error(struct client *c, struct query *q, const uint8_t *body, size_t len)
{
	const char *code = wire_field(body, len, 'C');

	q->request.progress = true;
	if (conn_kept(&c->conn))
		client_resume(c);
	codes_count(&c->all->errors, code, CODE_CLASS);
	c->told_fatal |= is_fatal(body, len);
	q->erred = true;
	effect_failed(c, q);
	ignored_from_here(c, q);
}

/* CopyInResponse: data is awaited, unless it was sent already.  Clients that do not wait for this
 * message send data and CopyDone behind the Execute, or even behind its Sync. */
static void on_copy_in(struct client *c, struct query *q)
{
	if (q->copy_ends) {
		q->copy_ends--;
		return;
	}
	if (q->copies)
		q->copies--;
	if (!q->simple && c->last == q && c->input == INPUT_REQUEST)
		reopen(c, q, INPUT_OPEN);
	if (q->late_ends)
		q->late_ends--;
	else if (c->last == q || c->input == INPUT_REQUEST)
		c->input = INPUT_COPY;  /* also if it was not seen coming, and more was sent */
	client_resume(c);
}

/* --- home fails, too ----------------------------------------------------- */

static bool doomed_message(struct request *r, char type, const uint8_t *body, size_t len)
{
	struct client *c = r->owner;

	if (type == 'E' && is_fatal(body, len)) {
		c->told_fatal = true;
		conn_put_message(c->all->base->net, &c->conn, 'E', body, len);
	}
	return false;
}

static void doomed(struct request *r, char status)
{
	struct client *c = r->owner;

	(void)status;
	query_left(c);
	here_ready(c);
	if (conn_kept(&c->conn) || c->ended)
		client_resume(c);
}

static void doomed_lost(struct request *r)
{
	query_left(r->owner);
}

static const struct request_ops doom_ops = { NULL, doomed_message, doomed, doomed_lost };

void reply_ready(struct client *c)
{
	struct server *home = c->home;

	/* Its answer may be long in coming: then it fails in front of the next request. */
	if (!transact_outlives(c, c->status) || home->head) {
		here_ready(c);
		return;
	}
	if (agree_on_script(c, home) < 0) {
		client_out_of_memory(c);
		return;
	}
	if (home->phase != LENT)
		return;                 /* it broke, and the session ends with it */
	struct query *q = query_new(c, home, &doom_ops);
	if (!q || transact_put_doom(c, home, &q->request) < 0)
		client_out_of_memory(c);
}

/* The statement has failed on a leg, and the client has seen it.  What was sent behind it comes
 * after ROLLBACK TO, maybe, which home alone can do. */
__attribute__((cold))
static void fail_at_home(struct client *c, struct server *leg)
{
	take_all_back(c, leg->head, NULL);
	transact_leave(c, leg);
	if (c->phase == AT_READY && c->input == INPUT_REQUEST)
		reply_ready(c);
}

/* With nothing in flight any more, kept input can go on, to another server as well. */
static void on_done(struct request *r, char status)
{
	struct client *c = r->owner;

	histogram_add(&r->server->node->answers,
		loop_now_us(c->all->base->loop) - query_began(query_of(r)));
	trace_done(c, query_of(r));
	unnamed_keep(c, query_of(r));
	query_left(c);
	if (query_of(r)->cut && query_of(r)->erred)
		c->input = INPUT_SKIPPED;
	if (query_of(r)->rolled_back && status == 'I' && !c->inflight)
		c->session.unseen = false;
	transact_status(c, status, r->failed);
	if (r->server != c->home && transact_outlives(c, status))
		fail_at_home(c, r->server);
	if (status == 'I' && c->ask_soon && !c->inflight)
		doubt_ask(c, r->server);
	if (conn_kept(&c->conn) || c->ended)
		client_resume(c);
}

/* Can the client be told that the request has failed?  Not in the middle of a message. */
static bool may_fail(const struct query *q)
{
	return is_hidden(q) || (q->copy && !q->request.failed && !q->request.server->scanner.left);
}

/* The snapshot is gone with its server, so the transaction has failed. */
__attribute__((cold))
static void fail_snapshot(struct client *c, struct query *q)
{
	struct put o = net_build(c->all->base->net, 1024);

	undo_names(c, q);
	query_left(c);
	c->status = 'E';
	codes_count(&c->all->errors, transact_lost.sqlstate, CODE_CLASS);
	put_report(&o, 'E', &transact_lost);
	client_say(c, &o);
	reply_ready(c);
	client_resume(c);
}

/* The server broke before it had answered.  A read of a replica runs again; so does a request
 * behind one that was taken back, if PostgreSQL has answered nothing of it.  Any other may have run
 * or not, so its writes count as committed and the session cannot go on. */
static void on_lost(struct request *r)
{
	struct client *c = r->owner;
	struct query *q = query_of(r);
	bool follows = q->copy && !r->started && c->for_primary;

	if (may_fail(q) && c->status == 'T' && has_snapshot(c, r->server)) {
		fail_snapshot(c, q);
		return;
	}
	if (is_hidden(q) || follows) {
		take_back(c, q);
		client_resume(c);
		return;
	}
	c->half_told |= query_half_told(q);
	session_committed(&c->session, c->all->route, client_database(c));
	query_left(c);
	c->lost_request = true;
}

/* --- reports ------------------------------------------------------------- */

/* Reports come from home, or from a replica that has all of the transaction, but for what that says
 * of itself. */
static bool reports(const struct query *q, const uint8_t *body, size_t len)
{
	static const char standby[] = "in_hot_standby";
	const struct client *c = q->request.owner;
	const struct server *s = q->request.server;

	if (client_home(c, s))
		return true;
	return (q->had_all || s == transact_owner(c))
	       && (len < sizeof standby || memcmp(body, standby, sizeof standby));
}

/* To the client a RESET has brought back its own application_name: agree_on_name() in query.c. */
static bool reports_own_name(struct client *c, const struct server *s, const uint8_t *body,
                             size_t len)
{
	static const char name[] = "application_name";

	if (len < sizeof name || memcmp(body, name, sizeof name) || !agree_lacks_name(c, s))
		return false;
	struct put o = net_build(c->all->base->net, sizeof name + sizeof s->named + 8);
	put_begin(&o, 'S');
	put_text(&o, name);
	put_text(&o, s->named);
	put_end(&o);
	client_say(c, &o);
	return true;
}

/* --- a request's reply --------------------------------------------------- */

static bool is_rollback(const uint8_t *tag, size_t len)
{
	static const char rollback[] = "ROLLBACK";

	return len == sizeof rollback && !memcmp(tag, rollback, sizeof rollback);
}

/* It may have committed what it has done, though its request goes on. */
static bool is_code(const uint8_t *tag, size_t len)
{
	return (len == sizeof "CALL" && !memcmp(tag, "CALL", len))
	       || (len == sizeof "DO" && !memcmp(tag, "DO", len));
}

static bool on_message(struct request *r, char type, const uint8_t *body, size_t len)
{
	struct client *c = r->owner;
	struct query *q = query_of(r);
	bool refused;

	switch (type) {
	case 'E':
		count(r->server->node, body, len);
		if (may_run_again(c, q, body, len)) {
			run_on_primary(c, r, wire_field(body, len, 'C'));
			return false;
		}
		if (is_fatal(body, len) && goes_on_without(c, q)) {
			r->failed = false;      /* on_lost() follows */
			return false;
		}
		refused = remake_refused(c, q, body, len);
		on_error(c, q, body, len);
		return !refused;
	case 'C': case 's':
		q->rolled_back = q->executes <= 1 && is_rollback(body, len);
		if (c->session.unseen && is_code(body, len))
			session_saw_all(&c->session, c->all->route, client_database(c));
		q->had_all |= r->server == transact_owner(c);
		if (q->effects)
			effect_complete(c, q, body, len);
		return true;
	case 'S':
		return reports(q, body, len)
		       && !reports_own_name(c, r->server, body, len);
	case 'G':
		on_copy_in(c, q);
		return true;
	case 'W':               /* CopyBothResponse, to a walsender's client */
		c->input = INPUT_COPY;
		client_resume(c);
		return true;
	case '1': case '3': case 'T': case 'n':
		remake_answered(c, r, type, body, len);
		if (type == '1' || type == '3')
			effect_name_answered(c, q, type);
		if (c->input != INPUT_REQUEST && conn_kept(&c->conn))
			client_resume(c);       /* too many were unanswered */
		return true;
	case 'Z':
		r->progress = true;
		return !q->cut && (r->server == c->home || !transact_outlives(c, (char)*body));
	}
	return true;
}

const struct request_ops reply_ops = { on_bytes, on_message, on_done, on_lost };
