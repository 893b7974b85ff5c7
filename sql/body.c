#include "sql/body.h"

#include <string.h>

#include "sql/func.h"

/* Does function_names hold it?  The hash is make_functions.py's bucket(). */
static bool function_reads(const char *name)
{
	uint32_t h = 2166136261u;
	size_t len = 0;

	for (; name[len]; len++)
		h = (h ^ (unsigned char)name[len]) * 16777619u;
	h = (h ^ h >> 16) % FUNCTION_BUCKETS;

	const char *end = function_names + function_bucket[h + 1];
	for (const char *p = function_names + function_bucket[h]; p < end; p += 1 + *p)
		if ((size_t)*p == len && memcmp(p + 1, name, len) == 0)
			return true;
	return false;
}

static void tell_name(struct scan *s, enum sql_use use, const struct name *n)
{
	char schema[64] = "", name[64];

	if (use == SQL_READ || use == SQL_CALLED)
		scan_flag(s, SQL_NAMES);
	if (!s->see)
		return;
	if (n->parts > 1)
		sql_name(schema, s->lex.text, n->schema);
	sql_name(name, s->lex.text, n->last);
	s->see(s->ctx, use, schema, name);
}

static void tell_target(struct scan *s, const struct name *n)
{
	if (s->f->kind != SQL_EXPLAIN || (s->f->flags & SQL_ANALYZED))
		tell_name(s, SQL_WRITTEN, n);
}

static void add_cte(struct scan *s, const struct frame *fr, const struct token *t)
{
	if (s->nctes < MAX_CTES)
		s->ctes[s->nctes++] = (struct cte){ lex_span(t), (uint8_t)s->depth, fr->recursive };
}

/* The bodies of this depth's WITH list are over, as far as it was read. */
static void end_cte(struct scan *s)
{
	for (unsigned i = s->nctes; i > 0 && s->ctes[i - 1].depth == s->depth; i--)
		s->ctes[i - 1].hides = true;
}

static bool is_cte(const struct scan *s, struct sql_span span)
{
	char name[64], other[64];

	sql_name(name, s->lex.text, span);
	for (unsigned i = 0; i < s->nctes; i++) {
		sql_name(other, s->lex.text, s->ctes[i].name);
		if (s->ctes[i].hides && strcmp(name, other) == 0)
			return true;
	}
	return false;
}

static void check_relation(struct scan *s, const struct name *n)
{
	if (n->parts == 1 && s->nctes && is_cte(s, n->last))
		return;
	struct sql_span span = n->parts > 1 ? n->schema : n->last;
	char name[64];

	/* Its first letters tell, quoted (U&"...) or not. */
	span.len = span.len < 8 ? span.len : 8;
	sql_name(name, s->lex.text, span);
	if (strncmp(name, "pg_", 3) == 0)
		scan_flag(s, SQL_CATALOG);
	tell_name(s, SQL_READ, n);
}

void body_dropped(struct scan *s, const struct token *schema)
{
	struct name n = { .last = lex_span(&s->tok), .parts = schema ? 2 : 1 };

	if (schema)
		n.schema = lex_span(schema);
	tell_name(s, SQL_DROPPED, &n);
}

bool body_is_temp(const struct scan *s, struct sql_span schema)
{
	char name[64];

	sql_name(name, s->lex.text, schema);
	return strcmp(name, "pg_temp") == 0;
}

bool body_matches(const regex_t *list, size_t n, const char *text)
{
	for (size_t i = 0; i < n; i++)
		if (regexec(&list[i], text, 0, NULL, 0) == 0)
			return true;
	return false;
}

/* The parameter is known, and the same on all nodes? */
static bool is_anywhere(const struct scan *s, const struct token *t)
{
	return t->type == T_STRING && s->lex.text[t->at] == '\''
		&& !(lex_tells(s->lex.text + t->at + 1, t->len - 1) & SQL_CATALOG);
}

