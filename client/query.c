#include "client/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

enum {
	RETRY_BYTES = 64 * 1024,                /* of requests in flight that may run again */
	EXPECTS_MAX = 16384,                    /* PostgreSQL flushes long before it owes so many */
};

/* --- what the client is told without a server ---------------------------- */

static void say_ready(struct client *c)
{
	struct put o = net_build(c->all->base->net, 8);

	put_ready(&o, c->status);
	client_say(c, &o);
}

static void say_command(struct client *c, const char *tag)
{
	struct put o = net_build(c->all->base->net, 64);

	put_message(&o, 'C', tag, strlen(tag) + 1);
	put_ready(&o, c->status);
	client_say(c, &o);
}

/* The statement is these words and nothing else. */
static bool is_words(const struct plan *pl, const char *words)
{
	size_t len = strlen(words);

	return pl->facts.end - pl->facts.start == len
	       && !strncasecmp(pl->text + pl->facts.start, words, len);
}

static bool plain_begin(const struct plan *pl)
{
	static const char *const forms[] = { "begin", "begin transaction", "begin work",
		"start transaction", "begin read only", "start transaction read only",
		"begin transaction read only", "begin isolation level repeatable read",
		"begin transaction isolation level repeatable read" };

	for (size_t i = 0; i < sizeof forms / sizeof *forms; i++)
		if (is_words(pl, forms[i]))
			return true;
	return false;
}

static bool plain_end(const struct plan *pl)
{
	return is_words(pl, "commit") || is_words(pl, "rollback") || is_words(pl, "end")
	       || is_words(pl, "commit transaction") || is_words(pl, "rollback transaction")
	       || is_words(pl, "abort");
}

/* A BEGIN reaches a node only with the first statement that goes there; until then the
 * transaction is the proxy's. */
static bool begin_here(struct client *c, const struct plan *pl)
{
	const struct sql_facts *f = &pl->facts;

	if (f->kind != SQL_BEGIN || c->status != 'I' || f->next < pl->text_len
	    || !nodes_balance(c->all->servers->nodes) || !plain_begin(pl))
		return false;
	if (script_add(&c->script, f, "", pl->text + f->start, f->end - f->start) < 0)
		return false;
	c->status = 'T';
	c->session.in_transaction = true;
	say_command(c, strncasecmp(pl->text + f->start, "start", 5) ? "BEGIN" : "START TRANSACTION");
	return true;
}

static bool anywhere_in_transaction(const struct client *c)
{
	for (const struct server *s = c->lent; s; s = s->next_lent)
		if (s->status != 'I' || s->head)
			return true;
	return false;
}

static bool end_here(struct client *c, const struct plan *pl)
{
	const struct sql_facts *f = &pl->facts;

	if ((f->kind != SQL_COMMIT && f->kind != SQL_ROLLBACK) || c->status != 'T'
	    || f->next < pl->text_len || anywhere_in_transaction(c) || !plain_end(pl))
		return false;
	c->status = 'I';
	end_transaction(c, f->kind == SQL_COMMIT);
	say_command(c, f->kind == SQL_COMMIT ? "COMMIT" : "ROLLBACK");
	return true;
}

/* --- sending ------------------------------------------------------------- */

/* Most requests need no second walk: the unnamed statement and portal are all they leave. */
static void note_plain(struct client *c, const struct plan *pl, struct server *s)
{
	static const struct sql_facts none;     /* of tables: those are noted where that matters */

	if (pl->writes)
		session_wrote(&c->session, c->all->route, &none, "", 0);
	if (pl->simple || pl->portal) {
		c->portal_on = pl->simple ? NULL : s;
		stmt_drop(c->all->servers->stmts, c->bound);
		c->bound = NULL;
	}
	if (!pl->simple && !pl->unnamed)
		return;
	stmt_drop(c->all->servers->stmts, c->unnamed);
	c->unnamed = NULL;
	c->unnamed_on = pl->simple ? NULL : s;  /* a simple query destroys it */
}

