#include "client/choice.h"

#include "client/doubt.h"
#include "client/facts.h"
#include "client/query.h"
#include "client/transact.h"

#include <stdio.h>

enum { RETRY_BYTES = 64 * 1024 };               /* of requests in flight that may run again */

static struct server *server_on(const struct client *c, const struct node *n)
{
	for (struct server *s = c->borrowed; s; s = s->next_borrowed)
		if (s->node == n)
			return s;
	return NULL;
}

/* A plan may name a server that is the client's no longer. */
static bool still_has(const struct client *c, const struct server *which)
{
	for (const struct server *s = c->borrowed; s; s = s->next_borrowed)
		if (s == which)
			return true;
	return false;
}

/* A transaction ends where it was begun: at home if it is there, else on its leg. */
static struct server *ending_server(const struct client *c)
{
	if (c->home && c->home->status != 'I')
		return c->home;
	for (struct server *s = c->borrowed; s; s = s->next_borrowed)
		if (s->status != 'I')
			return s;
	return NULL;
}

/* Instead of a standby that is too far behind. */
__attribute__((cold))
static struct node *less_delayed(struct client *c, const struct plan *pl)
{
	const struct conf *conf = c->all->base->conf;
	struct nodes *nodes = c->all->servers->nodes;
	struct node *n = conf->prefer_lower_delay_standby ? nodes_nearest(nodes) : NULL;
	char detail[LOG_TEXT_MAX];

	if (n)
		return n;
	if (log_wants(c->all->base->log, LEVEL_DEBUG1)) {
		snprintf(detail, sizeof detail, "destination = %d for query= \"%.*s\"",
			nodes->primary, pl->text ? (int)pl->text_len : 0,
			pl->text ? pl->text : "");
		log_write(c->all->base->log, &c->who, LEVEL_DEBUG1, detail, NULL,
			"could not load balance because of too much replication delay");
	}
	return nodes_primary(nodes);
}

/* The server that alone can serve the request, the first that applies:
 *
 *   1. the one that has the transaction's snapshot;
 *   2. the one on which the transaction has failed: the others do not know that it has;
 *   3. the one that has the portal or the unnamed statement which the request uses;
 *   4. for an end of the transaction, or a Sync, the one that has the transaction.
 *
 * ROLLBACK TO goes home even in a failed transaction: only home has the savepoints of one that may
 * have legs. */
static struct server *only_server(const struct client *c, const struct plan *pl)
{
	struct server *s = transact_owner(c);

	if (!s && !pl->rolls_back_to)
		s = transact_failed(c);
	if (!s && pl->must && still_has(c, pl->must) && !pl->other
	    && (!c->for_primary || pl->must_stay))
		s = pl->must;
	return !s && (pl->ends || pl->only_sync) && !pl->other && pl->whole ? ending_server(c) : s;
}

/* A replica may serve it (REASON_BALANCED), or why not: it writes, is not there to its end, or was
 * on a replica already; or it belongs to a session that replicas cannot follow, or whose
 * notifications a replica could overtake. */
static enum node_reason may_leave(const struct client *c, const struct plan *pl)
{
	if (c->for_primary || c->primary_once)
		return REASON_RETRY;
	if (!pl->reads || pl->other)
		return pl->reason ? pl->reason : REASON_WRITE;
	if (!pl->whole || pl->len > RETRY_BYTES)
		return REASON_LONG;
	if (c->status == 'E' || !script_is_whole(&c->script) || (c->pins & PIN_LISTEN)
	    || doubt_reads(c) || c->borrower.profile->replication)
		return REASON_STATE;
	return nodes_balance(c->all->servers->nodes) ? REASON_BALANCED : REASON_ALONE;
}

/* A role's or a database's settings have changed since the session began, and it has no server
 * there yet: a new one would begin with others than the session. */
static bool begins_otherwise(const struct client *c, const struct node *n)
{
	return c->home && c->home->altered && !server_on(c, n);
}

/* Is the node there for one that is down?  By itself it would not be drawn, or another one was. */
static bool stands_in(const struct client *c, const struct node *n)
{
	const struct node *its = c->session.node;

	return n->state == NODE_DOWN || (its && its != n && its->state == NODE_DOWN)
	       || (n == nodes_primary(n->all) && node_conf(n)->weight <= 0);
}

/* What a read of the session must not be older than. */
static struct freshness freshness(const struct client *c)
{
	const char *lsn = c->script.n ? script_value(&c->script, PROFILE_MIN_LSN) : NULL;

	return (struct freshness){
		session_floor(&c->session, c->all->route, client_database(c)),
		lsn ? profile_position(lsn) : c->borrower.profile->min_lsn };
}

/* Does the replica have it?  What was known of it before the session's connection there was made
 * may be of another one, or of before its restart, by which standbys go back.  "monotonic": another
 * node than that of the last read may have less than that has shown, and so may another
 * connection. */
static bool shows_all(const struct client *c, const struct node *n, struct freshness what)
{
	enum consistency scope = c->all->base->conf->load_balance_consistency;

	if (scope == CONSISTENCY_OFF || n == nodes_primary(n->all))
		return true;
	const struct server *s = server_on(c, n);
	if (scope == CONSISTENCY_MONOTONIC && c->session.away && (!s || n != c->session.node))
		return false;
	if (!what.sample && !what.lsn)
		return true;
	return node_has(n, what) && (!s || s->measured != n->measured);
}

