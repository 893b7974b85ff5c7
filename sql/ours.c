#include "sql.h"

#include "sql/lex.h"
#include "wire.h"

#include <stdio.h>
#include <stdio.h>
#include <string.h>

/* A place in the statement, and its end. */
struct words {
	struct lex lex;
	struct token tok;
};

static void next(struct words *w)
{
	lex_next(&w->lex, &w->tok);
}

static bool skip_word(struct words *w, unsigned word)
{
	if (w->tok.type != T_WORD || w->tok.word != word)
		return false;
	next(w);
	return true;
}

/* Parameters have no quoted names in Pgpool-II, but PostgreSQL takes such ones. */
static bool name(struct words *w, struct sql_own *own)
{
	char part[64];

	if (!lex_is_name(&w->tok))
		return false;
	sql_name(part, w->lex.text, lex_span(&w->tok));
	for (size_t i = 0; (own->name[i] = lex_lower(part[i])); i++)
		;
	next(w);
	return true;
}

static bool add(struct sql_own *own, size_t *n, char c)
{
	if (*n + 1 == sizeof own->value)
		return false;
	own->value[(*n)++] = c;
	return true;
}

/* 'it''s', on, 10, -1 */
static bool value(struct words *w, struct sql_own *own)
{
	const char *p = w->lex.text + w->tok.at, *end;
	size_t n = 0;
	bool fits = true;

	if (w->tok.type == T_OPERATOR && w->tok.len == 1 && *p == '-') {
		add(own, &n, '-');
		next(w);
		p = w->lex.text + w->tok.at;
		if (w->tok.type != T_NUMBER)
			return false;
	}
	bool quoted = w->tok.type == T_STRING && *p == '\'';
	if (!quoted && w->tok.type != T_WORD && w->tok.type != T_NUMBER)
		return false;
	end = p + w->tok.len - quoted;
	for (p += quoted; p < end && fits; p++) {
		p += quoted && *p == '\'';
		fits = add(own, &n, *p);
	}
	next(w);
	return fits;
}

/* PGPOOL SHOW name, SET name TO value, RESET name */
static bool pgpool(struct words *w, const struct sql_facts *f, struct sql_own *own)
{
	next(w);
	own->kind = f->inner;
	if (own->kind != SQL_SET && skip_word(w, W_all))
		return own->all = true;
	if (!name(w, own))
		return false;
	if (own->kind != SQL_SET)
		return true;
	bool equals = w->tok.type == T_OPERATOR && w->tok.len == 1
	              && w->lex.text[w->tok.at] == '=';
	if (equals)
		next(w);
	else if (!skip_word(w, W_to))
		return false;
	if (skip_word(w, W_default)) {
		own->kind = SQL_RESET;
		return true;
	}
	return value(w, own);
}

/* SHOW name; or pgpool.lsn, in two parts. */
static bool shown(struct words *w, struct sql_own *own)
{
	struct sql_own part;

	if (!name(w, own))
		return false;
	if (w->tok.type != T_DOT)
		return true;
	next(w);
	if (!name(w, &part))
		return false;
	size_t len = strlen(own->name);
	snprintf(own->name + len, sizeof own->name - len, ".%s", part.name);
	return true;
}

bool sql_own(struct sql_own *own, const char *text, const struct sql_facts *f)
{
	struct words w = { .lex = { .text = text, .at = f->start, .len = f->end } };

	*own = (struct sql_own){ .kind = f->kind };
	next(&w);
	next(&w);
	bool whole = f->kind == SQL_PGPOOL ? pgpool(&w, f, own) : shown(&w, own);
	if (whole && w.tok.type == T_END)
		return true;
	size_t len = w.tok.len < sizeof own->value ? w.tok.len : sizeof own->value - 1;
	len = wire_cut(text + w.tok.at, w.tok.len, len);
	memcpy(own->value, text + w.tok.at, len);
	own->value[len] = 0;
	return false;
}
