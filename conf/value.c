#include "conf/value.h"

#include "wire.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof *(a))

void conf_vtell(struct conf_report *r, enum level v, const char *fmt, va_list args)
{
	char text[1024];

	vsnprintf(text, sizeof text, fmt, args);
	if (v >= LEVEL_ERROR)
		r->failed = true;
	r->m->tell(r->m->ctx, v, r->file, r->line, r->column, text);
}

static void report(struct conf_report *r, enum level v, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

static void report(struct conf_report *r, enum level v, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	conf_vtell(r, v, fmt, args);
	va_end(args);
}

bool conf_nomem(struct conf_report *r)
{
	if (!r->nomem)
		report(r, LEVEL_FATAL, "out of memory while reading the configuration");
	r->nomem = true;
	return false;
}

char *conf_copy(struct conf_report *r, const char *text, size_t n)
{
	char *s = strndup(text, n);

	if (!s)
		conf_nomem(r);
	return s;
}

/* --- words, numbers ------------------------------------------------------ */

#define WORD_ROW(constant, word) { word, constant, PLAIN },
#define ALIAS_ROW(constant, word) { word, constant, SECOND },
#define REFUSED_ROW(word) { word, 0, REFUSED },
#define WORDS(name, ...) const struct conf_word conf_##name[] = { __VA_ARGS__ { NULL, 0, PLAIN } }

#define ENUM_WORDS(tag, TABLE) WORDS(tag##_words, TABLE(WORD_ROW, ALIAS_ROW, REFUSED_ROW));

CONF_ENUMS(ENUM_WORDS)
WORDS(level_words, LEVEL_WORDS(WORD_ROW, ALIAS_ROW));
WORDS(verbosity_words, VERBOSITY_WORDS(WORD_ROW, ALIAS_ROW));

const struct conf_word conf_bool_words[] = {
	{ "on", true, PLAIN }, { "off", false, PLAIN }, { "true", true, SECOND },
	{ "false", false, SECOND }, { "yes", true, SECOND }, { "no", false, SECOND },
	{ "1", true, SECOND }, { "0", false, SECOND }, { NULL, 0, PLAIN }
};

const struct conf_word conf_flag_words[] = {
	{ "ALLOW_TO_FAILOVER", NODE_ALLOW_TO_FAILOVER, PLAIN },
	{ "DISALLOW_TO_FAILOVER", NODE_DISALLOW_TO_FAILOVER, PLAIN },
	{ "ALWAYS_PRIMARY", NODE_ALWAYS_PRIMARY, PLAIN },
	{ "ALWAYS_MASTER", NODE_ALWAYS_PRIMARY, SECOND },      /* before 4.2 */
	{ NULL, 0, PLAIN }
};

const struct conf_word conf_method_words[] = {
	{ "none", AUTH_NONE, PLAIN }, { "password", AUTH_PASSWORD, PLAIN },
	{ "md5", AUTH_MD5, PLAIN }, { "scram-sha-256", AUTH_SCRAM, PLAIN },
	{ "gss", 0, REFUSED }, { "sspi", 0, REFUSED }, { "oauth", 0, REFUSED },
	{ NULL, 0, PLAIN }
};

/* Largest first within a dimension, as conf_show looks for the largest that divides. */
static const struct unit {
	const char *name;
	bool time;
	int64_t factor;                 /* in bytes or microseconds */
} units[] = {
	{ "TB", false, INT64_C(1) << 40 }, { "GB", false, 1 << 30 }, { "MB", false, 1 << 20 },
	{ "kB", false, 1 << 10 }, { "B", false, 1 },
	{ "d", true, INT64_C(86400000000) }, { "h", true, INT64_C(3600000000) },
	{ "min", true, 60000000 }, { "s", true, 1000000 }, { "ms", true, 1000 }, { "us", true, 1 }
};

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n' || c == '\v' || c == '\f';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int conf_index(const char *s)
{
	int v = 0;

	if (!is_digit(*s))
		return BAD_INDEX;
	for (; is_digit(*s) && v < CONF_NODES; s++)
		v = v * 10 + (*s - '0');
	return *s || v >= CONF_NODES ? BAD_INDEX : v;
}

/* Cuts the next item that is not empty out of *rest, which it moves; NULL when there is none.
 * After a backslash a separator is an ordinary character, and \' is a quote. */
static char *next_item(char **rest, char separator, bool trim)
{
	while (**rest) {
		char *from = *rest, *to = from, *item = from;

		while (*from && *from != separator) {
			if (from[0] == '\\' && from[1] == '\'')
				from++;
			else if (from[0] == '\\' && from[1])
				*to++ = *from++;
			*to++ = *from++;
		}
		*rest = from + (*from != '\0');
		while (trim && to > item && is_blank(to[-1]))
			to--;
		*to = '\0';
		while (trim && is_blank(*item))
			item++;
		if (*item)
			return item;
	}
	return NULL;
}

static const struct unit *find_unit(const char *name, size_t n)
{
	for (size_t i = 0; i < COUNT(units); i++)
		if (strlen(units[i].name) == n && !memcmp(units[i].name, name, n))
			return &units[i];
	return NULL;
}

void conf_describe(const struct conf_row *row, char *out, size_t size)
{
	const struct unit *base = find_unit(row->unit, strlen(row->unit));
	size_t n = 0;

	*out = '\0';
	if (!row->words && row->min < row->max)
		snprintf(out, size, row->octal ? "%04llo .. %04llo" : "%lld .. %lld%s%s%s",
			(long long)row->min, (long long)row->max, base ? " " : "", row->unit,
			!base ? "" : base->time ? "; units: us ms s min h d"
			: "; units: B kB MB GB TB");
	for (const struct conf_word *w = row->words; w && w->word && n < size; w++)
		if (w->how != REFUSED)
			n += (size_t)snprintf(out + n, size - n, "%s%s", n ? ", " : "", w->word);
}

static bool refuse(struct conf_report *r, const char *what, const char *value, const char *allowed)
{
	report(r, LEVEL_FATAL, "%s value for parameter \"%s\": \"%.*s\" (allowed: %s)", what,
		r->name, CONF_QUOTED, value, allowed);
	return false;
}

static bool refuse_value(struct conf_report *r, const struct conf_row *row, const char *value)
{
	char allowed[256];
	bool known = false;

	for (const struct conf_word *w = row->words; w && w->word; w++)
		known |= w->how == REFUSED && !strcasecmp(w->word, value);
	conf_describe(row, allowed, sizeof allowed);
	return refuse(r, known ? "unsupported" : "invalid", value, allowed);
}

/* --- scalar kinds -------------------------------------------------------- */

bool conf_is_bool(const char *value, bool *is)
{
	size_t n = strlen(value);
	bool yes = false, no = false;

	for (const struct conf_word *w = conf_bool_words; n && w->word; w++)
		if (!strncasecmp(w->word, value, n))
			*(w->value ? &yes : &no) = true;
	if (yes != no)
		*is = yes;
	return yes != no;
}

static bool parse_bool(struct conf_report *r, const struct conf_row *row, const char *value,
	void *field)
{
	return conf_is_bool(value, field) || refuse_value(r, row, value);
}

static int show_bool(const struct conf_row *row, const void *field, char *out, size_t size)
{
	(void)row;
	return snprintf(out, size, "%s", *(const bool *)field ? "on" : "off");
}

/* Half to even, as PostgreSQL rounds. */
static bool round_to_int(long double v, int64_t *out)
{
	if (!(v > -0x1p63L && v < 0x1p63L))
		return false;

	int64_t i = (int64_t)v;
	long double rest = v - (long double)i;

	if (rest > 0.5L || (rest == 0.5L && i & 1))
		i++;
	else if (rest < -0.5L || (rest == -0.5L && i & 1))
		i--;
	*out = i;
	return true;
}

/* The unit behind a number, applied to it: true when there is none or a right one. */
static bool apply_unit(const struct conf_row *row, const char *p, long double *v)
{
	while (is_blank(*p))
		p++;
	if (!*p)
		return true;

	size_t n = 0;

	while (p[n] && !is_blank(p[n]))
		n++;
	for (const char *rest = p + n; *rest; rest++)
		if (!is_blank(*rest))
			return false;

	const struct unit *base = find_unit(row->unit, strlen(row->unit));
	const struct unit *u = find_unit(p, n);

	if (!base || !u || base->time != u->time)
		return false;
	*v = *v * (long double)u->factor / (long double)base->factor;
	return true;
}

/* An exponent at p, if there is one; returns its end. */
static const char *exponent(const char *p, int *scale)
{
	bool sign = (*p == 'e' || *p == 'E') && (p[1] == '-' || p[1] == '+');
	char *end;

	if ((*p != 'e' && *p != 'E') || !is_digit(p[1 + sign]))
		return p;
	long e = strtol(p + 1, &end, 10);
	*scale += (int)(e > 9999 ? 9999 : e < -9999 ? -9999 : e);
	return end;
}

long double conf_decimal(const char *s, char **end)
{
	const char *p = s + strspn(s, " \t\r\n\v\f");
	bool negative = *p == '-', point = false, digits = false;
	long double v = 0, power = 1;
	int scale = 0;

	p += *p == '-' || *p == '+';
	for (; is_digit(*p) || (*p == '.' && !point); p++) {
		if (*p == '.') {
			point = true;
			continue;
		}
		v = v * 10 + (*p - '0');
		scale -= point;
		digits = true;
	}
	if (digits)
		p = exponent(p, &scale);
	else if (!strncasecmp(p, "infinity", 8))
		v = INFINITY, p += 8;
	else
		p = s;
	for (int i = 0; i < scale || i < -scale; i++)
		power *= 10;
	*end = (char *)(uintptr_t)p;
	v = !v ? 0 : scale < 0 ? v / power : v * power;
	return negative ? -v : v;
}

/* C's integers (0x and octal included), decimals rounded, then a unit.  The default is allowed even
 * outside the range: it means "not set". */
static bool parse_int(struct conf_report *r, const struct conf_row *row, const char *value,
	void *field)
{
	char *end;
	int64_t i;

	errno = 0;
	long double v = strtoll(value, &end, 0);
	if (errno == ERANGE || *end == '.' || *end == 'e' || *end == 'E')
		v = conf_decimal(value, &end);

	if (end == value || !apply_unit(row, end, &v) || !round_to_int(v, &i))
		return refuse_value(r, row, value);
	if ((i < row->min || i > row->max) && strcmp(value, row->dflt))
		return refuse_value(r, row, value);
	*(int64_t *)field = i;
	return true;
}

static int show_int(const struct conf_row *row, const void *field, char *out, size_t size)
{
	int64_t v = *(const int64_t *)field;
	const struct unit *base = find_unit(row->unit, strlen(row->unit)), *u = units;

	if (row->octal)
		return snprintf(out, size, "%04llo", (unsigned long long)v);
	if (!base || v <= 0)
		return snprintf(out, size, "%lld", (long long)v);

	/* A larger unit only when the value is a whole number of it. */
	while (u != base && (u->time != base->time || v % (u->factor / base->factor)))
		u++;
	return snprintf(out, size, "%lld%s", (long long)(v / (u->factor / base->factor)), u->name);
}

static bool parse_real(struct conf_report *r, const struct conf_row *row, const char *value,
	void *field)
{
	char *end;
	double v = (double)conf_decimal(value, &end);

	if (end == value || *end || !(v >= (double)row->min && v <= (double)row->max))
		return refuse_value(r, row, value);
	*(double *)field = v;
	return true;
}

static int show_real(const struct conf_row *row, const void *field, char *out, size_t size)
{
	(void)row;
	return snprintf(out, size, "%g", *(const double *)field);
}

static bool parse_enum(struct conf_report *r, const struct conf_row *row, const char *value,
	void *field)
{
	for (const struct conf_word *w = row->words; w->word; w++)
		if (w->how != REFUSED && !strcasecmp(w->word, value)) {
			*(unsigned *)field = (unsigned)w->value;
			return true;
		}
	return refuse_value(r, row, value);
}

static int show_enum(const struct conf_row *row, const void *field, char *out, size_t size)
{
	const struct conf_word *w = row->words;

	while (w->word && (w->how != PLAIN || (unsigned)w->value != *(const unsigned *)field))
		w++;
	return snprintf(out, size, "%s", w->word ? w->word : "");
}

static bool parse_flags(struct conf_report *r, const struct conf_row *row, const char *value,
	void *field)
{
	const unsigned both = NODE_ALLOW_TO_FAILOVER | NODE_DISALLOW_TO_FAILOVER;
	char text[256], *rest = text;
	unsigned flags = 0;

	if ((size_t)snprintf(text, sizeof text, "%s", value) >= sizeof text)
		return refuse_value(r, row, value);
	for (char *item; (item = next_item(&rest, '|', true)); ) {
		const struct conf_word *w = conf_flag_words;

		while (w->word && strcasecmp(w->word, item))
			w++;
		if (!w->word)
			return refuse_value(r, row, value);
		flags |= (unsigned)w->value;
	}
	if ((flags & both) == both) {
		report(r, LEVEL_FATAL, "parameter \"%s\": ALLOW_TO_FAILOVER and "
			"DISALLOW_TO_FAILOVER exclude each other", r->name);
		return false;
	}
	if (!(flags & both))
		flags |= NODE_ALLOW_TO_FAILOVER;
	*(unsigned *)field = flags;
	return true;
}

static int show_flags(const struct conf_row *row, const void *field, char *out, size_t size)
{
	unsigned v = *(const unsigned *)field;

	(void)row;
	return snprintf(out, size, "%s%s",
		v & NODE_DISALLOW_TO_FAILOVER ? "DISALLOW_TO_FAILOVER" : "ALLOW_TO_FAILOVER",
		v & NODE_ALWAYS_PRIMARY ? "|ALWAYS_PRIMARY" : "");
}

/* libpq's grammar: all or none of them have a !, each occurs once.  Nothing listed forbids
 * nothing. */
static bool parse_methods(struct conf_report *r, const struct conf_row *row, const char *value,
	void *field)
{
	char text[256], *rest = text;
	unsigned methods = 0;
	bool first = true;

	if ((size_t)snprintf(text, sizeof text, "%s", value) >= sizeof text)
		return refuse_value(r, row, value);
	for (char *item; (item = next_item(&rest, row->separator, true)); first = false) {
		const struct conf_word *w = row->words;
		unsigned not = *item == '!' ? AUTH_NOT : 0;

		while (w->word && strcasecmp(w->word, item + !!not))
			w++;
		if (!w->word || w->how == REFUSED)
			return refuse_value(r, row, value);
		if ((!first && not != (methods & AUTH_NOT)) || (methods & (unsigned)w->value)) {
			report(r, LEVEL_FATAL, "parameter \"%s\": methods with and without ! "
				"exclude each other, and each may be listed once", r->name);
			return false;
		}
		methods |= not | (unsigned)w->value;
	}
	*(unsigned *)field = first ? AUTH_NOT : methods;
	return true;
}

static int show_methods(const struct conf_row *row, const void *field, char *out, size_t size)
{
	unsigned v = *(const unsigned *)field;
	char text[80];
	size_t n = 0;

	*text = '\0';
	for (const struct conf_word *w = row->words; w->word; w++)
		if (v & (unsigned)w->value)
			n += (size_t)snprintf(text + n, sizeof text - n, "%s%s%s", n ? "," : "",
				v & AUTH_NOT ? "!" : "", w->word);
	return snprintf(out, size, "%s", text);
}

static void release_nothing(void *field)
{
	(void)field;
}

/* --- kinds that keep their text ------------------------------------------ */

static bool parse_text(struct conf_report *r, const struct conf_row *row, const char *value,
	void *field)
{
	(void)row;
	return (*(char **)field = conf_copy(r, value, strlen(value)));
}

static void release_text(void *field)
{
	free(*(char **)field);
}

static void release_secret(void *field)
{
	memory_wipe_text(*(char **)field);
}

static int show_text(const struct conf_row *row, const void *field, char *out, size_t size)
{
	const char *s = *(char *const *)field;

	(void)row;
	return snprintf(out, size, "%s", s ? s : "");
}

static int show_secret(const struct conf_row *row, const void *field, char *out, size_t size)
{
	(void)row;
	(void)field;
	return snprintf(out, size, "*****");
}

/* One block: the slots, all zero, and behind them a copy of the text to cut the items from. */
static bool parse_items(struct conf_report *r, const struct conf_row *row, const char *value,
	void *field)
{
	struct conf_list *f = field;
	const struct conf_kind *k = row->kind;
	size_t slots = 1, length = strlen(value);

	for (const char *p = value; *p; p++)
		slots += *p == row->separator;
	f->text = conf_copy(r, value, length);
	f->all = calloc(1, slots * k->item_size + length + 1);
	if (!f->text || !f->all)
		return conf_nomem(r);

	char *slot = f->all, *rest = memcpy(slot + slots * k->item_size, value, length + 1);

	for (char *item; (item = next_item(&rest, row->separator, k->trim)); slot += k->item_size) {
		if (!k->parse_item(r, item, slot))
			return false;
		f->n++;
	}
	return true;
}

static void release_items(void *field)
{
	struct conf_list *f = field;

	free(f->text);
	free(f->all);
}

static void release_patterns(void *field)
{
	struct conf_list *f = field;

	for (size_t i = 0; i < f->n; i++)
		regfree(&f->pattern[i].re);
	release_items(f);
}

static void release_redirects(void *field)
{
	struct conf_list *f = field;

	for (size_t i = 0; i < f->n; i++)
		regfree(&f->redirect[i].re);
	release_items(f);
}

static bool parse_word(struct conf_report *r, char *item, void *slot)
{
	(void)r;
	*(char **)slot = item;
	return true;
}

/* Compiles an item with the anchors that it lacks.  As in Pgpool-II they are put around the
 * whole text, so "a|b" means "begins with a or ends with b". */
static bool compile(struct conf_report *r, const char *item, regex_t *re)
{
	size_t n = strlen(item), size = n + sizeof "^$";
	bool head = item[0] == '^', tail = item[n - 1] == '$' && (n < 2 || item[n - 2] != '\\');
	char *anchored = malloc(size), why[100];

	if (!anchored)
		return conf_nomem(r);
	snprintf(anchored, size, "%s%s%s", head ? "" : "^", item, tail ? "" : "$");

	int e = regcomp(re, anchored, REG_EXTENDED | REG_ICASE | REG_NOSUB);

	free(anchored);
	if (!e)
		return true;
	if (e == REG_ESPACE)
		return conf_nomem(r);
	regerror(e, re, why, sizeof why);
	report(r, LEVEL_FATAL, "parameter \"%s\": \"%.*s\" is not a regular expression: %s",
		r->name, CONF_QUOTED, item, why);
	return false;
}

static bool parse_pattern(struct conf_report *r, char *item, void *slot)
{
	struct conf_pattern *p = slot;

	p->text = item;
	return compile(r, item, &p->re);
}

/* primary, standby or a node's number, then perhaps (weight). */
static bool parse_target(struct conf_report *r, char *text, struct conf_redirect *to)
{
	char *open = strchr(text, '('), *end;

	to->weight = 1.0;
	if (open) {
		to->weight = (double)conf_decimal(open + 1, &end);
		if (end == open + 1 || strcmp(end, ")") || !(to->weight >= 0 && to->weight <= 1))
			return refuse(r, "invalid", open, "(0.0) .. (1.0)");
		*open = '\0';
	}
	if (!strcasecmp(text, "primary"))
		to->target = TO_PRIMARY;
	else if (!strcasecmp(text, "standby"))
		to->target = TO_STANDBY;
	else {
		to->target = TO_NODE;
		to->node = conf_index(text);
	}
	return to->node != BAD_INDEX || refuse(r, "invalid", text, "primary, standby, 0 .. 127");
}

/* The last colon divides: a target has none, and [[:alnum:]] in the pattern may have some. */
static bool parse_redirect(struct conf_report *r, char *item, void *slot)
{
	struct conf_redirect *to = slot;
	char *colon = strrchr(item, ':');

	if (!colon || colon == item)
		return refuse(r, "invalid", item, "pattern:target, pattern:target(weight)");
	*colon = '\0';
	to->text = item;
	if (is_blank(item[0]))
		report(r, LEVEL_WARNING, "parameter \"%s\": the blank in front of \"%.*s\" is part "
			"of the pattern", r->name, CONF_QUOTED, item + 1);
	return parse_target(r, colon + 1, to) && compile(r, item, &to->re);
}

/* Trims an object's name and takes its () off. */
static const char *object(char *text, bool *is_function)
{
	while (is_blank(*text))
		text++;
	size_t n = strlen(text);

	while (n && is_blank(text[n - 1]))
		n--;
	*is_function = n > 2 && text[n - 2] == '(' && text[n - 1] == ')';
	text[*is_function ? n - 2 : n] = '\0';
	return text;
}

static bool parse_relation(struct conf_report *r, char *item, void *slot)
{
	struct conf_relation *pair = slot;
	char *colon = strchr(item, ':');

	if (!colon || strchr(colon + 1, ':'))
		return refuse(r, "invalid", item, "object:object");
	*colon = '\0';
	pair->left = object(item, &pair->left_is_function);
	pair->right = object(colon + 1, &pair->right_is_function);
	return (pair->left[0] && pair->right[0])
		|| refuse(r, "invalid", item, "object:object");
}

/* --- the kinds ----------------------------------------------------------- */

_Static_assert(sizeof(enum level) == sizeof(unsigned), "an ENUM field is written as unsigned");

#define SCALAR(NAME, type, name) const struct conf_kind conf_kind_##NAME = \
	{ sizeof(type), false, parse_##name, release_nothing, show_##name, 0, NULL, false };
#define TEXTUAL(NAME, name) const struct conf_kind conf_kind_##NAME = \
	{ sizeof(char *), true, parse_text, release_##name, show_##name, 0, NULL, false };
#define ITEMS(NAME, type, name, release, trim) const struct conf_kind conf_kind_##NAME = \
	{ sizeof(struct conf_list), true, parse_items, release, show_text, sizeof(type), \
	  parse_##name, trim };

SCALAR(BOOL, bool, bool)
SCALAR(INT, int64_t, int)
SCALAR(REAL, double, real)
SCALAR(ENUM, unsigned, enum)
SCALAR(FLAGS, unsigned, flags)
SCALAR(METHODS, unsigned, methods)
TEXTUAL(TEXT, text)
TEXTUAL(SECRET, secret)
ITEMS(LIST, char *, word, release_items, true)
ITEMS(PATTERNS, struct conf_pattern, pattern, release_patterns, true)
ITEMS(REDIRECTS, struct conf_redirect, redirect, release_redirects, false)
ITEMS(RELATIONS, struct conf_relation, relation, release_items, true)
