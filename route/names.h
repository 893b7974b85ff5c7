/* route/names.h - lists of names that a session remembers. */
#ifndef ROUTE_NAMES_H
#define ROUTE_NAMES_H

#include <stdbool.h>

/* Names of tables, or "f()" of functions, in order.  A temporary one was made in this transaction
 * and not before; it was dropped in it, or will be at its end. */
struct name_list {
	unsigned n, cap;
	bool unsettled;                         /* one was made, or dropped */
	struct listed {
		char *name;
		bool made, dropped;
	} at[];
};

/* NULL is an empty list; so is what route_names_find() does not find. */
struct listed *route_names_find(struct name_list *l, const char *name);
bool route_names_has(const struct name_list *l, const char *name);

/* The one of this name, or of name() for a function; it is added if need be.  NULL without
 * memory. */
struct listed *route_names_add(struct name_list **list, const char *name, bool function);
void route_names_clear(struct name_list **list);

#endif
