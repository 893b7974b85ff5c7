#include "conf/scan.h"

#include <stdbool.h>
#include <string.h>

static bool digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool hex(char c)
{
	return digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}

static bool ascii_letter(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool letter(char c)
{
	return ascii_letter(c) || c == '_' || c & 0x80;
}

static const char *skip(bool (*is)(char), const char *p, const char *end)
{
	while (p < end && is(*p))
		p++;
	return p;
}

/* The end of digits or 0xdigits and the letters of a unit, p when there is no digit. */
static const char *integer(const char *p, const char *end)
{
	const char *q = skip(digit, p, end);

	if (q == p + 1 && *p == '0' && end - q > 1 && (*q == 'x' || *q == 'X') && hex(q[1]))
		q = skip(hex, q + 1, end);
	return q == p ? p : skip(ascii_letter, q, end);
}

/* The end of a decimal fraction with or without an exponent, p when it is none. */
static const char *real(const char *p, const char *end)
{
	const char *q = skip(digit, p, end);
	bool digits = q > p;

	if (q < end && *q == '.') {
		const char *fraction = q + 1;

		q = skip(digit, fraction, end);
		digits |= q > fraction;
	}
	if (!digits)
		return p;
	if (q < end && (*q == 'e' || *q == 'E')) {
		const char *e = q + 1;

		e += e < end && (*e == '+' || *e == '-');
		if (skip(digit, e, end) > e)
			q = skip(digit, e, end);
	}
	return q;
}

static bool number(struct scan *s)
{
	const char *p = s->p + (*s->p == '+' || *s->p == '-');
	const char *a = integer(p, s->end), *b = real(p, s->end), *longest = a > b ? a : b;

	if (longest == p)
		return false;
	s->token = NUMBER;
	s->p = longest;
	s->n = (size_t)(s->p - s->at);
	return true;
}

static void string(struct scan *s)
{
	s->at = ++s->p;
	s->token = UNCLOSED;
	for (; s->p < s->end && *s->p != '\n' && *s->p; s->p++) {
		if (*s->p == '\'') {
			s->token = STRING;
			s->n = (size_t)(s->p++ - s->at);
			return;
		}
		if (*s->p == '\\' && s->p + 1 < s->end && s->p[1] != '\n' && s->p[1])
			s->p++;
	}
}

/* A key, or a word when it has more than keys may have. */
static void key_or_word(struct scan *s)
{
	s->token = KEY;
	for (; s->p < s->end; s->p++) {
		if (letter(*s->p) || digit(*s->p))
			continue;
		if (!*s->p || !strchr("-.:/", *s->p))
			break;
		s->token = WORD;
	}
	s->n = (size_t)(s->p - s->at);
}

static enum token single(char c)
{
	switch (c) {
	case '\n': return NEWLINE;
	case '=': return EQUALS;
	case '*': return STAR;
	default: return OTHER;
	}
}

void scan_next(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
	if (s->p < s->end && *s->p == '#')
		while (s->p < s->end && *s->p != '\n')
			s->p++;

	s->at = s->from = s->p;
	s->n = 1;
	s->token = END;
	if (s->p == s->end)
		return;
	if (letter(*s->p))
		key_or_word(s);
	else if (*s->p == '\'')
		string(s);
	else if (!number(s))
		s->token = single(*s->p++);
}
