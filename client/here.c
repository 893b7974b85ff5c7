#include "client/here.h"

#include "client/own.h"
#include "client/trace.h"
#include "client/transact.h"
#include "client/unnamed.h"

#include <string.h>
#include <strings.h>

void here_ready(struct client *c)
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

/* Takes one of these words or phrases off the front, and a blank or comma behind it. */
static bool skip_words(const char **p, const char *end, const char *const *forms, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		size_t len = strlen(forms[i]);
		if ((size_t)(end - *p) < len || strncasecmp(*p, forms[i], len))
			continue;
		const char *at = *p + len;
		if (at < end && *at == ',')
			at++;
		if (at < end && *at++ != ' ')
			continue;
		*p = at;
		return true;
	}
	return false;
}

/* Only forms that the script's BEGIN repeats word for word on any node, a standby included.  All
 * others go to PostgreSQL, which knows more of them. */
static bool plain_begin(const struct plan *pl)
{
	static const char *const begins[] = { "begin transaction", "begin work", "begin",
		"start transaction" };
	static const char *const modes[] = { "isolation level read committed",
		"isolation level repeatable read", "read only" };
	const char *p = pl->text + pl->facts.start, *end = pl->text + pl->facts.end;

	if (!skip_words(&p, end, begins, sizeof begins / sizeof *begins) || p[-1] == ',')
		return false;
	while (p < end && skip_words(&p, end, modes, sizeof modes / sizeof *modes))
		;
	return p == end && p[-1] != ',' && p[-1] != ' ';
}

static bool plain_end(const struct plan *pl)
{
	return is_words(pl, "commit") || is_words(pl, "rollback") || is_words(pl, "end")
	       || is_words(pl, "commit transaction") || is_words(pl, "rollback transaction")
	       || is_words(pl, "abort");
}

/* A BEGIN reaches a node only with the first statement that goes there; until then the
 * transaction is the proxy's.  So a transaction that only reads never needs the primary.  Without
 * a replica to balance to there is nothing to gain.  A session that LISTENs is told of
 * notifications outside of transactions only, so its server has to know. */
static bool begin_here(struct client *c, const struct plan *pl)
{
	const struct sql_facts *f = &pl->facts;

	if (f->kind != SQL_BEGIN || c->status != 'I' || f->next < pl->text_len
	    || (c->pins & PIN_LISTEN) || !nodes_balance(c->all->servers->nodes)
	    || !transact_level(c, f)
	    || !plain_begin(pl))
		return false;
	if (script_add(&c->script, f, "", pl->text + f->start, f->end - f->start) < 0)
		return false;
	c->status = 'T';
	transact_begun(c, f);
	say_command(c, strncasecmp(pl->text + f->start, "start", 5) ? "BEGIN"
	                                                            : "START TRANSACTION");
	return true;
}

/* Or about to be: a request in a FIFO may be a BEGIN of the proxy's own. */
static bool anywhere_in_transaction(const struct client *c)
{
	for (const struct server *s = c->borrowed; s; s = s->next_borrowed)
		if (s->status != 'I' || s->head)
			return true;
	return false;
}

/* The end of a transaction that has reached no node. */
static bool end_here(struct client *c, const struct plan *pl)
{
	const struct sql_facts *f = &pl->facts;

	if ((f->kind != SQL_COMMIT && f->kind != SQL_ROLLBACK) || c->status != 'T'
	    || f->next < pl->text_len || anywhere_in_transaction(c) || !plain_end(pl))
		return false;
	c->status = 'I';
	own_portals_gone(c);
	transact_ended(c, f->kind == SQL_COMMIT);
	say_command(c, f->kind == SQL_COMMIT ? "COMMIT" : "ROLLBACK");
	return true;
}

bool here_answer(struct client *c, const struct plan *pl)
{
	/* Since PostgreSQL 18 a Query in a pipeline may leave a transaction that Sync ends. */
	if (pl->only_sync && !anywhere_in_transaction(c)) {
		trace_message(c, (struct msg){ .type = 'S' });
		if (c->status == 'I')
			own_portals_gone(c);
		here_ready(c);
	} else if (pl->simple && !pl->extended && pl->text
	           && (begin_here(c, pl) || end_here(c, pl))) {
		trace_local(c, pl);
		unnamed_set(c, NULL, NULL);             /* as by any Query */
	} else {
		return false;
	}
	return true;
}
