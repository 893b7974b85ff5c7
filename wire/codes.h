/* wire/codes.h - how often which SQLSTATE, or class of them, has come. */
#ifndef WIRE_CODES_H
#define WIRE_CODES_H

#include <stddef.h>
#include <stdint.h>

enum {
	CODES = 64,                             /* PostgreSQL has 44 classes */
	CODE_CLASS = 2, CODE_WHOLE = 5,         /* characters */
};

/* In no order; a name of "" is none.  The last one is "??": what is no SQLSTATE of PostgreSQL's
 * classes, and all others when the table is full. */
struct codes {
	struct coded {
		char name[CODE_WHOLE + 1];
		uint64_t n;
	} of[CODES];
};

/* len: how much of it tells them apart.  NULL is none. */
void codes_count(struct codes *all, const char *sqlstate, size_t len);

#endif
