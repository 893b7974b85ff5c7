/* auth/entry.h - whose password is what: pool_passwd's entries, and those that PostgreSQL gave.
 *
 * If there is an auth_user, PostgreSQL is asked about users that pool_passwd does not have.  Asking
 * needs servers, which are above this room: whoever asks hands down a table of functions.
 *
 * Answers, "no such user" among them, count for a second; while PostgreSQL cannot be asked,
 * for half a minute.  So logins cost at most one question per user and second, and a changed
 * password counts within a second.  Entries live until the loop's next turn: look them up
 * again rather than keep them.
 */
#ifndef AUTH_ENTRY_H
#define AUTH_ENTRY_H

#include "loop.h"

struct entries;
struct passwd_entry;

struct entries *entries_new(struct base *base);         /* NULL without memory */
void entries_free(struct entries *e);                   /* NULL is fine */

/* The configuration is another: forgets what was fetched.  Waiting logins go on waiting. */
void entries_forget(struct entries *e);

/* What is known of this user now; NULL: nothing. */
const struct passwd_entry *entry_find(const struct entries *e, const char *user);

/* A login that waits for an answer; embedded, zero before its first use. */
struct entry_wait {
	struct entry_wait *next, **at;
	/* why is NULL when entry_find() knows now all there is to know, else what went wrong. */
	void (*answered)(struct entry_wait *w, const char *why);
};

/* Sees to it that entry_find() knows what can be known: true when it does, else w is
 * called from the loop later. */
bool entry_ask(struct entries *e, const char *user, struct entry_wait *w);
void entry_unask(struct entry_wait *w);                 /* no longer waits; may be called twice */

/* A client that came at `since` could not prove that it knows what was fetched.  True: that may be
 * old, and entry_ask() asks anew.  Once a second for a user, so that
 * wrong passwords are no load. */
bool entry_doubt(struct entries *e, const char *user, int64_t since);

/* Roles have been altered: all is asked for anew. */
void entries_doubt(struct entries *e);

/* --- for whoever asks PostgreSQL ----------------------------------------- */

struct entry_ops {
	/* entries_next() has a user now; a question that is still under way is of no use any
	 * more. */
	void (*wanted)(void *ctx);
	/* What was fetched earlier of this user is not true any more. */
	void (*changed)(void *ctx, const char *user);
};

/* Without an asker, set once, nobody but pool_passwd's users is known. */
void entries_set_asker(struct entries *e, const struct entry_ops *ops, void *ctx);

/* The user to ask about, which is the one that has been waited for longest.  NULL: nobody waits.
 * One of the three below ends it, before the next. */
const char *entries_next(struct entries *e);

/* PostgreSQL's answer: the password as it stores it, and until when that is good, in seconds since
 * 1970.  NULL or "": there is no such user. */
void entries_answer(struct entries *e, const char *password, double until);

/* It could not be asked about this user, or about any. */
void entries_fail(struct entries *e, const char *why, bool any);
void entries_ask_again(struct entries *e);              /* the question was put to the wrong node */

#endif
