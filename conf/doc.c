#include "conf.h"

#include <string.h>

#include "conf/value.h"

static const char introduction[] =
	"# Parameters\n"
	"\n"
	"All parameters of `pgpool.conf`, as `pgpool --settings` prints them.\n"
	"\n"
	"**The file.** A line is `name = value`. A value needs single quotes unless it is one\n"
	"word of letters, digits and `-._:/` that begins with a letter, a number with its\n"
	"unit, or `*`. There are no escapes between quotes. `#` begins a comment, `include\n"
	"'file'` reads another file (relative to this one), and the last of several lines\n"
	"wins. An unknown name is a warning; a value that is not allowed is an error\n"
	"with file, line and column.\n"
	"\n"
	"**Change.** `restart`: only a start reads it. `reload`: SIGHUP (or `pgpool reload`)\n"
	"is enough; if a file then has an error, nothing changes. `session`: the same, or\n"
	"`PGPOOL SET` changes it for one session.\n"
	"\n"
	"**Units.** Where a range has a unit, a bare number has that unit. A number may carry\n"
	"another one: `us ms s min h d` for times, `B kB MB GB TB` (each 1024 of\n"
	"the one before) for sizes, as in `5min` or `'5 min'`. Units are case-sensitive.\n"
	"A number that begins with `0` is octal, with `0x` hexadecimal. A\n"
	"boolean is `on`, `off`, `true`, `false`, `yes`, `no`, `1`, `0`, or an unambiguous\n"
	"prefix of one of these. Words are case-insensitive.\n"
	"\n"
	"**Lists.** The separator is shown with the type, and blanks around an item do not\n"
	"count. A *pattern* is a case-insensitive extended regular expression that must match\n"
	"the whole name (`^` and `$` are added).\n"
	"\n"
	"**Nodes.** `N` stands for the number of a node, 0 to 127. Where the name may also\n"
	"stand without a number, it is the default of nodes that do not set their own.\n"
	"\n"
	"**The environment.** Without a file, each variable `PGPOOL_PARAMS_<NAME>` sets a\n"
	"parameter: `PGPOOL_PARAMS_BACKEND_HOSTNAME0=db`. The name is in upper or lower case;\n"
	"the value is everything after the first `=`, byte for byte and without quotes. Some\n"
	"defaults are then those of Pgpool-II's container image: see the end. With a file,\n"
	"these variables are ignored.\n"
	"\n"
	"**No effect.** Such a parameter is understood and its value checked, so that\n"
	"existing configurations work. If it is set to anything but its default, `off`, 0 or\n"
	"nothing, the log says once that it has no effect, and why.\n";

static const char table_head[] =
	"| parameter | type | default | allowed | change | meaning |\n"
	"| --- | --- | --- | --- | --- | --- |\n";

/* In a table a | ends the cell, even within `code`. */
static void cell(FILE *to, const char *text)
{
	for (; *text; text++)
		fprintf(to, *text == '|' ? "\\%c" : "%c", *text);
}

static void name(FILE *to, const struct conf_row *row)
{
	fprintf(to, "`%s%s`", row->name, row->per_node && !row->bare ? "N" : "");
	if (row->bare)
		fprintf(to, ", `%sN`", row->name);
}

static void type(FILE *to, const struct conf_row *row)
{
	static const struct { const char *type, *words; } types[] = {
		{ "BOOL", "boolean" }, { "INT", "integer" }, { "REAL", "number" },
		{ "ENUM", "word" }, { "FLAGS", "words" }, { "METHODS", "words" },
		{ "TEXT", "text" }, { "SECRET", "secret text" }, { "LIST", "list" },
		{ "PATTERNS", "patterns" },
		{ "REDIRECTS", "redirections" }, { "RELATIONS", "pairs" }
	};
	size_t i = 0;

	while (strcmp(types[i].type, row->type))
		i++;
	fprintf(to, "%s", types[i].words);
	if (row->separator)
		fprintf(to, ", `%c`", row->separator);
}

/* One spelling is enough for booleans, and the units are described once for all. */
static void allowed(FILE *to, const struct conf_row *row)
{
	char text[256];

	conf_describe(row, text, sizeof text);
	if (row->words == conf_bool_words)
		strcpy(text, "on, off");
	text[strcspn(text, ";")] = '\0';
	cell(to, text);
}

static void document_row(FILE *to, const struct conf_row *row)
{
	fputs("| ", to);
	name(to, row);
	fputs(" | ", to);
	type(to, row);
	fputs(" | ", to);
	if (*row->dflt) {
		fputc('`', to);
		cell(to, row->dflt);
		fputc('`', to);
	}
	fputs(" | ", to);
	allowed(to, row);
	fprintf(to, " | %s | ", strcmp(row->when, "start") ? row->when : "restart");
	if (row->effect != EFFECT_WORKS)
		fputs("*No effect:* ", to);
	cell(to, row->doc);
	fputs(row->effect == EFFECT_WORKS ? " |\n" : ". |\n", to);
}

struct group {
	FILE *to;
	enum conf_group group;
};

static void document_in_group(void *ctx, const struct conf_row *row)
{
	struct group *g = ctx;

	if (row->group == g->group)
		document_row(g->to, row);
}

static void document_old_names(FILE *to)
{
	fputs("\n## Names of old versions\n\n| name | |\n| --- | --- |\n", to);
	for (const struct conf_old *old = conf_old_names; old->name; old++) {
		size_t n = strcspn(old->name, "#");

		fprintf(to, "| `%.*s%s` | ", (int)n, old->name, old->name[n] ? "N" : "");
		if (old->now)
			fprintf(to, "now `%s`", old->now);
		else
			fprintf(to, "*No effect:* %s.", old->reason);
		fputs(" |\n", to);
	}
}

static void document_image(FILE *to)
{
	fputs("\n## Defaults when the environment is used\n\n"
		"A variable that is not set, or empty, is:\n\n"
		"| parameter | value |\n| --- | --- |\n", to);
	for (const struct conf_default *d = conf_image_defaults; d->name; d++)
		fprintf(to, "| `%s` | `%s` |\n", d->name, d->value);
	fputs("\nIf there is no directory `" CONF_IMAGE_SOCKETS "`, the socket directories are "
		"empty instead.\n", to);
}

void conf_document(FILE *to)
{
	static const char *const headings[] = {
#define GROUP(tag, heading) heading,
		GROUP_ROWS(GROUP)
#undef GROUP
	};

	fputs(introduction, to);
	for (unsigned i = 0; i < sizeof headings / sizeof *headings; i++) {
		struct group g = { to, i };

		fprintf(to, "\n## %s\n\n%s", headings[i], table_head);
		conf_each(document_in_group, &g);
	}
	document_old_names(to);
	document_image(to);
}
