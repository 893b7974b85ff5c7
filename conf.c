#include "conf.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "conf_scan.h"
#include "conf_value.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define VARIABLES "PGPOOL_PARAMS_"
#define IMAGE_SOCKETS "/var/run/pgpool"

enum {
	INCLUDE_DEPTH = 10,             /* Pgpool-II's */
	FILE_MAX = 1 << 20              /* a larger file is not a configuration */
};

/* Names of Pgpool-II that nothing here listens to; # stands for an index. */
static const char *const without_effect[] = {
	"allow_multiple_failover_requests_from_node", "arping_cmd", "arping_path", "auto_failback",
	"auto_failback_interval", "backend_data_directory#", "black_memqcache_table_list",
	"cache_safe_memqcache_table_list", "cache_unsafe_memqcache_table_list",
	"check_unlogged_table", "clear_memqcache_on_escalation", "client_idle_limit_in_recovery",
	"debug_level", "delay_threshold", "delay_threshold_by_time", "delegate_IP", "delegate_ip",
	"detach_false_primary", "enable_consensus_with_half_votes", "enable_shared_relcache",
	"failback_command", "failover_command", "failover_if_affected_tuples_mismatch",
	"failover_on_backend_shutdown", "failover_require_consensus",
	"failover_when_quorum_exists", "follow_master_command", "follow_primary_command",
	"health_check_test", "heartbeat_destination#", "heartbeat_destination_port#",
	"heartbeat_device#", "heartbeat_hostname#", "heartbeat_port#", "hostname#", "if_cmd_path",
	"if_down_cmd", "if_up_cmd", "insert_lock", "lobj_lock_table", "log_pcp_processes",
	"log_standby_delay",
	"logdir", "master_slave_mode", "master_slave_sub_mode",
	"max_spare_children", "memory_cache_enabled", "memqcache_auto_cache_invalidation",
	"memqcache_cache_block_size", "memqcache_expire", "memqcache_max_num_cache",
	"memqcache_maxcache", "memqcache_memcached_host", "memqcache_memcached_port",
	"memqcache_method", "memqcache_oiddir", "memqcache_total_size", "min_spare_children",
	"other_pgpool_hostname#", "other_pgpool_port#", "other_wd_port#", "parallel_mode",
	"pcp_listen_addresses", "pcp_port", "pcp_socket_dir", "pgpool_port#", "ping_path",
	"prefer_lower_delay_standby", "print_timestamp", "process_management_mode",
	"process_management_strategy", "recovery_1st_stage_command", "recovery_2nd_stage_command",
	"recovery_database", "recovery_password", "recovery_timeout", "recovery_user",
	"relcache_expire", "relcache_query_target", "relcache_size", "replicate_select",
	"replication_delay_source_cmd", "replication_delay_source_timeout", "replication_mode",
	"replication_stop_on_mismatch", "search_primary_node_timeout", "serialize_accept",
	"ssl_ca_cert", "ssl_ca_cert_dir", "ssl_cert", "ssl_ciphers", "ssl_crl_file",
	"ssl_dh_params_file", "ssl_ecdh_curve", "ssl_key", "ssl_passphrase_command",
	"ssl_prefer_server_ciphers",
	"track_table_mutation_cold_start_duration", "track_table_mutation_max_staleness",
	"track_table_mutation_table_buckets", "track_table_mutation_table_size",
	"track_table_mutation_ttl_factor", "trusted_server_command", "trusted_servers",
	"use_watchdog", "wd_authkey", "wd_de_escalation_command", "wd_escalation_command",
	"wd_heartbeat_deadtime", "wd_heartbeat_keepalive", "wd_heartbeat_listen_addresses",
	"wd_heartbeat_listen_port", "wd_hostname", "wd_interval", "wd_ipc_socket_dir",
	"wd_life_point", "wd_lifecheck_dbname", "wd_lifecheck_method", "wd_lifecheck_password",
	"wd_lifecheck_query", "wd_lifecheck_user", "wd_listen_address", "wd_listen_port",
	"wd_lost_node_removal_timeout", "wd_monitoring_interfaces_list",
	"wd_no_show_node_removal_timeout", "wd_port", "wd_port#", "wd_priority",
	"wd_remove_shutdown_nodes", "white_memqcache_table_list", "work_dir"
};

