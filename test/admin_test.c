/* admin_test.c - the tables of what can be asked: how nodes, sessions and parameters are written,
 * and that every number of a row gives a row. */
#include "conf/value.c"
#include "conf/scan.c"
#include "conf.c"
#include "t.h"

#undef COUNT
#include "admin.c"

#include <assert.h>

/* --- what admin.c asks others for ---------------------------------------- */

const struct conf_node node_nobody = { .hostname = "" };

int64_t loop_now(const struct loop *l)
{
	(void)l;
	return 5000000;
}

void client_peer(const struct client *c, char *host, size_t size, char *port, size_t port_size)
{
	(void)c;
	snprintf(host, size, "peer");
	snprintf(port, port_size, "77");
}

const struct conf *client_conf(const struct client *c)
{
	(void)c;
	return NULL;
}

bool client_sees_others(const struct client *c)
{
	(void)c;
	return false;
}

static const char *running = "";

uint64_t client_position(const struct client *c) { (void)c; return UINT64_C(0x1600000abc); }
double node_missing(const struct node *n) { (void)n; return 0; }

const char *client_last_statement(const struct client *c)
{
	(void)c;
	return running;
}

static const char *pin = "";

const char *client_pin(const struct client *c)
{
	(void)c;
	return pin;
}

/* --- a proxy ------------------------------------------------------------- */

static void complain(void *ctx, enum level v, const char *file, int line, int column,
                     const char *text)
{
	(void)ctx, (void)file, (void)line, (void)column;
	if (v >= LEVEL_ERROR)
		fprintf(stderr, "%s\n", text);
}

static struct conf *load(const char *text)
{
	char path[] = "/tmp/admin_test.XXXXXX";
	int fd = mkstemp(path);
	FILE *f = fdopen(fd, "w");

	assert(f && fputs(text, f) >= 0 && fclose(f) == 0);
	struct conf *c = conf_load(path, NULL, &(struct conf_messages){ complain, NULL });
	assert(c && unlink(path) == 0);
	return c;
}

static struct base base;

static struct nodes *make_nodes(const struct conf *conf)
{
	struct nodes *all = calloc(1, sizeof *all + CONF_NODES * sizeof all->node[0]);

	assert(all);
	base.conf = conf;
	all->base = &base;
	all->count = conf->nnodes;
	for (int i = 0; i < CONF_NODES; i++)
		all->node[i] = (struct node){ .all = all, .id = i };
	return all;
}

static const char *cell(const struct admin_table *t, const struct admin *a, size_t at,
                        const char *name)
{
	static char text[ADMIN_TEXT];
	struct admin_row row;

	if (!t->find(a, at, &row))
		return "no row";
	for (size_t i = 0; i < t->ncolumns; i++)
		if (!strcmp(t->column[i].name, name)) {
			t->column[i].print(&row, text);
			return text;
		}
	return "no column";
}

#define is(t, a, at, name, text) \
	say(!strcmp(cell(t, a, at, name), text), "%s of row %zu is \"%s\" (%s)", name, \
		(size_t)(at), text, cell(t, a, at, name))

/* --- tests --------------------------------------------------------------- */

static const char four_nodes[] =
	"backend_port0 = 1999\nbackend_hostname0 = 'a'\nbackend_weight0 = 0\n"
	"backend_port1 = 2000\nbackend_hostname1 = 'b'\nbackend_weight1 = 1\n"
	"backend_flag1 = 'DISALLOW_TO_FAILOVER'\n"
	"backend_port3 = 2001\nbackend_hostname3 = 'd'\nbackend_weight3 = 3\n"
	"num_init_children = 3\nmax_pool = 2\n";

/* status and pg_status of a node as it is, by its flag: 0 is ALLOW_TO_FAILOVER, 1 the other. */
static const struct {
	enum node_state state;
	bool drained;
	int id;
	const char *status, *word, *pg_status;
} states[] = {
	{ NODE_WAITING, false, 0, "1", "waiting", "unknown" },
	{ NODE_UP, false, 0, "2", "up", "up" },
	{ NODE_DOWN, false, 0, "3", "down", "down" },
	{ NODE_UP, true, 0, "3", "down", "up" },
	{ NODE_WAITING, true, 0, "3", "down", "unknown" },
	{ NODE_WAITING, false, 1, "1", "waiting", "unknown" },
	{ NODE_UP, false, 1, "2", "up", "up" },
	{ NODE_DOWN, false, 1, "2", "up", "down" },
	{ NODE_UP, false, 2, "0", "unused", "unknown" },
	{ NODE_DOWN, true, 2, "0", "unused", "unknown" },
};