static int note_request(struct client *c, struct request *r, const uint8_t *p, const struct plan *pl)
{
	struct msg m;

	for (size_t at = 0; at < pl->len; ) {
		at += (size_t)wire_next(&m, p + at, pl->len - at, MESSAGE_MAX);
		log_message(c, m);
		if (note_message(c, r, &m, true) < 0)
			return -1;
	}
	return 0;
}

/* What a replica is asked may have to be asked again; what hangs on a portal or the unnamed statement
 * there only together with the request that made it. */
static void keep_copy(struct request *r, const uint8_t *p, size_t len)
{
	r->copy = malloc(len);
	r->retry = r->copy != NULL;
	r->copy_len = r->copy ? (uint32_t)len : 0;
	if (r->copy)
		memcpy(r->copy, p, len);
}

static int send_request(struct client *c, struct server *s, const uint8_t *p, const struct plan *pl)
{
	if (catch_up(c, s) < 0 || (pl->notes ? agree_on_names(c, s, NULL, p, pl)
	                                     : agree_on_name(c, s, pl)) < 0)
		return client_out_of_memory(c);
	if (s->phase != LENT)
		return BLOCKED;
	struct request *r = request_new(c->all->servers, &request_ops, c);
	if (!r)
		return client_out_of_memory(c);
	r->open = !pl->whole;
	r->simple = pl->simple;
	r->alone = pl->alone;
	r->owed = pl->simple || r->open ? pl->owed : 0;
	server_send(s, r);
	c->inflight++;
	c->last = r;
	if (pl->simple || !(pl->notes || r->open || logs(c)))
		note_plain(c, pl, s);
	if ((pl->notes || r->open || logs(c)) && note_request(c, r, p, pl) < 0)
		return client_out_of_memory(c);
	if (!is_primary(s) && pl->whole && c->status != 'E')
		keep_copy(r, p, pl->len);
	r->retry &= !pl->must;
	conn_put(c->all->base->net, &s->conn, p, pl->len);
	return r->resets && pl->whole && reapply(c, s) < 0 ? client_out_of_memory(c) : 1;
}

static size_t retry_bytes(const struct client *c)
{
	size_t n = 0;

	if (c->inflight)
		for (const struct request *r = c->last->server->head; r; r = r->next)
			n += r->copy_len;
	return n;
}

/* --- where to ------------------------------------------------------------ */

static struct server *server_on(const struct client *c, const struct node *n)
{
	for (struct server *s = c->lent; s; s = s->next_lent)
		if (s->node == n)
			return s;
	return NULL;
}

static bool still_lent(const struct client *c, const struct server *which)
{
	for (const struct server *s = c->lent; s; s = s->next_lent)
		if (s == which)
			return true;
	return false;
}

/* Where the transaction has failed: that node knows it, the others do not. */
static struct node *failed_node(const struct client *c)
{
	for (const struct server *s = c->lent; c->status == 'E' && s; s = s->next_lent)
		if (s->status == 'E')
			return s->node;
	return NULL;
}

/* A transaction ends where it was begun: on the primary if it is there, else on the replica. */
static struct node *ending_node(const struct client *c, struct node *primary)
{
	const struct server *s = server_on(c, primary);

	if (failed_node(c))
		return failed_node(c);
	if (s && s->status != 'I')
		return primary;
	for (s = c->lent; s; s = s->next_lent)
		if (s->status != 'I')
			return s->node;
	return primary;
}

/* Instead of a standby that is too far behind. */
__attribute__((cold))
static struct node *less_delayed(struct client *c, const struct plan *pl)
{
	struct nodes *nodes = c->all->servers->nodes;
	struct node *n = c->all->base->conf->prefer_lower_delay_standby ? nodes_nearest(nodes) : NULL;
	char detail[LOG_TEXT_MAX];

