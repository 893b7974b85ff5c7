#include "client/agree.h"

/* A server that failed to run a line of the past would answer the client as another session: wrong
 * settings, or no transaction. */
void agree_or_close(struct request *r, bool ok)
{
	if (!ok)
		server_close(r->server, "it could not be brought to the state of its session");
}

/* READ WRITE is refused by a standby, so a leg does without; the rest of the line counts. */
static const char *leg_text(const struct script_line *l)
{
	static const char *const begin[] = { "BEGIN",
		"BEGIN ISOLATION LEVEL READ UNCOMMITTED", "BEGIN ISOLATION LEVEL READ COMMITTED",
		"BEGIN ISOLATION LEVEL REPEATABLE READ", "BEGIN ISOLATION LEVEL SERIALIZABLE" };
	static const char *const set[] = { NULL,
		"SET TRANSACTION ISOLATION LEVEL READ UNCOMMITTED",
		"SET TRANSACTION ISOLATION LEVEL READ COMMITTED",
		"SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
		"SET TRANSACTION ISOLATION LEVEL SERIALIZABLE" };

	if (!(l->flags & SQL_READ_WRITE))
		return l->text;
	if (l->kind == SQL_BEGIN)
		return begin[l->level];
	if (l->kind == SQL_SET_TRANSACTION)
		return set[l->level];
	return strcmp(l->name, "transaction_read_only") ? l->text : NULL;
}

/* A statement of the session's past, for this server.  Savepoints are marks, never run. */
static int run_line(struct client *c, struct server *s, const struct script_line *l)
{
	const char *text = client_home(c, s) ? l->text : leg_text(l);

	if (l->kind == SQL_SAVEPOINT || !text)
		return 0;
	return server_own(s, text, agree_or_close, NULL);
}

bool agree_lacks_values(struct server *s, bool (*back)(const void *ctx, const char *name),
                        const void *ctx, char sql[static PROFILE_SQL_MAX])
{
	if (s->start == s->profile)
		return false;
	if (profile_difference(s->start, s->profile, back, ctx, sql, PROFILE_SQL_MAX))
		return *sql;
	server_close(s, "its session's settings cannot be set again");
	return false;
}

static bool line_took_back(const void *ctx, const char *name)
{
	const struct script_line *l = ctx;
	const struct sql_facts f = { .kind = l->kind, .flags = l->flags };

	return script_takes_back(false, &f, l->name, name);
}

int agree_on_script(struct client *c, struct server *s)
{
	char sql[PROFILE_SQL_MAX];

	for (uint32_t i = 0; i < c->script.n; i++) {
		const struct script_line *l = &c->script.line[i];
		if (l->serial <= s->script)
			continue;
		if (run_line(c, s, l) < 0)
			return -1;
		if (l->kind == SQL_DISCARD && s->tail)
			s->tail->deallocates = true;
		if (agree_lacks_values(s, line_took_back, l, sql)
		    && server_own(s, sql, agree_or_close, NULL) < 0)
			return -1;
		if (s->phase == GONE)
			return 0;
	}
	/* Before the answers: the next request of a pipeline must not send the lines again.  One
	 * that fails closes the server. */
	s->script = c->script.serial;
	return 0;
}
