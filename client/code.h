/* client/code.h - the code that a statement runs, and what that may leave in its session.
 *
 * Functions, triggers, views and DO do what no text says.  What their bodies can do is known of the
 * database as a whole (bodies_can()); what they have done is asked for: doubt.h.
 */
#ifndef CLIENT_CODE_H
#define CLIENT_CODE_H

#include "client.h"

/* A statement is being sent home.  hooks: it writes, so triggers and the like may run. */
void code_note(struct client *c, const struct sql_facts *f, bool hooks, const char *text,
               size_t len);

/* The same of one that calls nothing itself, but writes. */
void code_note_hooks(struct client *c);

/* One that reads a name which may be a view. */
void code_note_unknown(struct client *c);

/* A part of a text that is sent home: its words tell what it may do.  NULL: anything. */
void code_note_text(struct client *c, const char *text, size_t len);

/* FunctionCall: a function by its number. */
void code_note_any(struct client *c);

/* A statement of a kind that may end a pin: the next answer tells. */
void code_note_end(struct client *c, const struct sql_facts *f);

/* May the statement do what has a meaning at home only, though a replica would do it: set
 * parameters, take advisory locks, keep something for the session? */
bool code_is_homes(struct client *c, const struct sql_facts *f, const char *text, size_t len);

/* Does this DDL make something that calls, and not only tables? */
bool code_is_made(const char *text, size_t len);

/* Does that depend on bodies that nobody knows yet?  Then they are asked for: bodies_ask(). */
bool code_awaited(struct client *c, const struct sql_facts *f);

/* Does the text call a function that keeps something for the session, which is not asked for? */
bool code_keeps(const char *text, size_t len);

#endif
