#include "client/query.h"

#include "client/agree.h"
#include "client/choice.h"
#include "client/doubt.h"
#include "client/effect.h"
#include "client/facts.h"
#include "client/here.h"
#include "client/last.h"
#include "client/leaves.h"
#include "client/portal.h"
#include "client/remake.h"
#include "client/renew.h"
#include "client/reply.h"
#include "client/signal.h"
#include "client/tell.h"
#include "client/trace.h"
#include "client/transact.h"
#include "client/unnamed.h"
#include "client/unread.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum {
	EXPECTS_MAX = 16384,                    /* PostgreSQL flushes long before it owes so many */
	AWAITED_MAX = 4,                        /* of the catalog: of many names, some may never
	                                         * be known all at once */
};

/* --- sending ------------------------------------------------------------- */

static void put_bytes_of(struct query *q, const uint8_t *p, size_t n)
{
	struct server *s = q->request.server;

	if (n)
		conn_put(s->all->base->net, &s->conn, p, n);
}

/* A statement that is kept for later is described to us, unless the client asks for just that in
 * its next message. */
static bool wants_describe(const struct plan *pl, struct msg m, const uint8_t *p, size_t n)
{
	const char *name = msg_text(&m);
	struct msg next;

	if (m.type != 'P' || (!*name && pl->executes))
		return false;
	return wire_next(&next, p, n, MESSAGE_MAX) <= 0 || next.type != 'D' || *next.at++ != 'S'
	       || strcmp(msg_text(&next), name);
}

/* The second walk over the messages, which also sends them.  Unlike the plan it changes the
 * session, so it comes once.  Messages of ours go in between. */
static int send_noted(struct client *c, struct query *q, const uint8_t *p, const struct plan *pl,
                      const struct refused *no)
{
	struct msg m;
	size_t sent = 0;

	q->extended = 0;
	for (size_t at = 0; at < pl->len; ) {
		size_t begin = at;
		at += (size_t)wire_next(&m, p + at, pl->len - at, MESSAGE_MAX);
		trace_message(c, m);
		if (no && no->at == begin) {
			put_bytes_of(q, p + sent, begin - sent);
			sent = q->simple ? at : begin;
			if (remake_refuse(q, no) < 0)
				return -1;
		}
		bool describe = wants_describe(pl, m, p + at, pl->len - at);
		q->extended += plan_is_extended(m.type);
		if (effect_note(c, q, &m, true) < 0)
			return -1;
		if (describe) {
			put_bytes_of(q, p + sent, at - sent);
			sent = at;
			if (remake_describe(q) < 0)
				return -1;
		}
	}
	put_bytes_of(q, p + sent, pl->len - sent);
	return pl->whole ? effect_describe(q) : 0;
}

/* A replica's request may have to run again on the primary.  Without memory for the copy it simply
 * cannot. */
static void keep_copy(struct query *q, const uint8_t *p, size_t len)
{
	q->copy = malloc(len);
	q->retry = q->copy != NULL;
	q->copy_len = q->copy ? (uint32_t)len : 0;
	if (q->copy)
		memcpy(q->copy, p, len);
}

/* A Query of our own ends the server's unnamed statement.  Does the request need it? */
static bool keeps_unnamed(const struct client *c, const struct server *s, const struct plan *pl)
{
	return c->unnamed.on == s && !pl->simple && !pl->unnamed;
}

/* For as long as it was taken back: SET LOCAL .. TO DEFAULT does so for the time of the
 * transaction. */
static int agree_on_name(struct client *c, struct server *s)
{
	char sql[SERVER_NAME_SQL];

	if (!agree_lacks_name(c, s) || s->status == 'E' || c->inflight)
		return 0;
	server_put_name(s, script_is_local(&c->script, "application_name"), sql);
	return remake_run(s, sql, agree_or_close);
}

