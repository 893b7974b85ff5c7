#include "client/script.h"

#include "wire.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void free_line(struct script_line *l)
{
	free(l->name);
	free(l->text);
	free(l->value);
}

static void truncate_to(struct script *s, uint32_t n)
{
	while (s->n > n)
		free_line(&s->line[--s->n]);
}

static bool for_good(const struct script_line *l)
{
	return (l->kind == SQL_SET && !(l->flags & SQL_LOCAL)) || l->kind == SQL_RESET
	       || l->kind == SQL_DISCARD;
}

/* RESET ALL leaves the session's role and session_authorization alone; DISCARD ALL does not. */
static bool spares(enum sql_kind kind, const char *parameter)
{
	return kind == SQL_RESET && (!strcasecmp(parameter, "role")
	                             || !strcasecmp(parameter, "session_authorization"));
}

static bool resets(const struct script_line *l, const char *name)
{
	return (l->flags & SQL_ALL) && (l->kind == SQL_DISCARD || l->kind == SQL_RESET)
	       && !spares(l->kind, name);
}

/* SET and RESET SESSION AUTHORIZATION reset the role, too. */
static bool same_parameter(const struct script_line *later, const char *name)
{
	return !strcmp(later->name, name)
	       || (!strcmp(later->name, "session_authorization") && !strcmp(name, "role"));
}

/* Is the line made pointless by a later one? */
static bool overruled(const struct script *s, uint32_t i)
{
	const char *name = s->line[i].name;

	for (uint32_t k = i + 1; k < s->n; k++)
		if (resets(&s->line[k], name)
		    || (*name && for_good(&s->line[k]) && same_parameter(&s->line[k], name)))
			return true;
	return false;
}

/* Which lines come later. */
static int rank(const struct script_line *l)
{
	return !strcmp(l->name, "role") ? 2 : !strcmp(l->name, "session_authorization");
}

/* The last line becomes the last one of its rank. */
static void sink(struct script *s, uint32_t n)
{
	struct script_line l = s->line[n - 1];
	uint32_t at = n - 1;

	for (; at && rank(&s->line[at - 1]) > rank(&l); at--)
		s->line[at] = s->line[at - 1];
	s->line[at] = l;
}

/* Nothing takes the name of a custom parameter away: from when it was first set, locally or in a
 * transaction that was rolled back, it reads '' instead of NULL.  A RESET gives another server the
 * name.  false: no such line, or without memory. */
static bool becomes_reset(struct script_line *l)
{
	char text[SQL_SETTING_MAX];
	struct put o = { .base = (uint8_t *)text, .cap = sizeof text };
	struct sql_setting set = { .reset = true };

	if ((l->kind != SQL_SET && l->kind != SQL_RESET) || !strchr(l->name, '.')
	    || strlen(l->name) >= sizeof set.name)
		return false;
	strcpy(set.name, l->name);
	sql_put_setting(&o, &set);
	char *copy = o.full ? NULL : strndup(text, o.len);
	if (!copy)
		return false;
	free(l->text);
	free(l->value);
	l->text = copy;
	l->value = NULL;
	l->kind = SQL_RESET;
	l->flags = 0;
	return true;
}

static bool is_known(const struct script *s, uint32_t n, const char *name)
{
	for (uint32_t i = 0; i < n; i++)
		if (for_good(&s->line[i]) && !strcmp(s->line[i].name, name))
			return true;
	return false;
}

/* Takes back the lines from here on. */
static void take_back(struct script *s, uint32_t from)
{
	uint32_t kept = from;

	for (uint32_t i = from; i < s->n; i++) {
		struct script_line l = s->line[i];
		if (!is_known(s, kept, l.name) && becomes_reset(&l))
			s->line[kept++] = l;
		else
			free_line(&l);
	}
	s->n = kept;
}

/* Of those for good, by its name: RESET ALL and DISCARD ALL have none. */
static bool is_last(const struct script *s, uint32_t i)
{
	for (uint32_t k = i + 1; k < s->n; k++)
		if (for_good(&s->line[k]) && !strcmp(s->line[k].name, s->line[i].name))
			return false;
	return true;
}

static void compact(struct script *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n; i++)
		if (!for_good(&s->line[i]) && !is_known(s, s->n, s->line[i].name))
			becomes_reset(&s->line[i]);
	for (uint32_t i = 0; i < s->n; i++) {
		bool good = for_good(&s->line[i]);
		if (good && (!overruled(s, i) || (is_last(s, i) && becomes_reset(&s->line[i]))))
			s->line[kept++] = s->line[i];
		else
			free_line(&s->line[i]);
	}
	for (uint32_t i = 1; i <= kept; i++)
		sink(s, i);
	s->n = s->transaction = kept;
}

/* Is the line, one of the open transaction, made pointless by a later one, with no savepoint
 * between them?  What stands behind a role needs its rights. */