static void test_nodes(const struct admin *a, struct nodes *nodes)
{
	static const char *const shares[] = { "0.000000", "536870911.750000", "0.000000",
		"1610612735.250000" };

	say(admin_nodes.rows(a) == 4 && admin_health_checks.rows(a) == 4, "a gap is a row");
	for (size_t i = 0; i < COUNT(states); i++) {
		nodes->node[states[i].id].state = states[i].state;
		nodes->node[states[i].id].drained = states[i].drained;
		is(&admin_nodes, a, states[i].id, "status", states[i].status);
		is(&admin_nodes, a, states[i].id, "pg_status", states[i].pg_status);
		is(&admin_health_checks, a, states[i].id, "status", states[i].word);
	}
	for (size_t i = 0; i < 4; i++)
		is(&admin_nodes, a, i, "weight", shares[i]);
	is(&admin_nodes, a, 4, "status", "no row");
	is(&admin_nodes, a, SIZE_MAX, "status", "no row");
	is(&admin_nodes, a, 0, "role", "2");
	is(&admin_nodes, a, 1, "role", "3");
	nodes->primary = 1;
	is(&admin_nodes, a, 0, "role", "3");
	is(&admin_health_checks, a, 1, "role", "primary");
	nodes->primary = 0;
	nodes->node[1].role = ROLE_STANDBY;
	is(&admin_nodes, a, 1, "pg_role", "unknown");           /* it is down */
	nodes->node[1].state = NODE_UP;
	is(&admin_nodes, a, 1, "pg_role", "standby");
	nodes->node[1].role = ROLE_PRIMARY;
	is(&admin_nodes, a, 1, "pg_role", "primary");
	nodes->node[1].role = ROLE_UNKNOWN;
	is(&admin_nodes, a, 1, "pg_role", "unknown");
}

static void test_times(struct admin *a, struct nodes *nodes)
{
	a->started = 4000000;
	a->epoch = 1700000000000 - 4000000;
	is(&admin_nodes, a, 1, "status_changed_time", "1700000000");
	nodes->node[1].changed_at = 4007999;
	is(&admin_nodes, a, 1, "status_changed_time", "1700000007");
	is(&admin_health_checks, a, 1, "last_status_change", "2023-11-14 22:13:27");
	is(&admin_pools, a, 0, "start_time", "2023-11-14 22:13:20");
}

static void test_raw(const struct admin *a, struct conf *conf)
{
	conf->backend_clustering_mode = CLUSTERING_RAW;
	is(&admin_nodes, a, 0, "role", "0");
	is(&admin_health_checks, a, 1, "role", "replica");
	is(&admin_parameters, a, 0, "value", "5");
	conf->backend_clustering_mode = CLUSTERING_STREAMING_REPLICATION;
	is(&admin_parameters, a, 0, "value", "1");
}

