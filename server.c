#include "server.h"

#include "server/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#define FOR_EVER INT64_MAX

enum {
	RESTED = 2,                             /* ms: a server's state is looked at again */
	IMPATIENT = 200,                        /* ms a read waits for a connection to a replica */
	OWN_SPARE = 8,                          /* connections to a node beyond the limit, for the
	                                         * proxy's own questions */
	RESET_TELLS = 60000,                    /* ms between two lines about failing resets */
	ORPHANED_TIME = 60000,                  /* ms that a lost client's replies are worth
	                                         * waiting for: closing loses nothing, PostgreSQL
	                                         * finishes all that it was sent */
};

static void serve_queue(struct servers *all, struct node *n);
static void available(struct server *s, const struct borrower *opener);
static void clean(struct server *s);
static void expired(struct timer *t);

/* --- phases -------------------------------------------------------------- */

/* An idle server is in two lists: a borrower looks for one of its account, and room is made by
 * closing the one of the node that was used longest ago. */
static void enter_idle(struct server *s)
{
	struct node *n = s->node;

	s->next_idle = s->account->idle;
	s->prev_idle = NULL;
	if (s->next_idle)
		s->next_idle->prev_idle = s;
	s->account->idle = s;
	s->next_rest = n->idle;
	s->prev_rest = NULL;
	if (s->next_rest)
		s->next_rest->prev_rest = s;
	else
		n->idle_last = s;
	n->idle = s;
}

static void leave_idle(struct server *s)
{
	struct node *n = s->node;

	*(s->prev_idle ? &s->prev_idle->next_idle : &s->account->idle) = s->next_idle;
	if (s->next_idle)
		s->next_idle->prev_idle = s->prev_idle;
	*(s->prev_rest ? &s->prev_rest->next_rest : &n->idle) = s->next_rest;
	*(s->next_rest ? &s->next_rest->prev_rest : &n->idle_last) = s->prev_rest;
}

void server_enter(struct server *s, enum server_phase to)
{
	if (s->phase == IDLE)
		leave_idle(s);
	s->node->cleaning += (to == RESET) - (s->phase == RESET);
	s->phase = to;
	if (to == IDLE)
		enter_idle(s);
}

/* --- the end of a server ------------------------------------------------- */

/* At the end of the loop's turn, when no caller has a pointer to it any more. */
static void bury(struct task *t)
{
	struct server *s = OWNER(t, struct server, bury);

	names_clear(s->all->stmts, &s->names);
	profile_drop(s->profile);
	profile_drop(s->start);
	account_drop(s->account);
	tls_context_drop(s->secured.tls);
	free(s->secured.host);
	free(s->farewell);
	free(s->refusal);
	free(s);
}

/* The oldest first: requests that can run again go back into their client's input in this order. */
static void lose_requests(struct server *s)
{
	while (s->head) {
		struct request *r = s->head;
		s->head = r->next;
		r->ops->lost(r);
		r->release(r);
	}
	s->tail = NULL;
}

/* The order matters.  GONE comes first, so that nothing called from here uses it or closes it
 * again.  Its requests are lost before its borrower hears of it, which decides by them whether the
 * session can go on.  A cancel request on its way still needs the struct: server_canceled() buries
 * it. */
void server_close(struct server *s, const char *why)
{
	struct servers *all = s->all;
	enum server_phase was = s->phase;
	struct borrower *b = s->borrower;

	if (was == GONE)
		return;
	server_enter(s, GONE);
	log_write(all->base->log, NULL, LEVEL_DEBUG1, why, NULL,
		"node %d: connection %u of %s/%s closed", s->node->id, s->pid, s->account->user,
		s->account->database);
	if (was >= IDLE && !s->within) {        /* or it would be the end of the message */
		struct put o = net_build(all->base->net, WIRE_HEADER);
		put_message(&o, 'X', NULL, 0);
		conn_put(all->base->net, &s->conn, o.base, o.len);
	}
	if (s->trial)
		s->trial->server = NULL;
	dial_free(s);
	timer_stop(all->base->loop, &s->timer);
	conn_close(all->base->net, &s->conn);
	lose_requests(s);
	s->borrower = NULL;
	if (was == LENT && b)
		b->ops->lost(b, s, s->farewell, s->farewell_len);
	else if (b && b->opening == s)
		b->opening = NULL;
	s->node->servers--;
	*(s->prev_all ? &s->prev_all->next_all : &all->first) = s->next_all;
	if (s->next_all)
		s->next_all->prev_all = s->prev_all;
	if (!s->cancels)
		loop_defer(all->base->loop, &s->bury);
	serve_queue(all, s->node);
}

