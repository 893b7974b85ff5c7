#include "web/metrics.h"

#include "scram.h"
#include "web/exporter.h"

#include <dirent.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* --- of nodes ------------------------------------------------------------ */

static bool is_up(const struct node *n)
{
	return n->state != NODE_DOWN;
}

static double lag(const struct node *n)
{
	return n->replication.lag == NODE_GONE ? 0 : (double)n->replication.lag / 1e6;
}

static bool is_measured(const struct node *n)
{
	return n->replication.lsn && n->id != n->all->primary;
}

static bool is_timed(const struct node *n)
{
	return n->replication.lag >= 0 && n->replication.lag != NODE_GONE
	       && n->id != n->all->primary;
}

static bool is_standby(const struct node *n)
{
	return n->id != n->all->primary;
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
		n->replication.behind, is_measured) \
	N(pgpool_node_missing_seconds, GAUGE, "For so long it has not been known to have all that" \
		" was written here.", node_missing(n), is_standby) \
	N(pgpool_node_reads_moved_total, COUNTER, "Reads that went elsewhere since it was not" \
		" known to have what they must show.", n->moved, any) \
	N(pgpool_node_samples_total, COUNTER, "Questions for its position that it answered.", \
		n->measured, any) \
	N(pgpool_node_lag_seconds, GAUGE, "The same in time.", lag(n), is_timed)

