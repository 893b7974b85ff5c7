/* conf.h - every parameter, once.
 *
 * A row below is the only place where a parameter is written down.  It becomes a field of struct
 * conf, a name that the file and the environment understand, an answer of PGPOOL SHOW and a
 * paragraph of documentation (conf_each).
 *
 *      X(field, type, default, min, max, unit, when, doc)
 *
 *      type     field is      unit is
 *      BOOL     bool          -
 *      INT      int64_t       NONE, OCTAL (shown so), or what a bare number means:
 *                             B, KB (memory), MS, S, MIN (time)
 *      REAL     double        -
 *      ENUM     enum tag      the tag of its words (CONF_WORDS)
 *      FLAGS    unsigned      -   NODE_ bits
 *      TEXT     char *        -   never NULL
 *      SECRET   char *        -   likewise, shown as *****, wiped when freed
 *      LIST, PATTERNS, REDIRECTS, RELATIONS: struct conf_list; unit is the separator
 *
 *      when     START: needs a restart.  RELOAD: SIGHUP is enough.
 *               SESSION: also PGPOOL SET inside one client's session.
 *
 * NODE_TABLE has the parameters of one node: name + index 0 to 127, and whether the name without
 * an index is the default of the nodes that do not set it (BARE) or a mistake (INDEXED).
 *
 * Defaults, ranges and contexts are Pgpool-II's (4.8).  Its other parameters are known by name
 * and say that they have no effect here; names from old versions are understood; any other name
 * is a warning.  None of that stops a start; a bad value does.
 *
 * File grammar: Pgpool-II's scanner.  `key = value` or `key value`; a value is 'quoted' (nothing
 * is unescaped), a word, a number with a unit, or *; # starts a comment; the last assignment
 * wins; include 'file' is relative to the including file, at most 10 deep.
 *
 * A struct conf is built whole and never changed afterwards (but see conf_keep_start); its
 * owner frees it, and every pointer read from it dies then.
 */
#ifndef CONF_H
#define CONF_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "log.h"        /* enum level and enum verbosity are the logger's words */

/* Words of ENUM parameters: W is a word, A another word for a constant, R a word of Pgpool-II
 * that is refused with a message because this program does not do it. */
#define CLUSTERING_MODE_WORDS(W, A, R) \
	W(CLUSTERING_STREAMING_REPLICATION, "streaming_replication") \
	R("native_replication") R("logical_replication") \
	W(CLUSTERING_RAW, "raw") \
	R("snapshot_isolation")

#define DLBOW_WORDS(W, A, R) \
	W(DLBOW_OFF, "off") \
	W(DLBOW_TRANSACTION, "transaction") \
	W(DLBOW_TRANS_TRANSACTION, "trans_transaction") \
	W(DLBOW_ALWAYS, "always") \
	W(DLBOW_DML_ADAPTIVE, "dml_adaptive") \
	W(DLBOW_DML_ADAPTIVE_GLOBAL, "dml_adaptive_global")

#define CHECK_TEMP_WORDS(W, A, R) \
	W(CHECK_TEMP_CATALOG, "catalog") A(CHECK_TEMP_CATALOG, "on") \
	W(CHECK_TEMP_TRACE, "trace") \
	W(CHECK_TEMP_NONE, "none") A(CHECK_TEMP_NONE, "off")

#define BACKEND_MESSAGES_WORDS(W, A, R) \
	W(BACKEND_MESSAGES_NONE, "none") \
	W(BACKEND_MESSAGES_TERSE, "terse") \
	W(BACKEND_MESSAGES_VERBOSE, "verbose")

#define FACILITY_WORDS(W, A, R) \
	W(FACILITY_LOCAL0, "LOCAL0") W(FACILITY_LOCAL1, "LOCAL1") \
	W(FACILITY_LOCAL2, "LOCAL2") W(FACILITY_LOCAL3, "LOCAL3") \
	W(FACILITY_LOCAL4, "LOCAL4") W(FACILITY_LOCAL5, "LOCAL5") \
	W(FACILITY_LOCAL6, "LOCAL6") W(FACILITY_LOCAL7, "LOCAL7")

