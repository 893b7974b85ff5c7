/* server/queue.c - who waits for a server of a node, for how long, and what is opened for them. */
#include "server/inside.h"

#include <stdio.h>
#include <string.h>

#define FOR_EVER INT64_MAX

enum {
	IMPATIENT = 200,                        /* ms a read waits for a connection to a replica */
	BRIEF = 5000,                           /* ms a login waits that can do without */
	OWN_SPARE = 8,                          /* connections to a node beyond the limit, for the
	                                         * proxy's own questions */
	FULL_PERIOD = 500,                      /* ms before PostgreSQL is asked for more again */
	FULL_TOLD = 60000,                      /* ms */
};

/* --- the limit ----------------------------------------------------------- */

/* Connections to a node: as many as Pgpool-II's processes would have with their pools. */
static unsigned configured(const struct conf *conf)
{
	int64_t n = conf->num_init_children * (conf->max_pool > 0 ? conf->max_pool : 1);

	return n > INT32_MAX ? INT32_MAX : (unsigned)n;
}

/* Or as many as can be had. */
static unsigned limit(const struct node *n)
{
	unsigned most = configured(n->all->base->conf);

	return n->full && n->cap < most ? n->cap : most;
}

int64_t servers_descriptors(const struct servers *all)
{
	int64_t sum = 0;

	for (int i = 0; i < all->nodes->count; i++)
		sum += node_conf(&all->nodes->node[i])->used
		       ? (int64_t)configured(all->base->conf) + OWN_SPARE : 0;
	return sum;
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

	if (b->node->full)
		return 0;
	for (const struct server *s = asks(b) ? NULL : b->servers->first; s; s = s->next_all)
		asking += s->node == b->node && s->borrower && asks(s->borrower);
	return asks(b) || asking > OWN_SPARE ? OWN_SPARE : asking;
}

/* Closes idle servers of others, the one used longest ago first, until there is room.  A borrower
 * that looks may be a stranger: no server is closed for that, unless PostgreSQL is full. */
static bool room(const struct borrower *b)
{
	struct node *n = b->node;

	while ((!b->look || n->full) && n->servers >= limit(n) && n->idle_last)
		server_close(n->idle_last, "makes room for another user or database");
	return n->servers < limit(n) + spare(b);
}

/* --- waiting ------------------------------------------------------------- */

/* At the end of the node's queue; the proxy's own questions go to its head. */
static void wait_in_queue(struct servers *all, struct borrower *b, struct node *n)
{
	b->servers = all;
	b->node = n;
	b->vain = b->passed = 0;
	b->since = (uint32_t)loop_now(all->base->loop);
	struct borrower **at = b->own ? &n->queue : n->queue_tail;
	b->next = *at;
	*at = b;
	if (!b->next)
		n->queue_tail = &b->next;
}

