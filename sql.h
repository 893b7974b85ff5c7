/* sql.h - the facts about a statement that routing needs.
 *
 * A lexer with PostgreSQL's lexical rules and a classifier on top of it: text in, facts out.  Pure:
 * no allocation, no I/O, no state.  It is not a parser.  It follows the tokens once, in linear
 * time, and knows the words that decide where a statement may run.  When in doubt it answers "not a
 * read", since the primary can run anything.
 *
 * The text is any bytes of any length and needs no NUL at its end; nothing is read past it.
 * standard_conforming_strings is taken to be on (a client that turns it off can make a write look
 * like a read, but the replica refuses that).
 *
 *      ; SELECT f(x) FROM t   ;   UPDATE ...
 *      | |                |       |
 *      0 f.start          f.end   f.next
 *
 * "The statement" is the first non-empty one of the text.  A text that holds
 * blanks, comments and semicolons only is SQL_EMPTY.  Semicolons inside parentheses and in
 * BEGIN ATOMIC ... END do not end a statement.
 */
#ifndef SQL_H
#define SQL_H

#include <regex.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What statements of a kind do to their session.  A statement's flags may add to it. */
enum {
	KIND_READS      = 1 << 0,       /* may be balanced, if nothing else forbids it */
	KIND_NO_WRITE   = 1 << 1,       /* does not count as one, though it is not balanced */
	KIND_EXPLAINS   = 1 << 2,       /* a write if SQL_MODIFIES is set */
	KIND_SETS       = 1 << 3,       /* a parameter */
	KIND_TAKES_BACK = 1 << 4,       /* settings, as RESET does */
	KIND_TRANSACTS  = 1 << 5,       /* begins, ends, marks or rolls back a transaction */
	KIND_NAMES      = 1 << 6,       /* gives or takes the name of a prepared statement */
	KIND_USES_NAME  = 1 << 7,       /* runs one by its name */
	KIND_LISTENS    = 1 << 8,       /* or no longer */
	KIND_KEEPS      = 1 << 9,       /* what cannot be carried to another server */
	KIND_CHANGES    = 1 << 10,      /* the catalog, or maybe */
	KIND_HIDES      = 1 << 11,      /* what it does: it may have made a temporary table */
	KIND_OWN        = 1 << 12,      /* it may be the proxy's own: client/own.h */

	KIND_NO_SNAPSHOT = KIND_SETS | KIND_TRANSACTS | KIND_NAMES | KIND_LISTENS | KIND_OWN,
	KIND_EFFECTS = KIND_SETS | KIND_TAKES_BACK | KIND_TRANSACTS | KIND_NAMES | KIND_LISTENS
		| KIND_KEEPS | KIND_CHANGES
};

/* Kinds as Pgpool-II counts them: SHOW POOL_BACKEND_STATS. */
#define SQL_CLASS_ROWS(C) C(SELECT) C(INSERT) C(UPDATE) C(DELETE) C(DDL) C(OTHER)

enum sql_class {
#define C(class) CLASS_##class,
	SQL_CLASS_ROWS(C)
#undef C
	SQL_CLASSES
};

/* Every kind once, with its word for logs and counters, its class, and what it does.
 *
 * EMPTY has comments at most.  SELECT is also TABLE t, (SELECT ...), WITH ... SELECT; BEGIN is also
 * START TRANSACTION, COMMIT also END, ROLLBACK also ABORT, SET also SESSION CHARACTERISTICS.  DDL
 * is CREATE, ALTER, DROP, GRANT, COMMENT, REINDEX and the like.  SHOW_POOL is SHOW POOL_anything,
 * or of a name that PgBouncer has for it;
 * of PGPOOL inner says whether SHOW, SET or RESET follows.  OTHER was not understood. */
