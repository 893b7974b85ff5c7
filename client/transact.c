#include "client/transact.h"

#include "client/agree.h"
#include "client/doubt.h"
#include "client/portal.h"
#include "client/remake.h"
#include "client/renew.h"
#include "client/unnamed.h"

#include <stdlib.h>
#include <string.h>

const struct report transact_lost = { "ERROR", "40001",
	"could not serialize access: the server that had the transaction's snapshot is gone", NULL,
	"The transaction might succeed if retried." };

/* --- which server -------------------------------------------------------- */

bool transact_bound(const struct client *c)
{
	return c->home && (c->pins || !script_is_whole(&c->script) || doubt_settings(c)
	                   || c->home->status != 'I');
}

struct node *transact_home(const struct client *c)
{
	return transact_bound(c) ? c->home->node : nodes_primary(c->all->servers->nodes);
}

bool transact_needs(const struct client *c, const struct server *s)
{
	return s == c->home && transact_bound(c);
}

static struct server *first_within(const struct client *c, const char *statuses)
{
	for (struct server *s = c->borrowed; s; s = s->next_borrowed)
		if (strchr(statuses, s->status))
			return s;
	return NULL;
}

bool transact_has_snapshot(const struct client *c)
{
	return c->session.in_transaction && (c->session.level == LEVEL_UNSAID
		|| c->session.level >= LEVEL_REPEATABLE_READ);
}

struct server *transact_owner(const struct client *c)
{
	return transact_has_snapshot(c) ? first_within(c, "TE") : NULL;
}

struct server *transact_failed(const struct client *c)
{
	if (c->status != 'E')
		return NULL;
	return c->home && c->home->status == 'E' ? c->home : first_within(c, "E");
}

/* --- its isolation level ------------------------------------------------- */

enum sql_level transact_level(const struct client *c, const struct sql_facts *begin)
{
	if (begin->level)
		return begin->level;
	if (doubt_settings(c))
		return LEVEL_UNSAID;
	return c->session.default_level ? c->session.default_level
	                                : c->borrower.profile->level;
}

bool transact_leaves(const struct client *c, const struct sql_facts *begin)
{
	switch (transact_level(c, begin)) {
	case LEVEL_READ_UNCOMMITTED: case LEVEL_READ_COMMITTED:
		return true;
	case LEVEL_REPEATABLE_READ:
		return (begin->flags & SQL_READ_ONLY) && !c->session.stays_home;
	case LEVEL_UNSAID: case LEVEL_SERIALIZABLE:     /* a standby refuses the latter */
		break;
	}
	return false;
}

/* A BEGIN within a transaction is a warning, but its modes count. */
void transact_begun(struct client *c, const struct sql_facts *f)
{
	struct session *s = &c->session;

	if (f->level || !s->in_transaction)
		s->level = transact_level(c, f);
	if (f->flags & (SQL_READ_ONLY | SQL_READ_WRITE))
		s->read_only = (f->flags & SQL_READ_ONLY) && !s->stays_home;
	s->in_transaction = true;
}

void transact_defaults(struct client *c)
{
	c->session.default_level = script_default_level(&c->script);
}

/* --- asked --------------------------------------------------------------- */

enum { LEVEL_REPLY = 256 };

/* SHOW, and its reply. */
struct question {
	struct request request;
	struct profile *profile;
	uint32_t n;
	uint8_t reply[LEVEL_REPLY];
};

static void take_reply(struct request *r, const uint8_t *p, size_t n)
{
	struct question *q = OWNER(r, struct question, request);

	if (n > sizeof q->reply - q->n)
		n = sizeof q->reply - q->n;
	memcpy(q->reply + q->n, p, n);
	q->n += (uint32_t)n;
}

static bool take_message(struct request *r, char type, const uint8_t *body, size_t len)
{
	(void)r, (void)type, (void)body, (void)len;
	return true;
}

