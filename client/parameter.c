#include "client/parameter.h"

#include "client/doubt.h"
#include "client/transact.h"

#include <string.h>
#include <strings.h>

/* --- values in a Bind ---------------------------------------------------- */

/* Is the nth parameter of a type whose bytes are its text?  0 is for PostgreSQL to find out, which
 * means what set_config() takes. */
static bool type_fits(const struct stmt *st, unsigned nth, bool boolean)
{
	enum { BOOLEAN = 16, TEXT = 25, UNKNOWN = 705, VARCHAR = 1043 };
	const uint8_t *p = (const uint8_t *)st->text;
	struct msg m = { .at = p + st->query_len + 1, .end = p + st->len };
	unsigned n = msg_u16(&m);
	uint32_t type = 0;

	for (unsigned i = 0; i < n && i < nth; i++)
		type = i + 1 == nth ? msg_u32(&m) : (msg_u32(&m), 0);
	return !type || (boolean ? type == BOOLEAN
	                         : type == TEXT || type == UNKNOWN || type == VARCHAR);
}

/* Zero is text. */
static unsigned format_of(struct msg *m, unsigned nth)
{
	unsigned n = msg_u16(m), format = 0;

	for (unsigned i = 1; i <= n; i++) {
		unsigned is = msg_u16(m);
		if (n == 1 || i == nth)
			format = is;
	}
	return format;
}

static bool bound_value(void *ctx, unsigned nth, bool boolean, const char **text, size_t *len)
{
	const struct binding *b = ctx;
	struct msg m = { .at = b->at, .end = b->at ? b->at + b->len : NULL };
	uint32_t size = UINT32_MAX;

	if (!b->at || !nth || (b->stmt && !type_fits(b->stmt, nth, boolean)))
		return false;
	msg_text(&m), msg_text(&m);
	bool binary = format_of(&m, nth) == 1;
	if (msg_u16(&m) < nth)
		return false;
	for (unsigned i = 0; i < nth; i++) {
		m.at += i && size < UINT32_MAX ? size : 0;
		size = msg_u32(&m);
		if (m.broken || (size != UINT32_MAX && size > (size_t)(m.end - m.at)))
			return false;
	}
	*text = (const char *)m.at;
	*len = size;
	if (binary && boolean && size == 1) {
		*text = *m.at ? "t" : "f";
		*len = 1;
	}
	return size != UINT32_MAX;
}

/* --- noted --------------------------------------------------------------- */

struct naming {
	struct binding binding;                 /* first: bound_value() looks at it alone */
	struct client *client;
};

/* The question behind this very request is to ask for it. */
static void note_custom(void *ctx, const struct sql_setting *set)
{
	const struct naming *n = ctx;
	const struct client *c = n->client;

	bodies_name(c->all->bodies, c->borrower.profile->account, set->name);
}

/* Names of custom parameters are not in what can be asked for, so they have to be in the text. */
bool parameter_note(struct client *c, const struct sql_facts *f, const char *text, size_t len,
                    const struct binding *b)
{
	struct account *a = c->borrower.profile->account;
	char name[128];

	if (f->flags & SQL_ALL || (!(f->flags & SQL_SET_CONFIG) && f->kind != SQL_SET
	                           && f->kind != SQL_RESET))
		return false;
	struct naming naming = { *b, c };
	if (sql_settings(text, f, bound_value, note_custom, &naming))
		return true;
	c->ask_soon = true;
	doubt_add(c, CODE_SETTINGS);
	if (f->kind == SQL_SET) {
		sql_parameter(name, text, f);
		c->script.full |= !bodies_name(c->all->bodies, a, name);
	} else if (bodies_text(c->all->bodies, a, text, len) & CODE_NAMES) {
		c->script.full = true;
	}
	return false;
}

/* --- applied ------------------------------------------------------------- */

/* Of a setting: who runs what is applied. */
struct applying {
	struct binding binding;                 /* first, as in struct naming */
	struct client *c;
	struct server *s;
};

/* These are of the open transaction.  Outside of one, setting them has no lasting effect. */
static bool of_transaction(const char *name)
{
	return !strncmp(name, "transaction_", 12);
}

/* Modes of the open transaction can be set like parameters. */
static void apply_transaction_setting(struct client *c, const struct sql_setting *set)
{
	char text[SQL_SETTING_MAX];
	struct put o = { .base = (uint8_t *)text, .cap = sizeof text };
	struct sql_facts f = { .kind = SQL_SET_TRANSACTION };

	if (!c->session.in_transaction)
		return;
	if (!strcmp(set->name, "transaction_isolation"))
		f.level = sql_level_named(set->values, strlen(set->values));
	if (!strcmp(set->name, "transaction_read_only"))
		f.flags |= strcasecmp(set->values, "on") ? SQL_READ_WRITE : SQL_READ_ONLY;
	transact_begun(c, &f);
	sql_put_setting(&o, set);
	script_add(&c->script, &f, "", text, o.len);
}

/* The server that has just run the statement must not run it again, so it stays level if it was. */
static void apply_setting(void *ctx, const struct sql_setting *set)
{
	struct applying *a = ctx;
	struct client *c = a->c;
	bool was_level = a->s->script == c->script.serial;

	if (of_transaction(set->name))
		apply_transaction_setting(c, set);
	else if (set->local && !c->session.in_transaction)
		script_touch(&c->script, set->name);
	else
		script_set(&c->script, set);
	if (was_level)
		a->s->script = c->script.serial;
}

void parameter_apply(struct client *c, struct server *s, const struct sql_facts *f,
                     const char *text, const struct binding *b)
{
	struct applying a = { *b, c, s };

	sql_settings(text, f, bound_value, apply_setting, &a);
}