#define SQL_KINDS(X) \
	X(EMPTY,               "empty",               OTHER,  KIND_READS | KIND_NO_WRITE) \
	X(SELECT,              "select",              SELECT, KIND_READS) \
	X(VALUES,              "values",              SELECT, KIND_READS) \
	X(SHOW,                "show",                OTHER,  KIND_READS) \
	X(EXPLAIN,             "explain",             OTHER,  KIND_EXPLAINS) \
	X(COPY_TO,             "copy to",             DDL,    KIND_READS) \
	X(COPY_FROM,           "copy from",           DDL,    0) \
	X(INSERT,              "insert",              INSERT, 0) \
	X(UPDATE,              "update",              UPDATE, 0) \
	X(DELETE,              "delete",              DELETE, 0) \
	X(MERGE,               "merge",               DDL,    0) \
	X(TRUNCATE,            "truncate",            DDL,    0) \
	X(BEGIN,               "begin",               OTHER,  KIND_TRANSACTS | KIND_NO_WRITE) \
	X(COMMIT,              "commit",              OTHER,  KIND_TRANSACTS | KIND_NO_WRITE) \
	X(ROLLBACK,            "rollback",            OTHER,  KIND_TRANSACTS | KIND_NO_WRITE) \
	X(SAVEPOINT,           "savepoint",           OTHER,  KIND_TRANSACTS) \
	X(RELEASE,             "release",             OTHER,  KIND_TRANSACTS) \
	X(ROLLBACK_TO,         "rollback to",         OTHER,  KIND_TRANSACTS) \
	X(PREPARE_TRANSACTION, "prepare transaction", OTHER,  KIND_TRANSACTS) \
	X(COMMIT_PREPARED,     "commit prepared",     OTHER,  KIND_CHANGES) \
	X(ROLLBACK_PREPARED,   "rollback prepared",   OTHER,  0) \
	X(SET,                 "set",                 OTHER,  KIND_SETS | KIND_NO_WRITE) \
	X(SET_TRANSACTION,     "set transaction",     OTHER,  KIND_SETS | KIND_NO_WRITE) \
	X(SET_CONSTRAINTS,     "set constraints",     DDL,    0) \
	X(RESET,               "reset",               OTHER,  \
	  KIND_SETS | KIND_NO_WRITE | KIND_TAKES_BACK) \
	X(DISCARD,             "discard",             OTHER,  KIND_TAKES_BACK) \
	X(PREPARE,             "prepare",             OTHER,  KIND_NAMES) \
	X(EXECUTE,             "execute",             OTHER,  KIND_USES_NAME | KIND_NO_WRITE) \
	X(DEALLOCATE,          "deallocate",          OTHER,  \
	  KIND_NAMES | KIND_NO_WRITE | KIND_OWN) \
	X(DECLARE,             "declare",             DDL,    0) \
	X(FETCH,               "fetch",               DDL,    0) \
	X(MOVE,                "move",                DDL,    0) \
	X(CLOSE,               "close",               DDL,    0) \
	X(LISTEN,              "listen",              OTHER,  KIND_LISTENS) \
	X(UNLISTEN,            "unlisten",            OTHER,  KIND_LISTENS) \
	X(NOTIFY,              "notify",              OTHER,  0) \
	X(LOCK,                "lock",                OTHER,  0) \
	X(VACUUM,              "vacuum",              OTHER,  0) \
	X(ANALYZE,             "analyze",             OTHER,  0) \
	X(CHECKPOINT,          "checkpoint",          OTHER,  0) \
	X(LOAD,                "load",                OTHER,  KIND_KEEPS) \
	X(CALL,                "call",                DDL,    KIND_KEEPS | KIND_HIDES) \
	X(DO,                  "do",                  DDL,    \
	  KIND_KEEPS | KIND_HIDES | KIND_CHANGES) \
	X(DDL,                 "ddl",                 DDL,    KIND_CHANGES | KIND_HIDES) \
	X(SHOW_POOL,           "show pool",           OTHER,  KIND_OWN) \
	X(PGPOOL,              "pgpool",              OTHER,  KIND_OWN) \
	X(OTHER,               "other",               DDL,    \
	  KIND_KEEPS | KIND_HIDES | KIND_CHANGES)

enum sql_kind {
#define X(kind, word, class, does) SQL_##kind,
	SQL_KINDS(X)
#undef X
	SQL_KIND_COUNT
};

