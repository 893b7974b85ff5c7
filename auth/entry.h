/* auth/entry.h - users' passwords: pool_passwd's entries, and those from PostgreSQL.
 *
 * If there is an auth_user, PostgreSQL is asked about users that pool_passwd lacks.  Asking needs
 * servers, which are above this room: the asker hands down a table of functions.
 *
 * Answers, including "no such user", count for a second, or for half a minute while PostgreSQL
 * cannot be asked.  So logins cost at most one question per user and second, and a changed password
 * counts within a second.  Entries live until the loop's next turn: look them up again rather than
 * keep them.
 */
#ifndef AUTH_ENTRY_H
#define AUTH_ENTRY_H

#include "loop.h"

struct entries;
struct passwd_entry;

struct entries *entries_new(struct base *base);         /* NULL without memory */
void entries_free(struct entries *e);                   /* NULL is fine */

/* The configuration has changed: forgets fetched entries.  Waiting logins keep waiting. */
void entries_forget(struct entries *e);

/* The entry known for this user now; NULL: none. */
const struct passwd_entry *entry_find(const struct entries *e, const char *user);

/* A login that waits for an answer; embedded, zero before its first use. */
struct entry_wait {
	struct entry_wait *next, **at;
	/* why is NULL if entry_find() now knows all there is to know, else what went wrong. */
	void (*answered)(struct entry_wait *w, const char *why);
};

/* Makes entry_find() know all that it can: true if it already does, else w is called from the loop
 * later. */
bool entry_ask(struct entries *e, const char *user, struct entry_wait *w);
void entry_unask(struct entry_wait *w);                 /* no longer waits; may be called twice */

/* A client that came at `since` did not match the fetched password.  True: that may be old, and
 * entry_ask() asks anew.  This happens once a second for a user, so that wrong passwords are no
 * load. */
bool entry_doubt(struct entries *e, const char *user, int64_t since);

/* Roles have been altered: all is asked for anew. */
void entries_doubt(struct entries *e);

/* --- for whoever asks PostgreSQL ----------------------------------------- */

struct entry_ops {
	/* entries_next() now has a user; a question still under way is obsolete. */
	void (*wanted)(void *ctx);
	/* What was fetched earlier for this user is no longer valid. */
	void (*changed)(void *ctx, const char *user);
};

/* Sets the asker, once.  Without it only pool_passwd's users are known. */
void entries_set_asker(struct entries *e, const struct entry_ops *ops, void *ctx);

/* The next user to ask about: the one that logins have waited for longest.  NULL: nobody waits.
 * One of the three functions below must end it before the next. */
const char *entries_next(struct entries *e);

/* PostgreSQL's answer: the password as stored, and its expiry in seconds since 1970.  NULL or "":
 * there is no such user. */
void entries_answer(struct entries *e, const char *password, double until);

/* PostgreSQL could not be asked about this user, or about any. */
void entries_fail(struct entries *e, const char *why, bool any);
void entries_ask_again(struct entries *e);              /* the question was put to the wrong node */

#endif
