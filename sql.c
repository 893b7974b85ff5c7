#include "sql.h"

#include <string.h>

#include "sql/lex.h"
#include "sql/body.h"

/* A longer text is not copied to the stack for regexec(), but assumed to match. */
enum { MAX_PATTERN_TEXT = 16384 };

enum object { ANY_OBJECT, ROUTINE, TABLE };

/* To the statement's end, with a function's BEGIN ATOMIC ... END in one piece; or to the query that
 * a table is filled with. */
static void skim(struct scan *s, enum object object)
{
	unsigned body = 0;

	for (;; scan_advance(s)) {
		if (s->tok.type == T_END || s->tok.type == T_BAD)
			break;
		if (s->tok.type == T_SEMICOLON && s->depth == 0 && body == 0)
			return;
		if (s->tok.type == T_OPEN)
			s->depth++;
		else if (s->tok.type == T_CLOSE && s->depth-- == 0)
			break;
		if (s->tok.word == W_drop && s->prev.word == W_commit)
			scan_flag(s, SQL_DROPS);
		if (object == TABLE && s->depth == 0 && scan_skip(s, W_as)) {
			s->wraps = true;
			return;
		}
		if (object != ROUTINE || s->prev.type == T_DOT || s->prev.word == W_as)
			continue;
		if (s->tok.word == W_atomic && s->prev.word == W_begin)
			body++;
		else if (s->tok.word == W_case && body > 0)
			body++;
		else if (s->tok.word == W_end && body > 0)
			body--;
	}
	if (s->tok.type != T_END || s->depth > 0 || body > 0)
		scan_flag(s, SQL_UNPARSED);
}

/* ---- the heads of statements --------------------------------------------------------------
 *
 * A head begins at the token after the verb (a query's at the verb itself) and may stop
 * anywhere; run_statement() goes on from there to the end.
 */

/* Transaction modes, and CHAIN. */
static void head_modes(struct scan *s)
{
	for (; !scan_at_end(s); scan_advance(s)) {
		unsigned w = s->tok.word;
		if (w == W_serializable)
			s->f->level = LEVEL_SERIALIZABLE;
		else if (w == W_read && s->prev.word == W_repeatable)
			s->f->level = LEVEL_REPEATABLE_READ;
		else if (w == W_committed && s->prev.word == W_read)
			s->f->level = LEVEL_READ_COMMITTED;
		else if (w == W_uncommitted && s->prev.word == W_read)
			s->f->level = LEVEL_READ_UNCOMMITTED;
		else if (w == W_write && s->prev.word == W_read)
			scan_flag(s, SQL_READ_WRITE);
		else if (w == W_only && s->prev.word == W_read)
			scan_flag(s, SQL_READ_ONLY);
		else if (w == W_chain && s->prev.word != W_no)
			scan_flag(s, SQL_CHAIN);
	}
}

static void head_start(struct scan *s)
{
	if (s->tok.word == W_transaction)
		head_modes(s);
	else
		scan_become(s, SQL_OTHER);
}

/* The name is the last word: SAVEPOINT, RELEASE [SAVEPOINT], CLOSE, FETCH 5 FROM, ... */
static void head_last(struct scan *s)
{
	struct token last = { .type = T_END };

	for (; !scan_at_end(s); scan_advance(s))
		if (lex_is_name(&s->tok))
			last = s->tok;
	if (last.word == W_all)
		scan_flag(s, SQL_ALL);
	else
		scan_name(s, lex_span(&last));
}

/* The name is the first: LISTEN, NOTIFY, EXECUTE, DISCARD. */
static void head_first(struct scan *s)
{
	if (s->tok.word == W_all || (s->tok.type == T_OPERATOR && s->lex.text[s->tok.at] == '*'))
		scan_flag(s, SQL_ALL);
	if (lex_is_name(&s->tok))
		scan_name(s, lex_span(&s->tok));
}

static void head_gid(struct scan *s, enum sql_kind kind)
{
	scan_become(s, kind);
	scan_advance(s);
	if (s->tok.type == T_STRING)
		scan_name(s, lex_span(&s->tok));
}

static void head_commit(struct scan *s)
{
	if (s->tok.word == W_prepared)
		head_gid(s, SQL_COMMIT_PREPARED);
	else
		head_modes(s);
}