/* KIND_ flags, and the class, by kind. */
extern const uint16_t sql_kind_does[SQL_KIND_COUNT];
extern const uint8_t sql_kind_class[SQL_KIND_COUNT];

/* sql_facts.flags.  Those marked * make sql_reads() say no. */
enum {
	SQL_UNPARSED       = 1 << 0,  /* * open string, comment, identifier or parenthesis, a byte
				       *   no token starts with, nesting beyond 255: next is len */
	SQL_TIME           = 1 << 1,  /* tells when the transaction began: now(), 'today' */
	SQL_BLANK          = 1 << 2,  /* the text begins with white space */
	SQL_FIRST          = 1 << 3,  /* the text's first non-blank is one of sS(wWtT; or missing:
				       *   Pgpool-II's test for a SELECT */
	SQL_LOCKS          = 1 << 4,  /* * FOR [NO KEY] UPDATE, FOR [KEY] SHARE, sub-selects too */
	SQL_INTO           = 1 << 5,  /* * SELECT ... INTO */
	SQL_MODIFIES       = 1 << 6,  /* * writes although kind does not say so: DML in WITH, COPY
				       *   TO a file; PREPARE, COPY (...), EXPLAIN ANALYZE of what
				       *   is not a SELECT or VALUES */
	SQL_FUNCTION       = 1 << 7,  /* * calls a function that is not known to only read */
	SQL_CATALOG        = 1 << 8,  /* * reads a relation of pg_catalog or any pg_ schema, or an
				       *   unqualified one named pg_something; or tells of the
				       *   node: current_setting('in_hot_standby'), SHOW ALL */
	SQL_TEMP           = 1 << 9,  /* makes a temporary object; name = its last part */
	SQL_DROPS          = 1 << 10, /* ... ON COMMIT DROP; or DROP TABLE, VIEW, SEQUENCE */
	SQL_LOCAL          = 1 << 11, /* SET LOCAL */
	SQL_READ_WRITE     = 1 << 12, /* BEGIN or SET TRANSACTION ... READ WRITE, SET
				       *   [default_]transaction_read_only = off, false, 0, no */
	SQL_READ_ONLY      = 1 << 13, /* the opposite */
	SQL_SETS           = 1 << 14, /* writes pg_settings; or, from the catalog: reads a view that
				       *   sets parameters */
	SQL_CHAIN          = 1 << 15, /* COMMIT or ROLLBACK AND CHAIN */
	SQL_ALL            = 1 << 16, /* DEALLOCATE, DISCARD, RESET, CLOSE, SHOW ALL; UNLISTEN *;
				       *   there is no name then, but DISCARD's */
	SQL_DEFAULT        = 1 << 17, /* SET x TO DEFAULT, SET TIME ZONE LOCAL */
	SQL_HOLD           = 1 << 18, /* DECLARE ... WITH HOLD */
	SQL_PATTERN        = 1 << 19, /* * the text matches rules->primary_patterns, or is longer
				       *   than the 16 KB that are tried */
	SQL_ANALYZED       = 1 << 20, /* EXPLAIN ANALYZE: the inner statement runs */
	SQL_WEAK           = 1 << 21, /* LOCK ... IN ACCESS SHARE or ROW SHARE MODE */
	SQL_ADVISORY       = 1 << 22, /* takes session-level advisory locks, or maybe */
	SQL_SET_CONFIG     = 1 << 23, /* calls set_config() */
	SQL_SEQUENCE       = 1 << 24, /* calls currval() or lastval(): state of the session */
	SQL_TERMINATE      = 1 << 25, /* pg_terminate_backend(<integer>); name = the integer */
	SQL_NAMES          = 1 << 30, /* sql_names() has more than SQL_WRITTEN for it */

	/* Facts that come from catalog.c, not from the text. */
	SQL_UNLOGGED       = 1 << 26, /* * reads an unlogged table */
	SQL_TEMPORARY      = 1 << 27, /* * reads a temporary table, or maybe */
	SQL_FOREIGN        = 1 << 28, /* may run somebody's code that may change anything */
	SQL_CALLS          = 1 << 29, /* may run somebody's code, which may read anything */
	SQL_UNKNOWN        = 1u << 31, /* * reads what the catalog has not told of yet */