static const struct { const char *old, *name; } renamed[] = {
	{ "black_function_list", "write_function_list" },
	{ "black_query_pattern_list", "primary_routing_query_pattern_list" },
	{ "fail_over_on_backend_error", "failover_on_backend_error" },
	{ "socket_dir", "unix_socket_directories" },
	{ "white_function_list", "read_only_function_list" }
};

/* What Pgpool-II's container image sets when the variable is missing or empty. */
static const struct { const char *name, *value; } image_defaults[] = {
	{ "backend_flag0", "ALLOW_TO_FAILOVER" },
	{ "backend_port0", "5432" },
	{ "backend_weight0", "1" },
	{ "failover_on_backend_error", "off" },
	{ "health_check_period", "0" },
	{ "listen_addresses", "*" },
	{ "port", "9999" },
	{ "sr_check_period", "0" },
	{ "unix_socket_directories", IMAGE_SOCKETS }
};

struct loader {
	struct conf *c;
	struct conf_report report;
	int depth;                      /* of files that include each other */
	bool told[COUNT(without_effect)];
};

static void tell(struct loader *l, enum level v, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void tell(struct loader *l, enum level v, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	conf_vtell(&l->report, v, fmt, args);
	va_end(args);
}

/* --- the tables, as rows ------------------------------------------------- */

#define UNIT_NONE .unit = ""
#define UNIT_OCTAL .unit = "", .octal = true
#define UNIT_B .unit = "B"
#define UNIT_KB .unit = "kB"
#define UNIT_MS .unit = "ms"
#define UNIT_S .unit = "s"
#define UNIT_MIN .unit = "min"

#define OF_BOOL(u) UNIT_NONE, .words = conf_bool_words
#define OF_INT(u) UNIT_##u
#define OF_REAL(u) UNIT_NONE
#define OF_ENUM(tag) UNIT_NONE, .words = conf_##tag##_words
#define OF_FLAGS(u) UNIT_NONE, .words = conf_flag_words
#define OF_TEXT(u) UNIT_NONE
#define OF_SECRET(u) UNIT_NONE
#define OF_LIST(c) UNIT_NONE, .separator = c
#define OF_PATTERNS(c) UNIT_NONE, .separator = c
#define OF_REDIRECTS(c) UNIT_NONE, .separator = c
#define OF_RELATIONS(c) UNIT_NONE, .separator = c

#define WHEN_START "start"
#define WHEN_RELOAD "reload"
#define WHEN_SESSION "session"

#define IS_BARE true
#define IS_INDEXED false

static const struct conf_row rows[] = {
#define X(f, type_, dflt_, min_, max_, unit_, when_, doc_) \
	{ .name = #f, .type = #type_, .dflt = dflt_, .min = min_, .max = max_, OF_##type_(unit_), \
	  .when = WHEN_##when_, .doc = doc_, .offset = offsetof(struct conf, f), \
	  .kind = &conf_kind_##type_ },
	CONF_TABLE(X)
#undef X
#define X(name_, f, type_, dflt_, min_, max_, unit_, when_, bare_, doc_) \
	{ .name = #name_, .type = #type_, .dflt = dflt_, .min = min_, .max = max_, \
	  OF_##type_(unit_), .when = WHEN_##when_, .per_node = true, .bare = IS_##bare_, \
	  .doc = doc_, .offset = offsetof(struct conf_node, f), .kind = &conf_kind_##type_ },
	NODE_TABLE(X)
#undef X
};

enum {
#define X(f, ...) ROW_##f,
	CONF_TABLE(X)
#undef X
	NODE_ROWS                       /* where the rows of NODE_TABLE begin */
};

_Static_assert(COUNT(rows) - NODE_ROWS <= 32, "struct conf_node has one bit for each row");

/* --- looking parameters up ----------------------------------------------- */

static const char digits[] = "0123456789";

/* The row of a name, NULL when there is none, and its index: of a node, NO_INDEX, or BAD_INDEX
 * for a name that needs an index from 0 to 127 and has something else. */
static const struct conf_row *find_row(const char *name, int *index)
{
	*index = NO_INDEX;
	for (const struct conf_row *row = rows; row < rows + COUNT(rows); row++) {
		size_t n = strlen(row->name);

		if (strncmp(row->name, name, n))
			continue;
		if (!name[n] && (!row->per_node || row->bare))
			return row;
		if (row->per_node && (strchr(digits, name[n]) || !row->bare)) {
			*index = conf_index(name + n);
			return row;
		}
	}
	return NULL;
}

static const char *current_name(const char *name)
{
	for (size_t i = 0; i < COUNT(renamed); i++)
		if (!strcmp(renamed[i].old, name))
			return renamed[i].name;
	return name;
}

static bool same_numbered(const char *pattern, const char *name)
{
	size_t n = strcspn(pattern, "#");

	if (!pattern[n])
		return !strcmp(pattern, name);
	return !strncmp(pattern, name, n) && name[n] && !name[n + strspn(name + n, digits)];
}

/* A name that no row has: something of Pgpool-II's, told once, or nobody's. */
static void tell_unused(struct loader *l, const char *name)
{
	for (size_t i = 0; i < COUNT(without_effect); i++) {
		if (!same_numbered(without_effect[i], name))
			continue;
		if (!l->told[i])
			tell(l, LEVEL_WARNING,
				"parameter \"%s\" has no effect in this version", name);
		l->told[i] = true;
		return;
	}
	tell(l, LEVEL_WARNING, "unknown parameter \"%.*s\"", CONF_QUOTED, name);
}

/* --- assigning ----------------------------------------------------------- */

/* Replaces a field, or leaves it as it was and tells why. */
static void assign(struct loader *l, const struct conf_row *row, void *base, const char *value)
{
	void *field = (char *)base + row->offset;
	union conf_value fresh;

	memset(&fresh, 0, sizeof fresh);
	if (!row->kind->parse(&l->report, row, value, &fresh)) {
		row->kind->release(&fresh);
		return;
	}
	row->kind->release(field);
	memcpy(field, &fresh, row->kind->size);
}

static void set(struct loader *l, const char *name, const char *value)
{
	const char *now = current_name(name);
	int index;
	const struct conf_row *row = find_row(now, &index);

	if (now != name)
		tell(l, LEVEL_WARNING, "parameter \"%s\" is now called \"%s\"", name,
			now);
	if (!row) {
		tell_unused(l, now);
		return;
	}
	if (index == BAD_INDEX) {
		tell(l, LEVEL_FATAL, "parameter \"%.*s\": behind \"%s\" belongs the index "
			"of a node (allowed: 0 .. %d)", CONF_QUOTED, name, row->name,
			CONF_NODES - 1);
		return;
	}
	l->report.name = now;
	if (!row->per_node)
		assign(l, row, l->c, value);
	else if (index == NO_INDEX)
		assign(l, row, &l->c->bare, value);
	else {
		assign(l, row, &l->c->node[index], value);
		l->c->node[index].set |= UINT32_C(1) << (row - rows - NODE_ROWS);
	}
}

static void set_defaults(struct loader *l)
{
	for (const struct conf_row *row = rows; row < rows + COUNT(rows); row++) {
		l->report.name = row->name;
		assign(l, row, row->per_node ? (void *)&l->c->bare : l->c, row->dflt);
	}
}

/* --- the file ------------------------------------------------------------ */

static bool read_file(struct loader *l, const char *path);

/* include 'file', relative to the directory of the file that says so. */
static void include(struct loader *l, const char *name)
{
	const char *slash = l->report.file ? strrchr(l->report.file, '/') : NULL;
	size_t dir = slash && name[0] != '/' ? (size_t)(slash - l->report.file) + 1 : 0;
	size_t size = dir + strlen(name) + 1;
	char *path;

	if (l->depth > INCLUDE_DEPTH) {
		tell(l, LEVEL_FATAL, "include \"%.*s\": files include each other more than "
			"%d deep", CONF_QUOTED, name, INCLUDE_DEPTH);
		return;
	}
	if (!(path = malloc(size))) {
		conf_nomem(&l->report);
		return;
	}
	snprintf(path, size, "%.*s%s", (int)dir, l->report.file ? l->report.file : "", name);
	if (!read_file(l, path))
		tell(l, LEVEL_FATAL, "include \"%.*s\": there is no such file",
			CONF_QUOTED, path);
	free(path);
}

/* The value in hand.  Its text is copied for its final byte and wiped: it may be a password. */
static void set_scanned(struct loader *l, const char *name, const struct scan *s)
{
	char *value = conf_copy(&l->report, s->at, s->n);

	if (!value)
		return;
	if (!strcmp(name, "include"))
		include(l, value);
	else
		set(l, name, value);
	explicit_bzero(value, s->n);
	free(value);
}

/* Scans behind a key.  No message quotes what stands there: it may be a piece of a password. */
static bool scan_value(struct loader *l, struct scan *s, const char *name)
{
	scan_next(s);
	if (s->token == EQUALS)
		scan_next(s);

	switch (s->token) {
	case KEY: case WORD: case NUMBER: case STRING: case STAR:
		set_scanned(l, name, s);
		return true;
	case END: case NEWLINE:
		tell(l, LEVEL_FATAL, "parameter \"%.*s\" has no value", CONF_QUOTED,
			name);
		return false;
	case UNCLOSED:
		tell(l, LEVEL_FATAL, "parameter \"%.*s\": the string has no closing quote in "
			"its line", CONF_QUOTED, name);
		return false;
	case EQUALS: case OTHER:
		break;
	}
	tell(l, LEVEL_FATAL, "syntax error behind parameter \"%.*s\": such a value needs "
		"quotes", CONF_QUOTED, name);
	return false;
}

/* A whole file in memory.  A syntax error ends it; a bad value does not, so that one start tells
 * all of them. */
static void parse_file(struct loader *l, const char *text, size_t n)
{
	struct scan s = { .p = text, .end = text + n };
	char *name;
	bool good;

	l->report.line = 1;
	for (scan_next(&s); s.token != END && !l->report.nomem; scan_next(&s)) {
		if (s.token == NEWLINE) {
			l->report.line++;
			continue;
		}
		if (s.token != KEY) {
			tell(l, LEVEL_FATAL, "syntax error: expected the name of a parameter; a "
				"value needs quotes unless it has only letters, digits and -._:/");
			return;
		}
		if (!(name = conf_copy(&l->report, s.at, s.n)))
			return;
		good = scan_value(l, &s, name);
		free(name);
		if (!good)
			return;
	}
}

/* Reads and parses an open file.  Of the block only the pages that are used exist. */
static void read_open_file(struct loader *l, int fd)
{
	char *text = malloc(FILE_MAX);
	size_t n = 0;
	ssize_t got = 1;

	if (!text) {
		conf_nomem(&l->report);
		return;
	}
	for (; got > 0 && n < FILE_MAX; n += got > 0 ? (size_t)got : 0)
		do
			got = read(fd, text + n, FILE_MAX - n);
		while (got < 0 && errno == EINTR);

	if (got < 0)
		tell(l, LEVEL_FATAL, "cannot read the file: %s", strerror(errno));
	else if (n == FILE_MAX)
		tell(l, LEVEL_FATAL, "the file has %d bytes or more", FILE_MAX);
	else
		parse_file(l, text, n);
	explicit_bzero(text, n);
	free(text);
}

/* Returns whether there is such a file. */
static bool read_file(struct loader *l, const char *path)
{
	const char *file = l->report.file;
	int line = l->report.line, fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return false;
	l->report.file = path;
	l->report.line = 0;
	l->depth++;
	if (fd < 0)
		tell(l, LEVEL_FATAL, "cannot open the file: %s", strerror(errno));
	else {
		read_open_file(l, fd);
		close(fd);
	}
	l->depth--;
	l->report.file = file;
	l->report.line = line;
	return true;
}

/* --- the environment ----------------------------------------------------- */

static const char *first_variable(char *const *environ_)
{
	for (; environ_ && *environ_; environ_++)
		if (!strncmp(*environ_, VARIABLES, strlen(VARIABLES)) && strchr(*environ_, '='))
			return *environ_;
	return NULL;
}

static bool is_image_default(const char *name)
{
	for (size_t i = 0; i < COUNT(image_defaults); i++)
		if (!strcmp(image_defaults[i].name, current_name(name)))
			return true;
	return false;
}

/* The image forces its socket directory, which it makes; elsewhere it need not exist. */
static void set_image_defaults(struct loader *l)
{
	struct stat st;

	for (size_t i = 0; i < COUNT(image_defaults); i++) {
		const char *value = image_defaults[i].value;

		if (!strcmp(value, IMAGE_SOCKETS) && (stat(value, &st) || !S_ISDIR(st.st_mode)))
			value = "";
		set(l, image_defaults[i].name, value);
	}
}

/* One NAME=value.  An empty value leaves the image's default, as the image does. */
static void set_variable(struct loader *l, const char *variable, const char *value)
{
	char name[CONF_QUOTED];
	size_t n = 0;

	for (const char *p = variable + strlen(VARIABLES); *p && n < sizeof name - 1; p++)
		name[n++] = *p >= 'A' && *p <= 'Z' ? (char)(*p - 'A' + 'a') : *p;
	name[n] = '\0';
	if (*value || !is_image_default(name))
		set(l, name, value);
}

static void read_environment(struct loader *l, char *const *environ_)
{
	l->c->from_environment = true;
	set_image_defaults(l);
	for (; *environ_; environ_++) {
		const char *equals = strchr(*environ_, '=');
		char *variable;

		if (strncmp(*environ_, VARIABLES, strlen(VARIABLES)) || !equals)
			continue;
		if (!(variable = conf_copy(&l->report, *environ_, (size_t)(equals - *environ_))))
			return;
		l->report.file = variable;
		set_variable(l, variable, equals + 1);
		l->report.file = NULL;
		free(variable);
	}
	if (!l->c->node[0].hostname || !l->c->node[0].hostname[0]) {
		l->report.file = VARIABLES "BACKEND_HOSTNAME0";
		tell(l, LEVEL_FATAL, "the environment variable is not set");
		l->report.file = NULL;
	}
}

/* --- the whole ----------------------------------------------------------- */

/* Gives a node what it does not say itself. */
static void complete_node(struct loader *l, struct conf_node *node)
{
	for (size_t i = NODE_ROWS; i < COUNT(rows); i++) {
		void *to = (char *)node + rows[i].offset;
		const void *from = (const char *)&l->c->bare + rows[i].offset;

		if (node->set >> (i - NODE_ROWS) & 1)
			continue;
		if (rows[i].kind->is_text) {
			const char *text = *(char *const *)from;

			*(char **)to = conf_copy(&l->report, text, strlen(text));
		} else
			memcpy(to, from, rows[i].kind->size);
	}
}

static bool given(const struct conf_node *node, const char *name)
{
	int index;

	return node->set >> (find_row(name, &index) - rows - NODE_ROWS) & 1;
}

static void complete_nodes(struct loader *l)
{
	struct conf *c = l->c;
	int nodes = 0, primary = -1;

	for (int i = 0; i < CONF_NODES; i++) {
		c->node[i].used = c->node[i].port != 0;
		if (c->node[i].used) {
			c->nnodes = i + 1;
			nodes++;
		} else if (c->node[i].hostname && c->node[i].hostname[0])
			tell(l, LEVEL_WARNING,
				"node %d is left out: \"backend_port%d\" is not set", i, i);
	}

	bool balance = c->load_balance_mode && nodes > 1;

	for (int i = 0; i < c->nnodes && !l->report.nomem; i++) {
		struct conf_node *node = &c->node[i];

		complete_node(l, node);
		if (node->used && balance && !given(node, "backend_weight"))
			tell(l, LEVEL_WARNING,
				"node %d gets no reads: \"backend_weight%d\" is not set", i, i);
		if (!node->used || !(node->flag & NODE_ALWAYS_PRIMARY))
			continue;
		if (primary >= 0) {
			tell(l, LEVEL_WARNING, "\"backend_flag%d\": ALWAYS_PRIMARY is ignored, "
				"node %d has it already", i, primary);
			node->flag &= ~(unsigned)NODE_ALWAYS_PRIMARY;
		} else
			primary = i;
	}
}

static void check_destination(struct loader *l)
{
	const struct conf_list *d = &l->c->log_destination;

	for (size_t i = 0; i < d->n; i++)
		if (strcasecmp(d->item[i], "stderr") && strcasecmp(d->item[i], "syslog"))
			tell(l, LEVEL_WARNING, "\"log_destination\": the log goes to stderr or "
				"syslog, not to \"%.*s\"", CONF_QUOTED, d->item[i]);
}

struct conf *conf_load(const char *path, char *const *environ_, const struct conf_messages *m)
{
	struct loader l = { .c = calloc(1, sizeof *l.c), .report.m = m };
	const char *variable = first_variable(environ_);

	if (!l.c) {
		conf_nomem(&l.report);
		return NULL;
	}
	set_defaults(&l);
	if (!l.report.failed && path && read_file(&l, path)) {
		if (variable)
			tell(&l, LEVEL_LOG, "there is a configuration file: \"%.*s\" and any other "
				VARIABLES " variable is ignored", (int)strcspn(variable, "="),
				variable);
	} else if (!l.report.failed) {
		l.report.file = path;
		if (path)
			tell(&l, variable ? LEVEL_LOG : LEVEL_WARNING, "there is no such file: %s",
				variable ? "the environment is used" : "defaults are used");
		l.report.file = NULL;
		if (variable)
			read_environment(&l, environ_);
	}
	if (!l.report.failed) {
		complete_nodes(&l);
		check_destination(&l);
	}
	if (l.report.failed) {
		conf_free(l.c);
		return NULL;
	}
	return l.c;
}

static bool same(const struct conf_row *row, const void *a, const void *b)
{
	if (row->kind->is_text)
		return !strcmp(*(char *const *)a, *(char *const *)b);
	return !memcmp(a, b, row->kind->size);
}

void conf_keep_start(struct conf *fresh, struct conf *old, const struct conf_messages *m)
{
	struct loader l = { .c = fresh, .report.m = m };

	for (const struct conf_row *row = rows; row < rows + NODE_ROWS; row++) {
		void *a = (char *)fresh + row->offset, *b = (char *)old + row->offset;
		union conf_value v;

		if (strcmp(row->when, WHEN_START))
			continue;
		if (!same(row, a, b))
			tell(&l, LEVEL_WARNING,
				"parameter \"%s\" cannot be changed without a restart", row->name);
		memcpy(&v, a, row->kind->size);
		memcpy(a, b, row->kind->size);
		memcpy(b, &v, row->kind->size);
	}
}

void conf_free(struct conf *c)
{
	if (!c)
		return;
	for (size_t i = 0; i < NODE_ROWS; i++)
		rows[i].kind->release((char *)c + rows[i].offset);
	for (size_t i = NODE_ROWS; i < COUNT(rows); i++) {
		rows[i].kind->release((char *)&c->bare + rows[i].offset);
		for (int n = 0; n < CONF_NODES; n++)
			rows[i].kind->release((char *)&c->node[n] + rows[i].offset);
	}
	free(c);
}

int conf_show(const struct conf *c, const char *name, char *out, size_t size)
{
	int index;
	const struct conf_row *row = find_row(current_name(name), &index);
	const void *base = c;

	if (!row || index == BAD_INDEX || index >= c->nnodes)
		return -1;
	if (row->per_node)
		base = index == NO_INDEX ? &c->bare : &c->node[index];
	return row->kind->show(row, (const char *)base + row->offset, out, size);
}

void conf_each(void (*fn)(void *ctx, const struct conf_row *row), void *ctx)
{
	for (const struct conf_row *row = rows; row < rows + COUNT(rows); row++)
		fn(ctx, row);
}

bool conf_matches(const struct conf_list *patterns, const char *text)
{
	for (size_t i = 0; i < patterns->n; i++)
		if (!regexec(&patterns->pattern[i].re, text, 0, NULL, 0))
			return true;
	return false;
}

const struct conf_redirect *conf_redirect(const struct conf_list *redirects, const char *name)
{
	for (size_t i = 0; i < redirects->n; i++)
		if (!regexec(&redirects->redirect[i].re, name, 0, NULL, 0))
			return &redirects->redirect[i];
	return NULL;
}