	if (n)
		return n;
	if (log_wants(c->all->base->log, LEVEL_DEBUG1)) {
		snprintf(detail, sizeof detail, "destination = %d for query= \"%.*s\"", nodes->primary,
			pl->text ? (int)pl->text_len : 0, pl->text ? pl->text : "");
		log_write(c->all->base->log, &c->who, LEVEL_DEBUG1, detail, NULL,
			"could not load balance because of too much replication delay");
	}
	return nodes_primary(nodes);
}

static struct node *choose_node(struct client *c, const struct plan *pl)
{
	struct node *primary = nodes_primary(c->all->servers->nodes);
	const struct account *a = c->borrower.profile->account;

	if (failed_node(c) && !pl->rolls_back_to)
		return failed_node(c);
	if (pl->must && still_lent(c, pl->must) && !pl->other && !c->force)
		return pl->must->node;
	if (pl->ends && !pl->other)
		return ending_node(c, primary);
	if (!pl->reads || pl->other || !pl->whole || c->force || c->primary_once || c->status == 'E'
	    || c->script.full || c->borrower.profile->replication
	    || !nodes_balance(c->all->servers->nodes))
		return primary;
	struct node *n = route_node(c->all->route, &c->session, a->user, a->database,
		c->borrower.profile->application_name);
	if (n->late)
		n = less_delayed(c, pl);
	return n->state == NODE_DOWN || pl->len > RETRY_BYTES ? primary : n;
}

/* The server for a planned request; NULL: it has to wait. */
static struct server *choose_server(struct client *c, const struct plan *pl)
{
	struct node *n = choose_node(c, pl);

	if (c->inflight) {
		struct server *s = c->last->server;
		if (c->last->alone)
			return NULL;
		bool same = s->node == n || (is_primary(s) && pl->reads && !pl->other && !pl->must);
		if (!is_primary(s) && (!pl->whole || retry_bytes(c) + pl->len > RETRY_BYTES))
			return NULL;
		return same && server_takes(s) ? s : NULL;
	}
	struct server *s = server_on(c, n);
	if (s)
		return server_takes(s) ? s : NULL;
	c->wanted = n;
	s = server_borrow(c->all->servers, &c->borrower, n, n == nodes_primary(n->all));
	if (!s) {
		c->waiting = true;
		return NULL;
	}
	s->next_lent = c->lent;
	c->lent = s;
	return s;
}

/* --- cutting ------------------------------------------------------------- */

/* What the proxy can answer itself, with nothing in flight. */
static bool answer_here(struct client *c, const struct plan *pl)
{
	if (pl->only_sync) {
		log_message(c, (struct msg){ .type = 'S' });
		say_ready(c);
	} else if (pl->simple && !pl->owed && pl->text && (begin_here(c, pl) || end_here(c, pl)))
		log_local(c, pl);
	else
		return false;
	return true;
}

static long dispatch(struct client *c, const uint8_t *p, size_t n)
{
	struct plan pl;
	int go = plan_request(c, &pl, p, n);

	if (go <= 0)
		return go;
	if (!c->inflight && answer_here(c, &pl))
		return (long)pl.len;
	struct server *s = choose_server(c, &pl);
	if (!s || send_request(c, s, p, &pl) < 0)
		return BLOCKED;
	c->primary_once = false;
	return (long)pl.len;
}

/* How much of a message must be there before it is sent: its fields that we read. */
static size_t needed(char type, size_t size)
{
	size_t some = type == 'd' ? WIRE_HEADER : REQUEST_KEEP;

	return size < some ? size : some;
}

/* What an appended message means; nothing, once PostgreSQL ignores it. */
static int note_appended(struct client *c, struct request *r, struct msg *m, const uint8_t *p,
                         size_t there, bool whole)
{
	struct plan one = { .len = there };

	if (c->copying && !strchr("dcf", m->type)) {
		c->copying = false;     /* an error, and then nothing up to the Sync */
		r->deaf = true;
	}
	if (r->deaf) {
		r->open = m->type != 'S';
		return 0;
	}
	if ((whole && agree_on_names(c, r->server, r, p, &one) < 0)
	    || note_message(c, r, m, whole) < 0)
		return -1;
	r->open = m->type != 'S' && m->type != 'Q' && m->type != 'F';
	r->owed += is_extended(m->type);
	r->alone |= r->simple && r->owed;
	return 0;
}