#define CONF_WORD(constant, word) constant,
#define CONF_ALIAS(constant, word)
#define CONF_REFUSED(word)
enum clustering_mode { CLUSTERING_MODE_WORDS(CONF_WORD, CONF_ALIAS, CONF_REFUSED) };
enum dlbow { DLBOW_WORDS(CONF_WORD, CONF_ALIAS, CONF_REFUSED) };
enum check_temp { CHECK_TEMP_WORDS(CONF_WORD, CONF_ALIAS, CONF_REFUSED) };
enum backend_messages { BACKEND_MESSAGES_WORDS(CONF_WORD, CONF_ALIAS, CONF_REFUSED) };
enum facility { FACILITY_WORDS(CONF_WORD, CONF_ALIAS, CONF_REFUSED) };
#undef CONF_WORD
#undef CONF_ALIAS
#undef CONF_REFUSED

/* backend_flagN.  Exactly one of the first two is set; at most one node is ALWAYS_PRIMARY. */
enum {
	NODE_ALLOW_TO_FAILOVER = 1,
	NODE_DISALLOW_TO_FAILOVER = 2,
	NODE_ALWAYS_PRIMARY = 4
};

/* One of the things in a list.  All texts live as long as the list. */
struct conf_pattern {
	const char *text;
	regex_t re;
};

struct conf_redirect {
	const char *text;               /* of the pattern */
	regex_t re;
	enum { TO_PRIMARY, TO_STANDBY, TO_NODE } target;
	int node;                       /* of TO_NODE */
	double weight;                  /* 0.0 to 1.0 */
};

struct conf_relation {
	const char *left, *right;
	bool left_is_function, right_is_function;
};

/* LIST       texts without the blanks around them
 * PATTERNS   extended regular expressions: case-insensitive, with ^ and $ added where missing
 * REDIRECTS  pattern:target or pattern:target(weight); blanks belong to the pattern
 * RELATIONS  object:object; a function is written f() and stored as f
 *
 * Empty items are left out.  Behind a backslash a separator is an ordinary character, and \' is
 * a quote. */
struct conf_list {
	char *text;                     /* all of it as written, never NULL */
	size_t n;
	union {
		char **item;
		struct conf_pattern *pattern;
		struct conf_redirect *redirect;
		struct conf_relation *relation;
		void *all;
	};
};

