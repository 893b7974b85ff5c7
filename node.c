#include "node.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/un.h>

/* A look-up in flight.  It owns copies of what it needs, since the node may be
 * configured anew meanwhile; node is only touched back on the loop. */
struct look_up {
	struct job job;
	struct node *node;
	char host[256], port[8];
	int error;
	struct address address[NODE_ADDRESSES];
	int n;
};

const struct conf_node node_nobody = {
	.hostname = "", .application_name = "", .data_directory = "", .health_check_user = "",
	.health_check_password = "", .health_check_database = "",
};

/* --- addresses ----------------------------------------------------------- */

static int take_answer(const struct addrinfo *list, struct address *to)
{
	int n = 0;

	for (; list && n < NODE_ADDRESSES; list = list->ai_next) {
		if (list->ai_addrlen > sizeof to[n].at)
			continue;
		memcpy(&to[n].at, list->ai_addr, list->ai_addrlen);
		to[n++].len = list->ai_addrlen;
	}
	return n;
}

static int resolve(const char *host, const char *port, int flags, struct address *to, int *n)
{
	struct addrinfo hints = { .ai_socktype = SOCK_STREAM, .ai_flags = flags }, *list = NULL;
	int error = getaddrinfo(host, port, &hints, &list);

	*n = error ? 0 : take_answer(list, to);
	if (list)
		freeaddrinfo(list);
	return error;
}

static void look_up(struct job *j)
{
	struct look_up *l = OWNER(j, struct look_up, job);

	l->error = resolve(l->host, l->port, 0, l->address, &l->n);
}

static void looked_up(struct job *j)
{
	struct look_up *l = OWNER(j, struct look_up, job);
	struct node *n = l->node;

	n->look_up = NULL;
	if (strcmp(l->host, node_conf(n)->hostname) || atoi(l->port) != (int)node_conf(n)->port) {
		n->all->changed(n->all->ctx, n);        /* a reload has moved it: look again */
	} else if (l->n > 0) {
		memcpy(n->address, l->address, sizeof n->address);
		n->naddresses = l->n;
		n->next_address = 0;
		n->resolved = loop_now(n->all->base->loop);
		n->all->changed(n->all->ctx, n);
	} else if (!n->naddresses) {
		char why[160];
		snprintf(why, sizeof why, "could not resolve \"%.80s\": %s", l->host,
			gai_strerror(l->error));
		n->nameless = true;
		node_failed(n, why);
		n->all->changed(n->all->ctx, n);
		n->nameless = false;
	}
	free(l);
}

static void start_look_up(struct node *n, const char *host, const char *port)
{
	struct look_up *l = calloc(1, sizeof *l);

	if (!l)
		return;
	l->node = n;
	l->job.work = look_up;
	l->job.done = looked_up;
	snprintf(l->host, sizeof l->host, "%s", host);
	snprintf(l->port, sizeof l->port, "%s", port);
	if (loop_job(n->all->base->loop, LANE_NAMES, &l->job) < 0)
		free(l);
	else
		n->look_up = l;
}

/* An empty host name is the Unix socket in /tmp, as for Pgpool-II. */
static void unix_address(struct node *n, const char *dir)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };

	snprintf(un.sun_path, sizeof un.sun_path, "%s/.s.PGSQL.%d", *dir ? dir : "/tmp",
		(int)node_conf(n)->port);
	memcpy(&n->address[0].at, &un, sizeof un);
	n->address[0].len = sizeof un;
	n->naddresses = 1;
}

const struct address *node_address(struct node *n)
{
	const char *host = node_conf(n)->hostname;
	int64_t now = loop_now(n->all->base->loop);
	char port[8];

	snprintf(port, sizeof port, "%d", (int)node_conf(n)->port);
	if (!*host || *host == '/')
		unix_address(n, host);
	else if (!n->resolved
	         && resolve(host, port, AI_NUMERICHOST, n->address, &n->naddresses) == 0)
		n->resolved = INT64_MAX - NODE_FRESH;
	else if ((!n->resolved || now > n->resolved + NODE_FRESH) && !n->look_up && !n->nameless)
		start_look_up(n, host, port);
	if (!n->naddresses)
		return NULL;
	return &n->address[n->next_address++ % n->naddresses];
}

/* --- state --------------------------------------------------------------- */

static int flagged(const struct nodes *all)
{
	for (int i = 0; i < all->count; i++)
		if (all->base->conf->node[i].used
		    && all->base->conf->node[i].flag & NODE_ALWAYS_PRIMARY)
			return i;
	return -1;
}

/* Which of two primaries was promoted last? */
static bool is_later(const struct node *n, const struct node *than)
{
	if (n->timeline && than->timeline && n->timeline != than->timeline)
		return n->timeline > than->timeline;
	return n->led > than->led;
}

