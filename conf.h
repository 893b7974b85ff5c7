/* conf.h - every parameter, once.
 *
 * A row below is the only place where a parameter is written down.  It becomes a field of struct
 * conf, a name that the file and the environment understand, an answer of PGPOOL SHOW and a
 * line of documentation (conf_document, conf_each).
 *
 *      X(field, group, type, default, min, max, unit, when, effect, doc)
 *
 *      group    the heading under which it is documented (GROUP_ROWS)
 *
 *      type     field is      unit is
 *      BOOL     bool          -
 *      INT      int64_t       NONE, OCTAL (shown so), or what a bare number means:
 *                             B, KB (memory), MS, S, MIN (time)
 *      REAL     double        -
 *      ENUM     enum tag      the tag of its words (CONF_ENUMS)
 *      FLAGS    unsigned      -   NODE_ bits
 *      METHODS  unsigned      -   AUTH_ bits
 *      TEXT     char *        -   never NULL
 *      SECRET   char *        -   the same, shown as *****, wiped when freed
 *      LIST, PATTERNS, REDIRECTS, RELATIONS: struct conf_list; unit is the separator
 *
 *      when     START: needs a restart.  RELOAD: SIGHUP is enough.
 *               SESSION: the same, or by PGPOOL SET for one session.  (Of what Pgpool-II lets
 *               sessions set, these are what concerns nobody else.)
 *
 *      effect   WORKS    doc says what it does
 *               MISSED   it has no effect here, doc says why: a warning where it is set
 *               USELESS  the same, but nobody will miss it: only a remark
 *               LATER    this version does not do it yet: a warning
 *               DETAIL   a detail of such a thing: a remark
 *               Default, off, 0 and empty ask for nothing, so nothing is said about them.
 *
 * NODE_TABLE has the parameters of one node: name + index 0 to 127, and whether the name without
 * an index is the default of the nodes that do not set it (BARE) or a mistake (INDEXED).
 * PEER_TABLE has those of the watchdog's members, numbered on their own.
 *
 * Names, defaults, ranges and contexts are Pgpool-II's (4.8); names from old versions are
 * understood; any other name is a warning.  None of that stops a start; a bad value does.
 *
 * File grammar: Pgpool-II's scanner.  `key = value` or `key value`; a value is 'quoted' (nothing is
 * unescaped), a word, a number with a unit, or *. # starts a comment; the last assignment wins;
 * include 'file' is relative to the including file, at most 10 deep.
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
#include <stdio.h>

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

#define PROCESS_MANAGEMENT_WORDS(W, A, R) \
	W(PROCESSES_STATIC, "static") W(PROCESSES_DYNAMIC, "dynamic")

#define PROCESS_STRATEGY_WORDS(W, A, R) \
	W(PROCESSES_AGGRESSIVE, "aggressive") \
	W(PROCESSES_GENTLE, "gentle") \
	W(PROCESSES_LAZY, "lazy")

#define CONSISTENCY_WORDS(W, A, R) \
	W(CONSISTENCY_OFF, "off") W(CONSISTENCY_SESSION, "session") \
	W(CONSISTENCY_GLOBAL, "global") W(CONSISTENCY_MONOTONIC, "monotonic")

#define READINESS_WORDS(W, A, R) \
	W(READINESS_ANY, "any") W(READINESS_PRIMARY, "primary")

#define RELCACHE_TARGET_WORDS(W, A, R) \
	W(RELCACHE_PRIMARY, "primary") W(RELCACHE_BALANCED, "load_balance_node")

#define STANDBY_DELAY_WORDS(W, A, R) \
	W(STANDBY_DELAY_ALWAYS, "always") \
	W(STANDBY_DELAY_IF_OVER_THRESHOLD, "if_over_threshold") \
	W(STANDBY_DELAY_NONE, "none")

#define CACHE_METHOD_WORDS(W, A, R) \
	W(CACHE_SHMEM, "shmem") W(CACHE_MEMCACHED, "memcached")

#define LIFECHECK_METHOD_WORDS(W, A, R) \
	W(LIFECHECK_QUERY, "query") \
	W(LIFECHECK_HEARTBEAT, "heartbeat") \
	W(LIFECHECK_EXTERNAL, "external")

#define SSLMODE_WORDS(W, A, R) \
	W(SSLMODE_AUTO, "auto") \
	W(SSLMODE_DISABLE, "disable") \
	R("allow") \
	W(SSLMODE_PREFER, "prefer") \
	W(SSLMODE_REQUIRE, "require") \
	W(SSLMODE_VERIFY_CA, "verify-ca") \
	W(SSLMODE_VERIFY_FULL, "verify-full")

#define SSLNEGOTIATION_WORDS(W, A, R) \
	W(SSL_POSTGRES, "postgres") W(SSL_DIRECT, "direct")

#define CONF_ENUMS(E) \
	E(clustering_mode, CLUSTERING_MODE_WORDS) \
	E(dlbow, DLBOW_WORDS) \
	E(check_temp, CHECK_TEMP_WORDS) \
	E(backend_messages, BACKEND_MESSAGES_WORDS) \
	E(facility, FACILITY_WORDS) \
	E(process_management, PROCESS_MANAGEMENT_WORDS) \
	E(process_strategy, PROCESS_STRATEGY_WORDS) \
	E(readiness, READINESS_WORDS) \
	E(consistency, CONSISTENCY_WORDS) \
	E(relcache_target, RELCACHE_TARGET_WORDS) \
	E(standby_delay, STANDBY_DELAY_WORDS) \
	E(cache_method, CACHE_METHOD_WORDS) \
	E(lifecheck_method, LIFECHECK_METHOD_WORDS) \
	E(sslmode, SSLMODE_WORDS) \
	E(sslnegotiation, SSLNEGOTIATION_WORDS)

#define CONF_WORD(constant, word) constant,
#define CONF_ALIAS(constant, word)
#define CONF_REFUSED(word)
#define CONF_ENUM(tag, WORDS) enum tag { WORDS(CONF_WORD, CONF_ALIAS, CONF_REFUSED) };
CONF_ENUMS(CONF_ENUM)
#undef CONF_WORD
#undef CONF_ALIAS
#undef CONF_REFUSED
#undef CONF_ENUM

/* backend_require_authN: the listed ones; with AUTH_NOT all but those. */
enum {
	AUTH_NONE = 1, AUTH_PASSWORD = 2, AUTH_MD5 = 4, AUTH_SCRAM = 8,
	AUTH_NOT = 16,
};

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