static void test_sessions(const struct admin *a, struct clients *clients, struct nodes *nodes)
{
	struct account account = { .database = "db" };
	struct profile profile = { .account = &account };
	struct server server = { .node = &nodes->node[1], .pid = 4711, .sessions = 3, .since = 4001000 };
	struct client c = { .phase = AT_LOGIN, .status = 'I', .since = 4000000, .active = 4990000 };
	struct client *slots[5] = { NULL, &c };
	const size_t first = 8, replica = first + 1, second_pool = first + 4;

	say(admin_processes(a) == 3 && admin_pools_each(a) == 8 && admin_pools.rows(a) == 24,
		"as many processes as num_init_children");
	uint32_t served_[5] = { 7, 1 };
	clients->slot = slots;
	clients->served = served_;
	clients->nslots = 5;
	say(admin_processes(a) == 5 && admin_pools.rows(a) == 40, "or as have been needed");
	is(&admin_pools, a, 0, "status", "Wait for connection");
	is(&admin_pools, a, 0, "client_host", "");
	is(&admin_pools, a, 0, "client_connection_count", "7");
	is(&admin_pools, a, 39, "pool_pid", "1073741828");
	is(&admin_pools, a, 40, "pool_pid", "no row");
	is(&admin_pools, a, first, "pool_pid", "1073741825");
	is(&admin_pools, a, first, "status", "Connecting");
	is(&admin_pools, a, first, "database", "");
	c.borrower.profile = &profile;
	c.phase = AT_READY;
	is(&admin_pools, a, first, "status", "Idle");
	is(&admin_pools, a, first, "client_idle_duration", "10");
	is(&admin_pools, a, first, "database", "db");
	is(&admin_pools, a, replica, "pool_connected", "0");
	is(&admin_pools, a, replica, "pool_backendpid", "0");
	c.borrowed = &server;
	c.session.node = &nodes->node[1];
	is(&admin_pools, a, first, "pool_connected", "0");
	is(&admin_pools, a, first, "load_balance_node", "0");
	is(&admin_pools, a, replica, "pool_connected", "1");
	is(&admin_pools, a, replica, "load_balance_node", "1");
	is(&admin_pools, a, replica, "pool_backendpid", "4711");
	is(&admin_pools, a, replica, "pool_counter", "3");
	is(&admin_pools, a, replica, "backend_connection_time", "2023-11-14 22:13:21");
	is(&admin_pools, a, replica, "minorversion", "0");
	c.key_len = KEY_3_2;
	is(&admin_pools, a, replica, "minorversion", "2");
	is(&admin_pools, a, replica, "client_port", "77");
	c.status = 'T';
	is(&admin_pools, a, first, "status", "Idle in transaction");
	c.waiting = true;
	is(&admin_pools, a, first, "status", "Execute command");
	is(&admin_pools, a, first, "client_idle_duration", "0");
	c.waiting = false;
	c.inflight = 1;
	is(&admin_pools, a, first, "statement", "");
	char text[3 * ADMIN_TEXT];
	memset(text, 'x', sizeof text);
	text[sizeof text - 1] = '\0';
	running = text;
	say(strlen(cell(&admin_pools, a, first, "statement")) == ADMIN_TEXT - 1,
		"a long statement is cut");
	is(&admin_pools, a, second_pool, "pool_id", "1");
	is(&admin_pools, a, second_pool, "database", "");
	is(&admin_pools, a, second_pool, "pool_connected", "0");
	is(&admin_pools, a, second_pool, "status", "Execute command");
	clients->nslots = 0;
}

static void test_huge(const struct admin *a, struct conf *conf)
{
	conf->num_init_children = conf->max_pool = INT32_MAX;
	say(admin_processes(a) == PROCESSES_MAX && admin_pools.rows(a)
		== (size_t)PROCESSES_MAX * POOLS_MAX * 4, "what is absurd is bounded");
	conf->max_pool = 0;
	say(admin_pools_each(a) == 4, "there is always a pool");
}

static void test_parameters(const struct admin *a)
{
	char text[ADMIN_TEXT];
	size_t n = admin_parameters.rows(a), holes = 0;
	struct admin_row row;

	for (size_t i = 0; i < n; i++) {
		holes += !admin_parameters.find(a, i, &row);
		for (size_t k = 0; k < admin_parameters.ncolumns; k++)
			admin_parameters.column[k].print(&row, text);
	}
	say(!holes && n > 190, "all %zu rows of parameters can be printed", n);
	say(!admin_parameters.find(a, n, &row), "and there is none behind them");
	is(&admin_parameters, a, n - 32, "item", "backend_hostname0");
	is(&admin_parameters, a, n - 24, "value", "b");
	is(&admin_parameters, a, n - 22, "value", "0.250000");
	is(&admin_parameters, a, n - 16, "item", "backend_hostname2");
	is(&admin_parameters, a, n - 12, "value", "unused");
	is(&admin_parameters, a, n - 2, "value", "ALLOW_TO_FAILOVER");
	is(&admin_parameters, a, n - 3, "item", "standby_delay3");
}