#define CONF_TABLE(X) \
	X(backend_clustering_mode, ENUM, "streaming_replication", 0, 0, clustering_mode, START, \
		"streaming_replication: a primary with standbys.  raw: one node.") \
	\
	X(listen_addresses, LIST, "localhost", 0, 0, ',', START, \
		"Addresses to listen on; * is every one, empty leaves Unix sockets only.") \
	X(port, INT, "9999", 1024, 65535, NONE, START, \
		"Port for clients; also the number in the name of the Unix sockets.") \
	X(unix_socket_directories, LIST, "/tmp", 0, 0, ',', START, \
		"Directories in which a Unix socket is made; empty means none.") \
	X(unix_socket_group, TEXT, "", 0, 0, NONE, START, \
		"Group, by name or number, of the Unix sockets; empty means the process's.") \
	X(unix_socket_permissions, INT, "0777", 0, 0777, OCTAL, START, \
		"File mode of the Unix sockets, octal when it starts with 0.") \
	X(listen_backlog_multiplier, INT, "2", 1, INT32_MAX, NONE, START, \
		"Clients the kernel may queue before they are accepted, times num_init_children.") \
	X(reserved_connections, INT, "0", 0, INT32_MAX, NONE, START, \
		"If above 0, clients beyond num_init_children less this are refused, not queued.") \
	X(num_init_children, INT, "32", 1, INT32_MAX, NONE, START, \
		"Times max_pool: the connections to each node at most.") \
	X(max_pool, INT, "4", 0, INT32_MAX, NONE, START, \
		"Times num_init_children: the connections to each node at most.") \
	X(child_life_time, INT, "300", 0, INT32_MAX, S, START, \
		"A pooled connection that nobody used for this long is closed; 0 keeps it.") \
	X(child_max_connections, INT, "0", 0, INT32_MAX, NONE, START, \
		"A pooled connection is closed after so many sessions; 0 means no limit.") \
	X(connection_life_time, INT, "0", 0, INT32_MAX, S, START, \
		"A pooled connection is closed this long after it went idle; 0 keeps it.") \
	X(client_idle_limit, INT, "0", 0, INT32_MAX, S, SESSION, \
		"A client that is silent for this long is disconnected, in a transaction too.") \
	X(authentication_timeout, INT, "60", 0, INT32_MAX, S, START, \
		"A client must have logged in within this time; 0 means no limit.") \
	X(connection_cache, BOOL, "on", 0, 0, NONE, START, \
		"Keep connections to the nodes when their client leaves, for the next one.") \
	X(reset_query_list, LIST, "ABORT;DISCARD ALL", 0, 0, ';', RELOAD, \
		"Statements that clean a connection for its next client.") \
	X(query_wait_timeout, INT, "120", 0, INT32_MAX, S, RELOAD, \
		"How long a client's request waits for a free server before it fails with 53300; " \
		"0 means no limit.") \
	X(primary_wait_timeout, INT, "5", 0, INT32_MAX, S, RELOAD, \
		"How long requests wait for a primary that cannot be reached before they fail; " \
		"0 fails at once.") \
	X(node_probe_period, INT, "1000", 50, INT32_MAX, MS, RELOAD, \
		"How often a node that is down is tried again in the background.") \
	\
	X(enable_pool_hba, BOOL, "off", 0, 0, NONE, RELOAD, \
		"Decide by pool_hba.conf who may connect and how clients prove who they are.") \
	X(pool_passwd, SECRET, "pool_passwd", 0, 0, NONE, START, \
		"File of users and passwords, relative to the configuration file; empty: none.") \
	X(allow_clear_text_frontend_auth, BOOL, "off", 0, 0, NONE, RELOAD, \
		"Without pool_hba.conf, ask unknown users for a clear text password.") \
	X(auth_user, TEXT, "", 0, 0, NONE, RELOAD, \
		"Role that asks PostgreSQL for the password of users that pool_passwd does not have.") \
	X(auth_query, TEXT, "SELECT rolname, rolpassword, extract(epoch FROM rolvaliduntil) " \
		"FROM pg_catalog.pg_authid WHERE rolname = $1 AND rolcanlogin", 0, 0, NONE, RELOAD, \
		"What auth_user asks about user $1: name, password as PostgreSQL stores it and, if " \
		"there is a third column, until when it is good, in seconds since 1970.") \
	X(auth_database, TEXT, "postgres", 0, 0, NONE, RELOAD, \
		"Database in which auth_user asks.") \
	X(ssl, BOOL, "off", 0, 0, NONE, START, \
		"Offer TLS to clients and try it with the nodes.") \
	\
	X(load_balance_mode, BOOL, "on", 0, 0, NONE, START, \
		"Send reads to the nodes by weight; off sends everything to the primary.") \
	X(ignore_leading_white_space, BOOL, "on", 0, 0, NONE, RELOAD, \
		"Balance a SELECT that has blanks before its first letter.") \
	X(read_only_function_list, PATTERNS, "", 0, 0, ',', RELOAD, \
		"When not empty, exactly these functions do not write.") \
	X(write_function_list, PATTERNS, "", 0, 0, ',', RELOAD, \
		"Functions that write: a statement that calls one goes to the primary.") \
	X(primary_routing_query_pattern_list, PATTERNS, "", 0, 0, ';', RELOAD, \
		"Statements whose whole text matches one of these go to the primary.") \
	X(user_redirect_preference_list, REDIRECTS, "", 0, 0, ',', RELOAD, \
		"Where a user's reads go: user:primary, user:standby, user:1, user:1(0.5).") \
	X(database_redirect_preference_list, REDIRECTS, "", 0, 0, ',', RELOAD, \
		"Where a database's reads go, written like user_redirect_preference_list.") \
	X(app_name_redirect_preference_list, REDIRECTS, "", 0, 0, ',', RELOAD, \
		"Where an application's reads go, like user_redirect_preference_list.") \
	X(allow_sql_comments, BOOL, "off", 0, 0, NONE, SESSION, \
		"Balance a SELECT that begins with a comment.") \
	X(disable_load_balance_on_write, ENUM, "transaction", 0, 0, dlbow, RELOAD, \
		"Which reads go to the primary after a write.") \
	X(dml_adaptive_object_relationship_list, RELATIONS, "", 0, 0, ',', RELOAD, \
		"object:other pairs for dml_adaptive: writing one counts as writing the other.") \
	X(statement_level_load_balance, BOOL, "off", 0, 0, NONE, RELOAD, \
		"Choose the node for each statement instead of each session.") \
	X(check_temp_table, ENUM, "catalog", 0, 0, check_temp, RELOAD, \
		"How temporary tables are recognised.") \
	\
	X(sr_check_period, INT, "10", 0, INT32_MAX, S, RELOAD, \
		"How often the delay of the standbys is measured; 0 is never.") \
	X(sr_check_user, TEXT, "", 0, 0, NONE, RELOAD, \
		"Role that asks the nodes for their role and replication position.") \
	X(sr_check_password, SECRET, "", 0, 0, NONE, RELOAD, \
		"Its password; empty looks it up in pool_passwd.") \
	X(sr_check_database, TEXT, "postgres", 0, 0, NONE, RELOAD, \
		"Database it connects to.") \
	\
	X(log_destination, LIST, "stderr", 0, 0, ',', RELOAD, \
		"Where the log goes: stderr, syslog or both.") \
	X(syslog_facility, ENUM, "LOCAL0", 0, 0, facility, RELOAD, \
		"Facility of what goes to syslog.") \
	X(syslog_ident, TEXT, "pgpool", 0, 0, NONE, RELOAD, \
		"Name of the program in what goes to syslog.") \
	X(logging_collector, BOOL, "off", 0, 0, NONE, START, \
		"Write what would go to stderr to files in log_directory.") \
	X(log_directory, TEXT, "/tmp/pgpool_logs", 0, 0, NONE, RELOAD, \
		"Directory of the log files, relative to the configuration file.") \
	X(log_filename, TEXT, "pgpool-%Y-%m-%d_%H%M%S.log", 0, 0, NONE, RELOAD, \
		"Name of a log file: strftime's pattern for when it was begun.") \
	X(log_file_mode, INT, "0600", 0, 0777, OCTAL, RELOAD, \
		"File mode of a log file, octal when it starts with 0.") \
	X(log_rotation_age, INT, "1440", 0, INT32_MAX, MIN, RELOAD, \
		"A log file older than this is followed by a new one; 0: never.") \
	X(log_rotation_size, INT, "10240", 0, 2097151, KB, RELOAD, \
		"A log file larger than this is followed by a new one; 0: never.") \
	X(log_truncate_on_rotation, BOOL, "off", 0, 0, NONE, RELOAD, \
		"Begin a file that rotation by age comes back to anew, instead of going on in it.") \
	X(log_line_prefix, TEXT, "%m: %a pid %p: ", 0, 0, NONE, RELOAD, \
		"What each log line begins with.") \
	X(log_error_verbosity, ENUM, "default", 0, 0, verbosity, SESSION, \
		"terse leaves DETAIL and HINT lines out of the log.") \
	X(client_min_messages, ENUM, "notice", 0, 0, level, SESSION, \
		"The least important level that clients are told.") \
	X(log_min_messages, ENUM, "warning", 0, 0, level, SESSION, \
		"The least important level that is logged; log counts as above error.") \
	X(log_statement, BOOL, "off", 0, 0, NONE, SESSION, \
		"Log each statement.") \
	X(log_per_node_statement, BOOL, "off", 0, 0, NONE, SESSION, \
		"Log each statement with the node that it went to.") \
	X(notice_per_node_statement, BOOL, "off", 0, 0, NONE, SESSION, \
		"Tell the client, with a notice, which node each statement went to.") \
	X(log_client_messages, BOOL, "off", 0, 0, NONE, SESSION, \
		"Log each protocol message of clients.") \
	X(log_backend_messages, ENUM, "none", 0, 0, backend_messages, SESSION, \
		"Log each protocol message of servers; terse counts repeated ones.") \
	X(log_connections, BOOL, "off", 0, 0, NONE, RELOAD, \
		"Log each client that connects.") \
	X(log_disconnections, BOOL, "off", 0, 0, NONE, RELOAD, \
		"Log each client that leaves, and how long it stayed.") \
	X(log_hostname, BOOL, "off", 0, 0, NONE, RELOAD, \
		"Log the names of clients' hosts, looked up in the background, beside their addresses.") \
	X(pid_file_name, TEXT, "/var/run/pgpool/pgpool.pid", 0, 0, NONE, START, \
		"File with the process id, relative to the configuration file.") \
	\
	X(failover_on_backend_error, BOOL, "on", 0, 0, NONE, RELOAD, \
		"Accepted; a node that fails is always taken out and put back by itself.")

