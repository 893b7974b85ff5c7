#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ANSWER_MAX = 64 * 1024 };                /* bytes */

static void borrow(struct ask *a);

/* --- the answer ---------------------------------------------------------- */

/* A value moves into the last byte of its own length, which makes room for a zero behind it. */
static const char *take_field(struct msg *m)
{
	uint32_t len = msg_u32(m);
	char *text = (char *)(uintptr_t)m->at - 1;

	if (m->broken || len == UINT32_MAX)
		return NULL;
	if (len > (size_t)(m->end - m->at)) {
		m->broken = true;
		return NULL;
	}
	m->at += len;
	memmove(text, text + 1, len);
	text[len] = '\0';
	return text;
}

int answer_row(struct answer *r, const char *field[], int max)
{
	struct msg m;

	for (long n; (n = wire_next(&m, r->at, (size_t)(r->end - r->at), ANSWER_MAX)) > 0; ) {
		r->at += n;
		if (m.type != 'D')
			continue;
		int count = msg_u16(&m);
		for (int i = 0; i < max; i++)
			field[i] = i < count ? take_field(&m) : NULL;
		return m.broken ? 0 : count;
	}
	return 0;
}

static void forget_reply(struct ask *a)
{
	memory_wipe(a->reply, a->reply_len);
	a->reply = NULL;
	a->reply_len = 0;
}

static void give_back(struct ask *a)
{
	struct server *s = a->server;

	a->server = NULL;
	if (s)
		server_return(s);
	server_unborrow(&a->borrower);
	profile_drop(a->borrower.profile);
	a->borrower.profile = NULL;
}

/* Delivers the answer, and gives the connection back unless the next question is already there. */
static void end(struct ask *a)
{
	uint8_t *reply = a->reply;
	size_t len = a->reply_len;
	char why[sizeof a->why], sqlstate[sizeof a->sqlstate];
	struct answer r = { .sqlstate = "", .no_server = a->no_server, .at = reply,
		.end = reply ? reply + len : NULL };

	memcpy(why, a->why, sizeof why);
	memcpy(sqlstate, a->sqlstate, sizeof sqlstate);
	if (*why)
		r = (struct answer){ .why = why, .sqlstate = sqlstate, .no_server = a->no_server };
	timer_stop(a->servers->base->loop, &a->deadline);
	free(a->question);
	a->question = a->reply = NULL;
	a->reply_len = 0;
	a->waits = false;
	a->answered(a, &r);
	memory_wipe(reply, len);
	if (!a->waits)
		give_back(a);
}

/* --- the question -------------------------------------------------------- */

/* Then there is no second try: see lost(). */
static void give_up(struct ask *a)
{
	a->again = true;
	server_cancel(a->server, NULL);
	server_close(a->server, a->why);
}

static void keep_bytes(struct request *r, const uint8_t *p, size_t n)
{
	struct ask *a = r->owner;
	uint8_t *more = a->reply_len + n > ANSWER_MAX ? NULL : realloc(a->reply, a->reply_len + n);

	if (!more) {
		snprintf(a->why, sizeof a->why, "its answer is longer than %d bytes", ANSWER_MAX);
		give_up(a);
		return;
	}
	memcpy(more + a->reply_len, p, n);
	a->reply = more;
	a->reply_len += n;
}

static bool note(struct request *r, char type, const uint8_t *body, size_t len)
{
	struct ask *a = r->owner;

	if (type != 'E')
		return false;
	const char *text = wire_field(body, len, 'M'), *code = wire_field(body, len, 'C');
	snprintf(a->why, sizeof a->why, "%s", text ? text : "the query failed");
	snprintf(a->sqlstate, sizeof a->sqlstate, "%s", code ? code : "");
	return false;
}

static void done(struct request *r, char status)
{
	(void)status;
	end(r->owner);
}

/* lost() goes on. */
static void lost_request(struct request *r) { (void)r; }