static void head_rollback(struct scan *s)
{
	if (s->tok.word == W_prepared) {
		head_gid(s, SQL_ROLLBACK_PREPARED);
		return;
	}
	if (s->tok.word == W_work || s->tok.word == W_transaction)
		scan_advance(s);
	if (scan_skip(s, W_to)) {
		scan_become(s, SQL_ROLLBACK_TO);
		head_last(s);
	} else {
		head_modes(s);
	}
}

/* The parameter's name at tok, all its words, and moves behind it. */
static void parameter(struct scan *s)
{
	static const struct { uint16_t first, second; } pairs[] = {
		{ W_time, W_zone }, { W_session, W_authorization }, { W_xml, W_option },
		{ W_session, W_characteristics },
	};
	struct sql_span name = lex_span(&s->tok);
	unsigned w = s->tok.word;

	if (!lex_is_name(&s->tok))
		return;
	scan_advance(s);
	for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
		if (w == pairs[i].first && scan_skip(s, pairs[i].second))
			name.len = (uint32_t)(s->end - name.at);
	if (w == W_transaction)                 /* ISOLATION LEVEL, of SHOW and RESET */
		for (; lex_is_name(&s->tok); name.len = (uint32_t)(s->end - name.at))
			scan_advance(s);
	while (s->tok.type == T_DOT) {
		scan_advance(s);
		if (lex_is_name(&s->tok))
			scan_advance(s);
		name.len = (uint32_t)(s->end - name.at);
	}
	scan_name(s, name);
}

/* Is the value in tok, a word, number or string, the beginning of this word? */
static bool value_is(const struct scan *s, const char *word, size_t least)
{
	const char *p = s->lex.text + s->tok.at;
	size_t len = s->tok.len;

	if (s->tok.type == T_STRING && len >= 2 && *p == '\'') {
		p++;
		len -= 2;
	}
	return len >= least && len <= strlen(word) && lex_same(word, p, len);
}

enum sql_level sql_level_named(const char *value, size_t len)
{
	static const char *const names[] = {
		[LEVEL_READ_UNCOMMITTED] = "read uncommitted",
		[LEVEL_READ_COMMITTED] = "read committed",
		[LEVEL_REPEATABLE_READ] = "repeatable read",
		[LEVEL_SERIALIZABLE] = "serializable",
	};

	for (enum sql_level l = LEVEL_READ_UNCOMMITTED; l <= LEVEL_SERIALIZABLE; l++)
		if (len == strlen(names[l]) && lex_same(names[l], value, len))
			return l;
	return LEVEL_UNSAID;
}

/* A value that we cannot read counts as the level that asks for most. */
static enum sql_level level_at(const struct scan *s)
{
	const char *p = s->lex.text + s->tok.at;
	bool quoted = s->tok.type == T_STRING && s->tok.len >= 2 && *p == '\'';
	enum sql_level l = sql_level_named(p + quoted, s->tok.len - 2 * quoted);

	return l ? l : LEVEL_SERIALIZABLE;
}

/* The value at tok, of the few parameters that decide where a transaction runs. */
static void value(struct scan *s)
{
	char name[128];

	sql_parameter(name, s->lex.text, s->f);
	const char *p = strncmp(name, "default_", 8) == 0 ? name + 8 : name;
	if (strcmp(p, "transaction_isolation") == 0 && !(s->f->flags & SQL_DEFAULT))
		s->f->level = level_at(s);
	if (strcmp(p, "transaction_read_only") != 0)
		return;
	if (value_is(s, "off", 2) || value_is(s, "false", 1) || value_is(s, "no", 1)
	    || value_is(s, "0", 1))
		scan_flag(s, SQL_READ_WRITE);
	else if (value_is(s, "on", 2) || value_is(s, "true", 1) || value_is(s, "yes", 1)
	    || value_is(s, "1", 1))
		scan_flag(s, SQL_READ_ONLY);
}