	/* The primary's for what they read, not for what they do. */
	SQL_HELD = SQL_CATALOG | SQL_UNLOGGED | SQL_TEMPORARY,

	SQL_NOT_READ = SQL_UNPARSED | SQL_LOCKS | SQL_INTO | SQL_MODIFIES | SQL_FUNCTION
		| SQL_PATTERN | SQL_UNKNOWN | SQL_HELD
};

/* Isolation levels.  A statement that names none has LEVEL_UNSAID. */
enum sql_level {
	LEVEL_UNSAID,
	LEVEL_READ_UNCOMMITTED,
	LEVEL_READ_COMMITTED,
	LEVEL_REPEATABLE_READ,
	LEVEL_SERIALIZABLE,
};

/* A piece of the text, quotes included; len 0 = none. */
struct sql_span { uint32_t at, len; };

struct sql_facts {
	uint8_t kind;           /* enum sql_kind */
	uint8_t inner;          /* that of the statement inside PREPARE, EXPLAIN, DECLARE, COPY
				 * (...), of PGPOOL's verb; else the same as kind */
	uint8_t level;          /* enum sql_level, of BEGIN and SET TRANSACTION, of SET
				 * [default_]transaction_isolation, of SESSION
				 * CHARACTERISTICS */
	uint32_t flags;
	struct sql_span name;   /* savepoint, prepared statement (also EXPLAIN EXECUTE's), prepared
				 * transaction (a string), parameter (all its words: see
				 * sql_parameter), channel, cursor, DISCARD's word, temporary
				 * object, the integer of SQL_TERMINATE */
	size_t start, end;      /* the statement, without semicolon and blanks around it */
	size_t next;            /* where the next non-empty statement begins, or len */
};

/* Rules from the configuration; NULL or all empty = the built-in rules.  Each regex_t is compiled
 * REG_EXTENDED | REG_ICASE | REG_NOSUB and anchored by the caller. */
struct sql_rules {
	const regex_t *read_only_functions;     /* any other function is SQL_FUNCTION */
	size_t nread_only;
	const regex_t *write_functions;         /* only these are; used if the former is empty */
	size_t nwrite;
	const regex_t *primary_patterns;        /* of whole statements: SQL_PATTERN */
	size_t npatterns;
};

/* Facts of the statement.  To walk all statements: while (f.next < len) classify
 * from there. */
void sql_classify(struct sql_facts *f, const char *text, size_t len, const struct sql_rules *rules);

/* Most texts differ only in their literals.  The shape of a text has 0 for each integer and ' for
 * each string; it is not longer than the text.  literals is their range, from the first to the end
 * of the last one.  0: something in the text hides where a literal ends. */
size_t sql_shape(char *shape, const char *text, size_t len, struct sql_span *literals);

/* Do these facts of a text, except `end` and `next`, hold for every text of its shape?  Those two
 * then keep their distance from the end.  This ignores the rules' primary_patterns. */
bool sql_same_facts(const struct sql_facts *f, size_t len, struct sql_span literals);

/* May the statement be balanced, by kind and content alone (Pgpool-II's gate: SELECT, VALUES, SHOW,
 * COPY TO, PREPARE of those, nothing at all; and no flag marked *)?  The caller adds what depends
 * on settings: without allow_sql_comments a SELECT, VALUES or EMPTY needs SQL_FIRST, and not
 * SQL_BLANK unless ignore_leading_white_space. */
bool sql_reads(const struct sql_facts *f);

/* The identifier in a span as PostgreSQL stores it: unquoted and down-cased, or quoted with ""
 * undone (U&"" keeps its escapes), cut to 63 bytes at a UTF-8 boundary. */
void sql_name(char dst[static 64], const char *text, struct sql_span s);

/* The parameter that SET, RESET or SHOW names, as pg_settings spells it: down-cased, TIME ZONE =
 * timezone, NAMES = client_encoding, SCHEMA = search_path, SESSION AUTHORIZATION =
 * session_authorization, SESSION CHARACTERISTICS = "session characteristics"; "" = none.  Cut to
 * 127 bytes. */
