#include "web/exporter.h"

#include "web/groups.h"

#include <stdio.h>
#include <string.h>

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

/* {hostname="127.0.0.1",port="5432",role="primary"} */
static void put_place(struct writer *w, const struct admin_table *t, const struct admin_row *row)
{
	static const char *const labels[] = { "hostname", "port", "role" };
	char value[ADMIN_TEXT];

	for (size_t i = 0; i < sizeof labels / sizeof *labels; i++)
		if (column(t, row, labels[i], value))
			family_label(w, i ? "," : "{", labels[i], value);
	text_add(w->t, "}");
}

/* --- the families -------------------------------------------------------- */

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
                       const char *name, enum family_type type)
{
	char family[128], text[ADMIN_TEXT];
	struct admin_row row;

	snprintf(family, sizeof family, "pgpool2_%s_%s", table, name);
	char help[128];
	snprintf(help, sizeof help, "Column %s of SHOW %s.", name, table);
	family_head(w, family, type, help, true);
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

static void put_frontends(struct writer *w, const struct groups *g, size_t processes)
{
	static const char used[] = "pgpool2_frontend_used";

	family_value(w, "pgpool2_frontend_total", GAUGE, "Places for sessions.", (double)processes,
		true);
	family_head(w, used, GAUGE, "Sessions.", true);
	for (size_t i = 0; i < g->n; i++) {
		text_add(w->t, "%s", used);
		family_label(w, "{", "database", g->of[i]->database);
		family_label(w, ",", "username", g->of[i]->user);
		text_add(w->t, "} %zu\n", g->sessions[i]);
	}
	if (g->others)
		text_add(w->t, "%s{database=\"\",username=\"\"} %zu\n", used, g->others);
	family_value(w, "pgpool2_frontend_used_ratio", GAUGE, "Share of the places that are taken.",
		(double)g->all / (double)processes, true);
}

/* A session is one pool of its place, on all nodes. */
static void put_backends(struct writer *w, const struct groups *g)
{
	size_t nodes = admin_show_nodes.rows(w->admin);
	double total = (double)admin_pools.rows(w->admin);
	double used = (double)(g->all * nodes + g->pooled);

	family_value(w, "pgpool2_backend_total", GAUGE, "Rows of SHOW POOL_POOLS.", total, true);
	family_value(w, "pgpool2_backend_used", GAUGE, "Of these, sessions' and idle connections.",
		used, true);
	family_value(w, "pgpool2_backend_used_ratio", GAUGE, "Their share.",
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
			family_label(w, ",", "database", a->database);
			text_add(w->t, ",pool_id=\"0\",");
		}
		text_add(w->t, "pool_pid=\"%u\"", row->pid);
		if (what == PROCESS_USED)
			family_label(w, ",", "username", a->user);
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

	if (admin_processes(w->admin) > EXPORTER_PROCESSES)
		return;
	for (size_t f = 0; f < sizeof families / sizeof *families; f++) {
		family_head(w, families[f].name, GAUGE, families[f].help, true);
		for (size_t i = 0; admin_processes_shown.find(w->admin, i, &row); i++)
			if (groups_account(row.client))
				put_process(w, families[f].name, (enum of_process)f, &row);
		for (size_t i = 0; i < EXPORTER_PROCESSES
		     && admin_pools.find(w->admin, sessions + i, &row); i++)
			if (row.pooled)
				put_process(w, families[f].name, (enum of_process)f, &row);
	}
}

void exporter_write(struct writer *w, double seconds, uint64_t scrapes)
{
	size_t processes = admin_processes(w->admin);
	struct groups g;

	groups_count(&g, w->admin);
	put_columns(w);
	put_frontends(w, &g, processes);
	put_backends(w, &g);
	put_processes(w);
	family_value(w, "pgpool2_up", GAUGE, "The proxy answers.", 1, true);
	family_value(w, "pgpool2_last_scrape_error", GAUGE, "Nothing went wrong.", 0, true);
	family_value(w, "pgpool2_last_scrape_duration_seconds", GAUGE, "What making this took.",
		seconds, true);
	family_value(w, "pgpool2_scrapes_total", COUNTER, "Times that this was asked for.",
		(double)scrapes, true);
}
