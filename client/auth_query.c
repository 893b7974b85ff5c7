#include "client/auth_query.h"

#include "ask.h"

#include <math.h>
#include <stdlib.h>

enum { PATIENCE = 10000 };                      /* ms for an answer */

struct auth_query {
	struct entries *entries;
	struct ask ask;
};

/* The user's name is a parameter, so that nothing has to be quoted. */
static void ask_next(struct auth_query *q)
{
	struct servers *all = q->ask.servers;
	const struct conf *conf = all->base->conf;
	struct identity as = { conf->auth_user, conf->auth_database, NULL, "pgpool auth_query" };
	const char *user = entries_next(q->entries);

	if (user)
		ask_node(&q->ask, nodes_primary(all->nodes), &as, conf->auth_query, user, PATIENCE);
}

static void take_row(struct auth_query *q, struct answer *r)
{
	const char *field[3];
	int n = answer_row(r, field, 3);
	double until = INFINITY;
	char *end;

	if (n == 3 && field[2])
		until = (double)conf_decimal(field[2], &end);
	entries_answer(q->entries, n > 1 ? field[1] : NULL, until);
}

/* Without a connection for this question there will be none for the others.  But if another node is
 * the primary now, the question is put to that one. */
static void answered(struct ask *a, struct answer *r)
{
	struct auth_query *q = OWNER(a, struct auth_query, ask);

	if (!r->why)
		take_row(q, r);
	else if (r->no_server && a->node != nodes_primary(a->servers->nodes))
		entries_ask_again(q->entries);
	else
		entries_fail(q->entries, r->why, r->no_server);
	ask_next(q);
}

static void wanted(void *ctx)
{
	struct auth_query *q = ctx;

	ask_stop(&q->ask);
	ask_next(q);
}

static void changed(void *ctx, const char *user)
{
	struct auth_query *q = ctx;

	accounts_forget_user(q->ask.servers->accounts, user);
}

static const struct entry_ops entry_ops = { wanted, changed };

struct auth_query *auth_query_new(struct servers *all)
{
	struct auth_query *q = calloc(1, sizeof *q);

	if (!q)
		return NULL;
	q->entries = all->entries;
	q->ask = (struct ask){ .servers = all, .answered = answered };
	entries_set_asker(q->entries, &entry_ops, q);
	return q;
}

void auth_query_free(struct auth_query *q)
{
	if (!q)
		return;
	entries_set_asker(q->entries, NULL, NULL);
	ask_stop(&q->ask);
	free(q);
}
