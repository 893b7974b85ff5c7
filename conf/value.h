/* conf/value.h - the types of parameters: how text becomes a value, and a value text.
 *
 * Only conf.c uses this; everybody else reads fields.  A type is one struct conf_kind, five or so
 * functions over an untyped field, so that a new type is added here and nowhere else.  Numbers,
 * units and words are read as PostgreSQL and Pgpool-II read them: C's integers (octal and 0x
 * included), decimals rounded half to even, words in any case, unique prefixes of booleans.
 */
#ifndef CONF_VALUE_H
#define CONF_VALUE_H

#include "conf.h"

#include <stdarg.h>

/* The receiver of errors, and the place of the current parameter.  Never quotes a SECRET. */
struct conf_report {
	const struct conf_messages *m;
	const char *file;               /* or the environment variable, or NULL */
	int line, column;
	const char *name;               /* of the parameter */
	bool failed;                    /* something worse than a warning was reported */
	bool nomem;
};

void conf_vtell(struct conf_report *r, enum level v, const char *fmt, va_list args);

/* Reports it once, as after the first failure there are usually more.  Returns false. */
bool conf_nomem(struct conf_report *r);

/* strndup with conf_nomem. */
char *conf_copy(struct conf_report *r, const char *text, size_t n);

struct conf_word {
	const char *word;               /* NULL ends a list of them */
	int value;
	enum { PLAIN, SECOND, REFUSED } how;
};

/* The functions of a type.  parse fills a zeroed field; if it fails, it has told why, and the
 * caller releases what is there so far.  A field that is_text begins with its text as written: that
 * is its value, for comparing and showing.  For lists, parse_item fills a zeroed slot with an item
 * that it may cut up. */
struct conf_kind {
	size_t size;
	bool is_text;
	bool (*parse)(struct conf_report *, const struct conf_row *, const char *value,
		void *field);
	void (*release)(void *field);
	int (*show)(const struct conf_row *, const void *field, char *out, size_t size);
	size_t item_size;
	bool (*parse_item)(struct conf_report *, char *item, void *slot);
	bool trim;
};

extern const struct conf_kind conf_kind_BOOL, conf_kind_INT, conf_kind_REAL, conf_kind_ENUM,
	conf_kind_FLAGS, conf_kind_METHODS, conf_kind_TEXT, conf_kind_SECRET, conf_kind_LIST,
	conf_kind_PATTERNS, conf_kind_REDIRECTS, conf_kind_RELATIONS;

extern const struct conf_word conf_bool_words[], conf_flag_words[], conf_method_words[],
	conf_level_words[], conf_verbosity_words[];
#define CONF_ENUM(tag, WORDS) extern const struct conf_word conf_##tag##_words[];
CONF_ENUMS(CONF_ENUM)
#undef CONF_ENUM

/* "on", "off" and the like: into *is.  Unique prefixes count, as in PostgreSQL: "t", "of", but not
 * "o".  false: it is none. */
bool conf_is_bool(const char *value, bool *is);

/* A name of old versions: what it is called now, or why it has no effect.  # stands for an index;
 * a name that is NULL ends the list. */
extern const struct conf_old { const char *name, *now, *reason; } conf_old_names[];

/* Values that Pgpool-II's container image sets if the variable is missing or empty.  NULL ends
 * it. */
extern const struct conf_default { const char *name, *value; } conf_image_defaults[];
#define CONF_IMAGE_SOCKETS "/var/run/pgpool"

/* The values that a row takes: "1024 .. 65535", "on, off, true, ..."; "" for any text. */
void conf_describe(const struct conf_row *row, char *out, size_t size);

/* Room for a field of any kind. */
union conf_value {
	bool is;
	int64_t integer;
	double real;
	unsigned word;
	char *text;
	struct conf_list list;
};

/* A quotation from a file in a message is at most this long. */
enum { CONF_QUOTED = 100 };

enum { NO_INDEX = -1, BAD_INDEX = -2 };

/* "7" to 7; BAD_INDEX if it is not 0 to 127. */
int conf_index(const char *s);

#endif
