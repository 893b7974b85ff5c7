#include "client/code.h"

#include "client/doubt.h"
#include "client/facts.h"

#include <string.h>

/* Functions of PostgreSQL's own, or in C, that keep something for the session. */
static bool keeps(void *ctx, const char *name, bool called)
{
	static const char *const names[] = { "nextval", "setseed", "dblink_connect",
		"dblink_connect_u", "dblink_open", "set_limit", "pgv_set", "pgv_insert",
		"pg_replication_origin_session_setup", "pg_backup_start", "pg_start_backup",
		"pg_create_logical_replication_slot", "pg_create_physical_replication_slot" };

	(void)ctx;
	for (size_t i = 0; called && i < sizeof names / sizeof *names; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

bool code_keeps(const char *text, size_t len)
{
	return sql_mentions(text, len, keeps, NULL);
}

/* What only home may do, of PostgreSQL's own functions. */
static bool is_homes(void *ctx, const char *name, bool called)
{
	const struct client *c = ctx;

	/* Of a sequence that is not temporary, a READ ONLY transaction may not ask for more. */
	if (!strcmp(name, "nextval"))
		return called && c->session.temporary;
	return keeps(NULL, name, called) || (called && strstr(name, "advisory"));
}

static bool locks(void *ctx, const char *name, bool called)
{
	(void)ctx;
	return called && strstr(name, "advisory") && !strstr(name, "_xact_");
}

/* What a view may leave by itself, without the code of others. */
enum { CODE_VIEW = CODE_SETTINGS | CODE_LOCK };

/* What a call of the database's own code may leave. */
static unsigned database_code(struct client *c)
{
	return bodies_can(c->all->bodies, c->borrower.profile->account) & ~(unsigned)CODE_HOOKED;
}

/* A name that the catalog has not told of may be a view, which calls any. */
static bool may_be_view(const struct sql_facts *f)
{
	return f->flags & SQL_UNKNOWN;
}

static bool calls_code(const struct sql_facts *f)
{
	return (f->flags & SQL_FOREIGN) || f->kind == SQL_CALL || f->kind == SQL_DO;
}

/* What the code of an unknown view may leave.  Whether there is any, and it computes names, is
 * judged when the catalog has told of it: see note_view(). */
static unsigned view_code(struct client *c)
{
	return database_code(c) & ~(unsigned)(CODE_NAMES | CODE_UNKNOWN);
}

/* What the code behind a statement that calls some may leave in the session. */
static unsigned called_code(struct client *c, const struct sql_facts *f, const char *text,
                            size_t len)
{
	struct account *a = c->borrower.profile->account;
	unsigned can = 0;

	if (f->kind == SQL_PREPARE)
		return 0;
	if (f->kind == SQL_OTHER)
		can |= CODE_ANYTHING;
	if (f->kind == SQL_DO)
		can |= bodies_text(c->all->bodies, a, text, len);
	/* One that nobody has called yet may be new, by DDL that was not a client's. */
	if ((f->flags & SQL_FOREIGN) && bodies_aged(c->all->bodies, a)
	    && !facts_known(c, f, text, len))
		can |= CODE_ANYTHING | CODE_AGED;
	if (calls_code(f))
		can |= database_code(c);
	else if (may_be_view(f))
		can |= view_code(c);
	if (f->flags & SQL_ADVISORY
	    || ((f->flags & SQL_FUNCTION) && sql_mentions(text, len, locks, NULL)))
		can |= CODE_LOCK;
	if (f->flags & SQL_SETS)
		can |= CODE_SETTINGS;
	return can;
}

bool code_is_homes(struct client *c, const struct sql_facts *f, const char *text, size_t len)
{
	return (f->kind != SQL_OTHER && (called_code(c, f, text, len) & CODE_ANYTHING))
	       || ((f->flags & SQL_FUNCTION) && sql_mentions(text, len, is_homes, c));
}

bool code_awaited(struct client *c, const struct sql_facts *f)
{
	return (calls_code(f) || may_be_view(f))
	       && bodies_ask(c->all->bodies, c->borrower.profile->account, 0);
}

/* Names that are computed, or that nobody has told yet, cannot be asked for: see doubt.c. */
static void doubt_code(struct client *c, unsigned can)
{
	struct account *a = c->borrower.profile->account;
	uint32_t number = can & CODE_AGED ? bodies_next(c->all->bodies, a) : 0;

	if ((can & (CODE_NAMES | CODE_UNKNOWN | CODE_AGED)) && c->foreign <= number)
		c->foreign = number + 1;
	doubt_add(c, can);
}

/* Triggers and the like may be such code.  It is asked about when a read would leave the
 * primary; or at once, if we do not know what there is.  Until then it pins what they may have
 * left there. */
void code_note_hooks(struct client *c)
{
	unsigned can = nodes_balance(c->all->servers->nodes)
	               ? bodies_can(c->all->bodies, c->borrower.profile->account) : 0;

	if (can & CODE_HOOKED) {
		doubt_code(c, can);
		c->pins |= can & CODE_ANYTHING & ~CODE_SETTINGS ? PIN_DOUBT : 0;
	}
	c->ask_soon |= (can & CODE_UNKNOWN) != 0;
}

/* A call is asked about at once, and pins until it is answered. */
static void note_call(struct client *c, unsigned can)
{
	doubt_code(c, can);
	if (!(can & CODE_ANYTHING))
		return;
	c->ask_soon = true;
	c->pins |= PIN_DOUBT;
}

/* It may set parameters under names that it computes: judged when the catalog has told of it, which
 * may have been before. */
static void note_view(struct client *c, bool known)
{
	unsigned told = known ? 0 : bodies_computed(c->all->bodies, c->borrower.profile->account);

	if (!c->unheard || told < c->unheard)
		c->unheard = told + 1;
}

void code_note(struct client *c, const struct sql_facts *f, bool hooks, const char *text,
               size_t len)
{
	unsigned can = called_code(c, f, text, len);

	if (f->kind != SQL_PREPARE && may_be_view(f)) {
		note_view(c, false);
		can |= CODE_VIEW;
	} else if (f->flags & SQL_SETS) {
		note_view(c, true);
	}
	note_call(c, can);
	if (hooks && !(can & CODE_ANYTHING))
		code_note_hooks(c);
	/* ALTER may give a temporary table another name, and search_path may begin with
	 * pg_temp. */
	if (f->kind == SQL_DDL && !(f->flags & SQL_TEMP))
		doubt_add(c, CODE_TEMPORARY);
}

/* ctx: is this within an expression? */
static bool makes_code(void *ctx, const char *name, bool called)
{
	static const char *const code[] = { "view", "rule", "trigger", "function", "procedure",
		"domain", "operator", "aggregate", "policy", "set_config" };
	static const char *const begins[] = { "default", "check", "generated" };
	static const char *const harmless[] = { "check", "key", "unique", "references", "now",
		"varchar", "varying", "char", "character", "numeric", "decimal", "bit", "time",
		"timestamp", "interval", "as" };
	bool *expression = ctx;

	for (size_t i = 0; i < sizeof code / sizeof *code; i++)
		if (!strcmp(name, code[i]))
			return true;
	for (size_t i = 0; i < sizeof begins / sizeof *begins; i++)
		*expression |= !strcmp(name, begins[i]);
	for (size_t i = 0; i < sizeof harmless / sizeof *harmless; i++)
		if (!strcmp(name, harmless[i]))
			return false;
	return *expression && called;
}

bool code_is_made(const char *text, size_t len)
{
	return sql_mentions(text, len, makes_code, &(bool){ false });
}

void code_note_unknown(struct client *c)
{
	note_view(c, false);
	note_call(c, view_code(c) | CODE_VIEW);
}

void code_note_text(struct client *c, const char *text, size_t len)
{
	unsigned can = text ? bodies_text(c->all->bodies, c->borrower.profile->account, text, len)
	                    : CODE_ANYTHING | CODE_DDL;

	c->session.changed |= (can & CODE_DDL) != 0;
	note_call(c, can);
}

void code_note_any(struct client *c)
{
	c->pins |= PIN_DOUBT;
	c->ask_soon = true;
	doubt_code(c, bodies_can(c->all->bodies, c->borrower.profile->account) | CODE_LOCK);
}

void code_note_end(struct client *c, const struct sql_facts *f)
{
	static const struct { uint8_t kind, pin, code; } ends[] = {
		{ SQL_UNLISTEN, PIN_LISTEN, CODE_LISTEN },
		{ SQL_CLOSE, PIN_CURSOR, CODE_CURSOR },
		{ SQL_ROLLBACK, PIN_CURSOR, CODE_CURSOR },
		{ SQL_DDL, PIN_TEMPORARY, CODE_TEMPORARY },
		{ SQL_DISCARD, PIN_TEMPORARY, CODE_TEMPORARY },
		{ SQL_COMMIT, PIN_TEMPORARY, CODE_TEMPORARY },
		{ SQL_ROLLBACK, PIN_TEMPORARY, CODE_TEMPORARY },
	};

	if (!c->pins || (f->flags & SQL_TEMP))
		return;
	for (size_t i = 0; i < sizeof ends / sizeof *ends; i++)
		if (ends[i].kind == f->kind && c->pins & ends[i].pin) {
			c->ask_soon = true;
			doubt_add(c, ends[i].code);
		}
}
