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

#include "conf/scan.h"
#include "conf/value.h"
#include "wire.h"

#define COUNT(a) (sizeof(a) / sizeof *(a))
#define VARIABLES "PGPOOL_PARAMS_"

enum {
	INCLUDE_DEPTH = 10,             /* Pgpool-II's */
	FILE_MAX = 1 << 20              /* a larger file cannot be a configuration */
};

const struct conf_old conf_old_names[] = {
	{ "black_function_list", "write_function_list", NULL },
	{ "black_memqcache_table_list", "cache_unsafe_memqcache_table_list", NULL },
	{ "black_query_pattern_list", "primary_routing_query_pattern_list", NULL },
	{ "debug_level", NULL, "log_min_messages says what is logged" },
	{ "delegate_IP", "delegate_ip", NULL },
	{ "fail_over_on_backend_error", "failover_on_backend_error", NULL },
	{ "follow_master_command", NULL, NO_FAILOVER },
	{ "heartbeat_destination#", NULL, NO_WATCHDOG },
	{ "heartbeat_destination_port#", NULL, NO_WATCHDOG },
	{ "logdir", "work_dir", NULL },
	{ "master_slave_mode", NULL, "backend_clustering_mode says it, or else off means raw" },
	{ "master_slave_sub_mode", NULL, "backend_clustering_mode says it" },
	{ "other_pgpool_hostname#", NULL, NO_WATCHDOG },
	{ "other_pgpool_port#", NULL, NO_WATCHDOG },
	{ "other_wd_port#", NULL, NO_WATCHDOG },
	{ "parallel_mode", NULL, "a statement runs on one node" },
	{ "print_timestamp", NULL, "log_line_prefix says what a line begins with" },
	{ "socket_dir", "unix_socket_directories", NULL },
	{ "wd_heartbeat_port", NULL, NO_WATCHDOG },
	{ "wd_hostname", NULL, NO_WATCHDOG },
	{ "wd_port", NULL, NO_WATCHDOG },
	{ "white_function_list", "read_only_function_list", NULL },
	{ "white_memqcache_table_list", "cache_safe_memqcache_table_list", NULL },
	{ NULL, NULL, NULL }
};

const struct conf_default conf_image_defaults[] = {
	{ "backend_flag0", "ALLOW_TO_FAILOVER" },
	{ "backend_port0", "5432" },
	{ "backend_weight0", "1" },
	{ "failover_on_backend_error", "off" },
	{ "health_check_period", "0" },
	{ "listen_addresses", "*" },
	{ "pcp_socket_dir", CONF_IMAGE_SOCKETS },
	{ "port", "9999" },
	{ "sr_check_period", "0" },
	{ "unix_socket_directories", CONF_IMAGE_SOCKETS },
	{ "wd_ipc_socket_dir", CONF_IMAGE_SOCKETS },
	{ NULL, NULL }
};

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
#define OF_METHODS(u) UNIT_NONE, .separator = ',', .words = conf_method_words
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

