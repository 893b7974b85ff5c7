#include "client/renew.h"

#include "client/query.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The second word of a statement that does so, and what names the accounts in it. */
enum renews { RENEWS_NONE, RENEWS_ROLES, RENEWS_DATABASES };

struct words {
	enum renews renews;
	unsigned nth;                           /* the last word seen */
	const struct account *account;          /* is it meant?  NULL: only looks what is renewed */
};

/* ROLE, USER or GROUP; OWNED is REASSIGN's and DROP's. */
static enum renews kind_of(const char *word)
{
	static const char *const roles[] = { "role", "user", "group", "owned" };

	for (size_t i = 0; i < sizeof roles / sizeof *roles; i++)
		if (!strcmp(word, roles[i]))
			return RENEWS_ROLES;
	return !strcmp(word, "database") ? RENEWS_DATABASES : RENEWS_NONE;
}

/* These stand for roles that the text does not name. */
static bool anybody(const char *word)
{
	return !strcmp(word, "all") || !strcmp(word, "current_user")
	       || !strcmp(word, "session_user") || !strcmp(word, "current_role");
}

/* true: the account is meant.  All names of the statement count: one too many costs connections. */
static bool see_word(void *ctx, const char *word, bool called)
{
	struct words *w = ctx;

	(void)called;
	if (++w->nth == 2)
		w->renews = kind_of(word);
	if (w->nth <= 2)
		return w->nth == 2 && !w->account;
	if (w->renews == RENEWS_ROLES)
		return anybody(word) || !strcmp(word, w->account->user);
	return w->renews == RENEWS_DATABASES && !strcmp(word, w->account->database);
}

static bool renews(const char *text, size_t len)
{
	struct words w = { .renews = RENEWS_NONE };

	sql_mentions(text, len, see_word, &w);
	return w.renews != RENEWS_NONE;
}

/* CREATE DATABASE also takes its template as a string. */
static bool quotes(const char *text, const char *name)
{
	char quoted[WIRE_NAME_MAX + 3];

	snprintf(quoted, sizeof quoted, "'%s'", name);
	return strstr(text, quoted);
}

static bool is_meant(const void *text, const struct account *a)
{
	struct words w = { .account = a };

	return sql_mentions(text, strlen(text), see_word, &w)
	       || (w.renews == RENEWS_DATABASES && quotes(text, a->database));
}

static bool is_any(const void *text, const struct account *a)
{
	(void)text, (void)a;
	return true;
}

static const char renewed[] = "its role or database is being altered";

/* NULL: nobody remembers what. */
static void renew(struct client *c, const char *text)
{
	servers_renew_accounts(c->all->servers, text ? is_meant : is_any, text, true, renewed);
}

/* The first words of a statement, "" behind its last. */
struct taking {
	char word[16][WIRE_NAME_MAX + 1];
	unsigned n;
	char quoted[WIRE_NAME_MAX + 1];
};

static bool keep_word(void *ctx, const char *name, bool called)
{
	struct taking *t = ctx;

	(void)called;
	snprintf(t->word[t->n], sizeof *t->word, "%s", name);
	return ++t->n == sizeof t->word / sizeof *t->word;
}

/* CREATE DATABASE also takes its template as a string, which is no word. */
static const char *quoted_template(struct taking *t, const char *text, size_t len)
{
	static const char word[] = "template";
	const size_t n = sizeof word - 1;
	size_t at = 0;

	while (at + n < len && strncasecmp(text + at, word, n))
		at++;
	at += n;
	while (at < len && strchr(" \t\r\n\f=", text[at]))
		at++;
	const char *name = at < len && text[at] == '\'' ? text + at + 1 : NULL;
	const char *end = name ? memchr(name, '\'', (size_t)(text + len - name)) : NULL;
	if (!end)
		return NULL;
	snprintf(t->quoted, sizeof t->quoted, "%.*s", (int)(end - name), name);
	return t->quoted;
}

static const char *template(struct taking *t, const char *text, size_t len)
{
	for (unsigned i = 3; i < t->n; i++)
		if (!strcmp(t->word[i], "template")) {
			const char *quoted = quoted_template(t, text, len);
			return quoted ? quoted : i + 1 < t->n ? t->word[i + 1] : NULL;
		}
	return NULL;
}

/* The database that the statement needs for itself: DROP DATABASE [IF EXISTS] name, ALTER DATABASE
 * name RENAME or SET TABLESPACE, CREATE DATABASE .. TEMPLATE name.  Nothing follows a DROP but WITH
 * (FORCE), which ends the sessions.  NULL: none. */
static const char *taken(struct taking *t, const char *text, size_t len)
{
	sql_mentions(text, len, keep_word, t);
	const char *verb = t->word[0];
	unsigned at = !strcmp(t->word[2], "if") && !strcmp(t->word[3], "exists") ? 4 : 2;

	if (strcmp(t->word[1], "database"))
		return NULL;
	if (!strcmp(verb, "drop"))
		return *t->word[at + 1] ? NULL : t->word[at];
	if (!strcmp(verb, "alter"))
		return !strcmp(t->word[3], "rename") || !strcmp(t->word[4], "tablespace")
		       ? t->word[2] : NULL;
	return strcmp(verb, "create") ? NULL : template(t, text, len);
}

static bool is_at_primary(const struct client *c)
{
	const struct server *s = c->borrowed;

	while (s && !server_is_primary(s))
		s = s->next_borrowed;
	return s != NULL;
}

unsigned renew_disturbs(struct client *c, const char *text, size_t len, struct disturbed *what)
{
	struct taking t = { .n = 0 };
	unsigned others = 0, unknown = 0;

	const char *is = taken(&t, text, len);
	if (!is || wire_same_name(is, client_database(c)))
		return 0;
	what->source = !strcmp(t.word[0], "create");
	strcpy(what->name, is);
	for (uint32_t i = 0; i < c->all->nslots; i++) {
		const struct client *other = c->all->slot[i];
		if (!other || other->phase != AT_READY
		    || !wire_same_name(client_database(other), is))
			continue;
		others++;
		unknown += !is_at_primary(other);
	}
	return unknown ? others : 0;
}

static bool is_of(const void *database, const struct account *a)
{
	return wire_same_name(database, a->database);
}

/* The pool is kept empty only for a statement on its own, which PostgreSQL refuses at once to who
 * has no right to it: so nobody can do that for as long as other statements run. */
int renew_before(struct client *c, struct query *q, const char *text, size_t len)
{
	struct taking t = { .n = 0 };
	const char *is = taken(&t, text, len);

	if (!is)
		return 0;
	servers_renew_accounts(c->all->servers, is_of, is, true, renewed);
	return c->inflight > 1 || q->executes > 1 ? 0 : request_renews(&q->request, is);
}

/* Without memory it counts now. */
bool renew_note(struct client *c, const char *text, size_t len)
{
	if (!renews(text, len))
		return false;
	struct altered *a = malloc(sizeof *a + len + 1);
	if (!a) {
		renew(c, NULL);
		return true;
	}
	a->next = c->altered;
	memcpy(a->text, text, len);
	a->text[len] = 0;
	c->altered = a;
	return true;
}

void renew_after(struct client *c)
{
	while (c->altered) {
		struct altered *a = c->altered;
		c->altered = a->next;
		renew(c, a->text);
		free(a);
	}
}
