/* client/facts.h - what statements' texts mean to this session: what the classifier says, what the
 * catalog adds, and what replicas have taught us.
 *
 * The classifier's facts of recent texts are remembered by database and shape, beside what the
 * catalog said of them.
 */
#ifndef CLIENT_FACTS_H
#define CLIENT_FACTS_H

#include "client.h"

void facts_find(struct client *c, const char *text, size_t len, struct sql_facts *f);

/* Completes the classifier's facts of a text by what the catalog says: see catalog.h. */
void facts_look_up(const struct client *c, struct sql_facts *f, struct finding *v, const char *text,
                   size_t len);

/* Has the catalog told of all names in the text? */
bool facts_known(const struct client *c, const struct sql_facts *f, const char *text, size_t len);

/* Will it soon tell of more of them? */
bool facts_awaited(const struct client *c, const struct sql_facts *f, const char *text, size_t len);

/* A statement that reads unknown names is being sent. */
void facts_read_unknown(struct client *c);

/* Has the catalog told of them since? */
bool facts_heard(const struct client *c);

/* Was one of those that it has told of a view that runs somebody's code? */
bool facts_surprised(const struct client *c);

/* The facts of a prepared statement, as the catalog completes them now. */
struct sql_facts facts_of_stmt(const struct client *c, struct stmt *s);

/* The prepared statement that an EXECUTE means; NULL for other statements and unknown names. */
struct stmt *facts_executed(const struct client *c, const struct sql_facts *f, const char *text);

/* Does it count as a write for the rest of the session? */
bool facts_write(const struct client *c, const struct sql_facts *f, const char *text);

/* May triggers, rules, defaults and the like run with it?  For statements that are writes. */
bool facts_hooks(const struct sql_facts *f);

/* Does it change what the session is?  See effect.h. */
bool facts_effect(const struct sql_facts *f);

/* Does the text give, take or use the name of a prepared statement? */
bool facts_name_stmt(const struct sql_facts *f);

/* Does it take settings back to what the server began with? */
bool facts_takes_back(const struct sql_facts *f);

/* Does it take names of prepared statements away, if it succeeds? */
bool facts_forgets(const struct sql_facts *f);

/* A replica refused it because it writes: next time it goes to the primary at once. */
void facts_learn_writer(struct client *c, const char *text, size_t len);

#endif
