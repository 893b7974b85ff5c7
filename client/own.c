#include "client/own.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* --- what is ours -------------------------------------------------------- */

struct shows *own_find(const struct client *c, const char *name)
{
	struct shows *s = c->own ? c->own->statements : NULL;

	while (s && !wire_same_name(s->name, name))
		s = s->next;
	return s;
}

struct shown *own_portal(const struct client *c, const char *name)
{
	struct shown *p = c->own ? c->own->portals : NULL;

	while (p && !wire_same_name(p->name, name))
		p = p->next;
	return p;
}

/* PGPOOL is nobody else's word.  A SHOW of what we do not know is PostgreSQL's to refuse. */
bool own_statement(const struct client *c, const char *text, const struct sql_facts *f)
{
	struct sql_own says;
	char name[64];

	if (f->kind == SQL_DEALLOCATE) {
		sql_name(name, text, f->name);
		return *name && own_find(c, name);
	}
	if (!c->all->own)
		return false;
	return f->kind == SQL_PGPOOL
	       || (sql_own(&says, text, f) && (strncmp(says.name, "pool_", 5)
	                                       || c->all->own->find(c->all->own_ctx, &says)));
}

enum own_text own_text(const struct client *c, const char *text, size_t len)
{
	struct sql_facts f = { .next = 0 };
	bool ours = false, others = false;

	for (size_t at = 0; at < len; at += f.next) {
		sql_classify(&f, text + at, len - at, NULL);
		bool is = own_is(c, text + at, &f);
		ours |= is;
		others |= !is && f.kind != SQL_EMPTY;
		if (!f.next)
			break;
	}
	return !ours ? OWN_NOT : others ? OWN_BESIDE : OWN_ALL;
}

bool own_used(const struct client *c, struct msg m)
{
	char what = 0;

	switch (m.type) {
	case 'P': {
		const char *name = msg_text(&m);
		return *name && own_find(c, name);
	}
	case 'B':
		msg_text(&m);
		return own_find(c, msg_text(&m));
	case 'D': case 'C':
		what = m.at < m.end ? (char)*m.at++ : 0;
		break;
	case 'E':
		what = 'P';
	}
	const char *name = what ? msg_text(&m) : "";
	return what == 'S' ? own_find(c, name) != NULL : what && own_portal(c, name);
}

void own_drop(struct client *c, const char *name)
{
	for (struct shows **at = &c->own->statements, *s; (s = *at); at = &s->next)
		if (wire_same_name(s->name, name)) {
			*at = s->next;
			free(s);
			return;
		}
}

void own_drop_portal(struct client *c, const char *name)
{
	for (struct shown **at = &c->own->portals, *p; (p = *at); at = &p->next)
		if (wire_same_name(p->name, name)) {
			*at = p->next;
			free(p);
			return;
		}
}

/* --- PGPOOL SET ---------------------------------------------------------- */

static void forget_set(struct own *o, const char *name)
{
	for (struct set **at = &o->sets, *s; (s = *at); )
		if (name && strcmp(s->name, name)) {
			at = &s->next;
		} else {
			*at = s->next;
			free(s);
		}
}

static void tell_nobody(void *ctx, enum level severity, const char *file, int line, int column,
                        const char *text)
{
	(void)ctx, (void)severity, (void)file, (void)line, (void)column, (void)text;
}

/* Without memory it is the program's configuration. */
void own_reload(struct client *c)
{
	static const struct conf_messages nobody = { tell_nobody, NULL };
	struct own *o = c->own;

	if (!o)
		return;
	free(o->conf);
	o->conf = o->sets ? conf_session(c->all->base->conf) : NULL;
	for (struct set *s = o->sets; s && o->conf; s = s->next)
		conf_set(o->conf, s->name, s->value, &nobody);
}

static bool is_value(struct client *c, const char *name, const char *value,
                     const struct conf_messages *m)
{
	struct conf *try = conf_session(c->all->base->conf);
	bool is = try && conf_set(try, name, value, m);

	free(try);
	return is;
}

bool own_set(struct client *c, const char *name, const char *value, const struct conf_messages *m)
{
	struct set *s = NULL;

	if (value && (!is_value(c, name, value, m)
	              || !(s = malloc(sizeof *s + strlen(value) + 1))))
		return false;
	forget_set(c->own, name);
	if (s) {
		strcpy(s->value, value);
		snprintf(s->name, sizeof s->name, "%s", name);
		s->next = c->own->sets;
		c->own->sets = s;
	}
	own_reload(c);
	return true;
}

/* --- ends ---------------------------------------------------------------- */

void own_unnamed_gone(struct client *c)
{
	if (c->own)
		own_drop(c, "");
}

void own_portal_gone(struct client *c)
{
	if (c->own)
		own_drop_portal(c, "");
}

void own_portals_gone(struct client *c)
{
	while (c->own && c->own->portals)
		own_drop_portal(c, c->own->portals->name);
}

void own_statements_gone(struct client *c)
{
	while (c->own && c->own->statements)
		own_drop(c, c->own->statements->name);
}

void own_canceled(struct client *c)
{
	if (c->own)
		c->own->going = false;
}

void own_free(struct client *c)
{
	own_portals_gone(c);
	own_statements_gone(c);
	if (c->own) {
		forget_set(c->own, NULL);
		free(c->own->conf);
	}
	free(c->own);
	c->own = NULL;
}
