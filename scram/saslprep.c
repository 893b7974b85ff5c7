/* scram/saslprep.c - passwords in one form, whatever the keyboard made of them (RFC 4013).
 *
 * As in PostgreSQL's saslprep.c, characters are mapped; each must be allowed then, and writing
 * directions must not be mixed; and they are normalised (NFKC).  (The RFC looks at what is allowed
 * after that.)  The tables are in unicode.h.  They are read from the beginning each time: that
 * costs microseconds, and deriving a key from the result costs milliseconds. */
#include "scram.h"

#include "scram/unicode.h"

#include <string.h>

enum {
	CHANGE_MAX = 18,                        /* characters that one becomes: U+FDFA */
	TEXT_MAX = 2048,                        /* characters of a password, normalised */
	L0 = 0x1100, V0 = 0x1161, T0 = 0x11a7, S0 = 0xac00,     /* Hangul's syllables are */
	LS = 19, VS = 21, TS = 28, SS = LS * VS * TS,           /* computed */
};

struct text {
	size_t n;
	bool full;
	uint32_t c[TEXT_MAX];
};

/* --- tables -------------------------------------------------------------- */

static uint32_t number(const uint8_t **p)
{
	uint32_t n = 0;

	for (int shift = 0; ; shift += 7) {
		uint8_t byte = *(*p)++;
		n |= (byte & 0x7fu) << shift;
		if (!(byte & 0x80))
			return n;
	}
}

/* Pairs: how far to the next character of the table, and how many there are then. */
static bool within(const uint8_t *p, size_t size, uint32_t c)
{
	for (const uint8_t *end = p + size; p < end; ) {
		uint32_t gap = number(&p), n = number(&p);
		if (c < gap)
			return false;
		if (c - gap < n)
			return true;
		c -= gap + n;
	}
	return false;
}

#define IN(table, c) within(table, sizeof table, c)

/* The canonical combining class. */
static uint8_t class_of(uint32_t c)
{
	for (const uint8_t *p = prep_classes; p < prep_classes + sizeof prep_classes; p++) {
		uint32_t gap = number(&p), n = number(&p);
		if (c < gap)
			return 0;
		if (c - gap < n)
			return *p;
		c -= gap + n;
	}
	return 0;
}

/* What becomes of the characters from `from` to `to`: a run of one character each, or n of them. */
struct change {
	uint32_t from, to;
	uint32_t by[CHANGE_MAX];
	unsigned n;
	bool composes;                          /* by[0] and by[1] become the character again */
};

struct changes {
	const uint8_t *p, *end;
	uint32_t at, value;                     /* the last character, the last value */
};

static struct changes changes_of_block(size_t i)
{
	return (struct changes){ prep_changes + prep_block_at[i],
		prep_changes + prep_block_at[i + 1], prep_block_first[i] - 1, 0 };
}

static uint32_t next_value(struct changes *s)
{
	uint32_t d = number(&s->p);

	return s->value += d & 1 ? ~(d >> 1) : d >> 1;
}

/* The head has the kind, and how far it is to this character. */
static bool next_change(struct changes *s, struct change *c)
{
	if (s->p == s->end)
		return false;
	unsigned kind = *s->p & 3, step = *s->p >> 2;

	s->p++;
	c->from = c->to = s->at += step + 1 + (step == 63 ? number(&s->p) : 0);
	if (kind == 2)
		s->at = c->to += number(&s->p) - 1;
	c->n = kind == 3 ? number(&s->p) : 1;
	for (unsigned i = 0; i < c->n; i++)
		c->by[i] = next_value(s);
	s->value += c->to - c->from;
	c->composes = kind == 0;
	if (c->composes)
		c->by[c->n++] = prep_marks[*s->p++];
	return true;
}

enum { BLOCKS = sizeof prep_block_first / sizeof *prep_block_first };

static bool find_change(uint32_t character, struct change *c)
{
	size_t block = 0;

	while (block + 1 < BLOCKS && prep_block_first[block + 1] <= character)
		block++;
	struct changes s = changes_of_block(block);
	while (next_change(&s, c))
		if (character <= c->to) {
			c->by[0] += character - c->from;
			return character >= c->from;
		}
	return false;
}

/* --- normalisation ------------------------------------------------------- */

static void add(struct text *t, uint32_t c)
{
	if (t->n < TEXT_MAX)
		t->c[t->n++] = c;
	else
		t->full = true;
}

/* In a change, later parts change no more. */
static void add_changed(struct text *t, uint32_t character)
{
	uint32_t s = character - S0, before = character;
	struct change c;

	if (s < SS) {
		add(t, L0 + s / (VS * TS));
		add(t, V0 + s % (VS * TS) / TS);
		if (s % TS)
			add(t, T0 + s % TS);
		return;
	}
	uint32_t behind[CHANGE_MAX];
	size_t n = 0;
	while (find_change(before, &c)) {
		for (unsigned i = c.n - 1; i > 0 && n < CHANGE_MAX; i--)
			behind[n++] = c.by[i];
		before = c.by[0];
	}
	add(t, before);
	while (n)
		add(t, behind[--n]);
}

/* Marks behind a character are sorted by their class; equal ones keep their order. */
static void sort_marks(struct text *t)
{
	for (size_t i = 1; i < t->n; i++) {
		uint32_t c = t->c[i];
		uint8_t class = class_of(c);
		size_t to = i;
		for (; class && to && class_of(t->c[to - 1]) > class; to--)
			t->c[to] = t->c[to - 1];
		t->c[to] = c;
	}
}

