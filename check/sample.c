#include "check/sample.h"

#include "ask.h"
#include "check/position.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	OFTEN = 2,                              /* ms between questions: reads wait for them */
	SELDOM = 20,                            /* none do */
	PART = 4,                               /* of the time by which a replica is behind, */
	LONGEST = 50,                           /* and ms at most */
	HOT = 1000,                             /* ms that a read in vain counts */
	PATIENCE = 2000,                        /* ms for an answer */
	AGAIN = 1000,                           /* ms after a question in vain, */
	SOMEBODIES = 4,                         /* who are tried */
	LATER = 10000,                          /* and after nobody was let in */
	STANDS = 250,                           /* ms for which nothing is flushed, see nudge */
};

#define NAME "pgpool sample"                    /* application_name */

/* One node's. */
struct sampler {
	struct samples *of;
	struct node *node;
	struct ask ask;
	uint32_t sample;                        /* the question's, on the primary */
	uint32_t timeline;                      /* that it is known to be on; 0: none; */
	int64_t proved;                         /* in us: younger connections may lead elsewhere */
	int64_t gap, next;                      /* ms between questions; loop_now() of the next */
	unsigned candidate;                     /* of those who may ask, from 0 */
	char user[64], database[64];            /* the last one of the clients'; "": none */
	bool worked;                            /* this one may */
	bool failed;                            /* somebody may not, since the last answer */
	bool told;                              /* that nobody may */
};

struct samples {
	struct servers *servers;
	struct timer timer;
	bool waits;                             /* for the timer */
	struct points points;
	uint32_t timeline;                      /* of these */
	int primary;                            /* the node that they are from */
	uint32_t block;                         /* its wal_block_size; 0: not known yet */
	uint64_t insert, flush;                 /* as it last said */
	int64_t stands;                         /* when it first said so */
	struct sampler node[CONF_NODES];
};

/* In recovery: the position; else where it writes next, what is flushed, and the file of that,
 * whose name begins with the timeline.  No operator, and no name without its schema. */
#define QUESTION(more) \
	"SELECT r, CASE WHEN r THEN pg_catalog.pg_last_wal_replay_lsn()" \
	" ELSE pg_catalog.pg_current_wal_insert_lsn() END," \
	" CASE WHEN NOT r THEN pg_catalog.pg_current_wal_flush_lsn() END," \
	" CASE WHEN NOT r THEN pg_catalog.pg_walfile_name(" \
	"pg_catalog.pg_current_wal_insert_lsn()) END" more \
	" FROM pg_catalog.pg_is_in_recovery() AS r"

static const char question[] = QUESTION("");

/* At first: a standby's timelines, and what to make of positions. */
static const char introduction[] = QUESTION(
	", (SELECT timeline_id FROM pg_catalog.pg_control_checkpoint())"
	", (SELECT min_recovery_end_timeline FROM pg_catalog.pg_control_recovery())"
	", (SELECT received_tli FROM pg_catalog.pg_stat_get_wal_receiver())"
	", pg_catalog.current_setting('wal_block_size')");

/* Somebody has written, and idles in the transaction: what PostgreSQL has not flushed it does not
 * send, so no replica reaches the insert position before the next commit.  The end of a transaction
 * that has a number and nothing else is flushed by the WAL writer in its next turn, and all that is
 * in front of it.  Nobody waits for that, and a read-only transaction may have a number. */
static const char nudge[] = QUESTION(
	", CASE WHEN NOT r THEN pg_catalog.txid_current() END");

/* --- who asks ------------------------------------------------------------ */

/* The nth account that has a connection to the primary, but for those that are tried anyway. */
static const struct account *somebody(const struct samples *s, unsigned nth)
{
	const struct node *primary = nodes_primary(s->servers->nodes);
	const char *asks = s->servers->base->conf->sr_check_user;
	const struct account *seen[SOMEBODIES];
	unsigned n = 0;

	for (const struct server *v = s->servers->first; v && n <= nth; v = v->next_all) {
		bool known = v->node != primary || (v->phase != LENT && v->phase != IDLE)
			|| v->account->given || v->start->replication
			|| !strcmp(v->account->user, asks);
		for (unsigned i = 0; i < n; i++)
			known |= seen[i] == v->account;
		if (!known)
			seen[n++] = v->account;
	}
	return n > nth ? seen[nth] : NULL;
}