/* X(name, field, type, default, min, max, unit, when, INDEXED or BARE, doc) */
#define NODE_TABLE(X) \
	X(backend_hostname, hostname, TEXT, "", 0, 0, NONE, RELOAD, INDEXED, \
		"Host of the node; a directory, or empty for /tmp, means the Unix socket in it.") \
	X(backend_port, port, INT, "0", 1024, 65535, NONE, RELOAD, INDEXED, \
		"Port of the node; there is no node without one.") \
	X(backend_weight, weight, REAL, "0", 0, 100000000, NONE, RELOAD, INDEXED, \
		"The node's share of the reads, relative to the other nodes; 0 gets none.") \
	X(backend_flag, flag, FLAGS, "ALLOW_TO_FAILOVER", 0, 0, NONE, RELOAD, INDEXED, \
		"ALLOW_TO_FAILOVER, DISALLOW_TO_FAILOVER, ALWAYS_PRIMARY, joined by |.") \
	X(backend_application_name, application_name, TEXT, "", 0, 0, NONE, RELOAD, INDEXED, \
		"The standby's application_name in pg_stat_replication.") \
	X(connect_timeout, connect_timeout, INT, "10000", 0, INT32_MAX, MS, RELOAD, BARE, \
		"Connecting to the node is given up after this time; 0 means no limit.") \
	X(health_check_period, health_check_period, INT, "0", 0, INT32_MAX, S, RELOAD, BARE, \
		"How often the node is checked; 0 is never.") \
	X(health_check_timeout, health_check_timeout, INT, "20", 0, INT32_MAX, S, RELOAD, BARE, \
		"A check fails after this time; 0 means no limit.") \
	X(health_check_user, health_check_user, TEXT, "", 0, 0, NONE, RELOAD, BARE, \
		"Role that checks the node.") \
	X(health_check_password, health_check_password, SECRET, "", 0, 0, NONE, RELOAD, BARE, \
		"Its password; empty looks it up in pool_passwd.") \
	X(health_check_database, health_check_database, TEXT, "postgres", 0, 0, NONE, RELOAD, \
		BARE, "Database it connects to.") \
	X(health_check_max_retries, health_check_max_retries, INT, "0", 0, INT32_MAX, NONE, \
		RELOAD, BARE, "Failed checks in a row before the node counts as down, less one.") \
	X(health_check_retry_delay, health_check_retry_delay, INT, "1", 0, INT32_MAX, S, RELOAD, \
		BARE, "Time between such checks.")

