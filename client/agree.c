#include "client/agree.h"

#include "client/unnamed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A server that failed to run a line of the past would answer the client as another session: wrong
 * settings, or no transaction. */
void agree_or_close(struct request *r, bool ok)
{
	if (!ok)
		server_close(r->server, "it could not be brought to the state of its session");
}

/* A replica that refuses the session's settings once would refuse them at every read. */
static void lines_run(struct request *r, bool ok)
{
	struct server *s = r->server;

	struct client *c = s->borrower && s->phase == LENT
	                   ? OWNER(s->borrower, struct client, borrower) : NULL;

	if (!ok && c && !client_home(c, s))
		c->script.full = true;
	agree_or_close(r, ok);
}

static void handed_over(struct request *r, bool ok)
{
	r->server->agreeing--;
	lines_run(r, ok);
}

bool agree_under_way(const struct server *s)
{
	return s->agreeing > 0;
}

/* READ WRITE is refused by a standby, so a leg does without; the rest of the line counts. */
static const char *leg_text(const struct script_line *l)
{
#define LEVELS(begin, how) { begin how, begin " ISOLATION LEVEL READ UNCOMMITTED" how, \
	begin " ISOLATION LEVEL READ COMMITTED" how, begin " ISOLATION LEVEL REPEATABLE READ" how, \
	begin " ISOLATION LEVEL SERIALIZABLE" how }
	static const char *const begin[2][LEVEL_SERIALIZABLE + 1] = {
		LEVELS("BEGIN", ""), LEVELS("BEGIN", " DEFERRABLE") };
	static const char *const set[2][LEVEL_SERIALIZABLE + 1] = {
		LEVELS("SET TRANSACTION", ""), LEVELS("SET TRANSACTION", " DEFERRABLE") };
#undef LEVELS

	if (!(l->flags & SQL_READ_WRITE))
		return l->text;
	const char *word = strcasestr(l->text, "deferrable");
	bool deferrable = word && !strcasestr(l->text, "not deferrable");
	if (l->kind == SQL_SET_TRANSACTION)
		return l->level || deferrable ? set[deferrable][l->level] : NULL;
	return l->kind == SQL_BEGIN ? begin[deferrable][l->level] : l->text;
}

/* A statement of the session's past, for this server; NULL: it does without.  Savepoints are
 * marks, never run. */
static const char *line_text(const struct client *c, const struct server *s,
                             const struct script_line *l)
{
	if (l->kind == SQL_SAVEPOINT)
		return NULL;
	return client_home(c, s) ? l->text : leg_text(l);
}

/* PostgreSQL reports each value.  The session may have set the very same itself, or what PostgreSQL
 * has made the same. */
bool agree_lacks_name(const struct client *c, const struct server *s)
{
	if (!s->name_lost)
		return false;
	const char *value = script_value(&c->script, "application_name");
	return !value || (strcmp(value, s->began) && profile_name_stays(value));
}

/* DEFAULT and all that a RESET names. */
static bool takes_name_back(const struct script_line *l)
{
	if (l->kind == SQL_DISCARD || l->kind == SQL_RESET || (l->flags & SQL_DEFAULT))
		return (l->flags & SQL_ALL) || !strcmp(l->name, "application_name");
	return false;
}

/* Statements that go together. */
struct text { char *at; size_t n, cap; bool bad; };

static void add_text(struct text *t, const char *sql)
{
	size_t len = strlen(sql), want = t->n + len + 3;

	if (want > t->cap) {
		char *more = realloc(t->at, want * 2);
		t->bad |= !more;
		if (!more)
			return;
		t->at = more;
		t->cap = want * 2;
	}
	t->n += (size_t)sprintf(t->at + t->n, "%s%s", t->n ? "; " : "", sql);
}

/* In a transaction of their own; lines of the client's, for which hand_over is false, are in that.
 * What was collected goes, and it is empty again. */
static int send_text(struct client *c, struct server *s, struct text *t, bool hand_over)
{
	int bad = t->bad ? -1 : 0;

	if (t->n)
		unnamed_ends_on(c, s);
	if (!bad && t->n)
		bad = hand_over ? server_hand_over(s, t->at, handed_over)
		                : server_own(s, t->at, lines_run, NULL);
	s->agreeing += hand_over && !bad && t->n;
	free(t->at);
	*t = (struct text){ .n = 0 };
	return bad;
}

/* DISCARD ALL has to be alone. */
static int send_discard(struct client *c, struct server *s, struct text *t, const char *sql)
{
	unnamed_ends_on(c, s);
	if (send_text(c, s, t, true) < 0 || server_own(s, sql, handed_over, NULL) < 0)
		return -1;
	s->agreeing++;
	s->tail->deallocates = true;
	return 0;
}

static int add_line(struct client *c, struct server *s, struct text *t,
                    const struct script_line *l)
{
	char sql[SERVER_NAME_SQL];
	const char *text = line_text(c, s, l);

	if (l->kind == SQL_DISCARD && send_discard(c, s, t, text) < 0)
		return -1;
	if (l->kind != SQL_DISCARD && text)
		add_text(t, text);
	if (takes_name_back(l) && server_is_renamed(s)) {
		server_put_name(s, l->flags & SQL_LOCAL, sql);
		add_text(t, sql);
	}
	return 0;
}

int agree_on_script(struct client *c, struct server *s)
{
	const struct script *script = &c->script;
	struct text t = { .n = 0 };
	int bad = 0;

	if (s->script == script->serial)
		return 0;
	for (uint32_t i = 0; i < script->n && !bad; i++) {
		if (i == script->transaction)
			bad = send_text(c, s, &t, true);
		if (!bad && script->line[i].serial > s->script)
			bad = add_line(c, s, &t, &script->line[i]);
	}
	if (s->phase == GONE) {
		free(t.at);
		return 0;
	}
	/* Before the answers: the next request of a pipeline must not send the lines again.  One
	 * that fails closes the server. */
	s->script = script->serial;
	return send_text(c, s, &t, script->n <= script->transaction) < 0 ? -1 : bad;
}
