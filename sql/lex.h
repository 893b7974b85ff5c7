/* sql/lex.h - PostgreSQL's lexical rules, and the words that the classifier knows.
 *
 * Part of sql.c and nobody else's.  A struct lex is a place in a text; lex_next() moves it over
 * blanks and comments and over one token, which it describes.  At the end it keeps answering
 * T_END.  A string, identifier or comment that the text ends in, or a byte that starts no
 * token, is T_BAD and takes all the rest of the text.
 *
 * Understood are '' E'' B'' X'' N'' U&'' strings, $tag$ quotes, "" and U&"" identifiers, nested
 * comments, $1, numbers with 0x and 1_000, operators, and letters beyond ASCII (any byte of a
 * multi-byte character is one).
 */
#ifndef SQL_LEX_H
#define SQL_LEX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql.h"

enum token_type {
	T_START,        /* before the first token */
	T_END,
	T_BAD,          /* open to the end of the text, or no token starts so */
	T_WORD, T_QUOTED, T_STRING, T_NUMBER, T_PARAM,
	T_OPERATOR,     /* also : and := */
	T_CAST, T_DOT, T_COMMA, T_SEMICOLON, T_OPEN, T_CLOSE, T_BRACKET, T_UNBRACKET
};

struct token {
	uint8_t type;           /* enum token_type */
	uint16_t word;          /* of an unquoted T_WORD: enum word; W_NONE = an ordinary name */
	uint32_t at, len;
};

struct lex {
	const char *text;
	size_t at, len;         /* len: below 4 GB */
};

/* This lists the words that the classifier acts upon, and PostgreSQL's words that are not plain
 * names: "name (" is a function call and "name name (" is an alias, but "in (" is neither.  They
 * are in the order of their first letters; L(x) begins a letter. */
enum {
	NONE = 0,
	SYNTAX = 1,     /* before "(" it is not a function */
	RESERVED = 2,   /* never the name of a relation */
	BOTH = SYNTAX | RESERVED
};