static void head_set(struct scan *s)
{
	unsigned after = scan_peek(s).word;

	if (s->tok.word == W_local && scan_skip(s, W_local))
		scan_flag(s, SQL_LOCAL);
	else if (s->tok.word == W_session && after != W_authorization && after != W_characteristics)
		scan_advance(s);

	if (s->tok.word == W_transaction || s->tok.word == W_constraints) {
		scan_become(s, s->tok.word == W_transaction
			? SQL_SET_TRANSACTION : SQL_SET_CONSTRAINTS);
		head_modes(s);
		return;
	}
	bool zone = s->tok.word == W_time;
	parameter(s);
	if (s->prev.word == W_characteristics) {
		head_modes(s);
		return;
	}
	bool alone = scan_at_end(s);                    /* SET NAMES may be */
	if (s->tok.word == W_to || s->tok.type == T_OPERATOR)
		scan_advance(s);
	if (alone || s->tok.word == W_default || (zone && s->tok.word == W_local))
		scan_flag(s, SQL_DEFAULT);
	value(s);
}

/* What the admin console of PgBouncer calls what is ours: no parameter of PostgreSQL has such a
 * name. */
static bool is_console(const char *name)
{
	static const char *const names[] = { "clients", "servers", "pools", "stats", "config",
		"databases" };

	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (!strcmp(name, names[i]))
			return true;
	return false;
}

static void head_show(struct scan *s)
{
	char name[128];

	if (s->tok.word == W_all)
		scan_flag(s, SQL_ALL | (s->f->kind == SQL_SHOW ? SQL_CATALOG : 0));
	else
		parameter(s);
	if (s->f->kind != SQL_SHOW || !s->f->name.len)
		return;
	sql_parameter(name, s->lex.text, s->f);
	if ((!strncmp(name, "pool_", 5) && !strchr(name, '.')) || is_console(name)
	    || !strcmp(name, "pgpool.lsn"))
		scan_become(s, SQL_SHOW_POOL);
	else
		scan_flag(s, lex_tells(name, strlen(name)) & SQL_CATALOG);
}

static void head_pgpool(struct scan *s)
{
	switch (s->tok.word) {
	case W_show:
		s->f->inner = SQL_SHOW;
		break;
	case W_set:
		s->f->inner = SQL_SET;
		break;
	case W_reset:
		s->f->inner = SQL_RESET;
		break;
	default:
		scan_become(s, SQL_OTHER);
		return;
	}
	scan_advance(s);
	if (s->tok.word == W_all)
		scan_flag(s, SQL_ALL);
	else
		parameter(s);
}

static void head_lock(struct scan *s)
{
	unsigned first = W_NONE, second = W_NONE;       /* the words before prev */

	for (; !scan_at_end(s); scan_advance(s)) {
		if (s->tok.word == W_mode && s->prev.word == W_share && first == W_in
		    && (second == W_access || second == W_row))
			scan_flag(s, SQL_WEAK);
		first = second;
		second = s->prev.word;
	}
}

/* Skips "(...)" at tok. */
static void skip_parentheses(struct scan *s)
{
	unsigned depth = 0;

	for (; s->tok.type != T_END && s->tok.type != T_BAD; scan_advance(s)) {
		depth += s->tok.type == T_OPEN;
		if (s->tok.type == T_CLOSE && --depth == 0) {
			scan_advance(s);
			return;
		}
	}
	s->depth = depth;
}

static void head_prepare(struct scan *s)
{
	if (s->tok.word == W_transaction && scan_peek(s).type == T_STRING) {
		head_gid(s, SQL_PREPARE_TRANSACTION);
		return;
	}
	if (!lex_is_name(&s->tok))
		return;
	scan_name(s, lex_span(&s->tok));
	scan_advance(s);
	if (s->tok.type == T_OPEN)
		skip_parentheses(s);
	s->wraps = scan_skip(s, W_as);
}

static void head_declare(struct scan *s)
{
	if (!lex_is_name(&s->tok))
		return;
	scan_name(s, lex_span(&s->tok));
	for (scan_advance(s); !scan_at_end(s) && s->tok.word != W_for; scan_advance(s))
		if (s->tok.word == W_hold && s->prev.word == W_with)
			scan_flag(s, SQL_HOLD);
	s->wraps = scan_skip(s, W_for);
}

static bool is_analyze(unsigned w)
{
	return w == W_analyze || w == W_analyse;
}