/* Functions whose effect outlives the statement, or whose answer depends on the session, the
 * transaction or the node. */
static void note_function(struct scan *s, const char *name)
{
	static const struct { const char *name; uint32_t flag; } notable[] = {
		{ "pg_backend_pid", SQL_CATALOG },
		{ "now", SQL_TIME },
		{ "transaction_timestamp", SQL_TIME },
		{ "age", SQL_TIME },
		{ "current_setting", SQL_CATALOG },
		{ "pg_advisory_lock", SQL_ADVISORY },
		{ "pg_advisory_lock_shared", SQL_ADVISORY },
		{ "pg_try_advisory_lock", SQL_ADVISORY },
		{ "pg_try_advisory_lock_shared", SQL_ADVISORY },
		{ "set_config", SQL_SET_CONFIG },
		{ "currval", SQL_SEQUENCE },
		{ "lastval", SQL_SEQUENCE },
		{ "pg_terminate_backend", SQL_TERMINATE },
	};

	for (size_t i = 0; i < sizeof notable / sizeof *notable; i++) {
		if (strcmp(notable[i].name, name) != 0)
			continue;
		struct token argument = scan_peek(s);
		if (notable[i].flag == SQL_CATALOG && is_anywhere(s, &argument))
			return;
		if (notable[i].flag != SQL_TERMINATE)
			scan_flag(s, notable[i].flag);
		else if (argument.type == T_NUMBER) {
			scan_flag(s, SQL_TERMINATE);
			scan_name(s, lex_span(&argument));
		}
	}
}

/* The name before tok, which is "(", is a function's. */
static void check_function(struct scan *s, const struct name *n)
{
	const struct sql_rules *r = s->rules;
	char name[130], *last = name;
	bool own = n->parts == 1;       /* of pg_catalog, as far as can be seen */

	if (n->parts > 1) {
		sql_name(name, s->lex.text, n->schema);
		own = n->parts == 2 && strcmp(name, "pg_catalog") == 0;
		last = name + strlen(name);
		*last++ = '.';
	}
	sql_name(last, s->lex.text, n->last);

	bool reads = own && function_reads(last);
	note_function(s, last);
	if (!reads)
		tell_name(s, SQL_CALLED, n);
	if (r && r->nread_only > 0)
		reads = body_matches(r->read_only_functions, r->nread_only, own ? last : name);
	else if (r && r->nwrite > 0)
		reads = !body_matches(r->write_functions, r->nwrite, name)
			&& !body_matches(r->write_functions, r->nwrite, last);
	if (!reads)
		scan_flag(s, SQL_FUNCTION);
}

/* A rule of PostgreSQL's makes an UPDATE of this view a call of set_config(). */
static void note_target(struct scan *s, const struct name *n)
{
	char name[64];

	sql_name(name, s->lex.text, n->last);
	if (!strcmp(name, "pg_settings") || strchr(name, '\\'))        /* or maybe, in U&"" */
		scan_flag(s, SQL_SETS);
}

/* The name is complete: tok is no longer part of it. */
static void finish_name(struct scan *s)
{
	struct name n = s->name;

	s->name.parts = 0;
	switch (n.role) {
	case TARGET:
		tell_target(s, &n);
		note_target(s, &n);
		return;
	case COPIED:
		s->copied = n;
		return;
	case INTO:
		if (s->temporary || (n.parts > 1 && body_is_temp(s, n.schema))) {
			scan_flag(s, SQL_TEMP);
			scan_name(s, n.last);
		}
		return;
	case RELATION:
	case COLUMN:
		if (s->tok.type == T_OPEN && n.callable)
			check_function(s, &n);
		else if (s->tok.type != T_OPEN && n.role == RELATION)
			check_relation(s, &n);
	}
}