/* --- the pool ------------------------------------------------------------ */

/* Connections to a node: as many as Pgpool-II's processes would have with their pools. */
static unsigned limit(const struct servers *all)
{
	int64_t pool = all->base->conf->max_pool > 0 ? all->base->conf->max_pool : 1;
	int64_t n = all->base->conf->num_init_children * pool;

	return n > INT32_MAX ? INT32_MAX : (unsigned)n;
}

/* A borrower that only asks takes no client's place: it may exceed the limit by a few.  So checks
 * work when all connections are in use. */
static bool asks(const struct borrower *b)
{
	return b->own || b->look;
}

/* The limit may be exceeded by so many for this borrower.  For a client these are the connections
 * that questions have taken, so that it does not wait for one of them. */
static unsigned spare(const struct borrower *b)
{
	unsigned asking = 0;

	for (const struct server *s = asks(b) ? NULL : b->servers->first; s; s = s->next_all)
		asking += s->node == b->node && s->borrower && asks(s->borrower);
	return asks(b) || asking > OWN_SPARE ? OWN_SPARE : asking;
}

/* Closes idle servers of others, the one used longest ago first, until there is room.  A borrower
 * that looks may be a stranger: no server is closed for that. */
static bool room(const struct borrower *b)
{
	struct node *n = b->node;

	while (!b->look && n->servers >= limit(b->servers) && n->idle_last)
		server_close(n->idle_last, "makes room for another user or database");
	return n->servers < limit(b->servers) || n->servers < limit(b->servers) + spare(b);
}

/* It counts as one of its node's from now on, so that the limit holds while it connects. */
static struct server *open_server(struct servers *all, struct node *n, struct profile *p)
{
	struct server *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->all = all;
	s->node = n;
	s->account = p->account;
	s->account->refs++;
	s->start = profile_hold(p);
	s->profile = profile_hold(p);
	s->bury.run = bury;
	s->status = 'I';
	s->since = loop_now(all->base->loop);
	s->next_all = all->first;
	if (all->first)
		all->first->prev_all = s;
	all->first = s;
	n->servers++;
	return s;
}

/* Nothing is left on it that the borrower would not find on a new connection. */
static bool knows_residue(const struct server *s, const struct borrower *b)
{
	return !(s->residue & ~b->residue) || b->own;
}

/* Is the server's profile the borrower's, or can it be made so?  Then sql is the statement for it.
 * A walsender is another kind of process, which no SET turns into a session. */
static bool fits(const struct server *s, const struct borrower *b, char *sql, size_t size)
{
	const struct profile *p = b->profile;

	*sql = 0;
	if (!knows_residue(s, b) || (b->own_start && s->start != p))
		return false;
	if (s->profile == p)
		return true;
	return !s->profile->replication && !p->replication
	       && profile_difference(s->profile, p, NULL, NULL, sql, size);
}

/* PostgreSQL refused a value of the startup packet.  On a connection of its own the error would
 * have ended the session, and so it does here. */
static void settings_taken(struct request *r, bool ok)
{
	if (!ok)
		server_close(r->server, "the settings of its session were refused");
}

/* Hands it over, with its settings made those of the borrower.  The statement is only sent: its
 * answer comes in front of the client's. */