/* What the transaction needs in front of the request. */
static int agree_on_transaction(struct client *c, struct server *s, const struct plan *pl)
{
	bool runs = pl->executes || pl->simple || !pl->whole;

	if (s == c->home && runs && (pl->writes || pl->ends || !pl->whole))
		transact_end_legs(c);
	bool may_ask = s == c->home && !keeps_unnamed(c, s, pl);
	bool begins = pl->begins || (c->session.in_transaction && s->status == 'I');
	if (may_ask && begins && transact_ask_level(c, s) < 0)
		return -1;
	/* Settings, and BEGIN. */
	if (agree_on_name(c, s) < 0 || agree_on_script(c, s) < 0 || transact_doom(c, s) < 0)
		return -1;
	return may_ask && pl->sets_modes ? transact_repeat_reads(c, s) : 0;
}

/* A replica may be behind, so it is not the one to say that a statement has changed; nor is home if
 * the transaction's snapshot is there. */
__attribute__((cold))
static int leave_replica(struct client *c, struct server *s)
{
	c->primary_once = true;
	if (s == transact_owner(c)) {
		transact_come_home(c);
	} else if (c->session.in_transaction) {
		c->session.no_replica = true;
		transact_leave(c, s);
	}
	client_resume(c);
	return BLOCKED;
}

/* A Query that cannot be parsed leaves the server's unnamed portal for later, and so does a Bind
 * that fails.  Of an open request nobody knows what will be appended. */
static bool shows_past_portal(const struct client *c, const struct server *s, const struct plan *pl)
{
	return s->portal_past
	       && (pl->no_portal || pl->portal || !pl->whole || (pl->simple && !c->portal_on));
}

/* The script comes first: statements are prepared under its settings. */
static enum remade agree(struct client *c, struct server *s, const uint8_t *p,
                         const struct plan *pl, struct refused *no)
{
	if ((c->asking || c->asks_later) && !c->inflight && s == c->home && agree_lacks_name(c, s))
		return AWAITED;         /* code may have set the very same */
	if (agree_on_transaction(c, s, pl) < 0)
		return REMADE_NO_MEMORY;
	if (pl->revives && agree_under_way(s))
		return AWAITED;
	bool shows = shows_past_portal(c, s, pl);
	if (shows && c->inflight)
		return AWAITED;
	if (shows && remake_drop_portal(s) < 0)
		return REMADE_NO_MEMORY;
	return pl->notes ? remake_names(c, s, NULL, p, pl, no) : remake_name(c, s, p, pl, no);
}

/* Is it certain that the session is outside of a transaction behind this request?  Nothing may be
 * sent behind COPY FROM, which would take it for data, or behind a Query that may not be heard. */
static bool ends_idle(const struct client *c, const struct query *q, const struct plan *pl)
{
	return pl->whole && c->status == 'I' && !q->before && !pl->begins && !pl->may_begin
	       && !q->barrier;
}

static bool only_ends(const struct plan *pl)
{
	return pl->ends && !pl->reads && !pl->other;
}

static int send_request(struct client *c, struct server *s, const uint8_t *p, struct plan *pl);

/* What the statement in front of this place has made of a failed transaction has to be known: the
 * request is begun there, and goes on as an open one, which is cut. */
__attribute__((cold))
static int send_beginning(struct client *c, struct server *s, const uint8_t *p, struct plan *pl,
                          size_t len)
{
	c->hurried = true;
	return plan_request(c, pl, p, len) > 0 ? send_request(c, s, p, pl) : BLOCKED;
}

/* A transaction that has read on the primary reads on there: it does not go back in time. */
static void note_read_at_home(struct client *c, const struct plan *pl)
{
	const struct conf *conf = c->all->base->conf;

	if (conf->load_balance_consistency == CONSISTENCY_OFF)
		return;
	enum consistency scope = conf->load_balance_consistency;
	c->session.unsure |= pl->unknown;
	c->session.unseen |= (scope == CONSISTENCY_MONOTONIC && pl->peeks)
		|| (scope == CONSISTENCY_GLOBAL && pl->unknown);
	c->session.no_replica |= pl->peeks && (c->session.in_transaction || pl->begins)
		&& conf->disable_load_balance_on_write < DLBOW_DML_ADAPTIVE;
}

static void note_read_away(struct client *c, struct server *s)
{
	c->session.away = true;
	if (c->all->base->conf->load_balance_consistency == CONSISTENCY_MONOTONIC)
		c->session.node = s->node;
}

