#include "wire/codes.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_good(const char *sqlstate, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((uint8_t)sqlstate[i]))
			return false;
	return true;
}

void codes_count(struct codes *all, const char *sqlstate, size_t len)
{
	struct coded *c = all->of, *last = c + CODES - 1;
	char name[CODE_WHOLE + 1] = "??";

	if (sqlstate && is_good(sqlstate, len))
		snprintf(name, sizeof name, "%.*s", (int)len, sqlstate);
	while (c < last && *c->name && strcmp(c->name, name))
		c++;
	if (!*c->name)
		strcpy(c->name, c < last ? name : "??");
	c->n++;
}