static bool lend(struct server *s, struct borrower *b, const char *sql)
{
	if (s->profile != b->profile) {
		/* All other ParameterStatus values are those of this server; the statement's
		 * reports correct the ones that differ. */
		if (!b->profile->welcomed && s->profile->welcomed)
			profile_copy_welcome(b->profile, s->profile);
		profile_drop(s->profile);
		s->profile = profile_hold(b->profile);
		if (*sql) {
			if (server_take_profile(s, sql, settings_taken) < 0)
				return false;
		}
	}
	timer_stop(s->all->base->loop, &s->timer);
	server_enter(s, LENT);
	s->timer.fire = expired;
	s->borrower = b;
	s->sessions++;
	s->script = 0;
	s->orphaned = 0;
	return true;
}

/* The last used idle server that needs no change, or else the last used one that can be changed.
 * One that stirs is not lent: it says goodbye or has ended, and a request sent there would be
 * lost. */
static struct server *find_idle(struct borrower *b, struct node *n, char *sql, size_t size)
{
	for (int any = 0; any < 2; any++)
		for (struct server *s = b->profile->account->idle, *next; s; s = next) {
			next = s->next_idle;
			if (s->node != n || !fits(s, b, sql, size) || (!any && *sql))
				continue;
			if (!conn_stirs(&s->conn))
				return s;
			server_close(s, "it ended in the pool");
		}
	return NULL;
}

/* At the end of the node's queue; the proxy's own questions go to its head. */
static void wait_in_queue(struct servers *all, struct borrower *b, struct node *n)
{
	b->servers = all;
	b->node = n;
	struct borrower **at = b->own ? &n->queue : n->queue_tail;
	b->next = *at;
	*at = b;
	if (!b->next)
		n->queue_tail = &b->next;
}

static void leave_queue(struct borrower *b)
{
	struct node *n = b->node;
	struct borrower **at = &n->queue;

	while (*at != b)
		at = &(*at)->next;
	*at = b->next;
	if (n->queue_tail == &b->next)
		n->queue_tail = at;
	b->node = NULL;
	timer_stop(b->servers->base->loop, &b->deadline);
}

/* A connection that was started for it goes on and will serve the next one, or the pool.  One that
 * was opened for what its login tells has no other use. */
void server_unborrow(struct borrower *b)
{
	if (!b->node)
		return;
	leave_queue(b);
	struct server *s = b->opening;
	b->opening = NULL;
	if (s)
		s->borrower = NULL;
	if (s && (b->look || b->secret))
		server_close(s, "nobody waits for its login any more");
}

static void refuse(struct borrower *b, const struct refusal *r)
{
	server_unborrow(b);
	b->ops->refused(b, r);
}

static void refuse_other_primary(struct borrower *b)
{
	refuse(b, &(struct refusal){ REFUSED_OTHER_PRIMARY, { "FATAL", "08006",
		"another node is the primary now", NULL, NULL }, NULL, 0 });
}

/* No primary has been found yet, and the borrower waits for one.  The proxy's own questions are how
 * it is found, so they go on. */
static bool searches(const struct borrower *b, const struct node *n)
{
	return b->patient && !b->own && nodes_searching(n->all);
}

/* There is no point in opening a connection for it now. */
static bool away(const struct borrower *b, const struct node *n)
{
	return n->state == NODE_DOWN || searches(b, n);
}

/* The primary is another node now.  Or the search is over without one, and the first node has to
 * do. */
static bool waits_for_another(const struct borrower *b)
{
	return b->patient && (b->node != nodes_primary(b->node->all)
	                      || (b->searching && !nodes_searching(b->node->all)));
}

