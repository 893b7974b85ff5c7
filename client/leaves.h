/* client/leaves.h - the statements that leave something on a server which no reset takes away. */
#ifndef CLIENT_LEAVES_H
#define CLIENT_LEAVES_H

#include "client.h"

/* Adds to the session's residue what this statement will leave.  It counts from when it is planned,
 * so that the server it gets may be one that has had its names. */
void leaves_note(struct client *c, const struct sql_facts *f, const char *text, size_t len);

/* A parameter of the startup packet. */
void leaves_note_parameter(struct client *c, const char *name);

#endif