/* Words that are not functions before "(" when a certain word is before them. */
static bool is_phrase(unsigned before, unsigned w)
{
	static const struct { uint16_t before, word; } phrases[] = {
		{ W_fetch, W_first }, { W_fetch, W_next }, { W_time, W_zone }, { W_to, W_second },
		{ W_then, W_insert }, { W_on, W_conflict }, { W_grouping, W_sets },
	};

	for (size_t i = 0; i < sizeof phrases / sizeof *phrases; i++)
		if (phrases[i].word == w && phrases[i].before == before)
			return true;
	return false;
}

/* May the name that begins at tok be a function's?  Not after an operand: two
 * operands side by side are a thing and its alias, as in "f(1) g(a, b)". */
static bool is_callable(const struct scan *s, unsigned w)
{
	switch (s->prev.type) {
	case T_WORD:
		break;
	case T_QUOTED: case T_STRING: case T_NUMBER: case T_PARAM:
	case T_CLOSE: case T_UNBRACKET: case T_CAST:
		return false;
	default:
		return !(lex_class(w) & SYNTAX);
	}
	switch (s->prev.word) {
	case W_NONE: case W_as: case W_into: case W_copy: case W_tablesample: case W_interval:
		return false;
	}
	return !(lex_class(w) & SYNTAX) && !is_phrase(s->prev.word, w);
}

static void begin_name(struct scan *s, struct frame *fr, unsigned w)
{
	s->name = (struct name){
		.last = lex_span(&s->tok),
		.parts = 1,
		.callable = !fr->with && is_callable(s, w),
	};
	if (s->prev.type == T_DOT) {            /* (row).name: nothing is known about it */
		s->name.schema = s->name.last;
		s->name.parts = 3;
	}
	if (fr->expect != COLUMN && !(lex_class(w) & RESERVED)) {
		s->name.role = fr->expect;
		fr->expect = COLUMN;
	}
}

/* A query's verb stands at this depth. */
static void begin_query(struct scan *s, struct frame *fr, enum sql_kind kind)
{
	bool dml = kind != SQL_SELECT && kind != SQL_VALUES;

	if (fr->with)
		end_cte(s);
	fr->with = NO_WITH;
	fr->from = false;
	fr->expect = COLUMN;
	fr->rows = !dml;
	if (fr->verb != SQL_EMPTY)
		return;
	fr->verb = (uint8_t)kind;
	if (s->depth == 0)
		scan_become(s, kind);
	else if (s->copy && s->depth == 1 && fr->query)
		s->f->inner = (uint8_t)kind;
	else if (dml)
		scan_flag(s, SQL_MODIFIES);
}

/* A statement's first word can stand here: at the start, after "(", after WITH's list. */
static bool is_query_start(const struct scan *s, const struct frame *fr)
{
	return fr->verb == SQL_EMPTY
		&& (s->prev.type == T_START || s->prev.type == T_OPEN || fr->with == WITH_BODY);
}

static void see_dml(struct scan *s, struct frame *fr, enum sql_kind kind)
{
	if (!fr->query || !is_query_start(s, fr))
		return;
	begin_query(s, fr, kind);
	if (kind == SQL_UPDATE)
		fr->expect = TARGET;
}

static void see_from(struct scan *s, struct frame *fr)
{
	if (s->copy && s->depth == 0) {
		s->copy = false;
		s->stop = true;
		scan_become(s, SQL_COPY_FROM);
		if (s->copied.parts)
			tell_target(s, &s->copied);
	} else if (s->prev.word == W_delete && fr->verb == SQL_DELETE) {
		fr->expect = TARGET;
	} else if (fr->verb != SQL_EMPTY && s->prev.word != W_distinct) {
		fr->from = true;
		fr->expect = RELATION;
	}
}

/* COPY ... TO; anything not sent to the client is written by the server. */
static void see_to(struct scan *s)
{
	unsigned where = scan_peek(s).word;

	if (!s->copy || s->depth > 0)
		return;
	s->copy = false;
	s->stop = true;
	if (s->copied.parts)
		check_relation(s, &s->copied);
	if (where != W_stdout && where != W_stdin)
		scan_flag(s, SQL_MODIFIES);
}