/* A view that it has read, unknown then, may have written. */
static void note_surprise(struct client *c)
{
	struct session *s = &c->session;

	if (!s->unsure || !facts_heard(c))
		return;
	s->unsure = false;
	if (facts_surprised(c))
		session_saw_all(s, c->all->route, client_database(c));
}

/* causal_wait: the replica may be nearly there. */
static bool waits_for_it(struct client *c)
{
	const struct base *base = c->all->base;

	if (c->inflight || !c->all->servers->nodes->sampling
	    || loop_now(base->loop) - c->active >= base->conf->causal_wait)
		return false;
	c->awaits = c->all->awaited = true;
	return true;
}

/* Home, or the node that was drawn for reads, unless that is down or too far behind.  The replicas
 * of a session whose home is the primary no longer follow another one.  NULL: it waits. */
static struct node *choose_node(struct client *c, struct plan *pl)
{
	struct node *home = transact_home(c);
	const struct account *a = c->borrower.profile->account;

	if (pl->signals && pl->whole && !c->session.in_transaction && !c->for_primary) {
		pl->reason = REASON_PLACE;
		return pl->signals;     /* the node of the process */
	}
	pl->reason = (uint8_t)may_leave(c, pl);
	if (pl->reason != REASON_BALANCED)
		return home;
	if (home != nodes_primary(home->all)) {
		pl->reason = REASON_STATE;
		return home;
	}
	struct node *n = route_node(c->all->route, &c->session, a->user, a->database,
		c->borrower.profile->application_name);
	note_surprise(c);
	const struct freshness what = freshness(c);
	pl->reason = REASON_BALANCED;
	if (n->late) {
		n = less_delayed(c, pl);
		pl->reason = REASON_DELAY;
	}
	if (!shows_all(c, n, what)) {
		n->unmeasured |= node_has(n, what);
		struct node *other = nodes_draw_fresh(n->all, what);
		if (!other && waits_for_it(c))
			return NULL;
		n->moved++;
		n = other && shows_all(c, other, what) ? other : home;
		pl->reason = REASON_STALE;
	}
	if (begins_otherwise(c, n)) {
		pl->reason = REASON_STATE;
		return home;
	}
	if (pl->reason == REASON_BALANCED && stands_in(c, n))
		pl->reason = REASON_DOWN;
	return n->state == NODE_DOWN ? home : n;
}

/* With requests in flight only their server will do: on another one this request could be answered
 * before them.  A read follows writes home, though it might run on a replica: waiting for them
 * would cost a round trip. */
static bool may_follow(struct client *c, const struct plan *pl, const struct server *only,
                       const struct node *n)
{
	const struct server *s = query_server(c);

	/* In a failed transaction a ROLLBACK may be under way: before it ends, no statement can be
	 * made again. */
	if (c->last->barrier || pl->forgets || c->status == 'E')
		return false;
	if (s != c->home && (pl->home_only || pl->follows))
		return false;
	/* Requests behind one that is taken back are taken back with it, so they must have their
	 * copies, and all of these must fit into the input. */
	if (s != c->home && (!pl->whole || query_retry_bytes(c) + pl->len > RETRY_BYTES))
		return false;
	if (s == c->home && pl->reads && !pl->other && !pl->must)
		return true;
	if (only || n != transact_home(c))
		return only ? s == only : s->node == n;
	return s == c->home;
}

/* The client's server on this node.  A leg there cannot become home, if its node has become the
 * primary: a transaction that began on a standby stays read-only. */
static struct server *server_at(struct client *c, const struct node *n, bool home)
{
	struct server *s = server_on(c, n);

	if (s && home && s != c->home && s->status != 'I') {
		client_detach(c, s);
		server_return(s);
		s = NULL;
	}
	if (s && home)
		c->home = s;
	return s;
}

/* That of the requests in flight, if it can be sent behind them. */
static struct server *follow(struct client *c, struct plan *pl, struct server *only,
                             const struct node *n)
{
	struct server *s = query_server(c);

	if (!may_follow(c, pl, only, n) || !server_takes(s))
		return NULL;
	if (s->node != n)
		pl->reason = REASON_BEHIND;
	return s;
}

struct server *choice_server(struct client *c, struct plan *pl)
{
	struct server *s = only_server(c, pl);
	struct node *n = s ? s->node : choose_node(c, pl);
	bool home = n == transact_home(c);

	if (!n)
		return NULL;
	if (s)
		pl->reason = REASON_PLACE;
	if (c->inflight)
		return follow(c, pl, s, n);
	if (!s)
		s = server_at(c, n, home);
	if (s)
		return server_takes(s) ? s : NULL;
	c->wanted = n;
	s = server_borrow(c->all->servers, &c->borrower, n, home);
	if (!s) {
		c->waiting = true;
		return NULL;
	}
	client_attach(c, s);
	c->home = home ? s : c->home;
	return shows_all(c, n, freshness(c)) ? s : choice_server(c, pl);        /* it is too new */
}
