#include "client/signal.h"

#include "client/plan.h"
#include "client/query.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS = 10 };                           /* of every session's process id */

struct seen {
	struct clients *all;
	const struct node *to;                  /* NULL: only looks for the first */
	struct server *server;                  /* that was found first */
	bool ends;
};

/* That runs its request; else the primary's, or any. */
static struct server *server_of(const struct client *c)
{
	struct server *s = c->borrowed;

	if (c->inflight)
		return c->last->request.server;
	for (struct server *t = s; t; t = t->next_borrowed)
		if (server_is_primary(t))
			s = t;
	return s;
}

/* A number of the request, of this many bytes: text, or a parameter in binary form. */
static void see_number(struct seen *seen, uint32_t pid, uint8_t *at, size_t len)
{
	struct client *c = client_find(seen->all, pid);
	struct server *s = c ? server_of(c) : NULL;
	char text[DIGITS + 1];

	if (!seen->server)
		seen->server = s;
	if (!s || s->node != seen->to)
		return;
	c->terminated |= seen->ends;
	snprintf(text, sizeof text, "%*u", DIGITS, s->pid);
	struct put o = { .base = at, .cap = len };
	if (len == DIGITS)
		put_bytes(&o, text, DIGITS);
	else
		put_u32(&o, s->pid);
}

static void see_text(struct seen *seen, uint8_t *p, const uint8_t *end)
{
	while (p < end) {
		uint64_t n = 0;
		uint8_t *from = p;
		for (; p < end && isdigit(*p) && p - from < DIGITS + 1; p++)
			n = n * 10 + (*p - '0');
		if (p - from == DIGITS && n <= INT32_MAX)
			see_number(seen, (uint32_t)n, from, DIGITS);
		if (p == from)
			p++;
	}
}

/* The values behind the formats of a Bind. */
static void see_parameters(struct seen *seen, struct msg *m)
{
	msg_text(m);
	msg_text(m);
	for (unsigned n = msg_u16(m); n; n--)
		msg_u16(m);
	for (unsigned n = msg_u16(m); n && !m->broken; n--) {
		uint32_t len = msg_u32(m);
		uint8_t *value = (uint8_t *)(uintptr_t)m->at;
		if (len == UINT32_MAX)
			continue;
		if (len > (size_t)(m->end - m->at))
			return;
		if (len == 4)
			see_number(seen, wire_u32(value), value, len);
		else
			see_text(seen, value, value + len);
		m->at += len;
	}
}

/* A named statement is kept for later, when the number may be another's: it stays as it is. */
static void see_request(struct seen *seen, uint8_t *p, size_t n)
{
	struct msg m;

	for (long len; n && (len = wire_next(&m, p, n, MESSAGE_MAX)) > 0; p += len) {
		n -= (size_t)len;
		if (m.type == 'Q' || (m.type == 'P' && m.at < m.end && !*m.at))
			see_text(seen, p + WIRE_HEADER, m.end);
		else if (m.type == 'B')
			see_parameters(seen, &m);
	}
}

struct node *signal_node(struct client *c, const uint8_t *p, size_t n)
{
	struct seen seen = { .all = c->all };

	see_request(&seen, (uint8_t *)(uintptr_t)p, n);
	return seen.server ? seen.server->node : NULL;
}

void signal_translate(struct client *c, const struct node *to, bool ends, uint8_t *p, size_t n)
{
	see_request(&(struct seen){ .all = c->all, .to = to, .ends = ends }, p, n);
}
