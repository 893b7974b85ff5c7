#include "client/privilege.h"

#include "ask.h"

#include <stdlib.h>
#include <string.h>

enum {
	PATIENCE = 1000,                        /* ms for an answer */
	FRESH = 60000,                          /* it is believed for this long, */
	AGAIN = 5000,                           /* and the lack of one */
};

/* One question at a time. */
struct privileges {
	struct clients *all;
	struct ask ask;
	struct account *of;                     /* counted; NULL: nobody is asked about */
};

static int64_t now(const struct client *c)
{
	return loop_now(c->all->base->loop);
}

static void answered(struct ask *a, struct answer *r)
{
	struct privileges *p = OWNER(a, struct privileges, ask);
	struct clients *all = p->all;
	struct account *of = p->of;
	const char *field[1];
	int64_t fresh = AGAIN;

	if (!r->why && answer_row(r, field, 1) == 1 && field[0]) {
		of->stats = *field[0] == 't' ? STATS_ALL : STATS_OWN;
		fresh = FRESH;
	} else if (of->stats == STATS_UNKNOWN) {
		of->stats = STATS_OWN;
	}
	of->stats_until = loop_now(all->base->loop) + fresh;
	account_drop(of);
	p->of = NULL;
	clients_told(all);
}

struct privileges *privileges_new(struct clients *all)
{
	struct privileges *p = calloc(1, sizeof *p);

	if (!p)
		return NULL;
	p->all = all;
	p->ask = (struct ask){ .servers = all->servers, .answered = answered };
	return p;
}

void privileges_free(struct privileges *p)
{
	if (!p)
		return;
	ask_stop(&p->ask);
	if (p->of)
		account_drop(p->of);
	free(p);
}

static bool is_listed(const struct client *c)
{
	const struct conf_list *users = &c->all->base->conf->stats_users;

	for (size_t i = 0; i < users->n; i++)
		if (!strcmp(users->item[i], c->borrower.profile->account->user))
			return true;
	return false;
}

bool privilege_known(struct client *c)
{
	struct account *a = c->borrower.profile->account;
	struct privileges *p = c->all->privileges;

	if (is_listed(c) || (a->stats != STATS_UNKNOWN && now(c) < a->stats_until))
		return true;
	c->awaits = c->all->awaited = true;
	if (p->of)
		return false;
	a->refs++;
	p->of = a;
	ask_node(&p->ask, nodes_primary(c->all->servers->nodes),
		&(struct identity){ a->user, a->database, NULL, "pgpool privileges" },
		"SELECT pg_has_role('pg_read_all_stats', 'USAGE')", NULL, PATIENCE);
	return false;
}

/* It acts as another role, whose rights nobody has asked for. */
static bool acts_as_another(const struct client *c)
{
	const char *role = script_value(&c->script, "role");

	return (role && strcmp(role, "none")) || script_value(&c->script, "session_authorization");
}

bool privilege_stats(const struct client *c)
{
	return is_listed(c) || (c->borrower.profile->account->stats == STATS_ALL
	                        && !acts_as_another(c));
}
