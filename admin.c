#include "admin.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* A configuration may ask for millions of processes just for the number.  Nobody reads such
 * tables. */
enum { PROCESSES_MAX = 65536, POOLS_MAX = 64 };

#define COUNT(array) (sizeof (array) / sizeof *(array))

static const struct conf *conf_of(const struct admin *a)
{
	return a->clients->base->conf;
}

static int64_t now(const struct admin *a)
{
	return loop_now(a->clients->base->loop);
}

void admin_start(struct admin *a, const struct clients *clients, const char *version)
{
	struct timespec t;

	a->clients = clients;
	a->version = version;
	a->started = a->loaded = now(a);
	clock_gettime(CLOCK_REALTIME, &t);
	a->epoch = (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000 - a->started;
}

/* Local time; nothing for 0, never. */
static void print_clock(time_t t, char *out)
{
	struct tm tm;

	if (!t || !localtime_r(&t, &tm) || !strftime(out, ADMIN_TEXT, "%Y-%m-%d %H:%M:%S", &tm))
		*out = '\0';
}

static void print_time(const struct admin *a, int64_t at, char *out)
{
	print_clock((a->epoch + at) / 1000, out);
}

/* --- nodes --------------------------------------------------------------- */

enum { UNUSED, WAITING, UP, DOWN };     /* as PCP numbers them */

static const char *const status_words[] = { "unused", "waiting", "up", "down" };
static const char *const role_words[] = { "main", "replica", "primary", "standby" };

static int status(const struct node *n)
{
	const struct conf_node *c = node_conf(n);

	if (!c->used)
		return UNUSED;
	if (n->drained || (n->state == NODE_DOWN && !(c->flag & NODE_DISALLOW_TO_FAILOVER)))
		return DOWN;
	return n->state == NODE_WAITING ? WAITING : UP;
}

static const char *pg_status(const struct node *n)
{
	return !node_conf(n)->used || n->state == NODE_WAITING ? "unknown"
		: n->state == NODE_DOWN ? "down" : "up";
}

static int role(const struct node *n)
{
	int standby = n->id != n->all->primary;

	return standby + (n->all->base->conf->backend_clustering_mode == CLUSTERING_RAW ? 0 : 2);
}

static const char *pg_role(const struct node *n)
{
	return n->state == NODE_DOWN || n->role == ROLE_UNKNOWN ? "unknown"
		: n->role == ROLE_PRIMARY ? "primary" : "standby";
}

/* 0 to 1, of all weights. */
static double share(const struct node *n)
{
	double total = 0;

	for (int i = 0; i < n->all->base->conf->nnodes; i++)
		total += n->all->base->conf->node[i].used ? n->all->base->conf->node[i].weight : 0;
	return total > 0 && node_conf(n)->used ? node_conf(n)->weight / total : 0;
}

static int64_t changed_at(const struct admin_row *r)
{
	return r->node->changed_at ? r->node->changed_at : r->admin->started;
}

static void print_changed(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	print_time(r->admin, changed_at(r), out);
}

static long long changed_epoch(const struct admin_row *r)
{
	return (r->admin->epoch + changed_at(r)) / 1000;
}

static bool delay_is_time(const struct node *n)
{
	return n->all->base->conf->delay_threshold_by_time > 0;
}

/* Bytes, or microseconds. */
static unsigned long long delay(const struct node *n)
{
	const struct replication *r = &n->replication;

	return !delay_is_time(n) ? r->behind : r->lag > 0 ? (unsigned long long)r->lag : 0;
}

static double average(uint64_t sum, uint64_t checks)
{
	return checks ? (double)sum / (double)checks : 0;
}

#define CLOCK(name) \
	static void print_##name(const struct admin_row *r, char out[static ADMIN_TEXT]) \
	{ \
		print_clock(r->node->health.name, out); \
	}
CLOCK(last) CLOCK(last_success) CLOCK(last_skip) CLOCK(last_fail)

static size_t node_rows(const struct admin *a)
{
	return (size_t)conf_of(a)->nnodes;
}

static bool find_node(const struct admin *a, size_t at, struct admin_row *row)
{
	*row = (struct admin_row){ .admin = a };
	if (at >= node_rows(a))
		return false;
	row->node = &a->clients->servers->nodes->node[at];
	return true;
}

static const char *is_caught_up(const struct node *n)
{
	bool known = n->id == n->all->primary || n->caught_up;

	return !known ? "unknown" : n->id == n->all->primary || !n->lacks_since ? "yes" : "no";
}

static void print_lsn(uint64_t lsn, char out[static ADMIN_TEXT])
{
	snprintf(out, ADMIN_TEXT, "%X/%X", (unsigned)(lsn >> 32), (unsigned)lsn);
}

static void print_position(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	const struct node *n = r->node;
	uint64_t lsn = n->id == n->all->primary ? n->all->position : n->replayed;

	*out = '\0';
	if (lsn)
		print_lsn(lsn, out);
}

static void print_client_position(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	print_lsn(client_position(r->asks), out);
}

/* --- processes ----------------------------------------------------------- */

uint32_t admin_processes(const struct admin *a)
{
	int64_t n = conf_of(a)->num_init_children;

	n = n > PROCESSES_MAX ? PROCESSES_MAX : n;
	return n > a->clients->nslots ? (uint32_t)n : a->clients->nslots;
}

static size_t pools(const struct admin *a)
{
	int64_t n = conf_of(a)->max_pool;

	return n < 1 ? 1 : n > POOLS_MAX ? POOLS_MAX : (size_t)n;
}

size_t admin_pools_each(const struct admin *a)
{
	return pools(a) * node_rows(a);
}

static size_t pool_rows(const struct admin *a)
{
	return admin_processes(a) * admin_pools_each(a) + a->clients->servers->places.n;
}

/* Nobody's: it waits in the pool, is made ready for it, or works for the proxy itself. */
static bool is_nobodys(const struct server *s)
{
	return s->phase == IDLE || s->phase == RESET
	       || (s->phase == LENT && s->borrower && s->borrower->own);
}

const char *const admin_states[ADMIN_STATES] = { "opening", "idle", "lent", "reset" };

unsigned admin_connections(const struct node *n, size_t state)
{
	const struct servers *all = n->all->ctx;
	unsigned count = 0;

	for (const struct server *s = all->first; s; s = s->next_all)
		if (s->node == n && s->phase != GONE)
			count += state == (s->phase < IDLE ? 0 : s->phase - IDLE + 1u);
	return count;
}

static bool find_place(const struct admin *a, size_t at, struct admin_row *row)
{
	const struct places *p = &a->clients->servers->places;

	if (at >= p->n || !find_node(a, 0, row))
		return false;
	row->pid = SERVER_PID + (uint32_t)at;
	if (p->of[at] && is_nobodys(p->of[at])) {
		row->server = p->of[at];
		row->node = row->server->node;
		row->pooled = row->server->account;
	}
	return true;
}

static bool find_pool(const struct admin *a, size_t at, struct admin_row *row)
{
	const struct clients *clients = a->clients;
	size_t slot = at / admin_pools_each(a);

	if (slot >= admin_processes(a))
		return find_place(a, at - admin_processes(a) * admin_pools_each(a), row);
	find_node(a, at % node_rows(a), row);
	row->pid = SESSION_PID + (uint32_t)slot;
	row->pool = (uint32_t)(at / node_rows(a) % pools(a));
	row->client = slot < clients->nslots ? clients->slot[slot] : NULL;
	if (row->client && row->pool == 0)
		for (const struct server *s = row->client->borrowed; s && !row->server;
		     s = s->next_borrowed)
			row->server = s->node == row->node ? s : NULL;
	return true;
}

/* That of the client in the first pool: NULL for other pools, and before its parameters are known;
 * or of a connection that nobody has. */
static const struct account *account(const struct admin_row *r)
{
	if (r->pooled)
		return r->pooled;
	const struct profile *p = r->client && r->pool == 0 ? r->client->borrower.profile : NULL;

	return p ? p->account : NULL;
}

static bool is_busy(const struct client *c)
{
	return c->inflight || c->waiting;
}

static const char *activity(const struct admin_row *r)
{
	const struct client *c = r->client;

	if (r->pooled && r->server->phase != IDLE)
		return "Execute command";
	if (!c)
		return "Wait for connection";
	if (c->phase != AT_READY)
		return "Connecting";
	if (is_busy(c))
		return "Execute command";
	return c->status == 'I' ? "Idle" : "Idle in transaction";
}

/* In Pgpool-II's words; behind them, what the connections of an idle session are held for. */
static void print_activity(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	const struct client *c = r->client;
	const char *pin = c && c->phase == AT_READY && !is_busy(c) ? client_pin(c) : "";

	snprintf(out, ADMIN_TEXT, *pin ? "%s (%s)" : "%s", activity(r), pin);
}

static const char *minor_version(const struct admin_row *r)
{
	return r->client && account(r) && r->client->key_len == KEY_3_2 ? "2" : "0";
}

static bool is_balanced_to(const struct admin_row *r)
{
	return r->client && account(r) && r->client->session.node == r->node;
}

/* Sessions that its place has had so far. */
static uint32_t served(const struct admin_row *r)
{
	const struct clients *c = r->admin->clients;
	uint32_t slot = r->pid - SESSION_PID;

	return slot < c->nslots ? c->served[slot] : 0;
}

static void print_since(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	print_time(r->admin, r->admin->started, out);
}

static void print_connected(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	*out = '\0';
	if (r->server)
		print_time(r->admin, r->server->since, out);
}

static void print_client_connected(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	*out = '\0';
	if (r->client && r->pool == 0)
		print_time(r->admin, r->client->since, out);
}

/* When its client has given it back. */
static void print_client_gone(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	*out = '\0';
	if (r->pooled)
		print_time(r->admin, r->server->rests, out);
}

static int idle_seconds(const struct admin_row *r)
{
	const struct client *c = r->client;

	if (r->pooled && r->server->phase == IDLE)
		return (int)((now(r->admin) - r->server->rests) / 1000);
	if (!c || r->pool || c->phase != AT_READY || is_busy(c))
		return 0;
	return (int)((now(r->admin) - c->active) / 1000);
}

/* Others may see that a session is there, not what it does or where it is from.  Who has not logged
 * in is nobody yet. */
static bool is_private(const struct admin_row *r)
{
	const struct profile *theirs = r->client->phase == AT_READY
		? r->client->borrower.profile : NULL;
	const struct account *asks = r->asks ? r->asks->borrower.profile->account : NULL;

	return asks && !(theirs && !strcmp(asks->user, theirs->account->user))
	       && !client_sees_others(r->asks);
}

static void print_peer(const struct admin_row *r, char *host, char *port)
{
	*host = *port = '\0';
	if (r->client && !is_private(r))
		client_peer(r->client, host, ADMIN_TEXT, port, ADMIN_TEXT);
}

static void print_host(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	char port[ADMIN_TEXT];

	print_peer(r, out, port);
}

static void print_port(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	char host[ADMIN_TEXT];

	print_peer(r, host, out);
}

/* That it runs or has run last. */
static const char *statement(const struct admin_row *r)
{
	const struct client *c = r->client;

	return c && c->phase == AT_READY && !is_private(r) ? client_last_statement(c) : "";
}

/* --- parameters ---------------------------------------------------------- */

/* At the end of Pgpool-II's table, for each node. */
static const char *const of_nodes[] = {
	"backend_hostname", "backend_port", "backend_weight", "backend_data_directory",
	"backend_status", "standby_delay", "backend_flag", "backend_application_name",
};

/* The n-th of those without an index; or NULL, and *n is reduced by their number. */
static const struct conf_row *common_row(size_t *n)
{
	const struct conf_row *row;

	for (size_t i = 0; (row = conf_row(i)); i++)
		if ((!row->per_node || row->bare) && (*n)-- == 0)
			return row;
	return NULL;
}

static const struct conf_row *row_named(const char *name)
{
	const struct conf_row *row;

	for (size_t i = 0; (row = conf_row(i)) && strcmp(row->name, name); i++)
		;
	return row;
}

static size_t parameter_rows(const struct admin *a)
{
	size_t behind = SIZE_MAX;

	common_row(&behind);
	return SIZE_MAX - behind + COUNT(of_nodes) * node_rows(a);
}

static bool find_parameter(const struct admin *a, size_t at, struct admin_row *row)
{
	const struct conf_row *common = common_row(&at);

	if (common) {
		*row = (struct admin_row){ .admin = a, .parameter = common };
		return true;
	}
	if (!find_node(a, at / COUNT(of_nodes), row))
		return false;
	row->of_node = of_nodes[at % COUNT(of_nodes)];
	row->parameter = row_named(row->of_node);       /* NULL: a state */
	return true;
}

static void print_name(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	if (r->of_node)
		snprintf(out, ADMIN_TEXT, "%s%d", r->of_node, r->node->id);
	else
		snprintf(out, ADMIN_TEXT, "%s", r->parameter->name);
}

static void print_value(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	const struct conf *c = conf_of(r->admin);

	*out = '\0';
	if (!r->of_node)
		conf_show_plain(c, r->parameter, out, ADMIN_TEXT);
	else if (!strcmp(r->of_node, "standby_delay"))
		snprintf(out, ADMIN_TEXT, "%llu", delay(r->node));
	else if (!strcmp(r->of_node, "backend_status"))
		snprintf(out, ADMIN_TEXT, "%s", status_words[status(r->node)]);
	else if (!strcmp(r->of_node, "backend_weight"))
		snprintf(out, ADMIN_TEXT, "%f", share(r->node));
	else {
		char name[64];
		snprintf(name, sizeof name, "%s%d", r->of_node, r->node->id);
		conf_show(c, name, out, ADMIN_TEXT);
	}
}

static const char *description(const struct admin_row *r)
{
	return r->parameter ? r->parameter->doc
		: *r->of_node == 's' ? "How far the node is behind the primary."
		: "How the node is.";
}

/* --- PGPOOL SHOW --------------------------------------------------------- */

/* With a unit, or as a word. */
static void print_setting(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	char name[64];

	snprintf(name, sizeof name, r->of_node ? "%s%d" : "%s",
		r->of_node ? r->of_node : r->parameter->name, r->node ? r->node->id : 0);
	conf_show(conf_of(r->admin), name, out, ADMIN_TEXT);
}

static void print_asked(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	bool set = r->asks && conf_setting(r->asked) == SETTING_SESSION;

	conf_show(set ? client_conf(r->asks) : conf_of(r->admin), r->asked, out, ADMIN_TEXT);
}

static size_t one_row(const struct admin *a)
{
	(void)a;
	return 1;
}

static bool find_one(const struct admin *a, size_t at, struct admin_row *row)
{
	*row = (struct admin_row){ .admin = a };
	return at == 0;
}

/* States of nodes are no settings. */
static bool find_setting(const struct admin *a, size_t at, struct admin_row *row)
{
	for (size_t i = 0; find_parameter(a, i, row); i++)
		if (row->parameter && at-- == 0)
			return true;
	return false;
}

/* --- what SHOW tells of nodes and sessions ------------------------------- */

static uint64_t statements(const struct admin_row *r, enum sql_class class)
{
	return r->node->tally.statements[class];
}

static const char *load_balance_node(const struct admin_row *r)
{
	return r->asks && r->asks->session.node == r->node ? "true" : "false";
}

/* "0", bytes, or "0.001234 second". */
static void print_delay(const struct admin_row *r, char out[static ADMIN_TEXT])
{
	bool primary = r->node->id == r->node->all->primary;
	double seconds = (double)delay(r->node) / 1e6;

	if (primary || !delay_is_time(r->node))
		snprintf(out, ADMIN_TEXT, "%llu", primary ? 0 : delay(r->node));
	else
		snprintf(out, ADMIN_TEXT, "%f second%s", seconds, seconds < 2 ? "" : "s");
}

/* The first pool of each process. */
static bool find_process(const struct admin *a, size_t at, struct admin_row *row)
{
	if (at >= admin_processes(a) || !find_pool(a, at * admin_pools_each(a), row))
		return false;
	if (row->client)
		row->server = row->client->home ? row->client->home : row->client->borrowed;
	return true;
}

static size_t process_rows(const struct admin *a)
{
	return admin_processes(a);
}

/* --- the tables ---------------------------------------------------------- */

/* V(table, column, format, value); P(table, column, function that prints it) */
#define NODE_COLUMNS(V, P, t) \
	V(t, hostname, "%s", node_conf(r->node)->hostname) \
	V(t, port, "%d", (int)node_conf(r->node)->port) \
	V(t, status, "%d", status(r->node)) \
	V(t, quarantine, "%s", "0") \
	V(t, pg_status, "%s", pg_status(r->node)) \
	V(t, weight, "%f", share(r->node) * INT32_MAX) \
	V(t, role, "%d", role(r->node)) \
	V(t, pg_role, "%s", pg_role(r->node)) \
	V(t, delay_by_time, "%d", delay_is_time(r->node)) \
	V(t, standby_delay, "%llu", delay(r->node)) \
	V(t, replication_state, "%s", r->node->replication.state) \
	V(t, replication_sync_state, "%s", r->node->replication.sync_state) \
	V(t, status_changed_time, "%lld", changed_epoch(r))

#define COUNTER "%" PRIu64
#define CONSISTENCY_COLUMNS(V, P, t) \
	V(t, node_id, "%d", r->node->id) \
	V(t, hostname, "%s", node_conf(r->node)->hostname) \
	V(t, port, "%d", (int)node_conf(r->node)->port) \
	V(t, role, "%s", role_words[role(r->node)]) \
	P(t, position, print_position) \
	V(t, caught_up, "%s", is_caught_up(r->node)) \
	V(t, missing_for, "%.3f", node_missing(r->node)) \
	V(t, reads_moved, COUNTER, r->node->moved) \
	V(t, samples, "%u", r->node->measured)

#define HEALTH(counter) r->node->health.counter
#define HEALTH_COLUMNS(V, P, t) \
	V(t, node_id, "%d", r->node->id) \
	V(t, hostname, "%s", node_conf(r->node)->hostname) \
	V(t, port, "%d", (int)node_conf(r->node)->port) \
	V(t, status, "%s", status_words[status(r->node)]) \
	V(t, role, "%s", role_words[role(r->node)]) \
	P(t, last_status_change, print_changed) \
	V(t, total_count, COUNTER, HEALTH(total)) \
	V(t, success_count, COUNTER, HEALTH(success)) \
	V(t, fail_count, COUNTER, HEALTH(fail)) \
	V(t, skip_count, COUNTER, HEALTH(skip)) \
	V(t, retry_count, COUNTER, HEALTH(retry)) \
	V(t, average_retry_count, "%f", average(HEALTH(retry), HEALTH(total))) \
	V(t, max_retry_count, "%u", HEALTH(max_retry)) \
	V(t, max_duration, "%u", HEALTH(max_duration)) \
	V(t, min_duration, "%u", HEALTH(min_duration)) \
	V(t, average_duration, "%f", average(HEALTH(duration), HEALTH(total) - HEALTH(skip))) \
	P(t, last_health_check, print_last) \
	P(t, last_successful_health_check, print_last_success) \
	P(t, last_skip_health_check, print_last_skip) \
	P(t, last_failed_health_check, print_last_fail)

#define POOL_COLUMNS(V, P, t) \
	V(t, pool_pid, "%u", r->pid) \
	P(t, start_time, print_since) \
	V(t, client_connection_count, "%u", served(r)) \
	V(t, pool_id, "%u", r->pool) \
	V(t, backend_id, "%d", r->node->id) \
	V(t, database, "%s", account(r) ? account(r)->database : "") \
	V(t, username, "%s", account(r) ? account(r)->user : "") \
	P(t, backend_connection_time, print_connected) \
	P(t, client_connection_time, print_client_connected) \
	P(t, client_disconnection_time, print_client_gone) \
	V(t, client_idle_duration, "%d", idle_seconds(r)) \
	V(t, majorversion, "%s", account(r) ? "3" : "0") \
	V(t, minorversion, "%s", minor_version(r)) \
	V(t, pool_counter, "%u", r->server ? r->server->sessions : 0) \
	V(t, pool_backendpid, "%u", r->server ? r->server->pid : 0) \
	V(t, pool_connected, "%d", r->server && !r->pooled) \
	P(t, status, print_activity) \
	V(t, load_balance_node, "%d", is_balanced_to(r)) \
	P(t, client_host, print_host) \
	P(t, client_port, print_port) \
	V(t, statement, "%s", statement(r))

#define SHOW_NODE_COLUMNS(V, P, t) \
	V(t, node_id, "%d", r->node->id) \
	V(t, hostname, "%s", node_conf(r->node)->hostname) \
	V(t, port, "%d", (int)node_conf(r->node)->port) \
	V(t, status, "%s", status_words[status(r->node)]) \
	V(t, pg_status, "%s", pg_status(r->node)) \
	V(t, lb_weight, "%f", share(r->node)) \
	V(t, role, "%s", role_words[role(r->node)]) \
	V(t, pg_role, "%s", pg_role(r->node)) \
	V(t, select_cnt, COUNTER, statements(r, CLASS_SELECT)) \
	V(t, load_balance_node, "%s", load_balance_node(r)) \
	P(t, replication_delay, print_delay) \
	V(t, replication_state, "%s", r->node->replication.state) \
	V(t, replication_sync_state, "%s", r->node->replication.sync_state) \
	P(t, last_status_change, print_changed)

#define BACKEND_STATS_COLUMNS(V, P, t) \
	V(t, node_id, "%d", r->node->id) \
	V(t, hostname, "%s", node_conf(r->node)->hostname) \
	V(t, port, "%d", (int)node_conf(r->node)->port) \
	V(t, status, "%s", status_words[status(r->node)]) \
	V(t, role, "%s", role_words[role(r->node)]) \
	V(t, select_cnt, COUNTER, statements(r, CLASS_SELECT)) \
	V(t, insert_cnt, COUNTER, statements(r, CLASS_INSERT)) \
	V(t, update_cnt, COUNTER, statements(r, CLASS_UPDATE)) \
	V(t, delete_cnt, COUNTER, statements(r, CLASS_DELETE)) \
	V(t, ddl_cnt, COUNTER, statements(r, CLASS_DDL)) \
	V(t, other_cnt, COUNTER, statements(r, CLASS_OTHER)) \
	V(t, panic_cnt, COUNTER, r->node->tally.panic) \
	V(t, fatal_cnt, COUNTER, r->node->tally.fatal) \
	V(t, error_cnt, COUNTER, r->node->tally.error)

#define PROCESS_COLUMNS(V, P, t) \
	V(t, pool_pid, "%u", r->pid) \
	P(t, start_time, print_since) \
	V(t, client_connection_count, "%u", served(r)) \
	V(t, database, "%s", account(r) ? account(r)->database : "") \
	V(t, username, "%s", account(r) ? account(r)->user : "") \
	P(t, backend_connection_time, print_connected) \
	V(t, pool_counter, "%u", r->server ? r->server->sessions : 0) \
	P(t, status, print_activity)

#define VERSION_COLUMNS(V, P, t) \
	V(t, pool_version, "%s", r->admin->version)

/* There is no query cache. */
#define CACHE_COLUMNS(V, P, t) \
	V(t, num_cache_hits, "%s", "0") \
	V(t, num_selects, "%s", "0") \
	V(t, cache_hit_ratio, "%s", "0.00") \
	V(t, num_hash_entries, "%s", "0") \
	V(t, used_hash_entries, "%s", "0") \
	V(t, num_cache_entries, "%s", "0") \
	V(t, used_cache_entries_size, "%s", "0") \
	V(t, free_cache_entries_size, "%s", "0") \
	V(t, fragment_cache_entries_size, "%s", "0")

#define SETTING_COLUMNS(V, P, t) \
	P(t, item, print_name) \
	P(t, value, print_setting) \
	V(t, description, "%s", description(r))

#define PARAMETER_COLUMNS(V, P, t) \
	P(t, item, print_name) \
	P(t, value, print_value) \
	V(t, description, "%s", description(r))

#define PRINT(t, column, format, value) \
	static void t##_##column(const struct admin_row *r, char out[static ADMIN_TEXT]) \
	{ \
		(void)r; \
		snprintf(out, ADMIN_TEXT, format, value); \
	}
#define PRINTED(t, column, print)
#define COLUMN(t, column, format, value) { #column, t##_##column },
#define COLUMN_PRINTED(t, column, print) { #column, print },

#define COLUMNS_OF(t, COLUMNS) \
	COLUMNS(PRINT, PRINTED, t) \
	static const struct admin_column t##_columns[] = { COLUMNS(COLUMN, COLUMN_PRINTED, t) }; \
	_Static_assert(COUNT(t##_columns) <= ADMIN_COLUMNS, "the widest table has so many");

#define TABLE(t, COLUMNS, show, rows, find) \
	COLUMNS_OF(t, COLUMNS) \
	const struct admin_table admin_##t = { show, COUNT(t##_columns), t##_columns, rows, find };

TABLE(nodes, NODE_COLUMNS, NULL, node_rows, find_node)
TABLE(show_nodes, SHOW_NODE_COLUMNS, "pool_nodes", node_rows, find_node)
TABLE(backend_stats, BACKEND_STATS_COLUMNS, "pool_backend_stats", node_rows, find_node)
TABLE(health_checks, HEALTH_COLUMNS, "pool_health_check_stats", node_rows, find_node)
TABLE(processes_shown, PROCESS_COLUMNS, "pool_processes", process_rows, find_process)
TABLE(pools, POOL_COLUMNS, "pool_pools", pool_rows, find_pool)
TABLE(version, VERSION_COLUMNS, "pool_version", one_row, find_one)
TABLE(cache, CACHE_COLUMNS, "pool_cache", one_row, find_one)
TABLE(parameters, PARAMETER_COLUMNS, "pool_status", parameter_rows, find_parameter)
TABLE(settings, SETTING_COLUMNS, NULL, parameter_rows, find_setting)

TABLE(consistency, CONSISTENCY_COLUMNS, "pool_consistency", node_rows, find_node)

static const struct admin_column position_column = { "pgpool.lsn", print_client_position };
static const struct admin_table position = { "pgpool.lsn", 1, &position_column, one_row, find_one };

static const struct admin_column asked_column = { NULL, print_asked };
static const struct admin_table asked = { NULL, 1, &asked_column, one_row, find_one };

/* --- SHOW ---------------------------------------------------------------- */

static const struct admin_table *find_shown(void *ctx, const struct sql_own *says)
{
	static const struct admin_table *const shown[] = { &admin_show_nodes,
		&admin_backend_stats, &admin_health_checks, &admin_processes_shown, &admin_pools,
		&admin_version, &admin_cache, &admin_parameters, &admin_consistency, &position };
	const struct admin *a = ctx;
	char value[8];

	if (says->kind == SQL_SHOW && says->all)
		return &admin_settings;
	if (says->kind == SQL_SHOW)
		return conf_show(conf_of(a), says->name, value, sizeof value) < 0 ? NULL : &asked;
	for (size_t i = 0; i < COUNT(shown); i++)
		if (!strcmp(shown[i]->name, says->name))
			return shown[i];
	return NULL;
}

static size_t count_columns(const struct admin_table *t)
{
	return t->ncolumns;
}

static bool is_private_table(const struct admin_table *t)
{
	return t == &admin_pools;
}

static bool is_position(const struct admin_table *t)
{
	return t == &position;
}

static const char *column_name(const struct admin_table *t, size_t i)
{
	return t->column[i].name;
}

static bool put_row(void *ctx, const struct admin_table *t, size_t at, const struct sql_own *says,
                    const struct client *asks, struct put *o)
{
	char text[ADMIN_TEXT];
	struct admin_row row;

	if (!t->find(ctx, at, &row))
		return false;
	row.asked = says->name;
	row.asks = asks;
	for (size_t i = 0; i < t->ncolumns; i++) {
		t->column[i].print(&row, text);
		size_t len = strlen(text);
		put_u32(o, (uint32_t)len);
		put_bytes(o, text, len);
	}
	return true;
}

_Static_assert(ADMIN_COLUMNS * (ADMIN_TEXT + 4) + 64 <= OWN_ROW_MAX, "a row has room");

const struct own_ops admin_own_ops = { find_shown, count_columns, is_private_table, is_position,
	column_name, put_row };