/* It may be gone when the answer comes: its names are kept, and do until they are not let in. */
static bool is_somebody(struct sampler *m, const struct account *a)
{
	if (!a)
		return false;
	if ((strcmp(m->user, a->user) || strcmp(m->database, a->database))
	    && m->node == nodes_primary(m->node->all))
		log_write(m->of->servers->base->log, NULL, LEVEL_LOG, NULL, NULL,
			"positions of nodes are asked for as user \"%s\" in database \"%s\"",
			a->user, a->database);
	snprintf(m->user, sizeof m->user, "%s", a->user);
	snprintf(m->database, sizeof m->database, "%s", a->database);
	return true;
}

/* The nth who may ask; false: there are no more. */
static bool candidate(struct sampler *m, unsigned nth, struct identity *as)
{
	const struct conf *conf = m->of->servers->base->conf;
	const struct conf_node *n = node_conf(m->node);

	*as = (struct identity){ conf->sr_check_user, conf->sr_check_database,
		conf->sr_check_password, NAME };
	if (*as->user && nth-- == 0)
		return true;
	*as = (struct identity){ n->health_check_user, n->health_check_database,
		n->health_check_password, NAME };
	if (*as->user && nth-- == 0)
		return true;
	*as = (struct identity){ m->user, m->database, NULL, NAME };
	if (*m->user && !m->failed)
		return nth == 0;
	return nth < SOMEBODIES && is_somebody(m, somebody(m->of, nth));
}

/* A database that is about to be dropped is left alone. */
static bool who(struct sampler *m, struct identity *as)
{
	for (unsigned nth = m->candidate; candidate(m, nth, as); nth++)
		if (!servers_renew_database(m->of->servers, as->database))
			return true;
	return false;
}

/* PostgreSQL's own word, about this role or its database: another one may be let in. */
static bool is_barred(const struct answer *r)
{
	static const char *const of_nodes[] = { "08", "57" };

	if (!r->no_server)
		return !strcmp(r->sqlstate, "42501");
	if (!*r->sqlstate || (!strcmp(r->sqlstate, "53300") && !strstr(r->why, " for ")))
		return false;
	for (size_t i = 0; i < sizeof of_nodes / sizeof *of_nodes; i++)
		if (!strncmp(r->sqlstate, of_nodes[i], strlen(of_nodes[i])))
			return false;
	return true;
}

/* false: nobody may ask this node. */
static bool finds_somebody(struct sampler *m, struct identity *as)
{
	if (who(m, as))
		return true;
	m->candidate = 0;
	m->next = loop_now(m->of->servers->base->loop) + (m->failed ? LATER : AGAIN);
	if (!m->told && m->failed)
		log_write(m->of->servers->base->log, NULL, LEVEL_WARNING,
			"Sessions that have written do not read there.",
			"set sr_check_user and sr_check_password",
			"nobody can ask node %d for its position", m->node->id);
	m->told |= m->failed;
	if (m->failed && m->node == nodes_primary(m->node->all))
		m->node->all->sampling = false;
	return false;
}

/* --- questions ----------------------------------------------------------- */

static bool is_on(const struct samples *s)
{
	return s->servers->base->conf->load_balance_consistency != CONSISTENCY_OFF;
}

static bool is_home(const struct sampler *m)
{
	return m->node == nodes_primary(m->of->servers->nodes);
}

/* A replica that reads may be sent to is not known to have all that was written. */
static bool lacks(const struct sampler *m)
{
	const struct node *n = m->node;

	return n && node_conf(n)->used && node_takes_reads(n) && !is_home(m)
	       && (n->unmeasured || !sample_reached(n->caught_up, n->all->wanted));
}

/* Somebody asks for the position of a sample. */
static bool owes_position(const struct samples *s)
{
	const struct nodes *all = s->servers->nodes;

	return !sample_reached(all->answered, all->position_wanted);
}

static bool any_lacks(const struct samples *s)
{
	if (owes_position(s))
		return true;
	for (int i = 0; i < s->servers->nodes->count; i++)
		if (lacks(&s->node[i]))
			return true;
	return false;
}