void queue_count_wait(const struct borrower *b)
{
	uint32_t ms = (uint32_t)loop_now(b->servers->base->loop) - b->since;

	if (!b->own)
		histogram_add(&b->node->waits, (int64_t)ms * 1000);
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

void queue_refuse(struct borrower *b, const struct refusal *r)
{
	b->servers->refusals[r->kind] += !b->own;
	server_unborrow(b);
	b->ops->refused(b, r);
}

static void refuse_other_primary(struct borrower *b)
{
	queue_refuse(b, &(struct refusal){ REFUSED_OTHER_PRIMARY, { "FATAL", "08006",
		"another node is the primary now", NULL, NULL }, NULL, 0 });
}

/* The proxy's own questions are how it is found, so they go on. */
bool queue_searches(const struct borrower *b, const struct node *n)
{
	return b->patient && !b->own && nodes_searching(n->all);
}

/* There is no point in opening a connection for it now. */
static bool away(const struct borrower *b, const struct node *n)
{
	return n->state == NODE_DOWN || queue_searches(b, n);
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
	queue_refuse(b, &(struct refusal){ REFUSED_NODE, { "FATAL", starting ? "57P03" : "08006",
		message, detail, hint }, NULL, 0 });
}

static void refuse_full(struct borrower *b, const struct node *n)
{
	char detail[240];

	if (n->full)
		snprintf(detail, sizeof detail, "No more than %u connections to node %d can be had"
			" (%s), and none became free within query_wait_timeout.", n->cap, n->id,
			n->full_why);
	else
		snprintf(detail, sizeof detail, "All %u connections to node %d are in use and none"
			" became free within query_wait_timeout.", limit(n), n->id);
	queue_refuse(b, &(struct refusal){ REFUSED_FULL, { "FATAL", "53300",
		"Sorry, too many clients already", detail, n->full
		? "Raise max_connections of PostgreSQL, or use fewer sessions at a time."
		: "Raise num_init_children or max_pool, or use fewer sessions at a time." },
		NULL, 0 });
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
		refuse_full(b, n);
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
	int64_t limit_ms = conf->query_wait_timeout ? conf->query_wait_timeout * 1000 : FOR_EVER;
	if (b->patient)
		return b->brief && (limit_ms == FOR_EVER || limit_ms > BRIEF) ? BRIEF : limit_ms;
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

/* --- serving ------------------------------------------------------------- */

/* The server is opened for the sake of its login: is it of use in the pool afterwards?  Not if an
 * idle one on that node is as good, or if it exceeds the limit. */
static bool wanted(const struct server *s)
{
	const struct server *idle = s->account->idle;

	while (idle && (idle->node != s->node || !server_suits(idle, s->profile)))
		idle = idle->next_idle;
	return !idle && s->node->servers <= limit(s->node);
}

/* In place of an idle one that has custom parameters of its sessions: else each session that sets
 * them late would leave one more. */
static void replace_marked(const struct borrower *b)
{
	struct server *oldest = NULL;

	if (b->secret || b->look)
		return;
	for (struct server *s = b->profile->account->idle; s; s = s->next_idle)
		if (s->node == b->node && server_suits(s, b->profile)
		    && !server_knows_residue(s, b))
			oldest = s;
	if (oldest)
		server_close(oldest, "it has custom parameters of its sessions");
}

/* One that is opened for its login, and is of no use in the pool, is closed after its session. */
static bool start_opening(struct servers *all, struct borrower *b)
{
	replace_marked(b);
	struct server *s = room(b) ? server_open(all, b->node, b->profile) : NULL;

	if (!s)
		return false;
	s->borrower = b;
	b->opening = s;
	b->passed = 0;
	s->stale = (b->look || b->secret) && !wanted(s);
	dial_start(s, b);
	return true;
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

void queue_tell_lookers(struct node *n, const struct demanded *d)
{
	static const struct refusal asked = { REFUSED_ASKED,
		{ "FATAL", "28000", "PostgreSQL said what it asks for", NULL, NULL }, NULL, 0 };

	for (struct borrower *b = n->queue, *next; b; b = next) {
		next = b->next;
		if (b->look && profile_demanded(b->profile) == d) {
			queue_refuse(b, &asked);
			next = n->queue;        /* it may be another queue now */
		}
	}
}

/* PostgreSQL is full: the one whose tries were vain least often, as one may be let in where another
 * is not. */
static bool serve_next(struct servers *all, struct node *n)
{
	struct borrower *next = NULL;

	for (struct borrower *b = n->queue; b; b = b->next)
		if (!b->opening && !away(b, n) && !looked_for(b, n)
		    && (!next || b->vain < next->vain))
			next = b;
	return next && start_opening(all, next);
}

static void serve_all(struct servers *all, struct node *n)
{
	bool full = false;              /* for clients, maybe not for questions */

	for (struct borrower *b = n->queue; b; b = b->next)
		if (!b->opening && !away(b, n) && !(full && !asks(b)) && !looked_for(b, n)
		    && !start_opening(all, b)) {
			if (asks(b))
				break;
			full = true;
		}
}

/* Making room closes an idle server, which comes back here: once is enough.  Each waits for its own
 * connection, but takes any that is free before: see available(). */
void queue_serve(struct servers *all, struct node *n)
{
	if (n->serving)
		return;
	n->serving = true;
	if (!n->full)
		serve_all(all, n);
	while (n->full && serve_next(all, n))
		;
	n->serving = false;
}

/* --- PostgreSQL is full -------------------------------------------------- */

/* One at a time, or many that wait would be as many vain logins. */
static void allow_one_more(struct node *n)
{
	n->full = n->queue != NULL;
	n->cap = n->servers + 1;
	if (n->full)
		timer_set(n->all->base->loop, &n->more, FULL_PERIOD);
	queue_serve(n->all->ctx, n);
}

static void try_more(struct timer *t)
{
	struct node *n = OWNER(t, struct node, more);

	allow_one_more(n);
	net_flush(n->all->base->net);
}

void queue_let_in(struct node *n)
{
	if (n->full)
		allow_one_more(n);
}

/* Said once a minute at most: while it lasts each try fails. */
static void tell_full(struct node *n)
{
	int64_t now = loop_now(n->all->base->loop);

	if (n->full_told && now - n->full_told < FULL_TOLD)
		return;
	n->full_told = now;
	log_write(n->all->base->log, NULL, LEVEL_WARNING, n->full_why,
		"lower num_init_children * max_pool of all that use it, or raise its"
		" max_connections",
		"no more than %u connections to node %d can be had: clients wait", n->cap, n->id);
}

void queue_full(struct server *s, struct borrower *b, const char *why)
{
	struct node *n = s->node;

	n->full = true;
	n->cap = 0;
	for (const struct server *o = s->all->first; o; o = o->next_all)
		n->cap += o->node == n && o->phase >= IDLE && o->phase != GONE;
	snprintf(n->full_why, sizeof n->full_why, "%s", why);
	n->more.fire = try_more;
	timer_set(n->all->base->loop, &n->more, FULL_PERIOD);
	tell_full(n);
	if (b)
		b->vain++;
	if (b && b->node && b->leaves)
		queue_refuse(b, &(struct refusal){ REFUSED_FULL, { "FATAL", "53300", why, NULL,
			NULL }, NULL, 0 });
	server_close(s, why);
	if (b && b->node && !b->patient)
		set_patience(b);                /* of others it began when they came */
}

void queue_node_changed(void *ctx, struct node *n)
{
	struct servers *all = ctx;

	dial_resume(n);
	for (struct borrower *b = n->queue; b; b = b->next)
		set_patience(b);
	queue_serve(all, n);
	net_flush(all->base->net);
}

struct server *server_borrow(struct servers *all, struct borrower *b, struct node *n, bool patient)
{
	b->patient = patient;
	b->searching = false;
	/* An old login says nothing about today's demand, and proves no password. */
	bool fresh = b->secret || b->look;
	struct server *s = fresh || queue_searches(b, n) ? NULL
	                   : server_find_idle(b, n);
	if (s) {
		server_enter(s, LENT);
		if (server_lend(s, b))
			return s;
		s->borrower = NULL;
		server_close(s, "out of memory");
	}
	wait_in_queue(all, b, n);
	queue_serve(all, n);
	set_patience(b);
	return NULL;
}
