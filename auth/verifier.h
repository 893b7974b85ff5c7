/* auth/verifier.h - SCRAM verifiers of users with a clear text password in pool_passwd.
 *
 * Each costs a key derivation, milliseconds.  A helper thread makes each once, beginning at the
 * start; those that somebody waits for come first.  So no login waits long, and the time of a
 * refusal does not reveal whether there is such a user.
 */
#ifndef AUTH_VERIFIER_H
#define AUTH_VERIFIER_H

#include "loop.h"

struct passwd;
struct passwd_entry;
struct scram_verifier;
struct verifiers;

struct verifiers *verifiers_new(struct loop *l);        /* NULL without memory */
void verifiers_free(struct verifiers *v);               /* NULL is fine */

/* Switches to this table, which must outlive the next call.  Verifiers of unchanged entries are
 * kept.  At the end of the turn, waiters are told to ask again.  -1 without memory: nothing
 * changed. */
int verifiers_of(struct verifiers *v, const struct passwd *fresh);

/* A waiter; embedded, zero before its first use. */
struct verifier_wait {
	struct verifier_wait *next, **at;
	uint32_t id;
	/* From the loop; NULL: ask again, the entries have changed. */
	void (*made)(struct verifier_wait *w, const struct scram_verifier *v);
};

/* The verifier of an entry of the table with a clear text password, or NULL: w is told later. */
const struct scram_verifier *verifier_ask(struct verifiers *v, const struct passwd_entry *e,
	struct verifier_wait *w);
void verifier_unask(struct verifier_wait *w);           /* no longer waits; may be called twice */

#endif
