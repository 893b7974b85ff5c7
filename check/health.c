#include "check/health.h"

#include "ask.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One node's.  Either its check is under way, from the first try to the last, or it is probed. */
struct checkup {
	struct healths *of;
	struct node *node;
	struct trial trial;
	struct timer next, deadline;
	bool checking;
	bool probing;                           /* the trial is a probe */
	bool told;
	uint32_t round;                         /* retries so far */
	int64_t began;                          /* loop_now() */
};

struct healths {
	struct servers *servers;
	struct checkup node[CONF_NODES];
};

/* --- trials -------------------------------------------------------------- */

static bool is_checked(const struct node *n)
{
	return node_conf(n)->used && node_conf(n)->health_check_period > 0;
}

static struct identity who(const struct node *n)
{
	const struct conf_node *c = node_conf(n);
	const struct conf *conf = n->all->base->conf;

	if (*c->health_check_user)
		return (struct identity){ c->health_check_user, c->health_check_database,
			c->health_check_password, "pgpool health_check" };
	if (*conf->sr_check_user)
		return (struct identity){ conf->sr_check_user, c->health_check_database,
			conf->sr_check_password, "pgpool health_check" };
	return (struct identity){ "pgpool", c->health_check_database, NULL, "" };
}

static void plan_next(struct checkup *c, int64_t seconds)
{
	timer_set(c->of->servers->base->loop, &c->next, seconds * 1000);
}

static void try(struct checkup *c)
{
	const struct conf_node *conf = node_conf(c->node);
	struct servers *all = c->of->servers;
	struct identity as = who(c->node);
	struct profile *p = ask_profile(all, &as);
	int64_t ms = conf->connect_timeout;

	c->trial.login = is_checked(c->node) && *as.application_name;
	if (c->trial.login)
		ms = conf->health_check_timeout * 1000;
	if (ms)
		timer_set(all->base->loop, &c->deadline, ms);
	if ((!p || trial_start(all, c->node, p, &c->trial) < 0) && !c->probing)
		plan_next(c, 1);                /* no memory: the node may be fine */
	profile_drop(p);
	net_flush(all->base->net);
}

/* --- checks -------------------------------------------------------------- */

static void count(struct checkup *c, bool works)
{
	struct health *h = &c->node->health;
	int64_t ms = loop_now(c->of->servers->base->loop) - c->began;
	uint32_t took = ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;

	h->duration += took;
	if (took > h->max_duration)
		h->max_duration = took;
	if (took < h->min_duration || h->success + h->fail == 0)
		h->min_duration = took;
	if (c->round > h->max_retry)
		h->max_retry = c->round;
	h->last = time(NULL);
	*(works ? &h->success : &h->fail) += 1;
	*(works ? &h->last_success : &h->last_fail) = h->last;
}

static void tell_failure(struct checkup *c, enum verdict v, const char *why)
{
	struct log *log = c->of->servers->base->log;
	const struct conf_node *conf = node_conf(c->node);

	if (c->told)
		return;
	c->told = true;
	if (v == TRIAL_REFUSED)
		log_write(log, NULL, LEVEL_ERROR, why,
			"check health_check_user and health_check_password",
			"health check failed on node %d: the login was refused", c->node->id);
	else if (conf->flag & NODE_DISALLOW_TO_FAILOVER)
		log_write(log, NULL, LEVEL_LOG, why, NULL,
			"health check failed on node %d but failover is disallowed for the node",
			c->node->id);
	else
		log_write(log, NULL, LEVEL_LOG, why, NULL,
			"health check failed on node %d (timeout:%d)", c->node->id,
			!strcmp(why, "health_check_timeout was reached"));
}

static bool retries(struct checkup *c)
{
	const struct conf_node *conf = node_conf(c->node);

	if (c->round >= conf->health_check_max_retries)
		return false;
	c->round++;
	c->node->health.retry++;
	log_write(c->of->servers->base->log, NULL, LEVEL_LOG, NULL, NULL,
		"health check retrying on DB node: %d (round:%u)", c->node->id, c->round);
	plan_next(c, conf->health_check_retry_delay);
	return true;
}