void sql_parameter(char dst[static 128], const char *text, const struct sql_facts *f);

/* A parameter that a statement sets, or resets to its default: n values, one behind the other, each
 * with a zero.  They are what was written, with quotes undone.  list: they are elements of a list,
 * as SET has them; else it is one value as set_config() takes it. */
struct sql_setting {
	char name[128];         /* as by sql_parameter() */
	bool local, reset, list;
	unsigned n;
	size_t len;
	char values[2048];
};

typedef void sql_set(void *ctx, const struct sql_setting *s);

/* The nth Bind parameter, which is to be a boolean, or a text; false: not known. */
typedef bool sql_parameter_value(void *ctx, unsigned nth, bool boolean, const char **text,
                                 size_t *len);

/* Calls fn for each parameter that SET, RESET of one parameter, or a SELECT of set_config() and
 * nothing else sets.  false, without a call: the text does not tell the values, or they depend on
 * what was there before.  param may be NULL. */
bool sql_settings(const char *text, const struct sql_facts *f, sql_parameter_value *param,
                  sql_set *fn, void *ctx);

/* Writes the statement that does it: in ASCII, without a string that depends on settings.  A byte
 * beyond ASCII stands for itself in the server's encoding. */
struct put;
enum { SQL_SETTING_MAX = 2048 * 4 + 1024 };     /* bytes, for any setting */
void sql_put_setting(struct put *o, const struct sql_setting *s);

/* "repeatable read", in any case: LEVEL_REPEATABLE_READ.  LEVEL_UNSAID: no such level. */
enum sql_level sql_level_named(const char *value, size_t len);

/* A statement of the proxy's own: SHOW POOL_name, PGPOOL SHOW name or ALL, PGPOOL SET name TO value
 * (or = value), PGPOOL RESET name or ALL. */
struct sql_own {
	uint8_t kind;           /* SQL_SHOW_POOL, or what PGPOOL does: SQL_SHOW, SQL_SET, which TO
				 * DEFAULT makes a SQL_RESET, SQL_RESET */
	bool all;
	char name[64];          /* in lower case; "" for ALL */
	char value[128];        /* of SQL_SET, without its quotes */
};

/* Takes a statement of these kinds apart.  false: it goes on in another way, with what is in value
 * then: "" is its end. */
bool sql_own(struct sql_own *own, const char *text, const struct sql_facts *f);

/* The use of a name in a statement. */
enum sql_use {
	SQL_WRITTEN,            /* a table: INSERT, UPDATE, DELETE, MERGE, TRUNCATE, COPY FROM, DML
				 * in WITH; also of what a PREPAREd one will do, but not of EXPLAIN
				 * without ANALYZE */
	SQL_DROPPED,            /* a table, view or sequence, by DROP */
	SQL_READ,               /* a relation */
	SQL_CALLED,             /* a function that is not known to only read */
};

/* Calls fn for each of them.  The name is the last part, as by sql_name, schema the part before it
 * or "".  Both are good during the call. */
typedef void sql_see(void *ctx, enum sql_use use, const char *schema, const char *name);
void sql_names(const char *text, size_t len, sql_see *fn, void *ctx);

/* Does fn accept an identifier anywhere in the text, all its statements included?  It gets the name
 * as by sql_name, and whether "(" follows.  A text that cannot be read to its end may mention
 * anything: true. */
bool sql_mentions(const char *text, size_t len,
                  bool (*fn)(void *ctx, const char *name, bool called), void *ctx);

/* The same of names that no schema stands in front of, or pg_temp. */
bool sql_mentions_bare(const char *text, size_t len,
                       bool (*fn)(void *ctx, const char *name, bool called), void *ctx);

/* Does fn accept what may run code without a call: an operator, or a type after :: or AS, or before
 * a string?  A text that cannot be read to its end is left to others. */
bool sql_runs(const char *text, size_t len, bool (*fn)(void *ctx, const char *name), void *ctx);

/* The kind's word, from SQL_KINDS. */
const char *sql_kind_name(enum sql_kind k);

#endif