static void refuse_node(struct borrower *b, struct node *n)
{
	char message[80], detail[256];
	bool starting = strstr(n->why, "(57P0") != NULL;

	snprintf(message, sizeof message, "failed to create a backend %d connection", n->id);
	snprintf(detail, sizeof detail, "%s:%d: %s", node_conf(n)->hostname,
		(int)node_conf(n)->port, n->why[0] ? n->why : "no connection in time");
	const char *hint = n->unsafe
		? "See backend_sslmode (unset, it is verify-ca where there is ssl_ca_cert), and the"
		" certificate and settings of the node."
		: "The node is tried again in the background; retry in a moment.";
	refuse(b, &(struct refusal){ REFUSED_NODE, { "FATAL", starting ? "57P03" : "08006", message,
		detail, hint }, NULL, 0 });
}

static void out_of_patience(struct timer *t)
{
	struct borrower *b = OWNER(t, struct borrower, deadline);
	struct node *n = b->node;
	struct net *net = b->servers->base->net;

	if (waits_for_another(b)) {
		refuse_other_primary(b);
	} else if (away(b, n) || !b->patient) {
		refuse_node(b, n);
	} else {
		char detail[160];
		snprintf(detail, sizeof detail, "All %u connections to node %d are in use and none"
			" became free within query_wait_timeout.", limit(b->servers), n->id);
		refuse(b, &(struct refusal){ REFUSED_FULL, { "FATAL", "53300",
			"Sorry, too many clients already", detail,
			"Raise num_init_children or max_pool, or use fewer sessions at a time." },
			NULL, 0 });
	}
	net_flush(net);
}

/* How long it may still wait, as things are: ms, or FOR_EVER.  A read does not wait for a replica
 * that is down or full, since the primary can answer; only for a connection that is under way or a
 * server that is being cleaned. */
static int64_t patience(const struct borrower *b)
{
	const struct conf *conf = b->servers->base->conf;
	const struct node *n = b->node;

	if (waits_for_another(b))
		return 0;
	if (away(b, n) && n->unsafe)
		return 0;               /* time alone does not heal its TLS */
	if (away(b, n) && b->patient)
		return b->searching ? nodes_searching(n->all) : conf->primary_wait_timeout * 1000;
	if (away(b, n))
		return 0;
	if (b->own)
		return FOR_EVER;
	if (b->patient)
		return conf->query_wait_timeout ? conf->query_wait_timeout * 1000 : FOR_EVER;
	return b->opening || n->cleaning ? IMPATIENT : 0;
}

/* Also at 0 the timer tells the borrower, later: nothing is refused within server_borrow(). */
static void set_patience(struct borrower *b)
{
	b->searching |= b->patient && !b->own && nodes_searching(b->node->all);
	int64_t ms = patience(b);

	b->deadline.fire = out_of_patience;
	if (ms == FOR_EVER)
		timer_stop(b->servers->base->loop, &b->deadline);
	else
		timer_set(b->servers->base->loop, &b->deadline, ms);
}

/* The server is opened for the sake of its login: is it of use in the pool afterwards?  Not if its
 * account has an idle one on that node, or if it exceeds the limit. */
static bool wanted(const struct server *s)
{
	const struct server *idle = s->account->idle;

	while (idle && idle->node != s->node)
		idle = idle->next_idle;
	return !idle && s->node->servers <= limit(s->all);
}

/* One that is opened for its login, and is of no use in the pool, is closed after its session. */
static bool start_opening(struct servers *all, struct borrower *b)
{
	struct server *s = room(b) ? open_server(all, b->node, b->profile) : NULL;

	if (!s)
		return false;
	s->borrower = b;
	b->opening = s;
	s->stale = (b->look || b->secret) && !wanted(s);
	dial_start(s, b);
	return true;
}

struct server *server_borrow(struct servers *all, struct borrower *b, struct node *n, bool patient)
{
	char sql[PROFILE_SQL_MAX];

	b->patient = patient;
	b->searching = false;
	/* An old login says nothing about today's demand, and proves no password. */
	bool fresh = b->secret || b->look;
	struct server *s = fresh || searches(b, n) ? NULL : find_idle(b, n, sql, sizeof sql);
	if (s) {
		server_enter(s, LENT);
		if (lend(s, b, sql))
			return s;
		s->borrower = NULL;
		server_close(s, "out of memory");
	}
	wait_in_queue(all, b, n);
	serve_queue(all, n);
	set_patience(b);
	return NULL;
}

