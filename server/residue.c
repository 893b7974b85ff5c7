#include "server/residue.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* Those of the proxy mean nothing to who has not set them. */
static const char ours[] = "pgpool.";

uint64_t residue_of(struct residues *all, const char *name)
{
	unsigned i = 0;

	if (!strncasecmp(name, ours, sizeof ours - 1))
		return 0;
	while (i < all->n && strcasecmp(all->name[i], name) != 0)
		i++;
	if (i == RESIDUE_NAMES)
		return RESIDUE_UNKNOWN;
	if (i == all->n && !(all->name[all->n++] = strdup(name))) {
		all->n--;
		return RESIDUE_UNKNOWN;
	}
	return UINT64_C(1) << i;
}

void residues_free(struct residues *all)
{
	while (all->n)
		free(all->name[--all->n]);
}
