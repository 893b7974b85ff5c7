#include "client/unread.h"

#include "client/code.h"

#include <stdlib.h>
#include <string.h>

enum {
	SEAM = 256,                             /* a word or a name may be cut: longer than any */
	READ_MAX = 16 << 20,                    /* bytes; what goes on may do anything */
};

struct unread {
	size_t n;                               /* bytes so far */
	size_t seam;
	char tail[2 * SEAM];                    /* the last of them, and room for what follows */
};

/* What stands across two pieces. */
static void look_at_seam(struct client *c, struct unread *u, const uint8_t *p, size_t n)
{
	size_t more = n < SEAM ? n : SEAM;

	memcpy(u->tail + u->seam, p, more);
	if (u->seam)
		code_note_text(c, u->tail, u->seam + more);
	u->seam += more;
	if (n > SEAM) {
		memcpy(u->tail, p + n - SEAM, SEAM);
		u->seam = SEAM;
	} else if (u->seam > SEAM) {
		memmove(u->tail, u->tail + u->seam - SEAM, SEAM);
		u->seam = SEAM;
	}
}

void unread_more(struct client *c, struct query *q, const uint8_t *p, size_t n)
{
	struct unread *u = q->unread;

	if (!u || u->n > READ_MAX)
		return;
	u->n += n;
	if (u->n > READ_MAX) {
		code_note_text(c, NULL, 0);
		return;
	}
	look_at_seam(c, u, p, n);
	code_note_text(c, (const char *)p, n);
}

int unread_begin(struct client *c, struct query *q, const uint8_t *p, size_t n)
{
	free(q->unread);
	q->unread = calloc(1, sizeof *q->unread);
	if (!q->unread)
		return -1;
	unread_more(c, q, p, n);
	return 0;
}
