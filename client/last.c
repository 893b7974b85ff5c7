#include "client/last.h"

#include "client.h"

#include <string.h>

static struct last *slot(const struct client *c)
{
	return &c->all->last[c->pid % LAST_STATEMENTS];
}

void last_note(struct client *c, const char *text, size_t len)
{
	struct last *l = slot(c);

	if (!text)
		return;
	len = wire_cut(text, len, LAST_TEXT - 1);
	l->pid = c->pid;
	memcpy(l->text, text, len);
	l->text[len] = '\0';
}

const char *last_text(const struct client *c)
{
	struct last *l = slot(c);

	if (l->pid != c->pid)
		return "";
	wire_mask(l->text);
	return l->text;
}

void last_forget(struct client *c)
{
	if (slot(c)->pid == c->pid)
		slot(c)->pid = 0;
}