/* The character that these two are together, or 0. */
static uint32_t composed(uint32_t a, uint32_t b)
{
	struct change c;
	bool mark = false;

	if (a - L0 < LS && b - V0 < VS)
		return S0 + ((a - L0) * VS + b - V0) * TS;
	if (a - S0 < SS && (a - S0) % TS == 0 && b - T0 - 1 < TS - 1)
		return a + b - T0;
	for (size_t i = 0; i < sizeof prep_marks / sizeof *prep_marks; i++)
		mark |= prep_marks[i] == b;
	for (size_t i = 0; mark && i < BLOCKS; i++) {
		struct changes s = changes_of_block(i);
		while (next_change(&s, &c))
			if (c.composes && c.by[0] == a && c.by[1] == b)
				return c.from;
	}
	return 0;
}

/* A mark joins the last starter, unless one of its class, or a higher one, is between them. */
static void compose(struct text *t)
{
	size_t kept = 0, starter = SIZE_MAX;
	uint8_t before = 0;

	for (size_t i = 0; i < t->n; i++) {
		uint32_t c = t->c[i], both = 0;
		uint8_t class = class_of(c);
		if (starter != SIZE_MAX && (kept == starter + 1 || before < class))
			both = composed(t->c[starter], c);
		if (both) {
			t->c[starter] = both;
			continue;
		}
		if (!class)
			starter = kept;
		before = class;
		t->c[kept++] = c;
	}
	t->n = kept;
}

/* --- UTF-8 --------------------------------------------------------------- */

/* One character.  Returns its length, or 0 where it is not well-formed. */
static int utf8_character(const uint8_t *p, uint32_t *c)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	int len = *p < 0x80 ? 1 : *p < 0xc2 ? 0 : *p < 0xe0 ? 2 : *p < 0xf0 ? 3 : *p < 0xf5 ? 4 : 0;

	*c = len < 2 ? *p : *p & (0x7fu >> len);
	for (int i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		*c = *c << 6 | (p[i] & 0x3f);
	}
	if (*c < least[len] || *c > 0x10ffff || (*c >= 0xd800 && *c <= 0xdfff))
		return 0;
	return len;
}

static int put_utf8(char *out, size_t size, const struct text *t)
{
	size_t n = 0;

	for (size_t i = 0; i < t->n; i++) {
		uint32_t c = t->c[i];
		int len = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
		if (n + (size_t)len >= size)
			return -1;
		for (int k = len - 1; k > 0; k--, c >>= 6)
			out[n + (size_t)k] = (char)(0x80 | (c & 0x3f));
		out[n] = (char)(len == 1 ? c : (0xf00u >> len & 0xff) | c);
		n += (size_t)len;
	}
	out[n] = '\0';
	return (int)n;
}

/* --- the whole ----------------------------------------------------------- */

/* RFC 3454, table C.1.2.  The space without width is in the next table, too: this one counts. */
static bool is_space(uint32_t c)
{
	return c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200b) || c == 0x202f
	       || c == 0x205f || c == 0x3000;
}

/* Table B.1. */
static bool is_nothing(uint32_t c)
{
	return c == 0xad || c == 0x34f || c == 0x1806 || (c >= 0x180b && c <= 0x180d)
	       || (c >= 0x200b && c <= 0x200d) || c == 0x2060 || (c >= 0xfe00 && c <= 0xfe0f)
	       || c == 0xfeff;
}

/* A text with letters that are written from right to left has none of the others, and begins and
 * ends with such. */
static bool one_direction(const struct text *t)
{
	bool right = false, left = false;

	for (size_t i = 0; i < t->n; i++) {
		right |= IN(prep_right_to_left, t->c[i]);
		left |= IN(prep_left_to_right, t->c[i]);
	}
	return !right || (!left && IN(prep_right_to_left, t->c[0])
	                  && IN(prep_right_to_left, t->c[t->n - 1]));
}

static bool allowed(const struct text *t)
{
	for (size_t i = 0; i < t->n; i++)
		if (IN(prep_prohibited, t->c[i]))
			return false;
	return t->n && !t->full && one_direction(t);
}

static bool ascii(const char *s)
{
	while (*s && !(*s & 0x80))
		s++;
	return !*s;
}

/* false: it is not UTF-8. */
static bool map(struct text *t, const char *in, void (*use)(struct text *t, uint32_t c))
{
	for (uint32_t c; *in; ) {
		int len = utf8_character((const uint8_t *)in, &c);
		if (!len)
			return false;
		if (is_space(c))
			use(t, ' ');
		else if (!is_nothing(c))
			use(t, c);
		in += len;
	}
	return true;
}

static int prepare(struct text *t, char *out, size_t size, const char *in)
{
	if (!map(t, in, add) || !allowed(t))
		return -1;
	t->n = 0;
	map(t, in, add_changed);
	sort_marks(t);
	compose(t);
	return t->full ? -1 : put_utf8(out, size, t);
}

int scram_saslprep(char *out, size_t size, const char *in)
{
	struct text t = { .n = 0 };
	size_t n = strlen(in);

	if (ascii(in)) {
		if (n >= size)
			return -1;
		memcpy(out, in, n + 1);
		return (int)n;
	}
	int len = prepare(&t, out, size, in);
	explicit_bzero(&t, sizeof t);
	return len;
}
