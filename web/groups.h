/* web/groups.h - sessions by user and database. */
#ifndef WEB_GROUPS_H
#define WEB_GROUPS_H

#include "admin.h"

enum { GROUPS_MAX = 100 };                      /* that are told apart */

struct groups {
	const struct account *of[GROUPS_MAX];
	size_t sessions[GROUPS_MAX], n;
	size_t others, all;                     /* beyond those; of all */
	size_t pooled;                          /* connections of nobody */
};

void groups_count(struct groups *g, const struct admin *a);

/* Whose session it is; NULL: nobody's, or of somebody who has not proved it yet. */
const struct account *groups_account(const struct client *c);

#endif
