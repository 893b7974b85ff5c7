#include "web/page.h"

#include "web/groups.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

static void put_cell(struct text *t, const char *tag, const char *text)
{
	text_add(t, "<%s>", tag);
	text_add_html(t, text);
	text_add(t, "</%s>", tag);
}

/* The name of a column, with blanks. */
static void put_heading(struct text *t, const char *name)
{
	char words[64];

	snprintf(words, sizeof words, "%s", name);
	for (char *p = words; *p; p++)
		*p = *p == '_' ? ' ' : *p;
	put_cell(t, "th", words);
}

/* Which node a session reads on is said to that session. */
static bool is_for_all(const struct admin_column *c)
{
	return strcmp(c->name, "load_balance_node");
}

static void put_table(struct text *t, const struct admin *a, const struct admin_table *table,
                      const char *title)
{
	char value[ADMIN_TEXT];
	struct admin_row row;

	text_add(t, "<h2>%s</h2>\n<table>\n<tr>", title);
	for (size_t i = 0; i < table->ncolumns; i++)
		if (is_for_all(&table->column[i]))
			put_heading(t, table->column[i].name);
	text_add(t, "</tr>\n");
	for (size_t at = 0; table->find(a, at, &row); at++) {
		text_add(t, "<tr>");
		for (size_t i = 0; i < table->ncolumns; i++) {
			if (!is_for_all(&table->column[i]))
				continue;
			table->column[i].print(&row, value);
			put_cell(t, "td", value);
		}
		text_add(t, "</tr>\n");
	}
	text_add(t, "</table>\n");
}

static void put_pools(struct text *t, const struct admin *a)
{
	const struct nodes *nodes = a->clients->servers->nodes;

	text_add(t, "<h2>Connections to PostgreSQL</h2>\n<table>\n<tr><th>node</th>");
	for (size_t k = 0; k < ADMIN_STATES; k++)
		put_cell(t, "th", admin_states[k]);
	text_add(t, "</tr>\n");
	for (int i = 0; i < nodes->base->conf->nnodes; i++) {
		text_add(t, "<tr><td>%d</td>", i);
		for (size_t k = 0; k < ADMIN_STATES; k++)
			text_add(t, "<td>%u</td>", admin_connections(&nodes->node[i], k));
		text_add(t, "</tr>\n");
	}
	text_add(t, "</table>\n");
}

static void put_sessions(struct text *t, const struct admin *a)
{
	struct groups g;

	groups_count(&g, a);
	text_add(t, "<h2>Sessions</h2>\n<table>\n<tr><th>database</th><th>user</th>"
		"<th>sessions</th></tr>\n");
	for (size_t i = 0; i < g.n; i++) {
		text_add(t, "<tr>");
		put_cell(t, "td", g.of[i]->database);
		put_cell(t, "td", g.of[i]->user);
		text_add(t, "<td>%zu</td></tr>\n", g.sessions[i]);
	}
	if (g.others)
		text_add(t, "<tr><td>others</td><td></td><td>%zu</td></tr>\n", g.others);
	text_add(t, "<tr><th>all, of %u</th><th></th><th>%zu</th></tr>\n</table>\n",
		admin_processes(a), g.all);
}

static void put_errors(struct text *t, const struct admin *a, double seconds)
{
	const struct coded *e = a->clients->errors.of;

	text_add(t, "<h2>Errors that clients were told</h2>\n<table>\n"
		"<tr><th>class of SQLSTATE</th><th>since the start</th><th>in an hour</th></tr>\n");
	for (size_t i = 0; i < CODES; i++)
		if (*e[i].name)
			text_add(t, "<tr><td>%s</td><td>%" PRIu64 "</td><td>%.1f</td></tr>\n",
				e[i].name, e[i].n, (double)e[i].n * 3600 / seconds);
	text_add(t, "</table>\n");
}

static void put_rates(struct text *t, const struct admin *a, double seconds)
{
	const struct nodes *nodes = a->clients->servers->nodes;

	text_add(t, "<h2>Statements in a second, since the start</h2>\n<table>\n<tr><th>node</th>"
		"<th>reads</th><th>all</th></tr>\n");
	for (int i = 0; i < nodes->base->conf->nnodes; i++) {
		const uint64_t *n = nodes->node[i].tally.statements;
		uint64_t all = 0;
		for (size_t k = 0; k < SQL_CLASSES; k++)
			all += n[k];
		text_add(t, "<tr><td>%d</td><td>%.2f</td><td>%.2f</td></tr>\n", i,
			(double)n[CLASS_SELECT] / seconds, (double)all / seconds);
	}
	text_add(t, "</table>\n");
}

void page_write(struct text *t, const struct admin *a)
{
	int64_t up = loop_now(a->clients->base->loop) - a->started;
	double seconds = up < 1000 ? 1 : (double)up / 1000;

	text_add(t, "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
		"<meta http-equiv=\"refresh\" content=\"10\">\n<title>pgpool</title>\n<style>\n"
		"body { font: 14px/1.4 sans-serif; margin: 1.5em 2em;"
		" color: #222; background: #fff }\n"
		"h2 { font-size: 1.1em; margin: 1.5em 0 .4em }\n"
		"table { border-collapse: collapse }\n"
		"th, td { text-align: left; padding: .2em .7em .2em 0;"
		" border-bottom: 1px solid #ddd }\n"
		"th { font-weight: 600 }\n</style>\n</head>\n<body>\n<h1>pgpool ");
	text_add_html(t, a->version);
	text_add(t, "</h1>\n<p>Up for %.0f s. <a href=\"/metrics\">Metrics</a>,"
		" <a href=\"/readyz\">readiness</a></p>\n", seconds);
	put_table(t, a, &admin_show_nodes, "Nodes");
	put_table(t, a, &admin_backend_stats, "Statements and errors");
	put_rates(t, a, seconds);
	put_pools(t, a);
	put_sessions(t, a);
	put_errors(t, a, seconds);
	text_add(t, "</body>\n</html>\n");
}
