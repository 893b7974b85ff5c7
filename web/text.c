#include "web/text.h"

#include "wire.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(struct text *t, size_t n)
{
	size_t cap = t->cap ? t->cap : 4096;

	while (cap - t->len <= n)
		cap *= 2;
	if (cap == t->cap)
		return !t->failed;
	char *more = realloc(t->at, cap);
	t->failed |= !more;
	if (!more)
		return false;
	t->at = more;
	t->cap = cap;
	return !t->failed;
}

void text_add_bytes(struct text *t, const char *p, size_t n)
{
	if (!reserve(t, n))
		return;
	memcpy(t->at + t->len, p, n);
	t->len += n;
	t->at[t->len] = '\0';
}

void text_add(struct text *t, const char *format, ...)
{
	char short_[512];
	va_list args;

	va_start(args, format);
	int n = vsnprintf(short_, sizeof short_, format, args);
	va_end(args);
	if (n >= (int)sizeof short_ && reserve(t, (size_t)n)) {
		va_start(args, format);
		vsnprintf(t->at + t->len, (size_t)n + 1, format, args);
		va_end(args);
		t->len += (size_t)n;
	} else if (n < (int)sizeof short_) {
		text_add_bytes(t, short_, (size_t)n);
	}
}

/* Names may be in any encoding: what is no UTF-8 is told as "?". */
static void add_escaped(struct text *t, const char *text, const char *const escapes[])
{
	for (unsigned n; *text; text += n) {
		const char *const *e = escapes;
		while (*e && **e != *text)
			e++;
		n = wire_utf8((const uint8_t *)text);
		if (*e)
			text_add_bytes(t, *e + 1, strlen(*e + 1));
		else
			text_add_bytes(t, n ? text : "?", n ? n : 1);
		n = n ? n : 1;
	}
}

/* The first character of each is what becomes the rest. */
void text_add_label(struct text *t, const char *value)
{
	static const char *const escapes[] = { "\\\\\\", "\"\\\"", "\n\\n", NULL };

	add_escaped(t, value, escapes);
}

void text_add_html(struct text *t, const char *text)
{
	static const char *const escapes[] = { "<&lt;", ">&gt;", "&&amp;", "\"&quot;", NULL };

	add_escaped(t, text, escapes);
}
