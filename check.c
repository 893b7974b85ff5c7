#include "check.h"

#include "ask.h"
#include "check/position.h"
#include "check/sample.h"
#include "check/shell.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	PATIENCE = 10000,                       /* ms for an answer */
	SEARCH_PERIOD = 1000,                   /* ms between rounds while there is no primary */
	NAMES = CONF_NODES * 80,                /* host:port of all */
};

/* One node's. */
struct check {
	struct checks *of;
	struct node *node;
	struct ask ask;
	unsigned answered;                      /* the last round that it answered */
	unsigned dialect;                       /* of questions[] */
	bool turned;                            /* the other dialect has failed */
	bool misplaced;                         /* reported: a flagged node, but in recovery */
	char told[128];                         /* the trouble reported last */
};

struct checks {
	struct servers *servers;
	struct samples *samples;
	struct timer timer;
	unsigned round;
	struct shell shell;
	int nasked;                             /* standbys whose delay the command was asked for */
	uint8_t asked[CONF_NODES];
	char told[128];                         /* why the command last failed */
	bool blind;                             /* reported: it may not see what it asks for */
	struct check node[CONF_NODES];
};

/* Position and, on the primary, the file of its WAL, whose name begins with the timeline, and what
 * it knows of its standbys; CASE so that only the functions for the node's role are called.  The
 * names are those since PostgreSQL 10, and before. */
#define QUESTION(replayed, written, file, lag) \
	"SELECT pg_catalog.pg_is_in_recovery(), CASE WHEN pg_catalog.pg_is_in_recovery()" \
	" THEN pg_catalog." replayed "() ELSE pg_catalog." written "() END," \
	" CASE WHEN NOT pg_catalog.pg_is_in_recovery()" \
	" THEN pg_catalog." file "(pg_catalog." written "()) END;" \
	"SELECT application_name, state, sync_state, " lag \
	" FROM pg_catalog.pg_stat_replication WHERE NOT pg_catalog.pg_is_in_recovery()"

static const char *const questions[] = {
	QUESTION("pg_last_wal_replay_lsn", "pg_current_wal_lsn", "pg_walfile_name",
		"(EXTRACT(EPOCH FROM replay_lag) OPERATOR(pg_catalog.*) 1000000)::BIGINT"),
	QUESTION("pg_last_xlog_replay_location", "pg_current_xlog_location", "pg_xlogfile_name",
		"NULL"),
};

/* --- delays -------------------------------------------------------------- */

static bool by_time(const struct conf *conf)
{
	return conf->delay_threshold_by_time > 0;
}

static bool by_command(const struct conf *conf)
{
	return *conf->replication_delay_source_cmd;
}

static bool over(const struct conf *conf, const struct node *n)
{
	const struct replication *r = &n->replication;

	if (r->lag == NODE_GONE)
		return true;
	if (by_time(conf))
		return r->lag > conf->delay_threshold_by_time * 1000;
	return conf->delay_threshold && r->behind > (uint64_t)conf->delay_threshold;
}

static void log_delay(const struct conf *conf, struct log *log, const struct node *n)
{
	const struct replication *r = &n->replication;
	bool timed = by_time(conf);
	int primary = n->all->primary;

	if (conf->log_standby_delay == STANDBY_DELAY_NONE
	    || (timed ? r->lag <= 0 || r->lag == NODE_GONE : r->behind == 0)
	    || (conf->log_standby_delay == STANDBY_DELAY_IF_OVER_THRESHOLD && !n->late))
		return;
	if (!timed)
		log_write(log, NULL, LEVEL_LOG, NULL, NULL,
			"Replication of node: %d is behind %" PRIu64
			" bytes from the primary server (node: %d)", n->id, r->behind, primary);
	else if (by_command(conf))
		log_write(log, NULL, LEVEL_LOG, NULL, NULL,
			"Replication of node: %d is behind %" PRId64
			".%03d second(s) from the primary server (node: %d) [external command]",
			n->id, r->lag / 1000000, (int)(r->lag / 1000 % 1000), primary);
	else
		log_write(log, NULL, LEVEL_LOG, NULL, NULL,
			"Replication of node: %d is behind %" PRId64
			".%06d second(s) from the primary server (node: %d)", n->id,
			r->lag / 1000000, (int)(r->lag % 1000000), primary);
}

static void judge(struct checks *c, struct node *n)
{
	const struct conf *conf = c->servers->base->conf;

	n->late = over(conf, n);
	log_delay(conf, c->servers->base->log, n);
}

/* A standby that the primary does not know does not stream: it has been behind since then. */
static void note_missing(struct node *n, int64_t now)
{
	struct replication *r = &n->replication;
	bool missing = *node_conf(n)->application_name && !*r->state && r->behind;

	if (!missing)
		r->missing = 0;
	else if (!r->missing)
		r->missing = now;
	if (missing)
		r->lag = (now - r->missing) * 1000;
}

