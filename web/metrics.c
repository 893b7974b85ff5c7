#include "web/metrics.h"

#include "web/groups.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

struct writer {
	struct text *t;
	const struct admin *admin;
	bool open;                              /* OpenMetrics */
};

enum type { GAUGE, COUNTER };

/* The exporter's counters are named against OpenMetrics' rules, where they are `unknown`. */
static void put_head(struct writer *w, const char *name, enum type type, const char *help,
                     bool theirs)
{
	const char *words[] = { "gauge", "counter" };
	const char *word = theirs && w->open ? "unknown" : words[type];
	size_t len = strlen(name);

	/* OpenMetrics has the family's name without the suffix of its series. */
	if (w->open && !theirs && type == COUNTER)
		len -= strlen("_total");
	text_add(w->t, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len, name, help, (int)len, name,
		word);
}

/* --- columns of rows ----------------------------------------------------- */

static bool column(const struct admin_table *t, const struct admin_row *row, const char *name,
                   char out[static ADMIN_TEXT])
{
	for (size_t i = 0; i < t->ncolumns; i++)
		if (!strcmp(t->column[i].name, name)) {
			t->column[i].print(row, out);
			return true;
		}
	return false;
}

static void put_label(struct writer *w, const char *before, const char *name, const char *value)
{
	text_add(w->t, "%s%s=\"", before, name);
	text_add_label(w->t, value);
	text_add(w->t, "\"");
}

/* {hostname="127.0.0.1",port="5432",role="primary"} */
static void put_place(struct writer *w, const struct admin_table *t, const struct admin_row *row)
{
	static const char *const labels[] = { "hostname", "port", "role" };
	char value[ADMIN_TEXT];

	for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
		if (column(t, row, labels[i], value))
			put_label(w, i ? "," : "{", labels[i], value);
	text_add(w->t, "}");
}

/* --- the exporter's families --------------------------------------------- */

/* As it makes numbers: states that are good are 1. */
static double number(const char *column, const char *text)
{
	if (!strcmp(column, "status"))
		return !strcmp(text, "up") || !strcmp(text, "waiting") || !strcmp(text, "true");
	char *end;
	return (double)conf_decimal(text, &end);
}

/* Two nodes at one place would be one series twice. */
static bool is_first(const struct node *n)
{
	const struct conf_node *c = node_conf(n);

	for (int i = 0; i < n->id; i++) {
		const struct conf_node *other = node_conf(&n->all->node[i]);
		if (other->used && other->port == c->port
		    && !strcmp(other->hostname, c->hostname))
			return false;
	}
	return c->used;
}

static void put_column(struct writer *w, const char *table, const struct admin_table *t,
                       const char *name, enum type type)
{
	char family[128], text[ADMIN_TEXT];
	struct admin_row row;

	snprintf(family, sizeof family, "pgpool2_%s_%s", table, name);
	char help[128];
	snprintf(help, sizeof help, "Column %s of SHOW %s.", name, table);
	put_head(w, family, type, help, true);
	for (size_t i = 0; t->find(w->admin, i, &row); i++) {
		if (row.node && !is_first(row.node))
			continue;
		column(t, &row, name, text);
		text_add(w->t, "%s", family);
		if (row.node)
			put_place(w, t, &row);
		text_add(w->t, " %.15g\n", number(name, text));
	}
}

static const struct {
	const char *table, *columns;            /* a column that ends with ! is a counter */
	const struct admin_table *rows;
} theirs[] = {
	{ "pool_nodes", "status select_cnt! replication_delay", &admin_show_nodes },
	{ "pool_backend_stats", "status select_cnt! insert_cnt! update_cnt! delete_cnt! ddl_cnt!"
	  " other_cnt! panic_cnt! fatal_cnt! error_cnt!", &admin_backend_stats },
	{ "pool_health_check_stats", "status total_count success_count fail_count skip_count"
	  " retry_count average_retry_count max_retry_count max_duration min_duration"
	  " average_duration", &admin_health_checks },
	{ "pool_cache", "num_cache_hits num_selects cache_hit_ratio num_hash_entries"
	  " used_hash_entries num_cache_entries used_cache_entries_size free_cache_entries_size"
	  " fragment_cache_entries_size", &admin_cache },
};

