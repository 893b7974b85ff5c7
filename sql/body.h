/* sql/body.h - what queries do: relations, functions, locks.
 *
 * Part of sql.c and nobody else's.  A struct scan is the one pass over a statement: tok is the
 * token to be looked at, prev the one before it.  sql.c reads the heads of statements with it;
 * SELECT, VALUES, INSERT, UPDATE, DELETE, MERGE, COPY and TRUNCATE are read here.
 *
 * There is one frame for each open parenthesis, and frames[0] for the statement itself.  A frame
 * knows the query at its depth and the role of the next name.  That is enough to tell FROM t from
 * extract(year FROM t), and f(x) from the alias in "g(1) f(x)".
 */
#ifndef SQL_BODY_H
#define SQL_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sql.h"
#include "sql/lex.h"

enum { MAX_DEPTH = 256 };

enum role { COLUMN /* or anything else */, RELATION, TARGET, INTO, COPIED };

struct frame {
	uint8_t verb;           /* kind of the query at this depth; SQL_EMPTY = none so far */
	uint8_t expect;         /* role of the next name */
	bool query;             /* a whole statement stands here, so INSERT... count */
	bool from;              /* in a FROM list, where a comma announces a relation */
	bool rows;              /* SELECT or VALUES of an INSERT was seen */
	bool argument;          /* of substring or overlay, where FOR is not a lock */
	bool glue;              /* after ")" an expression begins: DISTINCT ON (), OPERATOR () */
	bool recursive;         /* WITH RECURSIVE */
	enum { NO_WITH, WITH_NAME, WITH_BODY } with;
};

/* A name being read, part by part. */
struct name {
	struct sql_span schema, last;   /* its last two parts */
	unsigned parts;                 /* 0 = no name is being read */
	enum role role;
	bool callable;                  /* it is a call if "(" follows */
};

/* A name from WITH.  It hides a relation of its name in the query and below, once its own body has
 * ended; with RECURSIVE from its beginning. */
struct cte {
	struct sql_span name;
	uint8_t depth;
	bool hides;
};

enum { MAX_CTES = 16 };                 /* further ones count as relations: nobody knows those */

struct scan {
	struct lex lex;
	struct token tok, prev;
	size_t end;                     /* of the token before tok */
	struct sql_facts *f;
	const struct sql_rules *rules;
	sql_see *see;                   /* or NULL */
	void *ctx;
	struct name name;
	struct name copied;             /* COPY's table until its direction is known */
	bool copy;                      /* COPY, direction unknown */
	bool stop;                      /* the rest of COPY's options does not matter */
	bool wrapped;                   /* inside EXPLAIN, PREPARE or DECLARE */
	bool wraps;                     /* a head says: another statement begins at tok */
	bool lock;                      /* FOR, FOR NO, FOR NO KEY or FOR KEY was read */
	bool temporary;                 /* INTO TEMP was read */
	unsigned depth;
	struct frame *frames;
	unsigned nctes;
	struct cte ctes[MAX_CTES];
};

/* SELECT, VALUES, INSERT ... at tok; TRUNCATE and COPY from the token after.  They end at the
 * statement's end, at a T_BAD, or where the rest does not matter; s->depth parentheses are then
 * open. */
void body_read(struct scan *s);
void body_truncate(struct scan *s);
void body_copy(struct scan *s);

/* DROP's name at tok; schema NULL: it has none. */
void body_dropped(struct scan *s, const struct token *schema);

/* Is this schema pg_temp? */
bool body_is_temp(const struct scan *s, struct sql_span schema);

/* Does one of these match? */
bool body_matches(const regex_t *list, size_t n, const char *text);

static inline void scan_advance(struct scan *s)
{
	s->prev = s->tok;
	s->end = s->tok.at + s->tok.len;
	lex_next(&s->lex, &s->tok);
}

static inline bool scan_at_end(const struct scan *s)
{
	return s->tok.type == T_END || s->tok.type == T_BAD || s->tok.type == T_SEMICOLON;
}

/* The token after tok. */
static inline struct token scan_peek(const struct scan *s)
{
	struct lex l = s->lex;
	struct token t;

	lex_next(&l, &t);
	return t;
}

/* Moves on if tok is this word. */
static inline bool scan_skip(struct scan *s, unsigned w)
{
	if (s->tok.word != w)
		return false;
	scan_advance(s);
	return true;
}

static inline void scan_flag(struct scan *s, uint32_t bits)
{
	s->f->flags |= bits;
}

/* The statement, or the one inside it, turned out to be of this kind. */
static inline void scan_become(struct scan *s, enum sql_kind kind)
{
	s->f->inner = (uint8_t)kind;
	if (!s->wrapped)
		s->f->kind = (uint8_t)kind;
}

/* The statement's name; the first one stays. */
static inline void scan_name(struct scan *s, struct sql_span name)
{
	if (s->f->name.len == 0)
		s->f->name = name;
}

#endif