#define WORDS(L, X) \
	L(a) X(abort, NONE) X(access, NONE) X(all, BOTH) X(alter, NONE) X(analyse, RESERVED) \
	X(analyze, RESERVED) X(and, BOTH) X(any, BOTH) X(array, BOTH) X(as, BOTH) X(asc, BOTH) \
	X(asymmetric, BOTH) X(atomic, NONE) X(authorization, RESERVED) \
	L(b) X(begin, NONE) X(between, SYNTAX) X(bigint, SYNTAX) X(binary, RESERVED) \
	X(bit, SYNTAX) X(boolean, SYNTAX) X(both, BOTH) X(by, SYNTAX) \
	L(c) X(call, NONE) X(case, BOTH) X(cast, BOTH) X(chain, NONE) X(char, SYNTAX) \
	X(character, SYNTAX) X(characteristics, NONE) X(check, BOTH) X(checkpoint, NONE) \
	X(close, NONE) X(cluster, NONE) X(coalesce, SYNTAX) X(collate, BOTH) \
	X(collation, RESERVED) X(column, BOTH) X(comment, NONE) X(commit, NONE) \
	X(committed, NONE) \
	X(conflict, NONE) X(constraint, BOTH) X(constraints, NONE) X(content, NONE) \
	X(copy, NONE) X(create, BOTH) X(cross, RESERVED) X(cube, SYNTAX) \
	X(current_catalog, BOTH) X(current_date, BOTH) X(current_role, BOTH) \
	X(current_schema, RESERVED) X(current_time, BOTH) X(current_timestamp, BOTH) \
	X(current_user, BOTH) X(cursor, NONE) \
	L(d) X(deallocate, NONE) X(dec, SYNTAX) X(decimal, SYNTAX) X(declare, NONE) \
	X(default, BOTH) X(deferrable, BOTH) X(delete, NONE) X(desc, BOTH) X(discard, NONE) \
	X(distinct, BOTH) X(do, BOTH) X(document, NONE) X(drop, NONE) \
	L(e) X(else, BOTH) X(end, BOTH) X(escape, NONE) X(except, BOTH) X(execute, NONE) \
	X(exists, SYNTAX) X(explain, NONE) X(extract, SYNTAX) \
	L(f) X(false, BOTH) X(fetch, BOTH) X(first, NONE) X(float, SYNTAX) X(for, BOTH) \
	X(foreign, BOTH) X(freeze, RESERVED) X(from, BOTH) X(full, RESERVED) X(function, NONE) \
	L(g) X(global, NONE) X(grant, BOTH) X(graph_table, SYNTAX) X(greatest, SYNTAX) \
	X(group, BOTH) X(grouping, SYNTAX) X(groups, NONE) \
	L(h) X(having, BOTH) X(hold, NONE) \
	L(i) X(if, NONE) X(ilike, BOTH) X(import, NONE) X(in, BOTH) X(initially, BOTH) \
	X(inner, RESERVED) X(inout, SYNTAX) X(insert, NONE) X(int, SYNTAX) X(integer, SYNTAX) \
	X(intersect, BOTH) X(interval, SYNTAX) X(into, BOTH) X(is, BOTH) X(isnull, RESERVED) \
	L(j) X(join, BOTH) X(json, SYNTAX) X(json_array, SYNTAX) X(json_arrayagg, SYNTAX) \
	X(json_exists, SYNTAX) X(json_object, SYNTAX) X(json_objectagg, SYNTAX) \
	X(json_query, SYNTAX) X(json_scalar, SYNTAX) X(json_serialize, SYNTAX) \
	X(json_table, SYNTAX) X(json_value, SYNTAX) \
	L(k) X(key, NONE) \
	L(l) X(lateral, BOTH) X(leading, BOTH) X(least, SYNTAX) X(left, RESERVED) X(like, BOTH) \
	X(limit, BOTH) X(listen, NONE) X(load, NONE) X(local, NONE) X(localtime, BOTH) \
	X(localtimestamp, BOTH) X(lock, NONE) \
	L(m) X(materialized, SYNTAX) X(merge, NONE) X(merge_action, SYNTAX) X(mode, NONE) \
	X(move, NONE) \
	L(n) X(names, NONE) X(national, SYNTAX) X(natural, RESERVED) X(nchar, SYNTAX) \
	X(next, NONE) X(no, NONE) X(none, SYNTAX) X(normalize, SYNTAX) X(not, BOTH) \
	X(notify, NONE) X(notnull, RESERVED) X(null, BOTH) X(nullif, SYNTAX) X(numeric, SYNTAX) \
	L(o) X(offset, BOTH) X(on, BOTH) X(only, BOTH) X(operator, SYNTAX) X(option, NONE) \
	X(or, BOTH) X(order, BOTH) X(out, SYNTAX) X(outer, RESERVED) X(over, SYNTAX) \
	X(overlaps, RESERVED) X(overlay, SYNTAX) \
	L(p) X(partition, NONE) X(passing, NONE) X(path, NONE) X(pgpool, NONE) X(placing, BOTH) \
	X(position, SYNTAX) X(precision, SYNTAX) X(prepare, NONE) X(prepared, NONE) \
	X(primary, BOTH) X(procedure, NONE) \
	L(q) \
	L(r) X(range, NONE) X(read, NONE) X(real, SYNTAX) X(reassign, NONE) X(recursive, NONE) \
	X(ref, NONE) X(references, BOTH) X(refresh, NONE) X(reindex, NONE) X(release, NONE) \
	X(repack, NONE) X(repeatable, NONE) X(reset, NONE) X(returning, BOTH) X(revoke, NONE) \
	X(right, RESERVED) \
	X(rollback, NONE) X(rollup, SYNTAX) X(row, SYNTAX) X(rows, NONE) \
	L(s) X(savepoint, NONE) X(schema, NONE) X(second, NONE) X(security, NONE) \
	X(select, BOTH) X(sequence, NONE) X(serializable, NONE) X(session, NONE) \
	X(session_user, BOTH) X(set, SYNTAX) X(setof, SYNTAX) X(sets, NONE) X(share, NONE) \
	X(show, NONE) X(similar, RESERVED) X(smallint, SYNTAX) X(some, BOTH) X(start, NONE) \
	X(stdin, NONE) X(stdout, NONE) X(substring, SYNTAX) X(symmetric, BOTH) \
	X(system_user, BOTH) \
	L(t) X(table, BOTH) X(tablesample, RESERVED) X(temp, NONE) X(temporary, NONE) \
	X(then, BOTH) X(time, SYNTAX) X(timestamp, SYNTAX) X(to, BOTH) X(trailing, BOTH) \
	X(transaction, NONE) X(treat, SYNTAX) X(trim, SYNTAX) X(true, BOTH) X(truncate, NONE) \
	L(u) X(uncommitted, NONE) X(union, BOTH) X(unique, BOTH) X(unlisten, NONE) \
	X(unlogged, NONE) X(update, NONE) \
	X(user, BOTH) X(using, BOTH) \
	L(v) X(vacuum, NONE) X(value, NONE) X(values, SYNTAX) X(varchar, SYNTAX) \
	X(variadic, BOTH) X(varying, SYNTAX) X(verbose, RESERVED) X(version, NONE) \
	X(view, NONE) \
	L(w) X(when, BOTH) X(where, BOTH) X(window, BOTH) X(with, BOTH) X(work, NONE) \
	X(write, NONE) \
	L(x) X(xml, NONE) X(xmlattributes, SYNTAX) X(xmlconcat, SYNTAX) X(xmlelement, SYNTAX) \
	X(xmlexists, SYNTAX) X(xmlforest, SYNTAX) X(xmlnamespaces, SYNTAX) X(xmlparse, SYNTAX) \
	X(xmlpi, SYNTAX) X(xmlroot, SYNTAX) X(xmlserialize, SYNTAX) X(xmltable, SYNTAX) \
	L(y) \
	L(z) X(zone, NONE)

enum word {
	W_NONE,
#define L(letter) FROM_##letter,
#define X(word, class) W_##word,
	WORDS(L, X)
#undef X
#undef L
	WORD_COUNT
};

/* Of each word: NONE, SYNTAX, RESERVED or BOTH. */
extern const uint8_t lex_classes[WORD_COUNT];
static inline unsigned lex_class(unsigned word) { return lex_classes[word]; }

/* The next token. */
void lex_next(struct lex *l, struct token *t);

/* Words in strings that tell something: SQL_TIME for "now" or "today 10:00", SQL_CATALOG for a
 * parameter that is another one on a standby.  0: nothing of the kind. */
uint32_t lex_tells(const char *text, size_t len);

/* Is the text, in any case, this lower-case word of the same length? */
bool lex_same(const char *word, const char *text, size_t len);

static inline char lex_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c;
}

static inline bool lex_is_name(const struct token *t)
{
	return t->type == T_WORD || t->type == T_QUOTED;
}

static inline struct sql_span lex_span(const struct token *t)
{
	return (struct sql_span){ t->at, t->len };
}

#endif