/* EXPLAIN (ANALYZE off, ...), not EXPLAIN (SELECT ...). */
static void explain_options(struct scan *s)
{
	switch (scan_peek(s).word) {
	case W_select: case W_with: case W_values: case W_table:
		return;
	}
	if (scan_peek(s).type == T_OPEN)
		return;
	for (; !scan_at_end(s) && s->tok.type != T_CLOSE; scan_advance(s)) {
		if (!is_analyze(s->prev.word))
			continue;
		scan_flag(s, SQL_ANALYZED);
		if (value_is(s, "off", 2) || value_is(s, "false", 1) || value_is(s, "0", 1))
			s->f->flags &= ~(uint32_t)SQL_ANALYZED;
	}
	if (is_analyze(s->prev.word))
		scan_flag(s, SQL_ANALYZED);
	if (!scan_at_end(s))
		scan_advance(s);
}

static void head_explain(struct scan *s)
{
	if (s->tok.type == T_OPEN)
		explain_options(s);
	while (is_analyze(s->tok.word) || s->tok.word == W_verbose) {
		if (s->tok.word != W_verbose)
			scan_flag(s, SQL_ANALYZED);
		scan_advance(s);
	}
	s->wraps = !scan_at_end(s);
}

/* CREATE MATERIALIZED VIEW, CREATE [UNLOGGED] TABLE: at its word. */
static bool is_filled(const struct scan *s)
{
	unsigned b = s->prev.word;

	return (s->tok.word == W_materialized && b == W_create)
	       || (s->tok.word == W_table && (b == W_create || b == W_temp || b == W_temporary
	                                      || b == W_unlogged));
}

/* CREATE TEMP TABLE [IF NOT EXISTS] name, CREATE anything pg_temp.name; then the rest, since
 * a function may have a body in SQL. */
static void head_create(struct scan *s)
{
	enum object is = ANY_OBJECT;
	bool temporary = false;

	for (; !scan_at_end(s) && s->tok.type != T_OPEN && s->tok.word != W_as; scan_advance(s)) {
		unsigned w = s->tok.word, b = s->prev.word;
		bool object = b == W_table || b == W_view || b == W_sequence || b == W_exists;

		temporary |= (w == W_temp || w == W_temporary) && !object;
		is = is_filled(s) ? TABLE : w == W_function || w == W_procedure ? ROUTINE : is;
		if (s->tok.type == T_DOT && lex_is_name(&s->prev)
		    && body_is_temp(s, lex_span(&s->prev))) {
			temporary = true;
			scan_advance(s);
			scan_name(s, lex_span(&s->tok));
			break;
		}
		if (temporary && object && w != W_if && scan_peek(s).type != T_DOT) {
			scan_name(s, lex_span(&s->tok));
			break;
		}
	}
	if (temporary)
		scan_flag(s, SQL_TEMP);
	skim(s, is);
}

/* Only these can be in the way of a permanent table of their name. */
static void head_drop(struct scan *s)
{
	struct token schema = { .type = T_START };

	if (s->tok.word != W_table && s->tok.word != W_view && s->tok.word != W_sequence)
		return;
	scan_flag(s, SQL_DROPS);
	for (scan_advance(s); !scan_at_end(s); scan_advance(s)) {
		if (!lex_is_name(&s->tok) || s->tok.word == W_if || s->tok.word == W_exists)
			continue;
		if (scan_peek(s).type == T_DOT)
			schema = s->tok;
		else
			body_dropped(s, s->prev.type == T_DOT ? &schema : NULL);
	}
}