static void see_into(struct scan *s, struct frame *fr)
{
	if (fr->verb == SQL_INSERT || fr->verb == SQL_MERGE) {
		if (s->prev.word == W_insert || s->prev.word == W_merge)
			fr->expect = TARGET;
	} else if (fr->verb == SQL_SELECT) {
		scan_flag(s, SQL_INTO);
		fr->expect = INTO;
		s->temporary = false;
	}
}

static void see_with(const struct scan *s, struct frame *fr)
{
	if (is_query_start(s, fr) || (fr->verb == SQL_INSERT && !fr->rows))
		fr->with = WITH_NAME;
}

static void see_lock(struct scan *s, unsigned w)
{
	const struct frame *fr = &s->frames[s->depth];

	if (w == W_for)
		s->lock = fr->verb != SQL_EMPTY || !fr->argument;
	else if (s->lock && (w == W_update || w == W_share))
		scan_flag(s, SQL_LOCKS);
	if (w != W_for && w != W_no && w != W_key)
		s->lock = false;
}

static void see_keyword(struct scan *s, struct frame *fr, unsigned w)
{
	switch (w) {
	case W_select:
		begin_query(s, fr, SQL_SELECT);
		break;
	case W_values:
		if (is_query_start(s, fr) || fr->verb == SQL_INSERT)
			begin_query(s, fr, SQL_VALUES);
		break;
	case W_table:
		if (fr->expect == TARGET || fr->expect == INTO)
			break;
		if (is_query_start(s, fr) || (fr->verb == SQL_INSERT && !fr->rows))
			begin_query(s, fr, SQL_SELECT);
		fr->expect = RELATION;
		break;
	case W_with:
		see_with(s, fr);
		break;
	case W_insert:
		see_dml(s, fr, SQL_INSERT);
		break;
	case W_update:
		see_dml(s, fr, SQL_UPDATE);
		break;
	case W_delete:
		see_dml(s, fr, SQL_DELETE);
		break;
	case W_merge:
		see_dml(s, fr, SQL_MERGE);
		break;
	case W_from:
		see_from(s, fr);
		break;
	case W_to:
		see_to(s);
		break;
	case W_into:
		see_into(s, fr);
		break;
	case W_join:
		fr->expect = RELATION;
		break;
	case W_current_date: case W_current_time: case W_current_timestamp: case W_localtime:
	case W_localtimestamp:
		scan_flag(s, SQL_TIME);
		break;
	case W_where: case W_group: case W_having: case W_window: case W_order: case W_limit:
	case W_offset: case W_fetch: case W_for: case W_union: case W_intersect: case W_except:
	case W_returning: case W_set:
		fr->from = false;
		fr->expect = COLUMN;
	}
}

/* INTO's [GLOBAL|LOCAL] TEMP|TEMPORARY and UNLOGGED before the name.  A table of such a name counts
 * as temporary, which costs nothing. */
static bool is_into_option(struct scan *s, unsigned w)
{
	if (w == W_temp || w == W_temporary)
		s->temporary = true;
	return w == W_temp || w == W_temporary || w == W_local || w == W_global || w == W_unlogged;
}

static void see_word(struct scan *s, struct frame *fr)
{
	unsigned w = s->tok.word;

	if (s->prev.type == T_DOT && s->name.parts) {
		s->name.schema = s->name.last;
		s->name.last = lex_span(&s->tok);
		s->name.parts++;
		s->tok.word = W_NONE;
		s->lock = false;
		return;
	}
	if (fr->with == WITH_NAME && w == W_as) {       /* the name was "recursive" */
		fr->with = WITH_BODY;
		add_cte(s, fr, &s->prev);
	} else if (fr->with == WITH_NAME && w == W_recursive) {
		fr->recursive = true;
	} else if (fr->with == WITH_NAME) {
		fr->with = WITH_BODY;
		add_cte(s, fr, &s->tok);
		s->tok.word = w = W_NONE;
	} else if (s->prev.type == T_DOT || (s->prev.word == W_as && !fr->with)) {
		s->tok.word = w = W_NONE;       /* a column or a label, whatever its name */
	}
	if (fr->expect == INTO && is_into_option(s, w))
		return;
	if (w != W_rows || scan_peek(s).word != W_from)         /* not ROWS FROM (f(), g()) */
		begin_name(s, fr, w);
	see_lock(s, w);
	if (w != W_NONE)
		see_keyword(s, fr, w);
}

