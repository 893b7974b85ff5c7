/* admin.h - the state of the proxy, as tables of text.
 *
 * A table consists of its columns, each with a function that prints it, the number of its rows, and
 * a way to find the n-th row at this moment.  Rows are looked at one by one, so that a long table
 * can be sent over many turns of the loop, while sessions come and go.  Columns and values are
 * written as in Pgpool-II's SHOW POOL_* commands; PCP sends the same strings.
 *
 * Processes.  Pgpool-II has one process per session, and its dashboards divide those in use by all
 * of them.  Here a process is a place for a session.  Its number is the process id that the client
 * was told.  There are num_init_children, or as many as have been needed.  A session is the first
 * pool (pool_id 0) of its place, on all nodes; the columns of the connection are filled if it holds
 * one.  Other pools are empty: idle connections belong to nobody.  Those are rows behind all
 * processes, one for each place of a connection (server/place.h), with numbers of their own:
 * database and user are set, client_disconnection_time and client_idle_duration are since it was
 * given back, and pool_connected is 0, as of Pgpool-II's cached connections.
 *
 * A node that fails is still `up` if its flag says DISALLOW_TO_FAILOVER, as with Pgpool-II;
 * pg_status has its true state.  A drained node is `down`.
 */
#ifndef ADMIN_H
#define ADMIN_H

#include "client.h"

enum {
	ADMIN_TEXT = 1024,                      /* of a value; the rest of a
	                                         * longer one is left out */
	ADMIN_COLUMNS = 21,                     /* of the widest table */
};

/* The source of the tables. */
struct admin {
	const struct clients *clients;
	int64_t started;                        /* loop_now() */
	int64_t epoch;                          /* ms since 1970 when loop_now() was 0 */
	const char *version;                    /* "4.7.0 (name)" */
	uint64_t reloads, bad_reloads;          /* the latter have changed nothing */
	int64_t loaded;                         /* loop_now() at the start or the last good one */
};

/* At the start of the program. */
void admin_start(struct admin *a, const struct clients *clients, const char *version);

/* The subject of a row; found by a table, good until the end of the turn. */
struct admin_row {
	const struct admin *admin;
	const struct node *node;
	const struct client *client;            /* NULL: nobody is there */
	const struct server *server;            /* NULL: it holds no connection to the node */
	const struct account *pooled;           /* of a server that no session has; or NULL */
	uint32_t pid, pool;
	const struct conf_row *parameter;
	const char *of_node;                    /* name of a parameter of `node`, or NULL */
	const char *asked;                      /* PGPOOL SHOW: this name */
	const struct client *asks;              /* NULL: PCP, to which all is shown */
};

struct admin_column {
	const char *name;
	void (*print)(const struct admin_row *row, char out[static ADMIN_TEXT]);
};

struct admin_table {
	const char *name;                       /* as SHOW has it; NULL: it is PCP's alone */
	size_t ncolumns;
	const struct admin_column *column;
	size_t (*rows)(const struct admin *a);
	/* false: there is no such row. */
	bool (*find)(const struct admin *a, size_t at, struct admin_row *row);
};

extern const struct admin_table
	admin_nodes,            /* as PCP's NodeInfo has them, states and roles as numbers */
	admin_show_nodes, admin_backend_stats, admin_health_checks, admin_consistency,
	admin_processes_shown,
	admin_pools,            /* of each process: its pools, of each of these: the nodes */
	admin_version, admin_cache,
	admin_parameters,
	admin_settings;         /* the same with units and words, for PGPOOL SHOW ALL */

/* What connections do, and how many of a node's do it now. */
enum { ADMIN_STATES = 4 };
extern const char *const admin_states[ADMIN_STATES];
unsigned admin_connections(const struct node *n, size_t state);

/* SHOW and PGPOOL SHOW: the context is a struct admin. */
extern const struct own_ops admin_own_ops;

/* Processes, and the rows of admin_pools that each of them has. */
uint32_t admin_processes(const struct admin *a);
size_t admin_pools_each(const struct admin *a);

#endif
