/* sql_fuzz.c - any bytes through every function of sql.h; what must hold for all of them.
 * The bytes are copied to exactly their length, so that reading one more is found. */
#include "sql/lex.c"
#include "sql/body.c"
#include "sql.c"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define must(cond) do { if (!(cond)) abort(); } while (0)

/* Each token is behind the last one and not empty; the last is the end. */
static void check_tokens(const char *text, size_t len)
{
	struct lex l = { .text = text, .len = len };
	struct token t;
	size_t at = 0;

	for (lex_next(&l, &t); t.type != T_END; lex_next(&l, &t)) {
		must(t.at >= at && t.len > 0 && t.len <= len - t.at && t.word < WORD_COUNT);
		at = t.at + t.len;
		must(l.at == at);
	}
	must(t.at == len);
}

static void check_facts(const struct sql_facts *f, const char *text, size_t len)
{
	char name[64], parameter[128];

	must(f->kind < SQL_KIND_COUNT && f->inner < SQL_KIND_COUNT);
	must(*sql_kind_name(f->kind));
	must(f->start <= f->end && f->end <= f->next && f->next <= len);
	must(len == 0 || f->next > 0);
	must((size_t)f->name.at + f->name.len <= len);
	must(f->kind != SQL_EMPTY || f->next == len);
	must(!(f->flags & SQL_UNPARSED) || (f->next == len && !sql_reads(f)));
	must(f->kind != SQL_OTHER || !sql_reads(f));
	sql_name(name, text, f->name);
	must(strlen(name) < sizeof name);
	sql_parameter(parameter, text, f);
	must(strlen(parameter) < sizeof parameter);
}

static void on_name(void *ctx, enum sql_use use, const char *schema, const char *name)
{
	must(strlen(schema) < 64 && strlen(name) < 64);
	*(size_t *)ctx += use == SQL_WRITTEN;
}

static bool on_word(void *ctx, const char *name, bool called)
{
	must(strlen(name) < 64);
	return called && ctx == NULL;
}

/* Statement by statement; each of them alone is what it was in the row. */
static void check_split(const char *text, size_t len)
{
	for (size_t at = 0; at < len; ) {
		struct sql_facts f, g;
		size_t targets = 0;

		sql_classify(&f, text + at, len - at, NULL);
		check_facts(&f, text + at, len - at);
		sql_names(text + at, len - at, on_name, &targets);
		must(targets == 0 || !sql_reads(&f));
		if (!(f.flags & SQL_UNPARSED) && f.kind != SQL_EMPTY) {
			sql_classify(&g, text + at + f.start, f.end - f.start, NULL);
			must(g.kind == f.kind && g.inner == f.inner && g.end == f.end - f.start);
			must((g.flags & SQL_NOT_READ) == (f.flags & SQL_NOT_READ));
		}
		at += f.next;
	}
}

/* Other literals, the same facts: each string of the shape is given another content. */
static void check_shape(const char *text, size_t len)
{
	char *shape = malloc(len + 1), *other = malloc(len * 4 + 1);
	struct sql_span literals;
	struct sql_facts f, g;
	size_t n, m = 0;
	bool quoted = false;

	must(shape && other);
	n = sql_shape(shape, text, len, &literals);
	sql_classify(&f, text, len, NULL);
	must(n <= len && (!n || (size_t)literals.at + literals.len <= len));
	if (n && literals.len && sql_same_facts(&f, len, literals)) {
		for (size_t i = 0; i < n; i++) {
			quoted ^= shape[i] == '"';
			other[m++] = shape[i];
			if (shape[i] == '\'' && !quoted)
				m += (size_t)sprintf(other + m, "q '");
		}
		sql_classify(&g, other, m, NULL);
		must(g.kind == f.kind && g.inner == f.inner && g.flags == f.flags);
		must(g.next == m && m - g.end == len - f.end && g.start == f.start);
		must(g.name.at == f.name.at && g.name.len == f.name.len);
	}
	free(shape);
	free(other);
}

static void check_rules(const char *text, size_t len)
{
	static regex_t list[1];
	static bool ready;
	struct sql_rules rules = { list, 1, list, 1, list, 1 };
	struct sql_facts f;

	if (!ready)
		must(regcomp(list, "^f$", REG_EXTENDED | REG_ICASE | REG_NOSUB) == 0);
	ready = true;
	sql_classify(&f, text, len, &rules);
	check_facts(&f, text, len);
	sql_mentions(text, len, on_word, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *text = malloc(size ? size : 1);
	struct sql_facts f;

	must(text);
	memcpy(text, data, size);
	sql_classify(&f, text, size, NULL);
	check_facts(&f, text, size);
	check_tokens(text, size);
	check_split(text, size);
	check_rules(text, size);
	check_shape(text, size);
	free(text);
	return 0;
}