static bool repeated(const struct script *s, uint32_t i)
{
	const struct script_line *l = &s->line[i];

	for (uint32_t k = i + 1; k < s->n && s->line[k].kind != SQL_SAVEPOINT; k++) {
		const struct script_line *later = &s->line[k];
		bool same = later->kind == l->kind && later->flags == l->flags
		            && !strcmp(later->name, l->name);
		if (same && (*l->name || !strcmp(later->text, l->text)))
			return true;
		if (rank(l))
			break;
	}
	return false;
}

/* Makes room in a transaction of many lines.  It is worth its time if it frees a quarter. */
static bool squeeze(struct script *s)
{
	uint32_t kept = s->transaction;

	for (uint32_t i = kept; i < s->n; i++) {
		enum sql_kind kind = s->line[i].kind;
		bool sets = kind == SQL_SET || kind == SQL_RESET || kind == SQL_SET_TRANSACTION;
		if (sets && repeated(s, i))
			free_line(&s->line[i]);
		else
			s->line[kept++] = s->line[i];
	}
	s->n = kept;
	return s->n <= s->cap / 4 * 3;
}

static int grow(struct script *s)
{
	if (s->n < s->cap)
		return 0;
	uint32_t cap = s->cap ? s->cap * 2 : 4;
	bool room = cap <= SCRIPT_LINES;
	if (!room && squeeze(s))
		return 0;
	struct script_line *line = room ? realloc(s->line, cap * sizeof *line) : NULL;
	if (!line) {
		*(s->transaction < s->n ? &s->spilt : &s->full) = true;
		return -1;
	}
	s->line = line;
	s->cap = cap;
	return 0;
}

/* Drivers may set a savepoint before each statement. */
static bool marks_again(struct script *s, const struct sql_facts *f, const char *name)
{
	struct script_line *l = s->n > s->transaction ? &s->line[s->n - 1] : NULL;
	bool again = l && f->kind == SQL_SAVEPOINT && l->kind == SQL_SAVEPOINT
	             && !strcmp(l->name, name);

	if (again)
		l->times++;
	return again;
}

/* Those that PostgreSQL looks at when it parses: where names are looked up, how literals are read.
 * "" is RESET ALL. */
static bool parses_by(const char *name)
{
	static const char *const list[] = { "", "search_path", "role", "session_authorization",
		"datestyle", "intervalstyle", "timezone", "timezone_abbreviations", "array_nulls",
		"standard_conforming_strings", "backslash_quote", "transform_null_equals",
		"xmloption", "client_encoding", "lc_monetary" };

	for (size_t i = 0; i < sizeof list / sizeof *list; i++)
		if (!strcasecmp(list[i], name))
			return true;
	return false;
}

int script_add(struct script *s, const struct sql_facts *f, const char *name,
               const char *text, size_t len)
{
	if (marks_again(s, f, name))
		return 0;
	if (grow(s) < 0)
		return -1;
	struct script_line l = { .serial = ++s->serial, .flags = f->flags, .kind = f->kind,
		.level = f->level, .parsing = parses_by(name),
		.name = strdup(name), .text = strndup(text, len) };
	if (!l.name || !l.text) {
		free_line(&l);
		s->full = true;
		return -1;
	}
	s->line[s->n++] = l;
	return 0;
}

/* As most sessions begin; the question for the settings may tell it all the same. */
static bool is_no_role(const struct script_line *l)
{
	return !strcmp(l->name, "role") && l->value && !strcmp(l->value, "none");
}

uint32_t script_parsing(const struct script *s)
{
	uint32_t mark = 0;

	for (uint32_t i = 0; i < s->n; i++)
		if (s->line[i].parsing && !is_no_role(&s->line[i])
		    && (sql_kind_does[s->line[i].kind] & (KIND_SETS | KIND_TAKES_BACK)))
			mark = mark * 31 + s->line[i].serial;
	return mark;
}

/* --- settings ------------------------------------------------------------ */

/* The level that it gives to the transactions to come, if it does. */
static enum sql_level default_level_of(const struct sql_setting *set)
{
	return set->n == 1 && !strcmp(set->name, "default_transaction_isolation")
	       ? sql_level_named(set->values, strlen(set->values)) : LEVEL_UNSAID;
}

/* A custom parameter that SET would give another name: it cuts the parts, and letters beyond ASCII
 * mean something else in each encoding. */
static bool is_odd(const char *name)
{
	size_t part = 0;

	for (; *name; name++) {
		part = *name == '.' ? 0 : part + 1;
		if (*name & 0x80 || part > WIRE_NAME_MAX)
			return true;
	}
	return false;
}

