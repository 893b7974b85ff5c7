#include "sql.h"

#include "sql/lex.h"
#include "wire.h"

#include <stdio.h>
#include <string.h>

/* --- written ------------------------------------------------------------- */

/* Lists of quoted names: as one string they would be one name. */
static bool lists_names(const char *name)
{
	static const char *const names[] = { "search_path", "temp_tablespaces",
		"session_preload_libraries", "local_preload_libraries" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static void put_all(struct put *o, const char *text)
{
	put_bytes(o, text, strlen(text));
}

/* In ASCII, whatever client_encoding is: in some a backslash is the second byte of a character.  An
 * escaped byte is taken as it is, like those of a startup packet. */
static void put_literal(struct put *o, const char *s, size_t len)
{
	char escaped[8];

	put_bytes(o, "E'", 2);
	for (; len; len--, s++) {
		int n = snprintf(escaped, sizeof escaped, "\\x%02x", (uint8_t)*s);
		if (!(*s & 0x80)) {
			memset(escaped, *s, 2);
			n = *s == '\'' || *s == '\\' ? 2 : 1;
		}
		put_bytes(o, escaped, (size_t)n);
	}
	put_byte(o, '\'');
}

/* Each part is quoted, since it may be a word of the language. */
static void put_name(struct put *o, const char *name)
{
	put_byte(o, '"');
	for (; *name; name++)
		if (*name == '.')
			put_all(o, "\".\"");
		else
			put_bytes(o, *name == '"' ? "\"\"" : name, *name == '"' ? 2 : 1);
	put_byte(o, '"');
}

/* The length of a name in such a list as PostgreSQL writes it, quotes included; 0: it writes it in
 * another way. */
static size_t name_in_list(const char *at)
{
	size_t n = 0;

	if (*at == '"') {
		n = strcspn(at + 1, "\"\\");
		return at[n + 1] == '"' && at[n + 2] != '"' && n ? n + 2 : 0;
	}
	while ((at[n] >= 'a' && at[n] <= 'z') || at[n] == '_'
	       || (n && at[n] >= '0' && at[n] <= '9'))
		n++;
	return n;
}

/* SET takes no snapshot, but quotes the names anew: only if that gives the same. */
static bool put_names(struct put *o, const char *value)
{
	const char *at = value;

	for (size_t n; (n = name_in_list(at)) && at[n]; at += n + 2)
		if (at[n] != ',' || at[n + 1] != ' ')
			return false;
	if (!name_in_list(at))
		return false;
	for (at = value; ; at += 2) {
		size_t n = name_in_list(at), quote = *at == '"';
		put_literal(o, at + quote, n - 2 * quote);
		at += n;
		if (!*at)
			return true;
		put_all(o, ", ");
	}
}

static void put_values(struct put *o, const struct sql_setting *s)
{
	const char *v = s->values;

	for (unsigned i = 0; i < s->n; i++, v += strlen(v) + 1) {
		put_all(o, i ? ", " : "");
		put_literal(o, v, strlen(v));
	}
}

static void put_set_config(struct put *o, const struct sql_setting *s)
{
	put_all(o, "SELECT pg_catalog.set_config(");
	put_literal(o, s->name, strlen(s->name));
	put_all(o, ", ");
	put_literal(o, s->values, strlen(s->values));
	put_all(o, s->local ? ", true) IS NULL" : ", false) IS NULL");
}

void sql_put_setting(struct put *o, const struct sql_setting *s)
{
	bool names = !s->reset && !s->list && lists_names(s->name);
	struct put before = *o;

	put_all(o, s->local ? "SET LOCAL " : s->reset ? "RESET " : "SET ");
	put_name(o, s->name);
	if (s->reset) {
		put_all(o, s->local ? " TO DEFAULT" : "");
		return;
	}
	put_all(o, " = ");
	if (!names) {
		put_values(o, s);
	} else if (!put_names(o, s->values)) {
		*o = before;
		put_set_config(o, s);
	}
}

/* --- read ---------------------------------------------------------------- */

/* One pass over a statement's tokens; fn NULL only looks whether the text tells all. */
struct reader {
	struct lex lex;
	struct token tok;
	sql_parameter_value *param;
	sql_set *fn;
	void *ctx;
};

static void next(struct reader *r)
{
	lex_next(&r->lex, &r->tok);
}

static bool skip(struct reader *r, enum token_type type)
{
	if (r->tok.type != type)
		return false;
	next(r);
	return true;
}

/* A plain word, also one that lex.h does not list. */
static bool is_word(const struct reader *r, const char *word)
{
	size_t len = strlen(word);

	return r->tok.type == T_WORD && r->tok.len == len
	       && lex_same(word, r->lex.text + r->tok.at, len);
}

static bool skip_word(struct reader *r, const char *word)
{
	if (!is_word(r, word))
		return false;
	next(r);
	return true;
}

/* --- values -------------------------------------------------------------- */

static bool add_byte(struct sql_setting *s, char c)
{
	if (s->len + 1 >= sizeof s->values || c & 0x80 || !c)
		return false;
	s->values[s->len++] = c;
	return true;
}

static void end_value(struct sql_setting *s)
{
	s->values[s->len++] = 0;
	s->n++;
}

/* Without backslashes, whose meaning depends on settings. */
static bool add_quoted(struct sql_setting *s, const char *p, const char *end, char quote)
{
	for (; p < end; p++) {
		p += *p == quote;
		if (*p == '\\' || !add_byte(s, *p))
			return false;
	}
	return true;
}

/* $$text$$ */
static bool add_dollars(struct sql_setting *s, const char *p, size_t len)
{
	size_t tag = (size_t)((const char *)memchr(p + 1, '$', len - 1) - p) + 1;

	for (size_t i = tag; i < len - tag; i++)
		if (!add_byte(s, p[i]))
			return false;
	return true;
}

static bool add_word(struct sql_setting *s, const char *p, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!add_byte(s, lex_lower(p[i])))
			return false;
	return true;
}

/* Decimal ones that PostgreSQL gives on as they are written. */
static bool add_number(struct sql_setting *s, const char *p, size_t len)
{
	if (len > 1 && *p == '0' && p[1] != '.')
		return false;
	for (size_t i = 0; i < len; i++)
		if (p[i] == '_' || !add_byte(s, p[i]))
			return false;
	return true;
}

static bool add_string(struct sql_setting *s, const char *p, size_t len)
{
	if (*p == '$')
		return add_dollars(s, p, len);
	return *p == '\'' && add_quoted(s, p + 1, p + len - 1, '\'');
}

/* The literal at tok.  false: PostgreSQL may read it in another way, or it is none. */
static bool literal(struct reader *r, struct sql_setting *s)
{
	const char *p = r->lex.text + r->tok.at;
	bool ok = false;

	if (r->tok.type == T_OPERATOR && r->tok.len == 1 && (*p == '-' || *p == '+')) {
		ok = *p == '+' || add_byte(s, '-');
		next(r);
		ok = ok && r->tok.type == T_NUMBER;
		p = r->lex.text + r->tok.at;
		if (!ok)
			return false;
	}
	switch (r->tok.type) {
	case T_STRING:
		ok = add_string(s, p, r->tok.len);
		break;
	case T_NUMBER:
		ok = add_number(s, p, r->tok.len);
		break;
	case T_QUOTED:
		ok = *p == '"' && add_quoted(s, p + 1, p + r->tok.len - 1, '"');
		break;
	case T_WORD:
		ok = add_word(s, p, r->tok.len);
	}
	end_value(s);
	next(r);
	return ok;
}

/* --- what a value means by itself ---------------------------------------- */

static bool begins(const char *p, size_t len, const char *const list[])
{
	for (; *list; list++)
		if (len >= strlen(*list) && lex_same(*list, p, strlen(*list)))
			return true;
	return false;
}

/* DateStyle has two parts, and keeps the one that a value does not mention. */
static bool whole_date_style(const struct sql_setting *s)
{
	static const char *const styles[] = { "iso", "sql", "postgres", NULL },
		*const orders[] = { "ymd", "dmy", "euro", "mdy", "us", "noneuro", NULL },
		*const both[] = { "german", NULL };
	bool style = false, order = false;

	for (size_t at = 0, end; at < s->len; at = end + 1) {
		for (end = at; end < s->len && s->values[end] && !strchr(", ", s->values[end]); )
			end++;
		bool german = begins(s->values + at, end - at, both);
		style |= german || begins(s->values + at, end - at, styles);
		order |= german || begins(s->values + at, end - at, orders);
	}
	return style && order;
}

/* Is the new value clear from what was written, whatever the old one is? */
static bool stands_alone(const struct sql_setting *s)
{
	for (const char *p = s->name; *p; p++)
		if (*p & 0x80)
			return false;
	return s->reset || strcmp(s->name, "datestyle") != 0 || whole_date_style(s);
}

static bool tell(const struct reader *r, const struct sql_setting *s)
{
	if (!*s->name || !stands_alone(s))
		return false;
	if (r->fn)
		r->fn(r->ctx, s);
	return true;
}

/* --- SET and RESET ------------------------------------------------------- */

/* A transaction mode, as the parameter that it means. */
static bool mode(struct reader *r, struct sql_setting *s)
{
	static const struct { const char *first, *second, *name, *value; } modes[] = {
		{ "read", "only", "transaction_read_only", "on" },
		{ "read", "write", "transaction_read_only", "off" },
		{ "not", "deferrable", "transaction_deferrable", "off" },
		{ "deferrable", NULL, "transaction_deferrable", "on" },
		{ "serializable", NULL, "transaction_isolation", "serializable" },
		{ "repeatable", "read", "transaction_isolation", "repeatable read" },
		{ "read", "committed", "transaction_isolation", "read committed" },
		{ "read", "uncommitted", "transaction_isolation", "read uncommitted" },
	};

	if (skip_word(r, "isolation") && !skip_word(r, "level"))
		return false;
	for (size_t i = 0; i < sizeof modes / sizeof *modes; i++) {
		struct reader before = *r;
		if (skip_word(r, modes[i].first)
		    && (!modes[i].second || skip_word(r, modes[i].second))) {
			*s = (struct sql_setting){ .n = 1 };
			strcpy(stpcpy(s->name, "default_"), modes[i].name);
			s->len = strlen(strcpy(s->values, modes[i].value)) + 1;
			return tell(r, s);
		}
		*r = before;
	}
	return false;
}

/* SESSION CHARACTERISTICS AS TRANSACTION: a comma between two modes may be left out. */
static bool characteristics(struct reader *r, struct sql_setting *s)
{
	if (!skip_word(r, "as") || !skip_word(r, "transaction"))
		return false;
	while (r->tok.type == T_WORD)
		if (!mode(r, s))
			return false;
		else
			skip(r, T_COMMA);
	return r->tok.type == T_END;
}

static bool values(struct reader *r, struct sql_setting *s)
{
	s->list = true;
	do
		if (!literal(r, s))
			return false;
	while (skip(r, T_COMMA));
	return r->tok.type == T_END;
}

static bool set_statement(struct reader *r, const struct sql_facts *f)
{
	struct sql_setting s = { .local = f->flags & SQL_LOCAL };

	r->lex.at = (size_t)f->name.at + f->name.len;
	next(r);
	sql_parameter(s.name, r->lex.text, f);
	s.reset = f->kind == SQL_RESET || (f->flags & SQL_DEFAULT);
	if (s.reset)
		return tell(r, &s);
	if (!strcmp(s.name, "session characteristics"))
		return characteristics(r, &s);
	if (r->tok.type == T_OPERATOR && r->tok.len == 1 && r->lex.text[r->tok.at] == '=')
		next(r);
	else
		skip_word(r, "to");
	if (is_word(r, "from") || is_word(r, "default") || is_word(r, "interval"))
		return false;
	return values(r, &s) && tell(r, &s);
}

/* --- set_config() -------------------------------------------------------- */

/* 'text', $1, and either with a cast that changes nothing. */
static bool argument(struct reader *r, struct sql_setting *s, bool word)
{
	const char *text, *p = r->lex.text + r->tok.at;
	size_t len;

	if (r->tok.type == T_PARAM) {
		unsigned nth = 0;
		for (size_t i = 1; i < r->tok.len && nth < 65536; i++)
			nth = nth * 10 + (unsigned)(p[i] - '0');
		if (!r->param || !r->param(r->ctx, nth, word, &text, &len))
			return false;
		for (size_t i = 0; i < len; i++)
			if (!add_byte(s, text[i]))
				return false;
		end_value(s);
		next(r);
	} else if ((r->tok.type != T_STRING && !(word && r->tok.type == T_WORD))
	           || !literal(r, s)) {
		return false;
	}
	return !skip(r, T_CAST) || (word ? skip_word(r, "bool") || skip_word(r, "boolean")
	                                 : skip_word(r, "text") || skip_word(r, "varchar"));
}

/* A boolean as PostgreSQL reads it; -1: it is none. */
static int truth(const char *v)
{
	static const struct { const char *word; size_t least; bool is; } words[] = {
		{ "true", 1, true }, { "yes", 1, true }, { "on", 2, true }, { "1", 1, true },
		{ "false", 1, false }, { "no", 1, false }, { "off", 2, false }, { "0", 1, false },
	};
	size_t len = strlen(v);

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (len >= words[i].least && len <= strlen(words[i].word)
		    && lex_same(words[i].word, v, len))
			return words[i].is;
	return -1;
}

/* The name, the value and is_local, one behind the other in values. */
static bool take_arguments(struct sql_setting *s)
{
	const char *value = s->values + strlen(s->values) + 1, *local = value + strlen(value) + 1;
	int is = truth(local);

	if (is < 0 || strlen(s->values) >= sizeof s->name)
		return false;
	for (size_t i = 0; (s->name[i] = lex_lower(s->values[i])); i++)
		;
	s->local = is;
	s->n = 1;
	s->len = (size_t)(local - value);
	memmove(s->values, value, s->len);
	return true;
}

static bool call(struct reader *r)
{
	struct sql_setting s = { .n = 0 };

	if (skip_word(r, "pg_catalog") && !skip(r, T_DOT))
		return false;
	if (!skip_word(r, "set_config") || !skip(r, T_OPEN)
	    || !argument(r, &s, false) || !skip(r, T_COMMA)
	    || !argument(r, &s, false) || !skip(r, T_COMMA)
	    || !argument(r, &s, true) || !skip(r, T_CLOSE))
		return false;
	if (skip_word(r, "as") && !lex_is_name(&r->tok))
		return false;
	if (lex_is_name(&r->tok) && !is_word(r, "from") && !is_word(r, "where"))
		next(r);        /* a label */
	return take_arguments(&s) && tell(r, &s);
}

/* Nothing but calls: with FROM or WHERE they may run never, or often. */
static bool calls(struct reader *r)
{
	next(r);
	if (!skip_word(r, "select"))
		return false;
	do
		if (!call(r))
			return false;
	while (skip(r, T_COMMA));
	return r->tok.type == T_END;
}

static bool read_all(const char *text, const struct sql_facts *f, struct reader *r)
{
	r->lex = (struct lex){ .text = text, .at = f->start, .len = f->end };
	return f->kind == SQL_SELECT ? calls(r) : set_statement(r, f);
}

bool sql_settings(const char *text, const struct sql_facts *f, sql_parameter_value *param,
                  sql_set *fn, void *ctx)
{
	struct reader look = { .param = param, .ctx = ctx }, r = look;

	if (f->kind != SQL_SET && f->kind != SQL_RESET && f->kind != SQL_SELECT)
		return false;
	if (!read_all(text, f, &look))
		return false;
	r.fn = fn;
	return read_all(text, f, &r);
}