static void tell_node(struct node *n, enum verdict v, const char *why)
{
	if (v == TRIAL_UNSAFE)
		node_unsafe(n, why);
	else if (v == TRIAL_FAILED)
		node_failed(n, why);
	else
		node_worked(n);
}

static void checked(struct checkup *c, enum verdict v, const char *why)
{
	if (v != TRIAL_WORKS && retries(c))
		return;
	count(c, v == TRIAL_WORKS);
	if (v == TRIAL_WORKS && c->round)
		log_write(c->of->servers->base->log, NULL, LEVEL_LOG, NULL, NULL,
			"health check retrying on DB node: %d succeeded", c->node->id);
	c->checking = false;
	plan_next(c, node_conf(c->node)->health_check_period);
	if (v == TRIAL_WORKS)
		c->told = false;
	else
		tell_failure(c, v, why);
	tell_node(c->node, v, why);
	if (v == TRIAL_FAILED)
		servers_end(c->of->servers, c->node, "its node failed its health check");
}

static void ended(struct trial *t, enum verdict v, const char *why)
{
	struct checkup *c = OWNER(t, struct checkup, trial);

	timer_stop(c->of->servers->base->loop, &c->deadline);
	if (!c->probing) {
		checked(c, v, why);
	} else {
		c->told &= v != TRIAL_WORKS;
		tell_node(c->node, v, why);
	}
}

static void too_late(struct timer *t)
{
	struct checkup *c = OWNER(t, struct checkup, deadline);
	const char *why = c->trial.login ? "health_check_timeout was reached"
		: "connect_timeout was reached";

	if (c->trial.server) {
		trial_stop(&c->trial, why);
		ended(&c->trial, TRIAL_FAILED, why);
	}
	net_flush(c->of->servers->base->net);
}

/* Time for a check, or for its next try. */
static void due(struct timer *t)
{
	struct checkup *c = OWNER(t, struct checkup, next);
	struct health *h = &c->node->health;

	if (!c->checking) {
		h->total++;
		if (c->node->state == NODE_DOWN) {
			h->skip++;
			h->last_skip = time(NULL);
			plan_next(c, node_conf(c->node)->health_check_period);
			return;
		}
		c->checking = true;
		c->round = 0;
		c->began = loop_now(c->of->servers->base->loop);
	}
	trial_stop(&c->trial, "it is checked now");
	c->probing = false;
	try(c);
}

/* --- probes -------------------------------------------------------------- */

static void probe(void *ctx, struct node *n)
{
	struct checkup *c = &((struct servers *)ctx)->healths->node[n->id];

	if (c->trial.server)
		return;
	c->probing = true;
	try(c);
}

/* --- outside ------------------------------------------------------------- */

void healths_stop(struct healths *h)
{
	for (int i = 0; i < h->servers->nodes->count; i++) {
		struct checkup *c = &h->node[i];
		timer_stop(h->servers->base->loop, &c->next);
		timer_stop(h->servers->base->loop, &c->deadline);
		trial_stop(&c->trial, "it is no longer wanted");
	}
}

void healths_start(struct healths *h)
{
	healths_stop(h);
	for (int i = 0; i < h->servers->nodes->count; i++) {
		struct checkup *c = &h->node[i];
		*c = (struct checkup){ .of = h, .node = &h->servers->nodes->node[i],
			.trial.ended = ended, .next.fire = due, .deadline.fire = too_late };
		if (is_checked(c->node))
			plan_next(c, 0);
	}
}

struct healths *healths_new(struct servers *all)
{
	struct healths *h = calloc(1, sizeof *h);

	if (h)
		h->servers = all;
	all->nodes->probe = probe;
	return h;
}

void healths_free(struct healths *h)
{
	if (h)
		healths_stop(h);
	free(h);
}