#define FIELD_BOOL(f, unit) bool f;
#define FIELD_INT(f, unit) int64_t f;
#define FIELD_REAL(f, unit) double f;
#define FIELD_ENUM(f, tag) enum tag f;
#define FIELD_FLAGS(f, unit) unsigned f;
#define FIELD_TEXT(f, unit) char *f;
#define FIELD_SECRET(f, unit) char *f;
#define FIELD_LIST(f, unit) struct conf_list f;
#define FIELD_PATTERNS(f, unit) struct conf_list f;
#define FIELD_REDIRECTS(f, unit) struct conf_list f;
#define FIELD_RELATIONS(f, unit) struct conf_list f;

enum { CONF_NODES = 128 };

/* One node.  Below struct conf's nnodes every field has a value; `used` tells whether there is a
 * node at this index (it has a port). */
struct conf_node {
#define X(name, f, type, dflt, min, max, unit, when, bare, doc) FIELD_##type(f, unit)
	NODE_TABLE(X)
#undef X
	bool used;
	uint32_t set;                   /* rows of NODE_TABLE that were given for this very index */
};

struct conf {
#define X(f, type, dflt, min, max, unit, when, doc) FIELD_##type(f, unit)
	CONF_TABLE(X)
#undef X
	struct conf_node node[CONF_NODES];
	struct conf_node bare;          /* what the names without an index say */
	int nnodes;                     /* highest used index + 1 */
	bool from_environment;          /* made from PGPOOL_PARAMS_ variables */
};