static int send_request(struct client *c, struct server *s, const uint8_t *p, struct plan *pl)
{
	struct refused no;
	enum remade made = agree(c, s, p, pl, &no);

	if (made == REMADE_NO_MEMORY)
		return client_out_of_memory(c);
	if (s->phase != LENT || made == AWAITED)
		return BLOCKED;         /* or it broke meanwhile */
	c->asked = NULL;
	if (made == REFUSED && !no.failed && s != c->home)
		return leave_replica(c, s);
	if (made == REFUSED && no.failed && (pl->revives || pl->rolls_back_to) && no.at)
		return send_beginning(c, s, p, pl, no.at);
	struct query *q = query_new(c, s, &reply_ops);
	if (!q)
		return client_out_of_memory(c);
	/* An open request is noted from its beginning: nobody knows what will be appended. */
	bool notes = pl->notes || !pl->whole || trace_on(c) || made == REFUSED
	             || (c->doubt && pl->unnamed);
	c->input = pl->whole ? INPUT_REQUEST : INPUT_OPEN;
	if (pl->unknown)
		facts_read_unknown(c);
	c->session.queried |= s != c->home && pl->queries;
	if (s == c->home)
		note_read_at_home(c, pl);
	else if (pl->peeks)
		note_read_away(c, s);
	s->node->requests[pl->reason]++;
	q->simple = pl->simple;
	q->barrier = pl->barrier;
	q->revives = pl->revives;
	q->extended = pl->extended;
	if (s != c->home && pl->whole)
		keep_copy(q, p, pl->len);
	/* A request that uses a portal or the unnamed statement of that replica cannot run again
	 * on its own.  It keeps its copy: it can together with the request in front of it that
	 * made them, when that is taken back. */
	q->retry &= !pl->must;
	if (pl->does & LEAVES_SIGNAL)
		signal_translate(c, s->node, pl->does & LEAVES_END, (uint8_t *)(uintptr_t)p,
			pl->len);
	if (notes && send_noted(c, q, p, pl, made == REFUSED ? &no : NULL) < 0)
		return client_out_of_memory(c);
	if (!notes) {
		effect_note_plain(c, pl, q);
		conn_put(c->all->base->net, &s->conn, p, pl->len);
	}
	if (c->script.spilt && !c->script.full && ends_idle(c, q, pl))
		doubt_ask_soon(c);
	if (c->doubt && (c->ask_soon || pl->looks) && ends_idle(c, q, pl))
		doubt_ask(c, s);
	return 1;
}

/* --- cutting ------------------------------------------------------------- */

/* Sends a message, or the beginning of a long one, whose rest goes there, too.  To NULL: drops
 * it. */
static long use_beginning(struct client *c, struct server *to, const uint8_t *p, size_t n)
{
	size_t size = (size_t)wire_u32(p + 1) + 1, there = n < size ? n : size;

	c->left = (uint32_t)(size - there);
	c->left_to = to;
	if (to) {
		to->within = there < size;
		conn_put(c->all->base->net, &to->conn, p, there);
	}
	return (long)there;
}

/* After an error of our own: nothing counts before the Sync. */
static long skip_message(struct client *c, const uint8_t *p, size_t n)
{
	size_t size = (size_t)wire_u32(p + 1) + 1, there = n < size ? n : size;

	trace_message(c, (struct msg){ (char)*p, p + WIRE_HEADER, p + there, false });
	if (*p == 'S') {
		c->input = INPUT_REQUEST;
		reply_ready(c);
	}
	return use_beginning(c, NULL, p, n);
}

/* The request that begins at p is answered with an error.  The rest of it is dropped, as PostgreSQL
 * would do after an error: the one Query, or all messages up to the Sync.  Returns how much of the
 * input was used. */
static long answer_error(struct client *c, const struct report *r, const uint8_t *p, size_t n)
{
	struct put o = net_build(c->all->base->net, 2048);

	codes_count(&c->all->errors, r->sqlstate, CODE_CLASS);
	put_report(&o, 'E', r);
	client_say(c, &o);
	log_write(c->all->base->log, &c->who, LEVEL_ERROR, r->detail, r->hint, "%s", r->message);
	c->for_primary = 0;
	if (n && (*p == 'Q' || *p == 'F')) {
		reply_ready(c);
		return use_beginning(c, NULL, p, n);
	}
	c->input = INPUT_SKIPPED;
	return n ? skip_message(c, p, n) : 0;
}

