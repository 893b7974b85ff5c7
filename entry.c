#include "entry.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	FRESH = 30000,                          /* ms that an answer is remembered */
	FETCHED_MAX = 4096,                     /* answers; the oldest goes first */
	ANSWER_MAX = 64 * 1024,                 /* bytes */
	PATIENCE = 10000,                       /* ms for an answer */
};

#define OWNER(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* One user's. */
struct fetched {
	struct fetched *next;                   /* the newest first */
	struct entry_wait *waiting;
	int64_t at;                             /* loop_now() when it was told; 0: ask anew */
	uint64_t turn;                          /* since when somebody waits */
	bool again;                             /* the connection broke under its question */
	double until;                           /* seconds since 1970 */
	struct passwd_entry entry;              /* kind PASSWD_NONE: there is no such user */
	char *password;
	char user[];
};

/* One question at a time, over one connection, which goes back when there is no other. */
struct entries {
	struct servers *all;
	struct fetched *list;
	unsigned n;
	uint64_t turns;
	bool outdated;                          /* it asks as the configuration said before */
	struct borrower borrower;
	struct server *server;
	struct timer deadline;
	struct fetched *asked;
	uint8_t *answer;
	size_t len;
	bool too_long;
	char why[256];                          /* the last question failed, or "" */
};

static void ask_next(struct entries *e);
static void give_back(struct entries *e);

/* --- the list ------------------------------------------------------------ */

static struct fetched *find(const struct entries *e, const char *user)
{
	for (struct fetched *f = e->list; f; f = f->next)
		if (!strcmp(f->user, user))
			return f;
	return NULL;
}

static void forget_password(struct fetched *f)
{
	if (f->password)
		explicit_bzero(f->password, strlen(f->password));
	free(f->password);
	f->password = NULL;
	f->entry = (struct passwd_entry){ .kind = PASSWD_NONE };
}

static void drop(struct entries *e, struct fetched **at)
{
	struct fetched *f = *at;

	*at = f->next;
	e->n--;
	forget_password(f);
	free(f);
}

/* Drops the oldest answers above a number; invented names go before those of users. */
static void prune(struct entries *e, unsigned keep)
{
	while (e->n > keep) {
		struct fetched **oldest = NULL, **nobody = NULL;
		for (struct fetched **at = &e->list; *at; at = &(*at)->next) {
			if ((*at)->waiting || *at == e->asked)
				continue;
			oldest = at;
			if ((*at)->entry.kind == PASSWD_NONE)
				nobody = at;
		}
		if (!oldest)
			return;
		drop(e, nobody ? nobody : oldest);
	}
}

static struct fetched *add(struct entries *e, const char *user)
{
	size_t n = strlen(user) + 1;
	struct fetched *f = calloc(1, sizeof *f + n);

	if (!f)
		return NULL;
	prune(e, FETCHED_MAX - 1);
	memcpy(f->user, user, n);
	f->next = e->list;
	e->list = f;
	e->n++;
	return f;
}

const struct passwd_entry *entry_find(const struct entries *e, const char *user)
{
	const struct passwd_entry *known = passwd_find(e->all->passwd, user);
	const struct fetched *f = known || !*e->all->conf->auth_user ? NULL : find(e, user);

	if (known || !f || f->entry.kind == PASSWD_NONE || f->until < (double)time(NULL))
		return known;
	return &f->entry;
}

/* --- the answer ---------------------------------------------------------- */

/* The fields of the first DataRow; how many there are, at most max; 0: no row. */
static int first_row(const struct entries *e, struct msg field[], bool null[], int max)
{
	struct msg m;

	for (size_t at = 0; at < e->len; ) {
		long n = wire_next(&m, e->answer + at, e->len - at, ANSWER_MAX);
		if (n <= 0)
			return 0;
		at += (size_t)n;
		if (m.type != 'D')
			continue;
		int count = get_u16(&m);
		for (int i = 0; i < count && i < max && !m.broken; i++) {
			uint32_t len = get_u32(&m);
			null[i] = len == UINT32_MAX;
			field[i] = (struct msg){ .at = m.at, .end = m.at };
			if (null[i])
				continue;
			if (len > (size_t)(m.end - m.at))
				return 0;
			field[i].end = m.at += len;
		}
		return m.broken ? 0 : count < max ? count : max;
	}
	return 0;
}

static char *text_of(const struct msg *field)
{
	return strndup((const char *)field->at, (size_t)(field->end - field->at));
}

/* What PostgreSQL stores, or nothing. */
static enum passwd_kind kind_of(const char *password)
{
	static const char hex[] = "0123456789abcdef";
	struct scram_verifier v;

	if (!strncmp(password, "md5", 3) && strlen(password) == 35 && strspn(password + 3, hex) == 32)
		return PASSWD_MD5;
	return scram_verifier_parse(&v, password) == 0 ? PASSWD_SCRAM : PASSWD_NONE;
}

