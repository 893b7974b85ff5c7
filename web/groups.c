#include "web/groups.h"

const struct account *groups_account(const struct client *c)
{
	return c && c->phase == AT_READY ? c->borrower.profile->account : NULL;
}

static void count(struct groups *g, const struct account *a)
{
	size_t i = 0;

	while (i < g->n && g->of[i] != a)
		i++;
	g->all++;
	if (i == GROUPS_MAX) {
		g->others++;
		return;
	}
	g->of[i] = a;
	g->sessions[i]++;
	g->n += i == g->n;
}

void groups_count(struct groups *g, const struct admin *a)
{
	struct admin_row row;

	*g = (struct groups){ .n = 0 };
	for (size_t i = 0; admin_processes_shown.find(a, i, &row); i++)
		if (groups_account(row.client))
			count(g, groups_account(row.client));
	size_t sessions = admin_processes(a) * admin_pools_each(a);
	for (size_t i = sessions; admin_pools.find(a, i, &row); i++)
		g->pooled += row.pooled != NULL;
}
