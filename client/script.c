#include "client/script.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

static void free_line(struct script_line *l)
{
	free(l->name);
	free(l->text);
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

static bool resets(const struct script_line *l, const struct script_line *earlier)
{
	return (l->flags & SQL_ALL) && (l->kind == SQL_DISCARD || l->kind == SQL_RESET)
	       && !spares(l->kind, earlier->name);
}

/* SESSION CHARACTERISTICS is several parameters by one name. */
static bool same_parameter(const struct script_line *a, const struct script_line *b)
{
	return for_good(b) && *a->name && !strcmp(a->name, b->name)
	       && strcmp(a->name, "session characteristics");
}

/* Is the line made pointless by a later one? */
static bool overruled(const struct script *s, uint32_t i)
{
	for (uint32_t k = i + 1; k < s->n; k++)
		if (resets(&s->line[k], &s->line[i]) || same_parameter(&s->line[i], &s->line[k]))
			return true;
	return false;
}

static void compact(struct script *s)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < s->n; i++) {
		if (for_good(&s->line[i]) && !overruled(s, i))
			s->line[kept++] = s->line[i];
		else
			free_line(&s->line[i]);
	}
	s->n = s->transaction = kept;
}

static int grow(struct script *s)
{
	if (s->n < s->cap)
		return 0;
	uint32_t cap = s->cap ? s->cap * 2 : 4;
	struct script_line *line = cap <= SCRIPT_LINES
	                           ? realloc(s->line, cap * sizeof *line) : NULL;
	if (!line) {
		s->full = true;
		return -1;
	}
	s->line = line;
	s->cap = cap;
	return 0;
}

int script_add(struct script *s, const struct sql_facts *f, const char *name,
               const char *text, size_t len)
{
	if (grow(s) < 0)
		return -1;
	struct script_line l = { .serial = ++s->serial, .flags = f->flags, .kind = f->kind,
		.level = f->level,
		.name = strdup(name), .text = strndup(text, len) };
	if (!l.name || !l.text) {
		free_line(&l);
		s->full = true;
		return -1;
	}
	s->line[s->n++] = l;
	return 0;
}

enum sql_level script_default_level(const struct script *s)
{
	for (uint32_t i = s->n; i > 0; i--) {
		const struct script_line *l = &s->line[i - 1];
		bool all = (l->kind == SQL_RESET || l->kind == SQL_DISCARD)
		           && (l->flags & SQL_ALL);
		if (all || !strcmp(l->name, "default_transaction_isolation")
		    || (l->level && !strcmp(l->name, "session characteristics")))
			return l->level;
	}
	return LEVEL_UNSAID;
}

uint32_t script_settled(const struct script *s)
{
	return s->transaction ? s->line[s->transaction - 1].serial : 0;
}

char *script_begin(const struct script *s)
{
	for (uint32_t i = s->transaction; i < s->n; i++)
		if (s->line[i].kind == SQL_BEGIN)
			return strdup(s->line[i].text);
	return NULL;
}

void script_commit(struct script *s)
{
	if (s->n)
		compact(s);
}

void script_rollback(struct script *s)
{
	truncate_to(s, s->transaction);
}

uint32_t script_rollback_to(struct script *s, const char *savepoint)
{
	for (uint32_t i = s->n; i > s->transaction; i--)
		if (s->line[i - 1].kind == SQL_SAVEPOINT
		    && !strcmp(s->line[i - 1].name, savepoint)) {
			truncate_to(s, i);
			return s->line[i - 1].serial;
		}
	return s->serial;
}

bool script_takes_back(bool before, const struct sql_facts *f, const char *name,
                       const char *parameter)
{
	bool back = f->kind == SQL_RESET || f->kind == SQL_DISCARD;

	if (back && (f->flags & SQL_ALL))
		return before || !spares(f->kind, parameter);
	if ((!back && f->kind != SQL_SET) || strcasecmp(name, parameter))
		return before;
	return back || (f->flags & SQL_DEFAULT);
}

void script_forget(struct script *s)
{
	truncate_to(s, 0);
	s->transaction = 0;
	s->full = false;
}

void script_free(struct script *s)
{
	truncate_to(s, 0);
	free(s->line);
	*s = (struct script){ 0 };
}