/* What the statement shows in the first column of the row; "?": there is no such table. */
static const char *shown(struct admin *a, uint8_t kind, const char *name, size_t at)
{
	static char text[ADMIN_TEXT];
	struct sql_own says = { .kind = kind, .all = !*name };
	uint8_t block[OWN_ROW_MAX];
	struct put o = { .base = block, .cap = sizeof block };

	snprintf(says.name, sizeof says.name, "%s", name);
	const struct admin_table *t = admin_own_ops.find(a, &says);
	if (!t)
		return "?";
	if (!admin_own_ops.put_row(a, t, at, &says, NULL, &o))
		return "no row";
	size_t at_value = 0;
	for (size_t i = 0; i < admin_own_ops.columns(t); i++)
		at_value += 4 + wire_u32(block + at_value);
	say(at_value == o.len, "the row of %s has all columns", name);
	snprintf(text, sizeof text, "%.*s", (int)wire_u32(block), (char *)block + 4);
	return text;
}

static void test_shown(struct admin *a, struct nodes *nodes)
{
	static const struct {
		uint8_t kind;
		const char *name;
		size_t at;
		const char *is;
	} cases[] = {
		{ SQL_SHOW_POOL, "pool_nodes", 3, "3" }, { SQL_SHOW_POOL, "pool_nodes", 4, "no row" },
		{ SQL_SHOW_POOL, "pool_backend_stats", 1, "1" },
		{ SQL_SHOW_POOL, "pool_health_check_stats", 2, "2" },
		{ SQL_SHOW_POOL, "pool_processes", 2, "1073741826" },
		{ SQL_SHOW_POOL, "pool_processes", 3, "no row" },
		{ SQL_SHOW_POOL, "pool_pools", 23, "1073741826" },
		{ SQL_SHOW_POOL, "pool_pools", 24, "no row" },
		{ SQL_SHOW_POOL, "pool_version", 0, "1.2.3 (test)" },
		{ SQL_SHOW_POOL, "pool_version", 1, "no row" },
		{ SQL_SHOW_POOL, "pool_cache", 0, "0" },
		{ SQL_SHOW_POOL, "pool_status", 0, "backend_clustering_mode" },
		{ SQL_SHOW_POOL, "pool_noodles", 0, "?" },
		{ SQL_SHOW, "", 0, "backend_clustering_mode" }, { SQL_SHOW, "", 1000, "no row" },
		{ SQL_SHOW, "max_pool", 0, "2" }, { SQL_SHOW, "backend_weight3", 0, "3" },
		{ SQL_SHOW, "authentication_timeout", 0, "1min" }, { SQL_SHOW, "weight", 0, "?" },
	};

	for (size_t i = 0; i < COUNT(cases); i++) {
		const char *is = shown(a, cases[i].kind, cases[i].name, cases[i].at);
		say(!strcmp(is, cases[i].is), "row %zu of %s: \"%s\" (%s)", cases[i].at,
			cases[i].name, cases[i].is, is);
	}
	nodes->node[1].tally.statements[CLASS_SELECT] = 7;
	is(&admin_show_nodes, a, 1, "select_cnt", "7");
	is(&admin_backend_stats, a, 1, "select_cnt", "7");
	is(&admin_backend_stats, a, 0, "select_cnt", "0");
	is(&admin_show_nodes, a, 1, "load_balance_node", "false");
	is(&admin_show_nodes, a, 1, "lb_weight", "0.250000");
}

int main(void)
{
	setenv("TZ", "UTC", 1);
	struct conf *conf = load(four_nodes);
	struct nodes *nodes = make_nodes(conf);
	struct servers servers = { .nodes = nodes };
	struct clients clients = { .servers = &servers, .base = &base };
	struct admin a;

	admin_start(&a, &clients, "1.2.3 (test)");
	test_nodes(&a, nodes);
	test_times(&a, nodes);
	test_raw(&a, conf);
	test_sessions(&a, &clients, nodes);
	test_parameters(&a);
	test_shown(&a, nodes);
	test_huge(&a, conf);
	free(nodes);
	conf_free(conf);
	return done();
}