/* Sessions that are about to end are given a moment, as PostgreSQL does. */
__attribute__((cold))
static long refuse_to_disturb(struct client *c, const struct plan *pl, const uint8_t *p, size_t n)
{
	char message[WIRE_NAME_MAX + 64], detail[80];
	struct disturbed what;
	unsigned others = renew_disturbs(c, pl->takes, pl->takes_len, &what);
	struct report in_use = { "ERROR", "55006", message, detail, NULL };

	if (c->inflight)
		return BLOCKED;
	if (!c->hurried) {
		if (!c->partial)
			timer_set(c->all->base->loop, &c->timer, REQUEST_PAUSE);
		c->partial = true;
		return BLOCKED;
	}
	snprintf(message, sizeof message, "%s \"%s\" is being accessed by other users",
		what.source ? "source database" : "database", what.name);
	snprintf(detail, sizeof detail, others == 1
	         ? "There is %u other session using the database."
	         : "There are %u other sessions using the database.", others);
	return answer_error(c, &in_use, p, n);
}

/* They went with the replica that had the snapshot, or go with it now. */
static bool savepoints_lost(const struct client *c, const struct server *failed, bool stays)
{
	if (c->status != 'E')
		return false;
	if (!failed)
		return c->session.seen && transact_has_snapshot(c) && !transact_outlives(c, 'E');
	return c->session.begun_anew
	       || (failed == transact_owner(c) && failed != c->home && !stays);
}

/* What stands behind the end of a transaction is home's, so the end is, too, though only a replica
 * has the transaction.  What stands in front of it needs that one's snapshot.  A failed transaction
 * can be failed anywhere: all goes home, where it may meet its portal, but its end, and what the
 * replica alone has: a portal; with the snapshot, savepoints. */
static void end_at_home(struct client *c, const struct plan *pl)
{
	struct server *failed = transact_failed(c), *s = failed ? failed : transact_owner(c);
	bool its = failed && failed == transact_owner(c)
	           && (pl->rolls_back_to ? !pl->follows : !pl->ends);
	bool stays = failed ? its || (pl->whole && only_ends(pl))
	                      || (pl->must == failed && !pl->ends)
	                    : !pl->follows && (pl->whole || !pl->ends);

	c->session.lost |= pl->rolls_back_to && !pl->ends_first && savepoints_lost(c, failed, its);
	if (!s || s == c->home || pl->only_sync)
		return;
	if (!failed && !c->session.read_only) {         /* chained to a failed one */
		transact_leave(c, s);
		return;
	}
	if (stays)
		return;
	if (!failed && !pl->ends_first)
		transact_come_home(c);
	else
		transact_leave(c, s);
}

/* The message is the proxy's to answer.  *why: it is refused; else NULL. */
static long tell(struct client *c, const uint8_t *p, size_t n, const struct report **why)
{
	const struct report *no;
	struct msg m;
	long len = wire_next(&m, p, n, MESSAGE_MAX);
	enum told told = tell_message(c, m, &no);

	*why = told == TOLD_NOT ? no : NULL;
	if (told == TELLS_MORE)
		client_resume(c);
	return told == TOLD ? len : BLOCKED;
}

/* Nothing is in front of it.  Its error fails an open transaction. */
static long tell_first(struct client *c, const uint8_t *p, size_t n)
{
	const struct report *why;
	long used = tell(c, p, n, &why);

	if (!why)
		return used;
	c->status = c->status == 'T' ? 'E' : c->status;
	return answer_error(c, why, p, n);
}