int script_set(struct script *s, const struct sql_setting *set)
{
	char text[SQL_SETTING_MAX];
	struct put o = { .base = (uint8_t *)text, .cap = sizeof text };
	const struct sql_facts f = { .kind = set->reset && !set->local ? SQL_RESET : SQL_SET,
		.flags = (set->local ? SQL_LOCAL : 0) | (set->reset ? SQL_DEFAULT : 0),
		.level = default_level_of(set) };

	sql_put_setting(&o, set);
	o.full |= is_odd(set->name);
	s->full |= o.full;
	if (o.full || script_add(s, &f, set->name, text, o.len) < 0)
		return -1;
	if (set->n == 1 && !(s->line[s->n - 1].value = strdup(set->values)))
		s->full = true;
	return 0;
}

void script_touch(struct script *s, const char *name)
{
	struct sql_setting set = { .reset = true };

	if (!strchr(name, '.') || strlen(name) >= sizeof set.name || is_known(s, s->n, name))
		return;
	strcpy(set.name, name);
	script_set(s, &set);
}

int script_settle(struct script *s, const struct sql_setting *set)
{
	if (script_set(s, set) < 0)
		return -1;
	struct script_line l = s->line[s->n - 1];
	for (uint32_t i = s->n - 1; i > s->transaction; i--)
		s->line[i] = s->line[i - 1];
	s->line[s->transaction++] = l;
	return 0;
}

const struct script_line *script_find(const struct script *s, const char *name)
{
	for (uint32_t i = s->transaction; i > 0; i--) {
		const struct script_line *l = &s->line[i - 1];
		if (resets(l, name) || (for_good(l) && same_parameter(l, name)))
			return l;
	}
	return NULL;
}

/* The last line about it. */
static const struct script_line *last_of(const struct script *s, const char *name)
{
	for (uint32_t i = s->n; i > 0; i--) {
		const struct script_line *l = &s->line[i - 1];
		if (resets(l, name) || (l->kind != SQL_SAVEPOINT && !strcmp(l->name, name)))
			return l;
	}
	return NULL;
}

const char *script_value(const struct script *s, const char *name)
{
	const struct script_line *l = last_of(s, name);

	return l ? l->value : NULL;
}

bool script_is_local(const struct script *s, const char *name)
{
	const struct script_line *l = last_of(s, name);

	return l && (l->flags & SQL_LOCAL);
}

/* --- transactions -------------------------------------------------------- */

enum sql_level script_default_level(const struct script *s)
{
	for (uint32_t i = s->n; i > 0; i--) {
		const struct script_line *l = &s->line[i - 1];
		bool all = (l->kind == SQL_RESET || l->kind == SQL_DISCARD)
		           && (l->flags & SQL_ALL);
		if (all || !strcmp(l->name, "default_transaction_isolation"))
			return l->level;
	}
	return LEVEL_UNSAID;
}

uint32_t script_settled(const struct script *s)
{
	return s->transaction < s->n ? s->line[s->transaction].serial - 1 : s->serial;
}

char *script_begin(const struct script *s)
{
	for (uint32_t i = s->transaction; i < s->n; i++)
		if (s->line[i].kind == SQL_BEGIN)
			return strdup(s->line[i].text);
	return NULL;
}

bool script_changes_modes(const struct script *s)
{
	unsigned begins = 0;

	for (uint32_t i = s->transaction; i < s->n; i++) {
		begins += s->line[i].kind == SQL_BEGIN;
		if (s->line[i].kind == SQL_SET_TRANSACTION)
			return true;
	}
	return begins > 1;
}

void script_commit(struct script *s)
{
	if (s->n)
		compact(s);
}

void script_rollback(struct script *s)
{
	take_back(s, s->transaction);
	s->transaction = s->n;
}

uint32_t script_rollback_to(struct script *s, const char *savepoint)
{
	for (uint32_t i = s->n; i > s->transaction; i--)
		if (s->line[i - 1].kind == SQL_SAVEPOINT
		    && !strcmp(s->line[i - 1].name, savepoint)) {
			take_back(s, i);
			return s->line[i - 1].serial;
		}
	return s->serial;
}

void script_release(struct script *s, const char *savepoint)
{
	uint32_t from = s->n;

	while (from > s->transaction && (s->line[from - 1].kind != SQL_SAVEPOINT
	                                 || strcmp(s->line[from - 1].name, savepoint)))
		from--;
	if (from == s->transaction)
		return;
	struct script_line *mark = &s->line[from - 1];
	uint32_t kept = mark->times ? from : from - 1;
	mark->times -= mark->times > 0;
	for (uint32_t i = kept; i < s->n; i++)
		if (s->line[i].kind == SQL_SAVEPOINT)
			free_line(&s->line[i]);
		else
			s->line[kept++] = s->line[i];
	s->n = kept;
}

void script_forget(struct script *s)
{
	take_back(s, 0);
	if (s->n > SCRIPT_LINES / 2)
		truncate_to(s, 0);      /* there must be room for what comes */
	s->transaction = s->n;
	s->full = s->spilt = false;
}

void script_renew(struct script *s)
{
	bool full = s->full;

	script_forget(s);
	s->full = full;
}

void script_free(struct script *s)
{
	truncate_to(s, 0);
	free(s->line);
	*s = (struct script){ 0 };
}
