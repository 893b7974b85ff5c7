#include "server.h"

#include "server/inside.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	RESTED = 2,                             /* ms: a server's state is looked at again */
	PASSED_OVER = 8,                        /* times that a waiting borrower may be */
	RESET_TELLS = 60000,                    /* ms between two lines about failing resets */
	ORPHANED_TIME = 60000,                  /* ms that a lost client's replies are worth
	                                         * waiting for: closing loses nothing, PostgreSQL
	                                         * finishes all that it was sent */
};

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

	place_leave(&s->all->places, s);
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
	queue_serve(all, s->node);
}

/* --- the pool ------------------------------------------------------------ */

struct server *server_open(struct servers *all, struct node *n, struct profile *p)
{
	struct server *s = calloc(1, sizeof *s);

	if (!s || place_take(&all->places, s) < 0) {
		free(s);
		return NULL;
	}
	s->all = all;
	s->node = n;
	s->account = p->account;
	s->account->refs++;
	s->start = profile_hold(p);
	s->profile = profile_hold(p);
	s->bury.run = bury;
	s->status = 'I';
	s->since = loop_now(all->base->loop);
	s->since_us = loop_now_us(all->base->loop);
	s->next_all = all->first;
	if (all->first)
		all->first->prev_all = s;
	all->first = s;
	n->servers++;
	return s;
}

bool server_knows_residue(const struct server *s, const struct borrower *b)
{
	return !(s->residue & ~b->residue) || b->own;
}

bool server_suits(const struct server *s, const struct profile *p)
{
	return s->profile == p
	       || (s->reports_name && profile_name(p) && profile_fits(s->profile, p));
}

static bool fits(const struct server *s, const struct borrower *b)
{
	return server_knows_residue(s, b) && server_suits(s, b->profile);
}

void server_put_name(const struct server *s, bool local, char sql[static SERVER_NAME_SQL])
{
	struct put o = { .base = (uint8_t *)sql, .cap = SERVER_NAME_SQL };
	struct sql_setting set = { .name = "application_name", .n = 1, .local = local };

	strcpy(set.values, s->named);
	sql_put_setting(&o, &set);
	put_byte(&o, 0);
}

/* It has the settings that it began with. */
static void take_start(struct server *s)
{
	profile_drop(s->profile);
	s->profile = profile_hold(s->start);
	strcpy(s->named, s->began);
	s->name_lost = false;
}

static void name_taken(struct request *r, bool ok)
{
	if (!ok)
		server_close(r->server, "the application_name of its session was refused");
}

/* The statement is only sent: its answer comes in front of the client's. */
static int put_on_name(struct server *s)
{
	char sql[SERVER_NAME_SQL];

	server_put_name(s, false, sql);
	return server_hand_over(s, sql, name_taken);
}

bool server_lend(struct server *s, struct borrower *b)
{
	if (s->profile != b->profile) {
		const char *name = profile_name(b->profile);
		bool differs = strcmp(s->named, name) != 0;
		/* All other ParameterStatus values are those of this server. */
		if (!b->profile->welcomed && s->profile->welcomed
		    && profile_copy_welcome(b->profile, s->profile) == 0)
			profile_report(b->profile, "application_name", name);
		strcpy(s->named, name);
		profile_drop(s->profile);
		s->profile = profile_hold(b->profile);
		if (differs && put_on_name(s) < 0)
			return false;
	}
	timer_stop(s->all->base->loop, &s->timer);
	server_enter(s, LENT);
	s->timer.fire = expired;
	s->borrower = b;
	s->sessions++;
	s->script = 0;
	s->orphaned = 0;
	s->portal_past = false;
	return true;
}

/* One that stirs is not lent: it says goodbye or has ended, and a request sent there would be
 * lost. */