#define GROUP_ROWS(G) \
	G(BACKENDS, "Nodes") \
	G(SESSIONS, "Listening, sessions, pooling") \
	G(AUTHENTICATION, "Authentication") \
	G(TLS, "TLS") \
	G(BALANCING, "Load balancing") \
	G(DELAY, "Delay of standbys") \
	G(HEALTH, "Health checks") \
	G(LOGGING, "Logging and files") \
	G(FAILOVER, "Failover") \
	G(REPLICATION, "Native replication") \
	G(RECOVERY, "Online recovery") \
	G(CACHE, "Query cache") \
	G(WATCHDOG, "Watchdog")

/* Why a parameter has no effect: ends "parameter ... has no effect here: ". */
#define NO_CACHE "this version has no query cache"
#define NO_FAILOVER "promoting and replacing servers is left to what runs PostgreSQL"
#define NO_PROCESSES "one process serves all clients"
#define NO_RECOVERY "making and repairing standbys is left to what runs PostgreSQL"
#define NO_REPLICATION "PostgreSQL replicates itself: use streaming_replication"
#define NO_WATCHDOG "Kubernetes restarts the proxy and routes clients to it"

#define CONF_TABLE(X) \
	X(backend_clustering_mode, BACKENDS, ENUM, "streaming_replication", \
		0, 0, clustering_mode, START, WORKS, \
		"streaming_replication: a primary with standbys.  raw: one node.") \
	\
	X(listen_addresses, SESSIONS, LIST, "localhost", 0, 0, ',', START, WORKS, \
		"Addresses to listen on; * means all, empty means Unix sockets only.") \
	X(port, SESSIONS, INT, "9999", 1024, 65535, NONE, START, WORKS, \
		"Port for clients; also the number in the name of the Unix sockets.") \
	X(unix_socket_directories, SESSIONS, LIST, "/tmp", 0, 0, ',', START, WORKS, \
		"Directories in which a Unix socket is made; empty means none.") \
	X(unix_socket_group, SESSIONS, TEXT, "", 0, 0, NONE, START, WORKS, \
		"Group of the Unix sockets, by name or number; empty means the process's.") \
	X(unix_socket_permissions, SESSIONS, INT, "0777", 0, 0777, OCTAL, START, WORKS, \
		"File mode of the Unix sockets, octal when it starts with 0.") \
	X(pcp_listen_addresses, SESSIONS, LIST, "localhost", 0, 0, ',', START, WORKS, \
		"Addresses to listen on for the pcp_ commands; * means all, empty none.") \
	X(pcp_port, SESSIONS, INT, "9898", 1024, 65535, NONE, START, WORKS, \
		"Port for the pcp_ commands; also the number in the name of their Unix sockets.") \
	X(pcp_socket_dir, SESSIONS, LIST, "/tmp", 0, 0, ',', START, WORKS, \
		"Directories in which a Unix socket for the pcp_ commands is made.") \
	X(listen_backlog_multiplier, SESSIONS, INT, "2", 1, INT32_MAX, NONE, START, WORKS, \
		"Clients the kernel may queue before they are accepted, times num_init_children.") \
	X(serialize_accept, SESSIONS, BOOL, "off", 0, 0, NONE, START, USELESS, NO_PROCESSES) \
	X(reserved_connections, SESSIONS, INT, "0", 0, INT32_MAX, NONE, START, WORKS, \
		"If above 0, clients beyond num_init_children minus this are refused, not " \
		"queued.") \
	X(num_init_children, SESSIONS, INT, "32", 1, INT32_MAX, NONE, START, WORKS, \
		"Times max_pool: the maximum of connections to each node.") \
	X(process_management_mode, SESSIONS, ENUM, "static", \
		0, 0, process_management, RELOAD, USELESS, NO_PROCESSES) \
	X(process_management_strategy, SESSIONS, ENUM, "gentle", \
		0, 0, process_strategy, RELOAD, USELESS, NO_PROCESSES) \
	X(min_spare_children, SESSIONS, INT, "5", 1, INT32_MAX, NONE, RELOAD, USELESS, \
		NO_PROCESSES) \
	X(max_spare_children, SESSIONS, INT, "10", 1, INT32_MAX, NONE, RELOAD, USELESS, \
		NO_PROCESSES) \
	X(max_pool, SESSIONS, INT, "4", 0, INT32_MAX, NONE, START, WORKS, \
		"Times num_init_children: the maximum of connections to each node.") \
	X(child_life_time, SESSIONS, INT, "300", 0, INT32_MAX, S, START, WORKS, \
		"A pooled connection unused for this long is closed; 0 keeps it.") \
	X(child_max_connections, SESSIONS, INT, "0", 0, INT32_MAX, NONE, START, WORKS, \
		"A pooled connection is closed after this many sessions; 0 means no limit.") \
	X(connection_life_time, SESSIONS, INT, "0", 0, INT32_MAX, S, START, WORKS, \
		"A pooled connection is closed this long after it went idle; 0 keeps it.") \
	X(client_idle_limit, SESSIONS, INT, "0", 0, INT32_MAX, S, SESSION, WORKS, \
		"A client that is silent for this long is disconnected, in a transaction too.") \
	X(authentication_timeout, SESSIONS, INT, "60", 0, INT32_MAX, S, START, WORKS, \
		"A client must have logged in within this time; 0 means no limit.") \
	X(max_unauthenticated_clients, SESSIONS, INT, "1000", 1, INT32_MAX, NONE, RELOAD, WORKS, \
		"Clients that may be in the middle of their login.  Beyond that, the oldest of " \
		"the address with the most is dropped.  At most half of the open files allowed.") \
	X(connection_cache, SESSIONS, BOOL, "on", 0, 0, NONE, START, WORKS, \
		"Keep connections to the nodes when their client leaves, for the next one.") \
	X(reset_query_list, SESSIONS, LIST, "ABORT;DISCARD ALL", 0, 0, ';', RELOAD, WORKS, \
		"Statements that clean a connection for its next client.") \
	X(query_wait_timeout, SESSIONS, INT, "120", 0, INT32_MAX, S, RELOAD, WORKS, \
		"How long a client's request waits for a free server before it fails with 53300; " \
		"0 means no limit.") \
	X(primary_wait_timeout, SESSIONS, INT, "5", 0, INT32_MAX, S, RELOAD, WORKS, \
		"How long requests wait for a primary that cannot be reached before they fail; " \
		"0 fails at once.") \
	X(node_probe_period, SESSIONS, INT, "1000", 50, INT32_MAX, MS, RELOAD, WORKS, \
		"How often a node that is down is tried again in the background.") \
	X(tcp_keepalives_idle, SESSIONS, INT, "10", 0, 32767, S, RELOAD, WORKS, \
		"A node that has sent nothing for this long is asked by TCP whether it is still " \
		"there.  This and the next three are about new connections to nodes; 0 leaves " \
		"it to the system.") \
	X(tcp_keepalives_interval, SESSIONS, INT, "5", 0, 32767, S, RELOAD, WORKS, \
		"When it is asked again, if it does not answer.") \
	X(tcp_keepalives_count, SESSIONS, INT, "3", 0, 127, NONE, RELOAD, WORKS, \
		"After how many unanswered ones the connection ends.") \
	X(tcp_user_timeout, SESSIONS, INT, "20000", 0, INT32_MAX, MS, RELOAD, WORKS, \
		"A connection ends when a node has not acknowledged for this long what it was " \
		"sent.") \
	X(metrics_listen_addresses, SESSIONS, LIST, "", 0, 0, ',', START, WORKS, \
		"Where the HTTP port with /metrics, /healthz and /readyz listens: host names and " \
		"addresses, * for all; empty: nowhere.") \
	X(metrics_port, SESSIONS, INT, "9719", 1, 65535, NONE, START, WORKS, \
		"The HTTP port.") \
	X(readiness, SESSIONS, ENUM, "any", 0, 0, readiness, RELOAD, WORKS, \
		"When /readyz says that clients may come: any: a node has answered since the " \
		"start; primary: the primary is there now, too.  Then a failover takes all " \
		"proxies out of their Service, though requests could wait and reads go on.") \
	X(drain_accept_delay, SESSIONS, INT, "-1", -1, INT32_MAX, S, RELOAD, WORKS, \
		"After SIGTERM clients are still accepted for this long, until they know where " \
		"else to go; -1 is 5 in Kubernetes, 0 elsewhere.") \
	X(drain_timeout, SESSIONS, INT, "-1", -1, INT32_MAX, S, RELOAD, WORKS, \
		"Then sessions end behind their transaction, and the others after this time; 0: " \
		"they are waited for, without end; -1 is 20 in Kubernetes, 0 elsewhere.") \
	X(stats_users, SESSIONS, LIST, "", 0, 0, ',', RELOAD, WORKS, \
		"Users to whom SHOW POOL_POOLS tells what other users' sessions do, besides " \
		"superusers and members of pg_read_all_stats.") \
	\
	X(enable_pool_hba, AUTHENTICATION, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Decide by pool_hba.conf who may connect and how clients prove who they are.") \
	X(pool_passwd, AUTHENTICATION, TEXT, "pool_passwd", 0, 0, NONE, START, WORKS, \
		"File of users and passwords, relative to the configuration file; empty: none.") \
	X(allow_clear_text_frontend_auth, AUTHENTICATION, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Without pool_hba.conf, ask unknown users for a clear text password.") \
	X(auth_user, AUTHENTICATION, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"Role that asks PostgreSQL for the passwords of users that pool_passwd lacks.") \
	X(auth_query, AUTHENTICATION, TEXT, \
		"SELECT rolname, rolpassword, extract(epoch FROM rolvaliduntil) " \
		"FROM pg_catalog.pg_authid " \
		"WHERE rolname OPERATOR(pg_catalog.=) $1 AND rolcanlogin", \
		0, 0, NONE, RELOAD, WORKS, \
		"Query of auth_user about user $1: name, password as PostgreSQL stores it and, " \
		"in an optional third column, its expiry in seconds since 1970.  " \
		"search_path is pg_catalog: other names need their schema.") \
	X(auth_database, AUTHENTICATION, TEXT, "postgres", 0, 0, NONE, RELOAD, WORKS, \
		"Database in which auth_user asks.") \
	\
	X(ssl, TLS, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Offer TLS to clients, and ask the nodes for it as backend_sslmode says.") \
	X(ssl_cert, TLS, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"File of our certificate and those of its issuers, PEM: shown to clients, and to " \
		"nodes that ask for one.  Without it and ssl_key one is made at start, for " \
		"clients only.") \
	X(ssl_key, TLS, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"File of its private key, PEM: ECDSA (P-256 is fastest) or RSA of 2048 to " \
		"4096 bits.") \
	X(ssl_ca_cert, TLS, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"File of CA certificates, PEM, from which those of nodes and clients must come.  " \
		"Clients are then asked for one.") \
	X(ssl_ca_cert_dir, TLS, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"Directory of such files.") \
	X(ssl_crl_file, TLS, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"File of lists of revoked certificates, PEM: one for each issuer.") \
	X(ssl_ciphers, TLS, TEXT, "HIGH:MEDIUM:+3DES:!aNULL", 0, 0, NONE, RELOAD, WORKS, \
		"OpenSSL cipher string, out of ECDHE with AES-GCM or ChaCha20-Poly1305.") \
	X(ssl_prefer_server_ciphers, TLS, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Take the first cipher of ssl_ciphers that the client has, not the client's " \
		"first.") \
	X(ssl_ecdh_curve, TLS, TEXT, "X25519:prime256v1", 0, 0, NONE, RELOAD, WORKS, \
		"Curves of key exchange, out of X25519 and prime256v1.") \
	X(ssl_dh_params_file, TLS, TEXT, "", 0, 0, NONE, RELOAD, USELESS, \
		"key exchange is ECDHE, never DHE") \
	X(ssl_passphrase_command, TLS, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"Shell command that prints the passphrase of ssl_key; %p is replaced by a " \
		"prompt.") \
	\
	X(load_balance_mode, BALANCING, BOOL, "on", 0, 0, NONE, START, WORKS, \
		"Send reads to the nodes by weight; off sends everything to the primary.") \
	X(ignore_leading_white_space, BALANCING, BOOL, "on", 0, 0, NONE, RELOAD, WORKS, \
		"Balance a SELECT that has blanks before its first letter.") \
	X(read_only_function_list, BALANCING, PATTERNS, "", 0, 0, ',', RELOAD, WORKS, \
		"If not empty, these functions and no others are read-only.") \
	X(write_function_list, BALANCING, PATTERNS, "", 0, 0, ',', RELOAD, WORKS, \
		"Functions that write: a statement that calls one goes to the primary.") \
	X(primary_routing_query_pattern_list, BALANCING, PATTERNS, "", 0, 0, ';', RELOAD, WORKS, \
		"Statements whose whole text matches one of these go to the primary.") \
	X(user_redirect_preference_list, BALANCING, REDIRECTS, "", 0, 0, ',', RELOAD, WORKS, \
		"Where a user's reads go: user:primary, user:standby, user:1, user:1(0.5).") \
	X(database_redirect_preference_list, BALANCING, REDIRECTS, "", 0, 0, ',', RELOAD, WORKS, \
		"Where a database's reads go, written like user_redirect_preference_list.") \
	X(app_name_redirect_preference_list, BALANCING, REDIRECTS, "", 0, 0, ',', RELOAD, WORKS, \
		"Where an application's reads go, like user_redirect_preference_list.") \
	X(allow_sql_comments, BALANCING, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Balance a SELECT that begins with a comment.") \
	X(disable_load_balance_on_write, BALANCING, ENUM, "transaction", \
		0, 0, dlbow, RELOAD, WORKS, \
		"Which reads go to the primary after a write.  dml_adaptive: those of tables " \
		"that were written in the same transaction; dml_adaptive_global: also those " \
		"that any session wrote lately.") \
	X(load_balance_consistency, BALANCING, ENUM, "session", 0, 0, consistency, RELOAD, WORKS, \
		"What a read from a replica must show.  session: all that its session has " \
		"written; global: all that any session here has; monotonic: all that its session " \
		"has written or read.  Until a replica has that, reads go elsewhere.") \
	X(causal_wait, BALANCING, INT, "0", 0, 60000, MS, RELOAD, WORKS, \
		"How long a read may wait for a replica that is not known to have what it must " \
		"show, before it goes to the primary.") \
	X(dml_adaptive_object_relationship_list, BALANCING, RELATIONS, "", \
		0, 0, ',', RELOAD, WORKS, \
		"object:other pairs for dml_adaptive: writing one counts as writing the other.") \
	X(statement_level_load_balance, BALANCING, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Choose the node for each statement instead of each session.") \
	X(check_temp_table, BALANCING, ENUM, "catalog", 0, 0, check_temp, RELOAD, WORKS, \
		"How to find temporary tables that functions make: catalog asks for them; " \
		"trace and none know only those of statements, which costs nothing.") \
	X(check_unlogged_table, BALANCING, BOOL, "on", 0, 0, NONE, RELOAD, WORKS, \
		"Ask the catalog for unlogged tables, so that none is tried on a standby first.") \
	X(relcache_expire, BALANCING, INT, "0", 0, INT64_MAX, S, START, WORKS, \
		"How long an answer of the catalog is believed; 0: until a client's DDL.") \
	X(relcache_size, BALANCING, INT, "256", 0, INT32_MAX, NONE, START, WORKS, \
		"Answers of the catalog that are remembered.") \
	X(enable_shared_relcache, BALANCING, BOOL, "on", 0, 0, NONE, START, USELESS, NO_PROCESSES) \
	X(relcache_query_target, BALANCING, ENUM, "primary", \
		0, 0, relcache_target, RELOAD, WORKS, \
		"Whose catalog is asked: the primary's, or with load_balance_node a standby's.") \
	X(track_table_mutation_ttl_factor, BALANCING, REAL, "5.0", 1, 100, NONE, RELOAD, WORKS, \
		"dml_adaptive_global: a write is recent for so many times the longest delay of a " \
		"standby, or for a second where the delay is not measured.") \
	X(track_table_mutation_max_staleness, BALANCING, INT, "60000", \
		0, 3600000, MS, RELOAD, WORKS, \
		"dml_adaptive_global: a run of writes is recent for this long at most; 0: no " \
		"limit.") \
	X(track_table_mutation_cold_start_duration, BALANCING, INT, "2000", \
		0, 60000, MS, RELOAD, WORKS, \
		"dml_adaptive_global: for this long at first, all reads go to the primary.") \
	X(track_table_mutation_table_buckets, BALANCING, INT, "1024", \
		64, 65536, NONE, START, USELESS, "the table grows as it needs to") \
	X(track_table_mutation_table_size, BALANCING, INT, "2048", \
		128, 131072, NONE, START, WORKS, \
		"dml_adaptive_global: tables remembered; if there are more, all count as " \
		"written.") \
	\
	X(sr_check_period, DELAY, INT, "10", 0, INT32_MAX, S, RELOAD, WORKS, \
		"How often the nodes are asked for their role and their position; 0: never.") \
	X(sr_check_user, DELAY, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"Role that asks them, preferably in pg_monitor.  Empty: nobody asks.") \
	X(sr_check_password, DELAY, SECRET, "", 0, 0, NONE, RELOAD, WORKS, \
		"Its password, in any form of pool_passwd; empty: its entry there.") \
	X(sr_check_database, DELAY, TEXT, "postgres", 0, 0, NONE, RELOAD, WORKS, \
		"Database in which it asks.") \
	X(replication_delay_source_cmd, DELAY, TEXT, "", 0, 0, NONE, RELOAD, WORKS, \
		"Shell command that gets host:port of each standby and prints their delays in ms " \
		"(-1: down), instead of replay_lag.") \
	X(replication_delay_source_timeout, DELAY, INT, "10", 1, 3600, NONE, RELOAD, WORKS, \
		"Seconds after which it is killed.") \
	X(delay_threshold, DELAY, INT, "0", 0, INT64_MAX, B, RELOAD, WORKS, \
		"A standby that is more bytes behind than this gets no reads; 0: no limit.") \
	X(delay_threshold_by_time, DELAY, INT, "0", 0, INT32_MAX, MS, RELOAD, WORKS, \
		"The same by time; it has precedence over bytes.") \
	X(prefer_lower_delay_standby, DELAY, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Its reads then go to the least delayed standby, not to the primary.") \
	X(log_standby_delay, DELAY, ENUM, "if_over_threshold", \
		0, 0, standby_delay, RELOAD, WORKS, \
		"When the delay of a standby is logged.") \
	\
	X(health_check_test, HEALTH, BOOL, "off", 0, 0, NONE, START, USELESS, \
		"it is a hook for tests of Pgpool-II") \
	\
	X(log_destination, LOGGING, LIST, "stderr", 0, 0, ',', RELOAD, WORKS, \
		"Where the log goes: stderr, syslog or both.") \
	X(log_line_prefix, LOGGING, TEXT, "%m: %a pid %p: ", 0, 0, NONE, RELOAD, WORKS, \
		"What each log line begins with.") \
	X(log_error_verbosity, LOGGING, ENUM, "default", 0, 0, verbosity, RELOAD, WORKS, \
		"terse leaves DETAIL and HINT lines out of the log.") \
	X(client_min_messages, LOGGING, ENUM, "notice", 0, 0, level, SESSION, WORKS, \
		"The least important level that is sent to clients.") \
	X(log_min_messages, LOGGING, ENUM, "warning", 0, 0, level, RELOAD, WORKS, \
		"The least important level that is logged; log counts as above error.") \
	X(log_statement, LOGGING, BOOL, "off", 0, 0, NONE, SESSION, WORKS, \
		"Log each statement.") \
	X(log_per_node_statement, LOGGING, BOOL, "off", 0, 0, NONE, SESSION, WORKS, \
		"Log each statement with the node that it went to.") \
	X(notice_per_node_statement, LOGGING, BOOL, "off", 0, 0, NONE, SESSION, WORKS, \
		"Tell the client, with a notice, which node each statement went to.") \
	X(log_min_duration_statement, LOGGING, INT, "-1", -1, INT32_MAX, MS, SESSION, WORKS, \
		"Log the statements of a request that takes this long, with its node and where " \
		"the time went; 0 logs all, -1 none.") \
	X(log_client_messages, LOGGING, BOOL, "off", 0, 0, NONE, SESSION, WORKS, \
		"Log each protocol message of clients.") \
	X(log_backend_messages, LOGGING, ENUM, "none", 0, 0, backend_messages, RELOAD, WORKS, \
		"Log each protocol message of servers; terse counts repeated ones.") \
	X(log_connections, LOGGING, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Log each client that connects.") \
	X(log_disconnections, LOGGING, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Log each client that leaves, and how long it stayed.") \
	X(log_pcp_processes, LOGGING, BOOL, "off", 0, 0, NONE, RELOAD, USELESS, NO_PROCESSES) \
	X(log_hostname, LOGGING, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Log the names of clients' hosts, looked up in the background.") \
	X(syslog_facility, LOGGING, ENUM, "LOCAL0", 0, 0, facility, RELOAD, WORKS, \
		"Facility of syslog messages.") \
	X(syslog_ident, LOGGING, TEXT, "pgpool", 0, 0, NONE, RELOAD, WORKS, \
		"Program name in syslog messages.") \
	X(logging_collector, LOGGING, BOOL, "off", 0, 0, NONE, START, WORKS, \
		"Write what would go to stderr to files in log_directory.") \
	X(log_directory, LOGGING, TEXT, "/tmp/pgpool_logs", 0, 0, NONE, RELOAD, WORKS, \
		"Directory of the log files, relative to the configuration file.") \
	X(log_filename, LOGGING, TEXT, "pgpool-%Y-%m-%d_%H%M%S.log", 0, 0, NONE, RELOAD, WORKS, \
		"Name of a log file: a strftime pattern for its start.") \
	X(log_file_mode, LOGGING, INT, "0600", 0, 0777, OCTAL, RELOAD, WORKS, \
		"File mode of a log file, octal when it starts with 0.") \
	X(log_rotation_age, LOGGING, INT, "1440", 0, INT32_MAX, MIN, RELOAD, WORKS, \
		"A log file older than this is followed by a new one; 0: never.") \
	X(log_rotation_size, LOGGING, INT, "10240", 0, 2097152, KB, RELOAD, WORKS, \
		"A log file larger than this is followed by a new one; 0: never.") \
	X(log_truncate_on_rotation, LOGGING, BOOL, "off", 0, 0, NONE, RELOAD, WORKS, \
		"Empty a file that rotation by age comes back to, instead of appending to it.") \
	X(reload_check_period, LOGGING, INT, "-1", -1, INT32_MAX, S, RELOAD, WORKS, \
		"How often the files of the configuration, certificates included, are looked at: " \
		"if one has changed, all are reloaded.  0 is never; -1 is 10 seconds for a " \
		"process that was started without -f, as in a container, and never otherwise.") \
	X(pid_file_name, LOGGING, TEXT, "/var/run/pgpool/pgpool.pid", 0, 0, NONE, START, WORKS, \
		"File with the process id, relative to the configuration file.") \
	X(work_dir, LOGGING, TEXT, "/tmp", 0, 0, NONE, START, USELESS, \
		"nothing is written there: a start finds out the state of the nodes") \
	\
	X(failover_on_backend_error, FAILOVER, BOOL, "on", 0, 0, NONE, RELOAD, USELESS, \
		"a node that fails gets nothing until it answers again") \
	X(failover_on_backend_shutdown, FAILOVER, BOOL, "off", 0, 0, NONE, RELOAD, USELESS, \
		"a node that fails gets nothing until it answers again") \
	X(failover_command, FAILOVER, TEXT, "", 0, 0, NONE, RELOAD, MISSED, NO_FAILOVER) \
	X(failback_command, FAILOVER, TEXT, "", 0, 0, NONE, RELOAD, MISSED, NO_FAILOVER) \
	X(follow_primary_command, FAILOVER, TEXT, "", 0, 0, NONE, RELOAD, MISSED, NO_FAILOVER) \
	X(detach_false_primary, FAILOVER, BOOL, "off", 0, 0, NONE, RELOAD, MISSED, NO_FAILOVER) \
	X(auto_failback, FAILOVER, BOOL, "off", 0, 0, NONE, RELOAD, USELESS, \
		"a node that answers again is used again") \
	X(auto_failback_interval, FAILOVER, INT, "60", 0, INT32_MAX, S, RELOAD, USELESS, \
		"a node that answers again is used again") \
	X(search_primary_node_timeout, FAILOVER, INT, "300", 0, INT32_MAX, S, RELOAD, WORKS, \
		"How long sr_check_user looks for a first primary if none is flagged, while " \
		"requests wait for it; 0: forever.") \
	X(failover_when_quorum_exists, FAILOVER, BOOL, "on", 0, 0, NONE, START, USELESS, \
		NO_WATCHDOG) \
	X(failover_require_consensus, FAILOVER, BOOL, "on", 0, 0, NONE, START, USELESS, \
		NO_WATCHDOG) \
	X(allow_multiple_failover_requests_from_node, FAILOVER, BOOL, "off", \
		0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(enable_consensus_with_half_votes, FAILOVER, BOOL, "off", 0, 0, NONE, START, USELESS, \
		NO_WATCHDOG) \
	\
	X(replication_mode, REPLICATION, BOOL, "off", 0, 0, NONE, START, MISSED, NO_REPLICATION) \
	X(replication_stop_on_mismatch, REPLICATION, BOOL, "off", 0, 0, NONE, RELOAD, USELESS, \
		NO_REPLICATION) \
	X(failover_if_affected_tuples_mismatch, REPLICATION, BOOL, "off", \
		0, 0, NONE, RELOAD, USELESS, NO_REPLICATION) \
	X(replicate_select, REPLICATION, BOOL, "off", 0, 0, NONE, RELOAD, USELESS, NO_REPLICATION) \
	X(insert_lock, REPLICATION, BOOL, "on", 0, 0, NONE, RELOAD, USELESS, NO_REPLICATION) \
	X(lobj_lock_table, REPLICATION, TEXT, "", 0, 0, NONE, RELOAD, USELESS, NO_REPLICATION) \
	\
	X(recovery_user, RECOVERY, TEXT, "", 0, 0, NONE, RELOAD, USELESS, NO_RECOVERY) \
	X(recovery_password, RECOVERY, SECRET, "", 0, 0, NONE, RELOAD, USELESS, NO_RECOVERY) \
	X(recovery_database, RECOVERY, TEXT, "postgres", 0, 0, NONE, RELOAD, USELESS, NO_RECOVERY) \
	X(recovery_1st_stage_command, RECOVERY, TEXT, "", 0, 0, NONE, RELOAD, MISSED, \
		NO_RECOVERY) \
	X(recovery_2nd_stage_command, RECOVERY, TEXT, "", 0, 0, NONE, RELOAD, MISSED, \
		NO_RECOVERY) \
	X(recovery_timeout, RECOVERY, INT, "90", 0, INT32_MAX, S, RELOAD, USELESS, NO_RECOVERY) \
	X(client_idle_limit_in_recovery, RECOVERY, INT, "0", -1, INT32_MAX, S, RELOAD, USELESS, \
		NO_RECOVERY) \
	\
	X(memory_cache_enabled, CACHE, BOOL, "off", 0, 0, NONE, START, LATER, NO_CACHE) \
	X(memqcache_method, CACHE, ENUM, "shmem", 0, 0, cache_method, START, DETAIL, NO_CACHE) \
	X(memqcache_memcached_host, CACHE, TEXT, "localhost", 0, 0, NONE, START, DETAIL, NO_CACHE) \
	X(memqcache_memcached_port, CACHE, INT, "11211", 0, INT32_MAX, NONE, START, DETAIL, \
		NO_CACHE) \
	X(memqcache_total_size, CACHE, INT, "64MB", 0, INT64_MAX, B, START, DETAIL, NO_CACHE) \
	X(memqcache_max_num_cache, CACHE, INT, "1000000", 0, INT32_MAX, NONE, START, DETAIL, \
		NO_CACHE) \
	X(memqcache_expire, CACHE, INT, "0", 0, INT32_MAX, S, START, DETAIL, NO_CACHE) \
	X(memqcache_auto_cache_invalidation, CACHE, BOOL, "on", 0, 0, NONE, RELOAD, DETAIL, \
		NO_CACHE) \
	X(memqcache_maxcache, CACHE, INT, "409600", 0, INT32_MAX, B, START, DETAIL, NO_CACHE) \
	X(memqcache_cache_block_size, CACHE, INT, "1048576", 512, INT32_MAX, B, START, DETAIL, \
		NO_CACHE) \
	X(memqcache_oiddir, CACHE, TEXT, "/var/log/pgpool/oiddir", 0, 0, NONE, START, DETAIL, \
		NO_CACHE) \
	X(cache_safe_memqcache_table_list, CACHE, PATTERNS, "", 0, 0, ',', RELOAD, DETAIL, \
		NO_CACHE) \
	X(cache_unsafe_memqcache_table_list, CACHE, PATTERNS, "", 0, 0, ',', RELOAD, DETAIL, \
		NO_CACHE) \
	X(clear_memqcache_on_escalation, CACHE, BOOL, "on", 0, 0, NONE, RELOAD, DETAIL, NO_CACHE) \
	\
	X(use_watchdog, WATCHDOG, BOOL, "off", 0, 0, NONE, START, MISSED, NO_WATCHDOG) \
	X(wd_remove_shutdown_nodes, WATCHDOG, BOOL, "off", 0, 0, NONE, RELOAD, USELESS, \
		NO_WATCHDOG) \
	X(wd_lost_node_removal_timeout, WATCHDOG, INT, "0", 0, INT32_MAX, S, RELOAD, USELESS, \
		NO_WATCHDOG) \
	X(wd_no_show_node_removal_timeout, WATCHDOG, INT, "0", 0, INT32_MAX, S, RELOAD, USELESS, \
		NO_WATCHDOG) \
	X(wd_ipc_socket_dir, WATCHDOG, TEXT, "/tmp", 0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(wd_escalation_command, WATCHDOG, TEXT, "", 0, 0, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(wd_de_escalation_command, WATCHDOG, TEXT, "", 0, 0, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(trusted_servers, WATCHDOG, TEXT, "", 0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(trusted_server_command, WATCHDOG, TEXT, "ping -q -c3 %h", 0, 0, NONE, RELOAD, USELESS, \
		NO_WATCHDOG) \
	X(delegate_ip, WATCHDOG, TEXT, "", 0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(ping_path, WATCHDOG, TEXT, "/bin", 0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(if_cmd_path, WATCHDOG, TEXT, "/sbin", 0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(if_up_cmd, WATCHDOG, TEXT, \
		"/usr/bin/sudo /sbin/ip addr add $_IP_$/24 dev eth0 label eth0:0", \
		0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(if_down_cmd, WATCHDOG, TEXT, "/usr/bin/sudo /sbin/ip addr del $_IP_$/24 dev eth0", \
		0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(arping_path, WATCHDOG, TEXT, "/usr/sbin", 0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(arping_cmd, WATCHDOG, TEXT, "/usr/bin/sudo /usr/sbin/arping -U $_IP_$ -w 1 -I eth0", \
		0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(wd_lifecheck_query, WATCHDOG, TEXT, "SELECT 1", 0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(wd_lifecheck_dbname, WATCHDOG, TEXT, "template1", 0, 0, NONE, RELOAD, USELESS, \
		NO_WATCHDOG) \
	X(wd_lifecheck_user, WATCHDOG, TEXT, "", 0, 0, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(wd_lifecheck_password, WATCHDOG, SECRET, "", 0, 0, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(wd_authkey, WATCHDOG, SECRET, "", 0, 0, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(wd_listen_address, WATCHDOG, TEXT, "", 0, 0, NONE, START, USELESS, NO_WATCHDOG) \
	X(wd_listen_port, WATCHDOG, INT, "0", 1024, 65535, NONE, START, USELESS, NO_WATCHDOG) \
	X(wd_heartbeat_listen_addresses, WATCHDOG, TEXT, "", 0, 0, NONE, START, USELESS, \
		NO_WATCHDOG) \
	X(wd_heartbeat_listen_port, WATCHDOG, INT, "0", 0, INT32_MAX, NONE, START, USELESS, \
		NO_WATCHDOG) \
	X(wd_monitoring_interfaces_list, WATCHDOG, LIST, "", 0, 0, ',', START, USELESS, \
		NO_WATCHDOG) \
	X(wd_priority, WATCHDOG, INT, "1", 0, INT32_MAX, NONE, START, USELESS, NO_WATCHDOG) \
	X(wd_interval, WATCHDOG, INT, "10", 0, INT32_MAX, S, START, USELESS, NO_WATCHDOG) \
	X(wd_life_point, WATCHDOG, INT, "3", 0, INT32_MAX, NONE, START, USELESS, NO_WATCHDOG) \
	X(wd_heartbeat_keepalive, WATCHDOG, INT, "2", 1, INT32_MAX, S, START, USELESS, \
		NO_WATCHDOG) \
	X(wd_heartbeat_deadtime, WATCHDOG, INT, "30", 1, INT32_MAX, S, START, USELESS, \
		NO_WATCHDOG) \
	X(wd_lifecheck_method, WATCHDOG, ENUM, "heartbeat", \
		0, 0, lifecheck_method, START, USELESS, NO_WATCHDOG)

/* X(name, field, group, type, default, min, max, unit, when, INDEXED or BARE, effect, doc) */
#define NODE_TABLE(X) \
	X(backend_hostname, hostname, BACKENDS, TEXT, "", 0, 0, NONE, RELOAD, INDEXED, WORKS, \
		"Host of the node; a directory, or empty for /tmp, means the Unix socket in it.") \
	X(backend_port, port, BACKENDS, INT, "0", 1024, 65535, NONE, RELOAD, INDEXED, WORKS, \
		"Port of the node; there is no node without one.") \
	X(backend_weight, weight, BACKENDS, REAL, "0", 0, 100000000, NONE, RELOAD, INDEXED, WORKS, \
		"The node's share of the reads, relative to the other nodes; 0 gets none.") \
	X(backend_flag, flag, BACKENDS, FLAGS, "ALLOW_TO_FAILOVER", \
		0, 0, NONE, RELOAD, INDEXED, WORKS, \
		"ALWAYS_PRIMARY marks the primary; DISALLOW_TO_FAILOVER forbids " \
		"pcp_detach_node.  Joined by |.") \
	X(backend_application_name, application_name, BACKENDS, TEXT, "", \
		0, 0, NONE, RELOAD, INDEXED, WORKS, \
		"The standby's application_name in pg_stat_replication of the primary.") \
	X(backend_data_directory, data_directory, BACKENDS, TEXT, "", \
		0, 0, NONE, RELOAD, INDEXED, USELESS, NO_RECOVERY) \
	X(backend_sslmode, sslmode, TLS, ENUM, "auto", 0, 0, sslmode, RELOAD, BARE, WORKS, \
		"TLS towards the node, as libpq's sslmode.  auto: disable with ssl = off, else " \
		"verify-ca where ssl_ca_cert or ssl_ca_cert_dir is set, else prefer.") \
	X(backend_sslnegotiation, sslnegotiation, TLS, ENUM, "postgres", \
		0, 0, sslnegotiation, RELOAD, BARE, WORKS, \
		"direct: TLS begins at once, without asking the node first (PostgreSQL 17).") \
	X(backend_require_auth, require_auth, TLS, METHODS, "", 0, 0, NONE, RELOAD, BARE, WORKS, \
		"How the node may authenticate the proxy, as libpq's require_auth: methods, or, " \
		"each after a !, forbidden ones.  Unless password is listed, a password goes to " \
		"the node in clear text only over TLS or a Unix socket.") \
	X(connect_timeout, connect_timeout, SESSIONS, INT, "10000", \
		0, INT32_MAX, MS, RELOAD, BARE, WORKS, \
		"Connecting to the node is given up after this time; 0 means no limit.") \
	X(health_check_period, health_check_period, HEALTH, INT, "0", \
		0, INT32_MAX, S, RELOAD, BARE, WORKS, \
		"How often the node is tried by a login; 0: failures are noticed in use.") \
	X(health_check_timeout, health_check_timeout, HEALTH, INT, "20", \
		0, INT32_MAX, S, RELOAD, BARE, WORKS, \
		"Time limit of one such login; 0 means none.") \
	X(health_check_user, health_check_user, HEALTH, TEXT, "", 0, 0, NONE, RELOAD, BARE, WORKS, \
		"Role that logs in; empty: sr_check_user.") \
	X(health_check_password, health_check_password, HEALTH, SECRET, "", \
		0, 0, NONE, RELOAD, BARE, WORKS, \
		"Its password, in any form of pool_passwd; empty: its entry there.") \
	X(health_check_database, health_check_database, HEALTH, TEXT, "postgres", \
		0, 0, NONE, RELOAD, BARE, WORKS, \
		"Database in which it is tried.") \
	X(health_check_max_retries, health_check_max_retries, HEALTH, INT, "0", \
		0, INT32_MAX, NONE, RELOAD, BARE, WORKS, \
		"Further tries before a node that failed is down.") \
	X(health_check_retry_delay, health_check_retry_delay, HEALTH, INT, "1", \
		0, INT32_MAX, S, RELOAD, BARE, WORKS, \
		"Time between them.")

/* X(name, group, type, default, min, max, unit, when, effect, doc) */
#define PEER_TABLE(X) \
	X(heartbeat_hostname, WATCHDOG, TEXT, "", 0, 0, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(heartbeat_port, WATCHDOG, INT, "0", 1024, 65535, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(heartbeat_device, WATCHDOG, TEXT, "", 0, 0, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(hostname, WATCHDOG, TEXT, "localhost", 0, 0, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(pgpool_port, WATCHDOG, INT, "0", 1024, 65535, NONE, RELOAD, USELESS, NO_WATCHDOG) \
	X(wd_port, WATCHDOG, INT, "0", 1024, 65535, NONE, RELOAD, USELESS, NO_WATCHDOG)

#define FIELD_BOOL(f, unit) bool f;
#define FIELD_INT(f, unit) int64_t f;
#define FIELD_REAL(f, unit) double f;
#define FIELD_ENUM(f, tag) enum tag f;
#define FIELD_FLAGS(f, unit) unsigned f;
#define FIELD_METHODS(f, unit) unsigned f;
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
#define X(name, f, group, type, dflt, min, max, unit, when, bare, effect, doc) FIELD_##type(f, unit)
	NODE_TABLE(X)
#undef X
	bool used;
};

/* One member of a watchdog, as far as it was given: a text may be NULL.  Only conf_show asks. */
struct conf_peer {
#define X(f, group, type, dflt, min, max, unit, when, effect, doc) FIELD_##type(f, unit)
	PEER_TABLE(X)
#undef X
};

struct conf {
#define X(f, group, type, dflt, min, max, unit, when, effect, doc) FIELD_##type(f, unit)
	CONF_TABLE(X)
#undef X
	/* After the last one: the values of names without an index, or the defaults. */
	struct conf_node node[CONF_NODES + 1];
	struct conf_peer peer[CONF_NODES + 1];
	uint32_t given[CONF_NODES];     /* which of their rows were set for this very index */
	int nnodes;                     /* highest used index + 1 */
	bool from_environment;          /* made from PGPOOL_PARAMS_ variables */
};

/* Receives warnings (LEVEL_WARNING), errors (LEVEL_FATAL) and remarks (LEVEL_LOG).  file is the
 * name of the file, with the line and column (in bytes, from 1) of the name or value in question.
 * Or it is the name of the environment variable, or NULL if there is no place; then line and column
 * are 0.  text names the parameter and, for a bad value, what is allowed. */
struct conf_messages {
	void (*tell)(void *ctx, enum level severity, const char *file, int line, int column,
		const char *text);
	void *ctx;
};

enum conf_effect { EFFECT_WORKS, EFFECT_MISSED, EFFECT_USELESS, EFFECT_LATER, EFFECT_DETAIL };

#define GROUP(tag, heading) GROUP_##tag,
enum conf_group { GROUP_ROWS(GROUP) };
#undef GROUP

/* A row, for documentation and tests.  Small, as there are 200. */
struct conf_row {
	const char *name, *dflt;
	const char *doc;                /* a sentence, or why there is no effect */
	int64_t min, max;               /* of INT and REAL */
	char type[10];
	char unit[4];                   /* "B", "kB", "ms", "s", "min"; "" when there is none */
	char when[8];                   /* "start", "reload", "session" */
	uint8_t group, effect;          /* enum conf_group, enum conf_effect */
	bool per_node, bare;            /* takes an index; may stand without one */

	/* conf.c's own: */
	char separator;
	bool octal;
	uint16_t stride;                /* from index to index */
	uint32_t offset;                /* in struct conf, of index 0 */
	const struct conf_kind *kind;
	const struct conf_word *words;
};

/* Builds a whole new configuration, or returns NULL after telling why; nothing in between.
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

/* What PGPOOL SET changes: a copy without nodes and peers that shares its texts with c, which has
 * to outlive it.  free() frees it.  NULL without memory. */
struct conf *conf_session(const struct conf *c);

/* May sessions set it?  UNKNOWN: there is none of that name.  FIXED: no. */
enum conf_setting { SETTING_SESSION, SETTING_UNKNOWN, SETTING_FIXED };
enum conf_setting conf_setting(const char *name);

/* Sets a parameter of such a copy that sessions may set.  false: m was told why. */
bool conf_set(struct conf *session, const char *name, const char *value,
              const struct conf_messages *m);

/* The value as PGPOOL SHOW prints it ("5min", "on", "*****"), by name: "port", "backend_weight1",
 * "connect_timeout".  Returns its length like snprintf, or -1 when there is no such parameter. */
int conf_show(const struct conf *c, const char *name, char *out, size_t size);

/* The i-th row, or NULL behind the last one. */
const struct conf_row *conf_row(size_t i);

/* The value of a row without an index, as in SHOW POOL_STATUS: without units, and with Pgpool-II's
 * numbers for words and switches.  Returns its length like snprintf. */
int conf_show_plain(const struct conf *c, const struct conf_row *row, char *out, size_t size);

/* Prints the documentation of all parameters, as Markdown. */
void conf_document(FILE *to);

/* Walks all rows. */
void conf_each(void (*fn)(void *ctx, const struct conf_row *row), void *ctx);

/* The effective backend_sslmode of the node: never SSLMODE_AUTO, and disable on a Unix socket. */
enum sslmode conf_sslmode(const struct conf *c, const struct conf_node *n);

/* May the node ask for this method, one of the AUTH_ bits?  safe: nobody can listen. */
bool conf_allows(const struct conf_node *n, unsigned method, bool safe);

/* Is there TLS on either side? */
bool conf_needs_tls(const struct conf *c);

/* A decimal, with an exponent or not, or "infinity": as strtold, which would add 8 KB to the
 * program.  *end is behind it, or s when there is none. */
long double conf_decimal(const char *s, char **end);

/* Does any of the patterns match text? */
bool conf_matches(const struct conf_list *patterns, const char *text);

/* The first redirect whose pattern matches name, or NULL. */
const struct conf_redirect *conf_redirect(const struct conf_list *redirects, const char *name);

#endif
