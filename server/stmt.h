/* server/stmt.h - prepared statements, and which names they have.
 *
 * A struct stmt is one prepared statement: its text (the body of a Parse message behind its name,
 * or the SQL of a PREPARE), and what PostgreSQL fixed when it parsed it: the settings of that
 * moment, and the columns of the result.  Equal ones are the same object, shared by all clients and
 * servers and counted, so a thousand sessions that prepare the same statements cost their text
 * once.  A statement is bare until PostgreSQL has described it.
 *
 * A struct names maps names to statements: a client has one (of statements that it prepared), a
 * server has one (of those that it holds).  As in PostgreSQL, statements of the protocol and of SQL
 * share one name space.  Bytes of a name beyond WIRE_NAME_MAX do not count.  The zero value is an
 * empty map.
 */
#ifndef SERVER_STMT_H
#define SERVER_STMT_H

#include "sql.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stmts;                                   /* all texts */

/* The catalog's word on a statement: its flags then, and the oldest answer among its relations'.
 * Kept by catalog.c; the zero value is none. */
struct finding { uint32_t generation, serial, flags; };

struct stmt {
	struct stmt *chain;
	uint64_t hash, shape;                   /* of its description; 0: it is bare */
	struct stmt *settings;                  /* in force when it was parsed: a text of their
	                                         * own; NULL: those that its session began with */
	struct sql_facts facts;                 /* of a Parse's query; of what a PREPARE prepares */
	struct finding finding;
	uint32_t refs;
	uint32_t len, query_len;                /* of the text, of the query that it starts with */
	bool sql;                               /* text is a PREPARE, else the body of a Parse */
	char text[];                            /* starts with the query, zero-terminated */
};

struct stmts *stmts_new(void);
void stmts_free(struct stmts *all);

/* The statement with this text, made if need be; counted for the caller.  NULL without memory. */
struct stmt *stmt_get(struct stmts *all, bool sql, const void *text, size_t len,
                      const struct sql_facts *facts);

/* The same, described: these settings, shape, and the body of its ParameterDescription (or NULL),
 * whose types replace those of the Parse.  Shape 0 makes it bare again. */
struct stmt *stmt_described(struct stmts *all, const struct stmt *st, struct stmt *settings,
                            uint64_t shape, const void *types, size_t types_len);

/* The shape in a RowDescription or NoData: what PostgreSQL compares, names and types. */
uint64_t stmt_shape(const struct stmts *all, char type, const void *body, size_t len);

struct stmt *stmt_hold(struct stmt *s);
void stmt_drop(struct stmts *all, struct stmt *s);      /* NULL is fine */

struct names {
	struct stmt_name {
		char *name;                     /* NULL: never used; dropped names keep a mark */
		struct stmt *stmt;
		uint32_t hash;
	} *slot;
	uint32_t cap, used, marks, seed;
};

struct stmt *names_find(const struct names *m, const char *name);

/* Gives the name to the statement (which is counted), taking it from another.  -1: no memory. */
int names_set(struct stmts *all, struct names *m, const char *name, struct stmt *s);

/* Gives `to` those names of `from` that it does not have.  -1: no memory. */
int names_add(struct stmts *all, struct names *to, const struct names *from);
bool names_remove(struct stmts *all, struct names *m, const char *name);
void names_clear(struct stmts *all, struct names *m);

/* A keyed hash of any bytes: nobody outside can make two texts collide. */
uint64_t stmt_hash(const struct stmts *all, const void *p, size_t n);

#endif