static void put_columns(struct writer *w)
{
	char name[64];

	for (size_t i = 0; i < sizeof theirs / sizeof *theirs; i++)
		for (const char *at = theirs[i].columns; *at; at += strspn(at, " !")) {
			size_t len = strcspn(at, " !");
			snprintf(name, sizeof name, "%.*s", (int)len, at);
			at += len;
			put_column(w, theirs[i].table, theirs[i].rows, name,
				*at == '!' ? COUNTER : GAUGE);
		}
}

/* One value without labels. */
static void put_value(struct writer *w, const char *name, enum type type, const char *help,
                      double value, bool of_theirs)
{
	put_head(w, name, type, help, of_theirs);
	text_add(w->t, "%s %.15g\n", name, value);
}

static void put_frontends(struct writer *w, const struct groups *g, size_t processes)
{
	static const char used[] = "pgpool2_frontend_used";

	put_value(w, "pgpool2_frontend_total", GAUGE, "Places for sessions.", (double)processes,
		true);
	put_head(w, used, GAUGE, "Sessions.", true);
	for (size_t i = 0; i < g->n; i++) {
		text_add(w->t, "%s", used);
		put_label(w, "{", "database", g->of[i]->database);
		put_label(w, ",", "username", g->of[i]->user);
		text_add(w->t, "} %zu\n", g->sessions[i]);
	}
	if (g->others)
		text_add(w->t, "%s{database=\"\",username=\"\"} %zu\n", used, g->others);
	put_value(w, "pgpool2_frontend_used_ratio", GAUGE, "Share of the places that are taken.",
		(double)g->all / (double)processes, true);
}

/* A session is one pool of its place, on all nodes. */
static void put_backends(struct writer *w, const struct groups *g)
{
	size_t nodes = admin_show_nodes.rows(w->admin);
	double total = (double)admin_pools.rows(w->admin);
	double used = (double)(g->all * nodes + g->pooled);

	put_value(w, "pgpool2_backend_total", GAUGE, "Rows of SHOW POOL_POOLS.", total, true);
	put_value(w, "pgpool2_backend_used", GAUGE, "Of these, sessions' and pooled connections.",
		used, true);
	put_value(w, "pgpool2_backend_used_ratio", GAUGE, "Their share.",
		total > 0 ? used / total : 0, true);
}

enum of_process { PROCESS_TOTAL, PROCESS_USED, PROCESS_RATIO };

/* Pooled connections have a row each. */
static void put_process(struct writer *w, const char *name, enum of_process what,
                        const struct admin_row *row)
{
	size_t each = row->pooled ? 1 : admin_pools_each(w->admin);
	size_t nodes = row->pooled ? 1 : admin_show_nodes.rows(w->admin);
	const struct account *a = row->pooled ? row->pooled : groups_account(row->client);

	for (size_t i = 0; i < (what == PROCESS_USED ? nodes : 1); i++) {
		text_add(w->t, "%s{", name);
		if (what == PROCESS_USED) {
			text_add(w->t, "backend_id=\"%zu\"",
				row->pooled ? (size_t)row->node->id : i);
			put_label(w, ",", "database", a->database);
			text_add(w->t, ",pool_id=\"0\",");
		}
		text_add(w->t, "pool_pid=\"%u\"", row->pid);
		if (what == PROCESS_USED)
			put_label(w, ",", "username", a->user);
		text_add(w->t, "} %.15g\n", what == PROCESS_TOTAL ? (double)each
			: what == PROCESS_USED ? 1 : each ? (double)nodes / (double)each : 0);
	}
}

static void put_processes(struct writer *w)
{
	static const struct { const char *name, *help; } families[] = {
		[PROCESS_TOTAL] = { "pgpool2_backend_by_process_total", "Pools of a place." },
		[PROCESS_USED] = { "pgpool2_backend_by_process_used", "Of these, a session's." },
		[PROCESS_RATIO] = { "pgpool2_backend_by_process_used_ratio", "Their share." },
	};
	size_t sessions = admin_processes(w->admin) * admin_pools_each(w->admin);
	struct admin_row row;

	if (admin_processes(w->admin) > METRICS_PROCESSES)
		return;
	for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
		put_head(w, families[f].name, GAUGE, families[f].help, true);
		for (size_t i = 0; admin_processes_shown.find(w->admin, i, &row); i++)
			if (groups_account(row.client))
				put_process(w, families[f].name, (enum of_process)f, &row);
		for (size_t i = 0; i < METRICS_PROCESSES
		     && admin_pools.find(w->admin, sessions + i, &row); i++)
			if (row.pooled)
				put_process(w, families[f].name, (enum of_process)f, &row);
	}
}

