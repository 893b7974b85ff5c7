/* client/script.h - the settings of a session, as statements that can be run again.
 *
 * The primary runs each SET when the client sends it.  Another server of the same session - a
 * replica at its first read, a new primary connection after the old one died in idleness - is
 * brought up to date by running the lines that it has not run: settings, and inside a
 * transaction its BEGIN and its SETs.  Each line has a serial number; a server remembers the last
 * one it ran.
 *
 * A line does not repeat the client's text, which may mean something else later, but says the value
 * that the parameter got.  It is ASCII and has no string that depends on a setting.
 *
 * Lines of a transaction go with its ROLLBACK; at COMMIT the settings among them stay.  Of two
 * settings of one parameter the later one stays.  The role comes last, and before it
 * session_authorization, since the others may need the rights of the login.  Savepoints are marks,
 * never run.
 *
 * A transaction may have more lines than there is room for.  Some are dropped then, and the script
 * is spilt: behind the transaction, PostgreSQL is asked what the settings are (doubt.h).
 */
#ifndef CLIENT_SCRIPT_H
#define CLIENT_SCRIPT_H

#include "sql.h"

enum { SCRIPT_LINES = 256 };    /* a session with more settings stays at home */

struct script {
	struct script_line {
		uint32_t serial;
		uint32_t flags;                 /* SQL_ */
		enum sql_kind kind;
		enum sql_level level;
		bool parsing;                   /* PostgreSQL looks at it when it parses */
		uint32_t times;                 /* savepoints of one name, with nothing between */
		char *name;                     /* parameter or savepoint, "" if none */
		char *text;
		char *value;                    /* of a SET of one value; else NULL */
	} *line;
	uint32_t n, cap;
	uint32_t serial;                        /* the last one given out */
	uint32_t transaction;                   /* lines before this index are older than it */
	bool full;                              /* the session cannot be carried */
	bool spilt;                             /* until it has been asked for */
};

static inline bool script_is_whole(const struct script *s)
{
	return !s->full && !s->spilt;
}

/* Appends; -1 if that cannot be: the script is full or spilt then. */
int script_add(struct script *s, const struct sql_facts *f, const char *name,
               const char *text, size_t len);

/* The same of a setting.  Values beyond ASCII are bytes in the server's encoding. */
int script_set(struct script *s, const struct sql_setting *set);

/* A custom parameter was set for a moment: its name stays. */
void script_touch(struct script *s, const char *name);

/* The same as script_set(), but it was set before the open transaction. */
int script_settle(struct script *s, const struct sql_setting *set);

/* The value that the session has given the parameter, and not reset since; NULL: none, or it is not
 * known. */
const char *script_value(const struct script *s, const char *name);

/* Has the open transaction said last of the parameter what it is for its own time? */
bool script_is_local(const struct script *s, const char *name);

/* The line that says the value of the parameter before the open transaction: its last SET, or a
 * RESET or DISCARD; NULL: none. */
const struct script_line *script_find(const struct script *s, const char *name);

/* Another number where statements would be parsed under other settings. */
uint32_t script_parsing(const struct script *s);

/* The isolation level that the session's settings give to transactions; LEVEL_UNSAID: that of its
 * profile. */
enum sql_level script_default_level(const struct script *s);

/* The serial in front of the transaction's first line.  What was settled later comes again. */
uint32_t script_settled(const struct script *s);

/* A copy of the BEGIN of the open transaction, or NULL. */
char *script_begin(const struct script *s);

/* Has the open transaction been given other modes than its BEGIN says? */
bool script_changes_modes(const struct script *s);

/* The transaction ended: keeps its settings, or drops them. */
void script_commit(struct script *s);
void script_rollback(struct script *s);

/* ROLLBACK TO: drops the lines after the savepoint.  Returns the serial that no server may have
 * gone beyond. */
uint32_t script_rollback_to(struct script *s, const char *savepoint);

/* RELEASE: the savepoint, and those after it, are no more; their settings stay. */
void script_release(struct script *s, const char *savepoint);

/* Nothing of it counts any more (DISCARD ALL), but for names of custom parameters, unless they are
 * many. */
void script_forget(struct script *s);

/* It was spilt, and all settings are about to be told: the same. */
void script_renew(struct script *s);

void script_free(struct script *s);

#endif