/* Makes an entry of the answer. */
static void take_answer(struct entries *e, struct fetched *f)
{
	struct msg field[3];
	bool null[3] = { 0 };
	int n = first_row(e, field, null, 3);

	forget_password(f);
	f->until = INFINITY;
	f->again = false;
	f->at = loop_now(e->all->loop);
	if (n < 2 || null[1] || !(f->password = text_of(&field[1])) || !*f->password)
		return;
	if (n == 3 && !null[2]) {
		char *until = text_of(&field[2]), *end;
		f->until = until ? (double)conf_decimal(until, &end) : 0;
		free(until);
	}
	f->entry = (struct passwd_entry){ .kind = kind_of(f->password), .user = f->user,
		.text = f->password, .len = strlen(f->password) };
	if (f->entry.kind == PASSWD_NONE)
		log_write(e->all->log, NULL, LEVEL_WARNING, NULL, "It gives what pg_authid.rolpassword"
			" has: a SCRAM-SHA-256 verifier, or md5 and 32 digits.", "what auth_query gave for"
			" user \"%s\" is not a password as PostgreSQL stores it", f->user);
}

/* Tells all who wait for this user. */
static void tell(struct fetched *f, const char *why)
{
	while (f->waiting) {
		struct entry_wait *w = f->waiting;
		entry_unask(w);
		w->answered(w, why);
	}
}

/* --- the question -------------------------------------------------------- */

static void keep_bytes(struct request *r, const uint8_t *p, size_t n)
{
	struct entries *e = r->owner;
	uint8_t *more = e->len + n > ANSWER_MAX ? NULL : realloc(e->answer, e->len + n);

	if (!more) {
		e->too_long = true;
		return;
	}
	memcpy(more + e->len, p, n);
	e->answer = more;
	e->len += n;
}

static bool note(struct request *r, char type, const uint8_t *body, size_t len)
{
	struct entries *e = r->owner;
	const char *text = type == 'E' ? wire_field(body, len, 'M') : NULL;

	if (type == 'E')
		snprintf(e->why, sizeof e->why, "%s", text ? text : "the query failed");
	return false;
}

static void forget_answer(struct entries *e)
{
	if (e->answer)
		explicit_bzero(e->answer, e->len);
	free(e->answer);
	e->answer = NULL;
	e->len = 0;
	e->too_long = false;
}

static void end_question(struct entries *e)
{
	e->asked = NULL;
	timer_stop(e->all->loop, &e->deadline);
	forget_answer(e);
}

static void fail_asked(struct entries *e, const char *why)
{
	struct fetched *f = e->asked;

	end_question(e);
	if (!f)
		return;
	log_write(e->all->log, NULL, LEVEL_ERROR, why, "Check auth_user, auth_query and auth_database.",
		"auth_query failed for user \"%s\"", f->user);
	f->at = 0;
	f->again = false;
	tell(f, why);
}

/* The connection is one of auth_user as he was before a reload: ask_next() takes another. */
static void renew(struct entries *e)
{
	if (e->outdated)
		give_back(e);
	e->outdated = false;
}

/* What was asked as the configuration said before a reload is asked again. */
static void done(struct request *r, char status)
{
	struct entries *e = r->owner;
	struct fetched *f = e->asked;

	(void)status;
	if (e->too_long)
		snprintf(e->why, sizeof e->why, "its answer is longer than %d bytes", ANSWER_MAX);
	if (e->outdated) {
		end_question(e);
		renew(e);
	} else if (*e->why) {
		fail_asked(e, e->why);
	} else if (f) {
		take_answer(e, f);
		end_question(e);
		tell(f, NULL);
	}
	ask_next(e);
}

/* A pooled connection may have been at its end: once more, on another. */
static void lost_request(struct request *r)
{
	struct entries *e = r->owner;
	struct fetched *f = e->asked;

	if (!f || f->again) {
		fail_asked(e, "the connection broke");
		return;
	}
	f->again = true;
	end_question(e);
}

static void too_late(struct timer *t)
{
	struct entries *e = OWNER(t, struct entries, deadline);
	struct net *net = e->all->net;

	if (!e->server)
		return;
	if (e->asked)
		e->asked->again = true;
	server_close(e->server, "auth_query took too long");
	net_flush(net);
}

static const struct request_ops question_ops = { keep_bytes, note, done, lost_request };

/* Parse, Bind, Execute, Sync: the name is a parameter, so that nothing has to be quoted. */
static void send_question(struct entries *e, struct fetched *f)
{
	const char *sql = e->all->conf->auth_query;
	size_t size = strlen(sql) + strlen(f->user) + 128;
	struct request *r = request_new(e->all, &question_ops, e);
	struct put o = { .base = malloc(size), .cap = size };

	e->asked = f;
	e->why[0] = '\0';
	timer_set(e->all->loop, &e->deadline, PATIENCE);
	if (!r || !o.base) {
		free(o.base);
		if (r)
			request_free(e->all, r);
		fail_asked(e, "out of memory");
		return;
	}
	put_begin(&o, 'P');
	put_byte(&o, 0);
	put_text(&o, sql);
	put_u16(&o, 0);
	put_end(&o);
	put_begin(&o, 'B');
	put_u16(&o, 0);
	put_u16(&o, 0);
	put_u16(&o, 1);
	put_u32(&o, (uint32_t)strlen(f->user));
	put_bytes(&o, f->user, strlen(f->user));
	put_u16(&o, 0);
	put_end(&o);
	put_begin(&o, 'E');
	put_byte(&o, 0);
	put_u32(&o, 1);
	put_end(&o);
	put_message(&o, 'S', NULL, 0);
	server_send(e->server, r);
	conn_put(e->all->net, &e->server->conn, o.base, o.len);
	net_flush(e->all->net);
	free(o.base);
}

