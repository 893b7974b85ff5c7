/* conf_fuzz.c - any bytes as a configuration file and as variables of the environment: a
 * configuration or an error, no harm. */
#include <regex.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

/* The C library's compiler may take gigabytes for nested repetitions, which only the owner of the
 * file could ask for: they are not what is tested here. */
static int small_regcomp(regex_t *re, const char *s, int flags)
{
	return strlen(s) > 40 || strpbrk(s, "{*+") ? REG_BADPAT : regcomp(re, s, flags);
}

#define regcomp small_regcomp
#include "conf/scan.c"
#include "conf/value.c"
#include "conf.c"
#undef regcomp

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

enum { VARIABLES_MAX = 64 };

static void tell_nobody(void *ctx, enum level v, const char *file, int line, int column,
	const char *text)
{
	(void)ctx;
	(void)v;
	if (line < 0 || column < 0 || (line && !file) || (line && !column) || !text[0])
		abort();
}

static void show(void *ctx, const struct conf_row *row)
{
	char out[100];

	if (row->kind->show(row, place(ctx, row, NO_INDEX), out, sizeof out) < 0)
		abort();
}

static struct loader new_loader(const struct conf_messages *m)
{
	struct loader l = { .c = calloc(1, sizeof *l.c), .report.m = m };

	if (!l.c)
		abort();
	l.depth = INCLUDE_DEPTH + 1;    /* no include */
	set_defaults(&l);
	return l;
}

/* Whatever was told, what is there can be used. */
static void use(struct loader *l)
{
	complete_nodes(l);
	check_whole(l);
	conf_each(show, l->c);
	for (int i = 0; i < l->c->nnodes; i++)
		if (l->c->node[i].used != (l->c->node[i].port > 0) || !l->c->node[i].hostname)
			abort();
	conf_matches(&l->c->write_function_list, "now");
	conf_redirect(&l->c->user_redirect_preference_list, "alice");
}

static struct conf *from_file(const struct conf_messages *m, const char *text, size_t n)
{
	struct loader l = new_loader(m);
	char *copy = malloc(n + !n);    /* its end is where the sanitizer sees it */

	if (!copy)
		abort();
	memcpy(copy, text, n);
	l.report.file = "f";
	parse_file(&l, copy, n);
	l.report.file = NULL;
	l.report.line = l.report.column = l.name_column = l.value_column = 0;
	free(copy);
	use(&l);
	return l.c;
}

/* Each line is a variable without its common beginning; a backslash stands for a line feed. */
static struct conf *from_environment(const struct conf_messages *m, const char *text, size_t n)
{
	struct loader l = new_loader(m);
	char *variables[VARIABLES_MAX + 1] = { NULL };
	const char *end = text + n;

	for (size_t i = 0; text < end && i < VARIABLES_MAX; i++) {
		const char *stop = memchr(text, '\n', (size_t)(end - text));

		if (!stop)
			stop = end;
		if (asprintf(&variables[i], VARIABLES "%.*s", (int)(stop - text), text) < 0)
			abort();
		for (char *p = variables[i]; *p; p++)
			*p = *p == '\\' ? '\n' : *p;
		text = stop + (stop < end);
	}
	read_environment(&l, variables);
	for (size_t i = 0; i < VARIABLES_MAX; i++)
		free(variables[i]);
	use(&l);
	return l.c;
}

/* The same bytes as a file, as variables, and as what a reload finds after the other. */
int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct conf_messages m = { tell_nobody, NULL };
	struct conf *file = from_file(&m, (const char *)data, n);
	struct conf *variables = from_environment(&m, (const char *)data, n);

	conf_keep_start(variables, file, &m);
	conf_free(file);
	conf_each(show, variables);
	conf_free(variables);
	return 0;
}