/* Is somebody looking for the same already?  One look serves all logins that want to know it. */
static bool looked_for(const struct borrower *b, const struct node *n)
{
	for (const struct borrower *o = b->look ? n->queue : NULL; o; o = o->next)
		if (o->look && o->opening
		    && profile_demanded(o->profile) == profile_demanded(b->profile))
			return true;
	return false;
}

/* The look has an answer: all that wait for it go on. */
static void tell_lookers(struct node *n, const struct demanded *d)
{
	static const struct refusal asked = { REFUSED_ASKED,
		{ "FATAL", "28000", "PostgreSQL said what it asks for", NULL, NULL }, NULL, 0 };

	for (struct borrower *b = n->queue, *next; b; b = next) {
		next = b->next;
		if (b->look && profile_demanded(b->profile) == d) {
			refuse(b, &asked);
			next = n->queue;        /* it may be another queue now */
		}
	}
}

/* Starts connections for waiting borrowers, as far as there is room.  Making room closes an idle
 * server, which comes back here: once is enough.  Each waits for its own connection, but takes any
 * that is free before: see available(). */
static void serve_queue(struct servers *all, struct node *n)
{
	if (n->serving)
		return;
	n->serving = true;
	bool full = false;              /* for clients, maybe not for questions */
	for (struct borrower *b = n->queue; b; b = b->next)
		if (!b->opening && !away(b, n) && !(full && !asks(b)) && !looked_for(b, n)
		    && !start_opening(all, b)) {
			if (asks(b))
				break;
			full = true;
		}
	n->serving = false;
}

/* The node went up or down, or has addresses now: its borrowers' patience is another. */
static void node_changed(void *ctx, struct node *n)
{
	struct servers *all = ctx;

	dial_resume(n);
	for (struct borrower *b = n->queue; b; b = b->next)
		set_patience(b);
	serve_queue(all, n);
	net_flush(all->base->net);
}

/* --- from login to the pool and back ------------------------------------- */

/* RESET here is only the phase between a login and the loan: a new connection is clean. */
void server_ready(struct server *s)
{
	struct borrower *opener = s->borrower;
	bool looked = opener && opener->look;

	s->borrower = NULL;
	if (opener)
		opener->opening = NULL;
	server_enter(s, RESET);
	s->conn.watch.ready = server_readable;
	if (s->trial) {
		server_tried(s, TRIAL_WORKS, "it was a trial");
		return;
	}
	node_worked(s->node);
	available(s, opener);
	if (looked)
		tell_lookers(s->node, profile_demanded(s->start));
}

/* A node that is down is not told to the borrower from here: node_failed() changes its patience,
 * and it may wait for the node to come back.  A login that PostgreSQL refuses will be refused again
 * on the next connection, so the borrower hears of it, and the node works. */
void server_refused(struct server *s, const struct refusal *r)
{
	struct borrower *b = s->borrower;
	struct node *n = s->node;

	s->borrower = NULL;
	if (b)
		b->opening = NULL;
	if (s->trial) {
		char why[160];
		bool answers = r->kind != REFUSED_NODE && r->kind != REFUSED_UNSAFE;
		snprintf(why, sizeof why, "%s%s%s", answers ? r->report.message : "",
			answers && r->report.detail ? ": " : "",
			r->report.detail ? r->report.detail : "");
		server_tried(s, r->kind == REFUSED_NODE ? TRIAL_FAILED
			: r->kind == REFUSED_UNSAFE ? TRIAL_UNSAFE : TRIAL_REFUSED, why);
		return;
	}
	bool down = r->kind == REFUSED_NODE || r->kind == REFUSED_UNSAFE;
	if (r->kind == REFUSED_UNSAFE)
		node_unsafe(n, r->report.detail);
	else if (down)
		node_failed(n, r->report.detail);
	else
		node_worked(n);
	if (r->raw && !strcmp(r->report.sqlstate, "28000"))
		server_role_gone(s);            /* or may not log in any more */
	if (b && b->node && !down)
		refuse(b, r);
	if (r->kind == REFUSED_ASKED)
		tell_lookers(n, profile_demanded(s->start));
	server_close(s, r->report.message);
}