static void see_open(struct scan *s, struct frame *fr)
{
	struct frame inside = {
		.expect = fr->expect == RELATION || s->prev.word == W_only ? fr->expect : COLUMN,
		.argument = s->prev.word == W_substring || s->prev.word == W_overlay,
		.glue = s->prev.word == W_on || s->prev.word == W_operator,
	};

	if (fr->with == WITH_BODY && s->prev.type == T_CLOSE)   /* WITH x AS (...) (SELECT ...) */
		begin_query(s, fr, SQL_SELECT);
	inside.query = (s->copy && s->prev.word == W_copy)
		|| (fr->with && (s->prev.word == W_as || s->prev.word == W_materialized));
	fr->expect = COLUMN;

	if (s->depth + 1 < MAX_DEPTH)
		s->frames[++s->depth] = inside;
	else
		s->tok.type = T_BAD;
}

static void see_close(struct scan *s)
{
	if (s->depth == 0)
		s->tok.type = T_BAD;
	else if (s->frames[s->depth--].glue)
		s->tok.type = T_OPERATOR;
	while (s->nctes && s->ctes[s->nctes - 1].depth > s->depth)
		s->nctes--;
}

/* What a string means as a date depends on the transaction, whatever it is really used for. */
static void see_string(struct scan *s)
{
	const char *p = s->lex.text + s->tok.at, *end = p + s->tok.len;
	bool dollar = *p == '$';

	p = memchr(p + dollar, dollar ? '$' : '\'', s->tok.len - dollar);
	if (p)
		scan_flag(s, lex_tells(p + 1, (size_t)(end - p) - 1) & SQL_TIME);
}

static void see_comma(struct scan *s, struct frame *fr)
{
	if (fr->with) {
		end_cte(s);
		fr->with = WITH_NAME;
	} else if (fr->verb == SQL_TRUNCATE)
		fr->expect = TARGET;
	else if (fr->from)
		fr->expect = RELATION;
}

/* To the statement's end, looking at everything. */
static void walk(struct scan *s)
{
	for (; !s->stop; scan_advance(s)) {
		struct frame *fr = &s->frames[s->depth];
		enum token_type type = s->tok.type;
		bool next_part = type == T_DOT || (s->prev.type == T_DOT && lex_is_name(&s->tok));

		if (s->name.parts && !next_part)
			finish_name(s);
		if (type == T_WORD || type == T_QUOTED)
			see_word(s, fr);
		else if (type == T_OPEN)
			see_open(s, fr);
		else if (type == T_CLOSE)
			see_close(s);
		else if (type == T_COMMA)
			see_comma(s, fr);
		else if (type == T_STRING)
			see_string(s);
		else if (type == T_END || type == T_BAD || (type == T_SEMICOLON && s->depth == 0))
			break;
		if (s->tok.type == T_BAD)
			break;
	}
}

void body_read(struct scan *s)
{
	s->frames[0] = (struct frame){ .query = true };
	s->prev = (struct token){ .type = T_START };
	walk(s);
}

void body_truncate(struct scan *s)
{
	s->frames[0] = (struct frame){ .verb = SQL_TRUNCATE, .expect = TARGET };
	walk(s);
}

void body_copy(struct scan *s)
{
	s->copy = true;
	s->frames[0] = (struct frame){ .expect = s->tok.type == T_OPEN ? COLUMN : COPIED };
	walk(s);
}
