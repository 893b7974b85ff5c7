/* conf_fuzz.c - any bytes as a configuration file: a whole configuration or an error, no harm. */
#include <regex.h>
#include <stddef.h>
#include <string.h>

/* The C library's compiler may take gigabytes for nested repetitions, which only the owner of the
 * file could ask for: they are not what is tested here. */
static int small_regcomp(regex_t *re, const char *s, int flags)
{
	return strlen(s) > 40 || strpbrk(s, "{*+") ? REG_BADPAT : regcomp(re, s, flags);
}

#define regcomp small_regcomp
#include "../conf_scan.c"
#include "../conf_value.c"
#include "../conf.c"
#undef regcomp

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

static void tell_nobody(void *ctx, enum level v, const char *file, int line, const char *text)
{
	(void)ctx;
	(void)v;
	if (!file || line < 0 || !text[0])
		abort();
}

static void show(void *ctx, const struct conf_row *row)
{
	char out[100];

	if ((!row->per_node || row->bare) && conf_show(ctx, row->name, out, sizeof out) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	struct conf_messages m = { tell_nobody, NULL };
	struct loader l = { .c = calloc(1, sizeof *l.c), .report = { .m = &m, .file = "f" } };
	char *text = malloc(n + !n);

	if (!l.c || !text)
		abort();
	l.depth = INCLUDE_DEPTH + 1;    /* no include */
	memcpy(text, data, n);
	set_defaults(&l);
	parse_file(&l, text, n);
	free(text);
	complete_nodes(&l);
	conf_each(show, l.c);
	for (int i = 0; i < l.c->nnodes; i++)
		if (l.c->node[i].used != (l.c->node[i].port > 0) || !l.c->node[i].hostname)
			abort();
	conf_matches(&l.c->write_function_list, "now");
	conf_redirect(&l.c->user_redirect_preference_list, "alice");
	conf_free(l.c);
	return 0;
}