static void expired(struct timer *t)
{
	struct server *s = OWNER(t, struct server, timer);

	server_close(s, s->phase == IDLE ? "it was idle for its life time"
	                                 : "its client is long gone");
	net_flush(s->all->base->net);
}

/* Into the pool.  Of the two life times the shorter one counts; 0 is none. */
static void rest(struct server *s)
{
	const struct conf *conf = s->all->base->conf;
	int64_t a = conf->child_life_time, b = conf->connection_life_time;
	int64_t seconds = a && b ? (a < b ? a : b) : a + b;

	server_enter(s, IDLE);
	s->timer.fire = expired;
	if (seconds)
		timer_set(s->all->base->loop, &s->timer, seconds * 1000);
}

/* May it go (back) to the pool? */
static bool keeps(const struct server *s)
{
	const struct conf *conf = s->all->base->conf;
	const char *db = s->account->database;

	if (s->stale || s->all->draining || !conf->connection_cache || s->profile->replication)
		return false;
	if (s->residue & RESIDUE_UNKNOWN)
		return false;
	if (!strcmp(db, "template0") || !strcmp(db, "template1"))
		return false;   /* CREATE DATABASE needs them free of sessions */
	return !conf->child_max_connections || s->sessions < conf->child_max_connections;
}

/* Clean and free: it goes to the first waiting borrower that can use it, else to the pool.  Of the
 * borrowers with a password to be proved only the opener can: its password was proved by this
 * login.  Others need the same password proved lately.  Of those that look, too, only the opener
 * can use it: the others want a login of now. */
static void available(struct server *s, const struct borrower *opener)
{
	struct node *n = s->node;
	char sql[PROFILE_SQL_MAX];

	timer_stop(s->all->base->loop, &s->timer);
	s->used = false;
	for (struct borrower *b = n->queue; b; b = b->next) {
		if (b->profile->account != s->account || searches(b, n)
		    || !fits(s, b, sql, sizeof sql))
			continue;
		if (b->look && b != opener)
			continue;
		if (b->secret && b != opener
		    && !account_knows(s->account, b->secret, loop_now(s->all->base->loop)))
			continue;
		server_unborrow(b);
		if (lend(s, b, sql)) {
			b->ops->lent(b, s);
		} else {
			server_close(s, "out of memory");
			b->ops->refused(b, &(struct refusal){ REFUSED_FULL, { "FATAL", "53200",
				"out of memory", NULL, NULL }, NULL, 0 });
		}
		serve_queue(s->all, n);
		return;
	}
	if (!keeps(s)) {
		server_close(s, "it is not kept");
		return;
	}
	rest(s);
	if (n->queue)
		serve_queue(s->all, n);
}

bool server_stirs(struct server *s)
{
	if (s->head || loop_now(s->all->base->loop) - s->rests < RESTED || !conn_stirs(&s->conn))
		return false;
	s->stirs = true;
	return true;
}

/* --- reset --------------------------------------------------------------- */

/* The last cancel request decides: until then the server was kept from the next request, or its
 * struct from being freed. */
void server_canceled(struct server *s)
{
	if (--s->cancels)
		return;
	if (s->phase == GONE)
		loop_defer(s->all->base->loop, &s->bury);
	else if (s->phase == RESET && !s->head)
		clean(s);
	else if (s->phase == LENT && s->borrower)
		s->borrower->ops->eased(s->borrower);
}

