#include "client/leaves.h"

#include <string.h>

/* Functions that concern more than their statement. */
static const struct { const char *name; uint8_t what; } functions[] = {
	{ "setseed", LEAVES_MORE },
	{ "pg_replication_origin_session_setup", LEAVES_MORE },
	{ "pg_create_physical_replication_slot", LEAVES_MORE },
	{ "pg_create_logical_replication_slot", LEAVES_MORE },
	{ "pg_copy_physical_replication_slot", LEAVES_MORE },
	{ "pg_copy_logical_replication_slot", LEAVES_MORE },
	{ "pg_backup_start", LEAVES_MORE },
	{ "pg_start_backup", LEAVES_MORE },
	{ "dblink_connect", LEAVES_MORE },
	{ "dblink_connect_u", LEAVES_MORE },
	{ "set_limit", LEAVES_MORE },
	{ "pgv_set", LEAVES_MORE },
	{ "pgv_insert", LEAVES_MORE },
	{ "pg_cancel_backend", LEAVES_SIGNAL },
	{ "pg_terminate_backend", LEAVES_SIGNAL | LEAVES_END },
};

static bool see_name(void *ctx, const char *name, bool called)
{
	unsigned *what = ctx;

	for (size_t i = 0; called && i < sizeof functions / sizeof *functions; i++)
		if (!strcmp(functions[i].name, name))
			*what |= functions[i].what;
	return false;
}

void leaves_note_parameter(struct client *c, const char *name)
{
	if (strchr(name, '.'))
		c->borrower.residue |= residue_of(&c->all->servers->residues, name);
}

/* The name is at p, a literal or something that we cannot know. */
static void note_argument(struct client *c, const char *p)
{
	char name[128];
	size_t n = *p == '\'' ? strcspn(p + 1, "'\\") : sizeof name;

	if (n >= sizeof name || p[n + 1] != '\'' || p[n + 2] == '\'') {
		c->borrower.residue |= RESIDUE_UNKNOWN;
		return;
	}
	memcpy(name, p + 1, n);
	name[n] = 0;
	leaves_note_parameter(c, name);
}

/* Each set_config() of the text, which is zero-terminated behind its end. */
static void note_calls(struct client *c, const char *text, size_t len)
{
	static const char blank[] = " \t\r\n\f\v";
	const char *end = text + len;

	for (const char *p = text; (p = strcasestr(p, "set_config")) && p < end; ) {
		p += strlen("set_config");
		p += *p == '"';
		p += strspn(p, blank);
		if (*p == '(')
			note_argument(c, p + 1 + strspn(p + 1, blank));
	}
}

unsigned leaves_note(struct client *c, const struct sql_facts *f, const char *text, size_t len)
{
	char name[128];
	unsigned what = f->kind == SQL_LOAD ? LEAVES_MORE : 0;

	if (f->kind == SQL_SET || f->kind == SQL_RESET) {       /* RESET makes the name, too */
		sql_parameter(name, text, f);
		leaves_note_parameter(c, name);
	}
	if (f->flags & SQL_SET_CONFIG)
		note_calls(c, text, len);
	if (f->flags & SQL_FUNCTION)
		sql_mentions(text, len, see_name, &what);
	if (what & LEAVES_MORE)
		c->borrower.residue |= RESIDUE_UNKNOWN;
	return what;
}