/* Appends one message, or the beginning of a long one, to the open request. */
static long append_message(struct client *c, const uint8_t *p, size_t n)
{
	struct request *r = c->last;
	size_t size = (size_t)wire_u32(p + 1) + 1, there = n < size ? n : size;
	struct msg m = { .type = (char)*p, .at = p + WIRE_HEADER, .end = p + there };

	if (r->nexpect - r->answered > EXPECTS_MAX || !server_takes(r->server))
		return BLOCKED;
	if (n < needed(m.type, size))
		return MORE;
	log_message(c, m);
	if (note_appended(c, r, &m, p, there, there == size) < 0)
		return client_out_of_memory(c);
	c->left = (uint32_t)(size - there);
	conn_put(c->all->base->net, &r->server->conn, p, there);
	return (long)there;
}

/* COPY data goes to whoever runs the last request; without one it is late and ignored, as
 * PostgreSQL does. */
static long copy_message(struct client *c, const uint8_t *p, size_t n)
{
	size_t size = (size_t)wire_u32(p + 1) + 1, there = n < size ? n : size;

	if (c->inflight && !server_takes(c->last->server))
		return BLOCKED;
	log_message(c, (struct msg){ .type = (char)*p });
	c->left = (uint32_t)(size - there);
	if (c->inflight) {
		if (*p != 'd' && !c->copying)
			c->last->late_ends += c->last->alone;
		else if (*p != 'd')
			c->copying = false;     /* CopyDone, or what ends it with an error */
		conn_put(c->all->base->net, &c->last->server->conn, p, there);
	}
	return (long)there;
}

/* After an error of our own: nothing counts before the Sync. */
static long skip_message(struct client *c, const uint8_t *p, size_t n)
{
	size_t size = (size_t)wire_u32(p + 1) + 1, there = n < size ? n : size;

	log_message(c, (struct msg){ (char)*p, p + WIRE_HEADER, p + there, false });
	c->left = (uint32_t)(size - there);
	if (*p == 'S') {
		c->skip = false;
		say_ready(c);
	}
	return (long)there;
}

/* A Sync or Flush that changes nothing. */
static long drop_message(struct client *c, const uint8_t *p)
{
	log_message(c, (struct msg){ .type = (char)*p });
	return WIRE_HEADER;
}

static long step(struct client *c, const uint8_t *p, size_t n)
{
	if (n < WIRE_HEADER)
		return MORE;
	uint32_t len = wire_u32(p + 1);
	if (len < 4 || len > MESSAGE_MAX)
		return client_refuse(c, "08P01", "invalid message length", NULL, NULL);
	if (*p == 'X') {
		log_message(c, (struct msg){ .type = 'X' });
		if (c->copying && c->inflight)
			conn_put(c->all->base->net, &c->last->server->conn, p, WIRE_HEADER);
		c->ended = true;
		return (long)n;         /* whatever stands behind it */
	}
	if (c->skip)
		return skip_message(c, p, n);
	/* What is no data ends COPY with an error, which is all the answer it gets. */
	bool data = *p == 'd' || *p == 'c' || *p == 'f' || (c->copying && *p != 'S' && *p != 'H');
	if (c->copying && (*p == 'S' || *p == 'H'))
		return drop_message(c, p);
	if (c->inflight && c->last->open)
		return append_message(c, p, n);
	if (data)
		return copy_message(c, p, n);
	if (*p == 'H')
		return drop_message(c, p);      /* what is in flight has its Sync, which flushes */
	return dispatch(c, p, n);
}

/* The rest of a message of which the beginning was sent (or dropped). */
static long stream(struct client *c, const uint8_t *p, size_t n)
{
	size_t take = c->left < n ? c->left : n;

	if (c->inflight && !c->skip) {
		if (!server_takes(c->last->server))
			return BLOCKED;
		conn_put(c->all->base->net, &c->last->server->conn, p, take);
	}
	c->left -= (uint32_t)take;
	return (long)take;
}