void nodes_forget_samples(struct nodes *all)
{
	all->answered = 0;
	for (int i = 0; i < all->count; i++) {
		all->node[i].caught_up = 0;
		all->node[i].replayed = 0;
	}
}

static void choose_primary(struct nodes *all)
{
	int before = all->primary, chosen = -1, first = -1;

	for (int i = 0; i < all->count; i++) {
		const struct node *n = &all->node[i];
		if (!all->base->conf->node[i].used)
			continue;
		if (first < 0 || (all->node[first].role == ROLE_STANDBY && n->role != ROLE_STANDBY))
			first = i;      /* maybe: nothing speaks against it */
		if (n->role == ROLE_PRIMARY && (chosen < 0 || is_later(n, &all->node[chosen])))
			chosen = i;
	}
	if (flagged(all) >= 0)
		chosen = flagged(all);
	all->primary = chosen >= 0 ? chosen : first >= 0 ? first : 0;
	all->node[all->primary].late = false;
	if (all->primary != before)
		nodes_forget_samples(all);
	if (all->primary != before && all->changed)
		all->changed(all->ctx, &all->node[before]);
}

bool nodes_checked(const struct conf *conf)
{
	return *conf->sr_check_user && conf->sr_check_period;
}

/* Of those that may be the primary none can be asked. */
static bool all_mute(const struct nodes *all)
{
	bool any = false;

	for (int i = 0; i < all->count; i++) {
		const struct node *n = &all->node[i];
		if (!node_conf(n)->used || n->state == NODE_DOWN || n->role == ROLE_STANDBY)
			continue;
		if (!n->mute)
			return false;
		any = true;
	}
	return any;
}

int64_t nodes_searching(const struct nodes *all)
{
	const struct conf *conf = all->base->conf;

	if (all->promotions || !nodes_checked(conf) || flagged(all) >= 0 || all_mute(all)
	    || conf->backend_clustering_mode == CLUSTERING_RAW)
		return 0;
	int64_t limit = conf->search_primary_node_timeout * 1000;
	int64_t left = limit ? all->began + limit - loop_now(all->base->loop) : INT64_MAX;
	return left > 0 ? left : 0;
}

static void try_again(struct timer *t)
{
	struct node *n = OWNER(t, struct node, probe);

	if (!node_conf(n)->used)
		return;                 /* a reload has removed it */
	timer_set(n->all->base->loop, t, n->all->base->conf->node_probe_period);
	n->all->probe(n->all->ctx, n);
}

static void goes_down(struct node *n, const char *why, bool unsafe)
{
	struct nodes *all = n->all;
	bool was_up = n->state != NODE_DOWN, news = was_up || n->unsafe != unsafe;

	snprintf(n->why, sizeof n->why, "%s", why);
	n->state = NODE_DOWN;
	n->unsafe = unsafe;
	if (!news)
		return;
	n->changed_at = loop_now(all->base->loop);
	if (was_up)
		n->down_since = n->changed_at;
	timer_set(all->base->loop, &n->probe, all->base->conf->node_probe_period);
	log_write(all->base->log, NULL, LEVEL_LOG, n->why,
		"it is tried again in the background until it answers",
		"node %d (%s:%d) is down", n->id, node_conf(n)->hostname, (int)node_conf(n)->port);
	all->changed(all->ctx, n);
}

void node_failed(struct node *n, const char *why)
{
	goes_down(n, why, false);
}

void node_unsafe(struct node *n, const char *why)
{
	goes_down(n, why, true);
}

void node_worked(struct node *n)
{
	struct nodes *all = n->all;
	bool news = n->state == NODE_DOWN;

	all->worked = true;
	n->state = NODE_UP;
	n->unsafe = false;
	n->why[0] = 0;
	timer_stop(all->base->loop, &n->probe);
	if (!news)
		return;
	n->changed_at = loop_now(all->base->loop);
	log_write(all->base->log, NULL, LEVEL_LOG, NULL, NULL, "node %d (%s:%d) is up again", n->id,
		node_conf(n)->hostname, (int)node_conf(n)->port);
	all->changed(all->ctx, n);
}

void nodes_try(struct nodes *all)
{
	for (int i = 0; i < all->base->conf->nnodes && !all->worked; i++)
		if (node_conf(&all->node[i])->used && all->node[i].state == NODE_WAITING)
			all->probe(all->ctx, &all->node[i]);
}

/* Two that are no standbys: a promotion has begun a new timeline. */
static bool was_promoted_after(const struct node *n, const struct node *primary)
{
	if (n->timeline && primary->timeline && n->timeline != primary->timeline)
		return n->timeline > primary->timeline;
	return primary->state == NODE_DOWN
	       || (n->role == ROLE_STANDBY && !(n->timeline && primary->timeline));
}

