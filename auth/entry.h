/* auth/entry.h - whose password is what: pool_passwd's entries, and those that auth_query fetches.
 *
 * For a user whom pool_passwd does not have, auth_user asks PostgreSQL's primary, if there is an
 * auth_user.  The answer is one row: the user's name, his password as PostgreSQL stores it, and,
 * if there is a third column, until when it is good, in seconds since 1970 (numeric; NULL or
 * Infinity: for ever).  No row, or no password: there is no such user.
 *
 * Answers, "no such user" among them, count for a second; while PostgreSQL cannot be asked, for half
 * a minute.  So logins cost at most one question per user and second, and a changed password counts
 * within a second.  Entries live until the loop's next turn: look them up again rather than keep
 * them.
 */
#ifndef AUTH_ENTRY_H
#define AUTH_ENTRY_H

#include "server.h"

struct entries;

struct entries *entries_new(struct servers *all);       /* NULL without memory */
void entries_free(struct entries *e);                   /* NULL is fine */

/* Forgets what was fetched: the configuration is another.  Those who wait go on waiting. */
void entries_forget(struct entries *e);

/* What is known of this user now; NULL: nothing. */
const struct passwd_entry *entry_find(const struct entries *e, const char *user);

/* Somebody who waits for an answer; embedded, zero before its first use. */
struct entry_wait {
	struct entry_wait *next, **at;
	/* why is NULL when entry_find() knows now all there is to know, else what went wrong. */
	void (*answered)(struct entry_wait *w, const char *why);
};

/* Sees to it that entry_find() knows what can be known: true when it does, else w is called from the
 * loop later. */
bool entry_ask(struct entries *e, const char *user, struct entry_wait *w);
void entry_unask(struct entry_wait *w);                 /* no longer waits; may be called twice */

/* A client that came at `since` could not prove that it knows what was fetched.  True: that may be
 * old, and entry_ask() asks anew.  Once a second for a user, so that wrong passwords are no load. */
bool entry_doubt(struct entries *e, const char *user, int64_t since);

/* Roles have been altered: all is asked for anew. */
void entries_doubt(struct entries *e);

#endif