static const struct verb {
	uint8_t kind;
	bool query;             /* the head begins at the verb itself */
	void (*head)(struct scan *s);
} verbs[WORD_COUNT] = {
	[W_select]     = { SQL_SELECT, true, body_read },
	[W_with]       = { SQL_SELECT, true, body_read },
	[W_table]      = { SQL_SELECT, true, body_read },
	[W_values]     = { SQL_VALUES, true, body_read },
	[W_insert]     = { SQL_INSERT, true, body_read },
	[W_update]     = { SQL_UPDATE, true, body_read },
	[W_delete]     = { SQL_DELETE, true, body_read },
	[W_merge]      = { SQL_MERGE, true, body_read },
	[W_show]       = { SQL_SHOW, false, head_show },
	[W_explain]    = { SQL_EXPLAIN, false, head_explain },
	[W_copy]       = { SQL_COPY_TO, false, body_copy },
	[W_truncate]   = { SQL_TRUNCATE, false, body_truncate },
	[W_begin]      = { SQL_BEGIN, false, head_modes },
	[W_start]      = { SQL_BEGIN, false, head_start },
	[W_commit]     = { SQL_COMMIT, false, head_commit },
	[W_end]        = { SQL_COMMIT, false, head_modes },
	[W_rollback]   = { SQL_ROLLBACK, false, head_rollback },
	[W_abort]      = { SQL_ROLLBACK, false, head_modes },
	[W_savepoint]  = { SQL_SAVEPOINT, false, head_last },
	[W_release]    = { SQL_RELEASE, false, head_last },
	[W_set]        = { SQL_SET, false, head_set },
	[W_reset]      = { SQL_RESET, false, head_show },
	[W_discard]    = { SQL_DISCARD, false, head_first },
	[W_prepare]    = { SQL_PREPARE, false, head_prepare },
	[W_execute]    = { SQL_EXECUTE, false, head_first },
	[W_deallocate] = { SQL_DEALLOCATE, false, head_last },
	[W_declare]    = { SQL_DECLARE, false, head_declare },
	[W_fetch]      = { SQL_FETCH, false, head_last },
	[W_move]       = { SQL_MOVE, false, head_last },
	[W_close]      = { SQL_CLOSE, false, head_last },
	[W_listen]     = { SQL_LISTEN, false, head_first },
	[W_unlisten]   = { SQL_UNLISTEN, false, head_first },
	[W_notify]     = { SQL_NOTIFY, false, head_first },
	[W_lock]       = { SQL_LOCK, false, head_lock },
	[W_vacuum]     = { SQL_VACUUM, false, NULL },
	[W_analyze]    = { SQL_ANALYZE, false, NULL },
	[W_analyse]    = { SQL_ANALYZE, false, NULL },
	[W_checkpoint] = { SQL_CHECKPOINT, false, NULL },
	[W_load]       = { SQL_LOAD, false, NULL },
	[W_call]       = { SQL_CALL, false, NULL },
	[W_do]         = { SQL_DO, false, NULL },
	[W_create]     = { SQL_DDL, false, head_create },
	[W_alter]      = { SQL_DDL, false, NULL },
	[W_drop]       = { SQL_DDL, false, head_drop },
	[W_grant]      = { SQL_DDL, false, NULL },
	[W_revoke]     = { SQL_DDL, false, NULL },
	[W_comment]    = { SQL_DDL, false, NULL },
	[W_reindex]    = { SQL_DDL, false, NULL },
	[W_cluster]    = { SQL_DDL, false, NULL },
	[W_repack]     = { SQL_DDL, false, NULL },
	[W_security]   = { SQL_DDL, false, NULL },
	[W_reassign]   = { SQL_DDL, false, NULL },
	[W_import]     = { SQL_DDL, false, NULL },
	[W_refresh]    = { SQL_DDL, false, NULL },
	[W_pgpool]     = { SQL_PGPOOL, false, head_pgpool },
};

/* ---- facts ---------------------------------------------------------------------------- */

static bool is_read(unsigned kind)
{
	return kind == SQL_SELECT || kind == SQL_VALUES;
}

/* From the first token, which is not the end, to the statement's end. */
static void run_statement(struct scan *s)
{
	struct sql_facts *f = s->f;
	bool fills = false;                     /* a table that is made */

	for (;;) {
		const struct verb *v = &verbs[s->tok.type == T_OPEN ? W_select : s->tok.word];

		scan_become(s, v->kind == SQL_EMPTY ? SQL_OTHER : v->kind);
		if (!v->query)
			scan_advance(s);
		if (v->head)
			v->head(s);
		if (!s->wraps || scan_at_end(s))
			break;
		fills |= v->kind == SQL_DDL;
		s->wraps = false;
		s->wrapped = true;
	}
	f->inner = fills ? SQL_DDL : f->inner;
	skim(s, ANY_OBJECT);

	if (f->inner != f->kind && f->kind != SQL_PGPOOL && !is_read(f->inner))
		f->flags |= SQL_MODIFIES;
	if (f->kind == SQL_EXPLAIN && !(f->flags & SQL_ANALYZED))
		f->flags &= ~(uint32_t)SQL_MODIFIES;
}