static const struct request_ops question_ops = { keep_bytes, note, done, lost_request };

static void send_question(struct ask *a)
{
	struct request *r = server_own_request(a->server, NULL, a);

	if (!r) {
		snprintf(a->why, sizeof a->why, "out of memory");
		timer_set(a->servers->base->loop, &a->deadline, 0);
		return;
	}
	r->ops = &question_ops;
	conn_put(a->servers->base->net, &a->server->conn, a->question, a->question_len);
	net_flush(a->servers->base->net);
}

/* A database's owner, or anyone who may ALTER a role, can set its search_path.  Their operators and
 * functions must not run as the user that asks.  It is set only for the question: the connection
 * may go to a client without a reset. */
#define SAFE_PATH "pg_catalog, pg_temp"

static const char safe_path[] = "SET LOCAL search_path = " SAFE_PATH ";";

/* The same in a series of extended messages: that is not a transaction block, so SET LOCAL would
 * complain.  It returns no row. */
static const char safe_path_alone[] =
	"SELECT WHERE pg_catalog.set_config('search_path', '" SAFE_PATH "', true) IS NULL";

/* parameter NULL: none. */
static void put_statement(struct put *o, const char *sql, const char *parameter)
{
	put_begin(o, 'P');
	put_byte(o, 0);
	put_text(o, sql);
	put_u16(o, 0);
	put_end(o);
	put_begin(o, 'B');
	put_u16(o, 0);
	put_u16(o, 0);
	put_u16(o, parameter ? 1 : 0);
	if (parameter) {
		put_u32(o, (uint32_t)strlen(parameter));
		put_bytes(o, parameter, strlen(parameter));
	}
	put_u16(o, 0);
	put_end(o);
	put_begin(o, 'E');
	put_byte(o, 0);
	put_u32(o, 0);
	put_end(o);
}

static void put_with_parameter(struct put *o, const char *sql, const char *parameter)
{
	put_statement(o, safe_path_alone, NULL);
	put_statement(o, sql, parameter);
	put_message(o, 'S', NULL, 0);
}

static void put_statements(struct put *o, const char *sql, bool plain)
{
	put_begin(o, 'Q');
	put_bytes(o, safe_path, plain ? 0 : strlen(safe_path));
	put_text(o, sql);
	put_end(o);
}

/* Builds the messages.  false: no memory, which too_late() will report. */
static bool take_question(struct ask *a, const char *sql, const char *parameter, bool plain)
{
	size_t size = sizeof safe_path_alone + strlen(sql)
		+ (parameter ? strlen(parameter) : 0) + 128;
	struct put o = { .base = malloc(size), .cap = size };

	a->question = o.base;
	if (!o.base)
		return false;
	if (parameter)
		put_with_parameter(&o, sql, parameter);
	else
		put_statements(&o, sql, plain);
	a->question_len = o.len;
	return true;
}

/* --- the connection ------------------------------------------------------ */

static void borrow(struct ask *a)
{
	struct node *n = a->node;

	a->server = server_borrow(a->servers, &a->borrower, n, n == nodes_primary(n->all));
	if (a->server)
		send_question(a);
}

static void lent(struct borrower *b, struct server *s)
{
	struct ask *a = OWNER(b, struct ask, borrower);

	a->server = s;
	send_question(a);
}

static void refused(struct borrower *b, const struct refusal *r)
{
	struct ask *a = OWNER(b, struct ask, borrower);
	const struct report *p = &r->report;

	snprintf(a->why, sizeof a->why, "%s%s%s", p->message, p->detail ? ": " : "",
		p->detail ? p->detail : "");
	snprintf(a->sqlstate, sizeof a->sqlstate, "%s", p->sqlstate);
	a->no_server = true;
	end(a);
}