static int64_t now(const struct samples *s)
{
	return loop_now(s->servers->base->loop);
}

/* Between questions, while they are answered as one would like. */
static int64_t least(const struct samples *s)
{
	int64_t missed = s->servers->nodes->missed;

	return missed && now(s) - missed < HOT ? OFTEN : SELDOM;
}

static void set_timer(struct samples *s, int64_t ms)
{
	s->waits = true;
	timer_set(s->servers->base->loop, &s->timer, ms);
}

static void ask(struct sampler *m, const char *what)
{
	struct samples *s = m->of;
	struct identity as;

	if (m->node->state == NODE_DOWN || ask_waits(&m->ask) || now(s) < m->next
	    || !finds_somebody(m, &as))
		return;
	m->next = now(s) + m->gap;
	ask_plain(&m->ask, m->node, &as, what, PATIENCE);
}

/* Its number is given before it is asked: what is acknowledged meanwhile belongs to the next. */
static void sample(struct samples *s)
{
	struct nodes *nodes = s->servers->nodes;
	struct sampler *m = &s->node[nodes->primary];
	bool done = s->points.n && sample_reached(nodes->answered, nodes->wanted);
	bool stands = s->insert > s->flush && now(s) - s->stands > STANDS && least(s) == OFTEN;

	if (ask_waits(&m->ask) || (done && s->insert == s->flush))
		return;
	m->gap = done ? LONGEST : 0;
	m->sample = nodes_next_sample(nodes);
	ask(m, !s->block ? introduction : stands ? nudge : question);
	if (!ask_waits(&m->ask))
		return;
	nodes->sampled = m->sample;
	if (stands)
		s->stands = now(s);
}

static void ask_replicas(struct samples *s)
{
	for (int i = 0; s->points.n && i < s->servers->nodes->count; i++)
		if (lacks(&s->node[i]))
			ask(&s->node[i], s->node[i].timeline == s->timeline ? question
				: introduction);
}

/* Another primary, or the same name leads to another one, or it was promoted itself. */
static void forget(struct samples *s)
{
	s->points.n = 0;
	s->primary = s->servers->nodes->primary;
	s->timeline = 0;
	s->block = 0;
	s->insert = s->flush = 0;
	nodes_forget_samples(s->servers->nodes);
}

static void hear(struct samples *s)
{
	struct nodes *all = s->servers->nodes;

	if (all->sampled_more)
		all->sampled_more(all->hearer);
}

/* A round.  What the primary says makes the replicas be asked anew. */
static void due(struct timer *t)
{
	struct samples *s = OWNER(t, struct samples, timer);

	s->waits = false;
	s->servers->nodes->position_wanted = 0;         /* who still wants it says so again */
	hear(s);
	if (!is_on(s) || !any_lacks(s))
		return;
	set_timer(s, least(s));
	if (s->primary != s->servers->nodes->primary)
		forget(s);
	sample(s);
	if (!ask_waits(&s->node[s->primary].ask))
		ask_replicas(s);        /* else when it has answered */
	net_flush(s->servers->base->net);
}

/* A write: at once, but not more often than it may. */
static void wake(void *samples)
{
	struct samples *s = samples;

	if (!s->waits && is_on(s))
		set_timer(s, 0);
}

/* --- answers ------------------------------------------------------------- */

static uint32_t number(const char *text)
{
	return text ? (uint32_t)strtoul(text, NULL, 10) : 0;
}

/* fields: see introduction. */
static void take_position(struct sampler *m, const char *field[], int n)
{
	struct samples *s = m->of;
	uint64_t insert = wire_lsn(field[1]), flush = field[2] ? wire_lsn(field[2]) : 0;
	uint32_t timeline = field[3] ? position_timeline(field[3]) : 0;

	if (s->primary != m->node->id || s->timeline != timeline || !s->block)
		forget(s);
	if (n > 7)
		s->block = number(field[7]);
	if (!s->block || !insert)
		return;                 /* that was no introduction: the next one is */
	s->timeline = timeline;
	if (insert != s->insert || flush != s->flush)
		s->stands = now(s);
	s->insert = insert;
	s->flush = flush;
	insert = position_reachable(insert, s->block);
	points_add(&s->points, m->sample, insert, now(s));
	m->next = now(s) + m->gap;
	m->node->measured++;
	m->node->all->answered = m->sample;
	m->node->all->position = insert;
	ask_replicas(s);
}