/* A request begins: plans it and sends it, or leaves all of it to wait. */
static long dispatch(struct client *c, const uint8_t *p, size_t n)
{
	struct plan pl;

	doubt_hear(c);
	int go = plan_request(c, &pl, p, n);

	if (go <= 0)
		return go;
	if (pl.own && !pl.len)
		return c->inflight ? BLOCKED : tell_first(c, p, n);
	own_canceled(c);                /* what it has begun may be ours no longer: DEALLOCATE */
	last_note(c, pl.text ? pl.text : pl.last, pl.text ? pl.text_len : pl.last_len);
	if (pl.does & LEAVES_SIGNAL)
		pl.signals = signal_node(c, p, pl.len);
	if (!c->inflight && here_answer(c, &pl))
		return (long)pl.len;
	if (pl.awaits && c->awaited < AWAITED_MAX) {
		c->awaited += !c->awaits;
		c->awaits = c->all->awaited = true;
		return BLOCKED;
	}
	if (!c->inflight)
		end_at_home(c, &pl);
	if (!c->inflight && pl.home_only)
		transact_come_home(c);
	if (c->session.lost && !pl.ends_first) {
		c->status = 'E';
		c->session.lost = false;
		return answer_error(c, &transact_lost, p, n);
	}
	if (pl.takes)
		return refuse_to_disturb(c, &pl, p, n);
	struct server *s = choice_server(c, &pl);
	if (!s || (!c->paused && server_stirs(s)) || send_request(c, s, p, &pl) < 0)
		return BLOCKED;
	c->primary_once = false;
	c->awaited = 0;
	return (long)pl.len;
}

/* How much of a message must be there before it is sent: the fields that we read.  A Bind of a
 * gigabyte has its names in the beginning, and of CopyData only the header counts. */
static size_t needed(char type, size_t size)
{
	size_t some = type == 'd' ? WIRE_HEADER : REQUEST_KEEP;

	return size < some ? size : some;
}

/* In COPY FROM STDIN only data counts, and CopyDone or CopyFail, which end it.  Anything else ends
 * it with an error, and then nothing counts up to the Sync. */
static void note_copied(struct client *c, char type)
{
	if (!strchr("dcf", type))
		c->input = INPUT_IGNORED;
	else if (type != 'd')
		c->input = INPUT_OPEN;
}

/* Does it make no difference if the open request ends here? */
static bool ends_harmlessly(const struct client *c, const struct query *q)
{
	return c->session.in_transaction || (!q->executes && !c->portal_on && !c->portals);
}

/* The statements that an appended message uses.  REFUSED: in a request of its own they can be
 * made. */
static enum remade agree_on_appended(struct client *c, struct query *q, const uint8_t *p,
                                     size_t n)
{
	struct plan one = { .len = n };
	struct refused no;
	enum remade made = remake_names(c, q->request.server, q, p, &one, &no);

	if (made == REFUSED && !ends_harmlessly(c, q))
		made = remake_refuse(q, &no) < 0 ? REMADE_NO_MEMORY : REMADE;
	if (made != AWAITED)
		c->asked = NULL;
	return made;
}

/* Notes what an appended message means.  Messages that PostgreSQL ignores mean nothing, but for the
 * Sync that ends this. */
static int note_appended(struct client *c, struct query *q, struct msg *m, bool whole)
{
	if (c->input == INPUT_COPY) {
		note_copied(c, m->type);
		return 0;
	}
	if (c->input == INPUT_OPEN) {
		q->extended += plan_is_extended(m->type);
		if (effect_note(c, q, m, whole) < 0)
			return -1;
		q->barrier |= q->simple && query_unanswered(q);
	}
	if (m->type == 'S' || (c->input == INPUT_OPEN && (m->type == 'Q' || m->type == 'F')))
		c->input = INPUT_REQUEST;
	return 0;
}

/* Must the message run elsewhere than the open request, or wait for the catalog?  On a replica that
 * has the snapshot, only what means nothing there, or follows the end of the transaction; on any
 * other, which has a portal that the request began with, all that a replica may not serve. */
static bool leaves_request(struct client *c, const struct query *q, struct msg m, bool *revives)
{
	const struct server *s = q->request.server;

	if (client_home(c, s) || q->barrier)
		return false;
	struct plan pl = { .revives = q->revives };
	plan_appended(c, &pl, m);
	*revives = pl.revives;
	return pl.home_only || pl.follows || (pl.awaits && c->awaited < AWAITED_MAX)
	       || (pl.other && !pl.must && s != transact_owner(c));
}