/* A timeline that has become known may decide, too. */
static void choose_again(struct nodes *all)
{
	int before = all->primary;

	choose_primary(all);
	if (all->primary != before)
		log_write(all->base->log, NULL, LEVEL_LOG, NULL, NULL,
			"find_primary_node: primary node is %d", all->primary);
}

void node_is(struct node *n, enum node_role role)
{
	struct nodes *all = n->all;
	const struct node *primary = nodes_primary(all);

	if (role == ROLE_STANDBY)
		n->timeline = 0;
	if (role == n->role) {
		if (role == ROLE_PRIMARY)
			choose_again(all);
		return;
	}
	bool leads = role == ROLE_PRIMARY && (primary == n || primary->role != ROLE_PRIMARY
	                                      || was_promoted_after(n, primary));
	if (role == ROLE_PRIMARY && !leads)
		log_write(all->base->log, NULL, LEVEL_WARNING, NULL,
			"only one of them should be running",
			"node %d says that it is a primary, but the primary is node %d", n->id,
			all->primary);
	n->role = role;
	n->led = leads ? ++all->promotions : 0;
	choose_again(all);
	if (leads && all->promotions == 1)
		all->changed(all->ctx, nodes_primary(all));     /* clients may wait for it */
	if (role == ROLE_STANDBY)
		log_write(all->base->log, NULL, LEVEL_LOG, NULL, NULL,
			"find_primary_node: standby node is %d", n->id);
}

void node_claims(struct node *n, enum node_role role)
{
	struct nodes *all = n->all;
	const struct node *primary = nodes_primary(all);

	if (role == ROLE_PRIMARY && n->role != ROLE_PRIMARY && n != primary
	    && primary->role == ROLE_PRIMARY && primary->state != NODE_DOWN
	    && nodes_checked(all->base->conf) && !n->mute && all->ask)
		all->ask(all->checks, n);
	else
		node_is(n, role);
}

void node_lets_in(struct node *n, bool in)
{
	struct nodes *all = n->all;
	bool searched = nodes_searching(all);

	n->mute = !in;
	if (searched && !nodes_searching(all))
		all->changed(all->ctx, nodes_primary(all));     /* clients may wait for it */
}

void node_renew(struct node *n)
{
	int64_t now = loop_now(n->all->base->loop);

	if (n->resolved && n->resolved <= now)
		n->resolved = now - NODE_FRESH - 1;
}

/* --- the draw ------------------------------------------------------------ */

/* xorshift64*: for dice, not for secrets. */
double nodes_random(struct nodes *all)
{
	uint64_t x = all->random;

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	all->random = x;
	return (double)(x * 2685821657736338717u >> 11) / 9007199254740992.0;
}

static double share(const struct nodes *all, int i, bool standbys_only)
{
	const struct conf_node *c = &all->base->conf->node[i];

	if (!c->used || !node_takes_reads(&all->node[i]) || (standbys_only && i == all->primary))
		return 0;
	return c->weight;
}

/* By these weights; NULL: none has one. */
static struct node *draw(struct nodes *all, const double *weight)
{
	double total = 0;
	struct node *last = NULL;

	for (int i = 0; i < all->count; i++)
		total += weight[i];
	double at = nodes_random(all) * total;
	for (int i = 0; i < all->count; i++) {
		if (weight[i] <= 0)
			continue;
		last = &all->node[i];
		if (at < weight[i])
			return last;
		at -= weight[i];
	}
	return last;
}

struct node *nodes_draw(struct nodes *all, bool standbys_only)
{
	double weight[CONF_NODES];

	for (int i = 0; i < all->count; i++)
		weight[i] = share(all, i, standbys_only);
	return draw(all, weight);
}

uint32_t nodes_wrote(struct nodes *all)
{
	const int64_t now = loop_now(all->base->loop);

	all->wanted = nodes_next_sample(all);
	for (int i = 0; i < all->count; i++)
		if (!all->node[i].lacks_since)
			all->node[i].lacks_since = now;
	if (all->sample && nodes_balance(all))
		all->sample(all->samples);
	return all->wanted;
}

uint32_t nodes_reached(const struct nodes *all)
{
	uint32_t least = all->answered;

	for (int i = 0; i < all->count; i++) {
		const struct node *n = &all->node[i];
		if (i != all->primary && node_conf(n)->used && node_takes_reads(n)
		    && !sample_reached(n->caught_up, least))
			least = n->caught_up;
	}
	return least;
}

double node_missing(const struct node *n)
{
	if (n->id == n->all->primary || !n->lacks_since)
		return 0;
	return (double)(loop_now(n->all->base->loop) - n->lacks_since) / 1000;
}

