/* client/parameter.h - SET, RESET and set_config(): what their texts and bound values say is set.
 *
 * They reach the session's script by value.  What a text does not tell is asked for: doubt.h.
 */
#ifndef CLIENT_PARAMETER_H
#define CLIENT_PARAMETER_H

#include "client.h"

/* A Bind's body, and the statement that it is for. */
struct binding {
	const uint8_t *at;                      /* NULL: there is none */
	size_t len;
	const struct stmt *stmt;                /* NULL: the types have been looked at */
};

/* A statement is being sent that may set something.  Does its text tell what?  If not, the session
 * doubts. */
bool parameter_note(struct client *c, const struct sql_facts *f, const char *text, size_t len,
                    const struct binding *b);

/* One whose text told has been run by this server. */
void parameter_apply(struct client *c, struct server *s, const struct sql_facts *f,
                     const char *text, const struct binding *b);

#endif