/* A pooled connection may have been dying: tries once more, on another. */
static void lost(struct borrower *b, struct server *s, const uint8_t *farewell, size_t len)
{
	struct ask *a = OWNER(b, struct ask, borrower);

	(void)s, (void)farewell, (void)len;
	a->server = NULL;
	if (!a->waits) {
		give_back(a);
	} else if (a->again) {
		if (!*a->why)
			snprintf(a->why, sizeof a->why, "the connection broke");
		end(a);
	} else {
		a->again = true;
		a->why[0] = a->sqlstate[0] = '\0';     /* PostgreSQL's last words */
		forget_reply(a);
		borrow(a);
	}
}

static void async(struct borrower *b, struct server *s, const uint8_t *p, size_t n)
{
	(void)b, (void)s, (void)p, (void)n;
}

static uint32_t pid(struct borrower *b) { (void)b; return 0; }
static void eased(struct borrower *b) { (void)b; }

static const struct borrower_ops borrower_ops = { lent, refused, lost, async, pid, eased };

static void too_late(struct timer *t)
{
	struct ask *a = OWNER(t, struct ask, deadline);
	struct net *net = a->servers->base->net;

	if (!*a->why)
		snprintf(a->why, sizeof a->why, "%s", a->server ? "no answer in time"
			: "no connection in time");
	a->no_server = !a->server;
	if (a->server)
		give_up(a);
	else
		end(a);
	net_flush(net);
}

/* --- outside ------------------------------------------------------------- */

struct profile *ask_profile(struct servers *all, const struct identity *as)
{
	static const char name[] = "application_name";
	char why[PASSWD_WHY], pairs[sizeof name + 64];
	size_t len = as->password ? strlen(as->password) : 0;
	char *text = len ? strdup(as->password) : NULL;
	struct account *a = NULL;

	if (text) {
		enum passwd_kind kind = passwd_decode(text, NULL, why);
		a = account_get_own(all->accounts, as->user, as->database, kind, text);
		memory_wipe(text, len);
	} else if (!len) {
		a = account_get(all->accounts, as->user, as->database);
	}
	if (!a)
		return NULL;
	int n = !as->application_name ? -1
		: snprintf(pairs, sizeof pairs, "%s%c%.60s", name, 0, as->application_name);
	struct profile *p = profile_get(a, pairs, (size_t)(n + 1));
	account_drop(a);
	return p;
}

static void ask(struct ask *a, struct node *n, const struct identity *as, const char *sql,
                const char *parameter, bool plain, int64_t ms)
{
	struct profile *p = ask_profile(a->servers, as);

	a->borrower.ops = &borrower_ops;
	a->borrower.own = true;
	a->deadline.fire = too_late;
	a->waits = true;
	a->again = a->no_server = false;
	a->why[0] = a->sqlstate[0] = '\0';
	bool same = a->server && a->node == n && a->borrower.profile == p && !a->server->dying;
	if (!same)
		give_back(a);
	else
		profile_drop(p);
	a->borrower.profile = p;
	a->node = n;
	timer_set(a->servers->base->loop, &a->deadline, ms);
	if (!p || !take_question(a, sql, parameter, plain)) {
		snprintf(a->why, sizeof a->why, "out of memory");
		timer_set(a->servers->base->loop, &a->deadline, 0);
	} else if (same) {
		send_question(a);
	} else {
		borrow(a);
	}
}

void ask_node(struct ask *a, struct node *n, const struct identity *as, const char *sql,
              const char *parameter, int64_t ms)
{
	ask(a, n, as, sql, parameter, false, ms);
}

void ask_plain(struct ask *a, struct node *n, const struct identity *as, const char *sql,
               int64_t ms)
{
	ask(a, n, as, sql, NULL, true, ms);
}

void ask_stop(struct ask *a)
{
	if (!a->servers)
		return;
	timer_stop(a->servers->base->loop, &a->deadline);
	net_flush(a->servers->base->net);
	free(a->question);
	a->question = NULL;
	a->waits = false;
	forget_reply(a);
	give_back(a);
}