static void put_nodes(struct writer *w)
{
	const struct nodes *all = w->admin->clients->servers->nodes;
	const int count = all->base->conf->nnodes;

#define N(name, type, help, value, which) \
	family_head(w, #name, type, help, false); \
	for (int i = 0; i < count; i++) { \
		const struct node *n = &all->node[i]; \
		if (!node_conf(n)->used || !which(n)) \
			continue; \
		family_node(w, #name, n); \
		text_add(w->t, "} %.15g\n", (double)(value)); \
	}
	NODE_FAMILIES(N)
#undef N
}

/* --- of nodes, by something ---------------------------------------------- */

static const char *const classes[] = {
#define C(class) #class,
	SQL_CLASS_ROWS(C)
#undef C
};

static const char *const reasons[] = {
#define R(name, word) word,
	NODE_REASONS(R)
#undef R
};

static const char *const severities[] = { "ERROR", "FATAL", "PANIC" };

static uint64_t statements_of(const struct node *n, size_t k)
{
	return n->tally.statements[k];
}

static uint64_t requests_of(const struct node *n, size_t k)
{
	return n->requests[k];
}

static uint64_t errors_of(const struct node *n, size_t k)
{
	return k == 0 ? n->tally.error : k == 1 ? n->tally.fatal : n->tally.panic;
}

static uint64_t connections_of(const struct node *n, size_t k)
{
	return admin_connections(n, k);
}

#define COUNT(array) (sizeof (array) / sizeof *(array))

static const struct by {
	const char *name, *help, *label;
	enum family_type type;
	const char *const *words;
	size_t n;
	uint64_t (*value)(const struct node *n, size_t k);
} by[] = {
	{ "pgpool_node_statements_total", "Statements of clients that it was sent.", "class",
	  COUNTER, classes, COUNT(classes), statements_of },
	{ "pgpool_node_requests_total", "Requests of clients that it was sent, by the reason why.",
	  "reason", COUNTER, reasons, COUNT(reasons), requests_of },
	{ "pgpool_node_errors_total", "Error responses to them.", "severity",
	  COUNTER, severities, COUNT(severities), errors_of },
	{ "pgpool_node_pool_connections", "Connections to it by what they do.", "state",
	  GAUGE, admin_states, ADMIN_STATES, connections_of },
};

static void put_by(struct writer *w, const struct by *b, const struct node *n)
{
	for (size_t k = 0; k < b->n; k++) {
		family_node(w, b->name, n);
		text_add(w->t, ",%s=\"%s\"} %" PRIu64 "\n", b->label, b->words[k], b->value(n, k));
	}
}

static void put_histogram(struct writer *w, const char *family, const struct node *n,
                          const struct histogram *h)
{
	char name[64];
	uint64_t count = 0;

	snprintf(name, sizeof name, "%s_bucket", family);
	for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
		count += h->n[i];
		family_node(w, name, n);
		if (histogram_bound(i))
			text_add(w->t, ",le=\"%.15g\"", (double)histogram_bound(i) / 1e6);
		else
			text_add(w->t, ",le=\"+Inf\"");
		text_add(w->t, "} %" PRIu64 "\n", count);
	}
	snprintf(name, sizeof name, "%s_sum", family);
	family_node(w, name, n);
	text_add(w->t, "} %.15g\n", (double)h->sum / 1e6);
	snprintf(name, sizeof name, "%s_count", family);
	family_node(w, name, n);
	text_add(w->t, "} %" PRIu64 "\n", count);
}

static void put_by_nodes(struct writer *w)
{
	static const struct { const char *name, *help; size_t at; } times[] = {
		{ "pgpool_node_request_seconds", "From the sending of a request to its end.",
		  offsetof(struct node, answers) },
		{ "pgpool_node_wait_seconds", "Clients' waits for a connection, if none was free.",
		  offsetof(struct node, waits) },
		{ "pgpool_node_login_seconds", "From the start of a connection to the end of its"
		  " login.", offsetof(struct node, logins) },
	};
	const struct nodes *all = w->admin->clients->servers->nodes;
	const int count = all->base->conf->nnodes;

	for (size_t i = 0; i < COUNT(by); i++) {
		family_head(w, by[i].name, by[i].type, by[i].help, false);
		for (int n = 0; n < count; n++)
			if (node_conf(&all->node[n])->used)
				put_by(w, &by[i], &all->node[n]);
	}
	for (size_t i = 0; i < COUNT(times); i++) {
		family_head(w, times[i].name, HISTOGRAM, times[i].help, false);
		for (int n = 0; n < count; n++)
			if (node_conf(&all->node[n])->used)
				put_histogram(w, times[i].name, &all->node[n],
					(const void *)((const char *)&all->node[n] + times[i].at));
	}
}

/* --- of the proxy -------------------------------------------------------- */

static double pool_limit(const struct admin *a)
{
	const struct conf *conf = a->clients->base->conf;

	return (double)(conf->num_init_children * (conf->max_pool ? conf->max_pool : 1));
}

/* V(name, type, help, value) of struct clients *c and struct admin *a */
#define VALUES(V) \
	V(pgpool_sessions, GAUGE, "Sessions.", c->used) \
	V(pgpool_pooled_connections_max, GAUGE, "num_init_children times max_pool, for each" \
		" node.", pool_limit(a)) \
	V(pgpool_strangers, GAUGE, "Clients that owe a message of their login.", c->strangers.n) \
	V(pgpool_strangers_dropped_total, COUNTER, "Of these, for newer ones.", \
		c->strangers.dropped) \
	V(pgpool_catalog_names_total, COUNTER, "Names that were looked up in catalogs.", \
		c->servers->names) \
	V(pgpool_catalog_bodies_total, COUNTER, "Look-ups of what the code of a database may do.", \
		c->servers->bodies) \
	V(pgpool_key_derivations_total, COUNTER, "SCRAM keys that were derived.", scram_derived()) \
	V(pgpool_reloads_total, COUNTER, "Reloads that were carried out.", a->reloads) \
	V(pgpool_reload_failures_total, COUNTER, "Reloads that changed nothing, for an error.", \
		a->bad_reloads) \
	V(pgpool_last_load_timestamp_seconds, GAUGE, "When the configuration was loaded.", \
		(double)(a->epoch + a->loaded) / 1000)

static void put_values(struct writer *w)
{
	const struct admin *a = w->admin;
	const struct clients *c = a->clients;

#define V(name, type, help, value) family_value(w, #name, type, help, (double)(value), false);
	VALUES(V)
#undef V
	static const char build[] = "pgpool_build_info";
	family_head(w, build, GAUGE, "The version.", false);
	text_add(w->t, "%s", build);
	family_label(w, "{", "version", w->admin->version);
	text_add(w->t, "} 1\n");
}

/* One series of a family with one label. */
static void put_one(struct writer *w, const char *family, const char *label, const char *word,
                    uint64_t n)
{
	text_add(w->t, "%s", family);
	family_label(w, "{", label, word);
	text_add(w->t, "} %" PRIu64 "\n", n);
}

static void put_codes(struct writer *w, const char *name, const char *help, const char *label,
                      const struct codes *codes)
{
	family_head(w, name, COUNTER, help, false);
	for (size_t i = 0; i < CODES; i++)
		if (*codes->of[i].name)
			put_one(w, name, label, codes->of[i].name, codes->of[i].n);
}

static void put_refusals(struct writer *w)
{
	static const char name[] = "pgpool_refusals_total";
	static const char *const kinds[REFUSALS] = {    /* the others are part of a login */
		[REFUSED_NODE] = "node", [REFUSED_UNSAFE] = "tls", [REFUSED_FULL] = "full",
		[REFUSED_BACKEND] = "postgresql", [REFUSED_SECRET] = "password",
		[REFUSED_OTHER_PRIMARY] = "other_primary",
	};

	family_head(w, name, COUNTER, "Clients' waits for a connection that were in vain; a read"
		" goes to the primary then.", false);
	for (size_t i = 0; i < REFUSALS; i++)
		if (kinds[i])
			put_one(w, name, "kind", kinds[i], w->admin->clients->servers->refusals[i]);
}

static void put_pins(struct writer *w)
{
	static const char name[] = "pgpool_sessions_pinned";
	const struct clients *c = w->admin->clients;

	family_head(w, name, GAUGE, "Sessions that need their connections, for what they have"
		" there.", false);
	for (const struct client_pin *p = client_pins; p->words; p++) {
		uint64_t n = 0;
		for (uint32_t i = 0; i < c->nslots; i++)
			n += c->slot[i] && (c->slot[i]->pins & p->pin);
		put_one(w, name, "reason", p->words, n);
	}
}

static const char *const sides[] = { [NET_CLIENT] = "client", [NET_NODE] = "node" };

static void put_net(struct writer *w)
{
	static const struct { const char *name, *help; size_t at; } families[] = {
		{ "pgpool_received_bytes_total", "Bytes received, encrypted or not.",
		  offsetof(struct net_count, received) },
		{ "pgpool_sent_bytes_total", "Bytes sent, encrypted or not.",
		  offsetof(struct net_count, sent) },
		{ "pgpool_tls_handshakes_total", "TLS handshakes, all of version 1.2.",
		  offsetof(struct net_count, shaken) },
		{ "pgpool_tls_failures_total", "TLS handshakes that failed or were broken off.",
		  offsetof(struct net_count, unshaken) },
	};
	const struct net *net = w->admin->clients->base->net;

	for (size_t i = 0; i < COUNT(families); i++) {
		family_head(w, families[i].name, COUNTER, families[i].help, false);
		for (size_t k = 0; k < COUNT(sides); k++) {
			const char *count = (const char *)net_counted(net, (enum net_side)k);
			put_one(w, families[i].name, "side", sides[k],
				*(const uint64_t *)(const void *)(count + families[i].at));
		}
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
	family_value(w, "process_cpu_seconds_total", COUNTER, "Processor time.",
		(double)cpu.tv_sec + (double)cpu.tv_nsec / 1e9, false);
	family_value(w, "process_resident_memory_bytes", GAUGE, "Memory in use.",
		(double)resident * page, false);
	family_value(w, "process_virtual_memory_bytes", GAUGE, "Memory that is mapped.",
		(double)size * page, false);
	family_value(w, "process_open_fds", GAUGE, "Open descriptors.", open_descriptors(), false);
	family_value(w, "process_max_fds", GAUGE, "Descriptors that there may be.",
		(double)files.rlim_cur, false);
	family_value(w, "process_start_time_seconds", GAUGE, "When it started, since 1970.",
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
	put_values(&w);
	put_nodes(&w);
	put_by_nodes(&w);
	put_codes(&w, "pgpool_errors_total", "Errors that clients were told, by the class of their"
		" SQLSTATE.", "class", &a->clients->errors);
	put_codes(&w, "pgpool_retries_total", "Requests that ran again on the primary, by the error"
		" of the replica; 08006: it was lost.", "sqlstate", &a->clients->retries);
	put_refusals(&w);
	put_pins(&w);
	put_net(&w);
	put_process_itself(&w);
	exporter_write(&w, seconds_since(&begin), ++scrapes);
	if (open)
		text_add(t, "# EOF\n");
}