/* Said again only after a while: it may be so at the end of each session. */
__attribute__((cold))
static void tell_reset(struct server *s, const char *why)
{
	struct servers *all = s->all;
	int64_t now = loop_now(all->base->loop);

	if (all->reset_told && now - all->reset_told < RESET_TELLS)
		return;
	all->reset_told = now;
	log_write(all->base->log, NULL, LEVEL_WARNING, why,
		"Connections are closed instead of pooled while this is so.",
		"reset_query_list failed on node %d, for %s/%s", s->node->id, s->account->user,
		s->account->database);
}

/* One statement of reset_query_list has ended.  A server that is not clean for certain is closed:
 * the next session must not see anything of this one. */
static void reset_done(struct request *r, bool ok)
{
	struct server *s = r->server;

	if (!ok && !s->stale)
		tell_reset(s, r->text);
	if (!ok)
		s->stale = true;
	if (--s->reset_left)
		return;
	s->stale |= s->status != 'I';
	if (!s->stale) {
		available(s, NULL);
		return;
	}
	server_close(s, "it could not be reset");
}

/* Notes what the statement takes back: DISCARD ALL and RESET ALL the settings, DISCARD ALL and
 * DEALLOCATE ALL the prepared statements.  Any others that the list leaves stay known, and the next
 * session's names are made to agree. */
static void note_reset(struct server *s, struct request *r, const char *sql)
{
	struct sql_facts f;

	sql_classify(&f, sql, strlen(sql), NULL);
	if (!(f.flags & SQL_ALL))
		return;
	r->deallocates = f.kind == SQL_DISCARD || f.kind == SQL_DEALLOCATE;
	if (sql_kind_does[f.kind] & KIND_TAKES_BACK) {
		profile_drop(s->profile);
		s->profile = profile_hold(s->start);
	}
}

/* Its FIFO is empty: cleans it for the next session.  If nothing ran on it, nothing is left.  An
 * ABORT outside a transaction would only give a warning. */
static void clean(struct server *s)
{
	const struct conf_list *list = &s->all->base->conf->reset_query_list;

	if (s->cancels)
		return;         /* it would hit the reset; server_canceled() comes back here */
	if (!keeps(s)) {
		server_close(s, "it is not kept");
		return;
	}
	if (!s->used && s->status == 'I') {
		available(s, NULL);
		return;
	}
	for (size_t i = 0; i < list->n; i++) {
		if (s->status == 'I' && !strcasecmp(list->item[i], "ABORT"))
			continue;
		if (server_own(s, list->item[i], reset_done, NULL) < 0 || s->phase == GONE)
			break;
		note_reset(s, s->tail, list->item[i]);
		s->reset_left++;
	}
	if (s->phase != GONE && !s->reset_left)
		server_close(s, "reset_query_list is empty");
}

void server_emptied(struct server *s)
{
	if (s->phase == RESET && !s->reset_left)
		clean(s);
	else if (s->borrower && s->phase == LENT)
		s->borrower->ops->eased(s->borrower);
}

/* Requests of the client are finished for nobody; those of the proxy itself go on, since the
 * server's state depends on them.  It may be paused for a slow client: now all of it is read. */
void server_return(struct server *s)
{
	if (s->phase != LENT)
		return;
	if (s->within) {
		s->borrower = NULL;
		server_close(s, "its client left within a message");
		return;
	}
	server_enter(s, RESET);
	s->residue |= s->borrower->residue;
	s->borrower = NULL;
	for (struct request *r = s->head; r; r = r->next)
		if (!request_is_own(r))
			request_orphan(r);
	conn_reading(s->all->base->net, &s->conn, true);
	if (!s->head)
		clean(s);
	else
		timer_set(s->all->base->loop, &s->timer, ORPHANED_TIME);
}

/* --- trials -------------------------------------------------------------- */

/* Without a look at room(): a health check must work when the pool is full. */
int trial_start(struct servers *all, struct node *n, struct profile *p, struct trial *t)
{
	struct server *s = open_server(all, n, p);

	if (!s)
		return -1;
	s->trial = t;
	t->server = s;
	dial_start(s, NULL);
	return 0;
}