static void put_theirs(struct writer *w, double seconds, uint64_t scrapes)
{
	size_t processes = admin_processes(w->admin);
	struct groups g;

	groups_count(&g, w->admin);
	put_columns(w);
	put_frontends(w, &g, processes);
	put_backends(w, &g);
	put_processes(w);
	put_value(w, "pgpool2_up", GAUGE, "The proxy answers.", 1, true);
	put_value(w, "pgpool2_last_scrape_error", GAUGE, "Nothing went wrong.", 0, true);
	put_value(w, "pgpool2_last_scrape_duration_seconds", GAUGE, "What making this took.",
		seconds, true);
	put_value(w, "pgpool2_scrapes_total", COUNTER, "Times that this was asked for.",
		(double)scrapes, true);
}

/* --- ours ---------------------------------------------------------------- */

static void put_node(struct writer *w, const char *family, const struct node *n)
{
	text_add(w->t, "%s{node=\"%d\"", family, n->id);
	put_label(w, ",", "hostname", node_conf(n)->hostname);
	text_add(w->t, ",port=\"%d\"", (int)node_conf(n)->port);
}

static bool is_up(const struct node *n)
{
	return n->state != NODE_DOWN;
}

static double lag(const struct node *n)
{
	return n->replication.lag == NODE_GONE ? 0 : (double)n->replication.lag / 1e6;
}

static bool has_lag(const struct node *n)
{
	return n->replication.lag >= 0 && n->replication.lag != NODE_GONE
	       && n->id != n->all->primary;
}

static bool any(const struct node *n)
{
	(void)n;
	return true;
}

/* N(name, type, help, value of node n, which nodes have it) */
#define NODE_FAMILIES(N) \
	N(pgpool_node_up, GAUGE, "The node is not known to be down.", is_up(n), any) \
	N(pgpool_node_primary, GAUGE, "It is the primary.", n->id == n->all->primary, any) \
	N(pgpool_node_drained, GAUGE, "An administrator has detached it.", n->drained, any) \
	N(pgpool_node_connections, GAUGE, "Connections to it, in any phase.", n->servers, any) \
	N(pgpool_node_full, GAUGE, "PostgreSQL lets no more connections in.", n->full, any) \
	N(pgpool_node_lag_bytes, GAUGE, "How far it is behind the primary.", \
		n->replication.behind, has_lag) \
	N(pgpool_node_lag_seconds, GAUGE, "The same in time.", lag(n), has_lag)

