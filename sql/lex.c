#include "sql/lex.h"

#include <string.h>

/* ---- characters ------------------------------------------------------------------------- */

enum {
	C_BAD,                  /* control characters, backslash and braces start no token */
	C_BLANK, C_LETTER, C_DIGIT, C_OPERATOR,
	C_OTHER                 /* decided by the character itself */
};

static const uint8_t class_of[256] = {
	0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0, 0,         /* \t \n \v \f \r */
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
	1, 4, 5, 4, 5, 4, 4, 5, 5, 5, 4, 4, 5, 4, 5, 4,         /*  !"#$%&'()*+,-./ */
	3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 5, 5, 4, 4, 4, 4,         /* 0123456789:;<=>? */
	4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,         /* @ABCDEFGHIJKLMNO */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 5, 0, 5, 4, 2,         /* PQRSTUVWXYZ[\]^_ */
	4, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,         /* `abcdefghijklmno */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 0, 4, 0, 4, 0,         /* pqrstuvwxyz{|}~  */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,         /* any byte of a multi-byte */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,         /* character is a letter */
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
	2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2,
};

static inline unsigned class_at(const struct lex *l, size_t at)
{
	return at < l->len ? class_of[(unsigned char)l->text[at]] : C_BAD;
}

/* Letters, digits and $: they continue a word. */
static inline bool in_word(const struct lex *l, size_t at)
{
	unsigned class = class_at(l, at);

	return class == C_LETTER || class == C_DIGIT || (class == C_OTHER && l->text[at] == '$');
}

/* The byte at `at`, or 0 past the end; a NUL in the text starts no token either. */
static inline char char_at(const struct lex *l, size_t at)
{
	return at < l->len ? l->text[at] : 0;
}

/* ---- words ------------------------------------------------------------------------------ */

const uint8_t lex_classes[] = {
	NONE,
#define L(letter) NONE,
#define X(word, class) class,
	WORDS(L, X)
#undef X
#undef L
};

static const struct { char name[18]; uint8_t len; } words[] = {
	{ "", 0 },
#define L(letter) { "", 0 },
#define X(word, class) { #word, sizeof #word - 1 },
	WORDS(L, X)
#undef X
#undef L
};

/* For each letter the place of its first word, and after the last letter the end; and the lengths
 * of its words, as bits. */
static const uint16_t letters[] = {
#define L(letter) FROM_##letter,
#define X(word, class)
	WORDS(L, X)
#undef X
#undef L
	WORD_COUNT
};

static const uint32_t lengths[] = {
	0
#define L(letter) , 0
#define X(word, class) | 1u << (sizeof #word - 1)
	WORDS(L, X)
#undef X
#undef L
};

static unsigned find_word(const char *text, size_t len)
{
	unsigned letter = (unsigned)(lex_lower(text[0]) - 'a');

	if (letter >= 26 || len >= sizeof words[0].name || !(lengths[letter + 1] >> len & 1))
		return W_NONE;
	for (unsigned w = letters[letter] + 1u; w < letters[letter + 1]; w++)
		if (words[w].len == len && lex_same(words[w].name + 1, text + 1, len - 1))
			return w;
	return W_NONE;
}

bool lex_same(const char *word, const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (lex_lower(text[i]) != word[i])
			return false;
	return true;
}

/* ---- tokens -------------------------------------------------------------------------------
 *
 * Each helper is told where to begin and returns where it ended, or 0 when the text
 * ended first.
 */

/* Past the line's end, or at the text's. */
static size_t line_comment(const struct lex *l, size_t at)
{
	while (at < l->len && l->text[at] != '\n' && l->text[at] != '\r')
		at++;
	return at;
}

static size_t block_comment(const struct lex *l, size_t at)
{
	for (size_t depth = 1; at + 1 < l->len; at++) {
		if (l->text[at] == '*' && l->text[at + 1] == '/') {
			at++;
			if (--depth == 0)
				return at + 1;
		} else if (l->text[at] == '/' && l->text[at + 1] == '*') {
			at++;
			depth++;
		}
	}
	return 0;
}

/* A string or identifier without backslashes, from after its opening quote. */
static size_t quoted(const struct lex *l, size_t at, char quote)
{
	while (at < l->len) {
		const char *end = memchr(l->text + at, quote, l->len - at);
		if (!end)
			return 0;
		at = (size_t)(end - l->text) + 1;
		if (char_at(l, at) != quote)
			return at;
		at++;
	}
	return 0;
}

/* Where a string goes on after blanks with a newline among them, or 0.  It matters for E''
 * only, whose next part knows backslashes too. */
static size_t continued(const struct lex *l, size_t at)
{
	for (bool newline = false; at < l->len; ) {
		char c = l->text[at];
		if (c == '\'')
			return newline ? at + 1 : 0;
		if (c == '-' && char_at(l, at + 1) == '-') {
			at = line_comment(l, at);
			continue;
		}
		if (class_at(l, at) != C_BLANK)
			return 0;
		newline |= c == '\n' || c == '\r';
		at++;
	}
	return 0;
}

