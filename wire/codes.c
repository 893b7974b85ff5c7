#include "wire/codes.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

/* PostgreSQL's classes: those that code invents must not fill the table. */
static bool is_class(const char *sqlstate)
{
	static const char classes[] = "00 01 02 03 08 09 0A 0B 0F 0L 0P 0Z 10 20 21 22 23 24 25 26"
		" 27 28 2B 2D 2F 34 38 39 3B 3D 3F 40 42 44 53 54 55 57 58 72 F0 HV P0 XX ";

	for (const char *p = classes; *p; p += 3)
		if (!strncmp(p, sqlstate, CODE_CLASS))
			return true;
	return false;
}

static bool is_good(const char *sqlstate, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!isalnum((uint8_t)sqlstate[i]))
			return false;
	return is_class(sqlstate);
}

void codes_count(struct codes *all, const char *sqlstate, size_t len)
{
	struct coded *c = all->of, *last = c + CODES - 1;
	bool good = sqlstate && is_good(sqlstate, len);

	while (good && c < last && *c->name && strncmp(c->name, sqlstate, len))
		c++;
	c = good ? c : last;
	if (!*c->name)
		snprintf(c->name, sizeof c->name, "%.*s", (int)len, c < last ? sqlstate : "??");
	c->n++;
}