static void scan_text(struct scan *s)
{
	struct sql_facts *f = s->f;
	size_t len = s->lex.len;

	f->end = f->next = len;
	if (len > UINT32_MAX) {                 /* beyond what spans can say */
		f->kind = f->inner = SQL_OTHER;
		f->flags |= SQL_UNPARSED;
		return;
	}
	do
		scan_advance(s);
	while (s->tok.type == T_SEMICOLON);
	f->start = s->tok.at;
	if (s->tok.type == T_END)
		return;

	if (s->tok.type == T_BAD) {
		f->kind = f->inner = SQL_OTHER;
		f->flags |= SQL_UNPARSED;
	} else {
		run_statement(s);
	}
	if (f->flags & SQL_UNPARSED)
		return;
	f->end = s->end;
	while (s->tok.type == T_SEMICOLON)
		scan_advance(s);
	f->next = s->tok.at;
}

/* Pgpool-II looks at these, the text's first characters. */
static uint32_t first_flags(const char *text, size_t len)
{
	uint32_t flags = 0;
	size_t at = 0;

	while (at < len && (text[at] == ' ' || (text[at] >= '\t' && text[at] <= '\r')))
		at++;
	if (at > 0)
		flags |= SQL_BLANK;
	if (at == len || (text[at] && strchr("sS(wWtT;", text[at])))
		flags |= SQL_FIRST;
	return flags;
}

/* Pgpool-II tries the patterns on the text without its double quotes. */
static bool is_pattern(const struct sql_rules *rules, const char *text, size_t len)
{
	char copy[MAX_PATTERN_TEXT];
	size_t n = 0;

	if (len >= sizeof copy)
		return true;
	for (size_t i = 0; i < len; i++)
		if (text[i] != '"')
			copy[n++] = text[i];
	copy[n] = 0;
	return body_matches(rules->primary_patterns, rules->npatterns, copy);
}

void sql_classify(struct sql_facts *f, const char *text, size_t len, const struct sql_rules *rules)
{
	struct frame frames[MAX_DEPTH];         /* not cleared: each is set when it opens */
	struct scan s = {
		.lex = { .text = text, .len = len }, .f = f, .rules = rules, .frames = frames,
	};

	*f = (struct sql_facts){ .flags = first_flags(text, len) };
	scan_text(&s);
	if (rules && rules->npatterns > 0 && is_pattern(rules, text, len))
		f->flags |= SQL_PATTERN;
}

bool sql_same_facts(const struct sql_facts *f, size_t len, struct sql_span literals)
{
	if (!literals.len)
		return true;
	switch (f->kind) {
	case SQL_SELECT: case SQL_VALUES: case SQL_INSERT: case SQL_UPDATE: case SQL_DELETE:
	case SQL_EXECUTE:
		return f->next == len && literals.at >= f->start
		       && literals.at >= (size_t)f->name.at + f->name.len
		       && (size_t)literals.at + literals.len <= f->end;
	}
	return false;
}

bool sql_reads(const struct sql_facts *f)
{
	if (f->flags & SQL_NOT_READ)
		return false;
	return f->kind == SQL_PREPARE ? is_read(f->inner) : sql_kind_does[f->kind] & KIND_READS;
}

void sql_name(char dst[static 64], const char *text, struct sql_span s)
{
	const char *p = text + s.at, *end = p + s.len;
	size_t n = 0;
	bool quote = false;

	if (s.len >= 3 && lex_lower(p[0]) == 'u' && p[1] == '&' && p[2] == '"')
		p += 2;
	if (p < end && *p == '"') {
		quote = true;
		p++;
	}
	for (; p < end; p++) {
		if (quote && *p == '"' && (++p == end || *p != '"'))
			break;
		if (n == 63) {
			while (n > 0 && (*p & 0xc0) == 0x80)
				p--, n--;
			break;
		}
		dst[n++] = quote ? *p : lex_lower(*p);
	}
	dst[n] = 0;
}