static size_t escaped(const struct lex *l, size_t at)
{
	while (at < l->len) {
		char c = l->text[at++];
		if (c == '\\')
			at++;
		else if (c == '\'' && char_at(l, at) == '\'')
			at++;
		else if (c == '\'') {
			size_t more = continued(l, at);
			if (!more)
				return at;
			at = more;
		}
	}
	return 0;
}

/* $1, $tag$...$tag$, or a lone dollar, which is bad. */
static size_t dollar(const struct lex *l, struct token *t)
{
	size_t at = t->at, tag = at + 1;

	if (class_at(l, tag) == C_DIGIT) {
		t->type = T_PARAM;
		while (class_at(l, tag) == C_DIGIT)
			tag++;
		return tag;
	}
	t->type = T_STRING;
	if (class_at(l, tag) == C_LETTER)
		while (class_at(l, tag) == C_LETTER || class_at(l, tag) == C_DIGIT)
			tag++;
	if (char_at(l, tag) != '$')
		return 0;

	size_t size = tag + 1 - at;
	for (size_t p = tag + 1; l->len - p >= size; p++) {
		const char *end = memchr(l->text + p, '$', l->len - p);
		if (!end)
			return 0;
		p = (size_t)(end - l->text);
		if (l->len - p >= size && memcmp(end, l->text + at, size) == 0)
			return p + size;
	}
	return 0;
}

static bool digit_follows(const struct lex *l, size_t at)
{
	return class_at(l, at) == C_DIGIT
		|| (char_at(l, at) == '_' && class_at(l, at + 1) == C_DIGIT);
}

static size_t digits(const struct lex *l, size_t at)
{
	while (digit_follows(l, at))
		at++;
	return at;
}

/* 1, 1.5, .5, 1e-5, 1_000, 0x1F.  "1and 2" was legal before PostgreSQL 15: two tokens. */
static size_t number(const struct lex *l, size_t at)
{
	char base = lex_lower(char_at(l, at + 1));

	if (l->text[at] == '0' && (base == 'x' || base == 'o' || base == 'b')
	    && class_at(l, at + 2) == C_DIGIT) {
		for (at += 2; class_at(l, at) == C_DIGIT || class_at(l, at) == C_LETTER; )
			at++;
		return at;
	}
	at = digits(l, at);
	if (char_at(l, at) == '.' && char_at(l, at + 1) != '.')
		at = digits(l, at + 1);
	if (lex_lower(char_at(l, at)) == 'e') {
		size_t sign = char_at(l, at + 1) == '+' || char_at(l, at + 1) == '-';
		if (class_at(l, at + 1 + sign) == C_DIGIT)
			at = digits(l, at + 1 + sign);
	}
	return at;
}

/* A run of operator characters; a comment ends it. */
static size_t operator(const struct lex *l, size_t at)
{
	while (class_at(l, at) == C_OPERATOR) {
		char c = l->text[at], d = char_at(l, at + 1);
		if ((c == '-' && d == '-') || (c == '/' && d == '*'))
			break;
		at++;
	}
	return at;
}

static size_t word(const struct lex *l, struct token *t)
{
	size_t at = t->at + 1;

	while (in_word(l, at))
		at++;
	t->type = T_WORD;
	t->word = (uint16_t)find_word(l->text + t->at, at - t->at);
	return at;
}

/* A word, or a string or identifier with a letter before its quote: E'' B'' X'' N'' U&'' U&"". */
static size_t letter(const struct lex *l, struct token *t)
{
	char c = lex_lower(l->text[t->at]), d = char_at(l, t->at + 1), q = char_at(l, t->at + 2);

	if (d == '\'' && (c == 'e' || c == 'b' || c == 'x' || c == 'n')) {
		t->type = T_STRING;
		return c == 'e' ? escaped(l, t->at + 2) : quoted(l, t->at + 2, '\'');
	}
	if (c == 'u' && d == '&' && (q == '\'' || q == '"')) {
		t->type = q == '"' ? T_QUOTED : T_STRING;
		return quoted(l, t->at + 3, q);
	}
	return word(l, t);
}

/* The token that a C_OTHER starts. */
static size_t other(const struct lex *l, struct token *t)
{
	char c = l->text[t->at], d = char_at(l, t->at + 1);

	switch (c) {
	case '\'':
		t->type = T_STRING;
		return quoted(l, t->at + 1, c);
	case '"':
		t->type = T_QUOTED;
		return quoted(l, t->at + 1, c);
	case '$':
		return dollar(l, t);
	case '.':
		t->type = d >= '0' && d <= '9' ? T_NUMBER : T_DOT;
		return t->type == T_NUMBER ? number(l, t->at) : t->at + 1;
	case ':':
		t->type = d == ':' ? T_CAST : T_OPERATOR;
		return t->at + (d == ':' ? 2 : 1);
	case ',':
		t->type = T_COMMA;
		break;
	case ';':
		t->type = T_SEMICOLON;
		break;
	case '(':
		t->type = T_OPEN;
		break;
	case ')':
		t->type = T_CLOSE;
		break;
	case '[':
		t->type = T_BRACKET;
		break;
	case ']':
		t->type = T_UNBRACKET;
	}
	return t->at + 1;
}