void server_tried(struct server *s, enum verdict v, const char *why)
{
	struct trial *t = s->trial;

	server_close(s, why);
	t->ended(t, v, why);
}

void trial_stop(struct trial *t, const char *why)
{
	if (t->server)
		server_close(t->server, why);
}

/* --- all of them --------------------------------------------------------- */

void servers_init(struct servers *all)
{
	all->nodes->ctx = all;
	all->nodes->changed = node_changed;
}

void servers_close_idle(struct servers *all)
{
	for (int i = 0; i < all->nodes->count; i++)
		while (all->nodes->node[i].idle)
			server_close(all->nodes->node[i].idle, "it is not kept");
}

/* Lent servers serve their sessions to the end. */
void servers_renew(struct servers *all, struct node *n, const char *why)
{
	for (struct server *s = all->first; s; s = s->next_all)
		s->stale |= s->node == n;
	while (n->idle)
		server_close(n->idle, why);
}

void servers_renew_accounts(struct servers *all,
                            bool (*which)(const void *ctx, const struct account *a),
                            const void *ctx, bool altered, const char *why)
{
	for (struct server *s = all->first, *next; s; s = next) {
		next = s->next_all;
		if (!which(ctx, s->account))
			continue;
		s->stale = true;
		s->altered |= altered;
		if (s->phase == IDLE)
			server_close(s, why);
	}
	accounts_forget_welcomes(all->accounts, which, ctx);
	net_flush(all->base->net);
}

static bool is_user(const void *ctx, const struct account *a)
{
	return !strcmp(ctx, a->user);
}

void server_role_gone(struct server *s)
{
	servers_renew_accounts(s->all, is_user, s->account->user, false, "its role was dropped");
}

static bool is_any(const void *ctx, const struct account *a)
{
	(void)ctx, (void)a;
	return true;
}

/* The configuration was reloaded, or a role altered: its own values are those of now. */
void server_told_news(struct server *s)
{
	bool stale = s->stale;

	servers_renew_accounts(s->all, is_any, NULL, false,
		"new connections begin with other values");
	s->stale = stale;
}

/* A password that a client has proved stays good for its session, unless the user's entry says
 * something else. */
static bool still_true(void *ctx, const struct account *a)
{
	const struct servers *all = ctx;
	const struct passwd_entry *e = entry_find(all->entries, a->user);
	struct scram_verifier v;

	if (!e || a->given)
		return true;
	return e->kind == PASSWD_SCRAM && a->have_keys && scram_verifier_parse(&v, e->text) == 0
	       && scram_keys_fit(&a->keys, &v);
}

/* Nodes whose parameters have changed get new connections: idle ones and attempts end at once, lent
 * ones when they are given back. */
void servers_reload(struct servers *all)
{
	for (int i = 0; i < all->nodes->count; i++) {
		struct node *n = &all->nodes->node[i];
		while (n->outdated && n->idle)
			server_close(n->idle, "the parameters of its node have changed");
	}
	for (struct server *s = all->first, *next; s; s = next) {
		next = s->next_all;
		if (s->node->outdated && s->dial)
			server_close(s, "the parameters of its node have changed");
		s->stale |= s->node->outdated;
	}
	for (int i = 0; i < all->nodes->count; i++)
		all->nodes->node[i].outdated = false;
	accounts_forget_secrets(all->accounts, still_true, all);
	entries_forget(all->entries);
}

void servers_doubt(struct servers *all)
{
	accounts_doubt(all->accounts);
	entries_doubt(all->entries);
}

static void free_spares(struct spares *s)
{
	while (s->first) {
		struct request *r = s->first;
		s->first = r->next;
		free(r);
	}
}

void servers_free(struct servers *all)
{
	while (all->first)
		server_close(all->first, "the program ends");
	cancels_end(all);
	residues_free(&all->residues);
	loop_finish(all->base->loop);
	free_spares(&all->own_requests);
	free_spares(&all->queries);
}