/* Returns when the sample was answered that the replica has. */
static int64_t compare(struct samples *s, struct node *n)
{
	int64_t ms;

	n->caught_up = points_reached(&s->points, n->replayed, &ms);
	if (sample_reached(n->caught_up, n->all->wanted))
		n->lacks_since = 0;
	return ms;
}

static void take_timelines(struct sampler *m, const char *field[])
{
	m->proved = loop_now_us(m->of->servers->base->loop);
	for (int i = 4; i < 7; i++) {
		uint32_t timeline = number(field[i]);
		m->timeline = timeline > m->timeline ? timeline : m->timeline;
	}
}

static void take_replayed(struct sampler *m, const char *field[], int n)
{
	struct samples *s = m->of;
	struct node *node = m->node;

	if (m->ask.server && m->ask.server->since_us > m->proved)
		m->timeline = 0;
	if (s->timeline == 1)
		m->timeline = 1;
	if (n > 6)
		take_timelines(m, field);
	bool comparable = s->timeline && m->timeline == s->timeline
	                  && s->primary == node->all->primary;
	node->measured++;
	node->unmeasured = false;
	node->replayed = comparable && field[1] ? wire_lsn(field[1]) : 0;
	int64_t behind = now(s) - compare(s, node);
	m->gap = behind / PART < least(s) ? least(s) : behind / PART > LONGEST ? LONGEST
		: behind / PART;
	m->next = now(s) + m->gap;
}

static void take(struct sampler *m, struct answer *r)
{
	const char *field[8] = { NULL };
	int n = answer_row(r, field, 8);

	if (n < 4 || !field[0] || !field[1])
		return;
	bool recovers = *field[0] == 't';
	if (!recovers && field[3])
		m->node->timeline = position_timeline(field[3]);
	node_is(m->node, recovers ? ROLE_STANDBY : ROLE_PRIMARY);
	if (is_home(m) && !recovers)
		take_position(m, field, n);
	else if (!is_home(m) && recovers)
		take_replayed(m, field, n);
}

static void answered(struct ask *a, struct answer *r)
{
	struct sampler *m = OWNER(a, struct sampler, ask);
	struct samples *s = m->of;

	if (r->why) {
		bool barred = is_barred(r);
		m->candidate += barred && !m->worked;   /* else all are tried anew */
		m->failed |= barred;
		m->worked &= !barred;
		m->next = now(s) + (barred ? 0 : AGAIN);
	} else {
		m->told = m->failed = false;
		m->worked = true;
		s->servers->nodes->sampling |= is_home(m);
		take(m, r);
		hear(s);
	}
	if (!s->waits && any_lacks(s))
		set_timer(s, least(s));
	net_flush(s->servers->base->net);
}

/* --- outside ------------------------------------------------------------- */

void samples_stop(struct samples *s)
{
	timer_stop(s->servers->base->loop, &s->timer);
	s->waits = true;                /* nobody wakes it */
	s->servers->nodes->sampling = false;
	for (int i = 0; i < s->servers->nodes->count; i++)
		ask_stop(&s->node[i].ask);
	hear(s);                        /* who waits need not wait any more */
}

void samples_start(struct samples *s)
{
	struct nodes *nodes = s->servers->nodes;

	samples_stop(s);
	s->waits = false;
	for (int i = 0; i < nodes->count; i++) {
		struct sampler *m = &s->node[i];
		*m = (struct sampler){ .of = s, .node = &nodes->node[i],
			.ask = { .servers = s->servers, .answered = answered } };
	}
	forget(s);
	nodes->sampling = is_on(s);
	wake(s);
}

struct samples *samples_new(struct servers *all)
{
	struct samples *s = calloc(1, sizeof *s);

	if (!s)
		return NULL;
	s->servers = all;
	s->timer.fire = due;
	all->nodes->samples = s;
	all->nodes->sample = wake;
	return s;
}

void samples_free(struct samples *s)
{
	if (!s)
		return;
	s->servers->nodes->sample = NULL;
	samples_stop(s);
	free(s);
}