/* Where warnings (LEVEL_WARNING), errors (LEVEL_FATAL) and remarks (LEVEL_LOG) go.  file is the
 * name of the file, or of the environment variable with line 0, or NULL for what has no place;
 * text names the parameter and, for a bad value, what is allowed. */
struct conf_messages {
	void (*tell)(void *ctx, enum level severity, const char *file, int line, const char *text);
	void *ctx;
};

/* A row, for documentation and tests. */
struct conf_row {
	const char *name, *type, *dflt;
	int64_t min, max;               /* of INT and REAL */
	const char *unit;               /* "B", "kB", "ms", "s", "min"; "" when there is none */
	const char *when;               /* "start", "reload", "session" */
	bool per_node, bare;            /* a row of NODE_TABLE; may stand without an index */
	const char *doc;

	/* conf.c's own: */
	size_t offset;
	const struct conf_kind *kind;
	const struct conf_word *words;
	char separator;
	bool octal;
};

/* Builds a whole new configuration, or returns NULL after telling why; there is nothing between.
 *
 * From the file at path when there is one; variables are then ignored (a remark says so).
 * Otherwise from environ's PGPOOL_PARAMS_<NAME>=value variables, if there is any, on top of the
 * defaults of Pgpool-II's container image: the value is everything behind the first '=', byte
 * for byte.  Otherwise from the defaults alone.  A path that does not exist is a warning; one
 * that cannot be read is an error.  path and environ may be NULL. */
struct conf *conf_load(const char *path, char *const *environ_, const struct conf_messages *m);

/* For a reload: exchanges the START parameters of fresh and old, so that fresh keeps what the
 * program runs with (pointers to those values stay good), and warns about each that was to
 * change.  old is only good for conf_free afterwards.  Cannot fail. */
void conf_keep_start(struct conf *fresh, struct conf *old, const struct conf_messages *m);

/* Frees it and wipes its secrets.  NULL is fine. */
void conf_free(struct conf *c);

/* The value as PGPOOL SHOW prints it ("5min", "on", "*****"), by name: "port", "backend_weight1",
 * "connect_timeout".  Returns its length like snprintf, or -1 when there is no such parameter. */
int conf_show(const struct conf *c, const char *name, char *out, size_t size);

/* Walks both tables. */
void conf_each(void (*fn)(void *ctx, const struct conf_row *row), void *ctx);

/* Does any of the patterns match text? */
bool conf_matches(const struct conf_list *patterns, const char *text);

/* The first redirect whose pattern matches name, or NULL. */
const struct conf_redirect *conf_redirect(const struct conf_list *redirects, const char *name);

#endif