void sql_parameter(char dst[static 128], const char *text, const struct sql_facts *f)
{
	static const struct { const char *words, *name; } names[] = {
		{ "time zone", "timezone" }, { "names", "client_encoding" },
		{ "schema", "search_path" }, { "xml option", "xmloption" },
		{ "session authorization", "session_authorization" },
		{ "transaction isolation level", "transaction_isolation" },
	};
	struct lex l = { .text = text + f->name.at, .len = f->name.len };
	struct token t, before = { .type = T_START };
	size_t n = 0;

	for (lex_next(&l, &t); t.type != T_END && t.type != T_BAD; lex_next(&l, &t)) {
		if (lex_is_name(&t)) {
			char part[64];
			sql_name(part, l.text, lex_span(&t));
			if (n > 0 && n < 127)
				dst[n++] = before.type == T_DOT ? '.' : ' ';
			for (const char *p = part; *p && n < 127; p++)
				dst[n++] = lex_lower(*p);
		}
		before = t;
	}
	dst[n] = 0;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++)
		if (strcmp(dst, names[i].words) == 0)
			strcpy(dst, names[i].name);
}

void sql_names(const char *text, size_t len, sql_see *fn, void *ctx)
{
	struct frame frames[MAX_DEPTH];
	struct sql_facts f = { .flags = 0 };
	struct scan s = {
		.lex = { .text = text, .len = len }, .f = &f, .frames = frames,
		.see = fn, .ctx = ctx,
	};

	scan_text(&s);
}

/* bare: not behind a schema, unless that is pg_temp. */
static bool mentions(const char *text, size_t len, bool bare,
                     bool (*fn)(void *ctx, const char *name, bool called), void *ctx)
{
	struct lex l = { .text = text, .len = len };
	struct token t = { .type = T_START };
	bool part = false, temporary = false;   /* behind a dot, and what is before that */

	while (t.type != T_END) {
		struct token before = t;

		lex_next(&l, &t);
		if (t.type == T_BAD)
			return true;
		if (!lex_is_name(&before)) {
			part = before.type == T_DOT && !temporary;
			continue;
		}
		char name[64];
		sql_name(name, text, lex_span(&before));
		if (!(part && bare) && fn(ctx, name, t.type == T_OPEN))
			return true;
		temporary = strncmp(name, "pg_temp", 7) == 0;
		part = false;
	}
	return false;
}

bool sql_mentions(const char *text, size_t len,
                  bool (*fn)(void *ctx, const char *name, bool called), void *ctx)
{
	return mentions(text, len, false, fn, ctx);
}

bool sql_mentions_bare(const char *text, size_t len,
                       bool (*fn)(void *ctx, const char *name, bool called), void *ctx)
{
	return mentions(text, len, true, fn, ctx);
}

bool sql_runs(const char *text, size_t len, bool (*fn)(void *ctx, const char *name), void *ctx)
{
	struct lex l = { .text = text, .len = len };
	struct token t = { .type = T_START };
	bool type = false;              /* the next name is a type's, or its schema's */

	while (t.type != T_END && t.type != T_BAD) {
		struct token before = t;
		char name[64];

		lex_next(&l, &t);
		bool is_type = lex_is_name(&before) && (type || t.type == T_STRING);
		if (before.type == T_OPERATOR || is_type) {
			sql_name(name, text, lex_span(&before));
			if (fn(ctx, name))
				return true;
		}
		type = before.type == T_CAST || before.word == W_as
		       || (type && (t.type == T_DOT || before.type == T_DOT));
	}
	return false;
}

const uint16_t sql_kind_does[SQL_KIND_COUNT] = {
#define X(kind, name, class, does) does,
	SQL_KINDS(X)
#undef X
};

const uint8_t sql_kind_class[SQL_KIND_COUNT] = {
#define X(kind, name, class, does) CLASS_##class,
	SQL_KINDS(X)
#undef X
};

const char *sql_kind_name(enum sql_kind k)
{
	static const char *const names[] = {
#define X(kind, name, class, does) name,
		SQL_KINDS(X)
#undef X
	};

	return (unsigned)k < SQL_KIND_COUNT ? names[k] : "?";
}
