/* client/leaves.h - the statements that leave something on a server which no reset takes away. */
#ifndef CLIENT_LEAVES_H
#define CLIENT_LEAVES_H

#include "client.h"

enum {
	LEAVES_MORE = 1,        /* more than names */
	LEAVES_SIGNAL = 2,      /* it signals a process, see client/signal.h; */
	LEAVES_END = 4,         /* that is to end */
};

/* Adds to the session's residue what this statement will leave, and returns what it does.  It
 * counts from when it is planned, so that its server may be one that has had its names. */
unsigned leaves_note(struct client *c, const struct sql_facts *f, const char *text, size_t len);

/* A parameter of the startup packet. */
void leaves_note_parameter(struct client *c, const char *name);

#endif
