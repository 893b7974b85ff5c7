#include "auth/entry.h"

#include "ask.h"

#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	FRESH = 1000,                           /* ms between questions about a user */
	KEPT = 30000,                           /* ms that an answer does while there is no new one */
	FETCHED_MAX = 4096,                     /* answers; the oldest goes first */
	PATIENCE = 10000,                       /* ms for an answer */
};

#define OWNER(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

/* One user's. */
struct fetched {
	struct fetched *next;                   /* the newest first */
	struct entry_wait *waiting;
	int64_t at;                             /* loop_now() of the answer; 0: there is none */
	int64_t tried;                          /* of the last question's end; 0: ask anew */
	int64_t doubted;                        /* of the last doubt */
	uint64_t turn;                          /* since when somebody waits */
	double until;                           /* seconds since 1970 */
	struct passwd_entry entry;              /* kind PASSWD_NONE: there is no such user */
	char *password;
	char user[];
};

/* One question at a time. */
struct entries {
	struct servers *all;
	struct fetched *list;
	unsigned n;
	uint64_t turns;
	struct ask ask;
	struct fetched *asked;
	bool altered;                           /* roles were, since it was asked */
};

static void ask_next(struct entries *e);

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
static void take_answer(struct entries *e, struct fetched *f, struct answer *r)
{
	const char *field[3];
	int n = answer_row(r, field, 3);
	bool same = n > 1 && field[1] && f->password && !strcmp(f->password, field[1]);

	if (f->password && !same)
		accounts_forget_user(e->all->accounts, f->user);
	forget_password(f);
	f->until = INFINITY;
	f->at = loop_now(e->all->loop);
	if (n < 2 || !field[1] || !*field[1] || !(f->password = strdup(field[1])))
		return;
	if (n == 3 && field[2]) {
		char *end;
		f->until = (double)conf_decimal(field[2], &end);
	}
	f->entry = (struct passwd_entry){ .kind = kind_of(f->password), .user = f->user,
		.text = f->password, .len = strlen(f->password) };
	if (f->entry.kind == PASSWD_NONE)
		log_write(e->all->log, NULL, LEVEL_WARNING, NULL, "It gives what pg_authid.rolpassword"
			" has: a SCRAM-SHA-256 verifier, or md5 and 32 digits.", "what auth_query gave for"
			" user \"%s\" is not a password as PostgreSQL stores it", f->user);
}

/* Tells all who wait for this user. */
/* Those who ask again meanwhile wait for the next answer. */
static void tell(struct fetched *f, const char *why)
{
	struct entry_wait *list = f->waiting;

	f->waiting = NULL;
	if (list)
		list->at = &list;
	while (list) {
		struct entry_wait *w = list;
		entry_unask(w);
		w->answered(w, why);
	}
}

static void fail(struct entries *e, struct fetched *f, const char *why)
{
	e->asked = f;           /* so that it is not pruned meanwhile */
	log_write(e->all->log, NULL, LEVEL_ERROR, why, "Check auth_user, auth_query and auth_database.",
		"auth_query failed for user \"%s\"", f->user);
	f->tried = loop_now(e->all->loop);
	bool old = !f->at || f->tried - f->at >= KEPT;
	if (old)
		f->at = 0;
	tell(f, old ? why : NULL);
	e->asked = NULL;
}

static void answered(struct ask *a, struct answer *r)
{
	struct entries *e = OWNER(a, struct entries, ask);
	struct fetched *f = e->asked;

	if (!r->why) {
		take_answer(e, f, r);
		f->tried = e->altered ? 0 : f->at;
		tell(f, NULL);
	} else if (r->no_server && a->node != nodes_primary(e->all->nodes)) {
		;       /* another is the primary now: it is asked below */
	} else if (r->no_server) {      /* nor will there be one for the others */
		for (f = e->list; f; f = f->next)
			if (f->waiting)
				fail(e, f, r->why);
	} else {
		fail(e, f, r->why);
	}
	e->asked = NULL;
	ask_next(e);
}

/* --- the question -------------------------------------------------------- */

/* Who is waited for longest.  His name is a parameter, so that nothing has to be quoted. */
static void ask_next(struct entries *e)
{
	const struct conf *conf = e->all->conf;
	struct identity as = { conf->auth_user, conf->auth_database, NULL, "pgpool auth_query" };
	struct fetched *next = NULL;

	if (e->asked)
		return;
	for (struct fetched *f = e->list; f; f = f->next)
		if (f->waiting && (!next || f->turn < next->turn))
			next = f;
	e->asked = next;
	e->altered = false;
	if (next)
		ask_node(&e->ask, nodes_primary(e->all->nodes), &as, conf->auth_query, next->user,
			PATIENCE);
}

/* --- outside ------------------------------------------------------------- */

bool entry_ask(struct entries *e, const char *user, struct entry_wait *w)
{
	if (!*e->all->conf->auth_user || passwd_find(e->all->passwd, user)
	    || !strcmp(user, e->all->conf->auth_user))
		return true;
	struct fetched *f = find(e, user);
	if (f && f->at && f->tried && loop_now(e->all->loop) - f->tried < FRESH)
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

bool entry_doubt(struct entries *e, const char *user, int64_t since)
{
	struct fetched *f = passwd_find(e->all->passwd, user) ? NULL : find(e, user);
	int64_t now = loop_now(e->all->loop);

	if (!f || f->at >= since || now - f->doubted < FRESH)
		return false;
	f->doubted = now;
	f->tried = 0;
	return true;
}

void entries_doubt(struct entries *e)
{
	for (struct fetched *f = e->list; f; f = f->next)
		f->at = 0;
	e->altered = true;
}

void entries_forget(struct entries *e)
{
	entries_doubt(e);
	ask_stop(&e->ask);
	e->asked = NULL;
	ask_next(e);
}

struct entries *entries_new(struct servers *all)
{
	struct entries *e = calloc(1, sizeof *e);

	if (!e)
		return NULL;
	e->all = e->ask.all = all;
	e->ask.answered = answered;
	return e;
}

void entries_free(struct entries *e)
{
	if (!e)
		return;
	ask_stop(&e->ask);
	while (e->list)
		drop(e, &e->list);
	free(e);
}