/* Both have answered in this round: positions of different rounds cannot be compared. */
static void measure(struct checks *c, struct node *n)
{
	const struct conf *conf = c->servers->base->conf;
	struct node *primary = nodes_primary(c->servers->nodes);
	struct replication *r = &n->replication;

	if (n == primary || c->node[n->id].answered != c->round
	    || c->node[primary->id].answered != c->round)
		return;
	uint64_t there = primary->replication.lsn;
	r->behind = there > r->lsn ? there - r->lsn : 0;
	if (!by_command(conf))
		note_missing(n, loop_now(c->servers->base->loop));
	if (!by_command(conf) || !by_time(conf))
		judge(c, n);
}

/* --- answers ------------------------------------------------------------- */

/* The same trouble is reported once. */
static bool is_news(char told[static 128], const char *why)
{
	if (!strncmp(told, why, 127))
		return false;
	snprintf(told, 128, "%s", why);
	return true;
}

static void tell_trouble(struct check *c, const struct answer *r)
{
	char detail[400];

	if (c->node->state == NODE_DOWN || !is_news(c->told, r->why))
		return;
	snprintf(detail, sizeof detail, r->no_server
		? "No persistent db connection for the node %d: %s"
		: "The node %d answers: %s", c->node->id, r->why);
	log_write(c->of->servers->base->log, NULL, LEVEL_ERROR, detail,
		"check sr_check_user and sr_check_password",
		"Failed to check replication time lag");
}

static void forget_trouble(struct check *c)
{
	if (*c->told)
		log_write(c->of->servers->base->log, NULL, LEVEL_LOG, NULL, NULL,
			"replication time lag of node %d can be checked again", c->node->id);
	c->told[0] = '\0';
}

/* The name of a flagged node led to the primary once. */
static void note_flagged(struct check *c, bool recovers)
{
	struct servers *all = c->of->servers;
	const struct conf_node *conf = node_conf(c->node);
	char detail[400];

	if (!(conf->flag & NODE_ALWAYS_PRIMARY))
		recovers = false;
	if (recovers && !c->misplaced) {
		snprintf(detail, sizeof detail, "\"%.200s\" leads to a standby: its connections are"
			" renewed until it leads to a primary.", conf->hostname);
		log_write(all->base->log, NULL, LEVEL_WARNING, detail,
			"If this lasts, correct backend_flag or the address of that name.",
			"node %d is flagged ALWAYS_PRIMARY but is"
			" in recovery", c->node->id);
	} else if (!recovers && c->misplaced) {
		log_write(all->base->log, NULL, LEVEL_LOG, NULL, NULL,
			"node %d, flagged ALWAYS_PRIMARY, is no longer in recovery", c->node->id);
	}
	c->misplaced = recovers;
	if (recovers) {
		node_renew(c->node);
		servers_renew(all, c->node, "its node should be a primary but is not");
	}
}

static struct node *find_standby(struct nodes *all, const char *application_name)
{
	for (int i = 0; i < all->count; i++) {
		struct node *n = &all->node[i];
		const char *name = node_conf(n)->application_name;
		if (i != all->primary && node_conf(n)->used && *name
		    && !strcmp(name, application_name))
			return n;
	}
	return NULL;
}

/* PostgreSQL shows others' state to members of pg_monitor only; NULL would pass for no delay. */
static void note_blind(struct checks *c, bool blind)
{
	if (blind && !c->blind)
		log_write(c->servers->base->log, NULL, LEVEL_WARNING, NULL,
			"GRANT pg_monitor TO it",
			"sr_check_user is not allowed to see the state of standbys");
	c->blind = blind;
}

/* The rows of pg_stat_replication: name, state, sync_state, replay_lag in us. */
static void take_standbys(struct checks *c, struct answer *r)
{
	struct nodes *all = c->servers->nodes;
	bool command = by_command(c->servers->base->conf), blind = false;
	const char *field[4];

	for (int i = 0; i < all->count; i++) {
		struct replication *p = &all->node[i].replication;
		p->state[0] = p->sync_state[0] = '\0';
		if (!command)
			p->lag = *node_conf(&all->node[i])->application_name ? 0 : -1;
	}
	while (answer_row(r, field, 4)) {
		struct node *n = field[0] ? find_standby(all, field[0]) : NULL;
		if (!n)
			continue;
		struct replication *p = &n->replication;
		blind |= !field[1];
		snprintf(p->state, sizeof p->state, "%s", field[1] ? field[1] : "unknown");
		snprintf(p->sync_state, sizeof p->sync_state, "%s", field[2] ? field[2] : "");
		if (!command)
			p->lag = field[3] ? strtoll(field[3], NULL, 10) : 0;
	}
	note_blind(c, blind);
}