#define ROW(name_, group_, type_, dflt_, min_, max_, unit_, when_, effect_, doc_, ...) \
	{ .name = name_, .type = #type_, .dflt = dflt_, .group = GROUP_##group_, .min = min_, \
	  .max = max_, OF_##type_(unit_), .when = WHEN_##when_, .effect = EFFECT_##effect_, \
	  .doc = doc_, .kind = &conf_kind_##type_, __VA_ARGS__ },

static const struct conf_row rows[] = {
#define X(f, group, type, dflt, min, max, unit, when, effect, doc) \
	ROW(#f, group, type, dflt, min, max, unit, when, effect, doc, \
		.offset = offsetof(struct conf, f))
	CONF_TABLE(X)
#undef X
#define X(name, f, group, type, dflt, min, max, unit, when, bare_, effect, doc) \
	ROW(#name, group, type, dflt, min, max, unit, when, effect, doc, \
		.offset = offsetof(struct conf, node[0].f), .stride = sizeof(struct conf_node), \
		.per_node = true, .bare = IS_##bare_)
	NODE_TABLE(X)
#undef X
#define X(f, group, type, dflt, min, max, unit, when, effect, doc) \
	ROW(#f, group, type, dflt, min, max, unit, when, effect, doc, \
		.offset = offsetof(struct conf, peer[0].f), .stride = sizeof(struct conf_peer), \
		.per_node = true)
	PEER_TABLE(X)
#undef X
};

enum {
#define X(f, ...) ROW_##f,
	CONF_TABLE(X) NODE_TABLE(X) PEER_TABLE(X)
#undef X
	NODE_ROWS = ROW_backend_hostname,       /* where the rows of NODE_TABLE begin */
	PEER_ROWS = ROW_heartbeat_hostname      /* and those of PEER_TABLE */
};

_Static_assert(COUNT(rows) - NODE_ROWS <= 32, "struct conf has one bit for each at an index");

struct loader {
	struct conf *c;
	struct conf_report report;
	int depth;                      /* of files that include each other */
	int name_column, value_column;  /* of what is being set */
	bool told[COUNT(rows)];         /* that the parameter has no effect */
	bool has_mode, no_standbys;     /* backend_clustering_mode; master_slave_mode = off */
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

/* --- looking parameters up ----------------------------------------------- */

static const char digits[] = "0123456789";

/* The row of a name, NULL if there is none, and its index: 0 to 127, NO_INDEX, or BAD_INDEX if it
 * needs one but has something else. */
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

/* The place of a row's value; a name without an index has it behind the last one. */
static void *place(const struct conf *c, const struct conf_row *row, int index)
{
	return (char *)c + row->offset
		+ row->stride * (size_t)(index == NO_INDEX ? CONF_NODES : index);
}

static uint32_t bit(const struct conf_row *row)
{
	return UINT32_C(1) << (row - rows - NODE_ROWS);
}

static bool same_numbered(const char *pattern, const char *name)
{
	size_t n = strcspn(pattern, "#");

	if (!pattern[n])
		return !strcmp(pattern, name);
	return !strncmp(pattern, name, n) && name[n] && !name[n + strspn(name + n, digits)];
}

static const struct conf_old *find_old(const char *name)
{
	for (const struct conf_old *old = conf_old_names; old->name; old++)
		if (same_numbered(old->name, name))
			return old;
	return NULL;
}

static const char *current_name(const char *name)
{
	const struct conf_old *old = find_old(name);

	return old && old->now ? old->now : name;
}

/* --- parameters without effect ------------------------------------------- */

/* Does a value ask for no more than the default?  Numbers and switches that are 0 ask for
 * nothing. */
static bool asks_nothing(struct loader *l, const struct conf_row *row, const void *field)
{
	union conf_value dflt, zero;

	if (row->kind->is_text) {
		const char *text = *(char *const *)field;

		return !*text || !strcmp(text, row->dflt);
	}
	memset(&zero, 0, sizeof zero);
	memset(&dflt, 0, sizeof dflt);
	row->kind->parse(&l->report, row, row->dflt, &dflt);
	return !memcmp(field, &dflt, row->kind->size)
		|| (row->kind != &conf_kind_ENUM && !memcmp(field, &zero, row->kind->size));
}

/* Once for each row, as numbered ones come in dozens. */
static void tell_useless(struct loader *l, const struct conf_row *row, const char *name,
	const void *field)
{
	bool loud = row->effect == EFFECT_MISSED || row->effect == EFFECT_LATER;

	if (row->effect == EFFECT_WORKS || l->told[row - rows] || asks_nothing(l, row, field))
		return;
	l->told[row - rows] = true;
	l->report.column = l->name_column;
	tell(l, loud ? LEVEL_WARNING : LEVEL_LOG, "parameter \"%s\" has no effect here: %s", name,
		row->doc);
}

/* --- assigning ----------------------------------------------------------- */

/* Replaces a field, or leaves it as it was and tells why. */
static bool assign(struct loader *l, const struct conf_row *row, void *field, const char *value)
{
	union conf_value fresh;

	memset(&fresh, 0, sizeof fresh);
	if (!row->kind->parse(&l->report, row, value, &fresh)) {
		row->kind->release(&fresh);
		return false;
	}
	row->kind->release(field);
	memcpy(field, &fresh, row->kind->size);
	return true;
}

/* Sets the value of a row with a current name.  Returns the field, or NULL after telling why
 * not. */
static void *put(struct loader *l, const struct conf_row *row, int index, const char *name,
	const char *value)
{
	void *field = place(l->c, row, index);

	l->report.name = name;
	l->report.column = l->value_column;
	if (!assign(l, row, field, value))
		return NULL;
	if (index != NO_INDEX)
		l->c->given[index] |= bit(row);
	return field;
}

/* Pgpool-II 4.0 and 4.1 had two switches instead of backend_clustering_mode, which are off in their
 * raw mode.  true: that is all. */
static bool note_mode(struct loader *l, const char *name, const char *value)
{
	bool on = true;

	l->has_mode |= !strcmp(name, "backend_clustering_mode");
	if (strcmp(name, "master_slave_mode"))
		return false;
	conf_is_bool(value, &on);
	l->no_standbys = !on;
	return !on;
}

static void complete_mode(struct loader *l)
{
	int index;

	if (!l->no_standbys || l->has_mode)
		return;
	tell(l, LEVEL_WARNING, "master_slave_mode is off: backend_clustering_mode is \"raw\", all"
		" statements go to one node");
	put(l, find_row("backend_clustering_mode", &index), NO_INDEX, "backend_clustering_mode",
		"raw");
}

/* An assignment in a file or a variable. */
static void set(struct loader *l, const char *name, const char *value)
{
	const struct conf_old *old = find_old(name);
	const char *now = current_name(name);
	int index;
	const struct conf_row *row = find_row(now, &index);
	const void *field;

	l->report.column = l->name_column;
	if (note_mode(l, now, value))
		return;
	if (old && old->reason) {
		tell(l, LEVEL_WARNING, "parameter \"%s\" has no effect here: %s", name,
			old->reason);
		return;
	}
	if (!row) {
		tell(l, LEVEL_WARNING, "unknown parameter \"%.*s\"", CONF_QUOTED, name);
		return;
	}
	if (index == BAD_INDEX) {
		tell(l, LEVEL_FATAL, "parameter \"%.*s\": \"%s\" needs an index after it "
			"(allowed: 0 .. %d)", CONF_QUOTED, name, row->name, CONF_NODES - 1);
		return;
	}
	if (now != name && row->effect == EFFECT_WORKS)
		tell(l, LEVEL_WARNING, "parameter \"%s\" is now called \"%s\"", name, now);
	if ((field = put(l, row, index, now, value)))
		tell_useless(l, row, name, field);
}

static void set_defaults(struct loader *l)
{
	for (const struct conf_row *row = rows; row < rows + COUNT(rows); row++)
		put(l, row, NO_INDEX, row->name, row->dflt);
}

/* --- the file ------------------------------------------------------------ */

static bool read_file(struct loader *l, const char *path);

/* include 'file', relative to the directory of the including file. */
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
	l->report.column = l->value_column;
	if (!strcmp(name, "include"))
		include(l, value);
	else
		set(l, name, value);
	memory_wipe(value, s->n);
}

static int column(const struct scan *s, const char *line)
{
	return (int)(s->from - line) + 1;
}

/* Scans the text after a key.  No message quotes that: it may be a piece of a password. */
static bool scan_value(struct loader *l, struct scan *s, const char *line, const char *name)
{
	scan_next(s);
	if (s->token == EQUALS)
		scan_next(s);
	if (s->token != END && s->token != NEWLINE)
		l->report.column = l->value_column = column(s, line);

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
	tell(l, LEVEL_FATAL, "syntax error after parameter \"%.*s\": such a value needs "
		"quotes", CONF_QUOTED, name);
	return false;
}

/* A whole file in memory.  A syntax error ends it; a bad value does not, so that one start reports
 * all of them. */
static void parse_file(struct loader *l, const char *text, size_t n)
{
	struct scan s = { .p = text, .end = text + n };
	const char *line = text;
	char *name;
	bool good;

	l->report.line = 1;
	for (scan_next(&s); s.token != END && !l->report.nomem; scan_next(&s)) {
		if (s.token == NEWLINE) {
			l->report.line++;
			line = s.p;
			continue;
		}
		l->report.column = l->name_column = column(&s, line);
		if (s.token != KEY) {
			tell(l, LEVEL_FATAL, "syntax error: expected the name of a parameter; a "
				"value needs quotes unless it has only letters, digits and -._:/");
			return;
		}
		if (!(name = conf_copy(&l->report, s.at, s.n)))
			return;
		good = scan_value(l, &s, line, name);
		free(name);
		if (!good)
			return;
	}
}

/* Reads and parses an open file.  Of the block only the pages that are used exist. */
static void read_open_file(struct loader *l, int fd)
{
	size_t n;
	char *text = memory_read(fd, FILE_MAX, &n);

	if (!text && errno == ENOMEM)
		conf_nomem(&l->report);
	else if (!text)
		tell(l, LEVEL_FATAL, "cannot read the file: %s", strerror(errno));
	else if (n == FILE_MAX)
		tell(l, LEVEL_FATAL, "the file has %d bytes or more", FILE_MAX);
	else
		parse_file(l, text, n);
	memory_wipe(text, n);
}

/* A FIFO would hold a reload up until somebody writes into it. */
static bool is_fifo(int fd)
{
	struct stat st;

	return fstat(fd, &st) == 0 && S_ISFIFO(st.st_mode);
}

/* Returns whether there is such a file. */
static bool read_file(struct loader *l, const char *path)
{
	const char *file = l->report.file;
	int line = l->report.line, at = l->report.column;
	int fd = source_open(path);

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return false;
	l->report.file = path;
	l->report.line = l->report.column = 0;
	l->depth++;
	if (fd < 0)
		tell(l, LEVEL_FATAL, "cannot open the file: %s", strerror(errno));
	else if (is_fifo(fd))
		tell(l, LEVEL_FATAL, "cannot read the file: it is a FIFO");
	else
		read_open_file(l, fd);
	if (fd >= 0)
		close(fd);
	l->depth--;
	l->report.file = file;
	l->report.line = line;
	l->report.column = at;
	l->name_column = l->value_column = 0;
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
	for (const struct conf_default *d = conf_image_defaults; d->name; d++)
		if (!strcmp(d->name, current_name(name)))
			return true;
	return false;
}

/* The image makes a directory for its sockets; elsewhere it need not exist. */
static void set_image_defaults(struct loader *l)
{
	struct stat st;
	int index;

	for (const struct conf_default *d = conf_image_defaults; d->name; d++) {
		const struct conf_row *row = find_row(d->name, &index);
		bool missing = !strcmp(d->value, CONF_IMAGE_SOCKETS)
			&& (stat(d->value, &st) || !S_ISDIR(st.st_mode));

		put(l, row, index, d->name, missing ? "" : d->value);
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

/* Gives a node the values that it does not set itself. */
static void complete_node(struct loader *l, int index)
{
	for (const struct conf_row *row = rows + NODE_ROWS; row < rows + PEER_ROWS; row++) {
		void *to = place(l->c, row, index);
		const void *from = place(l->c, row, NO_INDEX);

		if (l->c->given[index] & bit(row))
			continue;
		if (row->kind->is_text) {
			const char *text = *(char *const *)from;

			*(char **)to = conf_copy(&l->report, text, strlen(text));
		} else
			memcpy(to, from, row->kind->size);
	}
}

/* The node that counts as the primary until the nodes themselves say which one it is.  If several
 * are flagged, the others lose the flag. */
static int find_primary(struct loader *l)
{
	int first = -1, flagged = -1;

	for (int i = 0; i < l->c->nnodes; i++) {
		struct conf_node *node = &l->c->node[i];

		if (node->used && first < 0)
			first = i;
		if (!node->used || !(node->flag & NODE_ALWAYS_PRIMARY))
			continue;
		if (flagged >= 0) {
			tell(l, LEVEL_WARNING, "\"backend_flag%d\": ALWAYS_PRIMARY is ignored, "
				"node %d has it already", i, flagged);
			node->flag &= ~(unsigned)NODE_ALWAYS_PRIMARY;
		} else
			flagged = i;
	}
	return flagged >= 0 ? flagged : first;
}

static void check_weights(struct loader *l, int primary)
{
	const struct conf_row *row = rows + ROW_backend_weight;

	for (int i = 0; i < l->c->nnodes && l->c->load_balance_mode; i++)
		if (l->c->node[i].used && i != primary && l->c->node[i].weight == 0)
			tell(l, LEVEL_WARNING, "node %d gets no reads: \"backend_weight%d\" is %s",
				i, i, l->c->given[i] & bit(row) ? "0" : "not set");
}

static void complete_nodes(struct loader *l)
{
	struct conf *c = l->c;

	for (int i = 0; i < CONF_NODES; i++) {
		c->node[i].used = c->node[i].port != 0;
		if (c->node[i].used)
			c->nnodes = i + 1;
		else if (c->node[i].hostname && c->node[i].hostname[0])
			tell(l, LEVEL_WARNING,
				"node %d is left out: \"backend_port%d\" is not set", i, i);
	}
	for (int i = 0; i < c->nnodes && !l->report.nomem; i++)
		complete_node(l, i);
	if (!l->report.nomem)
		check_weights(l, find_primary(l));
}

static bool has_ca(const struct conf *c)
{
	return *c->ssl_ca_cert || *c->ssl_ca_cert_dir;
}

enum sslmode conf_sslmode(const struct conf *c, const struct conf_node *n)
{
	if (!*n->hostname || *n->hostname == '/')
		return SSLMODE_DISABLE;         /* a Unix socket: as libpq */
	if (n->sslmode != SSLMODE_AUTO)
		return n->sslmode;
	return !c->ssl ? SSLMODE_DISABLE : has_ca(c) ? SSLMODE_VERIFY_CA : SSLMODE_PREFER;
}

bool conf_allows(const struct conf_node *n, unsigned method, bool safe)
{
	if (!(n->require_auth & AUTH_NOT))
		return n->require_auth & method;
	return !(n->require_auth & method) && (method != AUTH_PASSWORD || safe);
}

bool conf_needs_tls(const struct conf *c)
{
	bool needs = c->ssl;

	for (int i = 0; i < c->nnodes; i++)
		needs |= c->node[i].used && conf_sslmode(c, &c->node[i]) != SSLMODE_DISABLE;
	return needs;
}

/* A demand that cannot be met must not become something weaker. */
static void check_tls(struct loader *l)
{
	const struct conf *c = l->c;

	for (int i = 0; i < c->nnodes && !l->report.nomem; i++) {
		const struct conf_node *n = &c->node[i];
		enum sslmode mode = n->used ? conf_sslmode(c, n) : SSLMODE_DISABLE;
		bool tcp = n->used && *n->hostname && *n->hostname != '/';

		if (mode >= SSLMODE_VERIFY_CA && !has_ca(c))
			tell(l, LEVEL_FATAL, "\"backend_sslmode\" of node %d is verify-%s, but"
				" neither \"ssl_ca_cert\" nor \"ssl_ca_cert_dir\" is set", i,
				mode == SSLMODE_VERIFY_CA ? "ca" : "full");
		if (tcp && mode <= SSLMODE_PREFER && n->sslnegotiation == SSL_DIRECT)
			tell(l, LEVEL_FATAL, "\"backend_sslnegotiation\" of node %d is direct, "
				"which needs a \"backend_sslmode\" of require, verify-ca or "
				"verify-full", i);
	}
}

/* Checks across several values. */
static void check_whole(struct loader *l)
{
	const struct conf *c = l->c;
	const struct conf_list *d = &c->log_destination;

	for (size_t i = 0; i < d->n; i++)
		if (strcasecmp(d->item[i], "stderr") && strcasecmp(d->item[i], "syslog"))
			tell(l, LEVEL_WARNING, "\"log_destination\": nothing is logged to "
				"\"%.*s\" (allowed: stderr, syslog)", CONF_QUOTED, d->item[i]);
	if (c->process_management_mode == PROCESSES_DYNAMIC
		&& (c->min_spare_children >= c->max_spare_children
		|| c->max_spare_children > c->num_init_children))
		tell(l, LEVEL_FATAL, "process_management_mode is dynamic: \"min_spare_children\" "
			"must be below \"max_spare_children\", which must not exceed "
			"\"num_init_children\"");
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
		complete_mode(&l);
		complete_nodes(&l);
		check_whole(&l);
		check_tls(&l);
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
		void *a = place(fresh, row, NO_INDEX), *b = place(old, row, NO_INDEX);
		union conf_value v;

		if (strcmp(row->when, WHEN_START))
			continue;
		if (row->effect == EFFECT_WORKS && !same(row, a, b))
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
	for (const struct conf_row *row = rows; row < rows + COUNT(rows); row++) {
		row->kind->release(place(c, row, NO_INDEX));
		for (int i = 0; i < CONF_NODES && row->per_node; i++)
			row->kind->release(place(c, row, i));
	}
	free(c);
}

int conf_show(const struct conf *c, const char *name, char *out, size_t size)
{
	int index;
	const struct conf_row *row = find_row(current_name(name), &index);

	if (!row || index == BAD_INDEX)
		return -1;
	if (index != NO_INDEX && index >= c->nnodes && row < rows + PEER_ROWS)
		return -1;
	if (index != NO_INDEX && !(c->given[index] & bit(row)))
		index = NO_INDEX;
	return row->kind->show(row, place(c, row, index), out, size);
}

/* --- of one session ------------------------------------------------------ */

/* Of the common parameters, which stand in front of the nodes' 24 KB. */
struct conf *conf_session(const struct conf *c)
{
	struct conf *copy = malloc(offsetof(struct conf, node));

	if (copy)
		memcpy(copy, c, offsetof(struct conf, node));
	return copy;
}

enum conf_setting conf_setting(const char *name)
{
	int index;
	const struct conf_row *row = find_row(name, &index);

	if (!row || index == BAD_INDEX)
		return SETTING_UNKNOWN;
	return strcmp(row->when, WHEN_SESSION) ? SETTING_FIXED : SETTING_SESSION;
}

bool conf_set(struct conf *session, const char *name, const char *value,
              const struct conf_messages *m)
{
	struct loader l = { .c = session, .report = { .m = m } };
	int index;

	return put(&l, find_row(name, &index), NO_INDEX, name, value);
}

/* --- shown --------------------------------------------------------------- */

/* Words count from 1, levels and verbosities are PostgreSQL's. */
static int number_of(const struct conf_row *row, unsigned word)
{
	if (row->words == conf_verbosity_words)
		return (int)word;
	if (row->words == conf_level_words)
		return (int)word + 10 + (word > LEVEL_LOG);
	if (row->words == conf_clustering_mode_words && word == CLUSTERING_RAW)
		return 5;       /* after modes that do not exist here */
	return (int)word + 1;
}

int conf_show_plain(const struct conf *c, const struct conf_row *row, char *out, size_t size)
{
	const void *field = place(c, row, NO_INDEX);

	if (row->kind == &conf_kind_BOOL)
		return snprintf(out, size, "%d", *(const bool *)field);
	if (row->kind == &conf_kind_INT && !row->octal)
		return snprintf(out, size, "%lld", (long long)*(const int64_t *)field);
	if (row->kind == &conf_kind_ENUM && row->words != conf_facility_words)
		return snprintf(out, size, "%d", number_of(row, *(const unsigned *)field));
	return row->kind->show(row, field, out, size);
}

const struct conf_row *conf_row(size_t i)
{
	return i < COUNT(rows) ? &rows[i] : NULL;
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