bool node_has(const struct node *n, struct freshness what)
{
	return n->id == n->all->primary
	       || (sample_reached(n->caught_up, what.sample) && n->replayed >= what.lsn);
}

struct node *nodes_draw_fresh(struct nodes *all, struct freshness what)
{
	double weight[CONF_NODES];

	all->missed = loop_now(all->base->loop);
	if (what.lsn && what.lsn != UINT64_MAX)
		all->wanted = nodes_next_sample(all);   /* a position is newer than any write */
	if (all->sample)
		all->sample(all->samples);
	for (int i = 0; i < all->count; i++) {
		const struct node *n = &all->node[i];
		weight[i] = node_has(n, what) && !n->late ? share(all, i, true) : 0;
	}
	return draw(all, weight);
}

/* In the unit by which they are compared. */
static double delay(const struct nodes *all, const struct node *n)
{
	if (all->base->conf->delay_threshold_by_time)
		return n->replication.lag > 0 ? (double)n->replication.lag : 0;
	return (double)n->replication.behind;
}

struct node *nodes_nearest(struct nodes *all)
{
	struct node *best = NULL;
	int equal = 0;

	for (int i = 0; i < all->count; i++) {
		struct node *n = &all->node[i];
		if (n->late || share(all, i, true) <= 0)
			continue;
		if (!best || delay(all, n) < delay(all, best))
			equal = 0;
		else if (delay(all, n) > delay(all, best))
			continue;
		if (nodes_random(all) * ++equal < 1)
			best = n;       /* among k equal ones each with 1/k */
	}
	return best;
}

int64_t nodes_delay_ms(const struct nodes *all)
{
	int64_t most = 0;

	for (int i = 0; i < all->count; i++) {
		int64_t lag = all->node[i].replication.lag;
		if (share(all, i, true) <= 0 || lag == NODE_GONE)
			continue;
		if (lag < 0)
			return -1;
		most = lag > most ? lag : most;
	}
	return (most + 999) / 1000;
}

bool nodes_balance(const struct nodes *all)
{
	const struct conf *c = all->base->conf;

	if (!c->load_balance_mode || c->backend_clustering_mode == CLUSTERING_RAW)
		return false;
	for (int i = 0; i < all->count; i++)
		if (i != all->primary && c->node[i].used)
			return true;
	return false;
}

/* --- all of them --------------------------------------------------------- */

static void init_node(struct nodes *all, int i)
{
	all->node[i].all = all;
	all->node[i].id = i;
	all->node[i].queue_tail = &all->node[i].queue;
	all->node[i].probe.fire = try_again;
	all->node[i].replication.lag = -1;
}

struct nodes *nodes_new(struct base *base)
{
	struct nodes *all = calloc(1, sizeof *all + CONF_NODES * sizeof all->node[0]);

	if (!all)
		return NULL;
	all->base = base;
	all->count = base->conf->nnodes;
	all->began = loop_now(base->loop);
	if (getrandom(&all->random, sizeof all->random, 0) < 0 || !all->random)
		all->random = 1;
	for (int i = 0; i < all->count; i++)
		init_node(all, i);
	choose_primary(all);
	return all;
}

void nodes_free(struct nodes *all)
{
	free(all);
}

/* It is elsewhere now, or nowhere: our knowledge of it is void. */
static void move(struct node *n)
{
	n->resolved = 0;
	n->naddresses = 0;
	n->role = ROLE_UNKNOWN;
	n->timeline = 0;
	n->late = false;
	n->replication = (struct replication){ .lag = -1 };
}

static bool same_place(const struct conf_node *a, const struct conf_node *b)
{
	return a->used == b->used
	       && (!a->used || (a->port == b->port && !strcmp(a->hostname, b->hostname)));
}

/* Trusted certificates are in files that may have changed under the same names. */
static bool same_tls(const struct conf *a, const struct conf *b, int i)
{
	enum sslmode mode = conf_sslmode(b, &b->node[i]);

	return mode < SSLMODE_VERIFY_CA && mode == conf_sslmode(a, &a->node[i])
	       && a->node[i].sslnegotiation == b->node[i].sslnegotiation;
}

void nodes_reload(struct nodes *all, const struct conf *old)
{
	const struct conf *conf = all->base->conf;

	for (int i = 0; i < all->count; i++) {
		struct node *n = &all->node[i];
		bool stays = same_place(&old->node[i], &conf->node[i]);
		if (!stays)
			move(n);
		n->outdated = !stays || (node_conf(n)->used && !same_tls(old, conf, i));
		if ((n->outdated || n->unsafe) && node_conf(n)->used && n->state == NODE_DOWN)
			timer_set(all->base->loop, &n->probe, 0);
		n->unsafe = false;              /* there may be new certificates, too */
	}
	while (all->count < conf->nnodes)
		init_node(all, all->count++);
	choose_primary(all);
}