static void take_rows(struct check *c, struct answer *r)
{
	struct checks *all = c->of;
	struct nodes *nodes = all->servers->nodes;
	const char *field[3];
	int n = answer_row(r, field, 3);

	if (n < 2 || !field[0])
		return;
	bool recovers = *field[0] == 't';
	c->node->timeline = n > 2 && field[2] ? position_timeline(field[2]) : 0;
	node_is(c->node, recovers ? ROLE_STANDBY : ROLE_PRIMARY);
	note_flagged(c, recovers);
	uint64_t lsn = field[1] ? wire_lsn(field[1]) : 0;
	if (!lsn)
		return;
	c->node->replication.lsn = lsn;
	bool primary = c->node == nodes_primary(nodes);
	if (recovers != primary)
		c->answered = all->round;
	if (recovers) {
		measure(all, c->node);
	} else if (primary) {
		c->node->replication.behind = 0;
		take_standbys(all, r);
		for (int i = 0; i < nodes->count; i++)
			measure(all, &nodes->node[i]);
	}
}

static struct identity who(const struct conf *conf)
{
	return (struct identity){ conf->sr_check_user, conf->sr_check_database,
		conf->sr_check_password, "pgpool sr_check" };
}

static void ask(struct check *c)
{
	struct identity as = who(c->of->servers->base->conf);

	ask_node(&c->ask, c->node, &as, questions[c->dialect], NULL, PATIENCE);
}

/* The node works and does not let it in: a wrong password or none, no such role or database, no
 * right to connect, a limit. */
static bool is_barred(const struct check *c, const struct answer *r)
{
	return r->no_server && *r->sqlstate && c->node->state != NODE_DOWN;
}

static void ask_at_once(void *checks, struct node *n)
{
	struct check *c = &((struct checks *)checks)->node[n->id];

	if (c->of && !ask_waits(&c->ask))
		ask(c);
}

static void answered(struct ask *a, struct answer *r)
{
	struct check *c = OWNER(a, struct check, ask);

	if (!r->why || is_barred(c, r))
		node_lets_in(c->node, !r->why);
	if (r->why && !strcmp(r->sqlstate, "42883") && !c->turned) {
		c->turned = true;
		c->dialect = !c->dialect;
		ask(c);
	} else if (r->why) {
		c->turned = false;
		tell_trouble(c, r);
	} else {
		c->turned = false;
		forget_trouble(c);
		take_rows(c, r);
	}
}

/* --- the command --------------------------------------------------------- */

static void command_failed(struct checks *c, const char *why)
{
	if (is_news(c->told, why))
		log_write(c->servers->base->log, NULL, LEVEL_ERROR, why,
			"check replication_delay_source_cmd and replication_delay_source_timeout",
			"replication delay command failed");
}

/* The next number of ms, -1 for a standby that is down; false: there is none. */
static bool next_delay(char **at, double *ms)
{
	char *end;

	*ms = (double)conf_decimal(*at, &end);
	bool good = end > *at && strchr(" \t\r\n", *end) && ((*ms >= 0 && *ms < 1e12) || *ms == -1);
	*at = end;
	return good;
}

static void take_delays(struct checks *c, char *output)
{
	struct nodes *nodes = c->servers->nodes;
	double ms[CONF_NODES];
	char *at = output;

	for (int i = 0; i < c->nasked; i++)
		if (!next_delay(&at, &ms[i])) {
			command_failed(c, "it does not print one number for each standby");
			return;
		}
	if (at[strspn(at, " \t\r\n")]) {
		command_failed(c, "it prints more than one number for each standby");
		return;
	}
	c->told[0] = '\0';
	for (int i = 0; i < c->nasked; i++) {
		struct node *n = &nodes->node[c->asked[i]];
		if (!node_conf(n)->used || n == nodes_primary(nodes))
			continue;
		n->replication.lag = ms[i] < 0 ? NODE_GONE : (int64_t)(ms[i] * 1000);
		if (by_time(c->servers->base->conf))
			judge(c, n);
		else
			n->late = over(c->servers->base->conf, n);
	}
}

static void command_ended(struct shell *sh, char *output, const char *why)
{
	struct checks *c = OWNER(sh, struct checks, shell);

	if (why)
		command_failed(c, why);
	else
		take_delays(c, output);
}