/* DataRow: how many values, the length of the first, and that. */
static void answered(struct request *r, char status)
{
	struct question *q = OWNER(r, struct question, request);
	struct msg m;
	long len;

	(void)status;
	for (size_t at = 0; (len = wire_next(&m, q->reply + at, q->n - at, LEVEL_REPLY)) > 0;
	     at += (size_t)len)
		if (m.type == 'D' && m.end - m.at > 6)
			q->profile->level = (uint8_t)sql_level_named((const char *)m.at + 6,
				(size_t)(m.end - m.at - 6));
}

static void lost(struct request *r) { (void)r; }

static void release(struct request *r)
{
	struct question *q = OWNER(r, struct question, request);

	profile_drop(q->profile);
	free(q);
}

static const struct request_ops question_ops = { take_reply, take_message, answered, lost };

/* relcache_expire is how long answers of this kind are believed. */
static bool is_known(const struct client *c, int64_t now)
{
	const struct profile *p = c->borrower.profile;
	int64_t seconds = c->all->base->conf->relcache_expire;

	return p->level && (!seconds || (now - p->level_at) / 1000 < seconds);
}

/* The session's own settings are not those of its profile.  It counts as not having any of this
 * name while it has no pins: no code of anybody has set it, and a SET is in the script. */
int transact_ask_level(struct client *c, struct server *s)
{
	static const char sql[] = "SHOW default_transaction_isolation";
	struct profile *p = c->borrower.profile;
	int64_t now = loop_now(c->all->base->loop);

	if (is_known(c, now) || c->session.default_level || c->pins
	    || !script_is_whole(&c->script) || doubt_settings(c) || c->status == 'E')
		return 0;
	struct question *q = calloc(1, sizeof *q);
	if (!q)
		return -1;
	q->request = (struct request){ .ops = &question_ops, .release = release };
	q->profile = profile_hold(p);
	p->level_at = now;
	unnamed_ends_on(c, s);
	server_send(s, &q->request);
	return conn_put_message(s->all->base->net, &s->conn, 'Q', sql, sizeof sql);
}

/* A statement of ours.  It leaves an unnamed statement alone that nobody could make again. */
static int own(struct client *c, struct server *s, const char *sql,
               void (*then)(struct request *r, bool ok))
{
	if (unnamed_must_live(c, s))
		return remake_run(s, sql, then);
	unnamed_ends_on(c, s);
	return server_own(s, sql, then, NULL);
}

/* --- legs, and a lost snapshot ------------------------------------------- */

/* Settings of the transaction are undone with it there, and made again from the script. */
void transact_end_legs(struct client *c)
{
	uint32_t before = script_settled(&c->script);

	for (struct server *s = c->borrowed, *next; s; s = next) {
		next = s->next_borrowed;
		if (s == c->home || s->status == 'I')
			continue;
		s->status = 'I';
		if (s->script > before)
			s->script = before;
		own(c, s, "ROLLBACK", agree_or_close);
	}
}

void transact_leave(struct client *c, struct server *s)
{
	client_detach(c, s);
	server_return(s);
}

void transact_come_home(struct client *c)
{
	struct server *s = transact_owner(c);

	if (!s || s == c->home || s->status == 'E')
		return;
	c->session.lost = c->session.seen;
	c->session.stays_home = c->session.no_replica = true;
	transact_leave(c, s);
}

int transact_repeat_reads(struct client *c, struct server *s)
{
	return c->session.queried && c->session.in_transaction
	       ? own(c, s, "SELECT 1", NULL) : 0;
}

bool transact_outlives(const struct client *c, char status)
{
	return status == 'E' && c->home && c->home->status == 'T';
}

/* Most often the statement failed when it ran, and left a portal with columns: so does ours. */
int transact_put_doom(struct client *c, struct server *s, struct request *r)
{
	static const char sql[] = "SELECT pg_catalog.concat('failed on another server than ',"
		" pg_catalog.pg_backend_pid())::pg_catalog.int4";

	r->quiet = r->reports = true;
	s->status = 'E';                /* what follows need not wait for the answer */
	if (unnamed_must_live(c, s))
		return remake_put(s, sql);
	s->portal_past = false;
	unnamed_ends_on(c, s);
	return conn_put_message(s->all->base->net, &s->conn, 'Q', sql, sizeof sql);
}

