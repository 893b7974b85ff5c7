#include "route/names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Where the name is in the list, or would be. */
static unsigned list_place(const struct name_list *l, const char *name)
{
	unsigned from = 0, to = l ? l->n : 0;

	while (from < to) {
		unsigned mid = from + (to - from) / 2;
		if (strcmp(l->at[mid].name, name) < 0)
			from = mid + 1;
		else
			to = mid;
	}
	return from;
}

bool route_names_has(const struct name_list *l, const char *name)
{
	unsigned i = list_place(l, name);

	return l && i < l->n && !strcmp(l->at[i].name, name);
}

struct listed *route_names_find(struct name_list *l, const char *name)
{
	return route_names_has(l, name) ? &l->at[list_place(l, name)] : NULL;
}

/* NULL without memory. */
static struct name_list *list_grow(struct name_list **list)
{
	struct name_list *l = *list, *more;
	unsigned cap = l ? l->cap * 2 : 4;

	if (l && l->n < l->cap)
		return l;
	if (!(more = realloc(l, sizeof *more + cap * sizeof more->at[0])))
		return NULL;
	if (!l)
		*more = (struct name_list){ 0 };
	more->cap = cap;
	return *list = more;
}

struct listed *route_names_add(struct name_list **list, const char *name, bool function)
{
	char text[128];

	snprintf(text, sizeof text, "%s%s", name, function ? "()" : "");
	struct listed *have = route_names_find(*list, text);
	if (have)
		return have;
	struct name_list *l = list_grow(list);
	char *copy = l ? strdup(text) : NULL;
	if (!copy)
		return NULL;
	unsigned i = list_place(l, text);
	memmove(&l->at[i + 1], &l->at[i], (l->n++ - i) * sizeof l->at[0]);
	l->at[i] = (struct listed){ .name = copy, .made = true };
	l->unsettled = true;
	return &l->at[i];
}

void route_names_clear(struct name_list **list)
{
	struct name_list *l = *list;

	for (unsigned i = 0; l && i < l->n; i++)
		free(l->at[i].name);
	free(l);
	*list = NULL;
}