/* The client will send no more.  What is in flight gets its answers: PostgreSQL is told of the end
 * as the client told it, and closes when it is done. */
static void end_input(struct client *c)
{
	if (!c->inflight || conn_pending(&c->last->server->conn)) {
		if (!c->inflight)
			client_leave(c);
		return;
	}
	net_flush(c->all->base->net);
	if (!conn_pending(&c->last->server->conn))
		conn_shut(c->all->base->net, &c->last->server->conn);
}

void query_input(struct client *c, uint8_t *p, size_t n)
{
	long used = MORE;

	while (n && c->phase == AT_READY) {
		struct request *before = c->last;
		if (c->waiting || conn_pending(&c->conn))
			used = BLOCKED;
		else
			used = c->left ? stream(c, p, n) : step(c, p, n);
		if (used == 0 && c->last != before)
			continue;       /* a long request was opened: what is there is appended to it */
		if (used <= 0)
			break;
		c->force -= c->force < (size_t)used ? c->force : (uint32_t)used;
		p += used;
		n -= (size_t)used;
	}
	if (c->phase != AT_READY)
		return;
	bool more = !n || used == MORE;
	if (n && conn_keep(&c->conn, p, n) < 0)
		client_out_of_memory(c);
	else if (c->ended && more)
		end_input(c);
	else
		conn_reading(c->all->base->net, &c->conn, more && !c->ended);
}

/* --- no server ----------------------------------------------------------- */

/* The waiting request is answered with an error.  A session outside a transaction can go on. */
static void answer_error(struct client *c, const struct report *r)
{
	struct report error = *r;
	struct put o = net_build(c->all->base->net, 2048);
	uint8_t *p;
	long n = conn_refill(c->all->base->net, &c->conn, &p);

	error.severity = "ERROR";
	put_report(&o, 'E', &error);
	client_say(c, &o);
	log_write(c->all->base->log, &c->who, LEVEL_ERROR, r->detail, r->hint, "%s", r->message);
	if (n > 0 && (*p == 'Q' || *p == 'F')) {
		say_ready(c);
		size_t size = (size_t)wire_u32(p + 1) + 1, there = size < (size_t)n ? size : (size_t)n;
		c->left = (uint32_t)(size - there);
		p += there;
		n -= (long)there;
	} else {
		c->skip = true;
	}
	c->force = 0;
	query_input(c, p, (size_t)n);
}

/* A replica that cannot be had is no reason to fail: the primary answers. */
void query_refused(struct client *c, const struct refusal *r)
{
	struct node *primary = nodes_primary(c->all->servers->nodes);

	c->waiting = false;
	if (r->kind == REFUSED_MOVED) {
		client_resume(c);
	} else if (c->wanted != primary) {
		if (r->kind != REFUSED_NODE && r->kind != REFUSED_FULL)
			c->session.node = primary;      /* it knows not this database, say */
		c->primary_once = true;
		client_resume(c);
	} else if (r->kind == REFUSED_BACKEND || r->kind == REFUSED_SECRET || c->status != 'I') {
		client_refused(c, r);
	} else {
		answer_error(c, &r->report);
	}
}

void query_free(struct client *c)
{
	struct stmts *stmts = c->all->servers->stmts;

	if (c->inflight)
		session_committed(&c->session, c->all->route, database_of(c));  /* maybe */
	while (c->lent) {
		struct server *s = c->lent;
		remove_lent(c, s);
		if (c->copying || c->left)
			server_close(s, "its client left in the middle of a message");
		else
			server_return(s);
	}
	names_clear(stmts, &c->prepared);
	stmt_drop(stmts, c->unnamed);
	stmt_drop(stmts, c->bound);
	c->unnamed = c->bound = NULL;
	script_free(&c->script);
	session_free(&c->session);
}