struct server *server_find_idle(struct borrower *b, struct node *n)
{
	for (int any = 0; any < 2; any++)
		for (struct server *s = b->profile->account->idle, *next; s; s = next) {
			next = s->next_idle;
			if (s->node != n || (!any && s->profile != b->profile)
			    || !fits(s, b))
				continue;
			if (!conn_stirs(&s->conn))
				return s;
			server_close(s, "it ended in the pool");
		}
	return NULL;
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
	struct node *n = s->node;
	histogram_add(&n->logins, loop_now_us(s->all->base->loop) - s->since_us);
	s->measured = n->measured;
	node_worked(n);
	available(s, opener);
	queue_let_in(n);
	if (looked)
		queue_tell_lookers(s->node, profile_demanded(s->start));
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
	if (r->kind == REFUSED_FULL) {
		node_worked(n);
		queue_full(s, b, r->report.message);
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
	if (b && b->node && (!down || b->leaves))
		queue_refuse(b, r);
	if (r->kind == REFUSED_ASKED)
		queue_tell_lookers(n, profile_demanded(s->start));
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

bool servers_renew_database(const struct servers *all, const char *database)
{
	for (const struct renewal *w = all->renewals; w; w = w->next)
		if (wire_same_name(w->database, database))
			return true;
	return false;
}

/* May it go (back) to the pool? */
static bool keeps(const struct server *s)
{
	const struct conf *conf = s->all->base->conf;
	const char *db = s->account->database;

	if (s->stale || s->all->draining || !conf->connection_cache || s->profile->replication)
		return false;
	if (s->residue & RESIDUE_UNKNOWN || servers_renew_database(s->all, db))
		return false;
	if (!strcmp(db, "template0") || !strcmp(db, "template1"))
		return false;   /* CREATE DATABASE needs them free of sessions */
	return !conf->child_max_connections || s->sessions < conf->child_max_connections;
}

/* Has one in front of b been passed over too often?  It waits for room, as none of the connections
 * suits it.  For strangers none is closed; nor if it is not certain that a new one can be had. */
static bool overdue(const struct borrower *b)
{
	struct node *n = b->node;

	if (n->full || n->state == NODE_DOWN)
		return false;
	for (struct borrower *o = n->queue; o != b; o = o->next)
		if (!o->opening && !o->own && !o->look && !o->secret && !queue_searches(o, n)
		    && ++o->passed > PASSED_OVER)
			return true;
	return false;
}

/* Clean and free: it goes to the first waiting borrower that can use it, else to the pool.  Of the
 * borrowers with a password to be proved only the opener can: its password was proved by this
 * login.  Others need the same password proved lately.  Of those that look, too, only the opener
 * can use it: the others want a login of now. */
static void available(struct server *s, const struct borrower *opener)
{
	struct node *n = s->node;

	timer_stop(s->all->base->loop, &s->timer);
	s->used = false;
	if (s->name_lost)
		take_start(s);          /* reset_query_list did not */
	for (struct borrower *b = n->queue; b; b = b->next) {
		if (b->profile->account != s->account || queue_searches(b, n)
		    || !fits(s, b))
			continue;
		if (b->look && b != opener)
			continue;
		if (b->secret && b != opener
		    && !account_knows(s->account, b->secret, loop_now(s->all->base->loop)))
			continue;
		if (b != opener && overdue(b)) {
			server_close(s, "makes room for one that has waited longer");
			return;
		}
		queue_count_wait(b);
		server_unborrow(b);
		if (server_lend(s, b)) {
			b->ops->lent(b, s);
		} else {
			server_close(s, "out of memory");
			b->ops->refused(b, &(struct refusal){ REFUSED_FULL, { "FATAL", "53200",
				"out of memory", NULL, NULL }, NULL, 0 });
		}
		queue_serve(s->all, n);
		return;
	}
	if (!keeps(s)) {
		server_close(s, "it is not kept");
		return;
	}
	rest(s);
	if (n->queue)
		queue_serve(s->all, n);
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
	if (sql_kind_does[f.kind] & KIND_TAKES_BACK)
		take_start(s);
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
	if (s->within || s->strays) {
		s->borrower = NULL;
		server_close(s, s->within ? "its client left within a message"
		                          : "it was sent what is no part of COPY");
		return;
	}
	server_enter(s, RESET);
	s->residue |= s->borrower->residue;
	s->borrower = NULL;
	for (struct request *r = s->head; r; r = r->next)
		if (r->owner)
			request_orphan(r);
	conn_reading(s->all->base->net, &s->conn, true);
	if (!s->head)
		clean(s);
	else
		timer_set(s->all->base->loop, &s->timer, ORPHANED_TIME);
}

/* --- trials -------------------------------------------------------------- */

/* Without a look at the limit: a health check must work when the pool is full. */
int trial_start(struct servers *all, struct node *n, struct profile *p, struct trial *t)
{
	struct server *s = server_open(all, n, p);

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
	all->nodes->changed = queue_node_changed;
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

void servers_end(struct servers *all, struct node *n, const char *why)
{
	for (struct server *s = all->first, *next; s; s = next) {
		next = s->next_all;
		if (s->node == n && s->phase >= IDLE)
			server_close(s, why);
	}
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
	places_free(&all->places);
}
