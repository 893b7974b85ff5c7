#include "web/family.h"

#include <string.h>

void family_head(struct writer *w, const char *name, enum family_type type, const char *help,
                 bool theirs)
{
	static const char *const words[] = { "gauge", "counter", "histogram" };
	const char *word = theirs && w->open ? "unknown" : words[type];
	size_t len = strlen(name);

	/* OpenMetrics has the family's name without the suffix of its series. */
	if (w->open && !theirs && type == COUNTER)
		len -= strlen("_total");
	text_add(w->t, "# HELP %.*s %s\n# TYPE %.*s %s\n", (int)len, name, help, (int)len, name,
		word);
}

void family_label(struct writer *w, const char *before, const char *name, const char *value)
{
	text_add(w->t, "%s%s=\"", before, name);
	text_add_label(w->t, value);
	text_add(w->t, "\"");
}

void family_value(struct writer *w, const char *name, enum family_type type, const char *help,
                  double value, bool theirs)
{
	family_head(w, name, type, help, theirs);
	text_add(w->t, "%s %.15g\n", name, value);
}

void family_node(struct writer *w, const char *series, const struct node *n)
{
	text_add(w->t, "%s{node=\"%d\"", series, n->id);
	family_label(w, ",", "hostname", node_conf(n)->hostname);
	text_add(w->t, ",port=\"%d\"", (int)node_conf(n)->port);
}