static void give_back(struct entries *e)
{
	struct server *s = e->server;

	e->server = NULL;
	if (s)
		server_return(s);
	server_unborrow(&e->borrower);
	profile_drop(e->borrower.profile);
	e->borrower.profile = NULL;
}

static bool borrow(struct entries *e)
{
	struct servers *all = e->all;
	static const char name[] = "application_name\0pgpool auth_query";
	struct account *a = account_get(all->accounts, all->conf->auth_user, all->conf->auth_database);

	e->borrower.profile = a ? profile_get(a, name, sizeof name) : NULL;
	if (a)
		account_drop(a);
	if (!e->borrower.profile)
		return false;
	e->server = server_borrow(all, &e->borrower, nodes_primary(all->nodes), true);
	return true;
}

static void fail_all(struct entries *e, const char *why)
{
	for (struct fetched *f = e->list; f; f = f->next)
		if (f->waiting) {
			e->asked = f;
			fail_asked(e, why);
		}
}

/* Who is waited for longest. */
static void ask_next(struct entries *e)
{
	struct fetched *next = NULL;

	if (e->asked)
		return;
	for (struct fetched *f = e->list; f; f = f->next)
		if (f->waiting && (!next || f->turn < next->turn))
			next = f;
	if (!next) {
		give_back(e);
		return;
	}
	if (!e->server && !e->borrower.profile && !borrow(e)) {
		fail_all(e, "out of memory");
		return;
	}
	if (e->server)
		send_question(e, next);
}

/* --- the connection ------------------------------------------------------ */

static void lent(struct borrower *b, struct server *s)
{
	struct entries *e = OWNER(b, struct entries, borrower);

	e->server = s;
	renew(e);
	ask_next(e);
}

static void refused(struct borrower *b, const struct refusal *r)
{
	struct entries *e = OWNER(b, struct entries, borrower);
	char why[256];

	snprintf(why, sizeof why, "%s%s%s", r->report.message, r->report.detail ? ": " : "",
		r->report.detail ? r->report.detail : "");
	give_back(e);
	fail_all(e, why);
}

static void lost(struct borrower *b, struct server *s, const uint8_t *farewell, size_t len)
{
	struct entries *e = OWNER(b, struct entries, borrower);

	(void)s, (void)farewell, (void)len;
	e->server = NULL;
	give_back(e);
	ask_next(e);
}

static void async(struct borrower *b, struct server *s, const uint8_t *p, size_t n)
{
	(void)b, (void)s, (void)p, (void)n;
}

static uint32_t pid(struct borrower *b) { (void)b; return 0; }
static void eased(struct borrower *b) { (void)b; }

static const struct borrower_ops borrower_ops = { lent, refused, lost, async, pid, eased };

/* --- outside ------------------------------------------------------------- */

bool entry_ask(struct entries *e, const char *user, struct entry_wait *w)
{
	if (!*e->all->conf->auth_user || passwd_find(e->all->passwd, user)
	    || !strcmp(user, e->all->conf->auth_user))
		return true;
	struct fetched *f = find(e, user);
	if (f && f->at && loop_now(e->all->loop) - f->at < FRESH)
		return true;
	if (!f && !(f = add(e, user)))
		return true;            /* without memory he stays unknown */
	if (!f->waiting)
		f->turn = ++e->turns;
	w->next = f->waiting;
	w->at = &f->waiting;
	if (w->next)
		w->next->at = &w->next;
	f->waiting = w;
	ask_next(e);
	return false;
}

void entry_unask(struct entry_wait *w)
{
	if (!w->at)
		return;
	*w->at = w->next;
	if (w->next)
		w->next->at = w->at;
	w->at = NULL;
}

void entry_doubt(struct entries *e, const char *user)
{
	struct fetched *f = find(e, user);

	if (f)
		f->at = 0;
}

void entries_forget(struct entries *e)
{
	e->outdated = e->asked || e->borrower.profile;
	for (struct fetched *f = e->list; f; f = f->next)
		f->at = 0;
}

struct entries *entries_new(struct servers *all)
{
	struct entries *e = calloc(1, sizeof *e);

	if (!e)
		return NULL;
	e->all = all;
	e->borrower.ops = &borrower_ops;
	e->deadline.fire = too_late;
	return e;
}

void entries_free(struct entries *e)
{
	if (!e)
		return;
	timer_stop(e->all->loop, &e->deadline);
	give_back(e);
	while (e->list)
		drop(e, &e->list);
	forget_answer(e);
	free(e);
}
