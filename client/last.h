/* client/last.h - the last statement of each session, for those who look at the sessions.
 *
 * The beginnings of as many statements as there are slots are kept, in one block.  Of more sessions
 * than that, those whose numbers meet in a slot share it: the last one that sent something has it.
 * So a session needs no memory of its own, and a statement no allocation.
 */
#ifndef CLIENT_LAST_H
#define CLIENT_LAST_H

#include <stddef.h>
#include <stdint.h>

struct client;

enum { LAST_STATEMENTS = 1024, LAST_TEXT = 252 };

struct last {
	uint32_t pid;                           /* whose it is; or 0 */
	char text[LAST_TEXT];                   /* of a longer one, the beginning */
};

/* The session sends this statement; text may be NULL, then it goes on with what it had. */
void last_note(struct client *c, const char *text, size_t len);

/* "" if there is none, or others have taken its slot.  What is no UTF-8 in it is "?". */
const char *last_text(const struct client *c);

/* The session's number is going to be another one's. */
void last_forget(struct client *c);

#endif