static void put_nodes(struct writer *w)
{
	const struct nodes *all = w->admin->clients->servers->nodes;
	const int count = all->base->conf->nnodes;

#define N(name, type, help, value, which) \
	put_head(w, #name, type, help, false); \
	for (int i = 0; i < count; i++) { \
		const struct node *n = &all->node[i]; \
		if (!node_conf(n)->used || !which(n)) \
			continue; \
		put_node(w, #name, n); \
		text_add(w->t, "} %.15g\n", (double)(value)); \
	}
	NODE_FAMILIES(N)
#undef N
}

static void put_tallies(struct writer *w)
{
	static const char *const classes[] = {
#define C(class) #class,
		SQL_CLASS_ROWS(C)
#undef C
	};
	static const char statements[] = "pgpool_node_statements_total",
		errors[] = "pgpool_node_errors_total";
	const struct nodes *all = w->admin->clients->servers->nodes;
	const int count = all->base->conf->nnodes;

	put_head(w, statements, COUNTER, "Statements of clients that it was sent.", false);
	for (int i = 0; i < count; i++)
		for (size_t k = 0; node_conf(&all->node[i])->used && k < SQL_CLASSES; k++) {
			put_node(w, statements, &all->node[i]);
			text_add(w->t, ",class=\"%s\"} %" PRIu64 "\n", classes[k],
				all->node[i].tally.statements[k]);
		}
	put_head(w, errors, COUNTER, "Error responses to them.", false);
	for (int i = 0; i < count; i++) {
		const struct tally *t = &all->node[i].tally;
		const uint64_t n[] = { t->error, t->fatal, t->panic };
		static const char *const severities[] = { "ERROR", "FATAL", "PANIC" };
		for (size_t k = 0; node_conf(&all->node[i])->used && k < 3; k++) {
			put_node(w, errors, &all->node[i]);
			text_add(w->t, ",severity=\"%s\"} %" PRIu64 "\n", severities[k], n[k]);
		}
	}
}

static void put_clients(struct writer *w)
{
	const struct clients *c = w->admin->clients;
	const struct conf *conf = c->base->conf;

	put_value(w, "pgpool_sessions", GAUGE, "Sessions.", c->used, false);
	put_value(w, "pgpool_pooled_connections_max", GAUGE,
		"num_init_children times max_pool, for each node.",
		(double)(conf->num_init_children * (conf->max_pool ? conf->max_pool : 1)), false);
	put_value(w, "pgpool_strangers", GAUGE, "Clients that owe a message of their login.",
		c->strangers.n, false);
	put_value(w, "pgpool_strangers_dropped_total", COUNTER, "Of these, for newer ones.",
		(double)c->strangers.dropped, false);
	static const char build[] = "pgpool_build_info";
	put_head(w, build, GAUGE, "The version.", false);
	text_add(w->t, "%s", build);
	put_label(w, "{", "version", w->admin->version);
	text_add(w->t, "} 1\n");
}

static void put_errors(struct writer *w)
{
	static const char name[] = "pgpool_errors_total";
	const struct sqlstate_class *e = w->admin->clients->errors;

	put_head(w, name, COUNTER, "Errors that clients were told, by the class of their SQLSTATE.",
		false);
	for (size_t i = 0; i < SQLSTATE_CLASSES && *e[i].name; i++) {
		text_add(w->t, "%s", name);
		put_label(w, "{", "class", e[i].name);
		text_add(w->t, "} %" PRIu64 "\n", e[i].n);
	}
}

/* --- of the process, as Prometheus' clients have them -------------------- */

static unsigned open_descriptors(void)
{
	DIR *d = opendir("/proc/self/fd");
	unsigned n = 0;

	while (d && readdir(d))
		n++;
	if (d)
		closedir(d);
	return n > 3 ? n - 3 : 0;       /* ".", "..", and that of the folder */
}

static void put_process_itself(struct writer *w)
{
	struct timespec cpu = { 0 };
	struct rlimit files = { 0 };
	char pages[128] = "", *rest;
	FILE *f = fopen("/proc/self/statm", "r");

	if (f && !fgets(pages, sizeof pages, f))
		*pages = '\0';
	if (f)
		fclose(f);
	long size = strtol(pages, &rest, 10), resident = strtol(rest, NULL, 10);
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
	getrlimit(RLIMIT_NOFILE, &files);
	const double page = (double)sysconf(_SC_PAGESIZE);
	put_value(w, "process_cpu_seconds_total", COUNTER, "Processor time.",
		(double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9, false);
	put_value(w, "process_resident_memory_bytes", GAUGE, "Memory in use.",
		(double)resident * page, false);
	put_value(w, "process_virtual_memory_bytes", GAUGE, "Memory that is mapped.",
		(double)size * page, false);
	put_value(w, "process_open_fds", GAUGE, "Open descriptors.", open_descriptors(), false);
	put_value(w, "process_max_fds", GAUGE, "Descriptors that there may be.",
		(double)files.rlim_cur, false);
	put_value(w, "process_start_time_seconds", GAUGE, "When it started, since 1970.",
		(double)(w->admin->epoch + w->admin->started) / 1000, false);
}

static double seconds_since(const struct timespec *begin)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

void metrics_write(struct text *t, const struct admin *a, bool open)
{
	static uint64_t scrapes;
	struct writer w = { .t = t, .admin = a, .open = open };
	struct timespec begin;

	clock_gettime(CLOCK_MONOTONIC, &begin);
	put_clients(&w);
	put_nodes(&w);
	put_tallies(&w);
	put_errors(&w);
	put_process_itself(&w);
	put_theirs(&w, seconds_since(&begin), ++scrapes);
	if (open)
		text_add(t, "# EOF\n");
}
