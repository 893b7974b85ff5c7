/* server/residue.h - what a session leaves on its servers that no reset takes away.
 *
 * A custom parameter (app.tenant) exists once it has been SET, even if that was rolled back: from
 * then on it reads '' where a new connection has NULL, or an error.  So a server remembers which
 * names it has had, a session which ones it has said, and a server is lent only to sessions that
 * have said all of its names.  Applications that use such names do so in every session.
 *
 * Names are bits.  A session whose residue have no name - a library that was loaded, the state of
 * random(), a name that is computed - has RESIDUE_UNKNOWN, and its servers are not used again.
 */
#ifndef SERVER_RESIDUE_H
#define SERVER_RESIDUE_H

#include <stdint.h>

#define RESIDUE_UNKNOWN (UINT64_C(1) << 63)

enum { RESIDUE_NAMES = 63 };

struct residues {
	char *name[RESIDUE_NAMES];
	unsigned n;
};

/* The bit of a custom parameter; RESIDUE_UNKNOWN without memory, or if there are too many names. */
uint64_t residue_of(struct residues *all, const char *name);
void residues_free(struct residues *all);

#endif
