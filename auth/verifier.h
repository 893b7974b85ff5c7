/* auth/verifier.h - SCRAM verifiers of the users whose clear password pool_passwd has.
 *
 * Each costs a key derivation, milliseconds.  They are made once, by a helper thread, from the
 * start on and those that somebody waits for first: so no login waits long, and how long a refusal
 * takes does not tell whether there is such a user.
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

/* From now on those of this table, which outlives the next call.  What is the same as in the one
 * before is kept; who waits is told, at the end of the turn, to ask again.  -1 without
 * memory: nothing changed. */
int verifiers_of(struct verifiers *v, const struct passwd *fresh);

/* Somebody who waits; embedded, zero before its first use. */
struct verifier_wait {
	struct verifier_wait *next, **at;
	uint32_t id;
	/* From the loop; NULL: ask again, the entries have changed. */
	void (*made)(struct verifier_wait *w, const struct scram_verifier *v);
};

/* The verifier of an entry of the table that has the clear password, or NULL: w is told later. */
const struct scram_verifier *verifier_ask(struct verifiers *v, const struct passwd_entry *e,
	struct verifier_wait *w);
void verifier_unask(struct verifier_wait *w);           /* no longer waits; may be called twice */

#endif