static void run_command(struct checks *c)
{
	const struct conf *conf = c->servers->base->conf;
	struct nodes *nodes = c->servers->nodes;
	char names[NAMES], *arguments[CONF_NODES + 1];
	size_t at = 0;
	int n = 0;

	for (int i = 0; i < nodes->count; i++) {
		const struct conf_node *node = node_conf(&nodes->node[i]);
		if (!node->used || i == nodes->primary)
			continue;
		int len = snprintf(names + at, sizeof names - at, "%s:%d", node->hostname,
			(int)node->port);
		if (len < 0 || (size_t)len >= sizeof names - at)
			break;
		arguments[n] = names + at;
		c->asked[n++] = (uint8_t)i;
		at += (size_t)len + 1;
	}
	arguments[n] = NULL;
	c->nasked = n;
	if (!n)
		return;
	log_write(c->servers->base->log, NULL, LEVEL_DEBUG1, NULL, NULL,
		"executing replication delay command: %s", conf->replication_delay_source_cmd);
	int error = shell_run(&c->shell, conf->replication_delay_source_cmd, arguments,
		conf->replication_delay_source_timeout * 1000);
	if (error)
		command_failed(c, strerror(error));
}

void checks_reaped(struct checks *c, pid_t pid, int status)
{
	shell_reaped(&c->shell, pid, status);
}

/* --- rounds -------------------------------------------------------------- */

static void start_round(struct timer *t)
{
	struct checks *c = OWNER(t, struct checks, timer);
	const struct conf *conf = c->servers->base->conf;
	struct nodes *nodes = c->servers->nodes;
	int64_t period = conf->sr_check_period * 1000;

	if (!period)
		return;
	if (nodes_searching(nodes) && period > SEARCH_PERIOD)
		period = SEARCH_PERIOD;
	timer_set(c->servers->base->loop, &c->timer, period);
	c->round++;
	for (int i = 0; i < nodes->count && nodes_checked(conf); i++) {
		struct check *k = &c->node[i];
		if (node_conf(k->node)->used && k->node->state != NODE_DOWN && !ask_waits(&k->ask))
			ask(k);
	}
	if (by_command(conf) && !shell_runs(&c->shell))
		run_command(c);
	net_flush(c->servers->base->net);
}

/* Reports settings without any effect. */
static void warn(const struct checks *c)
{
	const struct conf *conf = c->servers->base->conf;
	bool delayed = conf->delay_threshold || by_time(conf);

	if (delayed && !by_command(conf) && !nodes_checked(conf))
		log_write(c->servers->base->log, NULL, LEVEL_WARNING, NULL,
			"set sr_check_user and sr_check_period",
			"the delay of standbys is not measured");
	if (!by_time(conf) || by_command(conf))
		return;
	for (int i = 0; i < c->servers->nodes->count; i++) {
		const struct conf_node *n = node_conf(&c->servers->nodes->node[i]);
		if (n->used && !*n->application_name && i != c->servers->nodes->primary)
			log_write(c->servers->base->log, NULL, LEVEL_WARNING, NULL, NULL,
				"delay_threshold_by_time has no effect on node %d: it needs"
				" backend_application_name%d", i, i);
	}
}

/* The old measurements serve until there are new ones, if there will be any. */
static void judge_again(const struct conf *conf, struct node *n)
{
	bool measured = by_command(conf) || nodes_checked(conf);

	if (!measured || !conf->sr_check_period)
		n->replication = (struct replication){ .lag = -1 };
	n->late = n != nodes_primary(n->all) && over(conf, n);
}

void checks_stop(struct checks *c)
{
	timer_stop(c->servers->base->loop, &c->timer);
	shell_stop(&c->shell);
	samples_stop(c->samples);
	for (int i = 0; i < c->servers->nodes->count; i++)
		ask_stop(&c->node[i].ask);
}

void checks_start(struct checks *c)
{
	struct nodes *nodes = c->servers->nodes;

	checks_stop(c);
	c->told[0] = '\0';
	for (int i = 0; i < nodes->count; i++) {
		struct check *k = &c->node[i];
		bool misplaced = k->misplaced;
		*k = (struct check){ .of = c, .node = &nodes->node[i], .misplaced = misplaced,
			.ask = { .servers = c->servers, .answered = answered } };
		k->node->mute = false;
		judge_again(c->servers->base->conf, k->node);
	}
	warn(c);
	samples_start(c->samples);
	nodes->changed(nodes->ctx, nodes_primary(nodes));       /* the search may be over */
	timer_set(c->servers->base->loop, &c->timer, 0);
}

struct checks *checks_new(struct servers *all)
{
	struct checks *c = calloc(1, sizeof *c);

	if (c)
		c->samples = samples_new(all);
	if (!c || !c->samples) {
		free(c);
		return NULL;
	}
	c->servers = all;
	c->timer.fire = start_round;
	all->nodes->checks = c;
	all->nodes->ask = ask_at_once;
	c->shell.loop = all->base->loop;
	c->shell.ended = command_ended;
	return c;
}

void checks_free(struct checks *c)
{
	if (!c)
		return;
	c->servers->nodes->ask = NULL;
	checks_stop(c);
	samples_free(c->samples);
	free(c);
}
