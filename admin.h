/* admin.h - what can be asked about the proxy, as tables of text.
 *
 * A table is its columns, each with a function that prints it, the number of its rows, and a way to
 * find the n-th row as things are right now.  Rows are looked at one by one, so that a long table
 * can be sent over many turns of the loop, while sessions come and go.  Columns are named and
 * values written as Pgpool-II's SHOW POOL_* commands do it; PCP sends the same strings.
 *
 * Processes.  Pgpool-II has one process per session, and its dashboards divide those in use by all
 * of them.  Here a process is a place for a session: its number is the process id that the client
 * was told, and there are as many as num_init_children says, or as have been needed.  A session is
 * the first pool (pool_id 0) of its place, on all nodes; the columns of the connection are filled
 * where it holds one.  Other pools are empty: idle connections belong to nobody.
 *
 * A node that fails is `up` all the same where its flag says DISALLOW_TO_FAILOVER, as with
 * Pgpool-II; pg_status tells how it is.  A drained node is `down`.
 */
#ifndef ADMIN_H
#define ADMIN_H

#include "client.h"

enum {
	ADMIN_TEXT = 1024,                      /* of a value; the rest of a
	                                         * longer one is left out */
	ADMIN_COLUMNS = 21,                     /* of the widest table */
};

/* Who is asked. */
struct admin {
	const struct clients *clients;
	int64_t started;                        /* loop_now() */
	int64_t epoch;                          /* ms since 1970 when loop_now() was 0 */
};

/* At the start of the program. */
void admin_start(struct admin *a, const struct clients *clients);

/* What a row is about; found by a table, good until the end of the turn. */
struct admin_row {
	const struct admin *admin;
	const struct node *node;
	const struct client *client;            /* NULL: nobody is there */
	const struct server *server;            /* NULL: it holds no connection to the node */
	uint32_t pid, pool;
	const struct conf_row *parameter;
	const char *of_node;                    /* name of a parameter of `node`, or NULL */
};

struct admin_column {
	const char *name;
	void (*print)(const struct admin_row *row, char out[static ADMIN_TEXT]);
};

struct admin_table {
	size_t ncolumns;
	const struct admin_column *column;
	size_t (*rows)(const struct admin *a);
	/* false: there is no such row. */
	bool (*find)(const struct admin *a, size_t at, struct admin_row *row);
};

extern const struct admin_table
	admin_nodes,            /* as PCP's NodeInfo has them, states and roles as numbers */
	admin_health_checks,
	admin_pools,            /* of each process: its pools, of each of these: the nodes */
	admin_parameters;

/* Processes, and the rows of admin_pools that each of them has. */
uint32_t admin_processes(const struct admin *a);
size_t admin_pools_each(const struct admin *a);

#endif