int transact_doom(struct client *c, struct server *s)
{
	if (c->status != 'E' || transact_failed(c))
		return 0;
	struct request *r = server_own_request(s, NULL, NULL);
	c->session.begun_anew = s->status != 'T' && transact_has_snapshot(c);
	return r ? transact_put_doom(c, s, r) : -1;
}

/* --- its end ------------------------------------------------------------- */

/* Its writes and its LISTEN are known to be there, or not to be there.  While requests are in
 * flight, their tables are in the same list, so none can be forgotten. */
static void end_writes(struct client *c, bool committed)
{
	session_settle_temporary(&c->session, committed);
	if (committed)
		session_committed(&c->session, c->all->route, client_database(c));
	else if (c->session.listened)
		c->pins &= (uint8_t)~PIN_LISTEN;
	c->session.listened = false;
	if (!c->inflight)
		session_forget_written(&c->session);
}

/* The client's answer does not wait for the other servers: one that does not end as it should is
 * closed. */
void transact_ended(struct client *c, bool committed)
{
	for (struct server *s = c->borrowed, *next; s; s = next) {
		next = s->next_borrowed;
		if (s->status == 'I')
			continue;
		own(c, s, committed ? "COMMIT" : "ROLLBACK", agree_or_close);
		s->status = 'I';        /* once is enough; its answer tells, too */
	}
	if (committed)
		script_commit(&c->script);
	else
		script_rollback(&c->script);
	c->session.changed &= committed;
	transact_defaults(c);
	session_ended_transaction(&c->session);
	end_writes(c, committed);
}

/* One that has failed has lost the modes that its statements have set: PostgreSQL begins the next
 * one with the defaults.  Those that it had from a chain are kept. */
void transact_chained(struct client *c, struct server *authority, bool committed)
{
	struct sql_facts begin = { .kind = SQL_BEGIN };
	bool lost = c->status == 'E' && !c->session.chained;
	bool unsaid = lost || script_changes_modes(&c->script);
	char *text = lost ? NULL : script_begin(&c->script);
	uint8_t level = c->session.level;
	bool read_only = c->session.read_only;

	transact_ended(c, committed);
	c->session.in_transaction = c->session.chained = true;
	c->session.level = unsaid ? LEVEL_UNSAID : level;
	c->session.read_only = read_only && !lost;
	if (script_add(&c->script, &begin, "", text ? text : "BEGIN", text ? strlen(text) : 5) == 0)
		authority->script = c->script.serial;
	free(text);
}

/* Outside a transaction the changes are visible to all, and the catalog can be asked about them.
 * Within it, answers would be those of before. */
static void tell_catalog(struct client *c)
{
	struct catalog *cat = c->all->catalog;

	if (c->session.changed) {
		catalog_changed(cat, c->borrower.profile->account);
		accounts_forget_levels(c->all->servers->accounts);
		bodies_changed(c->all->bodies, c->borrower.profile->account);
	}
	c->session.changed = false;
	if (c->session.altered)
		servers_doubt(c->all->servers);
	c->session.altered = false;
	renew_after(c);
}

/* A transaction may begin and end within one request, and a SET outside of any is one of its own:
 * then only the new lines of the script say that there is something to end. */
void transact_status(struct client *c, char status, bool failed)
{
	struct session *s = &c->session;
	bool was = s->in_transaction;

	c->status = status;
	if (status == 'I' && !c->inflight)      /* else some are of later requests */
		portals_forget(c, NULL);
	/* What has failed may have committed a part of it: CALL, or several statements. */
	if (status == 'I' && s->unseen)
		session_saw_all(s, c->all->route, client_database(c));
	if (status == 'I')
		s->unseen = s->unseen && c->inflight > 0;
	if (status == 'I' && (was || c->script.n > c->script.transaction)) {
		transact_ended(c, !failed);
	} else if (status == 'I') {
		s->wrote = s->no_replica = false;
		s->queried &= c->inflight > 0;
		end_writes(c, !failed);
	} else {
		s->in_transaction = s->seen = true;
		s->wrote_before |= s->wrote;
	}
	if (status == 'I')
		tell_catalog(c);
}
