#include "auth/entry.h"

#include "auth.h"
#include "conf.h"
#include "log.h"
#include "scram.h"
#include "wire.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
	FRESH = 1000,                           /* ms between questions about a user */
	KEPT = 30000,                           /* ms that an answer is good without a newer one */
	FETCHED_MAX = 4096,                     /* answers; the oldest goes first */
};

/* One user's. */
struct fetched {
	struct fetched *next;                   /* the newest first */
	struct entry_wait *waiting;
	int64_t at;                             /* loop_now() of the answer; 0: there is none */
	int64_t tried;                          /* of the last question's end; 0: ask anew */
	int64_t doubted;                        /* of the last doubt */
	uint64_t turn;                          /* since when there are waiters */
	double until;                           /* seconds since 1970 */
	struct passwd_entry entry;              /* kind PASSWD_NONE: there is no such user */
	char *password;
	char user[];
};

/* One question at a time. */
struct entries {
	struct base *base;
	const struct entry_ops *ops;            /* NULL: nobody asks */
	void *ctx;
	struct fetched *list;
	unsigned n;
	uint64_t turns;
	struct fetched *asked;
	bool altered;                           /* roles were changed since the question */
};

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
	memory_wipe_text(f->password);
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

/* Drops the oldest answers above a number; unknown names go before users. */
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
	const struct passwd_entry *known = passwd_find(e->base->passwd, user);
	const struct fetched *f = known || !*e->base->conf->auth_user ? NULL : find(e, user);

	if (known || !f || f->entry.kind == PASSWD_NONE || f->until < (double)time(NULL))
		return known;
	return &f->entry;
}

/* --- the answer ---------------------------------------------------------- */

/* A password as PostgreSQL stores it, or nothing. */
static enum passwd_kind kind_of(const char *password)
{
	static const char hex[] = "0123456789abcdef";
	struct scram_verifier v;

	if (!strncmp(password, "md5", 3) && strlen(password) == 35
	    && strspn(password + 3, hex) == 32)
		return PASSWD_MD5;
	return scram_verifier_parse(&v, password) == 0 ? PASSWD_SCRAM : PASSWD_NONE;
}

/* Makes an entry of the answer. */
static void take_answer(struct entries *e, struct fetched *f, const char *password, double until)
{
	bool there = password && *password;

	if (f->password && !(password && !strcmp(f->password, password)))
		e->ops->changed(e->ctx, f->user);
	forget_password(f);
	f->until = until;
	f->at = loop_now(e->base->loop);
	if (!there || !(f->password = strdup(password)))
		return;
	f->entry = (struct passwd_entry){ .kind = kind_of(f->password), .user = f->user,
		.text = f->password, .len = strlen(f->password) };
	if (f->entry.kind == PASSWD_NONE)
		log_write(e->base->log, NULL, LEVEL_WARNING, NULL, "It must return what pg_authid."
			"rolpassword holds: a SCRAM-SHA-256 verifier, or md5 and 32 digits.",
			"auth_query did not return a stored password for user \"%s\"", f->user);
}

/* Tells all logins that wait for this user.  Those that ask again meanwhile
 * wait for the next answer. */
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
	log_write(e->base->log, NULL, LEVEL_ERROR, why,
		"Check auth_user, auth_query and auth_database.",
		"auth_query failed for user \"%s\"", f->user);
	f->tried = loop_now(e->base->loop);
	bool old = !f->at || f->tried - f->at >= KEPT;
	if (old)
		f->at = 0;
	tell(f, old ? why : NULL);
}

/* --- the asker ----------------------------------------------------------- */

static void want(struct entries *e)
{
	if (e->ops && !e->asked)
		e->ops->wanted(e->ctx);
}

void entries_set_asker(struct entries *e, const struct entry_ops *ops, void *ctx)
{
	e->ops = ops;
	e->ctx = ctx;
}

const char *entries_next(struct entries *e)
{
	e->asked = NULL;
	e->altered = false;
	for (struct fetched *f = e->list; f; f = f->next)
		if (f->waiting && (!e->asked || f->turn < e->asked->turn))
			e->asked = f;
	return e->asked ? e->asked->user : NULL;
}

void entries_answer(struct entries *e, const char *password, double until)
{
	struct fetched *f = e->asked;

	take_answer(e, f, password, until);
	f->tried = e->altered ? 0 : f->at;
	tell(f, NULL);
	e->asked = NULL;
}

void entries_fail(struct entries *e, const char *why, bool any)
{
	if (!any)
		fail(e, e->asked, why);
	for (struct fetched *f = any ? e->list : NULL; f; f = f->next)
		if (f->waiting)
			fail(e, f, why);
	e->asked = NULL;
}

void entries_ask_again(struct entries *e)
{
	e->asked = NULL;
}

/* --- outside ------------------------------------------------------------- */

bool entry_ask(struct entries *e, const char *user, struct entry_wait *w)
{
	if (!*e->base->conf->auth_user || passwd_find(e->base->passwd, user)
	    || !strcmp(user, e->base->conf->auth_user))
		return true;
	struct fetched *f = find(e, user);
	if (f && f->at && f->tried && loop_now(e->base->loop) - f->tried < FRESH)
		return true;
	if (!f && !(f = add(e, user)))
		return true;            /* without memory the user stays unknown */
	if (!f->waiting)
		f->turn = ++e->turns;
	w->next = f->waiting;
	w->at = &f->waiting;
	if (w->next)
		w->next->at = &w->next;
	f->waiting = w;
	want(e);
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
	struct fetched *f = passwd_find(e->base->passwd, user) ? NULL : find(e, user);
	int64_t now = loop_now(e->base->loop);

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
	e->asked = NULL;
	want(e);
}

struct entries *entries_new(struct base *base)
{
	struct entries *e = calloc(1, sizeof *e);

	if (e)
		e->base = base;
	return e;
}

void entries_free(struct entries *e)
{
	if (!e)
		return;
	while (e->list)
		drop(e, &e->list);
	free(e);
}