/* To the next token's first byte; 0 when that is in an open comment, with l->at before it. */
static size_t blanks(struct lex *l)
{
	for (;;) {
		size_t end = 0;

		while (class_at(l, l->at) == C_BLANK)
			l->at++;
		char c = char_at(l, l->at);
		if (c == '-' && char_at(l, l->at + 1) == '-')
			end = line_comment(l, l->at);
		else if (c == '/' && char_at(l, l->at + 1) == '*')
			end = block_comment(l, l->at + 2);
		else
			return l->at + 1;
		if (!end)
			return 0;
		l->at = end;
	}
}

void lex_next(struct lex *l, struct token *t)
{
	bool open = blanks(l) == 0;
	size_t end = 0;

	*t = (struct token){ .type = T_END, .at = (uint32_t)l->at };
	if (l->at >= l->len)
		return;

	switch (open ? C_BAD : class_at(l, l->at)) {
	case C_LETTER:
		end = letter(l, t);
		break;
	case C_DIGIT:
		t->type = T_NUMBER;
		end = number(l, l->at);
		break;
	case C_OPERATOR:
		t->type = T_OPERATOR;
		end = operator(l, l->at);
		break;
	case C_OTHER:
		end = other(l, t);
	}
	if (!end) {
		t->type = T_BAD;
		end = l->len;
	}
	t->len = (uint32_t)(end - l->at);
	l->at = end;
}

/* ---- strings that tell something ---------------------------------------------------------- */

uint32_t lex_tells(const char *text, size_t len)
{
	static const struct { const char *word; uint32_t flag; } telling[] = {
		{ "now", SQL_TIME }, { "today", SQL_TIME }, { "tomorrow", SQL_TIME },
		{ "yesterday", SQL_TIME }, { "in_hot_standby", SQL_CATALOG },
		{ "transaction_read_only", SQL_CATALOG },
	};

	while (len > 0 && class_of[(unsigned char)*text] == C_BLANK)
		text++, len--;
	if (!len || !strchr("ntyi", lex_lower(*text)))
		return 0;
	for (size_t i = 0; i < sizeof telling / sizeof *telling; i++) {
		size_t n = strlen(telling[i].word);
		if (len >= n && lex_same(telling[i].word, text, n))
			return telling[i].flag;
	}
	return 0;
}

/* ---- shapes ------------------------------------------------------------------------------- */

/* A word or number, copied; *digits: it is an integer, nothing else. */
static size_t shape_word(char *shape, const struct lex *l, size_t at, bool *digits)
{
	size_t n = 0;

	*digits = true;
	for (; in_word(l, at); at++) {
		*digits &= class_at(l, at) == C_DIGIT;
		shape[n++] = l->text[at];
	}
	return n;
}

/* To behind the next such quote; 0: there is none. */
static size_t to_quote(const struct lex *l, size_t at, char quote)
{
	const char *end = memchr(l->text + at, quote, l->len - at);

	return end ? (size_t)(end - l->text) + 1 : 0;
}

size_t sql_shape(char *shape, const char *text, size_t len, struct sql_span *literals)
{
	const struct lex l = { .text = text, .len = len };
	size_t n = 0, first = len, last = len, end;

	for (size_t at = 0; at < len; at = end) {
		char c = text[at], d = char_at(&l, at + 1);
		bool is_literal = c == '\'';

		if (in_word(&l, at)) {
			size_t word = shape_word(shape + n, &l, at, &is_literal);
			end = at + word;
			if ((c == '$' && class_at(&l, at + 1) != C_DIGIT)
			    || (lex_lower(text[end - 1]) == 'e' && char_at(&l, end) == '\''))
				/* A dollar quote; a string that knows backslashes. */
				return 0;
			n += is_literal ? 0 : word;
			c = '0';
		} else if (c == '\'' || c == '"') {
			end = to_quote(&l, at + 1, c);
			/* What such a string tells is not another string's. */
			if (!end || (c == '\'' && lex_tells(text + at + 1, end - at - 1)))
				return 0;
			if (c == '"') {
				memcpy(shape + n, text + at, end - at);
				n += end - at;
			}
		} else {
			if ((c == '-' && d == '-') || (c == '/' && d == '*'))
				return 0;
			shape[n++] = c;
			end = at + 1;
		}
		if (is_literal) {
			shape[n++] = c;
			first = first < at ? first : at;
			last = end;
		}
	}
	*literals = (struct sql_span){ (uint32_t)first, (uint32_t)(last - first) };
	return n;
}