/* The open request ends in front of the message, with a Sync that the client did not send; it does
 * not see the answer either.  What follows is a request of its own, unless this one fails. */
__attribute__((cold))
static long cut_request(struct client *c, struct query *q)
{
	struct server *s = q->request.server;

	if (conn_put_message(s->all->base->net, &s->conn, 'S', NULL, 0) < 0)
		return client_out_of_memory(c);
	q->cut = q->barrier = true;
	c->input = INPUT_REQUEST;
	return BLOCKED;
}

/* The proxy's own: it is answered when all in front of it has been, which a Flush brings about.
 * One that fails begins a request of its own. */
__attribute__((cold))
static long tell_appended(struct client *c, struct query *q, const uint8_t *p, size_t n)
{
	struct server *s = q->request.server;
	const struct report *why;

	if (query_unanswered(q)) {
		if (!q->flushed && conn_put_message(s->all->base->net, &s->conn, 'H', NULL, 0) < 0)
			return client_out_of_memory(c);
		q->flushed = true;
		return BLOCKED;
	}
	long used = tell(c, p, n, &why);
	return why ? cut_request(c, q) : used;
}

/* Does the proxy answer the message that is appended? */
static bool is_own(struct client *c, struct msg m)
{
	struct plan pl = { .len = 0 };

	if (m.type == 'P' || m.type == 'Q')
		plan_appended(c, &pl, m);
	return pl.own || own_uses(c, &m);
}

/* Appends one message, or the beginning of a long one, to the open request.  It waits while too
 * many of the request are unanswered: a client that never sends a Sync must not make that list grow
 * for ever. */
static long append_message(struct client *c, const uint8_t *p, size_t n)
{
	struct query *q = c->last;
	struct server *s = q->request.server;
	size_t size = (size_t)wire_u32(p + 1) + 1, there = n < size ? n : size;
	struct msg m = { .type = (char)*p, .at = p + WIRE_HEADER, .end = p + there };

	if (q->request.nexpect - q->request.answered > EXPECTS_MAX || !server_takes(s))
		return BLOCKED;
	if (n < needed(m.type, size))
		return MORE;
	bool whole = there == size, open = c->input == INPUT_OPEN;
	bool revives = false;
	if (whole && open && is_own(c, m))      /* a Query ends what is in front of it */
		return m.type == 'Q' ? cut_request(c, q) : tell_appended(c, q, p, n);
	q->flushed = false;
	if (whole && open && leaves_request(c, q, m, &revives))
		return cut_request(c, q);
	enum remade made = whole && open ? agree_on_appended(c, q, p, there) : REMADE;
	if (made == AWAITED)
		return BLOCKED;
	if (made == REFUSED)
		return cut_request(c, q);
	trace_message(c, m);
	q->revives |= revives;
	bool describe = whole && open && m.type == 'P' && *m.at;
	if (made == REMADE_NO_MEMORY || note_appended(c, q, &m, whole) < 0)
		return client_out_of_memory(c);
	long used = use_beginning(c, s, p, n);
	return describe && remake_describe(q) < 0 ? client_out_of_memory(c) : used;
}

/* COPY data goes to whoever copies, or may be about to.  PostgreSQL ignores it otherwise, so it
 * does no harm there; it is dropped when nothing runs.  After a COPY has failed, clients still
 * send the rest of its data.  What is no part of COPY ends it and the connection, or, if it has
 * failed already, is answered: so nobody else may get that server. */
static long copy_message(struct client *c, const uint8_t *p, size_t n)
{
	struct query *q = c->last;
	struct server *to = q ? query_server(c) : NULL;
	bool comes_back = q && q->retry && !q->request.progress;        /* into the input */

	if (to && ((comes_back && c->input != INPUT_COPY) || !server_takes(to)))
		return BLOCKED;
	trace_message(c, (struct msg){ .type = (char)*p });
	if (to && *p != 'd' && *p != 'c' && *p != 'f')
		to->strays = true;
	if (*p != 'd' && c->input == INPUT_COPY)
		c->input = INPUT_REQUEST;       /* CopyDone, or one that ends COPY with an error */
	else if (*p != 'd' && q && q->late_ends < q->copies)
		q->late_ends++;
	return use_beginning(c, to, p, n);
}

/* A Sync or Flush that changes nothing: PostgreSQL, too, ignores both within COPY data. */
static long drop_message(struct client *c, const uint8_t *p)
{
	if (wire_u32(p + 1) != 4)
		return client_refuse(c, "08P01", "invalid message format", NULL, NULL);
	trace_message(c, (struct msg){ .type = (char)*p });
	return WIRE_HEADER;
}

/* A Terminate is not sent on: the server goes back to the pool.  Within COPY, or what may be one,
 * it is, as PostgreSQL waits for data and has to learn that there will be none. */
static long leave(struct client *c, const uint8_t *p, size_t n)
{
	bool copies = c->input == INPUT_COPY || (c->inflight && c->last->copies);
	struct server *s = copies ? query_server(c) : NULL;

	trace_message(c, (struct msg){ .type = 'X' });
	if (s) {
		conn_put(c->all->base->net, &s->conn, p, WIRE_HEADER);
		s->strays = true;
	}
	c->ended = true;
	return (long)n;                 /* and all that stands behind it */
}

/* Does the COPY belong to the last request, which then goes on to its Sync?  One that was not seen
 * coming may have others behind it. */
static bool copies_at_end(const struct client *c)
{
	return !c->last->simple && query_server(c)->head == &c->last->request;
}

/* Takes one message.  If that begins a request, takes as many as there are of it. */
static long step(struct client *c, const uint8_t *p, size_t n)
{
	if (n < WIRE_HEADER)
		return MORE;
	uint32_t len = wire_u32(p + 1);
	if (len < 4 || len > MESSAGE_MAX)
		return client_refuse(c, "08P01", "invalid message length", NULL, NULL);
	if (*p == 'X')
		return leave(c, p, n);
	switch (c->input) {
	case INPUT_SKIPPED:
		return skip_message(c, p, n);
	case INPUT_OPEN: case INPUT_IGNORED:
		return append_message(c, p, n);
	case INPUT_COPY:
		if (*p == 'S' || *p == 'H')
			return drop_message(c, p);
		return copies_at_end(c) ? append_message(c, p, n) : copy_message(c, p, n);
	case INPUT_REQUEST:
		break;
	}
	if (*p == 'd' || *p == 'c' || *p == 'f')
		return copy_message(c, p, n);
	if (*p == 'H')
		return drop_message(c, p);      /* requests in flight have a Sync, which flushes */
	return dispatch(c, p, n);
}

/* The rest of a message whose beginning was sent, or dropped.  The server's request may have ended
 * meanwhile. */
static long stream(struct client *c, const uint8_t *p, size_t n)
{
	size_t take = c->left < n ? c->left : n;

	if (c->left_to) {
		if (!server_takes(c->left_to))
			return BLOCKED;
		c->left_to->within = take < c->left;
		conn_put(c->all->base->net, &c->left_to->conn, p, take);
	}
	if (c->left_to && c->inflight)
		unread_more(c, c->last, p, take);
	c->left -= (uint32_t)take;
	return (long)take;
}

/* The client will send no more.  Requests in flight get their answers: PostgreSQL is told of the
 * end as the client told it, and closes when it is done. */
static void end_input(struct client *c)
{
	conn_reading(c->all->base->net, &c->conn, false);
	if (!c->inflight)
		client_leave(c);
	if (!c->inflight || conn_pending(&query_server(c)->conn))
		return;
	net_flush(c->all->base->net);
	if (!conn_pending(&query_server(c)->conn))
		conn_shut(c->all->base->net, &query_server(c)->conn);
}

/* Takes as many requests as can go now.  The rest is kept and comes again, from the first byte that
 * was not used: when the server that it waits for is there, when a reply has ended, or with more
 * input.  While something waits, nothing is received: the kernel's buffers fill, and a client that
 * sends without end stops. */
void query_input(struct client *c, uint8_t *p, size_t n)
{
	long used = MORE;

	while (n && c->phase == AT_READY) {
		const struct query *before = c->last;
		if (c->waiting || conn_pending(&c->conn))
			used = BLOCKED;
		else
			used = c->left ? stream(c, p, n) : step(c, p, n);
		if (used == 0 && c->last != before)
			continue;       /* a long request was opened: these bytes are its first */
		if (used <= 0)
			break;
		c->for_primary -= c->for_primary < (size_t)used ? c->for_primary : (uint32_t)used;
		p += used;
		n -= (size_t)used;
		if (own_yields(c) && n) {
			used = BLOCKED;
			client_resume(c);
			break;
		}
	}
	if (c->phase != AT_READY)
		return;
	bool more = !n || used == MORE;
	c->blocked = !more && c->input == INPUT_REQUEST && !c->left;
	c->hurried = false;
	if (n && used == MORE && c->input == INPUT_REQUEST && !c->partial) {
		c->partial = true;
		timer_set(c->all->base->loop, &c->timer, REQUEST_PAUSE);
	}
	if (n && conn_keep(&c->conn, p, n) < 0)
		client_out_of_memory(c);
	else if (c->ended && more)
		end_input(c);
	else if (c->waiting && !c->inflight && !c->ended)
		conn_hearing_end(c->all->base->net, &c->conn);
	else
		conn_reading(c->all->base->net, &c->conn, more && !c->ended);
}

/* --- no server ----------------------------------------------------------- */

/* The waiting request is answered with an error.  A session outside a transaction can go on. */
__attribute__((cold))
static void refuse_waiting(struct client *c, const struct report *r)
{
	struct report error = *r;
	uint8_t *p;
	long n = conn_refill(c->all->base->net, &c->conn, &p);

	error.severity = "ERROR";
	long used = answer_error(c, &error, p, (size_t)n);
	query_input(c, p + used, (size_t)(n - used));
}

/* What has not begun anywhere can be answered here.  A transaction fails: see reply_ready(). */
void query_canceled(struct client *c)
{
	if (c->status == 'T')
		c->status = 'E';
	c->asked = NULL;
	own_canceled(c);
	refuse_waiting(c, &(struct report){ "ERROR", "57014",
		"canceling statement due to user request", NULL, NULL });
}

/* A replica that cannot be had is no reason to fail: the primary answers. */
void query_refused(struct client *c, const struct refusal *r)
{
	struct node *primary = nodes_primary(c->all->servers->nodes);

	c->waiting = false;
	if (r->kind == REFUSED_OTHER_PRIMARY) {
		client_resume(c);
	} else if (c->wanted != primary) {
		/* That node will not have this session: it lacks the database, say.  There is no
		 * point in asking it again. */
		if (r->kind != REFUSED_NODE && r->kind != REFUSED_FULL)
			c->session.node = primary;
		c->primary_once = true;
		client_resume(c);
	} else if (r->kind == REFUSED_BACKEND || r->kind == REFUSED_SECRET || c->status != 'I') {
		client_refused(c, r);
	} else {
		refuse_waiting(c, &r->report);
	}
}

/* Requests in flight are finished without the client.  One of which PostgreSQL has only a part
 * cannot be. */
void query_free(struct client *c)
{
	bool unheard = c->inflight && c->last->simple && query_unanswered(c->last);
	const struct server *within = unheard || (c->inflight && c->input != INPUT_REQUEST)
	                              ? query_server(c) : NULL;

	/* Nobody will hear whether they were committed: their tables count as written. */
	if (c->inflight)
		session_committed(&c->session, c->all->route, client_database(c));
	doubt_leave(c);
	while (c->borrowed) {
		struct server *s = c->borrowed;
		client_detach(c, s);
		if (s == within)        /* it waits for the rest, which nobody has */
			server_close(s, "its client left within a request");
		else
			server_return(s);
	}
	names_clear(c->all->servers->stmts, &c->prepared);
	unnamed_set(c, NULL, NULL);
	portals_forget(c, NULL);
	own_free(c);
	script_free(&c->script);
	renew_after(c);                 /* it may have been committed */
	session_free(&c->session);
}
